"""Pictures of three residual coordinates: every point, sheet, circle and name stands where it was handed over."""

import numpy as np
import pytest
from artists import circle_about_ones, color_of, covers, drawn, lines_3d, place, project, same_marker, same_points, text
from matplotlib.colors import to_hex

from lnpoly_helpers import normalize
from lnpoly_helpers.plotting import new_figure, plot_fibres, plot_layernorm, plot_points_3d
from lnpoly_helpers.plotting.style import INK, PALE, ROLES, SERIES

POINTS = np.array([[3.0, -1.0, 0.5], [-2.0, 2.5, 1.0], [0.2, 0.4, -2.8], [1.0, 1.5, -0.5], [-0.7, 0.3, 2.0]])
ONES = np.ones(3) / np.sqrt(3)


X, Z = ROLES["x"].light, ROLES["z"].light


def sheets(ax):
    return [item for item in ax.collections if item.__class__.__name__ == "Poly3DCollection"]


def dots(ax):
    return [item for item in ax.collections if item.__class__.__name__ == "Path3DCollection"]


def rings(ax):
    """The lines in space that are closed circles about the ones vector, with their radii."""
    found = []
    for points in lines_3d(ax):
        radius = np.linalg.norm(points[0])
        if len(points) > 10 and covers(points, circle_about_ones(radius), 0.04 * radius):
            found.append(radius)
    return found


def corners(sheet):
    """A sheet's corners as they are shown, without the one that closes it."""
    (path,) = sheet.get_paths()
    return path.vertices[:-1]


def assert_space(ax, limit):
    """The three axes and the ones vector, each named at its end; nothing is stretched or mirrored."""
    assert [ax.get_xlim3d(), ax.get_ylim3d()] == [pytest.approx((-limit, limit))] * 2
    assert np.ptp(ax.get_zlim3d()) == pytest.approx(2 * limit)  # one scale; all is a little lower, below the title
    assert len(set(np.round(ax.get_box_aspect(), 9))) == 1
    for k, name in enumerate(("x₁", "x₂", "x₃")):
        end = 0.95 * limit * np.eye(3)[k]
        assert any(len(line) == 2 and np.allclose(line, [0 * end, end]) for line in lines_3d(ax))
        np.testing.assert_allclose(place(text(ax, name)), 1.06 * end)
    assert any(len(line) == 2 and np.allclose(line, [-limit * ONES, limit * ONES]) for line in lines_3d(ax))
    np.testing.assert_allclose(place(text(ax, "ones")), 1.09 * limit * ONES)


def test_points_in_space_stand_where_they_are_and_the_first_are_numbered():
    figure = drawn(plot_points_3d(POINTS, "cloud", n_marked=2, circle=1.7))
    (ax,) = figure.axes
    assert_space(ax, 3.3)
    small, *marked = dots(ax)
    assert same_points(small.get_offsets(), project(ax, POINTS[2:])) and color_of(small) == X
    assert len(marked) == 2
    for k, dot in enumerate(marked):
        assert same_points(dot.get_offsets(), project(ax, POINTS[[k]])) and color_of(dot) == INK
        np.testing.assert_array_equal(place(text(ax, str(k + 1))), POINTS[k])
        assert dot.get_zorder() < text(ax, str(k + 1)).get_zorder()
    assert rings(ax) == [pytest.approx(1.7)]
    (plane,) = sheets(ax)
    assert covers(corners(plane), project(ax, circle_about_ones(1.1 * 3.3)), 0.03) and color_of(plane) == PALE
    assert plane.get_zorder() < small.get_zorder()
    assert ax.get_title() == "cloud"
    assert figure.alt == (
        "cloud: 5 points in 3-D, 2 of them numbered, and the plane orthogonal to the ones vector. "
        "A circle of radius 1.700 lies in the plane."
    )


def test_points_without_marks_or_circle_in_a_space_of_a_given_size():
    figure = drawn(plot_points_3d(POINTS / 10, "small"))
    (ax,) = figure.axes
    assert_space(ax, 2.0)
    (small,) = dots(ax)
    assert same_points(small.get_offsets(), project(ax, POINTS / 10)) and rings(ax) == []
    assert {text.get_text() for text in ax.texts} == {"x₁", "x₂", "x₃", "ones"}
    assert figure.alt == "small: 5 points in 3-D and the plane orthogonal to the ones vector."
    assert_space(plot_points_3d(POINTS, "wide", limit=7).axes[0], 7)


def test_points_of_the_circle_have_their_own_colour():
    (dot,) = dots(plot_points_3d(normalize(POINTS), "z", role="z").axes[0])
    assert color_of(dot) == Z
    with pytest.raises(ValueError, match="role: expected one of 'x', 'z', got 'y'"):
        plot_points_3d(POINTS, "y", role="y")


def fibres():
    """Five rectangles of the half-planes that belong to five points of the circle."""
    images = normalize([[1, -1, 0.2], [0.3, 0.8, -1.2], [-1, 1, -0.1], [2, 3, 1], [0, 0.1, 1.0]])
    out, up = 1.4 * images, 2.2 * ONES
    return np.stack([-up + 0 * out, -up + out, up + out, up + 0 * out], axis=1), images


def test_every_half_plane_has_its_point_its_letter_and_its_colour():
    halves, images = fibres()
    figure, ax = new_figure(subplot_kw={"projection": "3d"})
    assert plot_fibres(halves, images, ax=ax) is figure
    drawn(figure)
    assert_space(ax, 1.05 * np.abs(halves).max())
    assert rings(ax) == [pytest.approx(np.sqrt(3))]
    assert len(sheets(ax)) == len(dots(ax)) == 5
    for k, (sheet, dot, letter) in enumerate(zip(sheets(ax), dots(ax), "ABCDE", strict=True)):
        marker = SERIES[k % 4][1]
        assert np.allclose(corners(sheet), project(ax, halves[k]))
        assert same_points(dot.get_offsets(), project(ax, images[[k]])) and same_marker(dot, marker)
        assert color_of(sheet) == color_of(text(ax, letter)) == X and color_of(dot) == Z
        np.testing.assert_allclose(place(text(ax, letter)), 1.08 * (halves[k, 1] + halves[k, 2]) / 2)
    assert ax.get_title() == "One half-plane, one point"
    assert figure.alt == (
        "5 half-planes in 3-D, each bounded by the line of the ones vector; each meets the circle in the one point "
        "that all its vectors are sent to. Opposite half-planes have opposite points."
    )


def test_half_planes_beyond_the_letters_or_without_a_point_are_refused():
    halves, images = fibres()
    with pytest.raises(ValueError, match=r"^fibres: expected at most 7 half-planes, .* got 10 .* of their own\.$"):
        plot_fibres(np.tile(halves, (2, 1, 1)), np.tile(images, (2, 1)))
    with pytest.raises(ValueError):
        plot_fibres(halves, images[:-1])


def normed(scale=1.5, offset=0.5):
    x = np.array([1.4, 0.5, -0.7])
    moved = scale * x + offset
    return x, moved, moved - moved.mean(), normalize(moved, eps=0.3), normalize(x)


def test_a_vector_on_its_way_to_the_circle():
    x, moved, centred, z, before = normed()
    figure = drawn(plot_layernorm(x, moved, centred, z, before, limit=4, title="a move"))
    (ax,) = figure.axes
    assert_space(ax, 4)
    assert rings(ax) == [pytest.approx(np.sqrt(3))]
    vector, way = [line for line in ax.lines if line.get_zorder() == 4]
    np.testing.assert_array_equal(np.column_stack(vector.get_data_3d()), [[0, 0, 0], moved])
    np.testing.assert_array_equal(np.column_stack(way.get_data_3d()), [moved, centred, z])
    assert color_of(vector) == X
    plane, sheet = sheets(ax)
    assert covers(corners(plane), project(ax, circle_about_ones(3.6)), 0.03)
    out, up = 3.6 * before / np.sqrt(3), 3.6 * ONES  # the half-plane of all that is sent where x is
    assert np.allclose(corners(sheet), project(ax, [-up, out - up, out + up, up])) and color_of(sheet) == X
    hollow, full, ring, end = dots(ax)
    for dot, point in ((hollow, x), (full, moved), (ring, before), (end, z)):
        assert same_points(dot.get_offsets(), project(ax, [point]))
    assert color_of(hollow) == "#FFFFFF" and color_of(full) == X
    assert len(ring.get_facecolor()) == 0 and to_hex(ring.get_edgecolor()[0]).upper() == INK
    assert color_of(end) == Z and same_marker(end, "D")
    named = (("x", x, -0.6, X), ("a·x + c·1", moved, 0.44, X), ("z", z, 0.44, Z))
    for name, point, shift, color in named:
        np.testing.assert_allclose(place(text(ax, name)), point + [0, 0, shift])
        assert color_of(text(ax, name)) == color
    assert ax.get_title() == "a move"
    assert figure.alt == (
        "a move: a vector in 3-D at (2.60, 1.25, -0.55), the sheet of all vectors that LayerNorm sends to one point, "
        f"and the point that this one is sent to, ({', '.join(f'{v:.2f}' for v in z)}); a ring marks where x is sent, "
        f"({', '.join(f'{v:.2f}' for v in before)})."
    )


def test_a_vector_that_hardly_moves_is_named_once():
    ax = plot_layernorm(*normed(scale=1.01, offset=0.0), limit=4).axes[0]
    assert {"a·x + c·1", "z"} <= {text.get_text() for text in ax.texts}
    assert "x" not in {text.get_text() for text in ax.texts}
