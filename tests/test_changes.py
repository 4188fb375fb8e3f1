"""changes: against autograd, finite differences, loops over neurons, flips and common shares that are planted."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
import torch
from oracles import (
    ACTIVATIONS,
    NORMS,
    random_block,
    random_mlp,
    random_points,
    torch_activations,
    torch_block,
)

from lnpoly_helpers import (
    FoldedMLP,
    activation_pattern,
    affine_map,
    coherence,
    context_effect,
    context_share,
    fold_layer_norm,
    jacobian,
    normalize,
    opposition,
    own_share,
    rest_weights,
    rotate,
    split_change,
    tangent_change,
)
from lnpoly_helpers._inputs import KINDS

SPLIT = [(name, False) for name in (*ACTIVATIONS, "silu", "relu2")] + [
    (name, True) for name in ("silu", "gelu", "relu")
]

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


def terms(mlp, z0, z1):
    """t_i W_out[i] and r_i W_out[i] one neuron at a time, [m, d_out] each: values and derivatives are torch's."""
    act = torch_activations()[mlp.activation]
    tangent, rest = [], []
    for i in range(mlp.n_neurons):

        def neuron(z, i=i):
            pre = z @ torch.tensor(mlp.W_in[:, i]) + mlp.b_in[i]
            return act(pre) * (z @ torch.tensor(mlp.W_up[:, i]) + mlp.b_up[i]) if mlp.is_gated else act(pre)

        start, end = torch.tensor(z0), torch.tensor(z1)
        slopes = torch.autograd.functional.jacobian(neuron, start)
        linear = (slopes @ (end - start)).item()
        tangent.append(linear * mlp.W_out[i])
        rest.append(((neuron(end) - neuron(start)).item() - linear) * mlp.W_out[i])
    return np.array(tangent), np.array(rest)


@pytest.mark.parametrize("kind", [*NORMS, "none"])
@pytest.mark.parametrize("activation, gated", SPLIT)
def test_tangent_part_and_rest_add_up_to_the_change(rng, kind, activation, gated):
    mlp = random_mlp(rng, 20, 60, kind=kind, activation=activation, d_out=13, gated=gated)
    z0, z1 = random_points(rng, 4, 5, 20, kind=kind)
    tangent, rest = split_change(mlp, z0, z1)
    assert tangent.shape == rest.shape == (4, 5, 13)
    size = np.abs(rest_weights(mlp, z0, z1)) @ np.abs(mlp.W_out) + np.abs(tangent)  # of the terms
    assert (np.abs(tangent + rest - (mlp.output(z1) - mlp.output(z0))) < 1e-12 * size).all()
    of_tangent, each = terms(mlp, z0[1, 2], z1[1, 2])
    np.testing.assert_allclose(tangent[1, 2], of_tangent.sum(axis=0), atol=1e-12)
    np.testing.assert_allclose(rest[1, 2], each.sum(axis=0), atol=1e-12)
    np.testing.assert_allclose(tangent_change(mlp, z0, z1), tangent, rtol=1e-10, atol=1e-13)
    weights = rest_weights(mlp, z0, z1)
    assert weights.shape == (4, 5, 60)
    np.testing.assert_allclose(weights[1, 2][:, None] * mlp.W_out, each, atol=1e-13)


@pytest.mark.parametrize("activation, gated", SPLIT)
def test_what_is_said_of_the_two_parts_is_what_their_terms_make(rng, activation, gated):
    mlp = random_mlp(rng, 12, 40, activation=activation, d_out=7, gated=gated)
    z0, z1 = random_points(rng, 2, 3, 12)
    sums = np.zeros(2)
    for k in np.ndindex(2, 3):
        tangent, rest = terms(mlp, z0[k], z1[k])
        F, S = tangent.sum(axis=0), rest.sum(axis=0)
        cosine = F @ S / (np.linalg.norm(F) * np.linalg.norm(S))
        assert opposition(mlp, z0, z1)[k] == pytest.approx(cosine, abs=1e-11)
        sums += (tangent * rest).sum(), F @ S
        long = np.linalg.norm(rest, axis=1)
        pairs = [(i, j) for i in range(40) for j in range(40) if i != j]
        found = coherence(mlp, z0, z1)
        assert found.kappa.shape == (2, 3)
        assert found.kappa[k] == pytest.approx(S @ S / (long**2).sum(), rel=1e-10)
        assert found.n_effective[k] == pytest.approx(long.sum() ** 2 / (long**2).sum(), rel=1e-10)
        rho = sum(rest[i] @ rest[j] for i, j in pairs) / sum(long[i] * long[j] for i, j in pairs)
        assert found.rho[k] == pytest.approx(rho, abs=1e-10)
        assert found.kappa[k] == pytest.approx(1 + (found.n_effective[k] - 1) * found.rho[k], rel=1e-10)
    assert own_share(mlp, z0, z1) == pytest.approx(sums[0] / sums[1], rel=1e-9)
    one = (z0[0, 1], z1[0, 1])
    tangent, rest = terms(mlp, *one)
    product = tangent.sum(axis=0) @ rest.sum(axis=0)
    assert own_share(mlp, *one) == pytest.approx((tangent * rest).sum() / product, rel=1e-9)


@pytest.mark.parametrize("kind", NORMS)
def test_for_relu_the_tangent_part_is_the_affine_map_and_the_rest_the_flipped_neurons(rng, kind):
    mlp = random_mlp(rng, 20, 150, kind=kind)
    z0, z1 = random_points(rng, 20, kind=kind)
    start, end = (activation_pattern(mlp.preactivations(z)) for z in (z0, z1))
    A, _ = affine_map(mlp, start)
    tangent, rest = split_change(mlp, z0, z1)
    np.testing.assert_allclose(tangent, (z1 - z0) @ A, atol=1e-12)
    weights = rest_weights(mlp, z0, z1)
    np.testing.assert_array_equal(weights != 0, start != end)  # 0 to the last bit
    assert (weights >= 0).all() and 20 < (weights > 0).sum() < 130
    flipped = np.flatnonzero(start != end)
    size = np.abs(mlp.preactivations(z1))
    np.testing.assert_allclose(weights[flipped], size[flipped], atol=1e-13)
    np.testing.assert_allclose(rest, sum(size[i] * mlp.W_out[i] for i in flipped), atol=1e-12)


@pytest.mark.parametrize("activation, gated", SPLIT)
def test_the_rest_is_what_vanishes_faster_than_the_move(rng, activation, gated):
    """Of second order where the activation is smooth. The old split by gates left a first-order part in it for GELU."""
    mlp = random_mlp(rng, 12, 40, kind="none", activation=activation, gated=gated)
    z, step = rng.normal(size=12), rng.normal(size=12)
    sizes = np.array([np.linalg.norm(split_change(mlp, z, z + h * step), axis=1) for h in (1e-2, 1e-3, 1e-4)])
    share = sizes[:, 1] / sizes[:, 0]
    if activation == "relu" and not gated:
        assert (share[1:] == 0).all()
    else:
        np.testing.assert_allclose(share[1:] / share[:-1], 0.1, rtol=0.3)


def test_the_split_takes_a_batch_of_angles(rng):
    mlp = random_mlp(rng, 9, 30)
    z0, z1 = random_points(rng, 4, 9)
    z = rotate(z0[:, None], z1[:, None], np.linspace(0, 1, 6))
    tangent, rest = split_change(mlp, z0[:, None], z)
    assert tangent.shape == (4, 6, 9)
    np.testing.assert_allclose(rest[:, 0], 0, atol=1e-13)
    np.testing.assert_allclose(split_change(mlp, z0[2], z[2, 3])[1], rest[2, 3], atol=1e-13)
    assert np.isnan(opposition(mlp, z0, z0)).all() and np.isnan(own_share(mlp, z0, z0))


def test_coherence_of_planted_flips(rng):
    """All neurons turn on: orthogonal rows give 1, equal rows their number, opposite pairs 0, no flip NaN."""
    z0, z1 = random_points(rng, 8)
    towards = (z1 - z0) / np.linalg.norm(z1 - z0) ** 2
    mlp = replace(random_mlp(rng, 8, 6), W_in=np.tile(towards[:, None], 6), b_in=np.full(6, -(z0 + z1) @ towards / 2))
    np.testing.assert_array_equal(activation_pattern(mlp.preactivations(np.stack([z0, z1]))).sum(axis=1), [0, 6])
    alternating = np.tile([[1.0], [-1.0]], (3, 8))
    for W_out, expected in ((np.eye(6, 8), 1), (np.ones((6, 8)), 6), (alternating, 0), (-3 * np.ones((6, 8)), 6)):
        found = coherence(replace(mlp, W_out=W_out), z0, z1)
        assert found.kappa == pytest.approx(expected, abs=1e-12) and found.n_effective == pytest.approx(6, rel=1e-12)
        assert found.rho == pytest.approx((expected - 1) / 5, abs=1e-12)
    found = coherence(mlp, z0, np.stack([z0, z1]))
    assert np.isnan([found.kappa[0], found.n_effective[0], found.rho[0]]).all() and found.kappa[1] > 0
    alone = coherence(replace(mlp, W_out=np.eye(6, 8) * (np.arange(6) == 2)[:, None]), z0, z1)
    assert (alone.kappa, alone.n_effective) == pytest.approx((1, 1)) and np.isnan(alone.rho)  # one term has no pair


def test_shuffling_deals_the_rows_out_anew_for_every_move(rng):
    """Three flips: of the six ways to deal out the rows, each gives its own kappa, and each comes up."""
    mlp = random_mlp(rng, 8, 3)
    z0, z1 = random_points(rng, 8)
    mlp = replace(mlp, b_in=-(z0 + z1) @ mlp.W_in / 2)  # every boundary halfway
    ways = [coherence(replace(mlp, W_out=mlp.W_out[list(way)]), z0, z1).kappa for way in permutations(range(3))]
    drawn = coherence(mlp, np.tile(z0, (200, 1)), z1, shuffle=np.random.default_rng(0)).kappa
    off = np.abs(drawn[:, None] - ways)
    assert off.min(axis=1).max() < 1e-12 and (np.bincount(off.argmin(axis=1), minlength=6) > 10).all()
    assert np.diff(np.sort(ways)).min() > 1e-6
    again = coherence(mlp, np.tile(z0, (200, 1)), z1, shuffle=np.random.default_rng(0)).kappa
    np.testing.assert_array_equal(drawn, again)


def test_flips_of_independent_random_rows_have_coherence_one_on_average(rng):
    mlp = random_mlp(rng, 30, 400)
    rows = [replace(mlp, W_out=rng.normal(size=(400, 30))) for _ in range(60)]
    z0, z1 = random_points(rng, 30)
    found = [coherence(other, z0, z1) for other in rows]
    kappa, rho = np.array([f.kappa for f in found]), np.array([f.rho for f in found])
    assert abs(kappa.mean() - 1) < 4 * kappa.std(ddof=1) / np.sqrt(60) < 0.2
    assert abs(rho.mean()) < 4 * rho.std(ddof=1) / np.sqrt(60) < 0.01


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_tangent_map_is_the_limit_of_small_steps_in_every_direction(rng, activation):
    mlp = random_mlp(rng, 12, 40, kind="none", activation=activation)
    z = rng.normal(size=12)
    step = 1e-6 * rng.normal(size=(20, 12))
    moved = (mlp.output(z + step) - mlp.output(z - step)) / 2
    np.testing.assert_allclose(tangent_change(mlp, z, z + step), moved, rtol=1e-6, atol=1e-14)
    np.testing.assert_allclose(tangent_change(mlp, z, z + 1.0), np.ones(12) @ jacobian(mlp, z), atol=1e-12)


# --- residual vectors in place of normalised ones ---

MOVES = {f.__name__: f for f in (split_change, rest_weights, opposition, own_share, coherence, tangent_change)}


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


# --- one direction, many contexts ---


def around(rng, direction, n):
    """n random points of the sphere at right angles to a direction."""
    x = rng.normal(size=(n, len(direction)))
    return normalize(x - np.outer(x @ direction, direction) / (direction @ direction))


def always_on(d, W_out, kind="layernorm"):
    """A layer that is z @ W_out wherever it is asked: every neuron far from its boundary."""
    far = 10.0 * np.sqrt(d)
    W_in = np.eye(d) - (1 / d if kind == "layernorm" else 0)
    return FoldedMLP(W_in, np.full(d, far), W_out, -far * W_out.sum(axis=0), "relu", 0.0, kind)


@pytest.mark.parametrize("activation, gated", [("relu", False), ("gelu", False), ("silu", True)])
@pytest.mark.parametrize("kind", NORMS)
def test_a_common_share_is_its_definition_pair_by_pair(rng, kind, activation, gated, monkeypatch):
    """The mean product of the changes in two different contexts over their mean square."""
    monkeypatch.setattr("lnpoly_helpers.changes._ROWS", 15)  # two directions at a time
    mlp = random_mlp(rng, 10, 30, kind=kind, activation=activation, d_out=4, gated=gated)
    contexts = normalize(rng.normal(size=(2, 1, 7, 10)), kind=kind)
    directions = rng.normal(size=(3, 10)) + 5
    found = context_effect(mlp, contexts, directions, 0.4)
    assert found.share.shape == found.rms.shape == (2, 3) and found.mean_effect.shape == (2, 3, 4)
    np.testing.assert_array_equal(context_share(mlp, contexts, directions, 0.4), found.share)
    for i, k in np.ndindex(2, 3):
        towards = normalize(directions[k], kind=kind)
        moved = [mlp.output(rotate(z, towards, 0.4)) - mlp.output(z) for z in contexts[i, 0]]
        square = np.mean([m @ m for m in moved])
        products = np.mean([a @ b for a, b in permutations(moved, 2)])
        assert found.share[i, k] == pytest.approx(products / square, abs=1e-12)
        assert found.rms[i, k] == pytest.approx(np.sqrt(square), rel=1e-12)
        np.testing.assert_allclose(found.mean_effect[i, k], np.mean(moved, axis=0), atol=1e-13)
        alone = context_effect(mlp, contexts[i, 0], directions[k], 0.4)
        assert alone.share == pytest.approx(found.share[i, k], abs=1e-12) and np.ndim(alone.share) == 0


@pytest.mark.parametrize("n", [2, 3, 8])
@pytest.mark.parametrize("angle", [0.3, np.pi / 2, 2.6])
def test_a_planted_common_share_is_found_without_bias(rng, n, angle):
    """z @ 1 in contexts at right angles to the direction moves by sin v + (cos - 1) z_j: of that cos^2(angle/2) is
    common to all, and the change is equally long in each. The share of the plain mean would be too high by
    (1 - share) / n."""
    d, planted = 12, np.cos(angle / 2) ** 2
    v = normalize(rng.normal(size=d))
    mlp = always_on(d, np.eye(d))
    contexts = around(rng, v, 600 * n).reshape(600, n, d)
    found = context_effect(mlp, contexts, v, angle)
    error = found.share.std(ddof=1) / np.sqrt(600)
    assert abs(found.share.mean() - planted) < 4 * error
    biased = (found.mean_effect**2).sum(axis=-1) / found.rms**2
    assert abs(biased.mean() - planted - (1 - planted) / n) < 4 * error
    assert n == 2 or (1 - planted) / n > 6 * error or angle < 1  # that mistake would be seen


def test_an_effect_that_is_the_same_everywhere_and_one_that_is_nowhere_the_same(rng):
    d = 12
    v = normalize(rng.normal(size=d))
    contexts = around(rng, v, 400)
    reads = np.outer(v, rng.normal(size=3))  # the direction alone
    found = context_effect(always_on(d, reads), contexts, v, 0.7)
    assert found.share == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(found.mean_effect, np.sin(0.7) * v @ reads, atol=1e-12)
    nowhere = np.eye(d) - np.outer(v, v) / d  # all but the direction
    found = context_effect(always_on(d, nowhere), contexts, v, 0.7)
    assert abs(found.share) < 4 * np.sqrt(2 / d) / 400 and found.rms > 0.1
    assert np.linalg.norm(found.mean_effect) < 0.1 * found.rms
    assert np.isnan(context_share(replace(always_on(d, reads), W_out=np.zeros((d, 3))), contexts, v, 0.7))
    opposite = np.stack([contexts[0], -contexts[0]])  # the least that n contexts can give is -1/(n - 1)
    assert context_share(always_on(d, nowhere), opposite, v, 0.7) == pytest.approx(-1, abs=1e-12)


@pytest.mark.parametrize("kind", NORMS)
def test_contexts_and_directions_that_make_no_push_are_refused(rng, kind):
    mlp = random_mlp(rng, 8, 20, kind=kind)
    contexts, v = normalize(rng.normal(size=(5, 8)), kind=kind), rng.normal(size=8)
    for bad, word in ((v, "is the direction"), (-v, "is opposite to it")):
        with pytest.raises(ValueError, match=rf"^contexts: .* got one at index 3 that {word}. Leave it out"):
            context_share(mlp, np.insert(contexts, 3, normalize(bad, kind=kind), axis=0), v, 0.1)
    for arguments, message in [
        ((contexts[:1], v, 0.1), "contexts: expected at least 2, got 1"),
        ((contexts[0], v, 0.1), r"contexts: expected shape \[..., n, 8\], got \[8\]"),
        ((2 * contexts, v, 0.1), "contexts: expected points on the sphere"),
        ((contexts, v[:-1], 0.1), r"direction: expected shape \[..., 8\], got \[7\]"),
        ((contexts, np.zeros(8), 0.1), "x: expected a vector with a direction"),
        ((contexts, v, 0.0), "angle: expected radians with 0 < angle <= pi, got 0.0"),
        ((contexts, v, 30), r"angle: expected radians .* got 30. np.radians\(degrees\)"),
        ((np.stack([contexts] * 2), np.stack([v] * 3), 0.1), r"contexts and direction: .* \[2\] and \[3\]"),
    ]:
        with pytest.raises(ValueError, match=f"^{message}"):
            context_share(mlp, *arguments)
