"""Colab as it comes suffices: no requirement of ours, nor of what we bring along, asks it to replace anything.

Without a network: what is installed here is what pip would bring along, and its own list of needs is read off that. The
simulation in tests/places/ runs the installation itself.
"""

from importlib.metadata import distribution
from types import SimpleNamespace

import pytest
from environments import COLAB_PYTHON, canonicalize_name, preinstalled, requirements, walk
from packaging.specifiers import SpecifierSet

COLAB = preinstalled()
OURS = requirements("models", "plot", "widgets")  # what notebooks ask for there


def clashes(requirements, look=distribution):
    """What Colab would have to replace, and what would not install on its interpreter, each with who asks."""
    found = []
    for asker, wanted in walk(requirements, into=lambda name: name not in COLAB, look=look):
        has = COLAB.get(canonicalize_name(wanted.name))
        if has is None:
            pythons = look(wanted.name).metadata["Requires-Python"]
            if pythons and COLAB_PYTHON not in SpecifierSet(pythons):
                found.append(f"{asker} needs {wanted.name}, which needs Python {pythons}; Colab has {COLAB_PYTHON}")
        elif not wanted.specifier.contains(has, prereleases=True):
            found.append(f"{asker} needs {wanted.name}{wanted.specifier}; Colab has {has}")
    return found


def test_colab_has_what_we_need_or_lacks_it_altogether():
    assert clashes(OURS) == []


def test_what_is_brought_along_is_little():
    brought = {canonicalize_name(wanted.name) for _, wanted in walk(OURS, into=lambda name: name not in COLAB)}
    assert {"transformer-lens", "jaxtyping"} <= brought - COLAB.keys()
    assert len(brought - COLAB.keys()) < 12, "a reader on Colab waits for each of them"


def test_the_list_is_colabs():
    assert len(COLAB) > 600
    assert COLAB["ipython"] == "7.34.0" and COLAB["ipywidgets"] == "7.7.1" and COLAB["numpy"].startswith("2.1.")


def test_a_list_is_read_as_colab_publishes_it():
    text = """# a==1
PyYAML==6.0.3
torch @ https://example.org/whl/torch-2.11.0%2Bcpu-cp313-cp313-manylinux_2_28_x86_64.whl#sha256=0
google-colab @ file:///colabtools/dist/google_colab-1.0.0.tar.gz
"""
    assert preinstalled(text) == {"pyyaml": "6.0.3", "torch": "2.11.0+cpu"}


def planted(name):
    """A package that Colab lacks, whose own needs clash."""
    needs = ["numpy>=99", "ipykernel<6; sys_platform == 'win32'", "odd[more]", "torch"]
    if name == "odd":
        needs = ["pandas<1; extra == 'more'", "scipy<1; extra == 'other'"]
    return SimpleNamespace(requires=needs, metadata={"Requires-Python": "<3.12" if name == "odd" else None})


@pytest.mark.parametrize(
    ("requirement", "found"),
    [
        ("ipywidgets>=8", ["lnpoly-helpers needs ipywidgets>=8; Colab has 7.7.1"]),
        ("numpy==2.1.3", []),
        ("numpy<2; python_version < '3.12'", []),
        (
            "not_on_colab",
            [
                "not-on-colab needs numpy>=99; Colab has 2.1.3",
                "not-on-colab needs odd, which needs Python <3.12; Colab has 3.13",
                "odd needs pandas<1; Colab has 2.2.3",
            ],
        ),
    ],
)
def test_a_clash_is_named(requirement, found):
    assert clashes([requirement], look=planted) == found
