"""What a page is like to read: on a phone with a finger, after a jump, with other words in mind, on paper."""

from contextlib import contextmanager

import frames
import pytest
from chromium import opened
from explorers import NOTEBOOKS, Explorer
from playwright.sync_api import expect
from shared import DRAWN, PHONE, WIDE, resize

SPHERE = "04_from_circle_to_sphere"


@contextmanager
def reading(browser, site, name, size=PHONE, **options):
    """A page of the site from the disk, on a phone by default."""
    touch = {"is_mobile": True, "has_touch": True} if size == PHONE else {}
    with opened(browser, site.as_uri(), viewport=size, **touch, **options) as (page, _):
        page.goto(f"{(site / name).as_uri()}.html")
        yield page


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_contents_follow_a_jump_over_several_headings(browser, site, size):
    with reading(browser, site, SPHERE, size) as page:
        names = page.locator(".contents a").all_text_contents()
        current = page.locator(".contents [aria-current]")
        for k in (len(names) - 1, 2, len(names) - 2, 0):
            page.evaluate("k => scrollBy(0, document.querySelectorAll('h2')[k].getBoundingClientRect().top - 100)", k)
            expect(current).to_have_text(names[k])
        page.evaluate("scrollTo(0, 0)")
        expect(current).to_have_count(0)


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_contents_longer_than_the_window_show_the_place_in_them(browser, site, size):
    with reading(browser, site, "reference", size) as page:
        page.evaluate("document.getElementById('plus_minus').scrollIntoView()")
        current = page.locator(".contents [aria-current]")
        expect(current).to_have_text("plus_minus")
        if size == PHONE:
            page.locator(".contents summary").click()
        expect(current).to_be_in_viewport(ratio=1)
        page.evaluate("document.getElementById('normalize').scrollIntoView()")
        expect(current).to_have_text("normalize")
        if size == WIDE:  # on the phone the list has the focus, and is left alone
            expect(current).to_be_in_viewport(ratio=1)


# what of a page's text leaves its place, and tables whose first column, which stays, leaves little room for the others
CRAMPED = """() => {
  for (const fold of document.querySelectorAll("details")) fold.open = true;
  const found = [], right = one => one.getBoundingClientRect().right;
  for (const one of document.querySelectorAll("math:not([display=block]), .whole"))
    if (!one.closest(".scroll") && right(one) > right(one.closest("p, li, dd, div")) + 1) found.push(one.textContent);
  for (const frame of document.querySelectorAll(".scroll")) {
    const first = frame.querySelector("tbody tr > :first-child").getBoundingClientRect().width;
    const room = frame.clientWidth;
    if (frame.scrollWidth > room + 1 && first > room / 2) found.push(frame.textContent.slice(0, 40));
  }
  return found;
}"""
TOUCHED = "main :is(button, input, select, summary), .contents a, .wings a, .top a"
SMALL = """([touched, least]) => [...document.querySelectorAll(touched)]
  .filter(one => one.checkVisibility() && one.getBoundingClientRect().height < least)
  .map(one => `${one.tagName} ${one.textContent}`)"""


BAD = """<div class="scroll" style="overflow: auto"><table><tbody><tr><td style="min-width: 400px">a</td></tr></tbody>
</table></div><p>A <math><mtext style="padding: 0 300px">x</mtext></math></p><main><button>b</button></main>"""


def test_nothing_is_cramped_and_all_can_be_touched_on_a_phone(browser, site):
    """24 pixels: WCAG 2.2, target size."""
    with opened(browser, site.as_uri(), viewport=PHONE, is_mobile=True, has_touch=True) as (page, _):
        found = {}
        for path in sorted(site.glob("*.html")):
            page.goto(path.as_uri())
            found[path.name] = page.evaluate(CRAMPED) + page.evaluate(SMALL, [TOUCHED, 24])
        assert {name: what for name, what in found.items() if what} == {}
        page.set_content(BAD)
        assert [one.strip() for one in page.evaluate(CRAMPED)] == ["x", "a"], "the check can fail"
        assert page.evaluate(SMALL, [TOUCHED, 24]) == ["BUTTON b"]


def test_controls_of_explorers_fit_a_finger(browser, site):
    with reading(browser, site, NOTEBOOKS["slice"]) as page:
        box = Explorer(page, "slice").box
        controls = box.locator(".lx-bar").locator("button, select, input")
        assert controls.count() > 4 and min(one.bounding_box()["height"] for one in controls.all()) >= 40
        tops = {button.bounding_box()["y"] for button in box.locator(".lx-bar button").all()}
        assert len(tops) == 1, "from arc to arc and the walk stand in one row"


def test_what_goes_on_sideways_fades_until_its_end_or_its_focus(browser, site):
    faded = "one => getComputedStyle(one).maskImage !== 'none'"
    with reading(browser, site, "07_adding_a_direction") as page:
        one, other = page.locator(".scroll.more").element_handles()[:2]
        assert one.evaluate(faded) and other.evaluate(faded)
        one.evaluate("one => { one.scrollLeft = one.scrollWidth; }")
        page.wait_for_function(f"one => !({faded})(one)", arg=one)
        page.keyboard.press("Tab")
        other.focus()
        page.wait_for_function(f"one => !({faded})(one)", arg=other)


SPELT = {"GPT2": "GPT-2", "spheres": "sphere", "folding": "fold", "preactivation": "pre-activation"}
SPELT |= {"huggingface": "Hugging Face", "TransformerLens": "transformer_lens"}


def test_search_finds_a_word_as_others_write_it(browser, site):
    with reading(browser, site, "notation", WIDE) as page:
        field, status = page.get_by_label("Search", exact=True), page.get_by_role("search").get_by_role("status")
        for typed, like in SPELT.items():
            field.fill(like)
            expect(status).to_contain_text("places")
            wanted = status.text_content()
            field.fill("zzz nowhere")
            expect(status).to_have_text("Nothing found.")
            field.fill(typed)
            expect(status).to_have_text(wanted)


def test_numbers_of_an_explorer_keep_the_room_that_they_had(browser, site):
    """Else all that stands below jumps while a reader drags."""
    name, way, drawing, _ = frames.DRAGS["circle, a boundary"]
    with opened(browser, site.as_uri(), viewport=PHONE) as (page, _):
        page.goto(f"{(site / NOTEBOOKS[name]).as_uri()}.html")
        explorer = Explorer(page, name)
        explorer.show(drawing)
        spots, heights = [explorer.spot(point, drawing) for point in way[::6]], []
        page.mouse.move(*spots[0])
        page.mouse.down()
        for spot in spots[1:]:
            page.mouse.move(*spot)
            page.evaluate(DRAWN)
            heights.append(explorer.box.bounding_box()["height"])
        page.mouse.up()
        assert heights == sorted(heights) and heights[-1] > heights[0], "some line has grown, and none has shrunk"
        resize(page, WIDE)
        page.wait_for_function("box => [...box.querySelectorAll('.lx-numbers p')].every(p => p.clientHeight < 30)",
                               arg=explorer.box.element_handle())  # fmt: skip


def test_on_paper_panels_stand_side_by_side_and_cards_are_whole(browser, site):
    with reading(browser, site, SPHERE, {"width": 718, "height": 1000}) as page:
        page.emulate_media(media="print")
        boxes = [one.bounding_box() for one in page.locator(".predict .panels").first.locator("img").all()]
        assert boxes[0]["y"] == pytest.approx(boxes[1]["y"], abs=1) and boxes[0]["x"] < boxes[1]["x"]
        page.goto(f"{(site / 'index').as_uri()}.html")
        assert page.locator(".card").first.evaluate("one => getComputedStyle(one).breakInside") == "avoid"
        assert max(one.bounding_box()["height"] for one in page.locator(".card").all()) < 500


@pytest.mark.parametrize("media", ["screen", "print"])
def test_no_picture_is_stretched(browser, site, media):
    with reading(browser, site, "index", WIDE if media == "screen" else {"width": 690, "height": 1000}) as page:
        page.emulate_media(media=media)
        for name in (NOTEBOOKS["slice"], "07_adding_a_direction"):  # panels of one height and of different widths
            page.goto(f"{(site / name).as_uri()}.html")
            page.evaluate(DRAWN)
            drawn = """ones => ones.filter(one => one.getClientRects().length).map(
                one => one.getBoundingClientRect().width / one.getBoundingClientRect().height
                    / one.naturalWidth * one.naturalHeight)"""
            ratios = page.locator("figure img").evaluate_all(drawn)
            assert len(ratios) > 2 and ratios == pytest.approx([1] * len(ratios), abs=0.01)
