"""The narrow door: a layer and two or three directions become a small arrangement; geometry knows no LayerNorm."""

from dataclasses import dataclass

import numpy as np

from ._inputs import as_float64, one_of, read_only
from .layernorm import KINDS
from .patterns import boundary_height, require_sphere


@dataclass(frozen=True, eq=False)
class Arrangement:
    """m half-spaces of R^k: neuron i is on at y iff normals_i . y + offsets_i > 0.

    Attributes
    ----------
    normals : float64 [m, k]
    offsets : float64 [m]
    """

    normals: np.ndarray
    offsets: np.ndarray

    def __post_init__(self):
        normals = as_float64(self.normals, "normals", shape=("m", "k"))
        offsets = as_float64(self.offsets, "offsets", shape=(len(normals),))
        object.__setattr__(self, "normals", read_only(normals))
        object.__setattr__(self, "offsets", read_only(offsets))

    @property
    def dimension(self):
        """k, the dimension of the space that is cut."""
        return self.normals.shape[1]

    @property
    def n_neurons(self):
        return len(self.offsets)

    def preactivations(self, y):
        """normals . y + offsets at points y [..., k]: float64 [..., m]."""
        return as_float64(y, "y", shape=(..., self.dimension)) @ self.normals.T + self.offsets


def require_arrangement(arrangement, dimension):
    """Refuse what is not an `Arrangement` of that dimension."""
    if not isinstance(arrangement, Arrangement):
        raise TypeError(
            f"arrangement: expected an Arrangement, got {type(arrangement).__name__}. restrict(mlp, basis) makes one."
        )
    if arrangement.dimension != dimension:
        words = {2: "two dimensions", 3: "three dimensions"}[dimension]
        directions = {2: "u, v", 3: "u, v, w"}[dimension]
        raise ValueError(
            f"arrangement: expected {words}, got {arrangement.dimension}. "
            f"A slice has as many as it has directions: restrict(mlp, slice_basis([{directions}]))."
        )


def slice_basis(vectors, *, kind="layernorm"):
    """Orthonormal rows that span the given directions, by Gram-Schmidt in their order.

    The first row points along the first vector. For ``"layernorm"`` every vector is centred first, so that the
    slice lies in the hyperplane orthogonal to the ones vector, where the sphere is.

    Parameters
    ----------
    vectors : array_like [k, d]
    kind : {"layernorm", "rmsnorm", "none"}

    Returns
    -------
    basis : float64 [k, d]
        Orthonormal to about 1e-15.

    Raises
    ------
    ValueError
        The vectors do not span k dimensions (after centring, for LayerNorm).
    """
    one_of(kind, KINDS, "kind")
    vectors = as_float64(vectors, "vectors", shape=("k", "d"))
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    rows = vectors / np.where(largest > 0, largest, 1.0)
    if kind == "layernorm":
        rows = _centred(_centred(rows))  # the first mean is rounded; this removes what it left
    k, d = rows.shape
    room = d - 1 if kind == "layernorm" else d
    if k <= room:
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        rows = rows / np.where(lengths > 1e-12, lengths, 1.0)
        basis, heights = np.linalg.qr(rows.T)
        heights = np.diag(heights)
        if (np.abs(heights) > 1e-10).all():
            basis = (basis * np.sign(heights)).T
            if kind == "layernorm":  # nearly parallel vectors: what is left of one may lean out of the hyperplane
                basis, signs = np.linalg.qr(_centred(basis).T)
                basis = (basis * np.sign(np.diag(signs))).T
            return basis
    raise ValueError(
        f"vectors: expected {k} directions that span {k} dimensions"
        f"{' of the hyperplane orthogonal to the ones vector' if kind == 'layernorm' else ''}, "
        f"got fewer (one is zero, constant, or a combination of the others). Choose other vectors."
    )


def _centred(rows):
    return rows - rows.mean(axis=1, keepdims=True)


def lift(basis, y):
    """The points of the sphere at slice coordinates y [..., k] with |y| = 1: z = sqrt(d) y @ basis, [..., d]."""
    basis = as_float64(basis, "basis", shape=("k", "d"))
    return np.sqrt(basis.shape[1]) * as_float64(y, "y", shape=(..., len(basis))) @ basis


def restrict(mlp, basis):
    """Cut the layer's hyperplanes with a slice through the sphere's centre.

    Parameters
    ----------
    mlp : FoldedMLP
        Behind LayerNorm or RMSNorm.
    basis : array_like [k, d] or [n, k, d]
        Orthonormal rows from `slice_basis`; or n such bases, for which one matrix product does.

    Returns
    -------
    Arrangement, or a list of n
        normals = sqrt(d) (basis @ W_in)^T [m, k], offsets = b_in: the pre-activations at z = lift(basis, y) are
        exactly those of the arrangement at y, and the sphere is |y| = 1.

    Raises
    ------
    ValueError
        The rows are not orthonormal or, for LayerNorm, not orthogonal to the ones vector; or there is no norm.
    """
    require_sphere(mlp)
    bases = as_float64(basis, "basis")
    bases = as_float64(bases, "basis", shape=("n", "k", mlp.d_model) if bases.ndim == 3 else ("k", mlp.d_model))
    *n, k, d = bases.shape
    off = np.abs(bases @ bases.swapaxes(-1, -2) - np.eye(k)).max()
    if mlp.kind == "layernorm":
        off = max(off, np.abs(bases.sum(axis=-1)).max() / np.sqrt(d))
    if off > 1e-9:
        raise ValueError(
            f"basis: expected orthonormal rows in the space of the sphere, got rows that are off by {off:.1e}. "
            f"slice_basis(vectors, kind={mlp.kind!r}) makes them."
        )
    normals = (np.sqrt(d) * (bases.reshape(-1, d) @ mlp.W_in)).reshape(-1, k, mlp.n_neurons)
    arrangements = [Arrangement(rows.T, mlp.b_in) for rows in normals]
    return arrangements if n else arrangements[0]


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
