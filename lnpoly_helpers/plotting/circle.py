"""The circle cut into arcs: the whole of it, and a stretch unrolled."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.path import Path

from .figure import axes_or_new, describe, styled
from .shapes import CircleLike
from .style import INK, VERMILION, bits, color_steps, index_colors, series_styles


@styled
def plot_arcs(
    partition: CircleLike,
    *,
    labels: bool = True,
    marks: Mapping[str, float] | None = None,
    title: str = "",
    ax: Axes | None = None,
) -> Figure:
    """A circle cut into arcs, each in its pattern's colour; a tick and the neuron's number where a boundary is crossed.

    Parameters
    ----------
    partition : CirclePartition
    labels : bool
        Write each arc's pattern inside and each crossing's neuron outside; up to 40 arcs, beyond it is left out.
    marks : dict, optional
        Name: angle in radians, up to four. An arrow from the centre to that place of the circle.
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
    plot_arc_window : a stretch of it, for thousands of arcs.

    >>> from lnpoly_helpers import Arrangement, partition_circle
    >>> circle = partition_circle(Arrangement([[1, 0], [0, 1]], [0, 0]))
    >>> plot_arcs(circle, labels=False).alt
    'a circle cut at 4 places into 4 arcs with 4 distinct activation patterns, each in its own colour.'
    """
    ax = axes_or_new(ax, width=5.2, height=5.0)
    _ring(ax, partition, inner=0.9, outer=1.05)
    few = labels and partition.n_arcs <= 40
    if few:
        for middle, pattern, length in zip(partition.midpoints, partition.patterns(), partition.lengths, strict=True):
            if length > 0.06:
                inside = 0.74 * np.array([np.cos(middle), np.sin(middle)])
                ax.text(*inside, s=bits(pattern), ha="center", va="center", fontsize=8)
        for angle, neuron in zip(partition.angles, partition.neurons, strict=True):
            out = np.array([np.cos(angle), np.sin(angle)])
            ax.plot(*np.c_[0.87 * out, 1.08 * out], color=INK, lw=1.4)
            ax.text(*(1.17 * out), s=str(neuron), ha="center", va="center", fontsize=9, color=VERMILION)
    pointed = point_at(ax, marks or {}, 0.9)
    ax.set(xlim=(-1.28, 1.28), ylim=(-1.28, 1.28), aspect="equal")
    ax.axis("off")
    ax.set_title(title)
    return describe(
        ax,
        f"a circle cut at {len(partition.angles)} places into {partition.n_arcs} arcs "
        f"with {partition.n_patterns} distinct activation patterns, each in its own colour"
        f"{'; each tick carries the number of the neuron that flips there' if few else ''}{pointed}.",
        title,
    )


def point_at(ax: Axes, marks: Mapping[str, float], radius: float) -> str:
    """Arrows from the centre of a circle to places on it, {name: angle}; returns the words for the description."""
    for (name, angle), (color, _, line) in zip(marks.items(), series_styles(marks, "marks", "arrows"), strict=True):
        end = radius * np.array([np.cos(angle), np.sin(angle)])
        arrow = {"arrowstyle": "-|>", "color": color, "lw": 2, "ls": line, "shrinkA": 0, "shrinkB": 0}
        ax.annotate("", tuple(end), (0, 0), arrowprops=arrow)
        box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.5}
        ax.text(*(0.55 * end), s=name, color=color, weight="bold", ha="center", va="center", fontsize=9, bbox=box)
    return "".join(f"; an arrow, {name}, points to {np.degrees(angle):.1f}°" for name, angle in marks.items())


def _arc_colors(partition):
    """Colour number of each arc [n_arcs], without the patterns themselves, which take long for thousands of neurons."""
    return partition.sums(color_steps(len(partition.last_pattern))) % 7


def _ring(ax, partition, inner, outer):
    """Draw the arcs as pieces of a ring."""
    share = np.linspace(0, 1, 2 + int(40 * partition.lengths.max()))
    angle = partition.starts[:, None] + partition.lengths[:, None] * share
    edge = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    pieces = np.concatenate([inner * edge, outer * edge[:, ::-1]], axis=1)
    color = _arc_colors(partition)
    colors = np.unique(color)  # one path for all arcs of a colour: thousands are drawn as fast as ten
    paths = [Path.make_compound_path_from_polys(pieces[color == one]) for one in colors]
    ring = PathCollection(paths, facecolors=index_colors(colors, 0.85), edgecolors="none")
    ax.add_collection(ring, autolim=False)


@styled
def plot_arc_window(
    partition: CircleLike, center: float, width: float, *, title: str = "", ax: Axes | None = None
) -> Figure:
    """A stretch of the circle unrolled: arcs as coloured blocks, one line up or down for each neuron that flips.

    Parameters
    ----------
    partition : CirclePartition
    center, width : float
        Radians.
    title : str
    ax : Axes, optional

    Returns
    -------
    Figure

    See Also
    --------
    plot_arcs : the whole circle.

    >>> from lnpoly_helpers import Arrangement, partition_circle
    >>> circle = partition_circle(Arrangement([[1, 0], [0, 1]], [0, 0]))
    >>> plot_arc_window(circle, center=0, width=np.pi / 6).alt
    '30 degrees of the circle unrolled, with 1 crossings.'
    """
    ax = axes_or_new(ax, height=2.3)
    starts = (partition.starts - center + np.pi) % (2 * np.pi) - np.pi
    inside = np.abs(starts) < width / 2
    if not len(partition.angles):
        starts, inside = np.array([-np.pi]), []  # one arc all round, which begins nowhere
    # each arc also a turn earlier: one that begins behind the window may reach round into it
    starts, lengths = np.concatenate([starts, starts - 2 * np.pi]), np.tile(partition.lengths, 2)
    seen = (starts + lengths > -width / 2) & (starts < width / 2)
    shown = zip(starts[seen], lengths[seen], strict=True)
    blocks = np.array([[(s, 0), (s + n, 0), (s + n, 1), (s, 1)] for s, n in shown]) * [180 / np.pi, 1]
    fills = index_colors(np.tile(_arc_colors(partition), 2)[seen], 0.85)
    ax.add_collection(PolyCollection(list(blocks), facecolors=fills, edgecolors="white", linewidths=0.6))
    half = np.degrees(width / 2)
    ax.set(xlim=(-half, half), ylim=(0, 1), yticks=[], xlabel="degrees along the circle")
    ax.spines["left"].set_visible(False)
    ax.set_box_aspect(0.22)
    ax.set_title(title)
    n_inside = np.count_nonzero(inside)
    return describe(ax, f"{np.degrees(width):.0f} degrees of the circle unrolled, with {n_inside} crossings.", title)
