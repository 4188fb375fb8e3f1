"""The circle's pictures: every place has the colour of the pattern there, and every crossing its tick and number."""

import numpy as np
import pytest
from artists import arrows, color_of, colors_at, fills_of, place, text, texts

from lnpoly_helpers import Arrangement, partition_circle
from lnpoly_helpers.plotting import new_figure, plot_arc_window, plot_arcs
from lnpoly_helpers.plotting.style import INK, SERIES, TONES, bits

# the last line is almost the first: the arcs between them are too short for their bits
SIX = Arrangement(
    [[1.2, 0.5], [-0.4, 1.1], [0.9, -1.0], [-1.5, -0.2], [0.3, 0.4], [1.2, 0.52]], [0.3, 0.5, -0.2, 0.6, 0.8, 0.3]
)
CIRCLE = partition_circle(SIX)


def on_circle(angle):
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1)


def patterns_at(arrangement, angles):
    return arrangement.preactivations(on_circle(angles)) > 0


def many(n, seed=3):
    rng = np.random.default_rng(seed)
    return Arrangement(rng.normal(size=(n, 2)), 0.5 * rng.normal(size=n))


@pytest.mark.parametrize("arrangement", [SIX, many(200), Arrangement([[1.0, 0]], [2.0])])
def test_every_place_of_the_ring_has_the_colour_of_its_pattern(arrangement, rng):
    circle = partition_circle(arrangement)
    ax = plot_arcs(circle).axes[0]
    (ring,) = ax.collections
    angles = rng.uniform(0, 2 * np.pi, size=400)
    angles = angles[np.abs(np.sin((angles[:, None] - circle.angles) / 2)).min(axis=1, initial=1) > 1e-3]
    for radius in (0.91, 0.97, 1.04):
        assert fills_of(
            colors_at(ring, radius * on_circle(angles)), patterns_at(arrangement, angles), circle.n_patterns > 16
        )
    for radius in (0.88, 1.06):
        assert set(colors_at(ring, radius * on_circle(angles))) == {""}


def test_every_arc_has_its_bits_and_every_crossing_its_tick_and_number():
    figure = plot_arcs(CIRCLE, title="six")
    (ax,) = figure.axes
    numbers = [text for text in ax.texts if np.hypot(*place(text)) > 1]
    patterns = [text for text in ax.texts if text not in numbers]
    for angle, neuron, tick, number in zip(CIRCLE.angles, CIRCLE.neurons, ax.lines, numbers, strict=True):
        np.testing.assert_allclose(tick.get_xydata(), np.outer([0.87, 1.08], on_circle(angle)))
        assert color_of(tick) == INK
        np.testing.assert_allclose(place(number), 1.18 * on_circle(angle))
        before, after = SIX.preactivations(on_circle(angle + np.array([-1e-6, 1e-6]))) > 0
        assert np.flatnonzero(before != after).tolist() == [neuron] == [int(number.get_text())]
    long = CIRCLE.lengths > 0.16
    assert 0 < (~long).sum() < long.sum() == len(patterns)
    for middle, shown in zip(CIRCLE.midpoints[long], patterns, strict=True):
        np.testing.assert_allclose(place(shown), 0.72 * on_circle(middle))
        assert shown.get_text() == bits(SIX.preactivations(on_circle(middle)) > 0)
    assert ax.get_xlim() == ax.get_ylim() == (-1.3, 1.3) and ax.get_aspect() == 1 and not ax.axison
    assert ax.get_title(loc="left") == "six"
    assert figure.alt == (
        f"six: a circle cut into {CIRCLE.n_arcs} arcs with {CIRCLE.n_patterns} activation patterns, each in its own "
        "colour; ticks are numbered by the neuron that flips."
    )


def test_labels_can_be_left_out_and_are_for_more_than_forty_arcs():
    for circle, kwargs, how in (
        (CIRCLE, {"labels": False}, "each in its own colour"),
        (partition_circle(many(200)), {}, TONES),
    ):
        figure, ax = new_figure()
        assert plot_arcs(circle, ax=ax, **kwargs) is figure
        assert list(texts(ax)) == [TONES] * (how == TONES) and len(ax.lines) == 0
        assert figure.alt.endswith(f"{how}.")


def test_arrows_point_to_their_places_of_the_ring():
    marks = {"first": 0.0, "second": 2.2, "here": -1.0}
    figure = plot_arcs(CIRCLE, labels=False, marks=marks)
    (ax,) = figure.axes
    for (name, angle), arrow, (color, _, line) in zip(marks.items(), arrows(ax), SERIES[:3], strict=True):
        start, end, *style = arrow
        assert start == (0, 0) and end == pytest.approx(0.9 * on_circle(angle)) and style == [color, line]
        np.testing.assert_allclose(place(text(ax, name)), 0.55 * 0.9 * on_circle(angle))
        assert color_of(text(ax, name)) == color
    assert figure.alt.endswith("; arrow first at 0.0°; arrow second at 126.1°; arrow here at -57.3°.")


def test_a_fifth_arrow_is_refused():
    with pytest.raises(ValueError, match="^marks: expected at most 4 arrows, .* got 5 "):
        plot_arcs(CIRCLE, marks={str(k): float(k) for k in range(5)})


WINDOWS = [
    (SIX, 1.0, 0.8),
    (SIX, 0.0, 2.0),
    (many(200), 3.1, 0.2),
    (Arrangement([[1.0, 0]], [2.0]), 0.3, 2.0),  # one arc, all round
    (Arrangement([[1.0, 0]], [0.5]), -1.9, 0.8),  # an arc of more than half the circle, seen at either end
    (Arrangement([[1.0, 0]], [0.5]), 1.9, 0.8),
]


@pytest.mark.parametrize(("arrangement", "center", "width"), WINDOWS)
def test_every_place_of_the_window_has_the_colour_of_its_pattern(arrangement, center, width):
    circle = partition_circle(arrangement)
    figure = plot_arc_window(circle, center, width, title="a stretch")
    (ax,) = figure.axes
    (blocks,) = ax.collections
    half, many_patterns = width / 2, bool(circle.n_patterns > 16)
    at = center + np.linspace(-half, half, 403)[1:-1]
    at = at[np.abs(np.sin((at[:, None] - circle.angles) / 2)).min(axis=1, initial=1) > 1e-4]
    for height in (0.02, 0.98):
        points = np.c_[np.degrees(at), np.full(len(at), height)]
        assert fills_of(colors_at(blocks, points), patterns_at(arrangement, at), many_patterns)
    assert len(blocks.get_edgecolor()) == 0  # an edge would hide the narrow ones
    assert ax.get_xlim() == pytest.approx(np.degrees([center - half, center + half])) and ax.get_ylim() == (0, 1)
    assert ax.get_xlabel() == "degrees along the circle" + f"\n{TONES}" * many_patterns and len(ax.get_yticks()) == 0
    assert ax.get_title(loc="left") == "a stretch"
    inside = np.abs((circle.angles - center + np.pi) % (2 * np.pi) - np.pi) < half
    n, low, high = int(inside.sum()), np.degrees(center - half), np.degrees(center + half)
    assert figure.alt == (
        f"a stretch: the circle from {low:.4g}° to {high:.4g}° unrolled: {n + 1} arc{'s' * (n > 0)}, {n} "
        f"{'boundary' if n == 1 else 'boundaries'} between them, "
        f"{TONES if many_patterns else 'a colour for each pattern'}."
    )


def test_the_window_has_the_colours_of_the_ring():
    figure, (left, right) = new_figure(8, 4, ncols=2)
    plot_arcs(CIRCLE, ax=left)
    plot_arc_window(CIRCLE, 1.0, 2.0, ax=right)
    at = CIRCLE.midpoints[np.abs(CIRCLE.midpoints - 1.0) < 0.95]
    middle = np.c_[np.degrees(at), np.full(len(at), 0.5)]
    assert colors_at(right.collections[0], middle) == colors_at(left.collections[0], 0.97 * on_circle(at))
    assert len(at) > 2


def test_places_of_the_window_are_named_above_it():
    figure = plot_arc_window(CIRCLE, 0.1, 1.0, marks={"the": 2 * np.pi - 0.1, "cat": 0.4})
    (ax,) = figure.axes
    for name, angle, line in zip(("the", "cat"), (-0.1, 0.4), ax.lines, strict=True):
        assert place(text(ax, name)) == pytest.approx([np.degrees(angle), 1])
        assert list(line.get_xdata()) == pytest.approx([np.degrees(angle)] * 2)
    assert figure.alt.endswith("; the at -5.73°; cat at 22.92°.")


def test_a_block_ends_at_every_crossing_of_the_window_and_nowhere_else():
    center, half = 2.0, 1.2
    ax = plot_arc_window(CIRCLE, center, 2 * half).axes[0]
    edges = np.unique(np.concatenate([path.vertices[:, 0] for path in ax.collections[0].get_paths()]).round(9))
    crossed = np.degrees(CIRCLE.angles[np.abs(CIRCLE.angles - center) < half])
    np.testing.assert_allclose(edges[1:-1], crossed, atol=1e-8)
    assert edges[[0, -1]] == pytest.approx(np.degrees([center - half, center + half])) and len(crossed) > 2


def test_a_circle_that_nothing_cuts_has_no_edge_in_any_window():
    ax = plot_arc_window(partition_circle(Arrangement([[1.0, 0]], [2.0])), 0.0, np.pi).axes[0]
    (block,) = ax.collections[0].get_paths()
    assert np.abs(block.vertices[:, 0]).min() == 90
