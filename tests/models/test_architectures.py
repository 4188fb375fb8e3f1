"""mlp_block and residuals on tiny models of many architectures, against what the models themselves compute."""

import warnings

import numpy as np
import pytest
import torch
from architectures import ARCHITECTURES, N_LAYERS, inputs
from environments import ROOT

from lnpoly_helpers import fold_layer_norm, mlp_block, residuals

READ = [name for name, row in ARCHITECTURES.items() if not row.refused]
NOT_READ = [name for name, row in ARCHITECTURES.items() if row.refused]


def own_run(model, parts):
    """What entered the norm of each layer and what its MLP gave, in the model's own run: float64 [n_tokens, d]."""
    seen, hooks = {}, []

    def keep(key):
        return lambda module, read, made: seen.setdefault(key, []).append(
            [value.detach().double().flatten(0, -2).numpy().copy() for value in (read[0], made)]
        )

    for layer, (norm, last, _) in parts.items():
        hooks += [norm.register_forward_hook(keep((layer, "norm"))), last.register_forward_hook(keep((layer, "last")))]
    with torch.no_grad():
        model(**inputs(model))
    for hook in hooks:
        hook.remove()
    return {layer: (seen[layer, "norm"][k][0], seen[layer, "last"][k][1]) for layer, (*_, k) in parts.items()}


def test_there_are_enough():
    assert len(READ) >= 40 and len(NOT_READ) >= 10
    assert f"[{len(ARCHITECTURES)} architectures](tests/architectures.py)" in (ROOT / "README.md").read_text("utf-8")
    print(*(f"{name}: {row.refused or 'read'}" for name, row in ARCHITECTURES.items()), sep="\n")


@pytest.mark.parametrize("name", READ)
def test_a_fold_gives_the_models_own_output_at_every_token(name):
    row = ARCHITECTURES[name]
    model = row.build()
    own = own_run(model, {layer: row.parts(model, layer) for layer in range(row.n_layers)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        blocks = [mlp_block(model, layer) for layer in own]
    for block, (x, y) in zip(blocks, own.values(), strict=True):
        assert (block.kind, block.activation, block.is_gated) == (row.norm_kind, row.activation, row.gated)
        assert block.eps == row.eps
        off = np.abs(fold_layer_norm(block)(x) - y).max(axis=1) / np.abs(y).max(axis=1)
        assert off.max() < 1e-5
    if "input_ids" in inputs(model):
        found = residuals(model, inputs(model)["input_ids"], list(own))
        for x, ours in zip(own.values(), found, strict=True):
            np.testing.assert_allclose(ours, x[0], rtol=0, atol=1e-5 * np.abs(x[0]).max())
    with pytest.raises(ValueError, match=f"layer: expected an integer from 0 to {row.n_layers - 1}, got"):
        mlp_block(model, row.n_layers)


@pytest.mark.parametrize("name", NOT_READ)
def test_what_is_not_covered_is_refused_in_clear_words(name):
    row = ARCHITECTURES[name]
    model = row.build()
    for layer in range(N_LAYERS):
        with pytest.raises(ValueError, match=row.refused):
            mlp_block(model, layer)
