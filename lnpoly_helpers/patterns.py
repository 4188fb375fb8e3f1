"""From pre-activations to bits, an identity, a count, an affine map and a distance to the boundary."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from math import ceil, log2

import numpy as np

from ._inputs import as_array, as_float64, require_broadcast
from .layernorm import require_folded

_CACHED = 2**19  # bytes read at a time, so that what is in flight stays in the processor's cache
_THREADED = 2**24  # numbers from which on an array is shared among all cores


def activation_pattern(pre):
    """Which neurons are on: pre > 0, bool [..., m].

    For ReLU these bits name the linear region. For GELU they are the signs of the pre-activations and no more:
    GELU is smooth and has no exact regions.
    """
    pre = _real(pre)
    rows, on = _rows(pre), np.empty(pre.shape, dtype=bool)

    def task(block):
        np.greater(rows[block], 0, out=_rows(on)[block])
        _refuse_nan(rows[block], pre)

    _for_blocks(task, rows)
    return on


def _real(pre):
    """Pre-activations keep their own float type: the sign needs no float64, and a large text may be float32."""
    array = as_array(pre, "pre")
    if array.dtype.kind != "f":
        return as_float64(pre, "pre", shape=(..., "m"))
    if array.ndim == 0 or array.shape[-1] == 0:
        raise ValueError(f"pre: expected shape [..., m] with m >= 1, got {list(array.shape)}.")
    return array


def _refuse_nan(block, pre):
    """The least of numbers is NaN if one of them is. In a block that has just been read this costs little."""
    least = np.minimum.reduce(block, axis=None)
    if least != least:
        raise ValueError(f"pre: expected numbers, got {int(np.isnan(pre).sum())} NaN; a NaN is neither on nor off.")


def _rows(array):
    return array.reshape(-1, array.shape[-1])


def _blocks(part, row_size, size):
    """Cut a slice of rows into slices of about ``size``."""
    step = max(1, size // row_size)
    return [slice(start, min(start + step, part.stop)) for start in range(part.start, part.stop, step)]


def _for_blocks(task, rows):
    """Call a task for small slices that make up all rows; on all cores where that is worth it."""
    everything, row_size = slice(0, len(rows)), rows.shape[1] * rows.itemsize
    if rows.size < _THREADED:
        for block in _blocks(everything, row_size, _CACHED):
            task(block)
        return

    def thread(part):
        for block in _blocks(part, row_size, 3 * _CACHED):  # fewer: threads wait for Python's lock between two calls
            task(block)

    cores = os.cpu_count()
    with ThreadPoolExecutor(cores) as pool:
        list(pool.map(thread, _blocks(everything, row_size, rows.nbytes // (4 * cores))))


def neuron_weights(n_neurons):
    """The integer that each neuron adds to `pattern_hash` while it is on, int64 [n_neurons, 2].

    Fixed random integers out of SHAKE-256, so the same on every machine, run and NumPy version.
    """
    per_byte = _byte_weights(n_neurons)
    bit_value = 1 << (7 - np.arange(n_neurons) % 8)
    return per_byte[np.arange(n_neurons) // 8] * bit_value[:, None]


def _byte_weights(n_neurons):
    n_bytes = -(-n_neurons // 8)
    n_bits = min(36, 53 - ceil(log2(255 * n_bytes)))  # then no sum reaches 2^53: exact in float64
    stream = hashlib.shake_256(b"lnpoly pattern hash 1").digest(16 * n_bytes)
    return (np.frombuffer(stream, dtype="<u8").reshape(n_bytes, 2) >> np.uint64(64 - n_bits)).astype(np.int64)


def pattern_hash(pattern):
    """A fixed-size identity of each activation pattern.

    The packed bits (one byte for eight neurons) times fixed random integers, summed. All sums stay below 2^53,
    so a float64 matrix product computes them exactly, in any order, on any machine.

    Parameters
    ----------
    pattern : bool [..., m]

    Returns
    -------
    identity : int64 [..., 2]
        Two patterns of the same m are taken as equal when both numbers are.

    Notes
    -----
    Each of the two sums is a universal hash: for two fixed, different patterns it agrees with probability at
    most 2^-36 over the choice of the integers (m <= 4112; one bit less for every doubling of m above). With
    both, a million distinct patterns hold a false match with probability below 2^39 / 2^72 = 1e-10.
    Carter and Wegman 1979, J. Comput. Syst. Sci. 18(2).
    """
    pattern = _as_bits(pattern, "pattern")
    return _hash_rows(_rows(pattern)).reshape(*pattern.shape[:-1], 2)


def _hash_rows(rows):
    """`pattern_hash` of patterns or of pre-activations [n, m]."""
    weights = _byte_weights(rows.shape[1]).astype(np.float64)
    sums, is_bits = np.empty((len(rows), 2)), rows.dtype == np.bool_

    def task(block):
        packed = _pack(rows[block] if is_bits else rows[block] > 0)
        if not is_bits:
            _refuse_nan(rows[block], rows)
        sums[block] = packed.astype(np.float64) @ weights

    _for_blocks(task, rows)
    return sums.astype(np.int64)


def _pack(bits):
    """np.packbits along rows. Flat where rows are whole bytes: only then does NumPy leave Python's global lock."""
    if bits.shape[1] % 8:
        return np.packbits(bits, axis=1)
    return np.packbits(bits.reshape(-1)).reshape(len(bits), -1)


def _as_bits(pattern, name):
    pattern = as_array(pattern, name, "bool [..., m]")
    if pattern.dtype != np.bool_:
        raise TypeError(f"{name}: expected bool [..., m], got dtype {pattern.dtype}; activation_pattern(pre) makes it.")
    if pattern.ndim == 0 or pattern.shape[-1] == 0:
        raise ValueError(f"{name}: expected shape [..., m] with m >= 1, got {list(pattern.shape)}.")
    return pattern


class PatternCounter:
    """Count the distinct activation patterns of a stream of pre-activations, chunk by chunk.

    Memory: 16 bytes for each distinct pattern and up to 16 more for those that wait to be merged, whatever m is.

    >>> counter = PatternCounter()
    >>> counter.update(np.array([[1.0, -1.0], [2.0, -3.0], [1.0, 1.0]])).n_patterns
    2
    """

    def __init__(self):
        self._known = np.empty((0, 2), dtype=np.int64)
        self._pending, self._n_pending = [], 0
        self._n_neurons = None
        self.n_seen = 0

    def update(self, pre):
        """Add pre-activations [..., m], or patterns if they are bool; returns the counter itself."""
        is_pattern = getattr(pre, "dtype", None) == np.bool_
        rows = _rows(_as_bits(pre, "pre") if is_pattern else _real(pre))
        m = rows.shape[1]
        if self._n_neurons not in (None, m):
            raise ValueError(f"pre: expected {self._n_neurons} neurons as in the first chunk, got {m}.")
        self._pending.append(distinct(_hash_rows(rows)))
        self._n_neurons = m
        self.n_seen += len(rows)
        self._n_pending += len(self._pending[-1])
        if self._n_pending > len(self._known):  # so each pattern is merged a bounded number of times
            self._merge()
        return self

    def _merge(self):
        parts = [self._known] * (len(self._known) > 0) + self._pending  # each is distinct in itself
        self._known = distinct(np.concatenate(parts)) if len(parts) > 1 else parts[0]
        self._pending, self._n_pending = [], 0

    @property
    def n_patterns(self):
        """How many distinct patterns have been seen."""
        if self._pending:
            self._merge()
        return len(self._known)


def distinct(identities):
    """The distinct rows of int64 [n, 2], sorted by their first number."""
    rows = identities.take(np.argsort(identities[:, 0]), axis=0)
    is_new = np.ones(len(rows), dtype=bool)
    np.not_equal(rows[1:, 0], rows[:-1, 0], out=is_new[1:])
    if (rows[1:, 1] != rows[:-1, 1])[~is_new[1:]].any():  # patterns that agree in one number: almost never
        return np.unique(identities, axis=0)
    return rows.compress(is_new, axis=0)


def count_patterns(pre):
    """How many distinct patterns the rows have, of pre-activations [..., m] or of bool patterns [..., m]."""
    return PatternCounter().update(pre).n_patterns


def hamming_distance(p, q):
    """How many neurons differ between patterns p and q, bool [..., m] each: int [...]."""
    p, q = _as_bits(p, "p"), _as_bits(q, "q")
    if p.shape[-1] != q.shape[-1]:
        raise ValueError(f"p and q: expected the same number of neurons, got {p.shape[-1]} and {q.shape[-1]}.")
    require_broadcast("p and q", p.shape, q.shape)
    return np.count_nonzero(p != q, axis=-1)


def boundary_height(mlp):
    """Height h_i = -b_i / (sqrt(d) |w_i|) of each neuron's boundary above the sphere's centre, in radii, float64 [m].

    Neuron i is on where the cosine of the angle between z and w_i exceeds h_i: on the whole sphere for h_i < -1,
    nowhere for h_i > 1. A neuron without weights has height -inf or inf, or 1 where its bias is 0 too.
    """
    require_sphere(mlp)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.nan_to_num(-mlp.b_in / _reach(mlp), nan=1.0, posinf=np.inf, neginf=-np.inf)


def _reach(mlp):
    """sqrt(d) |w_i|, the largest z . w_i on the sphere, float64 [m]."""
    return np.sqrt(mlp.d_model) * np.linalg.norm(mlp.W_in, axis=0)


def meets_sphere(mlp):
    """Which neurons' boundaries meet the sphere: |b_i| < sqrt(d) |w_i|, bool [m]. The others never switch on it."""
    return np.abs(boundary_height(mlp)) < 1


def require_sphere(mlp):
    """Refuse what is not a folded layer behind a norm: without a norm there is no sphere."""
    require_folded(mlp)
    if mlp.kind == "none":
        raise ValueError("mlp: expected a layer behind LayerNorm or RMSNorm, got kind 'none': its input is no sphere.")


def require_on_sphere(z, name, kind=None):
    """Refuse points [..., d] whose length is off sqrt(d) by more than 1e-9 of it, or that ``kind`` cannot make."""
    radius = np.sqrt(z.shape[-1])
    off = np.abs(np.linalg.norm(z, axis=-1) / radius - 1).max()
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


def boundary_margin(mlp, z, *, fast=False):
    """Angle from each point of the sphere to each neuron's boundary.

    With c = z . w_i / (sqrt(d) |w_i|) and k = -b_i / (sqrt(d) |w_i|), the cosines of the angles from w_i to z and to
    the boundary, and h the pre-activation, the margin |arccos c - arccos k| is computed as
    2 arcsin(|h| / (sqrt(d) |w_i|) / (sqrt((1 - c) (1 + k)) + sqrt((1 + c) (1 - k)))), which keeps its digits where
    the angles are close.

    Parameters
    ----------
    mlp : FoldedMLP
        Behind LayerNorm or RMSNorm.
    z : array_like [..., d]
        On the sphere of radius sqrt(d): normalize(x) at eps = 0.
    fast : bool
        Compute in float32, and in float64 only what is within 1e-5 of each point's smallest margin: for large batches.

    Returns
    -------
    margin : float64 [..., m], or float32 if fast
        Radians; inf where the boundary misses the sphere. Absolute error about 1e-15, up to 1e-8 for a boundary that
        is smaller than that around w_i. Fast, it is about 1e-7 over the sine of the angle between z and w_i (or of
        the boundary's, if that is smaller), but 1e-7 of its size for each point's smallest margin.

    Raises
    ------
    ValueError
        z is not on the sphere, or the layer has no norm.
    """
    meets = meets_sphere(mlp)
    z = as_float64(z, "z", shape=(..., mlp.d_model))
    require_on_sphere(z, "z", mlp.kind)
    points, dtype = _rows(z), np.float32 if fast else np.float64
    scale = np.where(meets, _reach(mlp), np.inf)
    W_in, b_in, wide = (array.astype(dtype) for array in (mlp.W_in, mlp.b_in, scale))
    margin = points.astype(dtype) @ W_in

    def task(block):
        found = margin[block]
        found[...] = _margin(found, b_in, wide)
        found[:, ~meets] = np.inf
        if fast:
            k, i = np.nonzero((found <= found.min(axis=1, keepdims=True) + 1e-5) & meets)
            product = np.einsum("kd,dk->k", points[block][k], mlp.W_in.take(i, axis=1))
            found[k, i] = _margin(product, mlp.b_in[i], scale[i])

    _for_blocks(task, margin)
    return margin.reshape(*z.shape[:-1], -1)


def _margin(product, b, scale):
    """The formula of `boundary_margin`, from product = z . w."""
    c, k = np.clip(product / scale, -1, 1), -b / scale
    sine = np.abs(product + b) / (scale * (np.sqrt((1 - c) * (1 + k)) + np.sqrt((1 + c) * (1 - k))))
    return 2 * np.arcsin(np.minimum(sine, 1))


def affine_map(mlp, pattern):
    """The affine map of one linear region: output(z) = z @ A + c wherever the pattern holds.

    A = W_in D W_out and c = b_in D W_out + b_out, D the diagonal matrix of the pattern.

    Parameters
    ----------
    mlp : FoldedMLP
        With a ReLU; a GELU layer is affine nowhere.
    pattern : bool [m]

    Returns
    -------
    A : float64 [d, d_out];  c : float64 [d_out]

    Raises
    ------
    ValueError
        The activation is not piecewise linear, or the pattern has another length.
    """
    require_folded(mlp)
    if mlp.activation != "relu":
        raise ValueError(
            f"mlp: expected activation 'relu', got {mlp.activation!r}: it is not piecewise linear, so no region has "
            f"an affine map. jacobian(mlp, x) gives its tangent map at a point."
        )
    pattern = _as_bits(pattern, "pattern")
    if pattern.shape != (mlp.n_neurons,):
        raise ValueError(f"pattern: expected shape [{mlp.n_neurons}], got {list(pattern.shape)}.")
    on = mlp.W_out[pattern]
    return mlp.W_in[:, pattern] @ on, mlp.b_in[pattern] @ on + mlp.b_out
