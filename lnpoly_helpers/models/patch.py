"""What a network predicts when one token's residual vector is another: activation patching, many vectors at once."""

from typing import Any

import numpy as np

from .._inputs import ArrayLike, Float, Int, Real, as_float64, integer_below, require_installed
from . import bridge
from .bridge import TransformerBridge
from .capture import edits
from .read import check_layer, find_norm
from .text import one_context, reads_one_way

_BATCH_TOKENS = 4096  # run through the model at a time: bounds the memory


def patched_logits(
    model: TransformerBridge,
    text: str | Int[ArrayLike, "n_tokens"],
    layer: int,
    position: int,
    x: Real[ArrayLike, "... d"],
) -> Float[np.ndarray, "... d_vocab"]:
    """The logits at one position, with each of many vectors in place of the residual vector that a layer reads there.

    As `trace` with an ``edit_residual`` that replaces one row: what the norm before the MLP reads at that position
    becomes x, the residual stream included, and the network goes on from there.

    Parameters
    ----------
    model : transformer_lens TransformerBridge
        One that predicts next tokens.
    text : str, or int array [n_tokens]
        A text or its tokens, at most one context long. What stands behind the position is not run: attention looks back
        only.
    layer : int
    position : int
        Of the token, from 0, as `positions` counts.
    x : array_like [..., d]
        In place of row ``position`` of ``residuals(model, text, layer)``.

    Returns
    -------
    logits : float64 [..., d_vocab]
        What the network predicts behind that token.

    Raises
    ------
    ValueError
        Layer or position do not exist, the text is longer than one context, the vectors are not of length d, or the
        model reads both ways (BERT, MiniLM) and so predicts no next token.
    ImportError
        torch is not installed; the message says which extra brings it.

    Notes
    -----
    Equal to `trace` to some 14 digits in float64. Time: position + 1 tokens for each vector, run 4096 tokens at a time.
    Memory: the logits that are returned and no others. Heimersheim and Nanda 2024, arXiv:2404.15255.

    See Also
    --------
    trace : one run, with every position and the layer's own output.
    logit_path : the vector turned by angles.

    Examples
    --------
    >>> from lnpoly_helpers import load_model, residuals
    >>> model = load_model("nano-ln-relu")
    >>> x = residuals(model, "Twice two is", layer=3)[11]
    >>> patched_logits(model, "Twice two is", 3, 11, [x, -x]).shape
    (2, 256)
    """
    require_installed("patched_logits", "models", "torch")
    x = as_float64(x, "x", shape=(..., model.cfg.d_model))
    runs = patched_runs(model, text, layer, position, x.reshape(-1, model.cfg.d_model))
    return np.concatenate(list(runs)).reshape(*x.shape[:-1], -1)


def patched_runs(model, text, layer, position, x):
    """`patched_logits` of some of the vectors [n, d] at a time."""
    import torch

    tokens, (norm, usual) = _read(model, text, layer, position)
    step = max(1, _BATCH_TOKENS // len(tokens))
    for rows in (x[start : start + step] for start in range(0, len(x), step)):

        def put(value, rows=rows):
            value = value.clone()
            value[:, -1] = torch.tensor(rows).to(value)
            return value

        yield _last_logits(model, np.tile(tokens, (len(rows), 1)), edits(layer, norm, usual, put))


def unpatched_run(model, text, layer, position):
    """The residual vector [d] that the layer reads at a position, and the logits [d_vocab] there."""
    tokens, (norm, _) = _read(model, text, layer, position)
    seen = {}

    def look(value, hook):
        seen["x"] = bridge.array(value)[0, -1]

    logits = _last_logits(model, tokens[None], [(f"blocks.{layer}.{norm}.hook_in", look)])
    return seen["x"], logits[0]


def _read(model, text, layer, position):
    """The tokens up to a position, and what `find_norm` finds; refuses what has no next token to predict."""
    check_layer(model, layer)
    if not reads_one_way(model):
        raise ValueError(
            "model: expected one that predicts the next token, got one that reads both ways, as BERT does: it has no "
            "logits. trace(model, text, layer, edit_residual=...) gives its last layer's output."
        )
    tokens = one_context(model, text)
    return tokens[: integer_below(position, len(tokens), "position") + 1], find_norm(model, layer)


def _last_logits(model, tokens, hooks):
    def last(value, hook):
        return value[:, -1:]

    logits: Any = bridge.run(model, tokens, [*hooks, ("unembed.hook_in", last)])
    return bridge.array(logits[:, -1])
