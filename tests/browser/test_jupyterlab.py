"""The explorers where people meet them: JupyterLab in a browser, every cell run, a slider moved by keyboard."""

import json
import os
import re
import secrets
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import nbformat
import numpy as np
import pytest
from chromium import launched, opened
from playwright.sync_api import expect

from lnpoly_helpers import Arrangement, count_faces, partition_sphere

ROOT = Path(__file__).resolve().parents[2]
SCREENSHOTS = ROOT / "screenshots"
NOTEBOOKS = ("03_arcs_on_the_circle", "04_from_circle_to_sphere")
PATIENCE = 60_000  # to wait for anything, in milliseconds
STATUS = "Python 3 (ipykernel) | Idle"
SETTINGS = {
    # else what is scrolled out of sight is not in the page
    "settings/@jupyterlab/notebook-extension/tracker.jupyterlab-settings": {"windowingMode": "none"},
    "config/labconfig/page_config.json": {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}},
}


@contextmanager
def jupyterlab(folder):
    """The address and the token of a JupyterLab of this interpreter, which keeps all its files in that folder."""
    for name, content in SETTINGS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(content))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token, log = secrets.token_hex(16), folder / "log"
    places = {"CONFIG": "config", "DATA": "data", "RUNTIME": "runtime"}
    environment = os.environ | {f"JUPYTER_{key}_DIR": str(folder / place) for key, place in places.items()}
    environment |= {f"JUPYTERLAB_{key}_DIR": str(folder / key.lower()) for key in ("SETTINGS", "WORKSPACES")}
    environment |= {"IPYTHONDIR": str(folder / "ipython"), "JUPYTER_PREFER_ENV_PATH": "1"}
    options = [
        "--no-browser",
        "--allow-root",
        f"--ServerApp.root_dir={folder / 'notebooks'}",
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0",
        "--ServerApp.terminals_enabled=False",
        f"--IdentityProvider.token={token}",
        "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]
    command = [sys.executable, "-m", "jupyterlab", *options]
    with log.open("w") as file:
        server = subprocess.Popen(command, env=environment, stdout=file, stderr=file)
    try:
        deadline = time.monotonic() + 60
        while not answers(port):
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()[-3000:]}")
            time.sleep(0.05)  # between two questions to a server that starts
        yield f"http://127.0.0.1:{port}/", token
    finally:
        server.terminate()  # it ends its kernels, too
        server.wait(30)


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A running JupyterLab, with the notebooks as nobody has run them yet."""
    folder = tmp_path_factory.mktemp("lab")
    (folder / "notebooks").mkdir()
    for name in NOTEBOOKS:
        nb = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
        for cell in nb.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        nbformat.write(nb, folder / "notebooks" / f"{name}.ipynb")
    with jupyterlab(folder) as place:
        yield place


@pytest.fixture(scope="module")
def browser():
    with launched() as one:
        yield one


@contextmanager
def run_all(browser, lab, name):
    """A page with that notebook, all of whose cells have run."""
    origin, token = lab
    n_code = sum(cell.cell_type == "code" for cell in nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", 4).cells)
    with opened(browser, origin, viewport={"width": 1280, "height": 1000}) as (page, elsewhere):
        page.set_default_timeout(PATIENCE)
        page.goto(f"{origin}lab/tree/{name}.ipynb?token={token}&reset")
        page.get_by_text(STATUS).wait_for()
        assert prompts(page) == ["[ ]:"] * n_code
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        done = [f"[{k}]:" for k in range(1, n_code + 1)]
        page.wait_for_function(f"done => String({PROMPTS}) === String(done)", arg=done)
        page.get_by_text(STATUS).wait_for()
        assert page.locator(".jp-Notebook [data-mime-type='application/vnd.jupyter.error']").count() == 0
        yield page
        page.get_by_role("menuitem", name="Kernel", exact=True).click()
        page.get_by_role("menuitem", name="Shut Down Kernel", exact=True).click()
        page.get_by_text("No Kernel | ").wait_for()
        assert {url for url in elsewhere if "badge" not in url} == set()  # the badges are pictures from elsewhere


PROMPTS = """[...document.querySelectorAll(".jp-CodeCell .jp-InputPrompt")].map(one => one.textContent.trim())"""


def prompts(page):
    return page.evaluate(PROMPTS)


class Explorer:
    """The first explorer of a page, as a reader meets it."""

    def __init__(self, page):
        self.page, self.box = page, page.locator(".lnpoly-explorer").first
        self.box.scroll_into_view_if_needed()
        self.picture = self.box.locator("img")
        self.picture.wait_for()

    def says(self, line):
        """Wait for a line of the numbers, which the kernel sends apart from the picture."""
        whole = re.compile(rf"(?<![\d.,-]){re.escape(line)}(?![\d.,])")
        expect(self.box.locator(".lnpoly-numbers")).to_have_text(whole, use_inner_text=True, timeout=PATIENCE)

    def bytes(self):
        """The picture that is shown, as a PNG file."""
        read = """async one => [...new Uint8Array(await (await fetch(one.src)).arrayBuffer())]"""
        return bytes(self.picture.evaluate(read))

    def press(self, label, key, n=1):
        """Focus the slider of that name and press a key n times; wait until the picture has changed."""
        row = self.box.locator(".widget-slider").filter(has=self.page.get_by_text(label, exact=True))
        handle = row.get_by_role("slider")
        for _ in range(n):
            value, before = handle.get_attribute("aria-valuetext"), self.picture.get_attribute("src")
            handle.focus()
            self.page.keyboard.press(key)
            expect(handle).not_to_have_attribute("aria-valuetext", value, timeout=PATIENCE)
            expect(self.picture).not_to_have_attribute("src", before, timeout=PATIENCE)
        self.page.wait_for_function("one => one.complete && one.naturalWidth > 0", arg=self.picture.element_handle())


def crossings_by_hand(directions, biases):
    """(degrees, neuron, switches on) of every crossing of the circle, from cos(θ − direction) = −bias alone."""
    found = []
    for neuron, (direction, bias) in enumerate(zip(directions, biases, strict=True)):
        half = np.degrees(np.arccos(-bias))
        # the neuron is on where the cosine is above −bias: on from direction − half up to direction + half
        found += [((direction - half) % 360, neuron, True), ((direction + half) % 360, neuron, False)]
    return sorted(found)


def test_circle_moves_by_keyboard_and_its_numbers_are_right(browser, lab):
    with run_all(browser, lab, NOTEBOOKS[0]) as page:
        explorer = Explorer(page)
        first = explorer.bytes()
        directions, biases = [30, 150, 260], [0.3, -0.4, 0.6]
        for boundary, moves in ((0, []), (1, [("boundary", 1)]), (1, [("direction 0 (°)", 2), ("bias 1", 3)])):
            for label, n in moves:
                explorer.press(label, "ArrowRight", n)
            if len(moves) == 2:
                directions[0], biases[1] = 40, -0.25
            expected = crossings_by_hand(directions, biases)
            degrees, neuron, on = expected[boundary]
            line = f"Boundary {boundary}: neuron {neuron} switches {'on' if on else 'off'} at {degrees:.1f}°"
            explorer.says(line)
            explorer.says(f"{len(expected)} arcs, {len(expected)} patterns")
        assert explorer.bytes()[:8] == first[:8] == b"\x89PNG\r\n\x1a\n" and explorer.bytes() != first
        SCREENSHOTS.mkdir(exist_ok=True)
        page.screenshot(path=SCREENSHOTS / "jupyterlab-circle.png")


def test_sphere_moves_by_keyboard_and_its_numbers_are_right(browser, lab):
    with run_all(browser, lab, NOTEBOOKS[1]) as page:
        explorer = Explorer(page)
        first = explorer.bytes()
        explorer.press("neurons n", "ArrowRight", 3)
        explorer.press("bias spread", "ArrowRight", 4)
        explorer.press("longitude (°)", "ArrowLeft", 2)
        rows = np.random.default_rng(0).standard_normal((11, 4))
        arrangement = Arrangement(rows[:, :3] / np.linalg.norm(rows[:, :3], axis=1, keepdims=True), 0.5 * rows[:, 3])
        sphere, n_cutting = partition_sphere(arrangement), int((np.abs(0.5 * rows[:, 3]) < 1).sum())
        assert sphere.n_faces == count_faces(arrangement)
        counted = f"{sphere.n_faces} faces, {sphere.n_patterns} patterns"
        explorer.says(f"11 neurons, {n_cutting} of them cut the sphere: {counted}")
        assert explorer.bytes()[:8] == first[:8] == b"\x89PNG\r\n\x1a\n" and explorer.bytes() != first
        SCREENSHOTS.mkdir(exist_ok=True)
        page.screenshot(path=SCREENSHOTS / "jupyterlab-sphere.png")
