"""The page that runs notebooks in the browser, as far as it can be told without building it: its lock, its notebooks.

tests/browser/test_lite.py builds it and runs all that is in it.
"""

import copy
import hashlib
import json
import re
import sys
import zipfile
from pathlib import Path

import nbformat
import pytest
import scripts
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

ROOT = Path(__file__).resolve().parents[2]
lite = scripts.load("notebooks/lite.py")
build = scripts.load("notebooks/build.py")
pages = build.pages
FILES = "https://github.com/a/b/blob/c/notebooks/"


def wheel(folder, name, *needs, version="1.0", files=("__init__.py",)):
    """A wheel of that name, which asks for these."""
    module = name.replace("-", "_")
    path = folder / f"{module}-{version}-py3-none-any.whl"
    about = "".join(f"Requires-Dist: {need}\n" for need in needs)
    about = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{about}\nRequires-Dist: nothing, this is text\n"
    listed = [f"{module}/{file}" for file in files]
    record = "".join(f"{one},sha256=x,0\n" for one in listed)
    with zipfile.ZipFile(path, "w") as packed:
        for one in listed:
            packed.writestr(one, "")
        packed.writestr(f"{module}-{version}.dist-info/METADATA", about)
        packed.writestr(f"{module}-{version}.dist-info/RECORD", record)
    return path


# --- which notebooks -----------------------------------------------------------------------------------------------


def test_the_first_four_notebooks_are_in_it_and_the_site_leads_to_just_those(tmp_path):
    assert [path.name[:2] for path in lite.NOTEBOOKS] == ["01", "02", "03", "04"]
    led = [
        path
        for path in build.notebooks()
        if "Run it here"
        in dict(pages.places(path, nbformat.read(path, as_version=4), tmp_path, build.repository(), build.ref()))
    ]
    assert led == lite.NOTEBOOKS


def test_notebooks_import_nothing_there_that_the_lock_does_not_have():
    """Torch would be such a thing. Standard modules aside, what they import are the helpers and their needs."""
    for path in lite.NOTEBOOKS:
        nb = lite.for_the_browser(json.loads(path.read_text(encoding="utf-8")), path.stem, FILES)
        code = "\n".join(cell["source"] for cell in nb["cells"] if cell["cell_type"] == "code")
        found = set(re.findall(r"^\s*(?:import|from) (\w+)", code, re.MULTILINE)) - sys.stdlib_module_names
        assert {"numpy", "lnpoly_helpers"} <= found <= {"numpy", "lnpoly_helpers", *lite.WANTED}, path.name
        assert ("scipy" in found) == (path.stem in lite.ALSO_IMPORTED)


# --- what is read --------------------------------------------------------------------------------------------------


def test_notebook_is_as_nobody_has_run_it_and_leads_to_what_is_there():
    text = (
        "[![Open](https://c.org/a.svg)](https://c.org/x)\n\n"
        "# A\n[one](03_arcs_on_the_circle.ipynb#b) [two](../README.md)"
        " [three](06_gpt2_small.ipynb) [four](https://e.org/f) [five](#g) [six](notation.md)"
    )
    code = new_code_cell("import numpy as np\n1", execution_count=3, outputs=[new_output("stream", text="1")])
    nb = json.loads(json.dumps(new_notebook(cells=[new_markdown_cell(text), code])))
    made = lite.for_the_browser(copy.deepcopy(nb), "03_arcs_on_the_circle", FILES)
    assert made["cells"][0]["source"] == (
        f"# A\n[one](03_arcs_on_the_circle.ipynb#b) [two]({FILES}../README.md)"
        f" [three]({FILES}06_gpt2_small.ipynb) [four](https://e.org/f) [five](#g) [six](notation.md)"
    )
    assert (made["cells"][1]["outputs"], made["cells"][1]["execution_count"]) == ([], None)
    assert made["cells"][1]["source"] == "import numpy as np\n1"
    (stem,) = lite.ALSO_IMPORTED
    also = lite.for_the_browser(nb, stem, FILES)["cells"][1]["source"]
    assert also.startswith("import scipy") and also.endswith("\nimport numpy as np\n1")


@pytest.mark.parametrize("path", lite.NOTEBOOKS, ids=lambda path: path.stem)
def test_no_notebook_shows_a_picture_from_elsewhere(path):
    nb = lite.for_the_browser(json.loads(path.read_text(encoding="utf-8")), path.stem, FILES)
    text = "\n".join(cell["source"] for cell in nb["cells"])
    assert re.findall(r"!\[|<img|<script|<iframe", text) == []
    assert nb["cells"][0]["source"].startswith("# ")


# --- the lock --------------------------------------------------------------------------------------------------------


def test_entry_says_what_the_wheel_says(tmp_path):
    path = wheel(tmp_path, "Some-Thing", "Other_One>=2", 'here; sys_platform == "win32"', 'more; extra == "all"')
    entry = lite.entry_of(path)
    assert (entry["name"], entry["version"], entry["file_name"]) == ("Some-Thing", "1.0", path.name)
    assert (entry["imports"], entry["depends"]) == (["Some_Thing"], ["other-one"])
    assert entry["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert lite.entry_of(path, ["b", "a"])["depends"] == ["a", "b"]


NATIVE = {"numpy": {"name": "numpy", "depends": []}, "six": {"name": "six", "depends": []}}


def test_lock_has_what_is_asked_for_and_leaves_out_what_no_browser_needs(tmp_path):
    wheels = [
        wheel(tmp_path, "matplotlib", "numpy"),
        wheel(tmp_path, "pexpect"),
        wheel(tmp_path, "ipywidgets", "pexpect"),
        wheel(tmp_path, "anywidget", "ipywidgets"),
    ]
    own = wheel(tmp_path, lite.OWN, "torch")
    lock = lite.locked({"info": {"arch": "x"}, "packages": {"old": {}}}, copy.deepcopy(NATIVE), wheels, own)
    assert lock["info"] == {"arch": "x"}
    assert set(lock["packages"]) == {"numpy", "six", "matplotlib", "ipywidgets", "anywidget", lite.OWN}
    assert lock["packages"]["ipywidgets"]["depends"] == []
    assert lock["packages"][lite.OWN]["depends"] == sorted(lite.OWN_NEEDS), "no torch, though its metadata had it"


def test_lock_with_a_gap_is_refused(tmp_path):
    own = wheel(tmp_path, lite.OWN)
    with pytest.raises(SystemExit, match="ipywidgets asks for .*'gone'"):
        wheels = [wheel(tmp_path, "matplotlib"), wheel(tmp_path, "ipywidgets", "gone")]
        lite.locked({}, copy.deepcopy(NATIVE), wheels, own)


def test_closure_follows_every_need():
    packages = {"a": {"depends": ["b", "c"]}, "b": {"depends": ["c"]}, "c": {"depends": []}, "d": {"depends": ["a"]}}
    assert lite.closure(packages, ["a"]) == ["a", "b", "c"]
    assert lite.closure(packages, ["d"]) == ["a", "b", "c", "d"]


# --- the wheels ----------------------------------------------------------------------------------------------------


def test_helpers_come_without_models_and_their_record_says_so(tmp_path):
    whole = wheel(tmp_path, "lnpoly-helpers", files=("__init__.py", "data/nano.safetensors", "data/nano.md"))
    slim = lite.without_models(whole, tmp_path / "slim.whl")
    with zipfile.ZipFile(slim) as packed:
        names = packed.namelist()
        record = packed.read("lnpoly_helpers-1.0.dist-info/RECORD").decode()
    kept = ["lnpoly_helpers/__init__.py", "lnpoly_helpers/data/nano.md"]
    assert [name for name in names if ".dist-info" not in name] == kept
    assert [line.split(",")[0] for line in record.splitlines()] == kept


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(lite, "CACHE", tmp_path / "cache")
    return tmp_path


def test_compiled_wheels_are_taken_from_the_named_folder_if_they_are_pyodides_own(cache, monkeypatch):
    path = wheel(cache, "numpy")
    entry = {"file_name": path.name, "sha256": lite.sha256(path)}
    for place in (str(cache), cache.as_uri() + "/"):
        monkeypatch.setenv("LNPOLY_PYODIDE", place)
        folder = lite.compiled(None, {"numpy": entry})
        assert (folder / path.name).read_bytes() == path.read_bytes()
        (lite.CACHE / "compiled.txt").unlink()
    with pytest.raises(SystemExit, match="expected Pyodide's own, with sha256 0"):
        lite.compiled(None, {"numpy": entry | {"sha256": "0" * 64}})
    assert not (lite.CACHE / "compiled.txt").exists(), "the next time it is fetched again"


def test_cache_is_kept_until_something_else_is_wanted(cache):
    made = []

    def make(folder):
        assert list(folder.iterdir()) == []
        made.append(folder)
        (folder / "a").touch()

    for wanted in ("1", "1", "2"):
        assert (lite.kept("b", wanted, make) / "a").exists()
    assert len(made) == 2


# --- what is written about it --------------------------------------------------------------------------------------


def test_make_and_readme_run_the_same_command():
    makefile, readme = ((ROOT / name).read_text(encoding="utf-8") for name in ("Makefile", "README.md"))
    assert "$(PYTHON) notebooks/lite.py site/lite\n" in makefile
    assert re.search(r"^python notebooks/lite\.py site/lite +# make lite$", readme, re.MULTILINE)


def test_readme_leads_to_every_notebook_of_it():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    address = re.escape(build.public_site() + "lite/notebooks/index.html?path=")
    assert re.findall(address + r"([\w.]+)\)", readme) == [path.name for path in lite.NOTEBOOKS]


def test_build_and_lite_mean_the_same_notebooks():
    assert pages.WITHOUT_NETWORKS == lite.WITHOUT_NETWORKS
    assert pages.BADGE.pattern == lite.BADGE.pattern
