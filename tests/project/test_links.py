"""One address, one list of requirements: what is written in several places stays equal."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
REPOSITORY = PROJECT["tool"]["lnpoly"]["repository"]
README = (ROOT / "README.md").read_text(encoding="utf-8")
OURS = re.compile(rf"{re.escape(REPOSITORY)}(?![\w-])")


def pip_list(environment):
    return next(entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))


def test_environment_asks_for_what_the_project_asks_for():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    extras = PROJECT["project"]["optional-dependencies"]
    wanted = PROJECT["project"]["dependencies"] + extras["notebooks"] + extras["minilm"]
    assert pip_list(environment) == wanted + ["-e ."]
    python = next(e for e in environment["dependencies"] if str(e).startswith("python"))
    major, minor = map(int, re.findall(r"\d+", python)[:2])
    lowest = tuple(map(int, re.findall(r"\d+", PROJECT["project"]["requires-python"])))
    assert (major, minor) >= lowest


def test_torch_is_pinned_by_the_makefile_alone():
    assert re.search(r"^TORCH := torch==[\d.]+$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert "torch==" not in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_readme_pins_the_same_torch():
    pins = set(re.findall(r"torch==([\d.]*\d)", README + (ROOT / "Makefile").read_text(encoding="utf-8")))
    assert len(pins) == 1


def test_readme_badges_lead_to_notebooks_of_this_repository():
    colab = re.findall(r"colab\.research\.google\.com/github/([\w.-]+/[\w.-]+)/blob/main/([^)]+)", README)
    binder = re.findall(r"mybinder\.org/v2/gh/([\w.-]+/[\w.-]+)/main\?labpath=([^)]+)", README)
    assert colab and sorted(colab) == sorted(binder)
    for repository, path in colab:
        assert repository == REPOSITORY
        assert (ROOT / path).is_file(), path


def test_readme_links_lead_somewhere():
    links = [t for t in re.findall(r"\]\(([^)\s]+)\)", README) if not re.match(r"[a-z]+:|#", t)]
    assert links and [link for link in links if not (ROOT / link.split("#")[0]).exists()] == []


def test_readme_pictures_have_alternative_texts():
    assert re.findall(r"!\[\s*\]\(", README) == []


def test_package_urls_name_the_repository():
    assert all(url.startswith(f"https://github.com/{REPOSITORY}") for url in PROJECT["project"]["urls"].values())


@pytest.fixture
def copied(tmp_path):
    """The files that hold the address, apart from the clone."""
    (tmp_path / "notebooks").mkdir()
    for path in [*ROOT.glob("notebooks/*.ipynb"), ROOT / "notebooks" / "build.py", ROOT / "README.md"]:
        shutil.copy(path, tmp_path / path.relative_to(ROOT))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def rewrite(folder, *arguments):
    command = [sys.executable, "notebooks/build.py", "--links", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)


def holders(folder):
    return [folder / "pyproject.toml", folder / "README.md", *sorted(folder.glob("notebooks/*.ipynb"))]


def test_new_address_is_put_everywhere_and_back_again(copied):
    before = [path.read_text(encoding="utf-8") for path in holders(copied)]
    assert rewrite(copied, "other/na.me-2").returncode == 0
    after = [path.read_text(encoding="utf-8") for path in holders(copied)]
    for old, new in zip(before, after):
        assert not OURS.search(new)
        assert len(OURS.findall(old)) == new.count("other/na.me-2") > 0
    assert rewrite(copied, REPOSITORY).returncode == 0
    assert [path.read_text(encoding="utf-8") for path in holders(copied)] == before


def test_stray_address_is_brought_back_and_other_links_are_left(copied):
    readme = copied / "README.md"
    stray = "https://mybinder.org/v2/gh/someone/else/main https://github.com/someone/else"
    readme.write_text(README + stray, encoding="utf-8")
    assert rewrite(copied).returncode == 0
    mended = f"https://mybinder.org/v2/gh/{REPOSITORY}/main https://github.com/someone/else"
    assert readme.read_text(encoding="utf-8") == README + mended


@pytest.mark.parametrize("address", ["lnpoly", "https://github.com/a/b", "a/b/c", "a b/c"])
def test_malformed_address_is_refused(copied, address):
    before = [path.read_bytes() for path in holders(copied)]
    done = rewrite(copied, address)
    assert done.returncode == 1 and "owner/name" in done.stderr
    assert [path.read_bytes() for path in holders(copied)] == before
