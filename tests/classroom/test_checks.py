"""The checks that students call: right answers pass, in whatever way they are written; wrong ones are told why."""

import contextlib
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lnpoly_helpers import FoldedMLP, checks, normalize
from lnpoly_helpers.checks import borrowed
from lnpoly_helpers.classroom.command import SOURCE
from lnpoly_helpers.classroom.exchange import Opaque, RemoteFunction, decode, encode
from lnpoly_helpers.classroom.grading import read_source
from lnpoly_helpers.classroom.worker import Student

ROOT = Path(__file__).resolve().parents[2]
CELLS = read_source(SOURCE)
REFERENCE = {"np": np}
for cell in CELLS:
    if cell.kind == "answer":
        exec(cell.source, REFERENCE)
FUNCTIONS = {cell.task: cell.functions[0] for cell in CELLS if cell.kind == "answer"}


def trained_like():
    """Two layers and two vectors in place of the trained ones, which take seconds to load."""
    rng = np.random.default_rng(3)
    layers, x = {}, {}
    for key, kind in (("with", "layernorm"), ("without", "none")):
        W = rng.normal(size=(12, 40))
        W_out, b_out = np.zeros((40, 12)), np.zeros(12)
        W_in = W - W.mean(axis=0) if key == "with" else W
        layers[key] = FoldedMLP(W_in, rng.normal(size=40), W_out, b_out, "relu", 1e-5, kind)
        x[key] = rng.normal(size=12) + 1
    return layers, x


def run(task, function, part="check"):
    """Run a task's visible check or its hidden test on a function."""
    layers, residual = trained_like()
    test = next(cell for cell in CELLS if cell.id == f"{task}_{part}")
    exec(test.source, {"np": np, "layers": layers, "residual": residual, FUNCTIONS[task]: function})


def define(source):
    """The last function of a notebook cell, as a student's notebook holds it."""
    namespace = {"np": np, "__name__": "__main__"}
    exec(source, namespace)
    return [value for value in namespace.values() if callable(value)][-1]


# --- right answers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["check", "hidden"])
@pytest.mark.parametrize("task", FUNCTIONS)
def test_reference_passes(task, part, capsys):
    run(task, REFERENCE[FUNCTIONS[task]], part)
    said = f"{FUNCTIONS[task]}: every visible check passed.\n"
    assert capsys.readouterr().out == (said if part == "check" else "")


def loops_normalize(x, eps=0.0):
    x = np.array(x, dtype=float)
    out = np.empty_like(x)
    for index in np.ndindex(x.shape[:-1]):
        row = x[index] - sum(x[index]) / len(x[index])
        out[index] = row / (sum(v * v for v in row) / len(row) + eps) ** 0.5
    return out


def by_least_squares(x, y):
    (a, c), *_ = np.linalg.lstsq(np.stack([x, np.ones_like(x)], axis=1), y, rcond=None)
    return [float(a), float(c)] if a > 0 and np.allclose(a * x + c, y) else None


def by_projection(gamma, beta, W_in, b_in):
    d = len(gamma)
    return (np.eye(d) - np.ones((d, d)) / d) @ np.diag(gamma) @ W_in, W_in.T @ beta + b_in


def by_diagonal(W_in, b_in, W_out, b_out, z):
    D = np.diag((z @ W_in + b_in > 0).astype(int))
    return [int(v) for v in np.diag(D)], W_in @ D @ W_out, b_in @ D @ W_out + b_out


def by_half_angle(A, B, b):
    found = []
    for i, (p, q, r) in enumerate(zip(A, B, b, strict=True)):  # with u = tan(t/2): (r - p) u^2 + 2 q u + (r + p) = 0
        if p * p + q * q > r * r:
            root = np.sqrt(p * p + q * q - r * r)
            found += [(2 * np.arctan2(-q + sign * root, r - p) % (2 * np.pi), i) for sign in (-1, 1)]
    found = [(angle if angle < 2 * np.pi else 0.0, i) for angle, i in sorted(found)]
    return np.array([angle for angle, _ in found]), np.array([i for _, i in found], dtype=int)


def by_union(axes, heights):
    kept = [k for k in range(len(heights)) if abs(heights[k]) < 1]
    parent, pairs = {k: k for k in kept}, 0

    def root(k):
        return k if parent[k] == k else root(parent[k])

    for i in kept:
        for j in kept:
            radii = (1 - heights[i] ** 2) * (1 - heights[j] ** 2)
            if i < j and abs(axes[i] @ axes[j] - heights[i] * heights[j]) < np.sqrt(radii):
                parent[root(i)] = root(j)
                pairs += 1
    return np.int64(1 + len({root(k) for k in kept}) + 2 * pairs)


def one_by_one(W_in, b_in, x, eps=None):
    found = []
    for w, b in zip(W_in.T, b_in, strict=True):
        slope = x @ w if eps is None else (x - x.mean()) @ w / x.std()
        r = -b / slope
        if eps is None:
            found += [r] if r > 0 else []
        elif 0 < r < 1 and eps > 0:
            found.append(np.sqrt(eps / (1 / r**2 - 1)) / x.std())
    return sorted(found)


OTHERS = {
    "normalize": loops_normalize,
    "shared_point": by_least_squares,
    "fold": by_projection,
    "region": by_diagonal,
    "crossings": by_half_angle,
    "faces": by_union,
    "rays": one_by_one,
}


@pytest.mark.parametrize("part", ["check", "hidden"])
@pytest.mark.parametrize("task", FUNCTIONS)
def test_another_right_way_passes(task, part):
    run(task, OTHERS[task], part)


# --- wrong answers ---------------------------------------------------------------------------------------------------

NORMALIZE = "def f(x, eps=0.0):\n    x = np.asarray(x, dtype=float)\n    "
CENTRED = NORMALIZE + "c = x - x.mean(axis=-1, keepdims=True)\n    "
ROOT_OF = "np.sqrt((c**2).mean(axis=-1, keepdims=True) + eps)"
SHARED = "def f(x, y):\n    a = y.std() / x.std()\n    c = y.mean() - a * x.mean()\n    "
FOLD = "def f(gamma, beta, W_in, b_in):\n    G = gamma[:, None] * W_in\n    W = G - G.mean(axis=0)\n    "
REGION = "def f(W_in, b_in, W_out, b_out, z):\n    p = z @ W_in + b_in > 0\n    "
REGION_END = "return p, W_in[:, p] @ W_out[p], b_in[p] @ W_out[p] + b_out"
CROSS = """
def f(A, B, b):
    R = np.hypot(A, B)
    cut = np.flatnonzero(np.abs(b) < R)
    m, h = np.arctan2(B[cut], A[cut]), np.arccos(-b[cut] / R[cut])
    angles, neurons = np.concatenate([m - h, m + h]) % (2 * np.pi), np.concatenate([cut, cut])
    k = np.argsort(angles)
    """
FACES = """
def f(axes, heights):
    keep = np.abs(heights) < 1
    a, h = axes[keep], heights[keep]
    X = np.abs(a @ a.T - np.outer(h, h)) < np.sqrt(np.outer(1 - h**2, 1 - h**2))
    np.fill_diagonal(X, False)
    """
RAYS = "def f(W_in, b_in, x, eps=None):\n    "

WRONG = [
    ("normalize", NORMALIZE + "return x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + eps)", "was the mean removed?"),
    ("normalize", CENTRED + "return c", "was it divided by its standard deviation?"),
    ("normalize", CENTRED + "return c / np.linalg.norm(c, axis=-1, keepdims=True)", "not by the length"),
    ("normalize", CENTRED + "return c / c.std(axis=-1, ddof=1, keepdims=True)", "not by d - 1"),
    ("normalize", CENTRED + f"return -c / {ROOT_OF}", "points away from x"),
    ("normalize", CENTRED + f"return (c / {ROOT_OF})[..., ::-1]", "does not point along x"),
    ("normalize", NORMALIZE + "return (x - x.mean()) / np.sqrt(x.var() + eps)", "axis=-1"),
    ("normalize", CENTRED + "return c / (c.std(axis=-1, keepdims=True) + eps)", "under the root"),
    ("normalize", CENTRED + "return c / c.std(axis=-1, keepdims=True)", "With eps = 0.5 the length"),
    ("normalize", CENTRED.replace(", eps=0.0", "") + "return c / c.std(axis=-1, keepdims=True)", "argument 'eps'"),
    ("shared_point", SHARED + "return a, c", "no a > 0 connects them"),
    ("shared_point", SHARED + "return None", "You return None for two vectors"),
    ("shared_point", SHARED + "return a", "is `return a, c` the last line?"),
    ("shared_point", SHARED + "return a, y.mean() - x.mean()", "c is the mean of y minus a times"),
    ("shared_point", SHARED + "return np.abs(y).sum() / np.abs(x).sum(), c", "a is the ratio"),
    ("shared_point", "def f(x, y):\n    a, c = np.polyfit(x, y, 1)\n    return a, c", "no a > 0 connects them"),
    ("shared_point", SHARED + "return (a, c) if x.argmax() == y.argmax() else None", "differs from x in one entry"),
    ("fold", FOLD + "return W, b_in", "beta goes through the matrix too"),
    ("fold", FOLD + "return W, b_in + beta @ G", "original W_in"),
    ("fold", FOLD + "return W, b_in + beta @ W", "original W_in"),
    ("fold", FOLD + "return W_in - W_in.mean(axis=0), b_in + beta @ W_in", "does not depend on gamma"),
    ("fold", FOLD + "return G, b_in + beta @ W_in", "do not add up to zero"),
    ("fold", FOLD + "return W - W.mean(axis=1, keepdims=True), b_in + beta @ W_in", "gamma[i] multiplies row i"),
    ("fold", FOLD + "return W, b_in - beta @ W_in", "Your b misses the mean"),
    ("fold", FOLD + "return W", "expected 2 values, W, b"),
    ("region", REGION + "return p, W_in @ W_out, b_in @ W_out + b_out", "takes every neuron as on"),
    ("region", REGION + "return p, W_in[:, p] @ W_out[p], b_in[p] @ W_out[p]", "misses b_out"),
    ("region", REGION + "return p, W_in[:, p] @ W_out[p], b_out", "biases b_in of the neurons"),
    ("region", REGION + "p = z @ W_in > 0\n    " + REGION_END, "leaves out the bias"),
    ("region", REGION + "return ~p, W_in[:, p] @ W_out[p], b_out", "is not z @ W_in + b_in > 0"),
    ("region", REGION + "return z @ W_in + b_in, W_in @ W_out, b_out", "other than True and False"),
    ("region", REGION + REGION_END.replace("W_in[:, p] @ W_out[p],", "(W_in[:, p] @ W_out[p]).T,"), "expected [3, 2]"),
    ("region", REGION + "y = (z @ W_in + b_in) * p @ W_out + b_out\n    return p, 0 * W_in @ W_out, y", "beside it"),
    ("crossings", CROSS + "return m + h, cut", "cuts it twice"),
    ("crossings", CROSS + "return angles, neurons", "not sorted"),
    ("crossings", CROSS + "return np.sort(angles), neurons", "same argsort"),
    ("crossings", CROSS + "return np.degrees(angles[k]), neurons[k]", "degrees"),
    ("crossings", CROSS + "return np.concatenate([m - h, m + h]), neurons", "outside [0, 2 pi)"),
    ("crossings", CROSS + "return (angles[k] + np.pi) % (2 * np.pi), neurons[k]", "is not at 0"),
    ("crossings", CROSS + "return angles[k][:-1], neurons[k][:-1]", "cross twice"),
    ("crossings", CROSS + "return angles[k], neurons[k] + 2", "are not all integers from 0 to 4"),
    ("crossings", CROSS + "angles[:] = angles[0]\n    return angles, np.full(len(k), cut[0])", "are not both there"),
    ("crossings", "def f(A, B, b):\n    h = np.arccos(-b / np.hypot(A, B))\n    return h, b", "holds NaN"),
    ("crossings", CROSS + "return angles[k], np.full(len(k), 4)", "miss the circle"),
    ("faces", FACES + "return 2 + X.sum()", "where nothing cuts it the sphere is one face"),
    ("faces", FACES + "n = len(h)\n    return n * n - n + 2 if n else 1", "two parallel circles"),
    ("faces", FACES + "return 1 + len(h) + X.sum()", "3 crossing pairs"),
    ("faces", "def f(axes, heights):\n    return len(heights) + 1", "misses the sphere"),
    ("faces", FACES + "return [8]", "expected a single number"),
    ("rays", RAYS + "return np.sort(-b_in / (x @ W_in))", "not positive"),
    ("rays", RAYS + "s = -b_in / (x @ W_in)\n    return s[s > 0]", "not sorted"),
    ("rays", RAYS + "s = -b_in / (x @ W_in)\n    return np.sort(s[s > 0])", "There the whole ray is one point"),
    ("rays", RAYS + "s = b_in / (x @ W_in)\n    return np.sort(s[s > 0])", "no neuron's pre-activation is 0"),
    ("rays", RAYS + "return []", "have different signs at the ray's two ends"),
    ("rays", RAYS + "s = np.sort(-b_in / (x @ W_in))\n    s = s[s > 0]\n    s[1] = s[0]\n    return s", "there twice"),
]
ANY = [
    ("def f(*args, **kwargs):\n    raise NotImplementedError()", "is not written yet"),
    ("def f(*args, **kwargs):\n    return ...", "put your code where `...` stands"),
    ("def f(*args, **kwargs):\n    return 1 / 0", "raised ZeroDivisionError for input of shape"),
    ("def f(*args, **kwargs):\n    return undefined_name", "name 'undefined_name' is not defined"),
    ("def f(*args, **kwargs):\n    raise SystemExit(3)", "raised SystemExit"),
    ("def f(*args, **kwargs):\n    return f(*args, **kwargs)", "raised RecursionError"),
    ("def f(x, *args, **kwargs):\n    x += 1\n    return x", "in place"),
    ("f = 3\ndef g(): pass", "not a function"),
    ("from lnpoly_helpers import normalize as f", "uses normalize of lnpoly_helpers"),
    ("from lnpoly_helpers.geometry import circle\ndef f(*a): return circle.turn(*a)", "uses lnpoly_helpers.geometry"),
    ("def f(*args):\n    import lnpoly_helpers\n    return lnpoly_helpers.normalize(*args)", "uses an import of"),
    ("from lnpoly_helpers import normalize\ndef h(x): return normalize(x)\ndef f(*a): return h(*a)", "uses normalize"),
]
NUMBERS = "expected an array of real numbers"
PAIR = "Expected two numbers, a and c"
RETURNED = [  # what any function returns, what most tasks say, what tasks that return several values say
    ("None", "is there a `return` at the end?", "`return"),
    ("{'a': 1}", "is a dict for input", "returned a dict for input"),
    ("'text'", "is a str for input", "returned a str for input"),
    ("np.array([None])", "and dtype object", "and dtype object"),
    ("1j", "a complex", "returned a complex"),
    ("[[1], [1, 2]]", NUMBERS, f"has shape|expected as many|expected 3 values|{NUMBERS}"),
]


class OneFunction(Student):
    """A student of whom nothing is there but a function; requests and answers become text on their way."""

    def __init__(self, function):
        self.function = function

    def ask(self, request):
        return json.loads(json.dumps(self.answer(json.loads(json.dumps(request)))))

    def named(self, name):
        return self.function


def through_the_exchange(function, words=True):
    return RemoteFunction(OneFunction(function).ask, "f", words)


def sentence(task, function, part="check"):
    with pytest.raises(checks.CheckFailed) as caught:
        run(task, function, part)
    return str(caught.value)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("task", "source", "why"), WRONG, ids=[f"{t}-{w}" for t, _, w in WRONG])
def test_mistake_is_named(task, source, why):
    function = define(source)
    said = sentence(task, function)
    assert why in said
    assert sentence(task, through_the_exchange(function)) == said


@pytest.mark.parametrize("task", FUNCTIONS)
@pytest.mark.parametrize(("source", "why"), ANY, ids=[why for _, why in ANY])
def test_whatever_goes_wrong_has_a_sentence(task, source, why):
    namespace = {"np": np, "__name__": "__main__"}
    exec(source, namespace)
    if "SystemExit" in source:  # here it would end the test; in the student's process it is an answer
        assert why in sentence(task, through_the_exchange(namespace["f"]))
        return
    said = sentence(task, namespace["f"])
    assert why in said or ("in place" in why and task == "faces" and "has shape" in said)
    if "not a function" not in why:
        remote = sentence(task, through_the_exchange(namespace["f"]))
        assert remote.replace("f uses", FUNCTIONS[task] + " uses") == said


@pytest.mark.parametrize("task", FUNCTIONS)
@pytest.mark.parametrize(("value", "one", "several"), RETURNED, ids=[value for value, *_ in RETURNED])
def test_whatever_comes_back_has_a_sentence(task, value, one, several):
    function = define(f"def f(*args, **kwargs):\n    return {value}")
    said = sentence(task, function)
    if task == "shared_point":
        assert ("You return None" if value == "None" else PAIR if value[0] != "[" else "has shape") in said
    else:
        assert re.search(several if task in ("fold", "region", "crossings") else re.escape(one), said)
    assert sentence(task, through_the_exchange(function)) == said


TRIVIAL = [
    "None", "0", "1", "np.zeros(np.shape(a[0]))", "np.ones(np.shape(a[0]))", "a[0]", "-np.asarray(a[0])", "a", "a[-1]",
    "np.asarray(a[0]) * np.nan", "[]", "()", "np.array([])", "(1.0, 0.0)", "(0.0, 0.0)", "(np.array([]), np.array([]))",
    "(0 * a[2], a[3])", "(a[2], a[3])", "(0 * a[1] > 0, 0 * a[0] @ a[2], a[3])", "(0 * a[1] > 0, a[0] @ a[2], a[3])",
    "1 + len(a[0])", "1 + 2 * len(a[1])", "2", "7", "-a[1] / (a[2] @ a[0])", "np.abs(a[1])", "np.sort(a[1])",
]  # fmt: skip


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("part", ["check", "hidden"])
@pytest.mark.parametrize("task", FUNCTIONS)
def test_answer_without_an_idea_earns_nothing(task, part):
    for value in TRIVIAL:
        function = define(f"def f(*a, **k):\n    return {value}")
        with pytest.raises(checks.CheckFailed):
            run(task, function, part)
            pytest.fail(f"{value} passes")


BORROWED = [  # where names in the code are not enough: the import itself is refused while the function runs
    "def f(*a, **k):\n    import importlib\n    return importlib.import_module('lnpoly_helpers').normalize(*a, **k)",
    "def f(*a, **k):\n    return __import__('lnpoly_helpers.layer').normalize(*a, **k)",
    "def f(*a, **k):\n    exec('from lnpoly_helpers import normalize as n', globals())\n    return n(*a, **k)",
    "def f(*a, **k):\n    import sys\n    return sys.modules['lnpoly_helpers'].normalize(*a, **k)",
    "class A:\n    def g(self, x):\n        from lnpoly_helpers import normalize\n        return normalize(x)\n"
    "def f(*a, **k):\n    return A().g(a[0])",
    "import functools\n@functools.cache\ndef g(x):\n    from lnpoly_helpers import normalize as n\n    return n(x)\n"
    "def f(x):\n    return np.array(g(tuple(x)))",
]


@pytest.mark.parametrize("part", ["check", "hidden"])
@pytest.mark.parametrize("source", BORROWED)
def test_package_is_not_there_while_an_answer_runs(source, part):
    function = define(source)
    before = dict(sys.modules)
    said = "raised (ImportError|KeyError) for input"
    assert re.search(said, sentence("normalize", through_the_exchange(function, part == "check"), part))
    assert {name: module for name, module in sys.modules.items() if name in before} == before
    assert __import__("lnpoly_helpers").normalize is normalize


def test_function_without_words_tells_nothing_of_what_it_saw():
    def ask(line):
        return through_the_exchange(define(f"def f(x):\n    {line}"), words=False)(42)

    for value in ("str(x)", "{x: 1}", "type(f'Saw{x}', (), {})()"):
        assert isinstance(seen := ask(f"return {value}"), Opaque) and "42" not in seen.kind
        assert "42" not in ask(f"return [{value}]")[0].kind
    with pytest.raises(Exception, match=r"\A\Z") as caught:
        ask("raise type(f'Saw{x}', (ValueError,), {})(x)")
    assert type(caught.value).__name__ == "an error"
    with pytest.raises(Exception, match=r"\A\Z") as caught:
        ask("raise ValueError(x)")
    assert type(caught.value).__name__ == "ValueError"


# --- what students see -----------------------------------------------------------------------------------------------


def test_notebook_shows_the_sentence_and_no_traceback():
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell()
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        shell.run_cell("from lnpoly_helpers.checks import check_normalize\ncheck_normalize(lambda x, eps=0: x)")
    said = "Not yet. Your output changes when x is shifted by a constant: was the mean removed?"
    assert shown.getvalue().strip() == said


def test_checks_need_neither_nbgrader_nor_a_heavy_library():
    heavy = {"nbgrader", "torch", "matplotlib", "nbclient", "psutil"}
    code = f"import sys, lnpoly_helpers.checks; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.stdout.strip() == "set()", done.stderr


def test_own_work_is_not_called_borrowed():
    assert borrowed(REFERENCE["my_normalize"]) is None
    assert borrowed(define("normalize = len\ndef f(x): return x.normalize")) is None
    assert borrowed(normalize) == "normalize"


# --- what goes over between the processes ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [None, True, 3, 2.5, float("inf"), "text", (1, 2.0), [1, [2, (3,)]], np.arange(6).reshape(2, 3), np.zeros((0, 3)),
     np.array(2.5), np.array([True, False]), np.array([1 + 2j])],
    ids=repr,
)  # fmt: skip
def test_numbers_go_over_unchanged(value):
    back = decode(json.loads(json.dumps(encode(value))))
    assert type(back) is type(value)
    np.testing.assert_equal(back, value)


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ({}, "a dict"),
        (object(), "a object"),
        (np.array([None]), "an array of shape [1] and dtype object"),
        (lambda: 0, "a function"),
        (2**80, "a int"),
        (list(range(2000)), "a list of 2000"),
    ],
)
def test_anything_else_arrives_as_its_kind(value, what):
    back = decode(encode(value))
    assert isinstance(back, Opaque) and back.kind == what


def test_no_object_can_be_made_of_what_arrives():
    with pytest.raises(ValueError, match="expected numbers"):
        decode({"array": "", "dtype": "|O", "shape": [0]})


def test_torch_tensor_counts_as_an_array():
    import torch

    np.testing.assert_equal(decode(encode(torch.arange(3))), np.arange(3))
