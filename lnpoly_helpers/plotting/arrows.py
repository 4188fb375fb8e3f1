"""Vectors of many dimensions as arrows in a plane: one change and its two parts, or one push's many changes."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike

from .._inputs import as_float64
from .figure import axes_or_new, describe, entitle, short, styled
from .style import GREY, INK, SERIES, series_styles

_BELOW = np.array([0.0, -1.0])


@styled
def plot_arrows(
    parts: Mapping[str, ArrayLike], *, total: str = "change", title: str = "", ax: Axes | None = None
) -> Figure:
    """Two vectors head to tail and their sum, in the plane that they span: lengths and angles are the true ones.

    The first part lies flat, the second begins at its tip, the sum goes from the start to the end. An arc shows the
    angle from the first part's direction to the second's. Each arrow carries its name and its length.

    Parameters
    ----------
    parts : dict
        Name: vector [d], two of them.
    total : str
        What the sum is called.
    title : str
    ax : Axes, optional
        Panels of one figure have one scale if they share their axes: ``new_figure(nrows=2, sharex=True, sharey=True)``.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        There are not two parts, or their lengths differ.

    See Also
    --------
    plot_bundle : many changes in one picture.

    Examples
    --------
    >>> plot_arrows({"tangent part": [0, 2, 0], "rest": [0, -1, 1]}).alt
    'tangent part, of length 2, and rest, 1.41, head to tail, and their sum, the change, 1.41; the angle between the
    parts is 135°, its cosine -0.71.'
    """
    if len(parts) != 2:
        raise ValueError(f"parts: expected two vectors, which span a plane, got {len(parts)} ({', '.join(parts)}).")
    names = list(parts)
    first = as_float64(parts[names[0]], f"parts[{names[0]!r}]", shape=("d",))
    second = as_float64(parts[names[1]], f"parts[{names[1]!r}]", shape=first.shape)
    start, corner, end = _triangle(first, second)
    ax = axes_or_new(ax, width=4.8, height=2.8)
    lengths = [float(np.linalg.norm(vector)) for vector in (first, second, first + second)]
    first_color, second_color = (color for color, _, _ in series_styles(names, "parts"))
    looks = [(start, corner, 0.9, first_color), (corner, end, 0.5, second_color), (start, end, 0.5, INK)]
    sides = [_BELOW, _right_of(corner, end), -_right_of(start, end)]
    for (tail, tip, share, color), side, name, length in zip(looks, sides, [*names, total], lengths, strict=True):
        arrow = {"arrowstyle": "-|>", "color": color, "lw": 2.2, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 14}
        ax.annotate("", tuple(tip), tuple(tail), arrowprops=arrow)
        ha = "right" if share > 0.5 else ""  # room for the angle beside it
        _label(ax, f"{name} {short(length)}", tail + share * (tip - tail), side, color, ha)
    angle = float(np.arctan2(*(end - corner)[::-1]))
    turn, radius = np.linspace(0, angle, 60), 0.22 * min(lengths[:2])
    ax.plot(*np.c_[corner, corner + [0.3 * lengths[0], 0]], color=GREY, lw=1, ls=(0, (3, 2)))
    ax.plot(corner[0] + radius * np.cos(turn), corner[1] + radius * np.sin(turn), color=GREY, lw=1)
    _label(ax, f"{np.degrees(angle):.0f}°, cos {np.cos(angle):.2f}".replace("-", "−"), corner, _BELOW, INK, "left")
    ax.update_datalim([start, corner, end])
    _equal_scales(ax, 0.1, 0.17)
    entitle(ax, title, pad=20)  # above what is written above the sum
    return describe(
        ax,
        f"{names[0]}, of length {short(lengths[0])}, and {names[1]}, {short(lengths[1])}, head to tail, and their sum, "
        f"the {total}, {short(lengths[2])}; the angle between the parts is {np.degrees(angle):.0f}°, "
        f"its cosine {np.cos(angle):.2f}.",
        title,
    )


def _triangle(first, second):
    """Where two vectors head to tail begin, meet and end, in the plane that they span, the first along its x axis."""
    upper = np.linalg.qr(np.pad(np.stack([first, second], axis=1), [(0, 1), (0, 0)])).R
    corner = np.array([abs(upper[0, 0]), 0.0])
    return np.zeros(2), corner, corner + [np.copysign(1, upper[0, 0]) * upper[0, 1], abs(upper[1, 1])]


def _equal_scales(ax, *margins):
    """Show all of the data at one scale for both directions, without the axes' own lines."""
    ax.margins(*margins)  # below is room for a text, so that the layout need not make any
    ax.autoscale_view()
    shared = len(ax.get_shared_x_axes().get_siblings(ax)) > 1
    ax.set_aspect("equal", adjustable="box" if shared else "datalim")  # the latter fills the panel, but for one alone
    ax.axis("off")


def _right_of(tail, tip):
    """The direction to the right of one who walks from tail to tip, of length 1."""
    x, y = (tip - tail) / max(np.hypot(*(tip - tail)), 1e-300)
    return np.array([y, -x])


def _label(ax, words, at, towards, color, ha=""):
    """Words beside a point of a line, on the side of it that a direction, at right angles to it, points to."""
    ha = ha or ("left" if towards[0] > 0.3 else "right" if towards[0] < -0.3 else "center")
    va = "bottom" if towards[1] > 0.3 else "top" if towards[1] < -0.3 else "center"
    away = 6 + (2.8 * len(words) * abs(towards[0]) if ha == "center" else 0)  # a sloping line would meet their end
    where = {"xytext": tuple(away * towards), "textcoords": "offset points", "ha": ha, "va": va}
    ax.annotate(words, tuple(at), **where, color=color, path_effects=[withStroke(linewidth=3, foreground="white")])


@styled
def plot_bundle(changes: ArrayLike, *, name: str = "change", title: str = "", ax: Axes | None = None) -> Figure:
    """Many vectors and their mean, in the plane of the mean and of the direction across it in which they differ most.

    Thin arrows are the vectors' projections, the thick one is the mean, which lies in the plane; the circle's radius is
    the root mean square of their lengths, which do not lie in it. Were all vectors alike, the mean would reach the
    circle: |mean|² / (mean of |vector|²) is the share that they have in common. (Of n vectors that have nothing in
    common that is 1/n on average; `lnpoly_helpers.context_share` corrects it.)

    Parameters
    ----------
    changes : array_like [n, d]
        At least two.
    name : str
        What one of them is called.
    title : str
    ax : Axes, optional

    Returns
    -------
    Figure

    See Also
    --------
    plot_arrows : one of them, in two parts.

    Notes
    -----
    The direction across is the first principal component of what is left without the mean's direction, by an SVD.

    Examples
    --------
    >>> plot_bundle([[1, 1, 0], [1, -1, 0], [1, 0, 2], [1, 0, -2]]).alt
    '4 vectors, each a change, as thin arrows, and their mean, of length 1, a share of 0.286 of their mean square, whose
    root, 1.87, is the radius of a circle.'
    """
    changes = as_float64(changes, "changes", shape=("n", "d"))
    mean, root = changes.mean(axis=0), float(np.sqrt(np.mean(np.sum(changes**2, axis=1))))
    flat, length = _across(changes, mean)
    ax = axes_or_new(ax, width=4.8, height=4.0)
    zeros = np.zeros(len(flat))
    style = {"angles": "xy", "scale_units": "xy", "scale": 1}
    ax.quiver(zeros, zeros, *flat.T, color=SERIES[0][0], alpha=0.35, width=0.004, **style)
    ax.add_patch(Circle((0, 0), root, facecolor="none", edgecolor=GREY, lw=1.2, ls=(0, (4, 3))))
    arrow = {"arrowstyle": "-|>", "color": SERIES[1][0], "lw": 3, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 18}
    ax.annotate("", (length, 0.0), (0.0, 0.0), arrowprops=arrow)
    _label(ax, f"mean {short(length)}", (length, 0.0), np.array([1.0, 0.0]), SERIES[1][0])
    share = length**2 / root**2
    words = f"root mean square {short(root)}\n|mean|² is {short(share)} of its square"
    _label(ax, words, (0.0, -root), _BELOW, INK)
    ax.update_datalim(np.concatenate([flat, [[-root, -root], [root, root]]]))
    _equal_scales(ax, 0.03, 0.17)
    entitle(ax, title)
    return describe(
        ax,
        f"{len(changes)} vectors, each a {name}, as thin arrows, and their mean, of length {short(length)}, a share of "
        f"{short(share)} of their mean square, whose root, {short(root)}, is the radius of a circle.",
        title,
    )


def _across(vectors, mean):
    """Vectors [n, d] along their mean and along what they differ in most across it [n, 2], and the mean's length."""
    length = float(np.linalg.norm(mean))
    along = mean / length if length else np.zeros_like(mean)
    rest = vectors - np.outer(vectors @ along, along)
    height = rest @ np.linalg.svd(rest, full_matrices=False)[2][0]
    height *= np.sign(height[np.abs(height).argmax()]) or 1.0  # an SVD's signs are anybody's
    return np.stack([vectors @ along, height], axis=1), length
