"""slices: Gram-Schmidt by its defining properties, the narrow door, and who may pass it."""

import copy
import pickle
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import random_mlp

from lnpoly_helpers import Arrangement, at_length, lift, normalize, restrict, slice_basis
from lnpoly_helpers.slices import SliceBasis

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


def test_an_arrangement_says_its_sizes_and_replaces_its_parts(rng):
    arrangement = Arrangement(rng.normal(size=(300, 3)), rng.normal(size=300))
    assert repr(arrangement) == "Arrangement(n_neurons=300, dimension=3)"
    moved = replace(arrangement, offsets=np.zeros(300))
    assert moved.normals is arrangement.normals and not moved.offsets.any()


# --- a slice knows whose sphere it is in ---

KINDS = ("layernorm", "rmsnorm", "none")


@pytest.mark.parametrize("kind", KINDS)
def test_views_and_copies_of_a_basis_keep_its_kind(rng, kind):
    basis = slice_basis(rng.normal(size=(3, 9)), kind=kind)
    others = [basis[:2], basis[::-1], basis[None], basis[0], basis.copy(), copy.copy(basis), copy.deepcopy(basis)]
    for same in [basis, *others, pickle.loads(pickle.dumps(basis))]:
        assert isinstance(same, SliceBasis) and same.kind == kind
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(basis)), basis)


def test_what_is_computed_from_a_basis_is_a_plain_array(rng):
    basis, y = slice_basis(rng.normal(size=(2, 9))), rng.normal(size=(5, 2))
    results = [2 * basis, -basis, y @ basis, basis @ basis.T, basis.sum(axis=0), np.sqrt(basis**2), lift(basis, y)]
    for result in results + [np.array([basis, basis]), np.stack([basis, basis]), np.concatenate([basis, basis])]:
        assert getattr(result, "kind", None) is None
    assert all(type(result) is np.ndarray for result in results)
    plain = np.asarray(basis)
    assert type(plain) is np.ndarray
    np.testing.assert_array_equal(y @ basis, y @ plain)
    basis *= -1
    assert type(basis) is np.ndarray, "rows that were changed in place are nobody's any more"
    np.testing.assert_array_equal(basis, plain)


@pytest.mark.parametrize("made_for", KINDS)
@pytest.mark.parametrize("kind", NORMS)
def test_a_slice_of_another_norms_sphere_is_refused(rng, kind, made_for):
    mlp = random_mlp(rng, 9, 12, kind=kind)
    basis = slice_basis(rng.normal(size=(2, 9)), kind=made_for)
    if (kind == "layernorm") == (made_for == "layernorm"):  # without a norm the sphere is RMSNorm's
        assert restrict(mlp, basis).n_neurons == 12
        return
    message = rf"^basis: expected .* kind '{kind}', got .* kind '{made_for}'\. .*slice_basis\(vectors, kind=mlp\.kind\)"
    for same in (basis, basis[::-1], basis[None], [basis, basis], (basis[0], basis[1])):
        with pytest.raises(ValueError, match=message):
            restrict(mlp, same)
    plain = np.asarray(basis)  # has no mark: the rows alone decide
    if made_for == "layernorm":
        assert restrict(mlp, plain).n_neurons == 12
    else:
        with pytest.raises(ValueError, match="basis: expected orthonormal rows in the space of the sphere"):
            restrict(mlp, plain)


@pytest.mark.parametrize("made_for", ("none", "rmsnorm"))
def test_a_layer_at_one_length_takes_slices_made_without_a_norm(rng, made_for):
    mlp = random_mlp(rng, 9, 12, kind="none")
    basis = slice_basis(rng.normal(size=(2, 9)), kind=made_for)
    arrangement = restrict(at_length(mlp, 7.0), basis)
    y = np.array([0.6, -0.8])
    np.testing.assert_allclose(arrangement.preactivations(y), mlp.preactivations(7 * y @ basis), atol=1e-12)
