"""Train the four embedded models and write their files and cards into this folder.

usage: python data/build.py [CORPUS_FOLDER] [--only NAME ...] [--steps N] [--threads N] [--out FOLDER]

CORPUS_FOLDER holds ``shakespeare.txt`` and ``wikipedia.txt`` (see TEXTS below for where
they come from). Without it, the help texts that come with the Python interpreter are
the whole corpus. All models see the same bytes in the same order. A run that is stopped
goes on where it was: the state is saved every 45 seconds in ``.build`` below the folder that it writes to.
"""

import argparse
import hashlib
import json
import math
import os
import platform
import pydoc_data.topics
import sys
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from lnpoly_helpers.models.load import boot_native  # noqa: E402

SHAPE = {
    "d_model": 128,
    "d_head": 32,
    "n_heads": 4,
    "n_layers": 4,
    "d_mlp": 512,
    "n_ctx": 128,
    "d_vocab": 256,
    "eps": 1e-5,
    "positional_embedding_type": "standard",
}
MODELS = {
    "nano-ln-relu": {"normalization_type": "LN", "act_fn": "relu"},
    "nano-ln-gelu": {"normalization_type": "LN", "act_fn": "gelu_new"},
    "nano-rms-relu": {"normalization_type": "RMS", "act_fn": "relu"},
    "nano-none-relu": {"normalization_type": None, "act_fn": "relu"},
}
PEAK_RATE = 2e-3  # stable for all four, with a norm and without
SEED, STEPS, BATCH, WARM_UP = 0, 3000, 32, 100
HELD_BACK_BLOCK, HELD_BACK_EVERY = 4096, 20  # bytes; one block in twenty is never trained on
SAVE_EVERY = 45.0  # seconds: a killed run loses less than a minute

TEXTS = {
    "shakespeare.txt": "tinyshakespeare (karpathy/char-rnn, public domain)",
    "wikipedia.txt": "WikiText-2 validation and test, cleaned (CC BY-SA)",
}


def read_corpus(folder):
    """Return the texts as a list of (public name, bytes)."""
    topics = pydoc_data.topics.topics
    help_texts = "\n\n".join(topics[key] for key in sorted(topics)).encode()
    named = f"pydoc_data.topics of Python {platform.python_version()}"
    texts = [] if folder is None else [(TEXTS[name], read_text(folder / name)) for name in TEXTS]
    return [*texts, (named, help_texts)]


def read_text(path):
    if not path.is_file():
        sys.exit(f"{path} is missing: the corpus folder must hold {', '.join(TEXTS)}.")
    return path.read_bytes()


def split(texts):
    """Cut every text into blocks; every twentieth is held back. Returns two lists of uint8 arrays."""
    train, held_back = [], []
    for _, text in texts:
        array = np.frombuffer(text, dtype=np.uint8)
        for k, start in enumerate(range(0, len(array), HELD_BACK_BLOCK)):
            is_held_back = k % HELD_BACK_EVERY == HELD_BACK_EVERY // 2
            (held_back if is_held_back else train).append(array[start : start + HELD_BACK_BLOCK])
    return train, held_back


def windows(block, length):
    """All windows of a block that start every ``length`` - 1 bytes, so that each byte is predicted once."""
    starts = range(0, len(block) - length + 1, length - 1)
    return [block[s : s + length] for s in starts]


def batch_at(step, train, length):
    """The batch of one step: a function of the seed and the step alone, the same for every model."""
    rng = np.random.default_rng([SEED, step])
    size = np.array([max(len(block) - length + 1, 0) for block in train])
    picked = rng.choice(len(train), size=BATCH, p=size / size.sum())
    rows = [train[k][(s := rng.integers(size[k])) : s + length] for k in picked]
    return torch.from_numpy(np.stack(rows)).long()


def loss_on(model, rows, autocast=False):
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        logits = model(rows[:, :-1])
    return torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), rows[:, 1:].flatten())


@torch.no_grad()
def held_back_loss(model, rows):
    model.eval()
    losses = [loss_on(model, chunk).item() * len(chunk) for chunk in rows.split(64)]
    model.train()
    return sum(losses) / len(rows)


def rate_at(step, steps):
    """Linear warm-up, then a cosine down to a tenth of the peak."""
    if step < WARM_UP:
        return PEAK_RATE * (step + 1) / WARM_UP
    done = (step - WARM_UP) / max(1, steps - WARM_UP)
    return PEAK_RATE * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * done)))


def make_optimizer(model):
    """AdamW; weight decay on matrices alone, so that no bias and no norm is pulled to zero."""
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim == 1]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=PEAK_RATE, betas=(0.9, 0.95))


def train_model(name, texts, steps, work):
    """Train one model, resuming from ``work``; returns (model, training record)."""
    config = SHAPE | MODELS[name] | {"seed": SEED}
    train, held_back = split(texts)
    length = config["n_ctx"] + 1
    rows = torch.from_numpy(np.stack([w for b in held_back for w in windows(b, length)])).long()
    bfloat16 = torch.cpu._is_amx_tile_supported()  # elsewhere bfloat16 is slower than float32

    model = boot_native(config).train()
    optimizer = make_optimizer(model)
    step, history, seconds = 0, [], 0.0
    run = {"steps": steps, "peak": PEAK_RATE, "texts": [hashlib.sha256(t).hexdigest() for _, t in texts]}
    state_file = work / f"{name}.pt"
    if state_file.exists():
        state = torch.load(state_file, weights_only=False)
        if state["run"] == run:
            model.load_state_dict(state["model"])
            optimizer.load_state_dict(state["optimizer"])
            step, history, seconds = state["step"], state["history"], state["seconds"]
            print(f"{name}: goes on at step {step}", flush=True)

    def save():
        state = {"run": run, "step": step, "history": history, "seconds": seconds + time.monotonic() - start}
        state |= {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
        torch.save(state, state_file.with_suffix(".new"))
        os.replace(state_file.with_suffix(".new"), state_file)

    start = saved = time.monotonic()
    first = step
    recent = []
    while step < steps:
        for group in optimizer.param_groups:
            group["lr"] = rate_at(step, steps)
        loss = loss_on(model, batch_at(step, train, length), autocast=bfloat16)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        recent.append(loss.item())
        step += 1
        if not math.isfinite(recent[-1]):
            sys.exit(f"{name}: the loss is {recent[-1]} at step {step}; lower PEAK_RATE ({PEAK_RATE}).")
        if step % 250 == 0 or step == steps:
            history.append([step, round(float(np.mean(recent)), 4), round(held_back_loss(model, rows), 4)])
            recent = []
            left = (time.monotonic() - start) / (step - first) * (steps - step)
            print(
                f"{name}: step {step:5} of {steps}, loss {history[-1][1]:.3f}, "
                f"held back {history[-1][2]:.3f} nats per byte, {left / 60:.1f} min left",
                flush=True,
            )
        if time.monotonic() - saved > SAVE_EVERY:
            save()
            saved = time.monotonic()
    save()
    record = {
        "steps": steps,
        "batch": [BATCH, config["n_ctx"]],
        "optimizer": "AdamW, betas (0.9, 0.95), weight decay 0.1 on matrices, gradient norm clipped at 1",
        "peak_rate": PEAK_RATE,
        "seed": SEED,
        "precision": "bfloat16 autocast" if bfloat16 else "float32",
        "minutes": round((seconds + time.monotonic() - start) / 60, 1),
        "history": history,
        "held_back_loss": history[-1][2],
        "corpus": [{"name": n, "bytes": len(t), "sha256": hashlib.sha256(t).hexdigest()} for n, t in texts],
    }
    return model.eval(), config, record


@torch.no_grad()
def write_sample(model, prompt, n_bytes=240, temperature=0.8):
    """Let the model continue ``prompt``: a look at what it learned, not a measurement."""
    generator = torch.Generator().manual_seed(SEED)
    tokens = list(prompt.encode())
    for _ in range(n_bytes):
        logits = model(torch.tensor([tokens[-SHAPE["n_ctx"] :]]))[0, -1]
        probs = torch.softmax(logits / temperature, -1)
        tokens.append(int(torch.multinomial(probs, 1, generator=generator)))
    return bytes(tokens).decode(errors="replace")


def write_model(out, name, model, config, record):
    """Write the weights, the manifest entry and the card."""
    path = out / f"{name}.safetensors"
    weights = {key: value.detach().contiguous().clone() for key, value in model.state_dict().items()}
    save_file(weights, path)
    path.chmod(0o644)
    entry = {
        "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "config": config,
        "training": record,
        "sample": write_sample(model, "The history of the city"),
    }
    manifest_file = out / "manifest.json"
    manifest = json.loads(manifest_file.read_text(encoding="utf-8")) if manifest_file.exists() else {}
    manifest[name] = entry
    manifest = {key: manifest[key] for key in MODELS if key in manifest}
    new = manifest_file.with_suffix(".new")
    text = json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
    new.write_text(text, encoding="utf-8", newline="\n")
    os.replace(new, manifest_file)
    text = card(name, entry, sum(w.numel() for w in weights.values()))
    (out / f"{name}.md").write_text(text, encoding="utf-8", newline="\n")


def card(name, entry, n_parameters):
    config, record = entry["config"], entry["training"]
    norm = {"LN": "LayerNorm", "RMS": "RMSNorm", None: "none"}[config["normalization_type"]]
    settings = {
        "normalization": norm,
        "activation": config["act_fn"],
        **{key: config[key] for key in SHAPE},
        "parameters": f"{n_parameters:,}",
        "sha256": entry["sha256"],
    }
    shown = ("steps", "batch", "optimizer", "peak_rate", "seed", "precision", "minutes")
    training = {key: record[key] for key in shown}
    table = lambda d: "\n".join(f"| {k} | {v} |" for k, v in d.items())  # noqa: E731
    corpus = "\n".join(f"| {t['name']} | {t['bytes']:,} | `{t['sha256']}` |" for t in record["corpus"])
    losses = "\n".join(f"| {s} | {a:.3f} | {b:.3f} |" for s, a, b in record["history"])
    sample = entry["sample"].replace("\n", "\n> ")
    return f"""# {name}

A byte-level transformer in GPT-2's shape, made small: {config["n_layers"]} pre-norm layers, learned positions,
normalization: {norm}, activation: {config["act_fn"]}. It was trained for the lnpoly notebooks by `data/build.py`
so that they have a really trained network with no download. It is a specimen for geometry, not a language model
to use: it knows nothing, and what it writes is not fit for any purpose. It is not GPT-2.

Held-back loss: **{record["held_back_loss"]:.3f} nats per byte**.

| config | |
| --- | --- |
{table(settings)}

| training | |
| --- | --- |
{table(training)}

Held back: one block of {HELD_BACK_BLOCK} bytes in {HELD_BACK_EVERY} of each text, never trained on.

| corpus | bytes | sha256 |
| --- | --- | --- |
{corpus}

| step | training loss | held-back loss |
| --- | --- | --- |
{losses}

What it writes (temperature 0.8, the first words are given):

> {sample}
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", nargs="?", type=Path, metavar="CORPUS_FOLDER")
    parser.add_argument("--only", nargs="+", choices=MODELS, default=list(MODELS), metavar="NAME")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--out", type=Path, default=HERE, metavar="FOLDER", help="where to write (default: here)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    work = args.out / ".build"
    work.mkdir(parents=True, exist_ok=True)
    texts = read_corpus(args.corpus)
    for name in args.only:
        write_model(args.out, name, *train_model(name, texts, args.steps, work))
        print(f"{name}: written", flush=True)


if __name__ == "__main__":
    main()
