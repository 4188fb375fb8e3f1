"""Small multiples: curves with intervals, a panel for each model, layer or quantity."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from .._inputs import one_of
from .figure import (
    LabelledFigure,
    describe,
    fitting,
    legend_columns,
    new_figure,
    short_range,
    short_ranges,
    styled,
    wrapped,
)
from .labels import free_places
from .scales import axes_fraction, log_axes, with_zero
from .style import GREY, INK, reference_lines, role_of, series_styles


@styled
def plot_panels(
    x: ArrayLike,
    panels: Mapping[str, Mapping[str, tuple[ArrayLike, ArrayLike | None]]],
    *,
    xlabel: str,
    ylabel: str | Sequence[str],
    title: str = "",
    ncols: int | None = None,
    log: bool | Literal["x", "y"] = False,
    points: Mapping[str, Mapping[str, tuple[ArrayLike, ArrayLike | Mapping[str, ArrayLike]]]] | None = None,
) -> LabelledFigure:
    """Small multiples: a panel for each model, layer or quantity, in it curves with their intervals.

    Parameters
    ----------
    x : array_like [n]
    panels : dict
        Panel's title: {curve's name: (values [k], half_widths [k])} with k <= n. A curve with None in place of its half
        widths is a reference: a grey line without marks. Up to four curves and two references, counted over all panels.
    xlabel : str
    ylabel : str, or a list of them
        One for all panels, which then share their scale; one for each row, which share it within the row; or one for
        each panel.
    title : str
    ncols : int
        Panels in a row; by default all.
    log : bool, "x" or "y"
        Logarithmic axes: both, or the one named. Few values of x are ticks by themselves.
    points : dict, optional
        Panel's title: {name: (x, y)}, single points: of what has a look of its own, such as a network, named in the
        legend, of others with their names beside them; or (x, {curve's name: y}), one for each of those curves, in its
        colour and with its marker, and the name beside them.

    Returns
    -------
    LabelledFigure

    Raises
    ------
    ValueError
        More curves than there are styles; a list of labels that has not one for each row or panel; a name that is a
        curve in one panel and a reference in another; points of a panel or a curve that is not there.

    See Also
    --------
    plot_dots : networks that no axis puts in order.

    Examples
    --------
    >>> panels = {"model": {"law": ([1, 1], None), "found": ([1, 2], [0.1, 0.2])}}
    >>> plot_panels([0, 1], panels, xlabel="layer", ylabel="share", title="Shares").alt
    'Shares. share against layer, with intervals. model: law 1, found 1 to 2.'
    """
    points = points or {}
    for name in points:
        one_of(name, list(panels), "points")
    ncols = ncols or len(panels)
    nrows = -(-len(panels) // ncols)
    labels, sharey = _ylabels(ylabel, nrows, ncols, len(panels))
    measured, references = _kinds(panels)
    styles = dict(zip(measured, series_styles(measured, "panels"), strict=True))
    grey = reference_lines(references, "panels")
    width = {1: 4.8, 2: 2.65}.get(ncols, 2.0)
    figure, axes = new_figure(ncols * width, 0.9 + 2.1 * nrows, nrows=nrows, ncols=ncols, squeeze=False, sharey=sharey)
    if sharey:
        for ax in axes[:, 1:].flat:
            ax.tick_params(labelleft=False)
    x = np.asarray(x, dtype=float)
    named, single = {}, {}
    for ax, (name, curves), label in zip(axes.flat, panels.items(), labels, strict=False):  # a row may be left unfilled
        for key, (values, half) in curves.items():
            at = x[: np.size(values)]
            if half is None:
                named[key] = ax.plot(at, values, color=GREY, lw=1.1, ls=grey[key], label=key, zorder=1)[0]
                continue
            color, marker, line = styles[key]
            aside = 0.07 * (measured.index(key) - (len(measured) - 1) / 2)  # side by side: no interval hides another
            at = at * np.exp(0.4 * aside) if log in (True, "x") else at + aside * np.diff(x).min(initial=1.0)
            style = {"color": color, "marker": marker, "ls": line, "lw": 1.1, "ms": 4, "elinewidth": 1.2}
            named[key] = ax.errorbar(at, values, half, label=key, **style)
        single |= _draw_points(ax, points.get(name, {}), styles)
        ax.set_title(wrapped(name.strip(), width - 0.5), fontsize=10)
        ax.set_ylabel(label)
        if np.array_equal(x, np.round(x)):  # no layer 2.5
            ax.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True))
        log_axes(ax, log, x, width - 0.7)
        ax.margins(y=0.15 if points else 0.05)  # room for the points' names
    for ax, name in zip(axes.flat, panels, strict=False):  # once all limits are known
        with_zero(ax)
        beside = {key: point for key, point in points.get(name, {}).items() if not _has_a_look(key, point[1])}
        if beside:
            _name_points(ax, beside, np.array([width - 0.6, 1.45]))
    for ax in axes.flat[len(panels) :]:
        ax.set_axis_off()
    for ax in axes.flat[max(len(panels) - ncols, 0) : len(panels)]:  # the lowest of each column
        ax.set_xlabel(xlabel)
    figure.suptitle(wrapped(title, ncols * width), x=0.01, ha="left", fontsize=11, weight="bold")
    columns = legend_columns(named | single, ncols * width)
    figure.legend(handles=[*named.values(), *single.values()], loc="outside lower center", ncols=columns)
    what = " and ".join(dict.fromkeys(filter(None, labels)))
    intervals = ", with intervals" if measured else ""
    lead = f"{title}. " if title else ""
    begin = f"{lead}{what or 'curves'} against {xlabel}{intervals}."
    parts = (f"{name.strip()}: {', '.join(_said(panel, points.get(name, {})))}" for name, panel in panels.items())
    ranges = short_ranges({name.strip(): {key: v for key, (v, _) in panel.items()} for name, panel in panels.items()})
    fewer = [f"{lead}Against {xlabel}, {ranges}."] if ranges else []
    where = "; ".join(name.strip() for name in panels)
    texts = [f"{begin} {'; '.join(parts)}.", *fewer, f"{begin} In {where}: {', '.join(named)}."]
    describe(axes.flat[0], fitting(*texts))
    return figure


def _ylabels(ylabel, nrows, ncols, n_panels):
    """A label for each panel, and which of them share their scale, in matplotlib's words."""
    if isinstance(ylabel, str):
        return [ylabel if k % ncols == 0 else "" for k in range(n_panels)], True
    if len(ylabel) == nrows:
        return [ylabel[k // ncols] if k % ncols == 0 else "" for k in range(n_panels)], "row"
    if len(ylabel) == n_panels:
        return list(ylabel), False
    raise ValueError(
        f"ylabel: expected one for each of the {nrows} rows or of the {n_panels} panels, got {len(ylabel)}. "
        f"One str serves all."
    )


def _kinds(panels):
    """The names of all curves that have intervals, and of those that are references."""
    kinds = {}
    for curves in panels.values():
        for key, (_, half) in curves.items():
            if kinds.setdefault(key, half is None) != (half is None):
                raise ValueError(
                    f"panels: expected {key!r} to be one thing in all panels, got half widths in one and None, which "
                    f"makes it a reference, in another. Name one of them otherwise."
                )
    return ([key for key, is_reference in kinds.items() if is_reference == wanted] for wanted in (False, True))


def _draw_points(ax, points, styles):
    """Single points, in the styles of the curves that they belong to, of their own role, or as dark diamonds.

    Returned are those that a legend can name: {name: what was drawn}.
    """
    found = {}
    for name, (at, y) in points.items():
        role = role_of(name)
        own = (role.light, role.marker, "") if role else (INK, "D", "")
        for key, height in _heights(y).items():
            color, marker, _ = styles[one_of(key, list(styles), "points")] if key else own
            style = {"ls": "", "marker": marker, "color": color, "ms": 6.5, "mec": INK, "mew": 1.2, "zorder": 4}
            (drawn,) = ax.plot(at, height, label=name, **style)
            if _has_a_look(name, y):
                found[name] = drawn
    return found


def _has_a_look(name, y):
    """Whether a single point is drawn as nothing else in the figure is, so that a legend can name it."""
    return role_of(name) is not None and not isinstance(y, Mapping)


def _name_points(ax, points, inches):
    """The names of single points beside them, in axes so many inches wide and high."""
    marks = {
        name: axes_fraction(ax, [(at, height) for height in _heights(y).values()]) * inches
        for name, (at, y) in points.items()
    }
    curves = [axes_fraction(ax, line.get_xydata()) * inches for line in ax.lines]
    hidden = [np.stack([np.interp(np.arange(0, len(c), 0.05), range(len(c)), side) for side in c.T], 1) for c in curves]
    halo = [withStroke(linewidth=3, foreground="white")]
    places = free_places(marks, np.concatenate(hidden), inches)
    for (name, place), (at, y) in zip(places.items(), points.values(), strict=True):
        where = {"xytext": tuple(place / inches), "textcoords": "axes fraction", "ha": "center", "va": "center"}
        role = role_of(name)
        color = role.light if role else INK
        ax.annotate(name, (at, next(iter(_heights(y).values()))), **where, color=color, path_effects=halo, zorder=5)


def _heights(y):
    """{curve's name: height} of a single point; one that belongs to no curve has no name."""
    return y if isinstance(y, Mapping) else {"": y}


def _said(curves, points):
    """What a panel shows, curve by curve and point by point, in words."""
    for key, (values, _) in curves.items():
        yield f"{key} {short_range(values)}"
    for name, (_, y) in points.items():
        yield f"{name} {short_range(list(_heights(y).values()))}"
