"""Counting and building the faces of S^2 cut by n small circles that (nearly) all cross."""

import tracemalloc

import numpy as np
import pytest
from measure import report, row, within

from lnpoly_helpers import Arrangement, count_faces, partition_sphere

SIZES = (100, 300, 1000, 3072)


def arrangement(n):
    rng = np.random.default_rng(6)
    return Arrangement(rng.standard_normal((n, 3)), 0.1 * rng.standard_normal(n))


@pytest.mark.parametrize("n", SIZES)
def test_count(benchmark, n):
    circles = arrangement(n)
    n_faces = benchmark.pedantic(count_faces, (circles,), rounds=20, warmup_rounds=2)
    limit = 0.06 if n == 3072 else None
    report(
        benchmark,
        [within(f"count the faces of {n} circles on S²", benchmark.stats.stats.min, limit, f"{n_faces} faces")],
    )


@pytest.mark.parametrize("n", SIZES)
def test_partition(benchmark, n):
    circles = arrangement(n)
    rounds = 10 if n < 1000 else 2
    partition = benchmark.pedantic(partition_sphere, (circles,), rounds=rounds, warmup_rounds=n < 1000)
    assert partition.n_faces == count_faces(circles)
    error = abs(partition.areas.sum() - 4 * np.pi)
    assert error < 1e-9
    limit = {1000: 2.0, 3072: 20.0}.get(n)
    result = f"{partition.n_faces} faces, areas add to 4π within {error:.0e}"
    rows = [within(f"build the faces of {n} circles on S²", benchmark.stats.stats.min, limit, result)]
    report(benchmark, rows)


def test_memory(benchmark):
    circles = arrangement(3072)

    def run():
        tracemalloc.start()
        try:
            partition_sphere(circles)
            return tracemalloc.get_traced_memory()[1] / 1e9
        finally:
            tracemalloc.stop()

    peak = benchmark.pedantic(run, rounds=1)
    what = "build the faces of 3072 circles on S², memory traced"
    result = f"{peak:.2f} GB at its peak"
    report(benchmark, [row(what, benchmark.stats.stats.min, "", result, "at most 3 GB", peak <= 3)])
