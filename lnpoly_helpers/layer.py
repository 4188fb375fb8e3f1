"""From a residual vector to a point of the sphere, the pre-activations and the layer's output.

Row vectors throughout: a batch has shape [..., d] and ``W_in`` [d, m] is used as ``z @ W_in``.
With P = I - 11^T/d, LayerNorm without its learned part is z = Px / sqrt(|Px|^2/d + eps).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._inputs import (
    KINDS,
    ArrayLike,
    Float,
    Frozen,
    Real,
    as_float64,
    as_normalised,
    as_weights,
    at_unit_scale,
    non_negative,
    one_of,
    read_only,
)
from ._modules import Runner, read_linear, read_norm
from ._slice_basis import SliceBasis, orthonormal
from .activations import ACTIVATIONS, recognised

_FLOAT64_EPS = np.finfo(np.float64).eps


def normalize(x: Real[ArrayLike, "... d"], *, eps: float = 0.0, kind: str = "layernorm") -> Float[np.ndarray, "... d"]:
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
    Accurate to a few units in the last place of its largest number, for any finite scale of x and any offset: x is
    taken for the exact numbers that it holds. Only where they differ by no more than the last digit of the largest
    (root mean square 2e-16 of it) is a vector called constant. Ba, Kiros and Hinton 2016,
    arXiv:1607.06450; Zhang and Sennrich 2019, arXiv:1910.07467.

    See Also
    --------
    FoldedMLP.to_sphere : with the layer's own kind.
    rotate : from one point of the sphere towards another.

    Examples
    --------
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
    y, exponent = at_unit_scale(x, -1)  # no overflow in the squares below
    if kind == "layernorm":
        y = y - y.mean(axis=-1, keepdims=True)
        y = y - y.mean(axis=-1, keepdims=True)  # the first mean is rounded; this removes what it left
    size = np.sqrt(np.mean(y**2, axis=-1, keepdims=True))
    has_direction = size > _FLOAT64_EPS
    unit = np.divide(y, size, out=np.zeros_like(y), where=has_direction)
    return unit, np.ldexp(np.where(has_direction, size, 0.0), exponent)


def _raise_no_direction(x, unit, kind):
    where = tuple(int(i) for i in np.argwhere(~unit.any(axis=-1))[0])
    what = "constant (a multiple of the ones vector)" if kind == "layernorm" else "zero"
    at = f" at index {where}" if where else ""
    raise ValueError(
        f"x: expected a vector with a direction, got one{at} that is {what}. "
        f"{'LayerNorm' if kind == 'layernorm' else 'RMSNorm'} has no image for it at eps = 0; "
        f"leave it out, or pass the model's own eps > 0, which maps it to 0."
    )


def product(x, W):
    """x @ W of rows x [..., k] as one matrix product: NumPy takes one for each matrix of a batch, at half the speed."""
    return x @ W if x.ndim < 3 else (x.reshape(-1, x.shape[-1]) @ W).reshape(*x.shape[:-1], -1)


def affine(x, W, b):
    """x @ W + b, without a second array of that size, which takes half as long as the product."""
    made = product(x, W)
    made += b
    return made


def preacts(mlp, z):
    """What is affine in z [..., d]: z @ W_in + b_in and, of a gated layer, z @ W_up + b_up, [..., m] each."""
    return [affine(z, W, b) for W, b in ((mlp.W_in, mlp.b_in), (mlp.W_up, mlp.b_up)) if W is not None]


def hidden(mlp, gate, up=None):
    """What W_out reads [..., m], at what `preacts` gives."""
    made = ACTIVATIONS[mlp.activation].value(gate)
    if mlp.W_up is not None:
        made *= up
    return made


class _TwoMatrices(Frozen):
    """What a stored and a folded block share: their checks and their sizes."""

    W_in: np.ndarray
    b_in: np.ndarray
    W_out: np.ndarray
    b_out: np.ndarray
    activation: str
    eps: float
    kind: str
    W_up: np.ndarray | None
    b_up: np.ndarray | None

    def _check(self):
        one_of(self.activation, tuple(ACTIVATIONS), "activation")
        one_of(self.kind, KINDS, "kind")
        object.__setattr__(self, "eps", non_negative(self.eps, "eps"))
        self._set("W_in", ("d", "m"))
        biases = as_float64(self.b_in, "b_in", shape=("m",)).size
        if biases != self.n_neurons and biases == self.d_model:  # the biases tell which way round W_in is
            self._set("W_in", ("d", biases))
        self._set("b_in", (self.n_neurons,))
        self._set("W_out", (self.n_neurons, "d_out"))
        self._set("b_out", (self.W_out.shape[1],))
        if self.W_up is not None:
            self._set("W_up", (self.d_model, self.n_neurons))
            if self.b_up is None:
                object.__setattr__(self, "b_up", np.zeros(self.n_neurons))
            self._set("b_up", (self.n_neurons,))
        elif self.b_up is not None:
            raise ValueError("b_up: expected none for an MLP without W_up, got one. Pass W_up too, or leave both out.")

    def _set(self, field, shape):
        read = as_weights if len(shape) == 2 else as_float64
        object.__setattr__(self, field, read_only(read(getattr(self, field), field, shape=shape)))

    def _from_read(self, z):
        """Output at what the first matrices read [..., d]."""
        return affine(hidden(self, *preacts(self, z)), self.W_out, self.b_out)

    @property
    def is_gated(self) -> bool:
        """Whether the activation of a neuron is multiplied by a second linear map, z @ W_up + b_up (SwiGLU, GeGLU)."""
        return self.W_up is not None

    @property
    def d_model(self) -> int:
        """d, the length of a residual vector."""
        return self.W_in.shape[0]

    @property
    def n_neurons(self) -> int:
        """m, the number of pre-activations."""
        return self.W_in.shape[1]

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(d_model={self.d_model}, n_neurons={self.n_neurons}, "
            f"activation={self.activation!r}, kind={self.kind!r}, eps={self.eps:g}"
            f"{', gated' if self.is_gated else ''})"
        )


@dataclass(frozen=True, eq=False, repr=False)
class NormedMLP(_TwoMatrices):
    """A norm and the MLP behind it, as a model stores them.

    block(x) = act((gamma * normalize(x) + beta) @ W_in + b_in) @ W_out + b_out

    A gated MLP (SwiGLU, GeGLU, ReGLU) multiplies act(...) by a second linear map of the same normed vector,
    (...) @ W_up + b_up. "Pre-activation", "pattern" and "boundary" then mean the gate's, W_in's.

    Parameters
    ----------
    gamma, beta : array_like [d]
        The norm's learned scale and shift; ones and zeros where the model has none.
    W_in : array_like [d, m]
        Of a torch Linear, ``linear.weight.T``: torch stores [out, in].
    b_in : array_like [m]
    W_out : array_like [m, d_out]
    b_out : array_like [d_out]
    activation : {"relu", "gelu", "gelu_new", "silu", "quick_gelu", "relu2"}
        "gelu" is h Phi(h), "gelu_new" its tanh approximation, as in GPT-2; "silu" is h sigmoid(h), "quick_gelu"
        h sigmoid(1.702 h), "relu2" the square of ReLU.
    eps : float
        What the norm adds to the variance.
    kind : {"layernorm", "rmsnorm", "none"}
    W_up : array_like [d, m], optional
        Of a gated MLP.
    b_up : array_like [m], optional
        Zeros where only W_up is given.

    Raises
    ------
    TypeError, ValueError
        Arrays that are not real, not finite or do not fit each other; unknown names; a negative eps.

    See Also
    --------
    mlp_block : reads one out of a loaded model.
    from_modules : makes one of torch modules.
    fold_layer_norm : moves gamma, beta and the centring into W_in and b_in.

    Examples
    --------
    >>> eye, zero = np.eye(2), np.zeros(2)
    >>> block = NormedMLP([2.0, 1.0], zero, eye, zero, eye, zero, "relu", 0.0, "rmsnorm")
    >>> block([3.0, -4.0]).round(3)
    array([1.697, 0.   ])
    """

    gamma: Float[np.ndarray, "d"]
    beta: Float[np.ndarray, "d"]
    W_in: Float[np.ndarray, "d m"]
    b_in: Float[np.ndarray, "m"]
    W_out: Float[np.ndarray, "m d_out"]
    b_out: Float[np.ndarray, "d_out"]
    activation: str
    eps: float
    kind: str
    W_up: Float[np.ndarray, "d m"] | None = None
    b_up: Float[np.ndarray, "m"] | None = None

    def __post_init__(self):
        self._check()
        self._set("gamma", (self.d_model,))
        self._set("beta", (self.d_model,))

    @classmethod
    def from_modules(cls, norm: Any, first: Any, last: Any, activation: Any, up: Any = None) -> "NormedMLP":
        """The block that torch modules make: last(activation(first(z))) with z = norm(x).

        Of a gated one it is last(activation(first(z)) * up(z)).

        What each module computes is found by running a copy of it in float64 on the CPU; no class is asked for. Values
        are then the module's own parameters, exactly.

        Parameters
        ----------
        norm : torch module or None
            LayerNorm, RMSNorm, one that scales by 1 + weight, one without parameters, or any other that computes
            gamma * (x - mean) / sqrt(variance + eps) + beta with or without the mean; None or the identity for no norm.
        first, last : torch modules
            Linear maps: torch's Linear, the Conv1D of Hugging Face's GPT-2, in any dtype, on any device.
        activation : str, torch module or function
            A name ("silu", "gelu_pytorch_tanh", ...), or what computes it: its values say which one it is.
        up : torch module, optional
            The second linear map of a gated MLP (``up_proj``; ``first`` is then ``gate_proj``).

        Returns
        -------
        NormedMLP

        Raises
        ------
        TypeError, ValueError
            A module computes something else; the message says which, and what.

        See Also
        --------
        mlp_block : finds these modules in a loaded model.
        fold_layer_norm : moves the norm's parameters into the first matrix.

        Examples
        --------
        >>> from torch import nn
        >>> NormedMLP.from_modules(nn.LayerNorm(3), nn.Linear(3, 8), nn.Linear(8, 3), nn.GELU())
        NormedMLP(d_model=3, n_neurons=8, activation='gelu', kind='layernorm', eps=1e-05)
        """
        runner = Runner(*(module for module in (first, last, up, norm) if module is not None))
        W_in, b_in = read_linear(first, "first", runner, d_in=_width(norm))
        W_out, b_out = read_linear(last, "last", runner, d_in=W_in.shape[1])
        W_up, b_up = (None, None) if up is None else read_linear(up, "up", runner, d_in=len(W_in))
        kind, gamma, beta, eps = read_norm(norm, len(W_in), runner)
        name = recognised(activation, runner)
        return cls(gamma, beta, W_in, b_in, W_out, b_out, name, eps, kind, W_up=W_up, b_up=b_up)

    def preactivations(self, x: Real[ArrayLike, "... d"]) -> Float[np.ndarray, "... m"]:
        """Pre-activations [..., m] of residual vectors x [..., d]: (gamma * normalize(x) + beta) @ W_in + b_in."""
        return affine(self._normed(x), self.W_in, self.b_in)

    def _normed(self, x):
        x = as_float64(x, "x", shape=(..., self.d_model))
        return self.gamma * normalize(x, eps=self.eps, kind=self.kind) + self.beta

    def __call__(self, x: Real[ArrayLike, "... d"]) -> Float[np.ndarray, "... d_out"]:
        """Output [..., d_out] of residual vectors x [..., d]."""
        return self._from_read(self._normed(x))


def _width(norm):
    """How many numbers a norm reads, if a parameter of it says so."""
    weight = getattr(norm, "weight", None)
    return None if weight is None else len(weight)


@dataclass(frozen=True, eq=False, repr=False)
class FoldedMLP(_TwoMatrices):
    """An MLP that reads normalised vectors directly: gamma, beta and the centring are in ``W_in`` and ``b_in``.

    mlp(x) = mlp.output(normalize(x)); every statement about the sphere uses this ``W_in``.

    Parameters
    ----------
    W_in, b_in, W_out, b_out, activation, eps, kind, W_up, b_up
        As in `NormedMLP`. For LayerNorm the columns of W_in and W_up have mean 0.

    Raises
    ------
    TypeError, ValueError
        As for `NormedMLP`; also a W_in that no fold of LayerNorm makes.

    See Also
    --------
    fold_layer_norm : makes one of a `NormedMLP`.
    restrict, crossings, affine_map, jacobian : what can be asked of it.

    Examples
    --------
    >>> mlp = FoldedMLP(np.eye(2), [0.0, 0.0], np.eye(2), [0.0, 0.0], "relu", 0.0, "rmsnorm")
    >>> mlp([3.0, -4.0]).round(3)
    array([0.849, 0.   ])
    >>> bool((mlp([3.0, -4.0]) == mlp([30.0, -40.0])).all())
    True
    """

    W_in: Float[np.ndarray, "d m"]
    b_in: Float[np.ndarray, "m"]
    W_out: Float[np.ndarray, "m d_out"]
    b_out: Float[np.ndarray, "d_out"]
    activation: str
    eps: float
    kind: str
    W_up: Float[np.ndarray, "d m"] | None = None
    b_up: Float[np.ndarray, "m"] | None = None

    reads_normalised = True  # the mark by which functions tell it from a `NormedMLP`

    def __post_init__(self):
        self._check()
        if self.kind == "layernorm":
            # pre-activations would not change, but every norm of a column, and with it every height and margin
            for name in ("W_in", "W_up") if self.is_gated else ("W_in",):
                weights = getattr(self, name)
                largest = np.abs(weights).max(axis=0)
                off = np.abs((weights / np.where(largest > 0, largest, 1.0)).mean(axis=0))
                if off.max() > 1e-6:
                    raise ValueError(
                        f"{name}: expected columns with mean 0, as LayerNorm's fold makes them, got column "
                        f"{off.argmax()} with a mean of {off.max():.1e} of its largest weight. "
                        f"fold_layer_norm(NormedMLP(...)) centres them."
                    )

    def to_sphere(self, x: Real[ArrayLike, "... d"]) -> Float[np.ndarray, "... d"]:
        """The points of the layer's sphere in the directions of residual vectors: normalize(x, kind=mlp.kind).

        At eps = 0 whatever the layer's own eps: only there is every point at distance sqrt(d) from the centre, which
        angles, slices, margins and paths are about. What the model itself computes at x is mlp(x).

        Parameters
        ----------
        x : array_like [..., d]

        Returns
        -------
        z : float64 [..., d]
            Where there is no norm, x itself.

        Raises
        ------
        ValueError
            As for `normalize`.

        See Also
        --------
        normalize : the same for a kind by name, at any eps.
        boundary_margin, crossings, rotate : what takes such points.

        Examples
        --------
        >>> mlp = FoldedMLP(np.eye(2), [0.0, 0.0], np.eye(2), [0.0, 0.0], "relu", 0.1, "rmsnorm")
        >>> mlp.to_sphere([3.0, -4.0]).round(3)
        array([ 0.849, -1.131])
        """
        return normalize(as_float64(x, "x", shape=(..., self.d_model)), kind=self.kind)

    def slice(self, vectors: Real[ArrayLike, "k d"] | Sequence) -> Float[SliceBasis, "k d"]:
        """The slice of the layer's sphere through given directions: slice_basis(vectors, kind=mlp.kind).

        Parameters
        ----------
        vectors : array_like [k, d]
            Residual vectors or points of the sphere: their lengths do not matter, nor their means behind LayerNorm.

        Returns
        -------
        basis : float64 [k, d]
            Orthonormal rows, the first along the first vector.

        Raises
        ------
        ValueError
            The vectors do not span k dimensions (after centring, for LayerNorm).

        See Also
        --------
        slice_basis : the same for a kind by name.
        restrict : what the layer looks like in the slice.

        Examples
        --------
        >>> mlp = FoldedMLP(np.eye(2), [0.0, 0.0], np.eye(2), [0.0, 0.0], "relu", 0.0, "rmsnorm")
        >>> basis = mlp.slice([[3.0, 0.0], [1.0, 2.0]])
        >>> basis.shape, basis.kind
        ((2, 2), 'rmsnorm')
        """
        return orthonormal(vectors, self.kind, self.d_model)

    def preactivations(self, z: Real[ArrayLike, "... d"]) -> Float[np.ndarray, "... m"]:
        """Pre-activations of normalised vectors: z @ W_in + b_in.

        Parameters
        ----------
        z : array_like [..., d]
            What the layer's norm puts out: normalize(x, eps=mlp.eps, kind=mlp.kind), or any point of the sphere. Where
            there is no norm, any vector.

        Returns
        -------
        pre : float64 [..., m]

        Raises
        ------
        ValueError
            z cannot come out of the norm, as when a residual vector is passed by mistake: it is longer than
            sqrt(d) (1 + 1e-6), or behind LayerNorm its mean is more than 1e-4 of its root mean square.

        See Also
        --------
        activation_pattern : their signs.
        NormedMLP.preactivations : of residual vectors.

        Examples
        --------
        >>> mlp = FoldedMLP(np.eye(2), [0.0, 1.0], np.eye(2), [0.0, 0.0], "relu", 0.0, "rmsnorm")
        >>> mlp.preactivations(mlp.to_sphere([3.0, -4.0])).round(3)
        array([ 0.849, -0.131])
        """
        return affine(as_normalised(z, "z", self), self.W_in, self.b_in)

    def output(self, z: Real[ArrayLike, "... d"]) -> Float[np.ndarray, "... d_out"]:
        """Output of normalised vectors: act(z @ W_in + b_in) @ W_out + b_out, gated by z @ W_up + b_up if there is one.

        Parameters
        ----------
        z : array_like [..., d]
            As for `preactivations`.

        Returns
        -------
        y : float64 [..., d_out]

        Raises
        ------
        ValueError
            As for `preactivations`.

        See Also
        --------
        split_change, path_profile : how it changes from one point to another.

        Examples
        --------
        >>> mlp = FoldedMLP(np.eye(2), [0.0, 1.0], np.eye(2), [0.0, 0.0], "relu", 0.0, "rmsnorm")
        >>> mlp.output(mlp.to_sphere([3.0, -4.0])).round(3)
        array([0.849, 0.   ])
        """
        return self._from_read(as_normalised(z, "z", self))

    def __call__(self, x: Real[ArrayLike, "... d"]) -> Float[np.ndarray, "... d_out"]:
        """Output [..., d_out] of residual vectors x [..., d], normalised with the layer's own kind and eps."""
        x = as_float64(x, "x", shape=(..., self.d_model))
        return self._from_read(normalize(x, eps=self.eps, kind=self.kind))


def fold_layer_norm(block: NormedMLP) -> FoldedMLP:
    """Move gamma, beta and the centring of a `NormedMLP` into its first matrix, and into W_up if it is gated.

    W_in <- P diag(gamma) W_in for LayerNorm, P = I - 1 1^T / d, and diag(gamma) W_in otherwise; b_in <- b_in + beta @
    W_in, with the *original* W_in. Exact in real arithmetic, about 1e-13 relative in float64. A column that the
    centring leaves nothing of but rounding becomes 0: that neuron has no boundary.

    Parameters
    ----------
    block : NormedMLP

    Returns
    -------
    FoldedMLP

    Raises
    ------
    TypeError
        ``block`` is not a `NormedMLP`.

    See Also
    --------
    mlp_block : a block of a loaded model.

    Examples
    --------
    >>> eye, zero = np.eye(2), np.zeros(2)
    >>> fold_layer_norm(NormedMLP([2.0, 1.0], zero, eye, zero, eye, zero, "relu", 1e-5, "layernorm"))
    FoldedMLP(d_model=2, n_neurons=2, activation='relu', kind='layernorm', eps=1e-05)
    """
    if not isinstance(block, NormedMLP):
        raise TypeError(f"block: expected a NormedMLP, got {type(block).__name__}. mlp_block(model, layer) makes one.")

    def folded(W, b):
        weights = block.gamma[:, None] * W
        if block.kind == "layernorm":
            largest = np.abs(weights).max(axis=0)
            weights = weights - weights.mean(axis=0)
            weights -= weights.mean(axis=0)  # the first mean is rounded; this removes what it left
            weights[:, np.abs(weights).max(axis=0) <= 2 * _FLOAT64_EPS * largest] = 0.0
        return weights, b + block.beta @ W

    W_in, b_in = folded(block.W_in, block.b_in)
    W_up, b_up = (None, None) if block.W_up is None else folded(block.W_up, block.b_up)
    return FoldedMLP(
        W_in, b_in, block.W_out, block.b_out, block.activation, block.eps, block.kind, W_up=W_up, b_up=b_up
    )
