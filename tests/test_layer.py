"""layernorm: against torch's modules, 80-digit arithmetic, autograd, finite differences and bisection."""

import statistics
from dataclasses import FrozenInstanceError, fields, replace

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from oracles import bisect, exact_normalize, random_block, random_mlp, torch_block
from thorough import thousand

from lnpoly_helpers import FoldedMLP, fold_layer_norm, lift, normalize, ray_crossings, restrict, slice_basis
from lnpoly_helpers._inputs import KINDS
from lnpoly_helpers.activations import ACTIVATIONS

NORMS = ("layernorm", "rmsnorm")
vectors = st.integers(2, 40).flatmap(lambda d: arrays(np.float64, d, elements=st.floats(-10, 10)))
scales = st.floats(-200, 200).map(lambda power: 10.0**power)


# --- normalize ---


@pytest.mark.parametrize("eps", [1e-12, 1e-5, 0.3, 1e12])
@pytest.mark.parametrize("d", [2, 3, 17, 768])
def test_normalize_is_torchs_layer_norm(rng, d, eps):
    x = 3 * rng.normal(size=(4, 5, d)) + 1
    expected = torch.nn.functional.layer_norm(torch.tensor(x), (d,), eps=eps).numpy()
    np.testing.assert_allclose(normalize(x, eps=eps), expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("kind", NORMS)
@pytest.mark.parametrize("eps", [0.0, 1e-5, 2.0])
@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1e-3, 1.0, 1e4, 1e200, 1e307])
def test_normalize_has_every_digit_at_any_scale(rng, scale, eps, kind):
    x = scale * rng.normal(size=12)
    expected = exact_normalize(x, eps, kind)
    np.testing.assert_allclose(normalize(x, eps=eps, kind=kind), expected, atol=1e-14 * np.abs(expected).max(), rtol=0)


@pytest.mark.parametrize(
    "x", [[1.7e308, -1.7e308, 1e308], [1.7e308, 1.6e308, 1.7e308], [1e-320, 0, 2e-320], [5e-324, 0, 0]], ids=str
)
def test_the_largest_and_smallest_floats_neither_overflow_nor_underflow(x):
    np.testing.assert_allclose(normalize(x), exact_normalize(x, 0, "layernorm"), atol=1e-14)


@pytest.mark.parametrize("d", [2, 3, 4, 768])
def test_normalize_lands_on_the_sphere(rng, d):
    x = rng.normal(size=(50, d)) * 10.0 ** rng.uniform(-9, 9, size=(50, 1))
    z = normalize(x)
    np.testing.assert_allclose(np.linalg.norm(z, axis=1), np.sqrt(d), rtol=1e-14)
    assert np.abs(z.sum(axis=1)).max() < 1e-13 * d
    np.testing.assert_allclose(np.linalg.norm(normalize(x, kind="rmsnorm"), axis=1), np.sqrt(d), rtol=1e-14)


@pytest.mark.parametrize("offset", [1e3, 1e6, 1e9, 1e12])
def test_an_offset_costs_accuracy_but_not_the_hyperplane(rng, offset):
    x = rng.normal(size=50)
    z = normalize(x + offset)
    assert abs(z.sum()) < 1e-12 and np.linalg.norm(z) == pytest.approx(np.sqrt(50), rel=1e-14)
    assert np.abs(z - normalize(x)).max() < 1e-15 * offset
    np.testing.assert_allclose(z, exact_normalize(x + offset, 0, "layernorm"), atol=1e-14)  # what x + offset has left


def test_neighbouring_floats_have_a_direction():
    np.testing.assert_allclose(normalize([1e15, 1e15 + 1, 1e15 + 2]), [-np.sqrt(1.5), 0, np.sqrt(1.5)], atol=1e-15)
    np.testing.assert_allclose(normalize([1e15, 1e15 + 1], eps=0.25), [-(0.5**0.5), 0.5**0.5], atol=1e-15)
    with pytest.raises(ValueError, match="one that is constant"):
        normalize([0.3, 0.1 + 0.2, 0.3])  # one unit in the last place is rounding


@thousand
@given(st.integers(0, 2**32 - 1))
def test_normalize_has_every_digit_whatever_scale_and_offset(seed):
    rng = np.random.default_rng(seed)
    d, kind = int(rng.integers(2, 9)), NORMS[seed % 2]
    x = rng.normal(size=d) + rng.choice([-1, 1]) * 10 ** rng.uniform(-3, 14.5)
    x *= 10 ** rng.uniform(-150, 150)
    assume(np.ptp(x) > 2e-15 * np.abs(x).max())  # nearer than that, the offset has left but rounding
    eps = 0.0 if seed % 3 else float(x.std() ** 2 * 10 ** rng.uniform(-3, 3))
    expected = exact_normalize(x, eps, kind)
    np.testing.assert_allclose(normalize(x, eps=eps, kind=kind), expected, rtol=0, atol=4e-15 * np.abs(expected).max())


@pytest.mark.parametrize("eps", [1e-9, 1e-5, 0.5, 100.0])
def test_eps_puts_it_inside_the_sphere_by_the_stated_amount(rng, eps):
    for x in rng.normal(size=(20, 9)) * rng.uniform(0.01, 10, size=(20, 1)):
        variance = statistics.pvariance(map(float, x))
        squared = np.sum(normalize(x, eps=eps) ** 2)
        assert squared == pytest.approx(9 * variance / (variance + eps), rel=1e-13)
        assert squared < 9


@given(vectors, scales, st.floats(-1e3, 1e3))
def test_layernorm_forgets_scale_and_offset(x, a, c):
    assume(x.std() > 0.05)
    accuracy = 1e-14 * (np.abs(x).max() + abs(c)) / x.std()
    np.testing.assert_allclose(normalize(a * (x + c)), normalize(x), atol=accuracy, rtol=0)


@given(vectors, scales)
def test_rmsnorm_forgets_scale_alone(x, a):
    assume(np.abs(x).max() > 0.05)
    z = normalize(x, kind="rmsnorm")
    np.testing.assert_allclose(normalize(a * x, kind="rmsnorm"), z, atol=1e-14, rtol=1e-13)


def test_rmsnorm_sees_an_offset():
    assert np.abs(normalize([1.0, 2.0, 4.0], kind="rmsnorm") - normalize([2.0, 3.0, 5.0], kind="rmsnorm")).max() > 0.1


@given(vectors, st.sampled_from(NORMS))
def test_opposite_vectors_land_on_antipodes(x, kind):
    assume(x.std() > 1e-3)
    np.testing.assert_array_equal(normalize(-x, kind=kind), -normalize(x, kind=kind))


@given(st.integers(3, 40).flatmap(lambda d: arrays(np.float64, (2, d), elements=st.floats(-10, 10))))
def test_only_a_half_plane_shares_a_point(pair):
    """A step that is neither along Px nor along the ones vector moves the image."""
    x, v = pair
    assume(x.std() > 0.05)
    centred = x - x.mean()
    step = v - v.mean()
    step -= centred * (step @ centred) / (centred @ centred)
    assume(step.std() > 0.05)
    assert np.abs(normalize(x + step) - normalize(x)).max() > 1e-4


@pytest.mark.parametrize("kind", KINDS)
def test_normalize_leaves_its_input_alone(rng, kind):
    x = rng.normal(size=(3, 5))
    before = x.copy()
    z = normalize(x, kind=kind)
    z += 1
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("kind", NORMS)
def test_a_batch_is_its_rows(rng, kind):
    x = rng.normal(size=(2, 3, 4, 7))
    rows = [normalize(row, eps=1e-5, kind=kind) for row in x.reshape(-1, 7)]
    np.testing.assert_allclose(normalize(x, eps=1e-5, kind=kind).reshape(-1, 7), rows, atol=1e-14)


@pytest.mark.parametrize("convert", [list, lambda x: x.astype(np.float32), lambda x: x.astype(int), torch.tensor])
def test_lists_integers_float32_and_torch_tensors_are_read(convert):
    x = np.array([3.0, 1.0, -2.0, 7.0])
    z = normalize(convert(x))
    assert z.dtype == np.float64
    np.testing.assert_allclose(z, normalize(x), atol=1e-14)


def test_a_vector_without_direction_goes_to_zero_at_eps_above_zero():
    np.testing.assert_array_equal(normalize(np.full((2, 768), 0.1), eps=1e-5), np.zeros((2, 768)))
    np.testing.assert_array_equal(normalize(np.zeros(5), eps=1e-5, kind="rmsnorm"), np.zeros(5))


# --- the block and its fold ---


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_block_is_torchs_modules_in_a_row(rng, kind, activation):
    block = random_block(rng, 12, 31, kind=kind, activation=activation, eps=1e-5, d_out=5)
    x = rng.normal(size=(3, 4, 12))
    with torch.no_grad():
        pre, output = torch_block(block)(torch.tensor(x))
    np.testing.assert_allclose(block.preactivations(x), pre.numpy(), atol=1e-13)
    np.testing.assert_allclose(block(x), output.numpy(), atol=1e-13)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("d, m", [(3, 7), (16, 64), (128, 512), (768, 3072)])
def test_folding_changes_nothing(rng, d, m, kind):
    stored = random_block(rng, d, m, kind=kind)
    x = 2 * rng.normal(size=(6, d)) + 0.5
    for eps in (0.0, 1e-5, 0.1):
        block = replace(stored, eps=eps)
        mlp = fold_layer_norm(block)
        z = normalize(x, eps=eps, kind=kind)
        assert np.abs(mlp.preactivations(z) - block.preactivations(x)).max() < 1e-12
        assert np.abs(mlp.output(z) - block(x)).max() < 1e-12
        assert np.abs(mlp(x) - block(x)).max() < 1e-12


def test_forgetting_beta_or_folding_it_into_the_wrong_matrix_would_be_seen(rng):
    """The test above can fail: two likely mistakes miss its tolerance by nine orders of magnitude."""
    block = random_block(rng, 16, 64)
    mlp = fold_layer_norm(block)
    x = rng.normal(size=(6, 16))
    forgotten = replace(mlp, b_in=block.b_in)
    wrong_matrix = replace(mlp, b_in=block.b_in + block.beta @ mlp.W_in)
    for wrong in (forgotten, wrong_matrix):
        assert np.abs(wrong(x) - block(x)).max() > 1e-3


@pytest.mark.parametrize("d, m", [(3, 7), (128, 512)])
def test_the_folded_matrix_is_centred_for_layernorm_and_for_nothing_else(rng, d, m):
    folded = {kind: random_mlp(rng, d, m, kind=kind).W_in.mean(axis=0) for kind in KINDS}
    assert np.abs(folded["layernorm"]).max() < 1e-15
    assert np.abs(folded["rmsnorm"]).max() > 1e-3
    assert np.abs(folded["none"]).max() > 1e-3


@pytest.mark.parametrize("kind", NORMS)
def test_the_layer_depends_on_the_direction_alone_at_eps_zero(rng, kind):
    block = random_block(rng, 24, 96, kind=kind, activation="gelu_new")
    x = rng.normal(size=24)
    for a in (1e-100, 1e-3, 7.0, 1e100):
        np.testing.assert_allclose(block(a * x), block(x), atol=1e-12)


def test_a_block_keeps_its_own_copy_that_nobody_can_change(rng):
    W_in = rng.normal(size=(4, 6))
    block = FoldedMLP(W_in, np.zeros(6), np.ones((6, 4)), np.zeros(4), "relu", 0.0, "rmsnorm")
    W_in[0, 0] = 99.0
    assert block.W_in[0, 0] != 99.0


def test_a_changed_block_shares_the_matrices_that_it_leaves_alone(rng):
    block = random_mlp(rng, 4, 6)
    other = replace(block, W_out=2 * block.W_out)
    assert other.W_in is block.W_in and other.W_out is not block.W_out
    view = np.broadcast_to(rng.normal(size=4), (6, 4))  # read-only, and yet somebody else's to change
    assert replace(block, W_out=view).W_out is not view


def test_a_matrix_that_was_not_centred_is_no_fold_of_layer_norm(rng):
    block = random_block(rng, 8, 30)
    with pytest.raises(ValueError, match="W_in: expected columns with mean 0.*got.*fold_layer_norm"):
        FoldedMLP(block.W_in, block.b_in, block.W_out, block.b_out, "relu", block.eps, "layernorm")
    one = np.array(fold_layer_norm(block).W_in)
    one[:, 7] = 1e-9 * (one[:, 7] + one[:, 7].std())  # far below the largest weight, and yet a neuron of its own
    with pytest.raises(ValueError, match="column 7 with a mean of .* of its largest weight"):
        FoldedMLP(one, block.b_in, block.W_out, block.b_out, "relu", block.eps, "layernorm")
    for kind in ("rmsnorm", "none"):
        FoldedMLP(block.W_in, block.b_in, block.W_out, block.b_out, "relu", block.eps, kind)
    float32 = fold_layer_norm(block).W_in.astype(np.float32)
    FoldedMLP(float32, block.b_in, block.W_out, block.b_out, "relu", block.eps, "layernorm")


def random_ray(rng, d, m):
    return ray_crossings(random_mlp(rng, d, m, eps=1e-2), np.arange(d))


@pytest.mark.parametrize("make", [random_block, random_mlp, random_ray])
def test_frozen_means_frozen(rng, make):
    thing = make(rng, 6, 9)
    for field in fields(thing):
        with pytest.raises(FrozenInstanceError):
            setattr(thing, field.name, None)
        value = getattr(thing, field.name)
        if isinstance(value, np.ndarray):
            assert not value.flags.writeable, f"{type(thing).__name__}.{field.name} can be written to"


# --- rays ---


def crossings_by_bisection(block, x, low=1e-12, high=1e12, n=4000):
    """Every sign change of the unfolded block's pre-activations on a dense grid of scales, bisected."""
    grid = np.geomspace(low, high, n)
    on = block.preactivations(grid[:, None] * x) > 0
    where, neurons = np.nonzero(on[1:] != on[:-1])
    height = lambda i: lambda t: block.preactivations(np.exp(t) * x)[i]  # noqa: E731
    log_scale = [bisect(height(i), np.log(grid[k]), np.log(grid[k + 1])) for k, i in zip(where, neurons, strict=True)]
    order = np.argsort(log_scale)
    return np.exp(np.array(log_scale)[order]), neurons[order]


@pytest.mark.parametrize(
    "kind, eps", [("layernorm", 1e-5), ("layernorm", 0.7), ("rmsnorm", 1e-5), ("rmsnorm", 3.0), ("none", 0.0)]
)
def test_ray_crossings_are_those_that_bisection_finds(rng, kind, eps):
    for _ in range(4):
        block = random_block(rng, 12, 48, kind=kind, eps=eps)
        x = rng.normal(size=12) * 10.0 ** rng.uniform(-2, 2)
        found = ray_crossings(fold_layer_norm(block), x)
        scales, neurons = crossings_by_bisection(block, x)
        assert len(neurons) > 5  # a ray that flips nothing would prove nothing
        np.testing.assert_array_equal(found.neurons, neurons)
        np.testing.assert_allclose(found.scales, scales, rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_between_two_crossings_exactly_one_neuron_flips(rng, kind):
    mlp = random_mlp(rng, 16, 200, kind=kind, eps=1e-2)
    x = rng.normal(size=16)
    rays = ray_crossings(mlp, x)
    assert len(rays.scales) > 20 and (np.diff(rays.scales) >= 0).all()
    assert len(set(rays.neurons)) == len(rays.neurons)
    edges = np.concatenate([[rays.scales[0] / 2], rays.scales, [rays.scales[-1] * 2]])
    on = mlp.preactivations(normalize(np.sqrt(edges[1:] * edges[:-1])[:, None] * x, eps=mlp.eps, kind=kind)) > 0
    where, neurons = np.nonzero(on[1:] != on[:-1])
    np.testing.assert_array_equal(where, np.arange(len(rays.scales)))
    np.testing.assert_array_equal(neurons, rays.neurons)


@pytest.mark.parametrize("kind", NORMS)
def test_no_neuron_flips_on_a_ray_at_eps_zero(rng, kind):
    mlp = random_mlp(rng, 16, 400, kind=kind, eps=1e-5)
    x = rng.normal(size=16)
    assert len(ray_crossings(mlp, x, eps=0.0).neurons) == 0
    assert len(ray_crossings(mlp, x).neurons) > 50
    on = mlp.preactivations(normalize(np.geomspace(1e-150, 1e150, 301)[:, None] * x, kind=kind)) > 0
    assert (on == on[0]).all()


def test_eps_and_scale_enter_a_ray_as_one_number(rng):
    """Crossings move as sqrt(eps)/s: ten times the vector or a hundredth of eps give a tenth of the scale."""
    mlp = random_mlp(rng, 16, 100, eps=1e-5)
    x = rng.normal(size=16)
    scales = ray_crossings(mlp, x).scales
    np.testing.assert_allclose(ray_crossings(mlp, 10 * x).scales, scales / 10, rtol=1e-9)
    np.testing.assert_allclose(ray_crossings(mlp, x, eps=1e-7).scales, scales / 10, rtol=1e-9)


def test_a_neuron_without_bias_or_without_weight_flips_nowhere(rng):
    mlp = random_mlp(rng, 8, 3, eps=1.0)
    W_in, b_in = mlp.W_in.copy(), mlp.b_in.copy()
    b_in[0] = 0.0
    W_in[:, 1] = 0.0
    W_in[:, 2] = b_in[2] = 0.0
    for kind in KINDS:
        dead = replace(mlp, W_in=W_in, b_in=b_in, kind=kind)
        assert len(ray_crossings(dead, rng.normal(size=8)).neurons) == 0


# --- residual vectors in place of normalised ones ---


@pytest.mark.parametrize("kind", NORMS)
@pytest.mark.parametrize("scale", [1 + 1e-5, 2.0, 1e60])
def test_a_vector_longer_than_the_sphere_is_refused(rng, kind, scale):
    mlp = random_mlp(rng, 12, 30, kind=kind, eps=1e-5)
    z = mlp.to_sphere(rng.normal(size=(3, 4, 12)))
    long = z.copy()
    long[1, 2] *= scale
    for read in (mlp.preactivations, mlp.output):
        read(z), read(z * (1 + 1e-7)), read(0 * z), read(z.astype(np.float32))
        with pytest.raises(ValueError) as raised:
            read(long)
        norm, wanted, mean = {
            "layernorm": ("LayerNorm", " and mean 0", f" and mean {long[1, 2].mean():.1e}"),
            "rmsnorm": ("RMSNorm", "", ""),
        }[kind]
        assert str(raised.value) == (
            f"z: expected what {norm} puts out, length at most sqrt(d) = 3.4641016{wanted}, got a vector at index "
            f"(1, 2) of length {np.sqrt(12) * scale:.8g}{mean}. For residual vectors x pass "
            f"normalize(x, eps=mlp.eps, kind=mlp.kind), or mlp.to_sphere(x) for eps = 0; mlp(x) takes x itself."
        )
        with pytest.raises(ValueError, match="got a vector of length"):
            read(long[1, 2])
        with pytest.raises(ValueError, match="got a vector at index .* of length inf"):
            read(1e200 * z)  # its square overflows


@pytest.mark.parametrize("size", [1.0, 0.1, 1e-3, 1e-130])
def test_a_short_vector_with_a_mean_is_refused_behind_layer_norm_alone(rng, size):
    """A residual vector may be short; its mean still gives it away."""
    z = 0.9 * size * normalize(rng.normal(size=(5, 12)))
    leaning = z + [[0], [0], [1e-3 * size], [0], [0]]
    for kind in KINDS:
        mlp = random_mlp(rng, 12, 30, kind=kind, eps=1e-5)
        mlp.output(z)
        if kind == "layernorm":
            with pytest.raises(ValueError, match=r"z: expected .* and mean 0, got a vector at index \(2,\)"):
                mlp.output(leaning)
            mlp.output(z + 1e-6 * size)
        else:
            mlp.output(leaning)


def test_without_a_norm_every_vector_is_read(rng):
    mlp = random_mlp(rng, 12, 30, kind="none")
    x = 50 * rng.normal(size=(4, 12)) + 7
    np.testing.assert_array_equal(mlp.output(x), mlp(x))


@pytest.mark.parametrize("kind", NORMS)
def test_what_the_norm_puts_out_is_never_refused(rng, kind):
    """At any scale, offset and eps, in float32 as torch computes it, and with one massive coordinate."""
    mlp = random_mlp(rng, 768, 4, kind=kind)
    x = rng.normal(size=(200, 768)) * 10.0 ** rng.uniform(-12, 12, size=(200, 1))
    x[50:100] += x[50:100].std(axis=1, keepdims=True) * 100
    x[100:, 138] *= 3000
    for eps in (0.0, 1e-12, 1e-5, 1.0):
        mlp.output(normalize(x, eps=eps, kind=kind))
    tensor = torch.tensor(x, dtype=torch.float32)
    norm = torch.nn.functional.layer_norm if kind == "layernorm" else torch.nn.functional.rms_norm
    mlp.output(norm(tensor, (768,), eps=1e-5))
    mlp.output(1e-200 * normalize(x, kind=kind))


@pytest.mark.parametrize("kind", KINDS)
def test_to_sphere_is_normalize_at_eps_zero_whatever_the_layers_own(rng, kind):
    mlp = random_mlp(rng, 12, 30, kind=kind, eps=0.5)
    x = rng.normal(size=(4, 5, 12)) + 1
    np.testing.assert_array_equal(mlp.to_sphere(x), normalize(x, kind=kind))
    assert kind == "none" or np.abs(np.linalg.norm(mlp.to_sphere(x), axis=-1) - np.sqrt(12)).max() < 1e-14 * 12
    with pytest.raises(ValueError, match=r"x: expected shape \[..., 12\], got \[7\]"):
        mlp.to_sphere(np.ones(7))


@pytest.mark.parametrize("kind", KINDS)
def test_slice_is_slice_basis_of_the_layers_own_kind(rng, kind):
    mlp = random_mlp(rng, 12, 30, kind=kind)
    vectors = rng.normal(size=(3, 12)) + 1
    basis = mlp.slice(vectors)
    np.testing.assert_array_equal(basis, slice_basis(vectors, kind=kind))
    assert basis.kind == kind
    np.testing.assert_array_equal(mlp.slice(torch.tensor(vectors)), basis)
    if kind != "none":  # from the layer to its arrangement, and its preactivations
        y = normalize(rng.normal(size=(7, 3)), kind="rmsnorm") / np.sqrt(3)
        pre = restrict(mlp, basis).preactivations(y)
        np.testing.assert_allclose(pre, mlp.preactivations(lift(basis, y)), atol=1e-12)
    with pytest.raises(ValueError, match=r"vectors: expected shape \[k, 12\], got \[3, 11\]"):
        mlp.slice(vectors[:, 1:])


def test_a_torch_linears_matrix_is_named_as_what_it_is(rng):
    """torch stores [out, in]; with biases, both layers give themselves away."""
    first, last = torch.nn.Linear(6, 10).double(), torch.nn.Linear(10, 3).double()
    right = dict(W_in=first.weight.T, b_in=first.bias, W_out=last.weight.T, b_out=last.bias)
    make = lambda **change: FoldedMLP(**(right | change), activation="gelu", eps=0.0, kind="rmsnorm")  # noqa: E731
    x = torch.randn(4, 6, dtype=torch.float64)
    z = torch.nn.functional.rms_norm(x, (6,), eps=0)
    expected = last(torch.nn.functional.gelu(first(z)))
    np.testing.assert_allclose(make()(x), expected.detach().numpy(), atol=1e-12)
    for change, shapes in (
        (dict(W_in=first.weight), r"W_in: expected shape \[d, 10\], got \[10, 6\]"),
        (dict(W_out=last.weight), r"W_out: expected shape \[10, d_out\], got \[3, 10\]"),
    ):
        message = (
            shapes + r", which fits the other way round. torch's Linear stores \[out, in\]: pass linear.weight.T, "
        )
        with pytest.raises(ValueError, match=message + r"or the modules themselves to NormedMLP.from_modules"):
            make(**change)
    with pytest.raises(ValueError, match=r"b_in: expected shape \[10\], got \[9\]\.$"):  # another mistake
        make(b_in=np.ones(9))
    with pytest.raises(ValueError, match=r"W_out: expected shape \[10, d_out\], got \[4, 3\]\.$"):
        make(W_out=np.ones((4, 3)))
