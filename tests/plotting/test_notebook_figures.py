"""The figures that the notebooks show: sharp, whole, in words and with a caption, readable on a phone."""

import base64
import gzip
import io
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("*.ipynb"))
PHONE = 345  # pixels that a picture has at least on a screen of 390
LEAST = 10 / 72 * 110  # the least size of words, 10 points, in pixels of the screen: test_plot_figure holds it


def figures(path):
    """(what to call it, PNG's bytes, metadata, caption) of every figure that a cell shows."""
    for k, cell in enumerate(nbformat.read(path, as_version=4).cells):
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                png = base64.b64decode(output.data["image/png"])
                about, caption = output.metadata["image/png"], cell.metadata.get("caption")
                drawn = "explore_" not in cell.source  # an explorer's picture gives way to the live one
                yield f"{path.stem[:2]}, cell {k}", png, about, caption, drawn


def faults(png, about, caption, drawn=True):
    """What is wrong with a figure."""
    found = []
    image = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
    edges = [image[0], image[-1], image[:, 0], image[:, -1]]
    if any(np.abs(edge - image[0, 0]).max() > 24 for edge in edges):
        found.append("ink on its edge: something is cut")
    if not 20 <= len(about["alt"]) <= 400:
        found.append(f"{len(about['alt'])} characters of alternative text")
    if not (caption or "").endswith("."):
        found.append("no caption")
    if not drawn:
        return found
    if image.shape[:2] != (2 * about["height"], 2 * about["width"]):
        found.append("not two pixels for one of the screen")
    panels = about.get("panels", [{"box": [0, 0, about["width"], about["height"]], "alt": about["alt"]}])
    if " ".join(panel["alt"] for panel in panels) != about["alt"]:
        found.append("panels say something else")
    if sum(panel["box"][2] * panel["box"][3] for panel in panels) != about["width"] * about["height"]:
        found.append("panels leave something out")
    if LEAST * PHONE / max(panel["box"][2] for panel in panels) < 9:
        found.append("words of less than 9 pixels on a phone")
    if "svg" in about:
        packed = base64.b64decode(about["svg"])
        if len(packed) > len(png):
            found.append("an SVG larger than the PNG")
        drawing = re.sub(r"<style>:root.*?</style>", "", gzip.decompress(packed).decode())
        colors = set(re.findall(r"#[0-9a-fA-F]{6}", drawing))
        if colors:
            found.append(f"colours that do not follow the ground: {colors}")
    return found


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem[:2])
def test_figures_have_no_fault(path):
    assert {name: wrong for name, *one in figures(path) if (wrong := faults(*one))} == {}
    assert path.stat().st_size < 1_000_000


def test_every_fault_is_found():
    name, png, about, caption, _ = next(figures(NOTEBOOKS[0]))
    assert faults(png, about, caption) == [] and "panels" in about
    image = np.array(Image.open(io.BytesIO(png)).convert("RGB"))
    image[0, 300] = 0
    cut, small = io.BytesIO(), io.BytesIO()
    Image.fromarray(image).save(cut, "PNG")
    Image.fromarray(np.full_like(image[::2, ::2], 255)).save(small, "PNG")
    svg = base64.b64encode(gzip.compress(b'<svg><path style="fill: #ff0000"/></svg>')).decode()
    first, whole = about["panels"][0], {key: about[key] for key in ("alt", "width", "height")}
    for wrong, said in [
        ((cut.getvalue(), about, caption), "ink on its edge: something is cut"),
        ((png, about | {"alt": "A figure."}, caption), "9 characters of alternative text"),
        ((png, about | {"alt": "word " * 100}, caption), "500 characters of alternative text"),
        ((png, about, None), "no caption"),
        ((small.getvalue(), about, caption), "not two pixels for one of the screen"),
        ((png, about | {"panels": [first | {"alt": "?"}]}, caption), "panels say something else"),
        ((png, about | {"panels": [first]}, caption), "panels leave something out"),
        ((png, whole, caption), "words of less than 9 pixels on a phone"),
        ((png, about | {"svg": svg}, caption), "colours that do not follow the ground: {'#ff0000'}"),
    ]:  # fmt: skip
        assert said in faults(*wrong)
