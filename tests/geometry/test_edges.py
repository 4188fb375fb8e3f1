"""The geometry where it nearly degenerates, at every scale: many examples each, against sixty digits."""

from fractions import Fraction

import mpmath as mp
import numpy as np
import pytest
from exact import do_cross, exact_areas, exact_circles
from hypothesis import given
from hypothesis import strategies as st
from thorough import thousand

from lnpoly_helpers import Arrangement, count_faces, partition_circle, partition_plane, partition_sphere, pattern_hash

seeds = st.integers(0, 2**32 - 1)


def scales(rng, n):
    """Factors from 1e-150 to 1e150, of either sign."""
    return rng.choice([-1, 1], size=n) * 10 ** rng.uniform(-150, 150, size=n)


def unit(rng, *shape):
    y = rng.normal(size=(*shape, 3))
    return y / np.linalg.norm(y, axis=-1, keepdims=True)


def close_circles(rng):
    """Two to four circles as close to one another as 1e-13 to 1; some touch all but for 1e-12 to 0.1. And how close."""
    n, base, close = int(rng.integers(2, 5)), unit(rng), 10 ** rng.uniform(-13, 0)
    level = rng.choice([-1, 1]) * (1 - 10 ** rng.uniform(-7, 0))
    axes = base + close * rng.normal(size=(n, 3)) * (np.arange(n) > 0)[:, None]
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    levels = np.clip(level + close * rng.normal(size=n) * np.sqrt(1 - level**2), -1 + 1e-7, 1 - 1e-7)
    if rng.random() < 0.4:
        radius, gap = rng.uniform(0.01, 1), 10 ** rng.uniform(-12, -1)
        distance = abs(np.arccos(levels[0]) + rng.choice([-1, 1]) * radius) * (1 + rng.choice([-1, 1]) * gap)
        aside = np.cross(axes[0], unit(rng))
        axes[-1] = np.cos(distance) * axes[0] + np.sin(distance) * aside / np.linalg.norm(aside)
        levels[-1], close = np.cos(radius), min(close, gap)
    size = scales(rng, n)
    return Arrangement(axes * size[:, None], -levels * size), close


@thousand
@given(seeds)
def test_areas_keep_their_documented_bound_or_the_circles_are_named(seed):
    arrangement, close = close_circles(np.random.default_rng(seed))
    try:
        partition = partition_sphere(arrangement)
    except ValueError as error:
        assert "general position" in str(error)
        radii = np.sqrt(1 - (arrangement.offsets / np.linalg.norm(arrangement.normals, axis=1)) ** 2)
        assert close < 1e-10 / radii.min(), "named though nothing is nearly degenerate"
        return
    exact, counts = exact_areas(partition)
    errors = [float(abs(mp.mpf(float(area)) - x)) for area, x in zip(partition.areas, exact, strict=True)]
    assert (np.array(errors) < 4e-15 * np.array(counts)).all()
    assert partition.n_faces == count_faces(arrangement)
    np.testing.assert_array_equal(partition.hashes(), pattern_hash(partition.patterns()))
    heights = np.abs(partition.vertices() @ arrangement.normals.T + arrangement.offsets)
    heights = np.sort(heights / np.hypot.reduce(arrangement.normals, axis=1), axis=1)
    assert heights[:, :2].max(initial=0) < 4e-15  # on two circles each


@pytest.mark.parametrize("close", [1e-3, 1e-5, 1e-7, 1e-9, 1e-11])
def test_a_lens_of_nearly_equal_circles_is_not_lost_in_a_product(close):
    """What 1 - cos cannot tell apart: the lens between two great circles is a lune of twice their angle."""
    partition = partition_sphere(Arrangement([[0, 0, 1], [0, np.sin(close), np.cos(close)]], [0, 0]))
    np.testing.assert_allclose(np.sort(partition.areas)[:2], 2 * close, atol=4e-15)


@thousand
@given(seeds)
def test_which_circles_cross_is_decided_as_exact_arithmetic_does(seed):
    """Or the two are named; no tangent pair is let through as a crossing that is none."""
    rng = np.random.default_rng(seed)
    radii, gap = rng.uniform(0.05, 1.2, size=2), rng.choice([-1, 1]) * 10 ** rng.uniform(-16, -2)
    distance = abs(radii[0] + rng.choice([-1, 1]) * radii[1]) + gap
    axes = unit(rng, 2)
    aside = np.cross(axes[0], axes[1])
    axes[1] = np.cos(distance) * axes[0] + np.sin(distance) * aside / np.linalg.norm(aside)
    size = scales(rng, 2)
    arrangement = Arrangement(axes * size[:, None], -np.cos(radii) * size)
    first, second = exact_circles(arrangement, [0, 1])
    try:
        n_faces = count_faces(arrangement)
    except ValueError as error:
        assert "touch in a point" in str(error) or "coincide" in str(error)
        assert abs(gap) < 1e-12
        return
    assert n_faces == (4 if do_cross(first, second) else 3)


@thousand
@given(seeds)
@mp.workdps(60)
def test_crossings_of_a_circle_are_exact_at_any_scale_also_nearly_tangent(seed):
    rng = np.random.default_rng(seed)
    m = 3
    angles, size = rng.uniform(0, 2 * np.pi, m), scales(rng, m)
    gap = 10 ** rng.uniform(-13, 0, size=m)
    arrangement = Arrangement(
        size[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1), size * rng.choice([-1, 1], m) * (1 - gap)
    )
    circle = partition_circle(arrangement)
    assert circle.lengths.min() > 0 and circle.lengths.sum() == pytest.approx(2 * np.pi, abs=1e-14)
    for i in range(m):
        A, B, b = (Fraction(float(x)) for x in (*arrangement.normals[i], arrangement.offsets[i]))
        square = A * A + B * B
        found = circle.angles[circle.neurons == i]
        assert len(found) == (2 if b * b < square else 0)
        A, B, b, size_i = (mp.mpf(x.numerator) / x.denominator for x in (A, B, b, square))
        centre, half = mp.atan2(B, A), mp.acos(-b / mp.sqrt(size_i))
        exact = np.sort([float(mp.fmod(centre + side * half + 4 * mp.pi, 2 * mp.pi)) for side in (-1, 1)])
        # R is rounded once: that moves a crossing by 1e-16 over the sine of the angle at which the line meets it
        assert np.abs(np.sort(found) - exact).max() < 2e-15 + 4e-16 / np.sqrt(gap[i])


@thousand
@given(seeds)
def test_polygons_tile_the_box_and_have_their_patterns_at_any_scale(seed):
    rng = np.random.default_rng(seed)
    m, w = 4, 10 ** rng.uniform(-150, 150)
    angles, size = rng.uniform(0, 2 * np.pi, m), scales(rng, m)
    if rng.random() < 0.5:  # nearly one line, or nearly parallel
        angles[1] = angles[0] + 10 ** rng.uniform(-11, -2)
    normals = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    heights = rng.uniform(-1.2, 1.2, m)
    plane = partition_plane(Arrangement(size[:, None] * normals / w**0.5, size * heights * w**0.5), w)
    same = partition_plane(Arrangement(normals * np.sign(size)[:, None], np.sign(size) * heights), 1.0)
    np.testing.assert_array_equal(plane.patterns, same.patterns)
    total = 0.0
    for polygon, other in zip(plane.polygons, same.polygons, strict=True):
        np.testing.assert_allclose(polygon / w, other, atol=1e-14 / np.abs(np.sin(angles[1] - angles[0])))
        x, y = (polygon / w).T
        area = (x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2
        assert area > 0
        total += area
    assert total == pytest.approx(4, abs=1e-12)


@pytest.mark.filterwarnings("error", "ignore::typecheck.WrongArgument")
@pytest.mark.parametrize("half_width", [1e-300, 1e154, 1e200, 1e307, 1.7e308])
def test_boxes_as_wide_as_float64(half_width):
    cross = Arrangement([[1, 0], [0, 1e200], [3, 4], [0, 0]], [0, 0, 0, -1e300])
    plane = partition_plane(cross, half_width)
    assert plane.n_regions == 6
    assert np.isfinite(plane.centroids).all() and all(np.isfinite(polygon).all() for polygon in plane.polygons)
    corner = half_width * np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]])
    assert {tuple(c) for polygon in plane.polygons for c in polygon.tolist()} >= {tuple(c) for c in corner.tolist()}
    with pytest.raises(ValueError, match="half_width: expected"):
        partition_plane(cross, float("inf"))
