"""circle: against dense scans, bisection, exact fractions and direct evaluation of the layer."""

from dataclasses import FrozenInstanceError, fields
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import bisect, circle_distance, exact_height, random_mlp, sqrt_of

from lnpoly_helpers import Arrangement, FoldedMLP, lift, partition_circle, pattern_hash, restrict, slice_basis

TURN = 2 * np.pi


def point(theta):
    return np.stack([np.cos(theta), np.sin(theta)], axis=-1)


def random_arrangement(rng, m, spread=1.0):
    return Arrangement(rng.normal(size=(m, 2)), spread * rng.normal(size=m))


def arc_of(circle, theta):
    """Which arc holds each angle; the last one wraps round."""
    return (np.searchsorted(circle.starts, theta, side="right") - 1) % circle.n_arcs


def assert_consistent(circle):
    """What holds for every partition, whatever the lines."""
    patterns = circle.patterns()
    assert patterns.shape[0] == circle.n_arcs == len(circle.starts) == len(circle.lengths) == len(circle.midpoints)
    assert (np.diff(circle.angles) >= 0).all()
    assert ((circle.angles >= 0) & (circle.angles < TURN)).all()
    assert ((circle.midpoints >= 0) & (circle.midpoints < TURN)).all()
    assert (circle.lengths > 0).all(), "an arc without points"
    assert circle.lengths.sum() == pytest.approx(TURN, abs=1e-12)
    assert (np.bincount(circle.neurons, minlength=1) % 2 == 0).all()  # who leaves comes back
    np.testing.assert_array_equal(circle.hashes(), pattern_hash(patterns))
    assert circle.n_patterns == len(np.unique(np.packbits(patterns, axis=1), axis=0)) <= circle.n_arcs
    assert len(circle.angles) == len(circle.neurons) == len(circle.arc_after)
    np.testing.assert_array_equal(circle.patterns(np.arange(circle.n_arcs)[::-1]), patterns[::-1])
    if len(circle.angles):
        np.testing.assert_array_equal(circle.starts[circle.arc_after], circle.angles)
        differing = patterns != np.roll(patterns, 1, axis=0)
        flips = np.lexsort((circle.neurons, circle.arc_after))  # those at one point by number
        np.testing.assert_array_equal(np.nonzero(differing), [circle.arc_after[flips], circle.neurons[flips]])


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


# --- neurons with one line ---

FACTORS = (1, -1, 2, -3, 1e-3, -0.1)


def with_copies(arrangement, of, factors):
    """The arrangement, and behind it copies of some neurons times a factor each."""
    factors = np.asarray(factors, dtype=float)
    normals = np.vstack([arrangement.normals, arrangement.normals[of] * factors[:, None]])
    return Arrangement(normals, np.append(arrangement.offsets, arrangement.offsets[of] * factors))


def assert_copies_agree(patterns, of, factors):
    """In every arc a copy is on where its original is, or where that is off for a negative factor."""
    originals, copies = patterns[:, of], patterns[:, -len(of) :]
    np.testing.assert_array_equal(copies, originals ^ (np.asarray(factors) < 0))


def test_one_line_given_many_times_is_one_boundary():
    circle = partition_circle(Arrangement([[1, 2]] * 4 + [[-1, -2]] * 3, [0.3] * 4 + [-0.3] * 3))
    assert_consistent(circle)
    assert (circle.n_arcs, circle.n_patterns, len(circle.angles)) == (2, 2, 14)
    assert sorted(circle.neurons[:7]) == sorted(circle.neurons[7:]) == list(range(7))
    assert circle.arc_after.tolist() == [0] * 7 + [1] * 7


@pytest.mark.parametrize("factor", FACTORS)
def test_a_copy_changes_no_arc(rng, factor):
    for _ in range(50):
        arrangement = random_arrangement(rng, 6, spread=0.5)
        both = with_copies(arrangement, [4], [factor])
        alone, circle = partition_circle(arrangement), partition_circle(both)
        assert_consistent(circle)
        np.testing.assert_array_equal(circle.starts, alone.starts)
        np.testing.assert_array_equal(circle.patterns()[:, :6], alone.patterns())
        assert circle.n_patterns == alone.n_patterns
        assert_copies_agree(circle.patterns(), [4], [factor])
        n_flips = (alone.neurons == 4).sum()
        assert (circle.neurons == 6).sum() == n_flips and len(circle.angles) == len(alone.angles) + n_flips


def test_the_arcs_of_lines_with_copies_are_those_of_a_dense_scan(rng):
    n = 100_000
    theta = (np.arange(n) + 0.5) * TURN / n
    n_cut = 0
    for _ in range(20):
        of, factors = rng.integers(5, size=8), rng.choice(FACTORS, size=8)
        arrangement = with_copies(random_arrangement(rng, 5, spread=0.5), of, factors)
        mixed = rng.permutation(13)
        arrangement = Arrangement(arrangement.normals[mixed], arrangement.offsets[mixed])
        circle = partition_circle(arrangement)
        assert_consistent(circle)
        scanned = arrangement.preactivations(point(theta)) > 0
        np.testing.assert_array_equal(circle.patterns()[arc_of(circle, theta)], scanned)
        steps = (scanned != np.roll(scanned, 1, axis=0)).any(axis=1)
        assert max(1, steps.sum()) == circle.n_arcs
        np.testing.assert_array_equal(np.unique(pattern_hash(scanned), axis=0), np.unique(circle.hashes(), axis=0))
        weights = rng.normal(size=13)
        np.testing.assert_allclose(circle.sums(weights)[arc_of(circle, theta)], scanned @ weights, atol=1e-12)
        n_cut += circle.n_arcs
    assert n_cut > 60


@pytest.mark.parametrize("d, m, kind", [(3, 8, "layernorm"), (64, 256, "rmsnorm"), (768, 3072, "layernorm")])
def test_neurons_copied_in_a_layer_are_one_boundary_of_its_circle(rng, d, m, kind):
    mlp = random_mlp(rng, d, m, kind=kind)
    n = min(m // 2, 200)
    of, factors = rng.choice(m, size=n, replace=False), rng.choice(FACTORS, size=n)
    copied = FoldedMLP(
        np.hstack([mlp.W_in, mlp.W_in[:, of] * factors]),
        np.append(mlp.b_in, mlp.b_in[of] * factors),
        np.vstack([mlp.W_out, mlp.W_out[of]]),
        mlp.b_out,
        "relu",
        0.0,
        kind,
    )
    for pair in rng.normal(size=(2 if d > 64 else 5, 2, d)):
        basis = slice_basis(pair, kind=kind)
        alone, arrangement = partition_circle(restrict(mlp, basis)), restrict(copied, basis)
        circle = partition_circle(arrangement)
        assert_consistent(circle)
        assert (circle.n_arcs, circle.n_patterns) == (alone.n_arcs, alone.n_patterns)
        np.testing.assert_allclose(circle.starts, alone.starts, atol=1e-11)
        patterns = circle.patterns()
        assert_copies_agree(patterns, of, factors)
        wide = circle.lengths > 1e-9
        at_midpoints = arrangement.preactivations(point(circle.midpoints[wide])) > 0
        np.testing.assert_array_equal(patterns[wide], at_midpoints)
        assert len(circle.angles) > circle.n_arcs


@pytest.mark.parametrize("k", range(2, 17))
def test_copies_of_an_almost_tangent_line_agree(k):
    """Rounding alone may let one of them cut and the other miss, or move the crossings by 1e-8."""
    factors = [-3.0, 1e-3, 7.7, -0.1]
    for normal in DIRECTIONS:
        for sign in (-1, 1):
            arrangement = Arrangement([normal], [sign * float(np.hypot(*normal)) * (1 - 10.0**-k)])
            circle = partition_circle(with_copies(arrangement, [0] * 4, factors))
            assert_consistent(circle)
            assert circle.n_arcs == partition_circle(arrangement).n_arcs <= 2
            assert_copies_agree(circle.patterns(), [0] * 4, factors)


def test_lines_are_one_on_either_side_of_the_direction_where_angles_begin():
    normals = [[1, 0], [1, -1e-15], [1, 1e-15], [-1, 0.0], [-1, -0.0], [-1, 1e-15], [2, 0], [0, 1]]
    offsets = np.array([0.25, 0.25, 0.25, -0.25, -0.25, -0.25, 0.5, 0.25])
    for turned in (normals, np.array(normals)[:, ::-1], -np.array(normals)):
        circle = partition_circle(Arrangement(turned, offsets))
        assert_consistent(circle)
        assert (circle.n_arcs, len(circle.angles)) == (4, 16)


def test_three_lines_through_one_point_of_the_circle_are_no_copies(rng):
    for _ in range(200):
        meeting, normals = point(rng.uniform(0, TURN)), rng.normal(size=(3, 2))
        arrangement = Arrangement(normals, -normals @ meeting)
        circle = partition_circle(arrangement)
        assert_consistent(circle)
        assert len(circle.angles) == 6
        others = circle_distance(circle.angles, np.arctan2(*meeting[::-1])) > 1e-6
        assert sorted(circle.neurons[others]) == [0, 1, 2], "each has a crossing of its own"
        wide = circle.lengths > 1e-6
        assert wide.sum() == 4  # what lies between the three at their point is rounding
        np.testing.assert_array_equal(
            circle.patterns()[wide], arrangement.preactivations(point(circle.midpoints[wide])) > 0
        )


@pytest.mark.parametrize("gap", [1e-6, 1e-9, 1e-10])
def test_lines_that_are_close_but_not_one_keep_their_arcs(rng, gap):
    for _ in range(20):
        (a, b), c = rng.normal(size=2), rng.uniform(-0.9, 0.9)
        R = np.hypot(a, b)
        cosine, sine = np.cos(gap), np.sin(gap)
        for other, level in (([a, b], c + gap), ([a * cosine - b * sine, a * sine + b * cosine], c)):
            circle = partition_circle(Arrangement([[a, b], other], [c * R, level * R]))
            assert_consistent(circle)
            assert circle.n_arcs == 4 and 0 < circle.lengths.min() < 20 * gap


def test_parallel_lines_are_told_apart():
    """Four lines of one direction, two of them twice, from both sides."""
    signs, heights = np.array([1, -1, 1, 1, -1, -1]), np.array([0.1, 0.1, 0.4, -0.3, -0.3, 0.0])
    circle = partition_circle(Arrangement(signs[:, None] * [[0.6, 0.8]], -signs * heights))
    assert_consistent(circle)
    assert (circle.n_arcs, len(circle.angles)) == (8, 12)


# --- what is asked of a partition ---


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.data())
def test_patterns_of_some_arcs_are_rows_of_all(seed, m, data):
    rng = np.random.default_rng(seed)
    arrangement = with_copies(random_arrangement(rng, m, spread=0.6), [0], [-2.0])
    circle = partition_circle(arrangement)
    arcs = data.draw(st.lists(st.integers(0, circle.n_arcs - 1), min_size=1, max_size=12))
    np.testing.assert_array_equal(circle.patterns(arcs), circle.patterns()[arcs])
    np.testing.assert_array_equal(circle.patterns(arcs[0]), circle.patterns()[arcs[:1]])


@pytest.mark.parametrize("arcs", [-1, 6, [0, 99], [0.5], [[1]], None])
def test_an_arc_that_is_not_there(rng, arcs):
    circle = partition_circle(Arrangement(rng.normal(size=(3, 2)), np.zeros(3)))
    if arcs is None:
        assert circle.patterns(arcs).shape == (6, 3)
        return
    with pytest.raises(ValueError, match="arcs: expected integers 0 to 5"):
        circle.patterns(arcs)


def test_a_partition_says_its_counts(rng):
    circle = partition_circle(Arrangement([[1, 0], [1, 0], [0, 0]], [0.5, -0.5, 1]))
    assert repr(circle) == "CirclePartition(n_arcs=4, n_patterns=3, n_neurons=3)"


# --- properties ---

whole_lines = st.lists(st.tuples(*[st.integers(-5, 5)] * 3), min_size=1, max_size=8)


@given(whole_lines)
def test_small_whole_numbers_with_all_their_coincidences(lines):
    normals, offsets = np.array(lines)[:, :2], np.array(lines)[:, 2]
    arrangement = Arrangement(normals, offsets)
    circle = partition_circle(arrangement)
    assert_consistent(circle)
    cutting = [i for i in range(len(lines)) if offsets[i] ** 2 < (normals[i] ** 2).sum()]  # exact: whole numbers
    n_cutting = len(cutting)
    one_line = lambda i, j: (np.cross(np.c_[normals, offsets][i], np.c_[normals, offsets][j]) == 0).all()  # noqa: E731
    firsts = [i for k, i in enumerate(cutting) if not any(one_line(i, j) for j in cutting[:k])]
    assert len(circle.angles) == 2 * n_cutting
    assert circle.n_arcs <= max(1, 2 * len(firsts))  # fewer where lines meet on the circle to the last bit
    apart = partition_circle(Arrangement(normals[firsts], offsets[firsts])) if firsts else circle
    np.testing.assert_array_equal(circle.starts, apart.starts)
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
