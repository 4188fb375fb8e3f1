"""A circle cut by lines: exact arcs, each with its activation pattern."""

from dataclasses import dataclass

import numpy as np

from .._inputs import freeze, require_arrangement
from ._angles import TURN, on_arcs, turn
from .patterns import distinct, neuron_weights


@dataclass(frozen=True, eq=False)
class CirclePartition:
    """The unit circle cut by an arrangement. Arc k runs from ``angles[k]`` to the next angle; the last wraps round.

    Attributes
    ----------
    angles : float64 [n], sorted, in [0, 2 pi)
        Where the circle crosses a boundary.
    neurons : int [n]
        Whose boundary it crosses there.
    last_pattern : bool [m]
        The pattern of the last arc, the one that holds angle 0; `patterns` starts from it.
    """

    angles: np.ndarray
    neurons: np.ndarray
    last_pattern: np.ndarray

    def __post_init__(self):
        freeze(self)

    @property
    def n_arcs(self):
        """Number of arcs: as many as crossings, or the whole circle as one."""
        return max(1, len(self.angles))

    @property
    def starts(self):
        """Where each arc begins [n_arcs]: the angles, or 0 for a circle that nothing cuts."""
        return self.angles if len(self.angles) else np.zeros(1)

    @property
    def lengths(self):
        """Length of each arc in radians [n_arcs]; they add up to 2 pi."""
        return np.diff(self.starts, append=self.starts[0] + TURN)

    @property
    def midpoints(self):
        """Angle in the middle of each arc [n_arcs], in [0, 2 pi)."""
        return (self.starts + self.lengths / 2) % TURN

    def patterns(self):
        """Activation pattern of each arc, bool [n_arcs, m]: crossing ``angles[k]`` toggles ``neurons[k]`` alone."""
        toggled = np.zeros((self.n_arcs, len(self.last_pattern)), dtype=bool)
        toggled[np.arange(len(self.neurons)), self.neurons] = True
        return np.logical_xor.accumulate(toggled, axis=0) ^ self.last_pattern

    def hashes(self):
        """`pattern_hash` of each arc, int64 [n_arcs, 2], in time O(n)."""
        return self.sums(neuron_weights(len(self.last_pattern)))

    def sums(self, weights):
        """Sum of the weights [m, ...] of the neurons that are on, for each arc: a crossing adds or takes one weight."""
        start = weights[self.last_pattern].sum(axis=0)
        if not len(self.neurons):
            return start[None]
        by_neuron = np.argsort(self.neurons, kind="stable")
        grouped = self.neurons[by_neuron]
        is_second = np.r_[False, grouped[1:] == grouped[:-1]]
        was_on = np.empty(len(grouped), dtype=bool)
        was_on[by_neuron] = self.last_pattern[grouped] ^ is_second
        weights = weights[self.neurons]
        return start + np.cumsum(np.where(was_on.reshape(-1, *[1] * (weights.ndim - 1)), -weights, weights), axis=0)

    @property
    def n_patterns(self):
        """Number of distinct patterns, at most `n_arcs`: arcs on opposite sides of a slab may share theirs."""
        return len(distinct(self.hashes()))


def partition_circle(arrangement):
    """Cut the unit circle exactly at every boundary of a two-dimensional arrangement.

    `on_arcs` has the closed form.

    Parameters
    ----------
    arrangement : Arrangement
        With normals [m, 2]: ``restrict(mlp, slice_basis([u, v]))``.

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
    touches the circle does not cut it. Two crossings closer than that keep an arc of length 0 between them. On the
    circle itself m lines that cut make 2m arcs.
    """
    require_arrangement(arrangement, 2)
    (A, B), b = arrangement.normals.T, arrangement.offsets
    centre, half = on_arcs(A, B, b)
    cuts = np.flatnonzero(~np.isnan(half))
    centre, half = centre[cuts], half[cuts]
    on_from, on_to = turn(centre - half), turn(centre + half)

    last_pattern = b > 0  # right for every neuron that never switches
    holds_zero = (on_to < on_from) | ((on_to == on_from) & (half > np.pi / 2))
    last_pattern[cuts] = holds_zero
    angles = np.concatenate([on_from, on_to])
    neurons = np.concatenate([cuts, cuts])
    order = np.argsort(angles, kind="stable")
    return CirclePartition(angles[order], neurons[order], last_pattern)
