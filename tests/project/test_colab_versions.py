"""Colab as it comes suffices: no requirement of ours, nor of what we bring along, asks it to replace anything.

Without a network: what is installed here is what pip would bring along, and its own list of needs is read off that. The
simulation in tests/places/ runs the installation itself.
"""

from importlib.metadata import distribution
from types import SimpleNamespace

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


def planted(name):
    """A package that Colab lacks, whose own needs clash."""
    needs = ["numpy>=99", "ipykernel<6; sys_platform == 'win32'", "odd[more]", "torch"]
    if name == "odd":
        needs = ["pandas<1; extra == 'more'", "scipy<1; extra == 'other'"]
    return SimpleNamespace(requires=needs, metadata={"Requires-Python": "<3.12" if name == "odd" else None})


def test_a_clash_is_named():
    assert clashes(["ipywidgets>=8", "not_on_colab"], look=planted) == [
        "lnpoly-helpers needs ipywidgets>=8; Colab has 7.7.1",
        "not-on-colab needs numpy>=99; Colab has 2.1.3",
        "not-on-colab needs odd, which needs Python <3.12; Colab has 3.13",
        "odd needs pandas<1; Colab has 2.2.3",
    ]
