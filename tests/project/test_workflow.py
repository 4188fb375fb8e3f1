"""The workflows hold to the project: their targets, paths, versions and lines are those that are there."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = {path.stem: path.read_text(encoding="utf-8") for path in ROOT.glob(".github/workflows/*.yml")}
TEXT = WORKFLOWS["test"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
SYSTEMS = {"linux": {"ubuntu-latest"}, "notebooks": {"macos-latest", "windows-latest"}, "gpt2": {"ubuntu-latest"}}
# GitHub's own, and one that checks links; each by its major version, as its authors move it
ACTION = re.compile(r"(actions/[a-z-]+|lycheeverse/lychee-action)@v\d+")
# what a job may do beyond reading, in the workflows that publish
MAY = {"release": {"publish": {"contents": "write"}}, "pages": {"deploy": {"pages": "write", "id-token": "write"}}}
MADE = ("site", "dist", ".venv")  # what commands write
FIELDS = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)]  # of a cron: minute, hour, day, month, day of the week


def faults(text, name="test"):
    """All that is wrong with the text of a workflow, which is a file of that name."""
    workflow = yaml.safe_load(text)
    found = []

    def expect(condition, fault):
        if not condition:
            found.append(fault)

    events = workflow[True]  # YAML reads the word on as a truth value
    crons = [entry["cron"] for entry in events.get("schedule", [])]
    expect(all(map(is_cron, crons)), f"cron: {crons}")
    expect(workflow["name"] == name, "name: not the file's")
    expect(workflow["permissions"] == {"contents": "read"}, "permissions: more than reading")
    for job_name, job in workflow["jobs"].items():
        permissions = job.get("permissions", {})
        expect(permissions == MAY.get(name, {}).get(job_name, {}), f"{job_name}: permissions")
        expect({job.get("needs", job_name)} <= workflow["jobs"].keys(), f"{job_name}: waits for no job")
        expect(job.get("timeout-minutes", 360) <= 120, f"{job_name}: no time limit")
        for version in pythons(job):
            expect(version in SpecifierSet(PROJECT["requires-python"]), f"{job_name}: Python {version}")
        for step in job["steps"]:
            expect("run" in step or ACTION.fullmatch(step["uses"]), f"{job_name}: {step.get('uses')}")
            inputs = step.get("with", {})
            words = " ".join([step.get("run", ""), inputs.get("path", ""), inputs.get("args", "")])
            for word in shlex.split(words, comments=True):
                word = word.rstrip(";")
                expect(not project_path(word) or exists(word), f"{job_name}: {word} is not there")
            extras = {
                name for names in re.findall(r"\.\[([\w,-]+)\]", step.get("run", "")) for name in names.split(",")
            }
            expect(extras <= PROJECT["optional-dependencies"].keys(), f"{job_name}: no extra of {sorted(extras)}")
            for target in re.findall(r"\bmake ([\w-]+)", step.get("run", "")):
                expect(re.search(rf"^{target}:", MAKEFILE, re.MULTILINE), f"{job_name}: no make {target}")
    return found


def faults_of_test_yml(text):
    """All that is wrong with the text of test.yml, which has more to be than a workflow."""
    workflow, found = yaml.safe_load(text), faults(text)
    days = [int(day) for entry in workflow[True]["schedule"] for day in entry["cron"].split()[2].split(",")]
    if not {"push", "pull_request", "schedule", "workflow_dispatch"} <= workflow[True].keys():
        found.append("events: one is missing")
    if not (len(days) == 2 and 13 <= days[1] - days[0] <= 15):
        found.append("cron: not twice a month")
    if {name: systems(job) for name, job in workflow["jobs"].items()} != SYSTEMS:
        found.append("jobs: not as they should be")
    for name, job in workflow["jobs"].items():
        unknown = [v for v in pythons(job) if f"Programming Language :: Python :: {v}" not in PROJECT["classifiers"]]
        found += [f"{name}: Python {version}" for version in unknown]
    return list(dict.fromkeys(found))


def is_cron(text):
    """Whether a line is one that cron understands: five fields of numbers, ranges, steps and lists, in bounds."""
    fields = text.split()
    return len(fields) == 5 and all(
        re.fullmatch(r"(\*|\d+(-\d+)?)(/[1-9]\d*)?", part)
        and all(low <= int(number) <= high for number in re.findall(r"\d+", part.split("/")[0]))
        for field, (low, high) in zip(fields, FIELDS)
        for part in field.split(",")
    )


def systems(job):
    on = job["runs-on"]
    return set(job["strategy"]["matrix"]["os"]) if on == "${{ matrix.os }}" else {on}


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


def steps(job):
    return yaml.safe_load(TEXT)["jobs"][job]["steps"]


@pytest.mark.parametrize("name", sorted(WORKFLOWS))
def test_workflow_is_as_it_should_be(name):
    assert faults(WORKFLOWS[name], name) == []


def test_tests_run_on_every_system_and_event():
    assert faults_of_test_yml(TEXT) == []


def schema_says(schema, *paths):
    """What the schema that GitHub or the Citation File Format publishes has against files; nothing is fetched."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, "--force-filetype", "yaml", *paths]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_workflows_fit_the_schema():
    assert schema_says("vendor.github-workflows", *ROOT.glob(".github/workflows/*.yml")) == ""


def test_that_schema_can_be_broken(tmp_path):
    (tmp_path / "a.yml").write_text(TEXT.replace("runs-on:", "run-on:"), encoding="utf-8")
    assert "run-on" in schema_says("vendor.github-workflows", tmp_path / "a.yml")


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("  pull_request:\n", "", "events"),
        ("1,15 * *", "1 * *", "cron"),
        ("contents: read", "contents: write", "permissions"),
        ("[macos-latest, windows-latest]", "[macos-latest]", "jobs"),
        ("    timeout-minutes: 45\n", "", "notebooks: no time limit"),
        ('python: ["3.11"', 'python: ["3.10"', "linux: Python 3.10"),
        ("actions/cache@v6", "someone/cache@v6", "gpt2: someone/cache"),
        ("make test TORCH", "make tests TORCH", "linux: no make tests"),
        ("notebooks/build.py --check", "notebooks/built.py --check", "notebooks: notebooks/built.py"),
        ("data/results/gpt2/*.json", "data/result/gpt2/*.json", "gpt2: data/result/gpt2"),
    ],
)
def test_planted_fault_is_found(old, new, fault):
    assert old in TEXT
    (found,) = faults_of_test_yml(TEXT.replace(old, new))
    assert found.startswith(fault)


@pytest.mark.parametrize(
    ("name", "old", "new", "fault"),
    [
        ("fortnightly", "8,22 * *", "8,32 * *", "cron"),
        ("fortnightly", "lychee-action@v2", "lychee-action@main", "links: lycheeverse"),
        ("fortnightly", "CONTRIBUTING.md", "CONTRIBUTE.md", "links: CONTRIBUTE.md"),
        ("fortnightly", "make nbval", "make nbeval", "coming: no make nbeval"),
        ("fortnightly", ".[notebooks,", ".[notebook,", "oldest: no extra"),
        ("colab", "notebooks/*.ipynb", "notebook/*.ipynb", "notebooks: notebook/*.ipynb"),
        ("pages", "make run", "make site", "build: no make site"),
        ("pages", "make lite", "make light", "build: no make light"),
        ("pages", "id-token: write", "contents: write", "deploy: permissions"),
        ("release", "needs: build", "needs: tests", "publish: waits for no job"),
        ("release", "CHANGELOG.md", "CHANGES.md", "build: CHANGES.md"),
    ],
)
def test_planted_fault_of_another_workflow_is_found(name, old, new, fault):
    assert old in WORKFLOWS[name]
    (found,) = faults(WORKFLOWS[name].replace(old, new), name)
    assert found.startswith(fault)


@pytest.mark.parametrize("line", ["* * * * *", "0 0 1 1 0", "*/5 1-3 1,15 * 7", "59 23 31 12 6"])
def test_crons_that_are(line):
    assert is_cron(line)


@pytest.mark.parametrize(
    "line", ["60 4 * * *", "4 24 * * *", "4 4 0 * *", "4 4 * 13 *", "4 4 * * 8", "4 4 * *", "a b c d e"]
)
def test_crons_that_are_none(line):
    assert not is_cron(line)


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


def test_without_make_it_takes_the_lines_of_the_readme():
    lines = [step["run"] for step in steps("notebooks") if "run" in step]
    plain = {line.split("  ")[0] for line in README.splitlines()}
    assert {line for line in lines if line not in plain} == {"python notebooks/build.py --check"}
    assert len(lines) == 5


def test_pages_publishes_the_page_that_runs_notebooks_and_pages_that_lead_to_it():
    runs = [step.get("run") for step in yaml.safe_load(WORKFLOWS["pages"])["jobs"]["build"]["steps"]]
    assert runs.index("make lite") < runs.index("make run"), "the site's pages lead to what is there when they are made"


def test_torch_is_the_makefiles():
    (pin,) = re.findall(r"^TORCH := (\S+)$", MAKEFILE, re.MULTILINE)
    assert set(re.findall(r"torch==[\d.]+", TEXT)) == {pin}


def test_gpt2_job_runs_its_notebooks_and_keeps_what_they_measured():
    (job,) = [job for name, job in yaml.safe_load(TEXT)["jobs"].items() if name == "gpt2"]
    assert job["env"]["LNPOLY_MODEL"] == "gpt2" and "HF_HUB_OFFLINE" not in job["env"]
    assert "schedule" in job["if"] and "workflow_dispatch" in job["if"]
    (run,) = [step["run"] for step in job["steps"] if "build.py" in step.get("run", "")]
    for beginning in run.split()[-2:]:
        (notebook,) = ROOT.glob(f"notebooks/{beginning}*.ipynb")
        assert notebook.name.startswith(("06_gpt2", "07_"))
    (upload,) = [step for step in job["steps"] if "upload-artifact" in step.get("uses", "")]
    assert upload["if"] == "always()" and "data/results/gpt2/*.json" in upload["with"]["path"].split()
    assert "*.new.json" in job["steps"][-1]["run"], "a difference from the reference fails the job, after the upload"
