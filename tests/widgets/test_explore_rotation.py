"""The explorer of a path: its numbers, and the mathematics of its module against Python's."""

import re

import numpy as np
import pytest
from modules import answers
from oracles import random_mlp
from thorough import drawn

from lnpoly_helpers import normalize
from lnpoly_helpers.widgets import explore_rotation


def path_of(seed=5, d=16, m=40, **options):
    rng = np.random.default_rng(seed)
    mlp, x = random_mlp(rng, d, m, **options), rng.normal(size=(2, d))
    return mlp, *normalize(x, kind=mlp.kind)


def great_circle(u, v, angle):
    e0 = u / np.linalg.norm(u)
    e1 = v - (v @ e0) * e0
    e1 /= np.linalg.norm(e1)
    return np.sqrt(len(u)) * (np.cos(angle)[:, None] * e0 + np.sin(angle)[:, None] * e1)


# --- the numbers that Python computes ------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_numbers(share):
    mlp, u, v = path_of()
    apart = np.degrees(np.arccos(u @ v / np.linalg.norm(u) / np.linalg.norm(v)))
    explorer = explore_rotation(mlp, u, v)
    assert abs(explorer.degrees[-1] - apart) < 1e-9
    explorer.angle = share * explorer.degrees[-1]
    assert abs(explorer.angle - share * apart) < 0.25 + 1e-9
    path = great_circle(u, v, np.linspace(0, np.radians(explorer.angle), 200_001))
    on = path @ mlp.W_in + mlp.b_in > 0
    flips = np.argwhere(on[1:] != on[:-1])
    walked, sides, lengths, ahead = explorer.text.split("\n")
    at, whole, crossed, _, by = map(float, re.findall(r"[\d.]+", walked))
    assert (at, whole) == (np.round(explorer.angle, 1), np.round(apart, 1))
    assert (crossed, by) == (len(flips), len(np.unique(flips[:, 1])))
    counts = [int(n) for n in re.findall(r"\d+", sides)]
    assert counts == [(on[-1] & ~on[0]).sum(), (on[0] & ~on[-1]).sum()] and " off at the start, " in sides
    change = mlp.output(path[-1]) - mlp.output(path[0])
    old_gates = ((path[-1] - path[0]) @ mlp.W_in * on[0]) @ mlp.W_out
    expected = [np.linalg.norm(part) for part in (change, old_gates, change - old_gates)]
    assert np.abs(np.array(re.findall(r"[\d.]+", lengths), dtype=float) - expected).max() < 0.6e-3
    beyond = great_circle(u, v, np.linspace(np.radians(explorer.angle), np.radians(apart), 200_001))
    further = np.argwhere(np.diff(beyond @ mlp.W_in + mlp.b_in > 0, axis=0))
    if not len(further):
        assert ahead == "No boundary is left before the end"
        return
    row, neuron = further[0]
    found = re.fullmatch(r"Next: neuron (\d+) switches (on|off) at ([\d.]+)°", ahead)
    assert found and (int(found[1]), found[2]) == (
        neuron,
        "off" if beyond[row] @ mlp.W_in[:, neuron] + mlp.b_in[neuron] > 0 else "on",
    )
    assert abs(float(found[3]) - explorer.angle - (apart - explorer.angle) * row / 200_000) < 0.011


def test_the_angle_is_one_of_the_path_and_the_picture_shows_it():
    explorer = explore_rotation(*path_of(), title="a layer")
    whole = explorer.degrees[-1]
    for angle, is_set in ((0.2, 0.0), (0.3, 0.5), (30, 30.0), (whole, whole)):
        explorer.angle = angle
        assert explorer.angle == is_set
    assert explorer.alt.startswith("a layer: length along") and f"At {whole:.0f} degrees" in explorer.alt
    with pytest.raises(ValueError, match="angle: expected a number from 0 to"):
        explorer.angle = whole + 1
    assert explorer.angle == whole


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("gpt2", 1, 2), "mlp: expected a FoldedMLP, got str"), ((path_of()[0], *np.ones((2, 16))), "expected")],
)
def test_bad_input_is_refused_at_once(arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        explore_rotation(*arguments)


# --- the module's mathematics against Python's -----------------------------------------------------------------------


def paths():
    """Random and degenerate: points all but one or all but antipodes, no neuron that flips, many that flip twice."""
    rng = np.random.default_rng(0)
    for k in range(drawn(600)):
        kind = ("layernorm", "rmsnorm")[k % 2]
        mlp = random_mlp(rng, int(rng.integers(3, 7)), int(rng.integers(1, 40)), kind=kind)
        z0, z1 = normalize(rng.normal(size=(2, mlp.d_model)), kind=kind)
        if k % 5 == 1:
            z1 = normalize(z0 + 10.0 ** -rng.integers(1, 6) * z1, kind=kind)
        elif k % 5 == 2:
            z1 = normalize(-z0 + 10.0 ** -rng.integers(1, 6) * z1, kind=kind)
        elif k % 10 == 3:
            mlp = type(mlp)(mlp.W_in, 99 + mlp.b_in, mlp.W_out, mlp.b_out, "relu", 0.0, kind)
        elif k % 10 == 8:  # small caps on the way: in and out again
            middle = normalize(z0 + z1, kind=kind)
            away = normalize(middle + rng.normal(size=(mlp.n_neurons, mlp.d_model)) / 4, kind=kind)
            mlp = type(mlp)(away.T, np.full(mlp.n_neurons, -0.9 * mlp.d_model), mlp.W_out, mlp.b_out, "relu", 0.0, kind)
        yield explore_rotation(mlp, z0, z1), rng.uniform(0, 1, 5)


def test_the_browser_says_what_python_says():
    """At five places of each path: who has flipped, who is now on or off, the lengths, the next boundary."""
    cases, expected, twice = [], [], 0
    for explorer, shares in paths():
        whole = explorer.degrees[-1]
        for angle in whole * np.r_[0.0, shares[1:4], 1.0]:
            explorer.angle = angle
            cases.append([explorer.path, float(angle), explorer.angle])
            expected.append(explorer.text)
        twice += len(set(explorer._neurons)) < len(explorer._neurons)
    code = """([sent, angle, at]) => {
      const path = pathOf(sent);
      return [path.degrees[nearestPlace(path.degrees, angle)], linesOf(path, at).join("\\n")];
    }"""
    found = answers("rotation", code, cases)
    assert [angle for angle, _ in found] == [at for _, _, at in cases]
    assert [lines for _, lines in found] == expected
    assert twice > drawn(600) / 10


def test_the_triangle_has_the_lengths_as_its_sides():
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=(2, 2000, 3)) * 10.0 ** rng.integers(-6, 6, size=(2, 2000, 1))
    first[:20], second[10:30], second[30:40] = 0, 0, -first[30:40]
    lengths = [np.linalg.norm(part, axis=1) for part in (first, second, first + second)]
    found = np.array(
        answers("rotation", "c => { const t = triangle(...c); return [t.tip, t.end]; }", np.transpose(lengths).tolist())
    )
    tip, end = found.swapaxes(0, 1)
    size = np.maximum(*lengths[:2])
    assert np.abs(np.linalg.norm(tip, axis=1) - lengths[0]).max() < 1e-9
    # the height is a root, so half of the digits are left where the triangle is flat
    for side, length in ((end - tip, lengths[1]), (end, lengths[2])):
        assert (np.abs(np.linalg.norm(side, axis=1) - length) <= 1e-7 * size).all()
    assert (end[:, 1] >= 0).all() and (tip[:, 1] == 0).all()
