"""Functions that a well-kept library computes: against what they replaced, in the same run."""

from math import erf

import numpy as np
import pytest
from measure import against, layer, report, seconds, within

from lnpoly_helpers import FoldedMLP, cap_share, matched_layer, survey
from lnpoly_helpers.activations import ACTIVATIONS


def test_exact_gelu(benchmark):
    h = np.random.default_rng(5).normal(size=(300, 3072))
    slow_erf = np.frompyfunc(erf, 1, 1)
    benchmark.pedantic(ACTIVATIONS["gelu"].value, (h,), rounds=7, warmup_rounds=1)
    slow = seconds(lambda: h * 0.5 * (1 + slow_erf(h / np.sqrt(2)).astype(float)))
    what, other = "exact GELU of 300 x 3072 pre-activations", "the standard library's erf, element by element"
    report(benchmark, [against(what, benchmark.stats.stats.min, other, slow, at_least=5)])


@pytest.mark.parametrize("kind", ["layernorm"])
def test_cap_shares(benchmark, kind):
    mlp = layer(np.random.default_rng(6))
    benchmark.pedantic(cap_share, (mlp,), rounds=20, warmup_rounds=2)
    report(benchmark, [within("shares of 3072 caps, d = 768", benchmark.stats.stats.min, 0.005)])


@pytest.mark.parametrize("d, m, gated, limit", [(128, 512, False, 0.3), (576, 1536, True, 2.0)])
def test_survey_of_a_layer(benchmark, d, m, gated, limit):
    """The time of a notebook: some hundred layers and as many matched ones."""
    rng = np.random.default_rng(7)
    W_in, W_up, W_out = (rng.normal(size=shape) / np.sqrt(d) for shape in ((d, m), (d, m), (m, d)))
    kind = {"activation": "silu", "W_up": W_up} if gated else {"activation": "relu"}
    mlp = FoldedMLP(W_in, np.full(m, -1.0), W_out, np.zeros(d), eps=0.0, kind="rmsnorm", **kind)
    z = mlp.to_sphere(rng.normal(size=(1000, d)))
    benchmark.pedantic(survey, (mlp, z, rng), rounds=3, warmup_rounds=1)
    drawn = seconds(lambda: matched_layer(mlp, z, rng))
    what = f"of {m}{' gated' if gated else ''} neurons at 1000 points, d = {d}"
    report(
        benchmark,
        [
            within(f"survey {what}", benchmark.stats.stats.min, limit),
            within(f"matched layer {what}", drawn, limit / 2),
        ],
    )
