"""From a loaded model to one MLP block as arrays: where its parts stand, and that they compute what is read."""

from dataclasses import replace
from typing import Any

import numpy as np

from .._inputs import Float, integer_below, require_installed
from ..activations import ACTIVATIONS
from ..layer import NormedMLP
from .bridge import (
    THREE_TOKENS,
    Enough,
    TransformerBridge,
    activation_name,
    array,
    check_parts,
    no_norm_before_mlp,
    run,
)


def check_layer(model, layer):
    integer_below(layer, model.cfg.n_layers, "layer")


def mlp_block(model: TransformerBridge, layer: int) -> NormedMLP:
    """The norm and the MLP of one layer, as the model stores them, in float64.

    block(x) = act(norm(x) @ W_in + b_in) @ W_out + b_out, with its gamma, beta and eps.

    Parameters
    ----------
    model : transformer_lens TransformerBridge
        With a LayerNorm, an RMSNorm or nothing before an MLP of two matrices and a pointwise activation, or of three
        (a gated one: SwiGLU, GeGLU, ReGLU).
    layer : int
        From 0.

    Returns
    -------
    NormedMLP

    Raises
    ------
    ValueError
        The layer does not exist, or the architecture is not of that kind; the message says why.
    ImportError
        torch is not installed; the message says which extra brings it.

    Notes
    -----
    Checked on three tokens: the block gives what the model's own MLP gives, to 1e-3 of the largest output or better.

    See Also
    --------
    load_model, fold_layer_norm, residuals, token_embeddings

    Examples
    --------
    >>> from lnpoly_helpers import load_model
    >>> block = mlp_block(load_model("nano-ln-relu"), layer=2)
    >>> block.kind, block.activation, block.W_in.shape
    ('layernorm', 'relu', (128, 512))
    """
    require_installed("mlp_block", "models", "torch")
    check_layer(model, layer)
    return _read_block(model, layer)


def token_embeddings(model: TransformerBridge) -> Float[np.ndarray, "d_vocab d"]:
    """The token embedding matrix: the direction that each token starts with.

    Parameters
    ----------
    model : transformer_lens TransformerBridge

    Returns
    -------
    float64 [d_vocab, d]
        A copy of the model's own, without positions.

    See Also
    --------
    encode, residuals

    Examples
    --------
    >>> from lnpoly_helpers import load_model
    >>> token_embeddings(load_model("nano-ln-relu")).shape
    (256, 128)
    """
    embed: Any = model.embed
    return array(embed.weight)


def find_norms(model, layers):
    """Of each layer the norm whose output its MLP reads, found by running three tokens.

    No name tells: it is ln2 in GPT-2, ln1 in BERT (ln2 stands behind the MLP there) and in GPT-J (there is no other).

    Returns
    -------
    dict of int: (str, dict)
        ``"ln2"`` or ``"ln1"``, and what the block's hooks saw: torch tensors by the hooks' names.
    """
    seen = {layer: {} for layer in layers}

    def keep(layer, name):
        def look(value, hook):
            seen[layer][name] = value.clone()
            if (layer, name) == (max(layers), "mlp.out.hook_out"):
                raise Enough

        return look

    hooks = []
    for layer in seen:
        parts = model.blocks[layer].submodules
        check_parts(model.cfg, parts)
        names = ["hook_in", "mlp.in.hook_in", "mlp.out.hook_out"] + ["attn.hook_out"] * ("attn" in parts)
        names += [f"{norm}.{end}" for norm in ("ln1", "ln2") if norm in parts for end in ("hook_in", "hook_out")]
        hooks += [(f"blocks.{layer}.{name}", keep(layer, name)) for name in names]
    try:
        run(model, THREE_TOKENS, hooks)
    except Exception as error:
        gist = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise ValueError(f"model: expected one that runs on tokens, got {gist}") from None
    return {layer: (_read_by_mlp(values), values) for layer, values in seen.items()}


def find_norm(model, layer):
    return find_norms(model, [layer])[layer]


def _read_by_mlp(seen):
    for norm in ("ln2", "ln1"):
        if same(seen.get(f"{norm}.hook_out"), seen.get("mlp.in.hook_in")):
            return norm
    raise ValueError(no_norm_before_mlp("model"))


def same(a, b):
    """Whether two tensors hold the same values, up to rounding and shape."""
    if a is None or b is None or a.numel() != b.numel():
        return False
    return a.flatten().allclose(b.flatten(), rtol=1e-4, equal_nan=True)


def _read_block(model, layer):
    """The norm and the MLP of a layer as a `NormedMLP`, checked to give what the model gives."""
    block = model.blocks[layer]
    name, seen = find_norm(model, layer)
    parts = [_stored(getattr(block, name)), getattr(block.mlp, "in"), block.mlp.out]
    if "gate" in block.mlp.submodules:
        parts = [parts[0], block.mlp.gate, block.mlp.out, getattr(block.mlp, "in")]
    norm, first, last, *up = map(_stored, parts)
    stored = NormedMLP.from_modules(norm, first, last, activation_name(model.cfg), *up)
    return _as_it_computes(stored, seen[f"{name}.hook_in"], seen["mlp.out.hook_out"])


def _as_it_computes(block, residual, output):
    """The block, once it gives what the model gives; its activation is another's if only that does.

    The config of a bridge says "relu" for models that do not state their activation (BLOOM, MPT, GPT-1).
    """
    import torch

    x, expected = (array(value).reshape(-1, block.d_model) for value in (residual, output))
    tolerance = max(1e-3, 16 * torch.finfo(output.dtype).eps) * np.abs(expected).max()

    def off(block):
        return np.abs(block(x) - expected).max()

    if off(block) > tolerance:
        block = min((replace(block, activation=name) for name in ACTIVATIONS), key=off)
    if off(block) > tolerance:
        raise ValueError(
            f"model: expected act(norm(x) @ W_in + b_in) @ W_out + b_out behind its norm, got an MLP that computes "
            f"something else: on three tokens its output differs by up to {off(block):.1e}."
        )
    return block


def _stored(component):
    """The model's own module behind a bridge component."""
    return getattr(component, "original_component", None) or component
