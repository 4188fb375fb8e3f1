"""Pictures of ordinary space, three residual coordinates: points, half-planes, one vector on its way to the circle."""

from typing import Literal

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from mpl_toolkits.mplot3d import Axes3D
from mpl_toolkits.mplot3d.art3d import Poly3DCollection
from numpy.typing import ArrayLike

from .._inputs import one_of
from .._words import count
from .figure import axes_or_new, describe, styled
from .style import GREY, INK, PALE, ROLES, SERIES, at_most

_LETTERS = "ABCDEFG"
_X, _Z, _ONES = ROLES["x"].light, ROLES["z"].light, ROLES["ones"].light


def _space(ax, title, limit, zoom=1.55, sunk=0.1):
    """3-D axes without a box: equal scales, the three axes and the ones vector as thin lines, drawn back to front.

    All is ``sunk`` by a part of the limit, out of the way of the title: below would be blank space.
    """
    ax.set_title(title, y=1.07)  # above the name of the third axis
    ax.set_proj_type("ortho")
    ax.set(xlim=(-limit, limit), ylim=(-limit, limit), zlim=((sunk - 1) * limit, (sunk + 1) * limit))
    ax.set_box_aspect((1, 1, 1), zoom=zoom)
    ax.view_init(elev=14, azim=-18)
    ax.set_axis_off()
    ax.computed_zorder = False  # matplotlib would sort whole objects by depth and hide points behind the plane
    for name, axis in zip(("x₁", "x₂", "x₃"), 0.95 * limit * np.eye(3), strict=True):
        ax.plot(*np.c_[np.zeros(3), axis], color=GREY, lw=0.7, zorder=2)
        ax.text(*(1.06 * axis), name, color=GREY, ha="center", va="center")
    end = limit * np.ones(3) / np.sqrt(3)
    ax.plot(*np.c_[-end, end], color=_ONES, lw=1.2, ls=ROLES["ones"].line, zorder=2)
    ax.text(*(end * 1.09), "ones", color=_ONES, ha="center", weight="bold")


def _circle_3d(radius, n=181):
    """Points of the circle of a radius in the plane orthogonal to the ones vector of 3-D space."""
    u, v = np.array([1, -1, 0]) / np.sqrt(2), np.array([1, 1, -2]) / np.sqrt(6)
    angle = np.linspace(0, 2 * np.pi, n)[:, None]
    return radius * (np.cos(angle) * u + np.sin(angle) * v)


@styled
def plot_points_3d(
    points: ArrayLike,
    title: str,
    *,
    n_marked: int = 0,
    role: Literal["x", "z"] = "x",
    circle: float | None = None,
    limit: float | None = None,
    ax: Axes3D | None = None,
) -> Figure:
    """Points in 3-D, the plane orthogonal to the ones vector and, if asked, a circle in it.

    Parameters
    ----------
    points : array_like [n, 3]
    title : str
    n_marked : int
        How many of the first points are drawn large and numbered.
    role : "x" or "z"
        Whether they are residual vectors or what the norm makes of them: the colour.
    circle : float, optional
        Its radius.
    limit : float, optional
        Half the width of the space shown; by default what holds all points.
    ax : Axes3D, optional

    Returns
    -------
    Figure

    See Also
    --------
    plot_layernorm : one vector, with the steps that LayerNorm takes.

    Examples
    --------
    >>> plot_points_3d([[1, 2, 0], [0, -1, 1]], "two points").alt
    'two points: 2 points in 3-D and the plane orthogonal to the ones vector.'
    """
    color = ROLES[one_of(role, ("x", "z"), "role")].light
    points = np.asarray(points, dtype=float)
    ax = axes_or_new(ax, width=4.6, height=4.4, subplot_kw={"projection": "3d"})
    shown = max(1.1 * np.abs(points).max(), 2.0) if limit is None else limit
    _space(ax, title, shown)
    plane = Poly3DCollection([_circle_3d(1.1 * shown)], facecolor=PALE, alpha=0.45, zorder=1)
    ax.add_collection3d(plane)
    if circle is not None:
        ax.plot(*_circle_3d(circle).T, color=INK, lw=1, zorder=3)
    ax.scatter(*points[n_marked:].T, s=8, color=color, alpha=0.6, linewidths=0, depthshade=False, zorder=4)
    for k, point in enumerate(points[:n_marked]):
        ax.scatter(*point, s=170, color=INK, edgecolor="white", depthshade=False, zorder=5)
        ax.text(*point, s=str(k + 1), color="white", weight="bold", ha="center", va="center", zorder=6)
    described = f", {n_marked} of them numbered," if n_marked else ""
    extra = f" A circle of radius {circle:.3f} lies in the plane." if circle is not None else ""
    return describe(
        ax, f"{len(points)} points in 3-D{described} and the plane orthogonal to the ones vector.{extra}", title
    )


@styled
def plot_fibres(fibres: ArrayLike, images: ArrayLike, *, ax: Axes3D | None = None) -> Figure:
    """Half-planes of residual vectors in 3-D, and the one point of the circle that LayerNorm sends each of them to.

    Parameters
    ----------
    fibres : array_like [n_fibres, 4, 3]
        Corners of a rectangle cut from each half-plane, in order round it; its letter stands beyond the edge from the
        second to the third.
    images : array_like [n_fibres, 3]
    ax : Axes3D, optional

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        More than seven half-planes, or not one image for each.

    See Also
    --------
    plot_layernorm : one vector, on its way to its point.

    Examples
    --------
    >>> sheet = [[-1, -1, -1], [0, -2, -1], [2, 0, 1], [1, 1, 1]]
    >>> plot_fibres([sheet], [[1.2, -1.2, 0]]).alt
    '1 half-plane in 3-D, each bounded by the line of the ones vector; each meets the circle in the one point that
    all its vectors are sent to. Opposite half-planes have opposite points.'
    """
    fibres, images = np.asarray(fibres, dtype=float), np.asarray(images, dtype=float)
    # the letters tell them apart: with more than four the markers begin anew
    at_most(len(_LETTERS), [f"number {k + 1}" for k in range(len(fibres))], "fibres", "half-planes")
    ax = axes_or_new(ax, width=5.3, height=4.9, subplot_kw={"projection": "3d"})
    _space(ax, "One half-plane, one point", 1.05 * np.abs(fibres).max())
    ax.plot(*_circle_3d(np.sqrt(3)).T, color=INK, lw=1.4, zorder=3)
    for k, (corners, image) in enumerate(zip(fibres, images, strict=True)):
        marker = SERIES[k % len(SERIES)][1]
        ax.add_collection3d(Poly3DCollection([corners], facecolor=_X, edgecolor=_X, alpha=0.22, zorder=2))
        ax.scatter(*image, s=70, marker=marker, color=_Z, edgecolor="white", depthshade=False, zorder=5)
        ax.text(*(corners[1:3].mean(axis=0) * 1.08), s=_LETTERS[k], color=_X, weight="bold", ha="center", fontsize=12)
    return describe(
        ax,
        f"{count(len(fibres), 'half-plane')} in 3-D, each bounded by the line of the ones "
        f"vector; each meets the circle in the one point that all its vectors are sent to. Opposite half-planes have "
        f"opposite points.",
    )


@styled
def plot_layernorm(
    x: ArrayLike,
    moved: ArrayLike,
    centred: ArrayLike,
    z: ArrayLike,
    z_before: ArrayLike,
    *,
    limit: float,
    title: str = "",
    ax: Axes3D | None = None,
) -> Figure:
    """One residual vector on its way to the circle: moved, centred, scaled; and where the vector before the move lands.

    Parameters
    ----------
    x, moved, centred, z, z_before : array_like [3]
        The vector and a x + c 1; the latter without its mean; what LayerNorm makes of it, and of x.
    limit : float
        Half the width of the space shown.
    title : str
    ax : Axes3D, optional

    Returns
    -------
    Figure

    See Also
    --------
    lnpoly_helpers.widgets.explore_layernorm : moves it.

    Examples
    --------
    >>> x, z = np.array([2, 0, 1]), np.array([1.22, -1.22, 0])
    >>> plot_layernorm(x, 2 * x, 2 * (x - 1), z, z, limit=4).alt
    'a vector in 3-D at (4.00, 0.00, 2.00), the sheet of all vectors that LayerNorm sends to one point, and the point
    that this one is sent to, (1.22, -1.22, 0.00); a ring marks where x is sent, (1.22, -1.22, 0.00).'
    """
    x, moved, centred, z, z_before = (np.asarray(v, dtype=float) for v in (x, moved, centred, z, z_before))
    ax = axes_or_new(ax, width=5.3, height=4.9, subplot_kw={"projection": "3d"})
    _space(ax, title, limit, zoom=1.4, sunk=0.0)
    ones = 0.9 * limit * np.ones(3) / np.sqrt(3)
    outward = 0.9 * limit * z_before / np.linalg.norm(z_before)
    ax.add_collection3d(Poly3DCollection([_circle_3d(0.9 * limit)], facecolor=PALE, alpha=0.45, zorder=1))
    sheet = [-ones, outward - ones, outward + ones, ones]
    ax.add_collection3d(Poly3DCollection([sheet], facecolor=_X, edgecolor=_X, alpha=0.12, zorder=2))
    ax.plot(*_circle_3d(np.sqrt(3)).T, color=INK, lw=1.4, zorder=3)
    ax.plot(*np.c_[np.zeros(3), moved], color=_X, lw=2, zorder=4)
    ax.plot(*np.c_[moved, centred, z], color=GREY, lw=1.2, ls=(0, (2, 2)), zorder=4)
    ax.scatter(*x, s=40, facecolor="white", edgecolor=_X, depthshade=False, zorder=4)
    ax.scatter(*moved, s=60, color=_X, edgecolor="white", depthshade=False, zorder=5)
    for point, name, color, shift in (
        (x, "x", _X, -0.15),
        (moved, "a·x + c·1", _X, 0.11),
        (z, "z", _Z, 0.11),
    ):
        if name != "x" or np.linalg.norm(x - moved) > 0.12 * limit:
            halo = [withStroke(linewidth=3, foreground="white", alpha=0.8)]
            place = point + [0, 0, shift * limit]
            ax.text(*place, s=name, color=color, weight="bold", ha="center", path_effects=halo, zorder=6)
    ax.scatter(*z_before, s=150, facecolor="none", edgecolor=INK, linewidth=1.4, depthshade=False, zorder=7)
    ax.scatter(*z, s=70, marker="D", color=_Z, edgecolor="white", depthshade=False, zorder=7)
    return describe(
        ax,
        f"a vector in 3-D at ({_numbers(moved)}), the sheet of all vectors that LayerNorm sends to one point, and the "
        f"point that this one is sent to, ({_numbers(z)}); a ring marks where x is sent, ({_numbers(z_before)}).",
        title,
    )


def _numbers(vector):
    return ", ".join(f"{number + 0.0:.2f}" for number in np.round(vector, 2))
