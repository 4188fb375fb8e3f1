"""Curves: what is drawn is what was passed in, and the words beside it say the same."""

import matplotlib.colors
import numpy as np
import pytest
from artists import colliding, color_of, cut, pairs, place, text, texts
from matplotlib.text import Text

from lnpoly_helpers.plotting import new_figure, plot_lines, plot_path, plot_spread
from lnpoly_helpers.plotting.labels import MARKS
from lnpoly_helpers.plotting.style import GREY, INK, ROLES, SERIES

X = [1, 2, 4, 8]
FOUR = {"a": [1, 2, 3, 5], "b": np.array([4.0, 1.0, 2000.0, 1.5]), "c": [0.5, 0.25], "d": (7, 7, 7, 7)}
FIVE = FOUR | {"e": [1, 1, 1, 1]}
DEGREES = np.linspace(0, 60, 31)
CURVES = {"output moved": DEGREES / 20, "first map": DEGREES / 15}
CROSSINGS = np.array([3.0, 3.1, 27.5, 59.0])


# --- plot_lines --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("log", [False, "x", "y", True])
def test_lines_show_every_value_in_a_style_of_their_own(log):
    figure = plot_lines(X, FOUR, xlabel="width", ylabel="count", title="Counts", log=log)
    (ax,) = figure.axes
    for line, (name, values), style in zip(ax.lines, FOUR.items(), SERIES, strict=True):
        np.testing.assert_array_equal(line.get_xydata(), np.c_[X[: len(values)], values])
        assert (color_of(line), line.get_marker(), line.get_linestyle()) == style
        assert line.get_label() == name and color_of(text(ax, name)) == style[0]
        assert text(ax, name).get_text() == f"{MARKS[style[1]]} {name}"
        assert tuple(place(text(ax, name))) == (X[len(values) - 1], values[-1])  # its line leads there
    assert (ax.get_xscale() == "log") == (log in ("x", True)) and (ax.get_yscale() == "log") == (log in ("y", True))
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title(loc="left")) == ("width", "count", "Counts")
    assert not ax.xaxis_inverted() and not ax.yaxis_inverted()
    assert figure.alt == (
        "Counts: count against width: a from 1 to 5; b from 4 to 1.5, highest 2,000; c from 0.5 to 0.25; d from 7 to 7."
    )


def test_lines_go_into_the_axes_given_and_their_names_beside_them():
    figure, axes = new_figure(ncols=2)
    few = {name: FOUR[name] for name in "abc"}
    assert plot_lines(range(4), few, xlabel="layer", ylabel="y", ax=axes[1]) is figure
    assert len(axes[0].lines) == 0
    assert [list(line.get_xdata()) for line in axes[1].lines] == [[0, 1, 2, 3], [0, 1, 2, 3], [0, 1]]
    figure.draw_without_rendering()
    beside = plot_lines(X, FOUR, xlabel="x", ylabel="y")
    beside.draw_without_rendering()
    ax = beside.axes[0]
    assert ax.get_legend() is None
    for name in FOUR:  # they hide no curve
        assert Text.get_window_extent(text(ax, name)).x0 >= ax.get_window_extent().x1
    assert colliding(figure) == [] and cut(figure) == []


def test_heights_can_be_compared_since_zero_is_on_the_axis():
    for values, zero in (([3, 4], 0), ([-3, -4], 1)):
        low, high = plot_lines([0, 1], {"a": values}, xlabel="x", ylabel="y").axes[0].get_ylim()
        assert low <= 0 <= high and (low, high)[zero] == pytest.approx(0, abs=0.3)
    logarithmic = plot_lines([1, 2], {"a": [3, 4]}, xlabel="x", ylabel="y", log="y").axes[0]
    assert logarithmic.get_ylim()[0] > 2


def test_names_follow_a_scale_that_a_later_panel_changes():
    figure, (left, right) = new_figure(8, 3, ncols=2, sharey=True)
    plot_lines([0, 1], {"a": [1, 1]}, xlabel="x", ylabel="y", ax=left)
    plot_lines([0, 1], {"b": [10, 10]}, xlabel="x", ylabel="y", ax=right)
    for ax, name, height in ((left, "a", 1), (right, "b", 10)):
        fraction = text(ax, name).get_position()[1]
        assert fraction == pytest.approx(ax.transAxes.inverted().transform(ax.transData.transform((0, height)))[1])
    assert left.get_ylim()[1] > 10


def test_a_network_has_its_own_look_in_every_figure():
    for series in ({"minilm": [1, 2]}, {"a": [1, 2], "minilm, layer 3": [3, 4]}):
        line = plot_lines([0, 1], series, xlabel="x", ylabel="y").axes[0].lines[-1]
        assert (color_of(line), line.get_marker()) == (ROLES["MiniLM"].light, ROLES["MiniLM"].marker)


def test_references_are_grey_lines_without_marks_named_in_the_legend():
    laws = {"θ/π law": [1, 2, 4, 8], "Rice": [0.5, 1, 2, 4]}
    figure = plot_lines(X, {"a": [1, 2, 3, 5]}, references=laws, xlabel="angle", ylabel="boundaries")
    (ax,) = figure.axes
    for line, (name, values) in zip(ax.lines[1:], laws.items(), strict=True):
        np.testing.assert_array_equal(line.get_xydata(), np.c_[X, values])
        assert (color_of(line), line.get_marker(), line.get_label()) == (GREY, "None", name)
    assert ax.lines[1]._dash_pattern != ax.lines[2]._dash_pattern
    assert list(texts(ax)) == ["a", *laws] and color_of(text(ax, "Rice")) == GREY
    assert figure.alt == "boundaries against angle: a from 1 to 5; θ/π law from 1 to 8; Rice from 0.5 to 4."


def test_curves_may_each_have_an_x_of_their_own():
    depth = {"six layers": np.linspace(0, 1, 6), "three": [0, 0.5, 1], "published": [0.1, 0.9], "not drawn": [7]}
    values = {"six layers": np.arange(6) ** 2, "three": [5, 6, 7]}
    figure = plot_lines(depth, values, references={"published": [1, 3]}, xlabel="depth", ylabel="length")
    (ax,) = figure.axes
    for line, (name, y) in zip(ax.lines, (values | {"published": [1, 3]}).items(), strict=True):
        np.testing.assert_array_equal(line.get_xydata(), np.c_[depth[name], y])
    assert figure.alt == "length against depth: six layers from 0 to 25; three from 5 to 7; published from 1 to 3."
    with pytest.raises(ValueError, match="x: expected one for each curve and reference, got none for more, law"):
        plot_lines(depth, {"more": [1], "three": [2]}, references={"law": [1]}, xlabel="x", ylabel="y")


# --- more than there are styles ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("draw", "argument", "thing"),
    [
        (lambda: plot_lines(X, FIVE, xlabel="x", ylabel="y"), "series", "curves"),
        (
            lambda: plot_spread(X, dict.fromkeys("abcde", np.ones((2, 4))), xlabel="x", ylabel="y"),
            "series",
            "bundles of curves",
        ),
        (
            lambda: plot_lines(X, {}, references=FIVE, xlabel="x", ylabel="y"),
            "references",
            "references",
        ),
        (lambda: plot_spread(X, {}, references=FIVE, xlabel="x", ylabel="y"), "references", "references"),
        (lambda: plot_path(DEGREES, dict.fromkeys("abcde", DEGREES), [], ylabel="y"), "curves", "curves"),
    ],
)
def test_a_fifth_curve_is_refused_and_none_is_left_out(draw, argument, thing):
    with pytest.raises(ValueError) as error:
        draw()
    n = 2 if thing == "references" else 4
    assert str(error.value) == (
        f"{argument}: expected at most {n} {thing}, as many as can be told apart, got 5 (a, b, c, d, e). "
        "Draw the others in a figure of their own."
    )


# --- plot_spread -------------------------------------------------------------------------------------------------


def bundles():
    """Four bundles of 101 curves, whose values at each place are 0 to 100 in some order, times a factor."""
    rng = np.random.default_rng(7)
    orders = np.stack([rng.permutation(101) for _ in X], axis=1).astype(float)
    return {name: factor * orders * [1, 2, 3, 4] for name, factor in zip("pqrs", (1, 1.01, 5, 0.1), strict=True)}


def test_a_spread_shows_the_mean_and_nine_in_ten():
    series = bundles()
    figure = plot_spread(X, series, xlabel="scale", ylabel="flips", title="Spread")
    (ax,) = figure.axes
    for line, band, curves, style in zip(ax.lines, ax.collections, series.values(), SERIES, strict=True):
        color, _, dashes = style
        np.testing.assert_allclose(line.get_xydata(), np.c_[X, curves.mean(axis=0)])
        assert (color_of(line), line.get_linestyle(), color_of(band)) == (color, dashes, color)
        assert band.get_alpha() < 0.5
        (outline,) = band.get_paths()
        for k, x in enumerate(X):
            heights = outline.vertices[outline.vertices[:, 0] == x, 1]
            # of the values 0 to 100 the quantiles of 5 and 95 % are 5 and 95
            unit = np.sort(curves[:, k])[1]
            assert [heights.min(), heights.max()] == pytest.approx([5 * unit, 95 * unit])
    assert (ax.get_xscale(), ax.get_yscale(), ax.get_xlim()) == ("log", "linear", (1, 8))
    assert ax.get_xlabel() == "scale\nline: mean; band: nine in ten"
    assert (ax.get_ylabel(), ax.get_title(loc="left")) == ("flips", "Spread")
    assert ax.xaxis.get_major_formatter()(10, 0) == "10"  # and not a power of ten
    begin = "Spread: flips against scale, mean and band of nine in ten. "
    assert figure.alt == begin + "p from 50 to 200; q from 50.5 to 202; r from 250 to 1,000; s from 5 to 20."
    fewer = plot_spread(X, {"p": series["p"]}, xlabel="scale", ylabel="flips", title="Spread")
    assert fewer.alt == (
        begin + "p: 50 (nine in ten from 5 to 95) at the left end, 200 (nine in ten from 20 to 380) at the right."
    )


def test_names_stand_at_the_ends_of_their_means_and_never_overlap():
    series = bundles()
    figure = plot_spread(X, series, xlabel="x", ylabel="y")
    (ax,) = figure.axes
    ends = {name: curves[:, -1].mean() for name, curves in series.items()}
    for name, (color, _, _) in zip(series, SERIES, strict=True):
        assert color_of(text(ax, name)) == color and place(text(ax, name))[0] == X[-1]
        assert text(ax, name).get_position()[0] > 1  # to the right of the axes
    order = sorted(series, key=ends.get)
    heights = [text(ax, name).get_position()[1] for name in order]
    assert heights == sorted(heights)
    for name in ("s", "p", "r"):  # what is far from the others stands at its own height
        low, high = ax.get_ylim()
        assert text(ax, name).get_position()[1] == pytest.approx((ends[name] - low) / (high - low))
    figure.draw_without_rendering()
    boxes = [Text.get_window_extent(text(ax, name)) for name in order]
    assert not any(lower.overlaps(upper) for lower, upper in pairs(boxes))


@pytest.mark.parametrize("log", [False, "x", "y", True])
def test_a_spread_on_any_scale_beside_its_law(log):
    x = np.array([10.0, 30, 60, 90])
    series = {"towards tokens": np.outer([1, 2, 3], x**2), "random": np.outer([0.9, 1.9, 2.9], x**2)}
    law = {"θ²": 2.05 * x**2}
    figure = plot_spread(x, series, references=law, log=log, xlabel="angle", ylabel="KL")
    (ax,) = figure.axes
    assert (ax.get_xscale() == "log") == (log in ("x", True)) and (ax.get_yscale() == "log") == (log in ("y", True))
    for line, curves in zip(ax.lines, [*series.values(), np.array([law["θ²"]])], strict=True):
        np.testing.assert_allclose(line.get_xydata(), np.c_[x, curves.mean(axis=0)])
    assert color_of(ax.lines[2]) == color_of(text(ax, "θ²")) == GREY and ax.lines[2].get_marker() == "None"
    assert figure.alt.endswith("; θ² from 205 to 16,605.")
    assert colliding(figure) == [] and cut(figure) == []  # the three ends lie within 8 % of each other


# --- plot_path ---------------------------------------------------------------------------------------------------


def rugs(ax):
    """The lines of the ticks, which have gaps; the curves have none."""
    return [line for line in ax.lines if np.isnan(line.get_ydata()).any()]


def ticks(ax):
    """Degrees and colour of every tick of the rug."""
    return [(x, matplotlib.colors.to_hex(rug.get_color()).upper()) for rug in rugs(ax) for x in rug.get_xdata()[::3]]


def test_a_path_shows_its_curves_and_a_tick_for_every_crossing():
    figure = plot_path(DEGREES, CURVES, CROSSINGS, ylabel="length", title="A path")
    ax = figure.axes[0]
    curves = [line for line in ax.lines if len(line.get_xdata()) == len(DEGREES)]
    looks = [ROLES["change"], ROLES["tangent part"]]
    for line, (name, values), (color, _, _, dashes) in zip(curves, CURVES.items(), looks, strict=True):
        np.testing.assert_array_equal(line.get_xydata(), np.c_[DEGREES, values])
        assert (color_of(line), line.get_linestyle(), line.get_label()) == (color, dashes, name)
    assert list(texts(ax)) == list(CURVES)
    assert ticks(ax) == [(at, INK) for at in CROSSINGS]
    assert all(np.nanmax(rug.get_ydata()) < 0 for rug in rugs(ax))  # below the curves
    for rug in rugs(ax):  # each an upright line by itself
        upright = rug.get_xydata().reshape(-1, 3, 2)
        assert (upright[:, 0, 0] == upright[:, 1, 0]).all() and np.isnan(upright[:, 2, 1]).all()
        assert (upright[:, 1, 1] - upright[:, 0, 1] > 0.05 * 4).all()
    assert ax.get_xlim() == (0, 60) and ax.get_ylim() == pytest.approx((-0.17 * 4, 1.1 * 4))
    assert min(ax.get_yticks()) == 0 and max(ax.get_yticks()) == 4  # below 0 are no values
    assert ax.get_ylabel() == "length" and ax.get_title(loc="left") == "A path"
    assert ax.get_xlabel() == "degrees along the path; tick: a boundary crossed"
    assert figure.alt == (
        "A path: length along 60 degrees of a path that crosses 4 boundaries: output moved ends at 3; "
        "first map ends at 4."
    )


def test_a_place_on_the_path_is_marked_on_every_curve_and_parts_the_ticks():
    figure = plot_path(DEGREES, CURVES, CROSSINGS, ylabel="length", at=27.5)
    ax = figure.axes[0]
    marked = [line for line in ax.lines if line.get_marker() != "None"]
    assert [tuple(line.get_xydata()[0]) for line in marked] == [
        (27.5, pytest.approx(27.5 / 20)),
        (27.5, pytest.approx(27.5 / 15)),
    ]
    assert [(color_of(line), line.get_marker()) for line in marked] == [
        (ROLES[name].light, ROLES[name].marker) for name in ("change", "tangent part")
    ]
    assert ticks(ax) == [(3.0, INK), (3.1, INK), (27.5, INK), (59.0, GREY)]
    here = [line for line in ax.lines if list(line.get_xdata()) == [27.5, 27.5]]
    assert len(here) == 1 and list(here[0].get_ydata()) == [0, 1]  # from edge to edge
    assert figure.alt.endswith("At 28 degrees 3 of them are crossed.")


def test_a_path_without_crossings_that_stands_still_is_drawn_too():
    figure, ax = new_figure()
    assert plot_path(DEGREES, {"moved": 0 * DEGREES}, np.array([]), ylabel="length", at=0, ax=ax) is figure
    assert ticks(ax) == []
