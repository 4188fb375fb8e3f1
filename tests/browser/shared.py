"""What the browser's tests work with: the windows that they open, and what is made once for all processes of a run."""

import os
import subprocess
import sys
import time
from pathlib import Path

from axe_playwright_python.base import AXE_SCRIPT

ROOT = Path(__file__).resolve().parents[2]
SCREENSHOTS = ROOT / "screenshots"
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


DRAWN = "new Promise(done => requestAnimationFrame(() => setTimeout(done)))"  # when the page is next drawn

# what axe finds that keeps somebody from using a page
SERIOUS = """([context, options]) => axe.run(context, options).then(found => found.violations
  .filter(one => ["serious", "critical"].includes(one.impact))
  .map(one => `${one.id}: ${one.nodes.slice(0, 3).map(node => node.target.join(" ")).join(", ")}`))"""


# what only colours code has no meaning and is nine elements of ten on some pages: axe is several times as fast without
PLAIN = """() => {
  for (const one of document.querySelectorAll(".highlight span:not(:has(a))")) one.replaceWith(...one.childNodes);
}"""


def serious(page, selector="html", **options):
    """The rules of accessibility that a page breaks, or what a selector names of it. Its code loses its colours."""
    if not page.evaluate("'axe' in window"):  # half a megabyte, once a page
        page.evaluate(AXE_SCRIPT)
        page.evaluate(PLAIN)
    return page.evaluate(SERIOUS, [selector, {"resultTypes": ["violations"]} | options])


def resize(page, size):
    """Give a page another window, and the time to hear of it: it is told before it is drawn anew."""
    page.set_viewport_size(size)
    page.evaluate(DRAWN)


def build_site(folder, *names):
    """Write the site with the saved outputs, of all notebooks or of those that begin so, into a folder."""
    command = [sys.executable, ROOT / "notebooks" / "build.py", *names, "--site", folder, "--saved"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=120)


def made_once(tmp_path_factory, name, make):
    """The folder of that name, which the first of the processes that work side by side fills by ``make(folder)``."""
    root = tmp_path_factory.getbasetemp()
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root
    folder, said = root / name, root / f"{name}.made"
    try:
        folder.mkdir()
    except FileExistsError:
        deadline = time.monotonic() + 300
        while not said.is_file():
            assert time.monotonic() < deadline, f"another process was to make {folder}"
            time.sleep(0.05)  # between two looks for what another process writes
        assert said.read_text() == "whole", f"another process failed to make {folder}"
        return folder
    result = "in part"
    try:
        make(folder)
        result = "whole"
    finally:
        half = said.with_suffix(".half")
        half.write_text(result)
        half.rename(said)
    return folder
