"""The sphere S^2 cut by small circles: exact faces, their areas, neighbours and patterns. Counting in any dimension."""

from dataclasses import dataclass
from math import comb
from operator import index

import numpy as np

from .circle import TURN, _turn
from .patterns import neuron_weights
from .slices import Arrangement

EPS = np.finfo(np.float64).eps
_ROWS = 64  # rows of the crossing matrix at a time: what is in flight stays in the processor's cache
_CHECKED = 200_000  # crossings that count_faces sorts, looking for three boundaries through one point
_POLE = np.sqrt([2, 3, 5]) / np.sqrt(10)  # where the paths of _joints end: any point in general position will do


@dataclass(frozen=True, eq=False)
class Circles:
    """The boundaries that cut the sphere. Circle i is axis_i . y = level_i; its neuron is on where axis_i . y is larger.

    Attributes
    ----------
    neurons : int [n]
        Whose boundary it is.
    axes, frames : float64 [n, 3] and [n, 2, 3]
        A unit axis, and two unit vectors that complete it to a right-handed frame.
    levels, radii : float64 [n]
        Cosine and sine of the angle between the axis and the circle.
    """

    neurons: np.ndarray
    axes: np.ndarray
    frames: np.ndarray
    levels: np.ndarray
    radii: np.ndarray

    def __len__(self):
        return len(self.neurons)

    def points(self, circle, angle):
        """The point of a circle (int [...]) at an angle [...], counter-clockwise about its axis: float64 [..., 3]."""
        x, y = np.moveaxis(self.frames[circle], -2, 0)
        around = np.cos(angle)[..., None] * x + np.sin(angle)[..., None] * y
        return self.levels[circle][..., None] * self.axes[circle] + self.radii[circle][..., None] * around

    def angle(self, circle, point):
        """The angle in [0, 2 pi) at which one circle comes nearest to a point [3]."""
        x, y = self.frames[circle] @ point
        return float(_turn(np.arctan2(y, x)))


@dataclass(frozen=True, eq=False)
class SpherePartition:
    """The unit sphere cut by an arrangement into vertices, arcs and faces.

    Arcs are numbered circle after circle, counter-clockwise about the circle's axis: those of circle i are
    ``starts[i]`` to ``starts[i + 1]``, and arc s runs from ``angles[s]`` to the angle of the next one (the last wraps
    round). A circle that nothing crosses is a single arc from angle 0.

    Attributes
    ----------
    arrangement : Arrangement
    circles : Circles
    starts : int64 [n_circles + 1]
    angles : float64 [n_arcs]
    others : int32 [n_arcs]
        The circle that crosses where the arc starts, -1 if none does.
    enters : bool [n_arcs]
        Whether the neuron of that circle switches on there.
    arc_faces : int32 [n_arcs, 2]
        The face beside the arc where its own neuron is off and the one where it is on: all adjacencies.
    areas : float64 [n_faces]
        In steradians, by the Gauss-Bonnet theorem; absolute error about 1e-15 for each arc around the face.
    """

    arrangement: Arrangement
    circles: Circles
    starts: np.ndarray
    angles: np.ndarray
    others: np.ndarray
    enters: np.ndarray
    arc_faces: np.ndarray
    areas: np.ndarray
    n_components: int
    _following: np.ndarray  # half-edge 2 s + (own neuron on) lies beside arc s; this is the next round the same face
    _loops: np.ndarray  # one half-edge of every closed boundary curve, sorted by face
    _loop_faces: np.ndarray

    @property
    def n_faces(self):
        """Number of faces: connected pieces of the sphere. At least `n_patterns`."""
        return len(self.areas)

    @property
    def n_vertices(self):
        """Number of points where two circles cross."""
        return int(np.count_nonzero(self.enters))  # of the two circles, one enters the other

    @property
    def n_arcs(self):
        return len(self.angles)

    @property
    def lengths(self):
        """The angle that each arc turns about its circle's axis [n_arcs]; its length is this times the radius."""
        return np.concatenate([_gaps(part) for part in np.split(self.angles, self.starts[1:-1])])

    @property
    def arc_circles(self):
        """The circle of each arc, int64 [n_arcs]."""
        return np.repeat(np.arange(len(self.circles)), np.diff(self.starts))

    def vertices(self):
        """The points where two circles cross, float64 [n_vertices, 3]."""
        return self.circles.points(self.arc_circles[self.enters], self.angles[self.enters])

    def boundary(self, face):
        """What bounds a face, as one triple for each closed curve: a disc has one, a ring two.

        Returns
        -------
        list of (neurons int [k], from_angle float64 [k], to_angle float64 [k])
            Its arcs in order, with the face on the left: each runs about its own circle's axis, counter-clockwise
            (to_angle larger) where its neuron is on in the face, clockwise where it is off.
        """
        curves = []
        for edges in self._edges(face):
            circles, starts, stops = self._arcs(edges)
            curves.append((self.circles.neurons[circles], starts, stops))
        return curves

    def outline(self, face, step=0.02):
        """The closed curves of `boundary` as points float64 [k, 3] on the sphere, at most ``step`` radians apart."""
        curves = []
        for edges in self._edges(face):
            circles, starts, stops = self._arcs(edges)
            counts = np.ceil(np.abs(stops - starts) / step).astype(int)
            pieces = [np.linspace(*ends, n, endpoint=False) for *ends, n in zip(starts, stops, counts)]
            curves.append(self.circles.points(np.repeat(circles, counts), np.concatenate(pieces)))
        return curves

    def neighbours(self, face):
        """The faces across each arc of a face, and the neuron that alone differs there: two int arrays."""
        edges = np.array([edge for curve in self._edges(face) for edge in curve], dtype=np.int64)
        circles = np.searchsorted(self.starts, edges // 2, side="right") - 1
        return self.arc_faces[edges // 2, 1 - edges % 2], self.circles.neurons[circles]

    def patterns(self, faces=None):
        """Activation pattern of each face asked for (all by default), bool [len(faces), m], read off one of its arcs."""
        faces = np.arange(self.n_faces) if faces is None else np.atleast_1d(faces)
        if not len(self.circles):
            return np.repeat(self.arrangement.preactivations(_POLE)[None] > 0, len(faces), axis=0)
        edges = self._loops[np.searchsorted(self._loop_faces, faces)].astype(np.int64)
        patterns = np.empty((len(faces), self.arrangement.n_neurons), dtype=bool)
        for rows in _blocks(len(faces), 1024):
            circles, starts, stops = self._arcs(edges[rows])
            middle = self.circles.points(circles, (starts + stops) / 2)
            patterns[rows] = self.arrangement.preactivations(middle) > 0
        circles = np.searchsorted(self.starts, edges // 2, side="right") - 1
        patterns[np.arange(len(faces)), self.circles.neurons[circles]] = edges % 2
        return patterns

    def hashes(self):
        """`pattern_hash` of each face, int64 [n_faces, 2]: every vertex on a circle adds or takes one neuron's weight."""
        offsets = self.arrangement.offsets
        weights = neuron_weights(len(offsets))
        never_switch = np.setdiff1d(np.arange(len(offsets)), self.circles.neurons)
        always = weights[never_switch[offsets[never_switch] > 0]].sum(axis=0)
        if not len(self.circles):
            return always[None]
        weights = weights[self.circles.neurons]
        first = np.searchsorted(self._loop_faces, np.arange(self.n_faces))
        edges = self._loops[first].astype(np.int64)
        hashes = np.empty((self.n_faces, 2), dtype=np.int64)
        by_edge = np.argsort(edges)
        limits = np.searchsorted(edges[by_edge], 2 * self.starts)
        axes, levels = self.circles.axes, self.circles.levels
        for i, (lo, hi) in enumerate(zip(limits[:-1], limits[1:])):
            on = axes @ axes[i] * levels[i] > levels  # right for every circle that does not cross this one
            on[i] = False
            arcs = slice(self.starts[i], self.starts[i + 1])
            others, enters = self.others[arcs], self.enters[arcs]
            change = np.zeros((len(others), 2), dtype=np.int64)
            if others[0] >= 0:
                on[others] = enters  # the later of two crossings counts: it holds on the last arc, before the first
                change = np.where(enters[:, None], weights[others], -weights[others])
            along = always + weights[on].sum(axis=0) + np.cumsum(change, axis=0)
            mine = by_edge[lo:hi]
            hashes[mine] = along[edges[mine] // 2 - self.starts[i]] + edges[mine, None] % 2 * weights[i]
        return hashes

    @property
    def n_patterns(self):
        """Number of distinct patterns, at most `n_faces`: the same neurons may be on in several pieces of the sphere."""
        return len(np.unique(self.hashes().astype(np.float64).view(np.complex128)))

    def _edges(self, face):
        """Half-edges of one face, a list of int for each closed curve."""
        if not 0 <= index(face) < self.n_faces:
            raise ValueError(f"face: expected 0 to {self.n_faces - 1}, got {face}.")
        curves = []
        for first in self._loops[slice(*np.searchsorted(self._loop_faces, [face, face + 1]))]:
            curve = [int(first)]
            while (following := int(self._following[curve[-1]])) != curve[0]:
                curve.append(following)
            curves.append(curve)
        return curves

    def _arcs(self, edges):
        """Circle, angle at the start and angle at the end of half-edges."""
        edges = np.asarray(edges, dtype=np.int64)
        arcs, forward = edges // 2, edges % 2 == 1
        circles = np.searchsorted(self.starts, arcs, side="right") - 1
        is_last = arcs + 1 == self.starts[circles + 1]
        low, high = self.angles[arcs], self.angles[np.where(is_last, self.starts[circles], arcs + 1)]
        high = high + np.where(is_last, TURN, 0.0)
        return circles, np.where(forward, low, high), np.where(forward, high, low)


def partition_sphere(arrangement):
    r"""Cut the unit sphere S^2 exactly along every boundary of a three-dimensional arrangement.

    Two circles with angular radii arccos(level) cross iff |cos| < 1 for cos = (axis_i . axis_j - level_i level_j) /
    (radius_i radius_j), the cosine of the angle at which they do. Each circle is then cut like `partition_circle`'s,
    in closed form. Sorting the crossings on each circle and turning left at each vertex traces the faces; circles that
    do not hang together are joined along paths to a common pole. A face bounded by L curves has the area
    2 pi (2 - L) - (total geodesic curvature of its arcs) - (turning angles at its vertices).

    Parameters
    ----------
    arrangement : Arrangement
        With normals [m, 3]: ``restrict(mlp, slice_basis([u, v, w]))``.

    Returns
    -------
    SpherePartition

    Raises
    ------
    ValueError
        The arrangement is not three-dimensional, or degenerate to within rounding: a boundary that only touches the
        sphere (|offset| within 1e-9 of |normal|), two that coincide or touch (\|cos\| within about 1e-15 (1/radius_i^2
        + 1/radius_j^2) of 1), three through one point (closer on one of them than the error bounds of their angles,
        about 1e-15 over the sine of the angle at which they cross). The message names the neurons.

    Notes
    -----
    n circles that all cross make n^2 - n + 2 faces, at about 100 bytes each: 0.1 GB for n = 1000, 1 GB for n = 3072.

    >>> partition_sphere(Arrangement(np.eye(3), np.zeros(3))).n_faces
    8
    """
    circles = _circles(arrangement)
    n = len(circles)
    crosses = _crossings(circles)
    starts = np.concatenate([[0], np.cumsum(np.maximum(2 * crosses.sum(axis=1), 1))])
    n_arcs = int(starts[-1])
    if 2 * n_arcs >= 2**31:
        raise ValueError(f"arrangement: expected fewer than 2^30 arcs, got {n_arcs}. count_faces counts without them.")

    angles, others = np.zeros(n_arcs), np.full(n_arcs, -1, dtype=np.int32)
    enters, turning = np.zeros(n_arcs, dtype=bool), np.empty((n_arcs, 2))
    place = np.empty((n, n, 2) if n_arcs > n else (0, 0, 2), dtype=np.int32)  # arc of i that starts where it [leaves, enters] j
    for i in range(n):
        arcs = slice(starts[i], starts[i + 1])
        corner = 0.0
        if crosses[i].any():
            angles[arcs], others[arcs], enters[arcs], corner = _cut_circle(circles, i, np.flatnonzero(crosses[i]))
            place[i, others[arcs], enters[arcs].view(np.int8)] = np.arange(*arcs.indices(n_arcs))
            corner = np.where(enters[arcs], np.pi - corner, corner)  # exterior angle of a face that has its corner here
        curvature = circles.levels[i] * _gaps(angles[arcs])
        turning[arcs, 0] = corner - curvature
        turning[arcs, 1] = np.roll(corner, -1) + curvature
    following = _following(starts, others, enters, place)
    del place
    loops, loop_of, turned = _trace(following, turning.reshape(-1))
    component = _components(crosses)
    n_components = int(component.max(initial=-1)) + 1
    loop_faces = _join(len(loops), loop_of, _joints(circles, component, starts, angles))
    n_faces = int(loop_faces.max(initial=0)) + 1
    areas = 2 * TURN - np.bincount(loop_faces, weights=TURN + turned, minlength=n_faces)
    by_face = np.argsort(loop_faces, kind="stable")
    return SpherePartition(
        arrangement, circles, starts, angles, others, enters, loop_faces[loop_of].reshape(-1, 2), areas, n_components,
        following, loops[by_face], loop_faces[by_face],
    )  # fmt: skip


def count_faces(arrangement, *, check_all=False):
    """Number of faces of the sphere S^2 cut by a three-dimensional arrangement: F = 1 + c + 2p, without building them.

    c is the number of connected components of the n circles that meet the sphere and p that of pairs that cross
    (Euler's formula with 2p vertices and 4p arcs).

    Parameters
    ----------
    arrangement : Arrangement
        With normals [m, 3].
    check_all : bool
        The formula holds when no three circles pass through one point. Finding such points takes longer than
        counting: by default all circles are searched while they have up to 200 000 crossings (n = 316), and beyond
        that as many, evenly spaced. True searches all.

    Raises
    ------
    ValueError
        As in `partition_sphere`.

    >>> count_faces(Arrangement(np.eye(3), np.zeros(3)))
    8
    """
    circles = _circles(arrangement)
    crosses = _crossings(circles)
    n_crossings = 2 * int(np.count_nonzero(crosses))  # on all circles; each pair makes two vertices, each on both
    step = 1 if check_all else -(-n_crossings // _CHECKED)
    for i in range(0, len(circles), max(step, 1)):
        if crosses[i].any():
            _cut_circle(circles, i, np.flatnonzero(crosses[i]))
    return 1 + int(_components(crosses).max(initial=-1)) + 1 + n_crossings // 2


def n_regions(n_boundaries, sphere_dim):
    """Number of regions into which hyperplanes cut the sphere S^k: 2 sum_{i <= k} C(m - 1, i), exactly.

    It holds for m boundaries of which every k or fewer meet in a point inside the open ball and no k + 1 in one of
    the sphere; then every small sphere cuts as a great one would, and offsets do not matter. Otherwise it is the most
    that m boundaries can make: two parallel planes cut S^2 into 3, not 4.

    Parameters
    ----------
    n_boundaries : int
        m, counting those that meet the sphere; 0 leaves it whole.
    sphere_dim : int
        k >= 1: the dimension of the sphere, d - 2 behind LayerNorm, d - 1 behind RMSNorm.

    Returns
    -------
    int

    Notes
    -----
    Schläfli's count of the cells of m hyperplanes through the origin. Cover 1965, IEEE Trans. Electron. Comput. 14(3).

    >>> n_regions(3, 2), len(str(n_regions(3072, 766)))
    (8, 748)
    """
    m, k = index(n_boundaries), index(sphere_dim)
    if m < 0 or k < 1:
        raise ValueError(f"n_boundaries and sphere_dim: expected at least 0 and at least 1, got {m} and {k}.")
    return 2 * sum(comb(m - 1, i) for i in range(min(k, m - 1) + 1)) if m else 1


def _circles(arrangement):
    if not isinstance(arrangement, Arrangement):
        raise TypeError(
            f"arrangement: expected an Arrangement, got {type(arrangement).__name__}. restrict(mlp, basis) makes one."
        )
    if arrangement.dimension != 3:
        raise ValueError(
            f"arrangement: expected three dimensions, got {arrangement.dimension}. "
            f"A sphere slice needs three directions: restrict(mlp, slice_basis([u, v, w]))."
        )
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


def _degenerate(neurons, what):
    who = f"boundary of neuron {neurons[0]}" if len(neurons) == 1 else f"boundaries of neurons {sorted(map(int, neurons))}"
    return ValueError(
        f"arrangement: expected boundaries in general position, got the {who}, which {what} to within rounding. "
        f"Leave one out or turn the slice a little."
    )


def _crossings(circles):
    """Which circles cross, bool [n, n]."""
    axes, levels, radii = circles.axes, circles.levels, circles.radii
    row = np.column_stack([axes, levels]) / radii[:, None]
    column = np.ascontiguousarray((row * [1, 1, 1, -1]).T)
    crosses = np.empty((len(row), len(row)), dtype=bool)
    for rows in _blocks(len(row), _ROWS):
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


def _blocks(n, size):
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


def _cut_circle(circles, i, others):
    """Where other circles cross circle i: sorted angles, who, whether their neuron switches on, and arccos(cos)."""
    level, radius = circles.levels[i], circles.radii[i]
    along = np.concatenate([circles.frames[i], circles.axes[i, None]])
    A, B, c = (circles.axes[others] @ along.T).T
    b = c * level - circles.levels[others]
    cosine = c - level * circles.levels[others]  # this and the sine below times the product of the radii
    product = radius * circles.radii[others]
    sine = np.sqrt((product - cosine) * (product + cosine))
    centre, half = np.arctan2(B, A), np.arctan2(sine, -b)
    angles = _turn(np.concatenate([centre - half, centre + half]))
    order = np.argsort(angles)
    size = np.hypot(b, sine)
    error = EPS * (8 + 4 * np.abs(b) * (radius**2 + circles.radii[others] ** 2) / (sine * size)) / size
    angles, who, error = angles[order], order % len(others), error[order % len(others)]
    close = np.flatnonzero(_gaps(angles) <= error + np.roll(error, -1))
    if len(close):
        met = {i, others[who[close[0]]], others[np.roll(who, -1)[close[0]]]}
        raise _degenerate(circles.neurons[list(met)], "pass through one point" if len(met) == 3 else "touch in a point")
    return angles, others[who], order < len(others), np.arctan2(sine, cosine)[who]


def _gaps(angles):
    """From each angle of a circle to the next."""
    return np.diff(angles, append=angles[0] + TURN)


def _following(starts, others, enters, place):
    """For each half-edge the next one around its face, which lies on the left: int32 [2 n_arcs]."""
    n_arcs = len(others)
    before = np.arange(-1, n_arcs - 1, dtype=np.int32)
    before[starts[:-1]] = starts[1:] - 1
    following = np.empty((n_arcs, 2), dtype=np.int32)
    for i, (lo, hi) in enumerate(zip(starts[:-1], starts[1:])):
        if others[lo] < 0:
            following[lo] = 2 * lo, 2 * lo + 1
            continue
        enter = enters[lo:hi]
        twin = place[others[lo:hi], i, 1 - enter.view(np.int8)]  # where i enters j, there j leaves i
        forward, backward = 2 * twin + 1, 2 * before[twin]  # along the other circle, its neuron on or off
        following[lo:hi, 0] = np.where(enter, forward, backward)
        following[before[lo:hi], 1] = np.where(enter, backward, forward)
    return following.reshape(-1)


def _trace(following, turning):
    """The cycles of a permutation: the least member of each, the cycle of each member, and the sum of ``turning``."""
    least, at, here = [np.empty(0, dtype=np.int32)], following, np.arange(len(following), dtype=np.int32)
    while len(here):
        least.append(here[at == here])
        go = at > here  # whoever meets a lesser member is not the least
        here, at = here[go], following[at[go]]
    least = np.sort(np.concatenate(least))
    cycle_of, total = np.empty(len(following), dtype=np.int32), np.zeros(len(least))
    cycle, at = np.arange(len(least), dtype=np.int32), least
    while len(cycle):
        cycle_of[at] = cycle
        total[cycle] += turning[at]
        at = following[at]
        go = at != least[cycle]
        cycle, at = cycle[go], at[go]
    return least, cycle_of, total


def _components(crosses):
    """Number the connected components of a symmetric relation: int64 [n]."""
    alone = ~crosses.any(axis=1)
    component = np.where(alone, np.cumsum(alone) - 1, -1)
    n_components = int(alone.sum())
    unseen = ~alone
    while unseen.any():
        front = [int(np.argmax(unseen))]
        while len(front):
            component[front] = n_components
            unseen[front] = False
            front = np.flatnonzero(crosses[front].any(axis=0) & unseen)
        n_components += 1
    return component


def _joints(circles, component, starts, angles):
    """Pairs of half-edges that bound the same face though their circles do not hang together; -1 stands for the pole.

    From the point of each component that is nearest to the pole a path leads to the pole. It stays in one face until
    it meets another component, whose own nearest point is nearer. So the pairs make a tree with the pole as its root.
    """
    if component.max(initial=0) == 0:
        return []

    def half_edge(i, point, is_on):
        arc = np.searchsorted(angles[starts[i] : starts[i + 1]], circles.angle(i, point), side="right") - 1
        return 2 * int(starts[i] + arc if arc >= 0 else starts[i + 1] - 1) + int(is_on)

    axes, levels = circles.axes, circles.levels
    at_pole = axes @ _POLE
    distance = np.abs(np.arccos(np.clip(at_pole, -1, 1)) - np.arccos(levels))
    by_distance = np.lexsort([distance, component])
    nearest = by_distance[np.diff(component[by_distance], prepend=-1) > 0]
    pairs = []
    for i in nearest:
        top = circles.points(i, np.float64(circles.angle(i, _POLE)))
        tangent = top - (top @ _POLE) * _POLE
        A, B = at_pole, axes @ (tangent / np.linalg.norm(tangent))
        R = np.hypot(A, B)
        j = np.flatnonzero((np.abs(levels) < R) & (component != component[i]))
        centre, half = np.arctan2(B[j], A[j]), np.arccos(levels[j] / R[j])
        hits = _turn(np.stack([centre - half, centre + half]))
        hits[hits >= distance[i]] = -1
        last = np.unravel_index(np.argmax(hits), hits.shape) if hits.size else None
        here = half_edge(i, top, at_pole[i] > levels[i])
        if last is None or hits[last] < 0:
            pairs.append((here, -1))
            continue
        s, met = hits[last], j[last[1]]
        where = _POLE * np.cos(s) + tangent / np.linalg.norm(tangent) * np.sin(s)
        pairs.append((here, half_edge(met, where, axes[met] @ top > levels[met])))
    return pairs


def _join(n_loops, loop_of, pairs):
    """The face of each loop, int32 [n_loops], once the loops of each pair of half-edges are known to bound the same."""
    parent = {}

    def root(loop):
        while (up := parent.get(loop, loop)) != loop:
            loop = up
        return loop

    for pair in pairs:
        low, high = sorted(root(n_loops if edge < 0 else int(loop_of[edge])) for edge in pair)
        parent[high] = low
    is_root = np.ones(n_loops, dtype=bool)
    is_root[[loop for loop in parent if loop < n_loops]] = False
    face = np.cumsum(is_root, dtype=np.int32) - np.int32(1)
    for loop in parent:
        if loop < n_loops:
            face[loop] = face[root(loop)]
    return face
