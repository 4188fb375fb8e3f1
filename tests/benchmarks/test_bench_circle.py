"""Exact circles through a layer of GPT-2's size against dense sampling."""

import numpy as np
import pytest
from measure import D, against, layer, report, seconds, within

from lnpoly_helpers import partition_circle, restrict, slice_basis


@pytest.fixture(scope="module")
def mlp():
    return layer(np.random.default_rng(3))


def sampled_arcs(arrangement, n_points):
    """How many arcs a scan of the circle tells apart: how often the pattern differs from the point before."""
    angle = 2 * np.pi * np.arange(n_points) / n_points
    points = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    found, before = 0, arrangement.preactivations(points[-1:]) > 0
    for part in np.array_split(points, max(1, n_points // 1000)):
        on = np.concatenate([before, part @ arrangement.normals.T + arrangement.offsets > 0])
        found += int((on[1:] != on[:-1]).any(axis=1).sum())
        before = on[-1:]
    return found


def test_one_circle(benchmark, mlp):
    basis = slice_basis(np.random.default_rng(4).standard_normal((2, D)))
    circle = benchmark.pedantic(lambda: partition_circle(restrict(mlp, basis)), rounds=50, warmup_rounds=5)
    ours, what = benchmark.stats.stats.min, f"one exact circle of 3072 neurons, d = 768: {circle.n_arcs} arcs"
    rows = [within(what, ours, 5e-3)]
    for n_points in (10_000, 1_000_000):
        found = []
        theirs = seconds(lambda: found.append(sampled_arcs(restrict(mlp, basis), n_points)), 1)  # noqa: B023
        name = f"{n_points} samples, which miss {circle.n_arcs - found[0]} arcs"
        rows.append(against(what, ours, name, theirs))
    report(benchmark, rows)


def test_a_thousand_circles(benchmark, mlp):
    bases = np.array([slice_basis(pair) for pair in np.random.default_rng(5).standard_normal((1000, 2, D))])

    def run():
        return [partition_circle(arrangement) for arrangement in restrict(mlp, bases)]

    benchmark.pedantic(run, rounds=3, warmup_rounds=1)
    each = benchmark.stats.stats.min / len(bases)
    report(benchmark, [within("each of 1000 exact circles of 3072 neurons, d = 768", each, 1e-3)])
