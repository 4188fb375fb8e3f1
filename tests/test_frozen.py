"""Frozen stays frozen: pickled, copied or sent; and nothing that a caller passed in is kept or changed."""

import copy
import pickle
from dataclasses import fields, is_dataclass

import numpy as np
import pytest
from oracles import random_block, random_mlp

import lnpoly_helpers as lp
from lnpoly_helpers import Arrangement, FoldedMLP, NormedMLP, normalize
from lnpoly_helpers.activations import gate
from lnpoly_helpers.geometry._small_circles import find_circles

RNG = np.random.default_rng(7)
D, M = 6, 10
MLP, NO_NORM = random_mlp(RNG, D, M), random_mlp(RNG, D, M, kind="none")
BLOCK = random_block(RNG, D, M)


def points(*shape):
    return normalize(np.random.default_rng(1).normal(size=(*shape, D)))


def vectors(*shape):
    return np.random.default_rng(2).normal(size=shape)


def basis(k):
    return np.array(MLP.slice(vectors(k, D)))


# a function, and the arrays that it is called with
CALLS = {
    "normalize": (lp.normalize, vectors(4, D)),
    "normalize at no norm": (lambda x: lp.normalize(x, kind="none"), vectors(4, D)),
    "to_sphere without a norm": (NO_NORM.to_sphere, vectors(4, D)),
    "preactivations": (MLP.preactivations, points(4)),
    "output": (MLP.output, points(4)),
    "block": (BLOCK, vectors(4, D)),
    "gate": (lambda pre: gate("relu", pre), vectors(4)),
    "Arrangement": (Arrangement, vectors(M, 2), vectors(M)),
    "NormedMLP": (
        lambda *arrays: NormedMLP(*arrays, "relu", 0.0, "rmsnorm"),
        *(vectors(D), vectors(D), vectors(D, M), vectors(M), vectors(M, D), vectors(D)),
    ),
    "FoldedMLP": (
        lambda *arrays: FoldedMLP(*arrays[:4], "relu", 0.0, "none", W_up=arrays[4]),
        *(vectors(D, M), vectors(M), vectors(M, D), vectors(D), vectors(D, M)),
    ),
    "slice_basis": (lp.slice_basis, vectors(2, D)),
    "slice_basis of orthonormal rows": (lambda x: lp.slice_basis(x, kind="rmsnorm"), np.eye(2, D)),
    "lift": (lp.lift, basis(2), vectors(3, 2)),
    "restrict": (lambda rows: lp.restrict(MLP, rows), basis(2)),
    "partition_circle": (lambda *x: lp.partition_circle(Arrangement(*x)), vectors(M, 2), 0.1 * vectors(M)),
    "partition_plane": (lambda *x: lp.partition_plane(Arrangement(*x)), vectors(M, 2), 0.1 * vectors(M)),
    "partition_sphere": (lambda *x: lp.partition_sphere(Arrangement(*x)), vectors(M, 3), 0.1 * vectors(M)),
    "circles": (lambda *x: find_circles(Arrangement(*x)), vectors(M, 3), 0.1 * vectors(M)),
    "activation_pattern": (lp.activation_pattern, vectors(5, M)),
    "pattern_hash": (lp.pattern_hash, vectors(5, M) > 0),
    "hamming_distance": (lp.hamming_distance, vectors(5, M) > 0, vectors(5, M) < 1),
    "boundary_margin": (lambda z: lp.boundary_margin(MLP, z), points(4)),
    "ray_crossings": (lambda x: lp.ray_crossings(MLP, x, eps=0.1), vectors(4, D)),
    "rotate": (lp.rotate, points(2, 4)[0], points(2, 4)[1], vectors(4)),
    "rotate_residual": (lp.rotate_residual, vectors(4, D), points(4), vectors(4)),
    "angle_between": (lp.angle_between, points(2, 4)[0], points(2, 4)[1]),
    "steering_angle": (lp.steering_angle, vectors(4, D), points(4), np.abs(vectors(4))),
    "crossings": (lambda *z, end: lp.crossings(MLP, *z, end=end), points(2, 4)[0], points(2, 4)[1], np.ones(4)),
    "path_profile": (lambda *z: lp.path_profile(MLP, *z), points(2, 4)[0], points(2, 4)[1]),
    "path_speed": (lambda *z: lp.path_speed(MLP, *z), points(2, 4)[0], points(2, 4)[1]),
    "tangent_range": (
        lambda *z: lp.tangent_range(MLP, *z[:2], tolerances=z[2]),
        *(points(2, 4)[0], points(2, 4)[1], np.array([0.1, 0.2])),
    ),
    "affine_map": (lambda bits: lp.affine_map(MLP, bits), vectors(M) > 0),
    "output_in_region": (lambda bits, z: lp.output_in_region(MLP, bits, z), vectors(M) > 0, points(4)),
    "jacobian": (lambda x: lp.jacobian(MLP, x), vectors(4, D)),
    "split_change": (lambda *z: lp.split_change(MLP, *z), points(2, 4)[0], points(2, 4)[1]),
    "coherence": (lambda *z: lp.coherence(MLP, *z), points(2, 4)[0], points(2, 4)[1]),
    "context_effect": (lambda z, v: lp.context_effect(MLP, z, v, 0.3), points(4), vectors(D)),
    "matched_layer": (lambda z: lp.matched_layer(MLP, z, np.random.default_rng(0)), points(20)),
    "look_alikes": (lambda z: lp.look_alikes(z, 5, np.random.default_rng(0)), points(20)),
    "kl_divergence": (lp.kl_divergence, vectors(4, 9), vectors(4, 9) + 1),
    "wide_relu": (lp.wide_relu, np.array([0.1, 0.5])),
    "mean_interval": (lp.mean_interval, vectors(9)),
    "median_interval": (lp.median_interval, vectors(9)),
}


def arrays_in(thing):
    """Every array of a result, in whatever it is packed."""
    if isinstance(thing, np.ndarray):
        yield thing
    elif is_dataclass(thing):
        for field in fields(thing):
            yield from arrays_in(getattr(thing, field.name))
    elif isinstance(thing, (list, tuple)):
        for part in thing:
            yield from arrays_in(part)


def call(name):
    function, *arrays = CALLS[name]
    arrays = [np.array(array) for array in arrays]
    if name == "crossings":
        return function(*arrays[:2], end=arrays[2]), arrays
    return function(*arrays), arrays


@pytest.mark.parametrize("name", CALLS)
def test_inputs_are_neither_changed_nor_kept(name):
    result, passed = call(name)
    for array, original in zip(passed, CALLS[name][1:], strict=True):
        np.testing.assert_array_equal(array, original, err_msg="an input was changed")
    before = [array.copy() for array in arrays_in(result)]
    assert not any(np.shares_memory(ours, theirs) for ours in arrays_in(result) for theirs in passed)
    for array in passed:
        array[...] = 0
    for array, kept in zip(arrays_in(result), before, strict=True):
        np.testing.assert_array_equal(array, kept)


def test_an_array_that_its_owner_can_write_to_again_is_copied():
    normals, offsets = vectors(4, 2), vectors(4)
    normals.flags.writeable = offsets.flags.writeable = False
    arrangement = Arrangement(normals, offsets)
    normals.flags.writeable = True
    normals[...] = 0
    np.testing.assert_array_equal(arrangement.normals, vectors(4, 2))
    again = Arrangement(arrangement.normals, arrangement.offsets)
    assert again.normals is arrangement.normals, "what is ours already is shared"


FROZEN = [name for name in CALLS if is_dataclass(call(name)[0])]


@pytest.mark.parametrize("send", [lambda x: pickle.loads(pickle.dumps(x)), copy.deepcopy, copy.copy])
@pytest.mark.parametrize("name", FROZEN)
def test_a_result_that_was_pickled_or_copied_is_the_same_and_read_only(name, send):
    result, _ = call(name)
    sent = send(result)
    assert type(sent) is type(result) and repr(sent) == repr(result)
    there = list(arrays_in(sent))
    for array, original in zip(there, arrays_in(result), strict=True):
        np.testing.assert_array_equal(array, original)
        assert type(array) is type(original)
        assert not array.flags.writeable, f"{name}: an array can be written to"
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
    assert there


def test_most_results_are_frozen():
    assert len(FROZEN) >= 13 and {"Arrangement", "FoldedMLP", "partition_plane", "partition_sphere"} <= set(FROZEN)
