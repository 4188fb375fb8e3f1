"""What a layer makes of a move: the affine map of a region, the tangent map at a point, and what flips add."""

import numpy as np

from ._inputs import (
    ArrayLike,
    Bool,
    Float,
    Real,
    as_bits,
    as_float64,
    as_normalised,
    require_broadcast,
    require_folded,
)
from .activations import ACTIVATIONS
from .layer import FoldedMLP, direction, normalize

_AT_ONCE = 2**22  # weights in flight, 32 MB: of some points at a time in `jacobian`


def affine_map(
    mlp: FoldedMLP, pattern: Bool[ArrayLike, "m"]
) -> tuple[Float[np.ndarray, "d d_out"], Float[np.ndarray, "d_out"]]:
    """The affine map of one linear region: output(z) = z @ A + c wherever the pattern holds.

    A = W_in D W_out and c = b_in D W_out + b_out, D the diagonal matrix of the pattern.

    Parameters
    ----------
    mlp : FoldedMLP
        With a ReLU and without W_up; a GELU layer or a gated one is affine nowhere.
    pattern : bool [m]

    Returns
    -------
    A : float64 [d, d_out]
    c : float64 [d_out]

    Raises
    ------
    ValueError
        The activation is not piecewise linear, or the pattern has another length.

    See Also
    --------
    activation_pattern : the pattern of a point, from its pre-activations.
    tangent_change, jacobian : for any activation, at one point.

    Examples
    --------
    >>> mlp = FoldedMLP(np.eye(2), [0.0, 1.0], 3 * np.eye(2), [0.0, 0.0], "relu", 0.0, "rmsnorm")
    >>> A, c = affine_map(mlp, np.array([True, False]))
    >>> A.tolist(), c.tolist()
    ([[3.0, 0.0], [0.0, 0.0]], [0.0, 0.0])
    """
    require_folded(mlp)
    if mlp.activation != "relu" or mlp.is_gated:
        found = f"{mlp.activation!r} times a second linear map (W_up)" if mlp.is_gated else repr(mlp.activation)
        raise ValueError(
            f"mlp: expected activation 'relu', got {found}: it is not piecewise linear, so no region has "
            f"an affine map. jacobian(mlp, x) gives its tangent map at a point."
        )
    pattern = as_bits(pattern, "pattern")
    if pattern.shape != (mlp.n_neurons,):
        raise ValueError(f"pattern: expected shape [{mlp.n_neurons}], got {list(pattern.shape)}.")
    on = mlp.W_out[pattern]
    return mlp.W_in[:, pattern] @ on, mlp.b_in[pattern] @ on + mlp.b_out


def jacobian(mlp: FoldedMLP, x: Real[ArrayLike, "... d"]) -> Float[np.ndarray, "... d d_out"]:
    """Derivative of the layer's output by the residual vector: J[..., i, j] = d mlp(x)_j / d x_i.

    dz/dx = (P - Px (Px)^T / (d sigma^2)) / sigma with sigma^2 = |Px|^2/d + eps, then W_in, the slopes of the
    activation and W_out. At eps = 0, J(a x) = J(x) / a: the layer is affine in z, not in x.

    Parameters
    ----------
    mlp : FoldedMLP
    x : array_like [..., d]

    Returns
    -------
    J : float64 [..., d, d_out]

    Raises
    ------
    ValueError
        As for `normalize`.

    Notes
    -----
    Accurate to about 1e-13 of the largest entry. Memory: J and at most 32 MB for points worked on together, or d m
    numbers where one point alone has more. Time: d m d_out operations a point.

    See Also
    --------
    tangent_change : the same map by z, for one move.
    affine_map : of a whole region, for ReLU.

    Examples
    --------
    >>> mlp = FoldedMLP(np.eye(2), [0.0, 0.0], np.eye(2), [0.0, 0.0], "relu", 0.0, "rmsnorm")
    >>> jacobian(mlp, [[3.0, -4.0], [6.0, -8.0]])[:, 0, 0].round(4)
    array([0.181 , 0.0905])
    """
    require_folded(mlp)
    x = as_float64(x, "x", shape=(..., mlp.d_model))
    z = normalize(x, eps=mlp.eps, kind=mlp.kind).reshape(-1, mlp.d_model)
    slopes, values = _slopes(mlp, z)
    J = np.empty((len(z), mlp.d_model, mlp.W_out.shape[1]))
    step = max(1, _AT_ONCE // mlp.W_in.size)
    for rows in (slice(start, start + step) for start in range(0, len(z), step)):
        weights = mlp.W_in * slopes[rows, None]
        if values is not None:
            weights += mlp.W_up * values[rows, None]
        np.matmul(weights, mlp.W_out, out=J[rows])  # by z
    if mlp.kind != "none":
        # Px = sigma z, so Px (Px)^T / (d sigma^2) = z z^T / d; the folded W_in has P in it already
        sigma = np.hypot(direction(x, mlp.kind)[1], np.sqrt(mlp.eps)).reshape(-1, 1, 1)
        for point, along, size in zip(J, z, sigma, strict=True):
            point -= np.outer(along, along @ point) / mlp.d_model
            point /= size
    return J.reshape(*x.shape, -1)


def _slopes(mlp, z):
    """Derivatives of what each neuron puts out by its pre-activation, and by z @ W_up (None if not gated)."""
    value, slope, _ = ACTIVATIONS[mlp.activation]
    pre = z @ mlp.W_in + mlp.b_in
    if not mlp.is_gated:
        return slope(pre), None
    return slope(pre) * (z @ mlp.W_up + mlp.b_up), value(pre)


def split_change(
    mlp: FoldedMLP, z0: Real[ArrayLike, "... d"], z1: Real[ArrayLike, "... d"]
) -> tuple[Float[np.ndarray, "... d_out"], Float[np.ndarray, "... d_out"]]:
    """Split output(z1) - output(z0) exactly: what the old gates make of the new point, and what the flips add.

    The activation is pre times a gate: the neuron's bit for ReLU, the normal distribution function Phi(pre) for
    "gelu", (1 + tanh(...)) / 2 for "gelu_new". With rows W_out[i],

    frozen = sum_i gate_i(z0) (pre_i(z1) - pre_i(z0)) W_out[i],
    flips = sum_i f_i,  f_i = (gate_i(z1) - gate_i(z0)) pre_i(z1) W_out[i].

    In a gated MLP pre_i stands for its product with (z @ W_up + b_up)_i; the gate is still the activation's.

    For ReLU, frozen is what the affine map of z0's region predicts and f_i is 0 unless neuron i's bit differs. For GELU
    nothing flips: every neuron's gate moves, and flips is the sum of all of that.

    Parameters
    ----------
    mlp : FoldedMLP
        Of any kind: the split needs no sphere.
    z0, z1 : array_like [..., d]
        Normalised vectors, as `FoldedMLP.output` takes them; shapes broadcast.

    Returns
    -------
    frozen, flips : float64 [..., d_out]
        They add up to the change to about 1e-14 of their terms.

    Raises
    ------
    ValueError
        A point that cannot come out of the layer's norm, or shapes that do not fit.

    Notes
    -----
    Only the end points count: a neuron that flips and flips back in between has no term. Memory: some arrays [..., m].

    See Also
    --------
    flip_weights : the terms of flips.
    coherence : whether they cancel.
    tangent_change : the first part, from slopes in place of gates.

    Examples
    --------
    >>> mlp = FoldedMLP(np.eye(2), [0.0, 0.0], np.eye(2), [0.0, 0.0], "relu", 0.0, "rmsnorm")
    >>> frozen, flips = split_change(mlp, *mlp.to_sphere([[1.0, -1.0], [1.0, 1.0]]))
    >>> frozen.round(3).tolist(), flips.round(3).tolist()
    ([0.0, 0.0], [0.0, 1.0])
    """
    frozen, flips = _moves(mlp, z0, z1)
    return frozen @ mlp.W_out, flips @ mlp.W_out


def flip_weights(
    mlp: FoldedMLP, z0: Real[ArrayLike, "... d"], z1: Real[ArrayLike, "... d"]
) -> Float[np.ndarray, "... m"]:
    """How much of each neuron's row of ``W_out`` its flip adds: (gate_i(z1) - gate_i(z0)) pre_i(z1).

    The flip vectors of `split_change` are f_i = weight_i W_out[i], so flips = weights @ W_out. For ReLU the weight is
    |pre_i(z1)| for a neuron that turns on or off, and 0 for one whose bit is the same at both ends.

    Parameters
    ----------
    mlp, z0, z1
        As in `split_change`.

    Returns
    -------
    weights : float64 [..., m]

    Raises
    ------
    ValueError
        As for `split_change`.

    See Also
    --------
    split_change : their sum.

    Examples
    --------
    >>> mlp = FoldedMLP(np.eye(2), [0.0, 0.0], np.eye(2), [0.0, 0.0], "relu", 0.0, "rmsnorm")
    >>> flip_weights(mlp, *mlp.to_sphere([[1.0, -1.0], [1.0, 1.0]])).round(3)
    array([0., 1.])
    """
    return _moves(mlp, z0, z1)[1]


def coherence(
    mlp: FoldedMLP,
    z0: Real[ArrayLike, "... d"],
    z1: Real[ArrayLike, "... d"],
    *,
    shuffle: "np.random.Generator | None" = None,  # a text: NumPy loads its random numbers when they are used
) -> Float[np.ndarray | np.float64, "..."]:
    """kappa = |sum_i f_i|^2 / sum_i |f_i|^2 of the flip vectors of `split_change`: do the flips cancel?

    About 1 if they add like independent random vectors, up to their number if they all agree, below 1 if they cancel.
    For GELU every neuron takes part.

    Parameters
    ----------
    mlp, z0, z1
        As in `split_change`.
    shuffle : numpy Generator, optional
        For each move, deal the rows of ``W_out`` out to the neurons at random first: what kappa would be if the same
        flips wrote the same vectors, but by chance.

    Returns
    -------
    kappa : float64 [...]
        NaN where nothing flips.

    Raises
    ------
    ValueError
        As for `split_change`.

    See Also
    --------
    flip_weights, split_change : what it is made of.

    Examples
    --------
    >>> mlp = FoldedMLP(np.eye(2), [0.0, 0.0], [[1.0], [1.0]], [0.0], "relu", 0.0, "rmsnorm")
    >>> round(float(coherence(mlp, *mlp.to_sphere([[-1.0, -1.0], [1.0, 1.0]]))), 12)  # two flips that agree
    2.0
    """
    weights = flip_weights(mlp, z0, z1)
    if shuffle is not None:
        weights = shuffle.permuted(weights, axis=-1)
    with np.errstate(invalid="ignore"):
        return ((weights @ mlp.W_out) ** 2).sum(axis=-1) / (weights**2 @ (mlp.W_out**2).sum(axis=1))


def tangent_change(
    mlp: FoldedMLP, z0: Real[ArrayLike, "... d"], z1: Real[ArrayLike, "... d"]
) -> Float[np.ndarray, "... d_out"]:
    """What the layer's tangent map at z0 predicts for output(z1) - output(z0).

    sum_i act'(pre_i(z0)) (pre_i(z1) - pre_i(z0)) W_out[i], affine in z. For ReLU this is the affine map of z0's region
    and equal to the frozen part of `split_change`; for GELU it is the exact Jacobian.

    Parameters
    ----------
    mlp, z0, z1
        As in `split_change`.

    Returns
    -------
    change : float64 [..., d_out]

    Raises
    ------
    ValueError
        As for `split_change`.

    See Also
    --------
    tangent_range : how far along a path it holds.
    jacobian : by the residual vector.

    Examples
    --------
    >>> mlp = FoldedMLP(np.eye(2), [0.0, 0.0], np.eye(2), [0.0, 0.0], "gelu", 0.0, "rmsnorm")
    >>> tangent_change(mlp, *mlp.to_sphere([[0.0, 1.0], [1.0, 0.0]])).round(3)
    array([ 0.707, -1.597])
    """
    z0, z1 = _pair(mlp, z0, z1)
    slopes, values = _slopes(mlp, z0)
    change = slopes * ((z1 - z0) @ mlp.W_in)
    if values is not None:
        change = change + values * ((z1 - z0) @ mlp.W_up)
    return change @ mlp.W_out


def _pair(mlp, z0, z1):
    require_folded(mlp)
    z0, z1 = as_normalised(z0, "z0", mlp), as_normalised(z1, "z1", mlp)
    require_broadcast("z0 and z1", z0.shape, z1.shape)
    return z0, z1


def _moves(mlp, z0, z1):
    z0, z1 = _pair(mlp, z0, z1)
    pre0, pre1 = (z @ mlp.W_in + mlp.b_in for z in (z0, z1))
    gate0, gate1 = (ACTIVATIONS[mlp.activation].gate(pre) for pre in (pre0, pre1))
    if mlp.is_gated:
        pre0, pre1 = (pre * (z @ mlp.W_up + mlp.b_up) for pre, z in ((pre0, z0), (pre1, z1)))
    return gate0 * (pre1 - pre0), (gate1 - gate0) * pre1
