"""What students call: has a function the properties that its task asks for and, if not, which is missing and why.

Every check runs the student's function on inputs of its own and looks at properties of what comes back; none compares
with a solution. NumPy alone: a solved notebook checks itself wherever this package is installed. The ``expect_``
functions hold for any input, so that hidden tests can use them on others.
"""

import numpy as np

from ._answers import Answer, CheckFailed, borrowed, expect, kind, near

__all__ = [
    "Answer",
    "CheckFailed",
    "borrowed",
    "check_crossings",
    "check_faces",
    "check_fold",
    "check_normalize",
    "check_rays",
    "check_region",
    "check_shared_point",
    "expect",
    "expect_apart",
    "expect_crossings",
    "expect_faces",
    "expect_flips",
    "expect_fold",
    "expect_region",
    "expect_rows",
    "expect_shared",
    "kind",
    "near",
    "sphere_points",
]


def _passed(f):
    print(f"{f.name}: every visible check passed.")


def check_normalize(my_normalize):
    """Task 1: z = Px / sqrt(|Px|^2/d + eps) for any batch of row vectors."""
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
    _passed(f)


def expect_rows(f, batch):
    """That an `Answer` to task 1 treats each row of a batch as it treats it alone."""
    rows = batch.reshape(-1, batch.shape[-1])
    alone = np.stack([f.array(row, shape=row.shape) for row in rows]).reshape(batch.shape)
    expect(
        near(f.array(batch, shape=batch.shape), alone),
        "In a batch each row must come out as it does alone: take mean and variance with axis=-1, keepdims=True.",
    )


def check_shared_point(shared_point):
    """Task 2: (a, c) with y = a x + c and a > 0, or None where x and y go to different points."""
    f = Answer(shared_point, "shared_point")
    x = np.array([3.0, 0.6, -1.0, 0.4])
    for a, c in ((3.7, -12.5), (0.02, 0.0), (1.0, 4.0)):
        expect_shared(f, x, a * x + c)
    expect_apart(f, x, -x, "x and -x go to opposite points, and no a > 0 connects them")
    expect_apart(f, x, 2 - 0.5 * x, "y = 2 - 0.5 x has a negative a, and the statement needs a > 0")
    expect_apart(f, x, x + [0, 0.1, 0, 0], "y differs from x in one entry, so no a x + c is y: compare them")
    _passed(f)


def expect_shared(f, x, y):
    """That an `Answer` to task 2 gives a > 0 and c with y = a x + c."""
    value = f(x, y)
    expect(value is not None, "You return None for two vectors that LayerNorm sends to the same point.")
    pair = isinstance(value, (tuple, list)) and len(value) == 2
    expect(pair, "Expected two numbers, a and c: is `return a, c` the last line?")
    a, c = (f.as_array(number, (), name) for number, name in zip(value, "ac"))
    expect(a > 0, f"Your a is {a:.4g}: expected a > 0.")
    off = y - (a * x + c)
    right = near(off, np.full(x.shape, off.mean()))
    hint = "c is the mean of y minus a times that of x" if right else "a is the ratio of the standard deviations"
    expect(near(off, 0 * off), f"Your a x + c misses y by {np.abs(off).max():.3g}: {hint}.")


def expect_apart(f, x, y, why):
    """That an `Answer` to task 2 returns None."""
    expect(f(x, y) is None, f"You return numbers where None belongs: {why}.")


def check_fold(my_fold):
    """Task 3: W, b with normalize(x) @ W + b = (gamma * normalize(x) + beta) @ W_in + b_in and W blind to shifts."""
    f = Answer(my_fold, "my_fold")
    rng = np.random.default_rng(5)
    expect_fold(f, 1 + 0.5 * rng.normal(size=4), rng.normal(size=4), rng.normal(size=(4, 3)), rng.normal(size=3))
    _passed(f)


def expect_fold(f, gamma, beta, W_in, b_in):
    """That an `Answer` to task 3 gives the layer's own pre-activations, and is centred."""
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


def sphere_points(rng, n, d):
    """n random points of LayerNorm's sphere, [n, d]."""
    x = rng.normal(size=(n, d))
    x -= x.mean(axis=1, keepdims=True)
    return np.sqrt(d) * x / np.linalg.norm(x, axis=1, keepdims=True)


def check_region(region_map):
    """Task 4: the pattern at z, and the A and c with output = z @ A + c wherever that pattern holds."""
    f = Answer(region_map, "region_map")
    rng = np.random.default_rng(8)
    layer = rng.normal(size=(3, 6)), rng.normal(size=6), rng.normal(size=(6, 2)), rng.normal(size=2)
    for z in sphere_points(rng, 5, 3):
        expect_region(f, layer, z)
    _passed(f)


def expect_region(f, layer, z):
    """That an `Answer` to task 4 gives the pattern and the affine map of the layer's region round z."""
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


def check_crossings(circle_crossings):
    """Task 5: every zero of A cos t + B sin t + b in [0, 2 pi), sorted, and the neuron that it belongs to."""
    f = Answer(circle_crossings, "circle_crossings")
    A, B = np.array([1.0, -0.5, 0.0, 2.0, 0.3]), np.array([0.5, 1.0, -1.5, 0.1, -0.2])
    expect_crossings(f, A, B, np.array([0.4, -0.9, 0.0, -1.9, 0.8]))
    expect_crossings(f, *np.random.default_rng(9).normal(size=(3, 40)))
    _passed(f)


def expect_crossings(f, A, B, b, tolerance=1e-9):
    """That an `Answer` to task 5 finds each crossing of each neuron once."""
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
    for angle, neuron in zip(angles[~own], neurons[~own]):
        expect(False, f"At your angle {angle:.6g} neuron {neuron} is not at 0: {why}.")
    expect((np.diff(angles) >= 0).all(), "Your angles are not sorted.")
    twice = np.array_equal(np.sort(neurons), np.repeat(cut, 2))
    twice = twice and all(np.ptp(angles[neurons == i]) > 1e-12 for i in cut)
    expect(twice, "Some neuron's two crossings are not both there: one is at plus the arccos, one at minus.")


def _at_zero(A, B, b, angle, tolerance):
    height = np.abs(A * np.cos(angle) + B * np.sin(angle) + b)
    return height <= tolerance * np.maximum(1.0, np.hypot(A, B) + np.abs(b))


def check_faces(sphere_faces):
    """Task 6: into how many faces the planes axis . y = height cut the unit sphere, by Euler's formula."""
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
    _passed(f)


def expect_faces(f, axes, heights, wanted, why):
    """That an `Answer` to task 6 finds this number of faces."""
    found = f.array(axes, np.array(heights, dtype=float), shape=())
    expect(found == wanted, f"You count {found:g} faces where there are {wanted}: {why}.")


def check_rays(ray_flips, layers, x):
    """Task 7: the scales a > 0 at which a neuron flips on the ray a x, with LayerNorm in front and without.

    Parameters
    ----------
    ray_flips : callable
    layers : dict of FoldedMLP
        One ``"with"`` LayerNorm and one ``"without"``.
    x : dict of array [d]
        A residual vector for each.
    """
    f = Answer(ray_flips, "ray_flips")
    expect_flips(f, layers["without"].W_in, layers["without"].b_in, x["without"], None)
    expect_flips(f, layers["with"].W_in, layers["with"].b_in, x["with"], 0.0)
    expect_flips(f, layers["with"].W_in, layers["with"].b_in, x["with"], layers["with"].eps)
    _passed(f)


def expect_flips(f, W_in, b_in, x, eps):
    """That an `Answer` to task 7 finds every flip, by the signs at the two ends of the ray and zeros between."""
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
