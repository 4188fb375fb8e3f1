"""What a layer makes of a move: the affine map of a region, the tangent map at a point, and what flips add."""

import numpy as np

from ._inputs import as_bits, as_float64, require_broadcast, require_folded
from .activations import ACTIVATIONS, GATES
from .layer import direction, normalize


def affine_map(mlp, pattern):
    """The affine map of one linear region: output(z) = z @ A + c wherever the pattern holds.

    A = W_in D W_out and c = b_in D W_out + b_out, D the diagonal matrix of the pattern.

    Parameters
    ----------
    mlp : FoldedMLP
        With a ReLU; a GELU layer is affine nowhere.
    pattern : bool [m]

    Returns
    -------
    A : float64 [d, d_out];  c : float64 [d_out]

    Raises
    ------
    ValueError
        The activation is not piecewise linear, or the pattern has another length.
    """
    require_folded(mlp)
    if mlp.activation != "relu":
        raise ValueError(
            f"mlp: expected activation 'relu', got {mlp.activation!r}: it is not piecewise linear, so no region has "
            f"an affine map. jacobian(mlp, x) gives its tangent map at a point."
        )
    pattern = as_bits(pattern, "pattern")
    if pattern.shape != (mlp.n_neurons,):
        raise ValueError(f"pattern: expected shape [{mlp.n_neurons}], got {list(pattern.shape)}.")
    on = mlp.W_out[pattern]
    return mlp.W_in[:, pattern] @ on, mlp.b_in[pattern] @ on + mlp.b_out


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
    size = direction(x, mlp.kind)[1].item()
    sigma = np.hypot(size, np.sqrt(mlp.eps))
    return (by_z - np.outer(z, z @ by_z) / len(x)) / sigma


def split_change(mlp, z0, z1):
    """Split output(z1) - output(z0) exactly: what the old gates make of the new point, and what the flips add.

    The activation is pre times a gate: the neuron's bit for ReLU, the normal distribution function Phi(pre) for
    "gelu", (1 + tanh(...)) / 2 for "gelu_new". With rows W_out[i],

    frozen = sum_i gate_i(z0) (pre_i(z1) - pre_i(z0)) W_out[i],
    flips = sum_i f_i,  f_i = (gate_i(z1) - gate_i(z0)) pre_i(z1) W_out[i].

    For ReLU, frozen is what the affine map of z0's region predicts and f_i is 0 unless neuron i's bit differs. For GELU
    nothing flips: every neuron's gate moves, and flips is the sum of all of that.

    Parameters
    ----------
    mlp : FoldedMLP
        Of any kind: the split needs no sphere.
    z0, z1 : array_like [..., d]
        Normalised vectors; shapes broadcast.

    Returns
    -------
    frozen, flips : float64 [..., d_out]
        They add up to the change to about 1e-14 of their terms.

    Notes
    -----
    Only the end points count: a neuron that flips and flips back in between has no term. Memory: some arrays [..., m].
    """
    frozen, flips = _moves(mlp, z0, z1)
    return frozen @ mlp.W_out, flips @ mlp.W_out


def flip_weights(mlp, z0, z1):
    """How much of each neuron's row of ``W_out`` its flip adds: (gate_i(z1) - gate_i(z0)) pre_i(z1), float64 [..., m].

    The flip vectors of `split_change` are f_i = weight_i W_out[i], so flips = weights @ W_out. For ReLU the weight is
    |pre_i(z1)| for a neuron that turns on or off, and 0 for one whose bit is the same at both ends. Parameters as in
    `split_change`.
    """
    return _moves(mlp, z0, z1)[1]


def coherence(mlp, z0, z1, *, shuffle=None):
    """kappa = |sum_i f_i|^2 / sum_i |f_i|^2 of the flip vectors of `split_change`, float64 [...]: do the flips cancel?

    About 1 if they add like independent random vectors, up to their number if they all agree, below 1 if they cancel.
    NaN where nothing flips. For GELU every neuron takes part. Parameters as in `split_change`, and

    shuffle : numpy Generator, optional
        For each move, deal the rows of ``W_out`` out to the neurons at random first: what kappa would be if the same
        flips wrote the same vectors, but by chance.
    """
    weights = flip_weights(mlp, z0, z1)
    if shuffle is not None:
        weights = shuffle.permuted(weights, axis=-1)
    with np.errstate(invalid="ignore"):
        return ((weights @ mlp.W_out) ** 2).sum(axis=-1) / (weights**2 @ (mlp.W_out**2).sum(axis=1))


def tangent_change(mlp, z0, z1):
    """What the layer's tangent map at z0 predicts for output(z1) - output(z0), float64 [..., d_out].

    sum_i act'(pre_i(z0)) (pre_i(z1) - pre_i(z0)) W_out[i], affine in z. For ReLU this is the affine map of z0's region
    and equal to the frozen part of `split_change`; for GELU it is the exact Jacobian. Parameters as in `split_change`.
    """
    pre0, pre1 = _pre_pair(mlp, z0, z1)
    return (ACTIVATIONS[mlp.activation][1](pre0) * (pre1 - pre0)) @ mlp.W_out


def _pre_pair(mlp, z0, z1):
    require_folded(mlp)
    z0, z1 = (as_float64(z, name, shape=(..., mlp.d_model)) for z, name in ((z0, "z0"), (z1, "z1")))
    require_broadcast("z0 and z1", z0.shape, z1.shape)
    return mlp.preactivations(z0), mlp.preactivations(z1)


def _moves(mlp, z0, z1):
    pre0, pre1 = _pre_pair(mlp, z0, z1)
    gate0, gate1 = (GATES[mlp.activation](pre) for pre in (pre0, pre1))
    return gate0 * (pre1 - pre0), (gate1 - gate0) * pre1
