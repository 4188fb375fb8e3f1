"""How long Python takes for a reader's move, at the size of GPT-2's layers: state taken, numbers computed."""

import itertools

import numpy as np
import pytest
from measure import D, layer, report, within

from lnpoly_helpers import normalize
from lnpoly_helpers.widgets import explore_circle, explore_rotation, explore_slice, explore_sphere

X = np.random.default_rng(7).standard_normal((40, D))
CASES = {  # the explorer, the value that moves and where to, the bound in seconds
    "explore_circle, boundary": (explore_circle, "boundary", range(6), 0.06),
    "explore_sphere, turned": (lambda: explore_sphere(24), "longitude", range(-180, 180, 5), 0.1),
    "explore_sphere, up to 24 circles": (explore_sphere, "n", range(15, 25), 0.1),
    "explore_slice, 3072 neurons, along": (lambda: explore_slice(mlp(), X), "where", np.arange(0, 90, 0.5), 0.06),
    "explore_slice, 3072 neurons, new circle": (lambda: explore_slice(mlp(), X), "second", range(2, 40), 0.06),
    "explore_rotation, 3072 neurons": (
        lambda: explore_rotation(mlp(), *normalize(X[:2])),
        "angle",
        np.arange(0, 80, 0.5),
        0.06,
    ),
}


def mlp():
    return layer(np.random.default_rng(3))


@pytest.mark.parametrize("name", CASES)
def test_move(benchmark, name):
    make, control, values, limit = CASES[name]
    explorer = make()
    values, seen = itertools.cycle(values), set()

    def move():
        setattr(explorer, control, next(values))
        seen.add(explorer.text)

    benchmark.pedantic(move, rounds=30, warmup_rounds=3)
    assert len(seen) > 5
    report(benchmark, [within(f"state of {name}", benchmark.stats.stats.min, limit)])
