"""circle: against dense scans, bisection, exact fractions and direct evaluation of the layer."""

from dataclasses import FrozenInstanceError, fields
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import bisect, circle_distance, exact_height, random_mlp, sqrt_of

from lnpoly_helpers import Arrangement, lift, partition_circle, pattern_hash, restrict, slice_basis

TURN = 2 * np.pi


def point(theta):
    return np.stack([np.cos(theta), np.sin(theta)], axis=-1)


def random_arrangement(rng, m, spread=1.0):
    return Arrangement(rng.normal(size=(m, 2)), spread * rng.normal(size=m))


def arc_of(circle, theta):
    """Which arc holds each angle; the last one wraps round."""
    return (np.searchsorted(circle.angles, theta, side="right") - 1) % circle.n_arcs


def assert_consistent(circle):
    """What holds for every partition, whatever the lines."""
    patterns = circle.patterns()
    assert patterns.shape[0] == circle.n_arcs == len(circle.starts) == len(circle.lengths) == len(circle.midpoints)
    assert (np.diff(circle.angles) >= 0).all()
    assert ((circle.angles >= 0) & (circle.angles < TURN)).all()
    assert ((circle.midpoints >= 0) & (circle.midpoints < TURN)).all()
    assert (circle.lengths >= 0).all()
    assert circle.lengths.sum() == pytest.approx(TURN, abs=1e-12)
    assert (np.bincount(circle.neurons, minlength=1) % 2 == 0).all()  # who leaves comes back
    np.testing.assert_array_equal(circle.hashes(), pattern_hash(patterns))
    assert circle.n_patterns == len(np.unique(patterns, axis=0)) <= circle.n_arcs
    if len(circle.angles):
        differing = patterns != np.roll(patterns, 1, axis=0)
        np.testing.assert_array_equal(np.nonzero(differing), [np.arange(circle.n_arcs), circle.neurons])


# --- against a dense scan ---


@pytest.mark.parametrize("m", [1, 2, 3, 7, 12])
def test_arcs_are_those_of_a_dense_scan(rng, m):
    n = 100_000
    theta = (np.arange(n) + 0.5) * TURN / n
    for _ in range(5):
        arrangement = random_arrangement(rng, m)
        circle = partition_circle(arrangement)
        assert_consistent(circle)
        scanned = arrangement.preactivations(point(theta)) > 0
        np.testing.assert_array_equal(circle.patterns()[arc_of(circle, theta)], scanned)
        assert (scanned != np.roll(scanned, 1, axis=0)).sum() == len(circle.angles)


def test_crossings_are_where_bisection_finds_them(rng):
    n = 20_000
    grid = np.arange(n + 1) * TURN / n
    arrangement = random_arrangement(rng, 40)
    on = arrangement.preactivations(point(grid)) > 0
    where, neurons = np.nonzero(on[1:] != on[:-1])
    height = lambda i: lambda t: arrangement.preactivations(point(t))[i]  # noqa: E731
    angles = np.array([bisect(height(i), grid[k], grid[k + 1]) for k, i in zip(where, neurons, strict=True)])
    circle = partition_circle(arrangement)
    order = np.argsort(angles)
    np.testing.assert_allclose(circle.angles, angles[order], atol=1e-12)
    np.testing.assert_array_equal(circle.neurons, neurons[order])
    assert len(angles) > 30


# --- the layer itself ---


@pytest.mark.parametrize(
    "d, m, kind",
    [
        (3, 8, "layernorm"),
        (4, 20, "rmsnorm"),
        (32, 128, "layernorm"),
        (128, 512, "rmsnorm"),
        (768, 3072, "layernorm"),
    ],
)
def test_every_arcs_midpoint_has_its_pattern_and_neighbours_differ_in_one_neuron(rng, d, m, kind):
    mlp = random_mlp(rng, d, m, kind=kind)
    basis = slice_basis(rng.normal(size=(2, d)), kind=kind)
    arrangement = restrict(mlp, basis)
    circle = partition_circle(arrangement)
    assert_consistent(circle)
    patterns, y = circle.patterns(), point(circle.midpoints)
    np.testing.assert_array_equal(patterns, arrangement.preactivations(y) > 0)
    some = np.unique(np.linspace(0, circle.n_arcs - 1, 600).astype(int))  # through all d dimensions
    np.testing.assert_array_equal(patterns[some], mlp.preactivations(lift(basis, y[some])) > 0)


def test_two_arcs_for_every_line_that_cuts(rng):
    arrangement = Arrangement(rng.normal(size=(300, 2)), np.zeros(300))
    assert partition_circle(arrangement).n_arcs == 600
    heavy = random_arrangement(rng, 300)
    cuts = heavy.offsets**2 < (heavy.normals**2).sum(axis=1)
    assert 0 < cuts.sum() < 300
    assert partition_circle(heavy).n_arcs == 2 * cuts.sum()


# --- almost tangent ---

DIRECTIONS = [(1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -2.5), (0.6, -0.7), (-3e-5, 11.0)]


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("k", range(2, 16))
@pytest.mark.parametrize("normal", DIRECTIONS)
def test_an_almost_tangent_line_is_cut_where_exact_arithmetic_says(normal, k, sign):
    A, B = normal
    offset = sign * float(np.hypot(A, B)) * (1 - 10.0**-k)
    squared = Fraction(A) ** 2 + Fraction(B) ** 2 - Fraction(offset) ** 2
    assert squared > 0
    half = np.arctan2(sqrt_of(squared), -offset)
    centre = np.arctan2(B, A)
    circle = partition_circle(Arrangement([normal], [offset]))
    assert_consistent(circle)
    assert circle.n_arcs == 2
    from_on_to_off = circle.angles[circle.patterns()[:, 0].argsort()[::-1]]  # where on begins, where off begins
    accuracy = 4e-15 if 0.0 in normal else 4e-15 + 4e-16 * 10 ** (k / 2)  # hypot is exact on the axes alone
    assert circle_distance(from_on_to_off, [centre - half, centre + half]).max() < accuracy


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("k", range(2, 14))
def test_the_small_arc_of_an_almost_tangent_line_has_the_right_sign(k, sign):
    for normal in DIRECTIONS:
        offset = sign * float(np.hypot(*normal)) * (1 - 10.0**-k)
        circle = partition_circle(Arrangement([normal], [offset]))
        heights = [exact_height(normal, offset, y) for y in point(circle.midpoints)]
        assert [h > 0 for h in heights] == circle.patterns()[:, 0].tolist()


@pytest.mark.parametrize("normal, radius", [((1, 0), 1), ((0, -1), 1), ((3, 4), 5), ((-5, 12), 13)])
def test_a_line_that_only_touches_does_not_cut(normal, radius):
    for offset, is_on in ((radius, True), (-radius, False)):
        circle = partition_circle(Arrangement([normal], [offset]))
        assert (circle.n_arcs, circle.n_patterns) == (1, 1)
        assert circle.patterns().tolist() == [[is_on]]
        np.testing.assert_array_equal(circle.lengths, [TURN])


def test_a_tangent_line_among_others_changes_no_arc(rng):
    arrangement = random_arrangement(rng, 6, spread=0.3)
    with_tangent = Arrangement(np.vstack([arrangement.normals, [[3, 4]]]), np.append(arrangement.offsets, -5))
    np.testing.assert_array_equal(partition_circle(with_tangent).angles, partition_circle(arrangement).angles)


# --- special positions ---


def test_lines_through_the_origin_cut_at_opposite_angles(rng):
    circle = partition_circle(Arrangement(rng.normal(size=(5, 2)), np.zeros(5)))
    assert_consistent(circle)
    assert circle.n_arcs == circle.n_patterns == 10
    np.testing.assert_allclose(circle.angles[5:], circle.angles[:5] + np.pi, atol=1e-14)
    np.testing.assert_array_equal(circle.patterns()[5:], ~circle.patterns()[:5])


def test_crossings_on_the_axes_are_exact():
    circle = partition_circle(Arrangement([[1, 0], [0, 1]], [0, 0]))
    np.testing.assert_allclose(circle.angles, [0, np.pi / 2, np.pi, 3 * np.pi / 2], atol=1e-15)
    expected = [[True, True], [False, True], [False, False], [True, False]]
    np.testing.assert_array_equal(circle.patterns(), expected)


def test_a_circle_that_nothing_cuts_is_one_arc():
    circle = partition_circle(Arrangement([[1, 0], [0, 1], [1, 1]], [2, -3, 1.5]))
    assert_consistent(circle)
    assert (circle.n_arcs, circle.n_patterns, len(circle.angles)) == (1, 1, 0)
    assert circle.patterns().tolist() == [[True, False, True]]


def test_a_slab_makes_four_arcs_but_three_patterns():
    """-1/2 < y_1 < 1/2: both sides of the circle inside the slab are one region of the plane."""
    circle = partition_circle(Arrangement([[1, 0], [-1, 0]], [0.5, 0.5]))
    assert_consistent(circle)
    assert (circle.n_arcs, circle.n_patterns) == (4, 3)


def test_neurons_without_weight_never_switch():
    circle = partition_circle(Arrangement([[0, 0], [1, 0], [0, 0], [0, 0]], [1, 0, -1, 0]))
    assert_consistent(circle)
    assert set(circle.neurons) == {1}
    np.testing.assert_array_equal(circle.patterns()[:, [0, 2, 3]], [[True, False, False]] * 2)


def test_one_line_given_many_times_leaves_arcs_of_no_length(rng):
    circle = partition_circle(Arrangement([[1, 2]] * 4 + [[-1, -2]] * 3, [0.3] * 4 + [-0.3] * 3))
    assert_consistent(circle)
    assert circle.n_arcs == 14
    assert np.sort(circle.lengths)[:12].max() < 1e-14


# --- properties ---

whole_lines = st.lists(st.tuples(*[st.integers(-5, 5)] * 3), min_size=1, max_size=8)


@given(whole_lines)
def test_small_whole_numbers_with_all_their_coincidences(lines):
    normals, offsets = np.array(lines)[:, :2], np.array(lines)[:, 2]
    arrangement = Arrangement(normals, offsets)
    circle = partition_circle(arrangement)
    assert_consistent(circle)
    n_cutting = int((offsets**2 < (normals**2).sum(axis=1)).sum())  # exact: whole numbers
    assert circle.n_arcs == max(1, 2 * n_cutting)
    theta = np.random.default_rng(0).uniform(0, TURN, 500)
    if n_cutting:
        theta = theta[circle_distance(theta[:, None], circle.angles).min(axis=1) > 1e-9]
    expected = arrangement.preactivations(point(theta)) > 0
    np.testing.assert_array_equal(circle.patterns()[arc_of(circle, theta)], expected)


@given(st.integers(0, 2**32 - 1), st.integers(1, 20), st.floats(0, 7))
def test_turning_the_lines_turns_the_crossings(seed, m, turn):
    arrangement = random_arrangement(np.random.default_rng(seed), m, spread=0.5)
    cosine, sine = np.cos(turn), np.sin(turn)
    turned = Arrangement(arrangement.normals @ [[cosine, sine], [-sine, cosine]], arrangement.offsets)
    before, after = partition_circle(arrangement), partition_circle(turned)
    assert after.n_arcs == before.n_arcs and after.n_patterns == before.n_patterns
    for i in range(m):
        expected = before.angles[before.neurons == i] + turn
        found = after.angles[after.neurons == i]
        distances = circle_distance(expected[:, None], found)
        assert len(found) == len(expected) and (distances.min(axis=1, initial=9) < 1e-6).all()


@given(st.integers(0, 2**32 - 1), st.lists(st.floats(-200, 200), min_size=6, max_size=6))
def test_the_length_of_a_weight_vector_does_not_matter(seed, powers):
    arrangement = random_arrangement(np.random.default_rng(seed), 6, spread=0.5)
    scale = 10.0 ** np.array(powers)
    scaled = Arrangement(arrangement.normals * scale[:, None], arrangement.offsets * scale)
    before, after = partition_circle(arrangement), partition_circle(scaled)
    np.testing.assert_array_equal(after.neurons, before.neurons)
    np.testing.assert_allclose(after.angles, before.angles, atol=1e-9)


def test_the_other_side_of_a_line_is_the_opposite_bit(rng):
    arrangement = random_arrangement(rng, 30)
    circle = partition_circle(arrangement)
    flipped = partition_circle(Arrangement(-arrangement.normals, -arrangement.offsets))
    np.testing.assert_allclose(flipped.angles, circle.angles, atol=1e-14)
    np.testing.assert_array_equal(flipped.patterns(), ~circle.patterns())


def test_a_partition_is_frozen(rng):
    circle = partition_circle(random_arrangement(rng, 5))
    for field in fields(circle):
        with pytest.raises(FrozenInstanceError):
            setattr(circle, field.name, None)
        assert not getattr(circle, field.name).flags.writeable, f"{field.name} can be written to"
