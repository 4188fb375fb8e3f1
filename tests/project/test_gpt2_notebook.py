"""Notebook 06 on a GPT-2 small in its full size, with random weights: it names its model and measures 12 layers."""

import json
from pathlib import Path

import pytest
import scripts

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_notebook_06_runs_on_a_full_size_gpt2(full_size_gpt2, tmp_path, monkeypatch):
    build = scripts.load("notebooks/build.py")
    monkeypatch.setenv("LNPOLY_MODEL", str(full_size_gpt2))
    monkeypatch.setenv("LNPOLY_RESULTS", str(tmp_path))
    nb, _, result = build.execute(ROOT / "notebooks" / "06_gpt2_small.ipynb")
    assert result == "ok"

    outputs = [output for cell in nb.cells for output in cell.get("outputs", [])]
    text = "".join(output.get("text", "") for output in outputs)
    name = f"{full_size_gpt2.name} (folder)"
    assert f"{name}: 12 of 12 layers, d = 768, 3072 neurons, gelu_new" in text
    assert f"\n{name} " in text and "NOT GPT-2" not in text and "\ngpt2" not in text
    titles = [output.metadata["image/png"]["alt"] for output in outputs if "image/png" in output.get("data", {})]
    of_others = ("Neurons of Stanford's GPT-2 small", "minilm, layer")  # published ones, and the circle to play with
    ours = [title for title in titles if not title.startswith(of_others)]
    assert len(ours) == len(titles) - 2 and all(name in title for title in ours)
    assert all(len(title) <= 400 for title in titles)

    numbers = json.loads((tmp_path / f"{full_size_gpt2.name}_folder" / "06.json").read_text())
    reference = json.loads((ROOT / "data" / "results" / "minilm" / "06.json").read_text())
    assert numbers.keys() == reference.keys()
    assert all(len(values) == 12 for values in numbers.values())
