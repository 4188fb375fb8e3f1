"""From texts to windows of tokens, as a model reads them."""

from collections.abc import Iterable

import numpy as np

from .._inputs import Int, as_tokens
from .bridge import TransformerBridge


def encode(model: TransformerBridge, text: str) -> Int[np.ndarray, "n_tokens"]:
    """The tokens of a text: UTF-8 bytes for an embedded model, else the model's own tokenizer's.

    With the special tokens that the model expects around a text: ``<|endoftext|>`` before it for GPT-2 (as
    transformer_lens does), ``[CLS]`` before and ``[SEP]`` behind it for BERT. Not cut, however long it is.

    Parameters
    ----------
    model : transformer_lens TransformerBridge
    text : str
        Not empty.

    Returns
    -------
    int64 [n_tokens]

    Raises
    ------
    ValueError
        The text is empty or no str.

    See Also
    --------
    context_windows, positions, residuals

    Examples
    --------
    >>> from lnpoly_helpers import load_model
    >>> encode(load_model("nano-ln-relu"), "Twice")
    array([ 84, 119, 105,  99, 101])
    """
    if not isinstance(text, str) or not text:
        raise ValueError(f"text: expected a non-empty str, got {text!r}.")
    if model.tokenizer is None:
        return np.frombuffer(text.encode(), dtype=np.uint8).astype(np.int64)
    return model.to_tokens(text, truncate=False)[0].cpu().numpy()


def one_context(model, text):
    """The tokens of a text, or an array of them as it is: at most one context long, int64 [n_tokens]."""
    if isinstance(text, (list, tuple)) or hasattr(text, "shape"):
        tokens = as_tokens(text, "text", model.cfg.d_vocab)
    else:
        tokens = encode(model, text)
    if len(tokens) > model.cfg.n_ctx:
        raise ValueError(f"text: expected at most {model.cfg.n_ctx} tokens, got {len(tokens)}. Shorten it.")
    return tokens


def context_windows(model: TransformerBridge, texts: str | Iterable[str]) -> list[Int[np.ndarray, "_"]]:
    """The texts as token arrays, each at most one context long, in order.

    A text that is longer is cut, and the special tokens that stand around a text stand around each of its windows.

    Parameters
    ----------
    model : transformer_lens TransformerBridge
    texts : list of str, or one str

    Returns
    -------
    list of int64 [n_tokens]
        Of their own lengths.

    Raises
    ------
    ValueError
        There is no text, or one is empty.

    See Also
    --------
    encode, positions, residuals

    Examples
    --------
    >>> from lnpoly_helpers import load_model
    >>> model = load_model("nano-ln-relu")
    >>> [len(window) for window in context_windows(model, ["a" * 300, "b"])], model.cfg.n_ctx
    ([128, 128, 44, 1], 128)
    """
    texts = [texts] if isinstance(texts, str) else list(texts)
    if not texts:
        raise ValueError("texts: expected at least one text, got none.")
    before, behind = _special_tokens(model)
    step = model.cfg.n_ctx - before - behind
    windows = []
    for text in texts:
        tokens = encode(model, text)
        head, body, tail = np.split(tokens, [before, len(tokens) - behind])
        windows += [np.concatenate([head, body[k : k + step], tail]) for k in range(0, max(len(body), 1), step)]
    return windows


def _special_tokens(model):
    """How many tokens `encode` adds before and behind a text."""
    if model.tokenizer is None:
        return 0, 0
    alone = len(model.tokenizer("a", add_special_tokens=False)["input_ids"])
    tokens = encode(model, "a")
    added = len(tokens) - alone
    before = 0
    while before < added and tokens[before] in model.tokenizer.all_special_ids:
        before += 1
    return before, added - before


def reads_one_way(model):
    return getattr(model.cfg, "attention_dir", "causal") == "causal"


def positions(model: TransformerBridge, texts: str | Iterable[str]) -> Int[np.ndarray, "n_tokens"]:
    """The position of each row of `residuals` in its window.

    0 is the first token that the model saw: ``<|endoftext|>`` for GPT-2, ``[CLS]`` for BERT, the text's first byte for
    an embedded model. GPT-2's residual vectors at position 0 are many times longer than all others.

    Parameters
    ----------
    model : transformer_lens TransformerBridge
    texts : list of str, or one str
        Cut as `context_windows` does.

    Returns
    -------
    int64 [n_tokens]

    Raises
    ------
    ValueError
        There is no text, or one is empty.

    See Also
    --------
    residuals, context_windows

    Examples
    --------
    >>> from lnpoly_helpers import load_model
    >>> positions(load_model("nano-ln-relu"), ["one", "to"])
    array([0, 1, 2, 0, 1])
    """
    return np.concatenate([np.arange(len(window)) for window in context_windows(model, texts)])


def distinct_contexts(model: TransformerBridge, texts: str | Iterable[str]) -> Int[np.ndarray, "n"]:
    """The rows of `residuals` that are no window's first token and whose token has a context of its own.

    A token's vector is made of what the model reads: of all tokens up to it, or in a model that reads both ways of its
    whole window. Of rows that are made of the same, the first is kept. A sample of tokens drawn from these rows has no
    point twice, and none of the special vectors at position 0.

    Parameters
    ----------
    model : transformer_lens TransformerBridge
    texts : list of str, or one str
        Cut as `context_windows` does.

    Returns
    -------
    int64 [n]
        Rows, in order.

    Raises
    ------
    ValueError
        There is no text, or one is empty.

    See Also
    --------
    residuals, positions

    Examples
    --------
    >>> from lnpoly_helpers import load_model
    >>> distinct_contexts(load_model("nano-ln-relu"), ["one", "once"])  # "on" is seen twice
    array([1, 2, 5, 6])
    """
    one_way = reads_one_way(model)
    seen, rows, row = set(), [], 0
    for window in context_windows(model, texts):
        whole = window.tobytes()
        for position in range(len(window)):
            context = window[: position + 1].tobytes() if one_way else (whole, position)
            if position and context not in seen:
                rows.append(row)
            seen.add(context)
            row += 1
    return np.array(rows, dtype=np.int64)
