"""Notebook 07 on a GPT-2 of its own: one changed line, its name on every figure, the numbers of all its layers."""

import json
from pathlib import Path

import nbformat
import pytest
import scripts
from tiny import GPT2, saved

ROOT = Path(__file__).resolve().parents[2]
NAME = "07_adding_a_direction"


@pytest.mark.slow
def test_notebook_07_runs_on_a_gpt2(tmp_path, monkeypatch):
    """A tiny one with random weights, alone, so that this takes seconds."""
    build = scripts.load("notebooks/build.py")
    saved(tmp_path / "tiny", "GPT2LMHeadModel", **GPT2 | {"n_layer": 3})
    nb = nbformat.read(ROOT / "notebooks" / f"{NAME}.ipynb", as_version=4)
    (cell,) = (cell for cell in nb.cells if cell.source.startswith("wanted = ["))
    line = cell.source.splitlines()[0]
    assert line.endswith('"auto"]')
    cell.source = cell.source.replace(line, 'wanted = ["auto"]')
    nbformat.write(nb, tmp_path / f"{NAME}.ipynb")
    monkeypatch.setenv("LNPOLY_MODEL", str(tmp_path / "tiny"))
    monkeypatch.setenv("LNPOLY_RESULTS", str(tmp_path / "results"))
    nb, _, result = build.execute(tmp_path / f"{NAME}.ipynb")
    assert result == "ok"

    outputs = [output for cell in nb.cells for output in cell.get("outputs", [])]
    text = "".join(output.get("text", "") for output in outputs)
    assert "tiny (folder)   and its twin: 3 layers, 128 neurons, gelu_new, norm: layernorm" in text
    assert "NOT GPT-2" not in text and "nano" not in text
    titles = [output.metadata["image/png"]["alt"] for output in outputs if "image/png" in output.get("data", {})]
    assert len(titles) == 6 and all("tiny (folder)" in title for title in titles)
    numbers = json.loads((tmp_path / "results" / "tiny_folder" / "07.json").read_text())
    reference = json.loads((ROOT / "data" / "results" / "nano-ln-gelu" / "07.json").read_text())
    assert numbers.keys() == reference.keys()
    assert all(len(values) == 3 for key, values in numbers.items() if not key.startswith("jostling"))
