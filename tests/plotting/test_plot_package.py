"""The folder as a whole: its names, its examples, what it imports, and what it says without matplotlib."""

import ast
import doctest
import importlib
import inspect
import subprocess
import sys
import typing
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d import Axes3D

from lnpoly_helpers import Arrangement, partition_circle, partition_plane, plotting
from lnpoly_helpers.plotting import shapes

FOLDER = Path(plotting.__file__).parent
MODULES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")
PUBLIC = {name: getattr(plotting, name) for name in plotting.__all__}


def imports(source):
    """What a module of the folder imports outside the folder, but for checks and words, and what is heavy."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.level > 1 and node.module not in ("_inputs", "_words"):
            found.append("." * node.level + (node.module or ""))
        names = [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        found += [name for name in names if name.split(".")[0] in ("lnpoly_helpers", "torch", "transformers")]
        found += [name for name in names if name.startswith("matplotlib.pyplot")]
    return found


@pytest.mark.parametrize("module", ["__init__", *MODULES])
def test_it_imports_nothing_of_the_maths(module):
    assert imports((FOLDER / f"{module}.py").read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "line",
    ["from ..circle import x", "from .. import x", "from lnpoly_helpers import x", "import torch.nn",
     "import matplotlib.pyplot as plt"],
)  # fmt: skip
def test_that_rule_can_be_broken(line):
    assert imports("import numpy as np\nfrom .style import INK\n" + line) != []


def test_all_names_what_the_folder_offers():
    assert plotting.__all__ == sorted(plotting.__all__)
    defined = {
        name
        for module in MODULES
        for name, thing in vars(importlib.import_module(f"lnpoly_helpers.plotting.{module}")).items()
        if name.startswith("plot_") and inspect.isfunction(thing)
    }
    assert defined == {name for name in plotting.__all__ if name.startswith("plot_")}


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_has_a_short_example(name):
    text = inspect.getdoc(PUBLIC[name])
    examples = doctest.DocTestParser().get_examples(text)
    assert 1 <= sum(example.source.count("\n") for example in examples) <= 4
    assert examples[-1].want, "an example shows what it gives"
    if name != "LabelledFigure":
        assert "Parameters\n----------" in text and "Returns\n-------" in text


@pytest.mark.parametrize("name", [name for name in PUBLIC if name != "LabelledFigure"])
def test_every_argument_and_result_has_its_type_and_is_described(name):
    function = PUBLIC[name]
    hints = typing.get_type_hints(inspect.unwrap(function))
    parameters = inspect.signature(function).parameters
    assert hints.keys() == {*parameters, "return"}
    text = inspect.getdoc(function)
    described = {word.strip(" *,") for line in text.splitlines() for word in line.split(" : ")[0].split(",")}
    assert {*parameters} <= described
    if name != "new_figure":
        assert issubclass(hints["return"], Figure)
    if "ax" in hints:
        assert hints["ax"] in (Axes | None, Axes3D | None) and parameters["ax"].default is None


def test_what_the_maths_computes_is_what_the_pictures_read():
    lines = Arrangement(np.eye(2), np.zeros(2))
    assert isinstance(lines, shapes.ArrangementLike)
    assert isinstance(partition_plane(lines), shapes.PlaneLike)
    assert isinstance(partition_circle(lines), shapes.CircleLike)
    assert not isinstance(lines, shapes.PlaneLike) and not isinstance(partition_plane(lines), shapes.CircleLike)


def fresh(code, cwd=None):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


ROOT = FOLDER.parent.parent
TRY = """
try:
    import lnpoly_helpers.plotting
except ImportError as error:
    print(type(error).__name__, error, sep=": ")
"""


def test_without_matplotlib_the_import_says_what_to_install():
    said = fresh(f"import sys; sys.path.insert(0, {str(ROOT)!r}); sys.modules['matplotlib'] = None\n{TRY}")
    assert said == 'ImportError: lnpoly_helpers.plotting needs matplotlib: pip install "lnpoly-helpers[plot]"'


def test_a_matplotlib_that_lacks_something_says_so_itself(tmp_path):
    (tmp_path / "matplotlib").mkdir()
    (tmp_path / "matplotlib" / "__init__.py").write_text("import a_module_that_is_not_there\n")
    said = fresh(f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(ROOT)!r}]\n{TRY}")
    assert said == "ModuleNotFoundError: No module named 'a_module_that_is_not_there'"


def test_it_loads_neither_torch_nor_pyplot_nor_widgets():
    code = "import sys, lnpoly_helpers.plotting\nprint(*{'torch', 'matplotlib.pyplot', 'ipywidgets'} & {*sys.modules})"
    assert fresh(code, cwd=ROOT) == ""
