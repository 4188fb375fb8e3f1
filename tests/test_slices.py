"""slices: Gram-Schmidt by its defining properties, the narrow door, and expected against found crossings."""

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import random_mlp

from lnpoly_helpers import (
    Arrangement,
    FoldedMLP,
    boundary_height,
    cap_share,
    expected_crossings,
    lift,
    normalize,
    partition_circle,
    restrict,
    slice_basis,
)

NORMS = ("layernorm", "rmsnorm")


def centred(vectors, kind):
    return vectors - vectors.mean(axis=-1, keepdims=True) if kind == "layernorm" else vectors


def assert_orthonormal_in_the_hyperplane(basis, kind, accuracy=1e-14):
    assert np.abs(basis @ basis.T - np.eye(len(basis))).max() < accuracy
    if kind == "layernorm":
        assert np.abs(basis @ np.ones(basis.shape[1])).max() / np.sqrt(basis.shape[1]) < accuracy


@pytest.mark.parametrize("kind", ("layernorm", "rmsnorm", "none"))
@pytest.mark.parametrize("k, d", [(1, 2), (2, 3), (3, 4), (2, 768), (5, 40)])
def test_basis_is_gram_schmidt_in_order(rng, k, d, kind):
    """Orthonormal; the first j rows span the first j vectors; each row points along its vector. This fixes it."""
    vectors = rng.normal(size=(k, d)) + 1
    basis = slice_basis(vectors, kind=kind)
    assert_orthonormal_in_the_hyperplane(basis, kind)
    given_vectors = centred(vectors, kind)
    for j in range(1, k + 1):
        span = basis[:j]
        np.testing.assert_allclose(given_vectors[:j] @ span.T @ span, given_vectors[:j], atol=1e-12)
        assert basis[j - 1] @ given_vectors[j - 1] > 0


def test_the_first_row_points_along_the_first_vector(rng):
    u, v = rng.normal(size=(2, 10))
    z0 = lift(slice_basis([u, v]), [1.0, 0.0])
    np.testing.assert_allclose(z0, normalize(u), atol=1e-13)


@given(st.integers(0, 2**32 - 1), st.lists(st.floats(-200, 200), min_size=3, max_size=3), st.floats(-1e4, 1e4))
def test_basis_forgets_lengths_and_offsets(seed, powers, offset):
    vectors = np.random.default_rng(seed).normal(size=(3, 9))
    changed = (vectors + offset) * 10.0 ** np.array(powers)[:, None]
    accuracy = 1e-13 * (1 + abs(offset))
    np.testing.assert_allclose(slice_basis(changed), slice_basis(vectors), atol=accuracy)


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e6, 1e9])
def test_a_basis_out_of_offset_vectors_is_one_that_restrict_takes(rng, offset):
    basis = slice_basis(rng.normal(size=(2, 16)) + offset)
    assert_orthonormal_in_the_hyperplane(basis, "layernorm", accuracy=1e-9)
    restrict(random_mlp(rng, 16, 8), basis)


@pytest.mark.parametrize("difference", [1e-3, 1e-6, 1e-9])
def test_a_basis_out_of_close_vectors_is_one_that_restrict_takes(rng, difference):
    u, v = rng.normal(size=(2, 16))
    basis = slice_basis([u, u + difference * v])
    assert_orthonormal_in_the_hyperplane(basis, "layernorm", accuracy=1e-9)
    restrict(random_mlp(rng, 16, 8), basis)


@pytest.mark.parametrize("kind", NORMS)
@pytest.mark.parametrize("k, d, m", [(1, 3, 5), (2, 3, 12), (3, 4, 20), (4, 16, 64), (2, 768, 3072)])
def test_the_arrangement_has_the_layers_own_preactivations(rng, k, d, m, kind):
    mlp = random_mlp(rng, d, m, kind=kind)
    basis = slice_basis(rng.normal(size=(k, d)), kind=kind)
    arrangement = restrict(mlp, basis)
    y = rng.normal(size=(4, 5, k))
    y /= np.linalg.norm(y, axis=-1, keepdims=True)
    z = lift(basis, y)
    np.testing.assert_allclose(np.linalg.norm(z, axis=-1), np.sqrt(d), rtol=1e-13)
    np.testing.assert_allclose(normalize(z, kind=kind), z, atol=1e-12)  # lift lands on the sphere
    assert (arrangement.dimension, arrangement.n_neurons) == (k, m)
    assert np.abs(arrangement.preactivations(y) - mlp.preactivations(z)).max() < 1e-9


def test_an_arrangement_reads_as_its_definition():
    arrangement = Arrangement([[1, 2, 3], [0, -1, 0]], [0.5, 4])
    np.testing.assert_array_equal(arrangement.preactivations([2, 1, -1]), [2 + 2 - 3 + 0.5, -1 + 4])


def test_an_arrangement_is_frozen_and_keeps_its_own_copy():
    normals = np.eye(2)
    arrangement = Arrangement(normals, np.zeros(2))
    normals[0, 0] = 9
    assert arrangement.normals[0, 0] == 1
    for field in ("normals", "offsets"):
        assert not getattr(arrangement, field).flags.writeable
        with pytest.raises(FrozenInstanceError):
            setattr(arrangement, field, None)


@pytest.mark.parametrize("kind", NORMS)
@pytest.mark.parametrize("d, bias", [(3, 1.0), (4, 1.0), (16, 1.0), (16, 3.0)])
def test_expected_crossings_are_the_mean_over_random_great_circles(rng, d, bias, kind):
    mlp = random_mlp(rng, d, 64, kind=kind)
    mlp = replace(mlp, b_in=bias * mlp.b_in)
    found = [
        len(partition_circle(restrict(mlp, slice_basis(rng.normal(size=(2, d)), kind=kind))).angles) for _ in range(200)
    ]
    error = np.std(found, ddof=1) / np.sqrt(len(found))
    assert abs(np.mean(found) - expected_crossings(mlp)) <= 4 * error + 1e-9
    assert 4 * error < 0.1 * expected_crossings(mlp)  # narrow enough to tell a wrong exponent


def test_without_bias_every_great_circle_crosses_every_boundary_twice(rng):
    mlp = random_mlp(rng, 16, 64)
    assert expected_crossings(replace(mlp, b_in=np.zeros(64))) == 128
    assert expected_crossings(replace(mlp, b_in=np.full(64, 1e3))) == 0
    assert expected_crossings(replace(mlp, W_in=np.zeros((16, 64)))) == 0


# --- heights and caps ---


@pytest.mark.parametrize("kind", NORMS)
def test_a_neuron_is_on_where_the_cosine_exceeds_its_height(rng, kind):
    mlp = random_mlp(rng, 9, 40, kind=kind)
    z = normalize(rng.normal(size=(300, 9)), kind=kind)
    cosine = z @ mlp.W_in / np.linalg.norm(z, axis=1)[:, None] / np.linalg.norm(mlp.W_in, axis=0)
    np.testing.assert_array_equal(cosine > boundary_height(mlp), mlp.preactivations(z) > 0)
    dead = replace(mlp, W_in=np.zeros((9, 3)), b_in=[2.0, -2.0, 0.0], W_out=np.zeros((3, 9)))
    np.testing.assert_array_equal(boundary_height(dead), [-np.inf, np.inf, 1.0])
    np.testing.assert_array_equal(cap_share(dead), [1.0, 0.0, 0.0])


def layer_with_heights(heights, d, kind):
    """A layer whose neuron i is on where the cosine exceeds heights[i]."""
    m = len(heights)
    w = np.zeros((d, m))
    w[:2] = [[1.0], [-1.0]]
    return FoldedMLP(w, -np.sqrt(2 * d) * heights, np.zeros((m, d)), np.zeros(d), "relu", 0.0, kind)


@pytest.mark.parametrize(
    "D, share",
    [
        (2, lambda h: np.arccos(h) / np.pi),  # an arc of a circle
        (3, lambda h: (1 - h) / 2),  # Archimedes: the area of a zone is its height
        (4, lambda h: (np.arccos(h) - h * np.sqrt(1 - h**2)) / np.pi),
        (5, lambda h: (2 - 3 * h + h**3) / 4),
    ],
)
def test_cap_shares_of_low_spheres_have_closed_forms(D, share):
    heights = np.linspace(-0.99, 0.99, 41)  # at 1 itself a rounding of the height is 1e-8 of an arc
    for d, kind in ((D + 1, "layernorm"), (D, "rmsnorm")):
        np.testing.assert_allclose(cap_share(layer_with_heights(heights, d, kind)), share(heights), atol=1e-10)


@pytest.mark.parametrize("d", [16, 128, 769, 1601])
def test_cap_shares_of_high_spheres_follow_the_recursion_for_powers_of_the_sine(d):
    """n I_n = (n - 1) I_(n-2) - cos sin^(n-1), from I_0 = angle and I_1 = 1 - cos."""
    heights = np.concatenate([np.linspace(-1, 1, 41), np.linspace(-5, 5, 41) / np.sqrt(d)])

    def integral(angle, n):
        if n < 2:
            return angle if n == 0 else 1 - np.cos(angle)
        return ((n - 1) * integral(angle, n - 2) - np.cos(angle) * np.sin(angle) ** (n - 1)) / n

    n = d - 3
    expected = [integral(np.arccos(np.clip(h, -1, 1)), n) / integral(np.pi, n) for h in heights]
    np.testing.assert_allclose(cap_share(layer_with_heights(heights, d, "layernorm")), expected, atol=1e-10)


@pytest.mark.parametrize("kind", NORMS)
def test_cap_share_is_how_often_a_random_point_switches_the_neuron_on(rng, kind):
    mlp = random_mlp(rng, 12, 50, kind=kind)
    on = mlp.preactivations(normalize(rng.normal(size=(40_000, 12)), kind=kind)) > 0
    share = cap_share(mlp)
    error = np.sqrt(share * (1 - share) / len(on)) + 1e-4
    assert (np.abs(on.mean(axis=0) - share) < 5 * error).all()
