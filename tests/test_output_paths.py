"""paths: against dense finite differences, curves whose length is known, dense scans of the error and closed forms."""

import re
from dataclasses import FrozenInstanceError, fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import ACTIVATIONS, NORMS, bisect, random_block, random_mlp, random_points

from lnpoly_helpers import (
    FoldedMLP,
    angle_between,
    crossings,
    fold_layer_norm,
    normalize,
    path_profile,
    path_speed,
    rotate,
    tangent_change,
    tangent_range,
)


def planted(W_in, b_in, W_out, activation="relu"):
    """A layer behind RMSNorm whose first two coordinates are the path's plane; see `quarter`."""
    W_in, W_out = np.atleast_2d(W_in).astype(float), np.atleast_2d(W_out).astype(float)
    return FoldedMLP(W_in, b_in, W_out, np.ones(W_out.shape[1]), activation, 0.0, "rmsnorm")


def quarter(d=2):
    """From the first axis to the second."""
    return np.sqrt(d) * np.eye(2, d)


def share(mlp, z0, z1, t):
    """|change - predicted| / |change| at angles t, from outputs alone and the tangent map."""
    z = rotate(z0, z1, t)
    change = mlp.output(z) - mlp.output(z0)
    return np.linalg.norm(change - tangent_change(mlp, z0, z), axis=-1) / np.linalg.norm(change, axis=-1)


# --- path_profile ---


@pytest.mark.parametrize("kind", NORMS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("d, m, d_out", [(5, 12, 2), (24, 96, 24)])
def test_length_and_largest_slope_are_those_of_a_dense_polygon(rng, kind, activation, d, m, d_out):
    mlp = random_mlp(rng, d, m, kind=kind, activation=activation, d_out=d_out)
    z0, z1 = random_points(rng, d, kind=kind)
    profile = path_profile(mlp, z0, z1, resolution=512)
    assert profile.angle == angle_between(z0, z1)
    grid = np.linspace(0, profile.angle, 20_001)
    grid = np.union1d(grid, crossings(mlp, z0, z1).angles)  # so that the polygon cuts no corners
    output = mlp.output(rotate(z0, z1, grid))
    steps = np.linalg.norm(np.diff(output, axis=0), axis=1)
    assert profile.length == pytest.approx(steps.sum(), rel=1e-7)
    slopes = (steps / np.diff(grid))[np.diff(grid) > 1e-7]
    assert profile.largest_slope == pytest.approx(slopes.max(), rel=2e-4)
    assert profile.largest_slope > slopes.max() * (1 - (1e-9 if activation == "relu" else 1e-5))
    assert profile.displacement == pytest.approx(np.linalg.norm(output[-1] - output[0]), rel=1e-12)
    assert profile.displacement <= profile.length
    assert profile.mean_slope == profile.length / profile.angle <= profile.largest_slope


def test_a_round_output_has_its_closed_form(rng):
    """Two neurons that are always on and read the plane's coordinates: the output runs on an ellipse with axes a, b."""
    for a, b in ((2.0, 2.0), (3.0, 0.0), (1.0, 4.0)):
        mlp = planted(np.eye(2), [9, 9], np.diag([a, b]))
        profile = path_profile(mlp, *quarter(), end=np.pi)
        assert profile.largest_slope == pytest.approx(np.sqrt(2) * max(a, b), rel=1e-14)
        assert profile.displacement == pytest.approx(np.sqrt(2) * 2 * a, rel=1e-13)
        t = (np.arange(200_000) + 0.5) * np.pi / 200_000
        length = np.sqrt(2) * np.hypot(a * np.sin(t), b * np.cos(t)).mean() * np.pi
        assert profile.length == pytest.approx(length, rel=1e-8)
    assert path_profile(planted(np.eye(2), [9, 9], np.eye(2)), *quarter()).length == pytest.approx(
        np.sqrt(2) * np.pi / 2, rel=1e-14
    )


@pytest.mark.parametrize("squeeze", [0.0, 1e-12, 1e-6, 1e-4, 1e-3, 0.01, 0.03, 0.1, 0.3])
@pytest.mark.parametrize("turn", [0.0, 0.4, 1.2])
def test_the_length_is_good_to_1e_7_where_the_output_all_but_stops(squeeze, turn):
    """A thin ellipse, from any point of it; the reference takes the kink in steps that grow from it."""
    cos, sin = np.cos(turn), np.sin(turn)
    mlp = planted(np.array([[cos, sin], [-sin, cos]]), [9, 9], np.diag([1.0, squeeze]))
    profile = path_profile(mlp, *quarter(), end=np.pi)
    x = np.concatenate([[0], np.geomspace(1e-9, np.pi / 2, 20_000)])
    nodes, weights = np.polynomial.legendre.leggauss(8)
    t = (x[:-1] + x[1:])[:, None] / 2 + np.diff(x)[:, None] / 2 * nodes
    quarter_length = (np.diff(x)[:, None] / 2 * weights * np.hypot(np.sin(t), squeeze * np.cos(t))).sum()
    assert profile.length == pytest.approx(2 * np.sqrt(2) * quarter_length, rel=1e-7)
    assert profile.error == 1e-7


def test_one_output_runs_back_and_forth_exactly(rng):
    """With d_out = 1 the length is the sum of the rises and falls between the turning points."""
    mlp = random_mlp(rng, 9, 40, d_out=1)
    z0, z1 = random_points(rng, 9)
    t = np.linspace(0, 3.0, 100_001)
    rises = np.abs(np.diff(mlp.output(rotate(z0, z1, t))[:, 0])).sum()
    assert path_profile(mlp, z0, z1, end=3.0).length == pytest.approx(rises, rel=1e-7)


@given(st.integers(0, 2**32 - 1), st.floats(0.05, 0.95))
def test_the_lengths_of_two_parts_add_up(seed, cut):
    rng = np.random.default_rng(seed)
    mlp = random_mlp(rng, 8, 40)
    z0, z1 = random_points(rng, 8)
    middle = rotate(z0, z1, cut * angle_between(z0, z1))
    whole, first, second = (path_profile(mlp, *ends) for ends in ((z0, z1), (z0, middle), (middle, z1)))
    assert first.length + second.length == pytest.approx(whole.length, rel=1e-7)
    assert max(first.largest_slope, second.largest_slope) == pytest.approx(whole.largest_slope, rel=1e-9)
    back = path_profile(mlp, z1, z0)
    assert back.length == pytest.approx(whole.length, rel=1e-7)
    assert back.largest_slope == pytest.approx(whole.largest_slope, rel=1e-9)


@pytest.mark.parametrize("activation", ["gelu", "gelu_new"])
@pytest.mark.parametrize("sharp", [1.0, 10.0])
def test_the_stated_error_covers_what_a_finer_grid_shows(rng, activation, sharp):
    mlp = random_mlp(rng, 16, 60, activation=activation)
    mlp = replace(mlp, W_in=sharp * mlp.W_in, b_in=sharp * mlp.b_in)
    z0, z1 = random_points(rng, 12, 16)
    coarse, fine = (path_profile(mlp, z0, z1, resolution=n) for n in (128, 4096))
    for name in ("length", "largest_slope"):
        off = np.abs(getattr(coarse, name) / getattr(fine, name) - 1)
        assert (off <= (1 if sharp == 1 else 2) * coarse.error + 1e-12).all()  # a kink is seen by chance
    assert (coarse.error < (1e-3 if sharp == 1 else 0.1)).all() and (fine.error < coarse.error).all()


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_layer_that_stays_off_does_not_move(activation, rng):
    mlp = replace(random_mlp(rng, 9, 5, activation=activation), b_in=np.full(5, -1e3))
    profile = path_profile(mlp, *random_points(rng, 3, 9))
    for name in ("length", "displacement", "largest_slope", "mean_slope"):
        np.testing.assert_allclose(getattr(profile, name), 0, atol=1e-12)


@pytest.mark.parametrize("side", [1, -1])
def test_a_start_on_a_boundary_belongs_to_the_side_that_the_path_takes(side):
    mlp = planted([[0, 1e-300], [side, 1.0]], [0, 1], [[3.0], [0.0]])
    profile = path_profile(mlp, *quarter())
    assert crossings(mlp, *quarter()).counts == 0
    assert profile.length == pytest.approx(3 * np.sqrt(2) * (side > 0))
    assert profile.length == pytest.approx(profile.displacement)


# --- path_speed ---


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("kind", NORMS)
def test_the_speed_is_that_of_the_outputs_steps(rng, kind, gated):
    mlp = random_mlp(rng, 9, 40, kind=kind, activation="silu" if gated else "relu", gated=gated)
    z0, z1 = random_points(rng, 3, 4, 9, kind=kind)
    ends = np.linspace(0.2, 2.5, 12).reshape(3, 4)[0]
    for end, way in ((None, angle_between(z0, z1)), (ends, ends * np.ones((3, 1)))):
        found = path_speed(mlp, z0, z1, n_parts=5, end=end)
        t = way[..., None] * np.arange(6) / 5
        steps = np.linalg.norm(np.diff(mlp.output(rotate(z0[..., None, :], z1[..., None, :], t)), axis=-2), axis=-1)
        np.testing.assert_allclose(found, steps / steps.mean(axis=-1, keepdims=True), atol=1e-11)
    np.testing.assert_allclose(path_speed(mlp, z0[1, 2], z1[1, 2], n_parts=5, end=ends[2]), found[1, 2], atol=1e-12)


def test_a_jump_and_a_plateau_show_in_the_speed():
    steep = planted([[0, 0], [1e4, 1e4]], [-7e3, -7001], [[1.0], [-1.0]])  # from 0 to 1 within a hair, near 30 degrees
    found = path_speed(steep, *quarter(), n_parts=9)
    assert found[2:4].sum() == pytest.approx(9, abs=1e-3) and found[[0, 1, 4, 5, 6, 7, 8]].max() < 1e-3
    still = planted([[0.0], [0.0]], [1.0], [[1.0]])
    assert np.isnan(path_speed(still, *quarter())).all()


# --- batches ---


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_batch_of_paths_is_its_paths(rng, activation, monkeypatch):
    monkeypatch.setattr("lnpoly_helpers.rotation._AT_ONCE", 300)  # five paths at a time
    mlp = random_mlp(rng, 8, 60, activation=activation, d_out=2)
    z0, z1 = random_points(rng, 3, 6, 8)
    ends = np.array([0.3] * 5 + [1.5])
    profile = path_profile(mlp, z0, z1, end=ends, resolution=16)
    reach = tangent_range(mlp, z0, z1, end=ends, resolution=16, tolerances=[0.01, 0.3])
    assert profile.length.shape == profile.error.shape == (3, 6)
    assert reach.angles.shape == reach.n_crossings.shape == (3, 6, 2)
    for k in ((0, 0), (2, 1), (2, 2), (2, 5)):
        one = path_profile(mlp, z0[k], z1[k], end=ends[k[1]], resolution=16)
        for field in fields(one):
            np.testing.assert_allclose(getattr(one, field.name), getattr(profile, field.name)[k], rtol=1e-9, atol=1e-12)
        one = tangent_range(mlp, z0[k], z1[k], end=ends[k[1]], resolution=16, tolerances=[0.01, 0.3])
        np.testing.assert_allclose(one.angles, reach.angles[k], rtol=1e-7)
        np.testing.assert_array_equal(one.n_crossings, reach.n_crossings[k])


def test_results_print_their_counts_in_a_line(rng):
    mlp = random_mlp(rng, 8, 20)
    z0, z1 = random_points(rng, 3, 2, 8)
    assert repr(path_profile(mlp, z0, z1)) == "PathProfile(n_paths=6)"
    assert repr(tangent_range(mlp, z0, z1)) == "TangentRange(n_paths=6, tolerances=[0.05, 0.1, 0.2])"
    assert repr(tangent_range(mlp, z0[0, 0], z1[0, 0], tolerances=[1 / 3])) == (
        "TangentRange(n_paths=1, tolerances=[0.333333])"
    )


def test_results_are_frozen(rng):
    mlp = random_mlp(rng, 8, 20)
    z0, z1 = random_points(rng, 3, 8)
    for result in (path_profile(mlp, z0, z1), tangent_range(mlp, z0, z1)):
        for field in fields(result):
            with pytest.raises(FrozenInstanceError):
                setattr(result, field.name, None)
            assert not getattr(result, field.name).flags.writeable


# --- tangent_range ---

TOLERANCES = np.array([0.05, 0.1, 0.2])


@pytest.mark.parametrize("kind", NORMS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_range_ends_where_a_dense_scan_first_exceeds_the_tolerance(rng, kind, activation):
    n_found = 0
    for _ in range(8):
        mlp = random_mlp(rng, 16, 80, kind=kind, activation=activation)
        z0, z1 = random_points(rng, 16, kind=kind)
        reach = tangent_range(mlp, z0, z1)
        n = 4000
        grid = np.linspace(0, angle_between(z0, z1), n + 1)[1:]
        off = share(mlp, z0, z1, grid)[:, None] > TOLERANCES
        first = np.where(off.any(axis=0), grid[off.argmax(axis=0)], np.inf)
        np.testing.assert_array_equal(np.isfinite(reach.angles), np.isfinite(first))
        found = np.isfinite(first)
        below = 2 * 1e-9 if activation == "relu" else 3e-6
        assert (reach.angles[found] <= first[found] + below).all()
        assert (reach.angles[found] >= first[found] - grid[0] - below).all()
        n_found += found.sum()
    assert n_found > 15


@given(st.integers(0, 2**32 - 1))
def test_at_the_end_of_a_relu_range_the_error_is_the_tolerance(seed):
    rng = np.random.default_rng(seed)
    mlp = random_mlp(rng, 10, 60)
    z0, z1 = random_points(rng, 10)
    reach = tangent_range(mlp, z0, z1, tolerances=TOLERANCES)
    found = crossings(mlp, z0, z1)
    inside = np.isfinite(reach.angles)
    np.testing.assert_allclose(share(mlp, z0, z1, reach.angles[inside]), TOLERANCES[inside], rtol=1e-6)
    assert (np.diff(reach.angles[inside]) > 0).all()  # a wider tolerance holds longer
    assert (reach.angles > found.angles.min(initial=np.inf)).all() or not found.counts
    expected = (found.angles[:, None] <= reach.angles).sum(axis=0)
    np.testing.assert_array_equal(reach.n_crossings, expected)
    assert (reach.n_crossings[inside] >= 1).all()


def test_one_flip_has_its_closed_form():
    """pre = cos t - cos c turns off at c; from then on the map goes on falling and the output stands still."""
    c = 0.7
    mlp = planted([[1 / np.sqrt(2)], [0.0]], [-np.cos(c)], [[2.0, 1.0]])
    reach = tangent_range(mlp, *quarter(), tolerances=[0.05, 0.2, 5.0])
    # |(cos t - cos c)| > tol (1 - cos c)
    expected = np.arccos(np.cos(c) - np.array([0.05, 0.2]) * (1 - np.cos(c)))
    np.testing.assert_allclose(reach.angles[:2], expected, rtol=1e-12)
    assert reach.angles[2] == np.inf
    np.testing.assert_array_equal(reach.n_crossings, [1, 1, 1])


def test_from_a_region_where_nothing_is_on_the_range_ends_at_the_first_crossing():
    mlp = planted([[0.0], [1 / np.sqrt(2)]], [-0.5], [[1.0]])
    reach = tangent_range(mlp, *quarter())
    np.testing.assert_allclose(reach.angles, np.arcsin(0.5), rtol=1e-13)
    np.testing.assert_array_equal(reach.n_crossings, 1)


def test_without_a_crossing_the_map_holds_to_the_end(rng):
    mlp = replace(random_mlp(rng, 10, 20), b_in=np.full(20, 50.0))
    reach = tangent_range(mlp, *random_points(rng, 4, 10))
    assert (reach.angles == np.inf).all() and (reach.n_crossings == 0).all()


@pytest.mark.parametrize("activation", ["gelu", "gelu_new"])
def test_a_smooth_range_does_not_depend_on_the_resolution(rng, activation):
    mlp = random_mlp(rng, 16, 60, activation=activation)
    z0, z1 = random_points(rng, 6, 16)
    coarse, fine = (tangent_range(mlp, z0, z1, resolution=n) for n in (128, 1000))
    np.testing.assert_allclose(coarse.angles, fine.angles, atol=1e-5)
    for t in fine.angles[0][np.isfinite(fine.angles[0])]:
        tolerance = TOLERANCES[list(fine.angles[0]).index(t)]
        root = bisect(lambda s: share(mlp, z0[0], z1[0], s) - tolerance, t - 1e-4, t + 1e-4)  # noqa: B023
        assert t == pytest.approx(root, abs=1e-6)


def test_a_sharp_gelu_is_close_to_relu(rng):
    relu = random_mlp(rng, 16, 60)
    relu = replace(relu, W_in=1e4 * relu.W_in, b_in=1e4 * relu.b_in)
    gelu = replace(relu, activation="gelu")
    z0, z1 = random_points(rng, 5, 16)
    np.testing.assert_allclose(tangent_range(gelu, z0, z1).angles, tangent_range(relu, z0, z1).angles, rtol=1e-3)
    sharp, smooth = path_profile(relu, z0, z1), path_profile(gelu, z0, z1, resolution=4096)
    np.testing.assert_allclose(smooth.length, sharp.length, rtol=1e-3)
    np.testing.assert_allclose(smooth.displacement, sharp.displacement, rtol=1e-3)


# --- bad input ---

RNG = np.random.default_rng(0)
BLOCK = random_block(RNG, 6, 10)
MLP = fold_layer_norm(BLOCK)
NO_NORM = random_mlp(RNG, 6, 10, kind="none")
Z0, Z1 = normalize(RNG.normal(size=(2, 6)))
LONGER = normalize(RNG.normal(size=7))

BAD = {
    "off the sphere": (dict(z0=2 * Z0), ValueError, "z0: expected points on the sphere"),
    "not centred": (dict(z1=normalize(Z1 + 1, kind="rmsnorm")), ValueError, "ones vector"),
    "identical": (dict(z1=Z0), ValueError, "coincide"),
    "antipodes": (dict(z1=-Z0), ValueError, "antipodes"),
    "NaN": (dict(z0=Z0 * np.nan), ValueError, "z0: .*NaN"),
    "another d": (dict(z0=LONGER), ValueError, r"z0: expected shape \[..., 6\], got \[7\]"),
    "end beyond": (dict(end=3.2), ValueError, "0 < end <= pi, got 3.2"),
    "no norm": (dict(mlp=NO_NORM), ValueError, "got kind 'none'"),
    "a block": (dict(mlp=BLOCK), TypeError, "expected a FoldedMLP, got NormedMLP"),
    "no steps": (dict(resolution=0), ValueError, "resolution: expected a positive .*got 0"),
    "half a step": (dict(resolution=64.0), TypeError, "integer"),
}


@pytest.mark.parametrize("function", [path_profile, tangent_range])
@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named(function, case):
    change, error, message = BAD[case]
    good = dict(mlp=MLP, z0=Z0, z1=Z1)
    function(**good)
    with pytest.raises(error) as raised:
        function(**(good | change))
    assert re.search(message, str(raised.value)), raised.value


def test_odd_steps_and_bad_tolerances_are_named():
    with pytest.raises(ValueError, match="resolution: expected a positive multiple of 4, got 6"):
        path_profile(MLP, Z0, Z1, resolution=6)
    with pytest.raises(ValueError, match="tolerances: expected numbers > 0, got 0"):
        tangent_range(MLP, Z0, Z1, tolerances=[0.1, 0.0])
    with pytest.raises(ValueError, match=r"tolerances: expected shape \[k\], got \[\]"):
        tangent_range(MLP, Z0, Z1, tolerances=0.1)
