"""patterns: against Python's own integers, np.unique and direct evaluation."""

import copy
import pickle
import subprocess
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from operator import or_

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lnpoly_helpers import (
    PatternCounter,
    activation_pattern,
    count_patterns,
    hamming_distance,
    pattern_hash,
)
from lnpoly_helpers.geometry.patterns import neuron_weights


def n_rows(array):
    return len(np.unique(array.reshape(-1, array.shape[-1]), axis=0))


def near_duplicates(rng, m, n=500):
    """Random patterns, each with one-bit and two-bit neighbours and an exact copy of itself."""
    base = rng.random((n, m)) < 0.5
    one = base ^ np.eye(m, dtype=bool)[rng.integers(m, size=n)]
    two = one ^ np.eye(m, dtype=bool)[rng.integers(m, size=n)]
    return np.concatenate([base, one, two, base])


# --- activation_pattern ---


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble, np.int8, np.int64])
def test_on_means_above_zero(dtype):
    pre = np.array([[-2, 0, 3], [1, -1, 0]]).astype(dtype)
    np.testing.assert_array_equal(activation_pattern(pre), [[False, False, True], [True, False, False]])


def test_the_smallest_float32_is_on_and_infinity_has_a_sign():
    pre = np.array([1e-45, -1e-45, -0.0, np.inf, -np.inf], dtype=np.float32)
    np.testing.assert_array_equal(activation_pattern(pre), [True, False, False, True, False])


# --- pattern_hash ---


@pytest.mark.parametrize("m", [1, 7, 8, 9, 64, 512, 3072])
def test_hashes_are_equal_exactly_where_patterns_are(rng, m):
    patterns = near_duplicates(rng, m)
    hashes = pattern_hash(patterns)
    assert n_rows(hashes) == n_rows(patterns)
    np.testing.assert_array_equal(hashes[:500], hashes[-500:])


@pytest.mark.parametrize("m", [8, 65, 512, 3072])
def test_all_one_bit_neighbours_of_a_pattern_differ(rng, m):
    pattern = rng.random(m) < 0.5
    assert n_rows(pattern_hash(np.vstack([pattern, pattern ^ np.eye(m, dtype=bool)]))) == m + 1


@pytest.mark.parametrize("m", [9, 64, 100])
def test_all_two_bit_neighbours_of_a_pattern_differ(rng, m):
    i, j = np.triu_indices(m, 1)
    bits = np.eye(m, dtype=bool)
    near = (rng.random(m) < 0.5) ^ np.vstack([np.zeros((1, m), bool), bits, bits[i] | bits[j]])
    assert n_rows(pattern_hash(near)) == 1 + m + m * (m - 1) // 2


def test_all_patterns_of_sixteen_neurons_differ():
    every = (np.arange(2**16)[:, None] >> np.arange(16)) & 1 == 1
    hashes = pattern_hash(every)
    assert n_rows(hashes) == 2**16
    assert len(np.unique(hashes[:, 0])) == 2**16  # each of the two numbers alone already tells them apart


@pytest.mark.parametrize("m", [1, 8, 13, 512, 3072])
def test_the_hash_adds_up_the_weights_of_the_neurons_that_are_on(rng, m):
    patterns = rng.random((20, m)) < 0.5
    weights = [[int(w) for w in row] for row in neuron_weights(m)]
    expected = [[sum(w[k] for w, on in zip(weights, row, strict=True) if on) for k in (0, 1)] for row in patterns]
    np.testing.assert_array_equal(pattern_hash(patterns), expected)


@pytest.mark.parametrize("m", [3072, 4112, 6400, 16384])
def test_no_sum_leaves_what_float64_holds_exactly(m):
    weights = neuron_weights(m)
    total = [sum(int(w) for w in weights[:, k]) for k in (0, 1)]  # Python's integers do not overflow
    assert max(total) < 2**53
    assert pattern_hash(np.ones(m, dtype=bool)).tolist() == total
    assert (weights > 0).all()


GOLDEN = """
import numpy as np
from lnpoly_helpers import pattern_hash
print([pattern_hash(np.arange(m) % 3 == 0).tolist() for m in (1, 20, 512, 3072)])
"""
GOLDEN_HASHES = [
    [803878505216, 5102314478976],
    [5772020367569, 6278471016809],
    [192518881034165, 189003901503855],
    [1147822599970228, 1153053574048146],
]


def test_a_hash_is_the_same_in_every_version_and_process():
    run = subprocess.run([sys.executable, "-c", GOLDEN], capture_output=True, text=True, check=True)
    here = [pattern_hash(np.arange(m) % 3 == 0).tolist() for m in (1, 20, 512, 3072)]
    assert here == GOLDEN_HASHES
    assert run.stdout.strip() == str(GOLDEN_HASHES)


def test_shape_order_and_chunks_do_not_matter(rng):
    patterns = rng.random((9001, 33)) < 0.5  # more rows than are hashed at a time
    hashes = pattern_hash(patterns)
    assert hashes.shape == (9001, 2) and hashes.dtype == np.int64
    np.testing.assert_array_equal(pattern_hash(patterns.reshape(1, 9001, 1, 33)).reshape(-1, 2), hashes)
    np.testing.assert_array_equal(pattern_hash(np.asfortranarray(patterns)), hashes)
    np.testing.assert_array_equal(pattern_hash(patterns[::-1]), hashes[::-1])
    np.testing.assert_array_equal([pattern_hash(row) for row in patterns[-5:]], hashes[-5:])


# --- counting ---


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n, m", [(1, 1), (3000, 6), (3000, 40), (6000, 512)])
def test_count_is_numpys_unique(rng, n, m, dtype):
    pre = rng.normal(size=(n, m)).astype(dtype)
    pre = pre[rng.integers(n, size=2 * n)] * rng.uniform(0.5, 2, size=(2 * n, 1)).astype(dtype)  # every row about twice
    assert count_patterns(pre) == n_rows(pre > 0)
    assert count_patterns(pre.reshape(2, n, m)) == n_rows(pre > 0)


@given(st.lists(st.integers(0, 300), max_size=12), st.integers(0, 2**32 - 1))
def test_any_chunking_gives_the_same_count(cuts, seed):
    pre = np.random.default_rng(seed).normal(size=(300, 7))
    counter = PatternCounter()
    seen = 0
    for chunk in np.split(pre, sorted(cuts)):
        seen += len(chunk)
        assert counter.update(chunk) is counter
        assert counter.n_seen == seen
        assert counter.n_patterns == (n_rows(pre[:seen] > 0) if seen else 0)
    assert counter.n_patterns == count_patterns(pre)


def test_asking_often_or_only_at_the_end_gives_the_same_count(rng):
    pre = rng.normal(size=(5000, 9))
    often, seldom, asked = PatternCounter(), PatternCounter(), 0
    for chunk in np.array_split(pre, 50):
        asked = often.update(chunk).n_patterns
        seldom.update(chunk)
    assert asked == often.n_patterns == seldom.n_patterns == n_rows(pre > 0)


def test_patterns_seen_again_take_no_more_memory(rng):
    chunk = rng.normal(size=(1000, 30)).astype(np.float32)
    counter = PatternCounter().update(chunk)
    tracemalloc.start()
    for _ in range(100):
        counter.update(chunk)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 5 * 16 * 1000  # not the 1.6 MB of a hundred chunks
    assert (counter.n_patterns, counter.n_seen) == (1000, 101_000)


# --- counting in several places ---


@pytest.fixture
def hurried_threads():
    """Threads that take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_threads_may_update_one_counter(rng, hurried_threads):
    chunks = [rng.normal(size=(7, 9)) for _ in range(3000)]
    counter = PatternCounter()

    def update(k):
        counter.update(chunks[k])
        if k % 50 == 0:
            repr(counter), pickle.dumps(counter)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(update, range(len(chunks))))
    assert (counter.n_patterns, counter.n_seen) == (n_rows(np.concatenate(chunks) > 0), 7 * len(chunks))


def test_threads_that_bring_different_numbers_of_neurons_first(hurried_threads):
    """One number wins, and all chunks of the other are refused."""
    for _ in range(50):
        counter = PatternCounter()

        def width(m, counter=counter):
            try:
                return counter.update(np.ones((1, m))) and m
            except ValueError:
                return None

        with ThreadPoolExecutor(4) as pool:
            taken = set(pool.map(width, [3, 4] * 4)) - {None}
        assert len(taken) == 1 and counter.n_patterns == 1


@pytest.mark.parametrize("send", [copy.copy, copy.deepcopy, lambda counter: pickle.loads(pickle.dumps(counter))])
def test_a_copy_counts_on_by_itself(rng, send):
    pre = rng.normal(size=(400, 12))
    counter = PatternCounter().update(pre[:100]).update(pre[50:150])
    other = send(counter)
    assert repr(other) == repr(counter)
    other.update(pre[150:300])
    counter.update(pre[300:])
    assert counter.n_patterns == n_rows(np.concatenate([pre[:150], pre[300:]]) > 0) and counter.n_seen == 300
    assert other.n_patterns == n_rows(pre[:300] > 0) and other.n_seen == 350
    with pytest.raises(ValueError, match="expected 12 neurons"):
        other.update(pre[:, 1:])


def test_what_is_sent_of_a_counter_is_sixteen_bytes_a_pattern(rng):
    counter = PatternCounter()
    for _ in range(10):
        counter.update(rng.normal(size=(2000, 3072)).astype(np.float32))
    assert counter.n_patterns == 20_000
    assert len(pickle.dumps(counter)) < 16 * 20_000 + 500


@given(st.lists(st.integers(0, 60), max_size=6), st.integers(0, 2**32 - 1))
def test_parts_counted_apart_and_put_together_are_the_whole(cuts, seed):
    pre = np.random.default_rng(seed).normal(size=(60, 5))
    parts = [PatternCounter().update(chunk) for chunk in np.split(pre, sorted(cuts))]
    before = [repr(part) for part in parts]
    whole = reduce(or_, parts)
    assert (whole.n_patterns, whole.n_seen) == (n_rows(pre > 0), 60)
    assert [repr(part) for part in parts] == before
    whole.update(-pre)
    assert whole.n_patterns == n_rows(np.concatenate([pre, -pre]) > 0)
    assert repr(PatternCounter() | whole) == repr(whole | PatternCounter()) == repr(whole)


def test_counters_of_different_layers_are_not_put_together(rng):
    one, other = PatternCounter().update(rng.normal(size=(3, 5))), PatternCounter().update(rng.normal(size=(3, 6)))
    with pytest.raises(ValueError, match="counters: expected 5 neurons as in the first chunk, got 6"):
        one | other
    with pytest.raises(TypeError, match="unsupported operand"):
        one | {1}  # pyright: ignore


def test_a_counter_says_its_counts():
    counter = PatternCounter()
    assert repr(counter) == "PatternCounter(n_patterns=0, n_seen=0)"
    assert repr(counter.update([[1.0, 2.0], [3.0, 4.0]])) == "PatternCounter(n_patterns=1, n_seen=2)"


@given(arrays(np.bool_, st.tuples(st.integers(1, 6), st.integers(1, 70))), st.data())
def test_hamming_distance_counts_differing_neurons(p, data):
    q = data.draw(arrays(np.bool_, p.shape))
    expected = [sum(a != b for a, b in zip(*rows, strict=True)) for rows in zip(p.tolist(), q.tolist(), strict=True)]
    assert hamming_distance(p, q).tolist() == expected
    assert hamming_distance(p[0], p).tolist() == hamming_distance(p, p[0]).tolist()


def test_patterns_are_counted_as_their_preactivations_are(rng):
    pre = rng.normal(size=(300, 6)).astype(np.float32)
    mixed = PatternCounter().update(pre[:100]).update(pre[100:] > 0)
    assert count_patterns(pre > 0) == count_patterns(pre) == mixed.n_patterns == len(np.unique(pre > 0, axis=0))
    assert mixed.n_seen == 300
