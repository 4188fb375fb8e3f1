"""From a model's name to a loaded model, one MLP block as arrays, and the residual vectors of text.

The one room that imports torch and transformer_lens, and it does so only when a function is called.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ._inputs import as_float64, freeze
from .layernorm import ACTIVATIONS, NormedMLP

EMBEDDED = ("nano-ln-relu", "nano-ln-gelu", "nano-rms-relu", "nano-none-relu")
_BATCH = 32  # windows run through the model at a time: bounds the memory


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
        raise ValueError(
            f"name: expected one of {', '.join(EMBEDDED)}, got {name!r}. Any other model with a LayerNorm or RMSNorm "
            f"before a two-matrix MLP can be used too: boot it with TransformerBridge.boot_transformers(...) and pass "
            f"it to mlp_block and residuals."
        )
    return json.loads(_read(data_folder() / "manifest.json"))[name]


def _read(path):
    try:
        return path.read_bytes()
    except OSError as error:
        raise FileNotFoundError(
            f"{path}: expected a file that comes with lnpoly_helpers, got {error.strerror or error}. "
            f"Install the package again, or restore data/ in your clone with git."
        ) from None


def load_model(name="nano-ln-relu"):
    """Load an embedded model, with no network.

    Parameters
    ----------
    name : str
        ``"nano-ln-relu"``, ``"nano-ln-gelu"``, ``"nano-rms-relu"`` or ``"nano-none-relu"``.

    Returns
    -------
    transformer_lens TransformerBridge
        In evaluation mode, float32, over bytes: `encode` turns a text into its tokens.

    Raises
    ------
    ValueError
        The name is unknown, or the file is not the one that was trained (its sha256 differs).
    FileNotFoundError
        A file of the package is missing.
    """
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

    model = boot_native(card["config"])
    model.load_state_dict(load(content))
    return model


def boot_native(config):
    """A transformer_lens native model with fresh weights, for evaluation; ``config`` as in ``data/manifest.json``."""
    from transformer_lens.config import TransformerBridgeConfig
    from transformer_lens.model_bridge import TransformerBridge

    return TransformerBridge.boot_native(TransformerBridgeConfig(**config)).eval()


def _block(model, layer):
    n_layers = model.cfg.n_layers
    if not (isinstance(layer, (int, np.integer)) and 0 <= layer < n_layers):
        raise ValueError(f"layer: expected an integer from 0 to {n_layers - 1}, got {layer!r}.")
    return model.blocks[layer]


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
    block = _block(model, layer)
    activation = model.cfg.act_fn
    if getattr(model.cfg, "gated_mlp", False):
        raise ValueError("model: expected an MLP of two matrices, got a gated MLP, which no NormedMLP describes.")
    if activation not in ACTIVATIONS:
        raise ValueError(f"model: expected an activation out of {', '.join(ACTIVATIONS)}, got {activation!r}.")
    if not hasattr(block, "ln2") or not hasattr(block, "mlp"):
        raise ValueError("model: expected blocks with a norm 'ln2' before an 'mlp', got another architecture.")
    W_in, b_in = _linear(getattr(block.mlp, "in"), model.cfg.d_model, rows="in")
    W_out, b_out = _linear(block.mlp.out, model.cfg.d_model, rows="out")
    norm = _stored(block.ln2)
    weight, bias = getattr(norm, "weight", None), getattr(norm, "bias", None)
    kind = _norm_kind(norm)
    eps = getattr(norm, "eps", getattr(norm, "variance_epsilon", 0.0))
    return NormedMLP(
        gamma=np.ones(len(W_in)) if weight is None else _array(weight),
        beta=np.zeros(len(W_in)) if bias is None else _array(bias),
        W_in=W_in,
        b_in=b_in,
        W_out=W_out,
        b_out=b_out,
        activation=activation,
        eps=eps,
        kind=kind,
    )


def _stored(component):
    """The model's own module behind a bridge component."""
    return getattr(component, "original_component", None) or component


def _norm_kind(norm):
    name = type(norm).__name__
    if name == "Identity":
        return "none"
    if name == "LayerNorm":
        return "layernorm"
    if name.endswith("RMSNorm"):
        return "rmsnorm"
    raise ValueError(f"model: expected LayerNorm, RMSNorm or no norm before the MLP, got {name}.")


def _linear(component, d_model, rows):
    """Weight and bias of a linear map in row convention: the weight is used as x @ W."""
    module = _stored(component)
    weight = _array(module.weight)
    # torch's Linear stores [out, in]; the Conv1D of Hugging Face's GPT-2 stores [in, out]
    if type(module).__name__ != "Conv1D":
        weight = weight.T
    if weight.shape[0 if rows == "in" else 1] != d_model:
        raise ValueError(f"model: expected an MLP matrix with {d_model} at its outer side, got {list(weight.shape)}.")
    bias = np.zeros(weight.shape[1]) if module.bias is None else _array(module.bias)
    return weight, bias


def _array(tensor):
    return tensor.detach().cpu().double().numpy()


def token_embeddings(model):
    """The token embedding matrix, float64 [d_vocab, d]: the direction that each token starts with."""
    return _array(_stored(model.embed).weight)


def encode(model, text):
    """The tokens of a text, int64 [n_tokens]: UTF-8 bytes for an embedded model, else the model's own tokenizer's."""
    if not isinstance(text, str) or not text:
        raise ValueError(f"text: expected a non-empty str, got {text!r}.")
    if model.tokenizer is None:
        return np.frombuffer(text.encode(), dtype=np.uint8).astype(np.int64)
    return model.to_tokens(text)[0].cpu().numpy()


def residuals(model, texts, layer):
    """The residual vectors that enter a layer's norm before its MLP (``resid_mid``), over all tokens of the texts.

    Parameters
    ----------
    model : TransformerBridge
    texts : list of str, or one str
        A text longer than the model's context is cut into windows of that length.
    layer : int, or a sequence of int
        Several layers cost one run of the model.

    Returns
    -------
    x : float64 [n_tokens, d], or [n_layers, n_tokens, d] for a sequence
        In the order of the texts. Computed by the model in its own precision.
    """
    import torch

    layers = [layer] if np.ndim(layer) == 0 else list(layer)
    if not layers:
        raise ValueError("layer: expected an integer or a sequence of at least one, got an empty one.")
    for one in layers:
        _block(model, one)
    windows = context_windows(model, texts)
    found = {}
    hooks = [(f"blocks.{k}.ln2.hook_in", lambda value, hook, k=k: found.update({k: value})) for k in layers]
    rows = [None] * len(windows)
    by_length = sorted(range(len(windows)), key=lambda k: len(windows[k]))  # little padding in each batch
    for start in range(0, len(windows), _BATCH):
        chunk = by_length[start : start + _BATCH]
        # padding stands behind each text, where causal attention lets it change nothing
        padded = np.zeros((len(chunk), len(windows[chunk[-1]])), dtype=np.int64)
        for row, k in zip(padded, chunk):
            row[: len(windows[k])] = windows[k]
        with torch.no_grad():
            model.run_with_hooks(torch.from_numpy(padded), fwd_hooks=hooks)
        batch = np.stack([_array(found[k]) for k in layers])
        for row, k in enumerate(chunk):
            rows[k] = batch[:, row, : len(windows[k])]
    x = np.concatenate(rows, axis=1)
    return x[0] if np.ndim(layer) == 0 else x


def context_windows(model, texts):
    """The texts as a list of token arrays, each at most one context long, in order."""
    texts = [texts] if isinstance(texts, str) else list(texts)
    if not texts:
        raise ValueError("texts: expected at least one text, got none.")
    n_ctx = model.cfg.n_ctx
    tokens = [encode(model, text) for text in texts]
    return [t[start : start + n_ctx] for t in tokens for start in range(0, len(t), n_ctx)]


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

    _block(model, layer)
    tokens = encode(model, text)
    if len(tokens) > model.cfg.n_ctx:
        raise ValueError(f"text: expected at most {model.cfg.n_ctx} tokens, got {len(tokens)}. Shorten it.")
    seen = {}

    def through(function, name, value):
        edited = as_float64(function(_array(value)[0]), name, shape=value.shape[1:])
        return torch.from_numpy(edited).to(value)[None]

    def before_attention(value, hook):
        seen["before"] = value

    def attention_output(value, hook):
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

    at = f"blocks.{layer}."
    hooks = [
        (at + "hook_in", before_attention),
        (at + "attn.hook_out", attention_output),
        (at + "ln2.hook_in", residual),
        (at + "mlp.hook_out", mlp_output),
    ]
    with torch.no_grad():
        logits = model.run_with_hooks(torch.from_numpy(tokens)[None], fwd_hooks=hooks)
    return Trace(_array(seen["residual"])[0], _array(seen["mlp_output"])[0], _array(logits)[0])
