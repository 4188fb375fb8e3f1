"""The scripts that train the embedded models and their seeds: what is held back, what a batch of seeds is, resuming."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scripts
import torch

from lnpoly_helpers import residuals, trace
from lnpoly_helpers.models import load

SCRIPT = Path(__file__).resolve().parents[2] / "data" / "build.py"
TEXTS = [("numbers", b"".join(b"%d squared is %d.\n" % (n, n * n) for n in range(1500)))]


@pytest.fixture
def build(monkeypatch):
    module = scripts.load("data/build.py")
    monkeypatch.setattr(module, "BATCH", 2)
    monkeypatch.setattr(module, "HELD_BACK_BLOCK", 256)
    monkeypatch.setattr(module.trainer, "has_bfloat16", lambda: False)
    return module


def test_no_held_back_byte_is_trained_on(build):
    train, held_back = build.split(TEXTS)
    assert sum(map(len, train)) + sum(map(len, held_back)) == len(TEXTS[0][1])
    assert len(held_back) == round((len(train) + len(held_back)) / build.HELD_BACK_EVERY)
    seen = {row.tobytes() for step in range(50) for row in build.batch_at(0, step, train, 129)}
    assert not any(w.tobytes() in seen for block in held_back for w in build.windows(block, 129))
    assert all(any(row in block.tobytes() for block in train) for row in seen)


@pytest.mark.parametrize("name", load.EMBEDDED)
def test_a_batch_of_seeds_runs_like_the_library_runs_each(build, name):
    """Logits of transformer_lens's own model in float64, and what enters its norms."""
    config, tokens = build.config_of(name), torch.arange(40).reshape(2, 1, 20)
    weights = {key: value.detach().double() for key, value in build.trainer.fresh_weights(config, [3, 5]).items()}
    for value in weights.values():
        value += 0.1 * torch.randn(value.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    entered = []
    found = build.trainer.logits(weights, tokens, config, before_mlp=lambda layer, x: entered.append(x))
    for k in range(2):
        model = load.boot_native(config, "float64")
        model.load_state_dict({key: value[k] for key, value in weights.items()}, strict=False)
        text = bytes(tokens[k, 0].tolist()).decode()
        np.testing.assert_allclose(found[k, 0], trace(model, text, 0).logits, rtol=1e-12, atol=1e-9)
        for layer, x in enumerate(residuals(model, text, range(config["n_layers"]))):
            np.testing.assert_allclose(entered[layer][k, 0], x, rtol=1e-12, atol=1e-11)


def test_seeds_in_one_batch_are_trained_as_they_would_be_alone(build, tmp_path):
    """Weights, losses and gradients; one of them clipped, the other not."""
    together, _, record = build.train_models("nano-ln-relu", [0, 7], TEXTS, 3, folder(tmp_path / "both"))
    for k, seed in enumerate([0, 7]):
        alone, _, own = build.train_models("nano-ln-relu", [seed], TEXTS, 3, folder(tmp_path / f"{seed}"))
        for key, value in alone.items():
            assert torch.allclose(value[0], together[key][k], rtol=0, atol=2e-5), key
        np.testing.assert_allclose(record["history"][-1][2][k], own["history"][-1][2], atol=1e-4)
    assert not torch.allclose(together["unembed.weight"][0], together["unembed.weight"][1], atol=0.01)


def test_a_step_is_what_torch_makes_of_one_model(build):
    """Gradients of transformer_lens's own model in float64, clipped by torch, and its step of AdamW; a second one not.

    (A key's bias shifts all scores of a query alike: its gradient is 0, and Adam makes a step of what rounding left.)
    """
    trainer, config = build.trainer, build.config_of("nano-ln-relu")
    blocks, _ = build.split(TEXTS)
    rows = torch.from_numpy(np.stack([build.batch_at(seed, 0, blocks, 129) for seed in (0, 7)])).long()
    models = [load.boot_native(config | {"seed": seed}, "float64").train() for seed in (0, 7)]
    fresh = [model.state_dict() for model in models]
    weights = {key: torch.stack([f[key] for f in fresh]).requires_grad_() for key in fresh[0] if "unembed.b" not in key}
    optimizer, scale, norms = trainer.make_optimizer(weights, 0.01), torch.tensor([9.0, 0.01]), []
    (scale * trainer.losses(weights, rows, config)).sum().backward()
    trainer.clip_gradients(weights)
    optimizer.step()
    for k, model in enumerate(models):
        matrices, vectors = ([p for p in model.parameters() if (p.ndim > 1) == many] for many in (True, False))
        groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
        own = torch.optim.AdamW(groups, lr=0.01, betas=(0.9, 0.95))
        loss = torch.nn.functional.cross_entropy(model(rows[k, :, :-1]).flatten(0, 1), rows[k, :, 1:].flatten())
        (scale[k] * loss).backward()
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0))
        own.step()
        for key, value in model.state_dict().items():
            if key in weights and not key.endswith("k.bias"):
                assert torch.allclose(value, weights[key][k], rtol=0, atol=1e-7), key
    assert norms[0] > 2 and norms[1] < 0.5


def folder(path):
    path.mkdir(parents=True)
    return path


def test_a_killed_run_goes_on_as_if_nothing_had_happened(build, tmp_path, monkeypatch):
    whole, _, complete = build.train_models("nano-rms-relu", [0, 4], TEXTS, 4, folder(tmp_path / "a"))

    monkeypatch.setattr(build.trainer, "SAVE_EVERY", 0.0)
    calls, real = [], build.batch_at

    def killed_at_the_third(seed, step, *rest):
        calls.append((seed, step))
        if len(calls) == 5:
            raise KeyboardInterrupt
        return real(seed, step, *rest)

    monkeypatch.setattr(build, "batch_at", killed_at_the_third)
    run = "nano-rms-relu", [0, 4], TEXTS, 4, folder(tmp_path / "b")
    with pytest.raises(KeyboardInterrupt):
        build.train_models(*run)
    resumed, _, record = build.train_models(*run)
    steps = [step for _, step in calls]
    assert steps == [0, 0, 1, 1, 2, 2, 2, 3, 3], "the third step is done again, nothing else"
    for key, value in whole.items():
        assert torch.equal(value, resumed[key]), key
    assert record["history"] == complete["history"] and record["history"][-1][0] == 4


def test_what_it_writes_loads(build, tmp_path, monkeypatch):
    trained = build.one_seed(*build.train_models("nano-ln-gelu", [0], TEXTS, 1, folder(tmp_path / ".build")))
    build.write_model(tmp_path, "nano-ln-gelu", *trained)
    monkeypatch.setattr(load, "data_folder", lambda: tmp_path)
    load.load_model("nano-ln-gelu")
    entry = json.loads((tmp_path / "manifest.json").read_text())["nano-ln-gelu"]
    card = (tmp_path / "nano-ln-gelu.md").read_text()
    assert entry["sha256"] in card and entry["training"]["corpus"][0]["sha256"] in card and "It is not GPT-2" in card
    committed = json.loads((SCRIPT.parent / "manifest.json").read_text())["nano-ln-gelu"]
    assert entry["config"] == committed["config"] and entry["training"].keys() == committed["training"].keys()


def test_seeds_widths_and_checkpoints_go_to_files_of_their_own(build, tmp_path):
    build.build_seeds(tmp_path, "nano-ln-relu", [1, 2], TEXTS, 2, d_model=64, checkpoints=[1])
    found = sorted(path.name for path in tmp_path.glob("*.npz"))
    assert found == [f"w064-ln-relu.seed{seed}{tag}.npz" for seed in (1, 2) for tag in ("", ".step1")]
    fresh = load.boot_native(build.config_of("nano-ln-relu", 64) | {"seed": 2}).state_dict()
    for tag, moved in (("", True), (".step1", True)):
        weights = np.load(tmp_path / f"w064-ln-relu.seed2{tag}.npz")
        assert set(weights) == set(fresh) - {"unembed.bias"}
        assert weights["blocks.0.mlp.in.weight"].dtype == np.float16
        off = np.abs(weights["blocks.0.mlp.in.weight"] - fresh["blocks.0.mlp.in.weight"].numpy()).max()
        assert (off > 1e-5) == moved and off < 0.02
    record = json.loads((tmp_path / "losses.json").read_text())["runs"]["w064-ln-relu"]
    step, losses = record["held_back"][-1]
    assert step == 2 and len(losses) == len(record["seeds"]) == 2 and record["config"]["n_heads"] == 2


@pytest.mark.parametrize(
    "arguments, message",
    [(["--seed", "1"], "name a folder"), (["--d-model", "50", "--out", "x"], "expected a multiple of 32, got 50")],
)
def test_a_wrong_call_is_named(build, arguments, message, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["build.py", *arguments])
    with pytest.raises(SystemExit) as caught:
        build.main()
    assert caught.value.code == 2 and message in capsys.readouterr().err


def test_a_missing_text_is_named(tmp_path):
    done = subprocess.run(
        [sys.executable, SCRIPT, tmp_path, "--out", tmp_path], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1 and "shakespeare.txt" in done.stderr and "Traceback" not in done.stderr
