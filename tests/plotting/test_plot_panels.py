"""Small multiples: every curve in its panel, in its style, with its interval."""

import numpy as np
import pytest
from artists import color_of

from lnpoly_helpers.plotting import plot_panels
from lnpoly_helpers.plotting.style import GREY, SERIES


def panels():
    return {
        "a": {"law": (np.ones(3), None), "found": (np.array([1.0, 2, 3]), np.array([0.1, 0.2, 0.3]))},
        "b": {"found": (np.array([4.0, 5]), np.array([0.5, 0.5])), "other": (np.array([6.0, 7]), np.array([0.1, 0.1]))},
        "c": {"other": (np.array([8.0, 9, 9]), np.zeros(3)), "null": ([0.5, 0.6], None)},
    }


@pytest.mark.parametrize("log", [False, True])
def test_panels_show_every_value_with_its_interval_side_by_side(log):
    figure = plot_panels([1, 2, 3], panels(), xlabel="layer", ylabel="share", title="Shares", ncols=2, log=log)
    drawn = [ax for ax in figure.axes if ax.axison]
    assert [ax.get_title(loc="left") for ax in drawn] == ["a", "b", "c"] and len(figure.axes) == 4
    assert len({ax.get_ylim() for ax in drawn}) == 1
    for ax, curves in zip(drawn, panels().values(), strict=True):
        bars = {bar.get_label(): bar for bar in ax.containers}
        references = {line.get_label(): line for line in ax.lines if line.get_label() in curves}
        assert {*bars, *references} == {*curves}
        assert ax.get_xscale() == ("log" if log else "linear") and ax.get_yscale() == "linear"
        for name, (values, half) in curves.items():
            if half is None:
                line = references[name]
                np.testing.assert_array_equal(line.get_xydata(), np.c_[np.arange(1, len(values) + 1), values])
                assert color_of(line) == GREY and line.get_marker() == "None"
                continue
            line, _, (bar,) = bars[name]
            np.testing.assert_array_equal(line.get_ydata(), values)
            ends = np.array(bar.get_segments())
            np.testing.assert_allclose(ends[:, :, 1], np.c_[values - half, values + half])
            np.testing.assert_allclose(ends[:, :, 0], np.c_[line.get_xdata(), line.get_xdata()])
            aside = line.get_xdata() - np.arange(1, len(values) + 1)
            # the same in every panel, a little to the left or to the right
            assert np.abs(aside).max() < 0.1 and (np.sign(aside) == {"found": -1, "other": 1}[name]).all()
            assert (color_of(line), line.get_marker(), line.get_linestyle()) == SERIES[["found", "other"].index(name)]
            assert color_of(bar) == color_of(line)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["law", "found", "other", "null"]
    assert figure.get_suptitle() == "Shares"
    assert [ax.get_xlabel() for ax in figure.axes] == ["", "", "layer", "layer"]
    assert [ax.get_ylabel() for ax in figure.axes] == ["share", "", "share", ""]
    assert figure.alt == (
        "Shares. share against layer, with intervals. a: law 1, found 1 to 3; b: found 4 to 5, other 6 to 7; "
        "c: other 8 to 9, null 0.5 to 0.6."
    )


def test_two_references_have_two_kinds_of_line_and_the_legend_shows_which():
    figure = plot_panels([1, 2], {"a": {"law": ([1, 1], None), "null": ([2, 2], None)}}, xlabel="x", ylabel="y")
    law, null = figure.axes[0].lines  # whose get_linestyle() is "--" for every pattern
    assert law._dash_pattern != null._dash_pattern
    assert figure.legends[0].legend_handles[1]._dash_pattern == null._dash_pattern
    assert figure.alt.startswith("y against x, with intervals. a: law 1, null 2")


def test_panels_stand_in_one_row_unless_told_otherwise():
    figure = plot_panels([1, 2, 3], panels(), xlabel="layer", ylabel="share")
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["a", "b", "c"]
    assert [ax.get_subplotspec().rowspan.start for ax in figure.axes] == [0, 0, 0]


def test_rows_of_panels_may_have_each_their_scale_and_label():
    figure = plot_panels([1, 2, 3], panels(), xlabel="layer", ylabel=["share", "lead"], ncols=2)
    assert [figure.axes[k].get_ylabel() for k in (0, 2)] == ["share", "lead"]
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim() != figure.axes[2].get_ylim()
    assert "share and lead against layer" in figure.alt
    message = "^ylabel: expected one for each of the 2 rows, got 1. One str serves all.$"
    with pytest.raises(ValueError, match=message):
        plot_panels([1, 2, 3], panels(), xlabel="layer", ylabel=["share"], ncols=2)


def test_more_curves_than_styles_are_refused_counted_over_all_panels():
    def many(n, half):
        return {f"panel {k}": {f"curve {k}": ([1.0, 2.0], half)} for k in range(n)}

    plot_panels([1, 2], many(4, [0.1, 0.1]), xlabel="x", ylabel="y")
    with pytest.raises(ValueError, match=r"^panels: expected at most 4 curves, .* got 5 \(curve 0, curve 1, .*\)\. "):
        plot_panels([1, 2], many(5, [0.1, 0.1]), xlabel="x", ylabel="y")
    with pytest.raises(ValueError, match="^panels: expected at most 2 references, .* got 3 "):
        plot_panels([1, 2], many(3, None), xlabel="x", ylabel="y")
