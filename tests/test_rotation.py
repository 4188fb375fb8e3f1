"""rotation: against dense scans, bisection, the circle's partition, the layer's own outputs and loops over neurons."""

import re
from dataclasses import FrozenInstanceError, fields, replace

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import ACTIVATIONS, NORMS, bisect, dense_scan, random_block, random_mlp, random_points
from thorough import thousand

from lnpoly_helpers import (
    EMBEDDED,
    activation_pattern,
    angle_between,
    at_length,
    coherence,
    crossings,
    expected_crossings,
    fold_layer_norm,
    hamming_distance,
    load_model,
    mlp_block,
    normalize,
    partition_circle,
    prompts,
    residuals,
    restrict,
    rotate,
    slice_basis,
    split_change,
    steering_angle,
    tangent_change,
)
from lnpoly_helpers._inputs import KINDS
from lnpoly_helpers.models.hub import PACKAGES, packaged

needs_minilm = pytest.mark.skipif(
    packaged("minilm") is None, reason=f"MiniLM is not installed: {PACKAGES['minilm'].install()}"
)


def slerp(z0, z1, t):
    """The textbook's formula, which has nothing of a frame; theta from the cosine."""
    theta = np.arccos(np.clip(z0 @ z1 / len(z0), -1, 1))
    return (np.sin(theta - t)[..., None] * z0 + np.sin(t)[..., None] * z1) / np.sin(theta)


def at(mlp, z0, z1, i):
    """Neuron i's pre-activation along the path, as a function of the angle."""
    return lambda t: mlp.preactivations(slerp(z0, z1, np.asarray(t)))[..., i]


def by_path(found, k):
    return found.angles[found.paths == k], found.neurons[found.paths == k], found.turns_on[found.paths == k]


# --- rotate and angle_between ---


seeds = st.integers(0, 2**32 - 1)
dims = st.integers(3, 40)


@given(seeds, dims, st.sampled_from(NORMS), st.floats(-7, 7))
def test_rotating_stays_on_the_sphere_and_turns_by_the_angle(seed, d, kind, angle):
    z0, z1 = random_points(np.random.default_rng(seed), d, kind=kind)
    z = rotate(z0, z1, angle)
    assert np.linalg.norm(z) == pytest.approx(np.sqrt(d), rel=1e-14)
    assert abs(z.mean()) < 1e-13 or kind == "rmsnorm"
    turned = abs((angle + np.pi) % (2 * np.pi) - np.pi)
    assert angle_between(z0, z) == pytest.approx(turned, abs=1e-14)
    np.testing.assert_allclose(z, slerp(z0, z1, np.array(angle)), atol=1e-13 / np.sin(angle_between(z0, z1)) ** 2)


@given(seeds, dims, st.floats(0.01, 3.1))
def test_there_and_back(seed, d, angle):
    z0, z1 = random_points(np.random.default_rng(seed), d)
    theta = angle_between(z0, z1)
    safe = 1e-13 / np.sin(theta)
    np.testing.assert_allclose(rotate(z0, z1, 0.0), z0, atol=1e-14)
    np.testing.assert_allclose(rotate(z0, z1, theta), z1, atol=safe)
    np.testing.assert_allclose(rotate(z0, z1, np.pi), -z0, atol=1e-14 * np.sqrt(d))
    np.testing.assert_allclose(rotate(z0, z1, angle), rotate(z1, z0, theta - angle), atol=safe)
    z = rotate(z0, z1, angle)
    np.testing.assert_allclose(rotate(z, z0, angle), z0, atol=1e-13 / np.sin(angle))


@pytest.mark.parametrize("angle", [1e-9, 1e-6, 1e-3, 1.0, np.pi / 2, 3.0, np.pi - 1e-3, np.pi - 1e-6, np.pi - 1e-9])
def test_an_angle_keeps_its_digits_near_zero_and_near_pi(rng, angle):
    basis = slice_basis(rng.normal(size=(2, 50)))
    z0, z1 = np.sqrt(50) * np.array([[1, 0], [np.cos(angle), np.sin(angle)]]) @ basis
    assert angle_between(z0, z1) == pytest.approx(angle, abs=1e-15)
    start = rotate(z0, z1, np.pi / 2) / np.sqrt(50)
    np.testing.assert_allclose(start, basis[1], atol=1e-15 / np.sin(angle))
    assert abs(start @ z0) < 1e-14  # orthogonal to the last digit, however close the points


def test_the_angle_of_a_point_with_itself_and_with_its_antipode(rng):
    z = normalize(rng.normal(size=(5, 9)))
    np.testing.assert_array_equal(angle_between(z, z), 0)
    np.testing.assert_array_equal(angle_between(z, -z), np.pi)


def test_a_batch_of_rotations_is_its_rows(rng):
    z0, z1 = random_points(rng, 4, 7)
    angles = rng.uniform(-1, 4, size=3)
    batch = rotate(z0[:, None], z1[:, None], angles)
    assert batch.shape == (4, 3, 7) and batch.dtype == np.float64
    for k in range(4):
        np.testing.assert_allclose(rotate(z0[k], z1[k], angles), batch[k], atol=1e-15)
        np.testing.assert_allclose(rotate(z0[k], z1, angles[0])[k], batch[k, 0], atol=1e-15)
    assert angle_between(z0[:, None], z1).shape == (4, 4)
    assert np.ndim(angle_between(z0[0], z1[0])) == 0


@pytest.mark.parametrize("kind", NORMS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_steering_is_rotation(rng, kind, activation):
    mlp = random_mlp(rng, 20, 60, kind=kind, activation=activation)
    x, v = rng.normal(size=(2, 20)) * [[3.0], [0.2]]
    alpha = 10.0 ** np.linspace(-4, 5, 200)
    steered = normalize(x + alpha[:, None] * v, kind=kind)
    z0, z1 = normalize(np.stack([x, v]), kind=kind)
    t = angle_between(z0, steered)
    np.testing.assert_allclose(rotate(z0, z1, t), steered, atol=1e-9)
    np.testing.assert_allclose(mlp.output(rotate(z0, z1, t)), mlp(x + alpha[:, None] * v), atol=1e-9)
    assert (np.diff(t) > 0).all() and t[0] < 1e-3 and angle_between(z0, z1) - t[-1] < 1e-3
    # the docstring's angle: alpha = |Px| sin(t) / (|Pv| sin(theta - t))
    size = np.linalg.norm(np.stack([x, v]) - (kind == "layernorm") * np.array([[x.mean()], [v.mean()]]), axis=1)
    expected = size[0] * np.sin(t) / (size[1] * np.sin(angle_between(z0, z1) - t))
    np.testing.assert_allclose(expected, alpha, rtol=1e-8)


def test_steering_crosses_the_boundaries_that_the_path_crosses(rng):
    mlp = random_mlp(rng, 12, 200)
    x, v = rng.normal(size=(2, 12))
    z0, z1 = normalize([x, v])
    found = crossings(mlp, z0, z1)
    assert found.counts > 10
    theta = angle_between(z0, z1)
    centred = np.linalg.norm([x - x.mean(), v - v.mean()], axis=1)
    for t, i, on in zip(found.angles, found.neurons, found.turns_on, strict=True):
        before, after = (
            mlp.preactivations(normalize(x + centred[0] * np.sin(s) / (centred[1] * np.sin(theta - s)) * v))[i]
            for s in (t - 1e-9, t + 1e-9)
        )
        assert (before < 0 < after) if on else (after < 0 < before)


# --- steering_angle ---


@given(seeds, dims, st.sampled_from(KINDS), st.floats(-3, 3), st.floats(-5, 5))
def test_adding_a_direction_turns_by_the_steering_angle(seed, d, kind, log_alpha, offset):
    rng, alpha = np.random.default_rng(seed), 10.0**log_alpha
    x, v = 10.0 ** rng.uniform(-2, 2, size=(2, 1)) * rng.normal(size=(2, d))
    x = x + offset  # seen by RMSNorm, not by LayerNorm
    sphere = "layernorm" if kind == "layernorm" else "rmsnorm"
    z0, target, z = (normalize(y, kind=sphere) for y in (x, v, x + alpha * v))
    angle = steering_angle(x, v, alpha, kind=kind)
    assert angle == pytest.approx(angle_between(z0, z), abs=1e-11)
    phi = angle_between(z0, target)
    assert 0 <= angle <= phi + 1e-12
    np.testing.assert_allclose(rotate(z0, target, angle), z, atol=1e-10 / np.sin(phi))
    centred = [y - y.mean() if kind == "layernorm" else y for y in (x, v)]  # and backwards, from the angle to alpha
    back = np.linalg.norm(centred[0]) * np.sin(angle) / (np.linalg.norm(centred[1]) * np.sin(phi - angle))
    assert back == pytest.approx(alpha, rel=1e-8 + 1e-14 / min(angle, phi - angle) + 1e-14 / np.sin(phi))


def test_steering_by_nothing_and_by_all(rng):
    x, v = rng.normal(size=(2, 5, 9))
    phi = angle_between(normalize(x), normalize(v))
    np.testing.assert_array_equal(steering_angle(x, v, 0.0), 0)
    np.testing.assert_allclose(steering_angle(x, v, np.inf), phi, rtol=1e-14)
    np.testing.assert_allclose(steering_angle(x, v, 1e300), phi, rtol=1e-14)
    np.testing.assert_allclose(steering_angle(1e-200 * x, 1e200 * v, 1e200), phi, rtol=1e-14)
    tiny = steering_angle(x, v, 1e-12)  # no digits are lost
    ratio = np.std(v, axis=1) / np.std(x, axis=1)
    np.testing.assert_allclose(tiny, 1e-12 * ratio * np.sin(phi), rtol=1e-10)
    np.testing.assert_array_equal(steering_angle(x, v + 7, 0.4), steering_angle(x, v + 7, np.array([0.4] * 5)))
    np.testing.assert_allclose(steering_angle(x, v + 7, 0.4), steering_angle(x, v, 0.4), atol=1e-14)
    alphas = np.append(np.logspace(-6, 6, 400), np.inf)
    assert (np.diff(steering_angle(x[0], v[0], alphas)) > 0).all()
    assert steering_angle(x[:, None], v[:, None], alphas).shape == (5, 401)


def test_steering_along_the_vector_and_against_it(rng):
    x = rng.normal(size=9)
    np.testing.assert_allclose(steering_angle(x, 3 * x, [0.0, 1.0, np.inf]), 0, atol=1e-15)
    turned = steering_angle(x, -2 * x, [0.0, 0.25, 0.499999, 0.500001, 3.0, np.inf])
    np.testing.assert_allclose(turned, [0, 0, 0, np.pi, np.pi, np.pi], atol=1e-9)
    near = -x + 1e-7 * rng.normal(size=9)  # it flips over within a part in 1e7
    np.testing.assert_allclose(steering_angle(x, near, [0.9, 1.1]), [0, np.pi], atol=1e-5)
    half = steering_angle(x, near, np.std(x) / np.std(near))  # equally long: halfway
    assert half == pytest.approx(angle_between(normalize(x), normalize(near)) / 2, abs=1e-6)


# --- crossings ---


def test_crossings_are_those_of_a_dense_scan_on_200_paths(rng):
    """The scan's steps are a quarter of the closest pair's gap, and 2000 at least."""
    n_crossings = n_twice = 0
    for k in range(200):
        kind = NORMS[k % 2]
        mlp = random_mlp(rng, 7, 24, kind=kind)
        z0, z1 = random_points(rng, 7, kind=kind)
        theta = angle_between(z0, z1)
        found = crossings(mlp, z0, z1)
        gap = np.diff(found.angles, prepend=0.0, append=theta).min()
        steps = max(2000, min(int(4 * theta / gap), 400_000))
        grid = np.linspace(0, theta, steps + 1)
        on = mlp.preactivations(slerp(z0, z1, grid)) > 0
        step, neurons = np.nonzero(on[1:] != on[:-1])
        np.testing.assert_array_equal(found.neurons, neurons)
        np.testing.assert_array_equal(found.turns_on, on[step + 1, neurons])
        assert (found.angles >= grid[step] - 1e-12).all() and (found.angles <= grid[step + 1] + 1e-12).all()
        assert found.counts == len(neurons) and found.ends == theta
        n_crossings += len(neurons)
        n_twice += len(neurons) - len(np.unique(neurons))
    assert n_crossings > 1500 and n_twice > 50


@pytest.mark.parametrize("name", [*EMBEDDED, pytest.param("minilm", marks=needs_minilm)])
def test_crossings_between_real_vectors_are_those_of_a_dense_scan(rng, name):
    """The scan goes on where two crossings are close; without a norm each vector turns at its own length."""
    model = load_model(name)
    x = residuals(model, prompts()[:2], layer=2)
    stored = fold_layer_norm(mlp_block(model, 2))
    for _ in range(6):
        start, target = x[rng.choice(len(x), 2, replace=False)]
        size = np.linalg.norm(start)
        mlp = at_length(stored, size) if stored.kind == "none" else stored
        z0, z1 = normalize(np.stack([start, target]), kind=mlp.kind)
        found = crossings(mlp, z0, z1)
        scale = size / np.sqrt(mlp.d_model) if stored.kind == "none" else 1.0  # of what the stored layer reads
        scan = dense_scan(lambda t: stored.preactivations(scale * slerp(z0, z1, t)), 0, found.ends, 2000)  # noqa: B023
        before, after, neurons, turns_on = map(np.array, zip(*scan, strict=True))
        np.testing.assert_array_equal(found.neurons, neurons)
        np.testing.assert_array_equal(found.turns_on, turns_on)
        assert (found.angles >= before - 1e-12).all() and (found.angles <= after + 1e-12).all()
        assert found.counts == len(neurons) > 50
        np.testing.assert_allclose(sum(split_change(mlp, z0, z1)), mlp.output(z1) - mlp.output(z0), atol=1e-10)


@pytest.mark.parametrize("d, m", [(12, 300), (128, 512)])
def test_crossings_are_where_bisection_finds_them(rng, d, m):
    mlp = random_mlp(rng, d, m)
    z0, z1 = random_points(rng, d)
    found = crossings(mlp, z0, z1)
    for k in range(0, len(found.angles), 4):
        t, i = found.angles[k], found.neurons[k]
        assert bisect(at(mlp, z0, z1, i), t - 1e-6, t + 1e-6) == pytest.approx(t, abs=1e-12)
    assert len(found.angles) > 40


@pytest.mark.parametrize("kind", NORMS)
def test_crossings_are_those_of_the_circle(rng, kind):
    mlp = random_mlp(rng, 16, 64, kind=kind)
    z0, z1 = random_points(rng, 16, kind=kind)
    circle = partition_circle(restrict(mlp, slice_basis([z0, z1], kind=kind)))
    for end in (angle_between(z0, z1), 0.3, np.pi):
        found = crossings(mlp, z0, z1, end=end)
        inside = circle.angles <= end
        np.testing.assert_allclose(found.angles, circle.angles[inside], atol=1e-13)
        np.testing.assert_array_equal(found.neurons, circle.neurons[inside])
    ahead, behind = crossings(mlp, z0, z1, end=np.pi), crossings(mlp, z0, -z1, end=np.pi)  # round, and back to z0
    np.testing.assert_allclose(np.r_[ahead.angles, 2 * np.pi - behind.angles[::-1]], circle.angles, atol=1e-13)


@pytest.mark.parametrize("half", [1.0, 0.1, 1e-3, 1e-6])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_neuron_that_flips_twice_is_found_twice(rng, half, sign):
    """A boundary around the middle of the path; both ends and most samples are on the same side of it."""
    z0, z1 = random_points(rng, 30)
    theta = 2.4
    middle, z1 = rotate(z0, z1, theta / 2) / np.sqrt(30), rotate(z0, z1, theta)
    planted = random_mlp(rng, 30, 2)
    W_in = np.stack([sign * middle, 0 * middle], axis=1)
    mlp = replace(planted, W_in=W_in, b_in=[-sign * np.sqrt(30) * np.cos(half), -1.0])
    np.testing.assert_array_equal(*activation_pattern(mlp.preactivations(np.stack([z0, z1]))))
    found = crossings(mlp, z0, z1)
    assert found.counts == 2
    np.testing.assert_array_equal(found.neurons, [0, 0])
    np.testing.assert_array_equal(found.turns_on, [sign > 0, sign < 0])
    np.testing.assert_allclose(found.angles, [theta / 2 - half, theta / 2 + half], atol=1e-14 + 1e-15 / half)


@pytest.mark.parametrize("kind", NORMS)
def test_the_start_pattern_with_every_flip_is_the_end_pattern(rng, kind):
    mlp = random_mlp(rng, 24, 300, kind=kind)
    z0, z1 = random_points(rng, 900, 24, kind=kind)  # more than are worked on at a time
    found = crossings(mlp, z0, z1)
    start, end = (activation_pattern(mlp.preactivations(z)) for z in (z0, z1))
    flips = np.zeros_like(start, dtype=int)
    np.add.at(flips, (found.paths, found.neurons), np.where(found.turns_on, 1, -1))
    np.testing.assert_array_equal(start + flips, end)
    assert (found.counts >= hamming_distance(start, end)).all()
    assert found.counts.sum() > hamming_distance(start, end).sum()


def test_a_batch_of_crossings_is_its_paths(rng):
    mlp = random_mlp(rng, 24, 3000)  # 43 paths at a time
    z0, z1 = random_points(rng, 10, 9, 24)
    found = crossings(mlp, z0, z1)
    assert found.counts.shape == found.ends.shape == (10, 9)
    assert (np.diff(found.paths) >= 0).all()
    for k in (0, 1, 42, 43, 89):
        one = crossings(mlp, z0.reshape(-1, 24)[k], z1.reshape(-1, 24)[k])
        angles, neurons, turns_on = by_path(found, k)
        np.testing.assert_allclose(angles, one.angles, atol=1e-12)
        np.testing.assert_array_equal(neurons, one.neurons)
        np.testing.assert_array_equal(turns_on, one.turns_on)
        assert found.counts.flat[k] == one.counts == len(angles) and (np.diff(angles) >= 0).all()


def test_ends_broadcast_and_a_path_cut_in_two_has_the_crossings_of_the_whole(rng):
    mlp = random_mlp(rng, 10, 80)
    z0, z1 = random_points(rng, 10)
    ends = np.array([0.2, 0.9, 2.5])
    found = crossings(mlp, z0, z1, end=ends)
    np.testing.assert_array_equal(found.ends, ends)
    whole = crossings(mlp, z0, z1, end=2.5)
    for k, end in enumerate(ends):
        np.testing.assert_allclose(by_path(found, k)[0], whole.angles[whole.angles <= end], atol=1e-13)
    rest = crossings(mlp, rotate(z0, z1, 0.9), rotate(z0, z1, 2.5))
    np.testing.assert_allclose(np.r_[by_path(found, 1)[0], 0.9 + rest.angles], whole.angles, atol=1e-13)


def test_the_way_back_crosses_the_same_boundaries(rng):
    mlp = random_mlp(rng, 10, 80)
    z0, z1 = random_points(rng, 10)
    there, back = crossings(mlp, z0, z1), crossings(mlp, z1, z0)
    np.testing.assert_allclose(there.ends - back.angles[::-1], there.angles, atol=1e-13)
    np.testing.assert_array_equal(back.neurons[::-1], there.neurons)
    np.testing.assert_array_equal(back.turns_on[::-1], ~there.turns_on)


@pytest.mark.parametrize("kind", NORMS)
@pytest.mark.parametrize("angle", [0.2, 1.3])
def test_without_biases_a_neuron_flips_with_probability_angle_over_pi(rng, kind, angle):
    mlp = replace(random_mlp(rng, 24, 200, kind=kind), b_in=np.zeros(200))
    z0, z1 = random_points(rng, 2000, 24, kind=kind)
    share = crossings(mlp, z0, z1, end=angle).counts / 200
    error = share.std(ddof=1) / np.sqrt(len(share))
    assert abs(share.mean() - angle / np.pi) < 4 * error
    assert error < 0.01 * angle


@pytest.mark.parametrize("kind", NORMS)
def test_with_biases_the_mean_count_is_the_arcs_share_of_a_circles(rng, kind):
    mlp = random_mlp(rng, 12, 200, kind=kind)
    z0, z1 = random_points(rng, 2000, 12, kind=kind)
    counts = crossings(mlp, z0, z1, end=1.1).counts
    error = counts.std(ddof=1) / np.sqrt(len(counts))
    assert abs(counts.mean() - expected_crossings(mlp) * 1.1 / (2 * np.pi)) < 4 * error
    assert error < 0.02 * counts.mean()


def test_the_smooth_activations_have_the_same_crossings(rng):
    relu = random_mlp(rng, 10, 50)
    z0, z1 = random_points(rng, 10)
    for activation in ("gelu", "gelu_new"):
        same = crossings(replace(relu, activation=activation), z0, z1)
        np.testing.assert_array_equal(same.angles, crossings(relu, z0, z1).angles)


def test_a_path_that_crosses_nothing_has_empty_arrays(rng):
    mlp = replace(random_mlp(rng, 10, 8), b_in=np.full(8, 1e3))
    found = crossings(mlp, *random_points(rng, 10))
    assert found.counts == 0 and found.angles.shape == found.neurons.shape == found.paths.shape == (0,)


def test_crossings_print_their_counts_in_a_line(rng):
    mlp = random_mlp(rng, 10, 200)
    found = crossings(mlp, *random_points(rng, 3, 4, 10))
    assert repr(found) == f"Crossings(n_paths=12, n_crossings={found.counts.sum()})" and found.counts.sum() > 100
    assert repr(crossings(mlp, *random_points(rng, 10))).startswith("Crossings(n_paths=1, n_crossings=")


def test_crossings_are_frozen(rng):
    found = crossings(random_mlp(rng, 10, 20), *random_points(rng, 3, 10))
    for field in fields(found):
        with pytest.raises(FrozenInstanceError):
            setattr(found, field.name, None)
        assert not getattr(found, field.name).flags.writeable


# --- without a norm ---


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_layer_at_a_length_is_the_layer_on_vectors_of_that_length(rng, activation):
    mlp = random_mlp(rng, 12, 60, kind="none", activation=activation, eps=1e-5)
    x, v = rng.normal(size=(2, 12)) * [[3.0], [0.2]]
    size = np.linalg.norm(x)
    layer = at_length(mlp, size)
    z0, z1 = normalize(np.stack([x, v]), kind="rmsnorm")
    t = np.linspace(0, 3, 50)
    turned = slerp(z0, z1, t) * size / np.sqrt(12)  # x turned towards v
    np.testing.assert_allclose(np.linalg.norm(turned, axis=1), size)
    np.testing.assert_allclose(turned[0], x)
    np.testing.assert_allclose(layer.output(rotate(z0, z1, t)), mlp(turned), atol=1e-12)
    assert (layer.kind, layer.eps) == ("rmsnorm", 0.0)
    for t, i in zip(*(getattr(crossings(layer, z0, z1), name) for name in ("angles", "neurons")), strict=True):
        assert abs(mlp.preactivations(slerp(z0, z1, np.array(t)) * size / np.sqrt(12))[i]) < 1e-12


# --- bad input ---

RNG = np.random.default_rng(0)
D, M = 6, 10
BLOCK = random_block(RNG, D, M)
MLP = fold_layer_norm(BLOCK)
NO_NORM = random_mlp(RNG, D, M, kind="none")
Z0, Z1 = normalize(RNG.normal(size=(2, D)))
LONGER = normalize(RNG.normal(size=D + 1))
BATCH = normalize(RNG.normal(size=(3, D)))
HOLED = np.where(np.arange(D) == 2, np.nan, Z0)

BAD = {
    "off the sphere": (lambda: rotate(1.1 * Z0, Z1, 0.1), "z0: expected points on the sphere.*off by 1.0e-01"),
    "off by 1e-8": (lambda: rotate(Z0, Z1 * (1 + 1e-8), 0.1), "z1: expected points on the sphere.*normalize"),
    "a residual": (lambda: crossings(MLP, 3 * Z0, Z1), "z0: .*sphere.*Pass normalize"),
    "not centred": (lambda: crossings(MLP, normalize(Z0 + 1, kind="rmsnorm"), Z1), "ones vector.*layernorm"),
    "identical": (lambda: rotate(Z0, Z0, 0.1), "one great circle.*they coincide. Choose"),
    "nearly identical": (lambda: crossings(MLP, Z0, normalize(Z0 + 1e-12 * Z1)), "they coincide"),
    "antipodes": (lambda: crossings(MLP, Z0, -Z0), "one great circle.*they are antipodes. Choose"),
    "one of a batch": (lambda: rotate(BATCH, BATCH[1], 0.1), r"got 1 that have more, the first at index \(1,\)"),
    "NaN": (lambda: rotate(HOLED, Z1, 0.1), r"z0: .*1 NaN or infinite, the first at index \(2,\)"),
    "NaN angle": (lambda: rotate(Z0, Z1, np.nan), "angle: .*NaN"),
    "text": (lambda: angle_between("north", Z1), "z0: expected real numbers"),
    "two spheres": (lambda: angle_between(Z0, LONGER), "same number of coordinates, got 6 and 7"),
    "another d": (lambda: crossings(MLP, LONGER, -LONGER), r"z0: expected shape \[..., 6\], got \[7\]"),
    "another d, split": (lambda: split_change(MLP, Z0, LONGER), r"z1: expected shape \[..., 6\]"),
    "no batch in common": (lambda: rotate(BATCH, BATCH[:2], 0), r"broadcast, got \[3, 6\] and \[2, 6\]"),
    "no batch, split": (lambda: coherence(MLP, BATCH, BATCH[:2]), r"z0 and z1: .*\[3, 6\] and \[2, 6\]"),
    "angles of another batch": (lambda: rotate(BATCH, Z1, [0, 1]), r"z0 and angle.*got \[3\] and \[2\]"),
    "ends of another batch": (lambda: crossings(MLP, BATCH, Z1, end=[1, 1]), r"z0 and end.*\[3\] and \[2\]"),
    "end 0": (lambda: crossings(MLP, Z0, Z1, end=0), "end: expected radians with 0 < end <= pi, got 0 to 0"),
    "end in degrees": (lambda: crossings(MLP, Z0, Z1, end=90), "end: .* 0 < end <= pi, got 90"),
    "no norm": (lambda: crossings(NO_NORM, Z0, Z1), "LayerNorm or RMSNorm, got kind 'none'"),
    "a norm, at a length": (lambda: at_length(MLP, 1.0), "expected a layer without a norm, got kind 'layernorm'"),
    "no length": (lambda: at_length(NO_NORM, 0.0), "length: expected a finite number > 0, got 0.0. Pass np.linalg"),
    "negative length": (lambda: at_length(NO_NORM, -1.0), "length: expected a finite number > 0, got -1.0"),
    "a block": (lambda: crossings(BLOCK, Z0, Z1), "mlp: expected a FoldedMLP, got NormedMLP. fold_layer_norm"),
    "a block, split": (lambda: split_change(BLOCK, Z0, Z1), "mlp: expected a FoldedMLP"),
    "a block, tangent": (lambda: tangent_change(BLOCK, Z0, Z1), "mlp: expected a FoldedMLP"),
}
WRONG_TYPE = ("text", "a block", "a block, split", "a block, tangent")


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named(case):
    call, message = BAD[case]
    with pytest.raises(TypeError if case in WRONG_TYPE else ValueError) as raised:
        call()
    assert re.search(message, str(raised.value)), raised.value


def test_input_is_left_alone(rng):
    mlp = random_mlp(rng, 9, 30)
    z0, z1 = random_points(rng, 3, 9)
    before = z0.copy(), z1.copy()
    rotate(z0, z1, 0.3), crossings(mlp, z0, z1), split_change(mlp, z0, z1), coherence(mlp, z0, z1)
    np.testing.assert_array_equal((z0, z1), before)


# --- at every scale, and nearly nowhere ---


def digits(x):
    return [mp.mpf(float(a)) for a in x]


def exact_angle(x, y):
    """The angle between two vectors in 60 digits."""
    dot = lambda p, q: sum(a * b for a, b in zip(p, q, strict=True))  # noqa: E731
    square = dot(x, x) * dot(y, y) - dot(x, y) ** 2
    return mp.atan2(mp.sqrt(max(square, 0)), dot(x, y))


@thousand
@given(st.integers(0, 2**32 - 1))
@mp.workdps(60)
def test_angles_are_those_of_sixty_digits_also_nearly_0_and_nearly_pi(seed):
    rng = np.random.default_rng(seed)
    d = int(rng.integers(2, 8))
    x, aside = rng.normal(size=(2, d))
    y = rng.choice([-1, 1]) * (x + 10 ** rng.uniform(-16, 1) * aside)
    z = normalize(np.stack([x, y]) * 10 ** rng.uniform(-150, 150, size=(2, 1)), kind="rmsnorm")
    assert abs(angle_between(*z) - exact_angle(*map(digits, z))) < 1e-15


@thousand
@given(st.integers(0, 2**32 - 1))
@mp.workdps(60)
def test_steering_angles_are_those_of_sixty_digits_whatever_the_scales(seed):
    rng = np.random.default_rng(seed)
    d = int(rng.integers(2, 8))
    x, v = rng.normal(size=(2, d)) * 10 ** rng.uniform(-150, 150, size=(2, 1))
    with np.errstate(over="ignore"):
        alpha = np.abs(x).max() / np.abs(v).max() * 10 ** rng.uniform(-20, 20)
    if not 0 < alpha < np.inf:
        return
    there = [a + mp.mpf(float(alpha)) * b for a, b in zip(digits(x), digits(v), strict=True)]
    exact, phi = exact_angle(digits(x), there), exact_angle(digits(x), digits(v))
    left = mp.sqrt(sum(a * a for a in there)) / mp.sqrt(sum(a * a for a in digits(x)))
    found = steering_angle(x, v, alpha, kind="rmsnorm")
    assert abs(found - exact) < 2e-15 * (1 + 1 / min(left, 1)) and found <= phi + mp.mpf(2e-15)
