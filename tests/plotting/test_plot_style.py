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


def test_the_index_is_the_sum_of_its_definition(rng):
    pattern = rng.random((20, 3, 15)) < 0.5
    found = style.color_index(pattern)
    assert found.shape == (20, 3)
    for at in np.ndindex(20, 3):
        assert found[at] == sum(1 + i % 6 for i in range(15) if pattern[at][i]) % 7


def test_regions_that_touch_never_share_a_colour(rng):
    pattern = rng.random(3072) < 0.5
    flipped = pattern ^ np.eye(3072, dtype=bool)
    assert (style.color_index(flipped) != style.color_index(pattern)).all()
    colors = style.index_colors(np.arange(7))
    apart = np.abs(colors[:, None] - colors[None]).sum(axis=-1) + np.eye(7)
    assert apart.min() > 0.15


@pytest.mark.parametrize(("strength", "expected"), [(0, [1, 1, 1]), (1, [230 / 255, 159 / 255, 0])])
def test_colours_run_from_white_to_full(strength, expected):
    np.testing.assert_allclose(style.region_colors([[False, False]], strength), [expected])
    half = style.region_colors([False], 0.5)
    np.testing.assert_allclose(half, (1 + np.array([230 / 255, 159 / 255, 0])) / 2)


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
