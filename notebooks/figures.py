"""The notebooks' pictures in the pages of the site: drawn as SVG where the figure brings one, panel by panel, numbered.

A figure's output says in its metadata how large it is on the screen, where its panels are and what each shows, and
holds the same picture as SVG (`lnpoly_helpers.plotting.LabelledFigure`). Panels are pictures of their own, which a
phone shows one below the other. The SVG follows the reader's light or dark ground by itself; a PNG keeps its white one.
"""

import base64
import gzip
import html
import io
import re
from pathlib import Path


def shown(nb, pictures, site, page):
    """Put into each picture's output the HTML of the picture and of its caption: metadata "shown" and "caption".

    ``pictures`` are the bytes of the PNGs by their names, which the outputs have. What a page shows in their place is
    written to the site. A caption is the cell's metadata "caption"; its number counts the page's figures.
    """
    chapter = re.match(r"0*(\d+)_", page)
    count = 0
    for cell in nb.cells:
        for output in cell.get("outputs", []):
            name = output.get("metadata", {}).get("filenames", {}).get("image/png")
            if name:
                count += 1
                about = output.metadata.get("image/png", {})
                output.metadata["shown"] = picture(name, pictures[name], about, site)
                number = f"{chapter[1]}.{count}" if chapter else str(count)
                output.metadata["caption"] = caption(number, cell.metadata.get("caption", ""))
    return nb


def caption(number, text):
    """A figure's caption as HTML.

    >>> caption("3.2", "a < b")
    '<figcaption><b>Figure 3.2.</b> a &lt; b</figcaption>'
    """
    return f"<figcaption><b>Figure {number}.</b> {html.escape(text, quote=False)}".rstrip() + "</figcaption>"


def picture(name, png, about, site):
    """The HTML of a picture or of its panels, whose files are written to the site beside its PNG."""
    name = Path(name)
    size = [int.from_bytes(png[k : k + 4], "big") for k in (16, 20)]
    width, height = about.get("width", size[0]), about.get("height", size[1])
    whole = [{"box": [0, 0, width, height], "alt": about.get("alt", "")}]
    panels = about.get("panels") or whole
    svg = gzip.decompress(base64.b64decode(about["svg"])).decode() if "svg" in about else ""
    if svg:
        (site / name.with_suffix(".svg")).write_text(svg, encoding="utf-8")
    images = []
    empty = blank(png, [panel["box"] for panel in panels], width) if len(panels) > 1 else [(0, 0)]
    for k, panel in enumerate(panels):
        file = name if len(panels) == 1 else name.with_stem(f"{name.stem}_{k}")
        if svg:
            file = file.with_suffix(".svg")
            piece = svg if len(panels) == 1 else cut_svg(svg, panel["box"], (width, height))
            (site / file).write_text(piece, encoding="utf-8")
        elif len(panels) > 1:
            (site / file).write_bytes(cut_png(png, panel["box"], width))
        images.append(image(file, panel, "drawn" if svg else "painted", empty[k]))
    return images[0] if len(images) == 1 else f'<div class="panels">{"".join(images)}</div>'


def image(file, panel, kind, empty=(0, 0)):
    """A picture's element, with its size on the screen, so that a page does not jump while it loads.

    Of a panel it also says how much of its height is empty above and below, where its neighbours are taller: a phone,
    which shows one below the other, leaves that out.
    """
    _, _, width, height = panel["box"]
    style = f"--width: {width}px"
    if any(empty):
        style += f"; --tall: {height / width:.3f}; --above: {empty[0]:.3f}; --below: {empty[1]:.3f}"
    return (
        f'<img class="{kind}" src="{html.escape(file.as_posix())}" alt="{html.escape(panel["alt"])}" '
        f'width="{width}" height="{height}" style="{style}">'
    )


def cut_svg(text, box, size):
    """A piece of an SVG, box in pixels of a picture of that size: the same drawing through a smaller window."""
    wide, high = map(float, re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', text)[0])
    x, y, width, height = (
        part * whole / pixels for part, whole, pixels in zip(box, (wide, high) * 2, size * 2, strict=True)
    )
    head = f'width="{box[2]}" height="{box[3]}" viewBox="{x:.2f} {y:.2f} {width:.2f} {height:.2f}"'
    return re.sub(r'width="[^"]*" height="[^"]*" viewBox="[^"]*"', head, text, count=1)


MARGIN = 8  # pixels of what is empty that stay


def blank(data, boxes, width):
    """(share of the height above, share below) that is white in each piece of a PNG, boxes in pixels of one so wide."""
    import numpy as np
    from PIL import Image

    dark = np.asarray(Image.open(io.BytesIO(data)).convert("L")) < 250
    scale, found = dark.shape[1] / width, []
    for box in boxes:
        x, y, w, h = (round(scale * number) for number in box)
        rows = np.flatnonzero(dark[y : y + h, x : x + w].any(axis=1))
        above, below = (rows[0], h - 1 - rows[-1]) if len(rows) else (0, 0)
        found.append(tuple(max(0.0, float(n / h) - MARGIN / box[3]) for n in (above, below)))
    return found


def cut_png(data, box, width):
    """A piece of a PNG, box in pixels of a picture so wide."""
    from PIL import Image

    whole, piece = Image.open(io.BytesIO(data)), io.BytesIO()
    scale = whole.width / width
    x, y, w, h = (round(scale * number) for number in box)
    whole.crop((x, y, x + w, y + h)).save(piece, "PNG", optimize=True)
    return piece.getvalue()
