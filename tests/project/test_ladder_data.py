"""The script that trains the ladder of widths: what it holds back, and that the layers it keeps are the network's."""

import json

import numpy as np
import pytest
import scripts
import torch

from lnpoly_helpers import capture
from lnpoly_helpers.models import load

TEXTS = ["".join(f"{n} squared is {n * n}, and {n} {'is' if n % 7 else 'is not'} a week. " for n in range(3000))]


@pytest.fixture
def ladder(monkeypatch):
    module = scripts.load("data/ladder.py")
    for name, value in {"BLOCK": 2000, "N_CTX": 32, "D_HEAD": 16, "N_HELD_BACK": 8}.items():
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(module.trainer, "has_bfloat16", lambda: False)
    return module


def test_no_held_back_text_is_trained_on_and_its_tokens_are_the_text(ladder):
    encoder, tokens, held_back = ladder.tokenize(TEXTS, 300)
    train, held = encoder.decode(tokens), encoder.decode(held_back)
    assert len(train) + len(held) == len(TEXTS[0]) and 0.02 < len(held) / len(TEXTS[0]) < 0.08
    assert held[:2000] in TEXTS[0] and held[:2000] not in train
    assert tokens.max() < encoder.get_vocab_size() <= 300


def test_what_it_writes_is_the_network_that_it_trained(ladder, tmp_path, monkeypatch):
    """Each layer's output and points, out of transformer_lens's own model with the same weights, to float16."""
    texts = ["1 squared is 1, and 1 is a week.", "20 squared is 400, and 20 is a week. 22 squared is 484."]
    monkeypatch.setattr(ladder, "prompts", lambda: texts)
    (tmp_path / ".build").mkdir()
    encoder, tokens, held_back = ladder.tokenize(TEXTS, 300)
    config = ladder.config_of("gelu_new", 32, 2, encoder.get_vocab_size())
    options = {"steps": 3, "batch": 2, "work": tmp_path / ".build"}
    weights, record = ladder.train("tiny", config, [1, 5], tokens, held_back, **options)
    assert record["history"][-1][0] == 3 and len(record["history"][-1][2]) == 2
    for value in weights.values():  # far from what it started with: no bias at 0, no scale at 1
        value += 0.1 * torch.randn(value.shape, generator=torch.Generator().manual_seed(1))
    ladder.write_layers(tmp_path, weights, config, [1, 5], encoder)
    assert len(list(tmp_path.glob("gelu_new.d032.L2.seed*.layer0*.npz"))) == 4
    read = list(scripts.load("data/measure.py").ladder_layers(tmp_path))  # as make seeds reads them
    windows = [encoder.encode(text).ids[:32] for text in texts]
    for k, seed in enumerate((1, 5)):
        model = load.boot_native(config, "float64")
        model.load_state_dict({key: value[k] for key, value in weights.items()}, strict=False)
        with capture(model.blocks[0].ln2) as first, capture(model.blocks[1].ln2) as second:
            for ids in windows:
                model(torch.tensor([ids]))
        x = [np.concatenate([call[0, 1:] for call in seen.calls]) for seen in (first, second)]
        for layer in range(2):
            found = np.load(tmp_path / f"gelu_new.d032.L2.seed{seed}.layer{layer:02}.npz")
            np.testing.assert_allclose(found["std"], x[layer].std(axis=1), rtol=1e-4)
            about, mlp, z = read[2 * k + layer]
            assert about.items() >= {"activation": "gelu_new", "layers": 2, "layer": layer, "seed": seed}.items()
            inside = model.blocks[layer]
            own = inside.mlp(inside.ln2(torch.from_numpy(x[layer])[None]))[0].detach().numpy()
            own = own - weights[f"blocks.{layer}.mlp.out.bias"][k].numpy()
            np.testing.assert_allclose(mlp(x[layer]), own, rtol=0, atol=0.01 * np.abs(own).max())
            np.testing.assert_allclose(z, mlp.to_sphere(x[layer]), rtol=0, atol=5e-3)


def test_the_command_trains_and_says_what_it_trained(ladder, tmp_path, monkeypatch):
    (tmp_path / "texts" / "some").mkdir(parents=True)
    (tmp_path / "texts" / "some" / "numbers.txt").write_text(TEXTS[0], encoding="utf-8")
    monkeypatch.setattr(ladder, "JOBS", {"tiny": ("relu", 16, 1, [3])})
    monkeypatch.setattr(ladder, "prompts", lambda: ["1 squared is 1."])
    out = tmp_path / "out"
    options = ["--out", str(out), "--steps", "2", "--batch", "2", "--vocabulary", "300"]
    monkeypatch.setattr("sys.argv", ["ladder.py", str(tmp_path / "texts"), *options])
    ladder.main()
    assert [path.name for path in out.glob("*.npz")] == ["relu.d016.L1.seed3.layer00.npz"]
    record = json.loads((out / "losses.json").read_text())["tiny"]
    assert record["steps"] == 2 and record["seeds"] == [3] and record["config"]["d_model"] == 16


def test_a_folder_without_text_is_named(ladder, tmp_path):
    with pytest.raises(SystemExit, match="expected a folder with .txt files"):
        ladder.read_texts(tmp_path)
