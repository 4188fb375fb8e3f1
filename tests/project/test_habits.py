"""What a repository is expected to carry, held to what is there: how to contribute, what is new, how to cite."""

import re
import tomllib
from datetime import date
from pathlib import Path

import pytest
import yaml
from packaging.version import Version
from test_workflow import schema_says

from lnpoly_helpers import __version__

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))


# --- how to cite -------------------------------------------------------------------------------------------------


def test_citation_fits_the_citation_file_format():
    assert schema_says("vendor.citation-file-format", ROOT / "CITATION.cff") == ""


def test_citation_is_of_this_version_at_this_address():
    assert CITATION["version"] == __version__
    assert CITATION["repository-code"] == f"https://github.com/{SETTINGS['tool']['lnpoly']['repository']}"
    assert CITATION["license"] == SETTINGS["project"]["license"]
    assert [author["name"] for author in CITATION["authors"]] == [a["name"] for a in SETTINGS["project"]["authors"]]


def test_citation_and_readme_cite_the_same():
    cited = README.split("## Cite")[1].replace("{", "").replace("}", "")
    (post,) = CITATION["references"]
    for one in (post["title"], post["url"], post["authors"][0]["alias"], str(post["year"]), CITATION["title"]):
        assert one in cited


# --- what is new -------------------------------------------------------------------------------------------------


def releases(text):
    """[(version, date)] of a changelog's headings, in their order, Unreleased left out."""
    return re.findall(r"^## (\d\S+) – (\S+)$", text, re.MULTILINE)


def test_changelog_has_this_version_and_newest_first():
    found = releases(CHANGELOG)
    assert found[0][0] == __version__
    assert [len(re.findall(r"^## ", CHANGELOG, re.MULTILINE))] == [len(found) + CHANGELOG.count("\n## Unreleased\n")]
    versions = [Version(version) for version, _ in found]
    days = [date.fromisoformat(day) for _, day in found]
    assert versions == sorted(set(versions), reverse=True) and days == sorted(days, reverse=True)


def test_changelog_uses_the_words_of_its_form():
    kinds = set(re.findall(r"^### (.+)$", CHANGELOG, re.MULTILINE))
    assert kinds and kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


# --- how to contribute -------------------------------------------------------------------------------------------


def named_files(markdown):
    """The files of the clone that a page leads to or names as code; a folder's name ends with a slash."""
    text = re.sub(r"```.*?```", "", markdown, flags=re.DOTALL)
    links = [t.split("#")[0] for t in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"[a-z]+:|#", t)]
    code = re.findall(r"`([\w./-]+/[\w.-]*|[\w-]+\.(?:md|py|toml|yml|cff))`", text)
    return links + [name for name in code if not re.search("NN_|NAME", name)]


def tree(markdown):
    """The paths of a drawn folder: its first line, and what is indented below it."""
    (block,) = re.findall(r"```\n(\w+/\n.*?)```", markdown, re.DOTALL)
    top, *rest = block.splitlines()
    return [top + line.split()[0] for line in rest]


@pytest.mark.parametrize("page", [CONTRIBUTING, CHANGELOG], ids=["CONTRIBUTING", "CHANGELOG"])
def test_files_that_a_page_names_are_there(page):
    assert [name for name in named_files(page) if not (ROOT / name).exists()] == []


def test_the_drawn_house_is_the_one_that_stands():
    package = ROOT / "lnpoly_helpers"
    drawn = tree(CONTRIBUTING)
    assert [name for name in drawn if not (ROOT / name).exists()] == []
    standing = {p.name for p in package.iterdir() if p.suffix == ".py" or (p / "__init__.py").is_file()}
    public = {name for name in standing if not name.startswith("_")}
    assert public <= {name.strip("/").split("/")[1] for name in drawn}


def test_commands_of_the_page_are_targets_of_make():
    targets = set(re.findall(r"make ([a-z]+)(?= |`|$)", CONTRIBUTING, re.MULTILINE))
    there = set(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))
    assert "quick" in targets and targets - {"quick"} <= there


def test_readme_names_them():
    assert all(f"]({name})" in README for name in ("CONTRIBUTING.md", "CHANGELOG.md", "CITATION.cff"))
    assert "site/reference.html" in README


# --- hooks and templates -----------------------------------------------------------------------------------------


def test_hooks_run_the_linter_that_make_runs():
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    hooks = [hook for entry in config["repos"] if entry["repo"] == "local" for hook in entry["hooks"]]
    assert [hook["entry"].split()[:4] for hook in hooks] == [
        ["python", "-m", "ruff", "check"],
        ["python", "-m", "ruff", "format"],
    ]
    assert "-m ruff check" in MAKEFILE


def test_templates_fit_the_schemas_and_ask_for_what_is_needed():
    folder = ROOT / ".github" / "ISSUE_TEMPLATE"
    assert schema_says("vendor.github-issue-forms", folder / "bug.yml") == ""
    assert schema_says("vendor.github-issue-config", folder / "config.yml") == ""
    fields = yaml.safe_load((folder / "bug.yml").read_text(encoding="utf-8"))["body"]
    required = {field["id"] for field in fields if field.get("validations", {}).get("required")}
    assert {"where", "steps", "seen", "versions"} <= required
