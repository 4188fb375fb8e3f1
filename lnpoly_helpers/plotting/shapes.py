"""What the pictures read of the objects that they show: plotting computes no geometry and imports none."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np


@runtime_checkable
class ArrangementLike(Protocol):
    """m half-spaces of R^k, as in `lnpoly_helpers.Arrangement`: normals [m, k], offsets [m]; pre-activations [..., m].

    >>> from lnpoly_helpers import Arrangement
    >>> isinstance(Arrangement([[1, 0]], [0]), ArrangementLike)
    True
    """

    @property
    def normals(self) -> np.ndarray: ...
    @property
    def offsets(self) -> np.ndarray: ...
    @property
    def n_neurons(self) -> int: ...

    def preactivations(self, y: Any) -> np.ndarray: ...


@runtime_checkable
class PlaneLike(Protocol):
    """A box of the plane cut into regions, as in `lnpoly_helpers.PlanePartition`.

    Outlines [n_vertices, 2], patterns bool [n_regions, m] and points inside [n_regions, 2], all in one order.

    >>> from lnpoly_helpers import Arrangement, partition_plane
    >>> isinstance(partition_plane(Arrangement([[1, 0]], [0])), PlaneLike)
    True
    """

    @property
    def arrangement(self) -> ArrangementLike: ...
    @property
    def half_width(self) -> float: ...
    @property
    def polygons(self) -> Sequence[np.ndarray]: ...
    @property
    def patterns(self) -> np.ndarray: ...
    @property
    def centroids(self) -> np.ndarray: ...
    @property
    def n_regions(self) -> int: ...


@runtime_checkable
class CircleLike(Protocol):
    """The circle cut into arcs, as in `lnpoly_helpers.CirclePartition`; angles in radians.

    Crossings have an angle and a neuron [n] each; arcs a start, a length and a middle [n_arcs], a pattern [m], and the
    sum of the weights [m] of the neurons that are on.

    >>> from lnpoly_helpers import Arrangement, partition_circle
    >>> isinstance(partition_circle(Arrangement([[1, 0]], [0])), CircleLike)
    True
    """

    @property
    def angles(self) -> np.ndarray: ...
    @property
    def neurons(self) -> np.ndarray: ...
    @property
    def last_pattern(self) -> np.ndarray: ...
    @property
    def starts(self) -> np.ndarray: ...
    @property
    def lengths(self) -> np.ndarray: ...
    @property
    def midpoints(self) -> np.ndarray: ...
    @property
    def n_arcs(self) -> int: ...
    @property
    def n_patterns(self) -> int: ...

    def patterns(self, arcs: Any = None) -> np.ndarray: ...
    def sums(self, weights: np.ndarray) -> np.ndarray: ...
