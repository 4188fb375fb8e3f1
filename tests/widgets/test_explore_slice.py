"""The explorer of a real layer's slices: its numbers, its module's mathematics, what a page without layers gets."""

import base64
import json
import re
from pathlib import Path

import numpy as np
import pytest
from modules import answers
from oracles import random_mlp
from thorough import drawn

from lnpoly_helpers import (
    Arrangement,
    fold_layer_norm,
    load_model,
    mlp_block,
    normalize,
    partition_circle,
    prompts,
    restrict,
    trace,
)
from lnpoly_helpers.widgets import explore_slice
from lnpoly_helpers.widgets.slice import exported_layer


def layer_and_vectors():
    rng = np.random.default_rng(5)
    return random_mlp(rng, 16, 40), rng.normal(size=(6, 16))


def text(explorer, **values):
    return explorer._text(**explorer.values | values)


# --- the numbers that Python computes ------------------------------------------------------------------------------


def great_circle(u, v, angle):
    e0 = u / np.linalg.norm(u)
    e1 = v - (v @ e0) * e0
    e1 /= np.linalg.norm(e1)
    return np.sqrt(len(u)) * (np.cos(angle)[:, None] * e0 + np.sin(angle)[:, None] * e1)


@pytest.mark.parametrize(
    ("first", "second", "where", "width"), [(0, 1, 20, 5), (4, 2, 133.7, 60), (3, 5, 359, 20), (2, 0, 0, 360)]
)
def test_numbers(first, second, where, width):
    mlp, x = layer_and_vectors()
    explorer = explore_slice(mlp, x)
    explorer.first, explorer.second, explorer.where, explorer.width = first, second, where, width
    u, v = x[[first, second]] - x[[first, second]].mean(axis=1, keepdims=True)
    n = 360_000
    on = great_circle(u, v, 2 * np.pi * np.arange(n) / n) @ mlp.W_in + mlp.b_in > 0
    is_new = (on != np.roll(on, 1, axis=0)).any(axis=1)
    cuts = 360 * np.flatnonzero(is_new) / n
    whole, between, near_first, at, nearest = explorer.text.split("\n")
    assert whole == f"{len(cuts)} arcs, {len(np.unique(on[is_new], axis=0))} patterns on the whole circle"
    apart = np.degrees(np.arccos(u @ v / np.linalg.norm(u) / np.linalg.norm(v)))
    assert (
        between == f"{first} and {second} are {apart:.1f}° apart, with {(cuts < apart).sum()} boundaries between them"
    )
    assert abs(float(re.findall(r"[\d.]+", near_first)[1]) - min(cuts[0], 360 - cuts[-1])) < 0.06
    away = (cuts - where + 180) % 360 - 180
    arc = (np.searchsorted(cuts, where + 1e-3) - 1) % len(cuts) + 1
    inside = (np.abs(away) < width / 2).sum() if width < 360 else len(cuts)
    assert re.fullmatch(
        rf"At {where}\.?0*°: arc {arc} of {len(cuts)}, and in {width}° around it {inside} boundar.*", at
    )
    k = np.abs(away).argmin()
    found = re.fullmatch(
        r"The nearest, neuron (\d+), is ([\d.]+)° (ahead|behind); .* the neuron switches (on|off)", nearest
    )
    assert found and abs(float(found[2]) - abs(away[k])) < 0.06 + 0.05 * abs(away[k])
    (flips,) = np.flatnonzero(on[round(cuts[k] * n / 360)] != on[round(cuts[k] * n / 360) - 1])
    turns_on = on[round(cuts[k] * n / 360), flips]
    assert (int(found[1]), found[3], found[4]) == (
        flips,
        "ahead" if away[k] > 0 else "behind",
        "on" if turns_on else "off",
    )


def test_each_layer_is_its_own_slice():
    rng = np.random.default_rng(8)
    mlps, x = [random_mlp(rng, 10, 20) for _ in range(3)], rng.normal(size=(3, 4, 10))
    explorer = explore_slice(mlps, x, names=["The", " cat", " the", "The"])
    for k in (2, 0, 1):
        alone = explore_slice(mlps[k], x[k]).text
        named = alone.replace("\n0 and 1", "\n0 The and 1  cat").replace("to 0 on", "to 0 The on")
        explorer.layer = k
        assert explorer.text == named != alone, k


def test_a_circle_that_nothing_cuts():
    mlp, x = layer_and_vectors()
    far = type(mlp)(mlp.W_in, np.full(40, 1e3), mlp.W_out, mlp.b_out, "relu", 0.0, mlp.kind)
    whole, _, nothing = explore_slice(far, x).text.split("\n")
    assert (whole, nothing) == ("1 arc, 1 pattern on the whole circle", "No boundary meets this circle")


def test_the_circle_follows_the_vectors_and_the_layer():
    """What the browser cuts from is the arrangement of what is chosen, and stays where a vector is chosen twice."""
    rng = np.random.default_rng(8)
    mlps, x = [random_mlp(rng, 10, 20) for _ in range(2)], rng.normal(size=(2, 4, 10))
    explorer = explore_slice(mlps, x)
    explorer.layer, explorer.first, explorer.second = 1, 3, 2
    assert [explorer.cut[name] for name in ("layer", "first", "second")] == [1, 3, 2]
    rows, before = (
        answers("slice", "c => [...cutOf(c).b]", [explorer.values | {"slices": {}, "cut": explorer.cut}]),
        explorer.cut,
    )
    assert rows == [mlps[1].b_in.tolist()]
    explorer.first = 2
    assert explorer.cut is before
    with pytest.raises(ValueError, match="expected two different vectors, got 2 twice"):
        _ = explorer.text
    data, metadata = explorer._repr_mimebundle_()
    assert "image/png" not in data and data["text/plain"].startswith("No picture of this state. first and second:")
    assert metadata["lnpoly"]["explorer"] == "slice"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: explore_slice([], np.ones((0, 2, 4))), "mlps: expected one or more layers"),
        (lambda: explore_slice(layer_and_vectors()[0], np.ones((3, 4))), r"x: expected shape \[n, 16\], got \[3, 4\]"),
        (lambda: explore_slice(*layer_and_vectors(), second=0), "two different numbers of vectors, 0 to 5, got 0"),
        (lambda: explore_slice(*layer_and_vectors(), first=6), "two different numbers of vectors, 0 to 5, got 6"),
        (lambda: explore_slice(*layer_and_vectors(), names=["a"]), "names: expected one for each of the 6"),
        (lambda: explore_slice("gpt2", np.ones((3, 4))), "mlp: expected a FoldedMLP, got str"),  # type: ignore
    ],
)
def test_bad_input_is_refused_at_once(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()


def test_bad_state_is_refused_and_nothing_changes():
    explorer = explore_slice(*layer_and_vectors())
    for name, value, message in (
        ("width", 0, "width: expected a number from 0.01 to 360, got 0"),
        ("width", 400, "width: expected a number from 0.01 to 360, got 400"),
        ("second", 6, "second: expected an integer from 0 to 5, got 6"),
        ("layer", 1, "layer: expected an integer from 0 to 0, got 1"),
    ):
        before = explorer.values
        with pytest.raises(ValueError, match=message):
            setattr(explorer, name, value)
        assert explorer.values == before
    explorer.where = -1e-18  # is 360 degrees in floating point
    assert explorer.where == 0.0


# --- the module's mathematics against Python's -----------------------------------------------------------------------


def arrangements():
    """Random and degenerate: neurons that share a line, slabs, lines all but tangent, whole numbers, no weights."""
    rng = np.random.default_rng(0)
    for k in range(drawn(2400)):
        m = int(rng.integers(1, 9)) if k % 10 else int(rng.integers(50, 300))
        w, b = rng.normal(size=(m, 2)), rng.normal(size=m) * rng.choice([0, 0.1, 1, 2])
        kind = k % 6
        if kind == 1:
            w, b = np.round(w), np.round(b)
        elif kind == 2 and m > 2:
            scale = rng.choice([-3, -1, 0.5, 1, 2], size=m // 2)
            w[: m // 2], b[: m // 2] = w[0] * scale[:, None], b[0] * scale
        elif kind == 3:
            sides = rng.choice([-1, 1], (2, m))
            b = np.linalg.norm(w, axis=1) * sides[0] * (1 - sides[1] * 10.0 ** -rng.integers(1, 12, m))
        elif kind == 4 and m > 1:
            w[1], b[1] = -w[0], b[0]
        elif kind == 5:
            w[rng.random(m) < 0.3] = 0
        yield w, b, np.c_[rng.uniform(0, 2 * np.pi, 3), 10 ** rng.uniform(-4, 0.79, 3)]


CIRCLES = """({A, B, b, windows}) => {
  const c = partitionCircle(A, B, b);
  const looks = [arcAt, within, nearestTo, countBefore];
  return {
    angles: [...c.angles], neurons: [...c.neurons], on: [...c.turnsOn], last: [...c.lastPattern],
    after: [...c.arcAfter], starts: [...c.starts], odd: [...parities(c)], patterns: countPatterns(c),
    looked: windows.map(([at, width]) => looks.map(look => look(c, at, width))),
  };
}"""


def test_circles_are_cut_as_in_python():
    asked, shared, tied = list(arrangements()), 0, 0
    cases = [dict(zip("AB", w.T.tolist(), strict=True)) | {"b": b.tolist(), "windows": q.tolist()} for w, b, q in asked]
    for (w, b, windows), found in zip(asked, answers("slice", CIRCLES, cases), strict=True):
        circle = partition_circle(Arrangement(w, b))
        patterns = circle.patterns()
        shared += circle.n_arcs < len(circle.angles)
        gaps = np.concatenate([np.diff(circle.angles), np.diff(found["angles"])])
        if ((gaps > 0) & (gaps < 1e-12)).any():  # other lines through one point: which comes first, rounding says
            tied += 1
            np.testing.assert_allclose(found["angles"], circle.angles, atol=1e-10)
            assert sorted(found["neurons"]) == sorted(circle.neurons)
            continue
        assert found["neurons"] == circle.neurons.tolist() and found["after"] == circle.arc_after.tolist()
        assert found["last"] == circle.last_pattern.astype(int).tolist()
        # a line all but tangent magnifies the last bit of its distance
        np.testing.assert_allclose(found["angles"], circle.angles, atol=1e-15 if (w == np.round(w)).all() else 1e-10)
        np.testing.assert_allclose(found["starts"], circle.starts, atol=1e-10)
        assert (found["patterns"], found["odd"]) == (circle.n_patterns, (patterns.sum(axis=1) % 2).tolist())
        assert found["on"] == patterns[circle.arc_after, circle.neurons].astype(int).tolist()
        for (at, width), (arc, inside, nearest, before) in zip(windows, found["looked"], strict=True):
            away = (circle.angles - at + np.pi) % (2 * np.pi) - np.pi
            assert before == (circle.angles < at).sum()
            if not len(away):
                assert (arc, inside, nearest) == (0, [], None)
                continue
            assert arc == (np.searchsorted(circle.starts, at, side="right") - 1) % circle.n_arcs
            assert sorted(inside) == np.flatnonzero(np.abs(away) < width / 2).tolist()
            assert abs(away[nearest["crossing"]] - nearest["away"]) < 1e-9
            assert abs(nearest["away"]) < np.abs(away).min() + 1e-9
    assert shared > len(asked) / 8 and tied < len(asked) / 40


def test_the_browser_says_what_python_says():
    rng = np.random.default_rng(3)
    explorers = [explore_slice(random_mlp(rng, 6, m), rng.normal(size=(4, 6))) for m in (1, 3, 20, 900)]
    asked = []
    for explorer in explorers:
        for _ in range(drawn(30)):
            explorer.first, explorer.second = map(int, rng.permutation(4)[:2])
            for _ in range(4):
                explorer.where, explorer.width = rng.uniform(0, 360), float(f"{10 ** rng.uniform(-2, 2.5):.3g}")
                state = explorer.values | {"cut": explorer.cut, "slices": {}, "names": explorer.about["names"]}
                asked.append((state, explorer.text))
    code = """c => {
      const cut = cutOf(c);
      return linesOf(partitionCircle(cut.A, cut.B, cut.b), {...c, apart: cut.apart}).join("\\n");
    }"""
    found = answers("slice", code, [state for state, _ in asked])
    assert found == [expected for _, expected in asked]


# --- what a page without layers gets -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["layernorm", "rmsnorm"])
def test_exported_slices_are_exact(kind):
    """Every circle through two of eight vectors, out of nine numbers a neuron: within 1e-9 radians."""
    rng = np.random.default_rng(2)
    mlp, x = random_mlp(rng, 64, 256, kind=kind), rng.normal(size=(8, 64)) + rng.normal(size=64)
    exported = exported_layer(mlp, x)
    pairs = [(i, j) for i in range(8) for j in range(8) if i != j]
    code = """([layer, i, j]) => {
      const cut = sliceThrough(layer, i, j), c = partitionCircle(cut.A, cut.B, cut.b);
      return [cut.apart, [...c.angles], [...c.neurons], [...c.lastPattern]];
    }"""
    found = answers("slice", code, [[exported, i, j] for i, j in pairs])
    for (i, j), (apart, angles, neurons, last) in zip(pairs, found, strict=True):
        circle = partition_circle(restrict(mlp, mlp.slice(x[[i, j]])))
        u, v = (y / np.linalg.norm(y) for y in mlp.to_sphere(x[[i, j]]))
        assert abs(apart - np.arccos(u @ v)) < 1e-12
        assert len(angles) > 200 and last == circle.last_pattern.astype(int).tolist()
        assert neurons == circle.neurons.tolist()
        np.testing.assert_allclose(angles, circle.angles, atol=1e-9)


def test_numbers_of_six_bytes():
    whole = np.array([0, 1, -1, 255, -256, 2**31, -(2**31), 2**40 + 7, 2**47 - 1, -(2**47)])
    six = whole.astype("<i8").view(np.uint8).reshape(-1, 8)[:, :6].reshape(-1)
    code = "c => [...sixByteIntegers(Uint8Array.from(c))]"
    assert answers("slice", code, [six.tolist()]) == [whole.tolist()]


def test_as_many_layers_as_fit_go_with_a_saved_output():
    rng = np.random.default_rng(8)
    mlps, x = [random_mlp(rng, 6, 2000) for _ in range(5)], rng.normal(size=(5, 4, 6))
    explorer = explore_slice(mlps, x)
    explorer.layer = 3
    state = explorer._repr_mimebundle_()[1]["lnpoly"]["state"]
    assert list(state["slices"]) == ["3", "0"], "80,000 characters each, of 200,000"
    assert len(str(state["slices"])) < 200_000 and explorer.slices == {}, "a kernel needs none"


def test_a_column_of_the_stretch_is_as_dark_as_its_arcs_are():
    """How much of each column lies in odd arcs, against a thousand times as many columns."""
    rng, cases = np.random.default_rng(4), []
    for k in range(2000):
        n, m = int(rng.integers(1, 12)), int(rng.integers(0, 40))
        places = np.sort(np.round(rng.uniform(-0.2 * n, 1.2 * n, m), 3))
        places = np.round(places) if k % 5 == 0 else places
        after = rng.integers(0, 2, m) if k % 3 else (np.arange(m) + k) % 2
        cases.append({"places": places.tolist(), "after": after.tolist(), "first": k % 2, "n": n})
    found = answers("slice", "c => Array.from(coverage(c.places, c.after, c.first, c.n))", cases)
    for case, dark in zip(cases, found, strict=True):
        fine = (np.arange(1000 * case["n"]) + 0.5) / 1000
        arc = np.searchsorted(case["places"], fine, side="right")
        odd = np.array([case["first"], *case["after"]])[arc]
        assert np.abs(odd.reshape(case["n"], 1000).mean(axis=1) - dark).max() < 1e-9


def test_slices_saved_in_a_notebook_are_those_of_its_network():
    """What the page of notebook 5 cuts its circles from, against the layers and residual vectors themselves."""
    text, model = prompts()[9], load_model("nano-ln-relu")
    picked = [word.end() - 1 for word in re.finditer(r"\w+", text)]
    path = Path(__file__).parents[2] / "notebooks" / "05_fold_a_trained_transformer.ipynb"
    outputs = [one for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] for one in cell.get("outputs", [])]
    (state,) = (one["metadata"]["lnpoly"]["state"] for one in outputs if "lnpoly" in one.get("metadata", {}))
    assert len(state["slices"]) * len(picked) * (len(picked) - 1) / 2 >= 300, "circles"
    for layer, saved in state["slices"].items():
        mlp = fold_layer_norm(mlp_block(model, int(layer)))
        z = normalize(trace(model, text, int(layer)).residual[picked])
        six = np.frombuffer(base64.b64decode(saved["values"]), dtype=np.uint8).reshape(-1, 6)
        whole = np.pad(six, ((0, 0), (0, 2))).view("<i8")[:, 0] << 16 >> 16
        rows = saved["step"] * whole.reshape(len(picked) + 1, -1)
        assert np.abs(rows - np.vstack([mlp.b_in, z @ mlp.W_in])).max() < 1e-10
        apart = np.frombuffer(base64.b64decode(saved["apart"])).reshape(len(picked), -1)
        cosines = np.clip(z @ z.T / mlp.d_model, -1, 1)
        assert np.abs(np.cos(apart) - cosines).max() < 1e-12
