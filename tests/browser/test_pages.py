"""The site as a browser shows it: every page, wide and narrow, light and dark; and that each check can fail."""

import functools
import http.server
import itertools
import threading
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

import pytest
from chromium import opened

ROOT = Path(__file__).resolve().parents[2]
SCREENSHOTS = ROOT / "screenshots"
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
MEGABYTE = 1_000_000

# what a reader sees of a page, measured in it: text below contrast 4.5 (WCAG 2, level AA) against what lies behind it,
# pictures without alternative text or without a picture, the width that it takes
MEASURE = """() => {
  const folded = [...document.querySelectorAll("details:not([open])")];
  folded.forEach(one => { one.open = true; });
  const channels = text => { const n = text.match(/[\\d.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n; };
  const over = (top, below) => [0, 1, 2].map(k => top[k] * top[3] + below[k] * (1 - top[3])).concat(1);
  const behind = node => {
    if (!node) return channels(getComputedStyle(document.documentElement).colorScheme.includes("dark")
      && matchMedia("(prefers-color-scheme: dark)").matches ? "rgb(18, 18, 18)" : "rgb(255, 255, 255)");
    const own = channels(getComputedStyle(node).backgroundColor);
    return own[3] === 1 ? own : over(own, behind(node.parentElement));
  };
  const light = c => [0.2126, 0.7152, 0.0722].reduce((sum, weight, k) => {
    const v = c[k] / 255;
    return sum + weight * (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  }, 0);
  const faint = new Map(), texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let n_texts = 0;
  while (texts.nextNode()) {
    const node = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !node.checkVisibility({visibilityProperty: true})) continue;
    const below = behind(node), [a, b] = [light(over(channels(getComputedStyle(node).color), below)), light(below)];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    n_texts += 1;
    if (contrast < 4.5) faint.set(`${node.tagName}.${node.className}`, contrast.toFixed(2));
  }
  const seen = {
    faint: [...faint].map(([name, contrast]) => `${name} ${contrast}`),
    n_texts,
    unnamed: [...document.images].filter(one => !one.alt.trim()).map(one => one.src.slice(0, 80)),
    broken: [...document.images].filter(one => !one.complete || !one.naturalWidth).map(one => one.src.slice(0, 80)),
    width: document.documentElement.scrollWidth,
    paper: light(behind(document.body)),
    links: [...document.links].map(one => [one.href.split("#")[0], one.hash.slice(1)]),
    anchors: [...document.querySelectorAll("[id]")].map(one => one.id),
  };
  folded.forEach(one => { one.open = false; });
  return seen;
}"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@contextmanager
def served(folder):
    """The address at which a folder is served on this machine."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


def faults(browser, folder, screenshots=None):
    """All that is wrong with the pages of a folder, each as "page: what"."""
    found, measured = set(), {}
    names = sorted(path.name for path in folder.glob("*.html"))
    with served(folder) as origin, opened(browser, origin) as (page, elsewhere):
        for name in names:
            page.goto(origin + name)
            for size, scheme in itertools.product((WIDE, PHONE), ("light", "dark")):
                page.set_viewport_size(size)
                page.emulate_media(color_scheme=scheme)
                if screenshots and (size, scheme) in ((WIDE, "light"), (PHONE, "dark")):
                    page.screenshot(path=screenshots / f"{Path(name).stem}-{scheme}.png", full_page=True)
                seen = measured[name] = page.evaluate(MEASURE)
                found |= {f"{name}: faint in {scheme}: {what}" for what in seen["faint"]}
                found |= {f"{name}: no alternative text: {what}" for what in seen["unnamed"]}
                found |= {f"{name}: no picture: {what}" for what in seen["broken"]}
                if seen["width"] > size["width"]:
                    found.add(f"{name}: scrolls sideways: {seen['width']} of {size['width']} pixels")
                if (seen["paper"] < 0.2) != (scheme == "dark"):
                    found.add(f"{name}: paper: not {scheme}")
                if not seen["n_texts"]:
                    found.add(f"{name}: empty")
            found |= {f"{name}: asks elsewhere: {url}" for url in elsewhere}
            elsewhere.clear()
        for name, seen in measured.items():
            for target, anchor in seen["links"]:
                inside = target.removeprefix(origin)
                if inside == target:  # test_site.py looks after the links that lead out
                    continue
                anchors = {"", *measured.get(inside, {}).get("anchors", [])}
                # as it is written, or else decoded: so a browser looks for it
                if not page.request.get(target).ok or not {anchor, unquote(anchor)} & anchors:
                    found.add(f"{name}: dead link: {inside}#{anchor}")
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return sorted(found) + ([f"site: size: {size} bytes"] if size >= 15 * MEGABYTE else [])


def test_every_page_can_be_read_by_anyone_anywhere(browser, site):
    SCREENSHOTS.mkdir(exist_ok=True)
    names = {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")} | {"index", "notation", "teachers"}
    names |= {"reference", "reference_plotting", "reference_widgets", "reference_checks"}
    assert {path.stem for path in site.glob("*.html")} == names
    assert faults(browser, site, SCREENSHOTS) == []


@pytest.mark.parametrize("part", ["link to a section", "skip link", "next"])
def test_keyboard_moves_through_a_page(browser, site, part):
    with served(site) as origin, opened(browser, origin, viewport=WIDE) as (page, _):
        page.goto(origin + "03_arcs_on_the_circle.html")
        if part == "skip link":
            page.keyboard.press("Tab")
            assert page.evaluate("document.activeElement.className") == "skip"
            assert page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
            page.keyboard.press("Enter")
            assert page.evaluate("document.activeElement.id") == "content"
        elif part == "next":
            page.get_by_role("navigation", name="Before and after").get_by_role("link", name="Next").press("Enter")
            page.wait_for_url(origin + "04_from_circle_to_sphere.html")
        else:
            page.get_by_role("link", name="The proof in two lines").press("Enter")
            heading = page.get_by_role("heading", name="The proof in two lines")
            page.wait_for_function("y => Math.abs(y.getBoundingClientRect().top) < 200", arg=heading.element_handle())


# --- that the checks can fail ------------------------------------------------------------------------------------

PAGE = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<style>:root {{ color-scheme: light dark }} body {{ background: #fff; color: #222 }}
@media (prefers-color-scheme: dark) {{ body {{ background: #111; color: #eee }} a {{ color: #9cf }} }}</style></head>
<body><p id="ε">A page. <a href="a.html#ε">A link.</a></p>{}</body></html>"""
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
DOT = f"data:image/png;base64,{PIXEL}"
BAD = {
    "": [],
    '<p style="color: #888">A token.</p>': ["faint in light"],
    '<p style="color: #222">A token.</p>': ["faint in dark"],
    '<p style="color: rgba(0, 0, 0, 0.4)">A token.</p>': ["faint in dark", "faint in light"],
    "<style>body { background: #fff !important; color: #222 !important }</style>": ["faint in dark", "paper"],
    f'<img src="{DOT}">': ["no alternative text"],
    f'<img src="{DOT}" alt=" ">': ["no alternative text"],
    f'<img src="{DOT}" alt="One pixel.">': [],
    '<img src="gone.png" alt="A dot.">': ["no picture"],
    '<pre style="width: 400px">A line that is too long for a telephone</pre>': ["scrolls sideways"],
    '<div style="overflow-x: auto"><pre style="width: 4000px">A line in a frame</pre></div>': [],
    '<a href="gone.html">Gone.</a>': ["dead link"],
    '<a href="a.html#gone">Gone.</a>': ["dead link"],
    '<a href="#gone">Gone.</a>': ["dead link"],
    '<script src="https://example.org/script.js"></script>': ["asks elsewhere"],
    '<style>@import "https://example.org/style.css";</style>': ["asks elsewhere"],
    '<script>fetch("https://example.org/").catch(() => 0)</script>': ["asks elsewhere"],
}


@pytest.mark.parametrize("flaw", BAD)
def test_planted_flaw_is_found(browser, tmp_path, flaw):
    (tmp_path / "a.html").write_text(PAGE.format(flaw), encoding="utf-8")
    assert sorted({fault.split(": ")[1] for fault in faults(browser, tmp_path)}) == BAD[flaw]


def test_heavy_site_is_found(browser, tmp_path):
    (tmp_path / "a.html").write_text(PAGE.format(""), encoding="utf-8")
    with open(tmp_path / "film.bin", "wb") as file:
        file.truncate(15 * MEGABYTE)
    assert [fault.split(": ")[1] for fault in faults(browser, tmp_path)] == ["size"]
