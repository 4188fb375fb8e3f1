"""Compute what the boundaries of real GPT-2s look like from published tables; write data/published/neurons.json.

usage: python data/published_neurons.py FOLDER [--out FILE]

FOLDER holds ``NAME.universal.csv`` or ``NAME/universal.csv`` for each of NETWORKS, as the folder
``dataframes/interpretable_neurons`` of https://github.com/wesg52/universal-neurons does (MIT licence). A row is one
neuron, after the fold: the length of its weights, its bias, and the share of 100 million tokens on which its
pre-activation is positive. The tables are another's and stay out of the project; what is computed from them goes in, by
layer, rounded to DIGITS. `published_neurons` reads it.
"""

import argparse
import csv
import hashlib
import json
import re
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from lnpoly_helpers import (  # noqa: E402
    FoldedMLP,
    boundary_height,
    cap_share,
    expected_crossings,
    meets_sphere,
    rice_factor,
)

NETWORKS = {  # layers, d_model, d_mlp, what it is
    "stanford-gpt2-small-a": (12, 768, 3072, "GPT-2 small's shape and recipe, trained by Stanford CRFM on OpenWebText"),
    "stanford-gpt2-medium-a": (24, 1024, 4096, "GPT-2 medium's shape and recipe, trained by Stanford CRFM"),
    "pythia-160m": (12, 768, 3072, "EleutherAI's, trained on the Pile; its blocks are parallel"),
}
ABOUT = {
    "what": "Boundaries of single neurons behind their LayerNorm, by layer: where they lie, how often they are crossed",
    "source": "wesg52/universal-neurons, dataframes/interpretable_neurons; Gurnee et al. 2024, arXiv:2401.12181",
    "licence": "MIT",
    "sample": "Neurons that five training seeds share, no random sample: they are on in less text than the others",
    "command": "make published FILES=FOLDER",
}
COLUMNS = ("layer", "neuron", "w_in_norm", "input_bias", "sparsity")  # the last is the share of tokens that are > 0
FIGURES = ("height", "cap_share", "on", "rice")
DIGITS = 4  # significant


def read(path, n_layers, d_mlp):
    """The columns of a table, as arrays; refuses one that is not of that network."""
    with path.open(encoding="utf-8", newline="") as file:
        table = csv.DictReader(file)
        missing = [name for name in COLUMNS if name not in (table.fieldnames or [])]
        if missing:
            raise ValueError(f"{path}: expected the columns {', '.join(COLUMNS)}, got none called {missing[0]}.")
        rows = list(table)
    columns = {name: np.array([float(row[name]) for row in rows]) for name in COLUMNS}
    within = (columns["layer"] < n_layers) & (columns["neuron"] < d_mlp) & (columns["w_in_norm"] > 0)
    if not rows or not within.all():
        raise ValueError(f"{path}: expected neurons of {n_layers} layers with {d_mlp} each, got others.")
    return columns


def as_layer(lengths, biases, d):
    """A folded layer whose neurons have weights of these lengths, all in one direction: heights need no more."""
    direction = np.zeros(d)
    direction[:2] = np.sqrt(0.5), -np.sqrt(0.5)
    W_out = np.zeros((len(lengths), 1))
    return FoldedMLP(np.outer(direction, lengths), biases, W_out, np.zeros(1), "gelu_new", 0.0, "layernorm")


def measure(columns, d):
    """Of some neurons: how many, how many miss the sphere, of each figure the quartiles and the mean."""
    layer = as_layer(columns["w_in_norm"], columns["input_bias"], d)
    on = columns["sparsity"]
    values = dict(zip(FIGURES, (boundary_height(layer), cap_share(layer), on, rice_factor(on)), strict=True))
    return {
        "neurons": len(on),
        "misses": int((~meets_sphere(layer)).sum()),
        "highest": np.abs(values["height"]).max(),
        "circles": expected_crossings(layer) / (2 * len(on)),
        "mean": {figure: some.mean() for figure, some in values.items()},
        "quartiles": {figure: np.quantile(some, [0.25, 0.5, 0.75]) for figure, some in values.items()},
    }


def network(path, n_layers, d, d_mlp, text):
    columns = read(path, n_layers, d_mlp)
    layers = [
        measure({name: column[columns["layer"] == k] for name, column in columns.items()}, d) for k in range(n_layers)
    ]
    return {
        "network": text,
        "d_model": d,
        "d_mlp": d_mlp,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "layers": stacked(layers),
        "together": stacked([measure(columns, d)], alone=True),
    }


def stacked(parts, alone=False):
    """One dict of lists out of a list of dicts, a list a figure: [n_layers], quartiles [3, n_layers]."""
    found = {}
    for key, first in parts[0].items():
        values = [part[key] for part in parts]
        if isinstance(first, dict):
            found[key] = stacked(values, alone)
        else:
            array = np.array(values).T
            found[key] = rounded(array[..., 0] if alone else array)
    return found


def rounded(values):
    values = np.asarray(values)
    if values.dtype.kind == "i":
        return values.tolist()
    return [rounded(v) for v in values] if values.ndim else float(f"{values:.{DIGITS}g}")


def find(folder, name):
    for path in (folder / f"{name}.universal.csv", folder / name / "universal.csv"):
        if path.is_file():
            return path
    raise FileNotFoundError(f"{folder}: expected {name}.universal.csv or {name}/universal.csv, got neither.")


def compute(folder):
    return ABOUT | {"networks": {name: network(find(folder, name), *NETWORKS[name]) for name in NETWORKS}}


def text_of(found):
    """JSON with a line for each list of numbers."""
    text = json.dumps(found, indent=1, ensure_ascii=False)
    return re.sub(r"\[[^][]*\]", lambda numbers: f"[{' '.join(numbers[0][1:-1].split())}]", text) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=HERE / "published" / "neurons.json")
    options = parser.parse_args()
    try:
        found = compute(options.folder)
    except (FileNotFoundError, ValueError) as error:
        sys.exit(str(error))
    options.out.write_text(text_of(found), encoding="utf-8")
    for name, one in found["networks"].items():
        print(f"{name}: {one['together']['neurons']:,} neurons of {len(one['layers']['neurons'])} layers")


if __name__ == "__main__":
    main()
