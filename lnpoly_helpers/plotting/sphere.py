"""The ordinary sphere cut by small circles, seen from far away."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from matplotlib.patheffects import withStroke

from .figure import axes_or_new, describe, styled
from .shapes import ArrangementLike
from .style import INK, bits, region_colors


@styled
def plot_sphere(
    arrangement: ArrangementLike,
    *,
    view: tuple[float, float] = (30, 20),
    half_width: float = 1.0,
    labels: bool = False,
    pixels: int = 481,
    title: str = "",
    ax: Axes | None = None,
) -> Figure:
    """The unit sphere cut by small circles, seen from far away: each face in its pattern's colour, circles as lines.

    Every pixel's point of the sphere is coloured by the pattern that the arrangement has there, so faces are as curved
    as they are; lines are where a neuron's pre-activation is zero, in closed form.

    Parameters
    ----------
    arrangement : Arrangement
        With normals [m, 3].
    view : (float, float)
        Longitude and latitude, in degrees, of the point of the sphere that faces the reader.
    half_width : float
        How much of the sphere is shown, in units of its radius: 1 for a whole hemisphere, less for a patch around
        the view's point.
    labels : bool
        Write each visible face's pattern into it, where it is large enough.
    pixels : int
        How many the colours are computed for, in width and height. Lines are exact at any number.
    title : str
    ax : Axes, optional

    Returns
    -------
    Figure

    See Also
    --------
    lnpoly_helpers.partition_sphere : its faces, exactly.

    >>> from lnpoly_helpers import Arrangement
    >>> plot_sphere(Arrangement([[0, 0, 1], [1, 0, 0]], [0, 0]), pixels=60).alt
    'a hemisphere seen from longitude 30° and latitude 20°, crossed by 2 small circles; each face has the colour of its
    activation pattern.'
    """
    ax = axes_or_new(ax, width=4.8, height=4.8)
    view_axes = _view_axes(*view)
    side = (np.arange(pixels) + 0.5) * (2 * half_width / pixels) - half_width
    right, up = np.meshgrid(side, side)
    depth = np.sqrt(np.maximum(1 - right**2 - up**2, 0))
    patterns = arrangement.preactivations(np.stack([right, up, depth], axis=-1) @ view_axes) > 0
    shade = 0.75 + 0.25 * np.round(24 * depth[..., None]) / 24  # in steps too fine to see, for a small file
    image = region_colors(patterns) * shade
    extent = (-half_width, half_width, -half_width, half_width)
    shown = ax.imshow((255 * image).astype(np.uint8), extent=extent, origin="lower", interpolation="nearest")
    curves = _visible_circles(arrangement, view_axes, half_width)
    ax.add_collection(LineCollection(curves, colors=INK, linewidths=0.9 if len(curves) < 30 else 0.5))
    if half_width >= 1:
        rim = Circle((0, 0), 1, facecolor="none", edgecolor=INK, lw=1.2)
        ax.add_patch(rim)
        shown.set_clip_path(rim)
    if labels:
        _label_faces(ax, patterns, right**2 + up**2 > 1, side)
    margin = 0.02 * half_width if half_width >= 1 else 0
    ax.set(xlim=(-half_width - margin, half_width + margin), ylim=(-half_width - margin, half_width + margin))
    ax.set_aspect("equal")
    ax.axis("off")
    ax.set_title(title)
    part = "a hemisphere" if half_width >= 1 else f"a patch of the sphere, {2 * half_width:.3g} radii wide,"
    return describe(
        ax,
        f"{part} seen from longitude {view[0]}° and latitude {view[1]}°, crossed by {len(curves)} small circles; each "
        f"face has the colour of its activation pattern.",
        title,
    )


def _view_axes(longitude, latitude):
    """Rows: the directions in space that point right, up and towards the reader."""
    lon, lat = np.radians([longitude, latitude])
    toward = np.array([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
    right = np.array([-np.sin(lon), np.cos(lon), 0.0])
    return np.stack([right, np.cross(toward, right), toward])


def _visible_circles(arrangement, view_axes, half_width, n=241):
    """The visible part of each boundary in the picture's coordinates: float64 [k, n, 2] for the k that can be seen.

    Seen from depth z, neuron i's circle is a + r (p cos t + q sin t) with p the direction in its plane that points most
    towards the reader, so the part in front of a depth is an interval around t = 0.
    """
    length = np.linalg.norm(arrangement.normals, axis=1)
    meets = np.abs(arrangement.offsets) < length
    normals = (arrangement.normals[meets] / length[meets, None]) @ view_axes.T
    height = -arrangement.offsets[meets] / length[meets]
    radius = np.sqrt(1 - height**2)
    slant = np.hypot(normals[:, 0], normals[:, 1])
    q = np.stack([-normals[:, 1], normals[:, 0], 0 * slant], axis=1) / np.maximum(slant, 1e-300)[:, None]
    q[slant == 0] = [1, 0, 0]  # a circle seen head-on
    p = np.cross(normals, q)
    lowest = np.sqrt(max(1 - 2 * half_width**2, 0))  # the depth of the picture's corners, or of the rim
    with np.errstate(divide="ignore", invalid="ignore"):
        cosine = (lowest - height * normals[:, 2]) / (radius * slant)
    seen = cosine < 1
    stop = np.arccos(np.clip(cosine[seen], -1, 1))[:, None, None]
    t = stop * np.linspace(-1, 1, n)[:, None]
    around = p[seen, None] * np.cos(t) + q[seen, None] * np.sin(t)
    curves = (height[seen, None, None] * normals[seen, None] + radius[seen, None, None] * around)[..., :2]
    return curves[(np.abs(curves) <= half_width).all(axis=2).any(axis=1)]


def _label_faces(ax, patterns, hidden, side):
    """Write bits in the middle of each visible pattern, where that pixel has it."""
    seen = patterns[~hidden]
    rows, columns = np.nonzero(~hidden)
    for pattern in np.unique(seen, axis=0):
        mine = (seen == pattern).all(axis=1)
        if mine.sum() > 0.004 * len(seen):
            y, x = np.median(rows[mine]).astype(int), np.median(columns[mine]).astype(int)
            if (patterns[y, x] == pattern).all():
                halo = [withStroke(linewidth=2.5, foreground="white", alpha=0.5)]
                ax.text(side[x], side[y], bits(pattern), ha="center", va="center", fontsize=7, path_effects=halo)
