"""How long vectors are, at any scale that float64 has. Every room may import this one, and it imports none."""

import numpy as np


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
