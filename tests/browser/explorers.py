"""The explorers as a reader meets them, wherever they are shown: how to move each, and what it must say afterwards."""

import base64
import inspect
import json
import re

import nbformat
import numpy as np
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import expect
from shared import ROOT

from lnpoly_helpers import (
    Arrangement,
    angle_between,
    count_faces,
    crossings,
    partition_circle,
    partition_sphere,
    restrict,
    rotate,
    split_change,
)


class Explorer:
    """The first explorer of that name on a page."""

    def __init__(self, page, name):
        self.page, self.name, self.box = page, name, page.locator(f'.lnpoly-explorer[data-explorer="{name}"]').first
        self.box.wait_for()
        self.box.scroll_into_view_if_needed()

    def says(self, line):
        """Wait for a line, or a part of one, of the numbers."""
        whole = re.compile(rf"(?<![\d.,−]){re.escape(line.replace('-', '−'))}(?!\.?\d)")
        expect(self.box.locator(".lx-numbers")).to_have_text(whole, use_inner_text=True)

    def rests(self):
        """Wait until what moves by itself has arrived."""
        expect(self.box.locator('[aria-busy="true"]')).to_have_count(0)

    def handle(self, label):
        return self.box.get_by_role("slider", name=label, exact=True)

    def value(self, label):
        """The number that a handle has, once what was done last is drawn."""
        self.page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        return float(self.handle(label).get_attribute("aria-valuenow"))

    def press(self, label, key, n=1):
        """Focus the handle of that name and press a key n times."""
        self.handle(label).focus()
        for _ in range(n):
            self.page.keyboard.press(key)

    def spot(self, point, drawing=0):
        """Where a point of a drawing, in its own units, is on the screen."""
        read = """(one, point) => { const { x, y } = new DOMPoint(...point).matrixTransform(one.getScreenCTM());
          return [x, y]; }"""
        return self.box.locator(".lx-view svg").nth(drawing).evaluate(read, [float(c) for c in point])

    def show(self, drawing=0):
        """Scroll a drawing to the middle of the window."""
        view = self.box.locator(".lx-view svg").nth(drawing)
        view.evaluate("one => one.scrollIntoView({block: 'center', behavior: 'instant'})")

    def click(self, point, drawing=0):
        """Click a point of a drawing."""
        self.show(drawing)
        self.page.mouse.click(*self.spot(point, drawing))

    def drag(self, start, end, drawing=0, changes=None):
        """Press the mouse at a point of a drawing, let it go at another one; half-way the numbers have changed.

        Or what the handle of a name says of itself.
        """
        self.show(drawing)
        watched = self.handle(changes) if changes else self.box.locator(".lx-numbers")
        read = (lambda: watched.get_attribute("aria-valuetext")) if changes else watched.inner_text
        before, (a, b) = read(), (self.spot(point, drawing) for point in (start, end))
        self.page.mouse.move(*a)
        self.page.mouse.down()
        for share in (0.25, 0.5):
            self.page.mouse.move(*((1 - share) * p + share * q for p, q in zip(a, b, strict=True)))
        if changes:
            expect(watched).not_to_have_attribute("aria-valuetext", before)
        else:
            expect(watched).not_to_have_text(before, use_inner_text=True)
        self.page.mouse.move(*b)
        self.page.mouse.up()


def crossings_by_hand(directions, biases):
    """(degrees, neuron, switches on) of every crossing of the circle, from cos(θ − direction) = −bias alone."""
    found = []
    for neuron, (direction, bias) in enumerate(zip(directions, biases, strict=True)):
        half = np.degrees(np.arccos(-bias))
        # the neuron is on where the cosine is above −bias: on from direction − half up to direction + half
        found += [((direction - half) % 360, neuron, True), ((direction + half) % 360, neuron, False)]
    return sorted(found)


def says_crossings(explorer, directions, biases, k):
    """That it says how many arcs there are, and where crossing k is."""
    expected = crossings_by_hand(directions, biases)
    degrees, neuron, on = expected[k]
    explorer.says(f"{len(expected)} arcs, {len(expected)} patterns")
    explorer.says(f"Boundary {k}: neuron {neuron} switches {'on' if on else 'off'} at {degrees:.1f}°")


# --- each explorer by mouse, then by keyboard, from its start; each returns what Python must read of its state -----


def circle_by_mouse(explorer):
    """Line 0, pulled towards its arrow; then x along its ray, which leaves z where it is."""
    w = np.array([np.cos(np.pi / 6), np.sin(np.pi / 6)])
    start = -0.3 * w + 1.5 * np.array([-w[1], w[0]])
    explorer.drag(start * [1, -1], (start + 0.4 * w) * [1, -1])
    bias = explorer.value("bias of neuron 0")
    assert abs(bias + 0.1) <= 0.015  # a pixel, and steps of a hundredth
    crossings = crossings_by_hand([30, 150, 260], [bias, -0.4, 0.6])
    k = [neuron for _, neuron, _ in crossings].index(0)
    angle = np.radians(crossings[k][0])
    explorer.click((np.cos(angle), -np.sin(angle)), drawing=1)
    says_crossings(explorer, [30, 150, 260], [bias, -0.4, 0.6], k)
    x = np.array([1.35, -0.55])
    explorer.says(f"LayerNorm sends it to z at {np.degrees(np.arctan2(*x[::-1])) % 360:.1f}°")
    explorer.drag(0.5 * x * [1, -1], 0.8 * x * [1, -1])
    explorer.says(f"LayerNorm sends it to z at {np.degrees(np.arctan2(*x[::-1])) % 360:.1f}°")
    length = 0.8 * np.hypot(*x)
    assert explorer.handle("the vector x").get_attribute("aria-valuetext").endswith(
        (f"length {length:.2f}", f"length {length + 0.01:.2f}", f"length {length - 0.01:.2f}"))  # fmt: skip
    return {"biases": [bias, -0.4, 0.6], "boundary": k}


def circle_by_keyboard(explorer):
    """After circle_by_mouse: bias 0 back to -0.1, direction 1, the boundary that is looked at, x, the switch."""
    explorer.press("bias of neuron 0", "Home")
    for key, n in (("ArrowRight", 28), ("Shift+ArrowUp", 1), ("Shift+ArrowDown", 1)):
        explorer.press("bias of neuron 0", key, n)
    explorer.press("direction of neuron 1", "ArrowLeft", 2)
    for _ in range(int(explorer.value("boundary")) - 1):
        explorer.press("boundary", "ArrowLeft")
    says_crossings(explorer, [30, 160, 260], [-0.1, -0.4, 0.6], 1)
    length = explorer.handle("the vector x").get_attribute("aria-valuetext").split()[-1]
    explorer.press("the vector x", "ArrowUp")
    explorer.says(f"length {float(length) + 0.1:.2f}; LayerNorm sends it to z at 337.8°, pattern 101")
    explorer.box.get_by_role("checkbox", name="LayerNorm").press("Space")
    explorer.says("no LayerNorm: the neurons see x itself")
    explorer.box.get_by_role("checkbox", name="LayerNorm").press("Space")
    return {"directions": [30, 160, 260], "biases": [-0.1, -0.4, 0.6], "boundary": 1}


X = np.array([1.4, 0.5, -0.7])


def says_layernorm(explorer, x, a, c, eps=0.0):
    """That it says what LayerNorm makes of a x + c 1, and how far that is from where x is sent."""
    y = a * x + c
    z, before = (y - y.mean()) / np.sqrt(y.var() + eps), (x - x.mean()) / x.std()
    numbers = ", ".join(f"{v + 0.0:.2f}" for v in y.round(2))
    explorer.says(f"a·x + c·1 = ({numbers}): mean {y.mean():.2f}, standard deviation {y.std():.3f}")
    explorer.says(f"z = ({', '.join(f'{v + 0.0:.4f}' for v in z.round(4))})")
    apart = np.linalg.norm(z - before)
    explorer.says("z is where x itself is sent" if apart < 1e-9 else f"z is {apart:.4f} away")


def layernorm_by_mouse(explorer):
    """The filled dot within its sheet: z stays. Then the ground, which turns the view."""
    a, e = np.radians(explorer.value("the view")), np.radians(14)
    right, up = (
        np.array([-np.sin(a), np.cos(a), 0]),
        np.array([-np.sin(e) * np.cos(a), -np.sin(e) * np.sin(a), np.cos(e)]),
    )

    def seen(p):
        return np.array([right @ p, -up @ p])

    explorer.drag(seen(1.5 * X + 0.5), seen(0.8 * X + 1.0))
    text = explorer.handle("the vector a x + c 1").get_attribute("aria-valuetext").replace("−", "-")
    scale, offset = (float(n) for n in re.findall(r"-?\d+\.\d+", text))
    assert abs(scale - 0.8) <= 0.051 and abs(offset - 1.0) <= 0.051, "a pixel, and steps of 0.05"
    says_layernorm(explorer, X, scale, offset)
    explorer.drag((-2.0, 1.0), (-1.0, 1.0), changes="the view")
    assert explorer.value("the view") < -30
    return {"scale": scale, "offset": offset, "x": X.tolist()}


def layernorm_by_keyboard(explorer):
    """After layernorm_by_mouse: back to a = -2, then a and c by keys; x longer; ε."""
    explorer.press("the vector a x + c 1", "ArrowDown", 45)
    explorer.press("the vector a x + c 1", "ArrowUp", 30)
    explorer.press("the vector a x + c 1", "ArrowLeft", 35)
    explorer.press("the vector a x + c 1", "ArrowRight", 17)
    says_layernorm(explorer, X, 1.0, 0.2)
    explorer.press("the vector x", "ArrowUp")
    x = X.mean() + 1.1 * (X - X.mean())
    says_layernorm(explorer, x, 1.0, 0.2)
    explorer.press("ε", "ArrowRight", 4)
    says_layernorm(explorer, x, 1.0, 0.2, eps=0.1)
    return {"scale": 1.0, "offset": 0.2, "eps": 0.1}


def rows_of(n, seed=0):
    """The normals and offset numbers that the sphere's explorer draws, drawn here."""
    rows = np.random.default_rng(seed).standard_normal((n, 4))
    return rows[:, :3] / np.linalg.norm(rows[:, :3], axis=1, keepdims=True), rows[:, 3]


def says_middle(explorer, n, spread, longitude, latitude):
    """That it says the face in the middle: its pattern, its area, who flips a step away; returns those neurons."""
    normals, offsets = rows_of(n)
    sphere = partition_sphere(Arrangement(normals, spread * offsets))
    lon, lat = np.radians([longitude, latitude])
    y = np.array([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
    face = sphere.face_at(y)
    pattern = "".join("01"[int(on)] for on in normals @ y + spread * offsets > 0)
    explorer.says(
        f"{(np.abs(spread * offsets) < 1).sum()} of them cut the sphere: {count_faces(sphere.arrangement)} faces"
    )
    explorer.says(f"In the middle: {pattern}, {100 * sphere.areas[face] / (4 * np.pi):.2f} % of the sphere")
    return pattern, sorted(set(sphere.neighbours(face)[1].tolist()))


def flip(pattern, neuron):
    return pattern[:neuron] + "10"[int(pattern[neuron])] + pattern[neuron + 1 :]


def place(explorer):
    """Longitude and latitude, as the sphere's handle says them."""
    said = explorer.handle("the sphere: turn it").get_attribute("aria-valuetext").replace("−", "-")
    return [float(one) for one in re.findall(r"-?\d+\.\d", said)]


def sphere_by_mouse(explorer):
    """A step over a boundary, a click on the sphere, then turned by a drag."""
    pattern, around = says_middle(explorer, 8, 0.3, 30, 15)
    neuron = around[1]
    explorer.box.get_by_role("button", name=re.compile(f"neuron {neuron} is .*; flip it")).click()
    explorer.says(f"In the middle: {flip(pattern, neuron)}")
    explorer.rests()
    explorer.click((0.3, 0.2))
    explorer.rests()
    before = place(explorer)
    explorer.drag((0.5, 0.3), (-0.3, 0.0))
    longitude, latitude = place(explorer)
    assert abs(latitude - (before[1] - np.degrees(0.3))) < 0.5
    moved = (longitude - before[0] + 180) % 360 - 180
    assert abs(moved - np.degrees(0.8) / max(np.cos(np.radians(before[1])), 0.4)) < 0.7
    says_middle(explorer, 8, 0.3, longitude, latitude)
    return {"n": 8, "seed": 0, "spread": 0.3, "longitude": longitude, "latitude": latitude}


def sphere_by_keyboard(explorer):
    """After sphere_by_mouse: back to the start, three more neurons, pushed apart, turned; then over a boundary."""
    explorer.press("the sphere: turn it", "Home")
    explorer.press("neurons", "ArrowRight", 3)
    explorer.press("bias spread", "ArrowRight", 4)
    for key, n in (("ArrowLeft", 2), ("ArrowUp", 1), ("Shift+ArrowRight", 3)):
        explorer.press("the sphere: turn it", key, n)
    pattern, around = says_middle(explorer, 11, 0.5, 23, 20)
    button = explorer.box.get_by_role("button", name=re.compile(f"neuron {around[0]} is .*; flip it"))
    button.press("Enter")
    explorer.says(f"In the middle: {flip(pattern, around[0])}")
    explorer.rests()
    explorer.press("the sphere: turn it", "Home")
    says_middle(explorer, 11, 0.5, 30, 15)
    return {"n": 11, "seed": 0, "spread": 0.5, "longitude": 30, "latitude": 15}


def layer_and_vectors():
    """A layer and four vectors, the same wherever this runs."""
    import numpy as np

    from lnpoly_helpers import FoldedMLP

    rng = np.random.default_rng(0)
    W, b, W_out, x = (rng.normal(size=shape) for shape in ((24, 90), 90, (90, 24), (4, 24)))
    return FoldedMLP(W - W.mean(axis=0), 1.5 * b, W_out, np.zeros(24), "relu", 0.0, "layernorm"), x


def saved_state(explorer):
    """What a page of the site holds of the explorer; None where a kernel runs."""
    figure = explorer.page.locator(f'figure[data-explorer="{explorer.name}"] script')
    return json.loads(figure.first.text_content()) if figure.count() else None


def decoded(text, n):
    return np.frombuffer(base64.b64decode(text)).reshape(n, -1)


def circle_through(explorer, first, second):
    """The circle through two vectors and the angle between them, cut by Python from what the page holds, or anew."""
    state = saved_state(explorer)
    if state is None:
        mlp, x = layer_and_vectors()
        u, v = (y / np.linalg.norm(y) for y in mlp.to_sphere(x[[first, second]]))
        return partition_circle(restrict(mlp, mlp.slice(x[[first, second]]))), np.arccos(u @ v)
    layer = state["slices"][str(state["layer"])]
    six = np.frombuffer(base64.b64decode(layer["values"]), dtype=np.uint8).reshape(-1, 6)
    whole = six @ 256 ** np.arange(6)
    rows = layer["step"] * np.where(whole < 2**47, whole, whole - 2**48).reshape(layer["n"] + 1, -1)
    apart = decoded(layer["apart"], layer["n"])[first, second]
    B = (rows[1 + second] - np.cos(apart) * rows[1 + first]) / np.sin(apart)
    return partition_circle(Arrangement(np.c_[rows[1 + first], B], rows[0])), apart


def says_place(explorer, first, second, where, width):
    """That it says what the circle is and has at a place."""
    circle, apart = circle_through(explorer, first, second)
    degrees = np.degrees(circle.angles)
    explorer.says(f"{circle.n_arcs:,} arcs, {circle.n_patterns:,} patterns on the whole circle")
    explorer.says(f"are {np.degrees(apart):.1f}° apart, with {(circle.angles < apart).sum():,} boundaries between them")
    away = (degrees - where + 180) % 360 - 180
    k, inside = np.abs(away).argmin(), (np.abs(away) < width / 2).sum()
    arc = (degrees <= where).sum() or len(degrees)
    explorer.says(f"arc {arc:,} of {circle.n_arcs:,}, and in {width:g}° around it {inside:,} boundar")
    explorer.says(f"The nearest, neuron {circle.neurons[k]}, is")
    explorer.says("ahead" if away[k] > 0 else "behind")
    return circle


def slice_by_mouse(explorer):
    """The bead on the circle, then the stretch beside it; the wheel over its middle; the next arc."""
    bead, (first, second) = "the place on the circle", chosen(explorer)
    assert explorer.value(bead) == 20
    explorer.drag(1.14 * around(20), 1.14 * around(75))
    where = explorer.value(bead)
    assert abs(where - 75) < 1.5
    says_place(explorer, first, second, where, 5)
    explorer.drag((600, 220), (400, 220), drawing=1)
    assert abs(explorer.value(bead) - where - 1) < 0.05
    explorer.page.mouse.move(*explorer.spot((500, 220), drawing=1))
    explorer.page.mouse.wheel(0, -120)
    width = 5 * np.exp(-0.4)
    explorer.says(f"{width:.3g}° around it")
    where = explorer.value(bead)
    circle = says_place(explorer, first, second, where, float(f"{width:.3g}"))
    arc = (np.degrees(circle.starts) <= where).sum()
    explorer.box.get_by_role("button", name="to the next arc").click()
    explorer.says(f"arc {arc + 1:,} of")
    return {"where": explorer.value(bead), "width": float(f"{width:.3g}"), "first": first, "second": second}


def slice_by_keyboard(explorer):
    """After slice_by_mouse: another vector, the first one's place, zoomed in to the end and moved by steps."""
    bead, (first, second) = "the place on the circle", chosen(explorer)
    other = 3 if second != 3 else 1
    explorer.box.get_by_role("combobox", name="to the vector").select_option(str(other))
    explorer.press(bead, "Home")
    width = 3.35
    explorer.press(bead, "-", 2)
    says_place(explorer, first, other, 0, 4 * width)
    explorer.press(bead, "ArrowRight", 3)
    where = explorer.value(bead)
    assert abs(where - 1.2 * width) < 1e-3
    says_place(explorer, first, other, where, 4 * width)
    explorer.press("width of the window", "Home")  # the narrowest
    explorer.press("the enlarged stretch: move it", "ArrowRight")
    assert abs(explorer.value(bead) - where - 0.001) < 1e-6
    says_place(explorer, first, other, explorer.value(bead), 0.01)
    return {"where": explorer.value(bead), "width": 0.01, "first": first, "second": other}


def around(degrees):
    return np.array([np.cos(np.radians(degrees)), -np.sin(np.radians(degrees))])


def chosen(explorer):
    """The two vectors that are chosen."""
    selects = [explorer.box.get_by_role("combobox", name=name) for name in ("from the vector", "to the vector")]
    return [int(select.input_value()) for select in selects]


def path_of(explorer):
    """Places, lengths there and crossings with who flips and how: out of what the page holds, or computed anew."""
    state = saved_state(explorer)
    if state is not None:
        return decoded(state["path"]["places"], 4), decoded(state["path"]["flips"], 3)
    mlp, x = layer_and_vectors()
    z0, z1 = mlp.to_sphere(x[:2])
    found = crossings(mlp, z0, z1)
    degrees = np.append(np.arange(0, np.degrees(angle_between(z0, z1)), 0.5), np.degrees(angle_between(z0, z1)))
    tangent, rest = split_change(mlp, z0, rotate(z0, z1, np.radians(degrees)))
    lengths = [np.linalg.norm(part, axis=1) for part in (tangent + rest, tangent, rest)]
    return np.array([degrees, *lengths]), np.array([np.degrees(found.angles), found.neurons, found.turns_on])


def says_walked(explorer, angle):
    """That it says what lies behind and ahead at a place of the path."""
    places, (degrees, neurons, turns_on) = path_of(explorer)
    k, n = np.abs(places[0] - angle).argmin(), (degrees <= angle).sum()
    assert abs(places[0, k] - angle) < 1e-9
    explorer.says(f"{angle:.1f}° of {places[0, -1]:.1f}°: {n} of {len(degrees)} boundaries crossed")
    explorer.says("Lengths: output moved {:.3f}, tangent part {:.3f}, rest {:.3f}".format(*places[1:, k]))
    if n < len(degrees):
        way = "on" if turns_on[n] else "off"
        explorer.says(f"Next: neuron {int(neurons[n])} switches {way} at {degrees[n]:.2f}°")
    else:
        explorer.says("No boundary is left before the end")


def rotation_by_mouse(explorer):
    """The bead, dragged along the path; a press farther on."""
    bead, whole = "the place on the path", path_of(explorer)[0][0, -1]
    start = explorer.value(bead)
    explorer.drag((58 + 532 * start / whole, 200), (58 + 532 * 0.2, 220))
    assert abs(explorer.value(bead) - 0.2 * whole) < 0.7
    says_walked(explorer, explorer.value(bead))
    explorer.click((58 + 532 * 0.7, 100))
    assert abs(explorer.value(bead) - 0.7 * whole) < 0.7
    says_walked(explorer, explorer.value(bead))
    return {"angle": explorer.value(bead)}


def rotation_by_keyboard(explorer):
    """After rotation_by_mouse: both ends, and steps from the start."""
    bead, whole = "the place on the path", path_of(explorer)[0][0, -1]
    explorer.press(bead, "End")
    says_walked(explorer, whole)
    explorer.press(bead, "Home")
    says_walked(explorer, 0)
    for key, n in (("ArrowRight", 3), ("PageUp", 2), ("ArrowDown", 1)):
        explorer.press(bead, key, n)
    says_walked(explorer, 11.0)
    return {"angle": 11.0}


MOVES = {
    "circle": (circle_by_mouse, circle_by_keyboard),
    "layernorm": (layernorm_by_mouse, layernorm_by_keyboard),
    "sphere": (sphere_by_mouse, sphere_by_keyboard),
    "slice": (slice_by_mouse, slice_by_keyboard),
    "rotation": (rotation_by_mouse, rotation_by_keyboard),
}
# the notebook that shows each
NOTEBOOKS = {
    "circle": "03_arcs_on_the_circle",
    "layernorm": "01_layernorm_is_a_projection",
    "sphere": "04_from_circle_to_sphere",
    "slice": "06_gpt2_small",
    "rotation": "07_adding_a_direction",
}
# what each is shown with in JupyterLab, where two need a layer that is there at once
SHOWN_WITH = {"circle": "", "layernorm": "", "sphere": "", "slice": "mlp, x", "rotation": "mlp, *mlp.to_sphere(x[:2])"}
# two cells for each: one sets the explorer to where it was at first, one prints where it is
ASK = (
    "at_first = globals().setdefault('at_first', {{}})\n"
    "for what, value in at_first.setdefault('{0}', explorer_{0}.values).items():\n"
    "    setattr(explorer_{0}, what, value)",
    "import json\nprint(json.dumps(explorer_{0}.values))",
)
PYTHON = {"kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}}


def notebook_of_all():
    """A notebook with every explorer, each under its own name, and below them the cells that ask, in the same order."""
    cells = [inspect.getsource(layer_and_vectors), "from lnpoly_helpers.widgets import *\nmlp, x = layer_and_vectors()"]
    cells += [f"explorer_{name} = explore_{name}({given})\nexplorer_{name}" for name, given in SHOWN_WITH.items()]
    cells += [ask.format(name) for name in SHOWN_WITH for ask in ASK]
    return new_notebook(metadata=PYTHON, cells=[*map(new_code_cell, cells)])


def notebook(name):
    """The notebook of the series that shows an explorer, as nobody has run it, and below it the cells that ask."""
    nb = nbformat.read(ROOT / "notebooks" / f"{NOTEBOOKS[name]}.ipynb", as_version=4)
    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
            kept = rf"explorer_{name} = \1\nexplorer_{name}"
            cell.source = re.sub(r"^(explore_\w+\(.*\))$", kept, cell.source, flags=re.MULTILINE)
    nb.cells += [new_code_cell(ask.format(name)) for ask in ASK]
    return nb
