"""What the benchmarks share: a clock, a layer of GPT-2's size, and rows for the report."""

import time

import numpy as np

from lnpoly_helpers import FoldedMLP

D, M = 768, 3072


def seconds(function, rounds=3):
    """The shortest of several runs: what else the machine does can only add to it."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def layer(rng, bias=0.3):
    """A random layer behind LayerNorm whose pre-activations are of order 1 on the sphere."""
    W_in = rng.standard_normal((D, M)) / np.sqrt(D)
    W_in -= W_in.mean(axis=0)
    b_in = bias * rng.standard_normal(M)
    return FoldedMLP(W_in, b_in, np.zeros((M, 1)), np.zeros(1), activation="gelu_new", eps=0.0, kind="layernorm")


def against(what, ours, name, theirs, *, at_least=None):
    """A row: how many times faster than another way, and the ratio asked for."""
    bound = "" if at_least is None else f"at least {at_least:g} times faster"
    holds = None if at_least is None else theirs >= at_least * ours
    return row(what, ours, f"{name}: {show(theirs)}", f"{theirs / ours:.1f} times faster", bound, holds)


def within(what, ours, limit, result=""):
    """A row: a time, and the limit asked for."""
    return row(what, ours, "", result, "" if limit is None else f"at most {show(limit)}", limit and ours <= limit)


def row(what, ours, other, result, bound, holds):
    return dict(what=what, ours=show(ours), other=other, result=result, bound=bound, holds=holds)


def show(seconds):
    for unit, size in [("s", 1), ("ms", 1e-3), ("µs", 1e-6)]:
        if seconds >= size or unit == "µs":
            return f"{seconds / size:.3g} {unit}"


def report(benchmark, rows):
    """Keep the rows for report.py, and fail if a bound does not hold."""
    benchmark.extra_info["rows"] = rows
    broken = [
        f"{r['what']}: {r['ours']}, {r['result']} {r['other']}, not {r['bound']}" for r in rows if r["holds"] is False
    ]
    assert not broken, "; ".join(broken)
