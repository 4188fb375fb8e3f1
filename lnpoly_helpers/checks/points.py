"""Checks of tasks 1 to 3: LayerNorm, whose vectors it sends to one point, and how its learned part folds away."""

from collections.abc import Callable

import numpy as np

from .._answers import Answer, expect, near
from .._inputs import Float


def check_normalize(my_normalize: Callable) -> None:
    """Task 1: z = Px / sqrt(|Px|^2/d + eps) for any batch of row vectors.

    Parameters
    ----------
    my_normalize : callable
        Called as ``my_normalize(x [..., d], eps=0.0)``; returns z [..., d].

    Raises
    ------
    CheckFailed
        A property is missing; the sentence says which.

    See Also
    --------
    expect_rows, check_shared_point

    Examples
    --------
    >>> check_normalize(np.abs)
    Traceback (most recent call last):
    lnpoly_helpers.checks.CheckFailed: Your output changes when x is shifted by a constant: was the mean removed?
    """
    f = Answer(my_normalize, "my_normalize")
    x = np.array([3.0, 1.0, -1.0, 0.6, 0.8])
    z, s, d = f.array(x, shape=x.shape), x.std(), x.size
    same = near(f.array(x + 5, shape=x.shape), z)
    expect(same, "Your output changes when x is shifted by a constant: was the mean removed?")
    same = near(f.array(7 * x, shape=x.shape), z)
    expect(same, "Your output changes when x is multiplied by 7: was it divided by its standard deviation?")
    length = np.linalg.norm(z)
    expect(
        not near(length, np.sqrt(d - 1)),
        "The length of your output is sqrt(d - 1): LayerNorm's variance is |Px|^2 divided by d, not by d - 1.",
    )
    expect(
        near(length, np.sqrt(d)),
        f"The length of your output is {length:.4g}, not sqrt(d) = {np.sqrt(d):.4g}: divide by the standard deviation "
        "|Px|/sqrt(d), not by the length |Px|.",
    )
    expect(z @ (x - x.mean()) > 0, "Your output points away from x, but x and -x go to opposite points.")
    expect(near(z, (x - x.mean()) * (z @ x) / (d * s**2)), "Your output does not point along x without its mean.")
    expect_rows(f, np.stack([x, 2 * x[::-1], x**2]))
    eps = 0.5
    got, wanted = np.linalg.norm(f.array(x, shape=x.shape, eps=eps)), np.sqrt(d * s**2 / (s**2 + eps))
    outside = near(got, length * s / (s + eps)) or near(got, length * s / (s + np.sqrt(eps)))
    expect(not outside, "eps is added to the variance, under the root, not to the standard deviation.")
    why = "|z|^2 = d s^2 / (s^2 + eps)"
    expect(near(got, wanted), f"With eps = {eps} the length of your output is {got:.4g}, not {wanted:.4g}: {why}.")
    f.passed()


def expect_rows(f: Answer, batch: Float[np.ndarray, "... d"]) -> None:
    """Check that an `Answer` to task 1 treats each row of a batch as it treats it alone.

    Parameters
    ----------
    f : Answer
    batch : float64 [..., d]

    Raises
    ------
    CheckFailed
        A property is missing; the sentence says which.

    See Also
    --------
    check_normalize

    Examples
    --------
    >>> expect_rows(Answer(np.cumsum, "sums"), np.ones((2, 3)))
    Traceback (most recent call last):
    lnpoly_helpers.checks.CheckFailed: What sums returns has shape [6] for input of shape [2, 3]: expected [2, 3].
    """
    rows = batch.reshape(-1, batch.shape[-1])
    alone = np.stack([f.array(row, shape=row.shape) for row in rows]).reshape(batch.shape)
    expect(
        near(f.array(batch, shape=batch.shape), alone),
        "In a batch each row must come out as it does alone: take mean and variance with axis=-1, keepdims=True.",
    )


def check_shared_point(shared_point: Callable) -> None:
    """Task 2: (a, c) with y = a x + c and a > 0, or None where x and y go to different points.

    Parameters
    ----------
    shared_point : callable
        Called as ``shared_point(x [d], y [d])``; returns (a, c) or None.

    Raises
    ------
    CheckFailed
        A property is missing; the sentence says which.

    See Also
    --------
    expect_shared, expect_apart

    Examples
    --------
    >>> check_shared_point(np.add)
    Traceback (most recent call last):
    lnpoly_helpers.checks.CheckFailed: Expected two numbers, a and c: is `return a, c` the last line?
    """
    f = Answer(shared_point, "shared_point")
    x = np.array([3.0, 0.6, -1.0, 0.4])
    for a, c in ((3.7, -12.5), (0.02, 0.0), (1.0, 4.0)):
        expect_shared(f, x, a * x + c)
    expect_apart(f, x, -x, "x and -x go to opposite points, and no a > 0 connects them")
    expect_apart(f, x, 2 - 0.5 * x, "y = 2 - 0.5 x has a negative a, and the statement needs a > 0")
    expect_apart(f, x, x + [0, 0.1, 0, 0], "y differs from x in one entry, so no a x + c is y: compare them")
    f.passed()


def expect_shared(f: Answer, x: Float[np.ndarray, "d"], y: Float[np.ndarray, "d"]) -> None:
    """Check that an `Answer` to task 2 gives a > 0 and c with y = a x + c.

    Parameters
    ----------
    f : Answer
    x, y : float64 [d]
        That LayerNorm sends to one point.

    Raises
    ------
    CheckFailed
        A property is missing; the sentence says which.

    See Also
    --------
    expect_apart, check_shared_point

    Examples
    --------
    >>> expect_shared(Answer(np.divmod, "shared_point"), np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    Traceback (most recent call last):
    lnpoly_helpers.checks.CheckFailed: a has shape [2] for input of shape [2], [2]: expected a single number.
    """
    value = f(x, y)
    expect(value is not None, "You return None for two vectors that LayerNorm sends to the same point.")
    pair = isinstance(value, (tuple, list)) and len(value) == 2
    expect(pair, "Expected two numbers, a and c: is `return a, c` the last line?")
    a, c = (f.as_array(number, (), name) for number, name in zip(value, "ac", strict=True))
    expect(a > 0, f"Your a is {a:.4g}: expected a > 0.")
    off = y - (a * x + c)
    right = near(off, np.full(x.shape, off.mean()))
    hint = "c is the mean of y minus a times that of x" if right else "a is the ratio of the standard deviations"
    expect(near(off, 0 * off), f"Your a x + c misses y by {np.abs(off).max():.3g}: {hint}.")


def expect_apart(f: Answer, x: Float[np.ndarray, "d"], y: Float[np.ndarray, "d"], why: str) -> None:
    """Check that an `Answer` to task 2 returns None.

    Parameters
    ----------
    f : Answer
    x, y : float64 [d]
        That LayerNorm sends to different points.
    why : str
        How one sees that; ends the sentence.

    Raises
    ------
    CheckFailed
        A property is missing; the sentence says which.

    See Also
    --------
    expect_shared, check_shared_point

    Examples
    --------
    >>> expect_apart(Answer(np.add, "shared_point"), np.array([1.0, 2.0]), np.array([2.0, 1.0]), "y is -x + 3")
    Traceback (most recent call last):
    lnpoly_helpers.checks.CheckFailed: You return numbers where None belongs: y is -x + 3.
    """
    expect(f(x, y) is None, f"You return numbers where None belongs: {why}.")


def check_fold(my_fold: Callable) -> None:
    """Task 3: W, b with normalize(x) @ W + b = (gamma * normalize(x) + beta) @ W_in + b_in and W blind to shifts.

    Parameters
    ----------
    my_fold : callable
        Called as ``my_fold(gamma [d], beta [d], W_in [d, m], b_in [m])``; returns W [d, m] and b [m].

    Raises
    ------
    CheckFailed
        A property is missing; the sentence says which.

    See Also
    --------
    expect_fold

    Examples
    --------
    >>> check_fold(zip)
    Traceback (most recent call last):
    lnpoly_helpers.checks.CheckFailed: my_fold returned a zip ...: expected 2 values, W, b.
    """
    f = Answer(my_fold, "my_fold")
    rng = np.random.default_rng(5)
    expect_fold(f, 1 + 0.5 * rng.normal(size=4), rng.normal(size=4), rng.normal(size=(4, 3)), rng.normal(size=3))
    f.passed()


def expect_fold(
    f: Answer,
    gamma: Float[np.ndarray, "d"],
    beta: Float[np.ndarray, "d"],
    W_in: Float[np.ndarray, "d m"],
    b_in: Float[np.ndarray, "m"],
) -> None:
    """Check that an `Answer` to task 3 gives the layer's own pre-activations, and is centred.

    Parameters
    ----------
    f : Answer
    gamma, beta : float64 [d]
    W_in : float64 [d, m]
    b_in : float64 [m]

    Raises
    ------
    CheckFailed
        A property is missing; the sentence says which.

    See Also
    --------
    check_fold, sphere_points

    Examples
    --------
    >>> expect_fold(Answer(zip, "my_fold"), np.ones(4), np.ones(4), np.ones((4, 3)), np.ones(3))
    Traceback (most recent call last):
    lnpoly_helpers.checks.CheckFailed: my_fold returned a zip ...: expected 2 values, W, b.
    """
    W, b = f.arrays(gamma, beta, W_in, b_in, shapes={"W": W_in.shape, "b": b_in.shape})
    z = sphere_points(np.random.default_rng(6), 40, len(gamma))
    here, opposite = (gamma * z + beta) @ W_in + b_in, (beta - gamma * z) @ W_in + b_in
    wanted = ((here + opposite) / 2)[0]  # between z and -z the matrix cancels
    scaled = gamma[:, None] * W_in
    expect(near(b, wanted) or not near(b, b_in), "Your b is b_in itself: beta goes through the matrix too.")
    folded = any(near(b, b_in + beta @ M) for M in (scaled, scaled - scaled.mean(axis=0), W))
    expect(
        near(b, wanted) or not folded,
        "Your b sends beta through the folded matrix: LayerNorm adds beta after gamma, so take the original W_in.",
    )
    off = np.abs(b - wanted).max()
    expect(near(b, wanted), f"Your b misses the mean of the pre-activations at z and -z by {off:.3g}.")
    expect(
        near(z @ W + b, here) or not near(z @ W, z @ W_in),
        "Your W does not depend on gamma: multiply row i of W_in by gamma[i].",
    )
    off = np.abs(z @ W + b - here).max()
    expect(
        near(z @ W + b, here),
        f"On the sphere your z @ W + b misses the layer's own pre-activations by {off:.3g}: gamma[i] multiplies row i.",
    )
    expect(
        near(W.sum(axis=0), np.zeros(len(b))),
        "The columns of your W do not add up to zero: fold the centring in too (subtract each column's mean, last).",
    )


def sphere_points(rng: np.random.Generator, n: int, d: int) -> Float[np.ndarray, "n d"]:
    """n random points of LayerNorm's sphere: length sqrt(d), orthogonal to the ones vector.

    Parameters
    ----------
    rng : numpy Generator
    n, d : int

    Returns
    -------
    z : float64 [n, d]

    See Also
    --------
    expect_fold, expect_region

    Examples
    --------
    >>> z = sphere_points(np.random.default_rng(0), 3, 4)
    >>> near(np.linalg.norm(z, axis=1), [2, 2, 2]), near(z.sum(axis=1), [0, 0, 0])
    (True, True)
    """
    x = rng.normal(size=(n, d))
    x -= x.mean(axis=1, keepdims=True)
    return np.sqrt(d) * x / np.linalg.norm(x, axis=1, keepdims=True)
