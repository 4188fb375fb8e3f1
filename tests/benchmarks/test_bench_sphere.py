"""Counting and building the faces of S^2 cut by n small circles that (nearly) all cross."""

import subprocess
import sys

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


PEAK = """
import os, re, resource, sys
sys.path[:0] = ["tests/benchmarks"]
from test_bench_sphere import arrangement, partition_sphere
partition_sphere(arrangement(3072))
# on Linux a process inherits its parent's ru_maxrss, and this parent has had large arrays: VmHWM is its own
if os.path.exists("/proc/self/status"):
    print(1024 * int(re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1]))
else:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory(benchmark):
    run = benchmark.pedantic(
        lambda: subprocess.run([sys.executable, "-c", PEAK], capture_output=True, text=True), rounds=1
    )
    assert run.returncode == 0, run.stderr
    peak = int(run.stdout) / 1e9
    what = "a process that builds the faces of 3072 circles on S²"
    report(
        benchmark, [row(what, benchmark.stats.stats.min, "", f"{peak:.2f} GB at its peak", "at most 3 GB", peak <= 3)]
    )
