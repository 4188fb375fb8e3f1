"""How the layer's output moves along a path of the sphere: its length, its largest slope, how far a tangent map holds.

On the path every pre-activation is A cos t + B sin t + b. So a ReLU layer's output is, between two crossings,
P cos t + Q sin t + r with vectors of length d_out, and each crossing adds one neuron's share to them or takes it away.
A GELU layer is smooth and is sampled; so is a gated one, whatever its activation.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ._inputs import ArrayLike, Float, Frozen, Int, Real, as_positive, at_unit_scale, freeze, length, positive_integer
from .activations import ACTIVATIONS
from .layer import FoldedMLP, hidden, product
from .rotation import chunks, find_crossings, frames

_TESTS = 4  # to a piece, in tangent_range
_BLOCKS = 8  # into which tangent_range cuts the steps of a GELU path, to stop early


def _quadrature(n):
    """Nodes and weights on [0, 1]: Gauss-Legendre in x, taken at x^2 (3 - 2x), which gathers the nodes at both ends."""
    x, weights = np.polynomial.legendre.leggauss(n)
    x = (x + 1) / 2
    return x**2 * (3 - 2 * x), weights * 3 * x * (1 - x)


_NODES, _WEIGHTS = _quadrature(24)


@dataclass(frozen=True, eq=False, repr=False)
class PathProfile(Frozen):
    """The curve that the output draws along each path of a batch.

    Attributes
    ----------
    angle : float64 [...]
        How far the path goes on the sphere, in radians.
    length : float64 [...]
        Of the output's curve.
    displacement : float64 [...]
        |output(end) - output(z0)|, at most the length.
    largest_slope : float64 [...]
        The largest |d output / dt|, for a radian.
    error : float64 [...]
        Relative, of length and largest slope: a bound for ReLU, an estimate for GELU.

    See Also
    --------
    path_profile : makes it.

    Examples
    --------
    >>> mlp = FoldedMLP(np.eye(2), [9.0, 9.0], np.eye(2), [0.0, 0.0], "relu", 0.0, "rmsnorm")
    >>> path_profile(mlp, *mlp.to_sphere([[1.0, 0.0], [0.0, 1.0]]))
    PathProfile(n_paths=1)
    """

    angle: Float[np.ndarray, "..."]
    length: Float[np.ndarray, "..."]
    displacement: Float[np.ndarray, "..."]
    largest_slope: Float[np.ndarray, "..."]
    error: Float[np.ndarray, "..."]

    def __post_init__(self):
        freeze(self)

    def __repr__(self) -> str:
        return f"PathProfile(n_paths={self.length.size})"

    @property
    def mean_slope(self) -> Float[np.ndarray | np.float64, "..."]:
        """length / angle, float64 [...]."""
        return self.length / self.angle


def path_profile(
    mlp: FoldedMLP,
    z0: Real[ArrayLike, "... d"],
    z1: Real[ArrayLike, "... d"],
    *,
    end: Real[ArrayLike, "..."] | float | None = None,
    resolution: int = 64,
) -> PathProfile:
    """Length, displacement and largest slope of the output's curve along each path.

    For ReLU the output is P cos t + Q sin t + r between two crossings, so |d output / dt|^2 = (|P|^2 + |Q|^2) / 2 plus
    a cosine of 2 t: the largest slope is that closed form's; the length is 24-point Gauss-Legendre quadrature on either
    side of each piece's slowest point. For GELU, Simpson's rule at equal steps, and a parabola through the three
    samples at the fastest.

    Parameters
    ----------
    mlp, z0, z1, end
        As in `crossings`.
    resolution : int
        Steps along a GELU path, a multiple of 4. ReLU needs none.

    Returns
    -------
    PathProfile

    Raises
    ------
    ValueError
        As for `crossings`, or for a resolution that is no positive multiple of 4.

    Notes
    -----
    ReLU: the largest slope to about 1e-13; the length to 1e-7 at worst, where the output all but stops inside a piece,
    and to about 1e-13 elsewhere. GELU: ``error`` is by how much the two differ from those at half the resolution, the
    larger of both. Time for a path: some 10 d_out operations a crossing for ReLU, m d_out a step for GELU.

    See Also
    --------
    tangent_range : how far along the path the tangent map holds.
    crossings : the boundaries on the way.

    Examples
    --------
    >>> mlp = FoldedMLP(np.eye(2), [9.0, 9.0], np.eye(2), [0.0, 0.0], "relu", 0.0, "rmsnorm")
    >>> found = path_profile(mlp, *mlp.to_sphere([[1.0, 0.0], [0.0, 1.0]]))  # both neurons on: a quarter of a circle
    >>> round(float(found.length / found.angle), 9) == round(2**0.5, 9)
    True
    """
    resolution = positive_integer(resolution, "resolution", multiple_of=4)
    e0, e1, ends = frames(mlp, z0, z1, end)
    mlp, exponent = _at_unit_output(mlp)
    rows = []
    for start, A, B, stops in chunks(mlp, e0, e1, ends):
        up = _up(mlp, e0, e1, slice(start, start + len(stops)))
        first, last = (_hidden(mlp, A, B, up, t[:, None]) for t in (np.zeros_like(stops), stops))
        moved = length((last - first) @ mlp.W_out)
        if _in_pieces(mlp):
            curves = [_relu_curve(mlp, *path) for path in _each(mlp, A, B, stops)]
        else:
            curves = [_smooth_curve(mlp, *path, resolution) for path in zip(A, B, up, stops, strict=True)]
        rows += [(whole, m, largest, error) for m, (whole, largest, error) in zip(moved, curves, strict=True)]
    columns = np.reshape(np.transpose(rows), (4, *ends.shape))
    columns[:3] = np.ldexp(columns[:3], exponent)
    return PathProfile(ends, *columns)


def _at_unit_output(mlp):
    """The layer with its output times a power of two, so that no square of it overflows; and minus that power."""
    W_out, exponent = at_unit_scale(mlp.W_out)
    return replace(mlp, W_out=W_out), exponent.item()


def _in_pieces(mlp):
    """Whether the output is made of pieces in closed form along a path."""
    return mlp.activation == "relu" and not mlp.is_gated


def _up(mlp, e0, e1, rows):
    """Of a gated layer what `chunks` has of the gate: along a path z @ W_up is up[0] cos t + up[1] sin t.

    float64 [n, 2, m]; of another layer [n, 2, 0].
    """
    W_up = np.empty((mlp.d_model, 0)) if mlp.W_up is None else np.sqrt(mlp.d_model) * mlp.W_up
    return np.stack([e.reshape(-1, mlp.d_model)[rows] @ W_up for e in (e0, e1)], axis=1)


def _hidden(mlp, A, B, up, t):
    """What the neurons put out at angle t of a path: A, B and t broadcast, up is [..., 2, m] or [..., 2, 0]."""
    cos, sin = np.cos(t), np.sin(t)
    gate = A * cos + B * sin + mlp.b_in
    return hidden(mlp, gate, up[..., 0, :] * cos + up[..., 1, :] * sin + mlp.b_up if mlp.is_gated else None)


def _each(mlp, A, B, ends):
    """One path after the other: its A and B [m], its end, and the angles, neurons, turns_on of its crossings."""
    paths, *columns = find_crossings(A, B, mlp.b_in, ends)
    stops = np.searchsorted(paths, np.arange(1, len(ends)))
    found = zip(*(np.split(column, stops) for column in columns), strict=True)
    return zip(A, B, ends, found, strict=True)


def _pieces(mlp, A, B, end, found):
    """A ReLU path cut at its crossings: edges [n + 2], the first piece's P and Q [d_out], gained [3, n + 1, d_out].

    The output moves along piece k like (P + gained[0, k]) cos t + (Q + gained[1, k]) sin t + gained[2, k].
    """
    angles, neurons, turns_on = found
    on = A * np.cos(end / 2) + B * np.sin(end / 2) + mlp.b_in > 0
    on[neurons[::-1]] = ~turns_on[::-1]  # who crosses began on the other side of its first crossing, here written last
    P, Q = np.stack([A * on, B * on]) @ mlp.W_out
    rows = np.where(turns_on, 1.0, -1.0)[:, None] * mlp.W_out[neurons]
    gained = np.zeros((3, len(angles) + 1, len(P)))
    for k, weights in enumerate((A, B, mlp.b_in)):
        np.cumsum(weights[neurons, None] * rows, axis=0, out=gained[k, 1:])
    return np.concatenate([[0.0], angles, [end]]), P, Q, gained


def _relu_curve(mlp, A, B, end, found):
    edges, P, Q, gained = _pieces(mlp, A, B, end, found)
    P, Q = P + gained[0], Q + gained[1]
    PP, QQ, PQ = ((X * Y).sum(axis=1) for X, Y in ((P, P), (Q, Q), (P, Q)))
    E, F = (QQ + PP) / 2, (QQ - PP) / 2
    H, fast = np.hypot(F, PQ), np.arctan2(-PQ, F) / 2
    low, high = edges[:-1], edges[1:]

    def nearest(t):
        """The point of the piece closest to one of t + k pi; no piece is longer than pi."""
        t = t + np.pi * np.round(((low + high) / 2 - t) / np.pi)
        return np.clip(t, low, high)

    def speed(t):
        return np.sqrt(np.maximum(E + H * np.cos(2 * (t - fast)), 0))

    slow = nearest(fast + np.pi / 2)  # where the speed may have a kink, or close to it
    length = sum(abs(side - slow) @ (_WEIGHTS @ speed(slow + (side - slow) * _NODES[:, None])) for side in (low, high))
    return length, speed(nearest(fast)).max(), 1e-7


def _smooth_curve(mlp, A, B, up, end, resolution):
    t = np.linspace(0, end, resolution + 1)[:, None]
    cos, sin = np.cos(t), np.sin(t)
    value, slope = ACTIVATIONS[mlp.activation]
    pre = A * cos + B * sin + mlp.b_in
    by_angle = slope(pre) * (B * cos - A * sin)
    if mlp.is_gated:
        by_angle = by_angle * (up[0] * cos + up[1] * sin + mlp.b_up) + value(pre) * (up[1] * cos - up[0] * sin)
    speed = length(by_angle @ mlp.W_out)
    fine, coarse = (np.array([_simpson(s, end), _peak(s)]) for s in (speed, speed[::2]))
    error = np.divide(np.abs(fine - coarse), fine, out=np.zeros(2), where=fine > 0)
    return *fine, error.max()


def _simpson(y, width):
    return width / (3 * (len(y) - 1)) * (y[0] + y[-1] + 4 * y[1:-1:2].sum() + 2 * y[2:-1:2].sum())


def _peak(y):
    """The top of the parabola through the largest sample and its two neighbours."""
    k = y.argmax()
    if not 0 < k < len(y) - 1 or (bend := 2 * y[k] - y[k - 1] - y[k + 1]) <= 0:
        return y[k]
    return y[k] + (y[k + 1] - y[k - 1]) ** 2 / (8 * bend)


# --- how evenly it moves ---


def path_speed(
    mlp: FoldedMLP,
    z0: Real[ArrayLike, "... d"],
    z1: Real[ArrayLike, "... d"],
    *,
    n_parts: int = 16,
    end: Real[ArrayLike, "..."] | float | None = None,
) -> Float[np.ndarray, "... n_parts"]:
    """How fast the output moves on each of some equal parts of a path, over its mean speed there.

    |output(z(t_k+1)) - output(z(t_k))| over the mean of these: chords, so a jump between two points is not missed. All
    are 1 where the output moves evenly, 0 on a plateau, and up to n_parts at a cliff.

    Parameters
    ----------
    mlp, z0, z1, end
        As in `crossings`.
    n_parts : int

    Returns
    -------
    speed : float64 [..., n_parts]
        NaN where the output stands still on the whole path.

    Raises
    ------
    ValueError
        As for `crossings`, or for a number of parts that is not positive.

    Notes
    -----
    Accurate to about 1e-15 of the output over the length of a chord. Time: n_parts + 1 outputs for a path.

    See Also
    --------
    path_profile : the curve's length and its largest slope.
    steepness : how evenly a whole network's prediction moves.

    Examples
    --------
    >>> mlp = FoldedMLP([[1.0], [0.0]], [0.0], [[1.0]], [0.0], "relu", 0.0, "rmsnorm")
    >>> path_speed(mlp, *mlp.to_sphere([[-1.0, 1.0], [1.0, 1.0]]), n_parts=2)  # off for the first half of the way
    array([0., 2.])
    """
    n_parts = positive_integer(n_parts, "n_parts")
    e0, e1, ends = frames(mlp, z0, z1, end)
    mlp, _ = _at_unit_output(mlp)
    rows = []
    for start, A, B, stops in chunks(mlp, e0, e1, ends):
        up = _up(mlp, e0, e1, slice(start, start + len(stops)))
        t = stops[:, None] * np.linspace(0, 1, n_parts + 1)
        steps = np.diff(_hidden(mlp, A[:, None], B[:, None], up[:, None], t[..., None]), axis=1)
        rows.append(length(product(steps, mlp.W_out)))
    speed = np.concatenate(rows)
    with np.errstate(invalid="ignore"):
        return (speed / speed.mean(axis=1, keepdims=True)).reshape(*ends.shape, n_parts)


# --- how far the tangent map holds ---


@dataclass(frozen=True, eq=False, repr=False)
class TangentRange(Frozen):
    """How far along each path of a batch the tangent map at its start stays within k tolerances.

    Attributes
    ----------
    tolerances : float64 [k]
    angles : float64 [..., k]
        Radians from z0 to where it is first off by more than the tolerance; inf if that is nowhere on the path.
    n_crossings : int [..., k]
        Boundaries crossed by then; where the angle is inf, all those on the path.

    See Also
    --------
    tangent_range : makes it.

    Examples
    --------
    >>> mlp = FoldedMLP(np.eye(2), [9.0, 9.0], np.eye(2), [0.0, 0.0], "relu", 0.0, "rmsnorm")
    >>> tangent_range(mlp, *mlp.to_sphere([[1.0, 0.0], [0.0, 1.0]]))
    TangentRange(n_paths=1, tolerances=[0.05, 0.1, 0.2])
    """

    tolerances: Float[np.ndarray, "k"]
    angles: Float[np.ndarray, "... k"]
    n_crossings: Int[np.ndarray, "... k"]

    def __post_init__(self):
        freeze(self)

    def __repr__(self) -> str:
        n_paths, tolerances = self.angles.size // len(self.tolerances), ", ".join(f"{t:g}" for t in self.tolerances)
        return f"TangentRange(n_paths={n_paths}, tolerances=[{tolerances}])"


def tangent_range(
    mlp: FoldedMLP,
    z0: Real[ArrayLike, "... d"],
    z1: Real[ArrayLike, "... d"],
    *,
    tolerances: Real[ArrayLike, "k"] | Sequence[float] = (0.05, 0.1, 0.2),
    end: Real[ArrayLike, "..."] | float | None = None,
    resolution: int = 64,
) -> TangentRange:
    """How far along each path the layer's tangent map at z0 predicts the output's change.

    The map is `tangent_change`, affine in z: for ReLU the affine map of the path's first region, so exact up to the
    first crossing. With change = output(z(t)) - output(z0), it is off by more than tol where
    |change - predicted| > tol |change|: the error as a share of what really changed. The first such angle counts, even
    if the share falls again later.

    Parameters
    ----------
    mlp, z0, z1, end
        As in `crossings`.
    tolerances : array_like [k]
    resolution : int
        Steps along a GELU path. ReLU needs none.

    Returns
    -------
    TangentRange

    Raises
    ------
    ValueError
        As for `crossings`, or for a tolerance or resolution that is not positive.

    Notes
    -----
    Tested step by step, then by bisection. ReLU: four steps to each piece, where both sides squared are trigonometric
    polynomials of degree 2, then down to rounding. GELU: steps of end / resolution, then to 1/4096 of a step. An
    excursion beyond the tolerance that begins and ends within one step goes unseen.

    See Also
    --------
    tangent_change : the map itself.
    path_profile : how far the output moves on the way.

    Examples
    --------
    >>> mlp = FoldedMLP([[1.0], [0.0]], [-1.0], [[1.0]], [0.0], "relu", 0.0, "rmsnorm")
    >>> found = tangent_range(mlp, *mlp.to_sphere([[1.0, 0.0], [0.0, 1.0]]), tolerances=[0.1])
    >>> found.n_crossings  # the map holds up to the boundary, and is soon off behind it
    array([1])
    """
    tolerances = as_positive(tolerances, "tolerances", shape=("k",))
    resolution = positive_integer(resolution, "resolution")
    e0, e1, ends = frames(mlp, z0, z1, end)
    mlp, _ = _at_unit_output(mlp)
    angles, counts = [], []
    for start, A, B, stops in chunks(mlp, e0, e1, ends):
        paths = list(_each(mlp, A, B, stops))
        if _in_pieces(mlp):
            angles.append(_relu_range(mlp, paths, tolerances))
        else:
            up = _up(mlp, e0, e1, slice(start, start + len(stops)))
            angles.append(_smooth_range(mlp, A, B, up, stops, tolerances, resolution))
        counts += [np.searchsorted(found[0], t, side="right") for (*_, found), t in zip(paths, angles[-1], strict=True)]
    shape = (*ends.shape, len(tolerances))
    return TangentRange(tolerances, np.reshape(np.concatenate(angles), shape), np.reshape(counts, shape))


def _relu_range(mlp, paths, tolerances):
    brackets = []
    for path in paths:
        edges, P, Q, gained = _pieces(mlp, *path)
        # by the basis (cos t - 1, sin t, 1), in which nothing cancels near the start
        error = np.stack([gained[0], gained[1], gained[0] + gained[2]], axis=1)
        change = error + np.stack([P, Q, np.zeros_like(P)])
        forms = [x @ x.transpose(0, 2, 1) for x in (error, change)]
        t = edges[:-1, None] + np.diff(edges)[:, None] * np.arange(1, _TESTS + 1) / _TESTS
        error, change = (np.maximum(_quadratic(form[:, None], t), 0).ravel() for form in forms)
        first, low, high = _bracket(t.ravel(), error[:, None] > tolerances**2 * change[:, None])
        piece = np.minimum(first // _TESTS, len(t) - 1)
        brackets.append((low, high, forms[0][piece] - tolerances[:, None, None] ** 2 * forms[1][piece]))
    low, high, form = map(np.array, zip(*brackets, strict=True))
    return _bisect(lambda t: _quadratic(form, t) > 0, low, high, 50)


def _quadratic(form, t):
    """y . form y for y = (cos t - 1, sin t, 1)."""
    y = np.stack([-2 * np.sin(t / 2) ** 2, np.sin(t), np.ones_like(t)], axis=-1)
    return ((form @ y[..., None])[..., 0] * y).sum(axis=-1)


def _smooth_range(mlp, A, B, up, ends, tolerances, resolution):
    act, slope = ACTIVATIONS[mlp.activation]
    start = A + mlp.b_in
    value, slopes = act(start), slope(start)
    at_start = np.stack([A, B, start, value], axis=1)[:, :, None]
    along = slopes[:, None] * np.stack([A, B], axis=1)  # what the tangent map makes of cos t - 1 and of sin t
    if mlp.is_gated:
        along = along * (up[:, :1] + mlp.b_up) + value[:, None] * up
    along = product(along, mlp.W_out)

    def is_off(rows, t):
        """Whether path rows[i] is off at angles t [i, k]: bool [i, k, n_tolerances]."""
        A, B, pre, h = at_start[rows].swapaxes(0, 1)
        by_cos, by_sin = (-2 * np.sin(t / 2) ** 2)[..., None], np.sin(t)[..., None]
        change = act(pre + (A * by_cos + B * by_sin)) - h
        if mlp.is_gated:
            U, V = up[rows].swapaxes(0, 1)[:, :, None]
            further = U * by_cos + V * by_sin
            change = change * (U + mlp.b_up + further) + h * further
        change = product(change, mlp.W_out)
        error = change - along[rows, :1] * by_cos - along[rows, 1:] * by_sin
        return (error**2).sum(axis=-1)[..., None] > tolerances**2 * (change**2).sum(axis=-1)[..., None]

    t = ends[:, None] * np.arange(1, resolution + 1) / resolution
    off = np.zeros((*t.shape, len(tolerances)), dtype=bool)
    for block in np.array_split(np.arange(resolution), _BLOCKS):
        rows = np.flatnonzero(~off.any(axis=1).all(axis=-1))  # the others have passed every tolerance
        if len(rows) and len(block):
            off[rows[:, None], block] = is_off(rows, t[rows][:, block])
    low, high = map(np.array, zip(*(_bracket(*path)[1:] for path in zip(t, off, strict=True)), strict=True))
    every, own = np.arange(len(ends)), np.arange(len(tolerances))
    return _bisect(lambda t: is_off(every, t)[:, own, own], low, high, 12)


def _bracket(t, off):
    """For each column of off [len(t), k]: its first true row, that row's t and the t before; len(t) and inf if none."""
    first = np.where(off.any(axis=0), off.argmax(axis=0), len(t))
    return first, np.concatenate([[0.0], t])[first], np.append(t, np.inf)[first]


def _bisect(is_off, low, high, steps):
    """Halve brackets that are off at high and not at low, and return high; one whose high is inf stays."""
    found = np.isfinite(high)
    for _ in range(steps):
        middle = (low + np.where(found, high, low)) / 2
        off = is_off(middle)
        low, high = np.where(found & ~off, middle, low), np.where(found & off, middle, high)
    return high
