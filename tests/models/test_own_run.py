"""Residual vectors, traces and blocks are those that the model itself computes, in transformers' own default run.

Each test is a kind of model or of use that once failed silently, held against transformers itself.
"""

import copy

import numpy as np
import pytest
import tiny
import torch
import transformers
from architectures import ARCHITECTURES, GPT, GROUPED, WIDE, inputs

from lnpoly_helpers import (
    NormedMLP,
    context_windows,
    encode,
    fold_layer_norm,
    load_model,
    mlp_block,
    positions,
    residuals,
    token_embeddings,
    trace,
)
from lnpoly_helpers.models import load, run
from lnpoly_helpers.models.run import attention

TEXT = "the cat sat on the mat and the cat ate"
TOKENS = np.array([1, 2, 3, 4, 1, 6, 7, 1, 2, 8])


def bridge_of(model, tokenizer=None):
    """A TransformerBridge as a user makes it, of a copy."""
    from transformer_lens.model_bridge.sources._bridge_builder import build_bridge_from_module

    model = copy.deepcopy(model)
    return build_bridge_from_module(model, type(model).__name__, hf_config=model.config, tokenizer=tokenizer)


def own_run(model, norm, tokens):
    """What enters a norm, and the logits, in a model's own run: float64 [n_tokens, d]."""
    seen = []
    hook = norm.register_forward_pre_hook(lambda module, args: seen.append(args[0][0].double().numpy().copy()))
    with torch.no_grad():
        result = model(torch.from_numpy(np.asarray(tokens))[None])
    hook.remove()
    return seen[0], result[0][0].double().numpy()


def apart(found, expected):
    return np.abs(found - expected).max() / np.abs(expected).max()


# --- attention ---


def falcon(folder, **options):
    config = {"num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 4, "alibi": True}
    tiny.saved(folder, "FalconForCausalLM", **config)
    return transformers.FalconForCausalLM.from_pretrained(folder, **options)


def test_falcon_with_alibi_is_as_transformers_runs_it_or_refused(tmp_path):
    """Its eager attention adds ALiBi twice; so does the bridge, whatever attention the model came with."""
    model = falcon(tmp_path / "falcon")
    x, logits = own_run(model, model.transformer.h[1].input_layernorm, TOKENS)
    assert apart(residuals(model, TOKENS, 1), x) < 1e-6
    assert apart(trace(model, TOKENS, 1).logits, logits) < 1e-6
    eager = falcon(tmp_path / "falcon", attn_implementation="eager")
    other = own_run(eager, eager.transformer.h[1].input_layernorm, TOKENS)[0]
    assert apart(other, x) > 1e-3  # so there is something to find
    says = "attn_implementation='eager' whose output is off by .* Load the model without it: .* 'sdpa'"
    calls = (lambda m: mlp_block(m, 0), lambda m: residuals(m, TOKENS, 1), lambda m: trace(m, TOKENS, 1))
    for call in calls:
        with pytest.raises(ValueError, match=says):
            call(eager)
        with pytest.raises(ValueError, match="got a TransformerBridge whose output is off by .* pass the model of tra"):
            call(bridge_of(model))
    with pytest.raises(ValueError, match=r"falcon \(folder\): expected .* got a TransformerBridge whose output is off"):
        load_model(tmp_path / "falcon")
    assert attention(eager) == "eager" and attention(model) == "sdpa"


@pytest.mark.parametrize("kind, config", [("GPT2LMHeadModel", GPT), ("LlamaForCausalLM", GROUPED)])
def test_an_attention_that_computes_the_same_is_taken(kind, config, tmp_path):
    tiny.saved(tmp_path / "model", kind, **config)
    models = [
        getattr(transformers, kind).from_pretrained(tmp_path / "model", attn_implementation=one)
        for one in ("eager", "sdpa")
    ]
    x, y = (residuals(model, TOKENS, 1) for model in models)
    assert apart(x, y) < 1e-6 and [attention(model) for model in models] == ["eager", "sdpa"]


def test_a_bridge_whose_weights_were_processed_is_read_or_refused(tmp_path):
    """What process_weights folds into GPT-2's queries stands beside its own modules, which nobody runs any more."""
    tiny.saved(tmp_path / "model", "GPT2LMHeadModel", **GPT)
    fresh, changed = load_model(tmp_path / "model"), load_model(tmp_path / "model")
    mlp_block(changed, 0)  # what is known of it must not outlive the change
    changed.process_weights(fold_ln=True)
    for call in (mlp_block, lambda model, layer: residuals(model, TOKENS, layer)):
        with pytest.raises(ValueError, match="whose output is off by .* If process_weights .* load it anew"):
            call(changed, 1)
    assert mlp_block(fresh, 1)


def test_a_bridge_with_an_edit_of_its_users_is_refused():
    bridge = load_model("nano-ln-relu")
    bridge.add_hook("blocks.0.hook_out", lambda value, hook: 2 * value)
    with pytest.raises(ValueError, match="or hooks what it computes"):
        residuals(bridge, "a", 1)
    bridge.reset_hooks()
    assert residuals(bridge, "a", 1).shape == (1, 128)


# --- precision and mode ---


def plain(model):
    return model


ROUGH = [
    (torch.bfloat16, plain),
    (torch.float16, bridge_of),
    pytest.param(torch.bfloat16, bridge_of, marks=pytest.mark.thorough),
    pytest.param(torch.float16, plain, marks=pytest.mark.thorough),
]


@pytest.mark.parametrize("dtype, make", ROUGH)
def test_an_activation_is_the_same_in_every_layer_of_a_rough_model(dtype, make):
    """In bfloat16 the two GELUs, and ReLU, give outputs that cannot be told apart."""
    rows = {"GPT-2": "gelu_new", "GPT-NeoX": "gelu", "OPT": "relu", "Phi-3": "silu"}
    for name, activation in rows.items():
        row = ARCHITECTURES[name]
        key = "n_layer" if "n_layer" in row.config else "num_hidden_layers"
        exact = type(row)(row.kind, row.config | {key: 5}).build(dtype)
        model = make(exact)
        assert [mlp_block(model, layer).activation for layer in range(5)] == [activation] * 5
        last = exact.get_submodule(row.last[0].format(3)).weight.detach().double()
        stored = last.numpy() if name == "GPT-2" else last.T.numpy()
        np.testing.assert_array_equal(mlp_block(model, 3).W_out, stored)
        assert residuals(model, TOKENS, 3).shape == (10, 32)


@pytest.mark.parametrize("make", [lambda model: model, bridge_of], ids=["plain", "bridge"])
def test_a_model_left_in_training_mode_is_run_in_evaluation_and_left_as_it_was(make):
    model = ARCHITECTURES["BERT"].build()
    expected = residuals(make(model), TOKENS, 1)
    left = make(model).train()
    for module in list(left.modules())[::3]:  # some of it, as after model.train() and layer.eval()
        module.training = False
    modes = [module.training for module in left.modules()]
    assert model.config.hidden_dropout_prob > 0 and any(modes)
    state = torch.get_rng_state()
    for _ in range(2):
        np.testing.assert_array_equal(residuals(left, TOKENS, 1), expected)
        np.testing.assert_allclose(trace(left, TOKENS, 1).residual, expected, rtol=0, atol=1e-6)
        assert mlp_block(left, 1).activation == "gelu"
    assert [module.training for module in left.modules()] == modes
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("kind", ["LNPre", "RMSPre", "LN", "RMS"])
def test_a_norm_is_known_by_what_it_computes_and_not_by_its_name(kind):
    sizes = {"d_model": 32, "d_head": 8, "n_heads": 4, "n_layers": 2, "d_mlp": 48, "n_ctx": 16, "d_vocab": 256}
    model = load.boot_native(sizes | {"act_fn": "gelu", "normalization_type": kind, "eps": 2e-5, "seed": 0}, "float64")
    block, own = mlp_block(model, 1), trace(model, "Twice two", 1)
    assert block.kind == {"L": "layernorm", "R": "rmsnorm"}[kind[0]] and block.eps == 2e-5
    assert type(model.blocks[1].ln2.original_component).__name__.startswith(("NativeLayerNormPre", "Native", "Layer"))
    assert apart(fold_layer_norm(block)(own.residual), own.mlp_output) < 1e-12


# --- tokens and tokenizers ---


def wordpieces(folder, **special):
    """A fast tokenizer that puts [CLS] and [SEP] around a text, as BERT's does."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing

    words = "[PAD] [UNK] [CLS] [SEP] [MASK] the cat sat on a mat".split()
    inner = Tokenizer(WordLevel({word: k for k, word in enumerate(words)}, unk_token="[UNK]"))
    inner.pre_tokenizer = Whitespace()
    around = [("[CLS]", 2), ("[SEP]", 3)]
    inner.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=around)
    special |= {"unk_token": "[UNK]", "pad_token": "[PAD]", "mask_token": "[MASK]"}
    transformers.PreTrainedTokenizerFast(tokenizer_object=inner, **special).save_pretrained(folder)
    return transformers.AutoTokenizer.from_pretrained(folder)


CLS = {"cls_token": "[CLS]", "sep_token": "[SEP]"}


@pytest.mark.parametrize("special", [{}, CLS, CLS | {"bos_token": "[CLS]", "eos_token": "[SEP]"}], ids=[0, 2, 4])
def test_an_encoders_special_tokens_are_those_of_its_own_tokenizer(special, tmp_path):
    from transformer_lens.model_bridge import TransformerBridge

    plain = tiny.saved(tmp_path / "bert", "BertForMaskedLM", **WIDE | {"max_position_embeddings": 8})
    own = wordpieces(tmp_path / "bert", **special)
    users = TransformerBridge.boot_transformers(str(tmp_path / "bert"))
    for model, options in ((load_model(tmp_path / "bert"), {}), (users, {}), (plain, {"tokenizer": own})):
        assert encode(model, "the cat sat", **options).tolist() == [2, 5, 6, 7, 3] == own("the cat sat")["input_ids"]
        windows = context_windows(model, ["the cat sat on a mat the cat", "a"], **options)
        assert [w.tolist() for w in windows] == [[2, 5, 6, 7, 8, 9, 10, 3], [2, 5, 6, 3], [2, 9, 3]]
        assert positions(model, "a mat", **options).tolist() == [0, 1, 2, 3]
        x = own_run(plain, plain.bert.encoder.layer[1].attention.output.LayerNorm, [2, 9, 10, 3])[0]
        assert apart(residuals(model, "a mat", 1, **options), x) < 1e-6
        assert apart(trace(model, "a mat", 1, **options).residual, x) < 1e-6


def test_a_bridge_with_an_encoders_tokenizer_that_nobody_can_restore_asks_for_it(tmp_path):
    plain = tiny.saved(tmp_path / "bert", "BertForMaskedLM", **WIDE)
    own = wordpieces(tmp_path / "bert", **CLS)
    passed = bridge_of(plain, tokenizer=transformers.AutoTokenizer.from_pretrained(tmp_path / "bert"))
    passed.tokenizer.name_or_path = "nowhere"
    with pytest.raises(ValueError, match=r"text: expected tokens, .* not its model's own any more.* Pass tokenizer="):
        encode(passed, "the cat")
    assert encode(passed, "the cat", tokenizer=own).tolist() == [2, 5, 6, 3]


def test_a_bridge_without_a_tokenizer_takes_tokens_and_no_text():
    model = bridge_of(ARCHITECTURES["GPT-2"].build())
    says = r"text: expected tokens, integers \[n_tokens\], for a model without a tokenizer, got a str. Pass the tokens"
    calls = (encode, context_windows, positions)
    for call in (*calls, lambda *args: residuals(*args, 0), lambda *args: trace(*args, 0)):
        with pytest.raises(ValueError, match=says):
            call(model, "the cat")
        call(model, TOKENS)


@pytest.mark.parametrize("d_vocab", [256, 300])
def test_bytes_are_tokens_only_where_a_vocabulary_of_bytes_may_be(d_vocab):
    sizes = {"d_model": 32, "d_head": 8, "n_heads": 4, "n_layers": 1, "d_mlp": 48, "n_ctx": 16, "act_fn": "relu"}
    model = load.boot_native(sizes | {"d_vocab": d_vocab, "normalization_type": "LN"})
    if d_vocab == 256:
        assert encode(model, "é").tolist() == [195, 169]
    else:
        with pytest.raises(ValueError, match="for a model without a tokenizer"):
            encode(model, "é")


TYPES = {
    "list": list,
    "int32": lambda tokens: np.array(tokens, dtype=np.int32),
    "uint8": lambda tokens: np.array(tokens, dtype=np.uint8),
    "tensor": torch.tensor,
}


@pytest.mark.parametrize("kind", TYPES)
def test_tokens_are_taken_wherever_texts_are(kind):
    model, as_kind = load_model("nano-ln-relu"), TYPES[kind]
    texts = ["Twice two", "is four.", "a" * 200]
    tokens = [as_kind([*text.encode()]) for text in texts]
    for text, one in zip(texts, tokens, strict=True):
        np.testing.assert_array_equal(encode(model, one), encode(model, text))
        np.testing.assert_array_equal(context_windows(model, one)[-1], context_windows(model, text)[-1])
    np.testing.assert_array_equal(positions(model, tokens), positions(model, texts))
    np.testing.assert_array_equal(residuals(model, tokens, [0, 2]), residuals(model, texts, [0, 2]))
    np.testing.assert_array_equal(trace(model, tokens[0], 1).logits, trace(model, texts[0], 1).logits)
    mixed = [tokens[0], texts[1]]
    np.testing.assert_array_equal(residuals(model, mixed, 1), residuals(model, texts[:2], 1))
    if kind != "list":
        rows = as_kind([[*text.encode()] for text in ("Twice", "three")])
        np.testing.assert_array_equal(residuals(model, rows, 1), residuals(model, ["Twice", "three"], 1))
    with pytest.raises(ValueError, match="text: expected at most 128 tokens, got 200"):
        trace(model, tokens[2], 0)


@pytest.mark.parametrize("name", ["GPT-2", "OPT", "BLOOM", "BERT", "RoBERTa", "XLNet", "T5", "Falcon"])
def test_what_runs_beside_a_text_changes_nothing(name):
    """Some networks have tokens first and some all texts in a row; ALiBi and encoders would look at padding."""
    model = ARCHITECTURES[name].build()
    texts = [list(np.random.default_rng(k).integers(2, 40, size=n)) for k, n in enumerate((4, 7, 4, 3, 7, 4))]
    together = residuals(model, texts, [0, 1])
    alone = np.concatenate([residuals(model, text, [0, 1]) for text in texts], axis=1)
    np.testing.assert_allclose(together, alone, rtol=0, atol=2e-6 * np.abs(alone).max())


# --- embeddings ---


def test_token_embeddings_are_what_enters_the_stream():
    opt = ARCHITECTURES["OPT-350m"].build(torch.float64)
    with torch.no_grad():
        tokens = torch.arange(40)
        expected = opt.model.decoder.project_in(opt.model.decoder.embed_tokens(tokens)).numpy()
    for model in (opt, bridge_of(opt)):
        found = token_embeddings(model)
        assert found.shape == (40, 32)
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    for name in ("GPT-2", "Llama", "BERT", "T5", "XLNet", "Gemma"):
        model = ARCHITECTURES[name].build()
        stored = model.get_input_embeddings().weight.detach().double().numpy()
        np.testing.assert_array_equal(token_embeddings(model), stored)


@pytest.mark.parametrize("name", ["ALBERT", "ELECTRA"])
def test_embeddings_behind_a_norm_and_a_map_are_refused(name):
    with pytest.raises(
        ValueError, match=r"as wide as the residual stream, 32 numbers, .* got \[40, 16\] and something"
    ):
        token_embeddings(ARCHITECTURES[name].build())


# --- one run, edited ---

FLOAT32 = 1e-6  # of the largest: many a library's norm or softmax computes in it, whatever it is given
EDITED = [
    "GPT-2",  # before
    "OPT",  # rows of all texts in one
    "BLOOM",  # attention adds its input itself
    "Gemma 2",  # a norm behind attention
    "Granite",  # what attention adds is multiplied
    "StarCoder2",
    "T5",
    "LFM2",
    "GPT-J",  # beside
    "Falcon",
    "BERT",  # behind
    "XLNet",  # tokens first
    "ALBERT",  # the second call of the same norm
    "XLM",  # no block is a module
    "GPT-2 without norms",
]


@pytest.mark.parametrize("name", EDITED)
def test_an_edit_is_what_the_rest_of_the_network_sees(name):
    """Attention and MLP alike: what enters the norm, what the MLP makes of it, and the logits."""
    row = ARCHITECTURES[name]
    model, layer = row.build(torch.float64), 1
    tokens = inputs(model)["input_ids"][0].numpy()
    own = trace(model, tokens, layer)
    with torch.no_grad():
        result = model(**inputs(model))
    logits = result.logits if hasattr(result, "logits") else result.last_hidden_state
    assert apart(own.logits, logits[0].numpy()) < FLOAT32
    mlp = fold_layer_norm(mlp_block(model, layer))
    assert apart(mlp(own.residual), own.mlp_output) < 1e-9
    same = trace(model, tokens, layer, edit_residual=lambda x: x, replace_mlp=mlp)
    assert apart(same.logits, own.logits) < 1e-8
    away = np.random.default_rng(0).normal(size=own.residual.shape)
    edited = trace(model, tokens, layer, edit_residual=lambda x: 3 * x + away)
    assert apart(edited.residual, 3 * own.residual + away) < 1e-12
    assert apart(mlp(edited.residual), edited.mlp_output) < 1e-9
    moved = np.abs(edited.logits - own.logits).max()
    assert moved > 1e-3
    # the stream itself is edited, not what the norm reads alone: with the MLP as it was, the logits move still
    kept = trace(model, tokens, layer, edit_residual=lambda x: 3 * x + away, replace_mlp=lambda x: own.mlp_output)
    assert np.abs(kept.logits - own.logits).max() > 1e-3 or row.place == "none"


@pytest.mark.parametrize("name", ["GPT-2", "OPT", "BLOOM", "Gemma 2", "Granite", "StarCoder2", "LFM2"])
def test_an_edited_residual_leaves_its_layer_as_it_is_where_the_mlp_adds_nothing(name):
    row = ARCHITECTURES[name]
    model, layer = row.build(torch.float64), 0
    tokens = inputs(model)["input_ids"][0].numpy()
    where = np.random.default_rng(0).normal(size=(len(tokens), 32))
    found = trace(model, tokens, layer, edit_residual=lambda x: where, replace_mlp=lambda x: 0 * x)
    block = model.get_submodule(row.norm[0].format(layer).rsplit(".", 1)[0])

    def put(module, args, result):
        instead = torch.from_numpy(where)[None]
        return instead if hasattr(result, "shape") else (instead, *result[1:])

    hook = block.register_forward_hook(put)
    with torch.no_grad():
        expected = model(**inputs(model)).logits[0].numpy()
    hook.remove()
    assert apart(found.logits, expected) < FLOAT32


# --- other modules, and one bad value ---


class Reader(torch.nn.Module):
    """A network of nobody's library: tokens in, a list of blocks, logits out."""

    def __init__(self, norm=torch.nn.LayerNorm, d=16):
        super().__init__()
        self.embed = torch.nn.Embedding(20, d)
        self.blocks = torch.nn.ModuleList(self.block(norm, d) for _ in range(3))
        self.out = torch.nn.Linear(d, 20)

    def block(self, norm, d):
        parts = {"norm": norm(d), "up": torch.nn.Linear(d, 40), "act": torch.nn.SiLU(), "down": torch.nn.Linear(40, d)}
        return torch.nn.ModuleDict(parts)

    def forward(self, tokens):
        x = self.embed(tokens)
        for block in self.blocks:
            x = x + block["down"](block["act"](block["up"](block["norm"](x))))
        return self.out(x)


class Block(torch.nn.Module):
    def __init__(self, parts):
        super().__init__()
        self.norm, self.up, self.act, self.down = parts.values()

    def forward(self, x):
        return x + self.down(self.act(self.up(self.norm(x))))


class Renamed(torch.nn.Module):
    """A block with its norm elsewhere."""

    def __init__(self, block):
        super().__init__()
        self.inner = torch.nn.Sequential(block.norm, block.up, block.act, block.down)

    def forward(self, x):
        return x + self.inner(x)


class BlockReader(Reader):
    def block(self, norm, d):
        return Block(super().block(norm, d))

    def forward(self, tokens):
        x = self.embed(tokens)
        for block in self.blocks:
            x = block(x)
        return self.out(x)


def test_any_module_that_reads_tokens_will_do():
    with tiny.seeded():
        model = tiny.random_weights(BlockReader())
    tokens = np.array([3, 1, 19, 4])
    for layer, block in enumerate(model.blocks):
        found = mlp_block(model, layer)
        named = NormedMLP.from_modules(block.norm, block.up, block.down, block.act)
        assert repr(found) == repr(named)
        for field in ("gamma", "beta", "W_in", "b_in", "W_out", "b_out"):
            np.testing.assert_array_equal(getattr(found, field), getattr(named, field))
        x, _ = own_run(model, block.norm, tokens)
        np.testing.assert_allclose(residuals(model, tokens, layer), x, rtol=1e-6)
    assert token_embeddings(model).shape == (20, 16)
    compiled = torch.nn.Module()  # as torch.compile has it
    compiled._orig_mod = model
    np.testing.assert_array_equal(residuals(compiled, tokens, 1), residuals(model, tokens, 1))
    assert repr(mlp_block(compiled, 1)) == repr(mlp_block(model, 1))


class OneBlock(torch.nn.Module):
    """All of the network is one layer, with no module of its own: the layer reads tokens."""

    def __init__(self, d=16):
        super().__init__()
        self.embed, self.norm = torch.nn.Embedding(20, d), torch.nn.LayerNorm(d)
        self.up, self.act, self.down = torch.nn.Linear(d, 3 * d), torch.nn.ReLU(), torch.nn.Linear(3 * d, d)
        self.out = torch.nn.Linear(d, 20)

    def forward(self, tokens):
        x = self.embed(tokens)
        return self.out(x + self.down(self.act(self.up(self.norm(x)))))


def test_a_network_that_is_one_layer_has_its_embeddings():
    with tiny.seeded():
        model = tiny.random_weights(OneBlock())
    assert mlp_block(model, 0).kind == "layernorm"
    np.testing.assert_array_equal(token_embeddings(model), model.embed.weight.detach().numpy())
    np.testing.assert_allclose(residuals(model, np.array([3, 1]), 0), token_embeddings(model)[[3, 1]], rtol=1e-6)


def test_one_bad_value_does_not_hide_behind_a_large_one():
    """Without a norm outputs are as long as inputs: token 0 is 1e7 times as long as token 1, where one value is off."""
    with tiny.seeded():
        model = tiny.random_weights(BlockReader(norm=lambda d: torch.nn.Identity())).double()
    with torch.no_grad():
        model.embed.weight[::2] *= 1e7
    assert mlp_block(model, 0).kind == "none"
    tokens = next(iter(run.probe(run.alone(model)).values()))[0].numpy()
    small = int(np.flatnonzero(tokens % 2)[0])
    assert (tokens % 2 == 0).any()

    def off_by_a_millionth(module, args, made):
        if made.ndim == 3:  # where it runs in the network, not where it is looked at alone
            made = made.clone()
            made[0, small, 0] += 1e-6 * made[0, small].abs().max()
            return made

    model.blocks[0].down.register_forward_hook(off_by_a_millionth)
    with pytest.raises(ValueError, match=f"at token {small} it is off by .* where the largest number is"):
        mlp_block(model, 0)


# --- nothing is left behind ---


def everything(model):
    """What a user could find changed in a model."""
    parts = [(name, id(module), module.training, len(module._forward_hooks), len(module._forward_pre_hooks), {
        key: id(value) for key, value in vars(module).items() if not key.startswith("_")
    }) for name, module in model.named_modules()]  # fmt: skip
    weights = [(name, id(p), p.data_ptr(), p._version, p.grad) for name, p in model.named_parameters()]
    configs = [str(part.config) for part in model.modules() if hasattr(part, "config")]
    return parts, weights, configs, [attention(model)]


@pytest.mark.parametrize("name", ["GPT-2", "Llama", "BERT", "T5", "Falcon", "ALBERT"])
def test_a_model_of_transformers_is_left_as_it_was(name):
    model = ARCHITECTURES[name].build().train()
    model.requires_grad_(True)
    before = everything(model)
    mlp_block(model, 1)
    residuals(model, TOKENS, [0, 1])
    token_embeddings(model) if name != "ALBERT" else None
    trace(model, TOKENS, 1, edit_residual=lambda x: 2 * x)
    with pytest.raises(ZeroDivisionError):
        trace(model, TOKENS, 1, replace_mlp=lambda x: 1 / 0)
    assert everything(model) == before


def test_what_is_known_of_a_model_ends_with_its_modules():
    """A module put in another's place is seen, and so are other weights."""
    model = ARCHITECTURES["GPT-2"].build()
    before = residuals(model, TOKENS, 1)
    model.transformer.h[1].ln_1 = torch.nn.Identity()
    np.testing.assert_array_equal(residuals(model, TOKENS, 0), residuals(copy.deepcopy(model), TOKENS, 0))
    assert apart(residuals(model, TOKENS, 1), before) > 1e-3
    model.transformer.h[1].ln_2 = torch.nn.RMSNorm(32, eps=1e-3)
    assert (mlp_block(model, 1).kind, mlp_block(model, 1).eps) == ("rmsnorm", 1e-3)
    own = tiny.random_weights(BlockReader())
    residuals(own, [1, 2], 1)
    own.blocks[1] = tiny.random_weights(Renamed(own.block(torch.nn.LayerNorm, 16)))
    assert residuals(own, [1, 2], 1).shape == (2, 16)
    with torch.no_grad():
        model.transformer.h[0].attn.c_proj.weight *= 2
    np.testing.assert_array_equal(residuals(model, TOKENS, 1), residuals(copy.deepcopy(model), TOKENS, 1))


def test_a_model_of_transformers_in_float64_keeps_its_digits():
    """RMSNorm, rotary tables and softmax compute in float32, whatever they are given; here they do not."""
    model = ARCHITECTURES["Llama"].build(torch.float64)
    block, own = mlp_block(model, 1), trace(model, TOKENS, 1)
    assert apart(fold_layer_norm(block)(own.residual), own.mlp_output) < 1e-13
    rough = residuals(model.float(), TOKENS, 1)
    assert 1e-9 < apart(rough, own.residual) < 1e-5
