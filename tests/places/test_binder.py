"""Binder, simulated: environment.yml's own list and postBuild in a fresh environment, notebooks and JupyterLab in that.

What differs from Binder: the torch of this interpreter instead of conda's pytorch-cpu, this interpreter, and kernels
of another processor, on which the notebooks must print the same (test_kernels.py).
"""

import re
from subprocess import STDOUT

import environments
import nbformat
import pytest
import yaml
from environments import KERNELS, ROOT, python_of, run
from thorough import some

from lnpoly_helpers import EMBEDDED

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
IMPORTS = """
import importlib, pkgutil, lnpoly_helpers
for room in pkgutil.walk_packages(lnpoly_helpers.__path__, "lnpoly_helpers."):
    if not room.name.endswith("__main__"):
        importlib.import_module(room.name)
from lnpoly_helpers.models import hub
print(lnpoly_helpers.__file__, *(name for name in hub.PACKAGES if hub.packaged(name)))
"""


@pytest.fixture(scope="session")
def binder(tmp_path_factory):
    """(the environment, the clone that it was made from)."""
    folder = tmp_path_factory.mktemp("binder")
    clone = environments.snapshot(folder / "clone")
    (listed,) = [entry["pip"] for entry in ENVIRONMENT["dependencies"] if isinstance(entry, dict)]
    packages = [word for line in listed for word in line.split()]  # "-e ." is two words
    (added,) = re.findall(r"^pip install (.+)$", (ROOT / "postBuild").read_text(encoding="utf-8"), re.MULTILINE)
    with environments.made(folder / "env", *packages, cwd=clone) as env:
        environments.install(env, *added.split())
        yield env, clone


def test_every_room_imports_from_the_clone_and_the_networks_of_pip_packages_are_there(binder):
    env, clone = binder
    where, *networks = run([python_of(env), "-c", IMPORTS], env=environments.bare(), cwd=env).split()
    assert where == str(clone / "lnpoly_helpers" / "__init__.py") and networks == ["minilm", "smollm2"]


def test_jupyterlab_is_there_and_shows_widgets(binder):
    env, _ = binder
    listed = run([python_of(env), "-m", "jupyter", "labextension", "list"], env=environments.bare(), stderr=STDOUT)
    assert int(re.match(r"JupyterLab v(\d+)\.", listed)[1]) >= 4
    assert re.search(r"@jupyter-widgets/jupyterlab-manager v\S+ .*enabled.*OK", listed)


# a network of the package's own; those from pip packages, which later notebooks ask for besides, are there by now
@pytest.mark.parametrize("path", some(NOTEBOOKS, "07"))
def test_notebook_runs_and_shows_there_what_it_shows_here(path, binder, tmp_path):
    env, clone = binder
    offline = {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(tmp_path / "no-hub")}
    nb = environments.execute(clone / "notebooks" / path.name, tmp_path, env, **offline, **KERNELS["avx2"])
    there, here = environments.printed(nb), environments.printed(nbformat.read(path, as_version=4))
    assert {code: text for code, text in there.items() if text != here[code]} == {}


def test_start_keeps_to_a_model_that_fits(binder):
    env, clone = binder
    say = ["sh", clone / "start", python_of(env), "-c", "import os; print(os.environ['LNPOLY_MODEL'])"]
    assert run(say, env=environments.bare()).strip() in EMBEDDED
    assert run(say, env=environments.bare(LNPOLY_MODEL="mine")).strip() == "mine"
