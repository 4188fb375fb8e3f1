# pyright: reportArgumentType=false
"""patched_logits: against `trace` with one row replaced, in every design that the bridge reads."""

from functools import cache

import numpy as np
import pytest
import torch
import transformers
from tiny import GPT2, saved

from lnpoly_helpers import EMBEDDED, capture, distinct_contexts, encode, load_model, patched_logits, residuals, trace
from lnpoly_helpers.models import patch

TEXT = "the cat sat on the mat and the cat ate"
OTHER = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
KINDS = {
    "GPT-2": ("GPT2LMHeadModel", GPT2),
    "parallel, two norms": ("GPTNeoXForCausalLM", OTHER),
    "parallel, one norm": ("GPTJForCausalLM", GPT2 | {"rotary_dim": 4}),
    "fc1 and fc2": ("OPTForCausalLM", OTHER | {"ffn_dim": 64, "word_embed_proj_dim": 32}),
    "attention adds its input": ("BloomForCausalLM", {"n_layer": 2, "hidden_size": 32, "n_head": 4}),
    "gated": ("LlamaForCausalLM", OTHER | {"num_key_value_heads": 2}),
    "post-norm": ("OpenAIGPTLMHeadModel", GPT2),
}
shared = cache(load_model)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Tiny random models, made when they are asked for."""

    @cache
    def model(kind):
        if kind in EMBEDDED:
            return load_model(kind)
        folder = tmp_path_factory.mktemp("model") / "model"
        saved(folder, KINDS[kind][0], **KINDS[kind][1])
        return load_model(folder)

    return model


def by_trace(model, text, layer, position, vector):
    """One run of the whole text with that row replaced."""

    def replace(x):
        assert np.abs(x[position] - vector).max() > 1e-3  # so something is replaced
        x = x.copy()
        x[position] = vector
        return x

    return trace(model, text, layer, edit_residual=replace).logits[position]


def vectors(model, layer, n, seed=0):
    """Random ones, as long as the model's own."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, model.cfg.d_model)) * residuals(model, TEXT, layer).std()


@pytest.mark.parametrize("kind", [*EMBEDDED, *KINDS])
def test_it_is_a_trace_with_one_row_replaced(kind, models):
    model = models(kind)
    last = len(encode(model, TEXT)) - 1
    for layer in (0, model.cfg.n_layers - 1):
        x = vectors(model, layer, 3)
        for position in (0, 4, last):
            logits = patched_logits(model, TEXT, layer, position, x)
            expected = np.array([by_trace(model, TEXT, layer, position, row) for row in x])
            size = np.abs(expected).max()
            np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-12 * size)
            if layer == 0:  # another position is told from this one; in a last layer no token looks at another
                other = patched_logits(model, TEXT, layer, (position + 1) % (last + 1), x)
                assert np.abs(other - expected).max() > 1e-3 * size


@pytest.mark.parametrize("kind", ["nano-ln-gelu", "parallel, one norm", "gated"])
def test_the_own_vector_leaves_the_prediction(kind, models):
    model = models(kind)
    for layer in (0, 1):
        own = trace(model, TEXT, layer)
        for position in (0, 7):
            logits = patched_logits(model, TEXT, layer, position, own.residual[position])
            np.testing.assert_allclose(logits, own.logits[position], rtol=0, atol=1e-12 * np.abs(logits).max())


def test_batches_of_any_shape_and_size_are_their_rows(monkeypatch):
    model = shared("nano-ln-relu")
    x = vectors(model, 2, 7)
    logits = patched_logits(model, TEXT, 2, 5, x)
    assert logits.shape == (7, 256) and logits.dtype == np.float64
    np.testing.assert_array_equal(patched_logits(model, TEXT, 2, 5, x.reshape(7, 1, -1)), logits[:, None])
    one = patched_logits(model, TEXT, 2, 5, torch.from_numpy(x[3]).requires_grad_())
    np.testing.assert_allclose(one, logits[3], rtol=1e-12)
    monkeypatch.setattr(patch, "_BATCH_TOKENS", 13)  # two runs of six tokens at a time, and a last one alone
    np.testing.assert_allclose(patched_logits(model, TEXT, 2, 5, x), logits, rtol=0, atol=1e-12)


def test_what_stands_behind_the_position_does_not_matter_and_what_stands_before_does():
    model = shared("nano-ln-relu")
    x = vectors(model, 1, 2)
    logits = patched_logits(model, TEXT, 1, 5, x)
    np.testing.assert_array_equal(patched_logits(model, TEXT[:6] + "x" * 20, 1, 5, x), logits)
    assert np.abs(patched_logits(model, "x" + TEXT[1:], 1, 5, x) - logits).max() > 1e-3


def test_tokens_are_taken_as_a_text_is(models):
    for model in (shared("nano-rms-relu"), models("GPT-2")):
        x, tokens = vectors(model, 1, 2), encode(model, TEXT)
        logits = patched_logits(model, TEXT, 1, 4, x)
        for same in (tokens, tokens.astype(np.int32), tokens.tolist(), torch.from_numpy(tokens)):
            np.testing.assert_array_equal(patched_logits(model, same, 1, 4, x), logits)
            np.testing.assert_array_equal(trace(model, same, 1).logits, trace(model, TEXT, 1).logits)


def test_no_logits_are_made_but_those_that_are_returned():
    model, shapes = load_model("nano-ln-relu"), []
    model.unembed.original_component.register_forward_hook(
        lambda module, inputs, output: shapes.append(tuple(output.shape))
    )
    patched_logits(model, TEXT, 1, 5, vectors(model, 1, 3))
    assert shapes[-1] == (3, 1, 256)


def test_a_model_without_logits_is_refused(tmp_path):
    saved(tmp_path / "bert", "BertForMaskedLM", **OTHER)
    model = load_model(tmp_path / "bert")
    with pytest.raises(ValueError, match="model: expected one that predicts the next token, got one that reads both"):
        patched_logits(model, TEXT, 0, 2, np.ones(32))


BAD = {
    "position too high": ({"position": 3}, "position: expected an integer from 0 to 2, got 3"),
    "position negative": ({"position": -1}, "position: expected an integer from 0 to 2, got -1"),
    "position a float": ({"position": 1.0}, r"position: expected an integer from 0 to 2, got 1\.0"),
    "position a truth": ({"position": True}, "position: expected an integer from 0 to 2, got True"),
    "no such layer": ({"layer": 4}, "layer: expected an integer from 0 to 3, got 4"),
    "a vector too short": ({"x": np.ones(127)}, r"x: expected shape \[\.\.\., 128\], got \[127\]"),
    "a vector that is not finite": ({"x": np.full(128, np.inf)}, "x: expected finite numbers, got 128 NaN or infinite"),
    "an empty text": ({"text": ""}, "text: expected a non-empty str, got ''"),
    "a text too long": ({"text": 129 * "a"}, "text: expected at most 128 tokens, got 129. Shorten it"),
    "too many tokens": ({"text": np.zeros(129, dtype=int)}, "text: expected at most 128 tokens, got 129"),
    "no such token": ({"text": [1, 256]}, "text: expected tokens of a vocabulary of 256, from 0, got 256"),
    "tokens of two texts": ({"text": [[1, 2]]}, r"text: expected a str, or tokens: .* got int64 \[1, 2\]"),
    "floats for tokens": ({"text": [1.0, 2.0]}, "text: expected a str, or tokens: .* got float64"),
    "no tokens": ({"text": np.zeros(0, dtype=int)}, "text: expected at least one token, got none"),
}


@pytest.mark.parametrize("change, message", BAD.values(), ids=BAD)
def test_bad_input_is_named(change, message):
    call = {"text": "abc", "layer": 1, "position": 1, "x": np.ones(128)} | change
    with pytest.raises((TypeError, ValueError), match=f"^{message}"):
        patched_logits(shared("nano-ln-relu"), **call)


# --- the block's input ---


@pytest.mark.parametrize("kind", [*EMBEDDED, *KINDS])
def test_what_enters_a_block_is_what_left_the_one_before(kind, models):
    model = models(kind)
    first, second = (trace(model, TEXT, layer) for layer in (0, 1))
    if kind == "post-norm":
        with capture(model.original_model.transformer.h[1].original_component) as seen:
            trace(model, TEXT, 1)
        np.testing.assert_array_equal(second.block_input, seen.calls[-1][0])
        return
    if "parallel" in kind:  # the MLP reads beside attention and not behind it
        np.testing.assert_array_equal(first.residual, first.block_input)
    else:
        assert np.abs(first.residual - first.block_input).max() > 1e-2
        np.testing.assert_allclose(second.block_input, first.residual + first.mlp_output, atol=1e-11)


def test_what_enters_the_first_block_is_the_embedding():
    model = shared("nano-ln-relu")
    tokens = encode(model, TEXT)
    expected = model.embed.weight[tokens] + model.pos_embed.weight[: len(tokens)]
    np.testing.assert_allclose(trace(model, TEXT, 0).block_input, expected.detach(), atol=1e-15)


# --- models that no bridge holds ---


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_of_transformers_itself_is_patched_as_its_bridge(kind, models):
    bridge = models(kind)
    path = bridge.original_model.config.name_or_path
    model = getattr(transformers, KINDS[kind][0]).from_pretrained(path, dtype=torch.float64)
    tokens = encode(bridge, TEXT)
    x = vectors(bridge, 1, 3)
    logits = patched_logits(model, tokens, 1, 4, x)
    # GPT-J keeps a rotary table in float32 where it was loaded so
    np.testing.assert_allclose(logits, patched_logits(bridge, tokens, 1, 4, x), rtol=0, atol=1e-6)
    own, theirs = distinct_contexts(model, [tokens, tokens[:5]]), distinct_contexts(bridge, [tokens, tokens[:5]])
    assert own.tolist() == theirs.tolist() == [*range(1, len(tokens))]  # the second is a part of the first


def test_what_reads_both_ways_is_found_by_running_and_a_model_without_a_head_is_refused():
    config = {"vocab_size": 300} | OTHER
    bert = transformers.BertForMaskedLM(transformers.BertConfig(**config)).eval()
    windows = [[5, 6, 7, 8], [5, 6, 7], [5, 6, 7, 8]]
    assert distinct_contexts(bert, windows).tolist() == [1, 2, 3, 5, 6]
    with pytest.raises(ValueError, match="^model: expected one that predicts the next token, got one that reads both"):
        patched_logits(bert, windows[0], 0, 2, np.ones(32))
    headless = transformers.GPT2Model(transformers.GPT2Config(vocab_size=300, n_embd=32, n_layer=2, n_head=4)).eval()
    assert distinct_contexts(headless, windows).tolist() == [1, 2, 3]
    with pytest.raises(ValueError, match="^model: expected .* next token, got a GPT2Model, which has no logits"):
        patched_logits(headless, windows[0], 0, 2, np.ones(32))
