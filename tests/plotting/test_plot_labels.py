"""Names beside what they name, and the scales that they stand on."""

import numpy as np
import pytest
from matplotlib.font_manager import FontProperties, findfont, get_font

from lnpoly_helpers.plotting import new_figure
from lnpoly_helpers.plotting.labels import MARKS, free_places, moved_apart, name_ends
from lnpoly_helpers.plotting.scales import axes_fraction, log_axes
from lnpoly_helpers.plotting.style import ROLES


def test_labels_move_apart_keep_their_order_and_stay_where_they_can(rng):
    for _ in range(50):
        wanted = rng.uniform(0, 1, size=6)
        moved = moved_apart(wanted, 0.1, top=1)
        order = np.argsort(wanted)
        assert (np.diff(moved[order]) >= 0.1 - 1e-12).all() and moved.max() <= 1
        free = np.flatnonzero([np.delete(np.abs(wanted - height), k).min() > 0.5 for k, height in enumerate(wanted)])
        np.testing.assert_array_equal(moved[free], wanted[free])
    np.testing.assert_array_equal(moved_apart([0.3, 0.1, 0.7], 0.1), [0.3, 0.1, 0.7])


def test_a_name_takes_the_side_where_nothing_is():
    size, here = (4, 4), {"here": [[2, 2]]}
    line = np.column_stack([np.linspace(0, 4, 81), np.full(81, 2.0)])
    assert free_places(here, line, size)["here"][1] != 2  # along it there is a line
    assert free_places(here, line + [0, 0.2], size)["here"].tolist() == [2, 1.8]
    assert free_places(here, line - [0, 0.2], size)["here"].tolist() == [2, 2.2]
    cross = np.concatenate([line + [0, 0.2], line - [0, 0.2]])
    assert free_places(here, cross, size)["here"][1] == 2  # above and below there are two


def test_a_name_stays_in_the_axes_and_off_other_names_and_marks():
    size = (3, 2)
    low = free_places({"at the edge": [[3, 0]]}, np.zeros((0, 2)), size)["at the edge"]
    assert 0 < low[0] < 3 and 0 < low[1] < 2
    pair = {"first name": [[1.5, 1]], "second name": [[1.6, 1.02]]}
    places = np.array(list(free_places(pair, np.zeros((0, 2)), size).values()))
    across, up = np.abs(places[0] - places[1])
    assert across > 0.8 or up > 0.2
    for place, points in zip(places, pair.values(), strict=True):
        assert np.abs(place - points).max() < 0.9  # still beside it


def test_names_of_curves_that_end_in_one_place_begin_with_their_marks():
    _, ax = new_figure()
    ends = [(1.0, 0.5, f"a rather long name, {k}", "black", marker) for k, marker in enumerate("os^")]
    name_ends(ax, [*ends, (1.0, 0.5, "a law", "grey", "")])
    said = [text.get_text() for text in ax.texts]
    assert [words[0] for words in said] == ["●", "■", "▲", "a"]
    for words, (_, _, name, _, _) in zip(said, ends, strict=False):
        first, *others = words[2:].split("\n")
        assert others and all(line[:4].isspace() for line in others)  # below the name, not below its mark
        assert " ".join([first, *map(str.strip, others)]) == name
    name_ends(ax, [(1.0, 0.5, "silu (a-name-without-a-gap)", "black", "o")])
    assert ax.texts[-1].get_text().split() == ["●", "silu", "(a-name-without-a-gap)"]  # no word is torn


def test_every_marker_of_a_curve_has_a_mark_that_the_font_has():
    assert {role.marker for role in ROLES.values()} - {""} <= set(MARKS)
    letters = get_font(findfont(FontProperties(weight="bold"))).get_charmap()
    assert all(ord(mark) in letters for mark in MARKS.values()) and len({*MARKS.values()}) == len(MARKS)


def test_places_are_fractions_of_the_axes_and_back(rng):
    _, ax = new_figure()
    ax.set(xlim=(1, 100), ylim=(0.1, 10), xscale="log", yscale="log")
    np.testing.assert_allclose(axes_fraction(ax, [[1, 0.1], [10, 1], [100, 10]]), [[0, 0], [0.5, 0.5], [1, 1]])
    points = rng.uniform(1, 9, size=(5, 2))
    np.testing.assert_allclose(axes_fraction(ax, axes_fraction(ax, points), back=True), points)


def test_a_tick_without_room_has_no_label_and_the_last_has_one():
    def labels(width):
        _, ax = new_figure()
        log_axes(ax, "x", [64, 128, 512, 768], width)
        return [label.get_text() for label in ax.get_xticklabels()]

    assert labels(3) == ["64", "128", "512", "768"]
    assert labels(1.5) == ["64", "128", "", "768"] and labels(0.1) == ["", "", "", "768"]


def test_many_places_are_no_ticks_and_another_scale_is_refused():
    _, ax = new_figure()
    log_axes(ax, True, np.arange(1, 14), 3)
    assert ax.get_xscale() == ax.get_yscale() == "log" and list(ax.get_xticks()) != list(range(1, 14))
    with pytest.raises(ValueError, match="^log: expected one of False, True, 'x', 'y', got 'xy'"):
        log_axes(ax, "xy")
