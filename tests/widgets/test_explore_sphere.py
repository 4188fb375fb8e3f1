"""The sphere's explorer: its numbers, and the mathematics of its module against Python's."""

import re
from collections import Counter

import numpy as np
import pytest
from modules import answers
from thorough import drawn

from lnpoly_helpers import Arrangement, partition_sphere
from lnpoly_helpers.widgets import explore_sphere


def rows_of(n, seed):
    """What the explorer says it draws, drawn by hand: unit normals, and numbers for the offsets."""
    rows = np.random.default_rng(seed).standard_normal((n, 4))
    return rows[:, :3] / np.linalg.norm(rows[:, :3], axis=1, keepdims=True), rows[:, 3]


def text(explorer, **values):
    return explorer._text(**explorer.values | values)


def bits(pattern):
    return "".join("01"[int(on)] for on in pattern)


# --- the numbers that Python computes ------------------------------------------------------------------------------


def test_counts_are_those_of_great_circles_and_of_eulers_formula():
    explorer = explore_sphere()
    for n in (1, 2, 7, 24):  # great circles in general position
        count = f"{n * n - n + 2} faces"
        head, law, _ = text(explorer, n=n, seed=3, spread=0.0).split("\n")
        assert f", {n} of them cut the sphere: {count}" in head and law.endswith(f"+ 2 = {count}")
    points = np.random.default_rng(0).normal(size=(100_000, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    for n, seed, spread in ((8, 0, 0.3), (10, 5, 0.9), (5, 12, 1.0)):
        normals, offsets = rows_of(n, seed)
        offsets = spread * offsets
        on = points @ normals.T + offsets > 0
        head = text(explorer, n=n, seed=seed, spread=spread).split("\n")[0]
        _, n_circles, n_faces, n_patterns = map(int, re.findall(r"\d+", head))
        assert n_circles == (np.abs(offsets) < 1).sum()
        # Euler's formula, pair by pair: circles cross iff the planes' line passes through the ball
        meets = np.flatnonzero(np.abs(offsets) < 1)
        crossing = np.zeros((n, n), dtype=bool)
        for i in meets:
            for j in meets[meets > i]:
                foot = np.linalg.lstsq(normals[[i, j]], -offsets[[i, j]], rcond=None)[0]
                crossing[i, j] = crossing[j, i] = np.linalg.norm(foot) < 1
        reach = np.linalg.matrix_power(crossing + np.eye(n), n)[np.ix_(meets, meets)] > 0
        n_parts = len(np.unique(reach, axis=0))
        assert n_faces == 1 + n_parts + crossing.sum()
        assert len(np.unique(on, axis=0)) <= n_patterns <= n_faces


@pytest.mark.parametrize("longitude, latitude", [(30, 15), (-120, 70), (179.5, -40), (0, 90), (77, -90)])
def test_the_middle_has_its_pattern_its_area_and_its_neighbours(longitude, latitude):
    """Area and neighbours by points: how many have the pattern, and which neurons differ just outside."""
    explorer = explore_sphere(6, 2)
    explorer.longitude, explorer.latitude = longitude, latitude
    normals, offsets = rows_of(6, 2)
    lon, lat = np.radians([longitude, latitude])
    y = np.array([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
    on = normals @ y + 0.3 * offsets > 0
    found = re.fullmatch(
        r"In the middle: (\d+), ([\d.]+) % of the sphere; a step away flips neuron (.*)", last(explorer)
    )
    assert found and found[1] == bits(on)
    points = np.random.default_rng(1).normal(size=(200_000, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    differs = (points @ normals.T + 0.3 * offsets > 0) != on
    assert abs(float(found[2]) - 100 * (~differs.any(axis=1)).mean()) < 0.4
    # a circle bounds the face where its points have the face's other bits; six large circles: no face is in two pieces
    around = []
    for i, (w, b) in enumerate(zip(normals, 0.3 * offsets, strict=True)):
        p, q = np.linalg.svd(w[None])[2][1:]
        t = np.linspace(0, 2 * np.pi, 20_000)[:, None]
        circle = -b * w + np.sqrt(1 - b**2) * (np.cos(t) * p + np.sin(t) * q)
        others = np.delete((circle @ normals.T + 0.3 * offsets > 0) == on, i, axis=1)
        around += [i] if others.all(axis=1).any() else []
    assert sorted(map(int, re.findall(r"\d+", found[3]))) == around


def last(explorer):
    return explorer.text.split("\n")[-1]


def test_a_place_is_a_longitude_and_a_latitude():
    explorer = explore_sphere()
    for longitude, is_set in ((181, -179), (-180, -180), (360, 0), (-725, -5), (79.7, 79.7)):
        explorer.longitude = longitude
        assert explorer.longitude == is_set
    with pytest.raises(ValueError, match="latitude: expected a number from -90 to 90, got 91"):
        explorer.latitude = 91


def test_the_picture_shows_the_state():
    explorer = explore_sphere(5, 4)
    assert explorer.alt.startswith("5 circles, 18 faces: a hemisphere around longitude 30°, latitude 15°")
    explorer.longitude, explorer.n = -61.25, 1
    assert "around longitude -61.2°" in explorer.alt and "1 circle, 2 faces" in explorer.alt


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0,), "n: expected an integer from 1 to 24, got 0"),
        ((25,), "n: expected an integer from 1 to 24, got 25"),
        ((3, 1.5), "seed: expected an integer from 0 to 20, got 1.5"),
        ((3, 21), "seed: expected an integer from 0 to 20, got 21"),
    ],
)
def test_bad_input_is_refused_at_once(arguments, message):
    with pytest.raises(ValueError, match=message):
        explore_sphere(*arguments)


# --- the module's mathematics against Python's -----------------------------------------------------------------------


def arrangements():
    """Random and degenerate ones: parallel planes, small caps far apart, circles that coincide or share a point, ..."""
    rng = np.random.default_rng(0)
    for k in range(drawn(2400)):
        n = int(rng.integers(1, 9)) if k % 60 else int(rng.integers(13, 25))
        w = rng.normal(size=(n, 3))
        w /= np.linalg.norm(w, axis=1, keepdims=True)
        b = rng.normal(size=n) * rng.choice([0, 0.05, 0.3, 0.6, 1, 2])
        kind = k % 8
        if kind == 1:
            w *= 3 * rng.exponential(size=(n, 1))
        elif kind == 2 and n > 1:
            w[1] = w[0] * rng.choice([-1, 1])
        elif kind == 3:
            b = 0.93 * np.sign(b + 1e-9) + 0.02 * rng.random(n)
        elif kind == 4 and n > 2:
            w[:], b = w[0], np.sort(rng.uniform(-1.2, 1.2, n))
        elif kind == 5 and n > 2 and k % 3 == 0:
            w[1], b[1] = w[0], b[0]
        elif kind == 6 and n > 2 and k % 3 == 0:
            y = rng.normal(size=3)
            b[:3] = -w[:3] @ (y / np.linalg.norm(y))
        elif kind == 7 and k % 3 == 0:
            w, b = np.round(w, 1), np.round(b, 1)
        yield w, b, rng.normal(size=(2, 3))


SPHERES = """c => {
  try {
    const s = partitionSphere(c), unit = y => y.map(v => v / Math.hypot(...y));
    const whose = edge => s.circles[s.arcs[edge >> 1].circle].neuron;
    const beyond = edge => s.names[s.faceOf[s.curveOf[edge ^ 1]]];
    const around = s.areas.map((_, face) => edgesOf(s, face).map(edge => `${whose(edge)} ${beyond(edge)}`));
    const found = {areas: s.areas, names: s.names, patterns: s.nPatterns, vertices: s.nVertices, around};
    return {...found, points: c.points.map(y => {
      const face = faceAt(s, unit(y));
      return [face, neuronsAround(s, face).map(i => [i, acrossFrom(s, face, i)]).map(([i, z]) => [i, z, faceAt(s, z)])];
    })};
  } catch (error) { return error.message; }
}"""


def test_spheres_are_cut_as_in_python():
    """Faces with their patterns, areas and neighbours, the face at a point, and where a step over a boundary leads."""
    asked, refused = list(arrangements()), 0
    cases = [{"normals": w.tolist(), "offsets": b.tolist(), "points": y.tolist()} for w, b, y in asked]
    for (w, b, points), found in zip(asked, answers("sphere", SPHERES, cases), strict=True):
        try:
            sphere = partition_sphere(Arrangement(w, b))
        except ValueError:
            refused += 1
            assert isinstance(found, str) and ("neuron" in found), "Python refuses it"
            continue
        assert not isinstance(found, str), found
        names = [bits(pattern) for pattern in sphere.patterns()]
        assert (found["patterns"], found["vertices"]) == (sphere.n_patterns, sphere.n_vertices)
        mine, theirs = (
            sorted(zip(n, a, strict=True)) for n, a in ((found["names"], found["areas"]), (names, sphere.areas))
        )
        assert [name for name, _ in mine] == [name for name, _ in theirs]
        assert max(abs(p[1] - q[1]) for p, q in zip(mine, theirs, strict=True)) < 1e-10
        if len(names) > 60:
            continue  # slow, and small ones have all that can be
        around = [zip(*(one.tolist() for one in sphere.neighbours(face)), strict=True) for face in range(len(names))]
        expected = [tuple(sorted(f"{neuron} {names[other]}" for other, neuron in pairs)) for pairs in around]
        assert Counter(
            (name, tuple(sorted(one))) for name, one in zip(found["names"], found["around"], strict=True)
        ) == (Counter(zip(names, expected, strict=True)))
        for y, (face, steps) in zip(points, found["points"], strict=True):
            here = sphere.face_at(y)
            assert (found["names"][face], len(found["around"][face])) == (names[here], len(expected[here]))
            assert abs(found["areas"][face] - sphere.areas[here]) < 1e-10
            for neuron, z, there in steps:
                differs = np.flatnonzero((w @ z + b > 0) != (w @ (y / np.linalg.norm(y)) + b > 0))
                assert differs.tolist() == [neuron] and abs(np.linalg.norm(z) - 1) < 1e-12
                assert found["names"][there] == bits(w @ z + b > 0)
    assert drawn(2400) / 24 < refused < drawn(2400) / 5


def test_the_browser_says_what_python_says():
    explorer, rng = explore_sphere(), np.random.default_rng(3)
    states = [
        {"n": int(rng.integers(1, 25)), "seed": int(rng.integers(21)), "spread": int(rng.integers(21)) / 20,
         "longitude": rng.uniform(-180, 180), "latitude": rng.uniform(-90, 90)}
        for _ in range(drawn(400))
    ]  # fmt: skip
    code = """c => {
      const s = partitionSphere(arrangementOf(c)), y = pointAt(c.longitude, c.latitude);
      return [linesOf(s, faceAt(s, y)).join("\\n"), ...placeOf(y)];
    }"""
    cases = [state | {"draws": explorer.draws} for state in states]
    for state, (lines, longitude, latitude) in zip(states, answers("sphere", code, cases), strict=True):
        assert lines == text(explorer, **state)
        assert abs(longitude - state["longitude"]) < 1e-9 and abs(latitude - state["latitude"]) < 1e-6


PIXELS = """c => {
  const seen = [], axes = axesOf(c.longitude, c.latitude);
  eachPixel(c, axes, c.size, 1.04, (index, pattern, depth) => seen.push([index, pattern, depth]));
  return {axes, seen, codes: c.patterns.map(codeOf)};
}"""


def test_every_pixel_of_the_ball_has_the_pattern_that_its_neurons_have():
    """Row by row with two cuts a neuron, as by asking every neuron at every pixel."""
    rng = np.random.default_rng(8)
    cases = []
    for k in range(60):
        n = int(rng.integers(1, 25))
        w, b = rng.normal(size=(n, 3)), rng.uniform(-1.2, 1.2, n)
        longitude, latitude = rng.uniform(-180, 180), rng.uniform(-90, 90)
        if k % 4 == 0:
            longitude, latitude, w, b = 0, 0, np.round(w), np.zeros(n)  # boundaries seen from their edge, or none
        patterns = (rng.random((3, n)) < 0.5).tolist()
        cases.append({"normals": w.tolist(), "offsets": b.tolist(), "longitude": longitude, "latitude": latitude,
                      "size": 37 + k % 2, "patterns": patterns})  # fmt: skip
    for case, found in zip(cases, answers("sphere", PIXELS, cases), strict=True):
        size, (right, up, toward) = case["size"], np.array(found["axes"])
        at = 1.04 * ((np.arange(size) + 0.5) * 2 / size - 1)
        x, y = (one.ravel() for one in np.meshgrid(at, -at))
        disc = np.flatnonzero(x**2 + y**2 < 1)
        index, codes, depth = map(np.array, zip(*found["seen"], strict=True))
        assert index.tolist() == disc.tolist()
        z = np.sqrt(1 - x[disc] ** 2 - y[disc] ** 2)
        assert np.abs(depth - z).max() < 1e-7
        points = np.outer(x[disc], right) + np.outer(y[disc], up) + np.outer(z, toward)
        pre = points @ np.array(case["normals"]).T + case["offsets"]
        bit = 1 << np.arange(len(case["offsets"]))
        shown = (codes[:, None] & bit) > 0
        clear = np.abs(pre) > 1e-9
        assert (shown == (pre > 0))[clear].all()
        assert clear.mean() > 0.8
        assert ((codes >> 30) == shown.sum(axis=1) % 2).all()
        assert found["codes"] == [int(bit[np.array(one)].sum()) + (sum(one) % 2 << 30) for one in case["patterns"]]
