"""Bad input, table by table: each with the right exception, which says what was expected, what came and what to do."""

import re
from dataclasses import fields, is_dataclass, replace

import numpy as np
import pytest
import torch
from oracles import random_block, random_mlp

from lnpoly_helpers import (
    Arrangement,
    FoldedMLP,
    NormedMLP,
    PatternCounter,
    activation_pattern,
    affine_map,
    angle_between,
    at_length,
    boundary_height,
    boundary_margin,
    cap_share,
    coherence,
    context_effect,
    context_share,
    count_patterns,
    crossings,
    encode,
    expected_crossings,
    fold_layer_norm,
    hamming_distance,
    jacobian,
    jostle,
    lift,
    load_model,
    look_alikes,
    matched_layer,
    meets_sphere,
    mlp_block,
    model_card,
    normalize,
    opposition,
    own_share,
    partition_circle,
    partition_plane,
    path_profile,
    path_speed,
    pattern_hash,
    ray_crossings,
    residuals,
    rest_weights,
    restrict,
    rice_factor,
    rotate,
    slice_basis,
    split_change,
    steering_angle,
    survey,
    tangent_change,
    tangent_range,
    trace,
    wide_relu,
    wide_relu_range,
    wide_relu_share,
)
from lnpoly_helpers.models import load

D, M = 6, 10
RNG = np.random.default_rng(0)
BLOCK = random_block(RNG, D, M, eps=1e-5)
MLP = fold_layer_norm(BLOCK)
GELU = random_mlp(RNG, D, M, activation="gelu")
NO_NORM = random_mlp(RNG, D, M, kind="none")
X = RNG.normal(size=D)
Z, Z1 = normalize(np.stack([X, RNG.normal(size=D)]))
POINTS = normalize(RNG.normal(size=(9, D)))
BASIS = slice_basis(RNG.normal(size=(2, D)))
PRE = RNG.normal(size=(4, M))
PATTERN = PRE[0] > 0
BITS = PATTERN[None]
FLAT = restrict(MLP, BASIS)


def with_value(x, value):
    x = np.array(x, dtype=float)
    x.flat[-1] = value
    return x


def bad_numbers(x):
    """The table of inputs that no function of real numbers can take: (id, value, exception, what the message says)."""
    x = np.asarray(x)
    return [
        ("NaN", with_value(x, np.nan), ValueError, r"expected finite numbers, got 1 NaN or infinite.*index .*Remove"),
        ("infinity", with_value(x, -np.inf), ValueError, r"expected finite numbers, got 1 NaN or infinite.*Remove"),
        ("complex", x + 0j, TypeError, r"expected real numbers.*got dtype complex128.*Convert"),
        ("bool", x > 0, TypeError, r"expected real numbers.*got dtype bool.*Convert"),
        ("str", x.astype(str), TypeError, r"expected real numbers.*got dtype <U.*Convert"),
        ("object", x.astype(object), TypeError, r"expected real numbers.*got dtype object.*Convert"),
        ("None", None, TypeError, r"expected real numbers.*got dtype object.*Convert"),
        ("ragged", [[1.0, 2.0], [3.0]], TypeError, r"expected an array of real numbers, got list"),
        ("empty", x[..., :0], ValueError, r"expected (at least one number|shape).*got"),
    ]


def few(mlp, z):
    """The figures of a survey on few paths, as a list."""
    return list(survey(mlp, z, np.random.default_rng(0), n_paths=2, n_contexts=3, n_directions=2).values())


READERS = {  # name of the argument: (function of it, a good value)
    "normalize: x": (normalize, X),
    "block: x": (BLOCK, X),
    "block.preactivations: x": (BLOCK.preactivations, X),
    "mlp: x": (MLP, X),
    "mlp.output: z": (MLP.output, Z),
    "mlp.preactivations: z": (MLP.preactivations, Z),
    "jacobian: x": (lambda x: jacobian(MLP, x), X),
    "mlp.to_sphere: x": (MLP.to_sphere, X),
    "ray_crossings: x": (lambda x: ray_crossings(MLP, x), X),
    "boundary_margin: z": (lambda z: boundary_margin(MLP, z), Z),
    "angle_between: z1": (lambda z1: angle_between(Z, z1), Z1),
    "rotate: z0": (lambda z0: rotate(z0, Z1, 0.3), Z),
    "rotate: angle": (lambda angle: rotate(Z, Z1, angle), np.array([0.3, 0.5])),
    "crossings: z0": (lambda z0: crossings(MLP, z0, Z1), Z),
    "crossings: end": (lambda end: crossings(MLP, Z, Z1, end=end), np.array([0.25, 0.5])),
    "path_profile: z1": (lambda z1: path_profile(GELU, Z, z1), Z1),
    "tangent_range: z0": (lambda z0: tangent_range(MLP, z0, Z1), Z),
    "tangent_range: tolerances": (lambda t: tangent_range(MLP, Z, Z1, tolerances=t), np.array([0.125, 0.25])),
    "split_change: z0": (lambda z0: split_change(GELU, z0, Z1), Z),
    "split_change: z1": (lambda z1: split_change(GELU, Z, z1), Z1),
    "rest_weights: z1": (lambda z1: rest_weights(GELU, Z, z1), Z1),
    "coherence: z0": (lambda z0: coherence(GELU, z0, Z1), Z),
    "opposition: z1": (lambda z1: opposition(GELU, Z, z1), Z1),
    "own_share: z0": (lambda z0: own_share(GELU, z0, Z1), Z),
    "context_share: contexts": (lambda contexts: context_share(MLP, contexts, X, 0.5), np.stack([Z1, -Z1])),
    "context_effect: direction": (
        lambda direction: context_effect(MLP, [Z, Z1], direction, 0.5).share,
        RNG.normal(size=D),
    ),
    "matched_layer: z": (lambda z: matched_layer(MLP, z, np.random.default_rng(0)).b_in, np.stack([Z, Z1])),
    "look_alikes: z": (lambda z: look_alikes(z, 3, np.random.default_rng(0)), np.stack([Z, Z1])),
    "jostle: z": (lambda z: jostle(z, 0.5, 3, np.random.default_rng(0)), Z),
    "jostle: towards": (lambda t: jostle(Z, 0.5, 3, np.random.default_rng(0), towards=t), np.stack([Z1, -Z1])),
    "survey: z": (lambda z: few(MLP, z), POINTS),
    "steering_angle: x": (lambda x: steering_angle(x, Z1, 0.5), X),
    "steering_angle: v": (lambda v: steering_angle(X, v, 0.5), Z1),
    "wide_relu: angle": (wide_relu, np.array([0.25, 0.5])),
    "wide_relu_range: tolerance": (wide_relu_range, np.array([0.125, 0.25])),
    "wide_relu_share: angle": (lambda angle: wide_relu_share(angle, 0.5), np.array([0.25, 0.5])),
    "wide_relu_share: between": (lambda between: wide_relu_share(0.5, between), np.array([0.25, 0.5])),
    "rice_factor: on_rate": (rice_factor, np.array([0.25, 0.5])),
    "tangent_change: z1": (lambda z1: tangent_change(GELU, Z, z1), Z1),
    "slice_basis: vectors": (slice_basis, np.array(BASIS)),
    "lift: basis": (lambda basis: lift(basis, [1.0, 0.0]), BASIS),
    "lift: y": (lambda y: lift(BASIS, y), np.array([0.6, 0.8])),
    "restrict: basis": (lambda basis: restrict(MLP, basis), BASIS),
    "Arrangement: normals": (lambda normals: Arrangement(normals, FLAT.offsets), FLAT.normals),
    "Arrangement: offsets": (lambda offsets: Arrangement(FLAT.normals, offsets), FLAT.offsets),
    "arrangement.preactivations: y": (FLAT.preactivations, np.array([0.6, 0.8])),
    "NormedMLP: W_in": (lambda W_in: replace(BLOCK, W_in=W_in), BLOCK.W_in),
    "NormedMLP: gamma": (lambda gamma: replace(BLOCK, gamma=gamma), BLOCK.gamma),
    "FoldedMLP: b_out": (lambda b_out: replace(MLP, b_out=b_out), MLP.b_out),
}
CASES = [
    pytest.param(reader, name.split(": ")[1], *bad, id=f"{name} {case}")
    for name, (reader, good) in READERS.items()
    for case, *bad in bad_numbers(good)
    if (name, case) not in (("crossings: end", "None"), ("jostle: towards", "None"))  # what they do without
]


@pytest.mark.parametrize("reader, argument, value, exception, says", CASES)
def test_what_is_no_array_of_real_numbers_is_refused_by_name(reader, argument, value, exception, says):
    with pytest.raises(exception, match=rf"(?s)^{argument}: .*{says}|^{argument}: expected shape"):
        reader(value)


@pytest.mark.parametrize("reader, good", READERS.values(), ids=READERS)
def test_the_good_value_of_that_table_is_taken(reader, good):
    before = np.array(good)
    reader(good)
    reader(torch.tensor(np.array(good)))
    np.testing.assert_array_equal(good, before)


# --- torch tensors ---


def outcome(reader, value):
    """Every array in what a reader returns, or what it says."""

    def arrays(result):
        if is_dataclass(result):
            result = [getattr(result, field.name) for field in fields(result)]
        return [a for part in result for a in arrays(part)] if isinstance(result, (list, tuple)) else [result]

    try:
        return arrays(reader(value))
    except ValueError as error:  # points of a sphere that are rounded to 8 bits no longer lie on it
        return [str(error)]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("reader, good", READERS.values(), ids=READERS)
def test_a_tensor_of_any_float_type_with_a_gradient_is_the_float64_array_of_its_numbers(reader, good, dtype):
    tensor = torch.tensor(np.array(good), dtype=dtype, requires_grad=True)
    exact = np.array(tensor.tolist())
    for found, expected in zip(outcome(reader, tensor), outcome(reader, exact), strict=True):
        np.testing.assert_array_equal(found, expected)
        assert not isinstance(found, np.ndarray) or found.dtype in (np.float64, int, bool)
    assert tensor.requires_grad and tensor.dtype == dtype


def test_a_tensor_in_bfloat16_gives_the_float64_result():
    x = torch.tensor([[1.5, -0.25, 3.0, 2.0, 8.0, -7.0], [0.5, 2.5, 1.0, 96.0, 0.0, 3.0]], requires_grad=True)
    half, exact = x.bfloat16(), np.array(x.tolist())  # these numbers are exact in bfloat16
    for read in (normalize, BLOCK, MLP, MLP.to_sphere, lambda x: jacobian(MLP, x), lambda x: slice_basis(x)):
        np.testing.assert_array_equal(read(half), read(exact))
        np.testing.assert_array_equal(read(list(half)), read(exact))
        assert np.asarray(read(half)).dtype == np.float64


NO_NUMBERS = {
    "meta": lambda good: torch.empty(np.shape(good), device="meta"),
    "sparse": lambda good: torch.tensor(np.array(good)).to_sparse(),
    "a list with one on meta": lambda good: [torch.ones(2), torch.ones(2, device="meta")],
    "complex": lambda good: torch.tensor(np.array(good)) + 0j,
}


@pytest.mark.parametrize("make", NO_NUMBERS.values(), ids=NO_NUMBERS)
@pytest.mark.parametrize("name", READERS)
def test_a_tensor_that_holds_no_real_numbers_is_refused_by_name(name, make):
    reader, good = READERS[name]
    with pytest.raises(TypeError, match=rf"^{name.split(': ')[1]}: expected (an array of )?real numbers.*, got "):
        reader(make(good))


PRE_READERS = {
    "activation_pattern": activation_pattern,
    "count_patterns": count_patterns,
    "PatternCounter.update": lambda pre: PatternCounter().update(pre),
}
PRE_CASES = [
    ("NaN", with_value(PRE, np.nan), ValueError, r"expected numbers, got 1 NaN; a NaN is neither on nor off"),
    ("a number", np.float64(1.0), ValueError, r"expected shape \[\.\.\., m\] with m >= 1, got \[\]"),
    ("no neurons", PRE[:, :0], ValueError, r"expected shape \[\.\.\., m\] with m >= 1, got \[4, 0\]"),
    # an infinite pre-activation has a sign, a chunk may be empty, and bools are patterns that can be counted; the rest
    # is refused as everywhere
    *[case for case in bad_numbers(PRE) if case[0] not in ("NaN", "infinity", "empty", "bool")],
]


@pytest.mark.parametrize(
    "value, exception, says", [case[1:] for case in PRE_CASES], ids=[case[0] for case in PRE_CASES]
)
@pytest.mark.parametrize("reader", PRE_READERS.values(), ids=PRE_READERS)
def test_what_is_no_preactivation_is_refused(reader, value, exception, says):
    with pytest.raises(exception, match=rf"(?s)^pre: .*{says}"):
        reader(value)


def test_a_pattern_has_no_pattern():
    with pytest.raises(TypeError, match="pre: expected real numbers.*got dtype bool"):
        activation_pattern(PRE > 0)


@pytest.mark.parametrize(
    "reader",
    [pattern_hash, lambda p: hamming_distance(p, BITS), lambda p: hamming_distance(BITS, p)],
    ids=["pattern_hash", "hamming_distance p", "hamming_distance q"],
)
@pytest.mark.parametrize(
    "value, exception, says",
    [
        (PRE, TypeError, r"expected bool \[\.\.\., m\], got dtype float64; activation_pattern\(pre\) makes it"),
        (PATTERN.astype(int), TypeError, r"expected bool .* got dtype int64; activation_pattern\(pre\) makes it"),
        (PATTERN.astype(object), TypeError, r"expected bool .* got dtype object"),
        ([[True], [True, False]], TypeError, r"expected bool .* got list"),
        (np.array(True), ValueError, r"expected shape \[\.\.\., m\] with m >= 1, got \[\]"),
        (np.empty((3, 0), dtype=bool), ValueError, r"expected shape \[\.\.\., m\] with m >= 1, got \[3, 0\]"),
    ],
    ids=["float", "int", "object", "ragged", "a single bit", "no neurons"],
)
def test_what_is_no_pattern_is_refused(reader, value, exception, says):
    with pytest.raises(exception, match=rf"^(pattern|p|q): {says}"):
        reader(value)


# --- wrong shapes ---

WRONG_SHAPES = {  # a call, the argument that it names, the shape expected and the shape that came
    "normalize": (lambda: normalize(3.0), "x", "..., d", ""),
    "block": (lambda: BLOCK(np.ones((2, 7))), "x", "..., 6", "2, 7"),
    "block.preactivations": (lambda: BLOCK.preactivations(np.ones(7)), "x", "..., 6", "7"),
    "mlp": (lambda: MLP(np.ones(5)), "x", "..., 6", "5"),
    "mlp.output": (lambda: MLP.output(np.ones(5)), "z", "..., 6", "5"),
    "jacobian": (lambda: jacobian(MLP, np.ones((2, 5))), "x", "..., 6", "2, 5"),
    "mlp.to_sphere": (lambda: MLP.to_sphere(np.ones(5)), "x", "..., 6", "5"),
    "split_change": (lambda: split_change(MLP, Z, np.ones(5)), "z1", "..., 6", "5"),
    "ray_crossings": (lambda: ray_crossings(MLP, np.ones((2, 5))), "x", "..., 6", "2, 5"),
    "boundary_margin": (lambda: boundary_margin(MLP, np.ones(7)), "z", "..., 6", "7"),
    "W_in transposed": (lambda: replace(BLOCK, W_in=BLOCK.W_in.T), "W_in", "d, 10", "10, 6"),
    "W_in flat": (lambda: replace(BLOCK, W_in=np.ones(3)), "W_in", "d, m", "3"),
    "W_out transposed": (lambda: replace(BLOCK, W_out=BLOCK.W_out.T), "W_out", "10, d_out", "6, 10"),
    "b_in": (lambda: replace(MLP, b_in=np.ones(9)), "b_in", "10", "9"),
    "b_out": (lambda: replace(MLP, b_out=np.ones(5)), "b_out", "6", "5"),
    "gamma": (lambda: replace(BLOCK, gamma=np.ones(10)), "gamma", "6", "10"),
    "beta": (lambda: replace(BLOCK, beta=np.ones((1, 6))), "beta", "6", "1, 6"),
    "normals": (lambda: Arrangement(np.ones(3), np.ones(3)), "normals", "m, k", "3"),
    "offsets": (lambda: Arrangement(np.ones((3, 2)), np.ones(2)), "offsets", "3", "2"),
    "arrangement.preactivations": (lambda: FLAT.preactivations(np.ones(3)), "y", "..., 2", "3"),
    "slice_basis": (lambda: slice_basis(X), "vectors", "k, d", "6"),
    "lift": (lambda: lift(BASIS, [1.0, 0.0, 0.0]), "y", "..., 2", "3"),
    "restrict": (lambda: restrict(MLP, np.eye(2, 7)), "basis", "k, 6", "2, 7"),
    "affine_map": (lambda: affine_map(MLP, PATTERN[1:]), "pattern", "10", "9"),
    "affine_map of a batch": (lambda: affine_map(MLP, BITS), "pattern", "10", "1, 10"),
}


@pytest.mark.parametrize("call, argument, expected, came", WRONG_SHAPES.values(), ids=WRONG_SHAPES)
def test_a_wrong_shape_is_named_with_the_right_one(call, argument, expected, came):
    with pytest.raises(ValueError, match="^" + re.escape(f"{argument}: expected shape [{expected}], got [{came}]")):
        call()


# --- wrong objects and wrong places ---


OF_A_SPHERE = {
    "meets_sphere": meets_sphere,
    "expected_crossings": expected_crossings,
    "boundary_height": boundary_height,
    "cap_share": cap_share,
    "boundary_margin": lambda mlp: boundary_margin(mlp, Z),
    "restrict": lambda mlp: restrict(mlp, BASIS),
    "crossings": lambda mlp: crossings(mlp, Z, Z1),
    "path_profile": lambda mlp: path_profile(mlp, Z, Z1),
    "path_speed": lambda mlp: path_speed(mlp, Z, Z1),
    "tangent_range": lambda mlp: tangent_range(mlp, Z, Z1),
    "context_share": lambda mlp: context_share(mlp, np.stack([Z, Z1]), np.eye(D)[0], 0.5),
    "survey": lambda mlp: few(mlp, POINTS),
}
OF_A_FOLDED_LAYER = OF_A_SPHERE | {
    "jacobian": lambda mlp: jacobian(mlp, X),
    "split_change": lambda mlp: split_change(mlp, Z, Z1),
    "rest_weights": lambda mlp: rest_weights(mlp, Z, Z1),
    "opposition": lambda mlp: opposition(mlp, Z, Z1),
    "own_share": lambda mlp: own_share(mlp, Z, Z1),
    "matched_layer": lambda mlp: matched_layer(mlp, np.stack([Z, Z1]), np.random.default_rng(0)),
    "coherence": lambda mlp: coherence(mlp, Z, Z1),
    "tangent_change": lambda mlp: tangent_change(mlp, Z, Z1),
    "ray_crossings": lambda mlp: ray_crossings(mlp, X),
    "affine_map": lambda mlp: affine_map(mlp, PATTERN),
}


@pytest.mark.parametrize("call", OF_A_FOLDED_LAYER.values(), ids=OF_A_FOLDED_LAYER)
def test_a_block_that_is_not_folded_is_refused(call):
    """Its matrix lacks gamma and the centring: an answer out of it would be wrong without looking so."""
    message = r"^mlp: expected a FoldedMLP, got NormedMLP\. fold_layer_norm\(block\) makes one"
    with pytest.raises(TypeError, match=message):
        call(BLOCK)
    call(MLP)


@pytest.mark.parametrize("call", OF_A_SPHERE.values(), ids=OF_A_SPHERE)
def test_without_a_norm_there_is_no_sphere(call):
    message = r"^mlp: expected a layer behind LayerNorm or RMSNorm, got kind 'none': its input is no sphere"
    with pytest.raises(ValueError, match=message):
        call(NO_NORM)


def says(*parts):
    """A pattern that finds these texts in this order, the first one at the beginning."""
    return "(?s)^" + ".*".join(map(re.escape, parts))


NO_DIRECTION = says(
    "x: expected a vector with a direction, got one that is constant", "leave it out, or pass", "eps > 0"
)
KINDS = "kind: expected one of 'layernorm', 'rmsnorm', 'none', got "
EPS = "eps: expected a finite number >= 0, got "
SPAN = "vectors: expected {0} directions that span {0} dimensions"
REFUSED = {
    # vectors without direction
    "normalize zero": (lambda: normalize(np.zeros(5)), ValueError, NO_DIRECTION),
    "normalize constant": (lambda: normalize(np.full(768, 0.1)), ValueError, NO_DIRECTION),
    "normalize one coordinate": (lambda: normalize([3.0]), ValueError, NO_DIRECTION),
    "normalize one row of many": (
        lambda: normalize([[1, 2, 3], [2, 2, 2]]),
        ValueError,
        says("x: expected a vector with a direction, got one at index (1,) that is constant"),
    ),
    "normalize zero for RMSNorm": (
        lambda: normalize(np.zeros(5), kind="rmsnorm"),
        ValueError,
        says("x: expected", "that is zero. RMSNorm has no image", "eps > 0"),
    ),
    "block constant": (lambda: replace(BLOCK, eps=0.0)(np.ones(D)), ValueError, NO_DIRECTION),
    "jacobian constant": (lambda: jacobian(replace(MLP, eps=0.0), np.ones(D)), ValueError, NO_DIRECTION),
    "ray_crossings constant": (lambda: ray_crossings(MLP, np.ones(D)), ValueError, NO_DIRECTION),
    # unknown names, numbers out of range
    "kind": (lambda: normalize(X, kind="batchnorm"), ValueError, says(KINDS + "'batchnorm'")),
    "kind of a block": (lambda: replace(BLOCK, kind="LN"), ValueError, says(KINDS + "'LN'")),
    "kind of a slice": (lambda: slice_basis(BASIS, kind=None), ValueError, says(KINDS + "None")),
    "activation": (
        lambda: replace(MLP, activation="mish"),
        ValueError,
        says("activation: expected one of 'relu', 'gelu', 'gelu_new', 'silu', 'quick_gelu', 'relu2', got 'mish'"),
    ),
    "eps negative": (lambda: normalize(X, eps=-1e-5), ValueError, says(EPS + "-1e-05")),
    "eps NaN": (lambda: normalize(X, eps=float("nan")), ValueError, says(EPS + "nan")),
    "eps infinite": (lambda: replace(BLOCK, eps=np.inf), ValueError, says(EPS + "inf")),
    "eps of a ray": (lambda: ray_crossings(MLP, X, eps=-1), ValueError, says(EPS + "-1")),
    "eps a text": (lambda: normalize(X, eps="small"), (TypeError, ValueError), says(EPS + "'small'")),
    "eps None": (lambda: normalize(X, eps=None), (TypeError, ValueError), says(EPS + "None")),
    "half_width 0": (
        lambda: partition_plane(FLAT, half_width=0),
        ValueError,
        says("half_width: expected a number > 0, got 0"),
    ),
    "half_width NaN": (
        lambda: partition_plane(FLAT, half_width=np.nan),
        ValueError,
        says("half_width: expected finite numbers, got 1 NaN"),
    ),
    "end": (lambda: crossings(MLP, Z, Z1, end=0), ValueError, says("end: expected radians with 0 < end <= pi, got 0")),
    "tolerances": (
        lambda: tangent_range(MLP, Z, Z1, tolerances=[0.1, -0.1]),
        ValueError,
        says("tolerances: expected numbers > 0, got -0.1"),
    ),
    "resolution": (
        lambda: path_profile(MLP, Z, Z1, resolution=6),
        ValueError,
        says("resolution: expected a positive multiple of 4, got 6"),
    ),
    "resolution a float": (
        lambda: tangent_range(MLP, Z, Z1, resolution=6.0),
        TypeError,
        says("resolution: expected a positive integer, got 6.0"),
    ),
    "angle in degrees": (
        lambda: jostle(Z, 30, 3, RNG),
        ValueError,
        says("angle: expected radians with 0 < angle <= pi, got 30. np.radians(degrees) makes them"),
    ),
    "angle of a wide layer": (
        lambda: wide_relu([0.1, 30]),
        ValueError,
        says("angle: expected radians with 0 < angle <= pi, got 0.1 to 30. np.radians(degrees)"),
    ),
    "angle of a survey": (
        lambda: survey(MLP, POINTS, RNG, angle=2.0, n_contexts=2),
        ValueError,
        says("angle: expected radians with 0 < angle <= pi / 2, got 2"),
    ),
    "between": (
        lambda: wide_relu_share(0.1, -0.1),
        ValueError,
        says("between: expected radians with 0 <= between <= pi / 2, got -0.1 to -0.1"),
    ),
    "on_rate of a layer": (
        lambda: wide_relu(0.1, on_rate=1.0),
        ValueError,
        says("on_rate: expected a number between 0 and 1, got 1.0"),
    ),
    "on_rate in percent": (
        lambda: rice_factor([50.0, 0.1]),
        ValueError,
        says("on_rate: expected shares from 0 to 1, got 0.1 to 50"),
    ),
    "tolerance": (lambda: wide_relu_range(0.0), ValueError, says("tolerance: expected numbers > 0, got 0")),
    "alpha negative": (
        lambda: steering_angle(X, Z1, -0.5),
        ValueError,
        says("alpha: expected numbers >= 0, got -0.5. To take a direction away, pass -v"),
    ),
    "alpha that cancels": (
        lambda: steering_angle(X, -2 * X, 0.5),
        ValueError,
        says("alpha: expected x + alpha v with a direction, got one that vanishes. Take another alpha"),
    ),
    "nothing to add": (
        lambda: steering_angle(X, np.ones(D), 0.5),
        ValueError,
        says("v: expected vectors with a direction, got one that is constant", "Leave it out"),
    ),
    "steering zero": (
        lambda: steering_angle(np.zeros(D), X, 0.5, kind="rmsnorm"),
        ValueError,
        says("x: expected vectors with a direction, got one that is zero"),
    ),
    "keep": (
        lambda: matched_layer(MLP, POINTS, RNG, keep="W_up"),
        ValueError,
        says("keep: expected one of 'W_in', got 'W_up'"),
    ),
    "look-alikes of one point": (
        lambda: look_alikes(Z[None], 5, RNG),
        ValueError,
        says("z: expected at least 2 points, got 1"),
    ),
    "look-alikes without a norm": (
        lambda: look_alikes(POINTS, 5, RNG, kind="none"),
        ValueError,
        says("kind: expected one of 'layernorm', 'rmsnorm', got 'none'"),
    ),
    "look-alikes of residual vectors": (
        lambda: look_alikes(3 * POINTS, 5, RNG),
        ValueError,
        says("z: expected points on the sphere", "Pass normalize(x, kind='layernorm')"),
    ),
    "no look-alikes": (lambda: look_alikes(POINTS, 0, RNG), ValueError, says("n: expected a positive integer, got 0")),
    "jostled towards itself": (
        lambda: jostle(Z, 0.5, 2, RNG, towards=np.stack([Z, Z])),
        ValueError,
        says("z0 and z1: expected two points with one great circle", "coincide"),
    ),
    "a survey of few points": (
        lambda: survey(MLP, POINTS, RNG),
        ValueError,
        says("z: expected at least n_contexts + 2 = 34 points, got 9"),
    ),
    "a survey of one point": (
        lambda: survey(MLP, np.tile(Z, (40, 1)), RNG),
        ValueError,
        says("z: expected points in different directions, got hardly two that are a degree apart"),
    ),
    "a survey of a cluster": (
        lambda: survey(MLP, np.concatenate([np.tile(Z, (40, 1)), [Z1]]), RNG),
        ValueError,
        says("z: expected 32 points a degree apart from one of them, got"),
    ),
    "towards": (
        lambda: survey(MLP, POINTS, RNG, towards="tokens", n_contexts=2),
        ValueError,
        says("towards: expected one of 'points', 'isotropic', got 'tokens'"),
    ),
    "length": (
        lambda: at_length(NO_NORM, -2),
        ValueError,
        says("length: expected a finite number > 0, got -2. Pass np.linalg.norm(x)"),
    ),
    # what NumPy would quietly take for something else
    "a masked array": (
        lambda: normalize(np.ma.array(X, mask=np.arange(D) == 1)),
        ValueError,
        says("x: expected numbers without a mask, got 1 masked. Leave out what is masked", "x.filled(value)"),
    ),
    "masked rows": (
        lambda: slice_basis([np.ma.masked_greater(X, 0), X]),
        ValueError,
        says("vectors: expected numbers without a mask, got"),
    ),
    "masked pre-activations": (
        lambda: PatternCounter().update(np.ma.masked_less(PRE, 0)),
        ValueError,
        says("pre: expected numbers without a mask"),
    ),
    "a complex eps": (
        lambda: normalize(X, eps=np.complex128(1e-5)),
        ValueError,
        says("eps: expected a finite number >= 0, got np.complex128(1e-05+0j)"),
    ),
    "a complex eps of a ray": (lambda: ray_crossings(MLP, X, eps=1j), ValueError, says("eps: expected", "got 1j")),
    "a huge eps": (
        lambda: normalize(X, eps=10**400),
        ValueError,
        says("eps: expected a finite number >= 0, got 1000000000000000000000000... (401 characters)"),
    ),
    "a bool eps": (lambda: normalize(X, eps=True), ValueError, says("eps: expected a finite number >= 0, got True")),
    "a complex length": (lambda: at_length(NO_NORM, 2j), ValueError, says("length: expected a finite number > 0, got")),
    # residual vectors where normalised ones are read
    "output of a residual vector": (
        lambda: MLP.output(3 * X),
        ValueError,
        says("z: expected what LayerNorm puts out, length at most sqrt(d) = 2.449", "got a vector of length", "mlp(x)"),
    ),
    "preactivations of a residual vector": (
        lambda: MLP.preactivations(X / 9),  # short, but it has a mean
        ValueError,
        says("z: expected what LayerNorm puts out", "and mean 0, got", "normalize(x, eps=mlp.eps, kind=mlp.kind)"),
    ),
    # wrong objects
    "fold twice": (
        lambda: fold_layer_norm(MLP),
        TypeError,
        says("block: expected a NormedMLP, got FoldedMLP. mlp_block(model, layer) makes one"),
    ),
    "fold an array": (lambda: fold_layer_norm(X), TypeError, says("block: expected a NormedMLP, got ndarray")),
    "circle of a layer": (
        lambda: partition_circle(MLP),
        TypeError,
        says("arrangement: expected an Arrangement, got FoldedMLP. restrict(mlp, basis) makes one"),
    ),
    "plane of a layer": (
        lambda: partition_plane(MLP),
        TypeError,
        says("arrangement: expected an Arrangement, got FoldedMLP"),
    ),
    "affine_map of numbers": (
        lambda: affine_map(MLP, PRE[0]),
        TypeError,
        says("pattern: expected bool", "got dtype float64; activation_pattern(pre) makes it"),
    ),
    "affine_map of a GELU": (
        lambda: affine_map(GELU, PATTERN),
        ValueError,
        says("mlp: expected activation 'relu', got 'gelu': it is not piecewise linear", "jacobian(mlp, x)"),
    ),
    # wrong numbers of neurons or dimensions
    "hamming_distance": (
        lambda: hamming_distance(BITS, BITS[:, 1:]),
        ValueError,
        says("p and q: expected the same number of neurons, got 10 and 9"),
    ),
    "hamming_distance of batches": (
        lambda: hamming_distance(PRE[:2] > 0, PRE[:3] > 0),
        ValueError,
        says("p and q: expected", "got"),
    ),
    "PatternCounter": (
        lambda: PatternCounter().update(PRE).update(PRE[:, 1:]),
        ValueError,
        says("pre: expected 10 neurons as in the first chunk, got 9"),
    ),
    "circle in 3-D": (
        lambda: partition_circle(Arrangement(np.ones((4, 3)), np.ones(4))),
        ValueError,
        says("arrangement: expected two dimensions, got 3.", "restrict(mlp, slice_basis([u, v]))"),
    ),
    "plane in 3-D": (
        lambda: partition_plane(Arrangement(np.ones((4, 3)), np.ones(4))),
        ValueError,
        says("arrangement: expected two dimensions, got 3"),
    ),
    # points and directions in the wrong place
    "margin inside the sphere": (
        lambda: boundary_margin(MLP, normalize(X, eps=1e-5)),
        ValueError,
        says(
            "z: expected points on the sphere of radius sqrt(d) = 2.449",
            "got one that is off by",
            "Pass normalize(x, kind='layernorm') with eps = 0",
        ),
    ),
    "margin of raw vectors": (
        lambda: boundary_margin(MLP, 100 * X),
        ValueError,
        says("z: expected points on the sphere", "got one", "Pass normalize"),
    ),
    "margin of one raw vector": (
        lambda: boundary_margin(MLP, np.stack([Z, 1.1 * Z])),
        ValueError,
        says("z: expected", "off by 1.0e-01"),
    ),
    "margin outside the hyperplane": (
        lambda: boundary_margin(MLP, normalize(X + 3, kind="rmsnorm")),
        ValueError,
        says("z: expected points on the sphere", "got", "Pass normalize(x, kind='layernorm')"),
    ),
    "the same direction twice": (
        lambda: slice_basis([X, 2 * X]),
        ValueError,
        says(SPAN.format(2), "got fewer", "Choose other vectors"),
    ),
    "the same after centring": (
        lambda: slice_basis([X, X + 3]),
        ValueError,
        says(SPAN.format(2) + " of the hyperplane orthogonal to the ones vector, got fewer"),
    ),
    "a constant direction": (lambda: slice_basis([X, np.ones(D)]), ValueError, says(SPAN.format(2), "constant")),
    "a zero direction": (
        lambda: slice_basis([np.zeros(D), X], kind="rmsnorm"),
        ValueError,
        says(SPAN.format(2) + ", got fewer (one is zero"),
    ),
    "a combination": (
        lambda: slice_basis([X, Z[::-1], 2 * X - Z[::-1]], kind="rmsnorm"),
        ValueError,
        says(SPAN.format(3), "combination of the others"),
    ),
    "too many directions": (lambda: slice_basis(np.eye(D)), ValueError, says(SPAN.format(6) + " of the hyperplane")),
    "rows too long": (
        lambda: restrict(MLP, 2 * BASIS),
        ValueError,
        says("basis: expected orthonormal rows", "off by 3.0e+00", "slice_basis(vectors, kind='layernorm') makes them"),
    ),
    "rows not orthogonal": (
        lambda: restrict(MLP, [BASIS[0], (BASIS[0] + BASIS[1]) / np.sqrt(2)]),
        ValueError,
        says("basis: expected orthonormal rows", "off by 7.1e-01"),
    ),
    "rows outside the hyperplane": (
        lambda: restrict(MLP, np.eye(2, D)),
        ValueError,
        says("basis: expected orthonormal rows in the space of the sphere, got rows that are off by"),
    ),
}


@pytest.mark.parametrize("call, exception, message", REFUSED.values(), ids=REFUSED)
def test_refused_with_what_was_expected_what_came_and_what_to_do(call, exception, message):
    with pytest.raises(exception, match=message):
        call()


def test_a_refused_chunk_is_not_counted():
    counter = PatternCounter().update(PRE)
    for bad in (PRE[:, 1:], with_value(PRE, np.nan)):
        with pytest.raises(ValueError, match="pre: expected"):
            counter.update(bad)
    assert (counter.n_seen, counter.n_patterns) == (4, count_patterns(PRE))
    assert counter.update(PRE).n_seen == 8


def test_an_empty_chunk_counts_nothing():
    counter = PatternCounter().update(np.empty((0, M)))
    assert (counter.n_seen, counter.n_patterns) == (0, 0)


# --- models ---

TINY = {
    "d_model": 16,
    "d_head": 8,
    "n_heads": 2,
    "n_layers": 2,
    "d_mlp": 32,
    "n_ctx": 12,
    "d_vocab": 256,
    "act_fn": "relu",
    "normalization_type": "LN",
    "seed": 0,
}


@pytest.fixture(scope="module")
def model():
    return load.boot_native(TINY)


NAMES = ", ".join(("nano-ln-relu", "nano-ln-gelu", "nano-rms-relu", "nano-none-relu"))
TEXT = "text: expected a str, or tokens: integers [n_tokens], got "
LAYER = "layer: expected an integer from 0 to 1, got "
MODEL_CALLS = {
    "no such model": (lambda _: load_model("gpt 3"), f"name: expected one of {NAMES}, minilm, smollm2", "got 'gpt 3'"),
    "no such card": (lambda _: model_card(None), f"name: expected one of {NAMES}", "got None"),
    "a path for a name": (lambda _: model_card("../nano-ln-relu"), f"name: expected one of {NAMES}", "got '../nano"),
    "layer too high": (lambda model: mlp_block(model, 2), LAYER + "2"),
    "layer negative": (lambda model: residuals(model, "a", -1), LAYER + "-1"),
    "layer a float": (lambda model: trace(model, "a", 0.0), LAYER + "0.0"),
    "layer a name": (lambda model: mlp_block(model, "mlp"), LAYER + "'mlp'"),
    "one of many layers": (lambda model: residuals(model, "a", [0, 2]), LAYER + "2"),
    "no layers": (lambda model: residuals(model, "a", []), "layer: expected", "got"),
    "no texts": (lambda model: residuals(model, [], 0), "texts: expected at least one text, got none"),
    "an empty text": (lambda model: residuals(model, ["a", ""], 0), "text: expected a non-empty str, got ''"),
    "bytes for a text": (lambda model: encode(model, b"abc"), TEXT + "b'abc'"),
    "None for a text": (lambda model: trace(model, None, 0), TEXT + "None"),
    "floats for tokens": (lambda model: encode(model, [1.0, 2.0]), TEXT + "float64 [2]"),
    "texts for a text": (lambda model: encode(model, ["a", "b"]), TEXT),
    "tokens in rows for a text": (lambda model: trace(model, [[1, 2], [3, 4]], 0), TEXT + "int64 [2, 2]"),
    "no tokens": (lambda model: encode(model, np.array([], dtype=int)), "text: expected at least one token, got none"),
    "a token too high": (
        lambda model: residuals(model, [5, 256], 0),
        "text: expected tokens of a vocabulary of 256, from 0, got 256",
    ),
    "a token below 0": (
        lambda model: residuals(model, [[5, -1]], 0),
        "text: expected tokens of a vocabulary of 256, from 0, got -1",
    ),
    "no iterable": (lambda model: residuals(model, 3, 0), "texts: expected texts (str) or tokens (integers), got 3"),
    "no model": (
        lambda _: mlp_block("gpt2", 0),
        "model: expected a TransformerBridge, a model of transformers or",
        "str",
    ),
    "a text too long": (
        lambda model: trace(model, 13 * "a", 0),
        "text: expected at most 12 tokens, got 13. Shorten it",
    ),
}


@pytest.mark.parametrize("call, parts", [(call, parts) for call, *parts in MODEL_CALLS.values()], ids=MODEL_CALLS)
def test_a_model_refuses_and_goes_on_working(model, call, parts):
    with pytest.raises((TypeError, ValueError), match=says(*parts)):
        call(model)
    assert trace(model, "a good text", 1).residual.shape == (11, 16)


def mish(model):
    for block in model.blocks:
        block.mlp.original_component.act = torch.nn.functional.mish


NO_MLP = "model: expected one MLP in a layer, linear maps with a pointwise function between them, got none in layers.0"


@pytest.mark.parametrize(
    "config, change, parts",
    [
        ({}, mish, ["activation: expected one of relu, gelu, gelu_new, silu, ", "it is off by", "the nearest"]),
        ({"act_fn": "solu"}, None, [NO_MLP]),  # h softmax(h)
        ({"act_fn": "solu_ln"}, None, [NO_MLP]),
        ({"attn_only": True}, None, [NO_MLP]),
    ],
    ids=["mish", "no function of one number", "a norm inside", "attention only"],
)
def test_an_architecture_that_no_normed_mlp_describes_is_refused(config, change, parts):
    own = load.boot_native(TINY | config)
    if change:
        change(own)
    with pytest.raises(ValueError, match=says(*parts)):
        mlp_block(own, 0)


@pytest.mark.parametrize("wrong", [0.0, True, "0", None, [0], -1, 2])
def test_what_is_no_layer_is_refused_also_where_the_layer_is_known(model, wrong):
    residuals(model, "a", [0, 1])
    for call in (lambda: mlp_block(model, wrong), lambda: trace(model, "a", wrong)):
        with pytest.raises(ValueError, match=says(LAYER + repr(wrong))):
            call()


@pytest.mark.parametrize("argument", ["edit_residual", "replace_mlp"])
@pytest.mark.parametrize("shape", [(5, 15), (4, 16), (16,), (1, 16)])
def test_a_replacement_of_the_wrong_shape_is_refused(model, argument, shape):
    """Also where broadcasting would make something of it."""
    with pytest.raises(ValueError, match=says(f"{argument}: expected shape [5, 16], got {list(shape)}")):
        trace(model, "tests", 0, **{argument: lambda x: np.ones(shape)})


@pytest.mark.parametrize("argument", ["edit_residual", "replace_mlp"])
def test_a_replacement_that_is_not_finite_is_refused(model, argument):
    with pytest.raises(ValueError, match=says(f"{argument}: expected finite numbers, got 80 NaN or infinite")):
        trace(model, "tests", 0, **{argument: lambda x: np.nan * x})


# --- afterwards ---


def test_good_input_still_works_after_all_that():
    np.testing.assert_allclose(MLP(X), BLOCK(X), atol=1e-12)
    assert partition_circle(FLAT).n_arcs >= 1
    assert isinstance(BLOCK, NormedMLP) and isinstance(MLP, FoldedMLP)
