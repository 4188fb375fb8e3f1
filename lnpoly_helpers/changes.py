"""What a layer makes of a move: the affine map of a region, the tangent map at a point, the rest, other contexts."""

from dataclasses import dataclass

import numpy as np

from ._inputs import (
    ArrayLike,
    Bool,
    Float,
    Frozen,
    Real,
    as_angle,
    as_bits,
    as_float64,
    as_normalised,
    at_unit_scale,
    freeze,
    length,
    require_broadcast,
    require_folded,
    require_on_sphere,
    require_sphere,
)
from .activations import ACTIVATIONS
from .layer import FoldedMLP, hidden, normalize, preacts, product
from .layer import direction as parts_of
from .rotation import CLOSEST, angle_between, turn_weights

_AT_ONCE = 2**22  # weights in flight, 32 MB: of some points at a time in `jacobian`
_ROWS = 1024  # pushed points in flight in `context_effect`


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
    pattern = _one_pattern(mlp, pattern)
    on = mlp.W_out[pattern]
    return mlp.W_in[:, pattern] @ on, mlp.b_in[pattern] @ on + mlp.b_out


def output_in_region(
    mlp: FoldedMLP, pattern: Bool[ArrayLike, "m"], z: Real[ArrayLike, "... d"]
) -> Float[np.ndarray, "... d_out"]:
    """Output with sharp gates held as a pattern says: an affine map of z in a plain layer, a quadratic one if gated.

    The neurons of the pattern put out h_i, or h_i u_i in a gated layer, u = z @ W_up + b_up; the others 0. For ReLU
    this is the layer itself wherever the pattern holds; of a smooth activation it is what a ReLU in its place would do.

    Parameters
    ----------
    mlp : FoldedMLP
    pattern : bool [m]
    z : array_like [..., d]
        As for ``mlp.output``: on the sphere or inside.

    Returns
    -------
    y : float64 [..., d_out]

    Raises
    ------
    ValueError
        The pattern has another length, or z cannot come out of the norm.

    See Also
    --------
    affine_map : the affine map, of a plain ReLU layer.

    Examples
    --------
    >>> mlp = FoldedMLP(np.eye(2), [0.0, 0.0], np.eye(2), [0.0, 0.0], "silu", 0.0, "none", W_up=np.eye(2))
    >>> output_in_region(mlp, [True, False], [[1.0, 1.0], [2.0, 1.0]]).tolist()  # twice the input, four times as much
    [[1.0, 0.0], [4.0, 0.0]]
    """
    require_folded(mlp)
    pattern = _one_pattern(mlp, pattern)
    z = as_normalised(z, "z", mlp)
    hidden = z @ mlp.W_in[:, pattern] + mlp.b_in[pattern]
    if mlp.W_up is not None and mlp.b_up is not None:
        hidden *= z @ mlp.W_up[:, pattern] + mlp.b_up[pattern]
    return hidden @ mlp.W_out[pattern] + mlp.b_out


def _one_pattern(mlp, pattern):
    pattern = as_bits(pattern, "pattern")
    if pattern.shape != (mlp.n_neurons,):
        raise ValueError(f"pattern: expected shape [{mlp.n_neurons}], got {list(pattern.shape)}.")
    return pattern


def jacobian(mlp: FoldedMLP, x: Real[ArrayLike, "... d"]) -> Float[np.ndarray, "... d d_out"]:
    """Derivative of the layer's output by the residual vector: J[..., i, j] = d mlp(x)_j / d x_i.

    dz/dx = (P - Px (Px)^T / (d sigma^2)) / sigma with sigma^2 = |Px|^2/d + eps, then W_in, the slopes of the activation
    and W_out. At eps = 0 behind a norm the output depends on x by its direction alone, so J(a x) = J(x) / a for a > 0:
    even where the layer is affine in z, it is not in x.

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
        sigma = np.hypot(parts_of(x, mlp.kind)[1], np.sqrt(mlp.eps)).reshape(-1, 1, 1)
        for point, along, size in zip(J, z, sigma, strict=True):
            point -= np.outer(along, along @ point) / mlp.d_model
            point /= size
    return J.reshape(*x.shape, -1)


def _slopes(mlp, z):
    """Derivatives of what each neuron puts out by its pre-activation, and by z @ W_up (None if not gated)."""
    value, slope = ACTIVATIONS[mlp.activation]
    pre = z @ mlp.W_in + mlp.b_in
    if not mlp.is_gated:
        return slope(pre), None
    return slope(pre) * (z @ mlp.W_up + mlp.b_up), value(pre)


def split_change(
    mlp: FoldedMLP, z0: Real[ArrayLike, "... d"], z1: Real[ArrayLike, "... d"]
) -> tuple[Float[np.ndarray, "... d_out"], Float[np.ndarray, "... d_out"]]:
    """Split output(z1) - output(z0) exactly: the tangent part, linear in the move, and the rest.

    With a_i what neuron i puts out (act(h_i), in a gated MLP act(g_i) u_i) and da_i its derivative at z0,

    tangent = sum_i (da_i . (z1 - z0)) W_out[i],
    rest = sum_i r_i W_out[i],  r_i = a_i(z1) - a_i(z0) - da_i . (z1 - z0).

    For ReLU without a gate, tangent is what the affine map of z0's region predicts, and r_i is 0 unless neuron i flips:
    then it is |h_i(z1)|, never negative, since ReLU is convex.

    Parameters
    ----------
    mlp : FoldedMLP
        Of any kind: the split needs no sphere.
    z0, z1 : array_like [..., d]
        Normalised vectors, as `FoldedMLP.output` takes them; shapes broadcast.

    Returns
    -------
    tangent, rest : float64 [..., d_out]
        They add up to the change to about 1e-15 of their terms.

    Raises
    ------
    ValueError
        A point that cannot come out of the layer's norm, or shapes that do not fit.

    Notes
    -----
    Only the end points count: a neuron that flips and flips back in between has no term. Memory: some arrays [..., m].

    See Also
    --------
    rest_weights : the r_i.
    coherence : whether the terms of the rest cancel.
    opposition, own_share : how the two parts lie to each other, and why.
    tangent_change : the first part alone.

    Examples
    --------
    >>> mlp = FoldedMLP(np.eye(2), [0.0, 0.0], np.eye(2), [0.0, 0.0], "relu", 0.0, "rmsnorm")
    >>> tangent, rest = split_change(mlp, *mlp.to_sphere([[1.0, -1.0], [1.0, 1.0]]))
    >>> tangent.round(3).tolist(), rest.round(3).tolist()
    ([0.0, 0.0], [0.0, 1.0])
    """
    tangent, rest = split_weights(mlp, z0, z1)
    return tangent @ mlp.W_out, rest @ mlp.W_out


def rest_weights(
    mlp: FoldedMLP, z0: Real[ArrayLike, "... d"], z1: Real[ArrayLike, "... d"]
) -> Float[np.ndarray, "... m"]:
    """How much of each neuron's row of ``W_out`` is in the rest of `split_change`: r_i, so rest = weights @ W_out.

    For ReLU |h_i(z1)| for a neuron that turns on or off, and 0 for one whose bit is the same at both ends.

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
    >>> rest_weights(mlp, *mlp.to_sphere([[1.0, -1.0], [1.0, 1.0]])).round(3)
    array([0., 1.])
    """
    return split_weights(mlp, z0, z1)[1]


def opposition(
    mlp: FoldedMLP, z0: Real[ArrayLike, "... d"], z1: Real[ArrayLike, "... d"]
) -> Float[np.ndarray | np.float64, "..."]:
    """The cosine between the two parts of `split_change`: below 0 where the rest takes back what the tangent part adds.

    Parameters
    ----------
    mlp, z0, z1
        As in `split_change`.

    Returns
    -------
    cosine : float64 [...]
        NaN where one of the parts is 0.

    Raises
    ------
    ValueError
        As for `split_change`.

    See Also
    --------
    own_share : how much of it is each neuron against itself.
    wide_relu : what a wide random ReLU layer does, -0.351 at 30 degrees.

    Examples
    --------
    >>> mlp = FoldedMLP([[1.0], [0.0]], [0.0], [[1.0]], [0.0], "relu", 0.0, "rmsnorm")
    >>> opposition(mlp, *mlp.to_sphere([[1.0, 1.0], [-1.0, 1.0]])).round(12)  # the one neuron turns off
    np.float64(-1.0)
    """
    return cosine(*split_change(mlp, z0, z1))


def cosine(x, y):
    """Of the angle between vectors [..., d], at any scale; NaN where one is 0."""
    with np.errstate(invalid="ignore"):
        x, y = (part / length(part, keepdims=True) for part in (x, y))
    return (x * y).sum(axis=-1)


def own_share(mlp: FoldedMLP, z0: Real[ArrayLike, "... d"], z1: Real[ArrayLike, "... d"]) -> float:
    """How much of tangent . rest is each neuron against itself: sum_i t_i r_i |W_out[i]|^2 / (tangent . rest).

    t_i and r_i are the weights of neuron i's row in the two parts of `split_change`. A neuron that turns off has
    t_i < 0 and r_i > 0 for ReLU: by itself it opposes. What is left, 1 - share, is different neurons against each
    other, about 0 where the rows of ``W_out`` are independent.

    Parameters
    ----------
    mlp, z0, z1
        As in `split_change`.

    Returns
    -------
    float
        Of all moves together: both sums run over the batch, since the product of a single move may be close to 0. It
        says little where `opposition` is about 0, and is NaN where the sum of the products is 0.

    Raises
    ------
    ValueError
        As for `split_change`.

    See Also
    --------
    opposition : the cosine that it explains.

    Examples
    --------
    >>> mlp = FoldedMLP([[1.0], [0.0]], [0.0], [[1.0]], [0.0], "relu", 0.0, "rmsnorm")
    >>> round(own_share(mlp, *mlp.to_sphere([[1.0, 1.0], [-1.0, 1.0]])), 12)
    1.0
    """
    own, whole = own_and_whole(mlp, *split_weights(mlp, z0, z1))
    with np.errstate(invalid="ignore"):
        return float(np.divide(own.sum(), whole.sum()))


def own_and_whole(mlp, t, r):
    """What each neuron against itself gives to tangent . rest, and all of it, [...] each, up to a common factor.

    Of the weights [..., m] that `split_weights` gives.
    """
    W_out, _ = at_unit_scale(mlp.W_out)
    return (t * r) @ (W_out**2).sum(axis=1), ((t @ W_out) * (r @ W_out)).sum(axis=-1)


@dataclass(frozen=True, eq=False, repr=False)
class Coherence(Frozen):
    """How the terms f_i = r_i W_out[i] of a rest add up, one number for each move.

    kappa = 1 + (n_effective - 1) rho.

    Attributes
    ----------
    kappa : float64 [...]
        |sum_i f_i|^2 / sum_i |f_i|^2: 1 if they add like independent random vectors, n_effective if they agree, 0 if
        they cancel. It grows with the number of terms: compare it at equal angle and width only.
    n_effective : float64 [...]
        (sum_i |f_i|)^2 / sum_i |f_i|^2: how many terms there are, were they equally long.
    rho : float64 [...]
        The mean cosine between two different terms, weighted by their lengths; NaN where there is only one.

    See Also
    --------
    coherence : makes it.

    Examples
    --------
    >>> mlp = FoldedMLP(np.eye(2), [0.0, 0.0], [[1.0], [1.0]], [0.0], "relu", 0.0, "rmsnorm")
    >>> coherence(mlp, *mlp.to_sphere([[[-1.0, -1.0]], [[1.0, 1.0]]]))
    Coherence(n_moves=1)
    """

    kappa: Float[np.ndarray | np.float64, "..."]
    n_effective: Float[np.ndarray | np.float64, "..."]
    rho: Float[np.ndarray | np.float64, "..."]

    def __post_init__(self):
        freeze(self)

    def __repr__(self) -> str:
        return f"Coherence(n_moves={np.size(self.kappa)})"


def coherence(
    mlp: FoldedMLP,
    z0: Real[ArrayLike, "... d"],
    z1: Real[ArrayLike, "... d"],
    *,
    shuffle: "np.random.Generator | None" = None,  # a text: NumPy loads its random numbers when they are used
) -> Coherence:
    """Do the terms of the rest of `split_change` cancel, add like independent vectors, or agree?

    Parameters
    ----------
    mlp, z0, z1
        As in `split_change`.
    shuffle : numpy Generator, optional
        For each move, deal the rows of ``W_out`` out to the neurons at random first: what would be if the same neurons
        wrote the same vectors, but by chance.

    Returns
    -------
    Coherence
        All NaN where the rest has no term.

    Raises
    ------
    ValueError
        As for `split_change`.

    See Also
    --------
    rest_weights, split_change : what it is made of.
    matched_layer : the layer to compare with.

    Examples
    --------
    >>> mlp = FoldedMLP(np.eye(2), [0.0, 0.0], [[1.0], [1.0]], [0.0], "relu", 0.0, "rmsnorm")
    >>> found = coherence(mlp, *mlp.to_sphere([[-1.0, -1.0], [1.0, 1.0]]))  # two flips that agree
    >>> found.kappa.round(12), found.n_effective.round(12), found.rho.round(12)
    (np.float64(2.0), np.float64(2.0), np.float64(1.0))
    """
    weights = rest_weights(mlp, z0, z1)
    if shuffle is not None:
        weights = shuffle.permuted(weights, axis=-1)
    return coherence_of(mlp, weights)


def coherence_of(mlp, weights):
    """The `Coherence` of terms weights[..., i] W_out[i]."""
    lengths = np.abs(weights) * length(mlp.W_out)
    size = length(lengths)
    with np.errstate(invalid="ignore", divide="ignore"):
        kappa = (length(weights @ mlp.W_out) / size) ** 2
        n_effective = (lengths.sum(axis=-1) / size) ** 2
        rho = np.where(n_effective > 1 + 1e-9, (kappa - 1) / (n_effective - 1), np.nan)[()]
    return Coherence(kappa, n_effective, rho)


def tangent_change(
    mlp: FoldedMLP, z0: Real[ArrayLike, "... d"], z1: Real[ArrayLike, "... d"]
) -> Float[np.ndarray, "... d_out"]:
    """What the layer's tangent map at z0 predicts for output(z1) - output(z0): the first part of `split_change`.

    Without a gate sum_i act'(h_i(z0)) (h_i(z1) - h_i(z0)) W_out[i]: linear in the move, by the exact Jacobian at z0.
    For ReLU it is the change by the affine map of z0's region.

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


def split_weights(mlp, z0, z1):
    """The weights t and r [..., m] of the rows of W_out in the tangent part and in the rest."""
    z0, z1 = _pair(mlp, z0, z1)
    value, slope = ACTIVATIONS[mlp.activation]
    pre0, pre1 = (z @ mlp.W_in + mlp.b_in for z in (z0, z1))
    # by the difference of two pre-activations and not by that of the points: so the rest of a ReLU is 0 to the last
    # bit where nothing flips
    tangent = slope(pre0) * (pre1 - pre0)
    first, gained = value(pre0), value(pre1) - value(pre0)
    rest = gained - tangent
    if mlp.is_gated:
        up, up_gained = z0 @ mlp.W_up + mlp.b_up, (z1 - z0) @ mlp.W_up
        tangent, rest = tangent * up + first * up_gained, rest * up + gained * up_gained
    return tangent, rest


# --- one direction, many contexts ---


@dataclass(frozen=True, eq=False, repr=False)
class ContextEffect(Frozen):
    """What one push does to a layer's output in many contexts, for each direction.

    Attributes
    ----------
    share : float64 [...]
        The common share |E change|^2 / E|change|^2, estimated without the bias of a finite sample: 1 if the change is
        the same in every context, 0 if changes are unrelated; below 0 by chance, or down to -1/(n - 1).
    mean_effect : float64 [..., d_out]
        The mean change.
    rms : float64 [...]
        The root mean square of the change's length.

    See Also
    --------
    context_effect : makes it.

    Examples
    --------
    >>> mlp = FoldedMLP(np.eye(3), np.full(3, 9.0), np.eye(3), np.zeros(3), "relu", 0.0, "rmsnorm")
    >>> context_effect(mlp, mlp.to_sphere(np.eye(3)), [1.0, 1.0, 1.0], 0.1)
    ContextEffect(n_directions=1)
    """

    share: Float[np.ndarray | np.float64, "..."]
    mean_effect: Float[np.ndarray, "... d_out"]
    rms: Float[np.ndarray | np.float64, "..."]

    def __post_init__(self):
        freeze(self)

    def __repr__(self) -> str:
        return f"ContextEffect(n_directions={np.size(self.rms)})"


def context_effect(
    mlp: FoldedMLP,
    contexts: Real[ArrayLike, "... n d"],
    direction: Real[ArrayLike, "... d"],
    angle: float,
) -> ContextEffect:
    """Push every context by an angle towards a direction: what the changes of the layer's output have in common.

    change_j = output(rotate(z_j, direction, angle)) - output(z_j) for the n contexts z_j, and

    share = [(|sum_j change_j|^2 - sum_j |change_j|^2) / (n (n - 1))] / [sum_j |change_j|^2 / n],

    whose numerator and denominator are unbiased estimates of |E change|^2 and E|change|^2.

    Parameters
    ----------
    mlp : FoldedMLP
        Behind LayerNorm or RMSNorm; `at_length` makes such a layer of one without a norm.
    contexts : array_like [..., n, d]
        On the layer's sphere, n >= 2: a sample of the contexts that are meant. One for all directions, or one for each.
    direction : array_like [..., d]
        One direction, or a batch of them; residual vectors or points of the sphere.
    angle : float
        Radians. A context that is nearer to the direction is pushed past it.

    Returns
    -------
    ContextEffect

    Raises
    ------
    ValueError
        Fewer than 2 contexts, a context off the sphere or (to within 1e-10 radians) at the direction or its antipode,
        a layer without a norm.

    Notes
    -----
    Where nothing changes the share is NaN. As a ratio of two unbiased estimates it has a bias of order 1/n of itself,
    none at share 0. Time: 2 n outputs for each direction; memory: some directions at a time.

    See Also
    --------
    context_share : the share alone.
    look_alikes, jostle : contexts that are none of real text.
    wide_relu_share : the share of a wide random ReLU layer.

    Examples
    --------
    >>> mlp = FoldedMLP(np.eye(3), np.full(3, 9.0), np.eye(3), np.zeros(3), "relu", 0.0, "rmsnorm")
    >>> found = context_effect(mlp, mlp.to_sphere(np.eye(3)), [1.0, 1.0, 1.0], 0.1)
    >>> found.share.round(3), found.mean_effect.round(3)
    (np.float64(0.428), array([0.079, 0.079, 0.079]))
    """
    require_sphere(mlp)
    contexts = as_float64(contexts, "contexts", shape=(..., "n", mlp.d_model))
    n = contexts.shape[-2]
    if n < 2:
        raise ValueError("contexts: expected at least 2, got 1: what is common to contexts takes more than one.")
    require_on_sphere(contexts, "contexts", mlp.kind)
    direction = as_float64(direction, "direction", shape=(..., mlp.d_model))
    batch = require_broadcast("contexts and direction", contexts.shape[:-2], direction.shape[:-1])
    angle = as_angle(angle, "angle")
    # rows of the flattened batch: views, where contexts or directions are shared
    rows = [
        np.broadcast_to(x, (*batch, *x.shape[-2:])).reshape(-1, *x.shape[-2:])
        for x in (contexts, mlp.to_sphere(direction)[..., None, :])
    ]
    n_rows, per = len(rows[0]), max(1, _ROWS // n)
    mean, square = np.empty((n_rows, mlp.W_out.shape[1])), np.empty(n_rows)
    exponent = np.empty((n_rows, 1, 1), dtype=int)
    same = contexts.size == n * mlp.d_model  # for all directions: what they are before the push is taken once
    before = preacts(mlp, contexts.reshape(1, n, -1)) if same else []
    first = hidden(mlp, *before) if same else np.empty(0)
    for some in (slice(start, start + per) for start in range(0, n_rows, per)):
        points, towards = (x[some] for x in rows)
        _require_turns(points, towards)
        if not same:
            before = preacts(mlp, points)
            first = hidden(mlp, *before)
        w0, w1 = (w[..., None] for w in turn_weights(points, towards, angle))
        parts = zip(before, preacts(mlp, towards), (mlp.b_in, mlp.b_up), strict=False)
        pushed = [w0 * a + w1 * b + (1 - w0 - w1) * bias for a, b, bias in parts]
        change = product(hidden(mlp, *pushed) - first, mlp.W_out)
        change, exponent[some] = at_unit_scale(change, (1, 2))
        mean[some], square[some] = change.mean(axis=1), np.einsum("knd,knd->k", change, change) / n
    with np.errstate(invalid="ignore"):
        share = (n * (mean**2).sum(axis=1) - square) / ((n - 1) * square)
    mean, size = np.ldexp(mean, exponent[:, 0]), np.ldexp(np.sqrt(square), exponent[:, 0, 0])
    return ContextEffect(share.reshape(batch)[()], mean.reshape(*batch, mlp.W_out.shape[1]), size.reshape(batch)[()])


def _require_turns(contexts, towards):
    """Refuse a context [k, n, d] that is at its direction [k, 1, d] or opposite to it: it has no one way there."""
    near = np.abs((contexts @ towards.swapaxes(1, 2))[..., 0]) > contexts.shape[-1] * (1 - 1e-12)
    for k, j in np.argwhere(near):  # few: the angle itself is taken of these alone
        angle = angle_between(contexts[k, j], towards[k, 0])
        if min(angle, np.pi - angle) < CLOSEST:
            raise ValueError(
                f"contexts: expected points that can be turned towards the direction, got one at index {j} that "
                f"{'is the direction' if angle < 1 else 'is opposite to it'}. Leave it out."
            )


def context_share(
    mlp: FoldedMLP,
    contexts: Real[ArrayLike, "... n d"],
    direction: Real[ArrayLike, "... d"],
    angle: float,
) -> Float[np.ndarray | np.float64, "..."]:
    """Does a direction do the same in other contexts? The common share |E change|^2 / E|change|^2 of one push.

    Parameters
    ----------
    mlp, contexts, direction, angle
        As in `context_effect`.

    Returns
    -------
    share : float64 [...]
        1 if the layer's output changes alike in every context, 0 if the changes are unrelated.

    Raises
    ------
    ValueError
        As for `context_effect`.

    See Also
    --------
    context_effect : its estimate, with the mean change.

    Examples
    --------
    >>> mlp = FoldedMLP(np.eye(3), np.full(3, 9.0), np.eye(3), np.zeros(3), "relu", 0.0, "rmsnorm")
    >>> context_share(mlp, mlp.to_sphere(np.eye(3)), [1.0, 1.0, 1.0], 0.1).round(3)
    np.float64(0.428)
    """
    return context_effect(mlp, contexts, direction, angle).share
