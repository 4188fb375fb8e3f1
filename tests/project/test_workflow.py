"""The workflows hold to the project: the targets, paths, versions and lines that they name are there."""

import os
import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import check_jsonschema
import pytest
import yaml
from click.testing import CliRunner
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = {path.stem: path.read_text(encoding="utf-8") for path in ROOT.glob(".github/workflows/*.yml")}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
MADE = ("site", "dist", ".venv")  # what commands write


def faults(text):
    """What the text of a workflow names that is not there."""
    found = []

    def expect(condition, fault):
        if not condition:
            found.append(fault)

    for job in yaml.safe_load(text)["jobs"].values():
        for version in pythons(job):
            expect(version in SpecifierSet(PROJECT["requires-python"]), f"Python {version}")
        for step in job["steps"]:
            line, inputs = step.get("run", ""), step.get("with", {})
            for word in shlex.split(" ".join([line, inputs.get("path", ""), inputs.get("args", "")]), comments=True):
                word = word.rstrip(";")
                expect(not project_path(word) or exists(word), f"{word} is not there")
            extras = {name for names in re.findall(r"\.\[([\w,-]+)\]", line) for name in names.split(",")}
            expect(extras <= PROJECT["optional-dependencies"].keys(), f"no extra of {sorted(extras)}")
            for target in re.findall(r"\bmake ([\w-]+)", line):
                expect(re.search(rf"^{target}:", MAKEFILE, re.MULTILINE), f"no make {target}")
    return found


def pythons(job):
    named = [step["with"]["python-version"] for step in job["steps"] if "setup-python" in step.get("uses", "")]
    return job["strategy"]["matrix"]["python"] if named == ["${{ matrix.python }}"] else named


def project_path(word):
    """Whether a word of a command means a file of the clone; what the commands make is left out."""
    named = re.fullmatch(r"[\w.-]+(/[\w.*-]+)+|[\w.-]+\.(md|toml|yml|cff)", word)
    return bool(named) and word.split("/")[0] not in MADE


def exists(word):
    """Results of a model need not be there yet, only the folder that holds them."""
    results = re.fullmatch(r"data/results/[\w.-]+(/\S+)?", word)
    return any(ROOT.glob("data/results" if results else word))


@pytest.mark.parametrize("name", sorted(WORKFLOWS))
def test_what_a_workflow_names_is_there(name):
    assert faults(WORKFLOWS[name]) == []


@pytest.mark.parametrize(
    ("name", "old", "new", "fault"),
    [
        ("test", 'python: ["3.11"', 'python: ["3.10"', "Python 3.10"),
        ("pages", "make run", "make site", "no make site"),
        ("release", "CHANGELOG.md", "CHANGES.md", "CHANGES.md is not there"),
        ("fortnightly", ".[notebooks,", ".[notebook,", "no extra of"),
    ],
)
def test_what_is_not_there_is_found(name, old, new, fault):
    assert old in WORKFLOWS[name]
    (found,) = faults(WORKFLOWS[name].replace(old, new))
    assert found.startswith(fault)


def schema_says(schema, *paths):
    """What the schema that GitHub or the Citation File Format publishes has against files; nothing is fetched."""
    arguments = ["--builtin-schema", schema, "--force-filetype", "yaml", *map(str, paths)]
    done = CliRunner().invoke(check_jsonschema.main, arguments)
    return "" if done.exit_code == 0 else done.output or "failed"


def test_workflows_fit_the_schema():
    assert schema_says("vendor.github-workflows", *ROOT.glob(".github/workflows/*.yml")) == ""


def test_without_make_it_takes_the_lines_of_the_readme():
    lines = [s["run"] for s in yaml.safe_load(WORKFLOWS["test"])["jobs"]["notebooks"]["steps"] if "run" in s]
    plain = {line.split("  ")[0] for line in README.splitlines()}
    assert {line for line in lines if line not in plain} == {"python notebooks/build.py --check"}
    assert len(lines) == 5


def test_torch_is_the_makefiles():
    (pin,) = re.findall(r"^TORCH := (\S+)$", MAKEFILE, re.MULTILINE)
    assert set(re.findall(r"torch==[\d.]+", WORKFLOWS["test"])) == {pin}


# --- a release ---------------------------------------------------------------------------------------------------


def release_step(beginning):
    (found,) = [
        s["run"]
        for s in yaml.safe_load(WORKFLOWS["release"])["jobs"]["build"]["steps"]
        if beginning in s.get("run", "")
    ]
    return found


@pytest.mark.parametrize(("tag", "passes"), [("v0.2.0", True), ("v0.2", False), ("v0.1.0", False), ("v0.3.0", False)])
def test_release_asks_that_tag_version_links_and_changelog_agree(tag, passes, tmp_path):
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / "lnpoly_helpers-0.2.0.tar.gz").touch()
    (tmp_path / "pyproject.toml").write_text('[tool.lnpoly]\nref = "v0.2.0"\n')
    (tmp_path / "CHANGELOG.md").write_text(
        "# C\n\n## Unreleased\n\n- x\n\n## 0.2.0 – 2026-12-31\n\n- new\n\n## 0.1.0 – 2026\n\n- old\n"
    )
    for beginning in ("test -f", "grep -x", "sed -n"):
        command = ["bash", "-e", "-c", release_step(beginning)]
        done = subprocess.run(
            command, cwd=tmp_path, env={"PATH": os.environ["PATH"], "GITHUB_REF_NAME": tag}, timeout=60
        )
        assert (done.returncode == 0) == (passes or (beginning == "sed -n" and tag == "v0.1.0"))
    if passes:
        assert (tmp_path / "dist" / "notes.md").read_text().strip() == "- new"


def test_pages_publishes_the_page_that_runs_notebooks_and_pages_that_lead_to_it():
    runs = [step.get("run") for step in yaml.safe_load(WORKFLOWS["pages"])["jobs"]["build"]["steps"]]
    assert runs.index("make lite") < runs.index("make run"), "the site's pages lead to what is there when they are made"
