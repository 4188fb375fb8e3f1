"""The plane cut by lines."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.path import Path
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike

from .circle import circle_colors, point_at
from .figure import axes_or_new, describe, entitle, hues, styled
from .shapes import CircleLike, PlaneLike
from .style import INK, MANY, ROLES, TONES, bits, pattern_colors, tones


@styled
def plot_plane(
    partition: PlaneLike,
    *,
    circle: bool | CircleLike = False,
    ray: ArrayLike | None = None,
    labels: bool = True,
    marks: Mapping[str, float] | None = None,
    title: str = "",
    ax: Axes | None = None,
) -> Figure:
    """The regions of a plane cut by lines, each in its pattern's colour, labelled with its bits.

    Up to 16 patterns have a colour each, by the angle at which they lie. With more there are two tones, for an even and
    an odd number of neurons on, so that neighbours differ.

    Parameters
    ----------
    partition : PlanePartition
    circle : bool, or CirclePartition
        Draw the unit circle: where the sphere cuts the plane. Given as a partition, its patterns have the colours of
        `plot_arcs`, and regions that it never meets are pale.
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

    Examples
    --------
    >>> from lnpoly_helpers import Arrangement, partition_plane
    >>> plane = partition_plane(Arrangement([[1, 0], [0, 1]], [0, 0]))
    >>> plot_plane(plane, title="Two lines").alt
    'Two lines: a square of the plane cut by 2 lines into 4 regions, labelled and coloured by activation pattern.'
    """
    ax = axes_or_new(ax, width=4.6, height=4.5)
    w = partition.half_width
    met = None if isinstance(circle, bool) else circle
    fills, how = _fills(partition, met, hues(ax))
    ax.add_collection(PolyCollection(partition.polygons, facecolors=fills, edgecolors=INK, linewidths=0.9))
    if labels:
        regions = zip(partition.polygons, partition.centroids, partition.patterns, fills, strict=True)
        for polygon, center, pattern, fill in regions:
            if _area(polygon) > 0.015 * (2 * w) ** 2:
                place = center if ray is None else _off_ray(center, np.asarray(ray, dtype=float), polygon, 0.1 * w)
                halo = [withStroke(linewidth=3, foreground=fill)]
                ax.text(*place, s=bits(pattern), ha="center", va="center", path_effects=halo)
    if circle:
        angle = np.linspace(0, 2 * np.pi, 361)
        ax.plot(np.cos(angle), np.sin(angle), color=INK, lw=2.4)
    extra = " The unit circle is drawn in." if circle is True else ""
    if ray is not None:
        ray = np.asarray(ray, dtype=float)
        end = ray / np.abs(ray).max() * w
        color, halo = ROLES["x"].light, [withStroke(linewidth=5, foreground="white")]
        arrow = {"arrowstyle": "-|>", "color": color, "lw": 2.4, "shrinkA": 0, "path_effects": halo}
        ax.annotate("", end, (0, 0), arrowprops=arrow)
        ax.plot(0, 0, "o", color=color, mec="white", ms=8)
        extra += f" A ray leaves the origin towards ({ray[0]:.2f}, {ray[1]:.2f})."
    pointed = point_at(ax, marks or {}, 1)
    ax.set(xlim=(-w, w), ylim=(-w, w), aspect="equal", xlabel="y₁", ylabel="y₂")
    entitle(ax, title)
    return describe(
        ax,
        f"a square of the plane cut by {partition.arrangement.n_neurons} lines into {partition.n_regions} regions, "
        f"{'labelled and ' if labels else ''}{how}{pointed}.{extra}",
        title,
    )


def _fills(partition, circle, known):
    """The fill of each region, and the words for it."""
    patterns = partition.patterns
    distinct, which = np.unique(patterns, axis=0, return_inverse=True)
    pale = ROLES["unvisited"].light
    if circle is not None:
        keys = [pattern.tobytes() for pattern in patterns]
        if circle.n_patterns <= MANY:
            colors = circle_colors(circle, known)[1]
            return [colors.get(key, pale) for key in keys], "coloured by activation pattern, pale off the unit circle"
        visited = {pattern.tobytes() for pattern in circle.patterns()}
        fills = zip(keys, tones(patterns.sum(axis=1)), strict=True)
        return [tone if key in visited else pale for key, tone in fills], f"{TONES}, pale off the unit circle"
    if len(distinct) > MANY:
        return tones(patterns.sum(axis=1)), TONES
    first = [int(np.flatnonzero(which == k)[0]) for k in range(len(distinct))]
    x, y = np.asarray(partition.centroids)[first].T
    colors = pattern_colors(distinct, np.arctan2(y, x), known)
    return [colors[k] for k in which], "coloured by activation pattern"


def _off_ray(center, ray, polygon, least):
    """A region's middle, or a place beside the ray if that runs through it, as long as the region reaches there."""
    along = ray / np.hypot(*ray)
    aside = np.array([-along[1], along[0]])
    distance = center @ aside
    if center @ along < -least or abs(distance) >= least:
        return center
    beside = [center + (sign * 1.5 * least - distance) * aside for sign in (1, -1)]
    return next((place for place in beside if Path(polygon).contains_point(place)), center)


def _area(polygon):
    x, y = polygon.T
    return abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2
