"""Every notebook in Google Colab, simulated: from its badge alone, on Colab's versions, its install line as it is.

What differs from Colab: this interpreter instead of Python 3.13; the torch of this interpreter instead of 2.11; an
empty package in place of google.colab; git leads the public address to this clone; and a Hugging Face hub on the
loopback address, which has MiniLM but not GPT-2. In GPT-2's place the saved outputs show SmolLM2, so its package is
there. Notebooks with the same install line share what it installed: the first of them runs it, the others find the
helpers there and nothing more.
"""

import re

import environments
import nbformat
import pytest
from environments import PROJECT, ROOT, canonicalize_name
from hub import Hub
from packaging.requirements import Requirement
from thorough import some

from lnpoly_helpers.models import hub as hub_room

COLAB = environments.preinstalled()


def install_line(path):
    """What a notebook's first cell installs the helpers with."""
    (line,) = re.findall(r'%pip install -q "(.+)"', nbformat.read(path, as_version=4).cells[1].source)
    return line


# the last ones first: the longer is what they import in the very kernel that has just installed it
NOTEBOOKS = {path: install_line(path) for path in sorted((ROOT / "notebooks").glob("*.ipynb"), reverse=True)}


@pytest.fixture(scope="session")
def colab(tmp_path_factory):
    """An environment with all that Colab has of what we and a kernel need, at Colab's versions."""
    folder = tmp_path_factory.mktemp("colab")
    extras = {extra for line in NOTEBOOKS.values() for extra in Requirement(line).extras}
    needed = environments.walk([*environments.requirements(*sorted(extras)), "ipykernel", "ipython"])
    names = {"pip", "setuptools", "wheel"} | {canonicalize_name(wanted.name) for _, wanted in needed}
    pins = [f"{name}=={version}" for name, version in COLAB.items() if not environments.TORCH.fullmatch(name)]
    (folder / "pins.txt").write_text("\n".join(pins), encoding="utf-8")
    packages = sorted(name for name in names & COLAB.keys() if not environments.TORCH.fullmatch(name))
    with environments.made(folder / "base", *packages, "-c", folder / "pins.txt") as base:
        environments.install(base, "--no-deps", hub_room.PACKAGES["smollm2"].requirement)
        package = environments.site_of(base) / "google" / "colab"
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        yield base


@pytest.fixture(scope="session")
def layers(colab, tmp_path_factory):
    """{install line: an empty environment above Colab's, for what it installs}."""
    folder, lines = tmp_path_factory.mktemp("layers"), sorted(set(NOTEBOOKS.values()))
    # Colab's kernel has its own package loaded from the start
    return {line: environments.layer(folder / str(k), colab, "import google.colab") for k, line in enumerate(lines)}


@pytest.fixture(scope="session")
def internet(tmp_path_factory):
    """Environment variables that lead to this clone and to a hub."""
    folder = tmp_path_factory.mktemp("github.com")
    environments.snapshot(folder / PROJECT["tool"]["lnpoly"]["repository"])
    git = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_VALUE_0": "https://github.com/", "GIT_ALLOW_PROTOCOL": "file"}
    git["GIT_CONFIG_KEY_0"] = f"url.{folder.as_uri()}/.insteadOf"
    with Hub({hub_room.PACKAGES["minilm"].repository: hub_room.packaged("minilm")}) as hub:
        yield git | {"HF_ENDPOINT": hub.endpoint}


def test_colab_is_as_published(colab):
    found = environments.versions(colab)
    other = {name for name in found.keys() & COLAB.keys() if found[name] != COLAB[name]}
    assert "torch" in other and all(map(environments.TORCH.fullmatch, other))
    assert {"numpy", "matplotlib", "ipywidgets", "ipython", "ipykernel", "transformers", "pip"} <= found.keys()
    assert "lnpoly-helpers" not in found and "transformer-lens" not in found


def test_a_replaced_package_would_be_seen(colab, tmp_path):
    own = environments.layer(tmp_path / "own", colab)
    newer = environments.site_of(own) / "ipywidgets-8.0.dist-info"
    newer.mkdir()
    (newer / "METADATA").write_text("Metadata-Version: 2.1\nName: ipywidgets\nVersion: 8.0\n", encoding="utf-8")
    changed = environments.versions(own).items() - environments.versions(colab).items()
    assert changed == {("ipywidgets", "8.0")}


# one that installs all that any asks for: test_bare.py runs one that installs no network, and the weekly run in Colab's
# own image opens them all
@pytest.mark.parametrize("path", some(NOTEBOOKS, "07"))
def test_notebook_opens_from_its_badge_alone_and_shows_there_what_it_shows_here(
    path, colab, layers, internet, tmp_path
):
    own = layers[NOTEBOOKS[path]]
    home = {"HF_HOME": str(tmp_path / "hub")}
    kernels = environments.KERNELS["oldest"]  # its virtual machines differ
    nb = environments.execute(path, tmp_path / "run", own, **internet, **home, **kernels)

    before, after = environments.versions(colab), environments.versions(own)
    assert {package: after.get(package) for package in before} == before, "the install replaced what was there"
    assert "lnpoly-helpers" in after
    assert ("transformer-lens" in after) == (path.name[:2] > "04")  # the first four run no network, and wait for none
    outputs = [output for cell in nb.cells for output in cell.get("outputs", [])]
    assert [o for o in outputs if o.output_type == "error"] == []
    assert all(cell.execution_count for cell in nb.cells if cell.cell_type == "code")

    there, here = environments.printed(nb), environments.printed(nbformat.read(path, as_version=4))
    # the first cell installs; the last of a notebook that measures finds no reference to compare with
    own = [code for code in here if "%pip install" in code or "save_results(" in code]
    assert {code: text for code, text in there.items() if text != here[code] and code not in own} == {}
    assert len(own) <= 2 < len(here)
