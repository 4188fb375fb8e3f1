"""plot_path and plot_panels: what is drawn is what was passed in, and the words beside it say the same."""

import matplotlib.colors
import numpy as np
import pytest

from lnpoly_helpers.plotting import new_figure, plot_panels, plot_path
from lnpoly_helpers.plotting.style import GREY, INK, SERIES

DEGREES = np.linspace(0, 60, 31)
CURVES = {"moved": DEGREES / 20, "first map": DEGREES / 15}
CROSSINGS = np.array([3.0, 3.1, 27.5, 59.0])


def rugs(ax):
    """The lines of the ticks, which have gaps; the curves have none."""
    return [line for line in ax.lines if np.isnan(line.get_ydata()).any()]


def ticks(ax):
    """Degrees and colour of every tick of the rug."""
    return [(x, matplotlib.colors.to_hex(rug.get_color()).upper()) for rug in rugs(ax) for x in rug.get_xdata()[::3]]


def test_a_path_shows_its_curves_and_a_tick_for_every_crossing():
    figure = plot_path(DEGREES, CURVES, CROSSINGS, ylabel="length", title="A path")
    ax = figure.axes[0]
    for line, values in zip(ax.lines, CURVES.values()):
        np.testing.assert_array_equal(line.get_xydata(), np.c_[DEGREES, values])
    assert ticks(ax) == [(at, INK) for at in CROSSINGS]
    assert all(np.nanmax(rug.get_ydata()) < 0 for rug in rugs(ax))  # below the curves
    assert figure.alt == (
        "A path: length along 60 degrees of a path that crosses 4 boundaries: moved ends at 3; first map ends at 4."
    )


def test_a_place_on_the_path_is_marked_on_every_curve_and_parts_the_ticks():
    figure = plot_path(DEGREES, CURVES, CROSSINGS, ylabel="length", at=27.5)
    ax = figure.axes[0]
    marks = [tuple(line.get_xydata()[0]) for line in ax.lines if line.get_marker() != "None"]
    assert marks == [(27.5, pytest.approx(27.5 / 20)), (27.5, pytest.approx(27.5 / 15))]
    assert ticks(ax) == [(3.0, INK), (3.1, INK), (27.5, INK), (59.0, GREY)]
    assert figure.alt.endswith("At 28 degrees 3 of them are crossed.")


def test_a_path_without_crossings_that_stands_still_is_drawn_too():
    figure, ax = new_figure()
    assert plot_path(DEGREES, {"moved": 0 * DEGREES}, np.array([]), ylabel="length", at=0, ax=ax) is figure
    assert ticks(ax) == []


def panels():
    return {
        "a": {"law": (np.ones(3), None), "found": (np.array([1.0, 2, 3]), np.array([0.1, 0.2, 0.3]))},
        "b": {"found": (np.array([4.0, 5]), np.array([0.5, 0.5])), "other": (np.array([6.0, 7]), np.array([0.1, 0.1]))},
        "c": {"other": (np.array([8.0, 9, 9]), np.zeros(3))},
    }


@pytest.mark.parametrize("log", [False, True])
def test_panels_show_every_value_with_its_interval_side_by_side(log):
    figure = plot_panels([1, 2, 3], panels(), xlabel="layer", ylabel="share", title="Shares", ncols=2, log=log)
    drawn = [ax for ax in figure.axes if ax.axison]
    assert [ax.get_title(loc="left") for ax in drawn] == ["a", "b", "c"] and len(figure.axes) == 4
    assert len({ax.get_ylim() for ax in drawn}) == 1
    for ax, curves in zip(drawn, panels().values()):
        bars = {bar.get_label(): bar for bar in ax.containers}
        for name, (values, half) in curves.items():
            if half is None:
                line = next(line for line in ax.lines if line.get_label() == name)
                np.testing.assert_array_equal(line.get_ydata(), values)
                continue
            line, _, (bar,) = bars[name]
            np.testing.assert_array_equal(line.get_ydata(), values)
            ends = np.array(bar.get_segments())
            np.testing.assert_allclose(ends[:, :, 1], np.c_[values - half, values + half])
            assert np.abs(line.get_xdata() - np.arange(1, len(values) + 1)).max() < 0.1
            color, marker, _ = SERIES[["found", "other"].index(name)]  # the same in every panel
            assert (line.get_color(), line.get_marker()) == (color, marker)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["law", "found", "other"]
    assert figure.alt.startswith("Shares. share against layer, with intervals. a: law 1, found 1 to 3;")


def test_rows_of_panels_may_have_each_their_scale_and_label():
    figure = plot_panels([1, 2, 3], panels(), xlabel="layer", ylabel=["share", "lead"], ncols=2)
    assert [figure.axes[k].get_ylabel() for k in (0, 2)] == ["share", "lead"]
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim() != figure.axes[2].get_ylim()
    assert "share and lead against layer" in figure.alt
