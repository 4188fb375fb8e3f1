"""The sphere's partition in sixty digits: the oracle for circles that nearly coincide or touch."""

from itertools import pairwise

import mpmath as mp


def dot(p, q):
    return p[0] * q[0] + p[1] * q[1] + p[2] * q[2]


def cross(p, q):
    return [p[1] * q[2] - p[2] * q[1], p[2] * q[0] - p[0] * q[2], p[0] * q[1] - p[1] * q[0]]


@mp.workdps(60)
def exact_circles(arrangement, neurons):
    """Axis and level of each circle; the float64 inputs are taken as the exact numbers that they are."""
    circles = []
    for normal, offset in zip(arrangement.normals[neurons], arrangement.offsets[neurons], strict=True):
        normal = [mp.mpf(float(x)) for x in normal]
        size = mp.sqrt(dot(normal, normal))
        circles.append(([x / size for x in normal], -mp.mpf(float(offset)) / size))
    return circles


@mp.workdps(60)
def do_cross(first, second):
    (a, s), (b, t) = first, second
    w = cross(a, b)
    return dot(w, w) > s * s + t * t - 2 * dot(a, b) * s * t


@mp.workdps(60)
def vertex(first, second, enters):
    """Where the second circle's neuron turns on, or off, as the first is followed counter-clockwise."""
    (a, s), (b, t) = first, second
    c, w = dot(a, b), cross(a, b)
    square = dot(w, w)
    assert do_cross(first, second)
    up = mp.sqrt(square - (s * s + t * t - 2 * c * s * t)) / square * (-1 if enters else 1)
    return [(s - c * t) / square * x + (t - c * s) / square * y + up * z for x, y, z in zip(a, b, w, strict=True)]


@mp.workdps(60)
def exact_areas(partition):
    """Area [n_faces] of each face by Gauss-Bonnet from exact vertices, and around how many arcs it is.

    What crosses what, and in which order round each circle, is checked on the way: else the arcs of a circle, each
    from 0 to 2 pi, do not add up to 2 pi.
    """
    circles = exact_circles(partition.arrangement, partition.circles.neurons)
    owner, others, enters = (x.tolist() for x in (partition.arc_circles, partition.others, partition.enters))
    met = {(i, j) for i, j in zip(owner, others, strict=True) if j >= 0}
    for i in range(len(circles)):
        assert all(do_cross(circles[i], circles[j]) == ((i, j) in met) for j in range(i))
    points = [
        None if j < 0 else vertex(circles[i], circles[j], on) for i, j, on in zip(owner, others, enters, strict=True)
    ]
    turns, following = [], []
    for (axis, level), (low, high) in zip(circles, pairwise(partition.starts.tolist()), strict=True):
        following += [*range(low + 1, high), low]
        for p, q in pairwise([*points[low:high], points[low]]):
            if p is None:
                turns.append(2 * mp.pi)
                continue
            turn = mp.atan2(dot(axis, cross(p, q)), dot(p, q) - level * level)
            turns.append(turn if turn > 0 else turn + 2 * mp.pi)
        assert abs(sum(turns[low:high]) - 2 * mp.pi) < 1e-20
    areas, counts = [], []
    for face in range(partition.n_faces):
        curves = partition._edges(face)
        area = 2 * mp.pi * (2 - len(curves))
        for edges in curves:
            for (arc, forward), (after, onward) in pairwise([divmod(edge, 2) for edge in [*edges, edges[0]]]):
                axis, level = circles[owner[arc]]
                area -= level * turns[arc] * (1 if forward else -1)
                if points[arc] is not None:
                    p, next_axis = points[following[arc] if forward else arc], circles[owner[after]][0]
                    come = cross(axis, p) if forward else cross(p, axis)
                    go = cross(next_axis, p) if onward else cross(p, next_axis)
                    area -= mp.atan2(dot(p, cross(come, go)), dot(come, go))
        areas.append(area)
        counts.append(max(1, sum(map(len, curves))))
    return areas, counts
