"""The circle's explorer: its numbers, and the mathematics of its module against Python's."""

import re

import numpy as np
import pytest
from modules import answers
from thorough import drawn

from lnpoly_helpers import Arrangement, FoldedMLP, affine_map, partition_circle, partition_plane
from lnpoly_helpers.widgets import explore_circle

W_OUT = [[1, 0], [0, 1], [1, 1], [1, -1], [2, 1], [1, 2]]


def numbers(text):
    return [float(n) for n in re.findall(r"(?<![\w.])-?\d+\.?\d*", text)]


# --- the numbers that Python computes ------------------------------------------------------------------------------


def scan(directions, biases, n=50_000):
    """Points of the circle, what the explorer's layer makes of them, who is on there, and before which that changes."""
    angle = 2 * np.pi * (np.arange(n) + 0.5) / n
    y = np.c_[np.cos(angle), np.sin(angle)]
    pre = np.cos(angle[:, None] - np.radians(directions)) + biases
    on = pre > 0
    cuts = np.flatnonzero((on != np.roll(on, 1, axis=0)).any(axis=1))
    return y, np.maximum(pre, 0) @ W_OUT[: len(biases)], on, cuts


def at(directions, biases, boundary):
    """An explorer that a cell has moved there."""
    explorer = explore_circle([0] * len(biases), [0] * len(biases))
    explorer.directions, explorer.biases, explorer.boundary = directions, biases, boundary
    return explorer


@pytest.mark.parametrize(
    ("directions", "biases", "boundary"),
    [
        ((30, 150, 260), (0.3, -0.4, 0.6), 0),
        ((30, 150, 260), (0.3, -0.4, 0.6), 5),
        ((30, 30, 90), (0.4, -0.4, 1.3), 2),  # a slab, and a neuron that never switches
        ((0, 200, 355), (0.0, 0.95, -0.95), 4),
        ((10, 20, 30), (1.5, -1.5, 1.2), 1),  # nothing is cut
        ((30.5, 151.3, 77), (1, -1, 0.2), 1),  # two lines that touch
        ((10, 20, 30, 200, 300, 340), (0.1, 0.2, -0.3, 0.5, 0, 0.8), 17),
    ],
)
def test_numbers(directions, biases, boundary):
    text = at(directions, biases, boundary).text
    y, output, on, cuts = scan(directions, biases)
    n_patterns = len(np.unique(on, axis=0))
    head, *rest = text.splitlines()
    if not len(cuts):
        assert (head, rest) == ("1 arc, 1 pattern", [])
        return
    assert head == f"{len(cuts)} arcs, {n_patterns} patterns"
    k = boundary % len(cuts)
    found = re.fullmatch(r"Boundary (\d+): neuron (\d) switches (on|off) at ([\d.]+)°", rest[0])
    assert found
    (neuron,) = np.flatnonzero(on[cuts[k]] != on[cuts[k] - 1])
    assert (int(found[1]), int(found[2]), found[3] == "on") == (k, neuron, on[cuts[k], neuron])
    assert abs(float(found[4]) - np.degrees(np.arctan2(*y[cuts[k], ::-1])) % 360) < 0.06
    for line, near in ((rest[1], cuts[k] - 1), (rest[2], cuts[k])):
        *A, c0, c1 = numbers(line)
        alike = (on == on[near]).all(axis=1)  # the map holds wherever the pattern does
        assert np.abs(y[alike] @ np.reshape(A, (2, 2)) + [c0, c1] - output[alike]).max() < 0.02


@pytest.mark.parametrize("direction, bias", [(30, 0.4), (210, -0.4)])
def test_two_neurons_with_one_line(direction, bias):
    directions, biases = (30, direction, 90), (0.4, bias, 0.2)
    y, output, on, cuts = scan(directions, biases)
    for boundary in range(6):
        head, first, *maps = at(directions, biases, boundary).text.splitlines()
        assert head == f"{len(cuts)} arcs, {len(np.unique(on, axis=0))} patterns" and len(cuts) == 4
        angle = np.radians(float(re.search(r"at ([\d.]+)°", first)[1]))
        for line, near in zip(maps, (angle - 0.02, angle + 0.02), strict=True):
            *A, c0, c1 = numbers(line)
            side = np.argmin(np.linalg.norm(y - [np.cos(near), np.sin(near)], axis=1))
            alike = (on == on[side]).all(axis=1)
            assert np.abs(y[alike] @ np.reshape(A, (2, 2)) + [c0, c1] - output[alike]).max() < 0.02


def test_lines_that_cross_at_one_point_of_the_circle_leave_no_arc_there():
    """Six lines, the sides of a hexagon inside: 12 crossings at 6 points, on whatever side rounding puts them."""
    for turned in range(12):
        text = at(np.arange(6) * 60 + turned, [0.5] * 6, 0).text
        assert text.startswith("6 arcs, 6 patterns\n"), turned


def test_x_is_said_once_it_has_moved():
    explorer = explore_circle((30, 150, 260), (0.3, -0.4, 0.6))
    assert len(explorer.text.splitlines()) == 4
    explorer.x = (3, -4)
    on = "".join(str(int(np.cos(np.radians(d)) * 0.6 - np.sin(np.radians(d)) * 0.8 + b > 0))
                 for d, b in ((30, 0.3), (150, -0.4), (260, 0.6)))  # fmt: skip
    said = f"x = (3.00, -4.00), length 5.00, sent to z at {360 - np.degrees(np.arctan2(4, 3)):.1f}°: pattern {on}"
    assert explorer.text.splitlines()[4] == said and "arrow z at 306.9°" in explorer.alt
    explorer.layernorm = False
    on = "".join(str(int(np.cos(np.radians(d)) * 3 - np.sin(np.radians(d)) * 4 + b > 0))
                 for d, b in ((30, 0.3), (150, -0.4), (260, 0.6)))  # fmt: skip
    assert explorer.text.endswith(f"x = (3.00, -4.00), length 5.00, seen as it is: pattern {on}")
    explorer.x, explorer.layernorm = (0, 0), True
    assert explorer.text.endswith("x = (0.00, 0.00), without a direction for LayerNorm: no image")
    assert "arrow z" not in explorer.alt


# --- the module against Python -------------------------------------------------------------------------------------


def arrangements():
    """Normals and offsets of 1 to 7 lines: random ones, and every way in which lines can be special."""
    rng = np.random.default_rng(14)
    for k in range(drawn(2400)):
        m = int(rng.integers(1, 8))
        normals = rng.normal(size=(m, 2)) * 10.0 ** rng.uniform(-3, 3, size=(m, 1))
        offsets = rng.normal(size=m) * 0.7 * np.linalg.norm(normals, axis=1)
        kind = k % 8
        if kind == 1:  # one line for several neurons
            first = rng.integers(0, m, size=m)
            scale = rng.choice([1, -1, 2, -0.5, 3.7, -1e-4], size=m)
            normals, offsets = scale[:, None] * normals[first], scale * offsets[first]
        elif kind == 2:  # parallel lines
            normals[:] = normals[0] * rng.choice([1, -1, 2], size=(m, 1))
        elif kind == 3:  # lines that touch the circle, of lengths that are exact
            normals = rng.choice([[3.0, 4], [-4, 3], [0, 5], [-2, 0], [8, -6]], size=m)
            offsets = rng.choice([-1, 1, 0.5], size=m) * np.hypot(*normals.T)
        elif kind == 4:  # almost
            offsets = rng.choice([-1, 1], size=m) * (1 + rng.choice([-1e-9, 1e-9], size=m)) * np.hypot(*normals.T)
        elif kind == 5:  # through the centre
            offsets[:] = 0
        elif kind == 6:  # far from the circle, or no line at all
            offsets = rng.choice([-3, 3, 0.4], size=m) * np.hypot(*normals.T)
            normals[rng.integers(0, m)] = 0
        yield normals, offsets


CASES = list(arrangements())


@pytest.fixture(scope="module")
def found():
    """What the module says of each arrangement."""
    code = """([normals, offsets]) => ({
      circle: partitionCircle(normals, offsets), plane: partitionPlane(normals, offsets, 1.7),
      map: affineMap(normals.slice(0, 6), offsets.slice(0, 6), pattern(normals, offsets, [0.3, -0.8]).slice(0, 6)),
    })"""
    return answers("circle", code, [[normals.tolist(), offsets.tolist()] for normals, offsets in CASES])


def test_arcs_are_pythons(found):
    cut = 0
    for (normals, offsets), one in zip(CASES, found, strict=True):
        circle, got = partition_circle(Arrangement(normals, offsets)), one["circle"]
        assert got["neurons"] == circle.neurons.tolist()
        assert got["arcAfter"] == circle.arc_after.tolist()
        assert got["lastPattern"] == circle.last_pattern.tolist()
        assert got["patterns"] == circle.patterns().tolist()
        assert got["nPatterns"] == circle.n_patterns
        assert np.allclose(got["angles"], circle.angles, rtol=0, atol=1e-11)
        assert np.allclose(got["starts"], circle.starts, rtol=0, atol=1e-11)
        assert np.allclose(got["lengths"], circle.lengths, rtol=0, atol=1e-11)
        cut += len(circle.angles)
    assert len(CASES) == drawn(2400) and cut > 3.5 * len(CASES)


def test_regions_are_pythons(found):
    for (normals, offsets), one in zip(CASES, found, strict=True):
        plane = partition_plane(Arrangement(normals, offsets), half_width=1.7)
        assert [region["pattern"] for region in one["plane"]] == plane.patterns().tolist()
        for region, polygon in zip(one["plane"], plane.polygons, strict=True):
            assert np.shape(region["corners"]) == polygon.shape
            assert np.allclose(region["corners"], polygon, rtol=0, atol=1e-9)


def test_maps_are_pythons(found):
    for (normals, offsets), one in zip(CASES, found, strict=True):
        normals, offsets = normals[:6], offsets[:6]
        layer = FoldedMLP(normals.T, offsets, W_OUT[: len(offsets)], np.zeros(2), "relu", eps=0, kind="none")
        A, c = affine_map(layer, normals @ [0.3, -0.8] + offsets > 0)
        size = np.abs(normals).max() + np.abs(offsets).max()
        assert np.allclose(one["map"]["A"], A, rtol=0, atol=1e-12 * size)
        assert np.allclose(one["map"]["c"], c, rtol=0, atol=1e-12 * size)


def states():
    """States as dragging makes them: whole degrees and hundredths, in which lines often touch, meet and coincide."""
    rng = np.random.default_rng(15)
    for k in range(drawn(2400)):
        m = int(rng.integers(1, 7))
        if k % 3:
            directions, biases, x = rng.integers(0, 360, m), rng.integers(-150, 151, m), rng.integers(-170, 171, 2)
        else:
            directions, biases = rng.choice(range(0, 360, 30), m), rng.choice(range(-150, 151, 50), m)
            x = rng.choice(range(-100, 101, 50), 2)
        yield {
            "directions": directions.tolist(),
            "biases": (biases / 100).tolist(),
            "x": (x / 100).tolist(),
            "layernorm": bool(rng.integers(2)),
            "boundary": int(rng.integers(0, 20)),
        }


def test_what_is_said_is_what_python_says():
    """The lines of the browser and those of `text`, at the same states."""
    explorers = {m: explore_circle([0] * m, [0] * m) for m in range(1, 7)}
    cases = list(states())
    code = """state => { const found = look(state), { k, maps, here } = found;
      return { lines: lines(state, found), angles: found.circle.angles, k, maps, here }; }"""
    n_alone = 0
    for state, got in zip(cases, answers("circle", code, cases), strict=True):
        explorer = explorers[len(state["biases"])]
        for name, value in state.items():
            setattr(explorer, name, value)
        head, *rest = explorer.text.splitlines()
        assert got["lines"][0] == head, state
        said = rest[-1]  # of x, which never stands where it was at first
        assert got["lines"][1].replace("−", "-").startswith(said.split(",", 2)[0] + ",")
        if got["here"] is None:
            assert "no image" in said
        else:
            y = np.array(state["x"]) / (np.hypot(*state["x"]) if state["layernorm"] else 1)
            angle = np.radians(state["directions"])
            pre = np.cos(angle) * y[0] + np.sin(angle) * y[1] + state["biases"]
            on = "".join("10"[not p > 0] for p in pre)
            if np.abs(pre).min() > 1e-9:  # on a boundary rounding decides
                assert said.endswith(f"pattern {on}") and got["lines"][1].endswith(f"pattern {on}"), state
        if got["k"] is None:
            assert len(rest) == 1
            continue
        angle = got["angles"][got["k"]]
        others = np.delete(got["angles"], got["k"])
        alone = not len(others) or np.abs((others - angle + np.pi) % (2 * np.pi) - np.pi).min() > 1e-9
        n_alone += alone
        if alone:  # else which neuron is named, and in which order, is rounding's
            assert got["lines"][2] == rest[0], state
            for line, found in zip(rest[1:3], got["maps"], strict=True):
                assert np.abs(np.ravel(found["A"] + [found["c"]]) - numbers(line)).max() < 0.005 + 1e-9, state
    assert len(cases) == drawn(2400) and n_alone > len(cases) / 2
