"""Small circles on the sphere S^2: which of them cross, and where. What `sphere` is built on."""

from dataclasses import dataclass

import numpy as np

from .._inputs import Float, Int, require_arrangement
from ._angles import TURN, turn
from .arrangement import Arrangement

EPS = np.finfo(np.float64).eps
_ROWS = 64  # rows of the crossing matrix at a time: what is in flight stays in the processor's cache


@dataclass(frozen=True, eq=False, repr=False)
class Circles:
    """The boundaries that cut the sphere. Circle i is axis_i . y = level_i, and its neuron is on where that is larger.

    Attributes
    ----------
    neurons : int [n]
        Whose boundary it is.
    axes, frames : float64 [n, 3] and [n, 2, 3]
        A unit axis, and two unit vectors that complete it to a right-handed frame.
    levels, radii : float64 [n]
        Cosine and sine of the angle between the axis and the circle.

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
    radii = np.sqrt((1 - levels) * (1 + levels))
    return Circles(neurons, axes, np.stack([first, second], axis=1), levels, radii)


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
        room = radii[i] * radii[j] - np.abs((axes[i] * axes[j]).sum(axis=1) - levels[i] * levels[j])
        touch = np.flatnonzero(np.abs(room) <= 8 * EPS * (radii[i] / radii[j] + radii[j] / radii[i]))
        if len(touch):
            i, j = i[touch[0]], j[touch[0]]
            same = np.abs(np.cross(axes[i], axes[j])).max() < 1e-7 and abs(abs(levels[i]) - abs(levels[j])) < 1e-7
            raise _degenerate(circles.neurons[[i, j]], "coincide" if same else "touch in a point")
        crosses[i, j] = room > 0
    return crosses


def cut_circle(circles, i, others):
    """Where other circles cross circle i: sorted angles, who, whether their neuron switches on, and arccos(cos)."""
    level, radius = circles.levels[i], circles.radii[i]
    along = np.concatenate([circles.frames[i], circles.axes[i, None]])
    A, B, c = (circles.axes[others] @ along.T).T
    b = c * level - circles.levels[others]
    cosine = c - level * circles.levels[others]  # this and the sine below times the product of the radii
    product = radius * circles.radii[others]
    sine = np.sqrt((product - cosine) * (product + cosine))
    centre, half = np.arctan2(B, A), np.arctan2(sine, -b)
    angles = turn(np.concatenate([centre - half, centre + half]))
    order = np.argsort(angles)
    size = np.hypot(b, sine)
    error = EPS * (8 + 4 * np.abs(b) * (radius**2 + circles.radii[others] ** 2) / (sine * size)) / size
    angles, who, error = angles[order], order % len(others), error[order % len(others)]
    close = np.flatnonzero(gaps(angles) <= error + np.roll(error, -1))
    if len(close):
        met = {i, others[who[close[0]]], others[np.roll(who, -1)[close[0]]]}
        raise _degenerate(circles.neurons[list(met)], "pass through one point" if len(met) == 3 else "touch in a point")
    return angles, others[who], order < len(others), np.arctan2(sine, cosine)[who]


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
    return np.diff(angles, append=angles[0] + TURN)


def blocks(n, size):
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


def _degenerate(neurons, what):
    names = ", ".join(map(str, sorted(neurons)))
    who = f"boundary of neuron {names}" if len(neurons) == 1 else f"boundaries of neurons {names}"
    return ValueError(
        f"arrangement: expected boundaries in general position, got the {who}, which {what} to within rounding. "
        f"Leave one out or turn the slice a little."
    )
