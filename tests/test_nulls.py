"""nulls: on-rates and lengths counted one by one, moments of large samples, closed forms against Monte Carlo, two-fold
quadrature, their limits and wide layers that are drawn."""

import numpy as np
import pytest
from oracles import NORMS, random_mlp, random_points
from scipy.integrate import quad
from scipy.stats import multivariate_normal, norm

from lnpoly_helpers import (
    FoldedMLP,
    angle_between,
    at_length,
    coherence,
    context_share,
    crossings,
    jostle,
    look_alikes,
    matched_layer,
    normalize,
    opposition,
    own_share,
    rice_factor,
    rotate,
    split_change,
    tangent_range,
    wide_relu,
    wide_relu_range,
    wide_relu_share,
)

RATES = (0.03, 0.15, 0.5, 0.9)

# --- matched_layer ---


def cluster(rng, n, d, kind):
    """Points of the sphere that lie around one, along few directions more than along others."""
    return normalize(rng.normal(size=d) + rng.normal(size=(n, d)) * 2.0 ** -np.arange(d), kind=kind)


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("kind", [*NORMS, "none"])
def test_a_matched_layer_has_every_on_rate_and_every_length(rng, kind, gated):
    mlp = random_mlp(rng, 12, 300, kind=kind, activation="silu" if gated else "relu", d_out=7, gated=gated)
    z = cluster(rng, 97, 12, kind)
    found = matched_layer(mlp, z, rng)
    before, after = mlp.preactivations(z), found.preactivations(z)
    on = (before > 0).sum(axis=0)
    assert (on == 0).any() and (on == 97).any() and len(np.unique(on)) > 30  # never on, always on, and between
    np.testing.assert_array_equal((after > 0).sum(axis=0), on)
    np.testing.assert_allclose(after.max(axis=0)[on == 0], before.max(axis=0)[on == 0], atol=1e-12)
    np.testing.assert_allclose(after.min(axis=0)[on == 97], before.min(axis=0)[on == 97], atol=1e-12)
    some = (on > 0) & (on < 97)  # as far from the last point that is off as from the first that is on
    nearest = [np.where(s * after > 0, s * after, np.inf).min(axis=0)[some] for s in (1, -1)]
    np.testing.assert_allclose(*nearest, atol=1e-12)
    for name, axis in (("W_in", 0), ("W_out", 1), *((("W_up", 0),) if gated else ())):
        own, drawn = getattr(mlp, name), getattr(found, name)
        np.testing.assert_allclose(np.linalg.norm(drawn, axis=axis), np.linalg.norm(own, axis=axis), rtol=1e-12)
        cosine = (own * drawn).sum(axis=axis) / (own**2).sum(axis=axis)
        assert np.abs(cosine).max() < 0.95 and abs(cosine.mean()) < 4 * cosine.std() / np.sqrt(300)
        if kind == "layernorm" and axis == 0:
            assert np.abs(drawn.mean(axis=0)).max() < 1e-15
    np.testing.assert_array_equal(found.b_out, mlp.b_out)
    assert (found.activation, found.eps, found.kind) == (mlp.activation, mlp.eps, mlp.kind)
    assert found.b_up is mlp.b_up if gated else found.W_up is None


@pytest.mark.parametrize("gated", [False, True])
def test_the_first_half_may_be_kept(rng, gated):
    mlp, z = random_mlp(rng, 12, 50, gated=gated), cluster(rng, 30, 12, "layernorm")
    found = matched_layer(mlp, z, rng, keep="W_in")
    assert all(getattr(found, name) is getattr(mlp, name) for name in ("W_in", "b_in", "W_up", "b_up", "b_out"))
    np.testing.assert_allclose(np.linalg.norm(found.W_out, axis=1), np.linalg.norm(mlp.W_out, axis=1), rtol=1e-12)
    assert np.abs(found.W_out - mlp.W_out).min() > 0


def test_columns_and_rows_are_drawn_in_every_direction_alike_and_by_the_generator_alone(rng):
    mlp, z = random_mlp(rng, 5, 30_000), cluster(rng, 3, 5, "layernorm")
    found = matched_layer(mlp, z, np.random.default_rng(7))
    again = matched_layer(mlp, z, np.random.default_rng(7))
    for name in ("W_in", "b_in", "W_out"):
        np.testing.assert_array_equal(getattr(found, name), getattr(again, name))
    P = np.eye(5) - 1 / 5
    for rows, expected in ((found.W_in.T, P / 4), (found.W_out, np.eye(5) / 5)):
        unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        np.testing.assert_allclose(unit.T @ unit / 30_000, expected, atol=4 * 0.3 / np.sqrt(30_000))
        assert np.abs(unit.mean(axis=0)).max() < 4 * 0.45 / np.sqrt(30_000)


def test_points_that_are_one_point_go_on_and_off_together(rng):
    """To within rounding they are: so who is on does not depend on it."""
    mlp = random_mlp(rng, 6, 300)
    z = normalize(rng.normal(size=(40, 6)))
    z[:4] = z[0] * (1 + 1e-15 * np.arange(4)[:, None])
    before, found = mlp.preactivations(z), matched_layer(mlp, z, rng)
    after = found.preactivations(z)
    on = [(pre > 0).sum(axis=0) for pre in (before, after)]
    assert 0 < np.abs(on[0] - on[1]).max() <= 3 and (on[0] != on[1]).mean() < 0.15
    assert ((after[:4] > 0).sum(axis=0) % 4 == 0).all() and np.abs(after).min() > 1e-9
    one = matched_layer(mlp, z[:1], rng).preactivations(z[:1])
    np.testing.assert_allclose(one, before[:1], atol=1e-12)  # always on or never


# --- look_alikes and jostle ---


@pytest.mark.parametrize("kind", NORMS)
def test_look_alikes_have_mean_and_covariance_of_the_points(rng, kind):
    """Points in a small cap: putting back on the sphere changes little there."""
    middle = normalize(rng.normal(size=9), kind=kind)
    z = normalize(middle + 0.02 * rng.normal(size=(50, 9)) * np.arange(1, 10), kind=kind)
    found = look_alikes(z, 40_000, rng, kind=kind)
    assert found.shape == (40_000, 9)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 3, rtol=1e-14)
    assert np.abs(found.mean(axis=1)).max() < 1e-14 or kind == "rmsnorm"
    spread = z.std(axis=0, ddof=1)
    np.testing.assert_allclose((found.mean(axis=0) - z.mean(axis=0)) / spread, 0, atol=0.05)
    correlation, expected = (np.cov(x.T) / np.outer(spread, spread) for x in (found, z))
    np.testing.assert_allclose(correlation, expected, atol=0.06)
    assert np.abs(expected - np.eye(9)).max() > 0.3  # there is something to find


def test_look_alikes_are_not_the_points_and_not_of_their_number(rng):
    z = cluster(rng, 4, 20, "layernorm")
    found = look_alikes(z, 1, rng)
    assert found.shape == (1, 20) and angle_between(found, z).min() > 1e-3
    np.testing.assert_array_equal(
        look_alikes(z, 3, np.random.default_rng(1)), look_alikes(z, 3, np.random.default_rng(1))
    )


@pytest.mark.parametrize("kind", NORMS)
def test_jostled_points_lie_all_around_at_the_angle(rng, kind):
    z = normalize(rng.normal(size=7), kind=kind)
    found = jostle(z, 0.6, 20_000, rng, kind=kind)
    np.testing.assert_allclose(angle_between(found, z), 0.6, rtol=1e-12)
    aside = (found - np.cos(0.6) * z) / (np.sqrt(7) * np.sin(0.6))  # unit vectors at right angles to z
    space = np.eye(7) - np.outer(z, z) / 7 - (1 / 7 if kind == "layernorm" else 0)
    np.testing.assert_allclose(aside.T @ aside / 20_000, space / np.trace(space), atol=4 * 0.25 / np.sqrt(20_000))
    assert np.abs(aside.mean(axis=0)).max() < 4 * 0.4 / np.sqrt(20_000)


def test_points_are_jostled_towards_others_each_once_while_they_last(rng):
    z, towards = normalize(rng.normal(size=8)), normalize(rng.normal(size=(6, 8)))
    there = [rotate(z, other, 0.3) for other in towards]

    def which(found):
        off = np.linalg.norm(found[:, None] - there, axis=-1)
        assert off.min(axis=1).max() < 1e-12
        return np.bincount(off.argmin(axis=1), minlength=6)

    assert which(jostle(z, 0.3, 6, rng, towards=towards)).tolist() == [1] * 6
    assert which(jostle(z, 0.3, 4, rng, towards=towards)).max() == 1
    assert which(jostle(z, 0.3, 600, rng, towards=towards)).min() > 50


# --- the closed forms ---

ANGLES = np.radians([1e-3, 1.0, 30.0, 60.0, 90.0, 150.0, 179.9, 180.0])


def test_without_a_threshold_they_are_the_arc_cosine_kernels():
    found = wide_relu(ANGLES)
    D = 1 - (np.sin(ANGLES) + (np.pi - ANGLES) * np.cos(ANGLES)) / np.pi
    F, S = 2 * np.sin(ANGLES / 2) ** 2, (ANGLES - np.sin(ANGLES) * np.cos(ANGLES)) / np.pi
    digits = {"rtol": 1e-11, "atol": 1e-15}
    fine = ANGLES > 1e-2  # nearer to 0 the formulas as they stand here lose their digits
    np.testing.assert_allclose(found.change[fine] ** 2, D[fine], **digits)
    np.testing.assert_allclose((found.tangent * found.change)[fine] ** 2, F[fine], **digits)
    np.testing.assert_allclose((found.rest * found.change)[fine] ** 2, S[fine], **digits)
    np.testing.assert_allclose(found.opposition[fine], ((D - F - S) / np.sqrt(4 * F * S))[fine], rtol=1e-9)
    np.testing.assert_allclose(found.crossed, ANGLES / np.pi, rtol=1e-14)
    at = wide_relu(np.radians(30.0))
    assert [round(float(x), 3) for x in (at.tangent, at.rest, at.opposition)] == [1.060, 0.492, -0.351]
    assert at.change / wide_relu(np.radians(60.0)).change == pytest.approx(0.552, abs=5e-4)


def nodes(a, b, n=240):
    x, weights = np.polynomial.legendre.leggauss(n)
    return (b - a) / 2 * x + (a + b) / 2, weights * (b - a) / 2


@pytest.mark.parametrize("p", RATES)
@pytest.mark.parametrize("degrees", [10, 50, 120, 165])
def test_with_a_threshold_they_are_the_double_integral(p, degrees):
    """The definition under the density of two normal pre-activations, quadrant by quadrant, where it is smooth."""
    t, angle = norm.isf(p), np.radians(degrees)
    moments = np.zeros(4)
    for side1 in (-1, 1):
        for side2 in (-1, 1):
            (x, wx), (y, wy) = (nodes(*((-9, t) if side < 0 else (t, 9))) for side in (side1, side2))
            h1, h2 = np.meshgrid(x, y, indexing="ij")
            c, s = np.cos(angle), np.sin(angle)
            weights = np.outer(wx, wy) * np.exp(-(h1**2 - 2 * c * h1 * h2 + h2**2) / (2 * s**2)) / (2 * np.pi * s)
            change = (h2 - t) * (side2 > 0) - (h1 - t) * (side1 > 0)
            tangent = (h2 - h1) * (side1 > 0)
            rest = change - tangent
            moments += [(weights * f).sum() for f in (change**2, tangent**2, rest**2, tangent * rest)]
    D, F, S, FS = moments
    found = wide_relu(angle, on_rate=p)
    assert found.change**2 == pytest.approx(D, rel=1e-10)
    assert found.tangent**2 == pytest.approx(F / D, rel=1e-10)
    assert found.rest**2 == pytest.approx(S / D, rel=1e-10)
    assert found.opposition == pytest.approx(FS / np.sqrt(F * S), rel=1e-10)


@pytest.mark.parametrize("p", (0.01, *RATES, 0.99))
def test_their_parts_add_up_and_have_the_limits_of_small_angles(p):
    found = wide_relu(ANGLES, on_rate=p)
    together = found.tangent**2 + found.rest**2 + 2 * found.opposition * found.tangent * found.rest
    np.testing.assert_allclose(together, 1, atol=1e-12)
    tiny = wide_relu([1e-10, 1e-8, 1e-6], on_rate=p)
    np.testing.assert_allclose(tiny.change, np.sqrt(p) * tiny.angle, rtol=1e-5)
    np.testing.assert_allclose(tiny.tangent, 1, atol=1e-3)
    np.testing.assert_allclose(tiny.rest, tiny.rest_law, rtol=1e-5)
    np.testing.assert_allclose(tiny.rest_law, np.sqrt(2 * rice_factor(p) * tiny.angle / (3 * np.pi * p)), rtol=1e-12)
    assert (np.diff(found.rest[:5]) > 0).all() and (found.opposition < 0).all()


@pytest.mark.slow
@pytest.mark.parametrize("p", (0.15, 0.5))
def test_they_are_what_a_wide_layer_of_random_weights_does(rng, p):
    """Drawn, with every measurement of the package on it: so both agree with each other."""
    d, m, angle = 30, 20_000, np.radians(40)
    W_in = rng.normal(size=(d, m))
    b_in = -norm.isf(p) * np.sqrt(d) * np.ones(m)
    mlp = FoldedMLP(W_in, b_in, rng.normal(size=(m, 200)), np.zeros(200), "relu", 0.0, "rmsnorm")
    z0, z1 = random_points(rng, 16, d, kind="rmsnorm")
    z = rotate(z0, z1, angle)
    expected = wide_relu(angle, on_rate=p)
    tangent, rest = split_change(mlp, z0, z)
    change = np.linalg.norm(tangent + rest, axis=1)
    unit = np.sqrt(d * (mlp.W_out**2).sum())
    for values, exact in [
        (change / unit, expected.change),
        (np.linalg.norm(tangent, axis=1) / change, expected.tangent),
        (np.linalg.norm(rest, axis=1) / change, expected.rest),
        (opposition(mlp, z0, z), expected.opposition),
        (crossings(mlp, z0, z1, end=angle).counts / m, expected.crossed),
        (coherence(mlp, z0, z).kappa, 1.0),
    ]:
        assert abs(values.mean() - exact) < 4 * values.std(ddof=1) / np.sqrt(16) + 2e-3
        assert values.std() < 0.2 * abs(exact)
    assert own_share(mlp, z0, z) == pytest.approx(1, abs=0.05)
    held = tangent_range(mlp, z0, z1, tolerances=[0.1, 0.3])
    for values in (
        *(held.angles / wide_relu_range([0.1, 0.3], on_rate=p)).T,
        held.n_crossings[:, 0] / (1.5 * 0.1**2 * p * m),  # 45 and 150 boundaries
    ):
        assert abs(values.mean() - 1) < values.std(ddof=1) + 0.03 and values.std() < 0.35  # 4 standard errors


@pytest.mark.parametrize("p", (0.02, 0.15, 0.5, 0.8))
def test_the_range_is_where_the_error_is_the_tolerance(p):
    tolerances = np.array([[1e-4, 0.01], [0.1, 0.4]])
    angles = wide_relu_range(tolerances, on_rate=p)
    np.testing.assert_allclose(wide_relu(angles, on_rate=p).rest, tolerances, rtol=1e-9)
    law = 3 * np.pi * p * tolerances**2 / (2 * rice_factor(p))
    np.testing.assert_allclose(angles[0], law[0], rtol=1e-3)
    np.testing.assert_allclose(wide_relu(angles, on_rate=p).crossed[0], 1.5 * p * tolerances[0] ** 2, rtol=1e-3)
    assert np.ndim(wide_relu_range(0.1)) == 0 and wide_relu_range(1e9) == np.inf
    assert np.degrees(wide_relu_range(0.1)) == pytest.approx(1.34, abs=0.005)
    grid = wide_relu(np.linspace(1e-6, wide_relu_range(0.3, on_rate=p) * (1 - 1e-9), 300), on_rate=p).rest
    assert (grid < 0.3).all()  # the first such angle


def test_rices_factor_is_the_rate_of_a_normal_pre_activation(rng):
    """cos t h + sin t g crosses the threshold that often on (0, pi)."""
    h, g = rng.normal(size=(2, 200_000))
    for p in (0.07, 0.5, 0.8):
        t = norm.isf(p)
        reach = np.hypot(h, g)
        low = np.arctan2(g, h)
        cut = np.arccos(np.clip(t / reach, -1, 1))
        n = sum((np.mod(low + side * cut, 2 * np.pi) < np.pi) & (reach > abs(t)) for side in (1, -1))
        assert abs(n.mean() - rice_factor(p)) < 4 * n.std() / np.sqrt(len(n)) + 1e-12
    np.testing.assert_array_equal(rice_factor([0, 1]), 0)
    np.testing.assert_allclose(rice_factor([0.2, 0.8]), np.exp(-(norm.isf(0.2) ** 2) / 2), rtol=1e-12)


@pytest.mark.parametrize("p", RATES)
@pytest.mark.parametrize("between", np.radians([0.0, 20.0, 60.0, 90.0]))
def test_the_common_share_of_a_wide_layer_has_its_limits(p, between):
    """For small pushes P(on in both | on in one); for any push its definition by the kernels K."""
    t = norm.isf(p)
    both = p if between == 0 else multivariate_normal.cdf([-t, -t], cov=[[1, np.cos(between)], [np.cos(between), 1]])
    tiny = wide_relu_share([1e-9, 1e-6], between, on_rate=p)
    np.testing.assert_allclose(tiny, both / p, rtol=1e-4 if between else 1e-9, atol=1e-6)

    def K(c):
        """E relu(h1 - t) relu(h2 - t), given h1 in closed form."""
        s = np.sqrt(max(1 - c**2, 1e-300))
        above = lambda h: (c * h - t) * norm.cdf((c * h - t) / s) + s * norm.pdf((c * h - t) / s)  # noqa: E731
        return quad(lambda h: (h - t) * above(h) * norm.pdf(h), t, 12, epsabs=1e-13, limit=200)[0]

    for angle in (0.3, 1.0, np.pi / 2):
        c, s, r = np.cos(angle), np.sin(angle), np.cos(between)
        share = (K(c**2 * r + s**2) - 2 * K(c * r) + K(r)) / (2 * (K(1.0) - K(c)))
        assert wide_relu_share(angle, between, on_rate=p) == pytest.approx(share, rel=1e-7)
    assert between or wide_relu_share(0.7, between, on_rate=p) == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize("p", (0.15, 0.5))
@pytest.mark.parametrize("between", np.radians([40.0, 90.0]))
def test_the_common_share_of_a_wide_layer_is_that_of_one_that_is_drawn(rng, p, between):
    d, m, angle = 400, 3000, np.radians(30)
    mlp = FoldedMLP(
        rng.normal(size=(d, m)),
        np.full(m, -norm.isf(p) * np.sqrt(d)),
        rng.normal(size=(m, 100)),
        np.zeros(100),
        "relu",
        0.0,
        "rmsnorm",
    )
    shares = []
    for _ in range(8):
        frame = np.sqrt(d) * np.linalg.qr(rng.normal(size=(d, 14)))[0].T  # orthogonal points of the sphere
        lean = np.arccos(np.sqrt(np.cos(between)))  # from one of them, so that two contexts are ``between`` apart
        contexts = rotate(frame[0], frame[2:], lean) if lean < np.pi / 2 else frame[2:]
        assert angle_between(contexts[0], contexts[1]) == pytest.approx(between, abs=1e-9)
        shares.append(context_share(mlp, contexts, frame[1], angle))
    error = np.std(shares, ddof=1) / np.sqrt(8)
    assert abs(np.mean(shares) - wide_relu_share(angle, between, on_rate=p)) < 4 * error + 2e-3 and error < 0.03


def test_results_are_numbers_for_one_angle_and_arrays_that_nobody_writes_to(rng):
    one, many = wide_relu(0.3), wide_relu([0.3, 0.4])
    assert np.ndim(one.rest) == 0 and repr(one) == "WideReLU(n_angles=1)" and repr(many) == "WideReLU(n_angles=2)"
    with pytest.raises(ValueError):
        many.rest[0] = 1
    assert np.ndim(wide_relu_share(0.3, 0.2)) == 0 and wide_relu_share([0.3], [[0.2], [0.4]]).shape == (2, 1)


def test_a_layer_without_a_norm_has_its_null_at_a_length(rng):
    """Matched as it stands or as it acts on vectors of one length: the same on-rates."""
    mlp = random_mlp(rng, 9, 80, kind="none")
    x = 2.0 * normalize(rng.normal(size=(50, 9)), kind="rmsnorm")  # of length 6
    layer = at_length(mlp, 6.0)
    z = normalize(x, kind="rmsnorm")
    np.testing.assert_allclose(layer.preactivations(z), mlp.preactivations(x), atol=1e-12)
    for null, points in ((matched_layer(mlp, x, rng), x), (matched_layer(layer, z, rng), z)):
        on = (null.preactivations(points) > 0).sum(axis=0)
        np.testing.assert_array_equal(on, (mlp.preactivations(x) > 0).sum(axis=0))
