"""Pictures along a ray: the curve, its flips, and who is on at which scale."""

import numpy as np
import pytest
from artists import color_of, place, text, texts

from lnpoly_helpers.plotting import new_figure, plot_ray_patterns, plot_shrink
from lnpoly_helpers.plotting.style import INK, ROLES

SCALES = np.geomspace(0.01, 100, 50)
RADII = SCALES / np.sqrt(SCALES**2 + 0.1)


def test_the_length_along_a_ray_and_the_flips_on_it():
    flips = np.array([[0.2, 0.53], [1.5, 0.98], [0.7, 0.91]])
    figure = plot_shrink(SCALES, RADII, flips)
    (ax,) = figure.axes
    sphere, curve, ticks = ax.lines
    assert list(sphere.get_ydata()) == [1, 1] and list(sphere.get_xdata()) == [0, 1]  # from edge to edge
    assert sphere.get_transform() == ax.get_yaxis_transform(which="grid")
    np.testing.assert_array_equal(curve.get_xydata(), np.c_[SCALES, RADII])
    assert color_of(curve) == ROLES["z"].light
    np.testing.assert_array_equal(ticks.get_xydata(), flips)
    assert (ticks.get_marker(), ticks.get_linestyle(), color_of(ticks)) == ("|", "None", INK)
    np.testing.assert_array_equal(place(text(ax, "the sphere")), [0.01, 1])
    np.testing.assert_array_equal(place(text(ax, "a neuron flips")), flips[-1])
    assert (ax.get_xscale(), ax.get_yscale(), ax.get_ylim()) == ("log", "linear", (0, 1.12))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("scale a of the residual vector", "‖z‖ / √d")
    assert ax.get_title(loc="left") == "ε keeps short vectors inside the sphere"
    assert figure.alt == (
        "Length of the normalised vector, in units of the sphere's radius, against the scale of the residual vector "
        "from 0.01 to 100: it rises from 0.03 to 1.00. 3 neurons flip on the way."
    )


@pytest.mark.parametrize("none", [None, np.zeros((0, 2))])
def test_a_ray_without_flips(none):
    figure, ax = new_figure()
    assert plot_shrink(SCALES, RADII, none, ax=ax) is figure
    assert len(ax.lines) == 2 and list(texts(ax)) == ["the sphere"]
    assert figure.alt.endswith("0 neurons flip on the way.")


def darkness(mesh):
    """How dark each cell of a mesh is drawn, 0 to 1."""
    return 1 - mesh.to_rgba(mesh.get_array())[..., :3].mean(axis=-1)


def test_a_row_for_each_neuron_dark_where_it_is_on(rng):
    # neurons of every kind: always on, never on, on from or up to somewhere, on in between
    scales = np.geomspace(1e-2, 1e3, 11)
    k = np.arange(11)[:, None]
    patterns = np.hstack([k >= 3, k < 7, k >= 0, k < 0, (k > 2) & (k < 6), k >= 8, k < 2])
    figure = plot_ray_patterns(scales, patterns, title="seven")
    (ax,) = figure.axes
    (mesh,) = ax.collections
    dark = darkness(mesh) > 0.4
    assert darkness(mesh)[dark].min() > darkness(mesh)[~dark].max() + 0.3
    rows = sorted(range(7), key=lambda i: (patterns[:, i].sum(), patterns[:, i].argmax()))
    np.testing.assert_array_equal(dark, patterns[:, rows].T)
    edges = mesh.get_coordinates()
    for column, scale in enumerate(scales):  # the cells of a column hold its scale
        assert (edges[:, column, 0] < scale).all() and (scale < edges[:, column + 1, 0]).all()
    for row in range(7):
        np.testing.assert_allclose((edges[row, :, 1] + edges[row + 1, :, 1]) / 2, row)
    (one,) = ax.lines
    assert list(one.get_xdata()) == [1, 1] and color_of(one) == ROLES["x"].light
    assert ax.get_xscale() == "log" and not ax.yaxis_inverted() and not ax.xaxis_inverted()
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("scale a of the residual vector", "neuron, sorted (dark: on)")
    assert ax.get_title(loc="left") == "seven"
    assert figure.alt == (
        "seven: 7 neurons against the scale of one residual vector from 0.01 to 1000; 5 of them change between on and "
        "off."
    )
