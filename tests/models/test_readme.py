"""The README's examples, run as they stand there, on tiny models in place of those that they name."""

import re

import numpy as np
import pytest
import tiny
import torch
import transformers
from architectures import GPT, GROUPED, Architecture
from environments import ROOT

import lnpoly_helpers
from lnpoly_helpers import load_model

README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.S)
TOKENS = torch.tensor([[5, 1, 30, 22, 9, 17, 3]])


@pytest.fixture(scope="module")
def llama():
    return Architecture("LlamaForCausalLM", GROUPED | {"num_hidden_layers": 6}).build()


def test_a_loaded_model(tmp_path, monkeypatch, capsys):
    tiny.saved(tmp_path / "gpt2", "GPT2LMHeadModel", **GPT | {"n_layer": 6})
    monkeypatch.setattr(lnpoly_helpers, "load_model", lambda name: load_model(tmp_path / name))
    exec(EXAMPLES[0], found := {})
    n_arcs, n_patterns = map(int, capsys.readouterr().out.split())
    assert n_arcs == found["circle"].n_arcs >= n_patterns > 2
    assert found["x"].shape == (7, 32)


def test_a_model_of_transformers_in_four_lines(llama, monkeypatch, capsys):
    monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", lambda name: llama)
    exec(EXAMPLES[1], found := {"tokens": TOKENS})
    between = EXAMPLES[1].split("from_pretrained")[1].strip().splitlines()[1:]
    assert len(between) <= 4 and "crossings(" in between[-1]
    check(llama, found["mlp"], capsys.readouterr().out)


def test_modules_in_four_lines(llama, capsys):
    layer = llama.model.layers[5]
    parts = {"norm": layer.post_attention_layernorm, "act_fn": layer.mlp.act_fn, "model": llama, "tokens": TOKENS}
    parts |= {name: getattr(layer.mlp, name) for name in ("gate_proj", "up_proj", "down_proj")}
    with torch.no_grad():
        exec(EXAMPLES[2], parts)
    assert len(EXAMPLES[2].strip().splitlines()) <= 2 + 4  # an import and an empty line before
    check(llama, parts["mlp"], capsys.readouterr().out)


@pytest.mark.parametrize("where", ["threads", pytest.param("processes", marks=pytest.mark.thorough)])
def test_text_counted_in_two_parts_is_counted_as_in_one(where, monkeypatch, capsys):
    """In threads as dask hands the parts out; what processes send one another, test_patterns.py pickles."""
    texts = lnpoly_helpers.prompts()[:6]
    monkeypatch.setattr(lnpoly_helpers, "prompts", lambda: texts)
    assert EXAMPLES[3].count('scheduler="processes"') == 1
    exec(EXAMPLES[3].replace("processes", where), found := {})
    model = load_model("nano-ln-relu")
    x = lnpoly_helpers.residuals(model, texts, 1)
    here = lnpoly_helpers.PatternCounter().update(lnpoly_helpers.mlp_block(model, 1).preactivations(x))
    assert repr(found["counter"]) == repr(here) == capsys.readouterr().out.strip()
    assert here.n_patterns > 100
    n_parts = found["texts"].npartitions
    assert n_parts == 2 and "num_workers=2" in EXAMPLES[3]


def check(llama, mlp, printed):
    """Neurons on at one token and off at the other, by the model itself, are crossed an odd number of times."""
    layer, seen = llama.model.layers[5], []
    hook = layer.mlp.gate_proj.register_forward_hook(lambda module, read, made: seen.append(made[0].double().numpy()))
    with torch.no_grad():
        llama(TOKENS)
    hook.remove()
    n_flipped = int((np.sign(seen[0][1]) != np.sign(seen[0][5])).sum())
    count = int(re.search(r"\d+", printed).group())
    assert count >= n_flipped > 0 and (count - n_flipped) % 2 == 0
    assert mlp.is_gated
