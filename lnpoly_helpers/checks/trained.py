"""Checks of the exercises in notebooks 5 to 8: derivatives, margins, what one push changes and what many share."""

from collections.abc import Callable

import numpy as np

from .._answers import exercise, expect, near
from .points import sphere_points


def check_derivative(derivative: Callable) -> None:
    """Notebook 5: the derivative of any smooth function at a point, by differences.

    Parameters
    ----------
    derivative : callable
        Called as ``derivative(g, x [d])`` with a function g of batches, [n, d] to [n, d_out]; returns J [d, d_out],
        ``J[i, j]`` the derivative of output j by entry i.

    Raises
    ------
    CheckFailed
        A property is missing; the sentence says which.

    See Also
    --------
    check_rest

    Examples
    --------
    >>> check_derivative(map)
    Traceback (most recent call last):
    lnpoly_helpers.checks.CheckFailed: What derivative returns is a map ...: expected an array of real numbers.
    """
    with exercise(derivative, "derivative") as f:
        rng = np.random.default_rng(27)
        M, c, x = rng.normal(size=(4, 3)), rng.normal(size=3), rng.normal(size=4)
        J = f.array(lambda y: y @ M + c, x, shape=(4, 3))
        given = "For g(x) = x @ M + c, whose derivative is M, your J"
        for factor, word in ((2, "twice"), (0.5, "half")):
            wrong = near(J, factor * M, 1e-5)
            expect(not wrong, f"{given} is {word} that: from x - h to x + h the way is 2h, from x to x + h it is h.")
        steps = near(J * np.abs(M).max(), M * np.abs(J).max(), 1e-5) and not near(J, M, 1e-5)
        expect(not steps, f"{given} has the right form, not the right size: divide by the step.")
        expect(near(J, M, 1e-5), f"{given} is off by {np.abs(J - M).max():.3g}.")
        wanted = M * (1 - np.tanh(x @ M) ** 2)
        off = np.abs(f.array(lambda y: np.tanh(y @ M), x, shape=(4, 3)) - wanted).max()
        advice = "A shorter step, about 1e-5, or the difference of both sides of x comes nearer"
        expect(off < 1e-5, f"For g(x) = tanh(x @ M) your J is off by {off:.3g}. {advice}.")
        x = sphere_points(rng, 1, 4)[0]
        once, longer = (f.array(lambda y: np.tanh(_normalized(y) @ M), a * x, shape=(4, 3)) for a in (1, 10))
        scaled = "behind LayerNorm that of 10 x is a tenth of it"
        expect(near(10 * longer, once, 1e-4), f"Your J of x and of 10 x do not fit together: {scaled}.")


def _normalized(y):
    y = y - y.mean(axis=-1, keepdims=True)
    return y / y.std(axis=-1, keepdims=True)


def check_margin(margin: Callable) -> None:
    """Notebook 6: the angle from a point of the sphere to the nearest point of one boundary.

    Parameters
    ----------
    margin : callable
        Called as ``margin(w [d], b, z [d])`` with centred w, z on LayerNorm's sphere, and a boundary z . w + b = 0 that
        meets it; returns the angle in radians.

    Raises
    ------
    CheckFailed
        A property is missing; the sentence says which.

    See Also
    --------
    check_rest

    Examples
    --------
    >>> check_margin(zip)
    Traceback (most recent call last):
    lnpoly_helpers.checks.CheckFailed: margin raised TypeError ...: ...
    """
    with exercise(margin, "margin") as f:
        rng = np.random.default_rng(28)
        for d, to_w, to_edge in ((3, 1.2, 0.5), (3, 0.5, 1.9), (8, 2.0, 2.6), (768, 1.6, 1.4), (768, 1.5, 1.5)):
            # w is to_w away from z, and the boundary is all that is to_edge away from w
            z, other = sphere_points(rng, 2, d)
            across = other - (other @ z) / d * z
            size = rng.uniform(0.5, 2)
            w = size * (np.cos(to_w) * z / np.sqrt(d) + np.sin(to_w) * across / np.linalg.norm(across))
            b, wanted = float(-np.sqrt(d) * size * np.cos(to_edge)), abs(to_w - to_edge)
            found = f.array(w, b, z, shape=())
            reach, height = np.sqrt(d) * size, abs(z @ w + b)
            mistakes = {
                -wanted: "An angle between two things is not negative: take the absolute value.",
                np.degrees(wanted): "Your angle is in degrees: expected radians.",
                abs(to_w - np.pi / 2): "You measure to the plane through the centre: b moves the boundary off it.",
                height
                / size: "You measure straight to the plane: on the sphere the way is an arc, and its angle is asked.",
                height / reach: "You measure straight to the plane, in radii: on the sphere the way is an arc.",
                to_w: "You measure the angle between z and w: where, seen from w, does the boundary lie?",
            }
            for value, sentence in mistakes.items():
                expect(near(found, wanted, 1e-6) or not near(found, value), sentence)
            why = f"z is {to_w} away from w, the boundary {to_edge}" if wanted else "z lies on it"
            expect(
                near(found, wanted, 1e-6), f"Your angle is {found:.4g} where the boundary is {wanted:.4g} away: {why}."
            )


def check_rest(rest: Callable) -> None:
    """Notebook 7: what a ReLU layer's change has beyond the first region's map, from the neurons that flip.

    Parameters
    ----------
    rest : callable
        Called as ``rest(W_in [d, m], b_in [m], W_out [m, d_out], z0 [d], z1 [d])``; returns [d_out].

    Raises
    ------
    CheckFailed
        A property is missing; the sentence says which.

    See Also
    --------
    check_strength

    Examples
    --------
    >>> check_rest(zip)
    Traceback (most recent call last):
    lnpoly_helpers.checks.CheckFailed: What rest returns is a zip ...: expected an array of real numbers.
    """
    with exercise(rest, "rest") as f:
        one, two = np.ones((1, 1)), np.array([[2.0, -1.0]])

        def alone(z0, z1):  # one neuron of weight 1 without a bias
            return f.array(one, np.zeros(1), two, np.array([z0]), np.array([z1]), shape=(2,))

        expect(
            near(alone(1.0, 3.0), [0, 0]), "No neuron flips, so the first map holds and the rest is 0: yours is not."
        )
        for z0, z1, what in ((-1.0, 3.0, "turns on"), (3.0, -1.0, "turns off")):
            found, ends = alone(z0, z1), f"A neuron {what}, at {z0:g} before and at {z1:g} behind"
            expect(not near(found, [0, 0]), f"{ends}, and your rest is 0: neurons that flip either way take part.")
            expect(not near(found, abs(z0) * two[0]), f"{ends}: its part is its size where the move ends, not before.")
            expect(
                not near(found, abs(z1 - z0) * two[0]), f"{ends}: its part is its size at the end, not its whole move."
            )
            back = "the first map counts on down below 0, so the rest takes back, which adds |h| w_out"
            expect(not near(found, -abs(z1) * two[0]), f"{ends}, and your rest has the wrong sign: {back}.")
            expect(
                near(found, abs(z1) * two[0]), f"{ends}: the rest is {abs(z1):g} times its row of W_out. Yours is not."
            )
        rng = np.random.default_rng(29)
        for d, m in ((4, 12), (16, 200)):
            W_in, b_in, W_out = rng.normal(size=(d, m)), rng.normal(size=m), rng.normal(size=(m, 3))
            z0, z1 = sphere_points(rng, 2, d)
            found = f.array(W_in, b_in, W_out, z0, z1, shape=(3,))

            def output(z):
                return np.maximum(z @ W_in + b_in, 0) @ W_out  # noqa: B023

            step = 0.5 * np.min(np.abs(z0 @ W_in + b_in) / np.abs((z1 - z0) @ W_in))  # no neuron flips within it
            tangent = (output(z0 + step * (z1 - z0)) - output(z0)) / step
            off = output(z1) - output(z0) - tangent - found
            pre = z0 @ W_in, z1 @ W_in
            bare = np.abs(pre[1]) * ((pre[0] > 0) != (pre[1] > 0)) @ W_out
            expect(not near(found, bare, 1e-7), "Your neurons have no biases: a neuron is at z @ W_in + b_in.")
            said = f"Tangent part and your rest together miss the change of the output by {np.abs(off).max():.3g}."
            expect(near(off, 0 * off, 1e-7), said)


def check_strength(strength: Callable) -> None:
    """Notebook 8: how much of a direction to add to a vector for LayerNorm to see it turned by an angle.

    Parameters
    ----------
    strength : callable
        Called as ``strength(x [d], v [d], theta)``, theta in radians and smaller than the angle between the two;
        returns alpha > 0.

    Raises
    ------
    CheckFailed
        A property is missing; the sentence says which.

    See Also
    --------
    check_rest

    Examples
    --------
    >>> check_strength(zip)
    Traceback (most recent call last):
    lnpoly_helpers.checks.CheckFailed: strength raised TypeError ...: ...
    """
    with exercise(strength, "strength") as f:
        rng = np.random.default_rng(31)
        for d, share, towards in ((3, 0.3, 0), (16, 0.6, 3), (16, 0.6, -3), (768, 0.2, 0)):
            x, v = 2 * rng.normal(size=d) + 5, rng.normal(size=d) - 2
            v += towards * (x - x.mean()) / x.std()
            Px, Pv = x - x.mean(), v - v.mean()
            theta = share * _angle(Px, Pv)
            alpha = f.array(x, v, theta, shape=())
            expect(alpha > 0, f"Your alpha is {alpha:.4g}, which turns x away from v: expected a positive number.")
            turned = _angle(Px, Px + alpha * Pv)
            right = near(turned, theta, 1e-7)
            length = np.linalg.norm(Pv)
            raw = _angle(x, x + alpha * v)
            bare = not right and near(raw, theta, 1e-7)
            expect(
                not bare, "Your alpha turns x itself by theta: LayerNorm centres first, so take the angle of Px and Pv."
            )
            unit = not right and near(_angle(Px, Px + alpha / length * Pv), theta, 1e-7)
            expect(
                not unit, "Your alpha is the length of what is added: v has a length of its own, |Pv|, to divide by."
            )
            flat = not right and near(alpha * length, np.linalg.norm(Px) * np.tan(theta), 1e-7)
            expect(not flat, "Your alpha is right only where Pv is orthogonal to Px. What does v add along x?")
            said = f"Your alpha = {alpha:.4g} turns x by {np.degrees(turned):.3g} degrees"
            expect(right, f"{said}, not by {np.degrees(theta):.3g}.")


def _angle(u, v):
    return np.arccos(np.clip(u @ v / np.linalg.norm(u) / np.linalg.norm(v), -1, 1))


def check_common_share(common_share: Callable) -> None:
    """Notebook 8: what many changes have in common, estimated without bias.

    Parameters
    ----------
    common_share : callable
        Called as ``common_share(changes [n, d])``, n >= 2; returns a number.

    Raises
    ------
    CheckFailed
        A property is missing; the sentence says which.

    See Also
    --------
    check_rest

    Examples
    --------
    >>> check_common_share(np.size)
    Traceback (most recent call last):
    lnpoly_helpers.checks.CheckFailed: Five equal changes have everything in common: 1, not 30.
    """
    with exercise(common_share, "common_share") as f:
        rng = np.random.default_rng(30)
        v = rng.normal(size=6)
        found = f.array(np.tile(v, (5, 1)), shape=())
        expect(not near(found, 0.5), "You find half of it: a pair j, k and the pair k, j both count among n (n - 1).")
        expect(not near(found, 0.8), "You divide by n^2: without a change's pairs with itself there are n (n - 1).")
        expect(near(found, 1), f"Five equal changes have everything in common: 1, not {found:.4g}.")
        for changes in (rng.normal(size=(5, 6)) + 1, np.stack([v, -v]), np.eye(4), 30 * rng.normal(size=(12, 3)) ** 3):
            n, found = len(changes), f.array(changes, shape=())
            pairs = [changes[j] @ changes[k] for j in range(n) for k in range(n) if j != k]
            square = np.mean([change @ change for change in changes])
            wanted, mean = np.mean(pairs) / square, changes.mean(axis=0)
            biased = near(found, mean @ mean / square)
            expect(
                not biased,
                "Your share has a bias: |mean|^2 holds each change's product with itself, too. Leave those out.",
            )
            units = changes / np.linalg.norm(changes, axis=1, keepdims=True)
            total = units.sum(axis=0)
            cosine = not near(found, wanted) and near(found, (total @ total - n) / (n * (n - 1)))
            expect(not cosine, "Yours is the mean cosine: here long changes count for more than short ones.")
            squared = not near(found, wanted) and near(found, np.mean(pairs) / (mean @ mean))
            expect(not squared, "You divide by the square of the mean: divide by the mean of the squares.")
            expect(
                near(found, wanted),
                f"Of {n} changes in {changes.shape[1]} dimensions you find {found:.4g}: expected {wanted:.4g}.",
            )
