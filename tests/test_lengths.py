"""Lengths: the bits of np.linalg.norm where that has them, and exact fractions where its squares leave float64."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import random_mlp, sqrt_of
from thorough import thousand

from lnpoly_helpers import (
    coherence,
    context_effect,
    crossings,
    matched_layer,
    normalize,
    opposition,
    own_share,
    path_profile,
    path_speed,
    split_change,
    tangent_range,
)
from lnpoly_helpers._inputs import at_unit_scale, length


@pytest.mark.parametrize("axis, keepdims", [(-1, False), (0, True), (1, False)])
def test_at_usual_scales_it_is_numpys_to_the_last_bit(rng, axis, keepdims):
    x = rng.normal(size=(4, 5, 6)) * 10.0 ** rng.uniform(-100, 100, size=(4, 1, 1))
    found = length(x, axis=axis, keepdims=keepdims)
    np.testing.assert_array_equal(found, np.linalg.norm(x, axis=axis, keepdims=keepdims))
    assert found.shape == np.linalg.norm(x, axis=axis, keepdims=keepdims).shape
    assert length(np.array([3.0, 4.0])) == 5 and np.ndim(length(np.array([3.0, 4.0]))) == 0


@pytest.mark.filterwarnings("error")
@thousand
@given(st.lists(st.floats(-1e308, 1e308), min_size=1, max_size=3))
def test_at_any_scale_it_is_that_of_exact_fractions(x):
    expected = sqrt_of(sum(Fraction(a) ** 2 for a in x))
    if np.isfinite(expected):
        assert length(np.array(x)) == pytest.approx(expected, rel=1e-15, abs=0)


def test_rows_of_all_scales_stand_beside_one_another():
    x = np.array([[3e-300, 4e-300], [3e300, 4e300], [0, 0], [3, 4]])
    np.testing.assert_allclose(length(x), [5e-300, 5e300, 0, 5], rtol=1e-15)


def test_unit_scale_is_a_power_of_two(rng):
    x = rng.normal(size=(3, 4)) * np.array([[1e-310], [1.0], [1e308]])
    scaled, exponent = at_unit_scale(x, 1)
    np.testing.assert_array_equal(np.ldexp(scaled, exponent), x)
    assert ((np.abs(scaled).max(axis=1) >= 0.5) & (np.abs(scaled).max(axis=1) < 1)).all()


@pytest.mark.filterwarnings("error", "ignore::typecheck.WrongArgument")
@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("scale", [1e-290, 1e-156, 1e-80, 1e80, 1e156, 1e300])
def test_what_a_move_changes_goes_with_the_scale_of_the_output_and_ratios_stay(rng, scale, activation):
    """Squares of the output, and products of squares, left float64 at 1e156, and at 1e78."""
    mlp = random_mlp(rng, 8, 30, activation=activation)
    mlp = replace(mlp, b_out=np.zeros(8))
    scaled = replace(mlp, W_out=mlp.W_out * scale)
    z0, z1 = normalize(rng.normal(size=(2, 6, 8)))
    same = dict(rtol=1e-9, atol=0)
    for figure in (opposition, own_share, lambda *x: coherence(*x).kappa, lambda *x: coherence(*x).n_effective):
        np.testing.assert_allclose(figure(scaled, z0, z1), figure(mlp, z0, z1), **same)
    np.testing.assert_allclose(split_change(scaled, z0, z1)[1] / scale, split_change(mlp, z0, z1)[1], **same)
    one, other = (context_effect(layer, z0, z1[0], 0.3) for layer in (mlp, scaled))
    np.testing.assert_allclose(other.share, one.share, **same)
    np.testing.assert_allclose(other.mean_effect / scale, one.mean_effect, **same)
    np.testing.assert_allclose(other.rms / scale, one.rms, **same)
    one, other = (matched_layer(layer, z0, np.random.default_rng(1)) for layer in (mlp, scaled))
    np.testing.assert_allclose(other.W_out / scale, one.W_out, **same)
    one, other = (path_profile(layer, z0, z1) for layer in (mlp, scaled))
    np.testing.assert_allclose(other.length / scale, one.length, **same)
    one, other = (path_speed(layer, z0, z1) for layer in (mlp, scaled))
    np.testing.assert_allclose(other, one, rtol=1e-9)
    one, other = (tangent_range(layer, z0, z1).angles for layer in (mlp, scaled))
    np.testing.assert_allclose(other, one, rtol=1e-6)
    assert crossings(scaled, z0, z1).counts.tolist() == crossings(mlp, z0, z1).counts.tolist()
