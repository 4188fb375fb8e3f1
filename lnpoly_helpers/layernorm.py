"""From a residual vector to a point of the sphere, the pre-activations and the layer's output.

Row vectors throughout: a batch has shape [..., d] and ``W_in`` [d, m] is used as ``z @ W_in``.
With P = I - 11^T/d, LayerNorm without its learned part is z = Px / sqrt(|Px|^2/d + eps).
"""

from dataclasses import dataclass
from math import erf

import numpy as np

from ._inputs import as_float64, freeze, one_of, read_only

KINDS = ("layernorm", "rmsnorm", "none")
_FLOAT64_EPS = np.finfo(np.float64).eps
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


def normalize(x, *, eps=0.0, kind="layernorm"):
    r"""Put every vector on the sphere of radius sqrt(d): LayerNorm without its learned part.

    z = Px / sqrt(|Px|^2/d + eps) for ``"layernorm"``, x / sqrt(|x|^2/d + eps) for ``"rmsnorm"``,
    x itself for ``"none"``.

    Parameters
    ----------
    x : array_like [..., d]
    eps : float
        What the model adds to the variance, in units of x squared. With 0 the result lies on the
        sphere, with eps > 0 strictly inside it: |z|^2 = d s^2 / (s^2 + eps), s the standard deviation.
    kind : {"layernorm", "rmsnorm", "none"}

    Returns
    -------
    z : float64 [..., d]

    Raises
    ------
    ValueError
        At eps = 0, for a vector without direction: a constant one (LayerNorm) or zero (RMSNorm).
        Also for NaN, infinity, a negative eps or an unknown kind.

    Notes
    -----
    Accurate to a few units in the last place for any finite scale of x: it neither overflows nor
    underflows. An offset c costs c * 1e-16 of absolute accuracy. Ba, Kiros and Hinton 2016,
    arXiv:1607.06450; Zhang and Sennrich 2019, arXiv:1910.07467.

    >>> normalize([1.0, 2.0, 4.0]).round(3)
    array([-1.069, -0.267,  1.336])
    """
    one_of(kind, KINDS, "kind")
    x = as_float64(x, "x", shape=(..., "d"))
    eps = non_negative(eps, "eps")
    if kind == "none":
        return x.copy()
    unit, size = _direction(x, kind)
    if eps == 0.0:
        if not unit.any(axis=-1).all():
            _raise_no_direction(x, unit, kind)
        return unit
    scale = np.hypot(size, np.sqrt(eps))
    return unit * np.divide(size, scale, out=np.zeros_like(size), where=scale > 0)


def _direction(x, kind):
    """Return Px/s and the standard deviation s [..., 1]; both are 0 where Px is nothing but rounding."""
    largest = np.abs(x).max(axis=-1, keepdims=True)
    y = x / np.where(largest > 0, largest, 1.0)  # no overflow in the squares below
    if kind == "layernorm":
        y = y - y.mean(axis=-1, keepdims=True)
        y = y - y.mean(axis=-1, keepdims=True)  # the first mean is rounded; this removes what it left
    size = np.sqrt(np.mean(y**2, axis=-1, keepdims=True))
    has_direction = size > 8 * _FLOAT64_EPS
    unit = np.divide(y, size, out=np.zeros_like(y), where=has_direction)
    return unit, np.where(has_direction, size, 0.0) * largest


def _raise_no_direction(x, unit, kind):
    where = tuple(int(i) for i in np.argwhere(~unit.any(axis=-1))[0])
    what = "constant (a multiple of the ones vector)" if kind == "layernorm" else "zero"
    at = f" at index {where}" if where else ""
    raise ValueError(
        f"x: expected a vector with a direction, got one{at} that is {what}. "
        f"{'LayerNorm' if kind == 'layernorm' else 'RMSNorm'} has no image for it at eps = 0; "
        f"leave it out, or pass the model's own eps > 0, which maps it to 0."
    )


def non_negative(value, name):
    """Return ``value`` as a float if it is a finite number >= 0; otherwise a ValueError that says what it is."""
    if not (isinstance(value, (int, float, np.number)) and np.isfinite(value) and value >= 0):
        raise ValueError(f"{name}: expected a finite number >= 0, got {value!r}.")
    return float(value)


class _TwoMatrices:
    """What a stored and a folded block share: their checks and their second half."""

    def _check(self):
        one_of(self.activation, tuple(ACTIVATIONS), "activation")
        one_of(self.kind, KINDS, "kind")
        object.__setattr__(self, "eps", non_negative(self.eps, "eps"))
        self._set("W_in", ("d", "m"))
        d, m = self.W_in.shape
        self._set("b_in", (m,))
        self._set("W_out", (m, "d_out"))
        self._set("b_out", (self.W_out.shape[1],))
        return d

    def _set(self, field, shape):
        object.__setattr__(self, field, read_only(as_float64(getattr(self, field), field, shape=shape)))

    @property
    def d_model(self):
        return self.W_in.shape[0]

    @property
    def n_neurons(self):
        return self.W_in.shape[1]

    def __repr__(self):
        return (
            f"{type(self).__name__}(d_model={self.d_model}, n_neurons={self.n_neurons}, "
            f"activation={self.activation!r}, kind={self.kind!r}, eps={self.eps:g})"
        )


@dataclass(frozen=True, eq=False, repr=False)
class NormedMLP(_TwoMatrices):
    """A norm and the MLP behind it, as a model stores them.

    block(x) = act((gamma * normalize(x) + beta) @ W_in + b_in) @ W_out + b_out

    Parameters
    ----------
    gamma, beta : array_like [d]
        The norm's learned scale and shift; ones and zeros where the model has none.
    W_in : array_like [d, m];  b_in : [m];  W_out : [m, d_out];  b_out : [d_out]
    activation : {"relu", "gelu", "gelu_new"}
    eps : float
    kind : {"layernorm", "rmsnorm", "none"}
    """

    gamma: np.ndarray
    beta: np.ndarray
    W_in: np.ndarray
    b_in: np.ndarray
    W_out: np.ndarray
    b_out: np.ndarray
    activation: str
    eps: float
    kind: str

    def __post_init__(self):
        d = self._check()
        self._set("gamma", (d,))
        self._set("beta", (d,))

    def preactivations(self, x):
        """Pre-activations [..., m] of residual vectors x [..., d]."""
        x = as_float64(x, "x", shape=(..., self.d_model))
        z = normalize(x, eps=self.eps, kind=self.kind)
        return (self.gamma * z + self.beta) @ self.W_in + self.b_in

    def __call__(self, x):
        """Output [..., d_out] of residual vectors x [..., d]."""
        return ACTIVATIONS[self.activation][0](self.preactivations(x)) @ self.W_out + self.b_out


@dataclass(frozen=True, eq=False, repr=False)
class FoldedMLP(_TwoMatrices):
    """An MLP that reads normalised vectors directly: gamma, beta and the centring are in ``W_in`` and ``b_in``.

    mlp(x) = mlp.output(normalize(x)); every statement about the sphere uses this ``W_in``.
    Parameters as in `NormedMLP`, less gamma and beta.
    """

    W_in: np.ndarray
    b_in: np.ndarray
    W_out: np.ndarray
    b_out: np.ndarray
    activation: str
    eps: float
    kind: str

    def __post_init__(self):
        self._check()
        if self.kind == "layernorm":
            # pre-activations would not change, but every norm of a column, and with it every height and margin
            off = np.abs(self.W_in.mean(axis=0)).max() / max(np.abs(self.W_in).max(), np.finfo(float).tiny)
            if off > 1e-6:
                raise ValueError(
                    f"W_in: expected columns with mean 0, as LayerNorm's fold makes them, got one with {off:.1e} of "
                    f"the largest weight. fold_layer_norm(NormedMLP(...)) centres them."
                )

    def preactivations(self, z):
        """Pre-activations [..., m] of normalised vectors z [..., d]."""
        return as_float64(z, "z", shape=(..., self.d_model)) @ self.W_in + self.b_in

    def output(self, z):
        """Output [..., d_out] of normalised vectors z [..., d]."""
        return ACTIVATIONS[self.activation][0](self.preactivations(z)) @ self.W_out + self.b_out

    def __call__(self, x):
        """Output [..., d_out] of residual vectors x [..., d]."""
        x = as_float64(x, "x", shape=(..., self.d_model))
        return self.output(normalize(x, eps=self.eps, kind=self.kind))


def fold_layer_norm(block):
    """Move gamma, beta and the centring of a `NormedMLP` into its first matrix; returns a `FoldedMLP`.

    W_in <- P (gamma * W_in) for LayerNorm, gamma * W_in otherwise; b_in <- b_in + beta @ W_in, with the
    *original* W_in. Exact in real arithmetic, about 1e-13 relative in float64.

    Raises
    ------
    TypeError
        ``block`` is not a `NormedMLP`.
    """
    if not isinstance(block, NormedMLP):
        raise TypeError(f"block: expected a NormedMLP, got {type(block).__name__}. mlp_block(model, layer) makes one.")
    W_in = block.gamma[:, None] * block.W_in
    if block.kind == "layernorm":
        W_in = W_in - W_in.mean(axis=0)
    return FoldedMLP(
        W_in=W_in,
        b_in=block.b_in + block.beta @ block.W_in,
        W_out=block.W_out,
        b_out=block.b_out,
        activation=block.activation,
        eps=block.eps,
        kind=block.kind,
    )


def require_folded(mlp):
    """Refuse a `NormedMLP` above all: it would normalise points that are normalised already."""
    if not isinstance(mlp, FoldedMLP):
        raise TypeError(f"mlp: expected a FoldedMLP, got {type(mlp).__name__}. fold_layer_norm(block) makes one.")


def jacobian(mlp, x):
    """Derivative of the layer's output by the residual vector: J[i, j] = d mlp(x)_j / d x_i.

    dz/dx = (P - Px (Px)^T / (d sigma^2)) / sigma with sigma^2 = |Px|^2/d + eps, then W_in, the slopes of the
    activation and W_out. At eps = 0, J(a x) = J(x) / a: the layer is affine in z, not in x.

    Parameters
    ----------
    mlp : FoldedMLP
    x : array_like [d]

    Returns
    -------
    J : float64 [d, d_out]
    """
    require_folded(mlp)
    x = as_float64(x, "x", shape=(mlp.d_model,))
    z = normalize(x, eps=mlp.eps, kind=mlp.kind)
    slopes = ACTIVATIONS[mlp.activation][1](mlp.preactivations(z))
    by_z = (mlp.W_in * slopes) @ mlp.W_out
    if mlp.kind == "none":
        return by_z
    # Px = sigma z, so Px (Px)^T / (d sigma^2) = z z^T / d; the folded W_in has P in it already
    size = _direction(x, mlp.kind)[1].item()
    sigma = np.hypot(size, np.sqrt(mlp.eps))
    return (by_z - np.outer(z, z @ by_z) / len(x)) / sigma


@dataclass(frozen=True, eq=False)
class RayCrossings:
    """Where neurons flip on the ray {a x : a > 0}.

    Attributes
    ----------
    scales : float64 [n], sorted
        The scales a at which a neuron's pre-activation is 0.
    neurons : int [n]
        The neuron that flips there.
    """

    scales: np.ndarray
    neurons: np.ndarray

    def __post_init__(self):
        freeze(self)


def ray_crossings(mlp, x, *, eps=None):
    """Every flip of a neuron along the ray {a x : a > 0}, in closed form.

    Behind a norm, neuron i flips at most once: with z = normalize(x) at eps = 0 and r = -b_i / (z . w_i), it
    flips iff 0 < r < 1, at a = sqrt(eps) r / (s sqrt(1 - r^2)), s the standard deviation of x (its root mean
    square for RMSNorm). So at eps = 0 nothing flips. Without a norm it flips at a = -b_i / (x . w_i) if that
    is positive.

    Parameters
    ----------
    mlp : FoldedMLP
    x : array_like [d]
    eps : float, optional
        In place of the model's own.

    Returns
    -------
    RayCrossings
    """
    require_folded(mlp)
    x = as_float64(x, "x", shape=(mlp.d_model,))
    eps = mlp.eps if eps is None else non_negative(eps, "eps")
    z = normalize(x, kind=mlp.kind)
    with np.errstate(divide="ignore", invalid="ignore"):
        r = -mlp.b_in / (z @ mlp.W_in)
        if mlp.kind == "none":
            scales = r
            flips = np.isfinite(r) & (r > 0)
        else:
            scales = np.sqrt(eps) * r / (_direction(x, mlp.kind)[1].item() * np.sqrt((1 - r) * (1 + r)))
            flips = (r > 0) & (r < 1) & (eps > 0)
    neurons = np.flatnonzero(flips)
    order = np.argsort(scales[neurons], kind="stable")
    return RayCrossings(scales[neurons][order], neurons[order])
