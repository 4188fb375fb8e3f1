"""Figures of computed objects. Every function takes ``ax=None``, returns the figure and says in words what it shows.

The words are the figure's alternative text: a notebook keeps them beside the picture, for readers who cannot see it
and for tests, which can compare words but no pictures.
"""

import base64
import functools
import io
import textwrap

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection, PathCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from matplotlib.path import Path
from matplotlib.patheffects import withStroke
from mpl_toolkits.mplot3d.art3d import Poly3DCollection

from .style import (
    BLUE,
    GREY,
    INK,
    PALE,
    SERIES,
    VERMILION,
    bits,
    color_steps,
    figure_style,
    index_colors,
    region_colors,
)

_SETTINGS = figure_style()


def _styled(function):
    """Run a plotting function under the style of the series, whatever the caller's settings are."""

    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        with matplotlib.rc_context(_SETTINGS):
            return function(*args, **kwargs)

    return wrapper


class LabelledFigure(Figure):
    """A matplotlib figure that shows itself in a notebook together with its alternative text."""

    alt = ""

    def _repr_mimebundle_(self, include=None, exclude=None):
        png = io.BytesIO()
        with matplotlib.rc_context(_SETTINGS):
            self.savefig(png, format="png", metadata={"Software": None})
        data = {"image/png": base64.b64encode(png.getvalue()).decode(), "text/plain": self.alt}
        return data, {"image/png": {"alt": self.alt}}

    def wipe(self):
        """Take everything out that was drawn, and the alternative text, to draw anew in the same axes."""
        self.alt = ""
        for ax in self.axes:  # ax.clear() would make new axis ticks, which takes longer than the drawing
            for artist in [*ax.lines, *ax.collections, *ax.patches, *ax.texts, *ax.images]:
                artist.remove()

    def quick_png(self):
        """The picture as PNG bytes, for one that changes many times a second: only the first call arranges panels."""
        png = io.BytesIO()
        with matplotlib.rc_context(_SETTINGS):
            FigureCanvasAgg(self).print_png(png, metadata={"Software": None}, pil_kwargs={"compress_level": 1})
        self.set_layout_engine("none")
        return png.getvalue()


@_styled
def new_figure(width=6.4, height=4.0, **subplots):
    """A figure of the series and its axes, outside pyplot: nothing global, nothing to close.

    Parameters
    ----------
    width, height : float
        Inches.
    **subplots
        For `matplotlib.figure.Figure.subplots`: ``nrows``, ``ncols``, ``subplot_kw`` ...
    """
    figure = LabelledFigure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(**subplots)


def _axes(ax, **kwargs):
    return new_figure(**kwargs)[1] if ax is None else ax


def _describe(ax, text):
    """Add a panel's description to its figure's alternative text; returns the figure."""
    figure = ax.figure
    if isinstance(figure, LabelledFigure):
        figure.alt = f"{figure.alt} {text}".strip()
    return figure


def _space(ax, title, limit):
    """3-D axes without a box: equal scales, the three axes and the ones vector as thin lines, drawn back to front."""
    ax.set_title(title, y=1.07)  # above the name of the third axis
    ax.set_proj_type("ortho")
    ax.set(xlim=(-limit, limit), ylim=(-limit, limit), zlim=(-limit, limit))
    ax.set_box_aspect((1, 1, 1), zoom=1.5)
    ax.view_init(elev=14, azim=-18)
    ax.set_axis_off()
    ax.computed_zorder = False  # matplotlib would sort whole objects by depth and hide points behind the plane
    for name, axis in zip(("x₁", "x₂", "x₃"), 0.95 * limit * np.eye(3)):
        ax.plot(*np.c_[np.zeros(3), axis], color=GREY, lw=0.7, zorder=2)
        ax.text(*(1.06 * axis), name, color=GREY, ha="center", va="center", fontsize=9)
    end = limit * np.ones(3) / np.sqrt(3)
    ax.plot(*np.c_[-end, end], color=INK, lw=1, ls=(0, (4, 3)), zorder=2)
    ax.text(*(end * 1.09), "ones", color=INK, ha="center", fontsize=9)


def _circle_3d(radius, n=181):
    """Points of the circle of a radius in the plane orthogonal to the ones vector of 3-D space."""
    u, v = np.array([1, -1, 0]) / np.sqrt(2), np.array([1, 1, -2]) / np.sqrt(6)
    angle = np.linspace(0, 2 * np.pi, n)[:, None]
    return radius * (np.cos(angle) * u + np.sin(angle) * v)


@_styled
def plot_points_3d(points, title, *, n_marked=0, circle=None, limit=None, ax=None):
    """Points in 3-D, the plane orthogonal to the ones vector and, if asked, a circle in it.

    Parameters
    ----------
    points : float64 [n, 3]
    title : str
    n_marked : int
        So many first points are drawn large and numbered.
    circle : float, optional
        Its radius.
    limit : float, optional
        Half the width of the space shown; by default what holds all points.
    """
    ax = _axes(ax, width=4.6, height=4.4, subplot_kw={"projection": "3d"})
    limit = max(1.1 * np.abs(points).max(), 2.0) if limit is None else limit
    _space(ax, title, limit)
    plane = Poly3DCollection([_circle_3d(1.1 * limit)], facecolor=PALE, alpha=0.45, zorder=1)
    ax.add_collection3d(plane)
    if circle is not None:
        ax.plot(*_circle_3d(circle).T, color=INK, lw=1, zorder=3)
    ax.scatter(*points[n_marked:].T, s=8, color=BLUE, alpha=0.6, linewidths=0, depthshade=False, zorder=4)
    for k, point in enumerate(points[:n_marked]):
        ax.scatter(*point, s=120, color=VERMILION, edgecolor="white", depthshade=False, zorder=5)
        ax.text(*point, str(k + 1), color="white", weight="bold", fontsize=8, ha="center", va="center", zorder=6)
    described = f", {n_marked} of them numbered," if n_marked else ""
    extra = f" A circle of radius {circle:.3f} lies in the plane." if circle is not None else ""
    return _describe(
        ax, f"{title}: {len(points)} points in 3-D{described} and the plane orthogonal to the ones vector.{extra}"
    )


@_styled
def plot_fibres(fibres, images, *, ax=None):
    """Half-planes of residual vectors in 3-D, and the one point of the circle that LayerNorm sends each of them to.

    Parameters
    ----------
    fibres : float64 [n_fibres, 4, 3]
        Corners of a rectangle cut from each half-plane, in order round it.
    images : float64 [n_fibres, 3]
    """
    ax = _axes(ax, width=5.4, height=5.0, subplot_kw={"projection": "3d"})
    _space(ax, "One half-plane, one point", 1.05 * np.abs(fibres).max())
    ax.plot(*_circle_3d(np.sqrt(3)).T, color=INK, lw=1.4, zorder=3)
    for k, (corners, image) in enumerate(zip(fibres, images)):
        color, marker, _ = SERIES[k % len(SERIES)]
        ax.add_collection3d(Poly3DCollection([corners], facecolor=color, edgecolor=color, alpha=0.25, zorder=2))
        ax.scatter(*image, s=70, marker=marker, color=color, edgecolor="white", depthshade=False, zorder=5)
        ax.text(*(corners[1:3].mean(axis=0) * 1.08), "ABCDEFG"[k], color=color, weight="bold", ha="center", fontsize=12)
    return _describe(
        ax,
        f"{len(fibres)} half-planes in 3-D, each bounded by the line of the ones vector; each meets the circle in "
        f"the one point that all its vectors are sent to. Opposite half-planes have opposite points.",
    )


@_styled
def plot_layernorm(x, moved, centred, z, z_before, *, limit, title="", ax=None):
    """One residual vector on its way to the circle: moved, centred, scaled; and where the vector before the move lands.

    Parameters
    ----------
    x, moved, centred, z, z_before : float64 [3]
        The vector and a x + c 1; the latter without its mean; what LayerNorm makes of it, and of x.
    limit : float
        Half the width of the space shown.
    """
    ax = _axes(ax, width=5.4, height=5.0, subplot_kw={"projection": "3d"})
    _space(ax, title, limit)
    ax.set_box_aspect((1, 1, 1), zoom=1.4)
    ones = 0.9 * limit * np.ones(3) / np.sqrt(3)
    outward = 0.9 * limit * z_before / np.linalg.norm(z_before)
    ax.add_collection3d(Poly3DCollection([_circle_3d(0.9 * limit)], facecolor=PALE, alpha=0.45, zorder=1))
    sheet = [-ones, outward - ones, outward + ones, ones]
    ax.add_collection3d(Poly3DCollection([sheet], facecolor=BLUE, edgecolor=BLUE, alpha=0.12, zorder=2))
    ax.plot(*_circle_3d(np.sqrt(3)).T, color=INK, lw=1.4, zorder=3)
    ax.plot(*np.c_[np.zeros(3), moved], color=BLUE, lw=2, zorder=4)
    ax.plot(*np.c_[moved, centred, z], color=GREY, lw=1.2, ls=(0, (2, 2)), zorder=4)
    ax.scatter(*x, s=40, facecolor="white", edgecolor=BLUE, depthshade=False, zorder=4)
    ax.scatter(*moved, s=60, color=BLUE, edgecolor="white", depthshade=False, zorder=5)
    for point, name, color, shift in (
        (x, "x", BLUE, -0.15),
        (moved, "a·x + c·1", BLUE, 0.11),
        (z, "z", VERMILION, 0.11),
    ):
        if name != "x" or np.linalg.norm(x - moved) > 0.12 * limit:
            halo = [withStroke(linewidth=3, foreground="white", alpha=0.8)]
            place = point + [0, 0, shift * limit]
            ax.text(*place, name, color=color, weight="bold", ha="center", fontsize=10, path_effects=halo, zorder=6)
    ax.scatter(*z_before, s=150, facecolor="none", edgecolor=INK, linewidth=1.4, depthshade=False, zorder=7)
    ax.scatter(*z, s=70, marker="D", color=VERMILION, edgecolor="white", depthshade=False, zorder=7)
    return _describe(
        ax,
        f"{title + ': ' if title else ''}a vector in 3-D at ({_numbers(moved)}), the sheet of all vectors that "
        f"LayerNorm sends to one point, and the point that this one is sent to, ({_numbers(z)}); a ring marks where x "
        f"is sent, ({_numbers(z_before)}).",
    )


def _numbers(vector):
    return ", ".join(f"{number + 0.0:.2f}" for number in np.round(vector, 2))


@_styled
def plot_shrink(scales, radii, crossings=None, *, ax=None):
    """How close to the sphere a vector comes as it is scaled up: |z| / sqrt(d) against the scale.

    Parameters
    ----------
    scales, radii : float64 [n]
    crossings : float64 [k, 2], optional
        Scale and radius at which a neuron flips; drawn as ticks.
    """
    ax = _axes(ax, height=3.2)
    ax.axhline(1, color=GREY, lw=1, ls=(0, (4, 3)))
    ax.annotate("the sphere", (scales[0], 1), (4, 4), textcoords="offset points", color=GREY)
    ax.plot(scales, radii, color=BLUE)
    if crossings is not None and len(crossings):
        ax.plot(*np.asarray(crossings).T, ls="", marker="|", ms=16, mew=2, color=VERMILION)
        ax.annotate(
            "a neuron flips", crossings[-1], (12, -14), textcoords="offset points", color=VERMILION, va="center"
        )
    ax.set(xscale="log", ylim=(0, 1.12), xlabel="scale a of the residual vector", ylabel="‖z‖ / √d")
    ax.set_title("ε keeps short vectors inside the sphere")
    n = 0 if crossings is None else len(crossings)
    return _describe(
        ax,
        f"Length of the normalised vector, in units of the sphere's radius, against the scale of the residual vector "
        f"from {scales[0]:g} to {scales[-1]:g}: it rises from {radii[0]:.2f} to {radii[-1]:.2f}. "
        f"{n} neurons flip on the way.",
    )


@_styled
def plot_plane(partition, *, circle=False, ray=None, labels=True, marks=None, title="", ax=None):
    """The regions of a plane cut by lines, each in its pattern's colour, labelled with its bits.

    Parameters
    ----------
    partition : PlanePartition
    circle : bool
        Draw the unit circle: where the sphere cuts the plane.
    ray : float64 [2], optional
        Draw the ray from the origin through this point.
    labels : bool
        Write each region's pattern into it, neuron 0 first.
    marks : dict, optional
        Name: angle. An arrow from the origin to that place of the unit circle.
    """
    ax = _axes(ax, width=5.2, height=5.0)
    w = partition.half_width
    fills = region_colors(partition.patterns)
    ax.add_collection(PolyCollection(partition.polygons, facecolors=fills, edgecolors=INK, linewidths=0.9))
    if labels:
        for polygon, center, pattern in zip(partition.polygons, partition.centroids, partition.patterns):
            if _area(polygon) > 0.015 * (2 * w) ** 2:
                halo = [withStroke(linewidth=2.5, foreground="white", alpha=0.5)]
                ax.text(*center, bits(pattern), ha="center", va="center", fontsize=8, path_effects=halo)
    if circle:
        angle = np.linspace(0, 2 * np.pi, 361)
        ax.plot(np.cos(angle), np.sin(angle), color=INK, lw=2.4)
    if ray is not None:
        end = np.asarray(ray) / np.abs(ray).max() * w
        ax.annotate("", end, (0, 0), arrowprops={"arrowstyle": "-|>", "color": VERMILION, "lw": 2.4, "shrinkA": 0})
        ax.plot(0, 0, "o", color=VERMILION, ms=6)
    pointed = _point_at(ax, marks or {}, 1)
    ax.set(xlim=(-w, w), ylim=(-w, w), aspect="equal", xlabel="y₁", ylabel="y₂")
    ax.set_title(title)
    extras = (" The unit circle is drawn in." if circle else "") + (
        f" A ray leaves the origin towards ({ray[0]:.2f}, {ray[1]:.2f})." if ray is not None else ""
    )
    return _describe(
        ax,
        f"{title + ': ' if title else ''}a square of the plane cut by {partition.arrangement.n_neurons} lines into "
        f"{partition.n_regions} regions, coloured and labelled by activation pattern{pointed}.{extras}",
    )


def _area(polygon):
    x, y = polygon.T
    return abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


@_styled
def plot_arcs(partition, *, labels=True, marks=None, title="", ax=None):
    """A circle cut into arcs, each in its pattern's colour; a tick and the neuron's number where a boundary is crossed.

    Parameters
    ----------
    partition : CirclePartition
    labels : bool
        Write each arc's pattern inside and each crossing's neuron outside; up to 40 arcs, beyond it is left out.
    marks : dict, optional
        Name: angle. An arrow from the centre to that place of the circle.
    """
    ax = _axes(ax, width=5.2, height=5.0)
    _ring(ax, partition, inner=0.9, outer=1.05)
    few = labels and partition.n_arcs <= 40
    if few:
        for middle, pattern, length in zip(partition.midpoints, partition.patterns(), partition.lengths):
            if length > 0.06:
                inside = 0.74 * np.array([np.cos(middle), np.sin(middle)])
                ax.text(*inside, bits(pattern), ha="center", va="center", fontsize=8)
        for angle, neuron in zip(partition.angles, partition.neurons):
            out = np.array([np.cos(angle), np.sin(angle)])
            ax.plot(*np.c_[0.87 * out, 1.08 * out], color=INK, lw=1.4)
            ax.text(*(1.17 * out), str(neuron), ha="center", va="center", fontsize=9, color=VERMILION)
    pointed = _point_at(ax, marks or {}, 0.9)
    ax.set(xlim=(-1.28, 1.28), ylim=(-1.28, 1.28), aspect="equal")
    ax.axis("off")
    ax.set_title(title)
    return _describe(
        ax,
        f"{title + ': ' if title else ''}a circle cut at {len(partition.angles)} places into {partition.n_arcs} arcs "
        f"with {partition.n_patterns} distinct activation patterns, each in its own colour"
        f"{'; each tick carries the number of the neuron that flips there' if few else ''}{pointed}.",
    )


def _point_at(ax, marks, radius):
    """Arrows from the centre of a circle to places on it, {name: angle}; returns the words for the description."""
    for (name, angle), (color, _, line) in zip(marks.items(), SERIES):
        end = radius * np.array([np.cos(angle), np.sin(angle)])
        arrow = {"arrowstyle": "-|>", "color": color, "lw": 2, "ls": line, "shrinkA": 0, "shrinkB": 0}
        ax.annotate("", end, (0, 0), arrowprops=arrow)
        box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.5}
        ax.text(*(0.55 * end), name, color=color, weight="bold", ha="center", va="center", fontsize=9, bbox=box)
    return "".join(f"; an arrow, {name}, points to {np.degrees(angle):.1f}°" for name, angle in marks.items())


def _arc_colors(partition):
    """Colour number of each arc [n_arcs], without the patterns themselves, which take long for thousands of neurons."""
    return partition.sums(color_steps(len(partition.last_pattern))) % 7


def _ring(ax, partition, inner, outer):
    """Draw the arcs as pieces of a ring."""
    share = np.linspace(0, 1, 2 + int(40 * partition.lengths.max()))
    angle = partition.starts[:, None] + partition.lengths[:, None] * share
    edge = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    pieces = np.concatenate([inner * edge, outer * edge[:, ::-1]], axis=1)
    color = _arc_colors(partition)
    colors = np.unique(color)  # one path for all arcs of a colour: thousands are drawn as fast as ten
    paths = [Path.make_compound_path_from_polys(pieces[color == one]) for one in colors]
    ring = PathCollection(paths, facecolors=index_colors(colors, 0.85), edgecolors="none")
    ax.add_collection(ring, autolim=False)


@_styled
def plot_arc_window(partition, center, width, *, title="", ax=None):
    """A stretch of the circle unrolled: arcs as coloured blocks, one line up or down for each neuron that flips.

    Parameters
    ----------
    partition : CirclePartition
    center, width : float
        Radians.
    """
    ax = _axes(ax, height=2.3)
    starts = (partition.starts - center + np.pi) % (2 * np.pi) - np.pi
    seen = (starts + partition.lengths > -width / 2) & (starts < width / 2)
    blocks = [[(s, 0), (s + n, 0), (s + n, 1), (s, 1)] for s, n in zip(starts[seen], partition.lengths[seen])]
    blocks = np.array(blocks) * [180 / np.pi, 1]
    fills = index_colors(_arc_colors(partition)[seen], 0.85)
    ax.add_collection(PolyCollection(blocks, facecolors=fills, edgecolors="white", linewidths=0.6))
    inside = np.abs(starts) < width / 2
    half = np.degrees(width / 2)
    ax.set(xlim=(-half, half), ylim=(0, 1), yticks=[], xlabel="degrees along the circle")
    ax.spines["left"].set_visible(False)
    ax.set_box_aspect(0.22)
    ax.set_title(title)
    n_inside = int(inside.sum()) if len(partition.angles) else 0
    return _describe(
        ax,
        f"{title + ': ' if title else ''}{np.degrees(width):.0f} degrees of the circle unrolled, with {n_inside} "
        f"crossings.",
    )


@_styled
def plot_sphere(arrangement, *, view=(30, 20), half_width=1.0, labels=False, pixels=481, title="", ax=None):
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
    """
    ax = _axes(ax, width=4.8, height=4.8)
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
    return _describe(
        ax,
        f"{title + ': ' if title else ''}{part} seen from longitude {view[0]}° and latitude {view[1]}°, crossed by "
        f"{len(curves)} small circles; each face has the colour of its activation pattern.",
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


@_styled
def plot_ray_patterns(scales, patterns, *, title="", ax=None):
    """Which neurons are on as a vector is scaled: a row a neuron, dark where it is on.

    Parameters
    ----------
    scales : float64 [n]
        Increasing; drawn on a logarithmic axis.
    patterns : bool [n, m]
        Drawn sorted by how long each neuron is on.
    """
    ax = _axes(ax, height=3.4)
    patterns = np.asarray(patterns)
    changed = patterns.any(axis=0) & ~patterns.all(axis=0)
    order = np.lexsort([patterns.argmax(axis=0), patterns.sum(axis=0)])
    ax.pcolormesh(
        scales, np.arange(patterns.shape[1]), patterns.T[order], cmap="Blues", vmin=-0.15, vmax=1.25, shading="nearest"
    )
    ax.axvline(1, color=VERMILION, lw=1.2)
    ax.set(xscale="log", xlabel="scale a of the residual vector", ylabel="neuron, sorted (dark: on)")
    ax.set_title(title)
    return _describe(
        ax,
        f"{title + ': ' if title else ''}{patterns.shape[1]} neurons against the scale of one residual vector from "
        f"{scales[0]:g} to {scales[-1]:g}; {int(changed.sum())} of them change between on and off.",
    )


@_styled
def plot_verdicts(changes, *, tolerance, title="", ax=None):
    """A table of tests: what stayed the same under a change, and by how much the rest moved.

    Parameters
    ----------
    changes : dict
        Row's name: {column's name: relative change of the output}.
    tolerance : float
        Up to it the output counts as the same.
    """
    columns = list(next(iter(changes.values())))
    ax = _axes(ax, width=2.3 + 1.25 * len(columns), height=0.7 + 0.36 * len(changes))
    for y, row in enumerate(changes.values()):
        for x, column in enumerate(columns):
            same = row[column] <= tolerance
            fill, word = (BLUE, "same") if same else (VERMILION, f"moves {_short(row[column])}")
            ax.barh(y, 0.94, 0.86, x - 0.47, color=fill, alpha=0.25, linewidth=0)
            ax.text(x, y, word, ha="center", va="center", weight="normal" if same else "bold")
    ax.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(changes) - 0.5, -0.5))
    ax.set_yticks(range(len(changes)), list(changes))
    ax.set_xticks(range(len(columns)), columns)
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    lines = 1 + max(column.count("\n") for column in columns)
    ax.set_title(textwrap.fill(title, 14 * len(columns)), y=1, pad=6 + 14 * lines)  # above the columns' names
    moved = {name: [c for c in columns if row[c] > tolerance] for name, row in changes.items()}
    words = "; ".join(f"{name}: {', '.join(found) or 'nothing'}" for name, found in moved.items())
    tests = ", ".join(column.replace("\n", " ") for column in columns)
    return _describe(
        ax,
        f"{title + ': ' if title else ''}a table of {len(changes)} rows and {len(columns)} tests ({tests}). "
        f"What moves, row by row: {words}.".replace("\n", " "),
    )


@_styled
def plot_spread(x, series, *, xlabel, ylabel, title="", ax=None):
    """How many curves run: the mean of each bundle, and a band that holds nine in ten of it.

    Parameters
    ----------
    x : float64 [n]
        Positive; drawn on a logarithmic axis.
    series : dict
        Name: curves [n_curves, n].
    """
    ax = _axes(ax, width=7.2, height=4.0)
    words, ends = [], []
    for (name, curves), (color, _, line) in zip(series.items(), SERIES):
        mean, (low, high) = np.mean(curves, axis=0), np.quantile(curves, [0.05, 0.95], axis=0, method="nearest")
        ax.fill_between(x, low, high, color=color, alpha=0.2, linewidth=0)
        ax.plot(x, mean, color=color, ls=line, lw=2)
        ends.append((mean[-1], name, color))
        said = (f"{_short(mean[k])} (nine in ten from {_short(low[k])} to {_short(high[k])})" for k in (0, -1))
        words.append(f"{name}: {' at the left end, '.join(said)} at the right")
    at, apart = -np.inf, 0.06 * np.diff(ax.get_ylim()).item()
    for end, name, color in sorted(ends):
        at = max(end, at + apart)  # labels never overlap
        ax.annotate(name, (x[-1], at), (6, 0), textcoords="offset points", va="center", color=color, weight="bold")
    ax.set(xscale="log", xlabel=xlabel, ylabel=ylabel, xlim=(x[0], x[-1]))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.text(0.5, 0.97, "line: mean; band: nine in ten", transform=ax.transAxes, color=GREY, ha="center", va="top")
    ax.set_title(title)
    shown = f"{ylabel} against {xlabel}, mean and band of nine in ten"
    return _describe(ax, f"{title + ': ' if title else ''}{shown}. {'; '.join(words)}.")


@_styled
def plot_lines(x, series, *, xlabel, ylabel, title="", log=False, ax=None):
    """Curves over a common axis, each with its own colour, marker and line, labelled at its right end.

    Parameters
    ----------
    x : sequence [n]
    series : dict
        Name: values [n], or fewer for a curve that ends early.
    log : bool
        Logarithmic axes.
    """
    ax = _axes(ax)
    for (name, values), (color, marker, line) in zip(series.items(), SERIES):
        ax.plot(x[: len(values)], values, color=color, marker=marker, ls=line, ms=5, label=name)
    ax.legend(**({"loc": "upper left", "bbox_to_anchor": (1, 1)} if len(series) > 3 else {}))
    ax.set(xlabel=xlabel, ylabel=ylabel)
    if log:
        ax.set(xscale="log", yscale="log")
    ax.set_title(title)
    ends = "; ".join(f"{name} from {_short(v[0])} to {_short(v[-1])}" for name, v in series.items())
    return _describe(ax, f"{title + ': ' if title else ''}{ylabel} against {xlabel}: {ends}.")


def _short(number):
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"


def _range(values):
    low, high = _short(np.min(values)), _short(np.max(values))
    return low if low == high else f"{low} to {high}"


@_styled
def plot_panels(x, panels, *, xlabel, ylabel, title="", ncols=None, log=False):
    """Small multiples on common axes: a panel for each model or layer, in it curves with their intervals.

    Parameters
    ----------
    x : sequence [n]
    panels : dict
        Panel's title: {curve's name: (values [k], half_widths [k])} with k <= n. A curve with None in place of its half
        widths is a reference: a grey line without marks.
    ylabel : str, or a list of them
        One for all rows, which then share their scale too; or one for each row.
    ncols : int
        Panels in a row; by default all.
    log : bool
        Logarithmic x.
    """
    ncols = ncols or len(panels)
    nrows = -(-len(panels) // ncols)
    one_scale = isinstance(ylabel, str)
    ylabels = [ylabel] * nrows if one_scale else list(ylabel)
    subplots = {"nrows": nrows, "ncols": ncols, "squeeze": False, "sharey": True if one_scale else "row"}
    figure, axes = new_figure(2.25 * ncols, 0.9 + 2.1 * nrows, **subplots)
    x = np.asarray(x, dtype=float)
    kinds = {key: half is None for curves in panels.values() for key, (_, half) in curves.items()}
    measured, references = ([key for key, is_reference in kinds.items() if is_reference == wanted] for wanted in (0, 1))
    named = {}
    for ax, (name, curves) in zip(axes.flat, panels.items()):
        for key, (values, half) in curves.items():
            at = x[: len(values)]
            if half is None:
                line = ((0, (5, 3)), (0, (1, 1.5)))[references.index(key) % 2]
                named[key] = ax.plot(at, values, color=GREY, lw=1.1, ls=line, label=key, zorder=1)[0]
                continue
            color, marker, line = SERIES[measured.index(key)]
            aside = 0.07 * (measured.index(key) - (len(measured) - 1) / 2)  # side by side: no interval hides another
            at = at * np.exp(0.4 * aside) if log else at + aside * np.diff(x).min(initial=1.0)
            style = {"color": color, "marker": marker, "ls": line, "lw": 1.1, "ms": 4, "elinewidth": 1.2}
            named[key] = ax.errorbar(at, values, half, label=key, **style)
        ax.set_title(name.strip(), fontsize=10)
        if log:
            ax.set_xscale("log")
    for ax in axes.flat[len(panels) :]:
        ax.set_axis_off()
    for row, label in zip(axes, ylabels):
        row[0].set_ylabel(label)
    for ax in axes[-1]:
        ax.set_xlabel(xlabel)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, weight="bold")
    figure.legend(handles=list(named.values()), loc="outside lower center", ncols=len(named))
    parts = (
        f"{name.strip()}: " + ", ".join(f"{key} {_range(values)}" for key, (values, _) in curves.items())
        for name, curves in panels.items()
    )
    what = " and ".join(dict.fromkeys(ylabels))
    return _describe(axes.flat[0], f"{title}. {what} against {xlabel}, with intervals. {'; '.join(parts)}.")


@_styled
def plot_path(degrees, curves, crossings, *, ylabel, title="", at=None, ax=None):
    """What happens along a path on the sphere: curves against the angle, and a tick below for each boundary crossed.

    Parameters
    ----------
    degrees : float64 [n]
    curves : dict
        Name: values [n].
    crossings : float64 [k]
        Degrees at which a neuron flips.
    at : float, optional
        Where on the path the reader stands, in degrees: a line there, the ticks behind it dark and those ahead pale.
    """
    ax = _axes(ax, width=7.2, height=4.0)
    top = max(np.max(values) for values in curves.values()) or 1.0
    for (name, values), (color, marker, line) in zip(curves.items(), SERIES):
        ax.plot(degrees, values, color=color, ls=line, label=name)
        if at is not None:
            ax.plot(at, np.interp(at, degrees, values), marker, color=color, ms=6)
    passed = np.full(len(crossings), True) if at is None else np.asarray(crossings) <= at
    for ticks, color in ((passed, INK), (~passed, GREY)):
        x = np.repeat(np.asarray(crossings)[ticks], 3)  # one line with gaps: thousands of ticks draw in no time
        y = np.tile([-0.13 * top, -0.05 * top, np.nan], ticks.sum())
        ax.plot(x, y, color=color, lw=0.8, solid_capstyle="butt")
    ax.axhline(0, color=GREY, lw=0.8)
    if at is not None:
        ax.axvline(at, color=INK, lw=1, ls=(0, (4, 3)))
    ax.legend(loc="upper left")
    ax.set(xlim=(0, degrees[-1]), ylim=(-0.17 * top, 1.1 * top), ylabel=ylabel)
    ax.set_yticks([tick for tick in ax.get_yticks() if 0 <= tick <= 1.1 * top])
    ax.spines["left"].set_bounds(0, 1.1 * top)
    ax.set_xlabel("degrees along the path; tick: a boundary crossed")
    ax.set_title(title)
    here = "" if at is None else f" At {at:.0f} degrees {passed.sum()} of them are crossed."
    ends = "; ".join(f"{name} ends at {values[-1]:.3g}" for name, values in curves.items())
    return _describe(
        ax,
        f"{title + ': ' if title else ''}{ylabel} along {degrees[-1]:.0f} degrees of a path that crosses "
        f"{len(crossings)} boundaries: {ends}.{here}",
    )
