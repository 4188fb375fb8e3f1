"""A circle cut by lines: exact arcs, each with its activation pattern."""

from dataclasses import dataclass

import numpy as np

from .._inputs import ArrayLike, Bool, Float, Frozen, Int, Real, as_numbers, freeze, require_arrangement
from ._angles import TURN, on_arcs, turn
from .arrangement import Arrangement
from .patterns import distinct, neuron_weights

_SAME = 1e-11  # lines this close are one: a hundred times what rounding does to a neuron's copies in a slice of GPT-2


@dataclass(frozen=True, eq=False, repr=False)
class CirclePartition(Frozen):
    """The unit circle cut by an arrangement. Arc k runs from ``starts[k]`` to the next start; the last wraps round.

    Crossings and arcs are numbered alike, except where several neurons have one line: they flip at one point, which is
    as many crossings and begins one arc, and `arc_after` says which.

    Attributes
    ----------
    angles : float64 [n], sorted, in [0, 2 pi)
        Where the circle crosses a boundary, once for each neuron that flips there.
    neurons : int [n]
        Whose boundary it crosses there.
    last_pattern : bool [m]
        The pattern of the last arc, which ends at the first angle, past 2 pi; `patterns` starts from it.

    See Also
    --------
    partition_circle : makes it.
    SpherePartition, PlanePartition : the same for the sphere and the plane.

    Examples
    --------
    >>> partition_circle(Arrangement([[1, 0], [-1, 0], [0, 1]], [0.5, 0.5, 0.25]))
    CirclePartition(n_arcs=6, n_patterns=6, n_neurons=3)
    """

    angles: Float[np.ndarray, "n"]
    neurons: Int[np.ndarray, "n"]
    last_pattern: Bool[np.ndarray, "m"]

    def __post_init__(self):
        freeze(self)

    def __repr__(self) -> str:
        return f"CirclePartition(n_arcs={self.n_arcs}, n_patterns={self.n_patterns}, n_neurons={self.n_neurons})"

    @property
    def n_neurons(self) -> int:
        """m, the number of neurons, those that never flip included.

        >>> partition_circle(Arrangement([[1, 0], [0, 1]], [0, 3])).n_neurons
        2
        """
        return len(self.last_pattern)

    @property
    def n_arcs(self) -> int:
        """Number of arcs: as many as points where it crosses, or the whole circle as one. At least `n_patterns`.

        >>> partition_circle(Arrangement([[1, 0], [0, 1]], [0, 3])).n_arcs
        2
        """
        return len(self.starts)

    @property
    def starts(self) -> Float[np.ndarray, "n_arcs"]:
        """Where each arc begins, in radians: the distinct angles, or 0 for a circle that nothing cuts.

        >>> np.degrees(partition_circle(Arrangement([[1, 0], [2, 0]], [0, 0])).starts).tolist()
        [90.0, 270.0]
        """
        return self.angles[np.diff(self.angles, prepend=-1.0) > 0] if len(self.angles) else np.zeros(1)

    @property
    def arc_after(self) -> Int[np.ndarray, "n"]:
        """The arc that begins at each crossing: crossing k is on the way from arc ``arc_after[k] - 1`` to that one.

        >>> partition_circle(Arrangement([[1, 0], [2, 0]], [0, 0])).arc_after.tolist()
        [0, 0, 1, 1]
        """
        return np.searchsorted(self.starts, self.angles)

    @property
    def lengths(self) -> Float[np.ndarray, "n_arcs"]:
        """Length of each arc in radians; they add up to 2 pi.

        >>> np.degrees(partition_circle(Arrangement([[1, 0], [0, 1]], [0, 3])).lengths).tolist()
        [180.0, 180.0]
        """
        starts = self.starts
        return np.diff(starts, append=starts[0] + TURN)

    @property
    def midpoints(self) -> Float[np.ndarray, "n_arcs"]:
        """Angle in the middle of each arc, in [0, 2 pi).

        >>> np.degrees(partition_circle(Arrangement([[1, 0], [0, 1]], [0, 3])).midpoints).tolist()
        [180.0, 0.0]
        """
        return (self.starts + self.lengths / 2) % TURN

    def patterns(self, arcs: Int[ArrayLike, "k"] | int | None = None) -> Bool[np.ndarray, "k m"]:
        """Activation pattern of each arc asked for: a crossing toggles its neuron and no other.

        Parameters
        ----------
        arcs : int or array_like of int [k], optional
            All, in order, by default.

        Returns
        -------
        patterns : bool [k, m]

        See Also
        --------
        hashes : their identities, in a fraction of the time and memory.
        SpherePartition.patterns, PlanePartition.patterns : called in the same way.

        Examples
        --------
        >>> partition_circle(Arrangement([[1, 0], [0, 1]], [0, 3])).patterns().astype(int).tolist()
        [[0, 1], [1, 1]]
        """
        arcs = np.arange(self.n_arcs) if arcs is None else as_numbers(arcs, self.n_arcs, "arcs")
        asked, row = np.unique(arcs, return_inverse=True)
        before = np.searchsorted(asked, self.arc_after)  # the first of them that a crossing leads to
        flips = np.zeros((len(asked) + 1, self.n_neurons), dtype=bool)
        np.logical_xor.at(flips, (before, self.neurons), True)
        patterns = np.logical_xor.accumulate(flips[:-1], axis=0)
        patterns ^= self.last_pattern
        return patterns if np.array_equal(asked, arcs) else patterns[row]

    def hashes(self) -> Int[np.ndarray, "n_arcs 2"]:
        """`pattern_hash` of each arc, in time O(n).

        Returns
        -------
        identity : int64 [n_arcs, 2]

        See Also
        --------
        n_patterns : how many are distinct.

        Examples
        --------
        >>> circle = partition_circle(Arrangement([[1, 0], [1, 0]], [0.5, -0.5]))
        >>> len(circle.hashes()), len(np.unique(circle.hashes(), axis=0))  # two arcs of a slab share their pattern
        (4, 3)
        """
        return self.sums(neuron_weights(self.n_neurons))

    def sums(self, weights: Real[np.ndarray, "m ..."]) -> Real[np.ndarray, "n_arcs ..."]:
        """Sum of the weights of the neurons that are on, for each arc: a crossing adds or takes one weight.

        Parameters
        ----------
        weights : float or int [m, ...]

        Returns
        -------
        sums : [n_arcs, ...]
            Of the same type.

        See Also
        --------
        hashes : the sums of random integers.

        Examples
        --------
        >>> partition_circle(Arrangement([[1, 0], [0, 1]], [0, 3])).sums(np.array([10, 1])).tolist()
        [1, 11]
        """
        start = weights[self.last_pattern].sum(axis=0)
        if not len(self.neurons):
            return start[None]
        by_neuron = np.argsort(self.neurons, kind="stable")
        grouped = self.neurons[by_neuron]
        is_second = np.r_[False, grouped[1:] == grouped[:-1]]
        was_on = np.empty(len(grouped), dtype=bool)
        was_on[by_neuron] = self.last_pattern[grouped] ^ is_second
        weights = weights[self.neurons]
        after = start + np.cumsum(np.where(was_on.reshape(-1, *[1] * (weights.ndim - 1)), -weights, weights), axis=0)
        return after[np.searchsorted(self.angles, self.starts, side="right") - 1]

    @property
    def n_patterns(self) -> int:
        """Number of distinct patterns, at most `n_arcs`: arcs on opposite sides of a slab may share theirs.

        >>> partition_circle(Arrangement([[1, 0], [1, 0]], [0.5, -0.5])).n_patterns
        3
        """
        return len(distinct(self.hashes()))


def partition_circle(arrangement: Arrangement) -> CirclePartition:
    """Cut the unit circle exactly at every boundary of a two-dimensional arrangement.

    A neuron with normal (A, B) and offset b flips on the circle at atan2(B, A) - arccos(-b / R) and at atan2(B, A) +
    arccos(-b / R), R = sqrt(A^2 + B^2), iff |b| < R.

    Parameters
    ----------
    arrangement : Arrangement
        With normals [m, 2]: ``restrict(mlp, mlp.slice([u, v]))``.

    Returns
    -------
    CirclePartition

    Raises
    ------
    ValueError
        The arrangement is not two-dimensional.

    Notes
    -----
    Angles are accurate to about 1e-15, and to 1e-8 where a line is tangent to within rounding. A line that only
    touches the circle does not cut it. On the circle itself m lines that cut make 2m arcs.

    Neurons with one line (equal, opposite or proportional weights and bias) flip at one point, with no arc between
    them. Lines count as one if their directions, in radians, and their distances from the centre agree to 1e-11; all of
    them then cross where the first does. Different lines that cross the circle within rounding of one point may keep an
    arc of about 1e-15 between them, with a pattern that no point need have.

    See Also
    --------
    count_patterns : of any pre-activations, in place of the circle's own.
    partition_sphere, partition_plane : the sphere and the plane, cut.
    crossings : the boundaries on a great circle between two points.

    Examples
    --------
    >>> np.degrees(partition_circle(Arrangement([[1, 0], [0, 1]], [0, 0])).angles).round(12).tolist()
    [0.0, 90.0, 180.0, 270.0]
    """
    require_arrangement(arrangement, 2)
    (A, B), b = arrangement.normals.T, arrangement.offsets
    centre, half = on_arcs(A, B, b)
    on_from, on_to = turn(centre - half), turn(centre + half)
    if _some_parallel(centre):
        first, opposite = _same_lines(centre, np.hypot(A, B), b)
        on_from, on_to = (
            np.where(opposite, on_to[first], on_from[first]),
            np.where(opposite, on_from[first], on_to[first]),
        )
    cuts = np.flatnonzero(~np.isnan(on_from))
    last_pattern = b > 0  # right for every neuron that never switches
    last_pattern[cuts] = on_to[cuts] < on_from[cuts]  # never equal: half is 1e-8 or more, pi - half too
    angles = np.concatenate([on_from[cuts], on_to[cuts]])
    neurons = np.concatenate([cuts, cuts])
    order = np.argsort(angles, kind="stable")
    return CirclePartition(angles[order], neurons[order], last_pattern)


def _some_parallel(centre):
    """Whether two lines may be parallel; in layers of real networks none are, and a plain sort shows it."""
    ordered = np.sort(np.where(centre < 0, centre + np.pi, centre))  # the same on both sides of a line
    return len(ordered) > 1 and min(np.diff(ordered).min(), ordered[0] + np.pi - ordered[-1]) <= 2 * _SAME


def _same_lines(centre, R, b):
    """The first neuron with each neuron's line, int [m], and whether that one is on on the other side, bool [m]."""
    first, opposite = np.arange(len(b)), np.zeros(len(b), dtype=bool)
    lines = np.flatnonzero((R > 0) & (np.abs(b) < 2 * R))  # the rest is far from the circle
    centre = centre[lines]
    doubled = turn(2 * centre)  # the same on both sides of a line
    order = np.argsort(doubled)
    gaps = np.diff(doubled[order], prepend=doubled[order[-1:]] - TURN)
    if (gaps > 2 * _SAME).all():
        return first, opposite
    # runs of parallel lines; the last run goes on at the first line if that is near it, round the end
    run = np.cumsum(gaps > 2 * _SAME)
    run %= max(run[-1], 1)
    lead = order[np.unique(run, return_index=True)[1]]
    aside = np.cos(centre[order] - centre[lead[run]]) < 0
    height = np.where(aside, -1, 1) * (b[lines] / R[lines])[order]
    by_height = np.lexsort((height, run))
    begins = (np.diff(run[by_height], prepend=-1) > 0) | (np.diff(height[by_height], prepend=-np.inf) > _SAME)
    group, members = np.cumsum(begins) - 1, lines[order[by_height]]
    least = np.minimum.reduceat(members, np.flatnonzero(begins))
    first[members] = least[group]
    opposite[members] = aside[by_height]
    return first, opposite ^ opposite[first]
