"""A dot plot: one row for each network, one panel for each quantity, markers for what is compared."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from .._inputs import one_of
from .figure import (
    LabelledFigure,
    describe,
    fitting,
    legend_columns,
    new_figure,
    short,
    short_range,
    short_ranges,
    styled,
    wrapped,
)
from .style import GREY, INK, PALE, at_most, series_styles

# filled, hollow, crossed: told apart in print without colour
_FILLED = (True, False, True)


@styled
def plot_dots(
    panels: Mapping[str, Mapping[str, Mapping[str, tuple[ArrayLike, ArrayLike | None]]]],
    *,
    lines: Mapping[str, tuple[str, ArrayLike | Mapping[str, ArrayLike]]] | None = None,
    zoomed: Collection[str] = (),
    title: str = "",
    ncols: int = 2,
) -> LabelledFigure:
    """A dot plot of networks: a row for each, a panel for each quantity, in each row what is compared, with intervals.

    Parameters
    ----------
    panels : dict
        Panel's title: {row's name: {series' name: (value, half)}}. The half is the interval's half width, a pair of how
        far it reaches below and above, or None for a value without one. Up to three series, counted over all panels;
        rows and series may be missing anywhere, and a row that has no values at all is a heading.
    lines : dict, optional
        Panel's title: (label, x), a dashed line through all rows, such as a closed form; or (label, {row's name: x}), a
        tick in each of those rows.
    zoomed : collection of str
        The panels whose axis need not include 0; they say so.
    title : str
    ncols : int
        Panels side by side. Names stand at the left of each row of panels.

    Returns
    -------
    LabelledFigure

    Raises
    ------
    ValueError
        More series than there are markers; lines or zoomed name a panel or a row that is not there.

    See Also
    --------
    plot_panels : curves, over layers or widths.

    Examples
    --------
    >>> rows = {"nano": {"trained": (0.5, 0.1), "matched": (0.7, None)}, "minilm": {"trained": (0.6, 0.05)}}
    >>> plot_dots({"share on": rows}, lines={"share on": ("law", 1)}, title="Two networks").alt
    'Two networks. Dot plot of 2 rows (nano, minilm). share on: trained 0.5 to 0.6, matched 0.7, law 1.'
    """
    lines = lines or {}
    rows = list(dict.fromkeys(row for panel in panels.values() for row in panel))
    series = list(dict.fromkeys(key for panel in panels.values() for row in panel.values() for key in row))
    at_most(len(_FILLED), series, "panels", "series")
    looks = _looks(series)
    for argument, names in (("lines", lines), ("zoomed", zoomed)):
        for name in names:
            one_of(name, list(panels), argument)
    ncols = min(ncols, len(panels))
    nrows, head = -(-len(panels) // ncols), 0.9 if lines else 0.0
    names = 0.4 + 0.085 * max(map(len, rows))
    width = names + (2.1 * ncols if ncols > 1 else 3.2)
    width = min(width, 5.3) if ncols < 3 else width  # so narrow, words stay readable on a phone
    height = 0.7 + nrows * (0.65 + 0.25 * (len(rows) + head))
    figure, axes = new_figure(width, height, nrows=nrows, ncols=ncols, squeeze=False, sharey=True)
    for ax, (name, panel) in zip(axes.flat, panels.items(), strict=False):  # the last row may be left unfilled
        for y, row in enumerate(rows):
            if panel.get(row):
                ax.axhline(y, color=PALE, lw=0.8, zorder=0)
            for key, (value, half) in panel.get(row, {}).items():
                k = series.index(key)
                interval = None if half is None else np.broadcast_to(half, 2).reshape(2, 1)
                aside = y + 0.24 * (k - (len(series) - 1) / 2)  # one below the other: no interval hides another
                style = {"ls": "", "ms": 5.5, "mew": 1.5, "elinewidth": 1.4}
                ax.errorbar(value, aside, xerr=interval, label=key, **looks[k], **style)
        _scale(ax, name in zoomed)
        if name in lines:
            _draw_line(ax, rows, *lines[name])
        ax.set_title(wrapped(name, (width - names) / ncols + 0.1), fontsize=10)
    axes[0, 0].set_ylim(len(rows) - 0.4, -0.6 - head)
    axes[0, 0].set_yticks(range(len(rows)), rows)
    headings = {row for row in rows if not any(panel.get(row) for panel in panels.values())}
    for ax in axes.flat:
        ax.tick_params(axis="y", length=0, labelleft=ax in axes[:, 0])
        ax.spines["left"].set_visible(False)
        for label in ax.get_yticklabels():
            label.set_weight("bold" if label.get_text() in headings else "normal")
    for ax in axes.flat[len(panels) :]:
        ax.set_axis_off()
    _top(figure, series, looks, title)
    parts = "; ".join(f"{name}: {', '.join(_said(panel, series, lines.get(name)))}" for name, panel in panels.items())
    ranges = short_ranges({name: _values(panel, series) for name, panel in panels.items()})
    begin = f"{title}. " if title else ""
    filled = [row for row in rows if row not in headings]
    describe(
        axes[0, 0],
        fitting(
            f"{begin}Dot plot of {len(filled)} rows ({', '.join(filled)}). {parts}.",
            f"{begin}Dot plot of {len(filled)} rows. {parts}.",
            *([f"{begin}Dot plot of {len(filled)} rows. {ranges}."] if ranges else []),
            f"{begin}Dot plot of {len(filled)} rows ({', '.join(filled)}), in panels: {', '.join(panels)}.",
            f"{begin}Dot plot of {len(filled)} rows, in panels: {', '.join(panels)}.",
        ),
    )
    return figure


def _looks(series):
    """Colour and marker of each series: of its role, else the next; the second one hollow."""
    styles = series_styles(series, "panels", "series")
    return [
        {"color": color, "marker": marker, "markerfacecolor": color if filled else "white"}
        for (color, marker, _), filled in zip(styles, _FILLED, strict=False)
    ]


def _scale(ax, zoomed):
    """An axis that has 0 on it and shows where, or says that it has not."""
    ax.margins(x=0.06)
    if zoomed:
        ax.set_xlabel("axis without 0", color=GREY)
    else:
        ax.axvline(0, color=GREY, lw=0.8, zorder=0)
    ax.xaxis.set_major_locator(MaxNLocator(4))


def _draw_line(ax: Axes, rows, label, where):
    """A dashed line through all rows, or a tick in some of them, with its name above the first row."""
    if isinstance(where, Mapping):
        at = {rows.index(one_of(row, rows, "lines")): float(x) for row, x in where.items()}
        ax.plot(list(at.values()), list(at), ls="", marker="|", ms=15, mew=1.8, color=INK, zorder=1)
        x = at[min(at)]
    else:
        x = float(where)
        ax.plot([x, x], [-0.6, len(rows) - 0.4], color=INK, lw=1.1, ls=(0, (4, 3)), zorder=1)
    left, right = ax.get_xlim()
    ha = ["left", "center", "right"][int(np.clip(3 * (x - left) / (right - left), 0, 2))]
    ax.annotate(label, (x, -0.95), color=INK, va="center", ha=ha)


def _top(figure, series, looks, title):
    """The title, and which marker is what below it."""
    handles = [Line2D([], [], ls="", ms=5.5, mew=1.5, label=key, **looks[k]) for k, key in enumerate(series)]
    width = figure.get_figwidth()
    above = {
        "title": wrapped(title, width),
        "title_fontproperties": {"weight": "bold", "size": 11},
        "alignment": "left",
    }
    figure.legend(handles=handles, loc="outside upper left", ncols=legend_columns(series, width), **above)


def _values(panel: Mapping[str, Any], series: Collection[str]) -> dict[str, ArrayLike]:
    """{series: its values}, of those that a panel shows."""
    found: dict[str, Any] = {key: [row[key][0] for row in panel.values() if key in row] for key in series}
    return {key: values for key, values in found.items() if values}


def _said(panel, series, line):
    """What a panel shows, series by series, in words."""
    for key, values in _values(panel, series).items():
        yield f"{key} {short_range(values)}"
    if line:
        label, where = line
        yield f"{label} {short_range(list(where.values())) if isinstance(where, Mapping) else short(where)}"
