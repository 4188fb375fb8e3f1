# pyright: reportArgumentType=false
"""The explorers: their numbers against the mathematics, their pictures, and what a notebook gets to see of them."""

import base64
import gc
import html
import io
import json
import re
import sys
import tracemalloc
import warnings
from pathlib import Path

import ipywidgets
import matplotlib.artist
import matplotlib.image
import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook, new_output
from oracles import random_mlp

from lnpoly_helpers import normalize
from lnpoly_helpers.widgets import explore_layernorm, explore_rotation, explore_slice, explore_sphere
from lnpoly_helpers.widgets.sliders import Sliders

ROOT = Path(__file__).resolve().parents[2]
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


def layer_and_vectors():
    rng = np.random.default_rng(5)
    return random_mlp(rng, 16, 40), rng.normal(size=(6, 16))


def slices():
    return explore_slice(*layer_and_vectors(), title="a layer")


def rotation():
    mlp, x = layer_and_vectors()
    return explore_rotation(mlp, *normalize(x[:2]))


MAKERS = [explore_layernorm, explore_sphere, slices, rotation]
each_explorer = pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)


def move(explorer, **values):
    """Move sliders as the browser does, by a state that is set; returns the text that the numbers widget shows."""
    for name, value in values.items():
        control = explorer.controls[name]
        if hasattr(control, "options"):
            control.set_state({"index": choices(control).index(value)})
        else:
            control.set_state({"value": value})
    return shown(explorer)


def shown(explorer):
    """The numbers widget's text."""
    return html.unescape(re.sub(r"<[^>]*>", "", explorer.numbers.value.replace("<br>", "\n")))


def numbers(text):
    return [float(n.replace(",", "")) for n in re.findall(r"(?<![\w.])-?\d[\d,]*\.?\d*(?:e-?\d+)?", text)]


def pixels(explorer):
    return matplotlib.image.imread(io.BytesIO(explorer.picture.value), format="png")[..., :3]


def choices(control):
    """Some values that a reader can choose: the ends and what lies between."""
    if hasattr(control, "options"):
        return [value for _, value in control.options]
    share = np.array([0, 0.13, 0.5, 0.77, 1])
    steps = np.round(share * (control.max - control.min) / control.step)
    return [type(control.value)(v) for v in control.min + steps * control.step]


# --- the numbers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [-2.0, -0.3, 0.1, 1.0, 2.0])
@pytest.mark.parametrize("offset", [-1.5, 0.0, 1.1])
@pytest.mark.parametrize("eps", [0.0, 0.01, 1.0])
def test_layernorm_numbers(scale, offset, eps):
    text = explore_layernorm((1.4, 0.5, -0.7)).render(scale=scale, offset=offset, eps=eps)[1]
    x = np.array([1.4, 0.5, -0.7])
    moved = scale * x + offset
    z = (moved - moved.mean()) / np.sqrt(moved.var() + eps)
    first, second, third = text.splitlines()
    place = ", ".join(f"{v:.2f}" for v in np.round(moved, 2) + 0.0)
    mean, std = offset + 0.4 * scale + 0.0, np.sqrt(np.mean((moved - offset - 0.4 * scale) ** 2))
    assert first == f"a·x + c·1 = ({place}): mean {mean:.2f}, standard deviation {std:.3f}"
    assert np.abs(np.array(numbers(second)[:3]) - z).max() < 0.6e-4
    assert f"‖z‖/√3 = {np.linalg.norm(z) / np.sqrt(3):.4f}" in second
    apart = np.linalg.norm(z - (x - x.mean()) / x.std())
    if eps == 0 and scale > 0:
        assert third == "z is where x itself is sent"
    else:
        assert third == f"z is {apart:.4f} away from where x itself is sent"


def test_the_point_does_not_move_on_the_picture():
    """The red of the point and its name: where it is while a > 0 and ε = 0, and elsewhere otherwise."""
    explorer = explore_layernorm()

    def place(**values):
        move(explorer, **values)
        red = np.abs(pixels(explorer) - np.array([0xD5, 0x5E, 0]) / 255).max(axis=-1) < 0.02
        assert red.sum() > 50
        return np.argwhere(red).mean(axis=0)

    start = place(scale=1.0, offset=0.0, eps=0.0)
    for scale in (0.4, 1.0, 1.7, 2.0):
        for offset in (-1.5, -0.4, 1.0):
            assert np.abs(place(scale=scale, offset=offset) - start).max() < 8, "but for what covers its name"
    assert np.linalg.norm(place(scale=-1.0, offset=0.3) - start) > 100
    assert np.linalg.norm(place(scale=0.4, offset=0.3, eps=1.0) - start) > 20


def test_sphere_numbers():
    explorer = explore_sphere()
    for n in (1, 2, 7, 24):  # great circles in general position
        count = f"{n * n - n + 2} faces"
        text = move(explorer, n=n, seed=3, spread=0.0)
        assert f", {n} of them cut the sphere: {count}" in text and text.endswith(f"+ 2 = {count}")
    points = np.random.default_rng(0).normal(size=(100_000, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    for n, seed, spread in ((8, 0, 0.3), (10, 5, 0.9), (5, 12, 1.0)):
        text = move(explorer, n=n, seed=seed, spread=spread)
        rows = np.random.default_rng(seed).standard_normal((n, 4))
        normals = rows[:, :3] / np.linalg.norm(rows[:, :3], axis=1, keepdims=True)
        offsets = spread * rows[:, 3]
        on = points @ normals.T + offsets > 0
        _, n_circles, n_faces, n_patterns = numbers(text.splitlines()[0])
        assert n_circles == (np.abs(offsets) < 1).sum()
        # Euler's formula, pair by pair: circles cross iff the planes' line passes through the ball
        meets = np.flatnonzero(np.abs(offsets) < 1)
        crossing = np.zeros((n, n), dtype=bool)
        for i in meets:
            for j in meets[meets > i]:
                foot = np.linalg.lstsq(normals[[i, j]], -offsets[[i, j]], rcond=None)[0]
                crossing[i, j] = crossing[j, i] = np.linalg.norm(foot) < 1
        reach = np.linalg.matrix_power(crossing + np.eye(n), n)[np.ix_(meets, meets)] > 0
        n_parts = len(np.unique(reach, axis=0))
        assert n_faces == 1 + n_parts + crossing.sum()
        assert len(np.unique(on, axis=0)) <= n_patterns <= n_faces


def great_circle(u, v, angle):
    e0 = u / np.linalg.norm(u)
    e1 = v - (v @ e0) * e0
    e1 /= np.linalg.norm(e1)
    return np.sqrt(len(u)) * (np.cos(angle)[:, None] * e0 + np.sin(angle)[:, None] * e1)


@pytest.mark.parametrize(("first", "second"), [(0, 1), (4, 2)])
def test_slice_numbers(first, second):
    mlp, x = layer_and_vectors()
    text = move(slices(), second=5, first=first) and move(slices(), first=first, second=second)
    u, v = x[[first, second]] - x[[first, second]].mean(axis=1, keepdims=True)
    angle = 2 * np.pi * np.arange(200_000) / 200_000
    on = great_circle(u, v, angle) @ mlp.W_in + mlp.b_in > 0
    is_new = (on != np.roll(on, 1, axis=0)).any(axis=1)
    cuts = angle[is_new]
    n_arcs, n_patterns, *_ = numbers(text)
    assert (n_arcs, n_patterns) == (len(cuts), len(np.unique(on[is_new], axis=0)))
    apart = np.arccos(u @ v / np.linalg.norm(u) / np.linalg.norm(v))
    assert f"{first} and {second} are {np.degrees(apart):.1f}° apart, with {(cuts < apart).sum()} boundaries" in text
    nearest = np.degrees(min(cuts[0], 2 * np.pi - cuts[-1]))
    assert abs(numbers(text)[-1] - nearest) < 0.06 * nearest + 2e-3


def test_slice_of_each_layer():
    rng = np.random.default_rng(8)
    mlps, x = [random_mlp(rng, 10, 20) for _ in range(3)], rng.normal(size=(3, 4, 10))
    explorer = explore_slice(mlps, x, names=["The", " cat", " the", "The"])
    for k in (2, 0, 1):
        text = shown(explore_slice(mlps[k], x[k]))
        named = text.replace("\n0 and 1", "\n0 The and 1  cat").replace("to 0 on", "to 0 The on")
        assert move(explorer, layer=k) == named != text, k


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_rotation_numbers(share):
    mlp, x = layer_and_vectors()
    u, v = x[:2] - x[:2].mean(axis=1, keepdims=True)
    apart = np.arccos(u @ v / np.linalg.norm(u) / np.linalg.norm(v))
    explorer = rotation()
    slider = explorer.controls["angle"]
    assert slider.max - 0.5 <= np.degrees(apart) <= slider.max
    text = move(explorer, angle=float(np.round(share * slider.max / 0.5) * 0.5))
    end = min(np.radians(slider.value), apart)
    path = great_circle(u, v, np.linspace(0, end, 200_001))
    on = path @ mlp.W_in + mlp.b_in > 0
    flips = np.argwhere(on[1:] != on[:-1])
    at, whole, crossed, _, by, moved, first, rest = numbers(text)
    assert (at, whole) == (np.round(np.degrees(end), 1), np.round(np.degrees(apart), 1))
    assert (crossed, by) == (len(flips), len(np.unique(flips[:, 1])))
    change = mlp.output(path[-1]) - mlp.output(path[0])
    old_gates = ((path[-1] - path[0]) @ mlp.W_in * on[0]) @ mlp.W_out
    expected = [np.linalg.norm(part) for part in (change, old_gates, change - old_gates)]
    assert np.abs(np.array([moved, first, rest]) - expected).max() < 0.6e-3


# --- the picture -------------------------------------------------------------------------------------------------


@each_explorer
def test_every_slider_changes_the_picture_and_back(make):
    explorer = make()
    before, text = pixels(explorer), shown(explorer)
    for name, control in explorer.controls.items():
        value = control.value
        other = next(v for v in reversed(choices(control)) if v != value)
        move(explorer, **{name: other})
        assert (pixels(explorer) != before).any(), name
        assert explorer.values[name] == other
        move(explorer, **{name: value})
        assert (pixels(explorer) == before).all(), f"{name}: something of the other picture is left"
        assert shown(explorer) == text


@each_explorer
def test_all_ends_of_all_sliders_without_a_word(make, capfd):
    explorer = make()
    start = explorer.values
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name, control in explorer.controls.items():
            for value in choices(control):
                text = move(explorer, **{name: value})
                expected = ("scale", "first", "second")  # 0·x has no image, the same vector twice no circle
                assert not text.startswith("No picture") or name in expected, (name, value, text)
            move(explorer, **start)
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_redraws_keep_nothing():
    """Neither figures nor what was drawn into them pile up, and matplotlib's global state is not touched."""
    explorers = [make() for make in MAKERS]

    def turn(k):
        for explorer in explorers:
            name, control = next(iter(explorer.controls.items()))
            move(explorer, **{name: choices(control)[1 + k % 3]})
        gc.collect()

    def artists():
        return sum(issubclass(type(thing), matplotlib.artist.Artist) for thing in gc.get_objects())

    for k in range(3):
        turn(k)
    before = artists()
    tracemalloc.start()
    try:
        turn(0)
        memory = tracemalloc.get_traced_memory()[0]
        for k in range(7):
            turn(k)
        grown = tracemalloc.get_traced_memory()[0] - memory
    finally:
        tracemalloc.stop()
    assert abs(artists() - before) < 50
    assert grown < 1e6
    if "matplotlib.pyplot" in sys.modules:
        assert sys.modules["matplotlib.pyplot"].get_fignums() == []


# --- what goes wrong ---------------------------------------------------------------------------------------------


def test_an_error_is_one_clear_line_and_passes(capfd):
    explorer = explore_layernorm()
    before = explorer.picture.value
    text = move(explorer, scale=0.0)
    assert text.startswith("No picture for these settings; the one below is from before. x: expected a vector with")
    assert "\n" not in text and explorer.picture.value == before
    move(explorer, eps=0.1)  # with which LayerNorm has an image
    assert "z = (0.0000, 0.0000, 0.0000)" in shown(explorer) and explorer.picture.value != before
    text = move(slices(), second=0)
    assert "expected two different vectors, got 0 twice" in text and "\n" not in text
    assert capfd.readouterr() == ("", "")


def test_numbers_are_text_not_markup():
    def render(k):
        figure = explore_layernorm().render(1.0, 0.0, 0.0)[0]
        if k:
            raise RuntimeError("<b>a\nb</b>")
        return figure, "1 < 2 & <i>3</i>"

    explorer = Sliders(render, {"k": ipywidgets.IntSlider(0, 0, 3)})
    assert "1 &lt; 2 &amp; &lt;i&gt;3" in explorer.numbers.value
    explorer.controls["k"].value = 1
    assert "before. &lt;b&gt;a b&lt;/b&gt;" in explorer.numbers.value


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: explore_layernorm((1, 2)), r"x: expected shape \[3\], got \[2\]"),
        (lambda: explore_layernorm((2, 2, 2)), "x: expected a vector with a direction"),
        (lambda: explore_sphere(0), "n: expected an integer from 1 to 24, got 0"),
        (lambda: explore_sphere(3, seed=1.5), "seed: expected an integer from 0 to 20, got 1.5"),
        (lambda: explore_slice([], np.ones((0, 2, 4))), "mlps: expected one or more layers"),
        (lambda: explore_slice(layer_and_vectors()[0], np.ones((3, 4))), r"x: expected shape \[n, 16\], got \[3, 4\]"),
        (lambda: explore_slice(*layer_and_vectors(), second=0), "two different numbers of vectors, 0 to 5, got 0"),
        (lambda: explore_slice(*layer_and_vectors(), first=6), "two different numbers of vectors, 0 to 5, got 6"),
        (lambda: explore_slice(*layer_and_vectors(), names=["a"]), "names: expected one for each of the 6"),
        (lambda: explore_slice("gpt2", np.ones((3, 4))), "mlp: expected a FoldedMLP, got str"),
        (lambda: explore_rotation("gpt2", 1, 2), "mlp: expected a FoldedMLP, got str"),
        (lambda: explore_rotation(layer_and_vectors()[0], *np.ones((2, 16))), "expected"),
    ],
)
def test_bad_input_is_refused_at_once(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()


# --- what a notebook gets ----------------------------------------------------------------------------------------


@each_explorer
def test_mimebundle(make):
    explorer = make()
    data, metadata = explorer._repr_mimebundle_()
    json.dumps([data, metadata])  # text throughout: binary data would not travel
    output = new_output("display_data", data=data, metadata=metadata)
    nbformat.validate(new_notebook(cells=[new_code_cell("1", outputs=[output])]))
    assert set(data) == {"image/png", "text/plain", WIDGET_VIEW}
    assert base64.b64decode(data["image/png"]) == explorer.picture.value
    assert bytes(explorer.picture.value).startswith(b"\x89PNG")
    alt = metadata["image/png"]["alt"]
    assert len(alt) > 60 and data["text/plain"] == f"{alt}\n{shown(explorer)}"
    box = explorer._box
    assert data[WIDGET_VIEW] == {"version_major": 2, "version_minor": 0, "model_id": box.model_id}
    inside, queue = set(), [box]
    while queue:
        widget = queue.pop()
        inside.add(widget)
        queue += getattr(widget, "children", ())
    assert {explorer.picture, explorer.numbers, *explorer.controls.values()} <= inside
    again = make()._repr_mimebundle_()[0]
    assert all(again[kind] == data[kind] for kind in ("image/png", "text/plain"))  # nbval compares the text


@each_explorer
def test_sliders_have_names_and_send_while_they_move(make):
    controls = make().controls.values()
    names = [control.description for control in controls]
    assert all(names) and len(set(names)) == len(names)
    assert all(control.continuous_update for control in controls)


@each_explorer
def test_an_explorer_is_shown_in_a_line(make):
    explorer = make()
    assert repr(explorer) == f"Sliders(n_controls={len(explorer.controls)}, values={explorer.values})"


CELLS = """
import numpy as np
from lnpoly_helpers import FoldedMLP, normalize
from lnpoly_helpers.widgets import *
explore_layernorm()
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
    explorer.controls["angle"].value = angle
"""


@pytest.mark.slow
def test_notebook_with_all_explorers_runs_through_again_and_again():
    """No widget makes a notebook wait, and nothing but the pictures stands below the cells."""
    nb = new_notebook(cells=[new_code_cell(source.strip()) for source in CELLS.split("###")])
    for _ in range(2):
        NotebookClient(nb, timeout=300, kernel_name="python3").execute()  # ends, though widgets are never closed
        *shows, last = [cell.outputs for cell in nb.cells]
        assert [[output.output_type for output in outputs] for outputs in shows] == [["execute_result"]] * 4
        assert last == []
        for (output,) in shows:
            assert set(output.data) == {"image/png", "text/plain", WIDGET_VIEW}
            assert output.metadata["image/png"]["alt"]
