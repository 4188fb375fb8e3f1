"""Say of tiny models of many architectures what `mlp_block` reads in them; write data/results/coverage.json.

usage: python data/coverage.py [--only NAME ...] [--out FILE]

The architectures are those of tests/architectures.py, whose tests compare each block with the model's own run. Nothing
here is taken from a name: whether a model is causal is asked of its output, what the layer forgets and whether it is
made of affine pieces of layer 0's block, at epsilon 0. Where `mlp_block` refuses, its words are kept as they are. All
of it takes about a minute on one core.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "tests")]
from architectures import ARCHITECTURES, N_TOKENS, inputs  # noqa: E402

from lnpoly_helpers import fold_layer_norm, mlp_block  # noqa: E402
from lnpoly_helpers.series import text_of  # noqa: E402

SAME = 1e-9  # of the largest output


def kind_of(model):
    """ "causal" if no output at a token depends on later tokens, "all tokens", or "encoder and decoder"."""
    if model.config.is_encoder_decoder:
        return "encoder and decoder"
    given = inputs(model)
    if "input_ids" not in given:
        return "all tokens"
    other = given["input_ids"].clone()
    other[0, -1] = (other[0, -1] + 1) % N_TOKENS
    with torch.no_grad():
        first, second = (model(input_ids=tokens)[0][0, :-1] for tokens in (given["input_ids"], other))
    return "causal" if (first - second).abs().max() < 1e-4 * first.abs().max() else "all tokens"


def forgets(block):
    """Whether the output stays when a vector is scaled, and when the same is added to each of its coordinates."""
    block = replace(block, eps=0)
    x = np.random.default_rng(0).normal(size=(8, block.d_model)) + 0.5
    y = block(x)
    scaled, shifted = (0.01 * x, 100 * x), (x - 3, x + 5)
    return [all(np.abs(block(v) - y).max() < SAME * np.abs(y).max() for v in others) for others in (scaled, shifted)]


def in_pieces(block):
    """Whether most triples of near points on a line, as the MLP reads it, have outputs on a line."""
    mlp = replace(fold_layer_norm(block), kind="none", eps=0)
    start, step = np.random.default_rng(1).normal(size=(2, block.d_model))
    y = mlp(start + np.linspace(-3, 3, 500)[:, None] * step)
    return bool((np.abs(y[2:] - 2 * y[1:-1] + y[:-2]).max(axis=1) < SAME * np.abs(y).max()).mean() > 0.5)


def verdict(name):
    """One row of the table."""
    row = ARCHITECTURES[name]
    model = row.build()
    found = {"class": row.kind, "kind": kind_of(model)}
    try:
        block = mlp_block(model, 0)
    except ValueError as refused:
        return found | {"read": False, "words": str(refused)}
    scale, offset = forgets(block)
    return found | {
        "read": True,
        "norm": block.kind,
        "place": row.place,
        "activation": block.activation,
        "gated": block.is_gated,
        "forgets_scale": scale,
        "forgets_offset": offset,
        "affine_pieces": in_pieces(block),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", default=list(ARCHITECTURES), metavar="NAME")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "coverage.json")
    chosen = parser.parse_args()
    rows = {}
    for name in chosen.only:
        rows[name] = verdict(name)
        print(name, *rows[name].values(), flush=True)
    chosen.out.write_text(text_of(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
