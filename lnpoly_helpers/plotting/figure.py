"""The figure that all pictures are drawn in: one style, no global state, its own words beside it."""

import base64
import functools
import io
import textwrap
from collections.abc import Callable, Collection
from typing import Any, ParamSpec, TypeVar

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from .style import figure_style

_SETTINGS: dict[Any, Any] = figure_style()
_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")
_Axes = TypeVar("_Axes", bound=Axes)


def styled(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Run a plotting function under the style of the series, whatever the caller's settings are."""

    @functools.wraps(function)
    def wrapper(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        with matplotlib.rc_context(_SETTINGS):
            return function(*args, **kwargs)

    return wrapper


class LabelledFigure(Figure):
    """A matplotlib figure that shows itself in a notebook together with its alternative text.

    Attributes
    ----------
    alt : str
        The text, which every plotting function adds to.

    See Also
    --------
    new_figure : makes one, with its axes.

    >>> figure, ax = new_figure()
    >>> figure.alt = "An empty picture."
    >>> data, metadata = figure._repr_mimebundle_()
    >>> sorted(data), metadata
    (['image/png', 'text/plain'], {'image/png': {'alt': 'An empty picture.'}})
    """

    alt: str = ""

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> tuple[dict, dict]:
        png = io.BytesIO()
        with matplotlib.rc_context(_SETTINGS):
            self.savefig(png, format="png", metadata={"Software": None})
        data = {"image/png": base64.b64encode(png.getvalue()).decode(), "text/plain": self.alt}
        return data, {"image/png": {"alt": self.alt}}

    def wipe(self) -> None:
        """Take everything out that was drawn, and the alternative text, to draw anew in the same axes."""
        self.alt = ""
        for ax in self.axes:  # ax.clear() would make new axis ticks, which takes longer than the drawing
            for artist in [*ax.lines, *ax.collections, *ax.patches, *ax.texts, *ax.images]:
                artist.remove()

    def quick_png(self) -> bytes:
        """The picture as PNG bytes, for one that changes many times a second: only the first call arranges panels."""
        png = io.BytesIO()
        with matplotlib.rc_context(_SETTINGS):
            FigureCanvasAgg(self).print_png(png, metadata={"Software": None}, pil_kwargs={"compress_level": 1})
        self.set_layout_engine("none")
        return png.getvalue()


@styled
def new_figure(width: float = 6.4, height: float = 4.0, **subplots: Any) -> tuple[LabelledFigure, Any]:
    """A figure of the series and its axes, outside pyplot: nothing global, nothing to close.

    Parameters
    ----------
    width, height : float
        Inches.
    **subplots
        For `matplotlib.figure.Figure.subplots`: ``nrows``, ``ncols``, ``subplot_kw`` ...

    Returns
    -------
    figure : LabelledFigure
    axes : matplotlib.axes.Axes, or an array of them

    >>> figure, axes = new_figure(9, 3, ncols=3)
    >>> axes.shape
    (3,)
    """
    figure = LabelledFigure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(**subplots)


def axes_or_new(ax: _Axes | None, **kwargs: Any) -> _Axes:
    """The axes that the caller gave, else those of a `new_figure`."""
    return new_figure(**kwargs)[1] if ax is None else ax


def describe(ax: Axes, text: str, title: str = "") -> Figure:
    """Add a panel's description to its figure's alternative text; returns the figure."""
    figure = ax.figure.figure  # for axes of a subfigure the whole one, which has the words
    if isinstance(figure, LabelledFigure):
        figure.alt = f"{figure.alt} {title + ': ' if title else ''}{text}".strip()
    return figure


def fitting(*texts: str, limit: int = 400) -> str:
    """The first of some descriptions, longest first, that a screen reader's user has the patience for.

    If none is that short, the last one up to a word where it is.

    >>> fitting("from 1 to 3 in both panels", "from 1 to 3", limit=12), fitting("one two three", limit=9)
    ('from 1 to 3', 'one two…')
    """
    found = next((text for text in texts if len(text) <= limit), texts[-1])
    return found if len(found) <= limit else found[: found.rindex(" ", 0, limit)] + "…"


def legend_columns(names: Collection[str], width: float) -> int:
    """How many columns a legend may have in a figure that is so many inches wide, if nothing is to be cut.

    >>> legend_columns(["trained", "matched layer", "closed form"], 6.4), legend_columns(["trained"] * 5, 3)
    (3, 2)
    """
    each = [0.7 + 0.075 * len(name) for name in names]  # its line or marker, and its letters
    widths = {columns: sum(map(max, np.array_split(each, columns))) for columns in range(1, len(each) + 1)}
    return max((columns for columns in widths if widths[columns] < width - 0.1), default=1)


def wrapped(title: str, width: float) -> str:
    """A bold title in as many lines as a figure needs that is so many inches wide.

    >>> wrapped("What a turn by 30° changes", 2)
    'What a turn by 30°\\nchanges'
    """
    return textwrap.fill(title, int(width / 0.1))


def short(number: float) -> str:
    """A number as readers like it: three digits, or all before the point with commas.

    >>> short(0.12345), short(12345.6)
    ('0.123', '12,346')
    """
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"


def short_range(values: ArrayLike) -> str:
    """The least and the largest of the values, or the one that they all are.

    >>> short_range([3, 1, 2]), short_range([2, 2])
    ('1 to 3', '2')
    """
    low, high = short(np.min(values)), short(np.max(values))
    return low if low == high else f"{low} to {high}"
