"""boundaries: against sampling, bisection along geodesics and rays, closed forms and 50 digits."""

import tracemalloc
from dataclasses import FrozenInstanceError, fields, replace
from decimal import Decimal, localcontext

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import bisect, random_mlp
from thorough import thousand

from lnpoly_helpers import (
    FoldedMLP,
    NormedMLP,
    boundary_height,
    boundary_margin,
    cap_share,
    expected_crossings,
    fold_layer_norm,
    meets_sphere,
    normalize,
    partition_circle,
    ray_crossings,
    restrict,
    slice_basis,
)
from lnpoly_helpers import boundaries as module

NORMS = ("layernorm", "rmsnorm")
KINDS = (*NORMS, "none")


# --- which meet the sphere, and how near they are ---


@pytest.mark.parametrize("kind", NORMS)
@pytest.mark.parametrize("d", [3, 4, 50])
def test_a_boundary_meets_the_sphere_where_both_signs_occur_on_it(rng, d, kind):
    mlp = random_mlp(rng, d, 60, kind=kind)
    mlp = replace(mlp, b_in=mlp.b_in * np.linspace(0, 20, 60))
    toward = normalize(mlp.W_in.T, kind=kind)  # where each pre-activation is largest on the sphere
    largest, smallest = np.diag(mlp.preactivations(toward)), np.diag(mlp.preactivations(-toward))
    everywhere = mlp.preactivations(normalize(rng.normal(size=(2000, d)), kind=kind))
    assert (everywhere <= largest + 1e-12).all() and (everywhere >= smallest - 1e-12).all()
    expected = (largest > 0) & (smallest < 0)
    np.testing.assert_array_equal(meets_sphere(mlp), expected)
    assert expected.any() and not expected.all()


def test_on_a_circle_a_dense_scan_finds_the_same_boundaries(rng):
    mlp = random_mlp(rng, 3, 40)
    mlp = replace(mlp, b_in=6 * mlp.b_in)
    theta = np.linspace(0, 2 * np.pi, 100_000)
    u, v = normalize([1.0, -1.0, 0.0]), normalize([1.0, 1.0, -2.0])
    on = mlp.preactivations(np.cos(theta)[:, None] * u + np.sin(theta)[:, None] * v) > 0
    np.testing.assert_array_equal(meets_sphere(mlp), on.any(axis=0) & ~on.all(axis=0))


def great_circle(z, toward):
    """The path from z at constant speed along the great circle towards a direction: a function of the angle."""
    radius = np.linalg.norm(z)
    tangent = toward - z * (z @ toward) / radius**2
    tangent *= radius / np.linalg.norm(tangent)
    return lambda angle: np.cos(angle) * z + np.sin(angle) * tangent


def margin_by_bisection(mlp, z, i):
    """The angle at which the great circle through z and +-w_i first meets neuron i's boundary."""
    pre = lambda z: mlp.preactivations(z)[i]  # noqa: E731
    path = great_circle(z, -np.sign(pre(z)) * mlp.W_in[:, i])
    cosine = -np.sign(pre(z)) * (z @ mlp.W_in[:, i]) / np.linalg.norm(z) / np.linalg.norm(mlp.W_in[:, i])
    return bisect(lambda angle: pre(path(angle)), 0.0, np.arccos(cosine))


@pytest.mark.parametrize("kind", NORMS)
@pytest.mark.parametrize("d, m", [(3, 30), (16, 60), (768, 12)])
def test_margin_is_what_bisection_along_the_geodesic_finds(rng, d, m, kind):
    mlp = random_mlp(rng, d, m, kind=kind)
    mlp = replace(mlp, b_in=mlp.b_in * np.linspace(0, 12, m))
    meets = meets_sphere(mlp)
    for z in normalize(rng.normal(size=(3, d)), kind=kind):
        margin = boundary_margin(mlp, z)
        expected = [margin_by_bisection(mlp, z, i) if meets[i] else np.inf for i in range(m)]
        np.testing.assert_allclose(margin, expected, atol=1e-9)


@pytest.mark.parametrize("kind", NORMS)
def test_rotating_by_the_margin_reaches_the_boundary(rng, kind):
    mlp = random_mlp(rng, 24, 80, kind=kind)
    z = normalize(rng.normal(size=24), kind=kind)
    pre, margin = mlp.preactivations(z), boundary_margin(mlp, z)
    for i in np.flatnonzero(np.isfinite(margin)):
        there = great_circle(z, -np.sign(pre[i]) * mlp.W_in[:, i])(margin[i])
        assert abs(mlp.preactivations(there)[i]) < 1e-9
        assert boundary_margin(mlp, there)[i] < 1e-9


def test_no_way_to_the_boundary_is_shorter(rng):
    mlp = random_mlp(rng, 5, 20)
    z = normalize(rng.normal(size=5))
    margin = boundary_margin(mlp, z)
    others = normalize(rng.normal(size=(20_000, 5)))
    angle = np.arccos(np.clip(others @ z / 5, -1, 1))
    differs = (mlp.preactivations(others) > 0) != (mlp.preactivations(z) > 0)
    for i in range(20):
        nearest = angle[differs[:, i]].min(initial=np.inf)
        assert nearest >= margin[i] - 1e-12
        assert nearest < margin[i] + 0.5 or margin[i] > 2


@pytest.mark.parametrize("angle", [1e-3, 1e-6, 1e-9, 1e-12])
def test_margin_keeps_its_digits_close_to_the_boundary(rng, angle):
    mlp = random_mlp(rng, 12, 1)
    z = normalize(rng.normal(size=12))
    path = great_circle(z, -np.sign(mlp.preactivations(z)[0]) * mlp.W_in[:, 0])
    close = path(margin_by_bisection(mlp, z, 0) - angle)
    assert boundary_margin(mlp, close)[0] == pytest.approx(angle, abs=3e-15)


@pytest.mark.parametrize("gap", [1e-4, 1e-8, 1e-12])
@pytest.mark.parametrize("sign", [-1, 1])
def test_margin_to_a_boundary_that_almost_misses_the_sphere(rng, gap, sign):
    mlp = random_mlp(rng, 12, 1)
    mlp = replace(mlp, b_in=sign * (1 - gap) * np.sqrt(12) * np.linalg.norm(mlp.W_in, axis=0))
    for z in normalize(rng.normal(size=(5, 12))):
        assert boundary_margin(mlp, z)[0] == pytest.approx(margin_by_bisection(mlp, z, 0), abs=1e-8)


def test_margin_works_on_a_batch_and_at_the_poles(rng):
    mlp = random_mlp(rng, 6, 9)
    z = normalize(rng.normal(size=(2, 3, 6)))
    np.testing.assert_allclose(boundary_margin(mlp, z)[1, 2], boundary_margin(mlp, z[1, 2]), atol=1e-15)
    pole = normalize(mlp.W_in[:, 0])
    north, south = boundary_margin(mlp, np.stack([pole, -pole]))[:, 0]
    assert north + south == pytest.approx(np.pi, abs=1e-7)


@mp.workdps(40)
def exact_margin(w, b, z):
    """|arccos c - arccos k| in 40 digits, and the boundary's radius around w or -w."""
    w, z, b = [mp.mpf(float(x)) for x in w], [mp.mpf(float(x)) for x in z], mp.mpf(float(b))
    size = mp.sqrt(sum(x * x for x in w))
    c = sum(x * y for x, y in zip(w, z, strict=True)) / size / mp.sqrt(sum(x * x for x in z))
    boundary = mp.acos(-b / size / mp.sqrt(len(w)))
    return abs(mp.acos(max(-1, min(1, c))) - boundary), min(boundary, mp.pi - boundary)


@thousand
@given(st.integers(0, 2**32 - 1))
def test_margins_keep_their_digits_at_the_poles_at_the_boundary_and_at_any_scale(seed):
    """At w_i and -w_i themselves, and as near as 1e-16, boundaries of any radius, weights from 1e-150 to 1e150."""
    rng = np.random.default_rng(seed)
    d, scale = int(rng.integers(2, 6)), 10 ** rng.uniform(-150, 150)
    w = rng.normal(size=d)
    radius, side = np.pi / 2 * 10 ** rng.uniform(-4, 0), rng.choice([-1, 1])
    b = -side * np.sqrt(d) * np.linalg.norm(w) * np.cos(radius)
    near = [0.0, 10 ** rng.uniform(-16, 0), radius * (1 + rng.choice([-1, 1]) * 10 ** rng.uniform(-16, 0))]
    z = normalize([great_circle(normalize(w, kind="rmsnorm"), rng.normal(size=d))(t) for t in near], kind="rmsnorm")
    z = np.concatenate([z, -z])
    mlp = FoldedMLP(scale * w[:, None], [scale * b], np.zeros((1, 1)), [0.0], "relu", 0.0, "rmsnorm")
    for found, point in zip(boundary_margin(mlp, z)[:, 0], z, strict=True):
        exact, size = exact_margin(mlp.W_in[:, 0], mlp.b_in[0], point)
        assert abs(found - exact) < 3e-15 + 1e-15 / float(size)


@thousand
@given(st.integers(0, 2**32 - 1))
@mp.workdps(40)
def test_heights_and_shares_are_those_of_forty_digits_at_any_scale(seed):
    rng = np.random.default_rng(seed)
    d, scale = int(rng.integers(2, 12)), 10 ** rng.uniform(-150, 150)
    w, height = rng.normal(size=d), rng.choice([-1, 1]) * (1 - 10 ** rng.uniform(-12, 0.3))
    b = -height * np.sqrt(d) * np.linalg.norm(w)
    mlp = FoldedMLP(scale * w[:, None], [scale * b], np.zeros((1, 1)), [0.0], "relu", 0.0, "rmsnorm")
    size = mp.sqrt(sum(mp.mpf(float(x)) ** 2 for x in mlp.W_in[:, 0]))
    exact = -mp.mpf(float(mlp.b_in[0])) / size / mp.sqrt(d)
    assert abs(boundary_height(mlp)[0] - exact) < 4e-16 * (1 + abs(exact))
    half = mp.mpf(d - 1) / 2
    share = mp.betainc(half, half, 0, (1 - max(-1, min(1, exact))) / 2, regularized=True)
    # the height's own rounding, under a root: of a circle's share, and of the crossings on the sphere S^2
    rooted = 1e-15 / np.sqrt(max(abs(1 - abs(float(exact))), 1e-16))
    assert abs(cap_share(mlp)[0] - share) < 2e-15 + 4e-16 * d + (rooted if d == 2 else 0)
    crossed = 2 * (1 - exact**2) ** (half - mp.mpf(1) / 2) if abs(exact) < 1 else 0
    assert abs(expected_crossings(mlp) - crossed) < 2e-15 * d + (rooted if d == 3 else 0)


def test_at_its_own_weights_a_neuron_is_as_far_as_its_boundary_is_wide():
    """arccos of 1 less its rounding had it 2e-8 off."""
    for d in (3, 17, 768):
        w = np.random.default_rng(d).normal(size=d)
        mlp = FoldedMLP(w[:, None], [0.0], np.zeros((1, 1)), [0.0], "relu", 0.0, "rmsnorm")
        z = mlp.to_sphere(np.stack([w, -w]))
        np.testing.assert_allclose(boundary_margin(mlp, z), np.pi / 2, rtol=0, atol=1e-15)


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e-156, 1e-150, 1e150, 1e156, 1e160, 1e300])
@pytest.mark.filterwarnings("error", "ignore::typecheck.WrongArgument")
def test_no_figure_of_a_boundary_depends_on_the_scale_of_the_weights(rng, scale):
    mlp = random_mlp(rng, 12, 40)
    scaled = replace(mlp, W_in=mlp.W_in * scale, b_in=mlp.b_in * scale)
    z = normalize(rng.normal(size=(5, 12)))
    for figure in (boundary_height, cap_share, expected_crossings, lambda mlp: boundary_margin(mlp, z)):
        np.testing.assert_allclose(figure(scaled), figure(mlp), rtol=1e-13, atol=1e-14)
    np.testing.assert_array_equal(meets_sphere(scaled), meets_sphere(mlp))


@pytest.mark.parametrize("bias", [-0.5, 0.0, 0.5])
def test_a_column_of_which_the_fold_leaves_but_rounding_has_no_boundary(rng, bias):
    """Constant columns: LayerNorm's neuron reads nothing, and is on everywhere or nowhere."""
    gamma, constants = rng.uniform(0.5, 2, size=7), np.array([0.1, 1e-9, 3e100, -0.7, 0.0])
    W_in = np.column_stack([constants / gamma[:, None], rng.normal(size=7)])
    block = NormedMLP(
        gamma, np.zeros(7), W_in, np.full(6, bias), np.zeros((6, 1)), [0.0], "relu", 0.0, "layernorm", W_in, np.ones(6)
    )
    mlp = fold_layer_norm(block)
    np.testing.assert_array_equal(cap_share(mlp)[:5], float(bias > 0))
    assert not meets_sphere(mlp)[:5].any() and meets_sphere(mlp)[5]
    assert mlp.W_up is not None
    np.testing.assert_array_equal(mlp.W_up[:, :5], 0)
    pre = mlp.preactivations(mlp.to_sphere(rng.normal(size=(50, 7))))
    np.testing.assert_array_equal(pre[:, :5], bias)
    small = W_in + 1e-9 * rng.normal(size=W_in.shape)  # and where the fold leaves more, that is kept
    kept = fold_layer_norm(replace(block, W_in=small))
    exact = np.linalg.norm((gamma[:, None] * small - (gamma[:, None] * small).mean(axis=0))[:, [0, 1, 3, 4]], axis=0)
    np.testing.assert_allclose(np.linalg.norm(kept.W_in[:, [0, 1, 3, 4]], axis=0), exact, rtol=1e-6)


def small_layer(d, kind):
    W_in = np.ones((1, 2)) if d == 1 else np.array([[1.0, 2.0], [-1.0, -2.0]])
    W_in = W_in * (0 if d == 1 and kind == "layernorm" else 1)
    return FoldedMLP(W_in, [0.3, -9.0], np.ones((2, d)), np.zeros(d), "relu", 0.0, kind)


@pytest.mark.parametrize("d, kind", [(2, "layernorm"), (1, "rmsnorm")])
def test_a_sphere_of_two_points_has_shares_but_no_circles_and_no_angles(d, kind):
    mlp = small_layer(d, kind)
    np.testing.assert_array_equal(cap_share(mlp), [0.5, 0.0])
    np.testing.assert_array_equal(meets_sphere(mlp), [True, False])
    z = mlp.to_sphere([1.0, 2.0][:d])
    for call in (lambda: expected_crossings(mlp), lambda: boundary_margin(mlp, z)):
        with pytest.raises(ValueError, match=r"mlp: expected .* at least 1 dimension, .* two points\. Take a wider"):
            call()


def test_a_sphere_of_no_points_is_refused():
    mlp = small_layer(1, "layernorm")
    for call in (boundary_height, meets_sphere, cap_share, expected_crossings, lambda mlp: boundary_margin(mlp, [0.0])):
        with pytest.raises(
            ValueError, match="mlp: expected a layer whose sphere .* LayerNorm of 1 number, .* is empty"
        ):
            call(mlp)


def test_a_neuron_without_weight_has_no_boundary(rng):
    mlp = random_mlp(rng, 6, 2)
    dead = replace(mlp, W_in=np.zeros((6, 2)), b_in=[1.0, 0.0])
    assert not meets_sphere(dead).any()
    assert np.isinf(boundary_margin(dead, normalize(rng.normal(size=6)))).all()


# --- how many a random great circle crosses ---


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
        (4, lambda h: (np.arccos(h) - h * np.sqrt((1 - h) * (1 + h))) / np.pi),
        (5, lambda h: (2 - 3 * h + h**3) / 4),
    ],
)
def test_cap_shares_of_low_spheres_have_closed_forms(D, share):
    near_one = 1 - 10.0 ** -np.arange(1, 16)
    heights = np.concatenate([np.linspace(-1, 1, 41), near_one, -near_one])
    for d, kind in ((D + 1, "layernorm"), (D, "rmsnorm")):
        mlp = layer_with_heights(heights, d, kind)
        np.testing.assert_allclose(cap_share(mlp), share(boundary_height(mlp)), atol=1e-13)


def cap_by_recursion(h, D):
    """The share of the cap above h, in 50 digits: the integral of sin^(D-2) up to arccos(h) over that up to pi.

    n I_n = (n - 1) I_(n-2) - cos sin^(n-1), from I_0 = angle and I_1 = 1 - cos.
    """
    with localcontext() as context:
        context.prec = 50
        cosine = Decimal(float(h))
        sine = (1 - cosine * cosine).sqrt()
        n = D - 2
        part, whole = (Decimal(float(np.arccos(h))), Decimal(np.pi)) if n % 2 == 0 else (1 - cosine, Decimal(2))
        power = sine ** (n % 2 + 1)
        for k in range(2 + n % 2, n + 1, 2):
            part, whole = ((k - 1) * part - cosine * power) / k, (k - 1) * whole / k
            power *= sine * sine
        return float(part / whole)


@pytest.mark.parametrize("kind", NORMS)
@pytest.mark.parametrize("d", [3, 4, 16, 17, 128, 768, 769, 1600])
def test_cap_shares_follow_the_recursion_for_powers_of_the_sine(d, kind):
    near_one = 1 - 10.0 ** -np.arange(1, 16)
    typical = np.linspace(-6, 6, 41) / np.sqrt(d)
    mlp = layer_with_heights(np.concatenate([np.linspace(-1, 1, 21), typical, near_one, -near_one, [1e-12]]), d, kind)
    heights = np.clip(boundary_height(mlp), -1, 1)
    expected = [cap_by_recursion(h, d - (kind == "layernorm")) for h in heights]
    np.testing.assert_allclose(cap_share(mlp), expected, rtol=0, atol=1e-13)


def test_small_caps_keep_their_digits():
    heights = np.array([0.1, 0.2, 0.3, 0.5, 0.9, 1 - 1e-9])
    mlp = layer_with_heights(heights, 768, "layernorm")  # an odd dimension, where the recursion is exact
    expected = np.array([cap_by_recursion(h, 767) for h in boundary_height(mlp)])
    known = expected > 1e-30  # below, 50 digits are too few
    assert known.sum() >= 3
    np.testing.assert_allclose(cap_share(mlp)[known], expected[known], rtol=1e-11)


def test_a_sphere_of_two_points_has_shares_by_halves():
    mlp = layer_with_heights(np.array([-2.0, -0.5, 0.0, 0.7, 3.0]), 2, "layernorm")
    on = mlp.preactivations(np.array([[1.0, -1.0], [-1.0, 1.0]])) > 0
    np.testing.assert_array_equal(cap_share(mlp), on.mean(axis=0))


@pytest.mark.parametrize("kind", NORMS)
def test_cap_share_is_how_often_a_random_point_switches_the_neuron_on(rng, kind):
    mlp = random_mlp(rng, 12, 50, kind=kind)
    on = mlp.preactivations(normalize(rng.normal(size=(40_000, 12)), kind=kind)) > 0
    share = cap_share(mlp)
    error = np.sqrt(share * (1 - share) / len(on)) + 1e-4
    assert (np.abs(on.mean(axis=0) - share) < 5 * error).all()


# --- rays ---


def crosses_by_bisection(mlp, x):
    """(scale, neuron) of every flip on the ray of x, by a scan of the layer over 24 orders of magnitude, bisected."""
    pre = lambda a: mlp.preactivations(normalize(a * x, eps=mlp.eps, kind=mlp.kind))  # noqa: E731
    grid = np.geomspace(1e-12, 1e12, 2000)
    on = mlp.preactivations(normalize(grid[:, None] * x, eps=mlp.eps, kind=mlp.kind)) > 0
    found = []
    for k, i in zip(*np.nonzero(on[1:] != on[:-1]), strict=True):
        scale = bisect(lambda t, i=i: pre(np.exp(t))[i], np.log(grid[k]), np.log(grid[k + 1]))
        found.append((np.exp(scale), int(i)))
    return sorted(found)


@pytest.mark.parametrize("kind, eps", [("layernorm", 1e-3), ("rmsnorm", 0.5), ("none", 0.0)])
def test_flips_on_a_batch_of_rays_are_those_of_bisection(rng, kind, eps):
    mlp = random_mlp(rng, 8, 20, kind=kind, eps=eps)
    x = rng.normal(size=(2, 3, 8)) * 10.0 ** rng.uniform(-2, 2, size=(2, 3, 1))
    found = ray_crossings(mlp, x)
    assert found.counts.shape == (2, 3) and found.counts.sum() > 20  # rays that flip nothing would prove nothing
    for ray, vector in enumerate(x.reshape(-1, 8)):
        expected = crosses_by_bisection(mlp, vector)
        mine = found.rays == ray
        assert len(expected) == found.counts.reshape(-1)[ray]
        np.testing.assert_array_equal(found.neurons[mine], [i for _, i in expected])
        np.testing.assert_allclose(found.scales[mine], [a for a, _ in expected], rtol=1e-9)


@pytest.mark.parametrize("at_once", [1, 700, 2**17])
@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_of_rays_is_each_of_them(rng, kind, at_once, monkeypatch):
    monkeypatch.setattr(module, "_AT_ONCE", at_once)
    mlp = random_mlp(rng, 12, 300, kind=kind, eps=1e-2)
    x = rng.normal(size=(3, 5, 12))
    found = ray_crossings(mlp, x)
    assert found.counts.sum() == len(found.scales) == len(found.neurons) == len(found.rays)
    assert (np.diff(found.rays) >= 0).all()
    np.testing.assert_array_equal(np.bincount(found.rays, minlength=15).reshape(3, 5), found.counts)
    for ray, vector in enumerate(x.reshape(-1, 12)):
        alone, mine = ray_crossings(mlp, vector), found.rays == ray
        assert alone.counts.shape == () and alone.counts == len(alone.scales) > 20
        assert not alone.rays.any()
        np.testing.assert_array_equal(found.neurons[mine], alone.neurons)
        np.testing.assert_allclose(found.scales[mine], alone.scales, rtol=1e-10)
        assert (np.diff(alone.scales) >= 0).all()


def test_rays_without_flips_are_counted_too(rng):
    mlp = random_mlp(rng, 6, 9, eps=1e-2)
    still = ray_crossings(mlp, rng.normal(size=(4, 6)), eps=0.0)
    assert still.counts.tolist() == [0] * 4 and len(still.scales) == len(still.rays) == 0
    assert repr(still) == "RayCrossings(n_crossings=0, n_rays=4)"
    one = ray_crossings(mlp, rng.normal(size=6))
    assert repr(one) == f"RayCrossings(n_crossings={len(one.scales)}, n_rays=1)"
    for field in fields(one):
        with pytest.raises(FrozenInstanceError):
            setattr(one, field.name, None)
        assert not getattr(one, field.name).flags.writeable


def test_one_vector_without_direction_among_many_is_named(rng):
    x = rng.normal(size=(2, 3, 6))
    x[1, 2] = 4.0
    with pytest.raises(ValueError, match=r"^x: expected a vector with a direction, got one at index \(1, 2\)"):
        ray_crossings(random_mlp(rng, 6, 9), x)
    with pytest.raises(ValueError, match=r"^x: expected shape \[\.\.\., 6\], got \[3, 5\]"):
        ray_crossings(random_mlp(rng, 6, 9), np.ones((3, 5)))


def test_many_rays_take_little_memory_at_a_time(rng):
    """Of 4000 x 2000 pre-activations, 64 MB, a few megabytes are in flight."""
    mlp = random_mlp(rng, 4, 2000, eps=1e-2)
    x = rng.normal(size=(4000, 4))
    ray_crossings(mlp, x[:2])
    tracemalloc.start()
    found = ray_crossings(replace(mlp, b_in=np.where(np.arange(2000) < 20, mlp.b_in, 1e3)), x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found.scales) > 4000
    assert peak < 2e7
