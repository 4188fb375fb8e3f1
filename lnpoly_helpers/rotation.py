"""Two points of the sphere: the turn from one to the other, and who flips on the way.

A path starts at z0 and runs towards z1 along their great circle, z(t) = sqrt(d) (e0 cos t + e1 sin t), t the angle from
z0 in radians. Along it every pre-activation is A cos t + B sin t + b, as on the circle of the toy.

Adding a direction is such a path: with alpha from 0 to infinity, normalize(x + alpha v) sweeps the arc from
normalize(x) to normalize(v), and `steering_angle` says how far it has come.
"""

from dataclasses import dataclass, replace

import numpy as np

from ._inputs import (
    KINDS,
    ArrayLike,
    Bool,
    Float,
    Frozen,
    Int,
    Real,
    as_ends,
    as_float64,
    freeze,
    length,
    one_of,
    positive,
    require_broadcast,
    require_folded,
    require_one_great_circle,
    require_sphere,
    sphere_pair,
)
from .geometry._angles import on_arcs, turn
from .layer import FoldedMLP
from .layer import direction as parts_of

_APART = np.cos(np.radians(1.0))
CLOSEST = 1e-10  # radians: nearer to each other, or to being antipodes, two points have no safe great circle
_AT_ONCE = 2**17  # pre-activations in flight: what is worked on stays in the processor's cache


def angle_between(z0: Real[ArrayLike, "... d"], z1: Real[ArrayLike, "... d"]) -> Float[np.ndarray | np.float64, "..."]:
    """The angle between two points of the sphere.

    2 atan2(|e1 - e0|, |e1 + e0|) for the unit vectors e0, e1: good to about 1e-16 also near 0 and near pi, where
    arccos(e0 . e1) loses half of the digits. Kahan 2006, "How futile are mindless assessments of roundoff", section 12.

    Parameters
    ----------
    z0, z1 : array_like [..., d]
        On the sphere of radius sqrt(d): normalize(x) at eps = 0. Shapes broadcast.

    Returns
    -------
    angle : float64 [...]
        Radians in [0, pi].

    Raises
    ------
    ValueError
        A point is off the sphere by more than 1e-9 of its radius, or the shapes do not fit.

    See Also
    --------
    rotate : the point at a given angle.
    boundary_margin : from a point to each neuron's boundary.

    Examples
    --------
    >>> from lnpoly_helpers import normalize
    >>> float(np.degrees(angle_between(*normalize([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]))).round(9))
    120.0
    """
    return _angle(*_unit_pair(z0, z1, "d"))


def rotate(
    z0: Real[ArrayLike, "... d"], z1: Real[ArrayLike, "... d"], angle: Real[ArrayLike, "..."] | float
) -> Float[np.ndarray, "... d"]:
    """Turn z0 towards z1 by an angle, along their great circle (slerp).

    z = sqrt(d) (e0 cos(angle) + e1 sin(angle)), e0 the unit vector of z0 and e1 that of the part of z1 orthogonal to
    it: z0 at angle 0, z1 at `angle_between`; beyond, the circle goes on.

    Parameters
    ----------
    z0, z1 : array_like [..., d]
        On the sphere of radius sqrt(d): normalize(x) at eps = 0. Shapes broadcast.
    angle : array_like [...]
        Radians. Broadcasts against the batch: ``rotate(z0[:, None], z1[:, None], angles)`` is [n, n_angles, d].

    Returns
    -------
    z : float64 [..., d]

    Raises
    ------
    ValueError
        As for `angle_between`; also where z0 and z1 coincide or are antipodes to within 1e-10 radians, so that no great
        circle is theirs alone.

    Notes
    -----
    Accurate to about 1e-15; the direction of the circle to 1e-16 / sin(theta), theta the angle between the points.
    Shoemake 1985, SIGGRAPH.

    See Also
    --------
    angle_between : how far z1 is.
    crossings : which boundaries lie on the way.

    Examples
    --------
    >>> from lnpoly_helpers import normalize
    >>> z = normalize([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    >>> angle_between(z[0], rotate(*z, 0.25)).round(12)
    np.float64(0.25)
    """
    e0, e1, _ = _frame(z0, z1, "d")
    angle = as_float64(angle, "angle", shape=(...,))[..., None]
    require_broadcast("z0 and angle", e0.shape[:-1], angle.shape[:-1])
    return np.sqrt(e0.shape[-1]) * (e0 * np.cos(angle) + e1 * np.sin(angle))


def turn_weights(z0, z1, angle):
    """w0 and w1 [...] with rotate(z0, z1, angle) = w0 z0 + w1 z1, so that what is linear need not be taken anew.

    sin(phi - angle) / sin(phi) and sin(angle) / sin(phi), phi the angle between the points, which are on the sphere and
    neither one nor antipodes. As accurate as `rotate`. Shoemake 1985.
    """
    (e0, size0), (e1, size1) = ((z / size, size[..., 0]) for z in (z0, z1) for size in [length(z, keepdims=True)])
    phi = _angle(e0, e1)
    scale = np.sqrt(z0.shape[-1]) / np.sin(phi)
    return scale * np.sin(phi - angle) / size0, scale * np.sin(angle) / size1


def steering_angle(
    x: Real[ArrayLike, "... d"],
    v: Real[ArrayLike, "... d"],
    alpha: Real[ArrayLike, "..."] | float,
    *,
    kind: str = "layernorm",
) -> Float[np.ndarray | np.float64, "..."]:
    """By which angle adding alpha v to a residual vector x turns the point that the layer sees.

    tan(angle) = alpha |Pv| sin(phi) / (|Px| + alpha |Pv| cos(phi)), phi the angle between Px and Pv, and P the centring
    for LayerNorm, the identity for RMSNorm. So normalize(x + alpha v) = rotate(normalize(x), normalize(v), angle): as
    alpha goes from 0 to infinity the point sweeps the arc from normalize(x) to normalize(v), and the angle grows from 0
    to phi. In other words alpha = |Px| sin(angle) / (|Pv| sin(phi - angle)).

    Parameters
    ----------
    x, v : array_like [..., d]
        Residual vector and direction, of any length.
    alpha : array_like [...]
        How much of v is added, at least 0; infinity is taken. To take v away, pass -v. Shapes broadcast.
    kind : {"layernorm", "rmsnorm", "none"}
        Without a norm the angle is that between x and x + alpha v: RMSNorm's.

    Returns
    -------
    angle : float64 [...]
        Radians in [0, phi]. Opposite to x, phi = pi: the angle is 0 as long as alpha |Pv| < |Px|, and pi beyond.

    Raises
    ------
    ValueError
        A vector without direction (constant for LayerNorm, zero otherwise), also x + alpha v; an alpha below 0.

    Notes
    -----
    Accurate to about 1e-15; where x + alpha v all but vanishes, to 1e-15 |x| / |x + alpha v|.

    See Also
    --------
    rotate : the point at that angle.
    context_effect : what such a turn does in many contexts.

    Examples
    --------
    >>> x, v = [[3.0, 0.0], [0.0, 1.0]]
    >>> np.degrees(steering_angle(x, v, [0.0, 3.0, np.inf], kind="rmsnorm")).round(9)
    array([ 0., 45., 90.])
    """
    one_of(kind, KINDS, "kind")
    x = as_float64(x, "x", shape=(..., "d"))
    v = as_float64(v, "v", shape=(..., x.shape[-1]))
    alpha = as_float64(alpha, "alpha", shape=(...,), infinite=True)
    if (alpha < 0).any():
        raise ValueError(f"alpha: expected numbers >= 0, got {alpha.min():g}. To take a direction away, pass -v.")
    require_broadcast("x, v and alpha", x.shape[:-1], v.shape[:-1], alpha.shape)
    (e0, size), (e1, added) = (_unit_and_size(a, name, kind) for a, name in ((x, "x"), (v, "v")))
    half_sine, half_cosine = (np.linalg.norm(e, axis=-1) / 2 for e in (e1 - e0, e1 + e0))  # of phi
    with np.errstate(over="ignore", divide="ignore"):
        ratio = alpha * (added / size)
        # both sides of the quotient, divided by the larger of |Px| and alpha |Pv|: neither can overflow
        less, more = np.minimum(ratio, 1), np.where(ratio > 1, 1 / ratio, 1)
    across, along = 2 * half_sine * half_cosine * less, (more - less) + 2 * half_cosine**2 * less
    if (np.hypot(across, along) < 8 * np.finfo(float).eps).any():
        raise ValueError("alpha: expected x + alpha v with a direction, got one that vanishes. Take another alpha.")
    return np.arctan2(across, along)


def rotate_residual(
    x: Real[ArrayLike, "... d"],
    v: Real[ArrayLike, "... d"],
    angle: Real[ArrayLike, "..."] | float,
    *,
    kind: str = "layernorm",
) -> Float[np.ndarray, "... d"]:
    """Turn a residual vector towards another by an angle, at its own length.

    For ``"layernorm"`` what turns is Px, as only that is seen behind the norm: |Px| and the mean of x stay as they are.
    Otherwise it is x. So normalize(result) = rotate(normalize(x), normalize(v), angle), and without a norm a turn is no
    more than a turn.

    Parameters
    ----------
    x, v : array_like [..., d]
        Vectors with a direction, of any length. Shapes broadcast.
    angle : array_like [...]
        Radians, as for `rotate`.
    kind : {"layernorm", "rmsnorm", "none"}
        Of the norm that reads x.

    Returns
    -------
    float64 [..., d]

    Raises
    ------
    ValueError
        As for `normalize` and `rotate`.

    Notes
    -----
    Accurate to a few units in the last place of x.

    See Also
    --------
    rotate : the same on the sphere.
    steering_angle : by how far adding alpha v turns x.
    logit_path : what the network makes of it.

    Examples
    --------
    >>> rotate_residual([3.0, 0.0], [1.0, 1.0], np.pi / 2, kind="rmsnorm").round(12)
    array([0., 3.])
    """
    one_of(kind, KINDS, "kind")
    x = as_float64(x, "x", shape=(..., "d"))
    v = as_float64(v, "v", shape=(..., x.shape[-1]))
    (e0, size), (e1, _) = (_unit_and_size(a, name, kind) for a, name in ((x, "x"), (v, "v")))
    radius = np.sqrt(x.shape[-1])
    turned = size[..., None] * rotate(radius * e0, radius * e1, angle)
    return turned + x.mean(axis=-1, keepdims=True) if kind == "layernorm" else turned


def _unit_and_size(x, name, kind):
    """Unit vectors along Px [..., d] and |Px| / sqrt(d) [...]."""
    unit, size = parts_of(x, kind)
    if not unit.any(axis=-1).all():
        what = "constant (a multiple of the ones vector)" if kind == "layernorm" else "zero"
        raise ValueError(f"{name}: expected vectors with a direction, got one that is {what}. Leave it out.")
    return unit / np.linalg.norm(unit, axis=-1, keepdims=True), size[..., 0]


def apart(z, point):
    """Which points z [..., d] of the sphere are a degree or more from a point [d], and from its antipode.

    The others are the same token again: a path between them is none.
    """
    return np.abs(z @ point) < len(point) * _APART


def _unit_pair(z0, z1, d, kind=None):
    z0, z1 = (z / np.linalg.norm(z, axis=-1, keepdims=True) for z in sphere_pair(z0, z1, d, kind))
    return z0, z1


def _angle(e0, e1):
    return 2 * np.arctan2(np.linalg.norm(e1 - e0, axis=-1), np.linalg.norm(e1 + e0, axis=-1))


def _frame(z0, z1, d, kind=None):
    """Orthonormal e0, e1 [..., d], along z0 and along the path's start, and the angle [...] from z0 to z1."""
    e0, e1 = _unit_pair(z0, z1, d, kind)
    angle = _angle(e0, e1)
    require_one_great_circle(angle, CLOSEST)
    # the chord from z0 or its antipode, whichever is nearer: it is short where the projection would cancel
    chord = e1 - np.where((e0 * e1).sum(axis=-1, keepdims=True) < 0, -1, 1) * e0
    tangent = chord - (chord * e0).sum(axis=-1, keepdims=True) * e0
    return e0, tangent / np.linalg.norm(tangent, axis=-1, keepdims=True), angle


def at_length(mlp: FoldedMLP, length: float) -> FoldedMLP:
    """A layer without a norm, as it acts on vectors of one length: a layer on the sphere of radius sqrt(d).

    Without a norm there is no sphere, but a vector x that is turned keeps its length. With W_in length / sqrt(d) in
    place of W_in, the point z = sqrt(d) x / length of the sphere has the pre-activations that x had; so `crossings`,
    `path_profile` and all that needs a sphere say what happens as x turns.

    Parameters
    ----------
    mlp : FoldedMLP
        Of kind ``"none"``.
    length : float
        |x|, positive.

    Returns
    -------
    FoldedMLP
        Of kind ``"rmsnorm"`` with eps = 0: its sphere is in all of R^d.

    Raises
    ------
    ValueError
        The layer stands behind a norm, or the length is not positive.

    See Also
    --------
    crossings, path_profile, tangent_range : what it can then be asked.

    Examples
    --------
    >>> mlp = FoldedMLP(np.eye(2), [0.0, 0.0], np.eye(2), [0.0, 0.0], "relu", 0.0, "none")
    >>> at_length(mlp, 5.0).output([1.0, -1.0]).round(3)  # as mlp([3.536, -3.536]), of length 5
    array([3.536, 0.   ])
    """
    require_folded(mlp)
    if mlp.kind != "none":
        raise ValueError(f"mlp: expected a layer without a norm, got kind {mlp.kind!r}, which has a sphere of its own.")
    length = positive(length, "length", "Pass np.linalg.norm(x).")
    scale = length / np.sqrt(mlp.d_model)
    W_up = None if mlp.W_up is None else mlp.W_up * scale
    return replace(mlp, W_in=mlp.W_in * scale, W_up=W_up, kind="rmsnorm", eps=0.0)


# --- who flips on the way ---


@dataclass(frozen=True, eq=False, repr=False)
class Crossings(Frozen):
    """Every flip on each path of a batch: path after path, each in order. For one path, ``counts`` is a single number.

    Attributes
    ----------
    angles : float64 [n]
        Radians from the path's z0, in (0, end].
    neurons : int [n]
        Who flips there.
    turns_on : bool [n]
        Its pre-activation goes from negative to positive.
    paths : int [n]
        Which path of the flattened batch.
    counts : int [...]
        How many on each path.
    ends : float64 [...]
        Where each path ends, in radians.

    See Also
    --------
    crossings : makes it.

    Examples
    --------
    >>> mlp = FoldedMLP(np.eye(2), [0.0, 0.0], np.eye(2), [0.0, 0.0], "relu", 0.0, "rmsnorm")
    >>> crossings(mlp, *mlp.to_sphere([[[1.0, -1.0], [1.0, 2.0]], [[1.0, 1.0], [2.0, 1.0]]]))
    Crossings(n_paths=2, n_crossings=1)
    """

    angles: Float[np.ndarray, "n"]
    neurons: Int[np.ndarray, "n"]
    turns_on: Bool[np.ndarray, "n"]
    paths: Int[np.ndarray, "n"]
    counts: Int[np.ndarray, "..."]
    ends: Float[np.ndarray, "..."]

    def __post_init__(self):
        freeze(self)

    def __repr__(self) -> str:
        return f"Crossings(n_paths={self.counts.size}, n_crossings={self.angles.size})"


def crossings(
    mlp: FoldedMLP,
    z0: Real[ArrayLike, "... d"],
    z1: Real[ArrayLike, "... d"],
    *,
    end: Real[ArrayLike, "..."] | float | None = None,
) -> Crossings:
    """Every flip of a neuron on the way from z0 to z1 along the shorter arc, in closed form.

    Exact: a neuron crosses at most twice, where `partition_circle` has it on the same circle, and one that flips twice
    is found twice, which no comparison of end points or samples does. For GELU a flip is a change of the
    pre-activation's sign and no more.

    Parameters
    ----------
    mlp : FoldedMLP
        Behind LayerNorm or RMSNorm.
    z0, z1 : array_like [..., d]
        On the sphere of radius sqrt(d): normalize(x) at eps = 0. Shapes broadcast.
    end : array_like [...], optional
        Radians, 0 < end <= pi: where each path ends in place of z1, before or beyond it.

    Returns
    -------
    Crossings

    Raises
    ------
    ValueError
        As for `rotate`; also without a norm, for points that LayerNorm cannot make, or for an end outside (0, pi].

    Notes
    -----
    Angles are as accurate as those of `partition_circle`; a boundary through an end point to within rounding may count
    or not. Over all paths of one length the mean count is expected_crossings(mlp) end / (2 pi), and m end / pi without
    biases. Time: one matrix product [2 n, d] x [d, m] for n paths and some 0.2 us for each path and neuron.

    See Also
    --------
    expected_crossings : how many a random great circle has.
    path_profile, tangent_range : what the output does on the way.
    split_change : what the layer makes of the move.

    Examples
    --------
    >>> mlp = FoldedMLP(np.eye(2), [0.0, 0.0], np.eye(2), [0.0, 0.0], "relu", 0.0, "rmsnorm")
    >>> found = crossings(mlp, *mlp.to_sphere([[1.0, -1.0], [1.0, 1.0]]))
    >>> np.degrees(found.angles).round(9), found.neurons, found.turns_on
    (array([45.]), array([1]), array([ True]))
    """
    e0, e1, ends = frames(mlp, z0, z1, end)
    parts = [(start, find_crossings(A, B, mlp.b_in, stops)) for start, A, B, stops in chunks(mlp, e0, e1, ends)]
    paths = np.concatenate([start + part[0] for start, part in parts])
    angles, neurons, turns_on = (np.concatenate([part[k] for _, part in parts]) for k in (1, 2, 3))
    counts = np.bincount(paths, minlength=ends.size).reshape(ends.shape)
    return Crossings(angles, neurons, turns_on, paths, counts, ends)


def frames(mlp, z0, z1, end):
    """e0, e1 [..., d] and the end [...] of each path on the layer's sphere, checked."""
    require_sphere(mlp)
    e0, e1, ends = _frame(z0, z1, mlp.d_model, mlp.kind)
    if end is not None:
        end = as_ends(end)
        ends = np.broadcast_to(end, require_broadcast("z0 and end", ends.shape, end.shape))
        e0, e1 = (np.broadcast_to(e, (*ends.shape, mlp.d_model)) for e in (e0, e1))
    return e0, e1, ends


def chunks(mlp, e0, e1, ends):
    """Some paths at a time: the number of the first, their A and B [n, m] and their ends [n]."""
    step = max(1, _AT_ONCE // mlp.n_neurons)
    to_pre = np.sqrt(mlp.d_model) * mlp.W_in
    for start in range(0, ends.size, step):
        rows = slice(start, start + step)
        yield start, *(e.reshape(-1, mlp.d_model)[rows] @ to_pre for e in (e0, e1)), ends.reshape(-1)[rows]


def find_crossings(A, B, b, ends):
    """Path, angle, neuron and whether it turns on, [n] each, for paths A cos t + B sin t + b with 0 < t <= end."""
    centre, half = on_arcs(A, B, b)
    angles = turn(np.stack([centre - half, centre + half], axis=-1))  # on from the first to the second; else NaN
    paths, neurons, last = np.nonzero((angles > 0) & (angles <= ends[:, None, None]))
    angles = angles[paths, neurons, last]
    order = np.lexsort((angles, paths))
    return paths[order], angles[order], neurons[order], last[order] == 0
