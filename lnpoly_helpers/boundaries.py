"""Where a layer's boundaries lie on its sphere, how near they are, and where a ray crosses them."""

from dataclasses import dataclass

import numpy as np

from ._inputs import (
    ArrayLike,
    Bool,
    Float,
    Frozen,
    Int,
    Real,
    as_float64,
    freeze,
    length,
    non_negative,
    require_folded,
    require_on_sphere,
    require_sphere,
)
from .geometry.patterns import row_blocks, rows_of
from .layer import FoldedMLP, direction, normalize

_NEAR = 0.9  # cosines beyond which an angle is taken from a distance; arccos loses at most twice what is rounded here
_AT_ONCE = 2**17  # pre-activations in flight: what is worked on stays in the processor's cache


def boundary_height(mlp: FoldedMLP) -> Float[np.ndarray, "m"]:
    """Height h_i = -b_i / (sqrt(d) |w_i|) of each neuron's boundary above the sphere's centre, in radii.

    Neuron i is on where the cosine of the angle between z and w_i exceeds h_i: on the whole sphere for h_i < -1,
    nowhere for h_i > 1.

    Parameters
    ----------
    mlp : FoldedMLP
        Behind LayerNorm or RMSNorm.

    Returns
    -------
    height : float64 [m]
        A neuron without weights has -inf or inf, or 1 where its bias is 0 too: it is on nowhere.

    Raises
    ------
    ValueError
        The layer has no norm, so no sphere.

    See Also
    --------
    meets_sphere : whether |h_i| < 1.
    cap_share : how much of the sphere lies above it.

    Examples
    --------
    >>> mlp = FoldedMLP(np.eye(4), [1.0, -1.0, 2.0, 3.0], np.eye(4), np.zeros(4), "relu", 0.0, "rmsnorm")
    >>> boundary_height(mlp).tolist()
    [-0.5, 0.5, -1.0, -1.5]
    """
    require_sphere(mlp)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.nan_to_num(-mlp.b_in / _reach(mlp), nan=1.0, posinf=np.inf, neginf=-np.inf)


def _reach(mlp):
    """sqrt(d) |w_i|, the largest z . w_i on the sphere, float64 [m]."""
    return np.sqrt(mlp.d_model) * length(mlp.W_in, axis=0)


def meets_sphere(mlp: FoldedMLP) -> Bool[np.ndarray, "m"]:
    """Which neurons' boundaries meet the sphere: |b_i| < sqrt(d) |w_i|. The others never switch on it.

    Parameters
    ----------
    mlp : FoldedMLP
        Behind LayerNorm or RMSNorm.

    Returns
    -------
    meets : bool [m]

    Raises
    ------
    ValueError
        The layer has no norm, so no sphere.

    See Also
    --------
    boundary_height : how far from the centre each boundary is.
    boundary_margin : how far from a point.

    Examples
    --------
    >>> mlp = FoldedMLP(np.eye(4), [0.0, -1.0, 2.0, 3.0], np.eye(4), np.zeros(4), "relu", 0.0, "rmsnorm")
    >>> meets_sphere(mlp).tolist()
    [True, True, False, False]
    """
    return np.abs(boundary_height(mlp)) < 1


def boundary_margin(mlp: FoldedMLP, z: Real[ArrayLike, "... d"]) -> Float[np.ndarray, "... m"]:
    """Angle from each point of the sphere to each neuron's boundary.

    With c = z . w_i / (sqrt(d) |w_i|) and k = -b_i / (sqrt(d) |w_i|), the cosines of the angles from w_i to z and to
    the boundary, and h the pre-activation, the margin |arccos c - arccos k| is computed as
    2 arcsin(|h| / (sqrt(d) |w_i|) / (sqrt((1 - c) (1 + k)) + sqrt((1 + c) (1 - k)))), which keeps its digits where
    the angles are close. Near w_i and -w_i, where c has lost the angle, that comes from the distance |z - w_i| of
    the two as unit vectors.

    Parameters
    ----------
    mlp : FoldedMLP
        Behind LayerNorm or RMSNorm.
    z : array_like [..., d]
        On the sphere of radius sqrt(d): normalize(x) at eps = 0.

    Returns
    -------
    margin : float64 [..., m]
        Radians; inf where the boundary misses the sphere. Absolute error about 1e-15, and 1e-15 / r for a boundary of
        radius r < 1 around w_i or -w_i, at most 1e-8.

    Raises
    ------
    ValueError
        z is not on the sphere, the layer has no norm, or d is so small that its sphere is two points.

    See Also
    --------
    crossings : the boundaries on the way from one point to another.
    boundary_height : how far each boundary is from the sphere's centre.

    Examples
    --------
    >>> mlp = FoldedMLP(np.eye(2), [0.0, -1.0], np.eye(2), np.zeros(2), "relu", 0.0, "rmsnorm")
    >>> np.degrees(boundary_margin(mlp, [1.0, 1.0])).round(9).tolist()  # on neuron 1's boundary
    [45.0, 0.0]
    """
    require_sphere(mlp, dimension=1)
    meets = meets_sphere(mlp)
    z = as_float64(z, "z", shape=(..., mlp.d_model))
    require_on_sphere(z, "z", mlp.kind)
    scale = np.where(meets, _reach(mlp), np.inf)
    rows = rows_of(z)
    margin = rows @ mlp.W_in
    for block in row_blocks(margin):
        near = np.abs(margin[block]) > _NEAR * scale
        margin[block] = _margin(margin[block], mlp.b_in, scale)
        if near.any():
            margin[block][near] = _margin_near(mlp, rows[block], scale, *np.nonzero(near))
    margin[:, ~meets] = np.inf
    return margin.reshape(*z.shape[:-1], -1)


def _margin(product, b, scale):
    """The formula of `boundary_margin`, from product = z . w."""
    c, k = np.clip(product / scale, -1, 1), -b / scale
    sine = np.abs(product + b) / (scale * (np.sqrt((1 - c) * (1 + k)) + np.sqrt((1 + c) * (1 - k))))
    return 2 * np.arcsin(np.minimum(sine, 1))


def _margin_near(mlp, z, scale, rows, neurons):
    """The margin of neurons [k] at points z[rows] near their w or -w: the difference of both angles."""
    margin, step = np.empty(len(rows)), max(1, _AT_ONCE // mlp.d_model)
    for some in (slice(start, start + step) for start in range(0, len(rows), step)):
        point, i = z[rows[some]], neurons[some]
        w = mlp.W_in.T[i]
        point, w = point / length(point, keepdims=True), w / length(w, keepdims=True)
        side = np.copysign(1.0, (point * w).sum(axis=1))
        k = -side * mlp.b_in[i] / scale[i]
        angle, boundary = 2 * np.arcsin(length(point - side[:, None] * w) / 2), 2 * np.arctan2(*np.sqrt([1 - k, 1 + k]))
        margin[some] = np.abs(angle - boundary)
    return margin


def _space_dimension(mlp):
    """Dimension of the space around the layer's sphere: LayerNorm's lies in the hyperplane orthogonal to ones."""
    return mlp.d_model - 1 if mlp.kind == "layernorm" else mlp.d_model


def cap_share(mlp: FoldedMLP) -> Float[np.ndarray, "m"]:
    """Share of the sphere's area on which each neuron is on, from the weights alone.

    Neuron i is on in the spherical cap around w_i with cosine above h_i, its `boundary_height`. For a uniformly random
    point of the sphere (1 - cosine)/2 has the distribution Beta((D - 1)/2, (D - 1)/2), D the dimension of the space
    around the sphere; so the share is the regularised incomplete beta function I_x((D - 1)/2, (D - 1)/2) at
    x = (1 - h_i)/2.

    Parameters
    ----------
    mlp : FoldedMLP
        Behind LayerNorm or RMSNorm.

    Returns
    -------
    share : float64 [m]
        0 to 1.

    Raises
    ------
    ValueError
        The layer has no norm, so no sphere.

    Notes
    -----
    Absolute error about 1e-15, on a circle (D = 2) 1e-16 / sqrt(1 - |h_i|); shares below one half, however small, also
    to 1e-12 of themselves. Li 2011, Asian J. Math. Stat. 4(1).

    See Also
    --------
    boundary_height : the height h_i.
    expected_crossings : how often a random great circle crosses the boundaries.

    Examples
    --------
    >>> mlp = FoldedMLP(np.eye(3), [0.0, 0.5 * 3**0.5, -9.0], np.eye(3), np.zeros(3), "relu", 0.0, "rmsnorm")
    >>> cap_share(mlp).round(12).tolist()  # on S^2 a cap's area goes with its height
    [0.5, 0.75, 0.0]
    """
    from scipy.special import betainc

    h, D = boundary_height(mlp), _space_dimension(mlp)
    if D == 1:  # the sphere is two points
        return np.mean([h < 1, h < -1], axis=0)
    small = betainc((D - 1) / 2, (D - 1) / 2, (1 - np.minimum(np.abs(h), 1)) / 2)
    return np.where(h < 0, 1 - small, small)


def expected_crossings(mlp: FoldedMLP) -> float:
    """Expected number of crossings on a uniformly random great circle of the layer's sphere.

    The sum of 2 (1 - h_i^2)^((D - 2)/2) over the neurons whose `boundary_height` has |h_i| < 1, where D is the
    dimension of the space around the sphere: d - 1 for LayerNorm, d for RMSNorm. (The circle crosses neuron i's
    boundary iff w_i is long enough when projected to the circle's plane; its squared length there, as a share, is
    Beta(1, (D - 2)/2) distributed.)

    Parameters
    ----------
    mlp : FoldedMLP
        Behind LayerNorm or RMSNorm.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        The layer has no norm, so no sphere, or d is so small that its sphere is two points.

    See Also
    --------
    crossings : those on a given path.
    partition_circle : those on a given great circle.

    Examples
    --------
    >>> mlp = FoldedMLP(np.eye(3), [0.0, 0.5 * 3**0.5, -9.0], np.eye(3), np.zeros(3), "relu", 0.0, "rmsnorm")
    >>> round(expected_crossings(mlp), 12)  # 2 + 2 sqrt(3/4) + 0
    3.732050807569
    """
    require_sphere(mlp, dimension=1)
    h = boundary_height(mlp)
    cuts = np.abs(h) < 1
    return float(2 * np.sum(((1 - h[cuts]) * (1 + h[cuts])) ** ((_space_dimension(mlp) - 2) / 2)))


@dataclass(frozen=True, eq=False, repr=False)
class RayCrossings(Frozen):
    """Where neurons flip on rays {a x : a > 0}: ray after ray, each in order. For one ray, ``counts`` is one number.

    Attributes
    ----------
    scales : float64 [n]
        The scales a at which a neuron's pre-activation is 0, increasing along each ray.
    neurons : int [n]
        The neuron that flips there.
    rays : int [n]
        Which ray of the flattened batch.
    counts : int [...]
        How many on each ray.

    See Also
    --------
    ray_crossings : makes it.
    Crossings : the same along great circles.

    Examples
    --------
    >>> mlp = FoldedMLP(np.eye(2), [-1.0, -6.0], np.eye(2), np.zeros(2), "relu", 0.0, "none")
    >>> ray_crossings(mlp, [[1.0, 2.0], [-1.0, 1.0]])
    RayCrossings(n_crossings=3, n_rays=2)
    """

    scales: Float[np.ndarray, "n"]
    neurons: Int[np.ndarray, "n"]
    rays: Int[np.ndarray, "n"]
    counts: Int[np.ndarray, "..."]

    def __post_init__(self):
        freeze(self)

    def __repr__(self) -> str:
        return f"RayCrossings(n_crossings={len(self.scales)}, n_rays={self.counts.size})"


def ray_crossings(mlp: FoldedMLP, x: Real[ArrayLike, "... d"], *, eps: float | None = None) -> RayCrossings:
    """Every flip of a neuron along the ray {a x : a > 0} of each vector, in closed form.

    Behind a norm, neuron i flips at most once: with z = normalize(x) at eps = 0 and r = -b_i / (z . w_i), it
    flips iff 0 < r < 1, at a = sqrt(eps) r / (s sqrt(1 - r^2)), s the standard deviation of x (its root mean
    square for RMSNorm). So at eps = 0 nothing flips. Without a norm it flips at a = -b_i / (x . w_i) if that
    is positive.

    Parameters
    ----------
    mlp : FoldedMLP
    x : array_like [..., d]
        Residual vectors.
    eps : float, optional
        In place of the model's own.

    Returns
    -------
    RayCrossings

    Raises
    ------
    ValueError
        A vector without direction behind a norm: a constant one (LayerNorm) or zero (RMSNorm).

    Notes
    -----
    Scales are accurate to about 1e-15 / (1 - r), relative. Time: one matrix product [n, d] x [d, m] for n rays, some
    rows at a time, so that memory does not grow with n m.

    See Also
    --------
    crossings : flips along great circles, where rays meet the sphere in one point each.

    Examples
    --------
    >>> mlp = FoldedMLP(np.eye(2), [-1.0, -6.0], np.eye(2), np.zeros(2), "relu", 0.0, "none")
    >>> found = ray_crossings(mlp, [1.0, 2.0])
    >>> found.scales.tolist(), found.neurons.tolist()
    ([1.0, 3.0], [0, 1])
    """
    require_folded(mlp)
    x = as_float64(x, "x", shape=(..., mlp.d_model))
    eps = mlp.eps if eps is None else non_negative(eps, "eps")
    z = rows_of(normalize(x, kind=mlp.kind))
    # the scale at which the norm puts out z / sqrt(2); 1 where there is none
    unit = np.ones((len(z), 1)) if mlp.kind == "none" else np.sqrt(eps) / direction(rows_of(x), mlp.kind)[1]
    parts = []
    step = max(1, _AT_ONCE // mlp.n_neurons)
    for start in range(0, len(z), step):
        rows = slice(start, start + step)
        rays, neurons, scales = _flips(mlp, z[rows], unit[rows])
        order = np.lexsort((scales, rays))
        parts.append((start + rays[order], neurons[order], scales[order]))
    rays, neurons, scales = (np.concatenate(part) for part in zip(*parts, strict=True))
    counts = np.bincount(rays, minlength=len(z)).reshape(x.shape[:-1])
    return RayCrossings(scales, neurons, rays, counts)


def _flips(mlp, z, unit):
    """Ray, neuron and scale [n] of every flip on the rays through z [rows, d], one ray after the other."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        r = -mlp.b_in / (z @ mlp.W_in)
        behind_norm = mlp.kind != "none"
        rays, neurons = np.nonzero((r > 0) & (r < 1) & (unit > 0) if behind_norm else (r > 0) & (r < np.inf))
        r, unit = r[rays, neurons], unit[rays, 0]
        return rays, neurons, unit * (r / np.sqrt((1 - r) * (1 + r)) if behind_norm else r)
