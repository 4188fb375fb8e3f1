"""The sphere S^2 cut by small circles: exact faces, their areas, neighbours and patterns. Counting in any dimension."""

from dataclasses import dataclass
from math import comb
from operator import index

import numpy as np

from . import _faces
from ._angles import TURN
from ._small_circles import Circles, blocks, components, crossings, cut_circle, find_circles, gaps
from .arrangement import Arrangement
from .patterns import distinct, neuron_weights

_CHECKED = 200_000  # crossings that count_faces sorts, looking for three boundaries through one point


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
    _following: np.ndarray  # half-edge 2 s + (own neuron on) runs along arc s; this is the next one round its face
    _curves: np.ndarray  # one half-edge of every closed curve that bounds a face, sorted by face
    _curve_faces: np.ndarray

    def __post_init__(self):
        for array in (*vars(self).values(), *vars(self.circles).values()):
            if isinstance(array, np.ndarray):
                array.flags.writeable = False

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
        _, from_angle, to_angle = self._arcs(2 * np.arange(self.n_arcs) + 1)
        return to_angle - from_angle

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
        """Activation pattern of each face asked for (all by default), bool [len(faces), m], read off one arc each."""
        faces = np.arange(self.n_faces) if faces is None else self._checked(faces)
        if not len(self.circles):
            return np.repeat(self.arrangement.preactivations([[0, 0, 1]]) > 0, len(faces), axis=0)
        edges = self._curves[np.searchsorted(self._curve_faces, faces)].astype(np.int64)
        patterns = np.empty((len(faces), self.arrangement.n_neurons), dtype=bool)
        for rows in blocks(len(faces), 1024):
            circles, starts, stops = self._arcs(edges[rows])
            middle = self.circles.points(circles, (starts + stops) / 2)
            patterns[rows] = self.arrangement.preactivations(middle) > 0
        circles = np.searchsorted(self.starts, edges // 2, side="right") - 1
        patterns[np.arange(len(faces)), self.circles.neurons[circles]] = edges % 2
        return patterns

    def hashes(self):
        """`pattern_hash` of each face, int64 [n_faces, 2]: along a circle, each vertex adds or takes one weight."""
        offsets = self.arrangement.offsets
        weights = neuron_weights(len(offsets))
        never_switch = np.setdiff1d(np.arange(len(offsets)), self.circles.neurons)
        always = weights[never_switch[offsets[never_switch] > 0]].sum(axis=0)
        if not len(self.circles):
            return always[None]
        weights = weights[self.circles.neurons]
        first = np.searchsorted(self._curve_faces, np.arange(self.n_faces))
        edges = self._curves[first].astype(np.int64)
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
        """Number of distinct patterns, at most `n_faces`: several faces may share theirs."""
        return len(distinct(self.hashes()))

    def _checked(self, faces):
        faces = np.atleast_1d(faces)
        if faces.dtype.kind not in "iu" or faces.ndim != 1 or ((faces < 0) | (faces >= self.n_faces)).any():
            raise ValueError(f"face: expected integers 0 to {self.n_faces - 1}, got {faces}.")
        return faces

    def _edges(self, face):
        """Half-edges of one face, a list of int for each closed curve."""
        [face] = self._checked(face)
        curves = []
        for first in self._curves[slice(*np.searchsorted(self._curve_faces, [face, face + 1]))]:
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
    circles = find_circles(arrangement)
    n = len(circles)
    crosses = crossings(circles)
    starts = np.concatenate([[0], np.cumsum(np.maximum(2 * crosses.sum(axis=1), 1))])
    n_arcs = int(starts[-1])
    if 2 * n_arcs >= 2**31:
        raise ValueError(f"arrangement: expected fewer than 2^30 arcs, got {n_arcs}. count_faces counts without them.")

    angles, others = np.zeros(n_arcs), np.full(n_arcs, -1, dtype=np.int32)
    enters, turning = np.zeros(n_arcs, dtype=bool), np.empty((n_arcs, 2))
    # place[i, j]: the arc of circle i that starts where it leaves circle j, and the one where it enters
    place = np.empty((n, n, 2) if crosses.any() else 0, dtype=np.int32)
    for i in range(n):
        arcs, crossed, corner = slice(starts[i], starts[i + 1]), np.flatnonzero(crosses[i]), 0.0
        if len(crossed):
            angles[arcs], others[arcs], enters[arcs], corner = cut_circle(circles, i, crossed)
            place[i, others[arcs], enters[arcs].view(np.int8)] = np.arange(starts[i], starts[i + 1])
            corner = np.where(enters[arcs], np.pi - corner, corner)  # how much a face's outline turns left here
        bend = circles.levels[i] * gaps(angles[arcs])
        turning[arcs, 0] = corner - bend
        turning[arcs, 1] = np.roll(corner, -1) + bend
    following = _faces.next_edges(starts, others, enters, place)
    del place
    curves, curve_of, turned = _faces.closed_curves(following, turning.reshape(-1))
    component = components(crosses)
    curve_faces = _faces.face_of_curves(len(curves), curve_of, _faces.joints(circles, component, starts, angles))
    n_components, n_faces = int(component.max(initial=-1)) + 1, int(curve_faces.max(initial=0)) + 1
    if n_faces != 1 + n_components + np.count_nonzero(crosses):  # Euler's formula
        raise ValueError(
            "arrangement: expected boundaries in general position, got some too close for float64 to tell."
        )
    by_face = np.argsort(curve_faces, kind="stable")
    return SpherePartition(
        arrangement=arrangement,
        circles=circles,
        starts=starts,
        angles=angles,
        others=others,
        enters=enters,
        arc_faces=curve_faces[curve_of].reshape(-1, 2),
        areas=2 * TURN - np.bincount(curve_faces, weights=TURN + turned, minlength=n_faces),
        n_components=n_components,
        _following=following,
        _curves=curves[by_face],
        _curve_faces=curve_faces[by_face],
    )


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
    circles = find_circles(arrangement)
    crosses = crossings(circles)
    n_crossings = 2 * int(np.count_nonzero(crosses))  # on all circles; each pair makes two vertices, each on both
    step = 1 if check_all else -(-n_crossings // _CHECKED)
    for i in range(0, len(circles), max(step, 1)):
        if crosses[i].any():
            cut_circle(circles, i, np.flatnonzero(crosses[i]))
    return 1 + int(components(crosses).max(initial=-1)) + 1 + n_crossings // 2


def n_regions(n_boundaries, sphere_dim):
    """Number of regions into which hyperplanes cut the sphere S^k: 2 sum_{i <= k} C(m - 1, i), exactly.

    It holds for m boundaries in general position of which every k or fewer meet inside the open ball: then small
    spheres cut one another as great ones would, and offsets do not matter. Otherwise it is the most that m boundaries
    can make: two parallel planes cut S^2 into 3, not 4.

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
