"""A table whose cells are coloured by what they say."""

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from .figure import axes_or_new, describe, short, styled, wrapped
from .style import INK, SERIES


@styled
def plot_verdicts(
    changes: Mapping[str, Mapping[str, float]], *, tolerance: float, title: str = "", ax: Axes | None = None
) -> Figure:
    """A table of tests: what stayed the same under a change, and by how much the rest moved.

    Parameters
    ----------
    changes : dict
        Row's name: {column's name: relative change of the output}, the same columns in every row.
    tolerance : float
        Up to it the output counts as the same.
    title : str
    ax : Axes, optional

    Returns
    -------
    Figure

    See Also
    --------
    plot_dots : numbers with their intervals.

    Examples
    --------
    >>> changes = {"with a norm": {"scaled": 1e-16, "shifted": 0.3}, "without": {"scaled": 2.0, "shifted": 0.4}}
    >>> plot_verdicts(changes, tolerance=1e-9).alt
    'a table of 2 rows and 2 tests (scaled, shifted). What moves, row by row: with a norm: shifted; without: scaled,
    shifted.'
    """
    columns = list(next(iter(changes.values())))
    ax = axes_or_new(ax, width=min(2.3 + 1.25 * len(columns), 5.3), height=0.7 + 0.36 * len(changes))
    for y, row in enumerate(changes.values()):
        for x, column in enumerate(columns):
            same = row[column] <= tolerance
            fill, word = (SERIES[0][0], "same") if same else (SERIES[1][0], f"moves {short(row[column])}")
            # what moves also has a frame, for readers without colour
            frame = {"edgecolor": to_rgba("white" if same else INK), "linewidth": 0 if same else 1}
            ax.barh(y, 0.94, 0.86, x - 0.47, facecolor=to_rgba(fill, 0.15 if same else 0.3), **frame)
            ax.text(x, y, word, ha="center", va="center")
    ax.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(changes) - 0.5, -0.5))
    ax.set_yticks(range(len(changes)), list(changes))
    ax.set_xticks(range(len(columns)), columns)
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    lines = 1 + max(column.count("\n") for column in columns)
    ax.set_title(wrapped(title, 1.05 * len(columns)), y=1, pad=6 + 14 * lines)  # above the columns' names
    moved = {name: [c for c in columns if row[c] > tolerance] for name, row in changes.items()}
    words = "; ".join(f"{name}: {', '.join(found) or 'nothing'}" for name, found in moved.items())
    tests = ", ".join(column.replace("\n", " ") for column in columns)
    described = f"a table of {len(changes)} rows and {len(columns)} tests ({tests}). What moves, row by row: {words}."
    return describe(ax, described.replace("\n", " "), title.replace("\n", " "))
