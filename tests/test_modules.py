"""NormedMLP.from_modules: blocks out of any torch modules, read by what they compute, and proven against them."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from transformers.activations import ACT2FN
from transformers.models.gemma.modeling_gemma import GemmaRMSNorm
from transformers.models.llama.modeling_llama import LlamaRMSNorm
from transformers.pytorch_utils import Conv1D

from lnpoly_helpers import NormedMLP, crossings, fold_layer_norm
from lnpoly_helpers.activations import ACTIVATIONS, OTHER_NAMES

D, M = 24, 40


class Dyt(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(D)), nn.Parameter(torch.zeros(D))

    def forward(self, x):
        return self.weight * torch.tanh(0.5 * x) + self.bias


class OnePlus(nn.Module):
    """A LayerNorm that scales by 1 + weight, and names its eps in no usual way."""

    def __init__(self):
        super().__init__()
        self.weight, self.bias, self.tiny = nn.Parameter(torch.zeros(D)), nn.Parameter(torch.zeros(D)), 3e-4

    def forward(self, x):
        centred = x - x.mean(-1, keepdim=True)
        return centred / (centred.pow(2).mean(-1, keepdim=True) + self.tiny).sqrt() * (1 + self.weight) + self.bias


class Bare(nn.Module):
    """Without any parameter; computes in float32, as many do."""

    def forward(self, x):
        y = x.to(torch.float32)
        return (y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + 1e-6)).to(x.dtype)


NORMS = {  # a norm, its kind and its eps
    "LayerNorm": (lambda: nn.LayerNorm(D), "layernorm", 1e-5),
    "LayerNorm without parameters": (lambda: nn.LayerNorm(D, elementwise_affine=False, eps=1e-12), "layernorm", 1e-12),
    "LayerNorm without bias": (lambda: nn.LayerNorm(D, bias=False, eps=0.1), "layernorm", 0.1),
    "LayerNorm without eps": (lambda: nn.LayerNorm(D, eps=0.0), "layernorm", 0.0),
    "1 + weight": (OnePlus, "layernorm", 3e-4),
    "RMSNorm": (lambda: nn.RMSNorm(D, eps=1e-6), "rmsnorm", 1e-6),
    "RMSNorm by default": (lambda: nn.RMSNorm(D), "rmsnorm", 2.0**-52),
    "Llama's": (lambda: LlamaRMSNorm(D, eps=1e-5), "rmsnorm", 1e-5),
    "Gemma's": (lambda: GemmaRMSNorm(D, eps=1e-6), "rmsnorm", 1e-6),
    "bare": (Bare, "rmsnorm", 1e-6),
    "identity": (nn.Identity, "none", 0.0),
    "none": (lambda: None, "none", 0.0),
}


def noisy(module, seed=0):
    """In place: noise on every parameter, so that no scale is 1 and no bias 0."""
    if module is not None:
        generator = torch.Generator().manual_seed(seed)
        for parameter in module.parameters():
            parameter.data += 0.3 * torch.randn(parameter.shape, generator=generator).to(parameter)
    return module


def parts(norm, *, linear=nn.Linear, gated=False, dtype=torch.float64):
    made = linear(D, M), linear(M, D), *([linear(D, M)] if gated else [])
    if linear is Conv1D:
        made = Conv1D(M, D), Conv1D(D, M), *([Conv1D(M, D)] if gated else [])
    modules = [norm, *(noisy(module, k) for k, module in enumerate(made, 1))]
    return [module if module is None else module.to(dtype) for module in modules]


def own(modules, activation, x):
    norm, first, last, *up = modules
    z = x if norm is None else norm(x)
    hidden = activation(first(z))
    return last(hidden * up[0](z) if up else hidden)


@pytest.mark.parametrize("gated", [False, True], ids=["two matrices", "gated"])
@pytest.mark.parametrize("name", NORMS)
def test_every_norm_is_read_by_what_it_computes(rng, name, gated):
    make, kind, eps = NORMS[name]
    modules = parts(noisy(make()), gated=gated)
    before = copy.deepcopy([m.state_dict() for m in modules if m is not None])
    block = NormedMLP.from_modules(*modules[:3], nn.SiLU(), *modules[3:])
    assert (block.kind, block.activation, block.is_gated) == (kind, "silu", gated)
    assert block.eps == pytest.approx(eps, rel=1e-12)
    for length in (1e-3, 1.0, 100.0):
        x = length * rng.normal(size=(50, D)) + 0.2 * length
        with torch.no_grad():
            expected = own(modules, nn.SiLU(), torch.tensor(x)).numpy()
        off = np.abs(block(x) - expected).max(axis=1) / np.abs(expected).max(axis=1)
        assert off.max() < (1e-5 if name in ("Llama's", "Gemma's", "bare") else 1e-12)  # those compute in float32
    after = [m.state_dict() for m in modules if m is not None]
    assert all(torch.equal(a[key], b[key]) for a, b in zip(before, after, strict=True) for key in a)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("linear", [nn.Linear, Conv1D])
def test_any_dtype_and_both_ways_to_store_a_matrix(rng, linear, dtype):
    modules = parts(noisy(nn.LayerNorm(D)), linear=linear, dtype=dtype)
    block = NormedMLP.from_modules(*modules, "gelu_pytorch_tanh")
    assert {module.weight.dtype for module in modules} == {dtype}
    exact = [copy.deepcopy(module).double() for module in modules]
    x = rng.normal(size=(20, D))
    with torch.no_grad():
        expected = own(exact, lambda h: nn.functional.gelu(h, approximate="tanh"), torch.tensor(x)).numpy()
    np.testing.assert_allclose(block(x), expected, rtol=1e-11, atol=1e-12)
    weight = modules[1].weight.detach().double().numpy()
    np.testing.assert_array_equal(block.W_in, weight if linear is Conv1D else weight.T)


def test_an_eps_that_depends_on_the_type_is_that_of_the_modules_own():
    modules = parts(noisy(nn.RMSNorm(D)), dtype=torch.float32)
    assert NormedMLP.from_modules(*modules, "relu").eps == torch.finfo(torch.float32).eps


@pytest.mark.parametrize("linear", [nn.Linear, Conv1D])
def test_a_square_matrix_is_the_right_way_round(rng, linear):
    modules = [nn.LayerNorm(D).double(), *(noisy(linear(D, D), k).double() for k in (1, 2))]
    block, x = NormedMLP.from_modules(*modules, "relu"), rng.normal(size=(5, D))
    with torch.no_grad():
        np.testing.assert_allclose(block(x), own(modules, torch.relu, torch.tensor(x)).numpy(), atol=1e-12)


FOUND = {"gelu_new": "gelu_new", "gelu_fast": "gelu_new", "gelu": "gelu", "silu": "silu", "swish": "silu"}
FOUND |= {"relu": "relu", "quick_gelu": "quick_gelu", "relu2": "relu2", "gelu_pytorch_tanh": "gelu_new"}


@pytest.mark.parametrize("name", FOUND)
def test_an_activation_is_the_one_whose_values_it_has(name):
    modules = parts(nn.LayerNorm(D))
    assert NormedMLP.from_modules(*modules, ACT2FN[name]).activation == FOUND[name]
    assert NormedMLP.from_modules(*modules, lambda h: ACT2FN[name](h)).activation == FOUND[name]


@pytest.mark.parametrize("name", [*ACTIVATIONS, *OTHER_NAMES])
def test_a_name_stands_for_the_values_that_transformers_gives_it(name):
    """gelu_10, say, is gelu up to 10 and no further."""
    h = torch.linspace(-40, 40, 4001, dtype=torch.float64)
    ours = ACTIVATIONS[OTHER_NAMES.get(name, name)].value(h.numpy())
    theirs = {"relu_squared": "relu2"}.get(name, name)
    np.testing.assert_allclose(ACT2FN[theirs](h).numpy(), ours, rtol=1e-9, atol=1e-9)
    with pytest.raises(ValueError, match="activation: expected one of"):
        NormedMLP.from_modules(*parts(nn.LayerNorm(D)), ACT2FN["gelu_10"])


def test_what_computes_something_else_is_refused_with_what_it_is():
    good = parts(nn.LayerNorm(D))
    cases = [
        ((Dyt().double(), *good[1:], "relu"), "norm: expected gamma .* got Dyt that computes something else"),
        ((nn.GroupNorm(4, D).double(), *good[1:], "relu"), "norm: expected gamma .* got GroupNorm that computes"),
        ((good[0], nn.Bilinear(D, D, M).double(), good[2], "relu"), "first: expected a linear map"),
        ((good[0], good[2], good[1], "relu"), f"first: expected a linear map x @ W \\+ b that reads {D} numbers"),
        ((good[0], good[1], good[1], "relu"), f"last: expected a linear map x @ W \\+ b that reads {M} numbers"),
        ((*good, nn.Softplus()), "activation: expected one of relu, .* got Softplus.* the nearest"),
        ((*good, "mish"), "activation: expected one of 'relu', .* got 'mish'"),
        ((None, "a", "b", "relu"), "expected torch modules with weights, got str, str"),
    ]
    for arguments, says in cases:
        with pytest.raises((TypeError, ValueError), match=says):
            NormedMLP.from_modules(*arguments)


def test_from_modules_to_crossings_in_four_lines(rng):
    norm, first, last, up = parts(noisy(nn.RMSNorm(D)), gated=True)
    x = rng.normal(size=(2, D))
    mlp = fold_layer_norm(NormedMLP.from_modules(norm, first, last, nn.SiLU(), up))
    z = mlp.to_sphere(x)
    found = crossings(mlp, z[0], z[1])
    signs = np.sign(first(norm(torch.tensor(x))).detach().numpy())
    assert np.bincount(found.neurons, minlength=M)[signs[0] != signs[1]].min() == 1
