"""The explorers on the site's pages, from the disk: by mouse and by keys, wide and narrow, light and dark."""

import explorers
import frames
import pytest
from chromium import opened
from shared import PHONE, SCREENSHOTS, WIDE, resize, serious

WAYS = [(WIDE, "light"), (PHONE, "dark"), (WIDE, "dark"), (PHONE, "light")]
each_explorer = pytest.mark.parametrize("name", explorers.MOVES)


# whether each canvas of the page is dark or light on the average: what it shows does not follow the scheme by itself
SHADES = """scheme => [...document.querySelectorAll(".lnpoly-explorer canvas")].map(one => {
  const pixels = one.getContext("2d").getImageData(0, 0, one.width, one.height).data;
  let [sum, n] = [0, 0];
  for (let k = 0; k < pixels.length; k += 4) if (pixels[k + 3]) [sum, n] = [sum + pixels[k + 1], n + 1];
  return sum / n;
}).every(shade => (scheme === "dark" ? shade < 128 : shade > 128))"""


def errors_of(page):
    """The list that gets what goes wrong on a page."""
    wrong = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    return wrong


@each_explorer
def test_moved_by_mouse_and_keyboard_from_the_disk(browser, site, name):
    address = (site / f"{explorers.NOTEBOOKS[name]}.html").as_uri()
    for size, scheme in WAYS[:2]:
        with opened(browser, "file:", viewport=size, color_scheme=scheme) as (page, elsewhere):
            wrong = errors_of(page)
            page.goto(address)
            explorer = explorers.Explorer(page, name)
            saved = page.locator("figure.explorer").locator("> img, > .panels > img").first
            assert not saved.is_visible()
            for move in explorers.MOVES[name]:
                move(explorer)
            assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
            page.emulate_media(media="print")
            assert saved.is_visible() and not explorer.box.is_visible()
            assert (wrong, elsewhere) == ([], [])


@each_explorer
def test_it_can_be_read_by_anyone(browser, site, name):
    """axe finds nothing serious, at either width, in either scheme; every handle has a name and says its value."""
    with opened(browser, "file:") as (page, _):
        page.goto((site / f"{explorers.NOTEBOOKS[name]}.html").as_uri())
        for size, scheme in WAYS:
            resize(page, size)
            page.emulate_media(color_scheme=scheme)
            explorer = explorers.Explorer(page, name)
            assert serious(page, f'[data-explorer="{name}"]') == []
            page.wait_for_function(SHADES, arg=scheme)
            explorer.box.screenshot(path=SCREENSHOTS / f"explorer-{name}-{size['width']}-{scheme}.png")
        for handle in explorer.box.get_by_role("slider").all():
            assert handle.get_attribute("aria-label") or handle.evaluate("one => one.labels?.length")


def test_what_a_frame_costs_is_measured(browser, site, monkeypatch):
    """For `make frames`: that it measures something. How much is no proof of anything."""
    assert {name for name, *_ in frames.DRAGS.values()} == set(explorers.MOVES)
    monkeypatch.setitem(frames.DRAGS, "short", ("circle", frames.ring(0.95, 10, 350)[::10], 1, None))
    ((name, cost, rate),) = frames.measured(browser, site, ["short"])
    assert name == "short" and (cost[:3] > 0).all() and cost[1] > cost[2] and rate > 0


def test_without_javascript_their_pictures_are_there(browser, site):
    with opened(browser, "file:", java_script_enabled=False) as (page, _):
        for name in explorers.MOVES:
            page.goto((site / f"{explorers.NOTEBOOKS[name]}.html").as_uri())
            picture = page.locator("figure.explorer").locator("> img, > .panels > img").first
            assert picture.is_visible() and len(picture.get_attribute("alt")) > 60, name
