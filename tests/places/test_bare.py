"""The package alone: two distributions besides itself, and what each extra adds is said where it is missing."""

import environments
import nbformat
import pytest
from environments import ROOT, python_of, run

ASK = "import lnpoly_helpers as l, numpy as np; {}"


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bare")
    clone = environments.snapshot(folder / "clone")
    with environments.made(folder / "env", clone, torch=False) as env:
        yield env, clone


def test_it_brings_numpy_and_scipy(bare):
    env, _ = bare
    assert environments.versions(env).keys() == {"lnpoly-helpers", "numpy", "scipy"}


def test_the_maths_works_and_the_rest_says_what_to_install(bare):
    env, _ = bare
    cut = "print(l.partition_circle(l.Arrangement([[1, 0], [0, 1]], [0.5, -0.2])).n_arcs, l.n_regions(3, 2))"
    assert run([python_of(env), "-c", ASK.format(cut)], env=environments.bare()) == "4 8\n"
    for statement, extra in [
        ("import lnpoly_helpers.plotting", "plot"),
        ("import lnpoly_helpers.widgets", "widgets"),
        ("l.load_model('nano-ln-relu')", "models"),
    ]:
        code = f"try:\n    {statement}\nexcept ImportError as error:\n    print(error)"
        said = run([python_of(env), "-c", f"import lnpoly_helpers as l\n{code}"], env=environments.bare())
        assert said.endswith(f'pip install "lnpoly-helpers[{extra}]"\n') and said.count("\n") == 1, statement


def test_notebook_03_runs_with_two_extras(bare, tmp_path):
    env, clone = bare
    environments.install(env, f"{clone}[plot,widgets]", "ipykernel")
    assert not {"torch", "transformer-lens"} & environments.versions(env).keys()
    path = ROOT / "notebooks" / "03_arcs_on_the_circle.ipynb"
    nb = environments.execute(path, tmp_path, env)
    assert environments.printed(nb) == environments.printed(nbformat.read(path, as_version=4))
