"""The explorers as a reader meets them, wherever they are shown: how to move each, and what it must say afterwards."""

import re

import numpy as np
from playwright.sync_api import expect

PATIENCE = 20_000  # to wait for anything, in milliseconds


class Explorer:
    """The first explorer of that name on a page."""

    def __init__(self, page, name):
        self.page, self.box = page, page.locator(f'.lnpoly-explorer[data-explorer="{name}"]').first
        self.box.wait_for(timeout=PATIENCE)
        self.box.scroll_into_view_if_needed()

    def says(self, line):
        """Wait for a line, or a part of one, of the numbers."""
        whole = re.compile(rf"(?<![\d.,−]){re.escape(line.replace('-', '−'))}(?!\.?\d)")
        expect(self.box.locator(".lx-numbers")).to_have_text(whole, use_inner_text=True, timeout=PATIENCE)

    def handle(self, label):
        return self.box.get_by_role("slider", name=label, exact=True)

    def value(self, label):
        """The number that a handle has."""
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

    def drag(self, start, end, drawing=0):
        """Press the mouse at a point of a drawing, let it go at another one; half-way the numbers have changed."""
        self.show(drawing)
        numbers = self.box.locator(".lx-numbers")
        before, (a, b) = numbers.inner_text(), (self.spot(point, drawing) for point in (start, end))
        self.page.mouse.move(*a)
        self.page.mouse.down()
        for share in (0.25, 0.5):
            self.page.mouse.move(*((1 - share) * p + share * q for p, q in zip(a, b, strict=True)))
        expect(numbers).not_to_have_text(before, use_inner_text=True)
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


MOVES = {"circle": (circle_by_mouse, circle_by_keyboard)}
# the notebook that shows each
NOTEBOOKS = {"circle": "03_arcs_on_the_circle"}
