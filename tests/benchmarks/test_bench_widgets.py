"""How long a slider's move takes until the new picture is there, at the size of GPT-2's layers."""

import itertools

import numpy as np
import pytest
from measure import D, layer, report, within

from lnpoly_helpers import normalize
from lnpoly_helpers.widgets import explore_circle, explore_layernorm, explore_rotation, explore_slice, explore_sphere

X = np.random.default_rng(7).standard_normal((40, D))
CASES = {  # the explorer, the control that moves and where to, the bound in seconds: 2-D or 3-D
    "explore_layernorm": (explore_layernorm, "scale", np.arange(0.1, 2, 0.1), 0.1),
    "explore_circle": (explore_circle, "direction_1", range(0, 360, 5), 0.06),
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
def test_redraw(benchmark, name):
    make, control, values, limit = CASES[name]
    explorer = make()
    values = itertools.cycle([type(explorer.values[control])(value) for value in values])
    seen = set()

    def move():
        explorer.controls[control].value = next(values)
        seen.add(bytes(explorer.picture.value))

    benchmark.pedantic(move, rounds=30, warmup_rounds=3)
    assert len(seen) > 5 and not explorer.numbers.value.count("No picture")
    size = f"{len(explorer.picture.value) / 1000:.0f} kB"
    report(benchmark, [within(f"redraw {name}", benchmark.stats.stats.min, limit, size)])
