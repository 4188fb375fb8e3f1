"""Small multiples: every curve in its panel, in its style, with its interval."""

import numpy as np
import pytest
from artists import colliding, color_of, cut, text, texts

from lnpoly_helpers.plotting import plot_panels
from lnpoly_helpers.plotting.style import GREY, INK, ROLES, SERIES


def panels():
    return {
        "a": {"law": (np.ones(3), None), "found": (np.array([1.0, 2, 3]), np.array([0.1, 0.2, 0.3]))},
        "b": {"found": (np.array([4.0, 5]), np.array([0.5, 0.5])), "other": (np.array([6.0, 7]), np.array([0.1, 0.1]))},
        "c": {"other": (np.array([8.0, 9, 9]), np.zeros(3)), "null": ([0.5, 0.6], None)},
    }


@pytest.mark.parametrize("log", [False, "x", "y", True])
def test_panels_show_every_value_with_its_interval_side_by_side(log):
    figure = plot_panels([1, 2, 3], panels(), xlabel="layer", ylabel="share", title="Shares", ncols=2, log=log)
    drawn = [ax for ax in figure.axes if ax.axison]
    assert [ax.get_title(loc="left") for ax in drawn] == ["a", "b", "c"] and len(figure.axes) == 4
    assert len({ax.get_ylim() for ax in drawn}) == 1
    for ax, curves in zip(drawn, panels().values(), strict=True):
        bars = {bar.get_label(): bar for bar in ax.containers}
        references = {line.get_label(): line for line in ax.lines if line.get_label() in curves}
        assert {*bars, *references} == {*curves}
        assert (ax.get_xscale() == "log") == (log in ("x", True)) and (ax.get_yscale() == "log") == (log in ("y", True))
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
    assert [ax.get_xlabel() for ax in figure.axes] == ["", "layer", "layer", ""]  # the lowest of each column
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
    assert figure.alt == "y against x. a: law 1, null 2."


def test_panels_stand_in_one_row_unless_told_otherwise():
    figure = plot_panels([1, 2, 3], panels(), xlabel="layer", ylabel="share")
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["a", "b", "c"]
    assert [ax.get_subplotspec().rowspan.start for ax in figure.axes] == [0, 0, 0]


def test_rows_of_panels_may_have_each_their_scale_and_label():
    figure = plot_panels([1, 2, 3], panels(), xlabel="layer", ylabel=["share", "lead"], ncols=2)
    assert [figure.axes[k].get_ylabel() for k in (0, 2)] == ["share", "lead"]
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim() != figure.axes[2].get_ylim()
    assert "share and lead against layer" in figure.alt
    message = "^ylabel: expected one for each of the 2 rows or of the 3 panels, got 1. One str serves all.$"
    with pytest.raises(ValueError, match=message):
        plot_panels([1, 2, 3], panels(), xlabel="layer", ylabel=["share"], ncols=2)


def test_panels_may_have_each_their_scale_and_label():
    figure = plot_panels([1, 2, 3], panels(), xlabel="layer", ylabel=["share", "", "lead"], ncols=2)
    assert [ax.get_ylabel() for ax in figure.axes] == ["share", "", "lead", ""]
    assert len({ax.get_ylim() for ax in figure.axes[:3]}) == 3
    assert all(ax.yaxis.get_tick_params()["labelleft"] for ax in figure.axes[:3])
    assert figure.alt.startswith("share and lead against layer")


def test_whole_numbers_have_no_ticks_between_them():
    for n in (3, 12, 30):
        figure = plot_panels(
            range(n), {k: {"law": (range(n), None)} for k in "ab"}, xlabel="layer", ylabel="y", ncols=2
        )
        figure.draw_without_rendering()
        ticks = figure.axes[0].get_xticks()
        assert (ticks == np.round(ticks)).all() and len(ticks) > 2
    figure = plot_panels([0, 0.5, 1], {"a": {"law": ([1, 2, 3], None)}}, xlabel="depth", ylabel="y")
    assert 0.2 in figure.axes[0].get_xticks().round(9)


def test_few_values_of_a_logarithmic_x_are_its_ticks():
    widths = [64, 128, 256, 512, 768]
    curves = {"trained": (np.arange(5.0), np.ones(5))}
    figure = plot_panels(widths, {"share": curves, "κ": curves}, xlabel="width", ylabel=["", ""], log="x", ncols=2)
    for ax in figure.axes:
        assert list(ax.get_xticks()) == widths and len(ax.get_xticks(minor=True)) == 0
        assert [label.get_text() for label in ax.get_xticklabels()] == [str(width) for width in widths]
    assert colliding(figure) == []


POINTS = {
    "share": {"MiniLM": (384, {"trained": 0.31, "matched": 0.27}), "SmolLM2": (576, {"trained": 0.34, "matched": 0.3})},
    "κ": {"MiniLM": (384, 2.2), "SmolLM2": (576, 2.3), "somebody's": (768, 1.1)},
}
OWN = {name: (ROLES[name].light, ROLES[name].marker) for name in ("MiniLM", "SmolLM2")}


def over_widths(**more):
    curves = {
        "share": {"law": ([0.3] * 5, None), "trained": (np.linspace(0.2, 0.5, 5), np.full(5, 0.02))},
        "κ": {"trained": (np.linspace(1, 4, 5), np.full(5, 0.2)), "matched": (np.linspace(1, 3.5, 5), np.full(5, 0.1))},
    }
    axes = {"xlabel": "width d", "ylabel": ["", ""], "log": "x", "ncols": 2}
    return plot_panels([64, 128, 256, 512, 768], curves, **axes, points=POINTS, **more)


def legend_names(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_single_points_stand_at_their_own_x_in_their_curves_style():
    figure = over_widths(title="Widths")
    for ax, points in zip(figure.axes, POINTS.values(), strict=True):
        found = [line for line in ax.lines if len(line.get_xdata()) == 1]
        expected = []
        for name, (x, y) in points.items():
            belongs = y if isinstance(y, dict) else {"": y}
            roles = {"trained": ROLES["trained"], "matched": ROLES["matched layer"]}
            style = {"": OWN.get(name, (INK, "D"))} | {key: (role.light, role.marker) for key, role in roles.items()}
            expected += [((x, height), *style[key]) for key, height in belongs.items()]
        assert [(tuple(line.get_xydata()[0]), color_of(line), line.get_marker()) for line in found] == expected
    handles = dict(zip(legend_names(figure), figure.legends[0].legend_handles, strict=True))
    assert list(handles) == ["law", "trained", "matched", "MiniLM", "SmolLM2"]  # once, however many panels have them
    assert {name: (color_of(handles[name]), handles[name].get_marker()) for name in OWN} == OWN
    assert figure.alt == (
        "Widths. curves against width d, with intervals. share: law 0.3, trained 0.2 to 0.5, MiniLM 0.27 to 0.31, "
        "SmolLM2 0.3 to 0.34; κ: trained 1 to 4, matched 1 to 3.5, MiniLM 2.2, SmolLM2 2.3, somebody's 1.1."
    )


def test_names_that_no_look_tells_stand_beside_their_points_and_hide_nothing():
    figure = over_widths()
    assert colliding(figure) == [] and cut(figure) == []
    for ax, points in zip(figure.axes, POINTS.values(), strict=True):
        points = {name: (x, y) for name, (x, y) in points.items() if isinstance(y, dict) or name not in OWN}
        assert {name: at[0] for name, at in texts(ax).items()} == {name: x for name, (x, _) in points.items()}
        for name, (x, y) in points.items():
            heights = list(y.values()) if isinstance(y, dict) else [y]
            marks = ax.transData.transform([(x, height) for height in heights])
            box = text(ax, name).get_window_extent()
            assert not any(box.contains(*mark) for mark in marks)
            nearest = np.clip(marks, box.min, box.max)
            assert np.linalg.norm(nearest - marks, axis=1).min() < 30  # pixels: beside one of its marks


def test_what_is_a_curve_here_and_a_reference_there_is_refused():
    mixed = {"a": {"null": ([1.0, 2.0], None)}, "b": {"null": ([1.0, 2.0], [0.1, 0.1])}}
    message = "^panels: expected 'null' to be one thing in all panels, got half widths in one and None, which makes it "
    for order in (["a", "b"], ["b", "a"]):
        with pytest.raises(ValueError, match=message):
            plot_panels([1, 2], {name: mixed[name] for name in order}, xlabel="x", ylabel="y")


def test_points_of_what_is_not_there_and_other_scales_are_refused():
    one = {"share": {"trained": ([1.0, 2.0], [0.1, 0.1])}}
    with pytest.raises(ValueError, match=r"^points: expected one of 'share', got 'κ'\.$"):
        plot_panels([1, 2], one, xlabel="x", ylabel="y", points={"κ": {"MiniLM": (1, 1)}})
    with pytest.raises(ValueError, match=r"^points: expected one of 'trained', got 'matched'\.$"):
        plot_panels([1, 2], one, xlabel="x", ylabel="y", points={"share": {"MiniLM": (1, {"matched": 1})}})


@pytest.mark.parametrize("ncols", [1, 2, 3])
def test_nothing_is_cut_however_long_the_names(ncols):
    curves = {f"a curve named {k}": ([1.0, 2.0], [0.1, 0.1]) for k in range(4)} | {"a closed form": ([1, 1], None)}
    many = {f"some quantity, number {k}": curves for k in range(4)}
    title = "What grows with the width, in all networks that were measured"
    figure = plot_panels([64, 128], many, xlabel="x", ylabel=[""] * 4, ncols=ncols, title=title, log="x")
    assert cut(figure) == [] and colliding(figure) == []
    assert len(figure.alt) <= 400 and figure.alt.endswith(
        "In some quantity, number 0; some quantity, number 1; some quantity, number 2; some quantity, number 3: "
        "a curve named 0, a curve named 1, a curve named 2, a curve named 3, a closed form."
    )


def test_more_curves_than_styles_are_refused_counted_over_all_panels():
    def many(n, half):
        return {f"panel {k}": {f"curve {k}": ([1.0, 2.0], half)} for k in range(n)}

    plot_panels([1, 2], many(4, [0.1, 0.1]), xlabel="x", ylabel="y")
    with pytest.raises(ValueError, match=r"^panels: expected at most 4 curves, .* got 5 \(curve 0, curve 1, .*\)\. "):
        plot_panels([1, 2], many(5, [0.1, 0.1]), xlabel="x", ylabel="y")
    with pytest.raises(ValueError, match="^panels: expected at most 2 references, .* got 3 "):
        plot_panels([1, 2], many(3, None), xlabel="x", ylabel="y")


def test_a_panel_without_curves_is_left_empty_and_laws_alone_have_no_intervals():
    figure = plot_panels([0, 1], {"a": {"law": ([1, 2], None)}, "b": {}}, xlabel="x", ylabel="y")
    assert [len(ax.lines) for ax in figure.axes] == [1, 0]
    assert figure.alt.startswith("y against x. a: law 1 to 2")
