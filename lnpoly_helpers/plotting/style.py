"""Colours and sizes of every figure, as plain values: no figure is drawn here and no global state is changed."""

from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

INK, GREY, PALE = "#222222", "#6B6B6B", "#DDDDDD"


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
    "even": Role("#C9DAE8", "#44698A"),  # fills: two tones for more than 16 patterns, by the number of neurons on;
    "odd": Role("#7FA3C4", "#22364A"),  # neighbours always differ
    "nano-ln-relu": Role("#5B4FB3", "#B5A9F5", "o"),
    "nano-ln-gelu": Role("#A8478A", "#F0A0D2", "s"),
    "nano-rms-relu": Role("#00788A", "#5CCBDD", "^"),
    "nano-none-relu": Role("#A3333D", "#FF9AA0", "X"),
    "MiniLM": Role("#4A7A1E", "#A5D06A", "v"),
    "SmolLM2": Role("#7A4A1E", "#D9A97C", "P"),
    "GPT-2": Role("#3A4A5C", "#C5D2DF", "*"),
    "matched layer": Role("#946300", "#E8B84A", "s", "--"),  # what a random layer like it does
    "closed form": Role("#6B7280", "#A3ADB6", "", (0, (5, 3))),  # mathematics, and what others have published
    "trained": Role("#20639B", "#7FB2E5", "o"),  # a trained layer beside what is made of it
    "W_out random": Role("#8A4FA3", "#D3A5EA", "x", "-."),
    "change": Role("#1F2328", "#E6EAEE", "o", "-"),  # of the output along a turn, and its two parts
    "tangent part": Role("#1769AA", "#79BDF2", "s", "--"),
    "rest": Role("#B54708", "#FDA66B", "^", "-."),
    # what has no role of its own, in the order in which it comes
    "first": Role("#1B6FB5", "#7DBCF5", "o", "-"),
    "second": Role("#B84A00", "#FFA066", "s", "--"),
    "third": Role("#077D5B", "#50CDA8", "^", "-."),
    "fourth": Role("#9C4585", "#EBA3D2", "D", ":"),
}

# what is compared side by side keeps its colour and its marker, so that print without colour can be read
SERIES = [(role.light, role.marker, role.line) for role in list(ROLES.values())[-4:]]

# what a curve is called, and the role of what it is called so
_ROLE_OF = {name.lower(): name for name in list(ROLES)[list(ROLES).index("nano-ln-relu") : -4]}
_ROLE_OF |= {"this layer": "trained", "matched": "matched layer", "output moved": "change", "first map": "tangent part"}
_ROLE_OF |= {"with layernorm": "nano-ln-relu", "no norm": "nano-none-relu"}

# what a measurement is compared with: grey, without marks
REFERENCES = [(0, (5, 3)), (0, (1, 1.5))]


def figure_style() -> dict[str, Any]:
    """Matplotlib settings of the series, for ``with matplotlib.rc_context(figure_style())``.

    Returns
    -------
    dict
        A new one in each call.

    See Also
    --------
    lnpoly_helpers.plotting.new_figure : a figure that has them.

    Examples
    --------
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
        "svg.hashsalt": "lnpoly",  # else names within the file are random
    }


def series_styles(names: Collection[str], argument: str, thing: str = "curves") -> list[tuple[str, str, Any]]:
    """A colour, marker and line for each of a few things that are compared side by side.

    What has a role (a network, a matched layer ...) has that role's look in every figure; others get one of `SERIES`,
    if possible with a marker and line that no earlier one has, as colour alone does not tell them apart for everyone.

    Parameters
    ----------
    names : collection of str
        What they are called, in order.
    argument : str
        What the caller calls them all, and ``thing`` what they are, for the message.

    Returns
    -------
    list of (color, marker, line)

    Raises
    ------
    ValueError
        There are more of them than styles: two would look the same, or one be left out.

    Examples
    --------
    >>> series_styles(["a", "minilm"], "series")
    [('#1B6FB5', 'o', '-'), ('#4A7A1E', 'v', '-')]
    >>> [marker for _, marker, _ in series_styles(["nano-ln-relu", "nano-ln-relu, planted plateau"], "series")]
    ['o', 's']
    """
    at_most(len(SERIES), names, argument, thing)
    found: list[tuple[str, str, Any]] = []
    for name in names:
        role = role_of(name)
        own = [] if role is None else [(role.light, role.marker, role.line)]
        others = sorted(SERIES, key=lambda one: one[1:] in [before[1:] for before in found])  # stable
        found.append(next(one for one in own + others if one not in found))
    return found


def role_of(name: str) -> Role | None:
    """The role of what a name names: the longest that stands in it, whatever the case; None if there is none.

    >>> role_of("minilm, layer 0") == ROLES["MiniLM"], role_of("speed")
    (True, None)
    """
    said = [key for key in _ROLE_OF if key in name.lower()]
    return ROLES[_ROLE_OF[max(said, key=len)]] if said else None


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

    Examples
    --------
    >>> at_most(2, ["a", "b"], "panels", "references")
    """
    if len(names) > n:
        raise ValueError(
            f"{argument}: expected at most {n} {thing}, as many as can be told apart, got {len(names)} "
            f"({', '.join(names)}). Draw the others in a figure of their own."
        )


# Fills of patterns in OKLCH, in which equal steps of lightness look equal (Ottosson 2020): (lightness, chroma) for an
# even and for an odd number of neurons on, the most chroma that every hue has there, on light and on dark ground.
# On both an odd number is the darker one.
FILLS = {"light": ((0.82, 0.085), (0.65, 0.105)), "dark": ((0.49, 0.08), (0.36, 0.06))}
MANY = 16  # so many patterns have a colour each
TONES = "darker: an odd number of neurons on"  # what the two tones of more patterns say

_TO_CONES = np.array(
    [[1, 0.3963377774, 0.2158037573], [1, -0.1055613458, -0.0638541728], [1, -0.0894841775, -1.291485548]]
)
_TO_RGB = np.array([[4.0767416621, -3.3077115913, 0.2309699292], [-1.2684380046, 2.6097574011, -0.3413193965],
                    [-0.0041960863, -0.7034186147, 1.707614701]])  # fmt: skip


def pattern_colors(patterns: ArrayLike, angles: ArrayLike, known: dict[bytes, float] | None = None) -> list[str]:
    """A fill for each of a few distinct activation patterns: hue by the angle of its place, lightness by its parity.

    The patterns with an even number of neurons on are light and have hues spread evenly, in the order of their angles
    and turned so that hue and angle agree as well as they can; those with an odd number are dark and spread likewise.
    Regions that touch differ in one neuron, so they always differ in lightness, for readers without colour, too.

    Parameters
    ----------
    patterns : bool [n, m]
    angles : array_like [n]
        Radians: the middle of the pattern's first arc, or where its region lies.
    known : dict, optional
        Hues of patterns that have one already, by their bytes; those of the others are added.

    Returns
    -------
    list of str
        Colours as ``"#RRGGBB"``.

    See Also
    --------
    tones : for more than 16 patterns.

    Examples
    --------
    >>> pattern_colors([[False, False], [True, False], [True, True]], [0, 1, np.pi])
    ['#F3ADC2', '#BF7E4B', '#83D7C6']
    """
    patterns, angles = np.asarray(patterns, dtype=bool), np.asarray(angles, dtype=float)
    known = {} if known is None else known
    odd = patterns.sum(axis=1) % 2
    for parity in (0, 1):
        taken = [hue for key, hue in known.items() if np.frombuffer(key, dtype=bool).sum() % 2 == parity]
        new = [k for k in np.flatnonzero(odd == parity) if patterns[k].tobytes() not in known]
        if not taken:
            known |= {patterns[k].tobytes(): hue for k, hue in zip(new, _spread(angles[new]), strict=True)}
            continue
        for k in new:  # into the widest gap
            ends = np.sort(taken)
            gaps = np.diff(np.append(ends, ends[0] + 2 * np.pi))
            taken.append(float((ends + gaps / 2)[gaps.argmax()] % (2 * np.pi)))
            known[patterns[k].tobytes()] = taken[-1]
    return [_fill("light", p, known[pattern.tobytes()]) for pattern, p in zip(patterns, odd, strict=True)]


def _spread(angles):
    """Hues as far apart as they can be, in the order of the angles, as near to them as a common turn brings them."""
    n = len(angles)
    steps = 2 * np.pi * np.argsort(np.argsort(angles % (2 * np.pi), kind="stable")) / max(n, 1)
    turn = np.angle(np.sum(np.exp(1j * (angles - steps))))
    return ((steps + turn) % (2 * np.pi)).tolist()


def tones(n_on: ArrayLike) -> np.ndarray:
    """The two fills of more than 16 patterns, by the number of neurons on [...]: the role "even" or "odd".

    >>> tones([2, 3]).tolist()
    ['#C9DAE8', '#7FA3C4']
    """
    return np.array([ROLES["even"].light, ROLES["odd"].light])[np.asarray(n_on, dtype=int) % 2]


def on_dark(color: str) -> str:
    """What a colour of the figures becomes on dark ground: a role's other value, a fill's, or a grey turned round.

    >>> on_dark(ROLES["x"].light), on_dark("#FFFFFF"), on_dark(INK)
    ('#6CBBEE', '#15191E', '#DFE3E6')
    """
    color = color.upper()
    for role in ROLES.values():
        if role.light == color:
            return role.dark
    lightness, chroma, hue = _to_oklch(color)
    if chroma < 0.02:
        return "#15191E" if color == "#FFFFFF" else _oklch(0.21 + 0.93 * (1 - lightness), 0, 0)
    return _fill("dark", int(lightness < 0.73), hue)


def _fill(ground, parity, hue):
    """The fill of a pattern whose number of neurons on has this parity."""
    lightness, chroma = FILLS[ground][parity]
    return _oklch(lightness, chroma, hue)


def _oklch(lightness, chroma, hue):
    """A colour of OKLCH as "#RRGGBB"; hue in radians."""
    lab = np.array([lightness, chroma * np.cos(hue), chroma * np.sin(hue)])
    linear = np.clip(_TO_RGB @ (_TO_CONES @ lab) ** 3, 0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return "#" + "".join(f"{round(255 * channel):02X}" for channel in encoded)


def _to_oklch(color):
    """Lightness, chroma and hue, in radians, of "#RRGGBB"."""
    encoded = np.array([int(color[k : k + 2], 16) for k in (1, 3, 5)]) / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    lightness, a, b = np.linalg.solve(_TO_CONES, np.cbrt(np.linalg.solve(_TO_RGB, linear)))
    return lightness, np.hypot(a, b), np.arctan2(b, a)


def bits(pattern: ArrayLike) -> str:
    """One pattern, bool [m], as text, neuron 0 first.

    >>> bits([True, False, True])
    '101'
    """
    return "".join("1" if on else "0" for on in np.asarray(pattern))
