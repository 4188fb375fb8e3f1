"""Notebooks 07 and 08 on a network of the reader's own: it has its row in the table, and its numbers are kept."""

import json
from pathlib import Path

import pytest
import scripts
from tiny import GPT2, saved

ROOT = Path(__file__).resolve().parents[2]


def printed(name):
    build = scripts.load("notebooks/build.py")
    nb, _, result = build.execute(ROOT / "notebooks" / f"{name}.ipynb")
    assert result == "ok"
    text = "".join(output.get("text", "") for cell in nb.cells for output in cell.get("outputs", []))
    assert "NOT GPT-2" not in text and "\ngpt2 " not in text
    return text


@pytest.mark.slow
def test_notebook_07_takes_a_gpt2_of_the_readers_own(tmp_path, monkeypatch):
    """A tiny one with random weights, so that this takes seconds."""
    saved(tmp_path / "tiny", "GPT2LMHeadModel", **GPT2 | {"n_layer": 3})
    monkeypatch.setenv("LNPOLY_MODEL", str(tmp_path / "tiny"))
    monkeypatch.setenv("LNPOLY_RESULTS", str(tmp_path / "results"))
    assert "\ntiny (folder)  " in printed("07_adding_a_direction")
    numbers = json.loads((tmp_path / "results" / "tiny_folder" / "07.json").read_text())
    assert all(len(values) == 3 for values in numbers.values()) and "matched, opposition" in numbers


@pytest.mark.slow
def test_notebook_08_takes_a_network_that_cannot_tell_the_two_texts_apart(tmp_path, monkeypatch):
    """Its tokenizer knows none of their words, so that what it is steered with is nothing: the notebook says so."""
    saved(tmp_path / "tiny", "GPT2LMHeadModel", **GPT2 | {"n_layer": 3})
    monkeypatch.setenv("LNPOLY_MODEL", str(tmp_path / "tiny"))
    text = printed("08_same_direction_other_contexts")
    assert "\ntiny (folder)  " in text and "\ntiny (folder), layer 0  " in text
    assert "tiny (folder):\nreads both texts alike" in text and "measured: tiny (folder), a stand-in" in text
