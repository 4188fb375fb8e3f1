"""From a residual vector to a point of the sphere, the pre-activations and the layer's output.

Row vectors throughout: a batch has shape [..., d] and ``W_in`` [d, m] is used as ``z @ W_in``.
With P = I - 11^T/d, LayerNorm without its learned part is z = Px / sqrt(|Px|^2/d + eps).
"""

from dataclasses import dataclass

import numpy as np

from ._inputs import KINDS, ArrayLike, Float, Real, as_float64, non_negative, one_of, read_only
from .activations import ACTIVATIONS

_FLOAT64_EPS = np.finfo(np.float64).eps


def normalize(
    x: Real[ArrayLike, "... d"], *, eps: float = 0.0, kind: str = "layernorm"
) -> Float[np.ndarray, "... d"]:
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
    unit, size = direction(x, kind)
    if eps == 0.0:
        if not unit.any(axis=-1).all():
            _raise_no_direction(x, unit, kind)
        return unit
    scale = np.hypot(size, np.sqrt(eps))
    return unit * np.divide(size, scale, out=np.zeros_like(size), where=scale > 0)


def direction(x, kind):
    """Return Px/s and the standard deviation s [..., 1]; both are 0 where Px is nothing but rounding."""
    largest = np.abs(x).max(axis=-1, keepdims=True)
    y = x / np.where(largest > 0, largest, 1.0)  # no overflow in the squares below
    if kind == "layernorm":
        y = y - y.mean(axis=-1, keepdims=True)
        y = y - y.mean(axis=-1, keepdims=True)  # the first mean is rounded; this removes what it left
    size = np.sqrt(np.mean(y**2, axis=-1, keepdims=True))
    hasdirection = size > 8 * _FLOAT64_EPS
    unit = np.divide(y, size, out=np.zeros_like(y), where=hasdirection)
    return unit, np.where(hasdirection, size, 0.0) * largest


def _raise_no_direction(x, unit, kind):
    where = tuple(int(i) for i in np.argwhere(~unit.any(axis=-1))[0])
    what = "constant (a multiple of the ones vector)" if kind == "layernorm" else "zero"
    at = f" at index {where}" if where else ""
    raise ValueError(
        f"x: expected a vector with a direction, got one{at} that is {what}. "
        f"{'LayerNorm' if kind == 'layernorm' else 'RMSNorm'} has no image for it at eps = 0; "
        f"leave it out, or pass the model's own eps > 0, which maps it to 0."
    )


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

    reads_normalised = True  # the mark by which functions tell it from a `NormedMLP`

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
