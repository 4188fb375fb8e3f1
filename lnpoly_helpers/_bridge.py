"""From a folder in Hugging Face format to a TransformerBridge, and where in its blocks the norm and the MLP stand."""

from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace

import numpy as np

from ._hub import WEIGHTS, WHOLE, what_is_missing
from .layernorm import ACTIVATIONS, NormedMLP

_THREE_TOKENS = np.array([[0, 1, 2]])
_OTHER_NAMES = {"gelu_pytorch_tanh": "gelu_new", "gelu_fast": "gelu_new", "gelu_python": "gelu"}


def activation_name(cfg):
    """Our name for the activation that a bridge's config states."""
    return _OTHER_NAMES.get(cfg.act_fn, cfg.act_fn)


def check_parts(cfg, parts, who="model"):
    """Refuse, by its parts alone, a block that no `NormedMLP` describes."""
    mlp = parts.get("mlp")
    kinds = {kind.__name__ for kind in type(mlp).__mro__}
    for kind, words in {"MoEBridge": "a mixture of experts", "GatedMLPBridge": "a gated MLP"}.items():
        if kind in kinds or (kind == "GatedMLPBridge" and getattr(cfg, "gated_mlp", False)):
            raise ValueError(f"{who}: expected an MLP of two matrices, got {words}, which no NormedMLP describes.")
    if activation_name(cfg) not in ACTIVATIONS:
        raise ValueError(f"{who}: expected an activation out of {', '.join(ACTIVATIONS)}, got {cfg.act_fn!r}.")
    if not {"ln1", "ln2"} & set(parts) or not {"in", "out"} <= set(getattr(mlp, "submodules", {})):
        raise ValueError(_no_norm_before_mlp(who))


def _no_norm_before_mlp(who):
    return (
        f"{who}: expected blocks with a norm 'ln2' before an 'mlp', or a norm 'ln1' whose output the MLP reads "
        f"(post-norm and parallel blocks), got another architecture."
    )


def architecture(folder, who):
    """The config and the architecture that ``config.json`` states; refuses what no `NormedMLP` describes."""
    import torch
    from transformer_lens.factories.architecture_adapter_factory import ArchitectureAdapterFactory
    from transformer_lens.model_bridge.sources._bridge_builder import build_bridge_config_from_hf
    from transformer_lens.model_bridge.sources.transformers import determine_architecture_from_hf_config
    from transformers import AutoConfig

    with _one_error(f"{who}: expected a config.json that transformers can read"):
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    try:
        name = determine_architecture_from_hf_config(config)
    except ValueError:
        stated = ", ".join(getattr(config, "architectures", None) or []) or config.model_type
        raise ValueError(f"{who}: expected an architecture that TransformerBridge supports, got {stated}.") from None
    with _one_error(f"{who}: expected a config.json that TransformerBridge can read"):
        cfg = build_bridge_config_from_hf(config, name, str(folder), torch.float32)
        adapter = ArchitectureAdapterFactory.select_architecture_adapter(cfg)
    blocks = (adapter.component_mapping or {}).get("blocks")
    check_parts(adapter.cfg, getattr(blocks, "submodules", {}), who)
    return config, name


def _read_tokenizer(folder):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)


@contextmanager
def all_digits(dtype):
    """While this holds, a network in float64 stays in float64; one in another type runs as it is written.

    Norms, softmaxes and rotary tables of many libraries compute in float32 whatever they are given, to be safe with
    half precision. In float64 that throws digits away, and the last of those left depends on the processor's kernels.
    So every float32 that a function is asked for becomes float64, as does what is made without a type. (Random numbers
    are drawn in float64 too: torch's float32 ones differ between processors in their last digit.)
    """
    import torch
    from torch.overrides import TorchFunctionMode

    if dtype != torch.float64:
        yield
        return

    class Float64(TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            if function is torch.Tensor.float:
                function = torch.Tensor.double
            args = tuple(torch.float64 if arg is torch.float32 else arg for arg in args)
            kwargs = {key: torch.float64 if arg is torch.float32 else arg for key, arg in (kwargs or {}).items()}
            return function(*args, **kwargs)

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with Float64():
            yield
    finally:
        torch.set_default_dtype(before)


def boot(folder, who, tokenizer=None, dtype="float64"):
    """A TransformerBridge with the weights of a complete folder: of that type, on the CPU, in evaluation mode.

    ``tokenizer``: the folder of a model whose tokenizer is used; by default the folder's own.
    """
    import torch
    from transformer_lens.model_bridge import TransformerBridge
    from transformer_lens.model_bridge.sources.transformers import get_hf_model_class_for_architecture

    missing = what_is_missing(folder, WHOLE if tokenizer is None else (WEIGHTS,))
    if missing:
        raise FileNotFoundError(
            f"{folder}: expected a model in Hugging Face format, got a folder without {missing}. "
            f"save_pretrained(folder) of a transformers model and of its tokenizer writes what is needed."
        )
    config, name = architecture(folder, who)
    damaged = f"A file is damaged, or of another model. Put the right one into {folder}."
    dtype = getattr(torch, dtype)
    fits = _one_error(f"{who}: expected weights that fit config.json", damaged)
    with fits, _no_progress_bar(), all_digits(dtype):
        model, found = get_hf_model_class_for_architecture(name).from_pretrained(
            folder,
            config=config,
            dtype=dtype,
            attn_implementation="eager",
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    # transformers fills what it does not find with random numbers. That will do only for the head by which BERT
    # guesses masked words: many a BERT comes without one, and nothing here reads it
    head = ("cls.", "lm_head.") if name.endswith("ForMaskedLM") else ()
    unfilled = sorted(key for key in found["missing_keys"] if not key.startswith(head))
    if unfilled:
        raise ValueError(f"{who}: expected weights that fit config.json, got none for {unfilled[0]}. {damaged}")
    with _one_error(f"{who}: expected a model and a tokenizer that TransformerBridge can run"):
        other = None if tokenizer is None else _read_tokenizer(tokenizer)
        where = {"tokenizer": other, "device": "cpu", "dtype": dtype}
        bridge = TransformerBridge.boot_transformers(str(folder), hf_model=model, **where).eval()
        run(bridge, _THREE_TOKENS, [])
    if other is not None and len(bridge.tokenizer) > bridge.cfg.d_vocab:
        raise ValueError(
            f"tokenizer: expected one with at most the {bridge.cfg.d_vocab} tokens of {who}, got one with "
            f"{len(bridge.tokenizer)}. Take the one that the model was trained with."
        )
    return bridge


def boot_native(config, dtype):
    """A transformer_lens native model with fresh weights of that torch type, for evaluation."""
    from transformer_lens.model_bridge import TransformerBridge

    with all_digits(dtype):
        return TransformerBridge.boot_native(config, dtype=dtype).eval()


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
def _one_error(expected, remedy=""):
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

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


class Enough(Exception):
    """Raised by a hook that has seen the last of what it was put there for; `run` ends then."""


def run(model, tokens, hooks, **options):
    """The output of a model for tokens [n_texts, n_tokens], None if a hook has seen enough."""
    import torch

    first = next(model.parameters())
    with torch.no_grad(), all_digits(first.dtype):
        try:
            return model.run_with_hooks(torch.from_numpy(tokens).to(first.device), fwd_hooks=hooks, **options)
        except Enough:
            return None


def find_norms(model, layers):
    """Of each layer the norm whose output its MLP reads, found by running three tokens.

    No name tells: it is ln2 in GPT-2, ln1 in BERT (ln2 stands behind the MLP there) and in GPT-J (there is no other).

    Returns
    -------
    dict of int: (str, dict)
        ``"ln2"`` or ``"ln1"``, and what the block's hooks saw: torch tensors by the hooks' names.
    """
    seen = {layer: {} for layer in layers}

    def keep(layer, name):
        def look(value, hook):
            seen[layer][name] = value.clone()
            if (layer, name) == (max(layers), "mlp.out.hook_out"):
                raise Enough

        return look

    hooks = []
    for layer in seen:
        parts = model.blocks[layer].submodules
        check_parts(model.cfg, parts)
        names = ["hook_in", "mlp.in.hook_in", "mlp.out.hook_out"] + ["attn.hook_out"] * ("attn" in parts)
        names += [f"{norm}.{end}" for norm in ("ln1", "ln2") if norm in parts for end in ("hook_in", "hook_out")]
        hooks += [(f"blocks.{layer}.{name}", keep(layer, name)) for name in names]
    try:
        run(model, _THREE_TOKENS, hooks)
    except Exception as error:
        gist = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise ValueError(f"model: expected one that runs on tokens, got {gist}") from None
    return {layer: (_read_by_mlp(values), values) for layer, values in seen.items()}


def find_norm(model, layer):
    return find_norms(model, [layer])[layer]


def _read_by_mlp(seen):
    for norm in ("ln2", "ln1"):
        if same(seen.get(f"{norm}.hook_out"), seen.get("mlp.in.hook_in")):
            return norm
    raise ValueError(_no_norm_before_mlp("model"))


def same(a, b):
    """Whether two tensors hold the same values, up to rounding and shape."""
    if a is None or b is None or a.numel() != b.numel():
        return False
    return a.flatten().allclose(b.flatten(), rtol=1e-4, equal_nan=True)


def array(tensor):
    return tensor.detach().cpu().double().numpy()


def read_block(model, layer):
    """The norm and the MLP of a layer as a `NormedMLP`, checked to give what the model gives."""
    block = model.blocks[layer]
    name, seen = find_norm(model, layer)
    norm = _stored(getattr(block, name))
    W_in, b_in = _linear(getattr(block.mlp, "in"), model.cfg.d_model, rows="in")
    W_out, b_out = _linear(block.mlp.out, model.cfg.d_model, rows="out")
    weight, bias = getattr(norm, "weight", None), getattr(norm, "bias", None)
    stored = NormedMLP(
        gamma=np.ones(len(W_in)) if weight is None else array(weight),
        beta=np.zeros(len(W_in)) if bias is None else array(bias),
        W_in=W_in,
        b_in=b_in,
        W_out=W_out,
        b_out=b_out,
        activation=activation_name(model.cfg),
        eps=getattr(norm, "eps", getattr(norm, "variance_epsilon", 0.0)),
        kind=_norm_kind(norm),
    )
    return _as_it_computes(stored, seen[f"{name}.hook_in"], seen["mlp.out.hook_out"])


def _as_it_computes(block, residual, output):
    """The block, once it gives what the model gives; its activation is another's if only that does.

    The config of a bridge says "relu" for models that do not state their activation (BLOOM, MPT, GPT-1).
    """
    import torch

    x, expected = (array(value).reshape(-1, block.d_model) for value in (residual, output))
    tolerance = max(1e-3, 16 * torch.finfo(output.dtype).eps) * np.abs(expected).max()

    def off(block):
        return np.abs(block(x) - expected).max()

    if off(block) > tolerance:
        block = min((replace(block, activation=name) for name in ACTIVATIONS), key=off)
    if off(block) > tolerance:
        raise ValueError(
            f"model: expected act(norm(x) @ W_in + b_in) @ W_out + b_out behind its norm, got an MLP that computes "
            f"something else: on three tokens its output differs by up to {off(block):.1e}."
        )
    return block


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
    weight = array(module.weight)
    # torch's Linear stores [out, in]; the Conv1D of Hugging Face's GPT-2 stores [in, out]
    if type(module).__name__ != "Conv1D":
        weight = weight.T
    if weight.shape[0 if rows == "in" else 1] != d_model:
        raise ValueError(f"model: expected an MLP matrix with {d_model} at its outer side, got {list(weight.shape)}.")
    bias = np.zeros(weight.shape[1]) if module.bias is None else array(module.bias)
    return weight, bias
