"""Check what callers pass in, once, with one style of message: expected, received, remedy.

Every room may import this one. It also says how long vectors are, at any scale that float64 has, and has the words of
the annotations: ``Real[ArrayLike,
"... d"]`` for what is taken (arrays, nested lists, torch tensors of any float type on any device), ``Float[np.ndarray,
"... d"]``, ``Int`` and ``Bool`` for what is returned.
"""

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from math import isfinite
from operator import index
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable
from weakref import WeakValueDictionary

import numpy as np

if TYPE_CHECKING or "jaxtyping" in sys.modules:
    # with shapes, for those who look at them: the tests, a type checker, the pages of the reference
    from jaxtyping import Bool, Float, Int, Real
else:

    class _AnyShape:
        """``Float[np.ndarray, "n d"]`` without jaxtyping, which no user needs: np.ndarray."""

        def __class_getitem__(cls, item):
            return item[0]

    Bool = Float = Int = Real = _AnyShape


@runtime_checkable
class Tensor(Protocol):
    """What a torch tensor has; this package does not import torch to say so."""

    shape: Any
    dtype: Any

    def detach(self) -> Any: ...

    def cpu(self) -> Any: ...


if TYPE_CHECKING:  # numpy.typing's has no tensors
    ArrayLike: TypeAlias = np.ndarray | np.generic | Tensor | Sequence | float
else:  # what has a shape that can be checked
    ArrayLike = np.ndarray | Tensor


def length(x, axis=-1, keepdims=False):
    """np.linalg.norm along an axis, to the last bit, and right also where the squares overflow or underflow."""
    with np.errstate(over="ignore", under="ignore"):
        size = np.linalg.norm(x, axis=axis, keepdims=True)
    if not ((size > 1e-140) & (size < np.inf)).all():
        x, exponent = at_unit_scale(x, axis)
        size = np.ldexp(np.linalg.norm(x, axis=axis, keepdims=True), exponent)
    return size if keepdims else np.squeeze(size, axis)[()]


def at_unit_scale(x, axis=None):
    """x times the power of two, which costs no digit, that makes its largest number 1/2 to 1; and minus that power."""
    exponent = np.frexp(np.abs(x).max(axis=axis, keepdims=True))[1]
    return np.ldexp(x, -exponent), exponent


KINDS = ("layernorm", "rmsnorm", "none")
_NORM_NAMES = {"layernorm": "LayerNorm", "rmsnorm": "RMSNorm"}


def as_float64(x, name, *, shape=None, infinite=False):
    """Return ``x`` as a finite float64 array.

    Parameters
    ----------
    x : array_like
        Real numbers; anything that NumPy can read, and torch tensors of any type, with a gradient, on any device.
    name : str
        What the caller calls it; the messages begin with it.
    shape : tuple, optional
        The shape expected. An int is a fixed length, a str names a free one and a leading
        ``...`` stands for any batch, as in ``(..., 768)`` or ``("m", "d")``.
    infinite : bool
        Take infinities too.

    Raises
    ------
    TypeError
        ``x`` does not hold real numbers.
    ValueError
        ``x`` has another shape, is empty, or holds NaN or infinity.
    """
    array = as_array(x, name)
    if array.dtype.kind not in "fiu":
        raise TypeError(
            f"{name}: expected real numbers (float or integer), got dtype {array.dtype}. "
            f"Convert it first, for example with np.asarray({name}, dtype=np.float64)."
        )
    if shape is not None and not _fits(array.shape, shape):
        wanted = ", ".join("..." if n is ... else str(n) for n in shape)
        raise ValueError(f"{name}: expected shape [{wanted}], got {list(array.shape)}.")
    if array.size == 0:
        raise ValueError(f"{name}: expected at least one number, got an empty array of shape {list(array.shape)}.")
    array = array.astype(np.float64, copy=False)
    bad = np.isnan(array) if infinite else ~np.isfinite(array)
    if bad.any():
        bad = np.argwhere(bad)
        where = tuple(int(i) for i in bad[0])
        raise ValueError(
            f"{name}: expected {'' if infinite else 'finite '}numbers, got {len(bad)} "
            f"NaN{'' if infinite else ' or infinite'}, the first at index {where}. "
            f"Remove them or find out where they come from."
        )
    return array


def as_weights(x, name, shape):
    """`as_float64` of a matrix; one that fits the other way round is refused as what torch stores."""
    array = as_float64(x, name)
    if not _fits(array.shape, shape) and array.ndim == 2 and _fits(array.shape[::-1], shape):
        raise ValueError(
            f"{name}: expected shape [{', '.join(map(str, shape))}], got {list(array.shape)}, which fits the other way "
            f"round. torch's Linear stores [out, in]: pass linear.weight.T, or the modules themselves to "
            f"NormedMLP.from_modules(norm, first, last, activation)."
        )
    return as_float64(array, name, shape=shape)


def as_array(x, name, wanted="an array of real numbers"):
    """Return ``x`` as a NumPy array of whatever type, or a TypeError that says why NumPy cannot read it.

    Masked values, which NumPy would take for numbers, are refused.
    """
    if n_masked := _n_masked(x):
        raise ValueError(
            f"{name}: expected numbers without a mask, got {n_masked} masked. "
            f"Leave out what is masked, or give it values: {name}.filled(value)."
        )
    try:
        return np.asarray(_from_torch(x))
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(
            f"{name}: expected {wanted}, got {type(x).__name__} that NumPy cannot read ({error})."
        ) from None


def _from_torch(x):
    """A torch tensor, or a list of them, as NumPy arrays: without its gradient, from its device."""
    if isinstance(x, (list, tuple)):
        return [_from_torch(part) for part in x] if any(map(_holds_tensor, x)) else x
    if not _is_tensor(x):
        return x
    x = x.detach().cpu()
    try:
        return x.numpy()
    except TypeError:  # bfloat16, which NumPy does not have; float32 holds it exactly
        return x.float().numpy()


def _n_masked(x):
    """How many values a masked array, or a list of them, hides."""
    if isinstance(x, (list, tuple)):
        return sum(map(_n_masked, x)) if x and isinstance(x[0], (list, tuple, np.ndarray)) else 0
    return int(np.ma.getmaskarray(x).sum()) if isinstance(x, np.ma.MaskedArray) else 0


def _is_tensor(x):
    return hasattr(x, "detach") and hasattr(x, "cpu")


def _holds_tensor(x):
    return _is_tensor(x) or (isinstance(x, (list, tuple)) and any(map(_holds_tensor, x)))


def require_broadcast(names, *shapes):
    """The shape that the shapes broadcast to, or a ValueError that names the arguments."""
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        raise ValueError(
            f"{names}: expected shapes that broadcast, got {' and '.join(str(list(shape)) for shape in shapes)}. "
            f"Insert axes of length 1 where they shall meet, as in z[:, None]."
        ) from None


def _fits(actual, wanted):
    if wanted and wanted[0] is ...:
        wanted = wanted[1:]
        if len(actual) < len(wanted):
            return False
        actual = actual[len(actual) - len(wanted) :]
    return len(actual) == len(wanted) and all(isinstance(w, str) or a == w for a, w in zip(actual, wanted, strict=True))


def one_of(value, allowed, name):
    """Return ``value`` if it is one of ``allowed``; otherwise a ValueError that lists them."""
    if value not in allowed:
        raise ValueError(f"{name}: expected one of {', '.join(map(repr, allowed))}, got {value!r}.")
    return value


def is_real(value):
    """Whether it is one real number that float64 holds: no bool, nothing complex, no integer of 400 digits."""
    if not isinstance(value, (int, float, np.integer, np.floating)) or isinstance(value, bool):
        return False
    try:
        return isfinite(value)
    except OverflowError:
        return False


def _show(value):
    return text if len(text := repr(value)) < 60 else f"{text[:25]}... ({len(text)} characters)"


def non_negative(value, name):
    """Return ``value`` as a float if it is a finite number >= 0; otherwise a ValueError that says what it is."""
    if not (is_real(value) and value >= 0):
        raise ValueError(f"{name}: expected a finite number >= 0, got {_show(value)}.")
    return float(value)


def positive(value, name, remedy=""):
    """Return ``value`` as a float if it is a finite number > 0; otherwise a ValueError that says what it is."""
    if not (is_real(value) and value > 0):
        raise ValueError(f"{name}: expected a finite number > 0, got {_show(value)}. {remedy}".rstrip())
    return float(value)


def positive_integer(value, name, *, multiple_of=1):
    """Return ``value`` as an int if it is a positive multiple of that number."""
    what = "integer" if multiple_of == 1 else f"multiple of {multiple_of}"
    try:
        number = index(value)
    except TypeError:
        raise TypeError(f"{name}: expected a positive integer, got {value!r}.") from None
    if number < 1 or number % multiple_of:
        raise ValueError(f"{name}: expected a positive {what}, got {number}.")
    return number


def is_integer(value):
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def integer_below(value, n, name):
    """Return ``value`` as an int if it is one from 0 to n - 1."""
    if not (is_integer(value) and 0 <= value < n):
        raise ValueError(f"{name}: expected an integer from 0 to {n - 1}, got {value!r}.")
    return int(value)


def as_positive(x, name, *, shape):
    """`as_float64` of numbers that are all > 0."""
    array = as_float64(x, name, shape=shape)
    if (array <= 0).any():
        raise ValueError(f"{name}: expected numbers > 0, got {array.min():g}.")
    return array


def as_not_negative(x, name, *, shape):
    """`as_float64` of numbers that are all >= 0."""
    array = as_float64(x, name, shape=shape)
    if (array < 0).any():
        raise ValueError(f"{name}: expected numbers >= 0, got {array.min():g}.")
    return array


def as_increasing(x, name, *, at_least=1):
    """`as_float64` of numbers [n] that are > 0, each larger than the one before."""
    array = as_positive(x, name, shape=("n",))
    if len(array) < at_least or (np.diff(array) <= 0).any():
        raise ValueError(f"{name}: expected at least {at_least} numbers in increasing order, got {array}.")
    return array


def as_ends(end):
    """Where paths of a sphere end [...], in radians: 0 < end <= pi."""
    end = as_float64(end, "end", shape=(...,))
    if (end <= 0).any() or (end > np.pi).any():
        raise ValueError(f"end: expected radians with 0 < end <= pi, got {end.min():.6g} to {end.max():.6g}.")
    return end


def as_angle(angle, name):
    """One angle in radians, 0 < angle <= pi, as a float."""
    if not (is_real(angle) and 0 < angle <= np.pi):
        raise ValueError(
            f"{name}: expected radians with 0 < {name} <= pi, got {_show(angle)}. np.radians(degrees) makes them."
        )
    return float(angle)


def open_share(value, name):
    """Return ``value`` as a float if it is a number strictly between 0 and 1."""
    if not (is_real(value) and 0 < value < 1):
        raise ValueError(f"{name}: expected a number between 0 and 1, got {_show(value)}.")
    return float(value)


def as_bits(pattern, name):
    pattern = as_array(pattern, name, "bool [..., m]")
    if pattern.dtype != np.bool_:
        raise TypeError(f"{name}: expected bool [..., m], got dtype {pattern.dtype}; activation_pattern(pre) makes it.")
    if pattern.ndim == 0 or pattern.shape[-1] == 0:
        raise ValueError(f"{name}: expected shape [..., m] with m >= 1, got {list(pattern.shape)}.")
    return pattern


def as_preactivations(pre):
    """Pre-activations keep their own float type: the sign needs no float64, and a large text may be float32."""
    array = as_array(pre, "pre")
    if array.dtype.kind != "f":
        return as_float64(pre, "pre", shape=(..., "m"))
    if array.ndim == 0 or array.shape[-1] == 0:
        raise ValueError(f"pre: expected shape [..., m] with m >= 1, got {list(array.shape)}.")
    return array


def require_folded(mlp):
    """Refuse what is no `FoldedMLP`, a `NormedMLP` above all: it would normalise points that are normalised already."""
    # by its mark and not by its class: this room imports no other
    if not getattr(mlp, "reads_normalised", False):
        raise TypeError(f"mlp: expected a FoldedMLP, got {type(mlp).__name__}. fold_layer_norm(block) makes one.")


def require_sphere(mlp, dimension=0):
    """Refuse what is not a folded layer behind a norm, without which there is no sphere, or one of less dimension."""
    require_folded(mlp)
    if mlp.kind == "none":
        raise ValueError(
            "mlp: expected a layer behind LayerNorm or RMSNorm, got kind 'none': its input is no sphere. "
            "at_length(mlp, length) makes one of it, for vectors of one length."
        )
    found = mlp.d_model - (2 if mlp.kind == "layernorm" else 1)
    if found < dimension:
        needed = "with points" if dimension == 0 else f"of at least {dimension} dimension{'s' * (dimension > 1)}"
        raise ValueError(
            f"mlp: expected a layer whose sphere is one {needed}, got {_NORM_NAMES[mlp.kind]} of {mlp.d_model} "
            f"number{'s' * (mlp.d_model > 1)}, whose sphere {'is empty' if found < 0 else 'is two points'}. "
            f"Take a wider layer."
        )


def require_slice(mlp, basis):
    """Refuse rows that `slice_basis` made for the sphere of another norm; plain arrays have no mark."""
    parts = basis if isinstance(basis, (list, tuple)) else [basis]
    for made_for in (getattr(part, "kind", None) for part in parts):
        # without a norm there is no sphere but that of one length, which is RMSNorm's: `at_length` makes such layers
        if made_for in KINDS and (made_for == "layernorm") != (mlp.kind == "layernorm"):
            raise ValueError(
                f"basis: expected a slice of the layer's own sphere, kind {mlp.kind!r}, got one made for kind "
                f"{made_for!r}. mlp.slice(vectors) or slice_basis(vectors, kind=mlp.kind) makes the layer's own."
            )


def require_on_sphere(z, name, kind=None):
    """Refuse points [..., d] whose length is off sqrt(d) by more than 1e-9 of it, or that ``kind`` cannot make."""
    radius = np.sqrt(z.shape[-1])
    off = np.abs(length(z) / radius - 1).max()
    made_by = "normalize(x)" if kind is None else f"normalize(x, kind={kind!r})"
    if off > 1e-9:
        raise ValueError(
            f"{name}: expected points on the sphere of radius sqrt(d) = {radius:.6g}, got one that is off by {off:.1e} "
            f"of it. Pass {made_by} with eps = 0."
        )
    mean = np.abs(z.mean(axis=-1)).max()
    if kind == "layernorm" and mean > 1e-9:
        raise ValueError(
            f"{name}: expected points on the sphere of LayerNorm, orthogonal to the ones vector, got one with mean "
            f"{mean:.1e}. Pass {made_by} with eps = 0."
        )


def as_normalised(z, name, mlp):
    """Points [..., d] that a folded layer's norm can make, as float64; anything where it has none.

    With a raw residual vector the answer would be wrong and look right. It is longer than sqrt(d), by more than 1e-6,
    or for LayerNorm has a mean, of more than 1e-4 of its root mean square: a norm that computes in float32 stays below
    both. Shorter is fine: an eps > 0 makes it so.
    """
    z = as_float64(z, name, shape=(..., mlp.d_model))
    if mlp.kind == "none":
        return z
    radius = np.sqrt(mlp.d_model)
    with np.errstate(over="ignore"):
        size = np.sqrt(np.einsum("...i,...i", z, z))  # without a copy of z, which may be a large text
    too_long, off = size > radius * (1 + 1e-6), np.zeros(z.shape[:-1], dtype=bool)
    if mlp.kind == "layernorm":
        off = np.abs(z.mean(axis=-1)) * radius > 1e-4 * np.maximum(size, 1e-140)  # where squares underflow
    if too_long.any() or off.any():
        where = np.unravel_index((too_long | off).argmax(), off.shape)
        norm = _NORM_NAMES[mlp.kind]
        at = f" at index {tuple(map(int, where))}" if where else ""
        wanted, got = f"length at most sqrt(d) = {radius:.8g}", f"length {size[where]:.8g}"
        if mlp.kind == "layernorm":
            wanted, got = f"{wanted} and mean 0", f"{got} and mean {z[where].mean():.1e}"
        raise ValueError(
            f"{name}: expected what {norm} puts out, {wanted}, got a vector{at} of {got}. "
            f"For residual vectors x pass normalize(x, eps=mlp.eps, kind=mlp.kind), or mlp.to_sphere(x) for eps = 0; "
            f"mlp(x) takes x itself."
        )
    return z


def sphere_pair(z0, z1, d, kind=None):
    """Two batches of points of the sphere [..., d], as float64 and broadcast; d is a number or a name for any."""
    z0, z1 = as_float64(z0, "z0", shape=(..., d)), as_float64(z1, "z1", shape=(..., d))
    if z0.shape[-1] != z1.shape[-1]:
        raise ValueError(f"z0 and z1: expected the same number of coordinates, got {z0.shape[-1]} and {z1.shape[-1]}.")
    require_broadcast("z0 and z1", z0.shape, z1.shape)
    for z, name in ((z0, "z0"), (z1, "z1")):
        require_on_sphere(z, name, kind)
    return np.broadcast_arrays(z0, z1)


def require_one_great_circle(angle, closest):
    """Refuse pairs z0, z1 at angles [...] that coincide or are antipodes, to within that many radians."""
    lost = np.argwhere(np.minimum(angle, np.pi - angle) < closest)
    if len(lost):
        where = tuple(int(i) for i in lost[0])
        raise ValueError(
            f"z0 and z1: expected two points with one great circle through them, got {len(lost)} that have more"
            f"{f', the first at index {where}' if where else ''}: they "
            f"{'coincide' if angle[where] < 1 else 'are antipodes'}. Choose another z1."
        )


def as_tokens(tokens, name, n_tokens=None):
    """Tokens [n] of a vocabulary of so many, as int64."""
    array = as_array(tokens, name, "a str, or tokens: integers [n_tokens]")
    if array.dtype.kind not in "iu" or array.ndim != 1:
        what = f"{array.dtype} {list(array.shape)}" if array.ndim and array.dtype.kind != "U" else repr(tokens)
        raise TypeError(f"{name}: expected a str, or tokens: integers [n_tokens], got {what}.")
    if array.size == 0:
        raise ValueError(f"{name}: expected at least one token, got none.")
    if array.min() < 0 or (n_tokens and array.max() >= n_tokens):
        wrong = array.min() if array.min() < 0 else array.max()
        raise ValueError(f"{name}: expected tokens of a vocabulary of {n_tokens or 'some'}, from 0, got {wrong}.")
    return array.astype(np.int64)


def as_texts(texts, name):
    """A list of texts, each a str or tokens [n]; one text alone, or tokens [n_texts, n], are taken as well."""
    if isinstance(texts, str):
        return [texts]
    if _is_tensor(texts) or isinstance(texts, np.ndarray):
        array = as_array(texts, name)
        return [array] if array.ndim < 2 else list(array)
    if not hasattr(texts, "__iter__"):
        raise TypeError(f"{name}: expected texts (str) or tokens (integers), got {texts!r}.")
    texts = list(texts)
    if texts and all(isinstance(text, (int, np.integer)) for text in texts):
        return [np.array(texts)]
    if not texts:
        raise ValueError(f"{name}: expected at least one text, got none.")
    return texts


def as_numbers(which, n, name):
    """Some of the n pieces of a partition, by number, as int [k]; one number is taken as a list of one."""
    array = np.atleast_1d(as_array(which, name, f"integers 0 to {n - 1}"))
    if array.dtype.kind not in "iu" or array.ndim != 1 or ((array < 0) | (array >= n)).any():
        raise ValueError(f"{name}: expected integers 0 to {n - 1}, got {which}.")
    return array


def require_arrangement(arrangement, dimension):
    """Refuse what is not an `Arrangement` of that dimension."""
    if not all(hasattr(arrangement, name) for name in ("normals", "offsets", "dimension")):
        raise TypeError(
            f"arrangement: expected an Arrangement, got {type(arrangement).__name__}. restrict(mlp, basis) makes one."
        )
    if arrangement.dimension != dimension:
        words = {2: "two dimensions", 3: "three dimensions"}[dimension]
        directions = {2: "u, v", 3: "u, v, w"}[dimension]
        raise ValueError(
            f"arrangement: expected {words}, got {arrangement.dimension}. "
            f"A slice has as many as it has directions: restrict(mlp, slice_basis([{directions}]))."
        )


def read_only(array):
    """A contiguous float64 or bool copy that nobody can write to, so that frozen means frozen.

    What is a copy made here is returned as it is: `dataclasses.replace` shares the matrices that it leaves alone. A
    caller's own array is copied, also one that is read-only, since its owner can make it writeable again.
    """
    if _COPIES.get(id(array)) is array and not array.flags.writeable:
        return array
    array = np.array(array, order="C")
    _lock(array)
    return array


def _lock(array):
    array.flags.writeable = False
    _COPIES[id(array)] = array


_COPIES: WeakValueDictionary[int, np.ndarray] = WeakValueDictionary()  # an array has no hash, so by its address


class Frozen:
    """A frozen dataclass whose arrays nobody can write to: not after a copy, nor when it was pickled and sent."""

    def __setstate__(self, state):
        for value in state.values():
            for array in value if isinstance(value, list) else [value]:
                if isinstance(array, np.ndarray):
                    _lock(array)
        self.__dict__.update(state)


def freeze(result):
    """Make every array of a frozen dataclass read-only; for its ``__post_init__``."""
    for field in result.__dataclass_fields__:
        if isinstance(value := getattr(result, field), (np.ndarray, np.generic)):
            object.__setattr__(result, field, read_only(value))


def require_installed(who, extra, *libraries):
    """One ImportError if a library is not installed; what else is wrong with one that is, its own import says.

    Parameters
    ----------
    who : str
        What needs them, as its user calls it.
    extra : str
        The extra of this package that brings them.
    libraries : str
        By the names that are imported.
    """
    for name in libraries:
        if not _is_installed(name):
            raise ImportError(f'{who} needs {name}: pip install "lnpoly-helpers[{extra}]"', name=name)


def _is_installed(name):
    if sys.modules.get(name) is not None:
        return True
    spec = find_spec(name)
    return spec is not None and spec.has_location  # a folder that happens to have the name has none
