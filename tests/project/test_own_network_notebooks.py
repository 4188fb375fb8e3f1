"""Notebooks 06 to 08 on a network of the reader's own: they name it, measure all its layers and keep its numbers."""

import json
from pathlib import Path

import pytest
import scripts
from tiny import GPT2, saved

ROOT = Path(__file__).resolve().parents[2]


def run(name, model, folder, monkeypatch):
    """The outputs of a notebook on a model, and what it prints; its results go into a folder."""
    monkeypatch.setenv("LNPOLY_MODEL", str(model))
    monkeypatch.setenv("LNPOLY_RESULTS", str(folder))
    nb, _, result = scripts.load("notebooks/build.py").execute(ROOT / "notebooks" / f"{name}.ipynb")
    assert result == "ok"
    outputs = [output for cell in nb.cells for output in cell.get("outputs", [])]
    text = "".join(output.get("text", "") for output in outputs)
    assert "NOT GPT-2" not in text and "\ngpt2 " not in text
    return outputs, text


@pytest.mark.slow
@pytest.mark.thorough
def test_notebook_06_runs_on_a_full_size_gpt2(full_size_gpt2, tmp_path, monkeypatch):
    """With random weights."""
    outputs, text = run("06_gpt2_small", full_size_gpt2, tmp_path, monkeypatch)
    name = f"{full_size_gpt2.name} (folder)"
    assert f"{name}: 12 of 12 layers, d = 768, 3072 neurons, gelu_new" in text and f"\n{name} " in text
    titles = [output.metadata["image/png"]["alt"] for output in outputs if "image/png" in output.get("data", {})]
    of_others = ("Neurons of Stanford's GPT-2 small", "minilm, layer")  # published ones, and the circle to play with
    ours = [title for title in titles if not title.startswith(of_others)]
    assert len(ours) == len(titles) - 2 and all(name in title for title in ours)
    assert all(len(title) <= 400 for title in titles)

    numbers = json.loads((tmp_path / f"{full_size_gpt2.name}_folder" / "06.json").read_text())
    reference = json.loads((ROOT / "data" / "results" / "minilm" / "06.json").read_text())
    assert numbers.keys() == reference.keys()
    assert all(len(values) == 12 for values in numbers.values())


@pytest.mark.slow
@pytest.mark.thorough
def test_notebook_07_takes_a_gpt2_of_the_readers_own(tmp_path, monkeypatch):
    """A tiny one with random weights."""
    saved(tmp_path / "tiny", "GPT2LMHeadModel", **GPT2 | {"n_layer": 3})
    outputs, text = run("07_adding_a_direction", tmp_path / "tiny", tmp_path / "results", monkeypatch)
    titles = [output.metadata["image/png"]["alt"] for output in outputs if "image/png" in output.get("data", {})]
    assert all(len(title) <= 400 for title in titles)
    assert "\ntiny (folder)  " in text
    numbers = json.loads((tmp_path / "results" / "tiny_folder" / "07.json").read_text())
    assert all(len(values) == 3 for values in numbers.values()) and "matched, opposition" in numbers


@pytest.mark.slow
def test_notebook_08_takes_a_network_that_cannot_tell_the_two_texts_apart(tmp_path, monkeypatch):
    """Its tokenizer knows none of their words, so that what it is steered with is nothing: the notebook says so."""
    saved(tmp_path / "tiny", "GPT2LMHeadModel", **GPT2 | {"n_layer": 3})
    _, text = run("08_same_direction_other_contexts", tmp_path / "tiny", tmp_path / "results", monkeypatch)
    assert "\ntiny (folder)  " in text and "\ntiny (folder), layer 0  " in text
    assert "tiny (folder):\nreads both texts alike" in text and "measured: tiny (folder), a stand-in" in text
