"""What the pictures read of the objects that they show: plotting computes no geometry and imports none."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike


@runtime_checkable
class ArrangementLike(Protocol):
    """m half-spaces, as in `lnpoly_helpers.Arrangement`.

    >>> from lnpoly_helpers import Arrangement
    >>> isinstance(Arrangement([[1, 0]], [0]), ArrangementLike)
    True
    """

    @property
    def normals(self) -> np.ndarray:
        """float64 [m, k]"""

    @property
    def offsets(self) -> np.ndarray:
        """float64 [m]"""

    @property
    def n_neurons(self) -> int:
        """m"""

    def preactivations(self, y: ArrayLike) -> np.ndarray:
        """At points y [..., k]: float64 [..., m]; a neuron is on where its own is above 0."""


@runtime_checkable
class PlaneLike(Protocol):
    """A box of the plane cut into regions, as in `lnpoly_helpers.PlanePartition`.

    >>> from lnpoly_helpers import Arrangement, partition_plane
    >>> isinstance(partition_plane(Arrangement([[1, 0]], [0])), PlaneLike)
    True
    """

    @property
    def arrangement(self) -> ArrangementLike:
        """The lines."""

    @property
    def half_width(self) -> float:
        """Of the box."""

    @property
    def polygons(self) -> Sequence[np.ndarray]:
        """The regions' outlines, float64 [n_vertices, 2] each."""

    @property
    def patterns(self) -> np.ndarray:
        """bool [n_regions, m]"""

    @property
    def centroids(self) -> np.ndarray:
        """A point inside each region, float64 [n_regions, 2]."""

    @property
    def n_regions(self) -> int:
        """How many they are."""


@runtime_checkable
class CircleLike(Protocol):
    """The circle cut into arcs, as in `lnpoly_helpers.CirclePartition`; angles in radians.

    >>> from lnpoly_helpers import Arrangement, partition_circle
    >>> isinstance(partition_circle(Arrangement([[1, 0]], [0])), CircleLike)
    True
    """

    @property
    def angles(self) -> np.ndarray:
        """Where it is cut, float64 [n], ..."""

    @property
    def neurons(self) -> np.ndarray:
        """... and whose boundary is crossed there, int [n]."""

    @property
    def last_pattern(self) -> np.ndarray:
        """bool [m]"""

    @property
    def starts(self) -> np.ndarray:
        """Where each arc begins, float64 [n_arcs]."""

    @property
    def lengths(self) -> np.ndarray:
        """float64 [n_arcs]"""

    @property
    def midpoints(self) -> np.ndarray:
        """float64 [n_arcs]"""

    @property
    def n_arcs(self) -> int:
        """How many they are."""

    @property
    def n_patterns(self) -> int:
        """How many different patterns they have."""

    def patterns(self) -> np.ndarray:
        """bool [n_arcs, m]"""

    def sums(self, weights: np.ndarray) -> np.ndarray:
        """The sum of the weights [m] of the neurons that are on, for each arc [n_arcs]."""
