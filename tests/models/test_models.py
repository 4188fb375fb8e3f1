"""models: against the raw forward pass, TransformerBridge's own fold, transformers' own GPT-2 and damaged files."""

import copy
import json
import os
import shutil
import subprocess
import sys
from dataclasses import FrozenInstanceError
from functools import cache

import numpy as np
import pytest
import torch

from lnpoly_helpers import (
    EMBEDDED,
    context_windows,
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
from lnpoly_helpers.models import load
from lnpoly_helpers.series import data_folder

torch.set_num_threads(1)  # models this small gain nothing from more, and lose a lot where the cores are busy

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
    for layer in range(model.cfg.n_layers):
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
    for layer in range(model.cfg.n_layers):
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
    for x, layer in zip(together, layers):
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
    flips = sum((a != b).sum() for a, b in zip(on, on[1:]))
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


WITHOUT_NETWORK = """
import json, socket, time
def refuse(*args, **kwargs):
    raise AssertionError(f"tried to reach the network: {args[1:]}")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
import transformer_lens
from lnpoly_helpers import EMBEDDED, load_model, trace
start = time.perf_counter()
found = {name: float(trace(load_model(name), "Twice two is four.", 3).logits.sum()) for name in EMBEDDED}
print(json.dumps({"seconds": time.perf_counter() - start, "logits": found}))
"""


def test_the_embedded_models_load_with_no_network_at_all(tmp_path):
    """A fresh process that may reach nothing gives what this one gives, which runs with HF_HUB_OFFLINE=1."""
    dead = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    environment = os.environ | dead | {"HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path)}
    run = subprocess.run([sys.executable, "-c", WITHOUT_NETWORK], env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    answer = json.loads(run.stdout.splitlines()[-1])
    assert answer["seconds"] < 4 * 10  # a generous bound for a busy machine; the benchmarks measure it
    assert os.environ["HF_HUB_OFFLINE"] == "1"
    expected = {name: trace(shared(name), TEXT, 3).logits.sum() for name in EMBEDDED}
    assert answer["logits"] == pytest.approx(expected, rel=1e-4, abs=1e-2)


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
