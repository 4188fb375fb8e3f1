"""The plane cut by lines."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike

from .circle import point_at
from .figure import axes_or_new, describe, styled
from .shapes import PlaneLike
from .style import INK, VERMILION, bits, region_colors


@styled
def plot_plane(
    partition: PlaneLike,
    *,
    circle: bool = False,
    ray: ArrayLike | None = None,
    labels: bool = True,
    marks: Mapping[str, float] | None = None,
    title: str = "",
    ax: Axes | None = None,
) -> Figure:
    """The regions of a plane cut by lines, each in its pattern's colour, labelled with its bits.

    Parameters
    ----------
    partition : PlanePartition
    circle : bool
        Draw the unit circle: where the sphere cuts the plane.
    ray : array_like [2], optional
        Draw the ray from the origin through this point, as far as the box.
    labels : bool
        Write each region's pattern into it, neuron 0 first, where it is large enough.
    marks : dict, optional
        Name: angle in radians, up to four. An arrow from the origin to that place of the unit circle.
    title : str
    ax : Axes, optional

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        More marks than there are styles.

    See Also
    --------
    plot_arcs : the circle alone.

    >>> from lnpoly_helpers import Arrangement, partition_plane
    >>> plane = partition_plane(Arrangement([[1, 0], [0, 1]], [0, 0]))
    >>> plot_plane(plane, title="Two lines").alt
    'Two lines: a square of the plane cut by 2 lines into 4 regions, coloured and labelled by activation pattern.'
    """
    ax = axes_or_new(ax, width=5.2, height=5.0)
    w = partition.half_width
    fills = region_colors(partition.patterns)
    ax.add_collection(PolyCollection(partition.polygons, facecolors=fills, edgecolors=INK, linewidths=0.9))
    if labels:
        for polygon, center, pattern in zip(partition.polygons, partition.centroids, partition.patterns, strict=True):
            if _area(polygon) > 0.015 * (2 * w) ** 2:
                halo = [withStroke(linewidth=2.5, foreground="white", alpha=0.5)]
                ax.text(*center, s=bits(pattern), ha="center", va="center", fontsize=8, path_effects=halo)
    if circle:
        angle = np.linspace(0, 2 * np.pi, 361)
        ax.plot(np.cos(angle), np.sin(angle), color=INK, lw=2.4)
    extra = " The unit circle is drawn in." if circle else ""
    if ray is not None:
        ray = np.asarray(ray, dtype=float)
        end = ray / np.abs(ray).max() * w
        ax.annotate("", end, (0, 0), arrowprops={"arrowstyle": "-|>", "color": VERMILION, "lw": 2.4, "shrinkA": 0})
        ax.plot(0, 0, "o", color=VERMILION, ms=6)
        extra += f" A ray leaves the origin towards ({ray[0]:.2f}, {ray[1]:.2f})."
    pointed = point_at(ax, marks or {}, 1)
    ax.set(xlim=(-w, w), ylim=(-w, w), aspect="equal", xlabel="y₁", ylabel="y₂")
    ax.set_title(title)
    return describe(
        ax,
        f"a square of the plane cut by {partition.arrangement.n_neurons} lines into {partition.n_regions} regions, "
        f"coloured and labelled by activation pattern{pointed}.{extra}",
        title,
    )


def _area(polygon):
    x, y = polygon.T
    return abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2
