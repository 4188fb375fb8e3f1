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
from nbformat.v4 import new_code_cell, new_notebook, new_output

from lnpoly_helpers.widgets import explore_layernorm
from lnpoly_helpers.widgets.sliders import Sliders

ROOT = Path(__file__).resolve().parents[2]
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


MAKERS = [explore_layernorm]
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
        red = np.abs(pixels(explorer) - np.array([0xC7, 0x50, 0]) / 255).max(axis=-1) < 0.02
        assert red.sum() > 50
        return np.argwhere(red).mean(axis=0)

    start = place(scale=1.0, offset=0.0, eps=0.0)
    for scale in (0.4, 1.0, 1.7, 2.0):
        for offset in (-1.5, -0.4, 1.0):
            assert np.abs(place(scale=scale, offset=offset) - start).max() < 8, "but for what covers its name"
    assert np.linalg.norm(place(scale=-1.0, offset=0.3) - start) > 100
    assert np.linalg.norm(place(scale=0.4, offset=0.3, eps=1.0) - start) > 20


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
                expected = "scale"  # 0·x has no image
                assert not text.startswith("No picture") or name == expected, (name, value, text)
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
