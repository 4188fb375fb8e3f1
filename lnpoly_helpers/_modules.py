"""From torch modules to arrays: what a norm and a linear map compute, found by running them.

No class name is asked and torch is not imported: a module is called on tensors made of its own weights, in float64.
"""

from copy import deepcopy

import numpy as np

from ._inputs import as_float64

_CLOSE = 1e-5  # relative: many a library's norm computes in float32 whatever it is given
_ROUNDING = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}


class Runner:
    """Calls modules on NumPy arrays [n, d], in float64 on the CPU: copies of them, so that the model stays as it is."""

    def __init__(self, *modules):
        tensors = [tensor for module in modules for tensor in getattr(module, "parameters", list)()]
        if not tensors:
            raise TypeError(
                "norm, first, last: expected torch modules with weights, got "
                f"{', '.join(type(module).__name__ for module in modules)}."
            )
        self._like = tensors[0].detach().cpu().double()
        self._rounding = _ROUNDING.get(str(tensors[0].dtype).removeprefix("torch."))

    def tensor(self, x):
        """A float64 tensor of the values of x."""
        return self._like.new_tensor(np.asarray(x, dtype=np.float64))

    def copy(self, module):
        """The module in float64 on the CPU, for evaluation; a plain function as it is."""
        if not hasattr(module, "double"):
            return module
        module = deepcopy(module).cpu().double().eval()
        if getattr(module, "eps", 0.0) is None:  # torch's RMSNorm then adds the rounding error of its own type
            module.eps = self._rounding
        return module

    def of(self, module):
        """A function from arrays to arrays that computes what the module does."""
        module = self.copy(module)

        def run(x):
            result = module(self.tensor(x))
            return result.detach().cpu().double().numpy()

        return run


def read_linear(module, name, runner, *, d_in=None):
    """W [d_in, d_out] and b [d_out] of a linear map, x @ W + b.

    torch's Linear stores W.T and the Conv1D of Hugging Face's GPT-2 stores W: which of the two it is, or neither,
    shows when the module runs.
    """
    weight = getattr(module, "weight", None)
    if weight is None or weight.ndim != 2:
        raise TypeError(f"{name}: expected a linear map with a weight of two axes, got {type(module).__name__}.")
    stored, run = as_float64(weight, "weight"), runner.of(module)
    rng = np.random.default_rng(0)
    for W in (stored.T, stored):
        if d_in is not None and len(W) != d_in:
            continue
        x = rng.standard_normal((4, len(W)))
        try:
            y, b = run(x), run(np.zeros((1, len(W))))[0]
        except (RuntimeError, ValueError, TypeError):  # the other way round
            continue
        expected = x @ W + b
        if y.shape == expected.shape and np.abs(y - expected).max() <= _CLOSE * np.abs(y).max():
            bias = getattr(module, "bias", None)
            exact = np.zeros_like(b) if bias is None else as_float64(bias, "weight")
            return W, exact if np.abs(exact - b).max() <= _CLOSE * max(np.abs(b).max(), 1e-30) else b
    wanted = "" if d_in is None else f" that reads {d_in} numbers"
    raise ValueError(
        f"{name}: expected a linear map x @ W + b{wanted}, got {type(module).__name__} with a weight of shape "
        f"{list(stored.shape)} that computes something else."
    )


def read_norm(norm, d, runner):
    """Kind, gamma [d], beta [d] and eps of a norm, by what it computes: gamma * normalize(x, eps, kind) + beta.

    Probe vectors tell whether it forgets the mean and the length, and its gamma, beta and eps; random ones, long and
    short, prove it.
    """
    if norm is None:
        return "none", np.ones(d), np.zeros(d), 0.0
    norm = runner.copy(norm)
    run = runner.of(norm)
    rng = np.random.default_rng(0)
    signs = rng.choice([-1.0, 1.0], size=(3, d)) * rng.uniform(0.5, 1.5, size=(3, d))
    try:
        if run(signs).shape != signs.shape:
            raise ValueError(f"it makes {list(run(signs).shape)} of them")
    except Exception as error:
        gist = " ".join(str(error).split())[:200]
        raise _no_norm(norm, f"it does not run on vectors [3, {d}]: {gist}") from None

    def probe(length):
        """Vectors of some length, what the norm makes of them, and which of the two kinds it is there, if any."""
        x = length * signs
        y, size = run(x), np.abs(run(x) - run(-x)).max() / 2

        def same(a, b):
            return np.abs(a - b).max() <= _CLOSE * size

        kind = None
        if same(run(2 * x), y):
            kind = "layernorm" if same(run(x + 0.3 * length), y) else "rmsnorm"
        elif same(run(2 * x) - run(x), (run(x) - run(-x)) / 2):
            kind = "none"
        return x, y, kind

    # long enough for eps to be forgotten, which in networks without norms is 1e12 (LayerNorm kept as a linear map)
    probes = [probe(length) for length in (1e3, 1e9, 1e15)]
    x, y, kind = next((found for found in probes if found[2] in ("layernorm", "rmsnorm")), probes[0])
    if kind is None:
        raise _no_norm(norm, "it is neither scale-invariant nor linear")
    beta = (y + run(-x))[0] / 2
    centred = x - x.mean(axis=1, keepdims=True) if kind == "layernorm" else x
    unit = centred / np.sqrt(np.mean(centred**2, axis=1, keepdims=True)) if kind != "none" else centred
    best = np.abs(unit).argmax(axis=0), np.arange(d)
    gamma = _exact((y - beta)[best] / unit[best], norm, "weight", d)
    beta = _exact(beta, norm, "bias", d, scale=np.abs(gamma).max())
    eps = 0.0 if kind == "none" else _eps(norm, run, unit, gamma, beta)
    for length in (1e-6, 1e-2, 1.0, 50.0):
        x = length * (rng.standard_normal((8, d)) + 0.3)
        mean = x.mean(axis=1, keepdims=True) if kind == "layernorm" else 0.0
        scale = 1.0 if kind == "none" else np.sqrt(np.mean((x - mean) ** 2, axis=1, keepdims=True) + eps)
        expected, found = gamma * (x - mean) / scale + beta, run(x)
        off = np.abs(found - expected).max(axis=1) / np.maximum(np.abs(expected - beta).max(axis=1), 1e-300)
        rounding = 1e-6 * np.abs(beta).max() / np.maximum(np.abs(expected - beta).max(axis=1), 1e-300)
        if (off > 10 * _CLOSE + rounding).any():
            raise _no_norm(norm, f"for vectors of standard deviation {length:g} it is off by {off.max():.1e}")
    return kind, gamma, beta, eps


def _exact(found, norm, field, d, scale=None):
    """What was found to a few digits, with all of them: out of the module's own parameter, if it is there."""
    scale = np.abs(found).max() if scale is None else scale
    stored = getattr(norm, field, None)
    candidates = [np.zeros(d), np.ones(d)]
    if stored is not None and tuple(stored.shape) == (d,):
        candidates = [as_float64(stored, "weight"), 1.0 + as_float64(stored, "weight"), *candidates]
    for candidate in candidates:
        if np.abs(candidate - found).max() <= _CLOSE * max(scale, 1e-30):
            return candidate
    return found


def _eps(norm, run, unit, gamma, beta):
    """What the norm adds to the variance: as one of its numbers says, else as short vectors show."""
    wide = np.abs(gamma) > 0.1 * np.abs(gamma).max()
    found = 0.0
    for size in 10.0 ** np.arange(13, -10, -2):  # short enough for eps to show, long enough for float32
        y = run(size * unit) - beta
        ratio = np.median((y[:, wide] / (gamma * unit)[:, wide]), axis=1).mean()  # s / sqrt(s^2 + eps)
        if 0 < ratio < 0.9:
            found = size**2 * (1 / ratio**2 - 1)
            break
    numbers = {v for v in vars(norm).values() if isinstance(v, float) and v > 0}
    near = [v for v in numbers if abs(v - found) <= 0.05 * found]
    if near:
        return min(near, key=lambda v: abs(v - found))
    written = float(f"{found:.6g}")  # in the code of the norm
    return written if abs(written - found) <= 1e-9 * found else found


def _no_norm(norm, why):
    return ValueError(
        f"norm: expected gamma * (x - mean) / sqrt(variance + eps) + beta, with or without the mean, or no norm, got "
        f"{type(norm).__name__} that computes something else: {why}."
    )
