"""Checks of tasks 4 to 7: a region's affine map, crossings of a circle, faces of a sphere, flips on a ray."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .._answers import Answer, expect, near
from .._inputs import Float
from .._words import count
from ..layer import FoldedMLP
from .points import sphere_points


def check_region(region_map: Callable) -> None:
    """Task 4: the pattern at z, and the A and c with output = z @ A + c wherever that pattern holds.

    Parameters
    ----------
    region_map : callable
        Called as ``region_map(W_in [d, m], b_in [m], W_out [m, d_out], b_out [d_out], z [d])``; returns the pattern
        [m], A [d, d_out] and c [d_out].

    Raises
    ------
    CheckFailed
        A property is missing; the sentence says which.

    See Also
    --------
    expect_region

    Examples
    --------
    >>> check_region(zip)
    Traceback (most recent call last):
    lnpoly_helpers.checks.CheckFailed: region_map returned a zip ...: expected 3 values, pattern, A, c.
    """
    f = Answer(region_map, "region_map")
    rng = np.random.default_rng(8)
    layer = rng.normal(size=(3, 6)), rng.normal(size=6), rng.normal(size=(6, 2)), rng.normal(size=2)
    for z in sphere_points(rng, 5, 3):
        expect_region(f, layer, z)
    f.passed()


def expect_region(f: Answer, layer: tuple[np.ndarray, ...], z: Float[np.ndarray, "d"]) -> None:
    """Check that an `Answer` to task 4 gives the pattern and the affine map of the layer's region round z.

    Parameters
    ----------
    f : Answer
    layer : tuple
        W_in [d, m], b_in [m], W_out [m, d_out], b_out [d_out].
    z : float64 [d]

    Raises
    ------
    CheckFailed
        A property is missing; the sentence says which.

    See Also
    --------
    check_region, sphere_points

    Examples
    --------
    >>> layer = np.ones((2, 1)), np.ones(1), np.ones((1, 1)), np.ones(1)
    >>> expect_region(Answer(zip, "region_map"), layer, np.ones(2))
    Traceback (most recent call last):
    lnpoly_helpers.checks.CheckFailed: region_map returned a zip ...: expected 3 values, pattern, A, c.
    """
    W_in, b_in, W_out, b_out = layer
    (d, m), d_out = W_in.shape, len(b_out)
    pattern, A, c = f.arrays(*layer, z, shapes={"pattern": (m,), "A": (d, d_out), "c": (d_out,)})
    pre = z @ W_in + b_in
    on = pre > 0
    expect(np.isin(pattern, (0, 1)).all(), "Your pattern holds numbers other than True and False.")
    no_bias = not np.array_equal(pattern, on) and np.array_equal(pattern, z @ W_in > 0)
    expect(not no_bias, "Your pattern leaves out the bias: a neuron is on where z @ W_in + b_in > 0.")
    expect(np.array_equal(pattern, on), "Your pattern is not z @ W_in + b_in > 0 (a neuron at exactly 0 is off).")

    missing = np.maximum(pre, 0) @ W_out + b_out - (z @ A + c)
    if not near(missing, 0 * missing):
        all_on = near(z @ A + c, pre @ W_out + b_out)
        expect(not all_on, "Your map takes every neuron as on: leave out those that are off.")
        expect(not near(missing, b_out), "Your z @ A + c misses b_out, the bias of the second matrix.")
        off_bias = near(missing, (b_in * on) @ W_out)
        expect(not off_bias, "Your z @ A + c misses what the biases b_in of the neurons that are on contribute.")
        expect(False, f"At z itself your z @ A + c misses the layer's output by {np.abs(missing).max():.3g}.")
    step = np.abs(pre).min() / (1 + np.abs(W_in).sum())  # no neuron flips within it
    beside = z + step * np.concatenate([np.eye(d), -np.eye(d)])
    missing = np.maximum(beside @ W_in + b_in, 0) @ W_out + b_out - (beside @ A + c)
    right = np.abs(missing).max() <= 1e-6 * step + 1e-12
    expect(right, "Your z @ A + c is right at z alone and not beside it: A must hold in the whole region.")


def check_crossings(circle_crossings: Callable) -> None:
    """Task 5: every zero of A cos t + B sin t + b in [0, 2 pi), sorted, and the neuron that it belongs to.

    Parameters
    ----------
    circle_crossings : callable
        Called as ``circle_crossings(A [m], B [m], b [m])``; returns the angles in radians and as many neurons.

    Raises
    ------
    CheckFailed
        A property is missing; the sentence says which.

    See Also
    --------
    expect_crossings

    Examples
    --------
    >>> check_crossings(zip)
    Traceback (most recent call last):
    lnpoly_helpers.checks.CheckFailed: circle_crossings returned a zip ...: expected 2 values, angles, neurons.
    """
    f = Answer(circle_crossings, "circle_crossings")
    A, B = np.array([1.0, -0.5, 0.0, 2.0, 0.3]), np.array([0.5, 1.0, -1.5, 0.1, -0.2])
    expect_crossings(f, A, B, np.array([0.4, -0.9, 0.0, -1.9, 0.8]))
    expect_crossings(f, *np.random.default_rng(9).normal(size=(3, 40)))
    f.passed()


def expect_crossings(
    f: Answer,
    A: Float[np.ndarray, "m"],
    B: Float[np.ndarray, "m"],
    b: Float[np.ndarray, "m"],
    tolerance: float = 1e-9,
) -> None:
    """Check that an `Answer` to task 5 finds each crossing of each neuron once.

    Parameters
    ----------
    f : Answer
    A, B, b : float64 [m]
    tolerance : float
        How far from 0 a neuron may be at its crossing, relative to max(1, R + |b|) with R = sqrt(A^2 + B^2).

    Raises
    ------
    CheckFailed
        A property is missing; the sentence says which.

    See Also
    --------
    check_crossings

    Examples
    --------
    >>> expect_crossings(Answer(zip, "crossings"), np.ones(2), np.ones(2), np.zeros(2))
    Traceback (most recent call last):
    lnpoly_helpers.checks.CheckFailed: crossings returned a zip ...: expected 2 values, angles, neurons.
    """
    angles, neurons = f.arrays(A, B, b, shapes={"angles": (None,), "neurons": (None,)})
    R, m = np.hypot(A, B), len(A)
    cut = np.flatnonzero(np.abs(b) < R)
    expect(len(angles) == len(neurons), f"You have {len(angles)} angles and {len(neurons)} neurons: expected as many.")
    known = np.isin(neurons, np.arange(m)).all()
    expect(known, f"Your neurons are not all integers from 0 to {m - 1}.")
    neurons = neurons.astype(int)
    wrong = np.setdiff1d(neurons, cut)
    expect(not len(wrong), f"Your neurons {wrong} have |b| >= R: their lines miss the circle, so leave them out.")
    expect(
        not len(cut) or len(angles) != len(cut),
        "You have one crossing for each neuron, but a line that meets the circle cuts it twice: at the middle angle "
        "plus and minus the arccos.",
    )
    expect(
        len(angles) == 2 * len(cut),
        f"You have {len(angles)} crossings: {len(cut)} of {m} neurons have |b| < R = sqrt(A^2 + B^2) and cross twice.",
    )
    expect(not (angles > 2 * (2 * np.pi)).any(), "Some of your angles are larger than 4 pi: are they in degrees?")
    inside = ((angles >= 0) & (angles < (2 * np.pi))).all()
    expect(inside, "Some of your angles lie outside [0, 2 pi): take them modulo 2 pi.")
    own = _at_zero(A[neurons], B[neurons], b[neurons], angles, tolerance)
    elsewhere = [_at_zero(A, B, b, angle, tolerance).any() for angle in angles[~own]]
    expect(
        own.all() or not all(elsewhere),
        "Each of your angles is a crossing, but not of the neuron beside it: sort both arrays with the same argsort.",
    )
    why = "A cos t + B sin t = R cos(t - atan2(B, A))"
    for angle, neuron in zip(angles[~own], neurons[~own], strict=True):
        expect(False, f"At your angle {angle:.6g} neuron {neuron} is not at 0: {why}.")
    expect((np.diff(angles) >= 0).all(), "Your angles are not sorted.")
    twice = np.array_equal(np.sort(neurons), np.repeat(cut, 2))
    twice = twice and all(np.ptp(angles[neurons == i]) > 1e-12 for i in cut)
    expect(twice, "Some neuron's two crossings are not both there: one is at plus the arccos, one at minus.")


def _at_zero(A, B, b, angle, tolerance):
    height = np.abs(A * np.cos(angle) + B * np.sin(angle) + b)
    return height <= tolerance * np.maximum(1.0, np.hypot(A, B) + np.abs(b))


def check_faces(sphere_faces: Callable) -> None:
    """Task 6: into how many faces the planes axis . y = height cut the unit sphere, by Euler's formula.

    Parameters
    ----------
    sphere_faces : callable
        Called as ``sphere_faces(axes [n, 3], heights [n])`` with unit axes; returns a number.

    Raises
    ------
    CheckFailed
        A property is missing; the sentence says which.

    See Also
    --------
    expect_faces

    Examples
    --------
    >>> check_faces(zip)
    Traceback (most recent call last):
    lnpoly_helpers.checks.CheckFailed: What sphere_faces returns is a zip ...: expected an array of real numbers.
    """
    f = Answer(sphere_faces, "sphere_faces")
    axes = np.eye(3)
    expect_faces(f, axes[:0], [], 1, "where nothing cuts it the sphere is one face")
    expect_faces(f, axes[:1], [0.3], 2, "one circle makes two faces")
    expect_faces(f, axes[:1], [1.2], 1, "a plane at height 1.2 misses the sphere")
    expect_faces(f, axes, [0, 0, 0], 8, "three coordinate planes have 3 crossing pairs in one connected part")
    expect_faces(f, axes[[0, 0]], [0.4, -0.4], 3, "two parallel circles do not cross: two parts, no crossing pair")
    expect_faces(f, axes[:2], [0.9, 0.9], 3, "two small circles far apart do not cross, whatever their axes")
    for n in (4, 9):
        random = np.random.default_rng(n).normal(size=(n, 3))
        random /= np.linalg.norm(random, axis=1, keepdims=True)
        expect_faces(f, random, np.zeros(n), n * n - n + 2, f"{n} great circles all cross: n^2 - n + 2")
    f.passed()


def expect_faces(f: Answer, axes: Float[np.ndarray, "n 3"], heights: Any, wanted: int, why: str) -> None:
    """Check that an `Answer` to task 6 finds this number of faces.

    Parameters
    ----------
    f : Answer
    axes : float64 [n, 3]
        Unit vectors.
    heights : array_like [n]
    wanted : int
    why : str
        How one sees that there are so many; ends the sentence.

    Raises
    ------
    CheckFailed
        A property is missing; the sentence says which.

    See Also
    --------
    check_faces

    Examples
    --------
    >>> expect_faces(Answer(np.vdot, "sphere_faces"), np.eye(3)[:1], [[1, 0, 0]], 2, "one circle")
    Traceback (most recent call last):
    lnpoly_helpers.checks.CheckFailed: You count 1 face where there are 2: one circle.
    """
    found = f.array(axes, np.array(heights, dtype=float), shape=())
    expect(found == wanted, f"You count {count(found, 'face')} where there are {wanted}: {why}.")


def check_rays(ray_flips: Callable, layers: Mapping[str, FoldedMLP], x: Mapping[str, Float[np.ndarray, "d"]]) -> None:
    """Task 7: the scales a > 0 at which a neuron flips on the ray a x, with LayerNorm in front and without.

    Parameters
    ----------
    ray_flips : callable
        Called as ``ray_flips(W_in [d, m], b_in [m], x [d], eps)``, eps None without a norm; returns the scales, sorted.
    layers : dict of FoldedMLP
        One ``"with"`` LayerNorm and one ``"without"``.
    x : dict of array [d]
        A residual vector for each.

    Raises
    ------
    CheckFailed
        A property is missing; the sentence says which.

    See Also
    --------
    expect_flips

    Examples
    --------
    >>> check_rays(None, {}, {})
    Traceback (most recent call last):
    lnpoly_helpers.checks.CheckFailed: ray_flips is a NoneType, not a function: was its name used for something else?
    """
    f = Answer(ray_flips, "ray_flips")
    expect_flips(f, layers["without"].W_in, layers["without"].b_in, x["without"], None)
    expect_flips(f, layers["with"].W_in, layers["with"].b_in, x["with"], 0.0)
    expect_flips(f, layers["with"].W_in, layers["with"].b_in, x["with"], layers["with"].eps)
    f.passed()


def expect_flips(
    f: Answer,
    W_in: Float[np.ndarray, "d m"],
    b_in: Float[np.ndarray, "m"],
    x: Float[np.ndarray, "d"],
    eps: float | None,
) -> None:
    """Check that an `Answer` to task 7 finds every flip, by the signs at the two ends of the ray and zeros between.

    Parameters
    ----------
    f : Answer
    W_in : float64 [d, m]
    b_in : float64 [m]
    x : float64 [d]
    eps : float or None
        None: no norm.

    Raises
    ------
    CheckFailed
        A property is missing; the sentence says which.

    See Also
    --------
    check_rays

    Examples
    --------
    >>> expect_flips(Answer(zip, "ray_flips"), np.ones((2, 1)), np.ones(1), np.ones(2), None)
    Traceback (most recent call last):
    lnpoly_helpers.checks.CheckFailed: ray_flips raised TypeError ...: 'NoneType' object is not iterable
    """
    scales = f.array(W_in, b_in, x, eps, shape=(None,))
    where = "without a norm" if eps is None else f"behind LayerNorm with eps = {eps:g}"
    if eps == 0:
        sentence = f"You find {len(scales)} flips {where}. There the whole ray is one point: what could flip on it?"
        expect(not len(scales), sentence)
        return
    expect((scales > 0).all(), f"Some of your scales {where} are not positive, but the ray is a > 0.")
    s = x.std()
    if eps is None:
        far, z = x @ W_in, scales[:, None] * x
    else:
        z = (x - x.mean()) / s
        far, z = z @ W_in + b_in, (scales * s / np.hypot(scales * s, np.sqrt(eps)))[:, None] * z
    flips = np.flatnonzero(far * b_in < 0)  # near a = 0 a neuron has the sign of its b
    zero = np.abs(z @ W_in[:, flips] + b_in[flips]) <= 1e-9 * np.abs(b_in).max()
    wrong = np.count_nonzero(~zero.any(axis=1))
    expect(not wrong, f"At {wrong} of your {len(scales)} scales {where} no neuron's pre-activation is 0.")
    expect(
        len(scales) == len(flips),
        f"You find {len(scales)} flips {where}, but {len(flips)} neurons have different signs at the ray's two ends.",
    )
    expect((np.diff(scales) >= 0).all(), "Your scales are not sorted.")
    expect(zero.any(axis=0).all(), f"Some flip {where} is there twice and another is missing.")
