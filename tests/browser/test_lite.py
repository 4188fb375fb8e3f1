"""Notebooks 1 to 4 where nothing is installed: the page that make lite writes, every cell run in the browser itself.

It asks no other host for anything. A proxy that leads nowhere hears of it if it does, from a worker as well.
"""

import http.server
import re
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import nbformat
import pytest
import scripts
from explorers import MOVES, Explorer
from playwright.sync_api import TimeoutError
from shared import ROOT, SCREENSHOTS
from test_jupyterlab import PROMPTS
from test_pages import served
from thorough import some

PATIENCE = 180_000  # to wait for anything, in milliseconds: Python has to come to the page first
NAMES = [path.stem for path in scripts.load("notebooks/lite.py").NOTEBOOKS]
# the one that fetches most stands for all, but in a thorough run
ALWAYS = NAMES[-1]
PUBLISHED = scripts.load("notebooks/build.py").public_site()
# what each cell shows: its words, the alternative texts of its pictures, and whatever is neither
SHOWN = """[...document.querySelectorAll(".jp-CodeCell")].map(cell => {
  const shown = [...cell.querySelectorAll(".jp-OutputArea-output")], kind = one => one.dataset.mimeType;
  return {
    words: shown.filter(one => kind(one) === "application/vnd.jupyter.stdout").map(one => one.textContent).join(""),
    pictures: shown.filter(one => kind(one) === "image/png" || one.querySelector(".lnpoly-explorer")).length,
    errors: shown.filter(one => /error|stderr/.test(kind(one))).map(one => one.textContent),
  };
})"""
# Chromium asks this host what the fields of a page may mean, whatever the page
CHROMIUMS_OWN = {"content-autofill.googleapis.com:443"}


@contextmanager
def nowhere():
    """The address of a proxy that refuses all, and the list of the hosts that it was asked for."""
    asked = []

    class Nowhere(http.server.BaseHTTPRequestHandler):
        def refuse(self):
            asked.append(self.path)
            self.send_error(403)

        do_CONNECT = do_GET = do_HEAD = do_POST = refuse

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Nowhere)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()


@contextmanager
def alone(browser):
    """A new page that reaches this machine alone, and the list of what it asks for elsewhere."""
    with nowhere() as (proxy, asked):
        context = browser.new_context(
            viewport={"width": 1280, "height": 1000}, proxy={"server": proxy, "bypass": "127.0.0.1"}
        )
        context.set_default_timeout(PATIENCE)
        yield context.new_page(), asked
        context.close()


@pytest.fixture(scope="module")
def origin(tmp_path_factory):
    """The page that runs these notebooks, served as it is beside the site."""
    folder = tmp_path_factory.mktemp("site")
    subprocess.run([sys.executable, ROOT / "notebooks" / "lite.py", folder / "lite"], check=True, timeout=600)
    with served(folder) as address:
        yield address


def saved(name):
    """What each code cell of a notebook shows, as SHOWN has it."""
    cells = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4).cells
    return [
        {
            "words": "".join(o.text for o in cell.outputs if o.output_type == "stream" and o.name == "stdout"),
            "pictures": sum("image/png" in o.get("data", {}) for o in cell.outputs),
            "errors": [],
        }
        for cell in cells
        if cell.cell_type == "code"
    ]


@contextmanager
def run_all(browser, site, origin, name):
    """The page of that notebook, come to by the link of the published site, all of whose cells have run."""
    with alone(browser) as (page, asked):
        page.goto((site / f"{name}.html").as_uri())
        link = page.get_by_role("link", name="Run it here").get_attribute("href")
        assert link.startswith(PUBLISHED)
        for patience in (90, 180):  # once in a while JupyterLite's kernel does not begin
            page.goto(origin + link.removeprefix(PUBLISHED))
            page.locator(".jp-CodeCell").first.wait_for()
            start = time.perf_counter()
            page.locator("[data-status=idle]").first.wait_for()  # sooner, a slow machine asks which kernel to take
            page.get_by_role("menuitem", name="Run", exact=True).click()
            page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
            try:
                page.locator(".jp-OutputArea-output img").first.wait_for(timeout=1000 * patience)
                break
            except TimeoutError:
                if patience == 180:
                    raise
        print(f"\n{name}: first picture {time.perf_counter() - start:.1f} s after the page", end="")
        done = [f"[{k}]:" for k in range(1, len(saved(name)) + 1)]
        page.wait_for_function(f"done => String({PROMPTS}) === String(done)", arg=done)
        print(f", all after {time.perf_counter() - start:.1f} s")
        yield page
        assert set(asked) <= CHROMIUMS_OWN


TOUCH = {"01": "layernorm", "03": "circle", "04": "sphere"}


@pytest.mark.slow
@pytest.mark.parametrize("name", some(NAMES, ALWAYS))
def test_notebook_runs_in_the_browser_and_shows_what_is_saved(browser, site, origin, name):
    with run_all(browser, site, origin, name) as page:
        assert page.evaluate(SHOWN) == saved(name)
        assert any(cell["words"] for cell in saved(name))
        if name[:2] in TOUCH:
            explorer = Explorer(page, TOUCH[name[:2]])
            for move in MOVES[TOUCH[name[:2]]]:
                move(explorer)
        page.screenshot(path=SCREENSHOTS / f"lite-{name[:2]}.png")


def test_every_notebook_with_an_explorer_has_it_moved():
    texts = {name: (ROOT / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8") for name in NAMES}
    assert [name[:2] for name, text in texts.items() if re.search(r"\bexplore_\w+\(", text)] == list(TOUCH)


# --- that the checks can fail --------------------------------------------------------------------------------------

WORKER = "new Worker(URL.createObjectURL(new Blob([`fetch('{0}').catch(() => postMessage(0))`]))).onmessage = done"
ASKS = {
    "picture": "const one = new Image(); one.onerror = done; one.src = '{0}'; document.body.append(one)",
    "worker": WORKER,
}


@pytest.mark.parametrize("url", ["https://example.org/a.png", "http://example.org/a.png"])
@pytest.mark.parametrize("ask", ASKS)
def test_a_question_to_another_host_is_heard(browser, tmp_path, ask, url):
    (tmp_path / "a.html").write_text("<!DOCTYPE html><title>A</title>", encoding="utf-8")
    with served(tmp_path) as origin, alone(browser) as (page, asked):
        page.goto(origin + "a.html")
        assert asked == []
        page.evaluate(f"() => new Promise(done => {{ {ASKS[ask].replace('{0}', url)} }})")
        asked = set(asked) - CHROMIUMS_OWN
        assert len(asked) == 1 and re.search(r"(^|//)example\.org[:/]", asked.pop())
