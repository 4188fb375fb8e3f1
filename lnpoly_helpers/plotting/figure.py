"""The figure that all pictures are drawn in: one style, no global state, its own words beside it."""

import base64
import functools
import gzip
import io
import itertools
import re
import textwrap
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from PIL import Image

from .style import figure_style, on_dark

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
    hues : dict
        The hue of each pattern that has a colour of its own, by its bytes: the same in all panels.

    Notes
    -----
    The picture has two pixels for each that it takes on the screen. Its metadata have the words ("alt"), the size on
    the screen ("width", "height"), its panels, if each can stand alone ("panels": the "box" x, y, width, height, and
    the "alt" of each), and, where it is smaller, the same picture as SVG, which follows the reader's light or dark
    ground ("svg": by gzip, in base64).

    See Also
    --------
    new_figure : makes one, with its axes.

    Examples
    --------
    >>> figure, ax = new_figure()
    >>> figure.alt = "An empty picture."
    >>> data, metadata = figure._repr_mimebundle_()
    >>> sorted(data), metadata["image/png"]["alt"], metadata["image/png"]["width"]
    (['image/png', 'text/plain'], 'An empty picture.', 583)
    """

    alt: str = ""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.hues: dict[bytes, float] = {}
        self.said: list[tuple[Axes, str]] = []  # what each panel added to the text

    def _repr_mimebundle_(self, include: object = None, exclude: Collection[str] | None = None) -> tuple[dict, dict]:
        with matplotlib.rc_context(_SETTINGS), self._arranged():
            png = self._png()
            panels = self._panels()
            # an image would not follow the ground, and what is drawn upon it would; a mesh is an image of rectangles
            imaged = any(ax.images or any(isinstance(c, QuadMesh) for c in ax.collections) for ax in self.axes)
            packed = b"" if imaged or "image/svg+xml" in (exclude or ()) else self._svg()
        about: dict[str, Any] = {"alt": self.alt, "width": round(self.bbox.width), "height": round(self.bbox.height)}
        if panels:
            about["panels"] = panels
        if 0 < len(packed) < len(png):
            about["svg"] = base64.b64encode(packed).decode()
        data = {"image/png": base64.b64encode(png).decode(), "text/plain": self.alt}
        return data, {"image/png": about}

    @contextmanager
    def _arranged(self) -> Iterator[None]:
        """While this holds, panels stay in their places: found once, not again for each size and kind of file.

        A place changes its panel's ticks, and they the room that they need, until that settles.
        """
        engine, dpi = self.get_layout_engine(), self.dpi
        if engine is None:
            yield
            return
        try:
            self.dpi = 2 * dpi  # as it is drawn: letters are not quite as wide at another size
            for _ in range(4):  # not until places stay: titles of panels with a fixed aspect move between such rounds
                engine.execute(self)
            self.dpi = dpi
            self.set_layout_engine(None)
            yield
        finally:
            self.dpi = dpi
            self.set_layout_engine(engine)

    def _png(self) -> bytes:
        """The picture as PNG, with two pixels for each of the screen."""
        drawn, png = io.BytesIO(), io.BytesIO()
        self.savefig(drawn, format="png", dpi=2 * self.dpi, pil_kwargs={"compress_level": 0})
        image = Image.open(drawn).convert("RGB")
        # 256 colours hold all that is drawn here; half the bytes. Level 9 takes five times as long for 6 % less
        image.quantize(256, dither=Image.Dither.NONE).save(png, "PNG", compress_level=7)
        return png.getvalue()

    def _panels(self) -> list[dict[str, Any]]:
        """Where each panel is, in pixels of the screen from the top left corner, and its part of the text.

        None at all, unless each can stand alone.
        """
        axes = [ax for ax in self.axes if ax.axison or ax.has_data()]
        places: list[Any] = [ax.get_subplotspec() for ax in axes]
        if len(axes) < 2 or self.legends or self.get_suptitle() or self.subfigs or not all(places):
            return []
        if [ax for ax, _ in self.said] != axes or _joined(self.said) != self.alt:
            return []
        boxes: list[Any] = [ax.get_tightbbox() for ax in axes]
        width, height = self.bbox.size
        columns = _cut([(place.colspan.start, box.x0, box.x1) for place, box in zip(places, boxes, strict=True)], width)
        rows = _cut(
            [(place.rowspan.start, height - box.y1, height - box.y0) for place, box in zip(places, boxes, strict=True)],
            height,
        )
        found = []
        for place, (_, text) in zip(places, self.said, strict=True):
            (left, right), (top, bottom) = columns[place.colspan.start], rows[place.rowspan.start]
            found.append({"box": [left, top, right - left, bottom - top], "alt": text})
        return found

    def _svg(self) -> bytes:
        """The picture as SVG, by gzip, without a ground and in colours that follow the reader's light or dark one."""
        drawn = io.StringIO()
        self.savefig(drawn, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
        text = re.sub(r"<metadata>.*?</metadata>\s*", "", drawn.getvalue(), flags=re.DOTALL)
        text = re.sub(r"<(!DOCTYPE|\?xml)[^>]*>\s*", "", text)
        names = {color: f"--c{k}" for k, color in enumerate(dict.fromkeys(re.findall(r"#[0-9a-f]{6}(?=[;\"])", text)))}
        light = "".join(f"{name}:{color};" for color, name in names.items())
        dark = "".join(f"{name}:{on_dark(color)};" for color, name in names.items())
        text = re.sub(r"#[0-9a-f]{6}(?=[;\"])", lambda found: f"var({names[found[0]]})", text)
        # these follow the last digit of some place, which differs between processors
        ids = {name: f"n{k}" for k, name in enumerate(dict.fromkeys(re.findall(r'id="([mp][0-9a-f]{10})"', text)))}
        text = re.sub(r"\b[mp][0-9a-f]{10}\b", lambda found: ids.get(found[0], found[0]), text)
        style = f"<style>:root{{{light}}}@media(prefers-color-scheme:dark){{:root{{{dark}}}}}</style>"
        text = re.sub(r"(<svg[^>]*>)", lambda found: found[0] + style, text, count=1)
        text = re.sub(r"(?<!scale\()-?\d+\.\d{3,}", lambda found: f"{float(found[0]):.2f}", text)
        return gzip.compress(re.sub(r"\n\s*", "\n", text).encode(), 9, mtime=0)


def _cut(spans, size):
    """{number: (begin, end)} of pieces of a length, cut in the middle between what has one number and what the next.

    >>> _cut([(0, 5, 40), (1, 50, 90), (0, 10, 44)], 100)
    {0: (0, 47), 1: (47, 100)}
    """
    numbers = sorted({number for number, _, _ in spans})
    begins = [min(begin for number, begin, _ in spans if number == one) for one in numbers]
    ends = [max(end for number, _, end in spans if number == one) for one in numbers]
    between = [round((end + begin) / 2) for end, begin in zip(ends, begins[1:], strict=False)]
    return dict(zip(numbers, itertools.pairwise([0, *between, round(size)]), strict=True))


@styled
def new_figure(width: float = 5.3, height: float = 3.6, **subplots: Any) -> tuple[LabelledFigure, Any]:
    """A figure of the series and its axes, outside pyplot: nothing global, nothing to close.

    Parameters
    ----------
    width, height : float
        Inches. At a width of 5.3 words stay readable on a phone; panels that stand alone are shown one below the other.
    **subplots
        For `matplotlib.figure.Figure.subplots`: ``nrows``, ``ncols``, ``subplot_kw`` ...

    Returns
    -------
    figure : LabelledFigure
    axes : matplotlib.axes.Axes, or an array of them

    See Also
    --------
    LabelledFigure : what it makes; every ``plot_...`` takes one of its axes.

    Examples
    --------
    >>> figure, axes = new_figure(9, 3, ncols=3)
    >>> axes.shape
    (3,)
    """
    figure = LabelledFigure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(**subplots)
    for ax in np.ravel(axes):
        ax.tick_params(labelleft=True, labelbottom=True)  # where scales are shared as well: a panel may stand alone
    return figure, axes


def axes_or_new(ax: _Axes | None, **kwargs: Any) -> _Axes:
    """The axes that the caller gave, else those of a `new_figure`."""
    return new_figure(**kwargs)[1] if ax is None else ax


def describe(ax: Axes, text: str, title: str = "") -> Figure:
    """Add a panel's description to its figure's alternative text; returns the figure."""
    figure = ax.figure.figure  # for axes of a subfigure the whole one, which has the words
    if isinstance(figure, LabelledFigure):
        ours = figure.alt == _joined(figure.said)  # else somebody has said it otherwise
        figure.said.append((ax, f"{title + ': ' if title else ''}{text}"))
        figure.alt = _joined(figure.said) if ours else f"{figure.alt} {figure.said[-1][1]}"
    return figure


def _joined(said):
    """What panels say, one after the other: without what lies between their ends where that is too long."""
    text = " ".join(text for _, text in said)
    return text if len(text) <= 400 else re.sub(r", (lowest|highest) [-−]?\d[\d,.e+−-]*(?<=\d)", "", text)


def entitle(ax: Axes, title: str, pad: float | None = None) -> None:
    """Write a panel's title, in as many lines as its width needs."""
    place = ax.get_subplotspec()
    columns = place.get_gridspec().ncols if place else 1
    ax.set_title(wrapped(title, ax.figure.bbox.width / ax.figure.figure.dpi / columns - 0.4), pad=pad)


def hues(ax: Axes) -> dict[bytes, float]:
    """The hues that patterns have in the figure of these axes: a pattern has one colour in all its panels."""
    figure = ax.figure.figure
    return figure.hues if isinstance(figure, LabelledFigure) else {}


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
    return textwrap.fill(title, int(width / 0.1), break_on_hyphens=False)


def short(number: float, digits: int = 3) -> str:
    """A number as readers like it: three digits, or all before the point with commas.

    >>> short(0.12345), short(12345.6)
    ('0.123', '12,346')
    """
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.{digits}g}"


def short_range(values: ArrayLike, digits: int = 3) -> str:
    """The least and the largest of the values, or the one that they all are.

    >>> short_range([3, 1, 2]), short_range([2, 2])
    ('1 to 3', '2')
    """
    low, high = short(np.min(values), digits), short(np.max(values), digits)
    return low if low == high else f"{low} to {high}"


def short_ranges(panels: Mapping[str, Mapping[str, ArrayLike]]) -> str:
    """The ranges of all series of some panels, {panel: {series: values}}, in as few words as tell them.

    The series are named once, so there are no such words, "", for panels that do not all have the same ones.

    >>> short_ranges({"on": {"trained": [0.123, 0.5], "matched": [1]}, "off": {"trained": [0, 2], "matched": [3]}})
    'trained and matched: on 0.12 to 0.5 and 1; off 0 to 2 and 3'
    """
    series = {tuple(panel) for panel in panels.values()}
    if len(series) != 1:
        return ""
    found = {name: " and ".join(short_range(v, 2) for v in panel.values()) for name, panel in panels.items()}
    return f"{' and '.join(*series)}: {'; '.join(f'{name} {ranges}' for name, ranges in found.items())}"
