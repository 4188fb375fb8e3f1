"""Train the four embedded models and write their files and cards into this folder; or other seeds and widths of them.

usage: python data/build.py [CORPUS_FOLDER] [--only NAME ...] [--steps N] [--threads N] [--out FOLDER]
                            [--seed N ...] [--d-model D] [--checkpoints STEP ...]

CORPUS_FOLDER holds ``shakespeare.txt`` and ``wikipedia.txt`` (see TEXTS below for where
they come from). Without it, the help texts that come with the Python interpreter are
the whole corpus. All models see the same bytes in the same order. A run that is stopped
goes on where it was: the state is saved every 45 seconds in ``.build`` below the folder that it writes to.

The embedded models are seed 0 at width 128. Other seeds, widths and checkpoints go as arrays in float16 to
``NAME.seedS[.stepN].npz`` in --out, which `make seeds` measures; the losses go to ``losses.json`` beside them. Several
seeds are trained as one batch, on a GPU if there is one: eight of a design in half a minute on an H200.
"""

import argparse
import hashlib
import json
import os
import platform
import pydoc_data.topics
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
import trainer  # noqa: E402

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
STEPS, BATCH, WARM_UP = 3000, 32, 100
HELD_BACK_BLOCK, HELD_BACK_EVERY = 4096, 20  # bytes; one block in twenty is never trained on

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


def batch_at(seed, step, train, length):
    """The batch of one step: a function of the seed and the step alone, the same for every model."""
    rng = np.random.default_rng([seed, step])
    size = np.array([max(len(block) - length + 1, 0) for block in train])
    picked = rng.choice(len(train), size=BATCH, p=size / size.sum())
    return np.stack([train[k][(s := rng.integers(size[k])) : s + length] for k in picked])


def config_of(name, d_model=SHAPE["d_model"]):
    """The config of a design at a width: heads of 32, four times as many neurons."""
    width = {"d_model": d_model, "n_heads": d_model // SHAPE["d_head"], "d_mlp": 4 * d_model}
    return SHAPE | width | MODELS[name]


def train_models(name, seeds, texts, steps, work, *, d_model=SHAPE["d_model"], at_step=None):
    """Train some seeds of a design, resuming from ``work``; returns (weights [S, ...], config, training record)."""
    config = config_of(name, d_model)
    blocks, held_back = split(texts)
    length = config["n_ctx"] + 1
    rows = torch.from_numpy(np.stack([w for b in held_back for w in windows(b, length)])).long()

    def batches(step):
        return torch.from_numpy(np.stack([batch_at(seed, step, blocks, length) for seed in seeds])).long()

    hashes = [hashlib.sha256(t).hexdigest() for _, t in texts]
    schedule = {"steps": steps, "peak": PEAK_RATE, "warm_up": WARM_UP}
    weights, history, seconds = trainer.train(
        config,
        seeds,
        batches,
        rows,
        **schedule,
        name=name,
        state_file=work / f"{name}.pt",
        run=schedule | {"config": config, "seeds": seeds, "texts": hashes},
        at_step=at_step,
    )
    record = {
        "steps": steps,
        "batch": [BATCH, config["n_ctx"]],
        "optimizer": "AdamW, betas (0.9, 0.95), weight decay 0.1 on matrices, gradient norm clipped at 1",
        "peak_rate": PEAK_RATE,
        "seeds": seeds,
        "precision": "bfloat16 autocast" if trainer.has_bfloat16() else "float32",
        "minutes": round(seconds / 60, 1),
        "history": [[step, *(np.round(losses, 4).tolist() for losses in both)] for step, *both in history],
        "corpus": [{"name": n, "bytes": len(t), "sha256": h} for (n, t), h in zip(texts, hashes, strict=True)],
    }
    return weights, config, record


def one_seed(weights, config, record):
    """(model, config, record) of a run of one seed, as the manifest has them."""
    (seed,) = record.pop("seeds")
    config = config | {"seed": seed}
    history = [[step, *(value for (value,) in both)] for step, *both in record["history"]]
    model = boot_native(config)
    model.load_state_dict({key: value[0] for key, value in weights.items()}, strict=False)
    return model, config, record | {"seed": seed, "history": history, "held_back_loss": history[-1][2]}


def write_arrays(out, name, seeds, weights, tag=""):
    """One file a seed, in float16: ``NAME.seedS.npz``."""
    for k, seed in enumerate(seeds):
        arrays = {key: value[k].detach().half().cpu().numpy() for key, value in weights.items()}
        np.savez(out / f"{name}.seed{seed}{tag}.npz", **arrays)


def build_seeds(out, name, seeds, texts, steps, *, d_model, checkpoints):
    """Train seeds or a width that are not embedded; writes their arrays and adds their losses to ``losses.json``."""
    label = name if d_model == SHAPE["d_model"] else f"w{d_model:03}-{name.removeprefix('nano-')}"

    def at_step(step, weights):
        if step in checkpoints:
            write_arrays(out, label, seeds, weights, f".step{step}")

    work = out / ".build" / label
    work.mkdir(parents=True, exist_ok=True)
    weights, config, record = train_models(name, seeds, texts, steps, work, d_model=d_model, at_step=at_step)
    write_arrays(out, label, seeds, weights)
    losses_file = out / "losses.json"
    known = json.loads(losses_file.read_text(encoding="utf-8")) if losses_file.exists() else {"runs": {}}
    held_back = [[step, values] for step, _, values in record["history"]]
    known["runs"][label] = {"seeds": seeds, "held_back": held_back, "config": config, "training": record}
    losses_file.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8", newline="\n")


@torch.no_grad()
def write_sample(model, prompt, n_bytes=240, temperature=0.8):
    """Let the model continue ``prompt``: a look at what it learned, not a measurement."""
    generator = torch.Generator().manual_seed(0)
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
    parser.add_argument("--seed", nargs="+", type=int, default=[0], metavar="N", help="several at once (default: 0)")
    parser.add_argument("--d-model", type=int, default=SHAPE["d_model"], metavar="D", help="a multiple of 32")
    parser.add_argument("--checkpoints", nargs="+", type=int, default=[], metavar="STEP", help="kept on the way")
    args = parser.parse_args()
    if args.d_model < 1 or args.d_model % SHAPE["d_head"]:
        parser.error(f"--d-model: expected a multiple of {SHAPE['d_head']}, got {args.d_model}.")
    embedded = args.seed == [0] and args.d_model == SHAPE["d_model"] and not args.checkpoints
    if not embedded and args.out.resolve() == HERE:
        parser.error("--out: other seeds, widths and checkpoints are not embedded; name a folder for them.")
    torch.set_num_threads(args.threads)
    texts = read_corpus(args.corpus)
    for name in args.only:
        if embedded:
            work = args.out / ".build"
            work.mkdir(parents=True, exist_ok=True)
            write_model(args.out, name, *one_seed(*train_models(name, args.seed, texts, args.steps, work)))
        else:
            options = {"d_model": args.d_model, "checkpoints": args.checkpoints}
            args.out.mkdir(parents=True, exist_ok=True)
            build_seeds(args.out, name, args.seed, texts, args.steps, **options)
        print(f"{name}: written", flush=True)


if __name__ == "__main__":
    main()
