"""The plane cut by lines: exact convex polygons inside a box, each with its activation pattern."""

from dataclasses import dataclass

import numpy as np

from .._inputs import as_float64, freeze, read_only, require_arrangement
from .arrangement import Arrangement


@dataclass(frozen=True, eq=False)
class PlanePartition:
    """A box of the plane, cut by lines.

    Attributes
    ----------
    arrangement : Arrangement
    half_width : float
        The box is |y_1|, |y_2| <= half_width.
    polygons : list of float64 [n_vertices, 2]
        The regions' outlines, counter-clockwise.
    patterns : bool [n_regions, m]
    """

    arrangement: Arrangement
    half_width: float
    polygons: list
    patterns: np.ndarray

    def __post_init__(self):
        freeze(self)
        object.__setattr__(self, "polygons", [read_only(polygon) for polygon in self.polygons])

    @property
    def n_regions(self):
        return len(self.polygons)

    @property
    def centroids(self):
        """The mean of each polygon's vertices [n_regions, 2]: a point inside it."""
        return np.array([polygon.mean(axis=0) for polygon in self.polygons])


def partition_plane(arrangement, half_width=2.0):
    """Cut a box of the plane along every line of a two-dimensional arrangement.

    Lines are taken one after the other and split each polygon that they cross, so a region keeps exactly one
    pattern. Time O(m x regions): meant for tens of lines, not thousands.

    Parameters
    ----------
    arrangement : Arrangement
        With normals [m, 2].
    half_width : float

    Returns
    -------
    PlanePartition

    >>> partition_plane(Arrangement([[1, 0], [0, 1]], [0, 0])).n_regions
    4
    """
    require_arrangement(arrangement, 2)
    w = float(as_float64(half_width, "half_width", shape=()))
    if w <= 0:
        raise ValueError(f"half_width: expected a number > 0, got {w}.")
    polygons = [np.array([[-w, -w], [w, -w], [w, w], [-w, w]])]
    for normal, offset in zip(arrangement.normals, arrangement.offsets):
        polygons = [part for polygon in polygons for part in _split(polygon, normal, offset)]
    inside = np.array([polygon.mean(axis=0) for polygon in polygons])
    return PlanePartition(arrangement, w, polygons, arrangement.preactivations(inside) > 0)


def _split(polygon, normal, offset):
    """The one or two parts of a convex polygon on either side of a line."""
    height = polygon @ normal + offset
    size = np.abs(polygon).max() * np.linalg.norm(normal) + abs(offset)
    side = np.where(np.abs(height) <= 1e-12 * size, 0, np.sign(height))
    if (side >= 0).all() or (side <= 0).all():
        return [polygon]
    following = np.roll(polygon, -1, axis=0)
    next_height, next_side = np.roll(height, -1), np.roll(side, -1)
    parts = {1: [], -1: []}
    for p, q, h, g, s, t in zip(polygon, following, height, next_height, side, next_side):
        for sign in parts:
            if s in (0, sign):
                parts[sign].append(p)
        if s * t < 0:
            cut = p + (q - p) * (h / (h - g))
            parts[1].append(cut)
            parts[-1].append(cut)
    return [np.array(part) for part in parts.values()]
