"""Logarithmic axes with readable ticks, and where on axes of any kind something lies."""

from typing import Literal

import numpy as np
from matplotlib.axes import Axes
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

    >>> from lnpoly_helpers.plotting import new_figure
    >>> figure, ax = new_figure()
    >>> log_axes(ax, "x", [64, 128, 512, 768], width=1.5)
    >>> [label.get_text() for label in ax.get_xticklabels()]
    ['64', '128', '', '768']
    """
    one_of(log, (False, True, "x", "y"), "log")
    if log in (True, "y"):
        ax.set_yscale("log")
    if log in (True, "x"):
        ax.set_xscale("log")
        ticks = np.unique(np.asarray(x, dtype=float))
        if 2 <= len(ticks) <= 12:
            ax.set_xticks(ticks, _labels(ticks, width))
            ax.set_xticks([], minor=True)


def _labels(ticks, width):
    """What stands below each tick: its number, but for one that would come too near to the next on its right."""
    inches = width * np.log(ticks / ticks[0]) / np.log(ticks[-1] / ticks[0])
    labels, free = [], np.inf
    for number, at in zip(ticks[::-1], inches[::-1], strict=True):
        half = 0.05 * len(f"{number:g}")
        labels.append(f"{number:g}" if at + half <= free else "")
        free = at - half - 0.05 if labels[-1] else free
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
