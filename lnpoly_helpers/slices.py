"""The narrow door: a layer and two or three directions become a small arrangement; geometry knows no LayerNorm."""

import numpy as np

from ._inputs import KINDS, as_float64, one_of, require_sphere
from .geometry.arrangement import Arrangement


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
