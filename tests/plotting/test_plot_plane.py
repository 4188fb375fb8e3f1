"""The plane's picture: regions, bits, circle, ray and arrows lie where they were handed over."""

import numpy as np
import pytest
from artists import arrows, color_of, colors_at, fills_of, hexes, place, text, texts

from lnpoly_helpers import Arrangement, partition_circle, partition_plane
from lnpoly_helpers.plotting import new_figure, plot_arcs, plot_plane
from lnpoly_helpers.plotting.style import INK, ROLES, SERIES, TONES, bits

LINES = Arrangement([[1.0, 0.3], [-0.4, 1.0], [0.7, -0.8], [0.1, 0.9]], [0.4, -0.3, 0.2, 0.35])
PLANE = partition_plane(LINES, half_width=1.5)


def curves(ax):
    return [line for line in ax.lines if len(line.get_xdata()) > 1]


def test_every_place_of_the_plane_has_the_colour_and_the_bits_of_its_pattern(rng):
    figure = plot_plane(PLANE, title="four lines")
    (ax,) = figure.axes
    (regions,) = ax.collections
    for path, polygon in zip(regions.get_paths(), PLANE.polygons, strict=True):
        np.testing.assert_array_equal(path.vertices[:-1], polygon)
    points = rng.uniform(-1.5, 1.5, size=(500, 2))
    on = LINES.preactivations(points) > 0
    assert fills_of(colors_at(regions, points), on, many=False)
    assert hexes(regions.get_edgecolor()) == [INK]
    assert len(texts(ax)) > 5
    for words, at in texts(ax).items():
        assert words == bits(LINES.preactivations(at) > 0)
    assert texts(ax).keys() == {
        bits(pattern) for pattern, polygon in zip(PLANE.patterns, PLANE.polygons, strict=True) if large(polygon)
    }
    assert ax.get_xlim() == ax.get_ylim() == (-1.5, 1.5) and ax.get_aspect() == 1
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title(loc="left")) == ("y₁", "y₂", "four lines")
    assert curves(ax) == [] and arrows(ax) == []
    assert figure.alt == (
        f"four lines: a square of the plane cut by 4 lines into {PLANE.n_regions} regions, labelled and coloured by "
        "activation pattern."
    )


def large(polygon):
    """Whether a polygon has 1.5 % of the box of width 3, by its triangles."""
    first, *others = polygon
    edges = [other - first for other in others]
    double = sum(a[0] * b[1] - a[1] * b[0] for a, b in zip(edges, edges[1:], strict=False))
    return double / 2 > 0.015 * 9


def test_some_regions_are_too_small_for_their_bits():
    assert not all(large(polygon) for polygon in PLANE.polygons), "else the test above says nothing of them"


def test_the_circle_is_the_unit_circle_and_bits_can_be_left_out():
    figure = plot_plane(PLANE, circle=True, labels=False)
    (circle,) = curves(figure.axes[0])
    np.testing.assert_allclose(np.hypot(*circle.get_data()), 1)
    turned = np.diff(np.unwrap(np.arctan2(*circle.get_data()[::-1])))
    assert turned.max() < 0.02 and turned.sum() == pytest.approx(2 * np.pi)
    assert color_of(circle) == INK
    assert texts(figure.axes[0]) == {}
    assert figure.alt.endswith("activation pattern. The unit circle is drawn in.")


@pytest.mark.parametrize("ray", [(0.3, -0.6), (-2.0, 0.5)])
def test_a_ray_runs_from_the_origin_through_its_point_to_the_edge(ray):
    figure, ax = new_figure()
    assert plot_plane(PLANE, ray=ray, ax=ax) is figure
    ((start, end, color, _),) = arrows(ax)
    assert start == (0, 0) and color == ROLES["x"].light
    assert np.abs(end).max() == pytest.approx(1.5)
    np.testing.assert_allclose(np.array(end) / np.linalg.norm(end), np.array(ray) / np.linalg.norm(ray))
    (dot,) = ax.lines
    assert (*dot.get_xdata(), *dot.get_ydata(), dot.get_marker()) == (0, 0, "o") and color_of(dot) == ROLES["x"].light
    assert figure.alt.endswith(f" A ray leaves the origin towards ({ray[0]:.2f}, {ray[1]:.2f}).")


def test_arrows_point_to_their_places_of_the_unit_circle():
    marks = {"east": 0.0, "up": 1.2, "down": -2.0, "here": 4.0}
    figure = plot_plane(PLANE, marks=marks, labels=False)
    (ax,) = figure.axes
    for (name, angle), arrow, (color, _, line) in zip(marks.items(), arrows(ax), SERIES, strict=True):
        on_circle = np.array([np.cos(angle), np.sin(angle)])
        start, end, *style = arrow
        assert start == (0, 0) and end == pytest.approx(on_circle) and style == [color, line]
        np.testing.assert_allclose(place(text(ax, name)), 0.55 * on_circle)
        assert color_of(text(ax, name)) == color
    assert "; arrow up at 68.8°; arrow down at -114.6°" in figure.alt


CUT = Arrangement([[1.2, 0.5], [-0.4, 1.1], [0.9, -1.0], [-1.5, -0.2]], [0.3, 0.5, -0.2, 0.6])


def test_regions_have_the_colours_of_the_circle_and_are_pale_where_it_never_comes(rng):
    circle, plane = partition_circle(CUT), partition_plane(CUT, half_width=2)
    figure, (left, right) = new_figure(8, 4, ncols=2)
    plot_plane(plane, circle=circle, ax=left)
    plot_arcs(circle, ax=right)
    fills = dict(zip(map(bytes, plane.patterns), hexes(left.collections[0].get_facecolor()), strict=True))
    middles = np.c_[np.cos(circle.midpoints), np.sin(circle.midpoints)]
    for pattern, color in zip(circle.patterns(), colors_at(right.collections[0], 0.97 * middles), strict=True):
        assert fills.pop(bytes(pattern)) == color
    assert set(fills.values()) == {ROLES["unvisited"].light}
    assert "coloured by activation pattern, pale off the unit circle." in figure.alt


def test_more_than_16_patterns_have_two_tones(rng):
    many = Arrangement(rng.normal(size=(14, 2)), 0.3 * rng.normal(size=14))
    figure = plot_plane(partition_plane(many, half_width=2), labels=False)
    points = rng.uniform(-2, 2, size=(300, 2))
    assert fills_of(colors_at(figure.axes[0].collections[0], points), many.preactivations(points) > 0, many=True)
    assert figure.alt.endswith(f"regions, {TONES}.")
    beside = plot_plane(partition_plane(many, half_width=2), labels=False, circle=partition_circle(many))
    assert set(hexes(beside.axes[0].collections[0].get_facecolor())) == {
        ROLES[name].light for name in ("even", "odd", "unvisited")
    }


def test_a_pattern_has_one_colour_in_all_panels():
    figure, axes = new_figure(8, 4, ncols=2)
    shifted = partition_plane(Arrangement(LINES.normals, LINES.offsets + 0.3), half_width=1.5)
    seen = {}
    for plane, ax in zip((PLANE, shifted), axes, strict=True):
        plot_plane(plane, ax=ax)
        for pattern, color in zip(plane.patterns, hexes(ax.collections[0].get_facecolor()), strict=True):
            assert seen.setdefault(bytes(pattern), color) == color
    assert len(set(seen.values())) == len(seen) > 8


def test_bits_stand_beside_a_ray():
    ax = plot_plane(PLANE, ray=(1.0, 0.05)).axes[0]
    beyond = plot_plane(PLANE, ray=(-1.0, -0.05)).axes[0]
    moved = [words for words in texts(ax) if not np.allclose(texts(ax)[words], texts(beyond)[words])]
    for words in moved:
        assert words == bits(LINES.preactivations(texts(ax)[words]) > 0)
    assert moved


def test_a_fifth_arrow_is_refused():
    with pytest.raises(ValueError, match=r"^marks: expected at most 4 arrows, .*, got 5 \(0, 1, 2, 3, 4\)\. "):
        plot_plane(PLANE, marks={str(k): float(k) for k in range(5)})
