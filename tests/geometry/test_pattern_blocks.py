"""patterns: the paths for large input give what the plain ones do. Blocks and merges."""

import tracemalloc

import numpy as np
import pytest
from oracles import random_mlp

from lnpoly_helpers import (
    Arrangement,
    PatternCounter,
    activation_pattern,
    boundary_margin,
    count_patterns,
    normalize,
    partition_circle,
    partition_sphere,
    pattern_hash,
    restrict,
    slice_basis,
)
from lnpoly_helpers.geometry import patterns
from lnpoly_helpers.geometry.patterns import distinct

NORMS = ("layernorm", "rmsnorm")


@pytest.fixture
def small_pieces(monkeypatch):
    """So few rows in a block that small arrays need many."""
    monkeypatch.setattr(patterns, "_CACHED", 2**12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n, m", [(60_001, 5), (5000, 64), (103, 3072)])
def test_many_blocks_give_the_same_bits_and_hashes_as_one_row_at_a_time(rng, small_pieces, n, m, dtype):
    pre = rng.standard_normal((n, m)).astype(dtype)
    pattern = activation_pattern(pre)
    np.testing.assert_array_equal(pattern, pre > 0)
    hashes = pattern_hash(pattern)
    some = rng.choice(n, size=100, replace=False)
    np.testing.assert_array_equal(hashes[some], [pattern_hash(pattern[k]) for k in some])
    assert count_patterns(pre) == len(np.unique(hashes, axis=0))


def test_rows_larger_than_a_block(rng, small_pieces):
    pre = rng.standard_normal((7, 9000))
    np.testing.assert_array_equal(activation_pattern(pre), pre > 0)
    assert count_patterns(np.concatenate([pre, pre])) == 7


@pytest.mark.parametrize("where", [0, 700, -1])
def test_one_nan_among_many_blocks_is_found(where, small_pieces):
    pre = np.ones((1000, 100), dtype=np.float32)
    pre[where, -1] = np.nan
    pre[5, 7] = -np.inf
    for function in (activation_pattern, count_patterns):
        with pytest.raises(ValueError, match="got 1 NaN"):
            function(pre)


@pytest.mark.filterwarnings("error", "ignore::typecheck.WrongArgument")  # no annotation knows longdouble
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble])
def test_the_largest_numbers_and_infinity_are_no_nan(dtype):
    largest = np.finfo(dtype).max
    pre = np.array([[largest, -largest, np.inf, -np.inf]] * 3, dtype=dtype)
    np.testing.assert_array_equal(activation_pattern(pre), [[True, False, True, False]] * 3)
    assert count_patterns(pre) == 1


def test_views_of_any_layout(rng):
    pre = rng.normal(size=(6, 700, 90)).astype(np.float32)
    for view in (pre[:, ::3], pre[..., ::-1], pre.transpose(1, 0, 2), pre.transpose(2, 0, 1), np.asfortranarray(pre)):
        np.testing.assert_array_equal(activation_pattern(view), np.ascontiguousarray(view) > 0)
        assert count_patterns(view) == count_patterns(np.ascontiguousarray(view))


# --- counting what is hard to tell apart ---


def test_near_duplicates_of_a_whole_layer(rng):
    """All patterns one neuron away from a few of 3072 neurons, and copies of all of them, in any order."""
    base = rng.random((3, 3072)) < 0.2
    near = np.concatenate([base, (base[:, None] ^ np.eye(3072, dtype=bool)).reshape(-1, 3072)])
    pre = np.where(near, np.float32(1e-30), np.float32(-1e-30))
    order = rng.permutation(np.repeat(np.arange(len(pre)), 2))
    counter = PatternCounter()
    for chunk in np.array_split(order, 5):
        counter.update(pre[chunk])
    assert (counter.n_patterns, counter.n_seen) == (len(near), 2 * len(near))


def test_distinct_does_not_rely_on_the_first_number_alone(rng):
    """Pairs that agree in one number only are different; real patterns do this about once in 2^36."""
    pairs = rng.integers(0, 4, size=(500, 2))
    expected = sorted(set(map(tuple, pairs.tolist())))
    assert sorted(map(tuple, distinct(pairs).tolist())) == expected
    large = rng.integers(0, 2**52, size=(1000, 2))
    repeated = large[rng.integers(1000, size=5000)]
    np.testing.assert_array_equal(distinct(repeated), np.unique(repeated, axis=0))
    assert distinct(np.empty((0, 2), dtype=np.int64)).shape == (0, 2)
    assert distinct(large[:1]).tolist() == large[:1].tolist()


def test_a_stream_keeps_at_most_32_bytes_for_each_distinct_pattern(rng):
    counter, n, m = PatternCounter(), 0, 64
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(40):
            chunk = rng.standard_normal((5000, m), dtype=np.float32)
            counter.update(chunk)
            counter.update(chunk)
            n += len(chunk)
            del chunk
            kept = tracemalloc.get_traced_memory()[0] - before
            assert kept <= 32 * n + 200_000
    finally:
        tracemalloc.stop()
    assert counter.n_patterns == n and counter.n_seen == 2 * n


def traced(function):
    """Bytes that a call keeps, and those at its peak."""
    tracemalloc.start()
    try:
        result = function()  # kept until it is measured
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert result is not None
    return kept, peak


def test_a_pattern_and_a_face_take_as_much_memory_as_is_documented(rng):
    """16 bytes a pattern, 75 to 125 while they are merged; 75 a face, 160 while they are found. Nor much less."""
    n = 100_000
    chunks = np.array_split(rng.standard_normal((n, 64), dtype=np.float32), 10)
    counter = PatternCounter()
    for there, most in ((16, 75), (32, 125)):  # all of them wait, or as many as are known already
        for chunk in chunks:
            counter.update(chunk)
        _, peak = traced(lambda: counter.n_patterns)
        assert (most - 5) * n < there * n + peak <= most * n + 10_000
    kept, _ = traced(lambda: PatternCounter() | counter)
    assert 15 * n < kept < 16 * n + 10_000
    circles = Arrangement(rng.standard_normal((300, 3)), 0.1 * rng.standard_normal(300))
    n = partition_sphere(circles).n_faces
    kept, peak = traced(lambda: partition_sphere(circles))
    assert 70 * n < kept < 77 * n and 140 * n < peak < 165 * n


# --- margins ---


def test_margins_do_not_depend_on_the_batch(rng):
    mlp = random_mlp(rng, 12, 3000)
    z = normalize(rng.normal(size=(2, 1500, 12)))
    margin = boundary_margin(mlp, z)
    assert margin.shape == (2, 1500, 3000)
    np.testing.assert_allclose(margin[1, 1499], boundary_margin(mlp, z[1, 1499]), atol=1e-14)


# --- many circles at once ---


@pytest.mark.parametrize("kind", NORMS)
@pytest.mark.parametrize("k", [2, 3])
def test_a_batch_of_slices_is_each_of_them(rng, k, kind):
    mlp = random_mlp(rng, 40, 100, kind=kind)
    bases = np.array([slice_basis(vectors, kind=kind) for vectors in rng.normal(size=(7, k, 40))])
    batch = restrict(mlp, bases)
    assert len(batch) == 7
    for arrangement, basis in zip(batch, bases, strict=True):
        alone = restrict(mlp, basis)
        np.testing.assert_allclose(arrangement.normals, alone.normals, atol=1e-13)
        np.testing.assert_array_equal(arrangement.offsets, alone.offsets)
        if k == 2:
            np.testing.assert_array_equal(partition_circle(arrangement).neurons, partition_circle(alone).neurons)
    assert len(restrict(mlp, bases[:1])) == 1


def test_a_batch_with_one_bad_basis_is_refused(rng):
    mlp = random_mlp(rng, 10, 20)
    bases = np.array([slice_basis(vectors) for vectors in rng.normal(size=(3, 2, 10))])
    bases[1, 0] *= 1.01
    with pytest.raises(ValueError, match="orthonormal rows"):
        restrict(mlp, bases)
    for shape, wanted in [((2, 9), "k, 10"), ((3, 2, 9), "n, k, 10"), ((10,), "k, 10"), ((1, 1, 2, 10), "k, 10")]:
        with pytest.raises(ValueError, match=rf"expected shape \[{wanted}\], got \[{', '.join(map(str, shape))}\]"):
            restrict(mlp, np.ones(shape))
