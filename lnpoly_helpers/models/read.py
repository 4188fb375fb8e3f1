"""From a network to one MLP block as arrays, proven on what the network itself computes; and its token embeddings."""

import numpy as np

from .._inputs import Float, require_installed
from .._modules import Runner, read_linear
from ..layer import NormedMLP, hidden, preacts
from .find import entries, find_and_keep_places, is_linear, places, same, watch
from .run import Model, all_digits, array, network_of, precision, probe


def mlp_block(model: Model, layer: int) -> NormedMLP:
    """The norm and the MLP of one layer, as the model stores them, in float64.

    block(x) = act(norm(x) @ W_in + b_in) @ W_out + b_out, with its gamma, beta and eps; in a gated MLP act(...) times
    a second linear map of norm(x).

    Parameters
    ----------
    model : transformer_lens TransformerBridge, model of transformers, or torch module that reads tokens
        With a norm whose output an MLP of two or three matrices reads: before, beside or behind attention.
    layer : int
        From 0. An encoder's layers come before its decoder's.

    Returns
    -------
    NormedMLP

    Raises
    ------
    TypeError
        The model is no torch module.
    ValueError
        The layer does not exist, or is not of that kind: a mixture of experts, an MLP that reads the raw stream,
        another norm or activation. The message says which. Also for a bridge that computes something else than the
        model in it.
    ImportError
        torch is not installed; the message says which extra brings it.

    Notes
    -----
    Found by running the model on 8 tokens, whatever its parts are called: the norm is the module that made what the
    MLP's first matrix reads, and is known by what it computes; the activation is what stands between the matrices, run
    on a grid of numbers in float64. The block then gives the model's own output at each of the tokens, to 1e-9 of its
    largest number in float64 and to 1e-5 in float32, or there is an error. The model is left as it was, and no weight
    is copied but those of the block.

    See Also
    --------
    load_model, fold_layer_norm, residuals, token_embeddings
    NormedMLP.from_modules : the same for modules that you name.

    Examples
    --------
    >>> from lnpoly_helpers import load_model
    >>> block = mlp_block(load_model("nano-ln-relu"), layer=2)
    >>> block.kind, block.activation, block.W_in.shape
    ('layernorm', 'relu', (128, 512))
    """
    return next(mlp_blocks(model, [layer]))


def mlp_blocks(model, layers):
    """`mlp_block` of several layers, one after the other: all found in one run, at once."""
    require_installed("mlp_block", "models", "torch")
    network = network_of(model)
    found = find_and_keep_places(model, network, layers)
    return (_block(found[layer], precision(network)) for layer in layers)


def _block(found, dtype):
    import torch

    with all_digits(torch.float64):
        block = NormedMLP.from_modules(*found.modules())
    _prove(block, found, dtype)
    return block


def _prove(block, found, dtype):
    """Check that a block gives what the network gave, at each token: one bad value does not hide behind a large one."""
    import torch

    eps = torch.finfo(dtype).eps
    x, expected = (array(value).reshape(-1, value.shape[-1]) for value in (found.residual, found.last.made[0]))
    off = np.abs(block(x) - expected).max(axis=1)
    near = {torch.float64: 1e-9, torch.float32: 1e-5}.get(dtype, 8 * eps) * np.abs(expected).max(axis=1)
    if (off > near).any() and eps < 1e-6:  # where terms of a sum cancel, the network's own rounding may be more
        near += 4 * eps * (np.abs(hidden(block, *preacts(block, block._normed(x)))) @ np.abs(block.W_out)).max(axis=1)
    if (off > near).any():
        token = int((off / np.maximum(near, 1e-300)).argmax())
        raise ValueError(
            f"model: expected an MLP that gives act(norm(x) @ W_in + b_in) @ W_out + b_out, got another output behind "
            f"{found.norm.name} and {found.last.name}: at token {token} it is off by {off[token]:.1e}, where the "
            f"largest number is {np.abs(expected[token]).max():.1e}."
        )


def token_embeddings(model: Model) -> Float[np.ndarray, "d_vocab d"]:
    """The token embedding matrix: the direction that each token starts with in the residual stream.

    Parameters
    ----------
    model : transformer_lens TransformerBridge, model of transformers, or torch module that reads tokens

    Returns
    -------
    float64 [d_vocab, d]
        A copy of the model's own, without positions and without a number by which all of it may be multiplied. Where
        a linear map leads from a narrower embedding into the stream (OPT-350m), the rows behind it.

    Raises
    ------
    ValueError
        The embedding has another width than the stream, and more than a linear map between (ALBERT, ELECTRA).

    See Also
    --------
    encode, residuals

    Examples
    --------
    >>> from lnpoly_helpers import load_model
    >>> token_embeddings(load_model("nano-ln-relu")).shape
    (256, 128)
    """
    require_installed("token_embeddings", "models", "torch")
    network = network_of(model)
    calls = watch(network, probe(network))
    ask = getattr(network, "get_input_embeddings", lambda: None)
    tables = [call for call in calls if call.module is ask()] or [
        c for c in calls if hasattr(c.module, "num_embeddings")
    ]
    table, entry = min(tables, key=lambda call: call.start), entries(network, calls)[0]
    # a layer that is all of the network reads tokens and no vectors
    d = entry.read[0].shape[-1] if entry.read else places(model, network, [0])[0].d
    rows = array(table.module.weight)
    if rows.shape[1] == d:
        return rows
    for call in calls:
        if is_linear(call) and call.made[0].shape[-1] == d and same(call.read[0], table.made[0]):
            W, b = read_linear(call.module, call.name, Runner(call.module))
            return rows @ W + b
    raise ValueError(
        f"model: expected token embeddings as wide as the residual stream, {d} numbers, or a linear map from them into "
        f"it, got {list(rows.shape)} and something else between. token_embeddings cannot say where a token starts."
    )
