"""The script that trains the embedded models: what it holds back, that it resumes exactly, what it writes."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scripts
import torch

from lnpoly_helpers.models import load

SCRIPT = Path(__file__).resolve().parents[2] / "data" / "build.py"


@pytest.fixture
def build(monkeypatch):
    module = scripts.load("data/build.py")
    monkeypatch.setattr(module, "BATCH", 2)
    monkeypatch.setattr(module, "HELD_BACK_BLOCK", 256)
    return module


TEXTS = [("numbers", b"".join(b"%d squared is %d.\n" % (n, n * n) for n in range(1500)))]


def test_no_held_back_byte_is_trained_on(build):
    train, held_back = build.split(TEXTS)
    assert sum(map(len, train)) + sum(map(len, held_back)) == len(TEXTS[0][1])
    assert len(held_back) == round((len(train) + len(held_back)) / build.HELD_BACK_EVERY)
    seen = {row.numpy().astype(np.uint8).tobytes() for step in range(50) for row in build.batch_at(step, train, 129)}
    assert not any(w.tobytes() in seen for block in held_back for w in build.windows(block, 129))
    assert all(any(row in block.tobytes() for block in train) for row in seen)


def test_a_killed_run_goes_on_as_if_nothing_had_happened(build, tmp_path, monkeypatch):
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    whole, _, _ = build.train_model("nano-rms-relu", TEXTS, 4, tmp_path / "a")

    monkeypatch.setattr(build, "SAVE_EVERY", 0.0)
    calls, real = [], build.batch_at

    def killed_at_the_third(step, *rest):
        calls.append(step)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(step, *rest)

    monkeypatch.setattr(build, "batch_at", killed_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        build.train_model("nano-rms-relu", TEXTS, 4, tmp_path / "b")
    resumed, _, record = build.train_model("nano-rms-relu", TEXTS, 4, tmp_path / "b")
    assert calls == [0, 1, 2, 2, 3], "the third step is done again, nothing else"
    for key, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[key]), key
    assert record["history"][-1][0] == 4


def test_what_it_writes_loads(build, tmp_path, monkeypatch):
    (tmp_path / ".build").mkdir()
    build.write_model(tmp_path, "nano-ln-gelu", *build.train_model("nano-ln-gelu", TEXTS, 1, tmp_path / ".build"))
    monkeypatch.setattr(load, "data_folder", lambda: tmp_path)
    load.load_model("nano-ln-gelu")
    entry = json.loads((tmp_path / "manifest.json").read_text())["nano-ln-gelu"]
    card = (tmp_path / "nano-ln-gelu.md").read_text()
    assert entry["sha256"] in card and entry["training"]["corpus"][0]["sha256"] in card and "It is not GPT-2" in card


def test_a_missing_text_is_named(tmp_path):
    done = subprocess.run(
        [sys.executable, SCRIPT, tmp_path, "--out", tmp_path], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1 and "shakespeare.txt" in done.stderr and "Traceback" not in done.stderr
