"""Checks of the exercises in notebooks 1 to 4: back from the sphere, rays, arcs and their maps, counting, sampling."""

import math
from collections.abc import Callable

import numpy as np

from .._answers import exercise, expect, near
from .._words import count
from .points import sphere_points


def check_preimage(preimage: Callable) -> None:
    """Notebook 1: the vector of given mean and standard deviation that LayerNorm sends to a point.

    Parameters
    ----------
    preimage : callable
        Called as ``preimage(z [d], mean, std)``, z on the sphere; returns x [d].

    Raises
    ------
    CheckFailed
        A property is missing; the sentence says which.

    See Also
    --------
    check_size_needed

    Examples
    --------
    >>> check_preimage(zip)
    Traceback (most recent call last):
    lnpoly_helpers.checks.CheckFailed: preimage raised TypeError for input of shape [3]: ...
    """
    with exercise(preimage, "preimage") as f:
        rng = np.random.default_rng(20)
        for d, mean, std in ((3, 2.0, 5.0), (4, -1.5, 0.1), (768, 0.5, 3.0)):
            z = sphere_points(rng, 1, d)[0]
            x = f.array(z, mean, std, shape=(d,))
            order = "multiply first, then add" if near(x.mean(), mean * std) else "what moves the mean of the entries?"
            expect(near(x.mean(), mean), f"The mean of your x is {x.mean():.4g}, not {mean:g}: {order}")
            unit = near(x.std() * np.sqrt(d), std)
            expect(not unit, "Your x is sqrt(d) times too short: z has length sqrt(d), so its standard deviation is 1.")
            right = near(x.std(), std)
            expect(right, f"The standard deviation of your x is {x.std():.4g}, not {std:g}: that of z is 1.")
            image = (x - x.mean()) / x.std()
            expect(not near(image, -z), "LayerNorm sends your x to -z, the opposite point.")
            expect(near(image, z), "Your x has the mean and standard deviation, but LayerNorm does not send it to z.")


def check_size_needed(size_needed: Callable) -> None:
    """Notebook 1: the standard deviation at which a vector comes as near the sphere as asked, eps given.

    Parameters
    ----------
    size_needed : callable
        Called as ``size_needed(gap, eps)``; returns s with ‖z‖ = (1 - gap) sqrt(d) for a vector of that size.

    Raises
    ------
    CheckFailed
        A property is missing; the sentence says which.

    See Also
    --------
    check_preimage

    Examples
    --------
    >>> check_size_needed(np.multiply)
    Traceback (most recent call last):
    lnpoly_helpers.checks.CheckFailed: With gap = 0.4, eps = 0.1 your s = 0.04 leaves a gap of 0.875.
    """
    with exercise(size_needed, "size_needed") as f:
        z = sphere_points(np.random.default_rng(21), 1, 5)[0]

        def left(s):  # the gap of a vector of that size, normalised as a model does it
            x = s * z + 3
            return 1 - np.linalg.norm((x - x.mean()) / np.sqrt(x.var() + eps)) / np.sqrt(len(x))

        for gap, eps in ((0.4, 0.1), (0.02, 0.1), (0.9, 2.0), (1e-5, 1e-5)):
            s = f.array(gap, eps, shape=())
            given = f"With gap = {gap:g}, eps = {eps:g}"
            expect(s > 0, f"{given} your s is {s:.4g}: expected a positive number.")
            rule = not near(left(s), gap) and near(2 * gap * s**2, eps)
            expect(
                not rule, f"{given} your s follows the rule for small gaps, eps/2s^2. Solve s/sqrt(s^2 + eps) itself."
            )
            expect(not near(left(np.sqrt(s)), gap), f"{given} your number is the variance: s is its root.")
            swapped = not near(left(s), gap) and near(left(s), 1 - gap)
            expect(not swapped, f"{given} your s brings z to gap sqrt(d): it should miss the sphere by that much.")
            expect(near(left(s), gap), f"{given} your s = {s:.4g} leaves a gap of {left(s):.3g}.")


def check_pieces(pieces: Callable) -> None:
    """Notebook 2: into how many pieces, each with one affine map, the boundaries cut the ray a v, a > 0.

    Parameters
    ----------
    pieces : callable
        Called as ``pieces(W_in [d, m], b_in [m], v [d])``, no norm in front; returns a number.

    Raises
    ------
    CheckFailed
        A property is missing; the sentence says which.

    See Also
    --------
    check_next_map

    Examples
    --------
    >>> check_pieces(zip)
    Traceback (most recent call last):
    lnpoly_helpers.checks.CheckFailed: What pieces returns is a zip ...: expected an array of real numbers.
    """
    with exercise(pieces, "pieces") as f:
        rng = np.random.default_rng(22)
        a = np.geomspace(1e-6, 1e6, 4001)[:, None]

        def walked(W_in, b_in, v):  # a neuron flips at most once on a ray, so steps lose none
            on = a * (v @ W_in) + b_in > 0
            return 1 + np.count_nonzero(on[1:] != on[:-1])

        W_in, b_in = np.array([[1.0, 0.2, -0.7, -0.9], [0.3, 1.0, 0.8, -1.1]]), np.array([0.7, -0.9, 0.4, 2.8])
        cases = [(W_in, b_in, np.array([0.8, 0.8])), (W_in, b_in, np.array([-3.0, 1.0]))]
        cases += [(rng.normal(size=(d, m)), rng.normal(size=m), rng.normal(size=d)) for d, m in ((3, 12), (16, 60))]
        for W, b, v in cases:
            found, wanted = f.array(W, b, v, shape=()), walked(W, b, v)
            borders = f"{wanted - 1} borders cut a ray into {wanted} pieces."
            expect(found != wanted - 1, f"You count {count(found, 'piece')}, the borders: {borders}")
            everything = found == len(b) + 1 != wanted
            expect(not everything, "You count every neuron: some have their border where a < 0, behind the origin.")
            behind = found == walked(W, b, -v) != wanted
            expect(
                not behind, "You count the pieces of the ray of -v. Which signs of b and v . w make a flip at a > 0?"
            )
            expect(found == wanted, f"You count {count(found, 'piece')} where a walk along the ray meets {wanted}.")
        v, flat = np.array([0.0, 1.0]), np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
        found = f.array(flat, np.array([0.5, -0.5, -2.0]), v, shape=())
        expect(found == 2, "A neuron with v . w = 0 stays as it is along the whole ray: it makes no border.")
        found = f.array(W_in, np.zeros(4), cases[0][2], shape=())
        expect(
            found == 1,
            f"Without biases you count {count(found, 'piece')}: a border through the origin cuts no ray a > 0.",
        )


def check_next_map(next_map: Callable) -> None:
    """Notebook 3: the affine map on the other side of a border, from the map on this side and one neuron.

    Parameters
    ----------
    next_map : callable
        Called as ``next_map(A [d, d_out], c [d_out], w_in [d], b, w_out [d_out], turns_on)``, the weights and bias of
        the neuron that flips, and whether it turns on; returns the new A and c.

    Raises
    ------
    CheckFailed
        A property is missing; the sentence says which.

    See Also
    --------
    check_patterns_around

    Examples
    --------
    >>> check_next_map(zip)
    Traceback (most recent call last):
    lnpoly_helpers.checks.CheckFailed: next_map raised TypeError ...: ...
    """
    with exercise(next_map, "next_map") as f:
        rng = np.random.default_rng(23)
        for turns_on in (True, False):
            A, c, w_out, w_in = (rng.normal(size=shape) for shape in ((3, 2), 2, 2, 3))
            b, sign = float(rng.normal()), 1 if turns_on else -1
            now_A, now_c = f.arrays(A, c, w_in, b, w_out, turns_on, shapes={"A": (3, 2), "c": (2,)})
            dA, dc = sign * (now_A - A), sign * (now_c - c)
            more = "one neuron more takes part" if turns_on else "one neuron less takes part"
            expect(not near(dA, 0 * A), f"Your A is the one before the border, but {more}.")
            rank = np.linalg.matrix_rank(dA)
            why = "a neuron's part is the product of its weights in and out, of rank one"
            expect(rank == 1, f"Your A changes by a matrix of rank {rank}: {why}.")
            z = sphere_points(rng, 6, 3)
            part = np.stack([(point @ w_in + b) * w_out for point in z])  # what the neuron puts out where it is on
            wrong = near(z @ dA + dc, -part)
            expect(not wrong, "A neuron that turns on adds its part, one that turns off takes it away: yours does not.")
            expect(
                not near(dc, 0 * c), "Your c does not change. On the border itself both maps agree: does b go anywhere?"
            )
            whole = near(dc, np.full(2, b)) and not near(dc, b * w_out)
            expect(
                not whole, "Your c changes by b. The bias goes through the neuron's output weights, as all else does."
            )
            border = z - ((z @ w_in + b) / (w_in @ w_in))[:, None] * w_in
            gap = np.abs(border @ dA + dc).max()
            expect(
                gap < 1e-9, f"On the border, where z . w_in + b = 0, both maps agree. Yours differ there by {gap:.3g}."
            )
            right = near(z @ dA + dc, part)
            expect(right, "Off the border your two maps do not differ by the neuron's part, (z . w_in + b) w_out.")


def check_patterns_around(patterns_around: Callable) -> None:
    """Notebook 3: the patterns of all arcs of a circle, from one of them and the neurons that flip on the way.

    Parameters
    ----------
    patterns_around : callable
        Called as ``patterns_around(first [m], neurons [n])``, the pattern before the first crossing (0 and 1) and the
        neuron of each; returns patterns [n, m], row k that behind crossing k.

    Raises
    ------
    CheckFailed
        A property is missing; the sentence says which.

    See Also
    --------
    check_next_map

    Examples
    --------
    >>> check_patterns_around(np.outer)
    Traceback (most recent call last):
    lnpoly_helpers.checks.CheckFailed: What patterns_around returns has shape [4, 6] ...: expected [6, 4].
    """
    with exercise(patterns_around, "patterns_around") as f:
        rng = np.random.default_rng(24)
        for m in (4, 30):
            # neuron i is on within half[i] of the angle middle[i]; the last one is on all round
            middle, half = rng.uniform(0, 2 * np.pi, m), rng.uniform(0.3, 2.8, m)
            angles = np.concatenate([middle - half, middle + half]).reshape(2, m)[:, :-1].ravel() % (2 * np.pi)
            order = np.argsort(angles)
            neurons, ends = np.tile(np.arange(m - 1), 2)[order], np.append(angles[order], angles.min() + 2 * np.pi)
            between = (ends[1:] + ends[:-1]) / 2
            wanted = (np.cos(between[:, None] - middle) > np.cos(half)).astype(int)
            wanted[:, -1] = 1
            first = wanted[-1].copy()
            rows = f.array(first, neurons, shape=(len(neurons), m))
            expect(np.isin(rows, (0, 1)).all(), "Your patterns hold numbers other than 0 and 1: 0 flips to 1, 1 to 0.")
            alike = (rows == rows[0]).all()
            expect(
                not alike, "All your rows are the same: keep a copy of each, p.copy(), or one array changes them all."
            )
            expect(
                not np.array_equal(rows[0], first),
                "Your first row is first itself: row 0 is the pattern behind crossing 0.",
            )
            flipped = (rows != np.concatenate([first[None], rows[:-1]])).sum(axis=1)
            k = int(np.argmax(flipped != 1))
            said = f"At crossing {k} {flipped[k]} of your neurons flip: one does, and all others stay as they were."
            expect((flipped == 1).all(), said)
            closed = np.array_equal(rows[-1], first)
            expect(closed, "Your last row is not first: once round, each neuron flips twice or never.")
            expect(
                np.array_equal(rows, wanted),
                "Each of your crossings flips one neuron, but not the one that neurons names.",
            )


def check_regions(regions: Callable) -> None:
    """Notebook 4: into how many regions m boundaries cut a sphere of dimension k, at most.

    Parameters
    ----------
    regions : callable
        Called as ``regions(m, k)`` with m >= 1 and k >= 0; returns a number.

    Raises
    ------
    CheckFailed
        A property is missing; the sentence says which.

    See Also
    --------
    check_share_on

    Examples
    --------
    >>> check_regions(np.multiply)
    Traceback (most recent call last):
    lnpoly_helpers.checks.CheckFailed: Your regions(1, 1) is 1: one boundary makes two halves.
    """
    with exercise(regions, "regions") as f:
        rng = np.random.default_rng(25)
        points, planes = rng.normal(size=(20_000, 4)), rng.normal(size=(4, 5))
        seen = len(np.unique((points @ planes > 0) @ 2 ** np.arange(5)))
        cases = [
            (1, 1, 2, "one boundary makes two halves"),
            (5, 1, 10, "five lines through the centre cut the circle into 2m = 10 arcs"),
            (4, 2, 14, "four planes cut the sphere into m^2 - m + 2 = 14"),
            (4, 5, 16, "in so many dimensions each boundary cuts every region there is, which makes 2^4"),
            (7, 0, 2, "a sphere of dimension 0 is two points, however many boundaries part them"),
            (5, 3, seen, f"20,000 random points of the sphere show {seen} patterns of five random boundaries"),
        ]
        found = [f.array(m, k, shape=()) for m, k, _, _ in cases]
        half = all(2 * count == wanted for count, (_, _, wanted, _) in zip(found, cases, strict=True))
        expect(not half, "You count half of the regions: with each region there is its opposite, so begin with 2.")
        for count, (m, k, wanted, why) in zip(found, cases, strict=True):
            expect(count == wanted, f"Your regions({m}, {k}) is {count:g}: {why}.")


def check_share_on(share_on: Callable) -> None:
    """Notebook 4: on which share of the unit sphere a neuron is on, by random points.

    Parameters
    ----------
    share_on : callable
        Called as ``share_on(w [d], b, n, rng)``; returns the share of n points, drawn evenly from the unit sphere, at
        which y . w + b > 0.

    Raises
    ------
    CheckFailed
        A property is missing; the sentence says which.

    See Also
    --------
    check_regions

    Examples
    --------
    >>> check_share_on(zip)
    Traceback (most recent call last):
    lnpoly_helpers.checks.CheckFailed: share_on raised TypeError ...: ...
    """
    with exercise(share_on, "share_on") as f:
        n, rng = 40_000, np.random.default_rng(26)
        for w, height in (([1, 1, 1], 0.9), ([0, 0, -3], 0.5), ([1, -2, 2], -0.6), ([3, 4], 0.3), ([2, 0], -0.8)):
            w = np.array(w, dtype=float)
            size, d = float(np.linalg.norm(w)), len(w)
            b = -height * size
            found = f.array(w, b, n, rng, shape=())
            expect(0 <= found <= 1, f"Your share is {found:g}: expected one between 0 and 1. Divide by n.")
            wanted = (1 - height) / 2 if d == 3 else math.acos(height) / math.pi  # Archimedes; an arc of the circle
            error = 5 * math.sqrt(wanted * (1 - wanted) / n)
            said = f"For w = {w.astype(int).tolist()}, b = {b:.4g} your share is {found:.3f}"
            expect(abs(found - (1 - wanted)) > error, f"{said}, that of the points where the neuron is off.")
            right = abs(found - wanted) < error
            loose = not right and abs(found - math.erfc(height / math.sqrt(2)) / 2) < error
            expect(not loose, f"{said}: your points do not lie on the sphere. Divide each one by its length.")
            law = "a cap that begins at height h has the share (1 - h)/2" if d == 3 else "the arc has arccos(h)/pi"
            even = "Are the points drawn evenly? Those of a cube crowd at its corners; normal ones have no corner"
            expect(right, f"{said}, but {law}, here {wanted:.3f}. {even}.")
