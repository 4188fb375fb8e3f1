"""The activations of MLP layers: value, slope and gate of each, in float64.

Every one is h times its gate: for ReLU a bit, for GELU a number between 0 and 1.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

Pointwise = Callable[[np.ndarray], np.ndarray]


class Activation(NamedTuple):
    """Three functions of pre-activations h: what a neuron puts out, the derivative of that, and value / h."""

    value: Pointwise
    slope: Pointwise
    gate: Pointwise


def _step(h):
    return (h > 0).astype(np.float64)


def _normal_cdf(h):
    from scipy.special import ndtr  # here, so that importing the package stays quick

    return ndtr(h)


def _normal_density(h):
    return np.exp(-0.5 * h**2) / np.sqrt(2 * np.pi)


# GPT-2's tanh approximation of GELU, (1 + tanh u) / 2 for the gate with u = sqrt(2/pi) (h + 0.044715 h^3)
def _tanh(h):
    return np.tanh(np.sqrt(2 / np.pi) * h * (1.0 + 0.044715 * h**2))  # NumPy's h**3 alone takes ten times as long


def _gelu_new_gate(h):
    return 0.5 * (1.0 + _tanh(h))


def _gelu_new_slope(h):
    t = _tanh(h)
    return 0.5 * (1.0 + t) + 0.5 * h * (1.0 - t**2) * np.sqrt(2 / np.pi) * (1.0 + 3 * 0.044715 * h**2)


ACTIVATIONS = {
    "relu": Activation(value=lambda h: np.maximum(h, 0.0), slope=_step, gate=_step),
    "gelu": Activation(
        value=lambda h: h * _normal_cdf(h),
        slope=lambda h: _normal_cdf(h) + h * _normal_density(h),
        gate=_normal_cdf,
    ),
    "gelu_new": Activation(value=lambda h: h * _gelu_new_gate(h), slope=_gelu_new_slope, gate=_gelu_new_gate),
}
