"""Small circles on the sphere S^2: which of them cross, and where. What `sphere` is built on."""

from dataclasses import dataclass

import numpy as np

from .._inputs import Float, Frozen, Int, require_arrangement
from ._angles import TURN, turn
from .arrangement import Arrangement

EPS = np.finfo(np.float64).eps
_ROWS = 64  # rows of the crossing matrix at a time: what is in flight stays in the processor's cache


@dataclass(frozen=True, eq=False, repr=False)
class Circles(Frozen):
    """The boundaries that cut the sphere. Circle i is axis_i . y = level_i, and its neuron is on where that is larger.

    Attributes
    ----------
    neurons : int [n]
        Whose boundary it is.
    axes, frames : float64 [n, 3] and [n, 2, 3]
        A unit axis, and two unit vectors that complete it to a right-handed frame.
    levels, radii : float64 [n]
        Cosine and sine of the angle between the axis and the circle.
    half_cosines, half_sines : float64 [n]
        Those of half that angle.

    See Also
    --------
    SpherePartition : what they cut the sphere into.

    Examples
    --------
    >>> circles = find_circles(Arrangement([[0, 0, 2], [0, 4, 0], [1, 0, 0]], [1, 1, 5]))  # the last misses the sphere
    >>> circles, circles.levels.tolist()
    (Circles(n_circles=2), [-0.5, -0.25])
    """

    neurons: Int[np.ndarray, "n"]
    axes: Float[np.ndarray, "n 3"]
    frames: Float[np.ndarray, "n 2 3"]
    levels: Float[np.ndarray, "n"]
    radii: Float[np.ndarray, "n"]
    half_cosines: Float[np.ndarray, "n"]
    half_sines: Float[np.ndarray, "n"]

    def __len__(self) -> int:
        return len(self.neurons)

    def __repr__(self) -> str:
        return f"Circles(n_circles={len(self)})"

    def points(
        self, circle: Int[np.ndarray, "..."] | int | np.integer, angle: Float[np.ndarray, "..."] | np.floating
    ) -> Float[np.ndarray, "... 3"]:
        """The points of circles at angles in radians, counter-clockwise about each circle's axis.

        Parameters
        ----------
        circle : int [...]
        angle : float64 [...]

        Returns
        -------
        points : float64 [..., 3]

        See Also
        --------
        SpherePartition.vertices, SpherePartition.outline : those that matter.

        Examples
        --------
        >>> circles = find_circles(Arrangement([[0, 0, 2]], [1]))
        >>> circles.points(0, np.array([0.0, 1.0])) @ circles.axes[0]
        array([-0.5, -0.5])
        """
        x, y = np.moveaxis(self.frames[circle], -2, 0)
        around = np.cos(angle)[..., None] * x + np.sin(angle)[..., None] * y
        return self.levels[circle][..., None] * self.axes[circle] + self.radii[circle][..., None] * around

    def angle(self, circle: int | np.integer, point: Float[np.ndarray, "3"]) -> float:
        """The angle in [0, 2 pi) at which one circle comes nearest to a point.

        >>> circles = find_circles(Arrangement([[0, 0, 2]], [1]))
        >>> circles.angle(0, circles.points(0, np.float64(0.25)))
        0.25
        """
        x, y = self.frames[circle] @ point
        return float(turn(np.arctan2(y, x)))


def find_circles(arrangement: Arrangement) -> Circles:
    """The circles of a three-dimensional arrangement; boundaries that miss the sphere are left out."""
    require_arrangement(arrangement, 3)
    size, offset = np.hypot.reduce(arrangement.normals, axis=1), arrangement.offsets
    touches = (np.abs(np.abs(offset) - size) <= 1e-9 * size) & (size > 0)
    if touches.any():
        raise _degenerate(np.flatnonzero(touches)[:1], "only touches the sphere")
    neurons = np.flatnonzero(np.abs(offset) < size)
    axes, levels = arrangement.normals[neurons] / size[neurons, None], -offset[neurons] / size[neurons]
    x, y, z = axes.T
    sign = np.copysign(1.0, z)
    a = -1 / (sign + z)  # Duff et al. 2017, J. Comput. Graph. Tech. 6(1): a frame without a branch or a square root
    first = np.stack([1 + sign * x * x * a, sign * x * y * a, -sign * x], axis=1)
    second = np.stack([x * y * a, sign + y * y * a, -y], axis=1)
    half_cosines, half_sines = np.sqrt((1 + levels) / 2), np.sqrt((1 - levels) / 2)
    radii = 2 * half_cosines * half_sines
    return Circles(neurons, axes, np.stack([first, second], axis=1), levels, radii, half_cosines, half_sines)


def crossings(circles):
    """Which circles cross, bool [n, n]."""
    axes, levels, radii = circles.axes, circles.levels, circles.radii
    row = np.column_stack([axes, levels]) / radii[:, None]
    column = np.ascontiguousarray((row * [1, 1, 1, -1]).T)
    crosses = np.empty((len(row), len(row)), dtype=bool)
    for rows in blocks(len(row), _ROWS):
        cosine = np.abs(row[rows] @ column)
        np.less(cosine, 1 - 1e-6, out=crosses[rows])
        nearly = cosine < 1 + 1e-6
        if np.count_nonzero(nearly) == np.count_nonzero(crosses[rows]) + len(cosine):
            continue  # each circle meets itself at cosine 1, and nothing else is close to touching
        i, j = np.nonzero(nearly & ~crosses[rows])
        i, j = (i + rows.start)[i + rows.start != j], j[i + rows.start != j]
        sines = np.array(_triangles(circles, i, j)[2:])
        room = sines.min(axis=0)  # how far they are from touching, in radians and halved
        touch = np.flatnonzero(np.abs(room) <= 4 * EPS * (1 + 1 / radii[i] + 1 / radii[j]))
        if len(touch):
            same = np.sort(np.abs(sines[:, touch[0]]))[1] < 1e-7  # the second: distance and radii agree
            raise _degenerate(circles.neurons[[i[touch[0]], j[touch[0]]]], "coincide" if same else "touch in a point")
        crosses[i, j] = room > 0
    return crosses


def _triangles(circles, i, others):
    """Where circle i, or each of several, sees the other axes, and the triangle of both axes and a crossing.

    Returns A and B, the coordinates of the other axes in the frame of circle i, over the sine of their distance;
    and of the sides of the triangle, which are the distance and the angles of both circles, with half their sum s,
    sin s, sin(s - distance), sin(s - angle of i), sin(s - angle of the other): all > 0 iff the circles cross.

    All is made of n_j - n_i, or n_j + n_i where that is shorter, and not of n_i . n_j: close to 1 that has lost
    how far apart the axes are. What is rounded is then the axes alone, alike for both circles; so areas, which change
    by no more than a circle moves, are right to within rounding, also where vertices are not.
    """
    axis, frame = circles.axes[i].T.reshape(3, -1), circles.frames[i].T.reshape(3, 2, -1)  # of one, or of each
    other_axes = circles.axes.take(others, axis=0).T
    side = np.copysign(1.0, _dot(other_axes, axis))
    apart = other_axes - side * axis
    A, B = _dot(frame[:, 0], apart), _dot(frame[:, 1], apart)
    short = np.sqrt(_dot(apart, apart)) / 2
    long = np.sqrt((1 - short) * (1 + short))
    near = side > 0
    sine, cosine = np.where(near, short, long), np.where(near, long, short)  # of half the distance
    c, s, other_c, other_s = (half.take(k) for k in (i, others) for half in (circles.half_cosines, circles.half_sines))
    cc, cs, sc, ss = c * other_c, c * other_s, s * other_c, s * other_s
    sum_, difference = ((sc + cs) * cosine, (cc - ss) * sine), ((cc + ss) * sine, (sc - cs) * cosine)
    return A, B, sum_[0] + sum_[1], sum_[0] - sum_[1], difference[0] - difference[1], difference[0] + difference[1]


def _dot(a, b):
    """The sums of a * b over three rows: for so few the quickest way."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def cut_circle(circles, i, others):
    """Where other circles cross circle i: sorted angles, who, whether their neuron switches on, and at which angle.

    The latter as tan(angle / 2)^2, since not everybody needs it.
    """
    A, B, whole, distance, own, other = _triangles(circles, i, others)
    # in a triangle tan(angle / 2)^2 = sin(s - b) sin(s - c) / (sin s sin(s - a)), here at the axis and at the crossing
    outer, inner = whole * distance, own * other
    half, corner = 2 * np.arctan(np.sqrt(distance * own / (whole * other))), inner / outer
    centre = np.arctan2(B, A)
    angles = turn(np.concatenate([centre - half, centre + half]))
    order = np.argsort(angles)
    # either circle moved by EPS / radius at most moves the crossing by that over the sine of the angle between them
    reach = (1 + 1 / circles.radii[i]) * circles.radii.take(others) + 1
    error = 2 * EPS * reach / np.sqrt(outer * inner)
    angles, enters = angles[order], order < len(others)
    who = np.where(enters, order, order - len(others))
    gap = gaps(angles)
    if gap.min() <= 2 * error.max():
        error = error[who]
        close = np.flatnonzero(gap <= error + np.roll(error, -1))
        if len(close):
            met = {i, *others[[who[close[0]], np.roll(who, -1)[close[0]]]].tolist()}
            what = "pass through one point" if len(met) == 3 else "touch in a point"
            raise _degenerate(circles.neurons[list(met)], what)
    return angles, others[who], enters, corner[who]


def components(crosses):
    """Number the connected components of a symmetric relation, int32 [n], in the order of their first members."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(crosses)
    if n == 0:
        return np.empty(0, dtype=np.int32)
    # whom a busy circle crosses hang together by it: only the rows of the others can tell more
    step = n // 64 + 1
    busy = step * np.argmax(np.count_nonzero(crosses[::step], axis=1))
    others = np.flatnonzero(~crosses[busy])
    i, j = np.nonzero(crosses[others])
    graph = coo_array((np.ones(len(i), dtype=np.int8), (others[i], j)), shape=(n, n))
    return connected_components(graph, directed=False)[1]


def gaps(angles):
    """From each angle of a circle to the next."""
    gap = np.empty_like(angles)
    np.subtract(angles[1:], angles[:-1], out=gap[:-1])
    gap[-1] = angles[0] + TURN - angles[-1]
    return gap


def blocks(n, size):
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


def _degenerate(neurons, what):
    names = ", ".join(map(str, sorted(neurons)))
    who = f"boundary of neuron {names}" if len(neurons) == 1 else f"boundaries of neurons {names}"
    return ValueError(
        f"arrangement: expected boundaries in general position, got the {who}, which {what} to within rounding. "
        f"Leave one out or turn the slice a little."
    )
