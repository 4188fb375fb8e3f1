"""The site as a browser shows it: every page wide and narrow, light, dark and printed; and that each check can fail."""

import functools
import http.server
import itertools
import threading
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

import film
import numpy as np
import pytest
from chromium import opened
from PIL import Image
from playwright.sync_api import expect
from shared import PHONE, ROOT, SCREENSHOTS, WIDE, resize, serious

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


# what paper would lose of a page: what is folded, what sticks out, what is only seen by scrolling
LOST = """() => {
  const lost = [], seen = one => one.checkVisibility();
  for (const fold of [...document.querySelectorAll("details")].filter(seen))
    if (![...fold.children].every(one => one.tagName === "SUMMARY" || seen(one)))
      lost.push(`folded: ${fold.textContent.trim().slice(0, 40)}`);
  for (const one of [...document.body.querySelectorAll("*")].filter(seen))
    if (getComputedStyle(one).overflowX !== "visible" && one.scrollWidth > one.clientWidth + 1)
      lost.push(`scrolls: ${one.tagName}.${one.className}`);
  const width = document.documentElement.scrollWidth;
  return width > innerWidth ? [...lost, `wider than the paper: ${width}`] : lost;
}"""
PAPER = {"width": 718, "height": 1000}  # A4 between margins of 10 mm
# contrast is measured above, in every scheme; axe's own takes most of its time
AXE = {"rules": {"color-contrast": {"enabled": False}}}
AXE["runOnly"] = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


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
        page.on("pageerror", lambda error: found.add(f"{Path(page.url).name}: script: {error}"))
        for name in names:
            page.goto(origin + name)
            for size, scheme in itertools.product((WIDE, PHONE), ("light", "dark")):
                resize(page, size)
                page.emulate_media(color_scheme=scheme)
                if screenshots and (size, scheme) in ((WIDE, "light"), (PHONE, "dark")):
                    whole = not name.startswith("reference")  # whose pages are as long as thirty screens
                    shot = screenshots / f"{Path(name).stem}-{scheme}.jpg"  # a PNG so long takes seconds
                    page.screenshot(path=shot, full_page=whole, type="jpeg", quality=70)
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
            resize(page, PAPER)
            page.emulate_media(media="print", color_scheme="light")
            found |= {f"{name}: print: {what}" for what in page.evaluate(LOST)}
            page.emulate_media(media="screen")
            for size in (WIDE, PHONE):
                resize(page, size)
                found |= {f"{name}: axe: {what}" for what in serious(page, **AXE)}
            found |= {f"{name}: asks elsewhere: {url}" for url in elsewhere}
            elsewhere.clear()
        anchors = {origin + name: {"", *seen["anchors"]} for name, seen in measured.items()}
        links = {(name, *link) for name, seen in measured.items() for link in map(tuple, seen["links"])}
        for name, target, anchor in links:  # test_site.py looks after the links that lead out
            # as it is written, or else decoded: so a browser looks for it
            if target.startswith(origin) and not {anchor, unquote(anchor)} & anchors.get(target, set()):
                found.add(f"{name}: dead link: {target.removeprefix(origin)}#{anchor}")
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return sorted(found) + ([f"site: size: {size} bytes"] if size >= 15 * MEGABYTE else [])


@pytest.mark.slow
def test_every_page_can_be_read_by_anyone_anywhere(browser, site):
    names = {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")} | {"index", "notation", "teachers"}
    names |= {"reference", "reference_plotting", "reference_widgets", "reference_checks"}
    assert {path.stem for path in site.glob("*.html")} == names
    assert faults(browser, site, SCREENSHOTS) == []


@contextmanager
def from_disk(browser, site, name, size=WIDE, **options):
    """A page of the site as it is opened by a click on its file: no server, no network."""
    with opened(browser, site.as_uri(), viewport=size, **options) as (page, elsewhere):
        page.goto(f"{(site / name).as_uri()}.html")
        yield page
        assert elsewhere == []


@pytest.mark.parametrize("part", ["link to a section", "skip link", "next", "permalink"])
def test_keyboard_moves_through_a_page(browser, site, part):
    with from_disk(browser, site, "03_arcs_on_the_circle") as page:
        if part == "skip link":
            page.keyboard.press("Tab")
            assert page.evaluate("document.activeElement.className") == "skip"
            assert page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
            page.keyboard.press("Enter")
            assert page.evaluate("document.activeElement.id") == "content"
        elif part == "next":
            page.get_by_role("navigation", name="Before and after").get_by_role("link", name="Next").press("Enter")
            page.wait_for_url("**/04_from_circle_to_sphere.html")
        else:
            name = "The proof in two lines"
            contents = page.get_by_role("navigation", name="On this page")
            label = f"Link to this place: {name}"
            link = (
                contents.get_by_role("link", name=name) if "section" in part else page.get_by_role("link", name=label)
            )
            link.press("Enter")
            heading = page.get_by_role("heading", name=name)
            page.wait_for_function("y => Math.abs(y.getBoundingClientRect().top) < 200", arg=heading.element_handle())
            assert page.evaluate("location.hash") == "#The-proof-in-two-lines"


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_contents_show_where_the_reader_is(browser, site, size):
    with from_disk(browser, site, "03_arcs_on_the_circle", size) as page:
        contents = page.get_by_role("navigation", name="On this page")
        links = contents.get_by_role("link")
        current = contents.locator("[aria-current]")
        expect(links.first).to_be_visible(visible=size == WIDE)
        names = contents.locator("a").all_text_contents()
        for name in (names[3], names[1]):
            page.evaluate(
                "name => [...document.querySelectorAll('h2')].find(h => h.firstChild.data === name).scrollIntoView()",
                name,
            )
            expect(current).to_have_text(name)
        if size == PHONE:
            summary = contents.locator("summary")
            expect(summary).to_contain_text(names[1])
            summary.press("Enter")
            links.nth(4).press("Enter")
            expect(links.first).to_be_hidden()
            heading = page.get_by_role("heading", level=2).nth(4)
            expect(heading).to_be_in_viewport()


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_prediction_takes_the_readers_answer_before_it_opens_its_own(browser, site, size):
    with from_disk(browser, site, "02_relu_cuts_the_plane", size) as page:
        frame, other = page.locator(".predict").nth(0), page.locator(".predict").nth(1)
        answer = frame.locator("details.answer")
        picture, field = answer.locator("img").first, frame.get_by_label("Your guess")
        answer.locator("summary").click()
        expect(picture).to_be_hidden()
        expect(field).to_be_focused()
        expect(frame.get_by_role("status")).to_contain_text("First your own")
        page.keyboard.type("sixteen?")
        page.keyboard.press("Enter")
        expect(picture).to_be_visible()
        expect(frame).to_contain_text("Your guess: sixteen?")
        expect(answer.locator("summary")).to_be_focused()
        other.get_by_role("button", name="I have my guess").press("Space")  # one in the head counts as well
        expect(other.locator("details.answer img").first).to_be_visible()
        expect(page.locator(".predict").nth(2).locator("img").first).to_be_hidden()


def test_one_switch_shows_all_helper_code(browser, site):
    with from_disk(browser, site, "09_beyond_gpt2") as page:
        switch, folded = page.get_by_role("button", name="Show all code"), page.locator("details.helper .highlight")
        assert folded.count() > 1
        for shown in (True, False):
            switch.press("Enter")
            expect(switch).to_have_attribute("aria-pressed", str(shown).lower())
            for one in folded.all():
                expect(one).to_be_visible(visible=shown)


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_search_finds_a_place_on_another_page(browser, site, size):
    with from_disk(browser, site, "index", size) as page:
        box = page.get_by_role("search")
        field, status = box.get_by_label("Search"), box.get_by_role("status")
        field.press_sequentially("rice's FACTOR")
        expect(status).to_contain_text("places")
        found = box.get_by_role("link")
        expect(found.first).to_be_in_viewport()
        assert 3 <= found.count() <= 12
        page.screenshot(path=SCREENSHOTS / f"search-{size['width']}.png")
        field.fill("zzz nowhere")
        expect(status).to_have_text("Nothing found.")
        page.keyboard.press("Escape")
        expect(status).to_be_hidden()
        field.fill("partition_circle")
        found.first.press("Enter")
        page.wait_for_url("**/reference.html#partition_circle")


def test_page_shows_all_that_it_has_without_scripts(browser, site):
    with from_disk(browser, site, "02_relu_cuts_the_plane", PHONE, java_script_enabled=False) as page:
        answer = page.locator(".predict details.answer").first
        answer.locator("summary").click()
        expect(answer.locator("img").first).to_be_visible()
        expect(page.locator(".contents a").first).to_be_visible()
        for beyond in (page.locator(".search"), page.locator("#all-code"), page.locator(".guess")):
            assert not beyond.count() or beyond.is_hidden()


def test_wide_table_scrolls_by_keyboard_under_its_first_column(browser, site):
    with from_disk(browser, site, "07_adding_a_direction", PHONE) as page:
        frame = page.locator(".scroll").filter(has_text="crossed, part of θ/π")
        name = frame.get_by_role("rowheader", name="minilm")
        before = name.bounding_box()["x"]
        frame.focus()
        page.keyboard.press("ArrowRight")
        page.wait_for_function("one => one.scrollLeft > 0", arg=frame.element_handle())
        page.keyboard.press("End")
        assert abs(name.bounding_box()["x"] - before) <= 1
        expect(frame).to_be_focused()


def test_film_of_the_readme_shows_the_page_as_it_is(browser, site):
    """Else `make film` makes it anew. Fonts differ between machines, and the film has few colours."""
    page = film.opened(browser, site)
    shots = film.frames(page)
    page.close()
    with Image.open(film.FILM) as kept:
        assert kept.n_frames == len(shots)
        for k in range(0, len(shots), 6):
            kept.seek(k)
            shown, now = (np.asarray(one.convert("RGB").resize((160, 80)), dtype=float) for one in (kept, shots[k][0]))
            assert np.abs(shown - now).mean() < 8, k
    assert np.abs(np.subtract(*(np.asarray(shots[k][0], dtype=float) for k in (0, 9)))).mean() > 0.2, "it moves"


# --- that the checks can fail ------------------------------------------------------------------------------------

PAGE = """<!DOCTYPE html><html lang="en"><head><title>A</title><meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<style>:root {{ color-scheme: light dark }} body {{ background: #fff; color: #222 }}
@media (prefers-color-scheme: dark) {{ body {{ background: #111; color: #eee }} a {{ color: #9cf }} }}</style></head>
<body><p id="ε">A page. <a href="a.html#ε">A link.</a></p>{}</body></html>"""
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
DOT = f"data:image/png;base64,{PIXEL}"
LONG = f"""<style>@media print {{ .long {{ white-space: pre-wrap }} }}</style>
<pre class="long" tabindex="0" style="overflow-x: auto">{"A long line " * 99}</pre>"""
BAD = {
    "": [],
    '<p style="color: #888">A token.</p>': ["faint in light"],
    '<p style="color: #222">A token.</p>': ["faint in dark"],
    '<p style="color: rgba(0, 0, 0, 0.4)">A token.</p>': ["faint in dark", "faint in light"],
    "<style>body { background: #fff !important; color: #222 !important }</style>": ["faint in dark", "paper"],
    f'<img src="{DOT}">': ["axe", "no alternative text"],
    f'<img src="{DOT}" alt=" ">': ["axe", "no alternative text"],
    f'<img src="{DOT}" alt="One pixel.">': [],
    '<img src="gone.png" alt="A dot.">': ["no picture"],
    '<pre style="width: 400px">A line that is too long for a telephone</pre>': ["scrolls sideways"],
    LONG: [],
    LONG.replace("tabindex", "id"): ["axe"],
    LONG.replace("class", "id"): ["print"],
    "<details><summary>More</summary><p>It is folded.</p></details>": ["print"],
    "<input>": ["axe"],
    "<script>gone()</script>": ["script"],
    '<a href="gone.html">Gone.</a>': ["dead link"],
    '<a href="a.html#gone">Gone.</a>': ["dead link"],
    '<a href="#gone">Gone.</a>': ["dead link"],
    '<script src="https://example.org/script.js"></script>': ["asks elsewhere"],
    '<style>@import "https://example.org/style.css";</style>': ["asks elsewhere"],
    '<script>fetch("https://example.org/").catch(() => 0)</script>': ["asks elsewhere"],
}


def test_planted_flaws_are_found(browser, tmp_path):
    """Each on a page of its own, beside a.html, which has none."""
    pages = {f"{'ab'[k > 0]}{k or ''}.html": flaw for k, flaw in enumerate(BAD)}
    for name, flaw in pages.items():
        (tmp_path / name).write_text(PAGE.format(flaw), encoding="utf-8")
    found = [fault.split(": ")[:2] for fault in faults(browser, tmp_path)]
    assert {flaw: sorted({what for page, what in found if page == name}) for name, flaw in pages.items()} == BAD
    assert {page for page, _ in found} <= pages.keys()


def test_heavy_site_is_found(browser, tmp_path):
    (tmp_path / "a.html").write_text(PAGE.format(""), encoding="utf-8")
    with open(tmp_path / "film.bin", "wb") as file:
        file.truncate(15 * MEGABYTE)
    assert [fault.split(": ")[1] for fault in faults(browser, tmp_path)] == ["size"]
