"""From texts to windows of tokens, as a model reads them."""

from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np

from .._inputs import ArrayLike, Int, as_texts, as_tokens
from .find import looks_back_only
from .run import Model, is_bridge, reads_one_way, size_of_vocabulary, width_of_context

Text: TypeAlias = str | Int[ArrayLike, "n_tokens"]
_Tokens: TypeAlias = Int[ArrayLike, "_"]  # of a length of its own
Texts: TypeAlias = str | _Tokens | Int[ArrayLike, "n_texts _"] | Iterable[str | _Tokens]


def encode(model: Model, text: Text, *, tokenizer: Any = None) -> Int[np.ndarray, "n_tokens"]:
    """The tokens of a text: UTF-8 bytes for an embedded model, else those of the model's own tokenizer.

    With the special tokens that the model expects around a text: ``<|endoftext|>`` before it for GPT-2 in a bridge (as
    transformer_lens does), ``[CLS]`` before and ``[SEP]`` behind it for BERT. Not cut, however long it is.

    Parameters
    ----------
    model : transformer_lens TransformerBridge, model of transformers, or torch module that reads tokens
    text : str, or integers [n_tokens]
        Not empty. Tokens are returned as they are.
    tokenizer : tokenizer of transformers, optional
        In place of the model's own, with the special tokens that it sets itself. A model of transformers knows none.

    Returns
    -------
    int64 [n_tokens]

    Raises
    ------
    TypeError
        The text is no str and no array of integers.
    ValueError
        The text is empty, the model has no tokenizer, or a token is none of its vocabulary.

    See Also
    --------
    context_windows, positions, residuals

    Examples
    --------
    >>> from lnpoly_helpers import load_model
    >>> encode(load_model("nano-ln-relu"), "Twice")
    array([ 84, 119, 105,  99, 101])
    """
    return _encode(model, text, tokenizer or _tokenizer(model, text), tokenizer is not None)


def _encode(model, text, tokenizer, is_given=False):
    if not isinstance(text, str):
        return as_tokens(text, "text", size_of_vocabulary(model))
    if not text:
        raise ValueError("text: expected a non-empty str, got ''.")
    if tokenizer is None:
        return np.frombuffer(text.encode(), dtype=np.uint8).astype(np.int64)
    if is_bridge(model) and reads_one_way(model) and not is_given:
        return model.to_tokens(text, truncate=False)[0].cpu().numpy()
    return np.array(tokenizer(text)["input_ids"], dtype=np.int64)


def _tokenizer(model, *texts):
    """What makes tokens of these texts: a model's own tokenizer, or None where bytes or tokens need none."""
    tokenizer = getattr(model, "tokenizer", None)
    if not any(isinstance(text, str) for text in texts):
        return None
    if tokenizer is None:
        if is_bridge(model) and not hasattr(model.original_model, "config") and model.cfg.d_vocab == 256:
            return None  # one of transformer_lens's own kind, as the embedded ones are
        raise ValueError(
            "text: expected tokens, integers [n_tokens], for a model without a tokenizer, got a str. Pass the tokens, "
            "or tokenizer=AutoTokenizer.from_pretrained(...)."
        )
    if is_bridge(model) and not reads_one_way(model):
        return getattr(model, "own_tokenizer", None) or _as_it_was(tokenizer)
    return tokenizer


def _as_it_was(tokenizer):
    """A tokenizer as its model has it: transformer_lens gives it another end of text, and with it takes BERT's away."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(tokenizer.name_or_path, local_files_only=True, trust_remote_code=False)
    except Exception:
        raise ValueError(
            "text: expected tokens, integers [n_tokens], for a TransformerBridge of an encoder, whose tokenizer is not "
            "its model's own any more, got a str. Pass tokenizer=AutoTokenizer.from_pretrained(...) as well."
        ) from None


def one_context(model, text, tokenizer=None):
    """The tokens of a text, as `encode` gives them: at most one context long."""
    tokens, n_ctx = encode(model, text, tokenizer=tokenizer), context(model)
    if n_ctx and len(tokens) > n_ctx:
        raise ValueError(f"text: expected at most {n_ctx} tokens, got {len(tokens)}. Shorten it.")
    return tokens


def context_windows(model: Model, texts: Texts, *, tokenizer: Any = None) -> list[Int[np.ndarray, "_"]]:
    """The texts as token arrays, each at most one context long, in order.

    A text that is longer is cut, and the special tokens that stand around a text stand around each of its windows.

    Parameters
    ----------
    model : transformer_lens TransformerBridge, model of transformers, or torch module that reads tokens
    texts : list of str or of integers [n_tokens], or one of them, or integers [n_texts, n_tokens]
        Tokens are cut as they are, and nothing is put around them.
    tokenizer : tokenizer of transformers, optional
        As for `encode`.

    Returns
    -------
    list of int64 [n_tokens]
        Of their own lengths.

    Raises
    ------
    TypeError, ValueError
        There is no text, or `encode` refuses one.

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
    texts = as_texts(texts, "texts")
    own = tokenizer or _tokenizer(model, *texts)
    around = _special_tokens(model, own, tokenizer is not None)
    n_ctx, windows = context(model), []
    for text in texts:
        tokens = _encode(model, text, own, tokenizer is not None)
        before, behind = around if isinstance(text, str) else (0, 0)
        head, body, tail = np.split(tokens, [before, len(tokens) - behind])
        step = (n_ctx or len(tokens)) - before - behind
        windows += [np.concatenate([head, body[k : k + step], tail]) for k in range(0, max(len(body), 1), step)]
    return windows


def context(model: Any) -> int | None:
    """How many tokens a model reads at once; None if nothing says so."""
    return model.cfg.n_ctx if is_bridge(model) else width_of_context(model)


def _special_tokens(model, tokenizer, is_given):
    """How many tokens `encode` adds before and behind a text."""
    if tokenizer is None:
        return 0, 0
    alone, tokens = tokenizer("a", add_special_tokens=False)["input_ids"], _encode(model, "a", tokenizer, is_given)
    added = len(tokens) - len(alone)
    for before in range(added + 1):
        if list(tokens[before : before + len(alone)]) == list(alone):
            return before, added - before
    before = 0
    while before < added and tokens[before] in tokenizer.all_special_ids:
        before += 1
    return before, added - before


def positions(model: Model, texts: Texts, *, tokenizer: Any = None) -> Int[np.ndarray, "n_tokens"]:
    """The position of each row of `residuals` in its window.

    0 is the first token that the model saw: ``<|endoftext|>`` for GPT-2 in a bridge, ``[CLS]`` for BERT, the text's
    first byte for an embedded model. GPT-2's residual vectors at position 0 are many times longer than all others.

    Parameters
    ----------
    model : transformer_lens TransformerBridge, model of transformers, or torch module that reads tokens
    texts : list of str or of integers [n_tokens], or one of them, or integers [n_texts, n_tokens]
        Cut as `context_windows` does.
    tokenizer : tokenizer of transformers, optional
        As for `encode`.

    Returns
    -------
    int64 [n_tokens]

    Raises
    ------
    TypeError, ValueError
        As for `context_windows`.

    See Also
    --------
    residuals, context_windows

    Examples
    --------
    >>> from lnpoly_helpers import load_model
    >>> positions(load_model("nano-ln-relu"), ["one", "to"])
    array([0, 1, 2, 0, 1])
    """
    windows = context_windows(model, texts, tokenizer=tokenizer)
    return np.concatenate([np.arange(len(window)) for window in windows])


def distinct_contexts(model: Model, texts: Texts, *, tokenizer: Any = None) -> Int[np.ndarray, "n"]:
    """The rows of `residuals` that are no window's first token and whose token has a context of its own.

    A token's vector is made of what the model reads: of all tokens up to it, or in a model that reads both ways of its
    whole window. Of rows that are made of the same, the first is kept. A sample of tokens drawn from these rows has no
    point twice, and none of the special vectors at position 0.

    Parameters
    ----------
    model : transformer_lens TransformerBridge, model of transformers, or torch module that reads tokens
    texts : list of str or of integers [n_tokens], or one of them, or integers [n_texts, n_tokens]
        Cut as `context_windows` does.
    tokenizer : tokenizer of transformers, optional
        As for `encode`.

    Returns
    -------
    int64 [n]
        Rows, in order.

    Raises
    ------
    TypeError, ValueError
        As for `context_windows`.

    See Also
    --------
    residuals, positions

    Examples
    --------
    >>> from lnpoly_helpers import load_model
    >>> distinct_contexts(load_model("nano-ln-relu"), ["one", "once"])  # "on" is seen twice
    array([1, 2, 5, 6])
    """
    windows, one_way = context_windows(model, texts, tokenizer=tokenizer), looks_back_only(model)
    seen, rows, row = {}, [], 0
    for window in windows:
        whole, before = window.tobytes(), None
        for position, token in enumerate(window.tolist()):
            context = (before, token) if one_way else (whole, position)
            if position and context not in seen:
                rows.append(row)
            before = seen.setdefault(context, len(seen))  # the number of the tokens up to here
            row += 1
    return np.array(rows, dtype=np.int64)
