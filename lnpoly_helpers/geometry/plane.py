"""The plane cut by lines: exact convex polygons inside a box, each with its activation pattern."""

from dataclasses import dataclass

import numpy as np

from .._inputs import (
    ArrayLike,
    Bool,
    Float,
    Frozen,
    Int,
    as_float64,
    as_numbers,
    at_unit_scale,
    freeze,
    read_only,
    require_arrangement,
)
from .arrangement import Arrangement
from .patterns import distinct, pattern_hash


class RegionPatterns(np.ndarray):
    """The patterns of regions, bool [n_regions, m]: an array that can be called as `CirclePartition.patterns` is.

    What is taken or computed from it is a plain array.

    See Also
    --------
    PlanePartition : whose attribute it is.

    Examples
    --------
    >>> plane = partition_plane(Arrangement([[1, 0]], [0]))
    >>> plane.patterns().tolist(), plane.patterns([1]).tolist(), plane.patterns[1].tolist()
    ([[True], [False]], [[False]], [False])
    """

    def __call__(self, regions: Int[ArrayLike, "k"] | int | None = None) -> Bool[np.ndarray, "k m"]:
        """Activation pattern of each region asked for.

        Parameters
        ----------
        regions : int or array_like of int [k], optional
            All, in order, by default.

        Returns
        -------
        patterns : bool [k, m]

        See Also
        --------
        CirclePartition.patterns, SpherePartition.patterns : called in the same way.

        Examples
        --------
        >>> partition_plane(Arrangement([[1, 0]], [0])).patterns(0).tolist()
        [[True]]
        """
        patterns = self.view(np.ndarray)
        return patterns.copy() if regions is None else patterns[as_numbers(regions, len(self), "regions")]

    def __getitem__(self, key):
        return self.view(np.ndarray)[key]

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        plain = [np.asarray(x) if isinstance(x, RegionPatterns) else x for x in inputs]
        return getattr(ufunc, method)(*plain, **kwargs)


@dataclass(frozen=True, eq=False, repr=False)
class PlanePartition(Frozen):
    """A box of the plane, cut by lines.

    Attributes
    ----------
    arrangement : Arrangement
    half_width : float
        The box is |y_1|, |y_2| <= half_width.
    polygons : list of float64 [n_vertices, 2]
        The regions' outlines, counter-clockwise.
    patterns : bool [n_regions, m]
        Also called, as those of the circle and the sphere are: ``patterns()``, ``patterns([0, 3])``.

    See Also
    --------
    partition_plane : makes it.
    CirclePartition, SpherePartition : the same for the circle and the sphere.

    Examples
    --------
    >>> partition_plane(Arrangement([[1, 0], [0, 1]], [0, 0]))
    PlanePartition(n_regions=4, n_patterns=4, n_neurons=2)
    """

    arrangement: Arrangement
    half_width: float
    polygons: list[Float[np.ndarray, "_n_vertices 2"]]
    patterns: RegionPatterns

    def __post_init__(self):
        freeze(self)
        object.__setattr__(self, "polygons", [read_only(polygon) for polygon in self.polygons])
        object.__setattr__(self, "patterns", self.patterns.view(RegionPatterns))

    def __repr__(self) -> str:
        return f"PlanePartition(n_regions={self.n_regions}, n_patterns={self.n_patterns}, n_neurons={self.n_neurons})"

    @property
    def n_neurons(self) -> int:
        """m, the number of neurons, those whose lines miss the box included.

        >>> partition_plane(Arrangement([[1, 0], [0, 1]], [0, 9])).n_neurons
        2
        """
        return self.arrangement.n_neurons

    @property
    def n_regions(self) -> int:
        """Number of regions. They are convex, so it is `n_patterns` too.

        >>> partition_plane(Arrangement([[1, 0], [0, 1]], [0, 9])).n_regions
        2
        """
        return len(self.polygons)

    @property
    def n_patterns(self) -> int:
        """Number of distinct patterns.

        >>> partition_plane(Arrangement([[1, 0], [0, 1]], [0, 9])).n_patterns
        2
        """
        return len(distinct(self.hashes()))

    def hashes(self) -> Int[np.ndarray, "n_regions 2"]:
        """`pattern_hash` of each region.

        Returns
        -------
        identity : int64 [n_regions, 2]

        See Also
        --------
        CirclePartition.hashes, SpherePartition.hashes : of arcs and faces.

        Examples
        --------
        >>> partition_plane(Arrangement([[1, 0]], [0])).hashes().shape
        (2, 2)
        """
        return pattern_hash(self.patterns.view(np.ndarray))

    @property
    def centroids(self) -> Float[np.ndarray, "n_regions 2"]:
        """The mean of each polygon's vertices: a point inside it.

        >>> partition_plane(Arrangement([[1, 0]], [0]), half_width=1).centroids.tolist()
        [[0.5, 0.0], [-0.5, 0.0]]
        """
        w = self.half_width  # in units of which no sum overflows
        return np.array([w * (polygon / w).mean(axis=0) for polygon in self.polygons])


def partition_plane(arrangement: Arrangement, half_width: float = 2.0) -> PlanePartition:
    """Cut a box of the plane along every line of a two-dimensional arrangement.

    Lines are taken one after the other and split each polygon that they cross, so a region keeps exactly one
    pattern. Time O(m x regions): meant for tens of lines, not thousands.

    Parameters
    ----------
    arrangement : Arrangement
        With normals [m, 2].
    half_width : float
        Of any size that float64 has.

    Returns
    -------
    PlanePartition

    Raises
    ------
    ValueError
        The arrangement is not two-dimensional, or the box has no width.

    Notes
    -----
    A corner within 1e-12 of a line, in units of the box, is taken to lie on it: what is smaller than that in a huge box
    is not told apart.

    See Also
    --------
    partition_circle, partition_sphere : the circle and the sphere, cut.

    Examples
    --------
    >>> partition_plane(Arrangement([[1, 0], [0, 1]], [0, 0])).n_regions
    4
    """
    require_arrangement(arrangement, 2)
    w = float(as_float64(half_width, "half_width", shape=()))
    if w <= 0:
        raise ValueError(f"half_width: expected a number > 0, got {w}.")
    # in units of the box, and each line at unit scale: neither can overflow; a line beyond it all has offset inf
    normals, exponent = at_unit_scale(arrangement.normals, 1)
    with np.errstate(over="ignore"):
        offsets = np.ldexp(arrangement.offsets, -exponent[:, 0]) / w
    polygons = [np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])]
    for normal, offset in zip(normals, offsets, strict=True):
        polygons = [part for polygon in polygons for part in _split(polygon, normal, offset)]
    inside = np.array([polygon.mean(axis=0) for polygon in polygons])
    patterns = (inside @ normals.T + offsets > 0).view(RegionPatterns)
    return PlanePartition(arrangement, w, [w * polygon for polygon in polygons], patterns)


def _split(polygon, normal, offset):
    """The one or two parts of a convex polygon on either side of a line."""
    height = polygon @ normal + offset
    size = np.abs(polygon).max() * np.hypot(*normal) + abs(offset)
    side = np.where(np.abs(height) <= 1e-12 * size, 0, np.sign(height))
    if (side >= 0).all() or (side <= 0).all():
        return [polygon]
    following = np.roll(polygon, -1, axis=0)
    next_height, next_side = np.roll(height, -1), np.roll(side, -1)
    parts = {1: [], -1: []}
    for p, q, h, g, s, t in zip(polygon, following, height, next_height, side, next_side, strict=True):
        for sign in parts:
            if s in (0, sign):
                parts[sign].append(p)
        if s * t < 0:
            cut = p + (q - p) * (h / (h - g))
            parts[1].append(cut)
            parts[-1].append(cut)
    return [np.array(part) for part in parts.values()]
