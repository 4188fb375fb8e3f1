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

import explorers
import nbformat
import pytest
from chromium import opened
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import expect
from shared import ROOT, SCREENSHOTS
from thorough import some

pytestmark = pytest.mark.slow
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
    """A running JupyterLab, with notebooks that nobody has run yet, and one with every saved picture of the series."""
    folder = tmp_path_factory.mktemp("lab")
    (folder / "notebooks").mkdir()
    made = {name: explorers.notebook(name) for name in WHOLE}
    made |= {
        "all": explorers.notebook_of_all(),
        "pictures": new_notebook(metadata=explorers.PYTHON, cells=with_pictures()),
    }
    for name, nb in made.items():
        nbformat.write(nb, folder / "notebooks" / f"{name}.ipynb")
    SCREENSHOTS.mkdir(exist_ok=True)
    with jupyterlab(folder) as place:
        yield place


WHOLE = ("circle", "layernorm", "sphere")  # whose notebooks run in JupyterLab from the first cell to the last


def with_pictures():
    """The cells of all notebooks that show a picture, with what they have shown."""
    paths = sorted((ROOT / "notebooks").glob("*.ipynb"))
    cells = [cell for path in paths for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    shown = [cell for cell in cells if any("image/png" in one.get("data", {}) for one in cell.outputs)]
    return [new_code_cell(cell.source, outputs=cell.outputs) for cell in shown]


@contextmanager
def opened_in(browser, lab, name):
    """A page of JupyterLab with that notebook, whose kernel is ready, and which asks nothing of other places."""
    origin, token = lab
    with opened(browser, origin, viewport={"width": 1280, "height": 1000}) as (page, elsewhere):
        page.goto(f"{origin}lab/tree/{name}.ipynb?token={token}&reset")
        page.get_by_text(STATUS).wait_for()
        yield page
        page.get_by_role("menuitem", name="Kernel", exact=True).click()
        page.get_by_role("menuitem", name="Shut Down Kernel", exact=True).click()
        page.get_by_text("No Kernel | ").wait_for()
        assert {url for url in elsewhere if "badge" not in url} == set()  # the badges are pictures from elsewhere


def run_all(page):
    """Run every cell of a notebook that nobody has run."""
    before = prompts(page)
    assert set(before) == {"[ ]:"}
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    done = [f"[{k}]:" for k in range(1, len(before) + 1)]
    page.wait_for_function(f"done => String({PROMPTS}) === String(done)", arg=done)
    page.get_by_text(STATUS).wait_for()
    assert page.locator(".jp-Notebook [data-mime-type='application/vnd.jupyter.error']").count() == 0


PROMPTS = """[...document.querySelectorAll(".jp-CodeCell .jp-InputPrompt")].map(one => one.textContent.trim())"""


def prompts(page):
    return page.evaluate(PROMPTS)


@pytest.fixture(scope="module")
def page_of_all(browser, lab):
    with opened_in(browser, lab, "all") as page:
        run_all(page)
        yield page


@pytest.mark.parametrize("name", explorers.SHOWN_WITH)
def test_explorer_moves_by_mouse_and_keyboard_and_python_reads_it(page_of_all, name):
    later = list(explorers.SHOWN_WITH)[::-1].index(name)
    moved_and_read(page_of_all, name, cells_below=2 * later)


@pytest.mark.parametrize("name", some(WHOLE, WHOLE[0]))
def test_notebook_runs_from_the_first_cell_to_the_last(browser, lab, name):
    """One of those whose explorer needs no network; the others in a thorough run, and all of them by `make nbval`."""
    with opened_in(browser, lab, name) as page:
        run_all(page)
        moved_and_read(page, name)
        page.screenshot(path=SCREENSHOTS / f"jupyterlab-notebook-{name}.png")


def moved_and_read(page, name, cells_below=0):
    """Move an explorer in all ways, let Python read where it is each time, and let Python set it back."""
    explorer = explorers.Explorer(page, name)
    for move in explorers.MOVES[name]:
        expected = move(explorer)
        read = cell_says(page, -1 - cells_below)
        assert {key: read[key] for key in expected} == expected
    text = explorer.box.locator(".lx-numbers").inner_text()
    explorer.show()
    page.screenshot(path=SCREENSHOTS / f"jupyterlab-{name}.png")
    cell_says(page, -2 - cells_below)  # sets what Run All has kept: all is as it was when the cell was shown
    expect(explorer.box.locator(".lx-numbers")).not_to_have_text(text, use_inner_text=True)


def test_no_picture_is_shown_wider_than_it_is_drawn(browser, lab):
    drawn = [
        one.metadata["image/png"]
        for cell in with_pictures()
        for one in cell.outputs
        if "image/png" in one.get("data", {})
    ]
    assert len(drawn) > 40
    with opened_in(browser, lab, "pictures") as page:
        shown = page.locator(".jp-OutputArea-output img")
        expect(shown).to_have_count(len(drawn))
        page.wait_for_function("[...document.querySelectorAll('.jp-OutputArea-output img')].every(one => one.complete)")
        sizes = shown.evaluate_all("all => all.map(one => [one.clientWidth, one.clientHeight, one.naturalWidth])")
        for about, (width, height, pixels) in zip(drawn, sizes, strict=True):
            assert 0 < width <= about["width"] and abs(height / width - about["height"] / about["width"]) < 0.01
            assert pixels >= 2 * width, "as sharp on a screen of twice the pixels"
        shown.nth(0).scroll_into_view_if_needed()
        page.screenshot(path=SCREENSHOTS / "jupyterlab-pictures.png")


def cell_says(page, which):
    """What a cell of the notebook prints, read as JSON, when it runs again."""
    cell = page.locator(".jp-CodeCell").nth(which)
    prompt = cell.locator(".jp-InputPrompt")
    before = prompt.inner_text()
    cell.locator(".cm-content").click()
    page.keyboard.press("Control+Enter")
    expect(prompt).not_to_have_text(re.compile(rf"\[\*\]|{re.escape(before)}"))
    page.keyboard.press("Escape")
    said = cell.locator(".jp-OutputArea-output").all_inner_texts()
    return json.loads(said[0]) if said else None
