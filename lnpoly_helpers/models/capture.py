"""From texts to the residual vectors that a layer's norm reads, and one run with a layer looked at or edited."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np

from .._inputs import ArrayLike, Float, Frozen, as_float64, freeze, require_installed
from .find import Spots, all_layers, as_sum, find_layers, places, same, tensors
from .run import Enough, Model, array, as_outside, forward, is_bridge, known, network_of, output, reads_one_way
from .text import Text, Texts, context_windows, one_context

_BATCH = 32  # windows run through the model at a time, and tokens in them: bounds the memory
_BATCH_TOKENS = 4096


def residuals(
    model: Model, texts: Texts, layer: int | Sequence[int], *, tokenizer: Any = None
) -> Float[np.ndarray, "*n_layers n_tokens d"]:
    """The residual vectors that enter the norm before a layer's MLP, over all tokens of the texts.

    In GPT-2 that is the residual stream after attention (``resid_mid``), in parallel blocks the block's input, and in
    post-norm blocks (BERT, MiniLM) the sum of attention's output and its input, of which the norm makes the stream.

    Parameters
    ----------
    model : transformer_lens TransformerBridge, model of transformers, or torch module that reads tokens
    texts : list of str or of integers [n_tokens], or one of them, or integers [n_texts, n_tokens]
        Cut into windows as `context_windows` does; special tokens have their rows too. Where an encoder comes with a
        decoder, both read the tokens.
    layer : int, or a sequence of int
        Several layers cost one run of the model.
    tokenizer : tokenizer of transformers, optional
        For texts, where the model has none; as for `encode`.

    Returns
    -------
    x : float64 [n_tokens, d], or [n_layers, n_tokens, d] for a sequence
        In the order of the texts; `positions` says where each row stands. Computed by the model in its own precision,
        which is float64 unless `load_model` was told otherwise.

    Raises
    ------
    ValueError
        A layer does not exist, there is no text, or no norm stands before the MLP. Also where a bridge, or an attention
        that was asked for, computes something else than transformers does by default; the message says how far.
    ImportError
        torch is not installed; the message says which extra brings it.

    Notes
    -----
    Those of the model's own run in evaluation mode, whatever mode it was left in, with transformers' own modules and
    default attention: a bridge is looked through. A model in float64 gives the same on every processor to some 14
    digits, also where its library computes norms, softmaxes or rotary tables in float32. Texts of one length run
    together; what stands beside a text in its batch changes nothing but the last digit.

    See Also
    --------
    positions, context_windows, trace, mlp_block

    Examples
    --------
    >>> from lnpoly_helpers import load_model
    >>> model = load_model("nano-ln-relu")
    >>> residuals(model, ["Twice two", "is four"], layer=[0, 3]).shape
    (2, 16, 128)
    """
    require_installed("residuals", "models", "torch")
    several: Any = [layer] if np.ndim(layer) == 0 else layer
    layers = list(several)
    if not layers:
        raise ValueError("layer: expected an integer or a sequence of at least one, got an empty one.")
    network = network_of(model)
    where = places(model, network, layers)
    windows = context_windows(model, texts, tokenizer=tokenizer)
    ends = np.cumsum([len(window) for window in windows])
    x = np.empty((len(layers), ends[-1], where[layers[0]].d))
    for chunk in _batches([len(window) for window in windows]):
        tokens = np.stack([windows[k] for k in chunk])
        found = _seen(network, {one: (where[one].norm, True) for one in layers}, tokens)
        for at, one in enumerate(layers):
            rows = by_text(found[one], where[one].is_tokens_first, tokens.shape)
            for row, k in zip(rows, chunk, strict=True):
                x[at, ends[k] - len(windows[k]) : ends[k]] = row
    return x[0] if np.ndim(layer) == 0 else x


def _seen(network, wanted, tokens):
    """What stands at some places, (place, is_read) by key, while a network reads tokens [n_texts, n_tokens]."""
    found, spots = {}, Spots()

    def keep(key, value):
        found[key] = array(value)
        if len(found) == len(wanted):
            raise Enough

    for key, (place, is_read) in wanted.items():
        spots.add(place, is_read, 0, partial(keep, key))
    with spots.on(network):
        forward(network, tokens)
    return found


def by_text(x, is_tokens_first, shape):
    """What entered a norm as [n_texts, n_tokens, d]: some networks have tokens first, some all texts in a row."""
    n_texts, n_tokens = shape
    x = x.swapaxes(0, 1) if is_tokens_first and x.ndim == 3 else x
    if x.size != n_texts * n_tokens * x.shape[-1]:
        raise ValueError(
            f"model: expected a vector for each of {n_tokens} tokens, got an array {list(x.shape)}: this model reads "
            f"tokens of its own as well, or fewer. capture(norm) keeps what enters a norm as it is."
        )
    return x.reshape(n_texts, n_tokens, -1)


def reads_and_writes(model, text, layers):
    """What the norm before each layer's MLP reads, and what the model's own MLP puts out: [n_layers, n_tokens, d] each.

    In one run, of a text of at most one context.
    """
    network = network_of(model)
    found, tokens = places(model, network, layers), one_context(model, text)
    wanted = {(k, 0): (where.norm, True) for k, where in found.items()}
    wanted |= {(k, 1): (where.last, False) for k, where in found.items()}
    seen, shape = _seen(network, wanted, tokens[None]), (1, len(tokens))
    return tuple(
        np.array([by_text(seen[k, part], found[k].is_tokens_first, shape)[0] for k in layers]) for part in (0, 1)
    )


def _batches(lengths):
    """Windows in batches of one length, bounded in windows and in tokens; the numbers of the windows."""
    order = sorted(range(len(lengths)), key=lambda k: lengths[k])
    for n, group in groupby(order, key=lambda k: lengths[k]):
        alike = list(group)
        size = max(1, min(_BATCH, _BATCH_TOKENS // n))
        yield from (alike[k : k + size] for k in range(0, len(alike), size))


@dataclass(eq=False, repr=False)
class Captured:
    """What entered a module, call after call, for `capture`.

    Attributes
    ----------
    calls : list of float64 [..., d]
        One array for each time that the module ran.

    See Also
    --------
    capture : fills it.

    Examples
    --------
    >>> Captured([np.zeros((2, 5, 3))])
    Captured(n_calls=1, n_vectors=10)
    """

    calls: list[np.ndarray] = field(default_factory=list)

    @property
    def x(self) -> Float[np.ndarray, "n d"]:
        """All vectors in a row, float64 [n, d]: texts after each other, and the tokens of each in order."""
        if not self.calls:
            raise ValueError("capture: expected a module that ran at least once, got none. Run the model in `with`.")
        return np.concatenate([call.reshape(-1, call.shape[-1]) for call in self.calls])

    def __repr__(self) -> str:
        return f"Captured(n_calls={len(self.calls)}, n_vectors={sum(c.size // c.shape[-1] for c in self.calls)})"


@contextmanager
def capture(norm: Any) -> Iterator[Captured]:
    """Keep what enters a torch module while a model runs: the residual vectors, if it is the norm before an MLP.

    For any model that torch runs; nothing of it is changed, and the hook is gone when the block ends.

    Parameters
    ----------
    norm : torch module

    Yields
    ------
    Captured
        Its ``x`` is float64 [n, d].

    Raises
    ------
    TypeError
        ``norm`` is no torch module.

    See Also
    --------
    residuals : of texts, for a model that `load_model` loaded.
    NormedMLP.from_modules : the block behind the norm.

    Examples
    --------
    >>> from torch import nn, ones
    >>> norm = nn.LayerNorm(3)
    >>> with capture(norm) as seen:
    ...     _ = nn.Sequential(nn.Linear(2, 3), norm)(ones(5, 2))
    >>> seen.x.shape
    (5, 3)
    """
    if not hasattr(norm, "register_forward_pre_hook"):
        raise TypeError(f"norm: expected a torch module, got {type(norm).__name__}. Pass the model's own.")
    seen = Captured()

    def keep(module, args, kwargs):
        seen.calls.append(array(tensors((args, kwargs))[0]))

    hook = norm.register_forward_pre_hook(keep, with_kwargs=True)
    try:
        yield seen
    finally:
        hook.remove()


@dataclass(frozen=True, eq=False)
class Trace(Frozen):
    """One run of a model on one text, seen at one layer. `trace` makes it; its arrays cannot be written to.

    Attributes
    ----------
    block_input : float64 [n_tokens, d], or None
        What entered the layer, before attention wrote: the residual stream, in post-norm blocks normalised. None where
        the layer is all of a network and reads tokens.
    residual : float64 [n_tokens, d]
        What entered the norm before the MLP. In parallel blocks it is the block's input.
    mlp_output : float64 [n_tokens, d]
        What the MLP's last matrix puts out: what is added to the residual stream, where no norm (Gemma 2) and no factor
        (Granite) stands behind it.
    logits : float64 [n_tokens, d_vocab]
        What the network made of it. For BERT and MiniLM, which predict no next token: the last layer's output
        [n_tokens, d].

    See Also
    --------
    trace

    Examples
    --------
    >>> from lnpoly_helpers import load_model
    >>> trace(load_model("nano-ln-relu"), "Twice two", layer=3)
    Trace(n_tokens=9, d_model=128, n_logits=256)
    """

    block_input: Float[np.ndarray, "n_tokens d"] | None
    residual: Float[np.ndarray, "n_tokens d"]
    mlp_output: Float[np.ndarray, "n_tokens d"]
    logits: Float[np.ndarray, "n_tokens d_vocab"]

    def __post_init__(self):
        freeze(self)

    def __repr__(self):
        n_tokens, d_model = self.residual.shape
        return f"Trace(n_tokens={n_tokens}, d_model={d_model}, n_logits={self.logits.shape[-1]})"


_Map = Callable[[np.ndarray], ArrayLike]


def trace(
    model: Model,
    text: Text,
    layer: int,
    *,
    edit_residual: _Map | None = None,
    replace_mlp: _Map | None = None,
    tokenizer: Any = None,
) -> Trace:
    """Run a model on a text and look at one layer, with the residual edited or the MLP replaced if asked.

    Parameters
    ----------
    model : transformer_lens TransformerBridge, model of transformers, or torch module that reads tokens
    text : str, or integers [n_tokens]
        At most one context long.
    layer : int
    edit_residual : callable, optional
        Takes the residual vectors [n_tokens, d] (float64) and returns what the rest of the network shall see
        in their place, the residual stream included.
    replace_mlp : callable, optional
        Takes the residual vectors [n_tokens, d] and returns the MLP's output, in place of the model's own; a
        `FoldedMLP` is one.
    tokenizer : tokenizer of transformers, optional
        For a text, where the model has none; as for `encode`.

    Returns
    -------
    Trace

    Raises
    ------
    ValueError
        As for `residuals`; also if the text is longer than one context, or what a callable returns has another shape
        or is not finite.
    ImportError
        torch is not installed; the message says which extra brings it.

    Notes
    -----
    The run is transformers' own, as in `residuals`. A callable runs with torch as it is outside: with the caller's
    default type and gradients. The model is as it was afterwards, also if the callable raises.

    See Also
    --------
    residuals, mlp_block, fold_layer_norm

    Examples
    --------
    >>> from lnpoly_helpers import load_model
    >>> model = load_model("nano-ln-relu")
    >>> runs = [trace(model, "Twice two", 3, edit_residual=lambda x, a=a: a * x) for a in (1, 10)]
    >>> bool(abs(runs[0].mlp_output - runs[1].mlp_output).max() < 1e-4)  # the norm forgets a factor, up to eps
    True
    """
    require_installed("trace", "models", "torch")
    import torch

    network = network_of(model)
    where = places(model, network, [layer])[layer]
    tokens = one_context(model, text, tokenizer)
    grad, seen, spots = torch.is_grad_enabled(), {}, Spots()

    def of_the_text(value):
        return by_text(array(value), where.is_tokens_first, (1, len(tokens)))[0]

    def through(function, name, value):
        rows = of_the_text(value)
        with as_outside(grad):
            edited = as_float64(function(rows), name, shape=rows.shape)
        return torch.tensor(edited).to(value)

    def keep(name, value):
        seen[name] = value.clone()

    def edited(value):
        return through(edit_residual, "edit_residual", value).reshape(value.shape)

    def replaced(value):
        return through(replace_mlp, "replace_mlp", seen["residual"]).reshape(value.shape)

    spots.add(where.entry, True, 0, partial(keep, "block_input"))
    if edit_residual is not None:
        edit_stream(spots, where_it_passes(model, network, layer), edited)
    spots.add(where.norm, True, 0, partial(keep, "residual"))
    if replace_mlp is not None:
        spots.add(where.last, False, 0, replaced)
    spots.add(where.last, False, 0, partial(keep, "mlp_output"))
    if is_bridge(model) and not reads_one_way(model):  # its head may be one that nobody trained
        spots.add(all_layers(model, network)[-1], False, 0, partial(keep, "logits"))
    with spots.on(network):
        seen.setdefault("logits", output(forward(network, tokens[None])))
    parts = {name: of_the_text(part) for name, part in seen.items()}
    return Trace(parts.get("block_input"), parts["residual"], parts["mlp_output"], parts["logits"])


def where_it_passes(model, network, layer):
    """Where the residual passes before the norm's input parts from the stream: (place, is_read, at), or a `Sum`.

    In a parallel block that is what enters the block; where attention adds its input itself, what it puts out; and
    everywhere else a sum, of which what attention adds can be chosen so that the sum is as asked.
    """
    memory = known(model)
    if ("passes", layer) not in memory:
        found, calls = find_layers(network, [layer])
        x, start, entry = found[layer].residual, found[layer].norm.start, found[layer].entry
        before = [call for call in calls if call.end < start][::-1]
        spots = [(entry.place, True, at) for at, value in enumerate(entry.read) if same(value, x)]
        spots += [(call.place, False, at) for call in before for at, value in enumerate(call.made) if same(value, x)]
        memory["passes", layer] = spots[0] if spots else as_sum(calls, x, start)
    if memory["passes", layer] is None:
        raise ValueError(
            f"edit_residual: expected a layer whose norm reads the residual stream or a sum of it and of what a module "
            f"made, got layer {layer}, whose norm reads something else."
        )
    return memory["passes", layer]


def edit_stream(spots, passes, edited):
    """Put ``edited(value)`` in place of what a layer's norm reads, the residual stream included; of torch tensors."""
    if isinstance(passes, tuple):
        return spots.add(*passes, edited)
    base = {}

    def keep(value):
        base["of"] = passes.a * value

    def so_that_the_sum_is(value):
        rest = base["of"].reshape(value.shape)
        return (edited(rest + passes.b * value) - rest) / passes.b

    spots.add(passes.of, passes.is_read, passes.at, keep)
    spots.add(passes.part, False, 0, so_that_the_sum_is)
