"""The activations of MLP layers: value and slope of each, in float64, and how one is recognised."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ._inputs import ArrayLike, Float, Real, as_float64, one_of

Pointwise = Callable[[np.ndarray], np.ndarray]


class Activation(NamedTuple):
    """Two functions of pre-activations h: what a neuron puts out, and the derivative of that."""

    value: Pointwise
    slope: Pointwise


def _normal_cdf(h):
    from scipy.special import erfcx, ndtr  # here, so that importing the package stays quick

    cdf = np.asarray(ndtr(h))
    low = np.asarray(h) < -8  # where ndtr loses digits, a thousand units of the last place in the end
    if low.any():
        t = np.asarray(h)[low]
        cdf[low] = 0.5 * erfcx(-np.sqrt(0.5) * t) * _bell(t)
    return cdf[()]


def _bell(h):
    """exp(-h^2 / 2) to the last digits: the square of a float32 is exact in float64, and what is left is small."""
    h = np.clip(h, -40, 40)  # where it is 0 already
    most = h.astype(np.float32).astype(np.float64)
    return np.exp(-0.5 * most**2) * np.exp(-0.5 * (h - most) * (h + most))


def _normal_density(h):
    return _bell(h) / np.sqrt(2 * np.pi)


# GPT-2's tanh approximation of GELU, h (1 + tanh u) / 2 with u = sqrt(2/pi) (h + 0.044715 h^3)
def _gelu_new_gate(h):
    h = np.clip(h, -100, 100)  # beyond, nothing changes any more, and no cube overflows
    u = np.sqrt(2 / np.pi) * h * (1.0 + 0.044715 * h**2)  # NumPy's h**3 alone takes ten times as long
    gate = np.asarray(0.5 * (1.0 + np.tanh(u)))
    low = h < -2  # where 1 + tanh u cancels, the logistic function of 2 u, which is the same, does not
    if low.any():
        gate[low] = _sigmoid(2 * u[low])
    return gate[()]


def _gelu_new_slope(h):
    gate, h = _gelu_new_gate(h), np.clip(h, -100, 100)
    return gate + 2.0 * h * gate * (1.0 - gate) * np.sqrt(2 / np.pi) * (1.0 + 3 * 0.044715 * h**2)


def _sigmoid(h):
    from scipy.special import expit

    return expit(h)


def _sigmoid_gated(scale):
    """h sigmoid(scale h): SiLU at scale 1."""

    def slope(h):
        s = _sigmoid(scale * h)
        return s + scale * h * s * (1.0 - s)

    return Activation(value=lambda h: h * _sigmoid(scale * h), slope=slope)


def _relu(h):
    return np.maximum(h, 0.0)


ACTIVATIONS = {
    "relu": Activation(value=_relu, slope=lambda h: (h > 0).astype(np.float64)),
    "gelu": Activation(value=lambda h: h * _normal_cdf(h), slope=lambda h: _normal_cdf(h) + h * _normal_density(h)),
    "gelu_new": Activation(value=lambda h: h * _gelu_new_gate(h), slope=_gelu_new_slope),
    "silu": _sigmoid_gated(1.0),
    "quick_gelu": _sigmoid_gated(1.702),
    "relu2": Activation(value=lambda h: _relu(h) ** 2, slope=lambda h: 2.0 * _relu(h)),
}


def gate(activation: str, pre: Real[ArrayLike, "..."] | float) -> Float[np.ndarray | np.float64, "..."]:
    """What an activation multiplies a pre-activation h by: value(h) / h, and at h = 0 its limit from below.

    ReLU's is 0 up to h = 0 and 1 above, GELU's is Phi(h), the normal distribution function, SiLU's 1 / (1 + exp(-h)).

    Parameters
    ----------
    activation : str
        As in `NormedMLP`.
    pre : array_like [...]
        Pre-activations.

    Returns
    -------
    gate : float64 [...]

    Raises
    ------
    ValueError
        The activation is unknown, or a number is NaN or infinite.

    See Also
    --------
    activation_pattern : the signs alone.

    Examples
    --------
    >>> gate("relu", [-1.0, 2.0]).tolist(), gate("silu", 0.0).item()
    ([0.0, 1.0], 0.5)
    """
    act = ACTIVATIONS[one_of(activation, tuple(ACTIVATIONS), "activation")]
    pre = as_float64(pre, "pre", shape=(...,))
    at_zero = pre == 0
    at_all_others = act.value(pre) / np.where(at_zero, 1.0, pre)
    return (np.where(at_zero, act.slope(np.zeros(1))[0], at_all_others) + 0.0)[()]  # no -0


# other libraries' names for ours
OTHER_NAMES = {
    "gelu_pytorch_tanh": "gelu_new",
    "gelu_fast": "gelu_new",
    "gelu_accurate": "gelu_new",
    "gelu_python": "gelu",
    "swish": "silu",
    "relu_squared": "relu2",
}
_GRID = np.concatenate([np.linspace(-6, 6, 1201), [-20.0, 20.0]])


def recognised(activation, runner):
    """Our name of an activation that is given by a name or as a function: the one whose values it has, all of them.

    ``runner.of`` makes a function from arrays to arrays of it.
    """
    if isinstance(activation, str):
        return one_of(OTHER_NAMES.get(activation, activation), tuple(ACTIVATIONS), "activation")
    values = runner.of(activation)(_GRID[None])[0]
    # where numbers are large, relative to them
    ours = {name: one.value(_GRID) for name, one in ACTIVATIONS.items()}
    off = {name: np.max(np.abs(values - y) / np.maximum(1, np.abs(y))) for name, y in ours.items()}
    name = min(off, key=lambda name: off[name])
    if not off[name] < 1e-6:  # the two GELUs differ by 5e-4
        raise ValueError(
            f"activation: expected one of {', '.join(ACTIVATIONS)}, got {activation!r}, whose values are none of "
            f"theirs: it is off by {off[name]:.1e} from {name}, the nearest."
        )
    return name
