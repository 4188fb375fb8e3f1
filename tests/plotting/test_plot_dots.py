"""The dot plot: every value in its row, its panel and its series' marker, with its interval; nothing cut."""

import matplotlib.colors
import numpy as np
import pytest
from artists import boxes, colliding, cut, texts

from lnpoly_helpers.plotting import plot_dots
from lnpoly_helpers.plotting.figure import fitting, legend_columns
from lnpoly_helpers.plotting.style import ROLES

ROWS = ["specimens", "nano-ln-relu (9 seeds)", "nano-none-relu", "pretrained", "GPT-2's shape, layer 6", "smollm2"]
HEADINGS = {"specimens", "pretrained"}
SERIES = ["network", "matched layer", "W_out random"]
LOOKS = [ROLES[name] for name in ("first", "matched layer", "W_out random")]
STYLES = [(role.light, role.marker, filled) for role, filled in zip(LOOKS, (True, False, True), strict=True)]


def quantities(n=4, seed=3):
    """n panels of made-up values; the second has no third series, and the last row is missing in it."""
    rng = np.random.default_rng(seed)
    found = {}
    for k in range(n):
        keys = SERIES[: 2 if k == 1 else 3]
        rows = {row: {} if row in HEADINGS else {key: (rng.uniform(-1, 1) if k == 2 else rng.uniform(0.2, 1),
                                                       [rng.uniform(0.01, 0.1), None, (0.1, 0.02)][j])
                                                 for j, key in enumerate(keys)} for row in ROWS}  # fmt: skip
        if k == 1:
            del rows["smollm2"]
        found[f"quantity {k}"] = rows
    return found


def markers(ax):
    """(row's number, series, value, marker, colour, filled, (below, above) or None) of every marker in a panel."""
    found = []
    for bar in ax.containers:
        line, _, intervals = bar
        ((value, height),) = line.get_xydata()
        half = None
        if intervals:
            ((low, same), (high, other)) = intervals[0].get_segments()[0]
            assert same == other == height  # it lies flat, at its marker
            half = (value - low, high - value)
        filled = matplotlib.colors.to_hex(line.get_markerfacecolor()) != "#ffffff"
        color = matplotlib.colors.to_hex(line.get_markeredgecolor()).upper()
        found.append((round(height), bar.get_label(), value, line.get_marker(), color, filled, half))
    return found


def test_every_value_stands_in_its_row_with_its_interval_and_its_series_marker():
    panels = quantities()
    figure = plot_dots(panels, title="Networks")
    for ax, (name, rows) in zip(figure.axes, panels.items(), strict=True):
        assert ax.get_title(loc="left") == name
        found = iter(markers(ax))
        for row, values in rows.items():
            for key, (value, half) in values.items():
                y, label, x, marker, color, filled, interval = next(found)
                assert (ROWS[y], label, x) == (row, key, value)
                assert (color, marker, filled) == STYLES[SERIES.index(key)]
                assert (interval is None) == (half is None)
                if half is not None:
                    assert interval == pytest.approx(tuple(np.broadcast_to(half, 2)))
        assert next(found, None) is None
        assert ax.yaxis_inverted()  # the first row on top
    heights = [line.get_ydata()[0] for line, *_ in figure.axes[0].containers[:3]]
    assert np.diff(heights) == pytest.approx([0.24, 0.24])  # below one another: none hides another


def test_names_stand_once_at_the_left_and_headings_are_bold():
    figure = plot_dots(quantities())
    for k, ax in enumerate(figure.axes):
        assert ax.get_subplotspec().colspan.start == k % 2 and ax.get_subplotspec().rowspan.start == k // 2
        labels = [label for label in ax.get_yticklabels() if label.get_visible()]
        if k % 2:
            assert not any(tick.label1.get_visible() for tick in ax.yaxis.get_major_ticks())
            continue
        assert [label.get_text() for label in labels] == ROWS and list(ax.get_yticks()) == list(range(len(ROWS)))
        assert {label.get_text() for label in labels if label.get_weight() == "bold"} == HEADINGS


def test_the_legend_shows_each_series_marker_and_the_title_above():
    legend = plot_dots(quantities(), title="Networks").legends[0]
    shown = [(handle.get_markeredgecolor(), handle.get_marker()) for handle in legend.legend_handles]
    assert shown == [style[:2] for style in STYLES]
    assert [handle.get_markerfacecolor() == "white" for handle in legend.legend_handles] == [False, True, False]
    assert [text.get_text() for text in legend.get_texts()] == SERIES and legend.get_title().get_text() == "Networks"


def test_a_line_runs_through_all_rows_and_ticks_stand_in_their_own():
    own = {"nano-none-relu": 0.3, "smollm2": 0.7}
    figure = plot_dots(quantities(), lines={"quantity 0": ("closed form", 0.492), "quantity 3": ("its own law", own)})
    line = next(line for line in figure.axes[0].lines if list(line.get_xdata()) == [0.492, 0.492])
    low, high = sorted(line.get_ydata())
    assert low < 0 and high > len(ROWS) - 1 and line.get_linestyle() == "--"
    ticks = next(line for line in figure.axes[3].lines if line.get_marker() == "|")
    assert {ROWS[int(y)]: x for x, y in ticks.get_xydata()} == own
    (at,) = texts(figure.axes[0]).values()
    assert at[0] == 0.492 and low > at[1]  # above the line
    assert texts(figure.axes[3])["its own law"][0] == 0.3  # above the first of them
    assert texts(figure.axes[1]) == texts(figure.axes[2]) == {}


def test_an_axis_has_0_on_it_or_says_that_it_has_not():
    figure = plot_dots(quantities(), zoomed=["quantity 3"])
    for ax in figure.axes:
        left, right = ax.get_xlim()
        values = [value for _, _, value, *_ in markers(ax)]
        assert left < min(values) and max(values) < right
        zoomed = ax.get_title(loc="left") == "quantity 3"
        assert (left <= 0 <= right) == (not zoomed)
        assert ax.get_xlabel() == ("axis without 0" if zoomed else "")
        assert any(list(line.get_xdata()) == [0, 0] for line in ax.lines) == (not zoomed)  # it shows where


@pytest.mark.parametrize(("n", "ncols"), [(1, 2), (2, 1), (3, 2), (6, 2), (6, 3)])
def test_nothing_is_cut_and_no_text_lies_upon_another(n, ncols):
    lines = {f"quantity {k}": ("closed form", 0.02 + 0.9 * (k % 2)) for k in range(n)}
    figure = plot_dots(quantities(n), lines=lines, ncols=ncols, title="What a turn by 30° changes in " + "many " * 6)
    assert cut(figure) == [] and colliding(figure) == [] and len(boxes(figure)) > 10
    assert len(figure.alt) <= 400 and sum(ax.axison for ax in figure.axes) == n


def test_its_words_tell_every_range_and_less_where_that_is_too_much():
    panels = {"share": {"a": {"network": (0.5, 0.1)}, "b": {"network": (0.25, None), "null": (0.75, 0.5)}}}
    assert plot_dots(panels, lines={"share": ("law", {"a": 1, "b": 2})}).alt == (
        "Dot plot of 2 rows (a, b). share: network 0.25 to 0.5, null 0.75, law 1 to 2."
    )
    long = {f"a quantity with a long name, {k}": panels["share"] for k in range(7)}
    assert plot_dots({name: {"a": {"network": (1 / 3, 0.1), "null": (2, 1)}} for name in long}).alt == (
        "Dot plot of 1 rows. network and null: " + "; ".join(f"{name} 0.33 and 2" for name in long) + "."
    )
    assert plot_dots(quantities(12), title="T").alt == (
        "T. Dot plot of 4 rows (nano-ln-relu (9 seeds), nano-none-relu, GPT-2's shape, layer 6, smollm2), in panels: "
        + ", ".join(f"quantity {k}" for k in range(12))
        + "."
    )


def test_what_cannot_be_told_apart_or_is_not_there_is_refused():
    rows = {"a": {key: (1.0, None) for key in "pqrs"}}
    with pytest.raises(ValueError, match=r"^panels: expected at most 3 series, .* got 4 \(p, q, r, s\)\. "):
        plot_dots({"share": rows})
    with pytest.raises(ValueError, match=r"^lines: expected one of 'quantity 0', 'quantity 1', got 'quantity'\.$"):
        plot_dots(quantities(2), lines={"quantity": ("law", 1)})
    with pytest.raises(ValueError, match=r"^zoomed: expected one of 'quantity 0', 'quantity 1', got 'quantity 2'\.$"):
        plot_dots(quantities(2), zoomed=["quantity 2"])
    with pytest.raises(ValueError, match=r"^lines: expected one of 'specimens', .* got 'gpt2'\.$"):
        plot_dots(quantities(2), lines={"quantity 0": ("law", {"gpt2": 1})})


@pytest.mark.parametrize(
    ("texts", "limit", "expected"),
    [
        (["abc", "ab"], 3, "abc"),
        (["abc", "ab"], 2, "ab"),
        (["one two three", "one two"], 6, "one…"),
        (["a" * 401, "b" * 400], 400, "b" * 400),
    ],
)
def test_the_longest_words_that_fit_are_taken(texts, limit, expected):
    assert fitting(*texts, limit=limit) == expected


def test_a_legend_has_as_many_columns_as_fit():
    assert [legend_columns(["closed form"] * 3, width) for width in (0.5, 2, 3.5, 5, 9)] == [1, 1, 2, 3, 3]
    assert legend_columns(["a"] * 3 + ["closed form"], 4) == 4  # only one of them is long
