"""Gated layers (SwiGLU, GeGLU, ReGLU): everything that needs no affine pieces, against torch's own modules."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from oracles import dense_scan, random_block, random_mlp, random_points, torch_block

from lnpoly_helpers import (
    activation_pattern,
    affine_map,
    at_length,
    boundary_margin,
    crossings,
    expected_crossings,
    fold_layer_norm,
    jacobian,
    normalize,
    output_in_region,
    partition_circle,
    path_profile,
    ray_crossings,
    restrict,
    rotate,
    split_change,
    tangent_change,
    tangent_range,
)

GATED = ("silu", "gelu", "gelu_new", "relu")
KINDS = ("layernorm", "rmsnorm")


def torch_gated(block):
    """The block as torch computes it, in float64: its output at a tensor of residual vectors."""
    run = torch_block(block)
    return lambda x: run(x)[1]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("activation", GATED)
@pytest.mark.parametrize("eps", [0.0, 0.3])
def test_stored_and_folded_are_torchs(rng, activation, kind, eps):
    block = random_block(rng, 10, 24, kind=kind, activation=activation, eps=eps, d_out=7, gated=True)
    mlp, x = fold_layer_norm(block), rng.normal(size=(2, 9, 10)) + 0.5
    expected = torch_gated(block)(torch.tensor(x)).detach().numpy()
    np.testing.assert_allclose(block(x), expected, atol=1e-11)
    np.testing.assert_allclose(mlp(x), expected, atol=1e-11)
    np.testing.assert_allclose(mlp.output(normalize(x, eps=eps, kind=kind)), expected, atol=1e-11)
    without = replace(mlp, W_up=None, b_up=None)
    assert np.abs(without(x) - expected).max() > 0.1  # the second map matters
    assert mlp.is_gated and not without.is_gated and "gated" in repr(mlp) and "gated" not in repr(without)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("activation", GATED)
def test_the_jacobian_is_autograds(rng, activation, kind):
    block = random_block(rng, 6, 17, kind=kind, activation=activation, eps=0.1, d_out=4, gated=True)
    x = rng.normal(size=(3, 6))
    found, run = jacobian(fold_layer_norm(block), x), torch_gated(block)
    for k, point in enumerate(x):
        expected = torch.autograd.functional.jacobian(run, torch.tensor(point)).numpy().T
        np.testing.assert_allclose(found[k], expected, atol=1e-11)
    at_zero = fold_layer_norm(replace(block, eps=0.0))
    np.testing.assert_allclose(100 * jacobian(at_zero, 100 * x[0]), jacobian(at_zero, x[0]), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("activation", GATED)
def test_a_change_is_split_exactly_and_its_tangent_part_is_the_limit(rng, activation):
    mlp = random_mlp(rng, 12, 40, activation=activation, d_out=5, gated=True)
    z0, z1 = random_points(rng, 8, 12)
    tangent, rest = split_change(mlp, z0, z1)
    np.testing.assert_allclose(tangent + rest, mlp.output(z1) - mlp.output(z0), atol=1e-12)
    errors = []
    for angle in (1e-3, 1e-4):
        near = rotate(z0, z1, angle)
        errors.append(np.abs(tangent_change(mlp, z0, near) - (mlp.output(near) - mlp.output(z0))).max() / angle)
    assert errors[1] < (0.2 if activation != "relu" else 1.0) * errors[0] + 1e-12 and errors[1] < 1e-2


def test_who_flips_is_the_gates_affair_alone(rng):
    """Boundaries, rays, circles and crossings are those of the same layer without its second map."""
    mlp = random_mlp(rng, 14, 60, activation="silu", eps=0.2, gated=True)
    bare = replace(mlp, W_up=None, b_up=None)
    z0, z1 = random_points(rng, 5, 14)
    np.testing.assert_array_equal(boundary_margin(mlp, z0), boundary_margin(bare, z0))
    assert expected_crossings(mlp) == expected_crossings(bare)
    for function in (lambda m: crossings(m, z0, z1).angles, lambda m: ray_crossings(m, z0 + 0.1).scales):
        np.testing.assert_allclose(function(mlp), function(bare), rtol=1e-12)
    circle = partition_circle(restrict(mlp, mlp.slice([z0[0], z1[0]])))
    np.testing.assert_array_equal(circle.angles, partition_circle(restrict(bare, mlp.slice([z0[0], z1[0]]))).angles)


@pytest.mark.parametrize("activation", GATED)
def test_a_path_is_measured_as_a_dense_walk_measures_it(rng, activation):
    mlp = random_mlp(rng, 9, 30, activation=activation, d_out=6, gated=True)
    z0, z1 = random_points(rng, 4, 9)
    ends = np.full(4, 1.1)
    found = path_profile(mlp, z0, z1, end=ends, resolution=512)
    t = np.linspace(0, 1.1, 20001)
    path = mlp.output(rotate(z0[:, None], z1[:, None], t))
    steps = np.linalg.norm(np.diff(path, axis=1), axis=-1)
    assert (np.abs(found.length / steps.sum(axis=1) - 1) < 2e-5 + 2 * found.error).all() and found.error.max() < 5e-3
    np.testing.assert_allclose(found.displacement, np.linalg.norm(path[:, -1] - path[:, 0], axis=-1), rtol=1e-9)
    np.testing.assert_allclose(found.largest_slope, (steps / np.diff(t)).max(axis=1), rtol=2e-3)


@pytest.mark.parametrize("activation", GATED)
def test_the_tangent_map_holds_as_far_as_a_dense_scan_says(rng, activation):
    mlp = random_mlp(rng, 9, 30, activation=activation, d_out=6, gated=True)
    z0, z1 = random_points(rng, 6, 9)
    found = tangent_range(mlp, z0, z1, tolerances=[0.05, 0.2], end=1.2, resolution=256)
    t = np.linspace(0, 1.2, 12001)[1:]
    path = rotate(z0[:, None], z1[:, None], t)
    change = mlp.output(path) - mlp.output(z0)[:, None]
    off = np.linalg.norm(change - tangent_change(mlp, z0[:, None], path), axis=-1)
    off /= np.linalg.norm(change, axis=-1)
    for k, tolerance in enumerate([0.05, 0.2]):
        beyond = off > tolerance
        first = np.where(beyond.any(axis=1), t[beyond.argmax(axis=1)], np.inf)
        np.testing.assert_allclose(found.angles[:, k], first, atol=2e-4)


def test_without_a_norm_the_second_map_too_reads_vectors_of_one_length(rng):
    mlp = random_mlp(rng, 7, 20, kind="none", activation="silu", gated=True)
    x = rng.normal(size=7)
    layer = at_length(mlp, np.linalg.norm(x))
    np.testing.assert_allclose(layer.output(normalize(x, kind="rmsnorm")), mlp(x), atol=1e-12)


def test_what_a_gated_layer_has_not_is_refused(rng):
    mlp = random_mlp(rng, 8, 12, gated=True)
    with pytest.raises(ValueError, match=r"expected activation 'relu', got 'relu' times a second linear map \(W_up\)"):
        affine_map(mlp, np.ones(12, dtype=bool))
    block = random_block(rng, 8, 12, gated=True)
    for change, says in [
        ({"W_up": block.W_up[:, :5]}, r"W_up: expected shape \[8, 12\], got \[8, 5\]"),
        ({"W_up": block.W_up.T}, "W_up: .* fits the other way round"),
        ({"b_up": np.ones(3)}, r"b_up: expected shape \[12\], got \[3\]"),
        ({"W_up": None}, "b_up: expected none for an MLP without W_up"),
        ({"W_up": np.full((8, 12), np.nan)}, "W_up: expected finite numbers"),
    ]:
        with pytest.raises(ValueError, match=says):
            replace(block, **change)
    assert (replace(block, b_up=None).b_up == 0).all()
    with pytest.raises(ValueError, match="W_up: expected columns with mean 0"):
        replace(mlp, W_up=mlp.W_up + 1)


def test_flips_of_a_gated_path_are_those_of_a_dense_scan(rng):
    mlp = random_mlp(rng, 12, 50, activation="silu", gated=True)
    z0, z1 = random_points(rng, 3, 12)
    found = crossings(mlp, z0, z1)
    for path in range(3):
        mine = found.paths == path
        seen = dense_scan(lambda t, k=path: mlp.preactivations(rotate(z0[k], z1[k], t)), 0, found.ends[path], 2000)
        assert [neuron for *_, neuron, _ in seen] == found.neurons[mine].tolist()


@pytest.mark.parametrize("gated", [False, True])
def test_with_its_pattern_kept_a_plain_layer_is_affine_and_a_gated_one_quadratic(rng, gated):
    mlp = random_mlp(rng, 10, 30, kind="rmsnorm", activation="relu", gated=gated)
    z0, z1 = mlp.to_sphere(rng.normal(size=(2, 10)))
    pattern = activation_pattern(mlp.preactivations(z0))
    np.testing.assert_allclose(output_in_region(mlp, pattern, z0), mlp.output(z0), atol=1e-12)
    y = output_in_region(mlp, pattern, z0 + np.linspace(0, 1, 7)[:, None] * (z1 - z0))
    assert (np.abs(np.diff(y, n=2, axis=0)).max() > 1e-3) == gated
    assert np.abs(np.diff(y, n=3, axis=0)).max() < 1e-12
    if not gated:
        A, c = affine_map(mlp, pattern)
        np.testing.assert_allclose(y[-1], z1 @ A + c, atol=1e-12)
    with pytest.raises(ValueError, match=r"pattern: expected shape \[30\], got \[29\]"):
        output_in_region(mlp, pattern[:29], z0)
