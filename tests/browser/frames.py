"""What a frame costs while a reader drags, and how soon a page is there: of the site, from the disk, in Chromium.

usage: python tests/browser/frames.py [SITE]     (make frames; LNPOLY_CHROMIUM names the browser)

Milliseconds of processor time for each frame that shows a move, so that what else the machine does matters little: of
all of Chromium, of the page's own thread, and of that scripts, styles and layout. Beside it how many frames a second
were seen, which is that of this machine now; Chromium draws 60 at most. A page is there when the first of its content
is painted, the explorers being part of it. No test has bounds on any of it: times are no proof.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from chromium import launched, opened
from explorers import NOTEBOOKS, Explorer
from shared import DRAWN

MOVES = 150
COUNT = """() => { window.frames_seen = 0; const next = () => { window.frames_seen += 1; requestAnimationFrame(next); };
  requestAnimationFrame(next); }"""
COLUMNS = {
    "page": "TaskDuration",
    "script": "ScriptDuration",
    "styles": "RecalcStyleDuration",
    "layout": "LayoutDuration",
}


def ring(radius, start, stop):
    """Places on a circle of a drawing, y down, angles in degrees."""
    angles = np.radians(np.linspace(start, stop, MOVES))
    return radius * np.c_[np.cos(angles), -np.sin(angles)]


def line(start, stop):
    """Places on a straight way there and back."""
    share = 1 - np.abs(np.linspace(-1, 1, MOVES))[:, None]
    return (1 - share) * np.array(start) + share * np.array(stop)


def whole_circle(explorer):
    explorer.press("width of the window", "End")


def many_neurons(explorer):
    explorer.press("neurons", "End")


# what is dragged: of which explorer, which way in which drawing, and what comes before
W = np.array([np.cos(np.pi / 6), -np.sin(np.pi / 6)])
FOOT = -0.3 * W + 1.5 * np.array([W[1], -W[0]])
DRAGS = {
    "circle, a line": ("circle", line(FOOT, FOOT + 0.9 * W), 0, None),
    "circle, the vector x": ("circle", line((1.35, 0.55), (-0.9, 0.2)), 0, None),
    "circle, a boundary": ("circle", ring(0.95, 10, 350), 1, None),
    "layernorm, the view": ("layernorm", line((-2.0, 1.0), (1.0, 0.6)), 0, None),
    "rotation, the bead": ("rotation", line((60, 100), (580, 100)), 0, None),
    "slice, the bead, 5°": ("slice", ring(1.14, 20, 300), 0, None),
    "slice, the stretch, 5°": ("slice", line((300, 220), (700, 220)), 1, None),
    "slice, the bead, 360°": ("slice", ring(1.14, 20, 300), 0, whole_circle),
    "slice, the stretch, 360°": ("slice", line((300, 220), (700, 220)), 1, whole_circle),
    "sphere, 8 neurons": ("sphere", line((-0.5, 0.3), (0.5, -0.2)), 0, None),
    "sphere, 24 neurons": ("sphere", line((-0.5, 0.3), (0.5, -0.2)), 0, many_neurons),
}


def dragged(page, session, processes, explorer, way, drawing):
    """Milliseconds for each frame of a drag, by column, and frames a second."""

    def spent():
        found = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
        everything = sum(one["cpuTime"] for one in processes.send("SystemInfo.getProcessInfo")["processInfo"])
        return np.array([everything, *(found[name] for name in COLUMNS.values())])

    explorer.show(drawing)
    spots = [explorer.spot(point, drawing) for point in way]
    page.mouse.move(*spots[0])
    page.mouse.down()
    page.mouse.move(*spots[1])
    page.evaluate(DRAWN)
    before = spent()
    for spot in spots[2:]:
        page.mouse.move(*spot)
        page.evaluate(DRAWN)
    cost = 1000 * (spent() - before) / (len(spots) - 2)
    start, seen = time.perf_counter(), page.evaluate("window.frames_seen")
    for spot in spots[::-1]:
        page.mouse.move(*spot)
    rate = (page.evaluate("window.frames_seen") - seen) / (time.perf_counter() - start)
    page.mouse.up()
    return cost, rate


def measured(browser, site, drags):
    """A line for each drag: its name, milliseconds by column, frames a second."""
    for name in drags:
        explorer_name, way, drawing, before = DRAGS[name]
        with opened(browser, "file:", viewport={"width": 1280, "height": 900}) as (page, _):
            page.goto((site / f"{NOTEBOOKS[explorer_name]}.html").as_uri())
            session = page.context.new_cdp_session(page)
            session.send("Performance.enable", {"timeDomain": "threadTicks"})
            explorer = Explorer(page, explorer_name)
            if before:
                before(explorer)
            page.evaluate(COUNT)
            yield (name, *dragged(page, session, browser.new_browser_cdp_session(), explorer, way, drawing))


PAINTED = """() => new Promise(done => {
  const look = () => { const [one] = performance.getEntriesByName("first-contentful-paint");
    if (one) done(one.startTime); else requestAnimationFrame(look); };
  look(); })"""


def painted(browser, site):
    """For each page its name and the milliseconds from the call to the first paint of content."""
    for path in sorted(site.glob("*.html")):
        with opened(browser, "file:", viewport={"width": 1280, "height": 900}) as (page, _):
            page.goto(path.as_uri())
            yield path.name, page.evaluate(PAINTED)


def main():
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "notebooks"))
    import build

    with tempfile.TemporaryDirectory() as folder, launched() as browser:
        site = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else Path(folder)
        if len(sys.argv) == 1:
            build.run(build.notebooks(), site, saved=True)
        print(f"{'milliseconds a frame':28}{''.join(f'{name:>8}' for name in ['all', *COLUMNS])}{'frames/s':>10}")
        for name, cost, rate in measured(browser, site, DRAGS):
            print(f"{name:28}{''.join(f'{one:8.1f}' for one in cost)}{rate:10.0f}", flush=True)
        for name, milliseconds in painted(browser, site):
            print(f"{name:40} first paint after {milliseconds:5.0f} ms")


if __name__ == "__main__":
    main()
