"""Film the circle's explorer on the site's first page, for the top of the README.

usage: python notebooks/film.py SITE     write circle.gif beside this script, from the site in the folder SITE

Needs Chromium and playwright, of the extra `test`. A key moves one thing by a step, each step is a picture, and all go
back as they came, so that the film has no end.
"""

import io
import sys
from pathlib import Path

from PIL import Image

HERE = Path(__file__).resolve().parent
FILM = HERE / "circle.gif"
WIDTH = 640  # of a picture, in pixels
STEP, REST = 90, 700  # milliseconds that a picture stands, and one where the movement turns
# what is moved, by which key, how many times: x along its ray, then a line, then its normal
SCENES = [
    ("the vector x", "ArrowDown", 9),
    ("bias of neuron 0", "ArrowLeft", 9),
    ("direction of neuron 1", "ArrowUp", 9),
]

BACK = {"ArrowDown": "ArrowUp", "ArrowUp": "ArrowDown", "ArrowLeft": "ArrowRight"}
DRAWN = "() => new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn)))"


def opened(browser, site):
    """The first page of the site, as wide as the film needs it."""
    page = browser.new_page(viewport={"width": WIDTH + 80, "height": 900}, color_scheme="light")
    page.goto((site.resolve() / "index.html").as_uri())
    return page


def frames(page):
    """[(picture, milliseconds)] of the film, from a page of the site that shows the explorer."""
    box = page.locator('.lnpoly-explorer[data-explorer="circle"]').first
    views = box.locator(".lx-views")
    shots = []
    for label, key, n in SCENES:
        handle = box.get_by_role("slider", name=label, exact=True)
        handle.focus()
        there = [picture(views)]
        for way in [key] * n + [BACK[key]] * n:
            page.keyboard.press(way)
            page.evaluate(DRAWN)
            if way == key:
                there.append(picture(views))
        times = [REST, *[STEP] * (n - 1), REST]
        shots += [*zip(there, times, strict=True), *((one, STEP) for one in there[-2:0:-1])]
    return shots


def picture(views):
    return Image.open(io.BytesIO(views.screenshot())).convert("RGB")


def save(shots, path):
    """Write a film as GIF, in one palette of all its colours, since the drawing has few."""
    width, height = shots[0][0].size
    strip = Image.new("RGB", (width, height * len(SCENES)))
    for k in range(len(SCENES)):  # the middle of each scene has all the colours
        strip.paste(shots[(2 * k + 1) * len(shots) // (2 * len(SCENES))][0], (0, k * height))
    palette = strip.quantize(128, dither=Image.Dither.NONE)
    drawn = [one.quantize(palette=palette, dither=Image.Dither.NONE) for one, _ in shots]
    drawn[0].save(path, save_all=True, append_images=drawn[1:], duration=[t for _, t in shots], loop=0, optimize=True)


def main():
    if len(sys.argv) != 2 or not (site := Path(sys.argv[1])).joinpath("index.html").is_file():
        sys.exit(__doc__.split("\n\n")[1] + "\nexpected a folder with the site's index.html: python notebooks/build.py")
    sys.path.insert(0, str(HERE.parent / "tests" / "browser"))
    from chromium import launched

    with launched() as browser:
        save(frames(opened(browser, site)), FILM)
    print(f"written: {FILM}, {FILM.stat().st_size} bytes")


if __name__ == "__main__":
    main()
