"""Where a layer's norm and MLP stand in a network, found by running it on a few tokens: no name tells.

One run says which tensor each module reads and makes. An MLP is two linear maps, or three, with nothing but a pointwise
function between them, which shows when other numbers are put in place of what the first ones give. Its norm is the
module that made what they read.
"""

from contextlib import contextmanager
from copy import copy, deepcopy
from dataclasses import dataclass, field
from functools import partial
from itertools import takewhile
from typing import Any, NamedTuple

import numpy as np

from .._inputs import integer_below, is_integer
from .._modules import Runner, read_linear
from .run import Enough, all_digits, apart, array, forward, is_bridge, known, network_of, probe, reads_one_way

_RECENT = 60  # calls back in which a sum is looked for
_ORDERS = {"halves": lambda m: np.arange(2 * m).reshape(2, m), "in turn": lambda m: np.arange(2 * m).reshape(m, 2).T}


class Place(NamedTuple):
    """Where a call stands in every run of a network."""

    name: str
    nth: int  # of the calls of this module, from 0


@dataclass(eq=False, repr=False)
class Call:
    """One call of a module in a run: when it began and ended, what it read and made (copies)."""

    place: Place
    module: Any
    start: int
    args: Any
    kwargs: Any
    read: list  # of these the tensors of numbers, and those of the result
    made: list = field(default_factory=list)
    end: int = -1
    double: Any = None  # the module in float64, while it is run again

    @property
    def name(self):
        return self.place.name

    def holds(self, other):
        return self.start < other.start and other.end < self.end


@dataclass(eq=False, repr=False)
class Layer:
    """Where one layer's norm and MLP stand in a run."""

    entry: Call  # the whole layer
    norm: Call
    gate: Call
    up: Call | None
    last: Call
    rows: np.ndarray | None  # of a first map that is gate and up in one: which of its outputs are which
    between: "Between"

    @property
    def residual(self):
        """What the norm read, a tensor [..., d]."""
        return self.norm.read[0]

    def modules(self):
        """norm, first, last, activation and up, as `NormedMLP.from_modules` takes them."""
        first, up = self.gate.module, self.up and self.up.module
        if self.rows is not None:
            first, up = (_part(self.gate, rows) for rows in self.rows)
        return self.norm.module, first, self.last.module, self.between, up


class Between:
    """The function that a network computes between an MLP's first maps and its last: run there, on any numbers."""

    def __init__(self, replay, gate, up, last, rows):
        self._replay, self._gate, self._up, self._last, self._rows = replay, gate, up, last, rows
        self._shape = (*gate.made[0].shape[:-1], last.read[0].shape[-1])

    def __call__(self, h):
        values = array(h)
        n, size = values.size, int(np.prod(self._shape))
        parts = np.resize(values, (-(-n // size), *self._shape))
        done = np.concatenate([self.of(part, np.ones_like(part)).ravel() for part in parts])
        return h.new_tensor(done[:n].reshape(values.shape))

    def of(self, h, up):
        """What the last map reads where the gate's map gives h and the other one ``up``."""
        puts = {self._gate: h}
        if self._rows is not None:
            both = np.empty((*h.shape[:-1], 2 * h.shape[-1]))
            both[..., self._rows[0]], both[..., self._rows[1]] = h, up
            puts = {self._gate: both}
        elif self._up is not None:
            puts[self._up] = up
        return self._replay(puts, self._last).reshape(self._shape)

    def is_product(self):
        """Whether the result is a function of the gate's numbers, times the others."""
        h, up = np.random.default_rng(1).standard_normal((2, *self._shape))
        whole, alone = self.of(h, up), self.of(h, np.ones_like(up))
        return np.abs(whole - alone * up).max() <= 1e-9 * np.abs(whole).max()

    def __repr__(self):
        return f"what stands before {self._last.name}"


class _Replay:
    """Runs the smallest part of a network that holds some calls, once more and in float64, with other numbers put in
    place of what some of them give, up to what another of them reads."""

    def __init__(self, needed, calls):
        holding = [call for call in calls if all(call.holds(one) for one in needed)]
        self._part = min(holding, key=lambda call: call.end - call.start)

    def __call__(self, puts, last):
        import torch

        part, seen = self._part, []
        module = part.double = part.double or _in_float64(part.module)
        inside = {call: module.get_submodule(call.name[len(part.name) :].lstrip(".")) for call in (*puts, last)}
        hooks = [inside[call].register_forward_hook(partial(_put, numbers)) for call, numbers in puts.items()]
        hooks.append(inside[last].register_forward_pre_hook(partial(_take, seen), with_kwargs=True))
        args, kwargs = _mapped((part.args, part.kwargs), _fresh)
        try:
            with torch.no_grad(), all_digits(torch.float64):
                module(*args, **kwargs)
        except Enough:
            return array(seen[0])
        finally:
            _remove(hooks)
        raise ValueError(f"{last.name} was not called")


def _put(numbers, module, args, result):
    return result.new_tensor(numbers.reshape(result.shape))


def _take(seen, module, args, kwargs):
    seen.extend(tensors((args, kwargs)))
    raise Enough


def _remove(hooks):
    for hook in hooks:
        hook.remove()


def _fresh(tensor):
    return tensor.double().clone() if tensor.is_floating_point() else tensor.clone()


def _in_float64(module):
    import torch

    if all(p.dtype == torch.float64 for p in module.parameters()):
        return module
    return deepcopy(module).double()


# --- one run, looked at ---


def watch(network, inputs):
    """Every call of every module in a run of a network, in the order in which they ended."""
    watching = _Watch()
    hooks = []
    for name, module in network.named_modules():
        hooks.append(module.register_forward_pre_hook(partial(watching.begin, name), with_kwargs=True))
        hooks.append(module.register_forward_hook(watching.end))
    try:
        forward(network, inputs)
    except Exception as error:
        gist = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise ValueError(f"model: expected one that runs on tokens, got {gist}") from None
    finally:
        _remove(hooks)
    return watching.calls


class _Watch:
    def __init__(self):
        self.calls, self._open, self._counts, self._time, self._copies = [], [], {}, 0, _Copies()

    def begin(self, name, module, args, kwargs):
        nth = self._counts[module] = self._counts.get(module, -1) + 1
        args, kwargs = self._copies(args), self._copies(kwargs)
        self._open.append(Call(Place(name, nth), module, self._tick(), args, kwargs, tensors((args, kwargs))))

    def end(self, module, args, result):
        call = self._open.pop()
        call.end, call.made = self._tick(), tensors(self._copies(result))
        self.calls.append(call)

    def _tick(self):
        self._time += 1
        return self._time


class _Copies:
    """Tensors as they were when they were seen: some networks add to them in place. One copy of each state."""

    def __init__(self):
        self._alive, self._copies = [], {}

    def __call__(self, value):
        return _mapped(value, self._copy)

    def _copy(self, tensor):
        state = (tensor.data_ptr(), tensor._version, tensor.dtype, tuple(tensor.shape), tensor.stride())
        if state not in self._copies:
            self._alive.append(tensor)  # so that no other tensor comes to its place
            self._copies[state] = tensor.detach().clone()
        return self._copies[state]


def _mapped(value, function):
    """A value of nested tuples, lists and dicts with a function applied to its tensors."""
    if hasattr(value, "data_ptr"):
        return function(value)
    if isinstance(value, dict):
        mapped = copy(value)
        for key, part in value.items():
            mapped[key] = _mapped(part, function)
        return mapped
    if isinstance(value, (tuple, list)):
        parts = [_mapped(part, function) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return value


def tensors(value):
    """The tensors of numbers in a value of nested tuples, lists and dicts."""
    found = []
    _mapped(value, lambda tensor: found.append(tensor) if tensor.is_floating_point() else None)
    return found


class Spots:
    """Places of a run, what a call reads or makes, with functions that look at them or put something else there."""

    def __init__(self):
        self._wanted, self._at, self._counts = [], {}, {}

    def add(self, place, is_read, at, function):
        """A function for the at-th tensor that a call reads (or makes); what it returns, if anything, replaces that."""
        self._wanted.append((place, is_read, at, function))

    @contextmanager
    def on(self, network):
        """While this holds, one run of the network."""
        self._at, self._counts, hooks = {}, {}, []
        for (name, nth), is_read, at, function in self._wanted:
            self._at.setdefault((network.get_submodule(name), is_read), []).append((nth, at, function))
        for module, is_read in self._at:
            if is_read:
                hooks.append(module.register_forward_pre_hook(self._reading, with_kwargs=True))
            else:
                hooks.append(module.register_forward_hook(self._making))
        try:
            yield
        finally:
            _remove(hooks)

    def _reading(self, module, args, kwargs):
        return self._through((module, True), (args, kwargs))

    def _making(self, module, args, result):
        return self._through((module, False), result)

    def _through(self, where, value):
        nth = self._counts[where] = self._counts.get(where, -1) + 1
        for wanted, at, function in self._at[where]:
            if wanted == nth:
                places = iter(range(10**6))
                value = _mapped(value, partial(_apply, function, at, places))
        return value


def _apply(function, at, places, tensor):
    if not tensor.is_floating_point() or next(places) != at:
        return tensor
    instead = function(tensor)
    return tensor if instead is None else instead


def same(a, b):
    """Whether two tensors hold the same numbers, up to shape and type."""
    return a.numel() == b.numel() and bool((a.flatten() == b.flatten().to(a.dtype)).all())


# --- layers ---


def find_layers(network, layers):
    """The norms and MLPs of some layers, by their numbers, and the calls of the run in which they were found."""
    calls = watch(network, probe(network))
    found = entries(network, calls)
    for layer in layers:
        integer_below(layer, len(found), "layer")
    return {layer: _layer(calls, found[layer]) for layer in layers}, calls


class Places(NamedTuple):
    """Where one layer's norm and MLP stand in every run of a network."""

    entry: Place
    norm: Place
    last: Place
    d: int
    is_tokens_first: bool  # what the norm reads is [n_tokens, n_texts, d]


def places(model, network, layers):
    """`Places` of some layers of a model, by their numbers: found once."""
    memory = known(model)
    new = [layer for layer in layers if not (is_integer(layer) and ("layer", layer) in memory)]
    if new:
        find_and_keep_places(model, network, new)
    return {layer: memory["layer", layer] for layer in layers}


def find_and_keep_places(model, network, layers):
    """`find_layers` of a model, for which `places` then needs no other run."""
    found, memory = find_layers(network, layers)[0], known(model)
    for layer, one in found.items():
        shape = one.residual.shape
        is_tokens_first = len(shape) == 3 and shape[1] == 1 < shape[0]
        memory["layer", layer] = Places(one.entry.place, one.norm.place, one.last.place, shape[-1], is_tokens_first)
    return found


def all_layers(model, network):
    """The places of all layers of a model, in order, whatever stands in them: found once."""
    memory = known(model)
    if "layers" not in memory:
        memory["layers"] = [call.place for call in entries(network, watch(network, probe(network)))]
    return memory["layers"]


def looks_back_only(model):
    """Whether no token of a model sees those behind it: if the last one changes, the others' vectors stay."""
    if is_bridge(model) and not reads_one_way(model):
        return False
    memory = known(model)
    if "looks back" not in memory:
        network, seen = network_of(model), []
        inputs, spots = probe(network), Spots()
        n_tokens = next(iter(inputs.values())).shape[-1]
        spots.add(all_layers(model, network)[-1], False, 0, lambda value: seen.append(value.reshape(n_tokens, -1)))
        for step in (0, 1):
            with spots.on(network):
                forward(network, {name: _with_another_last(value, step) for name, value in inputs.items()})
        memory["looks back"] = apart(*(array(value)[:-1] for value in seen)) <= 64 * _rounding(seen[0])
    return memory["looks back"]


def _with_another_last(tokens, step):
    tokens = tokens.clone()
    tokens[:, -1] = (tokens[:, -1] - step).abs()
    return tokens


def entries(network, calls):
    """The calls that are layers, in order: those of the outermost lists of modules that have MLPs in them.

    Several lists where an encoder's layers come before a decoder's; one call after the other where layers share their
    weights. Where no list has an MLP, the list with the most weights; without any list, the whole network.
    """
    import torch

    kinds = torch.nn.ModuleList, torch.nn.Sequential
    lists = [(name, part) for name, part in network.named_modules() if name and isinstance(part, kinds)]
    called = {}
    for name, part in lists:
        members = {id(member) for member in part}
        outermost = not any(name.startswith(f"{other}.") for other, _ in lists)
        if outermost and (ran := [call for call in calls if id(call.module) in members]):
            called[name] = ran
    with_mlps = [name for name, ran in called.items() if any(_mlps(calls, entry)[0] for entry in ran)]
    if called and not with_mlps:
        with_mlps = [max(called, key=lambda name: sum(p.numel() for p in network.get_submodule(name).parameters()))]
    found = [entry for name in with_mlps for entry in called[name]] or calls[-1:]
    return sorted(found, key=lambda call: call.start)


def head(model, network):
    """The place of the linear map that makes logits of what the last layer gave, [1, n_tokens, d]; None without one."""
    memory = known(model)
    if "head" not in memory:
        calls = watch(network, probe(network))
        logits, end = calls[-1].made[0], entries(network, calls)[-1].end
        makers = [call.place for call in calls[:-1] if call.start > end and is_linear(call) and _makes(call, logits)]
        memory["head"] = makers[-1] if makers else None
    return memory["head"]


def _makes(call, logits):
    return call.made[0].shape == logits.shape and call.read[0].shape[:-1] == logits.shape[:-1]


def _layer(calls, entry):
    if experts := _experts(entry):
        raise ValueError(
            f"model: expected an MLP of two or three matrices, got a mixture of experts ({entry.name}.{experts})."
        )
    found, trouble = _mlps(calls, entry)
    if len(found) != 1:
        what = " and ".join(f"one that ends with {last.name}" for _, last, _ in found) or "none"
        raise ValueError(
            f"model: expected one MLP in a layer, linear maps with a pointwise function between them, got {what} in "
            f"{entry.name or 'the network'} ({type(entry.module).__name__}){trouble}."
        )
    firsts, last, replay = found[0]
    gate, up, rows, between = _gate_and_up(firsts, last, replay)
    if up is not None and not same(gate.read[0], up.read[0]):
        raise ValueError(f"model: expected a gated MLP whose two maps read the same, got {gate.name} and {up.name}.")
    norm = _norm(calls, gate, entry)
    for call in calls:
        call.double = None
    return Layer(entry, norm, gate, up, last, rows, between)


def _experts(entry):
    """The name of a part by which a layer gives itself away as a mixture of experts; None if it is none.

    Its output is a sum over experts that a router chooses, however many of them are MLPs that could be read.
    """
    for name, part in entry.module.named_modules():
        if "expert" in f"{name.rsplit('.', 1)[-1]} {type(part).__name__}".lower():
            return name
    return None


def _mlps(calls, entry):
    """The MLPs in a layer, each as first maps, last map and what runs them again; and what went wrong on the way."""
    maps = sorted((call for call in calls if entry.holds(call) and is_linear(call)), key=lambda call: call.start)
    found, trouble = [], ""
    for at, last in enumerate(maps):
        firsts = []
        for first in _together(maps[:at], last):
            try:
                if _meet_pointwise(first, last, calls):
                    firsts.append(first)
            except Exception as error:
                gist = " ".join(str(error).split())[:200]
                trouble = f", where {first.name} to {last.name} cannot be run alone: {gist}"
        replay = _Replay([*firsts, last], calls)
        if firsts and _is_the_same_everywhere(firsts, last, replay):
            found.append((firsts, last, replay))
    return found, trouble


def _together(before, last):
    """Of the linear maps that ran before another, those right before it that read one and the same tensor, and fit."""
    if not before or same(before[-1].read[0], last.read[0]):
        return []
    read, m = before[-1].read[0], last.read[0].shape[-1]
    together = list(takewhile(lambda call: same(call.read[0], read), reversed(before)))
    return [call for call in reversed(together) if call.made[0].shape[-1] in (m, 2 * m)]


def is_linear(call):
    weight: Any = getattr(call.module, "weight", None)
    if getattr(weight, "ndim", 0) != 2 or len(call.read) != 1 or len(call.made) != 1:
        return False
    ends = (call.read[0].shape[-1], call.made[0].shape[-1])
    return tuple(weight.shape) in (ends, ends[::-1])


def _meet_pointwise(first, last, calls):
    """Whether each number that the last map reads depends on one of the first's, or on two at fixed places."""
    replay, draw = _Replay([first, last], calls), np.random.default_rng(0)
    m, n = last.read[0].shape[-1], first.made[0].shape[-1]
    a, b = draw.standard_normal((2, *first.made[0].shape))
    changed = draw.random(a.shape) < 0.3
    before, after = (replay({first: x}, last).reshape(-1, m) for x in (a, np.where(changed, b, a)))
    differs, changed = before != after, changed.reshape(-1, n)
    if len(differs) != len(changed) or not differs.any():
        return False
    if n == m:
        slope = ((after - before) / (b - a).reshape(-1, n))[changed]
        # one slope everywhere: two linear maps in a row, or the stream with what the first gives added to it
        return not (differs & ~changed).any() and np.ptp(slope) > 1e-6 * np.abs(slope).max()
    return any(not (differs & ~changed[:, order(m)].any(axis=1)).any() for order in _ORDERS.values())


def _is_the_same_everywhere(firsts, last, replay):
    """Whether the same numbers at each place give the same: attention behind a gate gives each place its own."""
    whole = [np.full(first.made[0].shape, 0.7 - k) for k, first in enumerate(firsts)]
    made = replay(dict(zip(firsts, whole, strict=True)), last)
    return np.ptp(made) <= 1e-12 * np.abs(made).max()


def _gate_and_up(firsts, last, replay):
    """Which of the first maps is the gate's, and which the one that is multiplied."""
    m = last.read[0].shape[-1]
    in_one = firsts[0].made[0].shape[-1] == 2 * m
    if len(firsts) == 1 and not in_one:
        return firsts[0], None, None, Between(replay, firsts[0], None, last, None)
    ways = []
    if len(firsts) == 1:
        ways = [(firsts[0], None, rows) for order in _ORDERS.values() for rows in (order(m), order(m)[::-1])]
    elif len(firsts) == 2:
        ways = [(gate, up, None) for gate, up in (firsts, firsts[::-1])]
    for gate, up, rows in ways:
        between = Between(replay, gate, up, last, rows)
        if between.is_product():
            return gate, up, rows, between
    raise ValueError(
        f"model: expected act(gate) or act(gate) * up between an MLP's maps, got something else between "
        f"{', '.join(call.name for call in firsts)} and {last.name}."
    )


def _part(call, rows):
    """Some outputs of a linear map that is gate and up in one, as a map of its own."""
    import torch

    W, b = read_linear(call.module, call.name, Runner(call.module))
    part: Any = torch.nn.utils.skip_init(torch.nn.Linear, len(W), len(rows), dtype=torch.float64)
    with torch.no_grad():
        part.weight.copy_(torch.from_numpy(W.T[rows]))
        part.bias.copy_(torch.from_numpy(b[rows]))
    return part


def _norm(calls, first, entry):
    """The call of the norm whose output a first map reads; of the identity, where that stands in its place."""
    import torch

    read = first.read[0]
    earlier = [call for call in calls if call.end < first.start]
    makers = [call for call in earlier if call.read and any(same(made, read) for made in call.made)]
    # in the order in which they ended: who made it comes before who passes it on
    if makers and not any(same(x, read) for x in makers[0].read):
        inner = [makers[0], *(call for call in earlier if makers[0].holds(call))]
        if not any(is_linear(call) for call in inner):
            return makers[0]
    for call in makers:
        if isinstance(call.module, torch.nn.Identity):
            return call
    raise ValueError(
        f"model: expected an MLP that reads what a norm puts out, got one whose {first.name} reads "
        f"{_what_it_reads(calls, first, entry, makers)}."
    )


def _what_it_reads(calls, first, entry, makers):
    read = first.read[0]
    if any(same(x, read) for x in entry.read):
        return "the raw residual stream, what enters the layer"
    if total := as_sum(calls, read, first.start):
        return f"the raw residual stream, with what {total.part.name} added to it"
    if makers:
        return f"what {makers[0].name} ({type(makers[0].module).__name__}) puts out"
    return "what no module puts out, so that nothing tells how it was made"


@dataclass(eq=False, repr=False)
class Sum:
    """A tensor of a run as a sum of two others: a * (what ``of`` read or made) + b * (what ``part`` made)."""

    a: float
    of: Place
    is_read: bool
    at: int
    b: float
    part: Place


def as_sum(calls, x, start):
    """How a run came to x before ``start``: what a module made, added to another tensor; None if it did not."""
    before = [call for call in calls if call.end < start][-_RECENT:]
    around = [call for call in calls if call.start < start < call.end]
    target, near = array(x).ravel(), max(1e-9, 64 * _rounding(x))

    def numbers(call, is_read):
        for at, value in enumerate(call.read if is_read else call.made):
            if value.numel() == x.numel() and not same(value, x):
                yield at, array(value).ravel()

    known = [(call, True, *found) for call in (*around, *before) for found in numbers(call, True)]
    known += [(call, False, *found) for call in before for found in numbers(call, False)]
    for part in reversed(before):
        for added in [values for at, values in numbers(part, False) if at == 0]:
            for of, is_read, at, base in known:
                (a, b), *_ = np.linalg.lstsq(np.stack([base, added], axis=1), target, rcond=None)
                off = np.abs(a * base + b * added - target).max()
                if of is not part and off <= near * np.abs(target).max() and min(abs(a), abs(b)) > 1e-6:
                    return Sum(float(a), of.place, is_read, at, float(b), part.place)
    return None


def _rounding(x):
    import torch

    return torch.finfo(x.dtype).eps
