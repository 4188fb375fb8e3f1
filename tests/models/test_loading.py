"""load_model: folders, a pip package, a hub that works and hubs that do not; each block against transformers' own."""

import hashlib
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import scripts
import torch
import transformers
from hub import Hub, as_published
from tiny import GPT2, random_weights, saved, small_tokenizer

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
    positions,
    prompts,
    ray_crossings,
    residuals,
    trace,
    untrained,
)
from lnpoly_helpers.models import hub as hub_room
from lnpoly_helpers.models import load as load_room

NO_LN = "apollo-research/gpt2_noLN"
TEXT = "the cat sat on the mat and the cat ate"
ALIAS = {name: f"openai-community/{name}" for name in ("gpt2", "gpt2-medium")}
needs_minilm = pytest.mark.skipif(
    hub_room.packaged("minilm") is None, reason=f"MiniLM is not installed: {hub_room.PACKAGES['minilm'].install()}"
)


OTHER = {"num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 64}
OTHER |= {"max_position_embeddings": 34}


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A tiny GPT-2 in the hub's form: tensors without prefix, the masks among them, a byte-level BPE."""
    size = {"n_layer": 2, "n_embd": 32, "n_head": 4, "vocab_size": 257, "n_positions": 64}
    config = transformers.GPT2Config(**size, bos_token_id=256, eos_token_id=256)
    model = random_weights(transformers.GPT2LMHeadModel(config))
    folder = tmp_path_factory.mktemp("published") / "gpt2"
    as_published(model, folder)
    return model, folder


def check_untrained(model, out_std):
    """A twin as transformers starts it: standard deviation 0.02, and no bias."""
    state = torch.get_rng_state()
    twin = untrained(model)
    assert torch.equal(torch.get_rng_state(), state)
    assert model_name(twin) == f"{model_name(model)}, untrained"
    for layer in range(model.cfg.n_layers):
        stored, block, again = (mlp_block(one, layer) for one in (model, twin, untrained(model)))
        assert not (block.W_in == stored.W_in).any() and (block.kind, block.eps) == (stored.kind, stored.eps)
        np.testing.assert_array_equal(block.W_in, again.W_in)
        assert block.W_in.std() == pytest.approx(0.02, rel=0.04) and not block.b_in.any()
        assert block.W_out.std() == pytest.approx(out_std, rel=0.04) and (block.gamma == 1).all()
    np.testing.assert_array_equal(encode(twin, TEXT), encode(model, TEXT))
    assert residuals(twin, TEXT, 1).shape == residuals(model, TEXT, 1).shape


# --- folders ---


def test_an_untrained_gpt2_writes_less_into_the_stream_the_more_layers_there_are(published):
    check_untrained(load_model(published[1]), out_std=0.02 / np.sqrt(2 * 2))


def test_a_folder_gives_its_model_named_by_the_folder_and_not_by_its_kind(tmp_path):
    folder = tmp_path / "gpt2"
    model = saved(folder, "GPT2LMHeadModel", **GPT2)
    for name in (folder, str(folder)):
        bridge = load_model(name)
        assert model_name(bridge) == "gpt2 (folder)"
        tokens = encode(bridge, TEXT)
        assert tokens[0] == 0 and len(tokens) == 11  # <|endoftext|> stands before the text
        with torch.no_grad():
            logits = model(torch.from_numpy(tokens)[None]).logits[0]
        np.testing.assert_allclose(trace(bridge, TEXT, 0).logits, logits, atol=1e-5)
        assert not bridge.training and next(bridge.parameters()).dtype == torch.float64


def test_the_environment_chooses_what_auto_is(tmp_path, monkeypatch):
    saved(tmp_path / "mine", "GPT2LMHeadModel", **GPT2)
    monkeypatch.setenv("LNPOLY_MODEL", str(tmp_path / "mine"))
    assert model_name(load_model("auto")) == "mine (folder)"
    monkeypatch.setenv("LNPOLY_MODEL", "nano-rms-relu")
    assert model_name(load_model("auto")) == "nano-rms-relu"
    monkeypatch.setenv("LNPOLY_MODEL", str(tmp_path / "other"))
    with pytest.raises(FileNotFoundError, match="other: expected a folder in Hugging Face format, got none"):
        load_model("auto")


@pytest.mark.parametrize(
    "value, kind, says",
    [
        ("a b c", ValueError, "name: expected one of nano-ln-relu, .* got 'a b c'"),
        ("/nowhere/gpt2", FileNotFoundError, "expected a folder in Hugging Face format, got none. Check the path"),
        ("../..\n", ValueError, "|expected a model in Hugging Face format"),
        ("~nobody-here/gpt2", ValueError, "there is no home folder for '~nobody-here'"),
    ],
)
def test_nonsense_in_the_environment_is_named_as_what_it_is(value, kind, says, monkeypatch):
    monkeypatch.setenv("LNPOLY_MODEL", value)
    with pytest.raises(
        (kind, FileNotFoundError), match=f"^LNPOLY_MODEL={re.escape(value.strip())}, in the env.*({says})"
    ):
        load_model("auto")


@pytest.mark.parametrize("variable", ["HF_HUB_DOWNLOAD_TIMEOUT", "HF_HUB_ETAG_TIMEOUT"])
def test_seconds_in_the_environment_that_are_none_are_named(variable, monkeypatch):
    monkeypatch.setenv(variable, "soon")
    with pytest.raises(
        ValueError, match=f"^{variable}: expected whole seconds in the environment, got 'soon'. Correct"
    ):
        load_model("nano-ln-relu")


def test_space_around_a_name_in_the_environment_is_none(monkeypatch):
    monkeypatch.setenv("LNPOLY_MODEL", " nano-ln-relu ")
    assert model_name(load_model("auto")) == "nano-ln-relu"


MANIFESTS = {
    "no JSON": (
        "{",
        "manifest.json: expected a file in JSON that comes with lnpoly_helpers, got a damaged one (Expect",
    ),
    "a list": (
        "[]",
        "manifest.json: expected a file in JSON that comes with lnpoly_helpers, got a damaged one. Instal",
    ),
    "another model's": (
        "{}",
        "manifest.json: expected the card of nano-ln-relu with file, sha256 and config, got a dam",
    ),
    "no config": (
        '{"nano-ln-relu": {"file": "a", "sha256": "b"}}',
        "expected the card of nano-ln-relu with file, sha256 and config, got a damaged one. Install the package again",
    ),
    "no text": ("\0\udcff", "manifest.json: expected a file in JSON that comes with lnpoly_helpers, got a damaged one"),
}


@pytest.mark.parametrize("content, says", MANIFESTS.values(), ids=MANIFESTS)
def test_a_damaged_manifest_ends_in_one_error(content, says, tmp_path, monkeypatch):
    monkeypatch.setattr(load_room, "data_folder", lambda: tmp_path)
    (tmp_path / "manifest.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    for call in (load_model, model_card):
        with pytest.raises(ValueError) as caught:
            call("nano-ln-relu")
        assert says in str(caught.value) and "restore data/" in str(caught.value)
        assert len(str(caught.value).splitlines()) == 1


def test_a_card_with_another_config_ends_in_one_error(tmp_path, monkeypatch):
    card = model_card("nano-ln-relu")
    shutil.copy(load_room.data_folder() / card["file"], tmp_path)
    monkeypatch.setattr(load_room, "data_folder", lambda: tmp_path)
    for change in ({"d_mlp": 5}, {"d_model": "many"}, {"no such thing": 1}, {"n_layers": 3}):
        manifest = {"nano-ln-relu": card | {"config": card["config"] | change}}
        (tmp_path / "manifest.json").write_text(json.dumps(manifest))
        with pytest.raises(
            ValueError, match="manifest.json: expected the config of nano-ln-relu, got .*Install the pack"
        ):
            load_model("nano-ln-relu")


def test_auto_without_gpt2_is_an_embedded_model_with_a_banner_that_is_always_the_same(capsys, monkeypatch):
    """Where SmolLM2 is not installed; where it is, see test_smollm2.py."""
    monkeypatch.delenv("LNPOLY_MODEL", raising=False)
    monkeypatch.setattr(hub_room, "cached_folder", lambda name: None)
    monkeypatch.setattr(hub_room, "packaged", lambda name: None)
    said = []
    for _ in range(2):
        assert model_name(load_model("auto")) == "nano-ln-gelu"
        said.append(capsys.readouterr().out)
    assert said[0] == said[1] and said[0].startswith("NOT GPT-2") and "LNPOLY_MODEL" in said[0]
    assert "shows nano-ln-gelu,\na small model trained for this series.\n" in said[0]


def weights_in_shards(folder):
    model = transformers.GPT2LMHeadModel.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="100KB")
    assert (folder / "model.safetensors.index.json").is_file()


def in_shards(folder):
    """The same weights in several files, and a tokenizer of the older form."""
    weights_in_shards(folder)
    (folder / "tokenizer.json").unlink()
    assert (folder / "merges.txt").is_file()


def pickled(folder):
    from safetensors.torch import load_file

    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


@pytest.mark.parametrize("rewrite", [in_shards, pickled])
def test_other_forms_of_a_folder_give_the_same_model(rewrite, published, tmp_path):
    folder = Path(shutil.copytree(published[1], tmp_path / "other"))
    expected = trace(load_model(folder), "The cat", 1)
    rewrite(folder)
    found = trace(load_model(folder), "The cat", 1)
    np.testing.assert_array_equal(found.residual, expected.residual)
    np.testing.assert_array_equal(found.logits, expected.logits)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("folders") / "tiny"
    saved(folder, "GPT2LMHeadModel", **GPT2)
    return folder


def drop(file):
    return lambda folder: (folder / file).unlink()


def write(file, content):
    return lambda folder: (folder / file).write_text(content)


def cut(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def without_a_tensor(folder):
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    del tensors["transformer.h.1.mlp.c_fc.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def of_another_width(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"n_embd": 48}))


def with_fewer_layers(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"n_layer": 1}))


def index_of(*names):
    """Shards, by an index that names other files."""

    def change(folder):
        weights_in_shards(folder)
        index = folder / "model.safetensors.index.json"
        content = json.loads(index.read_text())
        shutil.move(folder / sorted(set(content["weight_map"].values()))[0], folder.parent / "outside.safetensors")
        for key, name in zip(content["weight_map"], names * len(content["weight_map"]), strict=False):
            content["weight_map"][key] = name
        index.write_text(json.dumps(content))

    return change


SAVE = "save_pretrained"
INDEX = "model.safetensors.index.json: expected an index that names the files of the weights beside it, got "
DAMAGE = {
    "fewer layers than the file": (
        with_fewer_layers,
        ValueError,
        "expected weights that fit config.json, got more layers than that, as transformer.h.1.",
    ),
    "an index that names a file outside": (
        index_of("../outside.safetensors"),
        ValueError,
        INDEX + "'../outside.safetensors'. Put the model's own index there.",
    ),
    "an index that names a file by its path": (index_of("/etc/passwd"), ValueError, INDEX + "'/etc/passwd'"),
    "an index that names no text": (index_of(3), ValueError, INDEX + "'3'"),
    "a broken index": (
        lambda folder: (weights_in_shards(folder), write("model.safetensors.index.json", "{")(folder)),
        ValueError,
        INDEX + "none that can be read",
    ),
    "an index of nothing": (
        lambda folder: (weights_in_shards(folder), write("model.safetensors.index.json", '{"weight_map": {}}')(folder)),
        ValueError,
        INDEX + "none that can be read",
    ),
    "no config": (drop("config.json"), FileNotFoundError, f"got a folder without config.json. {SAVE}"),
    "no weights": (drop("model.safetensors"), FileNotFoundError, "got a folder without weights (model.safetensors, or"),
    "no tokenizer": (drop("tokenizer.json"), FileNotFoundError, "got a folder without a tokenizer (tokenizer.json, or"),
    "cut weights": (cut, ValueError, "expected weights that fit config.json, got SafetensorError"),
    "empty weights": (write("model.safetensors", ""), ValueError, "expected weights that fit config.json, got Safeten"),
    "a tensor lacking": (without_a_tensor, ValueError, "got none for transformer.h.1.mlp.c_fc.weight. A file is dama"),
    "another width": (of_another_width, ValueError, "expected weights that fit config.json, got RuntimeError"),
    "broken config": (write("config.json", "{"), ValueError, "expected a config.json that transformers can read"),
    "empty config": (write("config.json", "{}"), ValueError, "expected a config.json that transformers can read"),
    "broken tokenizer": (write("tokenizer.json", "{"), ValueError, "expected a model and a tokenizer that Transf"),
}


@pytest.mark.parametrize("damage, kind, says", DAMAGE.values(), ids=DAMAGE)
def test_a_folder_that_is_not_whole_ends_in_one_error(tiny, tmp_path, damage, kind, says):
    folder = Path(shutil.copytree(tiny, tmp_path / "damaged"))
    damage(folder)
    with pytest.raises(kind) as caught:
        load_model(folder)
    assert says in str(caught.value) and "damaged" in str(caught.value).split(": expected")[0]
    assert len(str(caught.value).splitlines()) == 1
    assert type(caught.value) is kind and (caught.value.__suppress_context__ or caught.value.__context__ is None)


@pytest.mark.parametrize("name", ["./gpt2", "/nowhere/gpt2", "~/no such folder", "..\\gpt2", Path("gpt2")])
def test_a_path_is_never_a_name(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="expected a folder in Hugging Face format, got none. Check the path"):
        load_model(name)


OWN = "nano-ln-relu"
HUB_ONLY = "Only a model that load_model takes from the Hugging Face hub by its name has revisions; leave it out"
ASKED_IN_VAIN = {
    "embedded": (OWN, {"revision": "main"}, f"revision: expected none for '{OWN}', got 'main'. {HUB_ONLY}"),
    "package": ("minilm", {"revision": "main"}, "revision: expected none for 'minilm', got 'main'"),
    "other package": ("smollm2", {"tokenizer": "gpt2"}, "tokenizer: expected none for 'smollm2', which has its own"),
    "auto": ("auto", {"revision": "main"}, "revision: expected none for 'auto', got 'main'"),
    "folder": ("./gpt2", {"revision": "v1"}, "revision: expected none for './gpt2', got 'v1'"),
    "empty": ("gpt2", {"revision": ""}, "revision: expected the name of a branch or a tag or a commit's hash, as in"),
    "upwards": ("gpt2", {"revision": "../main"}, "revision: expected the name of a branch .*, got '../main'"),
    "number": ("gpt2", {"revision": 3}, "revision: expected the name of a branch .*, got 3"),
    "own tokenizer": (OWN, {"tokenizer": "gpt2"}, f"tokenizer: expected none for '{OWN}', which has its own, got"),
    "no tokenizer": ("gpt2", {"tokenizer": "a b"}, "tokenizer: expected the name of a model on the Hugging Face hub"),
    "bytes": ("gpt2", {"tokenizer": OWN}, f"tokenizer: expected the name of a model .*, got '{OWN}'"),
}


@pytest.mark.parametrize("name, options, says", ASKED_IN_VAIN.values(), ids=ASKED_IN_VAIN)
def test_what_a_model_has_no_choice_of_is_refused(name, options, says):
    with pytest.raises(ValueError, match=says):
        load_model(name, **options)


@pytest.mark.parametrize("name", [None, 3, "", "a b", "a/b/c", "gpt2/", "a..b", b"gpt2", ["gpt2"]])
def test_what_is_no_name_is_refused(name):
    with pytest.raises(ValueError, match="name: expected one of nano-ln-relu, .*minilm, smollm2, auto, .* the path of"):
        load_model(name)


def test_a_home_folder_that_nobody_knows_is_no_path(monkeypatch, tiny):
    says = "expected the path of a folder, got '{}', and there is no home folder for '{}' on this .* Write the path in"
    for call, argument in ((load_model, "name"), (lambda name: load_model(tiny, tokenizer=name), "tokenizer")):
        with pytest.raises(
            ValueError, match=f"{argument}: {says.format('~nobody of this name/x', '~nobody of this name')}"
        ):
            call("~nobody of this name/x")
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("USERPROFILE", raising=False)
    monkeypatch.setattr(Path, "expanduser", without_home)
    with pytest.raises(ValueError, match=f"name: {says.format('~/x', '~')}"):
        load_model("~/x")


def without_home(path):
    """As pathlib has it for a user that the system does not know, in a container say."""
    raise RuntimeError("Could not determine home directory.")


# --- architectures ---

KINDS = {
    "GPT-2 medium's shape": ("GPT2LMHeadModel", {"n_layer": 3, "n_embd": 64, "n_head": 16, "n_positions": 32}),
    "parallel, two norms": ("GPTNeoXForCausalLM", OTHER),
    "parallel, one norm": ("GPTJForCausalLM", GPT2 | {"rotary_dim": 4}),
    "fc1 and fc2": ("OPTForCausalLM", OTHER | {"ffn_dim": 64, "word_embed_proj_dim": 32}),
    "attention adds its input": ("BloomForCausalLM", {"n_layer": 2, "hidden_size": 32, "n_head": 4}),
    "RMSNorm": ("ArceeForCausalLM", OTHER | {"num_key_value_heads": 2, "hidden_act": "relu"}),
    "post-norm, one way": ("OpenAIGPTLMHeadModel", GPT2),
    "post-norm, both ways": ("BertForMaskedLM", OTHER),
}
ACTIVATION = {"fc1 and fc2": "relu", "RMSNorm": "relu", "parallel, two norms": "gelu", "post-norm, both ways": "gelu"}


@pytest.mark.parametrize("kind", KINDS)
def test_an_architecture_is_read_as_it_computes(kind, tmp_path):
    cls, config = KINDS[kind]
    saved(tmp_path / "model", cls, **config)
    model = load_model(tmp_path / "model")
    for layer in (0, 1):
        block = mlp_block(model, layer)
        assert block.activation == ACTIVATION.get(kind, "gelu_new")
        assert block.kind == ("rmsnorm" if kind == "RMSNorm" else "layernorm")
        mlp, own = fold_layer_norm(block), trace(model, TEXT, layer)
        assert np.abs(mlp(own.residual) - own.mlp_output).max() < 1e-5 * np.abs(own.mlp_output).max()
        replaced = trace(model, TEXT, layer, replace_mlp=mlp)
        assert np.abs(replaced.logits - own.logits).max() < 1e-4
        wrong = trace(model, TEXT, layer, replace_mlp=lambda x, mlp=mlp: -mlp(x))
        assert np.abs(wrong.logits - own.logits).max() > 0.1
        batch = residuals(model, ["a mat", TEXT, "the"], layer)
        assert np.abs(batch[len(encode(model, "a mat")) :][: len(own.residual)] - own.residual).max() < 1e-5

        tripled = trace(model, TEXT, layer, edit_residual=lambda x: 3 * x)
        assert np.abs(tripled.residual - 3 * own.residual).max() < 1e-4
        assert np.abs(tripled.mlp_output - own.mlp_output).max() < 1e-3 * np.abs(own.mlp_output).max()
        changed = np.abs(tripled.logits - own.logits).max()
        assert changed < 1e-3 if "post-norm" in kind else changed > 0.1  # post-norm: the stream forgets the factor too


REFUSED = {
    "experts": ("MixtralForCausalLM", OTHER | {"num_local_experts": 2, "num_key_value_heads": 2}, "mixture of experts"),
    "activation": ("NemotronForCausalLM", OTHER | {"num_key_value_heads": 2, "hidden_act": "mish"}, "got 'mish'"),
    "encoder and decoder": ("T5ForConditionalGeneration", {"d_model": 32, "num_layers": 2}, "got another architecture"),
    "not in the bridge": ("DistilBertForMaskedLM", {"dim": 24, "n_layers": 1, "n_heads": 2}, "got DistilBertForMasked"),
}


@pytest.mark.parametrize("cls, config, says", REFUSED.values(), ids=REFUSED)
def test_what_no_normed_mlp_describes_is_refused_by_its_config(cls, config, says, tmp_path):
    """So a hub model is refused before its weights are fetched: here they are not even there."""
    folder = tmp_path / "model"
    config = getattr(transformers, cls).config_class(**config)
    config.architectures = [cls]
    config.save_pretrained(folder)
    small_tokenizer().save_pretrained(folder)
    (folder / "model.safetensors").write_bytes(b"never read")
    with pytest.raises(ValueError, match=rf"model \(folder\): expected .*{says}"):
        load_model(folder)


GATED = {
    "LlamaForCausalLM": "silu",
    "Qwen2ForCausalLM": "silu",
    "MistralForCausalLM": "silu",
    "Phi3ForCausalLM": "silu",  # gate and up in one matrix
    "GemmaForCausalLM": "gelu_new",  # scales by 1 + weight
    "OlmoForCausalLM": "silu",  # a norm without parameters
}


@pytest.mark.parametrize("kind", GATED)
def test_a_gated_mlp_is_read(kind, tmp_path):
    saved(tmp_path / "model", kind, **OTHER | {"num_key_value_heads": 2, "head_dim": 8})
    model = load_model(tmp_path / "model")
    for layer in (0, 1):
        block, own = mlp_block(model, layer), trace(model, TEXT, layer)
        assert block.is_gated and block.activation == GATED[kind]
        off = np.abs(fold_layer_norm(block)(own.residual) - own.mlp_output).max(axis=1)
        assert (off < 1e-9 * np.abs(own.mlp_output).max(axis=1)).all()


def test_an_mlp_that_computes_something_else_is_refused(tiny):
    """As any model whose MLP does more than its config says; here twice what it should."""
    model = load_model(tiny)
    assert mlp_block(model, 0)
    model.blocks[0].mlp.out.original_component.register_forward_hook(lambda module, inputs, output: 2 * output)
    with pytest.raises(ValueError, match="last: expected a linear map .* that computes something else"):
        mlp_block(model, 0)


# --- windows, positions and special tokens ---


def test_every_window_has_the_tokens_that_stand_around_a_text(tiny):
    model = load_model(tiny)
    long = " ".join(("the cat sat on a mat and ate " * 20).split()[:75])
    windows = context_windows(model, [long, "a mat"])
    assert [len(window) for window in windows] == [32, 32, 14, 3]
    assert all(window[0] == 0 and (window[1:] > 0).all() for window in windows)
    body = np.concatenate([window[1:] for window in windows[:3]])
    np.testing.assert_array_equal(body, encode(model, long)[1:])
    where = positions(model, [long, "a mat"])
    np.testing.assert_array_equal(where, [*range(32), *range(32), *range(14), *range(3)])
    x = residuals(model, [long, "a mat"], 1)
    assert len(x) == len(where)
    first = x[where == 0]  # the same token at the same place, which sees nothing else
    np.testing.assert_allclose(first, np.broadcast_to(first[0], first.shape), atol=1e-5)


def test_positions_of_an_embedded_model_count_bytes():
    model = load_model("nano-ln-relu")
    np.testing.assert_array_equal(positions(model, ["abc", "é"]), [0, 1, 2, 0, 1])


# --- the full size ---

FULL_SIZE = """
import json, resource, sys
import numpy as np
from lnpoly_helpers import fold_layer_norm, load_model, mlp_block, model_name
found = {}
model = load_model(sys.argv[1])
found["name"] = model_name(model)
tokens = model.to_tokens("the cat sat on the mat")
wanted = [f"blocks.{k}.{end}" for k in range(12) for end in ("ln2.hook_in", "mlp.hook_out")]
kept = model.run_with_cache(tokens, names_filter=wanted)[1]
worst = 0.0
for layer in range(model.cfg.n_layers):
    mlp = fold_layer_norm(mlp_block(model, layer))
    residual, output = (kept[f"blocks.{layer}.{end}"][0].detach() for end in ("ln2.hook_in", "mlp.hook_out"))
    worst = max(worst, np.abs(mlp(residual) - output.numpy()).max() / float(output.abs().max()))
found |= {"layers": layer + 1, "worst": worst, "neurons": mlp.n_neurons}
found["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 2**30
print(json.dumps(found))
"""


@pytest.mark.slow
@pytest.mark.thorough
def test_gpt2_small_in_its_full_size(full_size_gpt2):
    """Random weights and norms, 548 MB: loading, twelve folds checked against the model's own MLPs, peak memory."""
    command = [sys.executable, "-c", FULL_SIZE, str(full_size_gpt2)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""  # nothing that would stay behind in a notebook
    found = json.loads(run.stdout)
    print(found)
    assert found["name"] == f"{full_size_gpt2.name} (folder)"
    assert (found["layers"], found["neurons"]) == (12, 3072)
    assert found["worst"] < 1e-5
    assert found["peak"] < 3.0  # GB; 1.1 here, of which 0.5 are the weights


# --- MiniLM, and BERT's kind of block ---


@pytest.fixture(scope="module")
def minilm():
    return load_model("minilm")


@pytest.fixture(scope="module")
def bert():
    """The same weights in transformers' own BertModel."""
    return transformers.BertModel.from_pretrained(hub_room.packaged("minilm"), attn_implementation="eager").eval()


MINILM_TEXTS = ["A cat.", prompts()[0], "Ünïcödé – 1 €, and a much longer sentence than the others so far.", "a"]


@needs_minilm
def test_minilm_is_what_was_published_and_is_named_so(minilm, tmp_path):
    assert model_name(minilm) == "minilm"
    assert (minilm.cfg.n_layers, minilm.cfg.d_model, minilm.cfg.d_mlp) == (6, 384, 1536)
    copied = tmp_path / "anything"
    shutil.copytree(hub_room.packaged("minilm"), copied)
    assert model_name(load_model(copied)) == "minilm"  # by its sha256
    content = bytearray((copied / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (copied / "model.safetensors").write_bytes(content)
    assert model_name(load_model(copied)) == "anything (folder)"


@pytest.mark.slow
@needs_minilm
@pytest.mark.thorough
def test_an_untrained_minilm_starts_as_its_library_starts_it(minilm):
    check_untrained(minilm, out_std=0.02)


@needs_minilm
def test_a_package_with_other_weights_is_refused(tmp_path, monkeypatch):
    folder = tmp_path / "model"
    saved(folder, "BertForMaskedLM", **OTHER)
    monkeypatch.setattr(hub_room, "packaged", lambda name: folder)
    with pytest.raises(ValueError, match="expected the published weights of MiniLM, got .*another sha256"):
        load_model("minilm")


@needs_minilm
@pytest.mark.parametrize("layer", range(6))
def test_minilms_block_is_transformers_own(minilm, bert, layer):
    block = mlp_block(minilm, layer)
    assert (block.kind, block.activation, block.eps) == ("layernorm", "gelu", 1e-12)
    x = residuals(minilm, MINILM_TEXTS, layer)
    hf = bert.encoder.layer[layer]
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.float64, 1e-9)):
        hf.to(dtype)
        with torch.no_grad():
            entered = hf.attention.output.LayerNorm(torch.tensor(x, dtype=dtype))
            expected = hf.output.dense(hf.intermediate(entered)).double().numpy()
        scale = max(1.0, np.abs(expected).max()) if dtype == torch.float32 else 1.0
        assert np.abs(block(x) - expected).max() < tolerance * scale
        assert np.abs(fold_layer_norm(block)(x) - expected).max() < tolerance * scale
    hf.float()


@needs_minilm
def test_minilms_residuals_are_what_enters_the_norm_of_transformers_own(minilm, bert):
    """Texts of different lengths: in a batch the padding is masked; alone there is none."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(hub_room.packaged("minilm"))
    seen = {layer: [] for layer in range(6)}
    hooks = [
        bert.encoder.layer[layer].attention.output.LayerNorm.register_forward_pre_hook(
            lambda module, inputs, layer=layer: seen[layer].append(inputs[0][0])
        )
        for layer in seen
    ]
    lengths = []
    with torch.no_grad():
        for text in MINILM_TEXTS:
            tokens = tokenizer(text, return_tensors="pt")["input_ids"]
            np.testing.assert_array_equal(encode(minilm, text), tokens[0])
            lengths.append(tokens.shape[1])
            last = bert(tokens).last_hidden_state[0]
    for hook in hooks:
        hook.remove()
    x = residuals(minilm, MINILM_TEXTS, range(6))
    for layer in seen:
        np.testing.assert_allclose(x[layer], torch.cat(seen[layer]).numpy(), atol=2e-5)
    assert positions(minilm, MINILM_TEXTS).tolist() == [k for n in lengths for k in range(n)]
    run = trace(minilm, MINILM_TEXTS[-1], 2)
    np.testing.assert_allclose(run.residual, seen[2][-1], atol=2e-5)
    np.testing.assert_allclose(run.logits, last, atol=2e-5)  # no next token: the last layer's output


@needs_minilm
def test_a_text_longer_than_minilms_context_is_cut_into_texts(minilm):
    long = " ".join(prompts()[:20])
    windows = context_windows(minilm, long)
    assert len(windows) > 1 and all(len(window) <= 512 for window in windows)
    assert all((window[0], window[-1]) == (101, 102) for window in windows)
    whole = encode(minilm, long)
    np.testing.assert_array_equal(np.concatenate([window[1:-1] for window in windows]), whole[1:-1])


@needs_minilm
def test_minilm_forgets_the_length_of_its_residual_vectors(minilm):
    mlp = fold_layer_norm(mlp_block(minilm, 3))
    x = residuals(minilm, MINILM_TEXTS[0], 3)
    on = [mlp.preactivations(normalize(a * x)) > 0 for a in (1e-6, 1.0, 1e6)]
    assert (on[0] == on[1]).all() and (on[1] == on[2]).all()


# --- GPT-2 as the hub has it ---


@pytest.mark.parametrize("layer", [0, 1])
def test_a_block_in_the_hubs_form_is_transformers_own(published, layer):
    hf, folder = published
    bridge = load_model(folder)
    block = mlp_block(bridge, layer)
    assert (block.kind, block.activation, block.eps) == ("layernorm", "gelu_new", 1e-5)
    x = residuals(bridge, ["Twice two is four.", "Yes?"], layer)
    own = hf.transformer.h[layer]
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.float64, 1e-9)):
        own.to(dtype)
        with torch.no_grad():
            expected = own.mlp(own.ln_2(torch.tensor(x, dtype=dtype))).double().numpy()
        assert np.abs(block(x) - expected).max() < tolerance * max(1.0, np.abs(expected).max())
        assert np.abs(fold_layer_norm(block)(x) - expected).max() < tolerance * max(1.0, np.abs(expected).max())
    own.float()


def test_the_hubs_tokenizer_gives_bytes_behind_the_end_of_text(published):
    bridge = load_model(published[1])
    tokens = encode(bridge, "Ab é")
    assert tokens[0] == 256 and bridge.tokenizer.decode(tokens[1:]) == "Ab é"


# --- GPT-2 without LayerNorm ---


def without_layer_norm(model, eps=1e12):
    """In place, as apollo-research/gpt2_noLN is made: the norms stay, and divide by 1e6 instead of the deviation."""
    model.config.layer_norm_epsilon = eps
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.LayerNorm):
            module.eps = eps
            if not name.endswith("ln_f"):  # the last one keeps a scale and a bias: no matrix behind it could take them
                torch.nn.init.ones_(module.weight)
                torch.nn.init.zeros_(module.bias)
            with torch.no_grad():
                module.weight.mul_(eps**0.5)
    return model


@pytest.fixture(scope="module")
def no_norm(published, tmp_path_factory):
    """A tiny one, in a folder without a tokenizer; returns the model too."""
    size = {"n_layer": 2, "n_embd": 32, "n_head": 4, "vocab_size": 257, "n_positions": 64}
    config = transformers.GPT2Config(**size, bos_token_id=256, eos_token_id=256)
    model = without_layer_norm(random_weights(transformers.GPT2LMHeadModel(config), seed=1))
    folder = tmp_path_factory.mktemp("no norm") / "model"
    model.save_pretrained(folder)
    return model, folder


def test_a_folder_without_a_tokenizer_takes_another_models(no_norm, published, tiny, tmp_path):
    model, folder = no_norm
    with pytest.raises(FileNotFoundError, match="got a folder without a tokenizer"):
        load_model(folder)
    alone = tmp_path / "tokenizer"
    transformers.AutoTokenizer.from_pretrained(published[1]).save_pretrained(alone)
    for other in (published[1], str(alone)):
        bridge = load_model(folder, tokenizer=other)
        tokens = encode(bridge, "The cat")
        assert tokens[0] == 256 and bridge.tokenizer.decode(tokens[1:]) == "The cat"
        with torch.no_grad():
            logits = model(torch.from_numpy(tokens)[None]).logits[0]
        np.testing.assert_allclose(trace(bridge, "The cat", 0).logits, logits, atol=1e-5)
    with pytest.raises(FileNotFoundError, match="expected a folder with a tokenizer, got none"):
        load_model(folder, tokenizer=tmp_path / "nothing")
    with pytest.raises(FileNotFoundError, match=r"expected a folder with a tokenizer, got one without a tokenizer"):
        load_model(folder, tokenizer=folder)
    with pytest.raises(ValueError, match="expected one with at most the 40 tokens of tiny .*, got one with 257"):
        load_model(tiny, tokenizer=published[1])


@pytest.mark.parametrize("layer", [0, 1])
def test_without_layer_norm_a_ray_crosses_where_bisection_says(no_norm, published, layer):
    """At eps = 1e12 LayerNorm is x - mean(x), up to a part in 1e12; the closed form must stand it."""
    model, folder = no_norm
    bridge = load_model(folder, tokenizer=published[1])
    block = mlp_block(bridge, layer)
    assert block.eps == 1e12 and (block.gamma == 1e6).all() and not block.beta.any()
    mlp, x = fold_layer_norm(block), residuals(bridge, "Twice two is four.", layer)[5]

    own = model.transformer.h[layer]
    own.double()
    with torch.no_grad():
        expected = own.mlp(own.ln_2(torch.tensor(x))).numpy()
        normed = own.ln_2(torch.tensor(x)).numpy()

        def pre(a):
            return own.mlp.c_fc(own.ln_2(torch.tensor(np.multiply.outer(a, x)))).numpy()

        assert np.abs(mlp(x) - expected).max() < 1e-9
        np.testing.assert_allclose(normed, x - x.mean(), rtol=1e-9, atol=1e-12)
        found = ray_crossings(mlp, x)
        scales, neurons = found.scales[found.scales < 100], found.neurons[found.scales < 100]
        grid = pre(np.geomspace(1e-6, 100, 20001)) > 0
        assert sorted(neurons) == sorted(np.flatnonzero(grid[0] != grid[-1]))
        assert (grid[1:] != grid[:-1]).sum() == len(scales) > 30  # of 128
        low, high = np.full(len(scales), 1e-6), np.full(len(scales), 100.0)
        start = pre(1e-6)[neurons] > 0
        for _ in range(80):
            middle = (low + high) / 2
            before = (pre(middle)[np.arange(len(scales)), neurons] > 0) == start
            low, high = np.where(before, middle, low), np.where(before, high, middle)
    own.float()
    np.testing.assert_allclose(scales, low, rtol=1e-9)
    assert len(ray_crossings(mlp, x, eps=0).scales) == 0  # which is the network with its norm put back


# --- hubs, each in a process of its own ---

CASE = """
import json, os, sys
from lnpoly_helpers import load_model, model_name, trace
for name in sys.argv[1].split(","):
    name, _, revision = name.partition("@")
    model = load_model(name, revision=revision or None, tokenizer=os.environ.get("TOKENIZER"))
    print(json.dumps({"name": model_name(model), "logits": float(trace(model, "The cat", 1).logits.sum())}))
"""
WITHOUT_NETWORK = (
    """
import socket
def refuse(*args, **kwargs):
    raise AssertionError(f"tried to reach the network: {args[1:]}")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
"""
    + CASE
)
# What is asked of the hub and what comes of it, without the libraries that take seconds to import: config.json is not
# looked into, and in a network's place stand the files that it would be read from.
QUICK = """
import hashlib, json, os, sys
from types import SimpleNamespace
from lnpoly_helpers import load_model, model_name
from lnpoly_helpers.models import bridge, hub, load
def stand_in(name=None, **files):
    return SimpleNamespace(original_model=None, cfg=SimpleNamespace(model_name=name), files=files)
def sha256(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
def boot(path, who, tokenizer, dtype):
    return stand_in(model=sha256(path), tokenizer=sha256(tokenizer) if tokenizer else None)
bridge.architecture = lambda folder, who: None
bridge.boot = boot
load._load_embedded = lambda name, dtype: stand_in(name)
if os.environ.get("NO_PACKAGE"):
    hub.packaged = lambda name: None
for name in sys.argv[1].split(","):
    name, _, revision = name.partition("@")
    model = load_model(name, revision=revision or None, tokenizer=os.environ.get("TOKENIZER"))
    print(json.dumps({"name": model_name(model)} | model.files))
"""
FETCH = """
import sys
from lnpoly_helpers.models import hub
print(*sorted(path.name for path in hub.hub_folder(sys.argv[1], print).iterdir()))
"""
DEAD = "http://127.0.0.1:9"
PATIENCE = 2  # seconds, with a hub that does not answer; one that does, on a busy machine, gets as long as it needs


def in_a_fresh_process(home, endpoint, name="gpt2", code=CASE, **environment):
    bare = {key: value for key, value in os.environ.items() if "proxy" not in key.lower() and key != "LNPOLY_MODEL"}
    bare |= {"HF_HOME": str(home), "HF_ENDPOINT": endpoint, "HF_HUB_OFFLINE": "0"}
    bare |= {"HF_HUB_DOWNLOAD_TIMEOUT": "120", "OMP_NUM_THREADS": "1"} | environment
    return subprocess.run([sys.executable, "-c", code, name], env=bare, capture_output=True, text=True, timeout=200)


@pytest.fixture(scope="module")
def no_norm_on_the_hub(published, no_norm, tmp_path_factory):
    """Repositories as the hub has them: gpt2_noLN comes without a tokenizer, and its control is a revision of it."""
    control = Path(shutil.copytree(published[1], tmp_path_factory.mktemp("control") / "model"))
    for pattern in ("*token*", "vocab*", "merges*"):
        for file in control.glob(pattern):
            file.unlink()
    return {"openai-community/gpt2": published[1], NO_LN: no_norm[1], f"{NO_LN}@vanilla_1200": control}


@pytest.fixture(scope="module")
def runs(published, no_norm_on_the_hub, tmp_path_factory):
    """All cases, two at a time: {case: finished process}."""
    models = {"openai-community/gpt2": published[1]}
    dead_proxy = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), DEAD)

    def home():
        return tmp_path_factory.mktemp("home")

    def served(fault=None, name="gpt2", code=QUICK, **environment):
        if fault in ("stalls", "silent", "breaks off"):
            environment["HF_HUB_DOWNLOAD_TIMEOUT"] = str(PATIENCE)
        with Hub(models, ALIAS, fault) as hub:
            return in_a_fresh_process(home(), hub.endpoint, name, code, **environment)

    def download_then_cache():
        kept = home()
        with Hub(models, ALIAS) as hub:
            first = in_a_fresh_process(kept, hub.endpoint)
        here = [str(published[1]), *EMBEDDED, *["minilm"] * (hub_room.packaged("minilm") is not None)]
        return first, in_a_fresh_process(kept, hub.endpoint, ",".join(["gpt2", "auto", *here]), WITHOUT_NETWORK)

    def damaged_then_deleted():
        kept = home()
        with Hub(models, ALIAS, "damaged") as hub:
            first = in_a_fresh_process(kept, hub.endpoint, code=QUICK)
        for path in kept.glob("hub/models--*/blobs/*"):
            if path.stat().st_size > 100_000:
                path.unlink()
        with Hub(models, ALIAS) as hub:
            return first, in_a_fresh_process(kept, hub.endpoint, code=QUICK)

    def minilm_from_the_hub():
        with Hub({hub_room.PACKAGES["minilm"].repository: hub_room.packaged("minilm")}) as hub:
            return in_a_fresh_process(home(), hub.endpoint, "minilm", QUICK, NO_PACKAGE="1")

    def smollm2_from_the_hub():
        folder = tmp_path_factory.mktemp("llama") / "model"
        saved(folder, "LlamaForCausalLM", **OTHER)
        with Hub({hub_room.PACKAGES["smollm2"].repository: folder}) as hub:
            return in_a_fresh_process(home(), hub.endpoint, "smollm2", QUICK, NO_PACKAGE="1")

    def in_several_files():
        folder = Path(shutil.copytree(published[1], tmp_path_factory.mktemp("shards") / "model"))
        in_shards(folder)
        with Hub({"someone/several": folder}) as hub:
            return folder, in_a_fresh_process(home(), hub.endpoint, "someone/several", FETCH)

    def revision_then_cache():
        kept = home()
        with Hub(no_norm_on_the_hub, ALIAS) as hub:
            bare = in_a_fresh_process(kept, hub.endpoint, NO_LN, QUICK)
            asked_bare = list(hub.requests)
            typo = in_a_fresh_process(kept, hub.endpoint, f"{NO_LN}@vanilla", QUICK, TOKENIZER="gpt2")
            both = f"{NO_LN}@vanilla_1200,{NO_LN}"
            first = in_a_fresh_process(kept, hub.endpoint, both, QUICK, TOKENIZER="gpt2")
            asked = list(hub.requests)
        again = in_a_fresh_process(kept, hub.endpoint, both, QUICK, TOKENIZER="gpt2", HF_HUB_OFFLINE="1")
        lacking = in_a_fresh_process(kept, hub.endpoint, f"{NO_LN}@v9", QUICK, HF_HUB_OFFLINE="1", TOKENIZER="gpt2")
        assert not [line for line in asked_bare if "safetensors" in line]  # told before the weights are fetched
        return {"bare": bare, "typo": typo, "first": first, "again": again, "lacking": lacking}, asked

    cases = {
        "several files": in_several_files,
        "revision then cache": revision_then_cache,
        "download then cache": download_then_cache,
        "stalls": lambda: served("stalls"),
        "silent": lambda: served("silent"),
        "breaks off": lambda: served("breaks off"),
        "cut short": lambda: served("cut short"),
        "missing": lambda: served("missing"),
        "damaged then deleted": damaged_then_deleted,
        "unknown": lambda: served(name="gpt3"),
        "refused": lambda: in_a_fresh_process(home(), DEAD),
        "proxy": lambda: in_a_fresh_process(home(), "https://huggingface.co", **dead_proxy),
        "offline": lambda: served(HF_HUB_OFFLINE="1"),
        "auto, refused": lambda: in_a_fresh_process(home(), DEAD, "auto", QUICK, NO_PACKAGE="1"),
        "auto, stalls": lambda: served("stalls", "auto", NO_PACKAGE="1"),
        "smollm2": smollm2_from_the_hub,
    }
    if hub_room.packaged("minilm") is not None:
        cases["minilm"] = minilm_from_the_hub
    with ThreadPoolExecutor(2) as pool:
        started = {case: pool.submit(run) for case, run in cases.items()}
        return {case: run.result() for case, run in started.items()}


def loaded(run):
    """What a process loaded, and what else it printed."""
    assert run.returncode == 0, run.stderr
    said = run.stdout.splitlines()
    found = [json.loads(line) for line in said if line.startswith("{")]
    return found, [line for line in said if not line.startswith("{")]


def test_a_download_shows_its_progress_and_the_cache_needs_no_hub(runs, published):
    expected = trace(load_model(published[1]), "The cat", 1).logits.sum()
    download, cache = runs["download then cache"]
    for run, times in ((download, 1), (cache, 2)):
        found, said = loaded(run)
        assert said == []
        for model in found[:times]:
            assert model["logits"] == pytest.approx(expected, abs=1e-2)
            assert model["name"].startswith("gpt2 (from http://127.0.0.1:")  # another hub's word for what it is
    assert "Downloading gpt2 from http://127.0.0.1" in download.stderr
    assert "model.safetensors: 100%" in download.stderr
    assert cache.stderr == ""


def test_a_folder_a_package_and_the_embedded_models_load_with_no_network_at_all(runs, published):
    """In a process that may reach nothing; they are what they are here, where HF_HUB_OFFLINE is set."""
    _, cache = runs["download then cache"]
    assert os.environ["HF_HUB_OFFLINE"] == "1"
    names = [published[1], *EMBEDDED, *["minilm"] * (hub_room.packaged("minilm") is not None)]
    models = [load_model(name) for name in names]
    found = loaded(cache)[0][2:]
    assert [model["name"] for model in found] == [model_name(model) for model in models]
    expected = [trace(model, "The cat", 1).logits.sum() for model in models]
    assert [model["logits"] for model in found] == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_every_file_of_sharded_weights_is_fetched_and_an_older_tokenizer(runs):
    folder, run = runs["several files"]
    assert run.returncode == 0, run.stderr
    files = {path.name for path in folder.iterdir()} - {"generation_config.json"}
    assert len([file for file in files if file.startswith("model-")]) > 1
    assert set(run.stdout.splitlines()[-1].split()) == files


def sha256(folder, *files):
    return {file: hashlib.sha256((folder / file).read_bytes()).hexdigest() for file in files}


def test_a_revision_is_fetched_named_and_kept_and_a_tokenizer_is_another_models(runs, published, no_norm):
    done, asked = runs["revision then cache"]
    control, main = (sha256(folder, "config.json", "model.safetensors") for folder in (published[1], no_norm[1]))
    tokenizer = sha256(published[1], "tokenizer.json", "tokenizer_config.json")
    for run in (done["first"], done["again"]):
        found, said = loaded(run)
        assert [model["model"] for model in found] == [control, main] and said == []
        assert all(tokenizer.items() <= model["tokenizer"].items() for model in found)
        assert found[0]["name"].startswith(f"{NO_LN}@vanilla_1200 (from http://127.0.0.1:")
        assert found[1]["name"].startswith(f"{NO_LN} (from http://127.0.0.1:")
    assert control["model.safetensors"] != main["model.safetensors"]
    assert f"Downloading {NO_LN}@vanilla_1200 from http" in done["first"].stderr and done["again"].stderr == ""
    assert not [line for line in asked if "openai-community/gpt2" in line and "safetensors" in line]


def test_a_revision_that_is_not_there_and_a_tokenizer_that_is_not_ends_in_one_error(runs):
    done, _ = runs["revision then cache"]
    check_error(done["typo"], "ValueError", f"revision: expected a branch, a tag or a commit of {NO_LN} on http")
    without = rf"{NO_LN}: expected a whole model .* without a tokenizer .*load_model\(\.\.\., tokenizer=NAME\)"
    check_error(done["bare"], "FileNotFoundError", without)
    offline = f"{NO_LN}@v9: expected it in the cache .* got neither: HF_HUB_OFFLINE is set"
    check_error(done["lacking"], "ConnectionError", offline)


HUB_ERRORS = {
    "stalls": ("ConnectionError", f"gpt2: expected it in the cache .* got neither: no answer for {PATIENCE} seconds"),
    "silent": ("ConnectionError", f"gpt2: .* got neither: no answer for {PATIENCE} seconds"),
    "breaks off": ("ConnectionError", f"gpt2: .* got neither: no answer for {PATIENCE} seconds"),
    "cut short": ("ConnectionError", "gpt2: .* got neither: .*should be of size"),
    "missing": ("FileNotFoundError", r"gpt2: expected a whole model .* got one without weights \(model.safetensors"),
    "unknown": ("ValueError", "name: expected .* got 'gpt3', which http.* does not have"),
    "refused": ("ConnectionError", "gpt2: .* got neither: .*refused.*load_model"),
    "proxy": ("ConnectionError", "gpt2: expected it in the cache .* or from https://huggingface.co, got neither"),
    "offline": ("ConnectionError", "gpt2: .* got neither: HF_HUB_OFFLINE is set"),
}


@pytest.mark.parametrize("case", HUB_ERRORS)
def test_a_hub_that_fails_ends_in_one_error_long_before_it_answers(runs, case):
    kind, says = HUB_ERRORS[case]
    check_error(runs[case], kind, says)


def check_error(run, kind, says):
    assert run.returncode == 1
    last = run.stderr.strip().splitlines()[-1]
    assert re.match(f"{kind}: {says}", last), last
    assert run.stderr.count("Traceback") == 1 and "site-packages" not in run.stderr


def test_a_thread_that_nobody_waits_for_says_nothing_behind_the_error(capsys, monkeypatch):
    stop, done = threading.Event(), threading.Event()
    logger = logging.getLogger("huggingface_hub.file_download")
    for handler in logging.getLogger("huggingface_hub").handlers:
        monkeypatch.setattr(handler, "stream", sys.stderr)  # the one of this test, not the one of its import

    def stalls(watch):
        bar = hub_room._progress_bar(watch)(total=10, name="x")
        bar.update(1)
        logger.warning("before")
        stop.wait(60)
        logger.warning("behind")
        bar.refresh()
        bar.close()
        done.set()

    with pytest.raises(hub_room._Stalled, match="no answer"):
        hub_room._watched(stalls, 2)
    print("the error", file=sys.stderr)
    stop.set()
    assert done.wait(60)
    logger.warning("another's")  # others are heard as before
    said = capsys.readouterr().err
    assert "before" in said and "another's" in said and "behind" not in said
    assert said.split("the error\n")[0].endswith("\n") and said.split("the error\n")[1] == "another's\n"


def test_damaged_weights_are_told_by_the_name_that_the_cache_gave_them(runs):
    damaged, again = runs["damaged then deleted"]
    check_error(damaged, "ValueError", r".*blobs.[0-9a-f]{64}: expected sha256 .* is damaged. Delete it and load the")
    assert loaded(again)[0][0]["name"].startswith("gpt2")


@pytest.mark.parametrize("case", ["auto, refused", "auto, stalls"])
def test_auto_without_a_hub_that_delivers_is_an_embedded_model(runs, case):
    (found,), said = loaded(runs[case])
    assert found["name"] == "nano-ln-gelu"
    assert said[0].startswith("NOT GPT-2")


@needs_minilm
def test_minilm_comes_from_the_hub_where_the_package_is_not_installed(runs):
    (found,), _ = loaded(runs["minilm"])
    assert found["name"] == "minilm"
    files = "config.json", "model.safetensors", "tokenizer.json"
    assert sha256(hub_room.packaged("minilm"), *files).items() <= found["model"].items()


def test_smollm2_comes_from_the_hub_where_the_package_is_not_installed_and_is_called_what_it_is_there(runs):
    """Here a tiny one stands in for it; the package's weights are rounded, so they are others and have another name."""
    (found,), _ = loaded(runs["smollm2"])
    assert found["name"].startswith("HuggingFaceTB/SmolLM2-135M-Instruct (from http://127.0.0.1:")


@pytest.mark.parametrize("name", hub_room.PACKAGES)
def test_without_a_hub_the_error_says_how_to_install_the_package(name, monkeypatch):
    monkeypatch.setattr(hub_room, "packaged", lambda name: None)
    package = hub_room.PACKAGES[name]
    says = f"{package.repository}: .* got neither: HF_HUB_OFFLINE is set.* also comes by {package.install()}"
    with pytest.raises(ConnectionError, match=says):
        load_model(name)


@pytest.mark.slow
@needs_minilm
@pytest.mark.thorough
def test_notebook_09_loads_the_published_pair_when_it_is_told_to(no_norm_on_the_hub, tmp_path, monkeypatch):
    """By the very lines that load gpt2_noLN, from a hub that has a tiny model of the same make under its name."""
    root = Path(__file__).resolve().parents[2]
    build = scripts.load("notebooks/build.py")
    nb = (root / "notebooks" / "09_beyond_gpt2.ipynb").read_text(encoding="utf-8")
    assert nb.count('"REAL = False\\n"') == 1
    real = tmp_path / "09_real.ipynb"
    real.write_text(nb.replace("REAL = False\\n", "REAL = True\\n"), encoding="utf-8")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    with Hub(no_norm_on_the_hub, ALIAS) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        nb, _, result = build.execute(real)
    assert result == "ok"
    text = "".join(output.get("text", "") for cell in nb.cells for output in cell.get("outputs", []))
    at = re.escape(f"(from {hub.endpoint})")
    assert re.search(rf"{NO_LN} {at} \| {NO_LN}@vanilla_1200 {at} \| 2 layers", text)
    assert re.search(rf"{NO_LN} {at} *of 128 neurons cross: [1-9]\d\.\d .* at the model's own ε, 0 at ε = 0", text)
    assert re.search(rf"{NO_LN}@vanilla_1200 {at} *of 128 neurons cross: 0\.\d .*, 0 at ε = 0", text)
