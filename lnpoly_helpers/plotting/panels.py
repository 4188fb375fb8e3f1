"""Small multiples: curves with intervals, a panel for each model or layer."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from .figure import LabelledFigure, describe, new_figure, short_range, styled
from .style import GREY, at_most, series_styles

_REFERENCE_LINES = ((0, (5, 3)), (0, (1, 1.5)))


@styled
def plot_panels(
    x: ArrayLike,
    panels: Mapping[str, Mapping[str, tuple[ArrayLike, ArrayLike | None]]],
    *,
    xlabel: str,
    ylabel: str | Sequence[str],
    title: str = "",
    ncols: int | None = None,
    log: bool = False,
) -> LabelledFigure:
    """Small multiples on common axes: a panel for each model or layer, in it curves with their intervals.

    Parameters
    ----------
    x : array_like [n]
    panels : dict
        Panel's title: {curve's name: (values [k], half_widths [k])} with k <= n. A curve with None in place of its half
        widths is a reference: a grey line without marks. Up to four curves and two references, counted over all panels.
    xlabel : str
    ylabel : str, or a list of them
        One for all rows, which then share their scale too; or one for each row.
    title : str
    ncols : int
        Panels in a row; by default all.
    log : bool
        Logarithmic x.

    Returns
    -------
    LabelledFigure

    Raises
    ------
    ValueError
        More curves than there are styles, or a list of labels that has not one for each row.

    >>> panels = {"model": {"law": ([1, 1], None), "found": ([1, 2], [0.1, 0.2])}}
    >>> plot_panels([0, 1], panels, xlabel="layer", ylabel="share", title="Shares").alt
    'Shares. share against layer, with intervals. model: law 1, found 1 to 2.'
    """
    ncols = ncols or len(panels)
    nrows = -(-len(panels) // ncols)
    one_scale = isinstance(ylabel, str)
    ylabels = [ylabel] * nrows if one_scale else list(ylabel)
    if len(ylabels) != nrows:
        raise ValueError(f"ylabel: expected one for each of the {nrows} rows, got {len(ylabels)}. One str serves all.")
    kinds = {key: half is None for curves in panels.values() for key, (_, half) in curves.items()}
    measured, references = ([key for key, is_reference in kinds.items() if is_reference == wanted] for wanted in (0, 1))
    styles = dict(zip(measured, series_styles(measured, "panels"), strict=True))
    at_most(len(_REFERENCE_LINES), references, "panels", "references")
    reference_lines = dict(zip(references, _REFERENCE_LINES, strict=False))  # there may be fewer than two
    subplots = {"nrows": nrows, "ncols": ncols, "squeeze": False, "sharey": True if one_scale else "row"}
    figure, axes = new_figure(2.25 * ncols, 0.9 + 2.1 * nrows, **subplots)
    x = np.asarray(x, dtype=float)
    named = {}
    for ax, (name, curves) in zip(axes.flat, panels.items(), strict=False):  # the last row may be left unfilled
        for key, (values, half) in curves.items():
            at = x[: np.size(values)]
            if half is None:
                line = reference_lines[key]
                named[key] = ax.plot(at, values, color=GREY, lw=1.1, ls=line, label=key, zorder=1)[0]
                continue
            color, marker, line = styles[key]
            aside = 0.07 * (measured.index(key) - (len(measured) - 1) / 2)  # side by side: no interval hides another
            at = at * np.exp(0.4 * aside) if log else at + aside * np.diff(x).min(initial=1.0)
            style = {"color": color, "marker": marker, "ls": line, "lw": 1.1, "ms": 4, "elinewidth": 1.2}
            named[key] = ax.errorbar(at, values, half, label=key, **style)
        ax.set_title(name.strip(), fontsize=10)
        if log:
            ax.set_xscale("log")
    for ax in axes.flat[len(panels) :]:
        ax.set_axis_off()
    for row, label in zip(axes, ylabels, strict=True):
        row[0].set_ylabel(label)
    for ax in axes[-1]:
        ax.set_xlabel(xlabel)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, weight="bold")
    figure.legend(handles=list(named.values()), loc="outside lower center", ncols=len(named))
    parts = (
        f"{name.strip()}: " + ", ".join(f"{key} {short_range(values)}" for key, (values, _) in curves.items())
        for name, curves in panels.items()
    )
    what = " and ".join(dict.fromkeys(ylabels))
    described = f"{what} against {xlabel}, with intervals. {'; '.join(parts)}."
    describe(axes.flat[0], f"{title}. {described}" if title else described)
    return figure
