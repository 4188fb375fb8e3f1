"""SmolLM2 as its pip package brings it: what it is, how it reads and writes, and what its 30 layers compute."""

import contextlib
import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from functools import cache

import gguf
import numpy as np
import pytest
import torch

from lnpoly_helpers import (
    encode,
    fold_layer_norm,
    load_model,
    mlp_block,
    model_name,
    positions,
    prompts,
    ray_crossings,
    residuals,
    token_embeddings,
    trace,
)
from lnpoly_helpers.models import hub
from lnpoly_helpers.models.capture import reads_and_writes

FILE = hub.packaged("smollm2")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(FILE is None, reason=f"SmolLM2 is not installed: {hub.PACKAGES['smollm2'].install()}"),
]
SOME = (0, 17, 29)  # of its 30 layers


@pytest.fixture(scope="module")
def loaded():
    """The model that stands in for GPT-2, and what loading it prints."""
    with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.redirect_stderr(said):
        model = load_model("auto")
    return model, said.getvalue()


@pytest.fixture(scope="module")
def model(loaded):
    return loaded[0]


@pytest.fixture(scope="module")
def blocks(model):
    return cache(lambda layer: mlp_block(model, layer))


def test_it_is_what_was_published_and_its_name_says_that_its_weights_are_rounded(model):
    assert model_name(model) == "smollm2-4bit"
    assert (model.cfg.n_layers, model.cfg.d_model, model.cfg.d_mlp, model.cfg.n_ctx) == (30, 576, 1536, 8192)
    assert {p.dtype for p in model.parameters()} == {torch.float64}


def test_auto_without_gpt2_is_smollm2_with_a_banner(loaded):
    banner = loaded[1].splitlines()
    assert banner[0].startswith("NOT GPT-2") and banner[0].endswith("What follows shows smollm2-4bit,")
    assert len(banner) == 3 and "rounded to 4 bits" in banner[1] and "LNPOLY_MODEL" in banner[2]


def test_another_file_in_its_place_is_refused_before_it_is_read(tmp_path, monkeypatch):
    (tmp_path / FILE.name).write_bytes(b"GGUF")
    monkeypatch.setattr(hub, "packaged", lambda name: tmp_path / FILE.name)
    with pytest.raises(ValueError, match="expected the published weights of SmolLM2, got a file with another sha256"):
        load_model("smollm2")


# --- weights ---


@pytest.fixture(scope="module")
def stored():
    return {tensor.name: tensor for tensor in gguf.GGUFReader(FILE).tensors}


def unpacked(tensor):
    """The numbers of a tensor from its bytes, by the definitions of Q4_1 and Q8_0: 32 weights to a block."""
    rows, columns = tensor.shape[::-1]
    if tensor.tensor_type.name == "Q4_1":  # scale and least in half precision, then 16 bytes of two steps each
        blocks = np.asarray(tensor.data).reshape(-1, 20)
        scale, least = (blocks[:, k : k + 2].copy().view("<f2").astype(np.float32) for k in (0, 2))
        steps = np.concatenate([blocks[:, 4:] & 15, blocks[:, 4:] >> 4], axis=1)
        return (scale * steps + least).reshape(rows, columns)
    assert tensor.tensor_type.name == "Q8_0"
    blocks = np.asarray(tensor.data).reshape(-1, 34)
    return (blocks[:, :2].copy().view("<f2").astype(np.float32) * blocks[:, 2:].view(np.int8)).reshape(rows, columns)


@pytest.mark.parametrize("layer", SOME)
def test_the_weights_are_those_of_the_file(blocks, stored, layer):
    block = blocks(layer)
    assert (block.kind, block.activation, block.eps) == ("rmsnorm", "silu", pytest.approx(1e-5, rel=1e-6))
    assert not (block.b_in.any() or block.b_up.any() or block.b_out.any() or block.beta.any())
    for array, part in ((block.W_in, "gate"), (block.W_up, "up"), (block.W_out, "down")):
        np.testing.assert_array_equal(array.T, unpacked(stored[f"blk.{layer}.ffn_{part}.weight"]))
        assert all(len(np.unique(row)) <= 16 for row in array.T.reshape(-1, 32)[:1000])  # 4 bits
    np.testing.assert_array_equal(block.gamma, stored[f"blk.{layer}.ffn_norm.weight"].data)


def test_the_embedding_has_8_bits_and_is_the_unembedding_as_well(model, stored):
    embedding = token_embeddings(model)
    np.testing.assert_array_equal(embedding, unpacked(stored["token_embd.weight"]))
    np.testing.assert_array_equal(model.unembed.weight.detach(), embedding)


# --- text ---

# as the tokenizer of HuggingFaceTB/SmolLM2-135M-Instruct has them, in what several projects publish as their reference
TOKENS = {
    "Hello, world! 12345": [19556, 28, 905, 17, 216, 33, 34, 35, 36, 37],
    "The capital of France is Paris.": [504, 3575, 282, 4649, 314, 7042, 30],
    "I have 42 cats and 3 dogs.": [57, 457, 216, 36, 34, 7680, 284, 216, 35, 5046, 30],
    "  leading and   multiple   spaces  ": [216, 2899, 284, 256, 2701, 256, 5600, 256],
    "  spaced  text\n": [216, 23861, 216, 1694, 198],
    "line\nbreak\ttab": [1311, 198, 17653, 197, 15999],
    "def f(n):\n    return n+1\n": [1604, 275, 24, 94, 727, 472, 1003, 304, 27, 33, 198],
    "x = 3.14 + 2": [104, 446, 216, 35, 30, 33, 36, 1232, 216, 34],
    "I don't think it's 42.": [57, 1326, 982, 1510, 357, 506, 216, 36, 34, 30],
    "Grüße, café!": [27302, 7170, 34878, 85, 28, 37366, 17],
    "你好，世界！": [18645, 250, 48392, 138, 12831, 7906, 240, 178, 239, 230, 8083, 219],
    "Café — κόσμος 🚀": [51, 1939, 2756, 1841, 31953, 36180, 18751, 16674, 39346, 15107, 244, 218],
    "this <|endoftext|> looks like a special token": [8232, 216, 0, 5117, 702, 253, 1767, 9624],
}


@pytest.mark.parametrize("text", TOKENS)
def test_it_splits_a_text_as_the_hubs_tokenizer_does(model, text):
    first, *tokens = encode(model, text)
    assert first == 1 and tokens == TOKENS[text]  # <|im_start|> stands before a text, as <|endoftext|> for GPT-2
    assert model.tokenizer.decode(tokens) == text


def log_probabilities(model, tokens):
    with torch.no_grad():
        return model(torch.tensor(tokens)[None])[0].log_softmax(-1)


def test_it_writes_english(model):
    tokens = encode(model, "The cat sat on the mat and").tolist()
    for _ in range(11):
        tokens.append(int(log_probabilities(model, tokens)[-1].argmax()))
    text = model.tokenizer.decode(tokens[1:])
    assert text == "The cat sat on the mat and watched the sun set. She was a gentle soul,"


def test_its_loss_on_prompts_of_all_kinds(model):
    lost = []
    for text in prompts()[::11]:
        tokens = encode(model, text)
        lost += (-log_probabilities(model, tokens)[range(1, len(tokens) - 1), tokens[2:]]).tolist()
    print(f"{np.mean(lost):.4f} nats a token over {len(lost)} tokens")
    assert np.mean(lost) == pytest.approx(3.42, abs=0.01)  # log 49152 = 10.8 is what a network that knows nothing loses


# --- layers ---


TEXT = prompts()[0]


@pytest.fixture(scope="module")
def run(model):
    """The model on a text, in one run: what the norm of each layer read, and what its MLP made of it."""
    return reads_and_writes(model, TEXT, range(30))


def off(mlp, read, written):
    """How far a folded layer is from the model's own MLP, token by token, as a share of the output."""
    return np.linalg.norm(mlp(read) - written, axis=1) / np.linalg.norm(written, axis=1)


@pytest.mark.parametrize("layers", [SOME, pytest.param(range(30), marks=pytest.mark.thorough)], ids=["some", "all"])
def test_the_folds_are_the_models_own_mlps_at_every_token(blocks, run, layers):
    worst = []
    for layer in layers:
        mlp, seen = fold_layer_norm(blocks(layer)), [part[layer] for part in run]
        worst.append(off(mlp, *seen).max())
        assert off(replace(mlp, W_in=mlp.W_up, W_up=mlp.W_in), *seen).min() > 0.01  # the gate for what it gates
    print(f"{run[0].shape[1]} tokens, worst of {len(layers)} layers: {max(worst):.1e} of the output")
    assert max(worst) < 1e-9


def test_residuals_are_what_the_model_itself_saw_in_each_layer(model, run):
    found = residuals(model, [TEXT, "Another text."], range(30))
    n = len(encode(model, TEXT))
    for x, read in zip(found, run[0], strict=True):
        assert (np.linalg.norm(x[:n] - read, axis=1) < 1e-9 * np.linalg.norm(read, axis=1)).all()
    for layer in SOME:
        alone = trace(model, TEXT, layer)
        np.testing.assert_allclose(run[0][layer], alone.residual, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(run[1][layer], alone.mlp_output, rtol=1e-9, atol=1e-9)
    lengths, first = np.linalg.norm(found[15], axis=1), positions(model, [TEXT, "Another text."]) == 0
    assert lengths[first].min() > 10 * lengths[~first].max()  # as in GPT-2, the first token's vector is a giant


def test_a_ray_crosses_no_boundary_for_there_is_no_bias(blocks, run):
    mlp = fold_layer_norm(blocks(17))
    assert not mlp.b_in.any() and len(ray_crossings(mlp, run[0][17]).scales) == 0


# --- time and memory, in a process of its own ---

FRESH = r"""
import json, pathlib, re, resource, socket
def refuse(*args, **kwargs):
    raise AssertionError(f"tried to reach the network: {args[1:]}")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
def peak():
    status = pathlib.Path("/proc/self/status")
    if status.exists():  # what getrusage gives there starts with the memory of the process that started this one
        return int(re.search(r"VmHWM:\s*(\d+) kB", status.read_text())[1]) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**30
from lnpoly_helpers import load_model, model_name, prompts, residuals
model = load_model("smollm2")
found = {"name": model_name(model), "loaded": peak()}
x = residuals(model, prompts()[:36], range(30))
found |= {"shape": x.shape, "peak": peak()}
print(json.dumps(found))
"""


@pytest.mark.thorough
def test_all_layers_fit_into_two_gigabytes_and_nothing_is_asked_of_the_network():
    outside = {key: value for key, value in os.environ.items() if key != "LNPOLY_MODEL"}
    command = [sys.executable, "-c", FRESH]
    run = subprocess.run(command, env=outside | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""  # nothing that would stay behind in a notebook
    found = json.loads(run.stdout)
    print(found)
    assert found["name"] == "smollm2-4bit" and found["shape"][0::2] == [30, 576] and found["shape"][1] > 1400
    assert found["loaded"] < 1.8 and found["peak"] < 2  # GB
