"""What happens to one residual vector as it is scaled: along a ray."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from .._words import count
from .figure import axes_or_new, describe, entitle, styled
from .scales import log_axes
from .style import GREY, INK, ROLES


@styled
def plot_shrink(
    scales: ArrayLike, radii: ArrayLike, crossings: ArrayLike | None = None, *, ax: Axes | None = None
) -> Figure:
    """How close to the sphere a vector comes as it is scaled up: |z| / sqrt(d) against the scale.

    Parameters
    ----------
    scales, radii : array_like [n]
        Scales are positive and drawn on a logarithmic axis; a radius of 1 is the sphere's.
    crossings : array_like [k, 2], optional
        Scale and radius at which a neuron flips; drawn as ticks.
    ax : Axes, optional

    Returns
    -------
    Figure

    See Also
    --------
    plot_ray_patterns : which neurons flip.

    Examples
    --------
    >>> plot_shrink([0.1, 10], [0.5, 1], crossings=[[1, 0.8]]).alt
    "Length of the normalised vector, in units of the sphere's radius, against the scale of the residual vector from
    0.1 to 10: it rises from 0.50 to 1.00. 1 neuron flips on the way."
    """
    scales, radii = np.asarray(scales, dtype=float), np.asarray(radii, dtype=float)
    crossings = np.asarray([] if crossings is None else crossings, dtype=float)
    ax = axes_or_new(ax, height=3.0)
    ax.axhline(1, color=GREY, lw=1, ls=(0, (4, 3)))
    ax.annotate("the sphere", (scales[0], 1), (4, 4), textcoords="offset points", color=GREY)
    ax.plot(scales, radii, color=ROLES["z"].light, lw=2)
    if len(crossings):
        ax.plot(*crossings.T, ls="", marker="|", ms=16, mew=2, color=INK)
        ax.annotate("a neuron flips", crossings[-1], (12, -14), textcoords="offset points", color=INK, va="center")
    log_axes(ax, "x")
    ax.set(ylim=(0, 1.12), xlabel="scale a of the residual vector", ylabel="‖z‖ / √d")
    entitle(ax, "ε keeps short vectors inside the sphere")
    return describe(
        ax,
        f"Length of the normalised vector, in units of the sphere's radius, against the scale of the residual vector "
        f"from {scales[0]:g} to {scales[-1]:g}: it rises from {radii[0]:.2f} to {radii[-1]:.2f}. "
        f"{count(len(crossings), 'neuron flips', 'neurons flip')} on the way.",
    )


@styled
def plot_ray_patterns(scales: ArrayLike, patterns: ArrayLike, *, title: str = "", ax: Axes | None = None) -> Figure:
    """Which neurons are on as a vector is scaled: a row a neuron, dark where it is on.

    Parameters
    ----------
    scales : array_like [n]
        Positive and increasing; drawn on a logarithmic axis.
    patterns : bool [n, m]
        Drawn sorted by how long each neuron is on, the shortest at the bottom.
    title : str
    ax : Axes, optional

    Returns
    -------
    Figure

    See Also
    --------
    lnpoly_helpers.ray_crossings : where they flip, in closed form.

    Examples
    --------
    >>> plot_ray_patterns([0.1, 1, 10], [[False, True], [True, True], [True, True]]).alt
    '2 neurons against the scale of one residual vector from 0.1 to 10; 1 of them changes between on and off.'
    """
    ax = axes_or_new(ax, height=3.4)
    scales, patterns = np.asarray(scales, dtype=float), np.asarray(patterns, dtype=bool)
    changed = patterns.any(axis=0) & ~patterns.all(axis=0)
    order = np.lexsort([patterns.argmax(axis=0), patterns.sum(axis=0)])
    ax.pcolormesh(
        scales, np.arange(patterns.shape[1]), patterns.T[order], cmap="Blues", vmin=-0.15, vmax=1.25, shading="nearest"
    )
    ax.axvline(1, color=ROLES["x"].light, lw=1.6)
    log_axes(ax, "x")
    ax.set(xlabel="scale a of the residual vector", ylabel="neuron, sorted (dark: on)")
    entitle(ax, title)
    return describe(
        ax,
        f"{patterns.shape[1]} neurons against the scale of one residual vector from {scales[0]:g} to {scales[-1]:g}; "
        f"{changed.sum()} of them {'changes' if changed.sum() == 1 else 'change'} between on and off.",
        title,
    )
