"""LayerNorm's explorer: its numbers, its picture, and the mathematics of its module against Python's."""

import io
import re

import matplotlib.image
import numpy as np
import pytest
from modules import answers
from mpl_toolkits.mplot3d import proj3d
from thorough import drawn

from lnpoly_helpers import normalize
from lnpoly_helpers.plotting import new_figure
from lnpoly_helpers.plotting.style import ROLES
from lnpoly_helpers.widgets import explore_layernorm

NONE = "three equal entries have no direction: LayerNorm has no image of them at ε = 0"


def numbers(text):
    return [float(n) for n in re.findall(r"(?<![\w.])-?\d+\.?\d*", text.replace("−", "-"))]


# --- the numbers and the picture that Python makes -----------------------------------------------------------------


@pytest.mark.parametrize("scale", [-2.0, -0.3, 0.1, 1.0, 2.0])
@pytest.mark.parametrize("offset", [-1.5, 0.0, 1.1])
@pytest.mark.parametrize("eps", [0.0, 0.01, 1.0])
def test_numbers(scale, offset, eps):
    explorer = explore_layernorm((1.4, 0.5, -0.7))
    explorer.scale, explorer.offset, explorer.eps = scale, offset, eps
    x = np.array([1.4, 0.5, -0.7])
    moved = scale * x + offset
    z = (moved - moved.mean()) / np.sqrt(moved.var() + eps)
    first, second, third = explorer.text.splitlines()
    place = ", ".join(f"{v:.2f}" for v in np.round(moved, 2) + 0.0)
    mean, std = offset + 0.4 * scale + 0.0, np.sqrt(np.mean((moved - offset - 0.4 * scale) ** 2))
    assert first == f"a·x + c·1 = ({place}): mean {mean:.2f}, standard deviation {std:.3f}"
    assert np.abs(np.array(numbers(second)[:3]) - z).max() < 0.6e-4
    assert f"‖z‖/√3 = {np.linalg.norm(z) / np.sqrt(3):.4f}" in second
    apart = np.linalg.norm(z - (x - x.mean()) / x.std())
    if eps == 0 and scale > 0:
        assert third == "z is where x itself is sent"
    else:
        assert third == f"z is {apart:.4f} away from where x itself is sent"


def test_nothing_is_left_at_scale_0():
    explorer = explore_layernorm()
    explorer.scale = 0
    assert explorer.text.splitlines()[1] == NONE
    data, _ = explorer._repr_mimebundle_()
    assert "image/png" not in data and data["text/plain"].startswith("No picture of this state. x: expected a vector")
    explorer.eps = 0.1
    assert "z = (0.0000, 0.0000, 0.0000)" in explorer.text and "image/png" in explorer._repr_mimebundle_()[0]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("x", (1, 2), r"x: expected shape \[3\], got \[2\]"),
        ("x", (2, 2, 2), "x: expected a vector with a direction"),
        ("scale", 2.5, "scale: expected a number from -2 to 2, got 2.5"),
        ("eps", -1, "eps: expected a number >= 0, got -1"),
        ("view", (1, 2, 3), r"view: expected shape \[2\], got \[3\]"),
    ],
)
def test_what_does_not_fit_is_refused(name, value, message):
    explorer = explore_layernorm()
    with pytest.raises(ValueError, match=message):
        setattr(explorer, name, value)
    if name == "x":
        with pytest.raises(ValueError, match=message):
            explore_layernorm(value)


def test_the_point_does_not_move_on_the_picture():
    """The colour of z and of its name: where it is while a > 0 and ε = 0, and elsewhere otherwise."""
    explorer = explore_layernorm()
    color = np.array([int(ROLES["z"].light[k : k + 2], 16) for k in (1, 3, 5)]) / 255

    def place(**values):
        png = io.BytesIO()
        explorer.render(**values)[0].savefig(png, format="png")
        found = np.abs(matplotlib.image.imread(io.BytesIO(png.getvalue()))[..., :3] - color).max(axis=-1) < 0.02
        assert found.sum() > 50
        return np.argwhere(found).mean(axis=0)

    start = place(scale=1.0, offset=0.0)
    for scale, offset in ((0.4, -1.5), (1.7, 1.0), (2.0, -0.4)):
        assert np.abs(place(scale=scale, offset=offset) - start).max() < 8, "but for what covers its name"
    assert np.linalg.norm(place(scale=-1.0, offset=0.3) - start) > 100
    assert np.linalg.norm(place(scale=0.4, offset=0.3, eps=1.0) - start) > 20
    assert np.linalg.norm(place(scale=1.0, offset=0.0, view=(60, 30)) - start) > 20


# --- the module against Python -------------------------------------------------------------------------------------


def test_normalize_is_pythons():
    rng = np.random.default_rng(3)
    cases = []
    for k in range(drawn(2400)):
        x = rng.normal(size=3) * 10.0 ** rng.uniform(-12, 12)
        if k % 6 == 1:  # nearly on the line of the ones vector
            x = x[0] + rng.normal(size=3) * abs(x[0]) * 10.0 ** rng.uniform(-12, -1)
        elif k % 6 == 2:  # on it, or nothing but rounding away
            x = np.full(3, rng.choice([0, 1.1, -3, 1e-9, 1e9, 0.1 + 0.2]))
        elif k % 6 == 3:  # ties and zeros
            x = rng.choice([0.0, 1, -1, 2], size=3)
        elif k % 6 == 4:  # at the ends of what a float holds
            x = rng.normal(size=3) * rng.choice([1e-300, 1e300])
        cases.append({"x": x.tolist(), "eps": float(rng.choice([0, 1e-5, 0.01, 1, 1e-300]))})
    n_none = 0
    for case, got in zip(cases, answers("layernorm", "({x, eps}) => normalize(x, eps)", cases), strict=True):
        x = np.array(case["x"])
        try:
            z = normalize(x, eps=case["eps"])
        except ValueError:
            assert got["z"] is None, case
            n_none += 1
            continue
        # what the vector's own rounding leaves undecided near the ones vector
        size = np.abs(x).max() or 1.0
        slack = 1e-13 + 2e-15 / max((x / size).std(), 1e-16) if case["eps"] == 0 else 1e-9
        assert got["z"] is not None and np.abs(np.array(got["z"]) - z).max() <= max(slack, 1e-12), case
        assert abs(got["mean"] - np.mean(x / 4) * 4) <= 1e-15 * size
        assert np.abs(np.array(got["centred"]) - (x / 4 - np.mean(x / 4)) * 4).max() <= 2e-15 * size
    assert len(cases) / 48 < n_none < len(cases) / 5


def test_the_view_is_matplotlibs():
    """The same picture as the static one, but for its scale: right and up of the screen, for any view."""
    rng = np.random.default_rng(4)
    points = rng.normal(size=(12, 3))
    views = [(-18, 14), (0, 0), (130, -70), (-179, 89), *rng.uniform((-180, -89), (180, 89), size=(40, 2)).tolist()]
    code = "([view, points]) => { const eye = camera(view); return [points.map(p => project(eye, p)), eye]; }"
    for view, (seen, eye) in zip(views, answers("layernorm", code, [[v, points.tolist()] for v in views]), strict=True):
        axes = np.array([eye["right"], eye["up"], eye["near"]])
        assert np.abs(axes @ axes.T - np.eye(3)).max() < 1e-14 and np.linalg.det(axes) > 0
        _, ax = new_figure(4, 4, subplot_kw={"projection": "3d"})
        ax.set_proj_type("ortho")
        ax.set(xlim=(-2, 2), ylim=(-2, 2), zlim=(-2, 2))
        ax.set_box_aspect((1, 1, 1))
        ax.view_init(azim=view[0], elev=view[1])
        u, v, _ = proj3d.proj_transform(*points.T, ax.get_proj())
        theirs = np.c_[u, v] - np.mean([u, v], axis=1)
        ours = np.array(seen) - np.mean(seen, axis=0)
        scale = np.sum(theirs * ours) / np.sum(ours**2)
        assert scale > 0 and np.abs(theirs - scale * ours).max() < 1e-9


def test_a_place_on_the_screen_is_the_a_and_c_that_are_seen_there():
    rng = np.random.default_rng(5)
    cases = []
    for _ in range(drawn(2400)):
        x, (a, c) = rng.normal(size=3), rng.uniform((-2, -1.5), (2, 1.5))
        cases.append({"x": x.tolist(), "view": rng.uniform((-180, -90), (180, 90)).tolist(), "a": a, "c": c})
    code = """({x, view, a, c}) => { const eye = camera(view), p = plus(times(x, a), ONES, c);
      const back = inSheet(eye, x, project(eye, p), [0, 0]), q = plus(times(x, back[0]), ONES, back[1]);
      return {back, seen: [project(eye, p), project(eye, q)],
        edge: Math.abs(dot(eye.near, [x[1] - x[2], x[2] - x[0], x[0] - x[1]])) / Math.hypot(...x) / Math.sqrt(3)}; }"""
    n_open = 0
    for case, got in zip(cases, answers("layernorm", code, cases), strict=True):
        if got["edge"] > 0.031:  # else the sheet is seen from its edge, where no a and c can be told apart
            n_open += 1
            assert np.abs(np.array(got["back"]) - [case["a"], case["c"]]).max() < 1e-9
            assert np.abs(np.subtract(*got["seen"])).max() < 1e-9
        else:
            assert np.isfinite(got["back"]).all()
    assert n_open > 0.9 * len(cases)


def test_what_is_said_is_what_python_says():
    rng = np.random.default_rng(6)
    cases = []
    for k in range(drawn(2400)):
        x = rng.integers(-40, 41, size=3) / 20
        if np.ptp(x) == 0:
            x[0] += 0.5
        scale, offset = rng.integers(-40, 41) / 20, rng.integers(-30, 31) / 20
        scale = scale if k % 10 else 0  # then without an eps there is no z
        eps = float(rng.choice([0, 0, 1e-5, 1e-3, 0.01, 0.1, 1]))
        cases.append({"x": x.tolist(), "scale": float(scale), "offset": float(offset), "eps": eps})
    explorer, n_none = explore_layernorm(), 0
    code = "state => lines(state, look(state))"
    for case, (_, first, second, third) in zip(cases, answers("layernorm", code, cases), strict=True):
        for name, value in case.items():
            setattr(explorer, name, value)
        said = explorer.text.splitlines()
        assert np.abs(np.subtract(numbers(first), numbers(said[0]))).max() <= 0.0101, (
            case
        )  # a tie is rounded either way
        if said[1] == NONE:
            assert (second, third) == (NONE, "there is no z")
            n_none += 1
            continue
        length, *z = numbers(second)
        assert np.abs(np.subtract(z, numbers(said[1]))).max() <= 1.01e-4, case
        moved = case["scale"] * np.array(case["x"]) + case["offset"]
        assert abs(length - np.sqrt(3) * moved.std()) <= 0.5001e-3
        assert re.sub(r"[\d.]+", "n", third) == re.sub(r"[\d.]+", "n", said[2]), case
    assert n_none >= len(cases) / 100
