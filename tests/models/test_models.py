# pyright: reportArgumentType=false, reportAttributeAccessIssue=false
"""models: against the raw forward pass, TransformerBridge's own fold, transformers' own GPT-2 and damaged files."""

import copy
import importlib
import json
import logging
import os
import shutil
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError
from functools import cache
from types import SimpleNamespace

import environments
import numpy as np
import pytest
import tiny
import torch
from environments import ROOT
from tiny import GPT2, saved

from lnpoly_helpers import (
    EMBEDDED,
    NormedMLP,
    capture,
    context_windows,
    distinct_contexts,
    encode,
    fold_layer_norm,
    load_model,
    mlp_block,
    model_card,
    model_name,
    normalize,
    prompts,
    ray_crossings,
    residuals,
    token_embeddings,
    trace,
    untrained,
)
from lnpoly_helpers._inputs import require_installed
from lnpoly_helpers.models import hub, load
from lnpoly_helpers.series import data_folder

TINY = {
    "d_model": 32,
    "d_head": 8,
    "n_heads": 4,
    "n_layers": 3,
    "d_mlp": 64,
    "n_ctx": 24,
    "d_vocab": 256,
    "eps": 1e-5,
    "positional_embedding_type": "standard",
    "seed": 1,
}
RANDOM = {
    "random-ln-relu": {"normalization_type": "LN", "act_fn": "relu"},
    "random-ln-gelu_new": {"normalization_type": "LN", "act_fn": "gelu_new"},
    "random-ln-gelu": {"normalization_type": "LN", "act_fn": "gelu"},
    "random-rms-relu": {"normalization_type": "RMS", "act_fn": "relu"},
    "random-none-relu": {"normalization_type": None, "act_fn": "relu"},
}
EVERY = (*RANDOM, *EMBEDDED)
TEXT = "Twice two is four."
LONG = " ".join(f"{n} times {n} is {n * n};" for n in range(120))


def fresh(name):
    """A model that the caller may change; the random ones get norms and biases unlike their starting values."""
    if name in EMBEDDED:
        return load_model(name)
    model = load.boot_native(TINY | RANDOM[name], "float64")
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return model


shared = cache(fresh)  # for the tests that only look


def forward_from(model, layer, residual):
    """What the network makes of a residual vector before the MLP of ``layer``, by its own modules in a row."""
    with torch.no_grad():
        x = torch.tensor(residual)[None]
        block = model.blocks[layer]
        x = x + block.mlp(block.ln2(x))
        for later in model.blocks[layer + 1 :]:
            x = later(x)[0]
        return model.unembed(model.ln_final(x))[0].double().numpy()


# --- one block as arrays ---


@pytest.mark.parametrize("name", EVERY)
def test_a_block_says_what_the_config_says(name):
    model = shared(name)
    config = model_card(name)["config"] if name in EMBEDDED else TINY | RANDOM[name]
    for layer in range(config["n_layers"]):
        block = mlp_block(model, layer)
        assert (block.d_model, block.n_neurons) == (config["d_model"], config["d_mlp"])
        assert block.activation == config["act_fn"]
        assert block.kind == {"LN": "layernorm", "RMS": "rmsnorm", None: "none"}[config["normalization_type"]]
        assert block.kind == "none" or block.eps == config["eps"]


@pytest.mark.parametrize("name", EVERY)
def test_the_fold_is_the_models_own_mlp_and_leaves_the_logits(name):
    model = shared(name)
    for layer in range(model.cfg.n_layers):
        mlp = fold_layer_norm(mlp_block(model, layer))
        own = trace(model, TEXT, layer)
        size = max(1.0, np.abs(own.mlp_output).max())
        assert np.abs(mlp(own.residual) - own.mlp_output).max() < 1e-9 * size
        replaced = trace(model, TEXT, layer, replace_mlp=mlp)
        assert np.abs(replaced.logits - own.logits).max() < 1e-9 * max(1.0, np.abs(own.logits).max())
        wrong = trace(model, TEXT, layer, replace_mlp=lambda x, mlp=mlp: -mlp(x))
        assert np.abs(wrong.logits - own.logits).max() > 1e-2  # so the replacement does reach the logits


@pytest.mark.parametrize("name", EVERY)
def test_the_fold_is_transformer_lenss_own(name):
    model = fresh(name)
    ours = [fold_layer_norm(mlp_block(model, layer)) for layer in range(model.cfg.n_layers)]
    model.process_weights(
        fold_ln=True, center_writing_weights=False, center_unembed=False, fold_value_biases=False
    )  # the other three change W_out, W_U and the attention, not what is compared here
    theirs = model.state_dict()
    for layer, mlp in enumerate(ours):
        W_in = theirs[f"blocks.{layer}.mlp.in.weight"].numpy().T
        b_in = theirs[f"blocks.{layer}.mlp.in.bias"].numpy()
        assert np.abs(mlp.W_in - W_in).max() < 1e-6
        assert np.abs(mlp.b_in - b_in).max() < 1e-6
        x = np.random.default_rng(0).normal(size=(5, mlp.d_model))
        again = fold_layer_norm(mlp_block(model, layer))  # out of the model that is folded by now
        assert np.abs(again(x) - mlp(x)).max() < 1e-5


def test_the_comparison_with_transformer_lens_is_not_empty():
    """The perturbed norms are far from the identity: the unfolded matrix misses by much more than the tolerance."""
    block = mlp_block(shared("random-ln-relu"), 1)
    mlp = fold_layer_norm(block)
    assert np.abs(mlp.W_in - block.W_in).max() > 0.05 and np.abs(mlp.b_in - block.b_in).max() > 0.05


# --- the same architecture untrained ---


@pytest.mark.parametrize("name", EVERY)
def test_an_untrained_twin_has_the_shapes_and_none_of_the_weights(name):
    model, state = shared(name), torch.get_rng_state()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    twin, other = untrained(model, seed=5), untrained(model, seed=6)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert model_name(twin) == f"{model_name(model)}, untrained"
    for layer in (0, model.cfg.n_layers - 1):
        block, fresh_block, another = (mlp_block(one, layer) for one in (model, twin, other))
        assert (fresh_block.kind, fresh_block.activation, fresh_block.eps) == (block.kind, block.activation, block.eps)
        assert fresh_block.W_in.shape == block.W_in.shape and not (fresh_block.W_in == block.W_in).any()
        assert not (fresh_block.W_in == another.W_in).any()
        d = fresh_block.d_model
        assert fresh_block.W_in.std() == pytest.approx(0.8 / np.sqrt(d), rel=0.06)
        assert fresh_block.W_out.std() == pytest.approx(0.8 / np.sqrt(2 * model.cfg.n_layers * d), rel=0.06)
        assert not fresh_block.b_in.any() and (fresh_block.gamma == 1).all()
    again = mlp_block(untrained(model, seed=5), 1)
    np.testing.assert_array_equal(again.W_in, mlp_block(twin, 1).W_in)
    assert residuals(twin, TEXT, 1).shape == residuals(model, TEXT, 1).shape


# --- one run ---


@pytest.mark.parametrize("name", EVERY)
def test_a_trace_is_the_raw_forward_pass(name):
    model = shared(name)
    tokens = torch.from_numpy(encode(model, TEXT))[None]
    with torch.no_grad():
        logits, kept = model.run_with_cache(tokens)
    # the library's RMSNorm computes in float32; a trace keeps it from that
    tolerance = 1e-5 if "rms" in name else 1e-10
    for layer in range(model.cfg.n_layers):
        run = trace(model, TEXT, layer)
        np.testing.assert_allclose(run.residual, kept[f"blocks.{layer}.hook_resid_mid"][0], atol=tolerance)
        np.testing.assert_allclose(run.mlp_output, kept[f"blocks.{layer}.hook_mlp_out"][0], atol=tolerance)
        np.testing.assert_allclose(run.logits, logits[0], atol=10 * tolerance)
        np.testing.assert_allclose(run.logits, forward_from(model, layer, run.residual), atol=10 * tolerance)


@pytest.mark.parametrize("name", EVERY)
def test_editing_the_residual_edits_the_whole_stream(name):
    model = shared(name)
    for layer in (0, model.cfg.n_layers - 1):
        own = trace(model, TEXT, layer)
        edited = trace(model, TEXT, layer, edit_residual=lambda x: 3 * x)
        size = max(1.0, np.abs(own.residual).max())
        np.testing.assert_allclose(edited.residual, 3 * own.residual, atol=3e-6 * size)
        expected = forward_from(model, layer, 3 * own.residual)
        np.testing.assert_allclose(edited.logits, expected, atol=1e-4 * max(1.0, np.abs(expected).max()))
        assert np.abs(edited.logits - own.logits).max() > 1e-2
        mlp_change = np.abs(edited.mlp_output - own.mlp_output).max() / np.abs(own.mlp_output).max()
        if mlp_block(model, layer).kind == "none":
            assert mlp_change > 0.1
        else:  # the norm forgets the factor, up to eps
            assert mlp_change < 1e-3


def test_an_edit_that_changes_nothing_changes_nothing_and_leaves_no_trace():
    model = shared("random-ln-relu")
    before = trace(model, TEXT, 1)
    same = trace(model, TEXT, 1, edit_residual=lambda x: x)
    np.testing.assert_allclose(same.logits, before.logits, atol=1e-5)
    trace(model, TEXT, 1, edit_residual=lambda x: 100 * x, replace_mlp=lambda x: 0 * x)
    np.testing.assert_array_equal(trace(model, TEXT, 1).logits, before.logits)


def test_an_edit_that_fails_leaves_the_model_as_it_was():
    model = shared("random-ln-relu")
    before = trace(model, TEXT, 1)
    with pytest.raises(ZeroDivisionError):
        trace(model, TEXT, 1, edit_residual=lambda x: 1 / 0)
    np.testing.assert_array_equal(trace(model, TEXT, 1).logits, before.logits)


def test_edit_and_replacement_work_together():
    model = shared("random-ln-relu")
    mlp = fold_layer_norm(mlp_block(model, 1))
    edited = trace(model, TEXT, 1, edit_residual=lambda x: 2 * x + 1)
    both = trace(model, TEXT, 1, edit_residual=lambda x: 2 * x + 1, replace_mlp=mlp)
    np.testing.assert_allclose(both.logits, edited.logits, atol=1e-4)


def test_a_trace_is_frozen():
    run = trace(shared("random-ln-relu"), TEXT, 0)
    with pytest.raises(FrozenInstanceError):
        run.logits = None
    for field in ("residual", "mlp_output", "logits"):
        assert not getattr(run, field).flags.writeable, f"{field} can be written to"


# --- many texts ---


def by_traces(model, texts, layer):
    """Every text in windows of one context, one run each (texts in ASCII: a byte a character)."""
    n = model.cfg.n_ctx
    windows = [text[start : start + n] for text in texts for start in range(0, len(text), n)]
    return np.concatenate([trace(model, window, layer).residual for window in windows])


@pytest.mark.parametrize("name", EVERY)
def test_residuals_are_those_of_one_run_for_each_text(name):
    model = shared(name)
    texts = [TEXT, "a", LONG[:301], "Yes?", LONG[: model.cfg.n_ctx], LONG[: model.cfg.n_ctx + 1]]
    for layer in (0, model.cfg.n_layers - 1):
        x = residuals(model, texts, layer)
        assert x.dtype == np.float64 and x.shape == (sum(map(len, texts)), model.cfg.d_model)
        np.testing.assert_allclose(x, by_traces(model, texts, layer), atol=2e-5)


def test_more_windows_than_fit_one_batch_keep_their_order():
    model = shared("random-ln-relu")
    texts = [LONG[k : k + 1 + (37 * k) % 60] for k in range(70)]
    np.testing.assert_allclose(residuals(model, texts, 1), by_traces(model, texts, 1), atol=2e-5)
    backwards = residuals(model, texts[::-1], 1)
    pieces = np.split(residuals(model, texts, 1), np.cumsum([len(t) for t in texts])[:-1])
    np.testing.assert_allclose(backwards, np.concatenate(pieces[::-1]), atol=2e-5)


@pytest.mark.parametrize("layers", [[0, 1, 2], [2, 0], (1,)])
def test_several_layers_in_one_run_are_the_layers_one_by_one(layers):
    model = shared("random-ln-relu")
    texts = [TEXT, "a", LONG[:100]]
    together = residuals(model, texts, layers)
    assert together.shape[0] == len(layers)
    for x, layer in zip(together, layers, strict=True):
        np.testing.assert_allclose(x, residuals(model, texts, layer), atol=2e-5)


def test_context_windows_are_the_texts_cut_at_the_context_length():
    model = shared("random-ln-relu")
    windows = context_windows(model, [LONG[:60], "a", LONG[:24]])
    assert [bytes(w.astype(np.uint8)).decode() for w in windows] == [
        LONG[:24],
        LONG[24:48],
        LONG[48:60],
        "a",
        LONG[:24],
    ]


def test_one_text_needs_no_list():
    model = shared("random-ln-relu")
    np.testing.assert_array_equal(residuals(model, TEXT, 1), residuals(model, [TEXT], 1))


def test_an_embedded_model_reads_utf8_bytes():
    text = "naïve – 1 €"
    tokens = encode(shared("random-ln-relu"), text)
    assert tokens.dtype == np.int64 and bytes(tokens.astype(np.uint8)).decode() == text
    assert len(residuals(shared("random-ln-relu"), text, 0)) == len(text.encode())


# --- transformers' GPT-2 ---


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    """A small random GPT-2 as transformers builds it, alone and behind a bridge, with a tokenizer of nine words."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformer_lens.model_bridge import TransformerBridge
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    end = "<|endoftext|>"
    words = [end, *"the cat sat on a mat and ate".split()]
    tokenizer = Tokenizer(WordLevel({word: k for k, word in enumerate(words)}, unk_token=end))
    tokenizer.pre_tokenizer = Whitespace()
    special = dict.fromkeys(("bos_token", "eos_token", "unk_token", "pad_token"), end)
    folder = tmp_path_factory.mktemp("tokenizer")
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)

    config = GPT2Config(n_layer=2, n_embd=32, n_head=4, vocab_size=len(words), n_positions=16, initializer_range=0.2)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        model = GPT2LMHeadModel(config).eval()
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.3 * torch.randn(parameter.shape))
    alone = copy.deepcopy(model)
    return alone, TransformerBridge.boot_transformers("gpt2", hf_model=model, tokenizer=tokenizer)


GPT2_TEXT = "the cat sat on the mat and the cat ate"


@pytest.mark.parametrize("layer", [0, 1])
def test_a_gpt2_block_is_transformers_own(gpt2, layer):
    """Conv1D stores its matrix the other way round from Linear."""
    alone, bridge = gpt2
    hf = alone.transformer.h[layer]
    block = mlp_block(bridge, layer)
    assert (block.kind, block.activation, block.eps) == ("layernorm", "gelu_new", 1e-5)
    np.testing.assert_array_equal(block.W_in, hf.mlp.c_fc.weight.detach())
    x = np.random.default_rng(0).normal(size=(7, 32))
    with torch.no_grad():
        expected = hf.double().mlp(hf.ln_2(torch.tensor(x))).numpy()
    hf.float()
    assert np.abs(block(x) - expected).max() < 1e-12
    assert np.abs(fold_layer_norm(block)(x) - expected).max() < 1e-12


@pytest.mark.parametrize("layer", [0, 1])
def test_a_gpt2_run_is_transformers_own(gpt2, layer):
    alone, bridge = gpt2
    seen = {}
    hf = alone.transformer.h[layer]
    hooks = [
        hf.ln_2.register_forward_pre_hook(lambda module, inputs: seen.update(residual=inputs[0][0])),
        hf.mlp.register_forward_hook(lambda module, inputs, output: seen.update(mlp_output=output[0])),
    ]
    with torch.no_grad():
        logits = alone(torch.from_numpy(encode(bridge, GPT2_TEXT))[None]).logits[0]
    for hook in hooks:
        hook.remove()
    run = trace(bridge, GPT2_TEXT, layer)
    np.testing.assert_allclose(run.residual, seen["residual"], atol=2e-5)
    np.testing.assert_allclose(run.mlp_output, seen["mlp_output"], atol=2e-5)
    np.testing.assert_allclose(run.logits, logits, atol=2e-5)
    batch = residuals(bridge, ["a mat", GPT2_TEXT], layer)
    np.testing.assert_allclose(batch[-len(run.residual) :], run.residual, atol=2e-5)
    mlp = fold_layer_norm(mlp_block(bridge, layer))
    np.testing.assert_allclose(trace(bridge, GPT2_TEXT, layer, replace_mlp=mlp).logits, run.logits, atol=2e-5)


# --- the embedded models ---


@pytest.mark.parametrize("name", EMBEDDED)
def test_an_embedded_model_is_small_and_trained(name):
    card = model_card(name)
    assert (data_folder() / card["file"]).stat().st_size <= 4e6
    if name != "nano-none-relu":
        assert card["training"]["held_back_loss"] <= 1.50
    assert (data_folder() / f"{name}.md").read_text().startswith(f"# {name}\n")


@pytest.mark.parametrize("name", EMBEDDED)
def test_an_embedded_model_predicts_the_prompts(name):
    """Uniform bytes cost 5.5 nats, the frequencies of English letters about 3; the prompts were never trained on."""
    model = shared(name)
    losses = []
    for text in prompts()[::3]:
        tokens = torch.from_numpy(encode(model, text)[:128])
        with torch.no_grad():
            logits = model(tokens[None])[0]
        losses.append(torch.nn.functional.cross_entropy(logits[:-1], tokens[1:]).item())
    assert np.mean(losses) < 2.2


def test_the_four_were_trained_alike():
    cards = [model_card(name) for name in EMBEDDED]
    for key in ("steps", "batch", "seed", "corpus"):
        assert all(card["training"][key] == cards[0]["training"][key] for card in cards)
    shape = [{k: v for k, v in card["config"].items() if k not in ("normalization_type", "act_fn")} for card in cards]
    assert all(s == shape[0] for s in shape)


@pytest.mark.parametrize("name", EMBEDDED)
def test_real_text_flips_no_neuron_along_its_rays_behind_a_norm_and_many_without(name):
    model = shared(name)
    mlp = fold_layer_norm(mlp_block(model, 2))
    x = residuals(model, prompts()[:3], 2)[::40]
    on = [mlp.preactivations(normalize(a * x, kind=mlp.kind)) > 0 for a in (1e-6, 1e-2, 1.0, 1e2, 1e6)]
    flips = sum((a != b).sum() for a, b in zip(on[:-1], on[1:], strict=True))
    crossings = [len(ray_crossings(mlp, row, eps=0.0).neurons) for row in x]
    if mlp.kind == "none":
        assert flips > 10 * len(x) and min(crossings) > 10
    else:
        assert flips == 0 and max(crossings) == 0


def copy_data(folder, name):
    for file in (data_folder() / "manifest.json", data_folder() / model_card(name)["file"]):
        shutil.copy(file, folder)
    return folder / model_card(name)["file"]


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """The file of one model in a folder of its own, free to be damaged."""
    file = copy_data(tmp_path, "nano-ln-relu")
    monkeypatch.setattr(load, "data_folder", lambda: tmp_path)
    return file


def test_a_copied_file_still_loads(copied):
    assert load_model("nano-ln-relu").cfg.d_model == 128


@pytest.mark.parametrize("damage", ["a flipped bit", "cut short", "empty", "a byte too long"])
def test_a_damaged_file_is_refused_by_its_sha256(copied, damage):
    content = bytearray(copied.read_bytes())
    if damage == "a flipped bit":
        content[-1000] ^= 1
    copied.write_bytes(
        {"a flipped bit": content, "cut short": content[:-1], "empty": b"", "a byte too long": content + b"\0"}[damage]
    )
    expected = model_card("nano-ln-relu")["sha256"][:16]
    with pytest.raises(ValueError, match=rf"nano-ln-relu\.safetensors: expected sha256 {expected}.*got .*damaged.*git"):
        load_model("nano-ln-relu")


@pytest.mark.parametrize("missing", ["nano-ln-relu.safetensors", "manifest.json"])
def test_a_missing_file_is_named_with_what_to_do(copied, missing):
    (copied.parent / missing).unlink()
    says = rf"{missing}: expected a file that comes with lnpoly_helpers.*restore data/"
    with pytest.raises(FileNotFoundError, match=says):
        load_model("nano-ln-relu")


# --- the prompts ---


def test_the_prompts_are_many_varied_and_about_twenty_kilobytes():
    texts = prompts()
    assert len(texts) >= 120 and len(set(texts)) == len(texts)
    assert 15_000 < sum(len(text.encode()) for text in texts) < 30_000
    assert all(text == text.strip() and len(text) >= 20 for text in texts)
    assert len({text[:12] for text in texts}) > 0.9 * len(texts)  # not one sentence with changing names
    words = [set(text.lower().split()) for text in texts]
    overlap = [len(a & b) / len(a | b) for k, a in enumerate(words) for b in words[:k]]
    assert max(overlap) < 0.6


def test_token_embeddings_are_the_rows_that_tokens_start_with():
    model = load_model("nano-ln-relu")
    embeddings = token_embeddings(model)
    assert embeddings.shape == (256, 128) and embeddings.dtype == np.float64
    stored = model.state_dict()["embed.weight"].double().numpy()
    np.testing.assert_array_equal(embeddings, stored)


# --- float32, and every digit of float64 ---


def apart(a, b):
    """The length of the difference of two arrays, relative to that of the second."""
    return np.linalg.norm(a - b) / np.linalg.norm(b)


@pytest.mark.parametrize("name", EMBEDDED)
def test_float32_is_the_same_model_in_half_the_digits(name):
    exact, rough = shared(name), load_model(name, dtype="float32")
    assert {p.dtype for p in exact.parameters()} == {torch.float64}
    assert {p.dtype for p in rough.parameters()} == {torch.float32}
    x, y = (residuals(model, [TEXT, LONG], 3) for model in (exact, rough))
    assert x.dtype == y.dtype == np.float64 and (y == y.astype(np.float32)).all()  # no digit that float32 has not
    assert 0 < apart(y, x) < 1e-5
    ours, theirs = (trace(model, TEXT, 1) for model in (exact, rough))
    assert 0 < apart(theirs.logits, ours.logits) < 1e-5
    for layer in (0, 3):
        np.testing.assert_array_equal(mlp_block(rough, layer).W_in, mlp_block(exact, layer).W_in)  # stored as float32


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_an_untrained_twin_keeps_the_precision(dtype, saved_gpt2):
    for name in ("nano-rms-relu", saved_gpt2[1]):
        twin = untrained(load_model(name, dtype=dtype))
        assert {p.dtype for p in twin.parameters()} == {getattr(torch, dtype)}
        x = residuals(twin, "the cat sat", 1)
        assert (x == x.astype(np.float32)).all() == (dtype == "float32")


@pytest.mark.parametrize("dtype", ["float16", "double", "", None, 32, torch.float32, np.float32])
@pytest.mark.parametrize("name", ["nano-ln-relu", "minilm", "smollm2", "auto", "gpt2", "./folder"])
def test_another_dtype_is_refused_before_anything_is_loaded(name, dtype):
    with pytest.raises(ValueError, match="dtype: expected one of 'float64', 'float32', got ") as caught:
        load_model(name, dtype=dtype)
    assert str(caught.value).endswith(f"got {dtype!r}.")


@pytest.fixture(scope="module")
def saved_gpt2(tmp_path_factory):
    """A small random GPT-2 of transformers, and its folder."""
    folder = tmp_path_factory.mktemp("saved") / "gpt2"
    return tiny.saved(folder, "GPT2LMHeadModel", **tiny.GPT2), folder


def test_float64_residuals_are_transformers_own_in_float32(saved_gpt2):
    alone, folder = saved_gpt2
    model, seen = load_model(folder), {}
    for layer, block in enumerate(alone.transformer.h):
        block.ln_2.register_forward_pre_hook(lambda module, inputs, layer=layer: seen.update({layer: inputs[0][0]}))
    with torch.no_grad():
        alone(torch.from_numpy(encode(model, GPT2_TEXT))[None])
    x = residuals(model, GPT2_TEXT, [0, 1])
    for layer in (0, 1):
        assert 0 < apart(seen[layer].double().numpy(), x[layer]) < 1e-5


@pytest.mark.parametrize("name", EMBEDDED)
def test_float64_residuals_are_transformer_lenss_own_in_float32(name):
    x, rough = residuals(shared(name), TEXT, 3), load_model(name, dtype="float32")
    with torch.no_grad():
        kept = rough.run_with_cache(torch.from_numpy(encode(rough, TEXT))[None])[1]["blocks.3.hook_resid_mid"][0]
    assert 0 < apart(kept.double().numpy(), x) < 1e-5


OTHERS = {"num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 64}
FLOAT32_INSIDE = {  # what each computes in float32, whatever it is given
    "ArceeForCausalLM": OTHERS | {"num_key_value_heads": 2, "hidden_act": "relu"},  # RMSNorm, rotary tables, softmax
    "OPTForCausalLM": OTHERS | {"ffn_dim": 64, "word_embed_proj_dim": 32},  # softmax
    "BloomForCausalLM": {"n_layer": 2, "hidden_size": 32, "n_head": 4},  # ALiBi's slopes, softmax
}
MEASURE = """
import sys, numpy as np
from lnpoly_helpers import load_model, residuals, trace
found = {}
for dtype in ("float64", "float32"):
    for kind in sys.argv[2:]:
        model = load_model(f"./{kind}", dtype=dtype)
        x = residuals(model, "the cat sat on the mat and the cat ate", [0, 1])
        found[f"{kind} {dtype}"] = np.append(x, trace(model, "the cat sat on a mat", 1).logits)
np.savez(sys.argv[1], **found)
"""


@pytest.mark.slow
def test_float64_keeps_its_digits_on_other_processors(tmp_path, monkeypatch):
    """Other kernels change the last digit of whatever is computed in float32, and of float64 no more than that."""
    for kind, config in FLOAT32_INSIDE.items():
        tiny.saved(tmp_path / kind, kind, **config)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["", "own.npz", *FLOAT32_INSIDE])
    exec(MEASURE, {})  # with this machine's kernels
    command = [sys.executable, "-c", MEASURE, "oldest.npz", *FLOAT32_INSIDE]
    environments.run(command, env=environments.bare(PYTHONPATH=str(ROOT), **environments.KERNELS["oldest"]))
    own, oldest = (dict(np.load(f"{name}.npz")) for name in ("own", "oldest"))
    off = {name: apart(oldest[name], own[name]) for name in own}
    for kind in FLOAT32_INSIDE:
        assert off[f"{kind} float64"] < 1e-12, kind
        assert apart(own[f"{kind} float32"], own[f"{kind} float64"]) < 1e-5
    if torch.backends.cpu.get_cpu_capability() != "DEFAULT":
        assert max(off.values()) > 1e-9  # so the kernels do differ


# --- what is left as it was ---


def settings():
    """Whatever a call could leave changed: of torch, of the libraries below, of Python."""
    import huggingface_hub.constants
    from transformers.utils import logging as transformers_logging

    constants = vars(huggingface_hub.constants)
    hub_bars = importlib.import_module("huggingface_hub.utils.tqdm")
    return {
        "torch": (torch.get_default_dtype(), torch.is_grad_enabled(), torch.get_num_threads()),
        "modes": torch.overrides._get_current_function_mode_stack(),
        # not those of Python's own: beartype, which checks results here, draws the item of a list that it looks at
        "random": (torch.get_rng_state().tolist(), str(np.random.get_state())),
        "transformers": (transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()),
        "bars": (transformers_logging._tqdm_hook, dict(hub_bars.progress_bar_states)),
        "hub": {name: str(value) for name, value in constants.items() if name.isupper()},
        "python": (dict(os.environ), list(warnings.filters), logging.getLogger().level, os.getcwd()),
    }


def without_head(folder):
    """A BERT without the head that guesses words, as many are published: transformers fills it with random numbers."""
    from safetensors.torch import load_file, save_file

    tiny.saved(folder, "BertForMaskedLM", **OTHERS | {"max_position_embeddings": 34})
    tensors = {k: v for k, v in load_file(folder / "model.safetensors").items() if not k.startswith("cls.")}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def raises(call, kind):
    with pytest.raises(kind):
        call()


def damaged(folder):
    tiny.saved(folder, "GPT2LMHeadModel", **tiny.GPT2)
    (folder / "model.safetensors").write_bytes(b"nothing")
    return folder


@pytest.mark.parametrize("default", [torch.float32, torch.float64])
def test_every_call_leaves_everything_as_it_was(default, tmp_path, saved_gpt2):
    from huggingface_hub.utils import disable_progress_bars, enable_progress_bars

    model, bert, broken = load_model(saved_gpt2[1]), without_head(tmp_path / "bert"), damaged(tmp_path / "broken")
    mlp_block(load_model("nano-rms-relu"), 0)
    calls = {
        "embedded": lambda: load_model("nano-rms-relu"),
        "float32": lambda: load_model("nano-rms-relu", dtype="float32"),
        "folder": lambda: load_model(saved_gpt2[1]),
        "folder in float32": lambda: load_model(saved_gpt2[1], dtype="float32"),
        "without its head": lambda: load_model(bert),
        "damaged": lambda: raises(lambda: load_model(broken), ValueError),
        "not there": lambda: raises(lambda: load_model("gpt2"), ConnectionError),
        "untrained": lambda: untrained(model),
        "untrained, embedded": lambda: untrained(shared("nano-ln-relu")),
        "mlp_block": lambda: mlp_block(model, 1),
        "residuals": lambda: residuals(model, "the cat", [0, 1]),
        "trace": lambda: trace(model, "the cat", 0, edit_residual=lambda x: 2 * x),
        "trace, raising": lambda: raises(lambda: trace(model, "the cat", 0, replace_mlp=lambda x: 1 / 0), Exception),
    }
    torch.manual_seed(5)
    disable_progress_bars("peft")
    torch.set_default_dtype(default)
    try:
        for name, call in calls.items():
            before = settings()
            call()
            after = settings()
            assert {key: after[key] for key in after if after[key] != before[key]} == {}, name
    finally:
        torch.set_default_dtype(torch.float32)
        enable_progress_bars()


def test_threads_do_not_disturb_each_other(saved_gpt2):
    """torch's default type belongs to all threads; two precisions at once still give what each gives alone."""
    models = [
        load_model(name, dtype=dtype) for dtype in ("float64", "float32") for name in ("nano-rms-relu", saved_gpt2[1])
    ]
    work = [lambda model=model: residuals(model, GPT2_TEXT, 1) for model in models]
    work += [lambda: residuals(load_model(saved_gpt2[1], dtype="float32"), GPT2_TEXT, 1)]
    alone = [one() for one in work]
    with ThreadPoolExecutor(8) as pool:
        together = [pool.submit(one) for _ in range(8) for one in work]
    assert torch.get_default_dtype() == torch.float32
    for k, found in enumerate(together):
        np.testing.assert_array_equal(found.result(), alone[k % len(work)])


@pytest.mark.parametrize("grad", [True, False])
def test_a_callers_function_runs_with_torch_as_it_is_outside(grad):
    """A float32 network of the caller's, a sparse autoencoder say, stays one in the middle of a run in float64."""
    model, seen = shared("nano-ln-relu"), []

    def edit(x):
        seen.append((torch.get_default_dtype(), torch.zeros(1, dtype=torch.float32).dtype, torch.is_grad_enabled()))
        inner = trace(shared("random-ln-relu"), "a", 1, edit_residual=lambda y: y).logits  # a run inside a run
        seen.append((torch.get_default_dtype(), torch.from_numpy(x).float().dtype, torch.is_grad_enabled()))
        return torch.nn.Identity()(torch.tensor(x)) + 0 * inner[0, 0]

    plain = trace(model, TEXT, 1)
    with torch.set_grad_enabled(grad):
        edited = trace(model, TEXT, 1, edit_residual=edit)
    assert seen == [(torch.float32, torch.float32, grad)] * 2
    np.testing.assert_allclose(edited.logits, plain.logits, rtol=0, atol=1e-12)


def test_a_bar_of_the_hubs_own_protocol_tells_the_watch_what_came_over_the_line():
    reporting = pytest.importorskip("huggingface_hub.utils._xet_progress_reporting")
    watch = hub._Watch(10)
    bars = {"tqdm_class": hub._progress_bar(watch), "log_level": 30}
    with reporting.XetDownloadProgressReporter(
        reconstruction_desc="a", transfer_desc="b", total=99, **bars
    ) as reporter:
        for came, written in ((10, 0), (20, 0), (30, 25)):
            watch.last_beat = 0.0
            reporter.update_progress(SimpleNamespace(
                total_transfer_bytes_completed=came, total_bytes_completed=written, total_bytes=99,
                total_bytes_completion_rate=1.0, total_transfer_bytes_completion_rate=1.0,
            ))  # fmt: skip
            assert watch.last_beat > 0
        watch.last_beat = 0.0
        reporter.update_progress(SimpleNamespace(
            total_transfer_bytes_completed=30, total_bytes_completed=25, total_bytes=99,
            total_bytes_completion_rate=1.0, total_transfer_bytes_completion_rate=1.0,
        ))  # fmt: skip
        assert watch.last_beat == 0  # nothing came, and nothing was written


# --- without the extra "models" ---

LIBRARIES = ("torch", "transformers", "transformer_lens", "safetensors", "huggingface_hub")
CALLS = {
    "load_model": ["nano-ln-relu", "minilm", "smollm2", "auto", "gpt2", "a/b", "./folder"],
    "untrained": ["None"],
    "mlp_block": ["None, 0"],
    "residuals": ["None, 'text', 0"],
    "trace": ["None, 'text', 0"],
}
WITHOUT = """
import json, sys
sys.modules.update(dict.fromkeys(json.loads(sys.argv[1])))
import lnpoly_helpers
for call in json.loads(sys.argv[2]):
    try:
        eval(f"lnpoly_helpers.{call}")
        print(call, "works")
    except Exception as error:
        print(type(error).__name__, error, sep=": ")
print(abs(lnpoly_helpers.normalize([1.0, 2.0])).tolist(), len(lnpoly_helpers.model_card("nano-ln-relu")))
"""


def without(libraries, calls, **options):
    command = [sys.executable, "-c", WITHOUT, json.dumps(libraries), json.dumps(calls)]
    *said, last = environments.run(command, cwd=ROOT, **options).splitlines()
    assert last == "[1.0, 1.0] 5"
    return said


@pytest.mark.parametrize("libraries", [*([name] for name in LIBRARIES), list(LIBRARIES)], ids="+".join)
def test_without_a_library_each_function_that_needs_it_says_what_to_install(libraries):
    """And the package itself is imported, and does what needs no model."""
    loads = [f"load_model({name!r})" for name in CALLS["load_model"]] + ["untrained(None)"]
    runs = [f"{name}({CALLS[name][0]})" for name in ("mlp_block", "residuals", "trace")]
    calls = loads + runs * ("torch" in libraries)
    says = [
        f'ImportError: {call.split("(")[0]} needs {libraries[0]}: pip install "lnpoly-helpers[models]"'
        for call in calls
    ]
    assert without(libraries, calls) == says


def test_a_library_that_is_there_and_broken_says_so_itself(tmp_path):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("import a_module_that_is_not_there\n")
    calls = ["load_model()", "untrained(None)"]
    said = without([], calls, env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])})
    assert said == ["ModuleNotFoundError: No module named 'a_module_that_is_not_there'"] * 2


def test_a_folder_that_happens_to_have_a_librarys_name_is_no_library(tmp_path, monkeypatch):
    (tmp_path / "a_clone").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError, match=r'^f needs a_clone: pip install "lnpoly-helpers\[x\]"$') as caught:
        require_installed("f", "x", "numpy", "a_clone")
    assert caught.value.name == "a_clone"
    (tmp_path / "a_clone" / "__init__.py").touch()
    importlib.invalidate_caches()
    require_installed("f", "x", "numpy", "a_clone")


def test_a_trace_is_shown_in_a_line():
    assert repr(trace(shared("nano-ln-relu"), TEXT, 0)) == "Trace(n_tokens=18, d_model=128, n_logits=256)"


def test_capture_keeps_what_enters_a_norm_of_a_transformers_model_as_it_is(tmp_path):
    own = saved(tmp_path / "own", "GPT2LMHeadModel", **GPT2)
    bridge = load_model(tmp_path / "own")
    tokens = [encode(bridge, text) for text in ("the cat", "the cat ate")]
    with capture(own.transformer.h[1].ln_2) as seen, torch.no_grad():
        for text in tokens:
            own(torch.from_numpy(text)[None])
    assert len(seen.calls) == 2 and not own.transformer.h[1].ln_2._forward_pre_hooks
    expected = residuals(bridge, ["the cat", "the cat ate"], 1)
    assert np.abs(seen.x - expected).max() < 1e-5 * np.abs(expected).max()  # transformers' own runs in float32
    block, mlp = own.transformer.h[1], own.transformer.h[1].mlp
    read = NormedMLP.from_modules(block.ln_2, mlp.c_fc, mlp.c_proj, mlp.act)
    np.testing.assert_allclose(read(expected), mlp_block(bridge, 1)(expected), rtol=1e-12, atol=1e-12)


def test_capture_says_what_it_wants():
    with pytest.raises(TypeError, match="norm: expected a torch module, got str"), capture("ln_2"):
        pass
    with capture(torch.nn.LayerNorm(3)) as seen, pytest.raises(ValueError, match="ran at least once"):
        _ = seen.x


@pytest.mark.parametrize("both_ways", [False, True])
def test_distinct_contexts_are_those_of_the_slow_definition(both_ways):
    """One way: no prefix twice. Both ways: no place of a window twice. In both no first token."""
    model = fresh("random-ln-relu")
    model.cfg.attention_dir = "bidirectional" if both_ways else "causal"
    texts = ["the cat", "the dog", "the cat", "a" * 60, "t"]
    windows = [tuple(window) for window in context_windows(model, texts)]
    made_of = [(w, k) if both_ways else w[: k + 1] for w in windows for k in range(len(w))]
    later = [k > 0 for w in windows for k in range(len(w))]
    wanted = [row for row, of in enumerate(made_of) if later[row] and of not in made_of[:row]]
    found = distinct_contexts(model, texts)
    assert found.tolist() == wanted
    assert 0 < len(found) < sum(later)  # what is seen twice is there
    if not both_ways:
        x = residuals(model, texts, 1)[found]
        assert len(np.unique(x.round(9), axis=0)) == len(found)
