"""The activations of MLP layers: value, slope and gate of each, in float64."""

from math import erf

import numpy as np

_erf = np.frompyfunc(erf, 1, 1)  # NumPy has no erf; the standard library's is exact to the last digit


def _relu(h):
    return np.maximum(h, 0.0)


def _relu_slope(h):
    return (h > 0).astype(np.float64)


def _gelu(h):
    return h * _normal_cdf(h)


def _gelu_slope(h):
    return _normal_cdf(h) + h * np.exp(-0.5 * h**2) / np.sqrt(2 * np.pi)


def _normal_cdf(h):
    return 0.5 * (1.0 + _erf(h / np.sqrt(2.0)).astype(np.float64))


def _gelu_new(h):
    return h * _gelu_new_gate(h)


def _gelu_new_gate(h):
    return 0.5 * (1.0 + np.tanh(_gelu_new_argument(h)))


def _gelu_new_slope(h):
    t = np.tanh(_gelu_new_argument(h))
    return 0.5 * (1.0 + t) + 0.5 * h * (1.0 - t**2) * np.sqrt(2 / np.pi) * (1.0 + 3 * 0.044715 * h**2)


def _gelu_new_argument(h):
    return np.sqrt(2 / np.pi) * h * (1.0 + 0.044715 * h**2)  # NumPy's h**3 alone takes ten times as long


# name: (function, derivative); "gelu_new" is GPT-2's tanh approximation of GELU
ACTIVATIONS = {
    "relu": (_relu, _relu_slope),
    "gelu": (_gelu, _gelu_slope),
    "gelu_new": (_gelu_new, _gelu_new_slope),
}


# every activation here is h times its gate: for ReLU a bit, for GELU a number between 0 and 1
GATES = {"relu": _relu_slope, "gelu": _normal_cdf, "gelu_new": _gelu_new_gate}
