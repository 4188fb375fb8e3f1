"""What a figure holds, read back from its artists as plain numbers: the tests compare it with what was handed over."""

import itertools

import matplotlib.colors
import numpy as np
from matplotlib.markers import MarkerStyle
from matplotlib.text import Text
from mpl_toolkits.mplot3d import proj3d

from lnpoly_helpers.plotting.labels import MARKS


def color_of(artist):
    """The one colour of a line, text, patch or collection as ``"#RRGGBB"``: of its face, where it has one."""
    for reader in ("get_facecolor", "get_color"):
        found = hexes(getattr(artist, reader)()) if hasattr(artist, reader) else []
        if found:
            return found[0]


def hexes(colors):
    return [matplotlib.colors.to_hex(color).upper() for color in matplotlib.colors.to_rgba_array(colors)]


def texts(ax):
    """Text: place, for every text in the axes that says something; arrows are annotations without any."""
    return {said(text): place(text) for text in ax.texts if text.get_text()}


def text(ax, words):
    """The one text that says this."""
    (found,) = [text for text in ax.texts if said(text) == words]
    return found


def said(text):
    """The words of a text, without the mark that the name of a curve begins with."""
    words = text.get_text()
    return words[2:] if words[:1] in MARKS.values() else words


def place(text):
    """Where a text stands in the data's coordinates: in space, or for an annotation the point that it is about."""
    if hasattr(text, "get_position_3d"):
        return np.array(text.get_position_3d(), dtype=float)
    return np.array(text.xy if hasattr(text, "xy") else text.get_position(), dtype=float)


def arrows(ax):
    """(from, to, colour, line) of every arrow."""
    found = [text for text in ax.texts if getattr(text, "arrow_patch", None)]
    assert all(text.arrow_patch.get_arrowstyle().__class__.__name__ == "CurveFilledB" for text in found)  # at its end
    return [
        (
            tuple(text.get_position()),
            tuple(float(number) for number in text.xy),
            hexes(text.arrow_patch.get_edgecolor())[0],
            text.arrow_patch.get_linestyle(),
        )
        for text in found
    ]


def same_marker(collection, marker):
    style = MarkerStyle(marker)
    expected = style.get_path().transformed(style.get_transform())
    return np.array_equal(collection.get_paths()[0].vertices, expected.vertices)


# --- three dimensions --------------------------------------------------------------------------------------------


def project(ax, points):
    """Points of space [n, 3] as the axes show them [n, 2]."""
    return np.column_stack(proj3d.proj_transform(*np.asarray(points, dtype=float).T, ax.get_proj())[:2])


def drawn(figure):
    """The same figure after matplotlib has projected what is in its three-dimensional axes."""
    figure.draw_without_rendering()
    return figure


def lines_3d(ax):
    """The points [n, 3] of every line in space."""
    return [np.column_stack(line.get_data_3d()) for line in ax.lines]


def same_points(found, expected, atol=1e-9):
    """Whether two sets of points [n, k] are one, in whatever order: matplotlib sorts what it projects by depth."""
    found, expected = np.asarray(found, dtype=float), np.asarray(expected, dtype=float)
    if found.shape != expected.shape:
        return False
    apart = np.linalg.norm(found[:, None] - expected[None], axis=-1)
    return bool((apart.min(axis=0) < atol).all() and (apart.min(axis=1) < atol).all())


def circle_about_ones(radius, n=720):
    """Points of the circle in the plane through the origin that is orthogonal to the ones vector, by turning one."""
    axis, start = np.ones(3) / np.sqrt(3), radius * np.array([0.0, 1.0, -1.0]) / np.sqrt(2)
    angle = np.linspace(0, 2 * np.pi, n, endpoint=False)[:, None]
    return np.cos(angle) * start + np.sin(angle) * np.cross(axis, start)


def covers(found, curve, step):
    """Whether points lie on a closed curve, itself given as points, and leave no gap of it longer than the step."""
    apart = np.linalg.norm(np.asarray(found)[:, None] - np.asarray(curve)[None], axis=-1)
    return bool(apart.min(axis=1).max() < step and apart.min(axis=0).max() < step)


# --- the plane ---------------------------------------------------------------------------------------------------


def colors_at(collection, points):
    """The colour that a collection of filled outlines has at each point: "" where it has none, a list where several."""
    fills = hexes(collection.get_facecolor())
    inside = np.array([path.contains_points(points) for path in collection.get_paths()])
    found = [[fills[k] for k in np.flatnonzero(column)] for column in inside.T]
    return ["" if not colors else colors[0] if len(colors) == 1 else colors for colors in found]


def fills_of(colors, patterns, many):
    """Whether colours are what patterns [n, m] ask for: one each, or two tones by their parity if there are many."""
    keys = [bytes(pattern) for pattern in patterns]
    pairs = {*zip(keys, colors, strict=True)}
    if not many:
        return len(pairs) == len({*keys}) == len({*colors})
    tones = ["#C9DAE8", "#7FA3C4"]
    return list(colors) == [tones[sum(pattern) % 2] for pattern in patterns]


def image_colors(image, points):
    """RGB, 0 to 255, of an image at points [n, 2] of the axes' coordinates, by its extent and which way up it lies."""
    pixels = np.asarray(image.get_array())
    left, right, bottom, top = image.get_extent()
    columns = (points[:, 0] - left) / (right - left) * pixels.shape[1]
    rows = (points[:, 1] - bottom) / (top - bottom) * pixels.shape[0]
    rows = np.floor(rows).astype(int)
    return pixels[rows if image.origin == "lower" else -1 - rows, np.floor(columns).astype(int)]


def pairs(items):
    return list(itertools.pairwise(items))


def boxes(figure):
    """What every text of a figure covers after it was drawn, in pixels: [(text, box)], ticks' labels included."""
    figure.draw_without_rendering()
    found = [*figure.texts, *(text for legend in figure.legends for text in legend.findobj(Text))]
    for ax in figure.axes:
        found += [*ax.texts, ax.title, ax._left_title, *(ax.get_legend().findobj(Text) if ax.get_legend() else [])]
        for axis in (ax.xaxis, ax.yaxis) if ax.axison else ():
            low, high = sorted(axis.get_view_interval())
            ticks = [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
            found += [axis.label, *(label for label in ticks if label.get_visible())]
    # of an annotation its words alone, without the line that leads to them
    return [(text.get_text(), Text.get_window_extent(text)) for text in found if text.get_text().strip()]


def cut(figure):
    """The texts that stick out of the picture."""
    width, height = figure.bbox.size
    return [text for text, box in boxes(figure) if box.x0 < 0 or box.y0 < 0 or box.x1 > width or box.y1 > height]


def colliding(figure):
    """The pairs of texts that lie upon each other."""
    return [(a, b) for (a, one), (b, other) in itertools.combinations(boxes(figure), 2) if one.overlaps(other)]
