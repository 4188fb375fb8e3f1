"""The exercises of notebooks 1 to 8: the notebook's own solution is right, a stub is no failure, mistakes are named."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
import scripts

from lnpoly_helpers import checks
from lnpoly_helpers.classroom.command import SOURCE
from lnpoly_helpers.classroom.course import refuse_leaks

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = {path.name[:2]: nbformat.read(path, as_version=4) for path in sorted(ROOT.glob("notebooks/0*.ipynb"))}
FENCE = re.compile(
    r"\A<details><summary>Solution</summary>\n\n```python\n(.+?)\n```\n\n(.+)\n\n</details>\Z", re.DOTALL
)


def tags(cell):
    return cell.metadata.get("tags", [])


def found():
    """(notebook, function, the cells text, stub and solution) of every exercise."""
    for number, nb in NOTEBOOKS.items():
        for k, cell in enumerate(nb.cells):
            if "exercise" in tags(cell):
                yield number, re.search(r"^def (\w+)", cell.source, re.MULTILINE)[1], nb.cells[k - 1 : k + 2]


EXERCISES = {name: cells for _, name, cells in found()}
SOLUTIONS = {name: FENCE.match(cells[2].source)[1] for name, cells in EXERCISES.items()}


def define(source, name):
    namespace = {"np": np, "__name__": "__main__"}
    exec(source, namespace)
    return namespace[name]


def check(name, source):
    getattr(checks, f"check_{name}")(define(source, name))


def sentence(name, source):
    with pytest.raises(checks.CheckFailed) as caught:
        check(name, source)
    return str(caught.value)


# --- the notebooks -----------------------------------------------------------------------------------------------


def test_every_notebook_but_the_last_has_one_or_two():
    count = {number: sum(here == number for here, _, _ in found()) for number in NOTEBOOKS}
    assert list(count) == [f"0{k}" for k in range(1, 10)]
    assert count.pop("09") == 0 and set(count.values()) <= {1, 2}
    assert [sum("solution" in tags(cell) for cell in NOTEBOOKS[number].cells) for number in count] == [*count.values()]


@pytest.mark.parametrize("name", EXERCISES)
def test_exercise_has_all_its_parts(name):
    text, stub, solution = EXERCISES[name]
    assert re.search(r"^### .+\n\n[★☆]{3} · \d+ minutes\n\n", text.source, re.MULTILINE)
    assert text.source.endswith("</details>") and text.source.count("<details><summary>Hint</summary>") == 1
    function = next(node for node in ast.parse(stub.source).body if isinstance(node, ast.FunctionDef))
    assert ast.get_docstring(function) and stub.source.endswith(f"\n\ncheck_{name}({name})")
    (answer,) = ast.parse(SOLUTIONS[name]).body
    assert answer.name == name and ast.dump(answer.args) == ast.dump(function.args)
    assert 1 <= len(SOLUTIONS[name].splitlines()) - 1 <= 6
    assert tags(stub) == ["exercise"] and tags(solution) == ["solution"] and tags(text) == []


@pytest.mark.parametrize("name", EXERCISES)
def test_stub_runs_and_is_said_to_be_one(name, capsys):
    stub = EXERCISES[name][1]
    exec(stub.source, {"np": np})
    said = capsys.readouterr().out
    assert said == f"{name}: not answered yet.\n" == stub.outputs[0].text
    check(name, f"def {name}(*args):\n    raise NotImplementedError")
    assert capsys.readouterr().out == said


@pytest.mark.parametrize("name", EXERCISES)
def test_solution_of_the_notebook_is_right(name, capsys):
    check(name, SOLUTIONS[name])
    assert capsys.readouterr().out == f"{name}: right.\n"


def test_solutions_hold_on_what_the_notebooks_compute_otherwise():
    """The package's own functions, which were written without them, on a random layer."""
    from lnpoly_helpers import FoldedMLP, boundary_margin, cap_share, n_regions, normalize, split_change, steering_angle

    rng = np.random.default_rng(40)
    own = {name: define(source, name) for name, source in SOLUTIONS.items()}
    W = rng.normal(size=(8, 20))
    mlp = FoldedMLP(
        W - W.mean(axis=0), rng.normal(size=20), rng.normal(size=(20, 5)), np.zeros(5), "relu", 0, "layernorm"
    )
    z0, z1 = normalize(rng.normal(size=(2, 8)))
    np.testing.assert_allclose(
        own["rest"](mlp.W_in, mlp.b_in, mlp.W_out, z0, z1), split_change(mlp, z0, z1)[1], atol=1e-12
    )
    margins = [own["margin"](w, b, z0) for w, b in zip(mlp.W_in.T, mlp.b_in, strict=True)]
    np.testing.assert_allclose(margins, boundary_margin(mlp, z0), atol=1e-9)
    assert own["regions"](9, 4) == n_regions(9, 4)
    x, v = rng.normal(size=(2, 8))
    np.testing.assert_allclose(steering_angle(x, v, own["strength"](x, v, 0.3)), 0.3, atol=1e-12)
    whole = FoldedMLP(W, mlp.b_in, mlp.W_out, np.zeros(5), "relu", 0, "rmsnorm")
    for w, b, cap in zip(W.T[:3], mlp.b_in, cap_share(whole), strict=False):
        assert abs(own["share_on"](w, b / np.sqrt(8), 100_000, rng) - cap) < 5 * np.sqrt(cap * (1 - cap) / 100_000)


# --- other right answers -----------------------------------------------------------------------------------------

OTHERS = {
    "preimage": "return [mean + std * value for value in z]",
    "size_needed": "return float(np.sqrt(eps / (1 / (1 - gap) ** 2 - 1)))",
    "pieces": """
    scales = [-b / s for b, s in zip(b_in, v @ W_in) if s != 0]
    return len([a for a in scales if a > 0]) + 1""",
    "next_map": """
    part = np.outer(np.append(w_in, b), w_out)
    both = np.vstack([A, c]) + part if turns_on else np.vstack([A, c]) - part
    return both[:-1], both[-1]""",
    "patterns_around": """
    flips = np.eye(len(first), dtype=int)[neurons]
    return (first + flips.cumsum(axis=0)) % 2 == 1""",
    "regions": "return 2 * sum(__import__('math').comb(m - 1, i) for i in range(k + 1))",
    "share_on": """
    count = 0
    for _ in range(n):
        y = rng.standard_normal(len(w))
        count += y @ w / np.sqrt(y @ y) > -b
    return count / n""",
    "derivative": """
    J = []
    for i in range(len(x)):
        y = x.copy()
        y[i] += 1e-7
        J.append((g(y[None])[0] - g(x[None])[0]) / 1e-7)
    return np.array(J)""",
    "margin": """
    d = len(z)
    u, n = z / np.sqrt(d), w / np.linalg.norm(w)
    here = np.arcsin(u @ n)
    edge = np.arcsin(-b / (np.sqrt(d) * np.linalg.norm(w)))
    return max(here - edge, edge - here)""",
    "rest": """
    relu = lambda h: np.maximum(h, 0)
    h0, h1 = z0 @ W_in + b_in, z1 @ W_in + b_in
    return (relu(h1) - relu(h0) - (h0 > 0) * (h1 - h0)) @ W_out""",
    "common_share": """
    G = changes @ changes.T
    n = len(G)
    return (G.sum() - np.trace(G)) / (n - 1) / np.trace(G)""",
    "strength": """
    low, high = -20.0, 20.0
    Px, Pv = x - x.mean(), v - v.mean()
    for _ in range(200):
        middle = (low + high) / 2
        y = Px + np.exp(middle) * Pv
        turned = np.arccos(Px @ y / np.linalg.norm(Px) / np.linalg.norm(y))
        low, high = (middle, high) if turned < theta else (low, middle)
    return np.exp(middle)""",
}


def written(name, body):
    """A function with the exercise's name and arguments and this body."""
    head = SOLUTIONS[name].splitlines()[0]
    return f"{head}\n    {body.strip()}"


@pytest.mark.parametrize("name", EXERCISES)
def test_another_right_way_passes(name):
    check(name, written(name, OTHERS[name]))


# --- wrong answers -----------------------------------------------------------------------------------------------

FLIPS = "h0, h1 = z0 @ W_in + b_in, z1 @ W_in + b_in\n    flips = (h0 > 0) != (h1 > 0)\n    "
POINTS = "y = rng.normal(size=(n, len(w)))\n    y /= np.linalg.norm(y, axis=1, keepdims=True)\n    "
CUBE = POINTS.replace("normal(size=", "uniform(-1, 1, ")
SIGN = "s = 1 if turns_on else -1\n    "
SIZE = "size = np.linalg.norm(w) * np.linalg.norm(z)\n    "
SUMS = "n, total, squares = len(changes), changes.sum(axis=0), (changes**2).sum()\n    "
SINES = (
    "a, b = np.linalg.norm(x), np.linalg.norm(v)\n    p = np.arccos(x @ v / (a * b))\n    "
    "return a * np.sin(theta) / (b * np.sin(p - theta))"
)
CENTRED = "x, v = x - x.mean(), v - v.mean()\n    "
WALK = "p, rows = first.copy(), []\n    for i in neurons:\n        "
WRONG = [
    ("preimage", "return std * z", "The mean of your x is"),
    ("preimage", "return std * (z + mean)", "multiply first, then add"),
    ("preimage", "return mean + std * z / np.linalg.norm(z)", "sqrt(d) times too short"),
    ("preimage", "return mean + std**2 * z", "The standard deviation of your x is 25, not 5"),
    ("preimage", "return mean - std * z", "the opposite point"),
    ("preimage", "return mean + std * z[::-1]", "does not send it to z"),
    ("size_needed", "return np.sqrt(eps / (2 * gap))", "the rule for small gaps"),
    ("size_needed", "return eps * (1 - gap) ** 2 / (1 - (1 - gap) ** 2)", "number is the variance"),
    ("size_needed", "return np.sqrt(eps) * gap / np.sqrt(1 - gap**2)", "it should miss the sphere"),
    ("size_needed", "return (1 - gap) / gap * np.sqrt(eps)", "leaves a gap of"),
    ("size_needed", "return np.sqrt(eps) * (gap - 1)", "expected a positive number"),
    ("pieces", "return np.sum(b_in * (v @ W_in) < 0)", "the borders: 2 borders cut a ray into 3 pieces"),
    ("pieces", "return 1 + len(b_in)", "behind the origin"),
    ("pieces", "return 1 + np.sum(b_in * (v @ W_in) > 0)", "the ray of -v"),
    ("pieces", "return 1 + np.sum((b_in > 0) != (v @ W_in > 0))", "v . w = 0 stays"),
    ("pieces", "return 1 + np.sum(b_in * (v @ W_in) < 0) + np.sum((b_in == 0) & (v @ W_in != 0))", "Without biases"),
    ("pieces", "return 3", "where a walk along the ray meets"),
    ("next_map", "return A, c", "one neuron more takes part"),
    ("next_map", "return A + np.outer(w_in, w_out), c + b * w_out", "turns off takes it away"),
    ("next_map", SIGN + "return A + s * np.outer(w_in, w_out), c", "does b go anywhere?"),
    ("next_map", SIGN + "return A + s * np.outer(w_in, w_out), c + s * b", "Your c changes by b."),
    ("next_map", SIGN + "return A + s * np.outer(w_in, w_out), c - s * b * w_out", "On the border, where"),
    ("next_map", SIGN + "return A + s * w_in[:, None] + w_out, c + s * b * w_out", "by a matrix of rank 2"),
    ("next_map", SIGN + "return A + 2 * s * np.outer(w_in, w_out), c + 2 * s * b * w_out", "Off the border"),
    ("next_map", "return A + np.outer(w_out, w_in), c", "raised ValueError"),
    ("patterns_around", WALK + "rows.append(p.copy())\n        p[i] = 1 - p[i]\n    return rows", "is first itself"),
    ("patterns_around", WALK + "p[i] = 1 - p[i]\n        rows.append(p)\n    return np.array(rows)", "keep a copy"),
    ("patterns_around", WALK + "p[i] += 1\n        rows.append(p.copy())\n    return rows", "other than 0 and 1"),
    (
        "patterns_around",
        "rows = []\n    for i in neurons:\n        p = first.copy()\n        p[i] = 1 - p[i]\n        rows.append(p)\n"
        "    return np.array(rows)",
        "At crossing 1 2 of your neurons flip",
    ),
    ("patterns_around", WALK + "p[-1 - i] = 1 - p[-1 - i]\n        rows.append(p.copy())\n    return rows", "neurons"),
    ("regions", "return 1 if m == 1 or k == 0 else regions(m - 1, k) + regions(m - 1, k - 1)", "half of the regions"),
    ("regions", "return 2 * sum(__import__('math').comb(m, i) for i in range(k + 1))", "Your regions(1, 1) is 4"),
    ("regions", "return 2 * sum(__import__('math').comb(m - 1, i) for i in range(k))", "Your regions(5, 1) is 2"),
    ("regions", "return 2**m", "arcs"),
    ("regions", "return 2 * m if k == 1 else m * m - m + 2", "in so many dimensions"),
    ("regions", "return regions(m - 1, k) + regions(m - 1, k - 1)", "RecursionError"),
    ("share_on", CUBE + "return np.mean(y @ w + b > 0)", "Those of a cube crowd at its corners"),
    ("share_on", "return np.mean(rng.normal(size=(n, len(w))) @ w + b > 0)", "Divide each one by its length"),
    ("share_on", POINTS + "return np.sum(y @ w + b > 0)", "between 0 and 1"),
    ("share_on", POINTS + "return np.mean(y @ w + b < 0)", "where the neuron is off"),
    ("share_on", POINTS + "return np.mean(y @ w > 0)", "Archimedes|has the share"),
    ("derivative", "h = 1e-5 * np.eye(len(x))\n    return (g(x + h) - g(x - h)) / 1e-5", "is twice that"),
    ("derivative", "h = 1e-5 * np.eye(len(x))\n    return (g(x + h) - g(x)) / 2e-5", "is half that"),
    ("derivative", "h = 1e-5 * np.eye(len(x))\n    return g(x + h) - g(x - h)", "divide by the step"),
    ("derivative", "h = 1e-5 * np.eye(len(x))\n    return ((g(x + h) - g(x - h)) / 2e-5).T", "has shape [3, 4]"),
    ("derivative", "h = 1e-2 * np.eye(len(x))\n    return (g(x + h) - g(x)) / 1e-2", "A shorter step"),
    ("derivative", "return (g(x + 1e-5 + np.zeros((len(x), 1))) - g(x)) / 1e-5", "is off by"),
    ("margin", SIZE + "return abs(np.arccos(w @ z / size) - np.pi / 2)", "plane through the centre"),
    ("margin", "return abs(z @ w + b) / np.linalg.norm(w)", "straight to the plane"),
    ("margin", SIZE + "return abs(z @ w + b) / size", "in radii"),
    ("margin", SIZE + "return np.arccos(-b / size) - np.arccos(w @ z / size)", "absolute value"),
    ("margin", SIZE + "return np.degrees(abs(np.arccos(w @ z / size) - np.arccos(-b / size)))", "in degrees"),
    ("margin", SIZE + "return np.arccos(w @ z / size)", "between z and w"),
    ("margin", SIZE + "return abs(np.arccos(w @ z / size) - np.arccos(b / size))", "boundary is 0.7 away"),
    ("margin", "return abs(np.arccos(w @ z) - np.arccos(-b))", "NaN"),
    ("rest", FLIPS + "return np.abs(h1) @ W_out", "No neuron flips"),
    ("rest", FLIPS + "return (flips * np.abs(h0)) @ W_out", "not before"),
    ("rest", FLIPS + "return (flips * h1) @ W_out", "has the wrong sign"),
    ("rest", FLIPS + "return (flips * np.abs(h1 - h0)) @ W_out", "not its whole move"),
    ("rest", FLIPS + "return (flips * (h1 > 0) * h1) @ W_out", "neurons that flip either way"),
    ("rest", "return (np.maximum(z1 @ W_in + b_in, 0) - np.maximum(z0 @ W_in + b_in, 0)) @ W_out", "No neuron flips"),
    ("rest", FLIPS.replace(" + b_in", "") + "return (flips * np.abs(h1)) @ W_out", "have no biases"),
    ("rest", FLIPS + "return 2 * (flips * np.abs(h1)) @ W_out", "times its row of W_out"),
    ("common_share", "m = changes.mean(axis=0)\n    return m @ m / np.mean((changes**2).sum(axis=1))", "has a bias"),
    ("common_share", SUMS + "return (total @ total - squares) / n**2 / (squares / n)", "You divide by n^2"),
    ("common_share", SUMS + "return (total @ total - squares) / (2 * n * (n - 1)) / (squares / n)", "find half of it"),
    (
        "common_share",
        "u = changes / np.linalg.norm(changes, axis=1, keepdims=True)\n    n, t = len(u), u.sum(axis=0)\n"
        "    return (t @ t - n) / (n * (n - 1))",
        "mean cosine",
    ),
    ("common_share", SUMS + "return (total @ total - squares) / (n - 1) * n / (total @ total)", "mean of the squares"),
    ("common_share", SUMS + "return np.sqrt((total @ total - squares) / (n - 1) / squares)", "5 changes in 6"),
    ("strength", SINES, "LayerNorm centres first"),
    ("strength", CENTRED + "return np.linalg.norm(x) * np.tan(theta) / np.linalg.norm(v)", "orthogonal to Px"),
    ("strength", CENTRED + SINES.replace("(b * np.sin(p - theta))", "np.sin(p - theta)"), "a length of its own"),
    ("strength", CENTRED + "return -np.linalg.norm(x) / np.linalg.norm(v)", "away from v"),
    ("strength", CENTRED + SINES.replace("theta)", "np.radians(theta))"), "degrees, not by"),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("name", "body", "why"), WRONG, ids=[f"{name}-{why}" for name, _, why in WRONG])
def test_mistake_is_named(name, body, why):
    assert re.search(why if "|" in why else re.escape(why), sentence(name, written(name, body)))


def test_each_exercise_knows_two_mistakes():
    assert min(sum(name == other for other, *_ in WRONG) for name in EXERCISES) >= 2
    assert {name for name, *_ in WRONG} == set(OTHERS) == set(EXERCISES)


TRIVIAL = ["None", "0", "1", "2", "0.5", "a", "a[0]", "a[-1]", "[]", "np.zeros(np.shape(a[0]))",
           "np.ones(np.shape(a[0]))", "(a[0], a[1])", "np.asarray(a[0]) * np.nan", "'text'", "1j"]  # fmt: skip


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", EXERCISES)
def test_answer_without_an_idea_is_told_so(name):
    for value in TRIVIAL:
        assert sentence(name, f"def {name}(*a):\n    return {value}")
    assert "is there a `return`" in (said := sentence(name, f"def {name}(*a): pass")) or "returned None" in said


def test_package_does_not_answer_for_the_reader():
    borrowed = "from lnpoly_helpers import n_regions\ndef regions(m, k):\n    return n_regions(m, k)"
    assert "uses n_regions of lnpoly_helpers" in sentence("regions", borrowed)


# --- what is not handed out --------------------------------------------------------------------------------------


def test_exercises_give_away_nothing_of_the_assignment():
    source = nbformat.read(SOURCE, as_version=4)
    for cells in EXERCISES.values():
        refuse_leaks(nbformat.v4.new_notebook(cells=cells), source)


@pytest.fixture(scope="module")
def handed_out(tmp_path_factory):
    """The class's version of the notebooks, by the command of the teachers' page."""
    out = tmp_path_factory.mktemp("class") / "series"
    command = [sys.executable, "notebooks/build.py", "--class", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return out


def test_class_gets_the_notebooks_without_solutions(handed_out):
    build = scripts.load("notebooks/build.py")
    assert sorted(path.name for path in handed_out.iterdir()) == [path.name for path in build.notebooks()]
    for path in build.notebooks():
        ours, theirs = (nbformat.read(folder / path.name, as_version=4) for folder in (path.parent, handed_out))
        kept = [cell for cell in ours.cells if "solution" not in tags(cell)]
        assert [cell.source for cell in theirs.cells[1:]] != [
            cell.source for cell in ours.cells[1:]
        ] or "09" in path.name
        assert [cell.cell_type for cell in theirs.cells] == [cell.cell_type for cell in kept]
        code = [[(c.source, c.outputs) for c in nb if c.cell_type == "code"] for nb in (kept, theirs.cells)]
        assert code[0] == code[1]
        text = (handed_out / path.name).read_text(encoding="utf-8")
        assert text == build.text_of(build.normalise(theirs))
        assert "Solution</summary>" not in text and not re.search(r"\]\(\.\./", text)
        for target in re.findall(r"\]\((\w[\w./]*\.ipynb)\)", text):
            assert (handed_out / target).is_file()


def test_no_line_of_a_solution_is_handed_out(handed_out):
    for number, name, _ in found():
        (path,) = handed_out.glob(f"{number}*.ipynb")
        lines = {line.strip() for cell in nbformat.read(path, as_version=4).cells for line in cell.source.splitlines()}
        assert not lines & set(map(str.strip, SOLUTIONS[name].splitlines()[1:]))
