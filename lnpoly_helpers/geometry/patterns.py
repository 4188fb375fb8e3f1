"""From pre-activations to bits, an identity and a count."""

import hashlib
import threading
from math import ceil, log2

import numpy as np

from .._inputs import ArrayLike, Bool, Int, Real, as_bits, as_preactivations, require_broadcast

_CACHED = 2**21  # bytes


def activation_pattern(pre: Real[ArrayLike, "... m"]) -> Bool[np.ndarray, "... m"]:
    """Which neurons are on: pre > 0.

    For ReLU these bits name the linear region. For GELU they are the signs of the pre-activations and no more:
    GELU is smooth and has no exact regions.

    Parameters
    ----------
    pre : array_like [..., m]
        Pre-activations, of any float type: signs need no float64. Infinities have a sign too.

    Returns
    -------
    pattern : bool [..., m]

    Raises
    ------
    ValueError
        A NaN, which is neither on nor off, or no neurons.

    See Also
    --------
    pattern_hash, count_patterns, hamming_distance : what to do with patterns.
    affine_map : the map that a ReLU layer is where it has this pattern.

    Examples
    --------
    >>> activation_pattern([[0.5, -1.0, 0.0], [2.0, 3.0, -0.1]]).astype(int).tolist()
    [[1, 0, 0], [1, 1, 0]]
    """
    pre = as_preactivations(pre)
    rows, on = rows_of(pre), np.empty(pre.shape, dtype=bool)
    for block in row_blocks(rows):
        np.greater(rows[block], 0, out=rows_of(on)[block])
        _refuse_nan(rows[block], pre)
    return on


def _refuse_nan(block, pre):
    """The least of numbers is NaN if one of them is. In a block that has just been read this costs little."""
    least = np.minimum.reduce(block, axis=None)
    if least != least:
        raise ValueError(f"pre: expected numbers, got {int(np.isnan(pre).sum())} NaN; a NaN is neither on nor off.")


def rows_of(array):
    return array.reshape(-1, array.shape[-1])


def row_blocks(rows):
    """Slices of two megabytes that make up all rows: what is in flight then stays in the processor's cache."""
    step = max(1, _CACHED // (rows.shape[1] * rows.itemsize))
    return [slice(start, start + step) for start in range(0, len(rows), step)]


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


def pattern_hash(pattern: Bool[ArrayLike, "... m"]) -> Int[np.ndarray, "... 2"]:
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

    Raises
    ------
    TypeError
        ``pattern`` is not bool.

    Notes
    -----
    Each of the two sums is a universal hash: for two fixed, different patterns it agrees with probability at
    most 2^-36 over the choice of the integers (m <= 4112; one bit less for every doubling of m above). With
    both, a million distinct patterns hold a false match with probability below 2^39 / 2^72 = 1e-10.
    Carter and Wegman 1979, J. Comput. Syst. Sci. 18(2).

    See Also
    --------
    PatternCounter, count_patterns : how many are distinct.

    Examples
    --------
    >>> pattern_hash(np.array([[True, False], [True, True]])).tolist()
    [[803878505216, 5102314478976], [1205817757824, 7653471718464]]
    """
    pattern = as_bits(pattern, "pattern")
    return _hash_rows(rows_of(pattern)).reshape(*pattern.shape[:-1], 2)


def _hash_rows(rows):
    """`pattern_hash` of patterns or of pre-activations [n, m]."""
    weights = _byte_weights(rows.shape[1]).astype(np.float64)
    sums, is_bits = np.empty((len(rows), 2)), rows.dtype == np.bool_
    for block in row_blocks(rows):
        packed = _pack(rows[block] if is_bits else rows[block] > 0)
        if not is_bits:
            _refuse_nan(rows[block], rows)
        sums[block] = packed.astype(np.float64) @ weights
    return sums.astype(np.int64)


def _pack(bits):
    """np.packbits along rows, flat where rows are whole bytes: that takes a tenth less."""
    return np.packbits(bits, axis=1) if bits.shape[1] % 8 else np.packbits(bits.reshape(-1)).reshape(len(bits), -1)


class PatternCounter:
    """Count the distinct activation patterns of a stream of pre-activations, chunk by chunk.

    Memory: 16 bytes for each distinct pattern and up to 16 more for those that wait to be merged, whatever m is; 75 to
    125 in all for a moment, while they are. Threads may update one counter. A copy, or what a pickled one becomes
    elsewhere, is 16 bytes for each distinct pattern and counts on by itself. ``a | b`` counts what either has seen,
    exactly: so processes, or machines, can count parts of a text.

    Attributes
    ----------
    n_seen : int
        How many patterns have come by, repeated ones included.

    See Also
    --------
    count_patterns : of what fits into memory.
    pattern_hash : by which patterns are told apart.

    Examples
    --------
    >>> counter = PatternCounter()
    >>> counter.update(np.array([[1.0, -1.0], [2.0, -3.0], [1.0, 1.0]])).n_patterns
    2
    >>> counter | PatternCounter().update([[1.0, -1.0], [-1.0, -1.0]])
    PatternCounter(n_patterns=3, n_seen=5)
    """

    n_seen: int

    def __init__(self) -> None:
        self.__setstate__((np.empty((0, 2), dtype=np.int64), None, 0))

    def __getstate__(self):
        with self._lock:
            self._merge()
            return self._known, self._n_neurons, self.n_seen

    def __setstate__(self, state):
        self._known, self._n_neurons, self.n_seen = state
        self._pending, self._n_pending, self._lock = [], 0, threading.Lock()

    def __repr__(self) -> str:
        return f"PatternCounter(n_patterns={self.n_patterns}, n_seen={self.n_seen})"

    def update(self, pre: Real[ArrayLike, "... m"] | Bool[ArrayLike, "... m"]) -> "PatternCounter":
        """Add pre-activations, or patterns if they are bool.

        Parameters
        ----------
        pre : array_like [..., m]
            Of any float type, or bool.

        Returns
        -------
        PatternCounter
            The counter itself.

        Raises
        ------
        ValueError
            Another number of neurons than before, or a NaN; what came before is kept.

        See Also
        --------
        n_patterns : how many are distinct so far.

        Examples
        --------
        >>> PatternCounter().update(np.eye(3) - 0.5).update(np.eye(3) > 0)
        PatternCounter(n_patterns=3, n_seen=6)
        """
        is_pattern = getattr(pre, "dtype", None) == np.bool_
        rows = rows_of(as_bits(pre, "pre") if is_pattern else as_preactivations(pre))
        self._require_neurons("pre", rows.shape[1])
        found = distinct(_hash_rows(rows))
        with self._lock:
            self._require_neurons("pre", rows.shape[1])  # another thread may have been first
            self._n_neurons = rows.shape[1]
            self._pending.append(found)
            self.n_seen += len(rows)
            self._n_pending += len(found)
            if self._n_pending > len(self._known):  # so each pattern is merged a bounded number of times
                self._merge()
        return self

    def __or__(self, other: "PatternCounter") -> "PatternCounter":
        """What either has seen, as a new counter; a ValueError where they have different numbers of neurons.

        >>> PatternCounter().update([[1.0, -1.0]]) | PatternCounter().update([[2.0, -2.0], [3.0, 3.0]])
        PatternCounter(n_patterns=2, n_seen=3)
        """
        if not isinstance(other, PatternCounter):
            return NotImplemented
        (known, m, n_seen), (others, other_m, other_seen) = self.__getstate__(), other.__getstate__()
        if m is not None and other_m is not None:
            self._require_neurons("counters", other_m)
        both = PatternCounter()
        both.__setstate__((distinct(np.concatenate([known, others])), other_m if m is None else m, n_seen + other_seen))
        return both

    def _require_neurons(self, name, m):
        if self._n_neurons not in (None, m):
            raise ValueError(f"{name}: expected {self._n_neurons} neurons as in the first chunk, got {m}.")

    def _merge(self):
        if not self._pending:
            return
        parts = [self._known] * (len(self._known) > 0) + self._pending  # each is distinct in itself
        self._known = distinct(np.concatenate(parts)) if len(parts) > 1 else parts[0]
        self._pending, self._n_pending = [], 0

    @property
    def n_patterns(self) -> int:
        """How many distinct patterns have been seen.

        >>> PatternCounter().update(np.eye(3) - 0.5).n_patterns
        3
        """
        with self._lock:
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


def count_patterns(pre: Real[ArrayLike, "... m"] | Bool[ArrayLike, "... m"]) -> int:
    """How many distinct patterns the rows have.

    Parameters
    ----------
    pre : array_like [..., m]
        Pre-activations of any float type, or bool patterns.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        A NaN, which is neither on nor off, or no neurons.

    See Also
    --------
    PatternCounter : chunk by chunk.
    pattern_hash : how patterns are told apart, and how surely.

    Examples
    --------
    >>> count_patterns([[1.0, -1.0], [2.0, -3.0], [1.0, 1.0]])
    2
    """
    return PatternCounter().update(pre).n_patterns


def hamming_distance(p: Bool[ArrayLike, "... m"], q: Bool[ArrayLike, "... m"]) -> Int[np.ndarray | np.generic, "..."]:
    """How many neurons differ between patterns p and q.

    Parameters
    ----------
    p, q : bool [..., m]
        Shapes broadcast.

    Returns
    -------
    distance : int [...]
        For two single patterns a single number.

    Raises
    ------
    TypeError
        They are not bool.
    ValueError
        They have different numbers of neurons, or shapes that do not broadcast.

    See Also
    --------
    activation_pattern : makes patterns.
    crossings : who differs between two points, and where it flips.

    Examples
    --------
    >>> hamming_distance(np.array([[True, False], [True, True]]), np.array([True, False])).tolist()
    [0, 1]
    """
    p, q = as_bits(p, "p"), as_bits(q, "q")
    if p.shape[-1] != q.shape[-1]:
        raise ValueError(f"p and q: expected the same number of neurons, got {p.shape[-1]} and {q.shape[-1]}.")
    require_broadcast("p and q", p.shape, q.shape)
    return np.count_nonzero(p != q, axis=-1)
