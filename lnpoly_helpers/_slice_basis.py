"""Orthonormal rows by Gram-Schmidt that know their norm: below `slices` and `layer`, which both make them."""

import numpy as np

from ._inputs import KINDS, as_float64, one_of


class SliceBasis(np.ndarray):
    """Orthonormal rows [k, d] that remember which norm's sphere they were made for; otherwise a plain array.

    Views and copies keep the mark; what is computed from it is a plain array. `slice_basis` makes it.

    Attributes
    ----------
    kind : {"layernorm", "rmsnorm", "none"} or None
        None where the mark was lost, as in ``np.asarray(basis)``: then `restrict` looks at the rows alone.

    See Also
    --------
    slice_basis : makes it.

    Examples
    --------
    >>> from lnpoly_helpers import slice_basis
    >>> basis = slice_basis([[1.0, 0.0, 0.0], [1.0, 2.0, 0.0]], kind="rmsnorm")
    >>> basis.kind, basis[::-1].kind, type(2 * basis).__name__
    ('rmsnorm', 'rmsnorm', 'ndarray')
    """

    kind: str | None = None

    def __array_finalize__(self, obj):
        self.kind = getattr(obj, "kind", None)

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **kwargs):
        plain = [np.asarray(x) if isinstance(x, SliceBasis) else x for x in inputs]
        if out is not None:  # in place: the rows change, and their mark goes
            kwargs["out"] = tuple(x.view(np.ndarray) if isinstance(x, SliceBasis) else x for x in out)
        return getattr(ufunc, method)(*plain, **kwargs)

    def __reduce__(self):
        return _marked, (np.asarray(self), self.kind)


def _marked(rows, kind):
    basis = np.asarray(rows).view(SliceBasis)
    basis.kind = kind
    return basis


def orthonormal(vectors, kind: str, width: str | int = "d"):
    """What `slice_basis` says, for vectors of that width."""
    one_of(kind, KINDS, "kind")
    vectors = as_float64(vectors, "vectors", shape=("k", width))
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
            return _marked(basis, kind)
    raise ValueError(
        f"vectors: expected {k} directions that span {k} dimensions"
        f"{' of the hyperplane orthogonal to the ones vector' if kind == 'layernorm' else ''}, "
        f"got fewer (one is zero, constant, or a combination of the others). Choose other vectors."
    )


def _centred(rows):
    return rows - rows.mean(axis=1, keepdims=True)
