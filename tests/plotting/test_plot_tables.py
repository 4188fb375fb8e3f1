"""The table of verdicts: every cell stands in its row and column, and its colour and word are its number's."""

import numpy as np
import pytest
from artists import color_of, place

from lnpoly_helpers.plotting import new_figure, plot_verdicts
from lnpoly_helpers.plotting.style import SERIES

CHANGES = {
    "with LayerNorm": {"scaled": 1e-15, "shifted\nby ones": 1e-9, "turned": 0.1234},
    "without": {"scaled": 12345.6, "shifted\nby ones": 0.5, "turned": 1e-8},
}


def test_every_cell_says_what_its_test_found():
    figure, ax = new_figure()
    assert plot_verdicts(CHANGES, tolerance=1e-9, title="Who moves", ax=ax) is figure
    words = {tuple(place(text)): text.get_text() for text in ax.texts}
    assert words == {
        (0, 0): "same",
        (1, 0): "same",  # the tolerance itself
        (2, 0): "moves 0.123",
        (0, 1): "moves 12,346",
        (1, 1): "moves 0.5",
        (2, 1): "moves 1e-08",
    }
    fills = {}
    for cell in ax.patches:
        (x0, y0), (x1, y1) = cell.get_bbox().get_points()
        middle = (round((x0 + x1) / 2, 9), round((y0 + y1) / 2, 9))
        assert x1 - x0 == pytest.approx(0.94) and abs(y1 - y0) == pytest.approx(0.86)
        fills[middle] = color_of(cell)
    assert fills == {at: SERIES[0][0] if word == "same" else SERIES[1][0] for at, word in words.items()}
    assert [label.get_text() for label in ax.get_yticklabels()] == list(CHANGES)
    assert [label.get_text() for label in ax.get_xticklabels()] == list(CHANGES["without"])
    assert list(ax.get_yticks()) == [0, 1] and list(ax.get_xticks()) == [0, 1, 2]
    assert ax.get_xlim() == (-0.5, 2.5) and ax.get_ylim() == (1.5, -0.5)  # rows are read from the top
    assert ax.get_title(loc="left") == "Who moves"
    assert figure.alt == (
        "Who moves: a table of 2 rows and 3 tests (scaled, shifted by ones, turned). What moves, row by row: "
        "with LayerNorm: turned; without: scaled, shifted by ones, turned."
    )


def test_a_table_where_nothing_moves_and_columns_in_another_order():
    changes = {"a": {"x": 0.0, "y": 1e-3}, "b": {"y": 0.0, "x": 1e-3}}
    ax = plot_verdicts(changes, tolerance=1e-4).axes[0]
    words = {tuple(place(text)): text.get_text() for text in ax.texts}
    assert [words[x, y] for y in (0, 1) for x in (0, 1)] == ["same", "moves 0.001", "moves 0.001", "same"]
    figure = plot_verdicts({"a": {"x": 0.0}}, tolerance=np.float64(0))
    assert figure.alt == "a table of 1 rows and 1 tests (x). What moves, row by row: a: nothing."
