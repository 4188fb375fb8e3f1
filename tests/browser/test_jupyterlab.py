"""The explorers where people meet them: JupyterLab in a browser, every cell run, moved by mouse and keyboard."""

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

import explorers
import nbformat
import pytest
from chromium import opened
from nbformat.v4 import new_code_cell
from playwright.sync_api import expect

ROOT = Path(__file__).resolve().parents[2]
SCREENSHOTS = ROOT / "screenshots"
PATIENCE = 60_000  # to wait for anything, in milliseconds
STATUS = "Python 3 (ipykernel) | Idle"
# two cells below each notebook: one sets its explorer to where it is at first, one reads where it is
ASK = (
    "start = globals().get('start', explorer.values)\nfor name in start:\n    setattr(explorer, name, start[name])",
    "import json\nprint(json.dumps(explorer.values))",
)
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
    for name in explorers.MOVES:
        nb = explorers.notebook(name)
        for cell in nb.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
                cell.source = re.sub(
                    r"^(explore_\w+\(.*\))$", r"explorer = \1\nexplorer", cell.source, flags=re.MULTILINE
                )
        nb.cells += map(new_code_cell, ASK)
        nbformat.write(nb, folder / "notebooks" / f"{name}.ipynb")
    with jupyterlab(folder) as place:
        yield place


@contextmanager
def run_all(browser, lab, name):
    """A page with that notebook, all of whose cells have run."""
    origin, token = lab
    n_code = sum(cell.cell_type == "code" for cell in explorers.notebook(name).cells) + len(ASK)
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
        assert page.evaluate(WIDER) == []
        yield page
        page.get_by_role("menuitem", name="Kernel", exact=True).click()
        page.get_by_role("menuitem", name="Shut Down Kernel", exact=True).click()
        page.get_by_text("No Kernel | ").wait_for()
        assert {url for url in elsewhere if "badge" not in url} == set()  # the badges are pictures from elsewhere


# pictures that are shown wider than they are drawn
WIDER = """[...document.querySelectorAll(".jp-OutputArea-output img")].filter(
  one => one.clientWidth > one.naturalWidth).map(one => `${one.clientWidth} of ${one.naturalWidth}`)"""
PROMPTS = """[...document.querySelectorAll(".jp-CodeCell .jp-InputPrompt")].map(one => one.textContent.trim())"""


def prompts(page):
    return page.evaluate(PROMPTS)


@pytest.mark.parametrize("name", explorers.MOVES)
def test_explorer_moves_by_mouse_and_keyboard_and_python_reads_it(browser, lab, name):
    with run_all(browser, lab, name) as page:
        SCREENSHOTS.mkdir(exist_ok=True)
        explorer = explorers.Explorer(page, name)
        for move in explorers.MOVES[name]:
            expected = move(explorer)
            read = cell_says(page)
            assert {key: read[key] for key in expected} == expected
        text = explorer.box.locator(".lx-numbers").inner_text()
        explorer.show()
        page.screenshot(path=SCREENSHOTS / f"jupyterlab-{name}.png")
        cell_says(page, which=-2)  # sets what Run All has set at first: all is as it was when the cell was shown
        expect(explorer.box.locator(".lx-numbers")).not_to_have_text(text, use_inner_text=True)


def cell_says(page, which=-1):
    """What a cell of the notebook prints, read as JSON, when it runs again."""
    cell = page.locator(".jp-CodeCell").nth(which)
    prompt = cell.locator(".jp-InputPrompt")
    before = prompt.inner_text()
    cell.locator(".cm-content").click()
    page.keyboard.press("Control+Enter")
    expect(prompt).not_to_have_text(re.compile(rf"\[\*\]|{re.escape(before)}"), timeout=PATIENCE)
    page.keyboard.press("Escape")
    said = cell.locator(".jp-OutputArea-output").all_inner_texts()
    return json.loads(said[0]) if said else None
