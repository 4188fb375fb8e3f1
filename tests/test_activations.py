"""activations: against torch, math.erf and 50 digits; the exact GELU is quick."""

import subprocess
import sys
from decimal import Decimal, localcontext
from math import erf, erfc, sqrt

import mpmath as mp
import numpy as np
import pytest
import torch
from oracles import torch_activations

from lnpoly_helpers.activations import ACTIVATIONS, gate

TORCHS = torch_activations()
GRID = np.concatenate([np.linspace(-12, 12, 2401), [-1e3, -40, 40, 1e3]])


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_and_their_slopes_are_torchs(name):
    tensor = torch.tensor(GRID, requires_grad=True)
    value = TORCHS[name](tensor)
    value.sum().backward()
    act = ACTIVATIONS[name]
    np.testing.assert_allclose(act.value(GRID), value.detach().numpy(), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(act.slope(GRID), tensor.grad.numpy(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_slope_is_the_limit_of_differences_of_the_value(name):
    h = np.linspace(-6, 6, 601)
    h, step = h[np.abs(h) > 0.005], 1e-6
    act = ACTIVATIONS[name]
    np.testing.assert_allclose(act.slope(h), (act.value(h + step) - act.value(h - step)) / (2 * step), atol=1e-8)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_gate_is_what_a_preactivation_is_multiplied_by(name):
    found = gate(name, np.append(GRID, 0.0))
    np.testing.assert_allclose(found[:-1] * GRID, ACTIVATIONS[name].value(GRID), rtol=1e-13, atol=1e-14)
    if name != "relu":  # which jumps at 0, where our slope is 0
        near = gate(name, [-1e-7, 1e-7])
        np.testing.assert_allclose(found[-1], near.mean(), atol=1e-7)


def test_gates_are_the_closed_forms():
    np.testing.assert_array_equal(gate("relu", GRID), GRID > 0)
    np.testing.assert_allclose(gate("silu", GRID[:2401]), 1 / (1 + np.exp(-GRID[:2401])), rtol=1e-13)
    np.testing.assert_allclose(gate("gelu", [-1.6448536269514722, 0.0, 1.6448536269514722]), [0.05, 0.5, 0.95])
    with pytest.raises(ValueError, match="activation: expected one of 'relu', .*, got 'tanh'"):
        gate("tanh", [0.0])


def exact_normal_cdf(h):
    """Phi in 60 digits: 1/2 plus the power series of the density's integral."""
    with localcontext() as context:
        context.prec = 60
        x = Decimal(float(h))
        pi = Decimal("3.14159265358979323846264338327950288419716939937510582097494459")
        total = term = x
        for n in range(1, 400):
            term *= -x * x * (2 * n - 1) / (2 * n * (2 * n + 1))
            total += term
        return float(Decimal("0.5") + total / (2 * pi).sqrt())


def test_the_exact_gelu_has_every_digit():
    value = ACTIVATIONS["gelu"].value
    h = np.linspace(-6, 6, 97)
    np.testing.assert_allclose(value(h), [x * exact_normal_cdf(x) for x in h], rtol=1e-14)
    h = np.linspace(-10, 8, 1001)  # far below 0, where 1 + erf has no digit left, erfc has
    np.testing.assert_allclose(value(h), [x * 0.5 * erfc(-x / sqrt(2)) for x in h], rtol=1e-13)
    h = np.linspace(0, 12, 5001)
    np.testing.assert_allclose(value(h), [x * 0.5 * (1 + erf(x / sqrt(2))) for x in h], rtol=1e-15)


@pytest.mark.parametrize("name, lowest", [("gelu", 37), ("gelu_new", 20), ("silu", 600)])  # beyond, float64 runs out
@mp.workdps(50)
def test_values_and_slopes_keep_their_digits_far_below_zero(rng, name, lowest):
    """Where Phi, tanh and the logistic function have all but vanished: relative to what is left, in 50 digits."""
    gates = {
        "gelu": lambda h: mp.erfc(-h / mp.sqrt(2)) / 2,
        "gelu_new": lambda h: 1 / (1 + mp.exp(-2 * mp.sqrt(2 / mp.pi) * (h + mp.mpf("0.044715") * h**3))),
        "silu": lambda h: 1 / (1 + mp.exp(-h)),
    }
    exact_value = lambda h: h * gates[name](h)  # noqa: E731
    h = -rng.uniform(2, lowest, size=200)
    digits = np.array([mp.mpf(x) for x in h])
    value = np.array([float(exact_value(x)) for x in digits])
    slope = np.array([float(mp.diff(exact_value, x, h=mp.mpf(10) ** -20)) for x in digits])
    # but for the exact GELU, the exponent is rounded: that costs as many last digits as it is large
    accuracy = 1e-14 if name == "gelu" else 1e-14 - 1e-15 * np.array([float(mp.log(gates[name](x))) for x in digits])
    assert (np.abs(ACTIVATIONS[name].value(h) / value - 1) < accuracy).all()
    assert (np.abs(ACTIVATIONS[name].slope(h) / slope - 1) < 2 * accuracy).all()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["relu", "gelu", "gelu_new", "silu", "quick_gelu"])
def test_the_largest_preactivations_overflow_nowhere(name):
    h = np.geomspace(1e3, 1e307, 40)
    np.testing.assert_array_equal(ACTIVATIONS[name].value(-h), -0.0)
    np.testing.assert_array_equal(ACTIVATIONS[name].slope(-h), 0.0)
    np.testing.assert_array_equal(ACTIVATIONS[name].value(h), h)
    np.testing.assert_array_equal(ACTIVATIONS[name].slope(h), 1.0)


def test_scipy_is_loaded_when_a_gelu_runs_and_not_before():
    code = """
import sys, numpy, lnpoly_helpers
from lnpoly_helpers.activations import ACTIVATIONS, gate
before = "scipy.special" in sys.modules
ACTIVATIONS["gelu"].value(numpy.ones(1))
print(before, "scipy.special" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["False", "True"]
