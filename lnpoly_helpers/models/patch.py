"""What a network predicts when one token's residual vector is another: activation patching, many vectors at once."""

from typing import Any, NamedTuple

import numpy as np

from .._inputs import ArrayLike, Float, Real, as_float64, integer_below, require_installed
from .capture import edit_stream, where_it_passes
from .find import Spots, head, looks_back_only, places
from .run import Model, array, forward, known, network_of, output, probe
from .text import Text, one_context

_BATCH_TOKENS = 4096  # run through the model at a time: bounds the memory


class Place(NamedTuple):
    """A token of a text at a layer, with the network that has been opened to run to it."""

    model: Any
    network: Any
    layer: int
    where: Any
    tokens: np.ndarray  # up to this one


def patched_logits(
    model: Model,
    text: Text,
    layer: int,
    position: int,
    x: Real[ArrayLike, "... d"],
    *,
    tokenizer: Any = None,
) -> Float[np.ndarray, "... d_vocab"]:
    """The logits at one position, with each of many vectors in place of the residual vector that a layer reads there.

    As `trace` with an ``edit_residual`` that replaces one row: what the norm before the MLP reads at that position
    becomes x, the residual stream included, and the network goes on from there.

    Parameters
    ----------
    model : transformer_lens TransformerBridge, model of transformers, or torch module that reads tokens
        One that predicts next tokens.
    text : str, or integers [n_tokens]
        At most one context long. What stands behind the position is not run: attention looks back only.
    layer : int
    position : int
        Of the token, from 0, as `positions` counts.
    x : array_like [..., d]
        In place of row ``position`` of ``residuals(model, text, layer)``.
    tokenizer : tokenizer of transformers, optional
        For a text, where the model has none; as for `encode`.

    Returns
    -------
    logits : float64 [..., d_vocab]
        What the network predicts behind that token.

    Raises
    ------
    ValueError
        Layer or position do not exist, the text is longer than one context, the vectors are not of length d, or the
        model reads both ways (BERT, MiniLM) or has no head, and so predicts no next token; also as for `trace`.
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
    place = patched_place(model, text, layer, position, tokenizer)
    x = as_float64(x, "x", shape=(..., place.where.d))
    return np.concatenate(list(patched_runs(place, x.reshape(-1, x.shape[-1])))).reshape(*x.shape[:-1], -1)


def patched_runs(place, x):
    """`patched_logits` of some of the vectors [n, d] at a time."""
    import torch

    model, network, layer, where, tokens = place
    passes, step = where_it_passes(model, network, layer), max(1, _BATCH_TOKENS // len(tokens))
    for rows in (x[start : start + step] for start in range(0, len(x), step)):

        def put(value, rows=rows):
            value = value.clone(memory_format=torch.contiguous_format)
            _of_last_tokens(value, where, len(rows))[:] = torch.tensor(rows).to(value)
            return value

        spots = Spots()
        edit_stream(spots, passes, put)
        yield _last_logits(model, network, np.tile(tokens, (len(rows), 1)), spots)


def unpatched_run(place):
    """The residual vector [d] that the layer reads there, and the logits [d_vocab]."""
    model, network, _, where, tokens = place
    seen, spots = [], Spots()
    spots.add(where.norm, True, 0, lambda value: seen.append(array(_of_last_tokens(value, where, 1))))
    logits = _last_logits(model, network, tokens[None], spots)
    return seen[0][0], logits[0]


def _of_last_tokens(value, where, n_texts):
    """A view of the rows [n_texts, d] of what a layer reads that stand behind each text's last token."""
    if where.is_tokens_first and value.ndim == 3:
        return value[-1]
    return value.view(n_texts, -1, value.shape[-1])[:, -1]


def patched_place(model, text, layer, position, tokenizer):
    """A position of a text at a layer; refuses a model that has no next token to predict."""
    return patched_places(model, layer)(text, position, tokenizer)


def patched_places(model, layer):
    """What gives the `Place` of a text, a position and a tokenizer: the network is opened once for all of them."""
    network = network_of(model)
    where = places(model, network, [layer])[layer]
    _require_next_token(model, network)

    def place(text, position, tokenizer=None):
        tokens = one_context(model, text, tokenizer)
        return Place(model, network, layer, where, tokens[: integer_below(position, len(tokens), "position") + 1])

    return place


def _require_next_token(model, network):
    if not looks_back_only(model):
        raise ValueError(
            "model: expected one that predicts the next token, got one that reads both ways, as BERT does: it has no "
            "logits. trace(model, text, layer, edit_residual=...) gives its last layer's output."
        )
    memory = known(model)
    if "predicts" not in memory:
        inputs = probe(network)
        result = forward(network, inputs)
        of_each = output(result).shape[:2] == next(iter(inputs.values())).shape
        memory["predicts"] = of_each and (hasattr(result, "shape") or getattr(result, "logits", None) is not None)
    if not memory["predicts"]:
        raise ValueError(
            f"model: expected one that predicts the next token, got a {type(network).__name__}, which has no logits "
            f"[n_texts, n_tokens, d_vocab]. AutoModelForCausalLM.from_pretrained(...) makes one."
        )


def _last_logits(model, network, tokens, spots):
    if place := head(model, network):
        spots.add(place, True, 0, lambda value: value[:, -1:])
    with spots.on(network):
        return array(output(forward(network, tokens))[:, -1])
