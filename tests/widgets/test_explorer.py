"""What all explorers have in common: state that Python and the browser share, what a notebook gets, what is refused."""

import base64
import gc
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import matplotlib.artist
import nbformat
import numpy as np
import pytest
from jupyter_client.manager import start_new_kernel
from modules import answers
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook, new_output
from oracles import random_mlp

from lnpoly_helpers import normalize, widgets
from lnpoly_helpers.plotting.style import FILLS, ROLES
from lnpoly_helpers.widgets import Explorer, explore_circle, explore_layernorm, explore_sphere
from lnpoly_helpers.widgets.explorer import module

ROOT = Path(__file__).resolve().parents[2]
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


def explore_slice():
    rng = np.random.default_rng(5)
    return widgets.explore_slice(random_mlp(rng, 16, 40), rng.normal(size=(6, 16)), title="a layer")


def explore_rotation():
    rng = np.random.default_rng(5)
    return widgets.explore_rotation(random_mlp(rng, 16, 40), *normalize(rng.normal(size=(2, 16))))


MAKERS = [explore_circle, explore_layernorm, explore_sphere, explore_slice, explore_rotation]
each_explorer = pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)

# --- state ---------------------------------------------------------------------------------------------------------


def test_state_is_set_by_either_side_and_read_by_the_other():
    """The messages themselves: what a front end sends to a kernel, what a cell then reads, and what goes back."""
    manager, client = start_new_kernel(kernel_name="python3")
    seen, opened = [], {}

    def replies(request):
        while True:
            message = client.get_iopub_msg(timeout=60)
            idle = message["msg_type"] == "status" and message["content"]["execution_state"] == "idle"
            if idle and message["parent_header"].get("msg_id") == request:
                return
            seen.append(message["msg_type"])
            yield message

    def shown(code):
        return [m["content"]["data"] for m in replies(client.execute(code)) if m["msg_type"] == "execute_result"]

    try:
        code = "from lnpoly_helpers.widgets import explore_circle\nexplorer = explore_circle()\nexplorer"
        for message in replies(client.execute(code)):
            if message["msg_type"] == "comm_open":
                opened[message["content"]["comm_id"]] = message["content"]["data"]["state"]
        ((comm, state),) = [(comm, state) for comm, state in opened.items() if "biases" in state]
        assert state["biases"] == [0.3, -0.4, 0.6] and state["_esm"] == module("circle")
        data = {"method": "update", "state": {"biases": [0.3, -1.2, 0.6]}, "buffer_paths": []}
        request = client.session.msg("comm_msg", {"comm_id": comm, "data": data})
        client.shell_channel.send(request)
        list(replies(request["header"]["msg_id"]))
        (read,) = shown("explorer.biases, explorer.text.splitlines()[0]")
        assert read["text/plain"] == "((0.3, -1.2, 0.6), '4 arcs, 3 patterns')"
        sent = [
            message["content"]["data"]["state"]
            for message in replies(client.execute("explorer.biases = [0, 0, 0.5]; explorer.boundary = 2"))
            if message["msg_type"] == "comm_msg" and message["content"]["comm_id"] == comm
        ]
        assert sent == [{"biases": [0.0, 0.0, 0.5]}, {"boundary": 2}]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert set(seen) <= {"status", "execute_input", "execute_result", "comm_open", "comm_msg"}, "nothing is printed"


def test_values_are_plain_and_cannot_change_unseen():
    explorer = explore_circle((30, 150), (0.3, 1.2))
    assert explorer.values == {
        "directions": (30.0, 150.0), "biases": (0.3, 1.2), "x": explorer.x, "layernorm": True, "boundary": 0
    }  # fmt: skip
    assert explorer.text.splitlines()[0] == "2 arcs, 2 patterns"
    with pytest.raises(TypeError, match="item assignment"):
        explorer.biases[1] = 0.0
    explorer.directions = [-90, 720]
    assert explorer.directions == (270.0, 0.0)
    assert repr(explorer).startswith("Explorer(circle: directions=(270.0, 0.0), biases=(0.3, 1.2), x=")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("biases", (0.3, -0.4), r"biases: expected shape \[3\], got \[2\]"),
        ("biases", (0.3, -0.4, 1.6), r"biases: expected numbers from -1.5 to 1.5, got \[0.3, -0.4, 1.6\]"),
        ("biases", "on", "biases: expected real numbers"),
        ("directions", (0, 1, float("nan")), "directions: expected finite numbers"),
        ("x", (1, 2, 3), r"x: expected shape \[2\], got \[3\]"),
        ("boundary", -1, "boundary: expected an integer >= 0, got -1"),
        ("boundary", 1.0, "boundary: expected an integer >= 0, got 1.0"),
        ("boundary", True, "boundary: expected an integer >= 0, got True"),
        ("layernorm", "yes", "layernorm: expected True or False, got 'yes'"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_and_nothing_changes(name, value, message):
    explorer = explore_circle()
    before = explorer.values
    with pytest.raises((TypeError, ValueError), match=message):
        setattr(explorer, name, value)
    with pytest.raises((TypeError, ValueError), match=message):
        explorer.render(**{name: value})
    assert explorer.values == before


def test_render_shows_another_state_and_moves_nothing():
    explorer = explore_circle()
    before = explorer.values
    figure, text = explorer.render(biases=(1.2, -1.2, 0.6), boundary=1)
    assert text.startswith("2 arcs, 2 patterns\nBoundary 1: neuron 2") and "2 arcs" in figure.alt
    assert explorer.values == before
    with pytest.raises(TypeError, match="bias: expected one of directions, biases, x, layernorm, boundary"):
        explorer.render(bias=1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: explore_circle((1, 2), (0.5,)), "directions and biases: expected one of each for up to 6 neurons"),
        (lambda: explore_circle(range(7), [0] * 7), "directions and biases: expected one of each for up to 6 neurons"),
        (lambda: explore_circle((1,), (2.0,)), "biases from -1.5 to 1.5, got"),
        (lambda: explore_circle((), ()), "directions: expected"),
    ],
)
def test_bad_input_is_refused_at_once(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()


# --- what a notebook gets ------------------------------------------------------------------------------------------


@each_explorer
def test_mimebundle(make):
    explorer = make()
    data, metadata = explorer._repr_mimebundle_()
    output = new_output("display_data", data=data, metadata=json.loads(json.dumps(metadata)))
    nbformat.validate(new_notebook(cells=[new_code_cell("1", outputs=[output])]))
    assert set(data) == {"image/png", "text/plain", WIDGET_VIEW}
    assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG")
    alt = metadata["image/png"]["alt"]
    assert len(alt) > 60 and data["text/plain"] == f"{alt}\n{explorer.text}" and explorer.alt == alt
    assert data[WIDGET_VIEW]["model_id"] == explorer.model_id
    kept = metadata["lnpoly"]
    assert kept["explorer"] == make.__name__.removeprefix("explore_")
    assert kept["state"].items() >= explorer.values.items()
    live = explorer.get_state(list(kept["state"]))
    differs = {name for name, value in kept["state"].items() if live[name] != value}
    assert differs == ({"slices", "cut"} if "slices" in live else set()), "a page has slices where a kernel cuts them"
    again = make()._repr_mimebundle_()[0]
    assert all(again[kind] == data[kind] for kind in ("image/png", "text/plain"))  # nbval compares the text


def test_pictures_are_not_kept():
    """Neither figures nor what was drawn into them pile up, and matplotlib's global state is not touched."""
    explorers = [make() for make in MAKERS]

    def artists():
        for explorer in explorers:
            assert explorer.alt
        gc.collect()
        return sum(issubclass(type(thing), matplotlib.artist.Artist) for thing in gc.get_objects())

    first = artists()
    assert abs(artists() - first) < 50 > abs(artists() - first)
    if "matplotlib.pyplot" in sys.modules:
        assert sys.modules["matplotlib.pyplot"].get_fignums() == []


CELLS = """
import numpy as np
from lnpoly_helpers import FoldedMLP, normalize
from lnpoly_helpers.widgets import *
explore_circle()
###
explore_sphere()
###
rng = np.random.default_rng(0)
W = rng.normal(size=(8, 20))
mlp = FoldedMLP(W - W.mean(axis=0), rng.normal(size=20), W.T, np.zeros(8), "relu", 0.0, "layernorm")
x = rng.normal(size=(4, 8))
explore_slice(mlp, x)
###
explorer = explore_rotation(mlp, *normalize(x[:2]))
explorer
###
for angle in np.arange(0, 40, 2.0):
    explorer.angle = angle
"""


@pytest.mark.slow
def test_a_notebook_with_explorers_runs_through():
    """No widget makes a notebook wait, and nothing but the pictures stands below the cells."""
    nb = new_notebook(cells=[new_code_cell(source.strip()) for source in CELLS.split("###")])
    NotebookClient(nb, timeout=300, kernel_name="python3").execute()  # ends, though widgets are never closed
    *shows, last = [cell.outputs for cell in nb.cells]
    assert [[output.output_type for output in outputs] for outputs in shows] == [["execute_result"]] * 4
    assert last == []
    for (output,) in shows:
        assert set(output.data) == {"image/png", "text/plain", WIDGET_VIEW}
        assert output.metadata["image/png"]["alt"] and output.metadata["lnpoly"]["state"]


def test_the_picture_is_of_the_present_state():
    explorer = explore_circle()
    before = explorer._repr_mimebundle_()
    explorer.directions, explorer.biases = (10, 20, 30), (1.5, -1.5, 1.2)
    after = explorer._repr_mimebundle_()
    assert before[0]["image/png"] != after[0]["image/png"] and "1 arc, 1 pattern" in after[0]["text/plain"]
    assert after[1]["lnpoly"]["state"]["biases"] == (1.5, -1.5, 1.2)


def test_with_ipywidgets_7_the_bundle_is_what_is_shown():
    assert Explorer._ipython_display_ is None  # its DOMWidget has one, which IPython would ask first


# --- modules -------------------------------------------------------------------------------------------------------


@each_explorer
def test_a_front_end_gets_one_module(make):
    code = module(make()._name)
    assert not re.search(r"^import ", code, re.MULTILINE) and code.count("\nexport default ") == 1


@each_explorer
def test_modules_name_no_other_machine(make):
    addresses = set(re.findall(r"https?://[^\s\"'`]+", module(make()._name)))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1998/Math/MathML"}  # names, never asked for


def test_colours_are_those_of_the_figures():
    roles = json.loads(json.dumps(answers("circle", "() => ROLES", [0])))[0]
    assert roles == {name: [ROLES[name].light, ROLES[name].dark] for name in roles}
    fills = answers("circle", "() => FILLS", [0])[0]
    assert fills == [[list(look) for look in FILLS[ground]] for ground in ("light", "dark")]
    assert {"x", "z", "ones", "boundary", "visited", "unvisited"} <= set(roles)
    own = [
        path.name
        for path in sorted((ROOT / "lnpoly_helpers" / "widgets").glob("*.js"))
        if re.search("light-dark|#[0-9a-fA-F]{6}", path.read_text("utf-8"))
    ]
    assert own == ["common.js"]  # an explorer has no colours of its own


# --- the import ----------------------------------------------------------------------------------------------------


def test_it_loads_no_torch_and_no_pyplot():
    code = (
        "import sys, lnpoly_helpers.widgets as w; w.explore_circle().text; w.explore_sphere().text; "
        "print([name for name in ('torch', 'transformer_lens', 'matplotlib.pyplot') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


IMPORT = """
import sys
sys.modules[sys.argv[1]] = None
import lnpoly_helpers
try:
    import lnpoly_helpers.widgets
except ImportError as error:
    print(type(error).__name__, error, sep=": ")
"""


@pytest.mark.parametrize(
    ("library", "says"),
    [
        ("anywidget", 'lnpoly_helpers.widgets needs anywidget: pip install "lnpoly-helpers[widgets]"'),
        ("ipywidgets", 'lnpoly_helpers.widgets needs ipywidgets: pip install "lnpoly-helpers[widgets]"'),
        ("matplotlib", 'lnpoly_helpers.plotting needs matplotlib: pip install "lnpoly-helpers[plot]"'),
    ],
)
def test_without_a_library_the_import_says_what_to_install(library, says):
    done = subprocess.run(
        [sys.executable, "-c", IMPORT, library], capture_output=True, text=True, timeout=120, cwd=ROOT
    )
    assert (done.stdout, done.stderr) == (f"ImportError: {says}\n", "")


def test_an_ipywidgets_that_lacks_something_says_so_itself(tmp_path):
    (tmp_path / "ipywidgets.py").write_text("import a_module_that_is_not_there\n")
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    command, environment = [sys.executable, "-c", IMPORT, "a_name"], os.environ | {"PYTHONPATH": path}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=tmp_path, env=environment)
    assert done.stdout == "ModuleNotFoundError: No module named 'a_module_that_is_not_there'\n"
