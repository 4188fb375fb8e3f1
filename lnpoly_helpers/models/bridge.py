"""From a folder in Hugging Face format or a GGUF file to a TransformerBridge that computes as transformers does."""

import gc
import re
from contextlib import contextmanager
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from ..activations import ACTIVATIONS, OTHER_NAMES
from .gguf import files, read_once, read_tokenizer, unpacking
from .hub import WEIGHTS, WHOLE, is_gguf, what_is_missing
from .run import ONE_AT_A_TIME, all_digits, alone, reads_one_way, require_agreement

if TYPE_CHECKING:
    from transformer_lens.model_bridge import TransformerBridge
else:

    @runtime_checkable
    class TransformerBridge(Protocol):
        """A name for transformer_lens's models that does not import them."""

        cfg: Any

        def run_with_hooks(self, *args, **options): ...


@contextmanager
def _collector_at_rest():
    """No search for garbage among what the libraries make when they are imported, which stays: a fifth of the time."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()


def check_parts(cfg, parts, who="model"):
    """Refuse, by its parts alone, a block that no `NormedMLP` describes."""
    mlp = parts.get("mlp")
    if "MoEBridge" in {kind.__name__ for kind in type(mlp).__mro__}:
        raise ValueError(f"{who}: expected an MLP of two or three matrices, got a mixture of experts.")
    if OTHER_NAMES.get(str(cfg.act_fn), cfg.act_fn) not in ACTIVATIONS:
        raise ValueError(f"{who}: expected an activation out of {', '.join(ACTIVATIONS)}, got {cfg.act_fn!r}.")
    if not {"ln1", "ln2"} & set(parts) or not {"in", "out"} <= set(getattr(mlp, "submodules", {})):
        raise ValueError(
            f"{who}: expected blocks with a norm 'ln2' before an 'mlp', or a norm 'ln1' whose output the MLP reads "
            f"(post-norm and parallel blocks), got another architecture."
        )


@_collector_at_rest()
def architecture(path, who):
    """The config and the architecture that a folder or a GGUF file states; refuses what no `NormedMLP` describes."""
    import torch
    from transformer_lens.factories.architecture_adapter_factory import ArchitectureAdapterFactory
    from transformer_lens.model_bridge.sources._bridge_builder import build_bridge_config_from_hf
    from transformer_lens.model_bridge.sources.transformers import determine_architecture_from_hf_config
    from transformers import AutoConfig

    folder, options, stating = files(path)
    with one_error(f"{who}: expected {stating} that transformers can read"):
        config = AutoConfig.from_pretrained(folder, **options)
    try:
        name = determine_architecture_from_hf_config(config)
    except ValueError:
        stated = ", ".join(getattr(config, "architectures", None) or []) or config.model_type
        raise ValueError(f"{who}: expected an architecture that TransformerBridge supports, got {stated}.") from None
    with one_error(f"{who}: expected {stating} that TransformerBridge can read"):
        cfg = build_bridge_config_from_hf(config, name, folder, torch.float32)
        adapter = ArchitectureAdapterFactory.select_architecture_adapter(cfg)
    blocks = (adapter.component_mapping or {}).get("blocks")
    check_parts(adapter.cfg, getattr(blocks, "submodules", {}), who)
    return config, name


def _read_tokenizer(path):
    from transformers import AutoTokenizer

    folder, options, _ = files(path)
    return read_tokenizer(path) if is_gguf(path) else AutoTokenizer.from_pretrained(folder, **options)


def boot(path, who, tokenizer=None, dtype="float64"):
    """A TransformerBridge with a whole model's weights: of that type, on the CPU, in evaluation mode.

    ``tokenizer``: the folder of a model whose tokenizer is used; by default the model's own.
    """
    missing = what_is_missing(path, WHOLE if tokenizer is None else (WEIGHTS,))
    if missing:
        raise FileNotFoundError(
            f"{path}: expected a model in Hugging Face format, got a folder without {missing}. "
            f"save_pretrained(folder) of a transformers model and of its tokenizer writes what is needed."
        )
    with ONE_AT_A_TIME, read_once(path):
        return _boot(path, who, tokenizer, dtype)


@_collector_at_rest()
def _boot(path, who, tokenizer, dtype):
    import torch
    from transformer_lens.model_bridge import TransformerBridge
    from transformer_lens.model_bridge.sources.transformers import get_hf_model_class_for_architecture

    config, name = architecture(path, who)
    folder, options, _ = files(path)
    stating = "what the file states" if is_gguf(path) else "config.json"
    damaged = f"A file is damaged, or of another model. Put the right one into {folder}."
    dtype, other = getattr(torch, dtype), None
    if tokenizer is not None or is_gguf(path):
        with one_error(f"{who}: expected a tokenizer that transformers can read"):
            other = _read_tokenizer(tokenizer or path)
    fits = one_error(f"{who}: expected weights that fit {stating}", damaged)
    # both libraries draw random numbers, the first for what it does not find; the caller's own go on as if nothing was
    with fits, _no_progress_bar(), torch.random.fork_rng(devices=[]), all_digits(dtype):
        architecture_class: Any = get_hf_model_class_for_architecture(name)
        model, found = architecture_class.from_pretrained(
            folder,
            config=config,
            dtype=dtype,
            output_loading_info=True,
            **options,
            **unpacking(path),
        )
    # that will do only for the head by which BERT guesses masked words: many a BERT comes without one, and nothing
    # here reads it
    head = ("cls.", "lm_head.") if name.endswith("ForMaskedLM") else ()
    unfilled = sorted(key for key in found["missing_keys"] if not key.startswith(head))
    if unfilled:
        raise ValueError(f"{who}: expected weights that fit {stating}, got none for {unfilled[0]}. {damaged}")
    if over := _layers_too_many(model, found["unexpected_keys"]):
        raise ValueError(f"{who}: expected weights that fit {stating}, got more layers than that, as {over}. {damaged}")
    runs = one_error(f"{who}: expected a model and a tokenizer that TransformerBridge can run")
    with runs, torch.random.fork_rng(devices=[]):
        where = {"tokenizer": other, "device": "cpu", "dtype": dtype}
        bridge = TransformerBridge.boot_transformers(folder, hf_model=model, **where).eval()
    if not reads_one_way(bridge):  # transformer_lens gives its tokenizer another end of text, and takes BERT's away
        bridge.own_tokenizer = _read_tokenizer(tokenizer or path)
    if other is not None and len(bridge.tokenizer) > bridge.cfg.d_vocab:
        raise ValueError(
            f"tokenizer: expected one with at most the {bridge.cfg.d_vocab} tokens of {who}, got one with "
            f"{len(bridge.tokenizer)}. Take the one that the model was trained with."
        )
    require_agreement(bridge, alone(bridge), who)
    return bridge


def _layers_too_many(model, unexpected):
    """One of the tensors that a file has and a model has no place for, if the model has its like in other layers."""
    start = f"{model.base_model_prefix}."
    numberless = lambda key: re.sub(r"\d+", "0", key.removeprefix(start))  # noqa: E731
    known = {numberless(key) for key in model.state_dict()}
    return min((key for key in unexpected if re.search(r"\d", key) and numberless(key) in known), default=None)


@_collector_at_rest()
def boot_native(config, dtype):
    """A transformer_lens native model with fresh weights of that torch type, for evaluation."""
    from transformer_lens.model_bridge import TransformerBridge

    make: Any = TransformerBridge  # its sources give it their ways to boot when they are imported
    with all_digits(dtype):
        return make.boot_native(config, dtype=dtype).eval()


def fresh(model, seed):
    """A TransformerBridge of the same architecture with the weights that its library starts training from."""
    import torch
    from transformer_lens.model_bridge import TransformerBridge

    stored, dtype = model.original_model, next(model.parameters()).dtype
    if not hasattr(stored, "config"):  # transformer_lens's own
        config = deepcopy(model.cfg)
        config.seed = seed
        return boot_native(config, dtype)
    where = {"tokenizer": model.tokenizer, "device": "cpu", "dtype": dtype}
    with torch.random.fork_rng(devices=[]), all_digits(dtype):
        torch.manual_seed(seed)
        twin = type(stored)(deepcopy(stored.config)).to(dtype)
        return TransformerBridge.boot_transformers(stored.config.name_or_path, hf_model=twin, **where).eval()


@contextmanager
def one_error(expected, remedy=""):
    """Whatever another library raises becomes one ValueError with the gist of it."""
    try:
        yield
    except Exception as error:
        gist = " ".join(str(error).split())
        gist = gist if len(gist) <= 200 else gist[:197] + "..."
        raise ValueError(f"{expected}, got {type(error).__name__}: {gist.rstrip('.')}. {remedy}".rstrip()) from None


@contextmanager
def _no_progress_bar():
    """Filling a model takes a second; what transformers shows of it stays behind in notebooks."""
    from transformers.utils import logging

    # its disable_progress_bar() would also forget what the user told the hub's library about bars
    before = logging.set_tqdm_hook(lambda factory, args, kwargs: logging.EmptyTqdm(*args, **kwargs))
    try:
        yield
    finally:
        logging.set_tqdm_hook(before)
