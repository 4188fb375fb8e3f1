"""Functions that a well-kept library computes: against what they replaced, in the same run."""

from math import erf

import numpy as np
import pytest
from measure import against, layer, report, seconds, within

from lnpoly_helpers import cap_share
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
