"""The colours: what is told apart by them can be told apart."""

import numpy as np
import pytest

from lnpoly_helpers.plotting import style

FILLS = ("visited", "unvisited", "even", "odd")


def luminance(color):
    """Relative luminance of sRGB, as in the contrast of WCAG 2.2."""
    channels = np.array([int(color[k : k + 2], 16) / 255 for k in (1, 3, 5)])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def contrast(one, other):
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("name", [name for name in style.ROLES if name not in FILLS])
def test_a_role_can_be_read_on_light_and_on_dark_ground(name):
    assert contrast(style.ROLES[name].light, "#FFFFFF") >= 4.5
    assert contrast(style.ROLES[name].dark, "#15191E") >= 4.5


def test_no_two_roles_share_a_colour():
    for colors in ([role.light for role in style.ROLES.values()], [role.dark for role in style.ROLES.values()]):
        assert len(set(colors)) == len(style.ROLES)


def test_the_contrast_is_that_of_its_definition():
    assert contrast("#000000", "#FFFFFF") == pytest.approx(21)
    assert contrast("#777777", "#FFFFFF") == pytest.approx(4.48, abs=0.005)  # a known value


def fill(lightness, chroma, degrees):
    """A colour of OKLCH as "#RRGGBB", by the two steps of its definition (Ottosson 2020)."""
    a, b = chroma * np.cos(np.radians(degrees)), chroma * np.sin(np.radians(degrees))
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    middle = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    linear = [
        4.0767416621 * long - 3.3077115913 * middle + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * middle - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * middle + 1.7076147010 * short,
    ]
    assert -0.001 < min(linear) and max(linear) < 1.001, "every hue can be shown"
    channels = [12.92 * v if v <= 0.0031308 else 1.055 * v ** (1 / 2.4) - 0.055 for v in np.clip(linear, 0, 1)]
    return "#" + "".join(f"{round(255 * channel):02X}" for channel in channels)


@pytest.mark.parametrize("n", [1, 2, 7, 16])
def test_hues_are_spread_evenly_by_angle_and_lightness_is_parity(n, rng):
    angles = rng.uniform(-np.pi, np.pi, size=n)
    even = np.zeros((n, 40), dtype=bool)
    even[:, :-1] = rng.random((n, 39)) < 0.5
    even[:, -1] = even.sum(axis=1) % 2
    known = {}
    found = style.pattern_colors(even, angles, known)
    hues = np.array([known[pattern.tobytes()] for pattern in even])
    order = np.argsort(angles % (2 * np.pi))
    np.testing.assert_allclose(np.sin((np.diff(hues[order]) - 2 * np.pi / n) / 2), 0, atol=1e-9)
    apart = np.mean(np.cos(hues - angles))  # no other turn of the hues is nearer to the angles
    assert all(apart >= np.mean(np.cos(hues + turn - angles)) - 1e-12 for turn in np.linspace(0, 6, 50))
    assert found == [fill(0.82, 0.085, np.degrees(hue)) for hue in hues]
    odd = even.copy()
    odd[:, 0] ^= True
    assert style.pattern_colors(odd, angles) == [fill(0.65, 0.105, np.degrees(hue)) for hue in hues]
    assert style.pattern_colors(even[::-1], rng.uniform(size=n), known) == found[::-1]  # whatever the angle now is


def test_a_pattern_that_comes_later_takes_the_widest_gap():
    known = {}
    patterns = np.array([[0, 0, 0], [1, 1, 0], [0, 1, 1], [1, 0, 1]], dtype=bool)
    style.pattern_colors(patterns[:3], [0, 1, 2], known)
    before = dict(known)
    assert len({*style.pattern_colors(patterns, [0, 1, 2, 3], known)}) == 4
    new = known.pop(patterns[3].tobytes())
    assert known == before and np.abs(np.sin((np.array([*known.values()]) - new) / 2)).min() > 0.49


# Vienot, Brettel and Mollon 1999: linear RGB as a deuteranope sees it
DEUTERANOPE = np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]])
EYE = np.eye(3)  # as everybody else does
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def lab(color, seen=EYE):
    """CIE L*a*b* of "#RRGGBB", as somebody sees it."""
    encoded = np.array([int(color[k : k + 2], 16) / 255 for k in (1, 3, 5)])
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    share = TO_XYZ @ seen @ linear / [0.9505, 1, 1.089]
    x, y, z = np.where(share > 216 / 24389, np.cbrt(share), (24389 / 27 * share + 16) / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def apart(one, other, seen=EYE, channels=3):
    """How different two colours look: 2.3 can just be seen; of lightness alone for one channel."""
    return np.linalg.norm((lab(one, seen) - lab(other, seen))[:channels])


def test_that_distance_is_one_of_its_definition():
    assert apart("#000000", "#FFFFFF") == pytest.approx(100, abs=0.01)
    assert lab("#FF0000") == pytest.approx([53.2, 80.1, 67.2], abs=0.2)
    assert apart("#777777", "#808080", channels=1) == pytest.approx(3.6, abs=0.2)
    green, red = "#7A9A30", "#B88540"  # one hue to a deuteranope
    assert apart(green, red) > 25 > 15 > apart(green, red, DEUTERANOPE)


@pytest.mark.parametrize("ground", ["light", "dark"])
def test_regions_that_touch_differ_in_grey_and_for_colour_blind_readers(ground, rng):
    """Whatever hues they have: neighbours are of unlike parity; and those that are pale differ from all."""
    hues = rng.uniform(0, 2 * np.pi, size=(40, 2))
    pairs = [style.pattern_colors([[False], [True]], [0, 0], {b"\0": one, b"\1": other}) for one, other in hues]
    pairs.append(style.tones([0, 1]).tolist())
    pale = style.ROLES["unvisited"].light
    if ground == "dark":
        pairs, pale = [[style.on_dark(color) for color in pair] for pair in pairs], style.on_dark(pale)
    for even, odd in pairs:
        for seen in (EYE, DEUTERANOPE):
            assert lab(even, seen)[0] - lab(odd, seen)[0] > 8
            assert apart(even, odd, seen) > 8
        assert min(apart(even, pale, channels=1), apart(odd, pale, channels=1)) > 4


def test_sixteen_patterns_of_a_circle_have_sixteen_colours_that_differ():
    arcs = np.tril(np.ones((9, 8), dtype=bool), -1)
    patterns = np.concatenate([arcs, ~arcs[1:-1]])  # neurons switch on one by one, and off again
    assert len(np.unique(patterns, axis=0)) == 16
    found = style.pattern_colors(patterns, np.arange(16) * np.pi / 8)
    assert min(apart(a, b) for k, a in enumerate(found) for b in found[:k]) > 8
    assert min(apart(a, b, channels=1) for a, b in zip(found, found[1:], strict=False)) > 8


def test_every_colour_has_its_dark_one():
    for role in style.ROLES.values():
        assert style.on_dark(role.light) == role.dark
    assert contrast(style.on_dark(style.INK), style.on_dark("#FFFFFF")) > 12
    assert contrast(style.on_dark(style.GREY), "#15191E") > 4.5
    for even, odd in [style.pattern_colors([[False], [True]], [0, 0], {b"\0": h, b"\1": h}) for h in range(6)]:
        for color in (even, odd):  # bits are read on both grounds
            assert contrast(style.INK, color) > 4.5 < contrast(style.on_dark(style.INK), style.on_dark(color))


def test_a_name_has_the_role_that_it_names():
    assert style.role_of("minilm, layer 0") is style.ROLES["MiniLM"]
    assert style.role_of("matched") is style.role_of("the matched layer") is style.ROLES["matched layer"]
    assert style.role_of("speed") is None
    first, second = style.series_styles(["minilm, layer 0", "minilm, layer 1"], "series")
    assert first[0] == style.ROLES["MiniLM"].light and second == style.SERIES[0]  # two never look the same


def test_the_styles_of_curves_differ_in_colour_in_marker_and_in_line():
    assert all(len(set(channel)) == len(style.SERIES) == 4 for channel in zip(*style.SERIES, strict=True))
    assert style.series_styles(["a", "b", "c"], "series") == style.SERIES[:3]
    with pytest.raises(ValueError, match=r"^series: expected at most 4 curves, .* got 5 \(a, b, c, d, e\)\. Draw "):
        style.series_styles("abcde", "series")


def test_bits_begin_with_neuron_0():
    assert style.bits([True, False, False]) == style.bits(np.array([1, 0, 0])) == "100"


def test_the_settings_are_a_new_dict_each_time():
    style.figure_style()["font.size"] = 99
    assert style.figure_style()["font.size"] == 10
