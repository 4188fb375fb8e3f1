"""plane: areas, counts and points, none of which the splitting itself computes."""

import re
from dataclasses import FrozenInstanceError
from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lnpoly_helpers import Arrangement, partition_circle, partition_plane, partition_sphere, pattern_hash


def random_lines(rng, m, spread=0.5):
    angle = rng.uniform(0, 2 * np.pi, m)
    return Arrangement(np.stack([np.cos(angle), np.sin(angle)], axis=1), spread * rng.normal(size=m))


def area(polygon):
    """The shoelace formula; positive for counter-clockwise."""
    (x, y), (next_x, next_y) = polygon.T, np.roll(polygon, -1, axis=0).T
    return 0.5 * np.sum(x * next_y - next_x * y)


def intersections(arrangement):
    pairs = combinations(range(arrangement.n_neurons), 2)
    return np.array([np.linalg.solve(arrangement.normals[[i, j]], -arrangement.offsets[[i, j]]) for i, j in pairs])


def crosses_box(arrangement, half_width):
    corners = half_width * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    on = arrangement.preactivations(corners) > 0
    return on.any(axis=0) & ~on.all(axis=0)


@pytest.mark.parametrize("m", [1, 2, 5, 12, 30])
def test_m_lines_in_general_position_make_1_plus_m_plus_m_choose_2_regions(rng, m):
    arrangement = random_lines(rng, m)
    far = np.abs(intersections(arrangement)).max() if m > 1 else 1.0
    plane = partition_plane(arrangement, half_width=2 * far + 10)
    assert plane.n_regions == 1 + m + comb(m, 2)


@pytest.mark.parametrize("half_width", [0.3, 1.0, 2.0])
def test_in_a_small_box_the_lines_and_intersections_inside_it_count(rng, half_width):
    for _ in range(5):
        arrangement = random_lines(rng, 12)
        inside = (np.abs(intersections(arrangement)) < half_width).all(axis=1).sum()
        expected = 1 + crosses_box(arrangement, half_width).sum() + inside
        assert partition_plane(arrangement, half_width).n_regions == expected


@given(st.lists(st.tuples(*[st.integers(-3, 3)] * 3), min_size=1, max_size=7))
def test_polygons_are_convex_and_tile_the_box(lines):
    """Whole numbers: parallel, equal and concurrent lines, lines through corners, neurons without weight."""
    plane = partition_plane(Arrangement(np.array(lines)[:, :2], np.array(lines)[:, 2]), half_width=2)
    areas = np.array([area(polygon) for polygon in plane.polygons])
    assert (areas > 1e-12).all()
    assert areas.sum() == pytest.approx(16, abs=1e-9)
    for polygon in plane.polygons:
        edges = np.roll(polygon, -1, axis=0) - polygon
        following = np.roll(edges, -1, axis=0)
        assert (edges[:, 0] * following[:, 1] - edges[:, 1] * following[:, 0] > -1e-12).all()
        assert np.abs(polygon).max() <= 2


@pytest.mark.parametrize("m", [1, 4, 15, 30])
def test_every_point_of_a_region_has_its_pattern(rng, m):
    arrangement = random_lines(rng, m)
    plane = partition_plane(arrangement)
    for polygon, pattern, centroid in zip(plane.polygons, plane.patterns, plane.centroids, strict=True):
        points = rng.dirichlet(np.ones(len(polygon)), size=20) @ polygon
        assert (arrangement.preactivations(np.vstack([points, centroid])) > 0).tolist() == [pattern.tolist()] * 21
    assert len(np.unique(plane.patterns, axis=0)) == plane.n_regions  # convex cells: one pattern, one region


def test_a_dense_grid_finds_no_other_pattern(rng):
    arrangement = random_lines(rng, 8)
    ticks = np.linspace(-2, 2, 401)
    grid = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
    found = {row.tobytes() for row in arrangement.preactivations(grid) > 0}
    known = {row.tobytes() for row in partition_plane(arrangement).patterns}
    assert found <= known
    assert len(known) - len(found) <= 3  # a cell smaller than the grid may be missed, many may not


def test_regions_that_share_an_edge_differ_in_the_neuron_of_that_edge(rng):
    arrangement = random_lines(rng, 9)
    plane = partition_plane(arrangement)
    n_shared = 0
    for (p, on_p), (q, on_q) in combinations(list(zip(plane.polygons, plane.patterns, strict=True)), 2):
        for a, b in zip(p, np.roll(p, -1, axis=0), strict=True):
            for c, d in zip(q, np.roll(q, -1, axis=0), strict=True):
                if np.allclose(a, d, atol=1e-9) and np.allclose(b, c, atol=1e-9):  # once each way round
                    n_shared += 1
                    (neuron,) = np.flatnonzero(on_p != on_q)
                    assert abs(arrangement.preactivations((a + b) / 2)[neuron]) < 1e-9
    inside = (np.abs(intersections(arrangement)) < 2).all(axis=1).sum()
    assert n_shared == crosses_box(arrangement, 2).sum() + 2 * inside  # each intersection adds an edge to both lines


@pytest.mark.parametrize(
    "normals, offsets, n_regions",
    [
        ([[1, 0], [0, 1], [1, 1], [1, -1]], [0, 0, 0, 0], 8),  # all through one point
        ([[1, 0]] * 4, [-1, 0, 0.5, 1], 5),  # parallel
        ([[1, 2], [2, 4], [-1, -2]], [0.1, 0.2, -0.1], 2),  # three times the same line
        ([[1, 0], [0, 0], [0, 0]], [0, 1, -1], 2),  # neurons without weight
        ([[1, 0], [0, 1]], [2, -2], 1),  # along the edges of the box
        ([[1, 0], [0, 1]], [5, 5], 1),  # outside the box
    ],
)
def test_special_positions(normals, offsets, n_regions):
    plane = partition_plane(Arrangement(normals, offsets), half_width=2)
    assert plane.n_regions == n_regions
    assert sum(map(area, plane.polygons)) == pytest.approx(16)


# --- patterns, asked for as on the circle and the sphere ---


def test_patterns_are_an_array_that_can_be_called(rng):
    plane = partition_plane(random_lines(rng, 6))
    expected = plane.arrangement.preactivations(plane.centroids) > 0
    np.testing.assert_array_equal(plane.patterns, expected)
    np.testing.assert_array_equal(plane.patterns(), expected)
    np.testing.assert_array_equal(plane.patterns([3, 0, 3]), expected[[3, 0, 3]])
    np.testing.assert_array_equal(plane.patterns(2), expected[[2]])
    np.testing.assert_array_equal(plane.patterns[2:4, ::2], expected[2:4, ::2])
    assert [bytes(row) for row in plane.patterns] == [bytes(row) for row in expected]
    assert len(plane.patterns) == plane.n_regions and plane.patterns.shape == expected.shape
    for plain in (plane.patterns(), plane.patterns([1]), plane.patterns[0], plane.patterns[:2], ~plane.patterns):
        assert type(plain) is np.ndarray
    assert plane.patterns.sum() == expected.sum()
    assert (plane.patterns == expected).all() and (expected ^ plane.patterns).sum() == 0


@pytest.mark.parametrize("make", [partition_circle, partition_plane, partition_sphere])
def test_circle_sphere_and_plane_are_asked_alike(rng, make):
    k = 3 if make is partition_sphere else 2
    partition = make(Arrangement(rng.normal(size=(5, k)), 0.3 * rng.normal(size=5)))
    patterns = partition.patterns()
    assert patterns.dtype == bool and patterns.shape[1] == partition.n_neurons == 5
    np.testing.assert_array_equal(partition.patterns([2, 0]), patterns[[2, 0]])
    np.testing.assert_array_equal(partition.hashes(), pattern_hash(patterns))
    assert partition.n_patterns == len(np.unique(patterns, axis=0))
    counts = re.fullmatch(rf"{type(partition).__name__}\(((n_\w+=\d+)(, )?)+\)", repr(partition))
    assert counts and f"n_neurons={partition.n_neurons}" in repr(partition) and len(repr(partition)) < 80
    for name, value in re.findall(r"(n_\w+)=(\d+)", repr(partition)):
        assert getattr(partition, name) == int(value)
    for wrong in (-1, len(patterns), [0.0], [[0]], "a"):
        with pytest.raises(ValueError, match=f"expected integers 0 to {len(patterns) - 1}"):
            partition.patterns(wrong)


def test_a_partition_is_frozen(rng):
    plane = partition_plane(random_lines(rng, 3))
    with pytest.raises(FrozenInstanceError):
        setattr(plane, "half_width", 3)  # noqa: B010
    assert not plane.patterns.flags.writeable, "patterns can be written to"
    assert not any(polygon.flags.writeable for polygon in plane.polygons), "a polygon can be written to"
