"""Colours and sizes of every figure, as plain values: no figure is drawn here and no global state is changed."""

from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

# Okabe and Ito's palette, safe for colour-blind readers (Wong 2011, Nature Methods 8:441)
BLUE, VERMILION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY, YELLOW = "#E69F00", "#56B4E9", "#F0E442"
INK, GREY, PALE = "#222222", "#777777", "#DDDDDD"


class Role(NamedTuple):
    """What one thing looks like in every figure and explorer: its colour on light and on dark ground, marker and line.

    >>> ROLES["z"].light
    '#C75000'
    """

    light: str
    dark: str
    marker: str = "o"
    line: Any = "-"


# One thing has one colour, whatever stands beside it. What is a line, a mark or a word has 4.5 : 1 against white and
# against the dark ground of the site; a network also has its marker, since no nine such colours differ for all readers.
ROLES = {
    "x": Role("#0072B2", "#6CBBEE"),  # a residual vector
    "z": Role("#C75000", "#FF9B63", "D"),  # what the norm makes of it
    "ones": Role("#00805C", "#4CCBA5", line=(0, (4, 3))),  # the all-ones direction
    "boundary": Role("#222222", "#DFE3E6"),
    "visited": Role("#A9C3D8", "#4A6A86"),  # fills: regions that the circle or a path meets, and those that it does not
    "unvisited": Role("#ECEEEA", "#20262D"),
    "even": Role("#DCE7F0", "#2A3A49"),  # fills: two tones for more than 16 patterns, by the number of neurons on;
    "odd": Role("#7FA3C4", "#6F9CC6"),  # neighbours always differ
    "nano-ln-relu": Role("#5B4FB3", "#B5A9F5", "o"),
    "nano-ln-gelu": Role("#A8478A", "#F0A0D2", "s"),
    "nano-rms-relu": Role("#00788A", "#5CCBDD", "^"),
    "nano-none-relu": Role("#A3333D", "#FF9AA0", "X"),
    "MiniLM": Role("#4A7A1E", "#A5D06A", "v"),
    "SmolLM2": Role("#7A4A1E", "#D9A97C", "P"),
    "GPT-2": Role("#3A4A5C", "#C5D2DF", "*"),
    "matched layer": Role("#946300", "#E8B84A", "s", "--"),  # what a random layer like it does
    "closed form": Role("#6B7280", "#A3ADB6", "", (0, (5, 3))),  # mathematics, and what others have published
}

# what is compared side by side keeps its colour and its marker, so that print without colour can be read
SERIES = [(BLUE, "o", "-"), (VERMILION, "s", "--"), (GREEN, "^", "-."), (PURPLE, "D", ":")]

# what a measurement is compared with: grey, without marks
REFERENCES = [(0, (5, 3)), (0, (1, 1.5))]

_REGIONS = [ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILION, PURPLE]


def figure_style() -> dict[str, Any]:
    """Matplotlib settings of the series, for ``with matplotlib.rc_context(figure_style())``.

    Returns
    -------
    dict
        A new one in each call.

    See Also
    --------
    lnpoly_helpers.plotting.new_figure : a figure that has them.

    >>> figure_style()["figure.facecolor"]
    'white'
    """
    return {
        "figure.facecolor": "white",  # readable in dark notebooks too
        "savefig.facecolor": "white",
        "figure.dpi": 110,
        "font.size": 10,
        "axes.titlesize": 11,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.titley": 1.0,  # where it is anyway; else matplotlib measures every tick label to find out
        "axes.labelsize": 10,
        "axes.edgecolor": GREY,
        "axes.labelcolor": INK,
        "text.color": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "legend.frameon": False,
        "lines.linewidth": 1.6,
    }


def series_styles(names: Collection[str], argument: str, thing: str = "curves") -> list[tuple[str, str, str]]:
    """A colour, marker and line for each of a few things that are compared side by side.

    Parameters
    ----------
    names : collection of str
        What they are called, in order.
    argument : str
        What the caller calls them all, and ``thing`` what they are, for the message.

    Returns
    -------
    list of (color, marker, line)
        The first ``len(names)`` of `SERIES`.

    Raises
    ------
    ValueError
        There are more of them than styles: two would look the same, or one be left out.

    >>> series_styles(["a", "b"], "series")
    [('#0072B2', 'o', '-'), ('#D55E00', 's', '--')]
    """
    at_most(len(SERIES), names, argument, thing)
    return SERIES[: len(names)]


def reference_lines(names: Collection[str], argument: str) -> dict[str, Any]:
    """Each reference's kind of line; a ValueError if there are more of them than can be told apart.

    >>> list(reference_lines(["law"], "references"))
    ['law']
    """
    at_most(len(REFERENCES), names, argument, "references")
    return dict(zip(names, REFERENCES, strict=False))  # there may be fewer


def at_most(n: int, names: Collection[str], argument: str, thing: str) -> None:
    """Refuse more things in one picture than can be told apart in it.

    Raises
    ------
    ValueError
        There are more than n names.

    >>> at_most(2, ["a", "b"], "panels", "references")
    """
    if len(names) > n:
        raise ValueError(
            f"{argument}: expected at most {n} {thing}, as many as can be told apart, got {len(names)} "
            f"({', '.join(names)}). Draw the others in a figure of their own."
        )


def color_index(pattern: ArrayLike) -> np.ndarray | np.int64:
    """A colour number from 0 to 6 for each activation pattern: the sum of 1 + (i mod 6) over the neurons on, mod 7.

    It depends on the pattern alone, so a region keeps its colour in every figure; and one flipped neuron always changes
    it, so regions that touch never share one.

    Parameters
    ----------
    pattern : bool [..., m]

    Returns
    -------
    int64 [...]

    See Also
    --------
    region_colors : the colours themselves.

    >>> color_index([[False, False], [True, False], [True, True]])
    array([0, 1, 3])
    """
    pattern = np.asarray(pattern, dtype=bool)
    # as floats: BLAS is quick and these sums are exact
    return (pattern.astype(np.float64) @ color_steps(pattern.shape[-1]).astype(np.float64)).astype(np.int64) % 7


def color_steps(n_neurons: int) -> np.ndarray:
    """What each neuron adds to the `color_index` while it is on, int64 [n_neurons].

    >>> color_steps(8)
    array([1, 2, 3, 4, 5, 6, 1, 2])
    """
    return 1 + np.arange(n_neurons) % 6


def region_colors(pattern: ArrayLike, strength: float = 0.55) -> np.ndarray:
    """The colour of each pattern's region, mixed with white.

    Parameters
    ----------
    pattern : bool [..., m]
    strength : float
        From 0, white, to 1, the full colour.

    Returns
    -------
    float64 [..., 3]
        RGB, each from 0 to 1.

    See Also
    --------
    color_index : which of the seven colours it is.

    >>> region_colors([False, True], strength=0).tolist()
    [1.0, 1.0, 1.0]
    """
    return index_colors(color_index(pattern), strength)


def index_colors(index: ArrayLike, strength: float = 0.55) -> np.ndarray:
    """RGB of colour numbers 0 to 6 [...], mixed with white as in `region_colors`: float64 [..., 3].

    >>> index_colors([0, 5], strength=1).round(2).tolist()
    [[0.9, 0.62, 0.0], [0.84, 0.37, 0.0]]
    """
    full = np.array([[int(color[k : k + 2], 16) / 255 for k in (1, 3, 5)] for color in _REGIONS])
    return (1 - strength * (1 - full))[np.asarray(index)]


def bits(pattern: ArrayLike) -> str:
    """One pattern, bool [m], as text, neuron 0 first.

    >>> bits([True, False, True])
    '101'
    """
    return "".join("1" if on else "0" for on in np.asarray(pattern))
