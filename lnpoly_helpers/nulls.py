"""What a layer would do by chance: the matched layer, look-alike and jostled points, a wide random ReLU layer."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ._inputs import (
    KINDS,
    ArrayLike,
    Float,
    Frozen,
    Real,
    as_angle,
    as_float64,
    as_normalised,
    freeze,
    length,
    one_of,
    open_share,
    positive_integer,
    require_folded,
    require_on_sphere,
)
from .layer import FoldedMLP, normalize
from .rotation import rotate

_APART = 1e-9  # pre-activations nearer than that, as a share of the largest, are one


def matched_layer(
    mlp: FoldedMLP,
    z: Real[ArrayLike, "n d"],
    rng: "np.random.Generator",
    *,
    keep: str | None = None,
) -> FoldedMLP:
    """A random layer that is like a given one in its sizes and in how often each neuron is on: the null for training.

    The columns of W_in, the rows of W_out and, in a gated MLP, the columns of W_up point in random directions and keep
    their lengths; behind LayerNorm the columns stay centred. Each bias is set so that the neuron is on at as many of
    the points z as before: halfway between the two pre-activations where it should change. A neuron that is on at none
    of them, or at all, keeps its largest, or its smallest, pre-activation. b_up and b_out stay.

    Parameters
    ----------
    mlp : FoldedMLP
        Of any kind.
    z : array_like [n, d]
        Points that the layer reads, as `FoldedMLP.output` takes them: real ones.
    rng : numpy Generator
    keep : {"W_in"}, optional
        Draw W_out alone anew: W_in, its biases and W_up stay as they are.

    Returns
    -------
    FoldedMLP

    Raises
    ------
    ValueError
        Points that cannot come out of the layer's norm, or another ``keep``.

    Notes
    -----
    Every on-rate is that of the given layer to the last point. Only points that are equal, or whose pre-activations are
    to 1e-9, go on and off together: with k of them it may be off by less than k / n. Memory: some arrays [n, m].

    See Also
    --------
    look_alikes : the null for the points.
    wide_relu : what such a layer tends to as it gets wide, where it is a ReLU layer.

    Examples
    --------
    >>> mlp = FoldedMLP(np.eye(2), [0.5, -9.0], np.eye(2), [0.0, 0.0], "relu", 0.0, "rmsnorm")
    >>> z, rng = mlp.to_sphere([[1.0, 0.0], [0.0, 1.0], [-1.0, -2.0]]), np.random.default_rng(0)
    >>> (matched_layer(mlp, z, rng).preactivations(z) > 0).sum(axis=0)  # as many as of mlp itself
    array([2, 0])
    """
    require_folded(mlp)
    z = as_normalised(as_float64(z, "z", shape=("n", mlp.d_model)), "z", mlp)
    if keep is not None:
        one_of(keep, ("W_in",), "keep")
    W_out = _random_rows(length(mlp.W_out), mlp.W_out.shape[1], rng)
    if keep == "W_in":
        return replace(mlp, W_out=W_out)
    W_in, W_up = (W if W is None else _random_columns(W, mlp.kind, rng) for W in (mlp.W_in, mlp.W_up))
    b_in = _matched_biases(z @ mlp.W_in + mlp.b_in, z @ W_in)
    return replace(mlp, W_in=W_in, b_in=b_in, W_up=W_up, W_out=W_out)


def _random_rows(lengths, d, rng, centred=False):
    rows = rng.normal(size=(len(lengths), d))
    if centred:
        rows -= rows.mean(axis=1, keepdims=True)
    return rows * (lengths / length(rows))[:, None]


def _random_columns(W, kind, rng):
    return _random_rows(length(W, axis=0), len(W), rng, centred=kind == "layernorm").T


def _matched_biases(pre, drawn):
    """For each column of drawn [n, m] the bias with which as many are positive as in that column of pre."""
    n, on = len(pre), (pre > 0).sum(axis=0)
    ordered, column = np.sort(drawn, axis=0), np.arange(pre.shape[1])
    cut = n - on  # as many as shall be off
    if n > 1:
        # the nearest place where the points are apart by more than rounding: the same bits on every machine
        apart = np.diff(ordered, axis=0) > _APART * np.abs(ordered).max(axis=0)
        off = np.abs(np.arange(1, n)[:, None] - cut)
        cut = np.where((on > 0) & (on < n), np.where(apart, off, n).argmin(axis=0) + 1, cut)
    first_on, last_off = ordered[np.minimum(cut, n - 1), column], ordered[np.maximum(cut - 1, 0), column]
    between = -(first_on + last_off) / 2
    return np.where(on == 0, pre.max(axis=0) - last_off, np.where(on == n, pre.min(axis=0) - first_on, between))


def look_alikes(
    z: Real[ArrayLike, "k d"], n: int, rng: "np.random.Generator", *, kind: str = "layernorm"
) -> Float[np.ndarray, "n d"]:
    """Random points of the sphere that resemble given ones: Gaussian with their mean and covariance, put back on it.

    Parameters
    ----------
    z : array_like [k, d]
        On the sphere of radius sqrt(d), k >= 2; moments of raw residual vectors would be those of the longest ones.
    n : int
        How many.
    rng : numpy Generator
    kind : {"layernorm", "rmsnorm"}

    Returns
    -------
    z : float64 [n, d]

    Raises
    ------
    ValueError
        Fewer than 2 points, or one off the sphere.

    Notes
    -----
    mean + g (z - mean) / sqrt(k - 1) with g [n, k] standard normal has that mean and that covariance exactly, before it
    is put back; no matrix is factored, so the same numbers come out on every machine. Memory: n k numbers.

    See Also
    --------
    matched_layer : the null for the layer.
    jostle : points around one.

    Examples
    --------
    >>> z = normalize([[1.0, 2.0, 9.0], [1.0, 3.0, 9.0], [2.0, 1.0, 9.0]])
    >>> look_alikes(z, 100, np.random.default_rng(0)).mean(axis=0).round(1)  # all near the third coordinate
    array([-0.8, -0.6,  1.4])
    """
    kind, n = _norm(kind), positive_integer(n, "n")
    z = as_float64(z, "z", shape=("k", "d"))
    require_on_sphere(z, "z", kind)
    if len(z) < 2:
        raise ValueError("z: expected at least 2 points, got 1: one point has no covariance.")
    mean = z.mean(axis=0)
    return normalize(mean + rng.normal(size=(n, len(z))) @ ((z - mean) / np.sqrt(len(z) - 1)), kind=kind)


def jostle(
    z: Real[ArrayLike, "d"],
    angle: float,
    n: int,
    rng: "np.random.Generator",
    *,
    towards: Real[ArrayLike, "k d"] | None = None,
    kind: str = "layernorm",
) -> Float[np.ndarray, "n d"]:
    """Copies of one point of the sphere, each turned by the same angle: in random directions or towards given points.

    Parameters
    ----------
    z : array_like [d]
        On the sphere of radius sqrt(d).
    angle : float
        Radians.
    n : int
        How many.
    rng : numpy Generator
    towards : array_like [k, d], optional
        Points of the sphere to turn towards, drawn at random, none twice unless n > k. Without them every direction is
        as likely as any other.
    kind : {"layernorm", "rmsnorm"}

    Returns
    -------
    z : float64 [n, d]

    Raises
    ------
    ValueError
        A point off the sphere, or one of ``towards`` that is z itself or its antipode.

    See Also
    --------
    rotate : one turn.
    context_effect : what a push does at such points.

    Examples
    --------
    >>> from lnpoly_helpers import angle_between
    >>> z, rng = normalize([1.0, 2.0, 9.0, 3.0]), np.random.default_rng(0)
    >>> np.degrees(angle_between(z, jostle(z, np.radians(30), 3, rng))).round(9)
    array([30., 30., 30.])
    """
    kind, n, angle = _norm(kind), positive_integer(n, "n"), as_angle(angle, "angle")
    z = as_float64(z, "z", shape=("d",))
    require_on_sphere(z, "z", kind)
    if towards is None:
        return rotate(z, normalize(rng.normal(size=(n, len(z))), kind=kind), angle)
    towards = as_float64(towards, "towards", shape=("k", len(z)))
    require_on_sphere(towards, "towards", kind)
    return rotate(z, towards[rng.choice(len(towards), n, replace=n > len(towards))], angle)


def _norm(kind):
    return one_of(kind, KINDS[:2], "kind")


# --- closed forms: a wide ReLU layer of random weights ---

# Gauss-Legendre on [0, 1]; the integrands below are smooth, and the integrals have no difference that could cancel
_X, _WEIGHTS = np.polynomial.legendre.leggauss(96)
_X, _WEIGHTS = (_X + 1) / 2, _WEIGHTS / 2


@dataclass(frozen=True, eq=False, repr=False)
class WideReLU(Frozen):
    """What a turn does to a wide ReLU layer of random weights; the sizes are root mean squares.

    Attributes
    ----------
    angle : float64 [...]
        Radians.
    change : float64 [...]
        Of what a neuron puts out, its pre-activation having variance 1; the output's change is in proportion to it.
    tangent, rest : float64 [...]
        |tangent| / |change| and |rest| / |change| of `split_change`; the latter is the relative error of the tangent
        map.
    rest_law : float64 [...]
        ``rest`` for small angles: sqrt(2 exp(-t^2/2) angle / (3 pi on_rate)), without biases sqrt(4 angle / (3 pi)).
    opposition : float64 [...]
        Their cosine. All of it is each neuron against itself: `own_share` is 1, and kappa of `coherence` is 1.
    crossed : float64 [...]
        Boundaries crossed on the way, as a share of the neurons: `rice_factor` times angle / pi.

    See Also
    --------
    wide_relu : makes it.

    Examples
    --------
    >>> wide_relu(np.radians([30.0, 60.0]))
    WideReLU(n_angles=2)
    """

    angle: Float[np.ndarray | np.float64, "..."]
    change: Float[np.ndarray | np.float64, "..."]
    tangent: Float[np.ndarray | np.float64, "..."]
    rest: Float[np.ndarray | np.float64, "..."]
    rest_law: Float[np.ndarray | np.float64, "..."]
    opposition: Float[np.ndarray | np.float64, "..."]
    crossed: Float[np.ndarray | np.float64, "..."]

    def __post_init__(self):
        freeze(self)

    def __repr__(self) -> str:
        return f"WideReLU(n_angles={np.size(self.angle)})"


def wide_relu(angle: Real[ArrayLike, "..."] | float, *, on_rate: float = 0.5) -> WideReLU:
    """What a turn does to a wide ReLU layer of random weights, in closed form.

    Pre-activations before and after the turn are normal with correlation cos(angle), and a neuron is on above a
    threshold t = -Phi^-1(on_rate). Without one (on_rate 1/2), of one neuron's output,

    E change^2 = 1 - (sin(angle) + (pi - angle) cos(angle)) / pi, E tangent^2 = 1 - cos(angle),
    E rest^2 = (angle - sin(angle) cos(angle)) / pi.

    Parameters
    ----------
    angle : array_like [...]
        Radians, 0 < angle <= pi.
    on_rate : float
        Share of the neurons that are on, 0 < on_rate < 1.

    Returns
    -------
    WideReLU

    Raises
    ------
    ValueError
        An angle or an on-rate outside its range.

    Notes
    -----
    With a threshold each is an integral from 0 to the angle by Price's theorem (1958, IRE Trans. Inf. Theory 4), taken
    at 96 nodes: relative error about 1e-13 for on-rates from 0.01 to 0.99. The closed forms are arc-cosine kernels: Cho
    and Saul 2009, NeurIPS.

    See Also
    --------
    wide_relu_range : the angle at which the tangent map is off by a tolerance.
    wide_relu_share : what a push has in common in two contexts.
    matched_layer : the null that has a given layer's width, lengths and on-rates.

    Examples
    --------
    >>> found = wide_relu(np.radians([30.0, 60.0]))
    >>> found.tangent.round(3), found.rest.round(3), found.opposition.round(3)
    (array([1.06 , 1.131]), array([0.492, 0.707]), array([-0.351, -0.487]))
    >>> (found.change[0] / found.change[1]).round(3)  # half the angle moves the output more than half as far
    np.float64(0.552)
    """
    angle = as_float64(angle, "angle", shape=(...,))
    if (angle <= 0).any() or (angle > np.pi).any():
        raise ValueError(
            f"angle: expected radians with 0 < angle <= pi, got {angle.min():.6g} to {angle.max():.6g}. "
            f"np.radians(degrees) makes them."
        )
    p, t, density = _threshold(on_rate)
    change, tangent, rest, product = _moments(angle, p, t, density)
    rice = rice_factor(p)
    return WideReLU(
        angle=angle[()],
        change=np.sqrt(change),
        tangent=np.sqrt(tangent / change),
        rest=np.sqrt(rest / change),
        rest_law=np.sqrt(2 * rice * angle / (3 * np.pi * p)),
        opposition=product / np.sqrt(tangent * rest),
        crossed=rice * angle / np.pi,
    )


def _threshold(on_rate):
    """The on-rate, the threshold t of a standard normal pre-activation and the density there."""
    from scipy.special import ndtri

    p = open_share(on_rate, "on_rate")
    t = -ndtri(p)
    return p, t, np.exp(-(t**2) / 2) / np.sqrt(2 * np.pi)


def _flipped(tau, t):
    """P(h1 > t >= h2) of standard normal pre-activations with correlation cos(tau). Owen 1956, Ann. Math. Stat. 27."""
    from scipy.special import owens_t

    return 2 * owens_t(t, np.tan(tau / 2))


def _moments(angle, p, t, density):
    """E of change^2, tangent^2, rest^2 and tangent rest of one neuron, h standard normal, [...] each.

    By Price's theorem d/dc E[g(h1) k(h2)] = E[g'(h1) k'(h2)], c = cos(tau) the correlation, all but tangent^2 are
    integrals over tau of sin(tau) times what has one sign: nothing cancels, however small the angle.
    """
    from scipy.special import ndtr

    tau = angle[..., None] * _X
    sine, flipped = np.sin(tau), _flipped(tau, t)

    def integral(f):
        return angle * ((sine * f) @ _WEIGHTS)

    change = 2 * integral(p - flipped)
    lost = 2 * np.sin(angle / 2) ** 2  # 1 - cos(angle)
    tangent = 2 * lost * p + lost**2 * t * density
    # h2 given h1 = t is normal around t cos(tau) with deviation sin(tau): how far it is above t on average, and below
    q = t * np.tan(tau / 2)
    hump = np.exp(-(q**2) / 2) / np.sqrt(2 * np.pi)
    turned_on, turned_off = (2 * density * integral(sine * (hump - x * ndtr(-x))) for x in (q, -q))
    return change, tangent, turned_on + turned_off, -(turned_off + integral(flipped))


def rice_factor(on_rate: Real[ArrayLike, "..."] | float) -> Float[np.ndarray | np.float64, "..."]:
    """How often a neuron with this on-rate flips, relative to one without a bias: exp(-t^2/2), Phi(-t) = on_rate.

    A pre-activation that is normal with threshold t crosses it angle / pi exp(-t^2/2) times on a turn by that angle, on
    average. Rice 1945, Bell System Technical Journal 24.

    Parameters
    ----------
    on_rate : array_like [...]
        0 to 1.

    Returns
    -------
    factor : float64 [...]
        1 at on-rate 1/2, 0 where a neuron is never on or always.

    Raises
    ------
    ValueError
        An on-rate outside 0 to 1.

    See Also
    --------
    crossings, expected_crossings : of a given layer.

    Examples
    --------
    >>> rice_factor([0.0, 0.1, 0.5]).round(3)
    array([0.  , 0.44, 1.  ])
    """
    from scipy.special import ndtri

    on_rate = as_float64(on_rate, "on_rate", shape=(...,))
    if (on_rate < 0).any() or (on_rate > 1).any():
        raise ValueError(f"on_rate: expected shares from 0 to 1, got {on_rate.min():g} to {on_rate.max():g}.")
    return np.exp(-(ndtri(on_rate) ** 2) / 2)


def wide_relu_range(
    tolerance: Real[ArrayLike, "..."] | Sequence[float] | float, *, on_rate: float = 0.5
) -> Float[np.ndarray | np.float64, "..."]:
    """The angle at which the tangent map of a wide random ReLU layer is off by a tolerance: null of `tangent_range`.

    The angle with wide_relu(angle).rest = tolerance. For small tolerances it is 3 pi on_rate tolerance^2 / (2 rice),
    without biases 3 pi tolerance^2 / 4, whatever the width; on the way lie 3/2 tolerance^2 boundaries for each neuron
    that is on.

    Parameters
    ----------
    tolerance : array_like [...]
        Relative errors, > 0.
    on_rate : float
        As in `wide_relu`.

    Returns
    -------
    angle : float64 [...]
        Radians; inf where the map is never off by that much.

    Raises
    ------
    ValueError
        A tolerance that is not positive, or an on-rate outside 0 to 1.

    Notes
    -----
    By root finding, to a relative 1e-12, for tolerances from 1e-7.

    See Also
    --------
    wide_relu : the error at an angle.

    Examples
    --------
    >>> np.degrees(wide_relu_range([0.1, 0.2])).round(2)
    array([1.34, 5.3 ])
    """
    from scipy.optimize import root_scalar

    tolerance = as_float64(tolerance, "tolerance", shape=(...,))
    if (tolerance <= 0).any():
        raise ValueError(f"tolerance: expected numbers > 0, got {tolerance.min():g}.")
    low, high = np.log(1e-15), np.log(np.pi)

    def angle(wanted):
        def off(log):
            return wide_relu(min(np.exp(log), np.pi), on_rate=on_rate).rest / wanted - 1

        return np.inf if off(high) < 0 else np.exp(root_scalar(off, bracket=(low, high), xtol=1e-14).root)

    return np.reshape([angle(wanted) for wanted in tolerance.ravel()], tolerance.shape)[()]


def wide_relu_share(
    angle: Real[ArrayLike, "..."] | float, between: Real[ArrayLike, "..."] | float, *, on_rate: float = 0.5
) -> Float[np.ndarray | np.float64, "..."]:
    """What a push has in common in two contexts of a wide random ReLU layer: the null of `context_share`.

    The contexts are at an angle ``between`` to each other, and both turn by ``angle`` towards a direction at right
    angles to them. With pre-activations as in `wide_relu` and K(c) = E[relu(h1 - t) relu(h2 - t)] at correlation c,

    share = [K(cos^2 c + sin^2) - 2 K(cos c) + K(c)] / [2 K(1) - 2 K(cos)],

    cos and sin those of the angle and c = cos(between). For a small angle it is P(on in one context | on in the other):
    the on-rate itself for contexts at right angles.

    Parameters
    ----------
    angle : array_like [...]
        Radians, 0 < angle <= pi / 2.
    between : array_like [...]
        Radians, 0 <= between <= pi / 2. Shapes broadcast.
    on_rate : float
        As in `wide_relu`.

    Returns
    -------
    share : float64 [...]

    Raises
    ------
    ValueError
        An angle or an on-rate outside its range.

    Notes
    -----
    By K' = P(both on) as integrals at 96 nodes, relative error about 1e-12.

    See Also
    --------
    wide_relu : the change itself.

    Examples
    --------
    >>> wide_relu_share(1e-6, np.pi / 2, on_rate=0.2).round(6)
    np.float64(0.2)
    >>> wide_relu_share(np.radians(30), np.radians([0.0, 30.0, 90.0])).round(3)
    array([1.   , 0.898, 0.566])
    """
    angle, between = as_float64(angle, "angle", shape=(...,)), as_float64(between, "between", shape=(...,))
    for x, name, least in ((angle, "angle", np.nextafter(0, 1)), (between, "between", 0.0)):
        if (x < least).any() or (x > np.pi / 2).any():
            raise ValueError(
                f"{name}: expected radians with 0 {'<' if least else '<='} {name} <= pi / 2, got {x.min():.6g} to "
                f"{x.max():.6g}."
            )
    p, t, _ = _threshold(on_rate)
    cos, lost = np.cos(angle), 2 * np.sin(angle / 2) ** 2
    apart, near = 2 * np.sin(between / 2) ** 2, np.cos(between)

    def both_on(low, high):
        """P(both on), averaged over correlations from cos(high) to cos(low)."""
        tau = low[..., None] + (high - low)[..., None] * _X
        weights = np.sin(tau) * _WEIGHTS
        return ((p - _flipped(tau, t)) * weights).sum(axis=-1) / weights.sum(axis=-1)

    # K' = P(both on), and the correlations differ by (1 - cos) (1 + cos (1 - c)), (1 - cos) c and 1 - cos
    crossed, pushed = (2 * np.arcsin(np.sqrt(x / 2)) for x in (lost + cos * apart, cos**2 * apart))
    gained = (1 + cos * apart) * both_on(pushed, crossed) + near * both_on(between + 0 * crossed, crossed)
    return (gained / (2 * both_on(0 * angle, angle)))[()]
