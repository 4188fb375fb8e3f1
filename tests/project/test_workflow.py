"""The workflow holds to the project: its targets, paths, versions and lines are those that are there."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / ".github" / "workflows" / "test.yml").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
SYSTEMS = {"linux": {"ubuntu-latest"}, "notebooks": {"macos-latest", "windows-latest"}, "gpt2": {"ubuntu-latest"}}
ACTION = re.compile(r"actions/(checkout|setup-python|cache|upload-artifact)@v\d+")


def faults(text):
    """All that is wrong with the text of a workflow."""
    workflow = yaml.safe_load(text)
    found = []

    def expect(condition, fault):
        if not condition:
            found.append(fault)

    events = workflow[True]  # YAML reads the word on as a truth value
    expect({"push", "pull_request", "schedule", "workflow_dispatch"} <= events.keys(), "events: one is missing")
    days = [int(day) for entry in events["schedule"] for day in entry["cron"].split()[2].split(",")]
    expect(len(days) == 2 and 13 <= days[1] - days[0] <= 15, "cron: not twice a month")
    expect(workflow["permissions"] == {"contents": "read"}, "permissions: more than reading")
    expect({name: systems(job) for name, job in workflow["jobs"].items()} == SYSTEMS, "jobs: not as they should be")
    for name, job in workflow["jobs"].items():
        expect(job.get("timeout-minutes", 360) <= 60, f"{name}: no time limit")
        for version in pythons(job):
            known = f"Programming Language :: Python :: {version}" in PROJECT["classifiers"]
            expect(known and version in SpecifierSet(PROJECT["requires-python"]), f"{name}: Python {version}")
        for step in job["steps"]:
            expect("run" in step or ACTION.fullmatch(step["uses"]), f"{name}: {step.get('uses')}")
            for word in shlex.split(step.get("run", "")) + step.get("with", {}).get("path", "").split():
                expect(not project_path(word) or exists(word), f"{name}: {word} is not there")
            for target in re.findall(r"^make (\S+)", step.get("run", ""), re.MULTILINE):
                expect(re.search(rf"^{target}:", MAKEFILE, re.MULTILINE), f"{name}: no make {target}")
    return found


def systems(job):
    on = job["runs-on"]
    return set(job["strategy"]["matrix"]["os"]) if on == "${{ matrix.os }}" else {on}


def pythons(job):
    (named,) = [step["with"]["python-version"] for step in job["steps"] if "setup-python" in step.get("uses", "")]
    return job["strategy"]["matrix"]["python"] if named == "${{ matrix.python }}" else [named]


def project_path(word):
    """Whether a word of a command means a file of the clone; what setup makes is left out."""
    return bool(re.fullmatch(r"[\w.-]+(/[\w.*-]+)+", word)) and not word.startswith(".venv/")


def exists(word):
    """Results of a model need not be there yet, only the folder that holds them."""
    results = re.fullmatch(r"data/results/[\w.-]+(/\S+)?", word)
    return (ROOT / ("data/results" if results else word)).exists()


def steps(job):
    return yaml.safe_load(TEXT)["jobs"][job]["steps"]


def test_workflow_is_as_it_should_be():
    assert faults(TEXT) == []


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
    (found,) = faults(TEXT.replace(old, new))
    assert found.startswith(fault)


def test_without_make_it_takes_the_lines_of_the_readme():
    lines = [step["run"] for step in steps("notebooks") if "run" in step]
    plain = {line.split("  ")[0] for line in README.splitlines()}
    assert {line for line in lines if line not in plain} == {"python notebooks/build.py --check"}
    assert len(lines) == 5


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
