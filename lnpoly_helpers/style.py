"""Colours and sizes of every figure, as plain values: no figure is drawn here and no global state is changed."""

import numpy as np

# Okabe and Ito's palette, safe for colour-blind readers (Wong 2011, Nature Methods 8:441)
BLUE, VERMILION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY, YELLOW = "#E69F00", "#56B4E9", "#F0E442"
INK, GREY, PALE = "#222222", "#777777", "#DDDDDD"

# what is compared side by side keeps its colour and its marker, so that print without colour can be read
SERIES = [(BLUE, "o", "-"), (VERMILION, "s", "--"), (GREEN, "^", "-."), (PURPLE, "D", ":")]

_REGIONS = [ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILION, PURPLE]


def figure_style():
    """Matplotlib settings of the series, for ``with matplotlib.rc_context(figure_style())``."""
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


def color_index(pattern):
    """A colour number from 0 to 6 for each activation pattern, bool [..., m]: int [...].

    The sum of 1 + (i mod 6) over the neurons that are on, mod 7. It depends on the pattern alone, so a region keeps
    its colour in every figure; and one flipped neuron always changes it, so regions that touch never share one.
    """
    pattern = np.asarray(pattern, dtype=bool)
    # as floats: BLAS is quick and these sums are exact
    return (pattern.astype(np.float64) @ color_steps(pattern.shape[-1]).astype(np.float64)).astype(np.int64) % 7


def color_steps(n_neurons):
    """What each neuron adds to the `color_index` while it is on, int [n_neurons]."""
    return 1 + np.arange(n_neurons) % 6


def region_colors(pattern, strength=0.55):
    """RGB of each pattern's region [..., 3], mixed with white: strength 1 is the full colour."""
    return index_colors(color_index(pattern), strength)


def index_colors(index, strength=0.55):
    """RGB [..., 3] of colour numbers 0 to 6 [...]."""
    full = np.array([[int(color[k : k + 2], 16) / 255 for k in (1, 3, 5)] for color in _REGIONS])
    return (1 - strength * (1 - full))[index]


def bits(pattern):
    """A pattern as text, neuron 0 first: ``"101"``."""
    return "".join("1" if on else "0" for on in pattern)
