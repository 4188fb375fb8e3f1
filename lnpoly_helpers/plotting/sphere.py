"""The ordinary sphere cut by small circles, seen from far away."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from .figure import axes_or_new, describe, entitle, hues, styled
from .shapes import ArrangementLike
from .style import INK, MANY, TONES, bits, pattern_colors, tones


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
        Number of points in width and in height for which the colours are computed. Lines are exact at any number.
    title : str
    ax : Axes, optional

    Returns
    -------
    Figure

    See Also
    --------
    lnpoly_helpers.partition_sphere : its faces, exactly.

    Examples
    --------
    >>> from lnpoly_helpers import Arrangement
    >>> plot_sphere(Arrangement([[0, 0, 1], [1, 0, 0]], [0, 0]), pixels=60).alt
    'a hemisphere around longitude 30°, latitude 20°, cut by 2 small circles into faces, coloured by activation
    pattern.'
    """
    ax = axes_or_new(ax, width=4.8, height=4.8)
    view_axes = _view_axes(*view)
    side = (np.arange(pixels) + 0.5) * (2 * half_width / pixels) - half_width
    right, up = np.meshgrid(side, side)
    depth = np.sqrt(np.maximum(1 - right**2 - up**2, 0))
    patterns = arrangement.preactivations(np.stack([right, up, depth], axis=-1) @ view_axes) > 0
    shade = 0.75 + 0.25 * np.round(24 * depth[..., None]) / 24  # in steps too fine to see, for a small file
    fills, many = _fills(arrangement, patterns, hues(ax))
    image = fills * shade
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
    margin = 0.05 * half_width if half_width >= 1 else 0
    ax.set(xlim=(-half_width - margin, half_width + margin), ylim=(-half_width - margin, half_width + margin))
    ax.set_aspect("equal")
    ax.axis("off")
    entitle(ax, title)
    if many:
        ax.text(0.5, -0.01, TONES, ha="center", va="top", transform=ax.transAxes)
    part = "a hemisphere" if half_width >= 1 else f"a patch of the sphere, {2 * half_width:.3g} radii wide,"
    return describe(
        ax,
        f"{part} around longitude {view[0]}°, latitude {view[1]}°, cut by {len(curves)} small circles into "
        f"faces, {TONES if many else 'coloured by activation pattern'}.",
        title,
    )


def _fills(arrangement, patterns, known, n=6000):
    """RGB, 0 to 1, of the pattern at each pixel [..., m], and whether there are too many for a colour each."""
    turn, height = np.arange(n) * np.pi * (3 - np.sqrt(5)), 1 - (2 * np.arange(n) + 1) / n
    width = np.sqrt(1 - height**2)
    points = np.stack([width * np.cos(turn), width * np.sin(turn), height], axis=1)  # evenly all over the sphere
    found, which = _distinct(arrangement.preactivations(points) > 0)
    if len(found) > MANY:
        pair = np.array([to_rgb(tone) for tone in tones([0, 1])])
        return pair[patterns.sum(axis=-1) % 2], True
    middles = np.array([points[which == k].mean(axis=0) for k in range(len(found))])
    pattern_colors(found, np.arctan2(middles[:, 1], middles[:, 0]), known)
    seen, at = _distinct(patterns.reshape(-1, patterns.shape[-1]))
    colors = pattern_colors(seen, np.zeros(len(seen)), known)  # all have their hues, but for one smaller than a point
    return np.array([to_rgb(color) for color in colors])[at].reshape(*patterns.shape[:-1], 3), False


def _distinct(patterns):
    """The distinct ones of patterns [n, m], and which of them each is [n]: by sums that are exact in float64."""
    weights = np.random.default_rng(0).integers(2**40, size=patterns.shape[1])
    _, first, which = np.unique(patterns @ weights.astype(float), return_index=True, return_inverse=True)
    return patterns[first], which


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
    """Write bits into each visible pattern where they have room, as near to its middle as they have it."""
    distinct, which = _distinct(patterns.reshape(-1, patterns.shape[-1]))
    which = np.where(hidden, -1, which.reshape(hidden.shape))
    inches = ax.get_subplotspec().get_position(ax.figure).width * ax.figure.get_figwidth()
    half = [int(size * len(side) / inches / 2) for size in (0.085 * patterns.shape[-1], 0.14)]
    for k, pattern in enumerate(distinct):
        mine = which == k
        room = np.ones_like(mine)
        for down in (-half[1], 0, half[1]):
            for right in (-half[0], 0, half[0]):
                room &= np.roll(mine, (down, right), axis=(0, 1))
        if room.any():
            places, middle = np.argwhere(room), np.argwhere(mine).mean(axis=0)
            y, x = places[np.sum((places - middle) ** 2, axis=1).argmin()]
            ax.text(side[x], side[y], bits(pattern), ha="center", va="center")
