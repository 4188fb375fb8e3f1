"""The plane's picture: regions, bits, circle, ray and arrows lie where they were handed over."""

import numpy as np
import pytest
from artists import arrows, color_of, colors_at, hexes, place, text, texts

from lnpoly_helpers import Arrangement, partition_plane
from lnpoly_helpers.plotting import new_figure, plot_plane
from lnpoly_helpers.plotting.style import INK, SERIES, VERMILION, bits, region_colors

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
    assert colors_at(regions, points) == hexes(region_colors(on))
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
        f"four lines: a square of the plane cut by 4 lines into {PLANE.n_regions} regions, coloured and labelled by "
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
    assert start == (0, 0) and color == VERMILION
    assert np.abs(end).max() == pytest.approx(1.5)
    np.testing.assert_allclose(np.array(end) / np.linalg.norm(end), np.array(ray) / np.linalg.norm(ray))
    (dot,) = ax.lines
    assert (*dot.get_xdata(), *dot.get_ydata(), dot.get_marker()) == (0, 0, "o") and color_of(dot) == VERMILION
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
    assert "; an arrow, up, points to 68.8°; an arrow, down, points to -114.6°" in figure.alt


def test_a_fifth_arrow_is_refused():
    with pytest.raises(ValueError, match=r"^marks: expected at most 4 arrows, .*, got 5 \(0, 1, 2, 3, 4\)\. "):
        plot_plane(PLANE, marks={str(k): float(k) for k in range(5)})
