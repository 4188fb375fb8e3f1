"""m half-spaces of R^k: what a layer looks like in a slice."""

from dataclasses import dataclass

import numpy as np

from .._inputs import ArrayLike, Float, Frozen, Real, as_float64, read_only


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Arrangement(Frozen):
    """m half-spaces of R^k: neuron i is on at y iff normals_i . y + offsets_i > 0.

    Parameters
    ----------
    normals : array_like [m, k]
    offsets : array_like [m]
        Both are copied, and the copies are read-only attributes of the same names, float64.

    Raises
    ------
    TypeError, ValueError
        Arrays that are not real, not finite or do not fit each other.

    See Also
    --------
    restrict : the arrangement that a layer is in a slice of its sphere.
    partition_circle, partition_sphere, partition_plane : what it cuts.

    Examples
    --------
    >>> Arrangement([[1, 0], [0, 1], [1, 1]], [0, 0, -1])
    Arrangement(n_neurons=3, dimension=2)
    """

    normals: Float[np.ndarray, "m k"]
    offsets: Float[np.ndarray, "m"]

    def __init__(self, normals: Real[ArrayLike, "m k"], offsets: Real[ArrayLike, "m"]):
        normals = as_float64(normals, "normals", shape=("m", "k"))
        offsets = as_float64(offsets, "offsets", shape=(len(normals),))
        object.__setattr__(self, "normals", read_only(normals))
        object.__setattr__(self, "offsets", read_only(offsets))

    def __repr__(self) -> str:
        return f"Arrangement(n_neurons={self.n_neurons}, dimension={self.dimension})"

    @property
    def dimension(self) -> int:
        """k, the dimension of the space that is cut.

        >>> Arrangement([[1, 0], [0, 1], [1, 1]], [0, 0, -1]).dimension
        2
        """
        return self.normals.shape[1]

    @property
    def n_neurons(self) -> int:
        """m, the number of half-spaces.

        >>> Arrangement([[1, 0], [0, 1], [1, 1]], [0, 0, -1]).n_neurons
        3
        """
        return len(self.offsets)

    def preactivations(self, y: Real[ArrayLike, "... k"]) -> Float[np.ndarray, "... m"]:
        """normals . y + offsets.

        Parameters
        ----------
        y : array_like [..., k]

        Returns
        -------
        pre : float64 [..., m]

        See Also
        --------
        activation_pattern : their signs.

        Examples
        --------
        >>> Arrangement([[1, 0], [0, 1], [1, 1]], [0, 0, -1]).preactivations([2, -1]).tolist()
        [2.0, -1.0, 0.0]
        """
        return as_float64(y, "y", shape=(..., self.dimension)) @ self.normals.T + self.offsets
