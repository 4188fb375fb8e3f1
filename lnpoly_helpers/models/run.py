"""How a network is run: alone, in evaluation mode, with all of float64's digits, and without a trace left on it."""

import threading
import weakref
from collections import OrderedDict
from contextlib import contextmanager
from copy import deepcopy
from inspect import signature
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

if TYPE_CHECKING:
    from torch.nn import Module as Model
else:

    @runtime_checkable
    class Model(Protocol):
        """A name for torch's modules that does not import torch: a TransformerBridge, a model of transformers, ..."""

        def named_modules(self, *args, **options): ...


# torch's default type and transformers' progress bars belong to all threads: one network is loaded or run at a time
ONE_AT_A_TIME = threading.RLock()
_modes = []  # of the run that holds the lock: what it changed, innermost last
_KNOWN = weakref.WeakKeyDictionary()  # what was found out about models, as long as they stay as they are: no tensors


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

    class Float64(TorchFunctionMode):
        paused = False

        def __torch_function__(self, func, types, args=(), kwargs=None):
            kwargs = kwargs or {}
            if self.paused or (func is torch.empty and args and args[0] == (0,)):
                return func(*args, **kwargs)  # unpickling makes an empty one, to hang the memory of weights on it
            function: Any = torch.Tensor.double if func is torch.Tensor.float else func
            args = tuple(torch.float64 if arg is torch.float32 else arg for arg in args)
            kwargs = {key: torch.float64 if arg is torch.float32 else arg for key, arg in kwargs.items()}
            return function(*args, **kwargs)

    with ONE_AT_A_TIME:
        if dtype != torch.float64:
            yield
            return
        before, mode = torch.get_default_dtype(), Float64()
        torch.set_default_dtype(torch.float64)
        _modes.append((mode, before))
        try:
            with mode:
                yield
        finally:
            _modes.pop()
            torch.set_default_dtype(before)


@contextmanager
def as_outside(grad):
    """In the middle of a run, for a function of the caller's: torch as it is outside, with gradients if ``grad``."""
    import torch

    inside, running = torch.get_default_dtype(), [run for run in _modes if not run[0].paused]
    for mode, _ in running:
        mode.paused = True
    if running:
        torch.set_default_dtype(running[0][1])
    try:
        with torch.set_grad_enabled(grad):
            yield
    finally:
        torch.set_default_dtype(inside)
        for mode, _ in running:
            mode.paused = False


def array(tensor):
    return tensor.detach().cpu().double().numpy()


class Enough(Exception):
    """Raised by a hook that has seen the last of what it was put there for; `run` ends then."""


# --- a network alone ---


def network_of(model):
    """The network of a model, as `alone` gives it, once it computes what the model does.

    Raises
    ------
    TypeError, ValueError
        It is no torch module, or computes something else.
    """
    if not hasattr(model, "named_modules"):
        raise TypeError(
            f"model: expected a TransformerBridge, a model of transformers or another torch module, got "
            f"{type(model).__name__}. load_model(name) loads one."
        )
    network = alone(model)
    require_agreement(model, network)
    return network


def alone(model, *, by_default=True):
    """The network of a bridge or of transformers, for us: the same weights in modules of our own, to hook and to set.

    Where a bridge put components of its own in place of modules, the modules stand again. In evaluation mode, without
    a cache of past tokens, with the attention that transformers takes by default (or as it is). Nothing of the model
    is changed, and no weight is copied.
    """
    inner = getattr(model, "original_model", getattr(model, "_orig_mod", model))  # of a bridge, of torch.compile
    modules, components = _modules_of(inner)
    ours: dict[int, Any] = {id(tensor): tensor for tensor in _tensors_of([*model.modules(), *modules])}
    # most of a module is empty dicts of hooks, which take deepcopy ten times as long as new ones
    ours |= {id(part): OrderedDict() for module in modules for part in vars(module).values() if _is_empty(part)}
    for component, original in reversed(components):  # the innermost first
        ours[id(component)] = deepcopy(original, ours)
    network = deepcopy(inner, ours).eval()
    for config in _configs(network):
        if hasattr(config, "use_cache"):
            config.use_cache = False
    if by_default and default_attention(network) != attention(network) == "eager":
        for config in _configs(network):
            config._attn_implementation_internal = default_attention(network)
    return network


def _tensors_of(modules):
    """The parameters and buffers of some modules, without those of the modules in them."""
    kept = [part for module in modules for part in (*module._parameters.values(), *module._buffers.values())]
    return [tensor for tensor in kept if tensor is not None]


def _is_empty(part):
    return type(part) is OrderedDict and not part


def _modules_of(inner):
    """A network's own modules, and the components that a bridge put in place of some, (component, module), outermost
    first."""
    modules, components, seen, todo = [inner], [], {id(inner)}, [inner]
    while todo:
        for child in todo.pop().children():
            original = getattr(child, "original_component", None)
            if original is not None:
                components.append((child, original))
                child = original
            if id(child) not in seen:
                seen.add(id(child))
                modules.append(child)
                todo.append(child)
    return modules, components


def _configs(network) -> list[Any]:
    found = [getattr(module, "config", None) for module in network.modules()]
    parts = [config for config in found if hasattr(config, "to_dict")]
    for config in parts:
        parts += [part for name in getattr(config, "sub_configs", {}) if (part := getattr(config, name, None))]
    return list({id(config): config for config in parts}.values())


def attention(network):
    return getattr(getattr(network, "config", None), "_attn_implementation", None)


def default_attention(network):
    """The attention that transformers takes for a network where nobody asks for another; None for other libraries'."""
    ask = getattr(network, "get_correct_attn_implementation", None)
    return ask(None) if ask else None


def reads_one_way(bridge):
    """Whether the attention of a bridge looks back only."""
    return getattr(bridge.cfg, "attention_dir", "causal") == "causal"


def is_bridge(model):
    return hasattr(model, "original_model") and hasattr(model, "cfg")


def precision(network):
    """The torch dtype of a network's weights."""
    return next(p.dtype for p in network.parameters() if p.dtype.is_floating_point)


def forward(network, inputs) -> Any:
    """The output of a network for tokens [n_texts, n_tokens], or for named inputs; None if a hook has seen enough."""
    import torch

    device = next(network.parameters()).device
    if not isinstance(inputs, dict):
        inputs = named(network, torch.from_numpy(inputs))
    inputs = {name: value.to(device) for name, value in inputs.items()}
    with torch.no_grad(), all_digits(precision(network)):
        try:
            return network(*([inputs.pop("")] if "" in inputs else []), **inputs)
        except Enough:
            return None


def named(network, tokens):
    """Tokens by the name under which a network's forward takes them; a decoder with an encoder reads them as well."""
    takes = signature(network.forward).parameters
    if "input_ids" not in takes:
        return {"": tokens}
    return {"input_ids": tokens} | ({"decoder_input_ids": tokens} if "decoder_input_ids" in takes else {})


def output(result) -> Any:
    """The logits of a run, or the last layer's output of a network without a head."""
    if hasattr(result, "shape"):
        return result
    return next(
        (value for name in ("logits", "last_hidden_state") if (value := getattr(result, name, None)) is not None),
        result[0],
    )


def width_of_context(network) -> int | None:
    """How many tokens a network reads at once, as its config or its table of positions says; None if nothing does."""
    for module in network.modules():  # RoBERTa's positions begin behind its padding token
        table: Any = getattr(module, "position_embeddings", None)
        if isinstance(getattr(table, "padding_idx", None), int):
            return len(table.weight) - table.padding_idx - 1
    config = _text_config(network)
    names = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "max_sequence_length", "seq_length")
    return next((n for name in names if isinstance(n := getattr(config, name, None), int) and n > 0), None)


def size_of_vocabulary(model):
    """How many tokens a model knows, by its config or its first table of embeddings; None if it reads no tokens."""
    if is_bridge(model):
        return model.cfg.d_vocab
    tables = (getattr(module, "num_embeddings", None) for module in model.modules())
    return getattr(_text_config(model), "vocab_size", None) or next((n for n in tables if n), None)


def _text_config(model) -> Any:
    config: Any = getattr(model, "config", None)
    return config.get_text_config() if hasattr(config, "get_text_config") else config


def probe(network):
    """What a network is run on to look into it: a few tokens out of all of its vocabulary, or one picture."""
    import torch

    draw = np.random.default_rng(0)
    config: Any = getattr(network, "config", None)
    if getattr(network, "main_input_name", "input_ids") == "pixel_values":
        side = config.image_size if isinstance(config.image_size, int) else config.image_size[0]
        shape = (1, config.num_channels, side, side)
        return {"pixel_values": torch.from_numpy(draw.standard_normal(shape)).to(precision(network))}
    n = min(8, width_of_context(network) or 8)
    return named(network, torch.from_numpy(draw.integers(size_of_vocabulary(network) or 2, size=(1, n))))


# --- what is known, and what differs ---


def known(model):
    """A dict for what is found out about a model; a new one when its modules, weights or hooks are others."""
    modules = list(model.modules())
    tensors = _tensors_of(modules)
    hooks = sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in modules)
    state = [id(module) for module in modules], [(t.data_ptr(), t._version) for t in tensors], hooks
    if model not in _KNOWN or _KNOWN[model][0] != state:
        _KNOWN[model] = state, {}
    return _KNOWN[model][1]


def require_agreement(model, network, who="model"):
    """Refuse a bridge, or a model with an attention that was asked for, whose output is not its network's by default.

    To 1e-4 of the largest number that each token gets, in float32; in half precision to what that can tell.
    """
    import torch

    if not is_bridge(model) and attention(model) == attention(network):
        return
    if "agrees" in known(model):
        return
    inputs = probe(network)
    expected = array(output(forward(network, inputs)))
    if is_bridge(model):
        got, remedy = "a TransformerBridge", _ANOTHER_BRIDGE
        try:
            with _in_evaluation(model):
                found = forward(model, {"": next(iter(inputs.values()))})
        except Exception as error:
            gist = f"{type(error).__name__}: {' '.join(str(error).split())[:200].rstrip('.')}"
            raise ValueError(f"{who}: expected a model that TransformerBridge can run, got {gist}.") from None
    else:
        got = f"attn_implementation={attention(model)!r}"
        remedy = f"Load the model without it: transformers' own choice is {attention(network)!r}."
        found = forward(alone(model, by_default=False), inputs)
    off = apart(array(output(found)), expected)
    if not off <= max(1e-4, 8 * torch.finfo(precision(network)).eps):
        raise ValueError(
            f"{who}: expected one that computes what its library computes by default with the same weights, got {got} "
            f"whose output is off by {off:.1e} of the largest number. {remedy}"
        )
    known(model)["agrees"] = True


_ANOTHER_BRIDGE = (
    "If process_weights or enable_compatibility_mode changed its weights, or hooks what it computes, load it anew; "
    "otherwise transformer_lens computes this architecture in another way: pass the model of transformers itself, "
    "AutoModelForCausalLM.from_pretrained(...)."
)


@contextmanager
def _in_evaluation(model):
    before = [(m, m.training) for part in (model, model.original_model) for m in part.modules()]
    with ONE_AT_A_TIME:
        try:
            for module, _ in before:
                module.training = False
            yield
        finally:
            for module, training in before:
                module.training = training


def apart(found, expected):
    """The largest difference of two arrays [..., d], of each vector relative to its largest number."""
    if found.shape != expected.shape:
        return np.inf
    size = np.abs(expected).max(axis=-1)
    off = np.abs(found - expected).max(axis=-1)
    return float(np.divide(off, size, out=np.where(off > 0, np.inf, 0.0), where=size > 0).max())
