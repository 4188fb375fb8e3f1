"""The narrow door: a layer and two or three directions become a small arrangement; geometry knows no LayerNorm."""

from typing import Any, overload

import numpy as np

from ._inputs import ArrayLike, Float, Real, as_float64, require_slice, require_sphere
from ._slice_basis import SliceBasis, orthonormal
from .geometry.arrangement import Arrangement
from .layer import FoldedMLP


def slice_basis(vectors: Real[ArrayLike, "k d"], *, kind: str = "layernorm") -> Float[SliceBasis, "k d"]:
    """Orthonormal rows that span the given directions, by Gram-Schmidt in their order.

    The first row points along the first vector. For ``"layernorm"`` every vector is centred first, so that the
    slice lies in the hyperplane orthogonal to the ones vector, where the sphere is.

    Parameters
    ----------
    vectors : array_like [k, d]
    kind : {"layernorm", "rmsnorm", "none"}
        The layer's, ``mlp.kind``.

    Returns
    -------
    basis : float64 [k, d]
        Orthonormal to about 1e-15. An array that has its `kind`: `restrict` refuses it for a layer of another.

    Raises
    ------
    ValueError
        The vectors do not span k dimensions (after centring, for LayerNorm).

    See Also
    --------
    lift : from coordinates in the slice to points of the sphere.
    restrict : what a layer looks like in it.

    Examples
    --------
    >>> slice_basis([[3.0, 0.0, 0.0], [1.0, 2.0, 0.0]], kind="rmsnorm").round(12) + 0.0
    array([[1., 0., 0.],
           [0., 1., 0.]])
    """
    return orthonormal(vectors, kind)


def lift(basis: Real[ArrayLike, "k d"], y: Real[ArrayLike, "... k"]) -> Float[np.ndarray, "... d"]:
    """The points of the sphere at slice coordinates y with |y| = 1: z = sqrt(d) y @ basis.

    Parameters
    ----------
    basis : array_like [k, d]
        From `slice_basis`.
    y : array_like [..., k]
        On the unit circle or sphere; any other length gives a point as far from the centre, in units of sqrt(d).

    Returns
    -------
    z : float64 [..., d]

    See Also
    --------
    restrict : the layer's pre-activations at such points, as an `Arrangement` of y.
    rotate : along the great circle of two points, without a basis.

    Examples
    --------
    >>> basis = slice_basis([[3.0, 0.0, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0]], kind="rmsnorm")
    >>> lift(basis, [0.6, 0.8]).round(12).tolist()
    [1.2, 1.6, 0.0, 0.0]
    """
    basis = as_float64(basis, "basis", shape=("k", "d"))
    return np.sqrt(basis.shape[1]) * as_float64(y, "y", shape=(..., len(basis))) @ basis


@overload
def restrict(mlp: FoldedMLP, basis: SliceBasis) -> Arrangement: ...
@overload
def restrict(mlp: FoldedMLP, basis: Real[ArrayLike, "*n k d"]) -> Any: ...  # which of the two, the shape says


def restrict(mlp: FoldedMLP, basis: Real[ArrayLike, "*n k d"]) -> Arrangement | list[Arrangement]:
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
        The basis was made for the sphere of another norm; its rows are not orthonormal or, for LayerNorm, not
        orthogonal to the ones vector; or the layer has no norm.

    See Also
    --------
    slice_basis : makes the basis.
    partition_circle, partition_sphere, partition_plane, count_faces : what takes the arrangement.

    Examples
    --------
    >>> mlp = FoldedMLP(np.eye(3), [0.0, 1.0, -1.0], np.eye(3), np.zeros(3), "relu", 0.0, "rmsnorm")
    >>> restrict(mlp, slice_basis([[3.0, 0.0, 0.0], [1.0, 2.0, 0.0]], kind=mlp.kind))
    Arrangement(n_neurons=3, dimension=2)
    """
    require_sphere(mlp)
    require_slice(mlp, basis)
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
