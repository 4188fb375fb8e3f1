"""From texts to the residual vectors that a layer's norm reads, and one run with a layer looked at or edited."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .._inputs import ArrayLike, Float, Int, as_float64, freeze, require_installed
from . import bridge
from .bridge import TransformerBridge
from .read import check_layer, find_norm, find_norms, same
from .text import context_windows, one_context, reads_one_way

_BATCH = 32  # windows run through the model at a time, and tokens in them: bounds the memory
_BATCH_TOKENS = 4096


def residuals(
    model: TransformerBridge, texts: str | Iterable[str], layer: int | Sequence[int]
) -> Float[np.ndarray, "*n_layers n_tokens d"]:
    """The residual vectors that enter the norm before a layer's MLP, over all tokens of the texts.

    In GPT-2 that is the residual stream after attention (``resid_mid``), in parallel blocks the block's input, and in
    post-norm blocks (BERT, MiniLM) the sum of attention's output and its input, of which the norm makes the stream.

    Parameters
    ----------
    model : transformer_lens TransformerBridge
    texts : list of str, or one str
        Cut into windows as `context_windows` does; special tokens have their rows too.
    layer : int, or a sequence of int
        Several layers cost one run of the model.

    Returns
    -------
    x : float64 [n_tokens, d], or [n_layers, n_tokens, d] for a sequence
        In the order of the texts; `positions` says where each row stands. Computed by the model in its own precision,
        which is float64 unless `load_model` was told otherwise.

    Raises
    ------
    ValueError
        A layer does not exist, there is no text, or no norm stands before the MLP.
    ImportError
        torch is not installed; the message says which extra brings it.

    Notes
    -----
    A model in float64 gives the same on every processor to some 14 digits, also where its library computes norms,
    softmaxes or rotary tables in float32. Texts run in batches of similar length; what stands beside a text in its
    batch changes nothing but the last digit.

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
    for one in layers:
        check_layer(model, one)
    windows = context_windows(model, texts)
    ends = np.cumsum([len(window) for window in windows])
    x = np.empty((len(layers), ends[-1], model.cfg.d_model))
    found = {}

    def keep(k):
        def look(value, hook):
            found[k] = value
            if k == max(layers):
                raise bridge.Enough

        return look

    hooks = [(f"blocks.{k}.{norm}.hook_in", keep(k)) for k, (norm, _) in find_norms(model, layers).items()]
    for chunk in _batches([len(window) for window in windows]):
        tokens = np.zeros((len(chunk), max(len(windows[k]) for k in chunk)), dtype=np.int64)
        for row, k in zip(tokens, chunk, strict=True):
            row[: len(windows[k])] = windows[k]
        bridge.run(model, tokens, hooks, **_mask(model, [len(windows[k]) for k in chunk]))
        for row, k in enumerate(chunk):
            for at, one in enumerate(layers):
                x[at, ends[k] - len(windows[k]) : ends[k]] = bridge.array(found[one][row, : len(windows[k])])
    return x[0] if np.ndim(layer) == 0 else x


def reads_and_writes(model, text, layers):
    """What the norm before each layer's MLP reads, and what the model's own MLP puts out: [n_layers, n_tokens, d] each.

    In one run, of a text of at most one context.
    """
    tokens = one_context(model, text)
    seen = {}

    def keep(key):
        def look(value, hook):
            seen[key] = value
            if key == (max(layers), "mlp.out.hook_out"):
                raise bridge.Enough

        return look

    names = {k: (f"{norm}.hook_in", "mlp.out.hook_out") for k, (norm, _) in find_norms(model, layers).items()}
    bridge.run(model, tokens[None], [(f"blocks.{k}.{name}", keep((k, name))) for k in names for name in names[k]])
    return tuple(np.array([bridge.array(seen[k, names[k][part]])[0] for k in layers]) for part in (0, 1))


def _batches(lengths):
    """Split windows into batches of similar lengths, bounded in windows and in tokens; the numbers of the windows."""
    batch = []
    for k in sorted(range(len(lengths)), key=lambda k: lengths[k]):
        if len(batch) == _BATCH or (batch and (len(batch) + 1) * lengths[k] > _BATCH_TOKENS):
            yield batch
            batch = []
        batch.append(k)
    yield batch


def _mask(model, lengths):
    """Padding stands behind each text, where causal attention never looks; attention both ways has to be told."""
    if reads_one_way(model):
        return {}
    import torch

    return {"attention_mask": torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]}


@dataclass(eq=False, repr=False)
class Captured:
    """What entered a module, call after call, for `capture`.

    Attributes
    ----------
    calls : list of float64 [..., d]
        One array for each time that the module ran.
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

    def keep(module, arguments, named):
        entered = arguments[0] if arguments else next(iter(named.values()))
        seen.calls.append(bridge.array(entered))

    hook = norm.register_forward_pre_hook(keep, with_kwargs=True)
    try:
        yield seen
    finally:
        hook.remove()


@dataclass(frozen=True, eq=False)
class Trace:
    """One run of a model on one text, seen at one layer. `trace` makes it; its arrays cannot be written to.

    Attributes
    ----------
    block_input : float64 [n_tokens, d]
        What entered the layer, before attention wrote: the residual stream, in post-norm blocks normalised.
    residual : float64 [n_tokens, d]
        What entered the norm before the MLP. In parallel blocks it is the block's input.
    mlp_output : float64 [n_tokens, d]
        What the MLP added to the residual stream.
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

    block_input: Float[np.ndarray, "n_tokens d"]
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
    model: TransformerBridge,
    text: str | Int[ArrayLike, "n_tokens"],
    layer: int,
    *,
    edit_residual: _Map | None = None,
    replace_mlp: _Map | None = None,
) -> Trace:
    """Run a model on a text and look at one layer, with the residual edited or the MLP replaced if asked.

    Parameters
    ----------
    model : transformer_lens TransformerBridge
    text : str, or int array [n_tokens]
        A text or its tokens, at most one context long.
    layer : int
    edit_residual : callable, optional
        Takes the residual vectors [n_tokens, d] (float64) and returns what the rest of the network shall see
        in their place, the residual stream included.
    replace_mlp : callable, optional
        Takes the residual vectors [n_tokens, d] and returns the MLP's output, in place of the model's own; a
        `FoldedMLP` is one.

    Returns
    -------
    Trace

    Raises
    ------
    ValueError
        The layer does not exist, the text is longer than one context, or what a callable returns has another shape or
        is not finite.
    ImportError
        torch is not installed; the message says which extra brings it.

    Notes
    -----
    A callable runs with torch as it is outside: with the caller's default type and gradients. The model is as it was
    afterwards, also if the callable raises.

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

    check_layer(model, layer)
    tokens = one_context(model, text)
    norm, usual = find_norm(model, layer)
    seen = {}

    grad = torch.is_grad_enabled()

    def through(function, name, value):
        with bridge.as_outside(grad):
            edited = as_float64(function(bridge.array(value)[0]), name, shape=tuple(value.shape[1:]))
        return torch.from_numpy(edited).to(value)[None]

    def block_input(value, hook):
        seen["block_input"] = value

    def residual(value, hook):
        seen["residual"] = value

    def mlp_output(value, hook):
        if replace_mlp is not None:
            value = through(replace_mlp, "replace_mlp", seen["residual"])
        seen["mlp_output"] = value
        return value

    def last_output(value, hook):
        seen["last"] = value

    at = f"blocks.{layer}."
    hooks = [(at + "hook_in", block_input), (at + f"{norm}.hook_in", residual), (at + "mlp.out.hook_out", mlp_output)]
    hooks += [(f"blocks.{model.cfg.n_layers - 1}.hook_out", last_output)]
    if edit_residual is not None:
        hooks = edits(layer, norm, usual, lambda value: through(edit_residual, "edit_residual", value)) + hooks
    logits = bridge.run(model, tokens[None], hooks)
    seen["logits"] = logits if reads_one_way(model) else seen.pop("last")
    return Trace(**{name: bridge.array(seen[name])[0] for name in ("block_input", "residual", "mlp_output", "logits")})


def edits(layer, norm, usual, edit):
    """Hooks that put ``edit(value)`` in place of what a layer's norm reads, the residual stream included.

    ``norm`` and ``usual`` are what `find_norm` found; values are torch tensors [n_texts, n_tokens, d].
    """
    at, read, before = f"blocks.{layer}.", f"{norm}.hook_in", {}

    def in_place(value, hook):
        return edit(value)

    def before_attention(value, hook):
        before["x"] = value

    def after_attention(value, hook):
        # what reads the norm's input cannot edit the stream beside it; what attention adds can
        return edit(before["x"] + value) - before["x"]

    # where the residual passes before the norm's input parts from the stream: in a parallel block and in one whose
    # attention adds its input itself; in a post-norm block nothing parts
    passes = [name for name in ("hook_in", "attn.hook_out") if same(usual.get(name), usual[read])]
    if passes or norm == "ln1":
        return [(at + (passes or [read])[0], in_place)]
    return [(at + "hook_in", before_attention), (at + "attn.hook_out", after_attention)]
