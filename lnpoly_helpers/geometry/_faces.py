"""From circles that are cut to the faces between them: half-edges, closed curves, and which curves bound one face."""

from itertools import pairwise

import numpy as np

from ._angles import turn

POLE = np.sqrt([2, 3, 5]) / np.sqrt(10)  # where the paths of `joints` end; any point in general position will do


def next_edges(starts, others, enters, place):
    """For each half-edge the next one around its face, which lies on the left: int32 [2 n_arcs]."""
    n_arcs = len(others)
    before = np.arange(-1, n_arcs - 1, dtype=np.int32)
    before[starts[:-1]] = starts[1:] - 1
    following = np.empty((n_arcs, 2), dtype=np.int32)
    for i, (lo, hi) in enumerate(pairwise(starts)):
        if others[lo] < 0:
            following[lo] = 2 * lo, 2 * lo + 1
            continue
        enter = enters[lo:hi]
        twin = place[others[lo:hi], i, 1 - enter.view(np.int8)]  # where i enters j, there j leaves i
        forward, backward = 2 * twin + 1, 2 * before[twin]  # along the other circle, its neuron on or off
        following[lo:hi, 0] = np.where(enter, forward, backward)
        following[before[lo:hi], 1] = np.where(enter, backward, forward)
    return following.reshape(-1)


def closed_curves(following, turning):
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


def joints(circles, component, starts, angles):
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
    at_pole = axes @ POLE
    distance = np.abs(np.arccos(np.clip(at_pole, -1, 1)) - np.arccos(levels))
    by_distance = np.lexsort([distance, component])
    nearest = by_distance[np.diff(component[by_distance], prepend=-1) > 0]
    pairs = []
    for i in nearest:
        top = circles.points(i, np.float64(circles.angle(i, POLE)))
        away = top - (top @ POLE) * POLE
        away /= np.linalg.norm(away)
        A, B = at_pole, axes @ away
        R = np.hypot(A, B)
        j = np.flatnonzero((np.abs(levels) < R) & (component != component[i]))
        centre, half = np.arctan2(B[j], A[j]), np.arccos(levels[j] / R[j])
        hits = turn(np.stack([centre - half, centre + half]))
        hits[hits >= distance[i]] = -1
        last = np.unravel_index(np.argmax(hits), hits.shape) if hits.size else None
        here = half_edge(i, top, at_pole[i] > levels[i])
        if last is None or hits[last] < 0:
            pairs.append((here, -1))
            continue
        s, met = hits[last], j[last[1]]
        there = half_edge(met, np.cos(s) * POLE + np.sin(s) * away, axes[met] @ top > levels[met])
        pairs.append((here, there))
    return pairs


def face_of_curves(n_curves, curve_of, pairs):
    """The face of each curve, int32 [n_curves], where the curves of each pair of half-edges bound the same face.

    Faces are numbered in the order of their first curves.
    """
    if not pairs:
        return np.arange(n_curves, dtype=np.int32)
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    edges = np.array(pairs).T
    curves = np.where(edges < 0, n_curves, curve_of[edges])  # the pole is one curve more
    graph = coo_array((np.ones(len(pairs), dtype=np.int8), tuple(curves)), shape=(n_curves + 1, n_curves + 1))
    return connected_components(graph, directed=False)[1][:-1]
