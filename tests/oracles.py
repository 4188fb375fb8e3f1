"""Slow definitions for the tests: close to the mathematics, and none of the package's own formulas."""

from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np

from lnpoly_helpers import NormedMLP, fold_layer_norm, normalize

NORMS = ("layernorm", "rmsnorm")
ACTIVATIONS = ("relu", "gelu", "gelu_new")


def random_block(rng, d, m, *, kind="layernorm", activation="relu", eps=0.0, d_out=None, gated=False):
    """A block whose pre-activations are of order 1 and whose gamma and beta are far from 1 and 0."""
    d_out = d if d_out is None else d_out
    up = {"W_up": rng.normal(size=(d, m)) / np.sqrt(d), "b_up": 0.3 * rng.normal(size=m)} if gated else {}
    return NormedMLP(
        gamma=1 + 0.5 * rng.normal(size=d),
        beta=rng.normal(size=d),
        W_in=rng.normal(size=(d, m)) / np.sqrt(d),
        b_in=0.3 * rng.normal(size=m),
        W_out=rng.normal(size=(m, d_out)) / np.sqrt(m),
        b_out=rng.normal(size=d_out),
        activation=activation,
        eps=eps,
        kind=kind,
        **up,
    )


def random_mlp(rng, d, m, **kwargs):
    return fold_layer_norm(random_block(rng, d, m, **kwargs))


def random_points(rng, *shape, kind="layernorm"):
    """Two batches of points of the sphere."""
    return normalize(rng.normal(size=(2, *shape)), kind=kind)


def exact_normalize(x, eps, kind):
    """The definition in 80 digits; the float64 inputs are taken as the exact numbers that they are."""
    with localcontext() as context:
        context.prec = 80
        x = [Decimal(float(v)) for v in x]
        d = len(x)
        mean = sum(x) / d if kind == "layernorm" else 0
        centred = [v - mean for v in x]
        variance = sum(v * v for v in centred) / d
        return np.array([float(v / (variance + Decimal(float(eps))).sqrt()) for v in centred])


def torch_activations():
    """Every activation as torch has it, or made of what torch has."""
    import torch
    from torch.nn import functional as F

    return {
        "relu": torch.relu,
        "gelu": F.gelu,
        "gelu_new": lambda h: F.gelu(h, approximate="tanh"),
        "silu": F.silu,
        "quick_gelu": lambda h: h * torch.sigmoid(1.702 * h),
        "relu2": lambda h: torch.relu(h) ** 2,
    }


def torch_block(block):
    """The block made of torch's own modules, in float64: a function from a tensor to (pre-activations, output)."""
    import torch

    d, m = block.W_in.shape
    norm = {
        "layernorm": lambda: torch.nn.LayerNorm(d, eps=block.eps),
        "rmsnorm": lambda: torch.nn.RMSNorm(d, eps=block.eps),
    }
    to_hidden, to_output = torch.nn.Linear(d, m).double(), torch.nn.Linear(m, block.W_out.shape[1]).double()
    act = torch_activations()[block.activation]
    tensor = lambda array: torch.tensor(np.array(array))  # noqa: E731
    gamma, beta = tensor(block.gamma), tensor(block.beta)
    with torch.no_grad():
        to_hidden.weight.copy_(tensor(block.W_in).T)
        to_hidden.bias.copy_(tensor(block.b_in))
        to_output.weight.copy_(tensor(block.W_out).T)
        to_output.bias.copy_(tensor(block.b_out))
        if block.W_up is not None:
            to_up = torch.nn.Linear(d, m).double()
            to_up.weight.copy_(tensor(block.W_up).T)
            to_up.bias.copy_(tensor(block.b_up))

    def run(x):
        z = norm[block.kind]().double()(x) if block.kind in norm else x
        pre = to_hidden(gamma * z + beta)
        return pre, to_output(act(pre) if block.W_up is None else act(pre) * to_up(gamma * z + beta))

    return run


def bisect(f, low, high):
    """Where f changes sign between low and high, to the last bit; f(low) and f(high) have different signs."""
    start = f(low) > 0
    assert start != (f(high) > 0)
    while low < (middle := 0.5 * (low + high)) < high:
        if (f(middle) > 0) == start:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def dense_scan(preactivations, low, high, steps):
    """Every change of sign from low to high, in order: (before, after, neuron, turns on).

    A step that holds more than one is scanned again in ten, and so on until the closest pair is apart. A neuron that
    changes twice within one step goes unseen.
    """
    grid = np.linspace(low, high, steps + 1)
    on = preactivations(grid) > 0
    found = []
    for k in np.flatnonzero((on[1:] != on[:-1]).any(axis=1)):
        neurons = np.flatnonzero(on[k + 1] != on[k])
        if len(neurons) > 1 and grid[k + 1] - grid[k] > 1e-13:
            found += dense_scan(preactivations, grid[k], grid[k + 1], 10)
        else:
            found += [(grid[k], grid[k + 1], i, on[k + 1, i]) for i in neurons]
    return found


def sqrt_of(fraction):
    """The square root of an exact fraction, correctly rounded to a float."""
    with localcontext() as context:
        context.prec = 60
        return float((Decimal(fraction.numerator) / Decimal(fraction.denominator)).sqrt())


def exact_height(normal, offset, y):
    """normal . y + offset as an exact fraction, for float inputs."""
    return sum(Fraction(float(a)) * Fraction(float(b)) for a, b in zip(normal, y, strict=True)) + Fraction(
        float(offset)
    )


def circle_distance(a, b):
    """The angle between two directions of the circle, at most pi."""
    return np.abs((np.asarray(a) - np.asarray(b) + np.pi) % (2 * np.pi) - np.pi)
