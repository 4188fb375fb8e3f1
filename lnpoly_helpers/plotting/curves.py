"""A few curves over a common axis: as they are, as bundles with a band, or along a path on the sphere."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from .figure import axes_or_new, describe, entitle, fitting, short, styled
from .labels import name_ends
from .scales import log_axes, with_zero
from .style import GREY, INK, reference_lines, series_styles


@styled
def plot_lines(
    x: ArrayLike | Mapping[str, ArrayLike],
    series: Mapping[str, ArrayLike],
    *,
    xlabel: str,
    ylabel: str,
    title: str = "",
    log: bool | Literal["x", "y"] = False,
    references: Mapping[str, ArrayLike] | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Curves over a common axis, each with its own colour, marker and line, named at its end.

    Parameters
    ----------
    x : array_like [n], or dict
        Or one for each curve and reference, by its name: networks that have different numbers of layers.
    series : dict
        Name: values [n], or fewer for a curve that ends early. Up to four.
    xlabel, ylabel, title : str
    log : bool, "x" or "y"
        Logarithmic axes: both, or the one named.
    references : dict, optional
        Name: values [n] of what the curves are compared with, such as a law: grey lines without marks, up to two.
    ax : Axes, optional

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        More curves or references than there are styles, or a dict x that lacks one of them.

    See Also
    --------
    plot_panels : curves with intervals, in a panel for each model or layer.

    Examples
    --------
    >>> plot_lines([0, 1], {"a": [1, 2], "b": [3, 0]}, xlabel="x", ylabel="y").alt
    'y against x: a from 1 to 2; b from 3 to 0.'
    """
    series = {name: np.asarray(values) for name, values in series.items()}
    styles, grey = series_styles(series, "series"), reference_lines(references or {}, "references")
    places = _places(x, [*series, *(references or {})])
    ax = axes_or_new(ax)
    for (name, values), (color, marker, line) in zip(series.items(), styles, strict=True):
        ax.plot(places[name][: len(values)], values, color=color, marker=marker, ls=line, ms=5, label=name)
    for name, values in (references or {}).items():
        series[name] = np.asarray(values)
        ax.plot(places[name][: len(series[name])], values, color=GREY, lw=1.1, ls=grey[name], label=name, zorder=1)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    log_axes(ax, log)
    with_zero(ax)
    looks = [(color, marker) for color, marker, _ in styles] + [(GREY, "")] * len(grey)
    ends = [
        (places[name][len(v) - 1], v[-1], name, *look) for (name, v), look in zip(series.items(), looks, strict=True)
    ]
    name_ends(ax, ends)
    entitle(ax, title)
    words = "; ".join(f"{name} {_course(v)}" for name, v in series.items())
    return describe(ax, f"{ylabel} against {xlabel}: {words}.", title)


def _course(values):
    """From where to where some values go, and how far beyond on the way.

    >>> _course([3, 1, 2]), _course([1, 2])
    ('from 3 to 2, lowest 1', 'from 1 to 2')
    """
    low, high = sorted((values[0], values[-1]))
    least = 0.1 * np.ptp(values)
    words = f"from {short(values[0])} to {short(values[-1])}"
    words += f", lowest {short(np.min(values))}" if low - np.min(values) > least else ""
    return words + (f", highest {short(np.max(values))}" if np.max(values) - high > least else "")


def _places(x, names):
    """Where the values of each curve stand: {name: x}."""
    if not isinstance(x, Mapping):
        return dict.fromkeys(names, np.asarray(x))
    missing = [name for name in names if name not in x]
    if missing:
        raise ValueError(f"x: expected one for each curve and reference, got none for {', '.join(missing)}. Add it.")
    return {name: np.asarray(x[name]) for name in names}


@styled
def plot_spread(
    x: ArrayLike,
    series: Mapping[str, ArrayLike],
    *,
    xlabel: str,
    ylabel: str,
    title: str = "",
    log: bool | Literal["x", "y"] = "x",
    references: Mapping[str, ArrayLike] | None = None,
    ax: Axes | None = None,
) -> Figure:
    """The course of many curves: the mean of each bundle, and a band that holds nine in ten of it.

    The band runs from the 5 % to the 95 % quantile at each x, both of them values that some curve has there.

    Parameters
    ----------
    x : array_like [n]
        Positive where its axis is logarithmic.
    series : dict
        Name: curves [n_curves, n]. Up to four bundles.
    xlabel, ylabel, title : str
    log : bool, "x" or "y"
        Logarithmic axes: both, the one named, or none.
    references : dict, optional
        Name: values [n] of what the bundles are compared with, such as a law: grey lines, up to two.
    ax : Axes, optional

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        More bundles or references than there are styles.

    See Also
    --------
    plot_lines : one curve for each name.

    Examples
    --------
    >>> plot_spread([1, 10], {"a": [[0, 1], [0, 2], [0, 3]]}, xlabel="x", ylabel="y").alt
    'y against x, mean and band of nine in ten. a: 0 (nine in ten from 0 to 0) at the left end, 2 (nine in ten from 1
    to 3) at the right.'
    """
    x, bundles = np.asarray(x), {name: np.asarray(curves) for name, curves in series.items()}
    styles = series_styles(bundles, "series", "bundles of curves")
    grey = reference_lines(references or {}, "references")
    ax = axes_or_new(ax)
    words, means, ends = [], [], []
    for (name, curves), (color, _, line) in zip(bundles.items(), styles, strict=True):
        mean, (low, high) = np.mean(curves, axis=0), np.quantile(curves, [0.05, 0.95], axis=0, method="nearest")
        ax.fill_between(x, low, high, color=color, alpha=0.2, linewidth=0)
        ax.plot(x, mean, color=color, ls=line, lw=2)
        ends.append((x[-1], mean[-1], name, color, ""))
        said = (f"{short(mean[k])} (nine in ten from {short(low[k])} to {short(high[k])})" for k in (0, -1))
        words.append(f"{name}: {' at the left end, '.join(said)} at the right")
        means.append(f"{name} from {short(mean[0])} to {short(mean[-1])}")
    for name, values in (references or {}).items():
        values = np.asarray(values)
        ax.plot(x, values, color=GREY, lw=1.1, ls=grey[name], zorder=1)
        ends.append((x[-1], values[-1], name, GREY, ""))
        for said in (words, means):
            said.append(f"{name} from {short(values[0])} to {short(values[-1])}")
    log_axes(ax, log)
    ax.set(xlabel=xlabel, ylabel=ylabel, xlim=(x[0], x[-1]))
    with_zero(ax)
    ax.set_xlabel(f"{xlabel}\nline: mean; band: nine in ten")
    name_ends(ax, ends)
    entitle(ax, title)
    begin = f"{ylabel} against {xlabel}, mean and band of nine in ten."
    limit = 400 - len(title) - 2
    return describe(ax, fitting(f"{begin} {'; '.join(words)}.", f"{begin} {'; '.join(means)}.", limit=limit), title)


@styled
def plot_path(
    degrees: ArrayLike,
    curves: Mapping[str, ArrayLike],
    crossings: ArrayLike,
    *,
    ylabel: str,
    title: str = "",
    at: float | None = None,
    ax: Axes | None = None,
) -> Figure:
    """What happens along a path on the sphere: curves against the angle, and a tick below for each boundary crossed.

    Parameters
    ----------
    degrees : array_like [n]
    curves : dict
        Name: values [n], at least 0. Up to four.
    crossings : array_like [k]
        Degrees at which a neuron flips.
    ylabel, title : str
    at : float, optional
        Where on the path the reader stands, in degrees: a line there, the ticks behind it dark and those ahead pale.
    ax : Axes, optional

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        More curves than there are styles.

    See Also
    --------
    lnpoly_helpers.widgets.explore_rotation : walks along it.

    Examples
    --------
    >>> plot_path([0, 30, 60], {"moved": [0, 1, 3]}, [10, 45], ylabel="length").alt
    'length along 60 degrees of a path that crosses 2 boundaries: moved ends at 3.'
    """
    degrees, crossings = np.asarray(degrees), np.asarray(crossings, dtype=float)
    curves = {name: np.asarray(values) for name, values in curves.items()}
    styles = series_styles(curves, "curves")
    ax = axes_or_new(ax, height=3.8)
    top = max(np.max(values) for values in curves.values()) or 1.0
    for (name, values), (color, marker, line) in zip(curves.items(), styles, strict=True):
        ax.plot(degrees, values, color=color, ls=line, label=name)
        if at is not None:
            ax.plot(at, np.interp(at, degrees, values), marker, color=color, ms=6)
    passed = np.full(len(crossings), True) if at is None else crossings <= at
    for ticks, color in ((passed, INK), (~passed, GREY)):
        x = np.repeat(crossings[ticks], 3)  # one line with gaps: thousands of ticks draw in no time
        y = np.tile([-0.13 * top, -0.05 * top, np.nan], ticks.sum())
        ax.plot(x, y, color=color, lw=0.8, solid_capstyle="butt")
    ax.axhline(0, color=GREY, lw=0.8)
    if at is not None:
        ax.axvline(at, color=INK, lw=1, ls=(0, (4, 3)))
    ax.set(xlim=(0, degrees[-1]), ylim=(-0.17 * top, 1.1 * top), ylabel=ylabel)
    ax.set_yticks([tick for tick in ax.get_yticks() if 0 <= tick <= 1.1 * top])
    ax.spines["left"].set_bounds(0, 1.1 * top)
    ax.set_xlabel("degrees along the path; tick: a boundary crossed")
    ends = [(degrees[-1], v[-1], name, look[0], "") for (name, v), look in zip(curves.items(), styles, strict=True)]
    name_ends(ax, ends)
    entitle(ax, title)
    here = "" if at is None else f" At {at:.0f} degrees {passed.sum()} of them are crossed."
    ends = "; ".join(f"{name} ends at {values[-1]:.3g}" for name, values in curves.items())
    return describe(
        ax,
        f"{ylabel} along {degrees[-1]:.0f} degrees of a path that crosses {len(crossings)} boundaries: {ends}.{here}",
        title,
    )
