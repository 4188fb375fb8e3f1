"""Where a layer's boundaries lie on its sphere, how near they are, and where a ray crosses them."""

from dataclasses import dataclass

import numpy as np

from ._inputs import as_float64, freeze, non_negative, require_folded, require_on_sphere, require_sphere
from .geometry.patterns import row_blocks, rows_of
from .layer import direction, normalize


def boundary_height(mlp):
    """Height h_i = -b_i / (sqrt(d) |w_i|) of each neuron's boundary above the sphere's centre, in radii, float64 [m].

    Neuron i is on where the cosine of the angle between z and w_i exceeds h_i: on the whole sphere for h_i < -1,
    nowhere for h_i > 1. A neuron without weights has height -inf or inf, or 1 where its bias is 0 too.
    """
    require_sphere(mlp)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.nan_to_num(-mlp.b_in / _reach(mlp), nan=1.0, posinf=np.inf, neginf=-np.inf)


def _reach(mlp):
    """sqrt(d) |w_i|, the largest z . w_i on the sphere, float64 [m]."""
    return np.sqrt(mlp.d_model) * np.linalg.norm(mlp.W_in, axis=0)


def meets_sphere(mlp):
    """Which neurons' boundaries meet the sphere: |b_i| < sqrt(d) |w_i|, bool [m]. The others never switch on it."""
    return np.abs(boundary_height(mlp)) < 1


def boundary_margin(mlp, z):
    """Angle from each point of the sphere to each neuron's boundary.

    With c = z . w_i / (sqrt(d) |w_i|) and k = -b_i / (sqrt(d) |w_i|), the cosines of the angles from w_i to z and to
    the boundary, and h the pre-activation, the margin |arccos c - arccos k| is computed as
    2 arcsin(|h| / (sqrt(d) |w_i|) / (sqrt((1 - c) (1 + k)) + sqrt((1 + c) (1 - k)))), which keeps its digits where
    the angles are close.

    Parameters
    ----------
    mlp : FoldedMLP
        Behind LayerNorm or RMSNorm.
    z : array_like [..., d]
        On the sphere of radius sqrt(d): normalize(x) at eps = 0.

    Returns
    -------
    margin : float64 [..., m]
        Radians; inf where the boundary misses the sphere. Absolute error about 1e-15, up to 1e-8 for a boundary that
        is smaller than that around w_i.

    Raises
    ------
    ValueError
        z is not on the sphere, or the layer has no norm.
    """
    meets = meets_sphere(mlp)
    z = as_float64(z, "z", shape=(..., mlp.d_model))
    require_on_sphere(z, "z", mlp.kind)
    scale = np.where(meets, _reach(mlp), np.inf)
    margin = rows_of(z) @ mlp.W_in
    for block in row_blocks(margin):
        margin[block] = _margin(margin[block], mlp.b_in, scale)
    margin[:, ~meets] = np.inf
    return margin.reshape(*z.shape[:-1], -1)


def _margin(product, b, scale):
    """The formula of `boundary_margin`, from product = z . w."""
    c, k = np.clip(product / scale, -1, 1), -b / scale
    sine = np.abs(product + b) / (scale * (np.sqrt((1 - c) * (1 + k)) + np.sqrt((1 + c) * (1 - k))))
    return 2 * np.arcsin(np.minimum(sine, 1))


def _space_dimension(mlp):
    """Dimension of the space around the layer's sphere: LayerNorm's lies in the hyperplane orthogonal to ones."""
    return mlp.d_model - 1 if mlp.kind == "layernorm" else mlp.d_model


def cap_share(mlp):
    """Share of the sphere's area on which each neuron is on, from the weights alone, float64 [m].

    Neuron i is on in the spherical cap around w_i with cosine above h_i; its share is the integral of sin^(D-2) from 0
    to arccos(h_i) over that from 0 to pi, D the dimension of the space around the sphere. Gauss-Legendre quadrature,
    absolute error below 1e-10.
    """
    D = _space_dimension(mlp)
    nodes, weights = np.polynomial.legendre.leggauss(600)
    nodes, weights = (nodes + 1) / 2, weights / 2  # for the interval from 0 to 1

    def integral(angle):
        """Of sin^(D-2) from 0 to each angle: farther than 12 / sqrt(D) below its end the integrand is negligible."""
        stop = np.minimum(angle, np.pi / 2)[:, None]
        start = np.maximum(stop - 12 / np.sqrt(D), 0)
        return ((stop - start) * np.sin(start + (stop - start) * nodes) ** (D - 2)) @ weights

    angle = np.arccos(np.clip(boundary_height(mlp), -1, 1))
    half = integral(np.array([np.pi / 2]))
    small = integral(np.minimum(angle, np.pi - angle)) / (2 * half)
    return np.where(angle <= np.pi / 2, small, 1 - small)


def expected_crossings(mlp):
    """Expected number of crossings on a uniformly random great circle of the layer's sphere.

    The sum of 2 (1 - h_i^2)^((D - 2)/2) over the neurons whose `boundary_height` has |h_i| < 1, where D is the
    dimension of the space around the sphere: d - 1 for LayerNorm, d for RMSNorm. (The circle crosses neuron i's
    boundary iff w_i is long enough when projected to the circle's plane; its squared length there, as a share, is
    Beta(1, (D - 2)/2) distributed.)
    """
    h = boundary_height(mlp)
    cuts = np.abs(h) < 1
    return float(2 * np.sum(((1 - h[cuts]) * (1 + h[cuts])) ** ((_space_dimension(mlp) - 2) / 2)))


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
            scales = np.sqrt(eps) * r / (direction(x, mlp.kind)[1].item() * np.sqrt((1 - r) * (1 + r)))
            flips = (r > 0) & (r < 1) & (eps > 0)
    neurons = np.flatnonzero(flips)
    order = np.argsort(scales[neurons], kind="stable")
    return RayCrossings(scales[neurons][order], neurons[order])
