"""Train transformers of GPT-2's block design at widths from 64 to 768 on any texts, and keep their layers, folded.

usage: python data/ladder.py FOLDER_OF_TEXTS --out FOLDER [--only JOB ...] [--steps N] [--batch N] [--vocabulary N]

Reads every .txt below FOLDER_OF_TEXTS, makes a byte-pair vocabulary of them, and trains JOBS: four layers with ReLU at
every width, and GPT-2 small's exact shape (12 layers, 768, GELU). One block of the text in twenty is held back. For
each layer of each seed it writes ``ACTIVATION.dD.LL.seedS.layerK.npz``: W and Wo in float16 and b, folded (gamma, beta
and the centring inside), z, the points of the sphere that ``data/prompts.txt`` makes (no text's first token), and std,
the standard deviations of their residual vectors. `make seeds` measures them. Meant for a GPU: 2,000 steps of the
widest take a minute or two on an H200, and weeks without one.
"""

import argparse
import json
import math
import sys
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
import trainer  # noqa: E402

from lnpoly_helpers import NormedMLP, fold_layer_norm, normalize, prompts  # noqa: E402

D_HEAD, N_CTX, WARM_UP = 64, 256, 200
BLOCK, EVERY = 65536, 20  # characters; one block in twenty is never trained on
N_HELD_BACK, N_POINTS = 512, 2000
JOBS = {  # activation, width, layers, seeds
    "d64": ("relu", 64, 4, [1, 2]),
    "d128": ("relu", 128, 4, [1, 2]),
    "d256": ("relu", 256, 4, [1, 2]),
    "d512": ("relu", 512, 4, [1, 2]),
    "d768": ("relu", 768, 4, [1, 2]),
    "gpt2-shape": ("gelu_new", 768, 12, [1]),
}


def read_texts(folder):
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in sorted(folder.rglob("*.txt"))]
    if not any(texts):
        sys.exit(f"{folder}: expected a folder with .txt files, got none with text in it.")
    return texts


def tokenize(texts, vocabulary):
    """A byte-pair encoder made of the texts; its tokens of what is trained on, and of what is held back."""
    from tokenizers import ByteLevelBPETokenizer

    blocks = [text[start : start + BLOCK] for text in texts for start in range(0, len(text), BLOCK)]
    held_back = blocks[EVERY // 2 :: EVERY] or blocks[-1:]
    kept = set(map(id, held_back))
    train = [block for block in blocks if id(block) not in kept] or blocks
    encoder = ByteLevelBPETokenizer()
    encoder.train_from_iterator(train, vocab_size=vocabulary, show_progress=False)
    tokens = [np.concatenate([e.ids for e in encoder.encode_batch(part)]) for part in (train, held_back)]
    if min(map(len, tokens)) <= N_CTX:
        sys.exit(f"expected more text than one window of {N_CTX} tokens to train on and to hold back, got less.")
    return encoder, *tokens


def config_of(activation, d_model, n_layers, vocabulary):
    return {
        "d_model": d_model,
        "d_head": D_HEAD,
        "n_heads": d_model // D_HEAD,
        "n_layers": n_layers,
        "d_mlp": 4 * d_model,
        "n_ctx": N_CTX,
        "d_vocab": vocabulary,
        "eps": 1e-5,
        "positional_embedding_type": "standard",
        "normalization_type": "LN",
        "act_fn": activation,
    }


def peak_rate(d_model, n_layers):
    return 6e-4 if n_layers == 12 else 2e-3 * math.sqrt(128 / d_model)


def train(name, config, seeds, tokens, held_back, *, steps, batch, work):
    """Weights [S, ...] by name and the record of the run."""

    def batch_at(step):
        starts = [np.random.default_rng([s, step]).integers(len(tokens) - N_CTX, size=batch) for s in seeds]
        return torch.from_numpy(tokens[np.stack(starts)[..., None] + np.arange(N_CTX + 1)].astype(np.int64))

    n_rows = min(N_HELD_BACK, (len(held_back) - 1) // N_CTX)
    rows = held_back[np.arange(n_rows)[:, None] * N_CTX + np.arange(N_CTX + 1)]
    rows = torch.from_numpy(rows.astype(np.int64))
    schedule = {"steps": steps, "peak": peak_rate(config["d_model"], config["n_layers"]), "warm_up": WARM_UP}
    run = schedule | {"config": config, "seeds": seeds, "batch": batch, "n_tokens": len(tokens)}
    state = {"name": name, "state_file": work / f"{name}.pt", "run": run}
    weights, history, seconds = trainer.train(config, seeds, batch_at, rows, **schedule, **state)
    return weights, run | {"history": history, "seconds": round(seconds, 1)}


@torch.no_grad()
def residuals(weights, config, windows):
    """What enters the norm before each MLP at every token but a window's first: a list over layers, [S, n, d]."""
    found = [[] for _ in range(config["n_layers"])]
    weights = {key: value.to(trainer.device()) for key, value in weights.items()}
    n_seeds = len(weights["embed.weight"])
    for window in windows:
        tokens = torch.as_tensor(window, device=trainer.device()).expand(n_seeds, 1, -1)
        trainer.logits(weights, tokens, config, before_mlp=lambda layer, x: found[layer].append(x[:, 0, 1:].cpu()))
    return [torch.cat(x, 1).double().numpy() for x in found]


def layer_arrays(weights, config, layer, k, x):
    """One layer of seed number k, folded, with its points."""
    w = {key: value[k].double().numpy() for key, value in weights.items() if key.startswith(f"blocks.{layer}.")}
    norm, first, last = (f"blocks.{layer}.{part}" for part in ("ln2", "mlp.in", "mlp.out"))
    block = NormedMLP(
        w[f"{norm}.weight"],
        w[f"{norm}.bias"],
        w[f"{first}.weight"].T,
        w[f"{first}.bias"],
        w[f"{last}.weight"].T,
        w[f"{last}.bias"],
        config["act_fn"],
        config["eps"],
        "layernorm",
    )
    mlp = fold_layer_norm(block)
    some = np.random.default_rng(0).permutation(len(x))[:N_POINTS]  # the same tokens in every layer
    points = normalize(x[np.sort(some)])
    return {
        "W": mlp.W_in.astype(np.float16),
        "b": mlp.b_in.astype(np.float32),
        "Wo": mlp.W_out.astype(np.float16),
        "z": points.astype(np.float16),
        "std": x.std(axis=1).astype(np.float32),
        "act": config["act_fn"],
    }


def write_layers(out, weights, config, seeds, encoder):
    windows = [encoder.encode(text).ids[:N_CTX] for text in prompts()]
    x = residuals(weights, config, windows)
    n_layers, shape = config["n_layers"], f"{config['act_fn']}.d{config['d_model']:03}.L{config['n_layers']}"
    for k, seed in enumerate(seeds):
        for layer in range(n_layers):
            arrays = layer_arrays(weights, config, layer, k, x[layer][k]) | {"seed": seed, "layer": layer}
            np.savez(out / f"{shape}.seed{seed}.layer{layer:02}.npz", layers=n_layers, **arrays)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", type=Path, metavar="FOLDER_OF_TEXTS")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--only", nargs="+", choices=JOBS, default=list(JOBS), metavar="JOB", help=", ".join(JOBS))
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--vocabulary", type=int, default=8192)
    args = parser.parse_args()
    if trainer.device() == "cpu":
        print("There is no GPU: at full size this takes weeks.", flush=True)
    work = args.out / ".build"
    work.mkdir(parents=True, exist_ok=True)
    encoder, tokens, held_back = tokenize(read_texts(args.texts), args.vocabulary)
    print(f"{len(tokens):,} tokens to train on, {len(held_back):,} held back", flush=True)
    records = {}
    for name in args.only:
        activation, d_model, n_layers, seeds = JOBS[name]
        config = config_of(activation, d_model, n_layers, encoder.get_vocab_size())
        options = {"steps": args.steps, "batch": args.batch, "work": work}
        weights, records[name] = train(name, config, seeds, tokens, held_back, **options)
        write_layers(args.out, weights, config, seeds, encoder)
        (args.out / "losses.json").write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
