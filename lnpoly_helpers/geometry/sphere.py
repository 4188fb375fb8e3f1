"""The sphere S^2 cut by small circles: exact faces, their areas, neighbours and patterns. Counting in any dimension."""

from dataclasses import dataclass
from itertools import pairwise
from math import comb
from operator import index

import numpy as np

from .._inputs import ArrayLike, Bool, Float, Frozen, Int, Real, as_float64, as_numbers
from . import _faces
from ._angles import TURN
from ._small_circles import Circles, blocks, components, crossings, cut_circle, find_circles, gaps
from .arrangement import Arrangement
from .patterns import distinct, neuron_weights

_CHECKED = 200_000  # crossings that count_faces sorts, looking for three boundaries through one point


@dataclass(frozen=True, eq=False, repr=False)
class SpherePartition(Frozen):
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
        In steradians, by the Gauss-Bonnet theorem; absolute error below 4e-15 for each arc around the face, also where
        circles nearly coincide or touch.
    n_components : int
        Into how many pieces the circles fall, taken together: c in F = 1 + c + `n_vertices`.

    See Also
    --------
    partition_sphere : makes it.
    count_faces : the number of faces alone.
    CirclePartition, PlanePartition : the same for the circle and the plane.

    Examples
    --------
    >>> sphere = partition_sphere(Arrangement(np.eye(3), np.zeros(3)))
    >>> sphere
    SpherePartition(n_faces=8, n_arcs=12, n_vertices=6, n_neurons=3)
    """

    arrangement: Arrangement
    circles: Circles
    starts: Int[np.ndarray, "_n_circles_and_1"]
    angles: Float[np.ndarray, "n_arcs"]
    others: Int[np.ndarray, "n_arcs"]
    enters: Bool[np.ndarray, "n_arcs"]
    arc_faces: Int[np.ndarray, "n_arcs 2"]
    areas: Float[np.ndarray, "n_faces"]
    n_components: int
    _following: np.ndarray  # half-edge 2 s + (own neuron on) runs along arc s; this is the next one round its face
    _curves: np.ndarray  # one half-edge of every closed curve that bounds a face, sorted by face
    _curve_faces: np.ndarray

    def __post_init__(self):
        for array in (*vars(self).values(), *vars(self.circles).values()):
            if isinstance(array, np.ndarray):
                array.flags.writeable = False

    def __repr__(self) -> str:
        return (
            f"SpherePartition(n_faces={self.n_faces}, n_arcs={self.n_arcs}, n_vertices={self.n_vertices}, "
            f"n_neurons={self.n_neurons})"
        )

    @property
    def n_neurons(self) -> int:
        """m, the number of neurons, those that never flip included.

        >>> partition_sphere(Arrangement(np.eye(3), [0, 0, 5])).n_neurons
        3
        """
        return self.arrangement.n_neurons

    @property
    def n_faces(self) -> int:
        """Number of faces: connected pieces of the sphere. At least `n_patterns`.

        >>> partition_sphere(Arrangement(np.eye(3), np.zeros(3))).n_faces
        8
        """
        return len(self.areas)

    @property
    def n_vertices(self) -> int:
        """Number of points where two circles cross.

        >>> partition_sphere(Arrangement(np.eye(3), np.zeros(3))).n_vertices
        6
        """
        return int(np.count_nonzero(self.enters))  # of the two circles, one enters the other

    @property
    def n_arcs(self) -> int:
        """Number of arcs between vertices; a circle that nothing crosses is one.

        >>> partition_sphere(Arrangement(np.eye(3), np.zeros(3))).n_arcs
        12
        """
        return len(self.angles)

    @property
    def arc_circles(self) -> Int[np.ndarray, "n_arcs"]:
        """The circle of each arc; ``circles.neurons[arc_circles]`` flips between the faces of `arc_faces`.

        >>> partition_sphere(Arrangement(np.eye(3), np.zeros(3))).arc_circles.tolist()
        [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]
        """
        return np.repeat(np.arange(len(self.circles)), np.diff(self.starts))

    def vertices(self) -> Float[np.ndarray, "n_vertices 3"]:
        """The points where two circles cross.

        Each is on both to about 1e-15; along them it is known to that over the sine of the angle at which they cross.

        Returns
        -------
        y : float64 [n_vertices, 3]

        See Also
        --------
        n_vertices : how many.

        Examples
        --------
        >>> partition_sphere(Arrangement([[1, 0, 0], [0, 1, 0]], [0, 0])).vertices().round(12) + 0.0
        array([[ 0.,  0., -1.],
               [ 0.,  0.,  1.]])
        """
        return self.circles.points(self.arc_circles[self.enters], self.angles[self.enters])

    def boundary(
        self, face: int
    ) -> list[tuple[Int[np.ndarray, "_k"], Float[np.ndarray, "_k"], Float[np.ndarray, "_k"]]]:
        """What bounds a face, as one triple for each closed curve: a disc has one, a ring two.

        Parameters
        ----------
        face : int

        Returns
        -------
        list of (neurons int [k], from_angle float64 [k], to_angle float64 [k])
            Its arcs in order, with the face on the left: each runs about its own circle's axis, counter-clockwise
            (to_angle larger) where its neuron is on in the face, clockwise where it is off.

        See Also
        --------
        outline : the same as points, to draw.
        neighbours : what lies behind.

        Examples
        --------
        >>> sphere = partition_sphere(Arrangement(np.eye(3), np.zeros(3)))
        >>> [(neurons, start, stop)] = sphere.boundary(0)
        >>> sorted(neurons.tolist()), np.degrees(abs(stop - start)).round(9).tolist()
        ([0, 1, 2], [90.0, 90.0, 90.0])
        """
        curves = []
        for edges in self._edges(face):
            circles, starts, stops = self._arcs(edges)
            curves.append((self.circles.neurons[circles], starts, stops))
        return curves

    def outline(self, face: int, step: float = 0.02) -> list[Float[np.ndarray, "_k 3"]]:
        """The closed curves that bound a face, as points on the sphere.

        Parameters
        ----------
        face : int
        step : float
            Radians about each circle's axis: points are at most this far apart.

        Returns
        -------
        list of float64 [k, 3]
            In the order of `boundary`, with the face on the left.

        See Also
        --------
        boundary : the arcs, exactly.

        Examples
        --------
        >>> sphere = partition_sphere(Arrangement(np.eye(3), np.zeros(3)))
        >>> [len(curve) for curve in sphere.outline(0, step=np.pi / 8)]
        [12]
        """
        curves = []
        for edges in self._edges(face):
            circles, starts, stops = self._arcs(edges)
            counts = np.ceil(np.abs(stops - starts) / step).astype(int)
            ends = zip(starts, stops, counts, strict=True)
            pieces = [np.linspace(start, stop, n, endpoint=False) for start, stop, n in ends]
            curves.append(self.circles.points(np.repeat(circles, counts), np.concatenate(pieces)))
        return curves

    def neighbours(self, face: int) -> tuple[Int[np.ndarray, "k"], Int[np.ndarray, "k"]]:
        """The faces across each arc of a face, and the neuron that alone differs there.

        Parameters
        ----------
        face : int

        Returns
        -------
        faces, neurons : int [k]

        See Also
        --------
        boundary : the arcs in the same order, curve after curve.

        Examples
        --------
        >>> faces, neurons = partition_sphere(Arrangement(np.eye(3), np.zeros(3))).neighbours(0)
        >>> len(set(faces.tolist())), sorted(neurons.tolist())
        (3, [0, 1, 2])
        """
        edges = np.array([edge for curve in self._edges(face) for edge in curve], dtype=np.int64)
        circles = np.searchsorted(self.starts, edges // 2, side="right") - 1
        return self.arc_faces[edges // 2, 1 - edges % 2], self.circles.neurons[circles]

    def face_at(self, point: Real[ArrayLike, "3"]) -> int:
        """The face that holds a point: the way to the boundary nearest to it crosses no other, so that arc bounds it.

        Parameters
        ----------
        point : array_like [3]
            Anything but zero; its direction counts.

        Returns
        -------
        int
            On a boundary, that of the side where the boundary's neuron is off.

        Raises
        ------
        ValueError
            The point is not three numbers, or is zero.

        See Also
        --------
        patterns : what is on there. A pattern does not name a face, since several may share it.

        Examples
        --------
        >>> sphere = partition_sphere(Arrangement(np.eye(3), np.zeros(3)))
        >>> sphere.patterns(sphere.face_at([1, -2, 3])).astype(int).tolist()
        [[1, 0, 1]]
        """
        y = as_float64(point, "point", shape=(3,))
        size = np.hypot.reduce(y)
        if size == 0:
            raise ValueError("point: expected one with a direction, got zero. Pass a point of the sphere.")
        if not len(self.circles):
            return 0
        heights = self.circles.axes @ (y / size)
        i = np.argmin(np.abs(np.arccos(np.clip(heights, -1, 1)) - np.arccos(self.circles.levels)))
        arcs = self.angles[self.starts[i] : self.starts[i + 1]]
        arc = np.searchsorted(arcs, self.circles.angle(i, y), side="right") - 1  # -1: the last, which wraps round
        return int(self.arc_faces[self.starts[i] + arc % len(arcs), int(heights[i] > self.circles.levels[i])])

    def patterns(self, faces: Int[ArrayLike, "k"] | int | None = None) -> Bool[np.ndarray, "k m"]:
        """Activation pattern of each face asked for, read off one arc each.

        Parameters
        ----------
        faces : int or array_like of int [k], optional
            All, in order, by default.

        Returns
        -------
        patterns : bool [k, m]

        See Also
        --------
        hashes : their identities, in a fraction of the time and memory.
        CirclePartition.patterns, PlanePartition.patterns : called in the same way.

        Examples
        --------
        >>> sphere = partition_sphere(Arrangement(np.eye(3), np.zeros(3)))
        >>> sphere.patterns().shape, sphere.patterns([0, 5]).shape
        ((8, 3), (2, 3))
        """
        faces = np.arange(self.n_faces) if faces is None else as_numbers(faces, self.n_faces, "faces")
        if not len(self.circles):
            return np.repeat(self.arrangement.preactivations(np.eye(3)[2:]) > 0, len(faces), axis=0)
        edges = self._curves[np.searchsorted(self._curve_faces, faces)].astype(np.int64)
        patterns = np.empty((len(faces), self.arrangement.n_neurons), dtype=bool)
        for rows in blocks(len(faces), 1024):
            circles, starts, stops = self._arcs(edges[rows])
            middle = self.circles.points(circles, (starts + stops) / 2)
            patterns[rows] = self.arrangement.preactivations(middle) > 0
        circles = np.searchsorted(self.starts, edges // 2, side="right") - 1
        patterns[np.arange(len(faces)), self.circles.neurons[circles]] = edges % 2
        return patterns

    def hashes(self) -> Int[np.ndarray, "n_faces 2"]:
        """`pattern_hash` of each face: along a circle, each vertex adds or takes one neuron's weight.

        Returns
        -------
        identity : int64 [n_faces, 2]

        See Also
        --------
        n_patterns : how many are distinct.

        Examples
        --------
        >>> beam = Arrangement([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0]], [0.3] * 4)
        >>> hashes = partition_sphere(beam).hashes()  # a square beam leaves the sphere at both ends
        >>> len(hashes), len(np.unique(hashes, axis=0))
        (10, 9)
        """
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
        for i, (lo, hi) in enumerate(pairwise(limits)):
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
    def n_patterns(self) -> int:
        """Number of distinct patterns, at most `n_faces`: several faces may share theirs.

        >>> partition_sphere(Arrangement(np.eye(3), np.zeros(3))).n_patterns
        8
        """
        return len(distinct(self.hashes()))

    def _edges(self, face):
        """Half-edges of one face, a list of int for each closed curve."""
        face = int(as_numbers([face], self.n_faces, "face")[0])
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


def partition_sphere(arrangement: Arrangement) -> SpherePartition:
    """Cut the unit sphere S^2 exactly along every boundary of a three-dimensional arrangement.

    Two circles cross iff their angular radii and the distance of their axes are the sides of a triangle, whose angles
    say where and how. They come from products of sines of half the perimeter less one side, which lose no digit where
    circles nearly coincide or touch. Sorting the crossings on each circle and turning left at each vertex traces the
    faces; circles that do not hang together are joined along paths to a common pole. A face bounded by L curves has
    the area 2 pi (2 - L) - (total geodesic curvature of its arcs) - (turning angles at its vertices).

    Parameters
    ----------
    arrangement : Arrangement
        With normals [m, 3]: ``restrict(mlp, mlp.slice([u, v, w]))``.

    Returns
    -------
    SpherePartition

    Raises
    ------
    ValueError
        The arrangement is not three-dimensional, or degenerate to within rounding: a boundary that only touches the
        sphere (|offset| within 1e-9 of |normal|), two that coincide or touch (to within 2e-15 (1 + 1/radius_i +
        1/radius_j) radians), three through one point (closer on one of them than the error bounds of their angles,
        about 1e-15 over the sine of the angle at which they cross). The message names the neurons.

    Notes
    -----
    n circles that all cross make n^2 - n + 2 faces, of 75 bytes each and 160 while they are found: for n = 3072 0.7 GB,
    and 1.5 GB on the way.

    See Also
    --------
    count_faces : the number of faces, without building them.
    partition_circle, partition_plane : the circle and the plane, cut.

    Examples
    --------
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
            corner = 2 * np.arctan(np.sqrt(corner))
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


def count_faces(arrangement: Arrangement, *, check_all: bool = False) -> int:
    """Number of faces of the sphere S^2 cut by a three-dimensional arrangement: F = 1 + c + 2p, without building them.

    c is the number of connected components of the n circles that meet the sphere and p that of pairs that cross
    (Euler's formula with 2p vertices and 4p arcs).

    Parameters
    ----------
    arrangement : Arrangement
        With normals [m, 3].
    check_all : bool
        The formula holds when no three circles pass through one point. Finding such points takes longer than counting:
        by default all circles are searched while they have up to 200,000 crossings (each is on two: n = 316), and
        beyond that as many, evenly spaced. True searches all.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        As in `partition_sphere`.

    See Also
    --------
    partition_sphere : the faces themselves.
    n_regions : the most that there can be.

    Examples
    --------
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


def n_regions(n_boundaries: int, sphere_dim: int) -> int:
    """Number of regions into which hyperplanes cut the sphere S^k: 2 (C(m - 1, 0) + ... + C(m - 1, k)), exactly.

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

    Raises
    ------
    ValueError
        Fewer than 0 boundaries, or a sphere of dimension below 1.

    Notes
    -----
    Schläfli's count of the cells of m hyperplanes through the origin. Cover 1965, IEEE Trans. Electron. Comput. 14(3).

    See Also
    --------
    count_faces : how many there are, on S^2.

    Examples
    --------
    >>> n_regions(3, 2), len(str(n_regions(3072, 766)))
    (8, 748)
    """
    m, k = index(n_boundaries), index(sphere_dim)
    if m < 0 or k < 1:
        raise ValueError(f"n_boundaries and sphere_dim: expected at least 0 and at least 1, got {m} and {k}.")
    return 2 * sum(comb(m - 1, i) for i in range(min(k, m - 1) + 1)) if m else 1
