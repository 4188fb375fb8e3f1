"""What all pictures share: the figure, its words, its style, and that nothing of the caller's is changed."""

import base64
import copy
import gzip
import io
import re
import sys

import matplotlib
import matplotlib.image
import numpy as np
import pytest
from artists import cut
from matplotlib.figure import Figure
from matplotlib.text import Text

from lnpoly_helpers import Arrangement, normalize, partition_circle, partition_plane, plotting
from lnpoly_helpers.plotting import LabelledFigure, new_figure, plot_lines
from lnpoly_helpers.plotting.style import ROLES, figure_style

LINES = Arrangement([[1.0, 0.3], [-0.4, 1.0]], [0.4, -0.3])
CORNERS = [[-1.0, -1, -1], [0, -2, -1], [2, 0, 1], [1, 1, 1]]
X = [1.4, 0.5, -0.7]
AXES = {"xlabel": "x", "ylabel": "y"}
# every plotting function with arguments as plain lists
CALLS = {
    "plot_arc_window": ([partition_circle(LINES), 1.0, 0.8], {}),
    "plot_arcs": ([partition_circle(LINES)], {"marks": {"a": 1.0}}),
    "plot_arrows": ([{"a": [1.0, 2, 0], "b": [0.0, -1, 1]}], {}),
    "plot_bundle": ([[[1.0, 1, 0], [1, -1, 0], [1, 0, 2]]], {}),
    "plot_dots": ([{"share": {"a": {"p": (1.0, 0.1), "q": (0.5, None)}}}], {"lines": {"share": ("law", 1.0)}}),
    "plot_fibres": ([[CORNERS, CORNERS], [[1.2, -1.2, 0], [-1.2, 1.2, 0]]], {}),
    "plot_layernorm": ([X, X, [1.0, 0.1, -1.1], normalize(X).tolist(), normalize(X).tolist()], {"limit": 3}),
    "plot_lines": ([[0, 1], {"a": [1, 2], "b": [2]}], AXES),
    "plot_panels": ([[0, 1], {"m": {"a": ([1, 2], [0.1, 0.2]), "b": ([1, 1], None)}}], AXES),
    "plot_path": ([[0, 30, 60], {"a": [0, 1, 3]}, [10.0, 40.0]], {"ylabel": "y", "at": 20}),
    "plot_plane": ([partition_plane(LINES)], {"ray": [1, 2], "marks": {"a": 1.0}, "circle": True}),
    "plot_points_3d": ([[X, [1, 2, 3]], "points"], {"n_marked": 1}),
    "plot_ray_patterns": ([[0.1, 1, 10], [[True, False], [True, True], [False, True]]], {}),
    "plot_shrink": ([[0.1, 1, 10], [0.3, 0.9, 1.0]], {"crossings": [[1, 0.9]]}),
    "plot_sphere": ([Arrangement([[0, 0, 1.0], [1, 0, 0]], [0.1, 0.2])], {"pixels": 40}),
    "plot_spread": ([[1, 10], {"a": [[0, 1], [0, 2]]}], AXES),
    "plot_verdicts": ([{"a": {"x": 0.0, "y": 1.0}}], {"tolerance": 1e-9}),
}
IN_SPACE = {"plot_fibres", "plot_layernorm", "plot_points_3d"}
MANY = {"plot_dots", "plot_panels"}  # they make their own panels
each_function = pytest.mark.parametrize("name", CALLS)
takes_axes = pytest.mark.parametrize("name", [name for name in CALLS if name not in MANY])


def call(name, **more):
    arguments, options = CALLS[name]
    return getattr(plotting, name)(*arguments, **options, **more)


def png(figure):
    return base64.b64decode(figure._repr_mimebundle_()[0]["image/png"])


def test_every_plotting_function_is_called_below():
    assert set(CALLS) == {name for name in plotting.__all__ if name.startswith("plot_")}


@each_function
def test_it_makes_a_figure_with_words_and_changes_nothing_of_the_callers(name):
    arguments, options = copy.deepcopy(CALLS[name])
    settings = dict(matplotlib.rcParams)
    figure = call(name)
    assert isinstance(figure, LabelledFigure) and figure.alt.endswith(".") and "  " not in figure.alt
    assert len(figure.alt) <= 400
    assert dict(matplotlib.rcParams) == settings
    assert repr((arguments, options)) == repr(CALLS[name])
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


@each_function
def test_its_words_are_large_enough_and_whole(name):
    figure = call(name)
    assert name in IN_SPACE or cut(figure) == []  # what is in space is placed as it is drawn
    words = [text for text in figure.findobj(Text) if text.get_text().strip()]
    assert min([text.get_fontsize() for text in words], default=10) >= 10
    assert figure.get_figwidth() <= 5.3  # on a phone, then, 9 pixels


@takes_axes
def test_it_draws_into_the_axes_given_and_adds_its_words_to_the_figures(name):
    figure, axes = new_figure(8, 4, ncols=2, subplot_kw={"projection": "3d" if name in IN_SPACE else "rectilinear"})
    figure.alt = "On the left nothing."
    alone = call(name)
    assert call(name, ax=axes[1]) is figure
    assert figure.alt == f"On the left nothing. {alone.alt}"
    assert not axes[0].has_data() and len(axes[1].get_children()) == len(alone.axes[0].get_children())
    plain = Figure()  # not ours: it has no place for words
    ax = plain.add_subplot(projection=axes[0].name)
    assert call(name, ax=ax) is plain


@each_function
def test_its_look_is_the_series_own_whatever_the_callers_settings_are(name):
    expected = png(call(name))
    with matplotlib.rc_context({"font.size": 20, "axes.edgecolor": "red", "lines.linewidth": 5, "figure.dpi": 40}):
        assert png(call(name)) == expected


def test_a_title_stands_before_the_words():
    assert plot_lines([0], {"a": [1]}, **AXES, title="T").alt == "T: " + plot_lines([0], {"a": [1]}, **AXES).alt


def test_a_panel_of_a_subfigure_adds_its_words_to_the_whole_figure():
    figure = LabelledFigure()
    left, right = figure.subfigures(ncols=2)
    assert plot_lines([0], {"a": [1]}, **AXES, ax=left.subplots()) is figure
    assert plot_lines([0], {"b": [2]}, **AXES, ax=right.subplots()) is figure
    assert figure.alt == "y against x: a from 1 to 1. y against x: b from 2 to 2."


def test_a_figure_shows_itself_with_its_words():
    figure, ax = new_figure(3, 2)
    ax.plot([0, 1])
    figure.alt = "A line."
    data, metadata = figure._repr_mimebundle_()
    assert data.keys() == {"image/png", "text/plain"} and data["text/plain"] == "A line."
    about = metadata["image/png"]
    assert (about["alt"], about["width"], about["height"]) == ("A line.", 330, 220) and "panels" not in about
    assert b"Software" not in png(figure)  # else every version of matplotlib makes another file
    picture = matplotlib.image.imread(io.BytesIO(png(figure)), format="png")
    assert picture.shape[:2] == (440, 660) and picture[0, 0, :3].tolist() == [1, 1, 1]


def test_panels_that_can_stand_alone_have_their_place_and_their_words():
    figure, (left, right) = new_figure(8, 3, ncols=2)
    plot_lines([0, 1], {"a": [1, 2]}, **AXES, ax=left)
    assert "panels" not in figure._repr_mimebundle_()[1]["image/png"]  # of the right one nothing is said
    plot_lines([0, 1], {"b": [2, 1]}, **AXES, title="T", ax=right)
    about = figure._repr_mimebundle_()[1]["image/png"]
    first, second = about["panels"]
    assert first["alt"] == "y against x: a from 1 to 2." and second["alt"] == "T: y against x: b from 2 to 1."
    assert first["box"][:2] == [0, 0] and first["box"][3] == second["box"][3] == 330
    assert second["box"][0] == first["box"][2] == 880 - second["box"][2]
    assert left.get_tightbbox().x1 < first["box"][2] < right.get_tightbbox().x0
    figure.alt = "Said by hand."
    assert "panels" not in figure._repr_mimebundle_()[1]["image/png"]
    together = plotting.plot_dots({"p": {"a": {"s": (1.0, None)}}, "q": {"a": {"s": (2.0, None)}}})
    assert "panels" not in together._repr_mimebundle_()[1]["image/png"]  # one legend, one row's names


def test_the_svg_is_the_same_picture_and_follows_the_ground():
    packed, same = (
        plot_lines([0, 1], {"minilm": [1, 2]}, **AXES)._repr_mimebundle_()[1]["image/png"]["svg"] for _ in "12"
    )
    assert packed == same  # nothing in it is random
    text = gzip.decompress(base64.b64decode(packed)).decode()
    light, dark = re.search(
        r"<style>:root{(.*?)}@media\(prefers-color-scheme:dark\){:root{(.*?)}}</style>", text
    ).groups()
    on_light, on_dark = (dict(re.findall(r"(--c\d+):(#\w+)", one)) for one in (light, dark))
    minilm = ROLES["MiniLM"]
    (name,) = [name for name, color in on_light.items() if color.upper() == minilm.light]
    assert on_dark[name] == minilm.dark and f"stroke: var({name})" in text
    assert not re.findall(r"#[0-9a-f]{6}", text.replace(light, "").replace(dark, ""))
    assert plotting.plot_sphere(Arrangement([[0, 0, 1.0]], [0]))._repr_mimebundle_()[1]["image/png"].get("svg") is None


def test_it_can_be_drawn_into_after_it_was_shown():
    figure = plot_lines([0, 1], {"a": [1, 2]}, **AXES)
    before, place = png(figure), figure.axes[0].get_position().bounds
    assert png(figure) == before
    figure.axes[0].set_ylabel("two\nlines\nand three")
    figure._repr_mimebundle_()
    assert figure.axes[0].get_position().x0 > place[0]  # arranged anew, to make room


def test_a_picture_is_the_one_that_matplotlib_saves():
    figure, saved = plot_lines([0, 1], {"a": [1, 2]}, **AXES), io.BytesIO()
    with matplotlib.rc_context(figure_style()):
        figure.savefig(saved, dpi=2 * figure.dpi)
    ours, theirs = (
        matplotlib.image.imread(io.BytesIO(data), format="png")[..., :3] for data in (png(figure), saved.getvalue())
    )
    assert ours.shape == theirs.shape and np.abs(ours - theirs).mean() < 0.01


def test_a_new_figure_has_the_size_and_the_axes_asked_for():
    figure, axes = new_figure(7, 3, nrows=2, ncols=3)
    assert axes.shape == (2, 3) and figure.get_size_inches().tolist() == [7, 3] and figure.alt == ""
