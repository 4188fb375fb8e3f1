"""Logarithmic axes with readable ticks, and where on axes of any kind something lies."""

from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogFormatter, LogFormatterMathtext
from numpy.typing import ArrayLike

from .._inputs import one_of


def log_axes(ax: Axes, log: bool | Literal["x", "y"], x: ArrayLike = (), width: float = 0.0) -> None:
    """Make axes logarithmic: both, one of them or none.

    Parameters
    ----------
    ax : Axes
    log : bool, "x" or "y"
    x : array_like [n]
        Where something stands: up to a dozen of them become the ticks of a logarithmic x axis.
    width : float
        Inches of that axis; a tick that has no room for its label beside the next has none.

    Examples
    --------
    >>> from lnpoly_helpers.plotting import new_figure
    >>> figure, ax = new_figure()
    >>> log_axes(ax, "x", [64, 128, 512, 768], width=1.5)
    >>> [label.get_text() for label in ax.get_xticklabels()]
    ['64', '128', '', '768']
    """
    one_of(log, (False, True, "x", "y"), "log")
    if log in (True, "y"):
        ax.set_yscale("log")
        _plain_numbers(ax.yaxis)
    if log in (True, "x"):
        ax.set_xscale("log")
        _plain_numbers(ax.xaxis)
        ticks = np.unique(np.asarray(x, dtype=float))
        if 2 <= len(ticks) <= 12:
            ax.set_xticks(ticks, _labels(ticks, width))
            ax.set_xticks([], minor=True)


def _plain_numbers(axis):
    """0.01 and 1,000 in place of powers of ten, whose exponents are too small to read, where they are not too long."""
    long = LogFormatterMathtext()
    long.set_axis(axis)

    def words(value, k):
        low, high = axis.get_view_interval()
        return f"{value:,g}" if 1e-4 < low and high < 1e6 else long(value, k)

    axis.set_major_formatter(words)
    axis.set_minor_formatter(LogFormatter())  # plain numbers as well, and only where there are few


def with_zero(ax: Axes) -> None:
    """Let a linear y axis reach zero, so that heights can be compared.

    >>> from lnpoly_helpers.plotting import new_figure
    >>> figure, ax = new_figure()
    >>> _ = ax.plot([3, 4])
    >>> with_zero(ax)
    >>> bool(ax.get_ylim()[0] <= 0)
    True
    """
    if ax.get_yscale() == "linear" and ax.has_data():
        ax.update_datalim([(0.0, 0.0)], updatex=False)
        ax.autoscale_view(scalex=False)


def _labels(ticks, width):
    """What stands below each tick: its number, but for one that would come too near to the next on its right."""
    inches = width * np.log(ticks / ticks[0]) / np.log(ticks[-1] / ticks[0])
    labels, free = [], np.inf
    for number, at in zip(ticks[::-1], inches[::-1], strict=True):
        half = 0.05 * len(f"{number:g}")
        labels.append(f"{number:g}" if at + half <= free else "")
        free = at - half - 0.01 if labels[-1] else free
    return labels[::-1]


def axes_fraction(ax: Axes, points: ArrayLike, *, back: bool = False) -> np.ndarray:
    """Where points [n, 2] of the data lie in the axes, from (0, 0) lower left to (1, 1); or back from there.

    >>> from lnpoly_helpers.plotting import new_figure
    >>> figure, ax = new_figure()
    >>> _ = ax.set(xlim=(1, 100), xscale="log", ylim=(0, 4))
    >>> axes_fraction(ax, [[10, 1]]), axes_fraction(ax, [[0.5, 0.25]], back=True)
    (array([[0.5 , 0.25]]), array([[10.,  1.]]))
    """
    ax.autoscale_view()  # which matplotlib puts off until something is drawn
    way = ax.transScale + ax.transLimits
    return np.asarray((way.inverted() if back else way).transform(np.asarray(points, dtype=float)))
