"""Where names stand beside what they name, so that none lies upon another."""

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Annotation
from numpy.typing import ArrayLike

from .scales import axes_fraction


def moved_apart(heights: ArrayLike, least: float, top: float = np.inf) -> np.ndarray:
    """Heights of labels [n], each as near to where it wants to be as it can be `least` above the one below it.

    >>> moved_apart([0.5, 0.52, 0.1], least=0.1), moved_apart([0.9, 0.95], least=0.1, top=1)
    (array([0.5, 0.6, 0.1]), array([0.9, 1. ]))
    """
    heights = np.asarray(heights, dtype=float)
    order = np.argsort(heights, kind="stable")
    moved, at = heights.copy(), -np.inf
    for k in order:
        moved[k] = at = max(heights[k], at + least)
    at = top + least
    for k in order[::-1]:  # what now stands above the top comes down, and pushes the next
        moved[k] = at = min(moved[k], at - least)
    return moved


def free_places(marks: Mapping[str, ArrayLike], others: ArrayLike, size: ArrayLike) -> dict[str, np.ndarray]:
    """For each name the middle of a place beside its marks, above, below or at a side, that hides the least.

    Parameters
    ----------
    marks : dict
        Name: points [k, 2] that it stands for, in inches of the axes.
    others : array_like [n, 2]
        What else should not be hidden, such as points along curves.
    size : array_like [2]
        Width and height of the axes, whose lower left corner is (0, 0).

    Returns
    -------
    dict
        Name: point [2], for a text of size 9 that is centred there.

    Examples
    --------
    >>> free_places({"here": [[1, 1]]}, others=[[1.1, 1.2], [1, 1.2]], size=[2, 2])["here"].tolist()  # not above
    [1.0, 0.8]
    """
    marks = {name: np.reshape(points, (-1, 2)).astype(float) for name, points in marks.items()}
    hidden = np.concatenate([np.reshape(others, (-1, 2)), *marks.values()])
    size, found, taken = np.asarray(size), {}, []
    for name, points in marks.items():
        half = np.array([0.04 * len(name) + 0.04, 0.11])
        middle, (low, high) = points.mean(axis=0), (points[:, 1].min() - 0.2, points[:, 1].max() + 0.2)
        aside = half[0] + 0.08
        places = [(middle[0] + x, y) for x in (0, -half[0], half[0]) for y in (high, low)]
        places = np.array(places + [(middle[0] + x, middle[1]) for x in (-aside, aside)])
        inside = (np.abs(hidden - places[:, None]) < half).all(axis=2).sum(axis=1)
        upon = sum((np.abs(places - at) < half + other).all(axis=1) for at, other in taken)
        outside = ((places < half) | (places > size - half)).any(axis=1)
        best = places[np.argmin(inside + 1000 * upon + 100 * outside)]  # of those alike the first
        found[name] = best
        taken.append((best, half))
    return found


def name_ends(ax: Axes, ends: Sequence[tuple[float, float, str, str, str]]) -> None:
    """The name of each curve at the right of the axes, with a thin line to the curve's end.

    An end is (x, y, name, colour, marker). The name begins with the marker, if there is one: where curves end in one
    place, the line to it does not tell whose name it is, and a colour does not for everyone.

    >>> from lnpoly_helpers.plotting import new_figure
    >>> figure, ax = new_figure()
    >>> name_ends(ax, [(1.0, 0.5, "a", "black", "s"), (1.0, 0.5, "b", "black", "")])
    >>> [text.get_text() for text in ax.texts]
    ['■ a', 'b']
    """
    for x, y, name, color, marker in ends:
        width = 16 if len(name) > 30 else max(12, len(name) // 2 + 3)
        words = textwrap.fill(name, width, break_on_hyphens=False, break_long_words=False)
        if marker:
            words = f"{MARKS[marker]} " + words.replace("\n", "\n" + _INDENT)
        line = {"arrowstyle": "-", "color": color, "lw": 0.8, "shrinkA": 1, "shrinkB": 3, "relpos": (0, 0.5)}
        where = {"xytext": (1.03, 0), "textcoords": "axes fraction", "va": "center", "ha": "left"}
        ax.annotate(words, (x, y), **where, color=color, weight="bold", arrowprops=line, label=_END)
    for other in ax.get_shared_y_axes().get_siblings(ax):  # whose scale may have changed
        names = [text for text in other.texts if isinstance(text, Annotation) and text.get_label() == _END]
        places = axes_fraction(other, [name.xy for name in names]) if names else np.empty((0, 2))
        inches = other.figure.bbox.height / other.figure.figure.dpi / _rows(other) - 1.0
        least = 0.18 * max((name.get_text().count("\n") + 1 for name in names), default=1) / inches
        heights = np.maximum(moved_apart(places[:, 1], least, top=0.98), 0.0)
        for name, height in zip(names, heights, strict=True):
            name.set_position((1.03, height))


# matplotlib's markers as letters, as large as the words beside them
MARKS = {"o": "●", "s": "■", "^": "▲", "v": "▼", "D": "◆", "X": "✖", "P": "✚", "x": "×", "*": "★"}
_INDENT = "    "  # as wide as a mark and the space behind it

_END = "_the name of a curve at its end"  # by which such a text is known again


def _rows(ax):
    place = ax.get_subplotspec()
    return place.get_gridspec().nrows if place else 1
