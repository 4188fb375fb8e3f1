"""The circle cut into arcs: the whole of it, and a stretch unrolled."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.path import Path

from .._words import count
from .figure import axes_or_new, describe, entitle, hues, styled
from .labels import moved_apart
from .shapes import CircleLike
from .style import INK, MANY, TONES, bits, pattern_colors, series_styles, tones


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

    Up to 16 patterns have a colour each, by the angle of their first arc. With more there are two tones, for an even
    and an odd number of neurons on, so that neighbours differ.

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

    Examples
    --------
    >>> from lnpoly_helpers import Arrangement, partition_circle
    >>> circle = partition_circle(Arrangement([[1, 0], [0, 1]], [0, 0]))
    >>> plot_arcs(circle, labels=False).alt
    'a circle cut into 4 arcs with 4 activation patterns, each in its own colour.'
    """
    ax = axes_or_new(ax, width=4.6, height=4.6)
    fills = _arc_fills(ax, partition)
    _ring(ax, partition, fills, inner=0.9, outer=1.05)
    few = labels and partition.n_arcs <= 40
    if few:
        for middle, pattern, length in zip(partition.midpoints, partition.patterns(), partition.lengths, strict=True):
            if length > 0.16:
                inside = 0.72 * np.array([np.cos(middle), np.sin(middle)])
                ax.text(*inside, s=bits(pattern), ha="center", va="center")
        for angle, neuron in zip(partition.angles, partition.neurons, strict=True):
            out = np.array([np.cos(angle), np.sin(angle)])
            ax.plot(*np.c_[0.87 * out, 1.08 * out], color=INK, lw=1.4)
            ax.text(*(1.18 * out), s=str(neuron), ha="center", va="center", weight="bold")
    pointed = point_at(ax, marks or {}, 0.9)
    n_patterns = partition.n_patterns
    if n_patterns > MANY:
        ax.text(0, -1.3, TONES, ha="center", va="top")
    ax.set(xlim=(-1.3, 1.3), ylim=(-1.5 if n_patterns > MANY else -1.3, 1.3), aspect="equal")
    ax.axis("off")
    entitle(ax, title)
    how = "each in its own colour" if n_patterns <= MANY else TONES
    return describe(
        ax,
        f"a circle cut into {partition.n_arcs:,} arcs with {n_patterns:,} activation patterns, {how}"
        f"{'; ticks are numbered by the neuron that flips' if few else ''}{pointed}.",
        title,
    )


def point_at(ax: Axes, marks: Mapping[str, float], radius: float) -> str:
    """Arrows from the centre of a circle to places on it, {name: angle}; returns the words for the description."""
    for (name, angle), (color, _, line) in zip(marks.items(), series_styles(marks, "marks", "arrows"), strict=True):
        end = radius * np.array([np.cos(angle), np.sin(angle)])
        arrow = {"arrowstyle": "-|>", "color": color, "lw": 2, "ls": line, "shrinkA": 0, "shrinkB": 0}
        ax.annotate("", tuple(end), (0, 0), arrowprops=arrow)
        box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.5}
        ax.text(*(0.55 * end), s=name, color=color, weight="bold", ha="center", va="center", bbox=box)
    return "".join(f"; arrow {name} at {np.degrees(angle):.1f}°" for name, angle in marks.items())


def _arc_fills(ax, partition):
    """The fill of each arc [n_arcs]."""
    if partition.n_patterns > MANY:  # without the patterns themselves, which take long for thousands of neurons
        return tones(partition.sums(np.ones(len(partition.last_pattern), dtype=int)))
    return np.array(circle_colors(partition, hues(ax))[0])


def circle_colors(partition: CircleLike, known: dict[bytes, float]) -> tuple[list[str], dict[bytes, str]]:
    """The fill of each arc of a circle that has few patterns, and of each pattern by its bytes."""
    patterns = partition.patterns()
    first = {pattern.tobytes(): k for k, pattern in reversed(list(enumerate(patterns)))}
    places = sorted(first.values())
    colors = pattern_colors(patterns[places], partition.midpoints[places], known)
    by_pattern = {patterns[k].tobytes(): color for k, color in zip(places, colors, strict=True)}
    return [by_pattern[pattern.tobytes()] for pattern in patterns], by_pattern


def _ring(ax, partition, fills, inner, outer):
    """Draw the arcs as pieces of a ring."""
    share = np.linspace(0, 1, 2 + int(40 * partition.lengths.max()))
    angle = partition.starts[:, None] + partition.lengths[:, None] * share
    edge = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    pieces = np.concatenate([inner * edge, outer * edge[:, ::-1]], axis=1)
    colors = np.unique(fills)  # one path for all arcs of a colour: thousands are drawn as fast as ten
    paths = [Path.make_compound_path_from_polys(pieces[fills == one]) for one in colors]
    ring = PathCollection(paths, facecolors=list(colors), edgecolors="none")
    ax.add_collection(ring, autolim=False)


@styled
def plot_arc_window(
    partition: CircleLike,
    center: float,
    width: float,
    *,
    marks: Mapping[str, float] | None = None,
    title: str = "",
    ax: Axes | None = None,
) -> Figure:
    """A stretch of the circle unrolled: arcs as coloured blocks over their angles, which meet where a neuron flips.

    Colours are those of `plot_arcs`.

    Parameters
    ----------
    partition : CirclePartition
    center, width : float
        Radians.
    marks : dict, optional
        Name: angle in radians of places in the stretch, such as tokens, which are named above.
    title : str
    ax : Axes, optional

    Returns
    -------
    Figure

    See Also
    --------
    plot_arcs : the whole circle.

    Examples
    --------
    >>> from lnpoly_helpers import Arrangement, partition_circle
    >>> circle = partition_circle(Arrangement([[1, 0], [0, 1]], [0, 0]))
    >>> plot_arc_window(circle, center=0, width=np.pi / 6).alt
    'the circle from -15° to 15° unrolled: 2 arcs, 1 boundary between them, a colour for each pattern.'
    """
    ax = axes_or_new(ax, height=1.9)
    low, high = center - width / 2, center + width / 2
    starts = low + (partition.starts - low) % (2 * np.pi)
    # each arc also a turn earlier: one that begins before the window may reach into it
    starts, lengths = np.concatenate([starts, starts - 2 * np.pi]), np.tile(partition.lengths, 2)
    if not len(partition.angles):
        starts, lengths = np.array([low, low]), np.array([2 * np.pi, 0])  # one arc all round, which begins nowhere
    seen = (starts + lengths > low) & (starts < high)
    left, right = np.maximum(starts[seen], low), np.minimum((starts + lengths)[seen], high)
    blocks = np.degrees([[(s, 0), (e, 0), (e, 1), (s, 1)] for s, e in zip(left, right, strict=True)])
    blocks[..., 1] = [0, 0, 1, 1]
    fills = np.tile(_arc_fills(ax, partition), 2)[seen]
    # not smoothed, which would let the ground shine through between two blocks
    ax.add_collection(PolyCollection(list(blocks), facecolors=fills, edgecolors="none", antialiaseds=False))
    many = partition.n_patterns > MANY
    below = "degrees along the circle" + (f"\n{TONES}" if many else "")
    ax.set(xlim=np.degrees([low, high]), ylim=(0, 1), yticks=[], xlabel=below)
    ax.spines["left"].set_visible(False)
    ax.set_box_aspect(0.22)
    named = {name: np.degrees(low + (angle - low) % (2 * np.pi)) for name, angle in (marks or {}).items()}
    _name_places(ax, named)
    entitle(ax, title, pad=24 if named else None)
    n_inside = int(np.count_nonzero((starts[seen] > low) & (starts[seen] < high)))
    turns = np.degrees([low, high])
    return describe(
        ax,
        f"the circle from {turns[0]:.4g}° to {turns[1]:.4g}° unrolled: {count(len(blocks), 'arc')}, "
        f"{count(n_inside, 'boundary', 'boundaries')} between them, "
        f"{TONES if many else 'a colour for each pattern'}"
        f"{''.join(f'; {name} at {angle:.4g}°' for name, angle in named.items())}.",
        title,
    )


def _name_places(ax, named):
    """Names above the places of a stretch, {name: degrees}, that they stand for."""
    low, high = ax.get_xlim()
    names = list(named)
    inches = 0.85 * ax.figure.get_figwidth()
    wanted = [(named[name] - low) / (high - low) for name in names]
    places = moved_apart(wanted, 0.09 * max([len(name) for name in names], default=0) / inches, top=1.0)
    for name, at in zip(names, places, strict=True):
        ax.plot([named[name]] * 2, [0, 1.06], color=INK, lw=1.6, clip_on=False)
        ha = "left" if at < 0.06 else "right" if at > 0.94 else "center"
        where = {"xytext": (at, 1.09), "textcoords": "axes fraction", "ha": ha, "va": "bottom", "weight": "bold"}
        ax.annotate(name, (named[name], 1), **where)
