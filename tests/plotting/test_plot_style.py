"""The colours: what is told apart by them can be told apart."""

import numpy as np
import pytest

from lnpoly_helpers.plotting import style


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
