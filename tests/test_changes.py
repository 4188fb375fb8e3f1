"""changes: against autograd, finite differences, loops over neurons and flips that are planted."""

from dataclasses import replace
from itertools import permutations
from math import erf, sqrt, tanh

import numpy as np
import pytest
import torch
from oracles import ACTIVATIONS, NORMS, random_block, random_mlp, random_points, torch_block

from lnpoly_helpers import (
    activation_pattern,
    affine_map,
    coherence,
    flip_weights,
    fold_layer_norm,
    jacobian,
    normalize,
    rotate,
    split_change,
    tangent_change,
)
from lnpoly_helpers._inputs import KINDS

# --- affine_map ---


@pytest.mark.parametrize("kind", KINDS)
def test_on_a_region_the_layer_is_its_affine_map(rng, kind):
    mlp = random_mlp(rng, 10, 30, kind=kind, d_out=4)
    z = mlp.to_sphere(rng.normal(size=10))
    pattern = activation_pattern(mlp.preactivations(z))
    A, c = affine_map(mlp, pattern)
    near = mlp.to_sphere(z + 10.0 ** rng.uniform(-6, 0, size=(500, 1)) * rng.normal(size=(500, 10)))
    near *= 1 if kind == "none" else rng.uniform(0.9, 1, size=(500, 1))  # inside the sphere too, as eps puts them
    inside = near[(activation_pattern(mlp.preactivations(near)) == pattern).all(axis=1)]
    assert 50 < len(inside) < 500 and A.shape == (10, 4) and c.shape == (4,)
    np.testing.assert_allclose(inside @ A + c, mlp.output(inside), atol=1e-12)
    outside = near[(activation_pattern(mlp.preactivations(near)) != pattern).any(axis=1)]
    assert np.abs(outside @ A + c - mlp.output(outside)).max() > 1e-3


def test_all_off_is_a_constant_and_all_on_one_matrix_product(rng):
    mlp = random_mlp(rng, 5, 8)
    A, c = affine_map(mlp, np.zeros(8, dtype=bool))
    np.testing.assert_array_equal(A, np.zeros((5, 5)))
    np.testing.assert_array_equal(c, mlp.b_out)
    A, c = affine_map(mlp, np.ones(8, dtype=bool))
    z = mlp.to_sphere(rng.normal(size=5))
    np.testing.assert_allclose(z @ A + c, mlp.preactivations(z) @ mlp.W_out + mlp.b_out, atol=1e-13)


# --- jacobian ---


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("eps", [0.0, 1e-5, 0.5])
@pytest.mark.parametrize("kind", KINDS)
def test_jacobian_is_autograds(rng, kind, eps, activation):
    block = random_block(rng, 10, 40, kind=kind, activation=activation, eps=eps, d_out=4)
    x = rng.normal(size=10)
    expected = torch.autograd.functional.jacobian(lambda t: torch_block(block)(t)[1], torch.tensor(x)).numpy().T
    np.testing.assert_allclose(jacobian(fold_layer_norm(block), x), expected, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_jacobian_is_the_limit_of_finite_differences(rng, kind):
    block = random_block(rng, 8, 30, kind=kind, activation="gelu", eps=1e-3)
    x, h = rng.normal(size=8), 1e-5
    steps = h * np.eye(8)
    differences = (block(x + steps) - block(x - steps)) / (2 * h)
    np.testing.assert_allclose(jacobian(fold_layer_norm(block), x), differences, atol=1e-8)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("kind", NORMS)
def test_jacobian_shrinks_as_the_vector_grows_at_eps_zero(rng, kind, activation):
    mlp = random_mlp(rng, 12, 50, kind=kind, activation=activation)
    x = rng.normal(size=12)
    for a in (1e-100, 1e-3, 5.0, 1e100):
        np.testing.assert_allclose(a * jacobian(mlp, a * x), jacobian(mlp, x), rtol=1e-9, atol=1e-12)
    with_eps = replace(mlp, eps=1.0)
    assert np.abs(5 * jacobian(with_eps, 5 * x) - jacobian(with_eps, x)).max() > 1e-3


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_of_jacobians_is_its_vectors_and_autograds(rng, kind, activation, monkeypatch):
    monkeypatch.setattr("lnpoly_helpers.changes._AT_ONCE", 700)  # two vectors at a time
    block = random_block(rng, 7, 40, kind=kind, activation=activation, eps=1e-3, d_out=4)
    mlp = fold_layer_norm(block)
    x = rng.normal(size=(3, 5, 7)) * 10.0 ** rng.uniform(-2, 2, size=(3, 5, 1))
    batch = jacobian(mlp, x)
    assert batch.shape == (3, 5, 7, 4)
    for k in np.ndindex(3, 5):
        np.testing.assert_allclose(batch[k], jacobian(mlp, x[k]), atol=1e-13 * np.abs(batch[k]).max())
        expected = torch.autograd.functional.jacobian(lambda t: torch_block(block)(t)[1], torch.tensor(x[k]))
        np.testing.assert_allclose(batch[k], expected.numpy().T, atol=1e-12 * max(1, np.abs(batch[k]).max()))


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_of_jacobians_is_the_limit_of_finite_differences(rng, kind):
    block = random_block(rng, 6, 25, kind=kind, activation="gelu_new", eps=1e-3)
    x, v, h = rng.normal(size=(4, 6)), rng.normal(size=(4, 6)), 1e-5
    along = (block(x + h * v) - block(x - h * v)) / (2 * h)
    np.testing.assert_allclose((v[:, None] @ jacobian(fold_layer_norm(block), x))[:, 0], along, atol=1e-8)


# --- split_change, coherence, tangent_change ---

GATE_OF = {
    "relu": lambda h: float(h > 0),
    "gelu": lambda h: 0.5 * (1 + erf(h / sqrt(2))),
    "gelu_new": lambda h: 0.5 * (1 + tanh(sqrt(2 / np.pi) * (h + 0.044715 * h**3))),
}


def flip_vectors(mlp, z0, z1):
    """f_i one by one, [m, d_out]."""
    gate = GATE_OF[mlp.activation]
    pre0, pre1 = z0 @ mlp.W_in + mlp.b_in, z1 @ mlp.W_in + mlp.b_in
    return np.array([(gate(b) - gate(a)) * b * row for a, b, row in zip(pre0, pre1, mlp.W_out, strict=True)])


@pytest.mark.parametrize("kind", [*NORMS, "none"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_frozen_part_and_flips_add_up_to_the_change(rng, kind, activation):
    mlp = random_mlp(rng, 20, 150, kind=kind, activation=activation, d_out=13)
    z0, z1 = random_points(rng, 4, 5, 20, kind=kind)
    frozen, flips = split_change(mlp, z0, z1)
    assert frozen.shape == flips.shape == (4, 5, 13)
    np.testing.assert_allclose(frozen + flips, mlp.output(z1) - mlp.output(z0), atol=1e-12)
    each = flip_vectors(mlp, z0[1, 2], z1[1, 2])
    np.testing.assert_allclose(flips[1, 2], each.sum(axis=0), atol=1e-12)
    weights = flip_weights(mlp, z0, z1)
    assert weights.shape == (4, 5, 150)
    np.testing.assert_allclose(weights[1, 2][:, None] * mlp.W_out, each, atol=1e-13)
    kappa = coherence(mlp, z0, z1)
    assert kappa.shape == (4, 5)
    assert kappa[1, 2] == pytest.approx((each.sum(axis=0) ** 2).sum() / (each**2).sum(), rel=1e-10)


@pytest.mark.parametrize("kind", NORMS)
def test_for_relu_the_frozen_part_is_the_affine_map_and_only_flipped_neurons_flip(rng, kind):
    mlp = random_mlp(rng, 20, 150, kind=kind)
    z0, z1 = random_points(rng, 20, kind=kind)
    start, end = (activation_pattern(mlp.preactivations(z)) for z in (z0, z1))
    A, _ = affine_map(mlp, start)
    np.testing.assert_allclose(split_change(mlp, z0, z1)[0], (z1 - z0) @ A, atol=1e-12)
    weights = flip_weights(mlp, z0, z1)
    np.testing.assert_array_equal(weights != 0, start != end)
    np.testing.assert_allclose(weights[start != end], np.abs(mlp.preactivations(z1))[start != end], atol=1e-13)
    np.testing.assert_allclose(tangent_change(mlp, z0, z1), split_change(mlp, z0, z1)[0], rtol=1e-10, atol=1e-13)


def test_the_split_takes_a_batch_of_angles(rng):
    mlp = random_mlp(rng, 9, 30)
    z0, z1 = random_points(rng, 4, 9)
    z = rotate(z0[:, None], z1[:, None], np.linspace(0, 1, 6))
    frozen, flips = split_change(mlp, z0[:, None], z)
    assert frozen.shape == (4, 6, 9)
    np.testing.assert_allclose(flips[:, 0], 0, atol=1e-13)
    np.testing.assert_allclose(split_change(mlp, z0[2], z[2, 3])[1], flips[2, 3], atol=1e-13)


def test_coherence_of_planted_flips(rng):
    """All neurons turn on: orthogonal rows give 1, equal rows their number, opposite pairs 0, no flip NaN."""
    z0, z1 = random_points(rng, 8)
    towards = (z1 - z0) / np.linalg.norm(z1 - z0) ** 2
    mlp = replace(random_mlp(rng, 8, 6), W_in=np.tile(towards[:, None], 6), b_in=np.full(6, -(z0 + z1) @ towards / 2))
    np.testing.assert_array_equal(activation_pattern(mlp.preactivations(np.stack([z0, z1]))).sum(axis=1), [0, 6])
    alternating = np.tile([[1.0], [-1.0]], (3, 8))
    for W_out, expected in ((np.eye(6, 8), 1), (np.ones((6, 8)), 6), (alternating, 0), (-3 * np.ones((6, 8)), 6)):
        assert coherence(replace(mlp, W_out=W_out), z0, z1) == pytest.approx(expected, abs=1e-12)
    kappa = coherence(mlp, z0, np.stack([z0, z1]))
    assert np.isnan(kappa[0]) and kappa[1] > 0


def test_shuffling_deals_the_rows_out_anew_for_every_move(rng):
    """Three flips: of the six ways to deal out the rows, each gives its own kappa, and each comes up."""
    mlp = random_mlp(rng, 8, 3)
    z0, z1 = random_points(rng, 8)
    mlp = replace(mlp, b_in=-(z0 + z1) @ mlp.W_in / 2)  # every boundary halfway
    ways = [coherence(replace(mlp, W_out=mlp.W_out[list(way)]), z0, z1) for way in permutations(range(3))]
    drawn = coherence(mlp, np.tile(z0, (200, 1)), z1, shuffle=np.random.default_rng(0))
    off = np.abs(drawn[:, None] - ways)
    assert off.min(axis=1).max() < 1e-12 and (np.bincount(off.argmin(axis=1), minlength=6) > 10).all()
    assert np.diff(np.sort(ways)).min() > 1e-6
    again = coherence(mlp, np.tile(z0, (200, 1)), z1, shuffle=np.random.default_rng(0))
    np.testing.assert_array_equal(drawn, again)


def test_flips_of_independent_random_rows_have_coherence_one_on_average(rng):
    mlp = random_mlp(rng, 30, 400)
    rows = [replace(mlp, W_out=rng.normal(size=(400, 30))) for _ in range(60)]
    z0, z1 = random_points(rng, 30)
    kappa = np.array([coherence(other, z0, z1) for other in rows])
    assert abs(kappa.mean() - 1) < 4 * kappa.std(ddof=1) / np.sqrt(60) < 0.2


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_tangent_map_is_the_limit_of_small_steps_in_every_direction(rng, activation):
    mlp = random_mlp(rng, 12, 40, kind="none", activation=activation)
    z = rng.normal(size=12)
    step = 1e-6 * rng.normal(size=(20, 12))
    moved = (mlp.output(z + step) - mlp.output(z - step)) / 2
    np.testing.assert_allclose(tangent_change(mlp, z, z + step), moved, rtol=1e-6, atol=1e-14)
    np.testing.assert_allclose(tangent_change(mlp, z, z + 1.0), np.ones(12) @ jacobian(mlp, z), atol=1e-12)


# --- residual vectors in place of normalised ones ---

MOVES = {"split_change": split_change, "flip_weights": flip_weights, "coherence": coherence, "tangent": tangent_change}


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
@pytest.mark.parametrize("kind", NORMS)
def test_a_move_between_residual_vectors_is_refused_by_name(rng, kind, move):
    mlp = random_mlp(rng, 9, 30, kind=kind, eps=1e-5)
    x = 3 * rng.normal(size=(2, 4, 9)) + 1
    z = normalize(x, eps=mlp.eps, kind=kind)
    move(mlp, *z)
    move(mlp, *mlp.to_sphere(x))
    for k, name in enumerate(("z0", "z1")):
        pair = [x[j] if j == k else z[j] for j in range(2)]
        with pytest.raises(ValueError, match=f"^{name}: expected what (Layer|RMS)Norm puts out.*mlp.to_sphere"):
            move(mlp, *pair)


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
def test_without_a_norm_any_vector_moves(rng, move):
    move(random_mlp(rng, 9, 30, kind="none"), *(100 * rng.normal(size=(2, 9)) + 5))
