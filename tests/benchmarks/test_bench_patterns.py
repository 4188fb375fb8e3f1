"""Hashing, counting and margins against what people would use instead and against the matrix product before them."""

import time

import numpy as np
import pytest
import torch
from measure import D, M, against, layer, report, row, seconds

from lnpoly_helpers import PatternCounter, boundary_margin, count_patterns, normalize


@pytest.fixture(scope="module")
def text():
    """Pre-activations float32 [100 000, 3072] of a layer its neurons on one time in six; a third of rows repeat."""
    rng = np.random.default_rng(1)
    z = rng.standard_normal((100_000, D), dtype=np.float32)
    z[::3] = z[::3][rng.permutation(len(z[::3])) // 2]
    W_in = rng.standard_normal((D, M), dtype=np.float32) / np.float32(np.sqrt(D))
    return z, W_in, z @ W_in - np.float32(1)


def by_bytes(on):
    return len({row.tobytes() for row in np.packbits(on, axis=1)})


def by_void_view(on):
    packed = np.packbits(on, axis=1)
    return len(np.unique(packed.view(f"V{packed.shape[1]}")))


def by_numpy(on):
    return len(np.unique(on, axis=0))


def by_torch(on):
    return len(torch.unique(torch.from_numpy(on), dim=0))


@pytest.mark.parametrize("n, asked", [(10_000, (None, None, None)), (100_000, (100, 15, 2))], ids=["10 000", "100 000"])
def test_hash_and_count(benchmark, text, n, asked):
    pre = text[2][:n]
    on = pre > 0  # where every way begins
    count = benchmark.pedantic(count_patterns, (on,), rounds=10, warmup_rounds=1)
    ours, what = benchmark.stats.stats.min, f"hash and count {n} patterns of 3072 neurons"
    rows = []
    for name, other, rounds, at_least in [
        ("np.unique(axis=0)", by_numpy, 1, asked[0]),
        ("torch.unique(dim=0)", by_torch, 3, asked[1]),
        ("packbits and a void view", by_void_view, 5, asked[2]),
        ("a set of row bytes", by_bytes, 1, None),
    ]:
        assert other(on[:1000]) == count_patterns(pre[:1000])
        found = []
        theirs = seconds(lambda: found.append(other(on)), rounds)  # noqa: B023
        assert set(found) == {count}
        rows.append(against(what, ours, name, theirs, at_least=at_least))
    read, from_pre = seconds(lambda: pre.max(), 5), seconds(lambda: count_patterns(pre), 10)
    other = f"the plain read of their pre-activations: {read * 1e3:.3g} ms"
    rows.append(row(what, ours, other, f"{ours / read:.2g} times as long", "", None))
    what = f"the same from {n} rows of pre-activations, signs and NaN check included"
    rows.append(row(what, from_pre, other, f"{from_pre / read:.2g} times as long", "", None))
    report(benchmark, rows)


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_hashing_beside_the_matrix_product(benchmark, text, library):
    z, W_in, _ = text
    if library == "torch":
        tensor = torch.from_numpy(W_in)
        product = lambda part: (torch.from_numpy(part) @ tensor).numpy()  # noqa: E731
    else:
        product = lambda part: part @ W_in  # noqa: E731
    spent = []

    def run():
        counter, times = PatternCounter(), np.zeros(3)
        for part in np.array_split(z, 10):
            clock = [time.perf_counter()]
            pre = product(part)
            clock.append(time.perf_counter())
            on = pre > 0
            clock.append(time.perf_counter())
            counter.update(on)
            clock.append(time.perf_counter())
            times += np.diff(clock)
        spent.append(times)

    benchmark.pedantic(run, rounds=3, warmup_rounds=1)
    multiplied, compared, hashed = np.min(spent, axis=0)
    other = f"the product ({library}, float32): {multiplied:.3g} s"
    what, share = "hash and count 100000 patterns beside the product, 768 to 3072", hashed / multiplied
    rows = [row(what, hashed, other, f"adds {100 * share:.1f} %", "adds at most 7 %", bool(share <= 0.07))]
    share = (compared + hashed) / multiplied
    rows.append(row("the same with taking the signs", compared + hashed, other, f"adds {100 * share:.1f} %", "", None))
    report(benchmark, rows)


def test_margins(benchmark):
    rng = np.random.default_rng(2)
    mlp = layer(rng)
    z = normalize(rng.standard_normal((4000, D)))
    benchmark.pedantic(boundary_margin, (mlp, z), rounds=3, warmup_rounds=1)
    product, ours = seconds(lambda: z @ mlp.W_in, 5), benchmark.stats.stats.min
    other, what = f"the product in float64: {1e3 * product:.3g} ms", "margins of 4000 points to 3072 boundaries"
    report(benchmark, [row(what, ours, other, f"{ours / product:.2g} times as long", "", None)])
