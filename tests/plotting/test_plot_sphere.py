"""The sphere's picture: what is drawn where is what the arrangement says of that place."""

import numpy as np
import pytest

from lnpoly_helpers import Arrangement
from lnpoly_helpers.plotting.sphere import _view_axes, _visible_circles


@pytest.mark.parametrize("half_width", [1.0, 0.2])
@pytest.mark.parametrize("view", [(0, 0), (30, 15), (-120, -60), (10, 90)])
def test_lines_on_the_sphere_are_the_boundaries(half_width, view, rng):
    normals, offsets = rng.normal(size=(40, 3)), rng.normal(size=40)
    normals[0] = _view_axes(*view)[2]  # seen head-on
    offsets[0] = -0.99
    arrangement = Arrangement(normals, offsets)
    axes = _view_axes(*view)
    curves = _visible_circles(arrangement, axes, half_width)
    right, up = curves[..., 0], curves[..., 1]
    depth = np.sqrt(np.maximum(1 - right**2 - up**2, 0))
    pre = np.abs(arrangement.preactivations(np.stack([right, up, depth], axis=-1) @ axes))
    on_which = pre.max(axis=1).argmin(axis=1)  # each line is one neuron's zero
    assert pre.max(axis=1).min(axis=1).max() < 1e-7 and len(set(on_which)) == len(curves)
    side = np.linspace(-half_width, half_width, 301)
    x, y = (v.ravel() for v in np.meshgrid(side, side))
    seen = x**2 + y**2 < 1
    points = np.stack([x, y, np.sqrt(np.maximum(1 - x**2 - y**2, 0))], axis=-1)[seen]
    on = arrangement.preactivations(points @ axes) > 0
    switching = np.flatnonzero(on.any(axis=0) & ~on.all(axis=0))
    assert set(switching) <= set(on_which), "a boundary that is seen has its line"
    assert len(switching) > (10 if half_width == 1 else 3) and len(curves) - len(switching) <= 2
