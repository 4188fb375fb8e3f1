"""Notebooks 07 and 08 on a network of the reader's own: named in a table and a figure, its numbers kept."""

import json
from pathlib import Path

import pytest
import scripts
from tiny import GPT2, saved

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_notebooks_07_and_08_take_a_gpt2_of_the_readers_own(tmp_path, monkeypatch):
    """A tiny one with random weights, so that this takes seconds."""
    build = scripts.load("notebooks/build.py")
    saved(tmp_path / "tiny", "GPT2LMHeadModel", **GPT2 | {"n_layer": 3})
    monkeypatch.setenv("LNPOLY_MODEL", str(tmp_path / "tiny"))
    monkeypatch.setenv("LNPOLY_RESULTS", str(tmp_path / "results"))
    for name in ("07_adding_a_direction", "08_same_direction_other_contexts"):
        nb, _, result = build.execute(ROOT / "notebooks" / f"{name}.ipynb")
        assert result == "ok"
        outputs = [output for cell in nb.cells for output in cell.get("outputs", [])]
        text = "".join(output.get("text", "") for output in outputs)
        alts = [output.metadata["image/png"]["alt"] for output in outputs if "image/png" in output.get("data", {})]
        assert "tiny (folder)  " in text and "NOT GPT-2" not in text and "\ngpt2 " not in text
        assert any("tiny (folder)" in alt for alt in alts)
    numbers = json.loads((tmp_path / "results" / "tiny_folder" / "07.json").read_text())
    assert all(len(values) == 3 for values in numbers.values()) and "matched, opposition" in numbers
