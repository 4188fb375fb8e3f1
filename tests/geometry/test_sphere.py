"""sphere: against exact integers, polygons, Monte Carlo, a flood fill and direct evaluation of the layer."""

from dataclasses import FrozenInstanceError, fields
from fractions import Fraction
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import random_mlp

from lnpoly_helpers import (
    Arrangement,
    count_faces,
    lift,
    n_regions,
    partition_sphere,
    pattern_hash,
    restrict,
    slice_basis,
)
from lnpoly_helpers.geometry._faces import face_of_curves
from lnpoly_helpers.geometry._small_circles import components

WHOLE = 4 * np.pi


def directions(rng, n, dimension=3):
    y = rng.normal(size=(n, dimension))
    return y / np.linalg.norm(y, axis=1, keepdims=True)


def caps(*axes_and_angles):
    """An arrangement out of (axis, angular radius): each neuron is on inside its cap."""
    axes = np.array([axis for axis, _ in axes_and_angles], dtype=float)
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    return Arrangement(axes, [-np.cos(angle) for _, angle in axes_and_angles])


def random_caps(rng, n, largest):
    """Caps of random size; small ones hardly meet, so that the circles fall into many components."""
    axes, angles = directions(rng, n), rng.uniform(0.02, largest, size=n)
    sides, lengths = rng.choice([-1, 1], size=n), 10 ** rng.uniform(-2, 2, size=n)
    return Arrangement(axes * (sides * lengths)[:, None], -np.cos(angles) * sides * lengths)


def solid_angle(curve):
    """Solid angle to the left of a closed polygon, up to a multiple of 4 pi: a fan of triangles (Van Oosterom 1983)."""
    apex = np.array([0.48, -0.6, 0.64])
    p, q = curve, np.roll(curve, -1, axis=0)
    volume = np.linalg.det(np.stack([np.broadcast_to(apex, p.shape), p, q], axis=1))
    return 2 * np.arctan2(volume, 1 + p @ apex + q @ apex + (p * q).sum(axis=1)).sum()


def polygon_area(partition, face, step=2e-3):
    return sum(solid_angle(curve) for curve in partition.outline(face, step=step)) % WHOLE


def arc_turns(partition):
    """By how much each arc turns about its circle's axis."""
    by_circle = [partition.angles[lo:hi] for lo, hi in pairwise(partition.starts)]
    return np.concatenate([np.empty(0), *(np.diff(angles, append=angles[0] + 2 * np.pi) for angles in by_circle)])


def assert_consistent(partition):
    """What holds for every partition, whatever the circles."""
    n, arrangement = partition.n_faces, partition.arrangement
    assert n == count_faces(arrangement, check_all=True)
    assert partition.areas.shape == (n,)
    assert partition.areas.min() > -1e-12
    assert partition.areas.sum() == pytest.approx(WHOLE, abs=1e-9)
    patterns = partition.patterns()
    np.testing.assert_array_equal(partition.hashes(), pattern_hash(patterns))
    assert partition.n_patterns == len(np.unique(np.packbits(patterns, axis=1), axis=0)) <= n
    off, on = partition.arc_faces.T
    differing = patterns[off] != patterns[on]
    neurons = partition.circles.neurons[partition.arc_circles]
    np.testing.assert_array_equal(np.nonzero(differing), [np.arange(partition.n_arcs), neurons])
    assert patterns[on, neurons].all() and not patterns[off, neurons].any()
    assert arc_turns(partition).min(initial=1) > 0
    np.testing.assert_array_equal(np.unique(partition.arc_faces), np.arange(n) if len(partition.circles) else [])
    return patterns


# --- objects whose answer is known ---


def test_coordinate_planes_cut_eight_octants():
    partition = partition_sphere(Arrangement(np.eye(3), np.zeros(3)))
    patterns = assert_consistent(partition)
    assert (partition.n_faces, partition.n_patterns, partition.n_vertices, partition.n_arcs) == (8, 8, 6, 12)
    np.testing.assert_allclose(partition.areas, np.pi / 2, atol=1e-14)
    for face, pattern in enumerate(patterns):
        others, neurons = partition.neighbours(face)
        assert sorted(neurons) == [0, 1, 2]
        for other, neuron in zip(others, neurons, strict=True):
            np.testing.assert_array_equal(np.flatnonzero(patterns[other] != pattern), [neuron])


@pytest.mark.parametrize("n", [1, 2, 3, 4, 10, 40, 100])
def test_great_circles_cut_as_many_faces_as_schlaefli_says(rng, n):
    partition = partition_sphere(Arrangement(rng.normal(size=(n, 3)), np.zeros(n)))
    assert_consistent(partition)
    assert partition.n_faces == partition.n_patterns == n_regions(n, 2) == n * n - n + 2
    areas = np.sort(partition.areas)
    np.testing.assert_allclose(areas[::2], areas[1::2], atol=1e-12)  # every face has its antipode


def test_nothing_to_cut():
    partition = partition_sphere(Arrangement([[0, 0, 1], [0, 1, 0], [0, 0, 0], [0, 0, 0]], [2, -2, 1, 0]))
    assert (partition.n_faces, partition.n_patterns, partition.n_arcs, partition.n_components) == (1, 1, 0, 0)
    np.testing.assert_array_equal(assert_consistent(partition), [[True, False, True, False]])
    np.testing.assert_allclose(partition.areas, [WHOLE])
    assert partition.boundary(0) == partition.outline(0) == []
    others, neurons = partition.neighbours(0)
    assert len(others) == len(neurons) == 0
    np.testing.assert_array_equal(partition.patterns([0, 0]), [[True, False, True, False]] * 2)


@pytest.mark.parametrize("angle", [1e-4, 0.3, np.pi / 2, 3.0])
def test_one_circle_bounds_two_caps(rng, angle):
    partition = partition_sphere(caps((directions(rng, 1)[0], angle)))
    patterns = assert_consistent(partition)
    on = int(np.flatnonzero(patterns[:, 0])[0])
    assert partition.areas[on] == pytest.approx(2 * np.pi * (1 - np.cos(angle)), abs=1e-14)
    [(neurons, start, stop)] = partition.boundary(on)
    assert neurons.tolist() == [0] and (stop - start).tolist() == [2 * np.pi]
    [(_, start, stop)] = partition.boundary(1 - on)
    assert (stop - start).tolist() == [-2 * np.pi]


def test_lunes_and_a_triangle(rng):
    a, b, c = directions(rng, 3)
    lunes = partition_sphere(Arrangement([a, b], [0, 0]))
    angle = np.arccos(a @ b)
    expected = np.sort([2 * angle, 2 * angle, 2 * (np.pi - angle), 2 * (np.pi - angle)])
    np.testing.assert_allclose(np.sort(lunes.areas), expected, atol=1e-13)
    partition = partition_sphere(Arrangement([a, b, c], np.zeros(3)))
    corners = [np.cross(b, c), np.cross(c, a), np.cross(a, b)]
    corners = [v / np.linalg.norm(v) * np.sign(np.linalg.det([a, b, c])) for v in corners]  # all three neurons on
    excess = abs(solid_angle(np.array(corners)))
    all_on = partition.patterns().all(axis=1)
    assert partition.areas[all_on][0] == pytest.approx(excess, abs=1e-13)


@pytest.mark.parametrize("radius, other, distance", [(0.5, 0.4, 0.3), (1, 1.2, 0.9), (0.1, 0.1, 0.15), (2, 0.7, 1.9)])
def test_two_caps_overlap_in_what_a_fine_integral_finds(radius, other, distance):
    """Around the first axis, rings of the first cap lie in the second on an arc of half-width arccos(...)."""
    theta = (np.arange(200_000) + 0.5) * radius / 200_000
    cosine = (np.cos(other) - np.cos(theta) * np.cos(distance)) / (np.sin(theta) * np.sin(distance))
    overlap = (2 * np.arccos(np.clip(cosine, -1, 1)) * np.sin(theta)).mean() * radius
    partition = partition_sphere(caps(([0, 0, 1], radius), ([np.sin(distance), 0, np.cos(distance)], other)))
    both = partition.areas[partition.patterns().all(axis=1)]
    assert both.sum() == pytest.approx(overlap, abs=1e-7)
    assert_consistent(partition)


def test_a_pattern_is_not_a_face():
    """A beam of square section meets the sphere at both ends: 10 faces, 9 patterns."""
    beam = Arrangement([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0]], [0.3] * 4)
    partition = partition_sphere(beam)
    patterns = assert_consistent(partition)
    assert (partition.n_faces, partition.n_patterns) == (10, 9)
    ends = partition.areas[patterns.all(axis=1)]
    assert len(ends) == 2 and ends[0] == pytest.approx(ends[1], abs=1e-14)


# --- several components ---


def nested(rng):
    return caps(*[([0.1, 0.2, 1], angle) for angle in (0.2, 0.5, 0.9, 1.4, 2.2, 2.9)])


def islands(rng):
    return caps(*[(axis, 0.3) for axis in np.vstack([np.eye(3), -np.eye(3)])], ([0, 0, 1], 0.15), ([0.2, 0, -1], 0.05))


def moats(rng):
    """Two crossing circles, alone inside a ring, that other crossing pairs surround."""
    ring = [([0, 0, 1], 0.8), ([0, 0, 1], 1.0)]
    inner = [([0.2, 0, 1], 0.3), ([-0.2, 0, 1], 0.3), ([0, 0.05, 1], 0.05)]
    outer = [([1, 0.3, -1], 0.35), ([1, -0.3, -1], 0.35), ([-1, 0, -1], 0.4), ([-1, 0, -0.8], 0.1)]
    return caps(*ring, *inner, *outer)


def chain_round_a_hole(rng):
    """Twelve circles linked to a closed chain: the two sides of it are different faces with the same pattern."""
    angle = np.arange(12) * np.pi / 6
    return caps(*[([np.cos(t), np.sin(t), 0.1], 0.3) for t in angle], ([0, 0, 1], 0.4), ([0.3, 0.1, -1], 0.2))


SCENES = [(nested, 7, 6), (islands, 9, 8), (moats, 12, 7), (chain_round_a_hole, 28, 3)]


@pytest.mark.parametrize("scene, n_faces, n_components", SCENES)
def test_scenes_with_several_components(rng, scene, n_faces, n_components):
    partition = partition_sphere(scene(rng))
    assert_consistent(partition)
    assert (partition.n_faces, partition.n_components) == (n_faces, n_components)
    curves = [len(partition.boundary(face)) for face in range(n_faces)]
    assert sum(curves) - n_faces == n_components - 1
    for face in range(n_faces):
        assert polygon_area(partition, face) == pytest.approx(partition.areas[face], abs=1e-5)


@pytest.mark.parametrize("turn", range(3))
@pytest.mark.parametrize("scene, n_faces, n_components", SCENES)
def test_a_flood_fill_finds_the_same_faces(rng, scene, n_faces, n_components, turn):
    arrangement = scene(rng)
    rotation = np.linalg.qr(rng.normal(size=(3, 3, 3))[turn])[0]
    arrangement = Arrangement(arrangement.normals @ rotation, arrangement.offsets)
    partition = partition_sphere(arrangement)
    areas = flood_fill(arrangement, 300)
    assert partition.n_faces == len(areas) == n_faces
    np.testing.assert_allclose(np.sort(partition.areas), np.sort(areas), atol=0.02)


@pytest.mark.parametrize("scene, n_faces, n_components", SCENES)
def test_the_face_at_a_point_has_its_pattern_and_as_many_points_as_its_area_says(rng, scene, n_faces, n_components):
    """Faces that share a pattern are told apart by how many random points fall into each."""
    arrangement, n = scene(rng), 6000
    partition, points = partition_sphere(arrangement), rng.normal(size=(n, 3))
    faces = np.array([partition.face_at(point) for point in points])
    unit = points / np.linalg.norm(points, axis=1, keepdims=True)
    assert (partition.patterns(faces) == (arrangement.preactivations(unit) > 0)).all()
    expected = n * partition.areas / WHOLE
    assert (np.abs(np.bincount(faces, minlength=n_faces) - expected) < 5 * np.sqrt(expected) + 3).all()


def test_the_face_at_a_point_without_circles_and_without_a_direction():
    assert partition_sphere(Arrangement(np.eye(3), [5, 5, 5])).face_at([0, 2, 0]) == 0
    with pytest.raises(ValueError, match="point: expected one with a direction, got zero"):
        partition_sphere(Arrangement(np.eye(3), np.zeros(3))).face_at([0, 0, 0])


def flood_fill(arrangement, n):
    """Areas of the connected sets of equal pattern on a grid of n rings of 2 n cells, but for specks at sharp tips."""
    theta, phi = np.meshgrid((np.arange(n) + 0.5) * np.pi / n, (np.arange(2 * n) + 0.5) * np.pi / n, indexing="ij")
    y = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], axis=-1)
    color = pattern_hash(arrangement.preactivations(y) > 0)[..., 0]
    label = np.arange(2 * n * n).reshape(n, 2 * n)
    label[[0, -1]] = label[[0, -1], :1]  # the rings at the poles are taken as one cell each
    color[[0, -1]] = color[[0, -1], :1]
    before = None
    while before is None or (label != before).any():
        before = label.copy()
        for axis, shift in [(0, 1), (0, -1), (1, 1), (1, -1)]:
            alike = np.roll(color, shift, axis) == color
            if axis == 0:
                alike[0 if shift == 1 else -1] = False
            label = np.where(alike, np.minimum(label, np.roll(label, shift, axis)), label)
        label = label.reshape(-1)[label]  # jump to the label's own label
    cell = np.unique(label, return_inverse=True)[1].reshape(-1)
    areas = np.bincount(cell, weights=np.sin(theta).reshape(-1)) * (np.pi / n) ** 2
    return areas[areas > 1e-3]


def labels_by_flood(n, pairs):
    """The least member of everyone's component, by passing it on until nothing changes."""
    label = np.arange(n)
    while True:
        before = label.copy()
        for i, j in pairs:
            label[i] = label[j] = min(label[i], label[j])
        if (label == before).all():
            return label


@given(st.integers(0, 2**32 - 1), st.integers(1, 200), st.sampled_from([0, 0.3, 0.9, 1.5, 4]))
def test_components_are_what_a_flood_finds_numbered_by_their_first_members(seed, n, degree):
    rng = np.random.default_rng(seed)
    crosses = np.triu(rng.random((n, n)) < degree / n, 1)
    if seed % 3 == 0:  # one circle that crosses many
        crosses[rng.integers(n)] |= rng.random(n) < 0.6
        crosses = np.triu(crosses, 1)
    expected = np.unique(labels_by_flood(n, np.argwhere(crosses)), return_inverse=True)[1]
    np.testing.assert_array_equal(components(crosses | crosses.T), expected)


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(0, 30))
def test_faces_of_curves_are_what_a_flood_finds(seed, n_curves, n_pairs):
    rng = np.random.default_rng(seed)
    curve_of = rng.permutation(np.r_[np.arange(n_curves), rng.integers(n_curves, size=50)])
    pairs = [(int(a), int(b)) for a, b in zip(*rng.integers(-1, len(curve_of), size=(2, n_pairs)), strict=True)]
    numbers = [[n_curves if edge < 0 else curve_of[edge] for edge in pair] for pair in pairs]
    expected = np.unique(labels_by_flood(n_curves + 1, numbers)[:-1], return_inverse=True)[1]
    np.testing.assert_array_equal(face_of_curves(n_curves, curve_of, pairs), expected)


def test_many_islands_and_one_ring(rng):
    """Thousands of faces, most of them in one curve's inside, joined along paths to the pole."""
    arrangement = random_caps(rng, 400, 0.12)
    partition = partition_sphere(arrangement)
    assert partition.n_components > 20
    assert partition.n_faces == count_faces(arrangement) == 1 + partition.n_components + partition.n_vertices
    assert partition.areas.sum() == pytest.approx(WHOLE, abs=1e-9)
    assert_consistent(partition)


def test_nothing_says_more_than_its_counts(rng):
    partition = partition_sphere(Arrangement(rng.normal(size=(40, 3)), np.zeros(40)))
    assert repr(partition) == "SpherePartition(n_faces=1562, n_arcs=3120, n_vertices=1560, n_neurons=40)"
    assert repr(partition.circles) == "Circles(n_circles=40)"


# --- random circles ---


@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.sampled_from([0.1, 0.3, 0.6, 1.5, 3.0]))
def test_euler_areas_patterns_and_adjacency_on_random_circles(seed, n, largest):
    rng = np.random.default_rng(seed)
    partition = partition_sphere(random_caps(rng, n, largest))
    patterns = assert_consistent(partition)
    assert partition.n_faces == 1 + partition.n_components + partition.n_vertices
    some = rng.choice(partition.n_faces, size=min(5, partition.n_faces), replace=False)
    for face in some:
        assert polygon_area(partition, face) == pytest.approx(partition.areas[face], abs=1e-4)
        others, neurons = partition.neighbours(face)
        np.testing.assert_array_equal((patterns[others] != patterns[face]).nonzero(), [np.arange(len(others)), neurons])


@pytest.mark.parametrize("n, largest", [(3, 3.0), (8, 1.5), (25, 0.6), (60, 0.3), (12, 3.0)])
def test_areas_are_what_monte_carlo_finds_and_no_pattern_is_missed(rng, n, largest):
    n_points = 200_000
    partition = partition_sphere(random_caps(rng, n, largest))
    assert_consistent(partition)
    y = directions(rng, n_points)
    found, counts = np.unique(pattern_hash(partition.arrangement.preactivations(y) > 0), axis=0, return_counts=True)
    exact, face_pattern = np.unique(partition.hashes(), axis=0, return_inverse=True)
    share = np.bincount(face_pattern.reshape(-1), weights=partition.areas) / WHOLE
    sampled = {tuple(row): count for row, count in zip(found.tolist(), counts, strict=True)}
    assert set(sampled) <= {tuple(row) for row in exact.tolist()}
    counts = np.array([sampled.get(tuple(row), 0) for row in exact.tolist()])
    spread = np.sqrt(n_points * share * (1 - share)) + 1
    assert np.abs(counts - n_points * share).max() < 6 * spread.max()
    assert (np.abs(counts - n_points * share) < 6 * spread).all()
    coarse = share > 2e-4
    assert (counts[coarse] > 0).all() and coarse.any()


@pytest.mark.parametrize("largest", [0.4, 3.0])
def test_boundary_is_a_closed_walk_with_the_face_on_its_left(rng, largest):
    partition = partition_sphere(random_caps(rng, 15, largest))
    circle_of = {int(neuron): k for k, neuron in enumerate(partition.circles.neurons)}
    patterns = partition.patterns()
    n_edges = 0
    for face in range(partition.n_faces):
        for neurons, starts, stops in partition.boundary(face):
            n_edges += len(neurons)
            circles = np.array([circle_of[int(neuron)] for neuron in neurons])
            begin, end = partition.circles.points(circles, starts), partition.circles.points(circles, stops)
            np.testing.assert_allclose(end, np.roll(begin, -1, axis=0), atol=1e-11)
            np.testing.assert_array_equal(stops > starts, patterns[face, neurons])
            middle = partition.circles.points(circles, (starts + stops) / 2)
            length = np.abs(stops - starts) * partition.circles.radii[circles]
            inward = partition.circles.axes[circles] * np.where(stops > starts, 1, -1)[:, None]
            inside = middle + 1e-3 * np.minimum(length, 1)[:, None] ** 2 * inward
            inside /= np.linalg.norm(inside, axis=1, keepdims=True)
            on = partition.arrangement.preactivations(inside) > 0
            assert (on[length > 1e-3] == patterns[face]).all()
    assert n_edges == 2 * partition.n_arcs  # every arc has two sides


def test_outline_stays_on_the_circles_at_the_step_asked_for(rng):
    partition = partition_sphere(random_caps(rng, 6, 1.5))
    for face in range(partition.n_faces):
        for curve in partition.outline(face, step=0.1):
            np.testing.assert_allclose(np.linalg.norm(curve, axis=1), 1, atol=1e-14)
            assert np.abs(partition.arrangement.preactivations(curve)).min(axis=1).max() < 1e-12
            assert np.linalg.norm(curve - np.roll(curve, -1, axis=0), axis=1).max() < 0.1


def test_vertices_lie_on_two_circles_each(rng):
    arrangement = Arrangement(directions(rng, 12), rng.uniform(-0.8, 0.8, size=12))
    height = np.sort(np.abs(arrangement.preactivations(partition_sphere(arrangement).vertices())), axis=1)
    assert height[:, 1].max() < 1e-13
    assert height[:, 2].min() > 1e-9


def test_turning_the_sphere_or_scaling_a_weight_changes_nothing(rng):
    arrangement = random_caps(rng, 20, 1.0)
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    scale = 10 ** rng.uniform(-200, 200, size=20)
    before = partition_sphere(arrangement)
    for changed in (
        Arrangement(arrangement.normals @ rotation, arrangement.offsets),
        Arrangement(arrangement.normals * scale[:, None], arrangement.offsets * scale),
    ):
        after = partition_sphere(changed)
        assert (after.n_faces, after.n_patterns) == (before.n_faces, before.n_patterns)
        np.testing.assert_allclose(np.sort(after.areas), np.sort(before.areas), atol=1e-12)


@pytest.mark.parametrize("kind", ["layernorm", "rmsnorm"])
def test_a_slice_of_a_layer_has_the_layers_own_patterns(rng, kind):
    mlp = random_mlp(rng, 96, 40, kind=kind)
    basis = slice_basis(rng.normal(size=(3, 96)), kind=kind)
    partition = partition_sphere(restrict(mlp, basis))
    assert_consistent(partition)
    exact = {tuple(row) for row in partition.hashes().tolist()}
    patterns = mlp.preactivations(lift(basis, directions(rng, 50_000))) > 0
    sampled = {tuple(row) for row in pattern_hash(patterns).tolist()}
    assert sampled <= exact
    assert len(sampled) > len(exact) / 2


def test_large_partitions_are_consistent(rng):
    partition = partition_sphere(Arrangement(rng.normal(size=(300, 3)), 0.5 * rng.normal(size=300)))
    assert partition.n_faces == count_faces(partition.arrangement)
    assert partition.areas.sum() == pytest.approx(WHOLE, abs=1e-9)
    some = rng.choice(partition.n_faces, size=2000, replace=False)
    np.testing.assert_array_equal(pattern_hash(partition.patterns(some)), partition.hashes()[some])
    off, on = partition.arc_faces.T
    assert len(np.unique(np.r_[off, on])) == partition.n_faces


def test_long_curves_are_traced_in_time(rng):
    """A thousand small caps that all cross one great circle and nothing else: two curves of a thousand arcs."""
    angle = np.arange(1000) * 2 * np.pi / 1000
    partition = partition_sphere(caps(([0, 0, 1], np.pi / 2), *[([np.cos(t), np.sin(t), 0], 1e-3) for t in angle]))
    assert partition.n_faces == count_faces(partition.arrangement) == 2002
    assert np.bincount(partition.arc_faces.reshape(-1)).max() == 2000


# --- exact integers ---


def exact_structure(normals, offsets):
    """Crossing pairs, number of components and every degenerate set of boundaries, in exact arithmetic."""
    n = [[int(v) for v in row] for row in normals]
    b = [int(v) for v in offsets]
    dot = lambda p, q: sum(x * y for x, y in zip(p, q, strict=True))  # noqa: E731
    cross = lambda p, q: [p[1] * q[2] - p[2] * q[1], p[2] * q[0] - p[0] * q[2], p[0] * q[1] - p[1] * q[0]]  # noqa: E731
    square = [dot(row, row) for row in n]
    degenerate: set[tuple[int, ...]] = {(i,) for i in range(len(n)) if square[i] == b[i] ** 2 > 0}
    cuts = [i for i in range(len(n)) if square[i] > b[i] ** 2]
    pairs = []
    for i, j in combinations(cuts, 2):
        room = (square[i] - b[i] ** 2) * (square[j] - b[j] ** 2) - (dot(n[i], n[j]) - b[i] * b[j]) ** 2
        if room == 0:
            degenerate.add((i, j))
        elif room > 0:
            pairs.append((i, j))
    for i, j, k in combinations(cuts, 3):
        if not {(i, j), (i, k), (j, k)} <= set(pairs):
            continue
        volume = dot(n[i], cross(n[j], n[k]))
        if volume:  # one common point of the planes: is it on the sphere?
            parts = [[-b[p] * v for v in cross(n[q], n[r])] for p, q, r in [(i, j, k), (j, k, i), (k, i, j)]]
            terms = zip(*parts, strict=True)
            if sum(Fraction(sum(term), volume) ** 2 for term in terms) == 1:
                degenerate.add((i, j, k))
        else:  # normals in one plane: the planes share a line iff the offsets fit
            w = cross(n[i], n[j])
            along_i, along_j = dot(n[k], cross(n[j], w)), dot(n[k], cross(w, n[i]))
            if dot(w, w) * b[k] == along_i * b[i] + along_j * b[j]:
                degenerate.add((i, j, k))
    groups = [{i} for i in cuts]
    for i, j in pairs:
        merged = set().union(*(g for g in groups if g & {i, j}))
        groups = [g for g in groups if not g & {i, j}] + [merged]
    return pairs, len(groups), degenerate


@pytest.mark.parametrize("size", [1, 2, 3, 10, 1000])
def test_counts_and_degeneracies_are_those_of_exact_arithmetic(rng, size):
    outcomes = {True: 0, False: 0}
    for _ in range(200):
        n = int(rng.integers(2, 7))
        normals = rng.integers(-size, size + 1, size=(n, 3))
        offsets = rng.integers(-size, size + 1, size=n)
        pairs, n_components, degenerate = exact_structure(normals, offsets)
        outcomes[bool(degenerate)] += 1
        arrangement = Arrangement(normals, offsets)
        if degenerate:
            with pytest.raises(ValueError, match="general position") as error:
                partition_sphere(arrangement)
            named = str(error.value).split("of neuron")[1].split(", which")[0].lstrip("s ")
            assert tuple(int(i) for i in named.split(",")) in degenerate
            with pytest.raises(ValueError, match="general position"):
                count_faces(arrangement)
            continue
        partition = partition_sphere(arrangement)
        assert_consistent(partition)
        assert partition.n_vertices == 2 * len(pairs)
        assert partition.n_components == n_components
        assert partition.n_faces == 1 + n_components + 2 * len(pairs)
    assert outcomes[False] > 20 and (outcomes[True] > 20 or size > 3)


# --- degenerate ---


@pytest.mark.parametrize("side", [1, -1])
def test_coincident_circles_are_named(rng, side):
    arrangement = random_caps(rng, 6, 1.0)
    normals, offsets = arrangement.normals.copy(), arrangement.offsets.copy()
    normals[4], offsets[4] = side * 3.7 * normals[1], side * 3.7 * offsets[1]
    for function in (partition_sphere, count_faces):
        with pytest.raises(ValueError, match="neurons 1, 4, which coincide"):
            function(Arrangement(normals, offsets))


def test_touching_circles_are_named(rng):
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    for inner, distance in [(0.4, 0.9), (0.4, 0.1)]:
        scene = caps(([0, 0, 1], 0.5), ([1, 0.3, 0], 0.2), ([0, np.sin(distance), np.cos(distance)], inner))
        scene = Arrangement(scene.normals @ rotation, scene.offsets)
        for function in (partition_sphere, count_faces):
            with pytest.raises(ValueError, match="neurons 0, 2, which touch"):
                function(scene)


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_boundary_that_touches_the_sphere_is_named(sign):
    for function in (partition_sphere, count_faces):
        with pytest.raises(ValueError, match="neuron 1, which only touches the sphere"):
            function(Arrangement([[1, 2, 3], [0.3, 0.4, 1.2]], [0, sign * 1.3]))


def test_three_circles_through_one_point_are_named(rng):
    for _ in range(200):
        point = directions(rng, 1)[0]
        normals = rng.normal(size=(5, 3))
        normals[[0, 2, 4]] += 10 ** rng.uniform(-2, 2) * point
        offsets = rng.normal(size=5) * 0.3
        offsets[[0, 2, 4]] = -normals[[0, 2, 4]] @ point
        for function in (partition_sphere, count_faces):
            with pytest.raises(ValueError, match="neurons 0, 2, 4, which pass through one point"):
                function(Arrangement(normals, offsets))


def test_close_to_degenerate_is_still_counted(rng):
    """Three circles through one point but for 1e-9: whichever way they miss it, a tiny triangle appears."""
    for _ in range(50):
        point, normals = directions(rng, 1)[0], rng.normal(size=(3, 3))
        offsets = -normals @ point + 1e-9 * rng.choice([-1, 1], size=3)
        partition = partition_sphere(Arrangement(normals, offsets))
        assert_consistent(partition)
        assert partition.n_faces == 8 and partition.areas.min() < 1e-12


def test_a_large_arrangement_is_searched_in_part_or_on_demand(rng):
    normals, offsets = rng.normal(size=(500, 3)), 0.1 * rng.normal(size=500)
    everywhere = normals.copy()
    everywhere[:, 2] = 0  # all great circles through both poles: any part of them shows it
    with pytest.raises(ValueError, match="one point"):
        count_faces(Arrangement(everywhere, np.zeros(500)))
    odd = [11, 17, 23]
    offsets[odd] = -normals[odd] @ [0.6, 0.0, 0.8]
    with pytest.raises(ValueError, match="neurons 11, 17, 23, which pass through one point"):
        count_faces(Arrangement(normals, offsets), check_all=True)


# --- n_regions ---


def regions_by_recursion(m, k):
    """Each new sphere cuts as many regions in two as it is itself cut into: R(m, k) = R(m-1, k) + R(m-1, k-1)."""
    if m == 0:
        return 1
    return 2 if m == 1 or k == 0 else regions_by_recursion(m - 1, k) + regions_by_recursion(m - 1, k - 1)


def test_n_regions_is_its_recursion():
    for m in range(12):
        for k in range(1, 7):
            assert n_regions(m, k) == regions_by_recursion(m, k)
    assert [n_regions(m, 1) for m in range(5)] == [1, 2, 4, 6, 8]
    assert n_regions(5, 100) == 2**5


def test_n_regions_is_exact_for_a_whole_layer():
    total = n_regions(3072, 766)
    assert isinstance(total, int) and len(str(total)) == 748
    assert total - n_regions(3071, 766) == n_regions(3071, 765)


@pytest.mark.parametrize("m, k", [(4, 2), (5, 2), (5, 3), (6, 4)])
def test_n_regions_is_what_sampling_finds_when_the_hypothesis_holds(rng, m, k):
    normals = rng.normal(size=(m, k + 1))
    y = directions(rng, 300_000, k + 1)
    for offsets in (np.zeros(m), 0.01 * rng.normal(size=m)):
        patterns = np.packbits(y @ normals.T + offsets > 0, axis=1)
        assert len(np.unique(patterns)) <= n_regions(m, k)
        if not offsets.any():
            assert len(np.unique(patterns)) > 0.9 * n_regions(m, k)


def test_small_circles_that_all_cross_cut_as_many_faces_as_great_ones_and_others_fewer(rng):
    normals, offsets = directions(rng, 25), rng.normal(size=25)
    counts = [count_faces(Arrangement(normals, size * offsets)) for size in (0, 1e-3, 0.1, 0.3, 0.5, 3)]
    assert counts[:2] == [n_regions(25, 2)] * 2  # every two planes meet in the ball
    assert counts == sorted(counts, reverse=True)
    assert counts[3] < n_regions(25, 2)
    parallel = Arrangement([[0, 0, 1], [0, 0, 1]], [0.3, -0.3])
    assert count_faces(parallel) == 3 < n_regions(2, 2) == 4


# --- bad input ---


@pytest.mark.parametrize("function", [partition_sphere, count_faces])
def test_bad_input_is_named(function):
    with pytest.raises(TypeError, match="expected an Arrangement, got ndarray"):
        function(np.eye(3))
    with pytest.raises(ValueError, match="expected three dimensions, got 2"):
        function(Arrangement(np.eye(2), np.zeros(2)))


@pytest.mark.parametrize("m, k", [(-1, 2), (3, 0), (3, -1)])
def test_n_regions_refuses_negative_numbers(m, k):
    with pytest.raises(ValueError, match="at least"):
        n_regions(m, k)
    with pytest.raises(TypeError):
        n_regions(2.5, 2)  # pyright: ignore


@pytest.mark.parametrize("face", [-1, 8, 100])
def test_a_face_that_is_not_there(face):
    partition = partition_sphere(Arrangement(np.eye(3), np.zeros(3)))
    for method in (partition.boundary, partition.outline, partition.neighbours, partition.patterns):
        with pytest.raises(ValueError, match="expected integers 0 to 7"):
            method(face)


def test_a_partition_is_frozen_and_its_input_unchanged(rng):
    arrangement = random_caps(rng, 8, 1.0)
    normals, offsets = arrangement.normals.copy(), arrangement.offsets.copy()
    partition = partition_sphere(arrangement)
    for read in (partition.patterns, partition.hashes, lambda: partition.outline(0)):
        read()
    np.testing.assert_array_equal(arrangement.normals, normals)
    np.testing.assert_array_equal(arrangement.offsets, offsets)
    for field in fields(partition):
        with pytest.raises(FrozenInstanceError):
            setattr(partition, field.name, None)
        value = getattr(partition, field.name)
        assert not isinstance(value, np.ndarray) or not value.flags.writeable, f"{field.name} can be written to"
