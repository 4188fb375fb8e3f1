"""m half-spaces of R^k: what a layer looks like in a slice."""

from dataclasses import dataclass

import numpy as np

from .._inputs import as_float64, read_only


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
