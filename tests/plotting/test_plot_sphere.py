"""The sphere's picture: what is drawn where is what the arrangement says of that place."""

import numpy as np
import pytest
from artists import hexes, image_colors, texts

from lnpoly_helpers import Arrangement
from lnpoly_helpers.plotting import new_figure, plot_sphere
from lnpoly_helpers.plotting.style import INK, TONES, bits

VIEWS = [(0, 0), (30, 15), (-120, -60), (10, 90)]


def at_view(view, right, up):
    """Points [n, 3] of the sphere at a picture's coordinates: east, north and outward of the place that faces us."""
    longitude, latitude = np.radians(view)
    outward = np.array([np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)])
    east = np.array([-np.sin(longitude), np.cos(longitude), 0])
    north = np.array([-np.sin(latitude) * np.cos(longitude), -np.sin(latitude) * np.sin(longitude), np.cos(latitude)])
    depth = np.sqrt(1 - right**2 - up**2)
    return right[:, None] * east + up[:, None] * north + depth[:, None] * outward


def random_arrangement(n, seed=4, spread=0.3):
    rng = np.random.default_rng(seed)
    normals = rng.normal(size=(n, 3))
    return Arrangement(normals / np.linalg.norm(normals, axis=1, keepdims=True), spread * rng.normal(size=n))


def seen_points(half_width, n=4000, seed=5):
    points = half_width * np.random.default_rng(seed).uniform(-0.999, 0.999, size=(n, 2))
    return points[np.hypot(*points.T) < 0.99]


@pytest.mark.parametrize(("n", "half_width"), [(3, 1.0), (7, 1.0), (20, 0.3)])
@pytest.mark.parametrize("view", VIEWS)
def test_every_place_has_the_colour_of_its_pattern(view, n, half_width):
    arrangement = random_arrangement(n)
    figure, ax = new_figure()
    assert plot_sphere(arrangement, view=view, half_width=half_width, ax=ax) is figure
    (image,) = ax.images
    points = seen_points(half_width)
    sphere = at_view(view, *points.T)
    pre = arrangement.preactivations(sphere)
    clear = np.abs(pre).min(axis=1) > 0.02 * half_width  # a pixel's distance from every boundary
    shade = 0.75 + 0.25 * np.sqrt(1 - (points**2).sum(axis=1, keepdims=True))  # brightest where it faces the reader
    found = image_colors(image, points) / shade / 255
    near = {}  # a colour of each pattern, which all its places are within rounding of
    for pattern, color in zip((pre > 0)[clear], found[clear], strict=True):
        key = bytes(pattern) if n == 3 else pattern.sum() % 2
        assert np.abs(near.setdefault(key, color) - color).max() < 0.05
    distinct = np.array(list(near.values()))
    apart = np.abs(distinct[:, None] - distinct).max(axis=2) + np.eye(len(near))
    assert clear.mean() > 0.7 and apart.min() > 0.05 and len(near) == (len({*near}) if n == 3 else 2)
    assert (TONES in figure.alt) == (n > 3) == (TONES in texts(ax))
    assert image.get_interpolation() == "nearest"


@pytest.mark.parametrize("half_width", [1.0, 0.2])
@pytest.mark.parametrize("view", VIEWS)
def test_lines_are_the_boundaries(half_width, view, rng):
    normals, offsets = rng.normal(size=(40, 3)), rng.normal(size=40)
    normals[0] = at_view(view, np.zeros(1), np.zeros(1))[0]  # seen head-on
    offsets[0] = -0.99
    arrangement = Arrangement(normals, offsets)
    ax = plot_sphere(arrangement, view=view, half_width=half_width, pixels=20).axes[0]
    (lines,) = ax.collections
    curves = np.array(lines.get_segments())
    right, up = curves[..., 0], curves[..., 1]
    depth_squared = 1 - right**2 - up**2
    assert depth_squared.min() > -1e-12 and hexes(lines.get_edgecolor()) == [INK]
    # the rim's own rounding: what lies outside by 1e-16 is on it
    shrink = np.where(depth_squared < 0, 1 - 1e-15, 1)
    sphere = at_view(view, (shrink * right).ravel(), (shrink * up).ravel())
    pre = np.abs(arrangement.preactivations(sphere)).reshape(*right.shape, -1)
    on_which = pre.max(axis=1).argmin(axis=1)  # each line is one neuron's zero
    assert pre.max(axis=1).min(axis=1).max() < 1e-6 and len(set(on_which)) == len(curves)
    side = np.linspace(-half_width, half_width, 301)
    x, y = (v.ravel() for v in np.meshgrid(side, side))
    seen = x**2 + y**2 < 1
    on = arrangement.preactivations(at_view(view, x[seen], y[seen])) > 0
    switching = np.flatnonzero(on.any(axis=0) & ~on.all(axis=0))
    assert set(switching) <= set(on_which), "a boundary that is seen has its line"
    assert len(switching) > (10 if half_width == 1 else 3) and len(curves) - len(switching) <= 2


def test_lines_run_as_far_as_they_are_seen():
    """A great circle through the poles and a circle of latitude, in closed form."""
    arrangement = Arrangement([[1.0, 0, 0], [0, 0, 1.0]], [0, -0.6])
    ax = plot_sphere(arrangement, view=(0, 0), pixels=20).axes[0]
    # seen along the first axis the great circle is the rim itself, the other the straight line at height 0.6
    straight = [line for line in ax.collections[0].get_segments() if np.ptp(line[:, 1]) < 1e-9]
    assert len(straight) == 1
    np.testing.assert_allclose(straight[0][:, 1], 0.6)
    assert sorted(straight[0][[0, -1], 0]) == pytest.approx([-0.8, 0.8])


@pytest.mark.parametrize("view", VIEWS)
def test_faces_carry_the_bits_of_the_place_where_they_stand(view):
    arrangement = random_arrangement(6)
    ax = plot_sphere(arrangement, view=view, labels=True).axes[0]
    shown = {words: place for words, place in texts(ax).items() if words != TONES}
    for words, place in shown.items():
        assert np.hypot(*place) < 1
        assert words == bits(arrangement.preactivations(at_view(view, *place[:, None]))[0] > 0)
    points = seen_points(1.0)
    patterns, counts = np.unique(arrangement.preactivations(at_view(view, *points.T)) > 0, axis=0, return_counts=True)
    # a face may be long and thin, but those of some size have room
    missing = [bits(pattern) for pattern in patterns[counts > 0.1 * len(points)] if bits(pattern) not in texts(ax)]
    assert len(texts(ax)) >= 3 and missing == []


def test_a_pattern_has_one_colour_from_every_side():
    figure, axes = new_figure(12, 4, ncols=3)
    arrangement, point = random_arrangement(3), np.array([0.0, 0.0, 1.0])
    for ax, latitude in zip(axes, (90, 60, 40), strict=True):
        plot_sphere(arrangement, view=(0, latitude), ax=ax)
    found = [
        image_colors(ax.images[0], np.array([[0.0, np.cos(np.radians(latitude))]]))[0] / (0.75 + 0.25 * depth)
        for ax, latitude in zip(axes, (90, 60, 40), strict=True)
        for depth in [np.sin(np.radians(latitude))]
    ]
    assert np.abs(arrangement.preactivations(point)).min() > 0.05 and np.ptp(found, axis=0).max() < 6


def test_a_hemisphere_has_a_rim_and_nothing_beyond_it():
    figure = plot_sphere(random_arrangement(3), view=(10, -20), title="half of it")
    (ax,) = figure.axes
    (rim,) = ax.patches
    assert (
        rim.center == (0, 0) and rim.radius == 1 and hexes(rim.get_edgecolor()) == [INK] and rim.get_facecolor()[3] == 0
    )
    clip, transform = ax.images[0].get_clip_path().get_transformed_path_and_affine()
    outline = ax.transData.inverted().transform(transform.transform_path(clip).vertices)
    assert np.hypot(*outline.T).min() > 0.99 and np.abs(outline).max() == pytest.approx(1)
    assert ax.get_xlim() == ax.get_ylim() == (-1.05, 1.05) and ax.get_aspect() == 1 and not ax.axison
    assert texts(ax) == {} and ax.get_title(loc="left") == "half of it"
    n = len(ax.collections[0].get_segments())
    assert figure.alt == (
        f"half of it: a hemisphere around longitude 10°, latitude -20°, cut by {n} small circles into faces, "
        "coloured by activation pattern."
    )


def test_a_patch_fills_its_square():
    figure = plot_sphere(random_arrangement(30), view=(40, 25), half_width=0.25)
    (ax,) = figure.axes
    assert len(ax.patches) == 0 and ax.images[0].get_extent() == [-0.25, 0.25, -0.25, 0.25]
    assert ax.get_xlim() == ax.get_ylim() == (-0.25, 0.25)
    assert figure.alt.startswith("a patch of the sphere, 0.5 radii wide, around longitude 40°, latitude 25°")
