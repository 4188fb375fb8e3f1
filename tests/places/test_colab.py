"""Every notebook in Google Colab, simulated: from its badge alone, on Colab's versions, its install line as it is.

What differs from Colab: this interpreter instead of Python 3.13; the CPU build of torch that `make` installs instead of
2.11; an empty package in place of google.colab; git leads the public address to this clone; and a Hugging Face hub on
the loopback address, which has MiniLM but not GPT-2.
"""

import shutil
import time
from concurrent.futures import ThreadPoolExecutor

import environments
import nbformat
import pytest
from environments import PROJECT, ROOT, TORCH, canonicalize_name
from hub import Hub

from lnpoly_helpers.models import hub as hub_room

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
COLAB = environments.preinstalled()


@pytest.fixture(scope="session")
def colab(tmp_path_factory):
    """An environment with all that Colab has of what we and a kernel need, at Colab's versions."""
    folder = tmp_path_factory.mktemp("colab")
    needed = environments.walk([*environments.requirements("models", "plot", "widgets"), "ipykernel", "ipython"])
    names = {"pip", "setuptools", "wheel"} | {canonicalize_name(wanted.name) for _, wanted in needed}
    pins = [f"{name}=={version}" for name, version in COLAB.items() if name != "torch"]
    (folder / "pins.txt").write_text("\n".join(pins), encoding="utf-8")
    packages = sorted(names & COLAB.keys() - {"torch"})
    with environments.made(folder / "base", [TORCH], [TORCH, *packages, "-c", folder / "pins.txt"]) as base:
        package = environments.site_of(base) / "google" / "colab"
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        yield base


@pytest.fixture(scope="session")
def runs(colab, tmp_path_factory):
    """{name: future of (notebook as run, what its environment has afterwards)}; two notebooks at a time."""
    folder = tmp_path_factory.mktemp("runs")
    environments.snapshot(folder / "github.com" / PROJECT["tool"]["lnpoly"]["repository"])
    git = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_VALUE_0": "https://github.com/", "GIT_ALLOW_PROTOCOL": "file"}
    git["GIT_CONFIG_KEY_0"] = f"url.{(folder / 'github.com').as_uri()}/.insteadOf"

    def run(path):
        start = time.perf_counter()
        # Colab's kernel has its own package loaded from the start
        own = environments.layer(folder / path.stem, colab, at_start="import google.colab")
        home = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(folder / path.stem / "hub")}
        kernels = environments.KERNELS["oldest"]  # its virtual machines differ
        nb = environments.execute(path, folder / f"{path.stem}_run", own, **git, **home, **kernels)
        print(f"{path.stem}: {time.perf_counter() - start:.1f} s with the install")
        return nb, environments.versions(own)

    with Hub({hub_room.MINILM: hub_room.minilm_package()}) as hub, ThreadPoolExecutor(2) as pool:
        waiting = {path.stem: pool.submit(run, path) for path in reversed(NOTEBOOKS)}  # the long ones first
    yield waiting
    shutil.rmtree(folder)


def test_colab_is_as_published(colab):
    found = environments.versions(colab)
    stand_in = canonicalize_name(TORCH.split("==")[0])
    other = {name for name in found.keys() & COLAB.keys() if found[name] != COLAB[name]}
    assert other == {stand_in}
    assert {"numpy", "matplotlib", "ipywidgets", "ipython", "ipykernel", "transformers", "pip"} <= found.keys()
    assert "lnpoly-helpers" not in found and "transformer-lens" not in found


def test_a_replaced_package_would_be_seen(colab, tmp_path):
    own = environments.layer(tmp_path / "own", colab)
    newer = environments.site_of(own) / "ipywidgets-8.0.dist-info"
    newer.mkdir()
    (newer / "METADATA").write_text("Metadata-Version: 2.1\nName: ipywidgets\nVersion: 8.0\n", encoding="utf-8")
    changed = environments.versions(own).items() - environments.versions(colab).items()
    assert changed == {("ipywidgets", "8.0")}


@pytest.mark.parametrize("name", [path.stem for path in NOTEBOOKS])
def test_notebook_opens_from_its_badge_alone(name, runs, colab):
    nb, after = runs[name].result()
    before = environments.versions(colab)
    assert {package: after.get(package) for package in before} == before, "the install replaced what was there"
    assert "lnpoly-helpers" in after
    assert ("transformer-lens" in after) == (name[:2] > "04")  # the first four run no network, and wait for none
    outputs = [output for cell in nb.cells for output in cell.get("outputs", [])]
    assert [o for o in outputs if o.output_type == "error"] == []
    assert all(cell.execution_count for cell in nb.cells if cell.cell_type == "code")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_shows_there_what_it_shows_here(path, runs):
    there = environments.printed(runs[path.stem].result()[0])
    here = environments.printed(nbformat.read(path, as_version=4))
    # the first cell installs; the last of a notebook that measures finds no reference to compare with
    own = [code for code in here if "%pip install" in code or "save_results(" in code]
    assert {code: text for code, text in there.items() if text != here[code] and code not in own} == {}
    assert len(own) <= 2 < len(here)
