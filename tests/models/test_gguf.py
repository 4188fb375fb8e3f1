"""GGUF files: tiny ones written here as llama.cpp writes them, read as the network that they were made of."""

import os
import subprocess
import sys
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
import transformers
from tiny import END, gguf_of_llama, random_weights, saved
from transformers import modeling_gguf_pytorch_utils

from lnpoly_helpers import encode, fold_layer_norm, load_model, mlp_block, model_name, residuals, trace

TEXT = "a cat  at 12 cats"
SIZE = {"num_hidden_layers": 2, "hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2}
SIZE |= {"intermediate_size": 96, "max_position_embeddings": 128, "vocab_size": 261, "rope_theta": 5e4}
SIZE |= {"rms_norm_eps": 1e-3, "bos_token_id": 0, "eos_token_id": 0, "tie_word_embeddings": False}


def llama(**changes):
    return random_weights(transformers.LlamaForCausalLM(transformers.LlamaConfig(**SIZE | changes)))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A model of transformers, and the folder with its GGUF file."""
    folder = tmp_path_factory.mktemp("gguf") / "tiny"
    folder.mkdir()
    model = llama()
    gguf_of_llama(model, folder / "weights.gguf")
    return model, folder


def test_a_gguf_file_and_a_folder_with_one_give_the_network(tiny):
    own, folder = tiny
    for path, name in ((folder, "tiny (folder)"), (folder / "weights.gguf", "weights (file)")):
        model = load_model(path)
        assert model_name(model) == name
        assert not model.training and {p.dtype for p in model.parameters()} == {torch.float64}
        run = trace(model, TEXT, 1)
        with torch.no_grad():
            logits = own.double()(torch.from_numpy(encode(model, TEXT))[None]).logits[0]
        np.testing.assert_allclose(run.logits, logits, rtol=1e-4, atol=1e-4)  # transformers' norms run in float32
        for layer in (0, 1):
            block, run = mlp_block(model, layer), trace(model, TEXT, layer)
            mlp = own.model.layers[layer].mlp
            np.testing.assert_array_equal(block.W_in, mlp.gate_proj.weight.detach().T)
            np.testing.assert_array_equal(block.W_up, mlp.up_proj.weight.detach().T)
            np.testing.assert_array_equal(block.W_out, mlp.down_proj.weight.detach().T)
            assert (block.kind, block.activation, block.eps) == ("rmsnorm", "silu", pytest.approx(1e-3))
            off = np.abs(fold_layer_norm(block)(run.residual) - run.mlp_output).max(axis=1)
            assert (off < 1e-9 * np.abs(run.mlp_output).max(axis=1)).all()


def test_float32_is_as_the_file_has_it(tiny):
    model = load_model(tiny[1], dtype="float32")
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    x, exact = (residuals(one, TEXT, [0, 1]) for one in (model, load_model(tiny[1])))
    np.testing.assert_allclose(x, exact, rtol=1e-3, atol=1e-4)


def test_tied_embeddings_and_packed_weights(tmp_path):
    own = llama(tie_word_embeddings=True, num_key_value_heads=4)
    packed = [f"model.layers.{layer}.mlp.{part}_proj.weight" for layer in (0, 1) for part in ("gate", "up", "down")]
    gguf_of_llama(own, tmp_path / "packed.gguf", packed=packed, without=["output.weight"])
    model = load_model(tmp_path / "packed.gguf")
    W, stored = mlp_block(model, 1).W_in.T, own.model.layers[1].mlp.gate_proj.weight.detach().numpy()
    # a block of 32 weights: its least, and 15 equal steps up to its largest
    blocks, exact = W.reshape(-1, 32), stored.reshape(-1, 32)
    low, high = exact.min(axis=1, keepdims=True), exact.max(axis=1, keepdims=True)
    steps = np.rint((exact - low) / (high - low) * 15)
    assert np.abs(blocks - (low + steps * (high - low) / 15)).max() < 2e-3 * np.abs(stored).max()  # half precision
    assert 0.01 < np.abs(W - stored).max() / np.abs(stored).max() < 0.1
    np.testing.assert_array_equal(model.unembed.weight.detach(), model.embed.weight.detach())


# --- tokens ---


def pieces(model, text):
    return model.tokenizer.convert_ids_to_tokens(encode(model, text).tolist())


def test_a_text_is_split_as_the_file_says(tmp_path):
    own = llama()
    for split, expected in {
        "smollm": ["a", "Ġcat", "ĠĠ", "1", "2"],  # digits first, one by one; then GPT-2's way
        "gpt-2": ["a", "Ġcat", "Ġ", "Ġ", "1", "2"],  # the second blank belongs to the number
    }.items():
        gguf_of_llama(own, tmp_path / f"{split}.gguf", split)
        model = load_model(tmp_path / f"{split}.gguf")
        assert pieces(model, "a cat  12") == [END, *expected]
        assert model.tokenizer.decode(encode(model, "é – 12  ü")[1:]) == "é – 12  ü"
        assert len(pieces(model, END + "a")) == 3


@pytest.mark.parametrize("split", ["mystery", ""])
def test_a_way_to_split_that_nobody_knows_is_refused_and_another_models_tokenizer_taken(split, tmp_path):
    gguf_of_llama(llama(), tmp_path / "model.gguf", split)
    way = split or "llama"  # a file without it is of its architecture's kind, and for Llama that says nothing
    with pytest.raises(ValueError, match=f"splits a text in a way called '{way}', .*tokenizer=NAME") as caught:
        load_model(tmp_path / "model.gguf")
    assert "model (file): expected a tokenizer that transformers can read, got " in str(caught.value)
    saved(tmp_path / "other", "GPT2LMHeadModel", n_layer=1, n_embd=8, n_head=2)
    model = load_model(tmp_path / "model.gguf", tokenizer=tmp_path / "other")
    assert pieces(model, "the cat") == [END, "the", "cat"]


# --- what is not whole ---


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def lacking(path):
    gguf_of_llama(llama(), path, without=["blk.1.ffn_up.weight"])


def foreign(path):
    gguf_of_llama(llama(), path, architecture="clip")


def of_another_width(path):
    own = llama()
    own.config.intermediate_size = 128
    gguf_of_llama(own, path)


DAMAGE = {
    "cut": (cut, "expected a GGUF file that transformers can read, got ValueError"),
    "no GGUF file": (lambda path: path.write_text("a text"), "expected a GGUF file that transformers can read, got"),
    "empty": (lambda path: path.write_bytes(b""), "expected a GGUF file that transformers can read, got ValueError"),
    "a tensor lacking": (lacking, "expected weights that fit what the file states, got none for model.layers.1.mlp.up"),
    "another kind": (foreign, "expected a GGUF file that transformers can read, got ValueError: .*clip"),
    "another width": (of_another_width, "expected weights that fit what the file states, got RuntimeError"),
}


@pytest.mark.parametrize("damage, says", DAMAGE.values(), ids=DAMAGE)
def test_a_file_that_is_not_whole_ends_in_one_error(damage, says, tmp_path):
    path = tmp_path / "model.gguf"
    gguf_of_llama(llama(), path)
    damage(path)
    with pytest.raises(ValueError, match=rf"model \(file\): {says}") as caught:
        load_model(path)
    assert type(caught.value) is ValueError
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_folder_with_two_files_and_a_path_without_one_are_refused(tiny, tmp_path):
    for name in ("b", "a"):
        (tmp_path / f"{name}.gguf").write_bytes((tiny[1] / "weights.gguf").read_bytes())
    with pytest.raises(ValueError, match="expected one GGUF file, got 2: a.gguf, b.gguf. Load one by its own path"):
        load_model(tmp_path)
    with pytest.raises(FileNotFoundError, match="c.gguf: expected a GGUF file, got none. Check the path"):
        load_model(tmp_path / "c.gguf")


def test_a_file_beside_one_is_a_path_and_no_name(tiny, monkeypatch):
    monkeypatch.chdir(tiny[1])
    assert model_name(load_model("weights.gguf")) == "weights (file)"


def test_a_whole_folder_of_transformers_is_read_as_ever(tiny, tmp_path):
    saved(tmp_path, "GPT2LMHeadModel", n_layer=1, n_embd=8, n_head=2)
    (tmp_path / "other.gguf").write_bytes((tiny[1] / "weights.gguf").read_bytes())
    assert load_model(tmp_path).cfg.n_layers == 1
    (tmp_path / "model.safetensors").unlink()
    assert load_model(tmp_path).cfg.n_layers == 2


# --- how it is read ---


def test_it_is_read_once_and_in_silence_and_other_libraries_are_left_as_they_were(tiny, monkeypatch, capsys):
    made = []

    class Reader(gguf.GGUFReader):
        def __init__(self, *args):
            made.append(args)
            super().__init__(*args)

    monkeypatch.setattr(gguf, "GGUFReader", Reader)
    before = gguf.get_tensor_name_map, modeling_gguf_pytorch_utils.tqdm
    load_model(tiny[1])
    assert len(made) == 1
    assert capsys.readouterr() == ("", "")
    assert (gguf.GGUFReader, gguf.get_tensor_name_map, modeling_gguf_pytorch_utils.tqdm) == (Reader, *before)


def test_without_the_package_gguf_it_says_what_to_install(tiny):
    code = "import sys; sys.modules['gguf'] = None; import lnpoly_helpers as l; l.load_model(sys.argv[1])"
    command = [sys.executable, "-c", code, str(tiny[1])]
    root = {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    run = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120, env=os.environ | root)
    said = run.stderr.strip().splitlines()[-1]
    assert said.endswith('load_model of a GGUF file needs gguf: pip install "lnpoly-helpers[models]"')
