# pyright: reportArgumentType=false
"""logit paths: divergences in many digits, turns made by hand, and plateaus and cliffs that are planted."""

from decimal import Decimal, localcontext
from functools import cache

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch

from lnpoly_helpers import (
    EMBEDDED,
    angle_between,
    distinct_contexts,
    growth_exponents,
    kl_divergence,
    load_model,
    logit_path,
    logit_paths,
    logit_survey,
    mlp_block,
    normalize,
    patched_logits,
    prompts,
    residuals,
    rotate,
    rotate_residual,
    steepness,
    steering_angle,
    trace,
)
from lnpoly_helpers._inputs import KINDS
from lnpoly_helpers.models import patch

torch.set_num_threads(1)

TEXT = "Twice two is four, and twice four is eight."
shared = cache(load_model)

# --- kl_divergence ---


def exact_kl(logits0, logits1):
    """The definition in 60 digits."""
    with localcontext() as context:
        context.prec = 60
        weights = [[Decimal(float(x)).exp() for x in logits] for logits in (logits0, logits1)]
        p, q = ([w / sum(ws) for w in ws] for ws in weights)
        return float(sum(a * (a / b).ln() for a, b in zip(p, q, strict=True)))


@pytest.mark.parametrize("scale", [0.1, 3.0, 30.0])
@pytest.mark.parametrize("apart", [1e-9, 1e-6, 1e-3, 1.0, 10.0])
def test_a_divergence_is_its_definition_in_many_digits(rng, scale, apart):
    for n in (2, 40):
        logits0 = scale * rng.normal(size=n)
        logits1 = logits0 + apart * rng.normal(size=n)
        expected = exact_kl(logits0, logits1)
        tolerance = 1e-13 + 4e-15 * (1 + scale) / apart
        assert kl_divergence(logits0, logits1) == pytest.approx(expected, rel=tolerance, abs=1e-30)


def test_a_divergence_is_scipys_where_that_has_digits(rng):
    logits = 3 * rng.normal(size=(2, 5, 30))
    p, q = scipy.special.softmax(logits, axis=-1)
    np.testing.assert_allclose(kl_divergence(*logits), scipy.stats.entropy(p, q, axis=-1), rtol=1e-12)


def test_a_small_divergence_is_half_the_variance_of_the_change(rng):
    """KL = Var_p(change) / 2 to leading order: the Fisher information."""
    logits, change = 2 * rng.normal(size=50), rng.normal(size=50)
    p = scipy.special.softmax(logits)
    variance = (p * (change - p @ change) ** 2).sum()
    for size in (1e-4, 1e-6, 1e-8):
        assert kl_divergence(logits, logits + size * change) == pytest.approx(
            size**2 * variance / 2, rel=10 * size + 1e-6
        )


def test_a_divergence_knows_no_offset_and_takes_any_size(rng):
    a, b = rng.normal(size=(2, 9))
    assert kl_divergence(a + 7, b - 900) == pytest.approx(kl_divergence(a, b), rel=1e-12)
    assert kl_divergence(a, a) == 0 and kl_divergence(a, a + 3) < 1e-28
    assert kl_divergence([1e4, 0.0], [0.0, 1e4]) == pytest.approx(1e4)  # no probability of 0 makes it infinite
    assert kl_divergence([0.0, -1e4], [0.0, 0.0]) == pytest.approx(np.log(2))
    assert (kl_divergence(a, a + 1e-9 * rng.normal(size=(1000, 9))) >= 0).all()


def test_divergences_of_batches_are_those_of_their_rows(rng):
    a, b = rng.normal(size=(4, 1, 9)), rng.normal(size=(3, 9))
    found = kl_divergence(a, b)
    assert found.shape == (4, 3) and isinstance(kl_divergence(a[0, 0], b[0]), float)
    for i, j in np.ndindex(4, 3):
        assert found[i, j] == pytest.approx(kl_divergence(a[i, 0], b[j]), rel=1e-14)


# --- rotate_residual ---


@pytest.mark.parametrize("kind", KINDS)
def test_a_turned_vector_keeps_its_length_and_mean_and_turns_by_the_angle(rng, kind):
    x, v, angle = 5 + rng.normal(size=(3, 1, 24)), rng.normal(size=(1, 4, 24)), rng.uniform(0, 3, size=(3, 4))
    turned = rotate_residual(x, v, angle, kind=kind)
    assert turned.shape == (3, 4, 24)
    sphere = "layernorm" if kind == "layernorm" else "rmsnorm"
    z0, z1, z = (normalize(a, kind=sphere) for a in (x, v, turned))
    np.testing.assert_allclose(z, rotate(z0, z1, angle), rtol=0, atol=1e-14)
    np.testing.assert_allclose(angle_between(*np.broadcast_arrays(z0, z)), angle, rtol=1e-13)
    own = lambda a: a.mean(axis=-1) if kind == "layernorm" else 0 * a.mean(axis=-1)  # noqa: E731
    np.testing.assert_allclose(own(turned) - own(x), 0, atol=1e-14)
    np.testing.assert_allclose(*(np.linalg.norm(a, axis=-1) * np.ones((3, 4)) for a in (turned, x)), rtol=1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_a_turn_by_the_steering_angle_is_what_steering_does_to_the_direction(rng, kind):
    x, v = rng.normal(size=(2, 24))
    steered = x + 0.7 * v
    turned = rotate_residual(x, v, steering_angle(x, v, 0.7, kind=kind), kind=kind)
    sphere = "layernorm" if kind == "layernorm" else "rmsnorm"
    np.testing.assert_allclose(normalize(turned, kind=sphere), normalize(steered, kind=sphere), rtol=0, atol=1e-14)
    np.testing.assert_allclose(rotate_residual(x, v, 0.0, kind=kind), x, rtol=0, atol=1e-14)


# --- logit_path ---


@pytest.mark.parametrize("name", EMBEDDED)
def test_a_path_is_runs_of_the_network_with_the_vector_turned_by_hand(rng, name):
    model, angles = shared(name), np.radians([0.5, 10.0, 60.0, 120.0])
    centred = mlp_block(model, 0).kind == "layernorm"
    for layer, position in ((0, 5), (3, 20)):
        own = trace(model, TEXT, layer)
        x, v = own.residual[position], rng.normal(size=(2, 128))
        mean = x.mean() if centred else 0
        found = logit_path(model, TEXT, layer, position, v, angles)
        assert found.shape == (2, 4) and found.dtype == np.float64
        for kl, target in zip(found, v, strict=True):
            along = x - mean
            across = target - (target.mean() if centred else 0)
            across = across - along * (across @ along) / (along @ along)
            across *= np.linalg.norm(along) / np.linalg.norm(across)
            for angle, divergence in zip(angles, kl, strict=True):
                turned = own.residual.copy()
                turned[position] = mean + along * np.cos(angle) + across * np.sin(angle)
                logits = trace(model, TEXT, layer, edit_residual=lambda x, new=turned: new).logits[position]
                expected = scipy.stats.entropy(*(scipy.special.softmax(a) for a in (own.logits[position], logits)))
                assert divergence == pytest.approx(expected, rel=1e-9)


def test_a_path_is_the_same_in_batches_of_any_size(rng, monkeypatch):
    model, angles = shared("nano-ln-relu"), np.radians([0.0, 20.0, 40.0])
    v = rng.normal(size=(2, 3, 128))
    found = logit_path(model, TEXT, 1, 9, v, angles)
    assert found.shape == (2, 3, 3) and (found[..., 0] < 1e-25).all()  # no turn, no change
    monkeypatch.setattr(patch, "_BATCH_TOKENS", 41)
    np.testing.assert_allclose(logit_path(model, TEXT, 1, 9, v, angles), found, rtol=1e-9, atol=1e-25)
    np.testing.assert_allclose(logit_path(model, TEXT, 1, 9, v[1, 2], angles), found[1, 2], rtol=1e-9, atol=1e-25)


def test_a_path_of_another_measure_is_that_of_the_same_logits(rng):
    model, v, angles = shared("nano-ln-relu"), rng.normal(size=128), np.radians([1e-3, 30.0])
    own = trace(model, TEXT, 1)
    turned = rotate_residual(own.residual[9], v, angles)
    logits = patched_logits(model, TEXT, 1, 9, turned)
    found = logit_path(model, TEXT, 1, 9, v, angles, measure=lambda a, b: np.var(b - a, axis=-1))
    np.testing.assert_allclose(found, np.var(logits - own.logits[9], axis=-1), rtol=1e-7)
    texts = [text[:12] for text in prompts()[:6]]
    survey = {"layer": 1, "angles": angles, "n_paths": 6}
    twice = [
        logit_survey(
            model, texts, rng=np.random.default_rng(0), **survey, measure=lambda a, b, k=k: k * kl_divergence(a, b)
        )
        for k in (1, 2)
    ]
    np.testing.assert_allclose(twice[1], 2 * twice[0], rtol=1e-14)


# --- growth_exponents, steepness: what they say of curves that are known ---

DEGREES = 3.0 * np.arange(1, 31)
GRID = np.radians(DEGREES)


def test_a_power_of_the_angle_has_that_exponent():
    for power in (0.5, 2.0, 7.0):
        for angles in (GRID, np.geomspace(0.01, 1, 5)):
            np.testing.assert_allclose(growth_exponents(angles, 3e-4 * angles**power), power, rtol=1e-10)
            assert growth_exponents(angles, [angles, angles**2]).shape == (2, len(angles) - 1)


def test_rounding_counts_as_one_small_number():
    found = growth_exponents([1.0, 2.0, 4.0], [3e-31, 7e-29, 1e-2])
    assert found[0] == 0 and found[1] == pytest.approx(np.log2(1e18))


def test_a_straight_line_has_steepness_1_and_a_step_the_number_of_steps():
    assert steepness(GRID, 4 * GRID**2) == pytest.approx(1, rel=1e-14)
    for k in (0, 7, 29):
        assert steepness(GRID, np.where(np.arange(30) >= k, 2.5, 0)) == pytest.approx(30, rel=1e-13)
    uneven = np.array([1.0, 2.0, 5.0])
    assert steepness(uneven, [1.0, 4.0, 100.0]) == pytest.approx((8 / 3) / (10 / 5), rel=1e-14)
    there_and_back = np.minimum(GRID, GRID[-1] - GRID)  # without sign: as even as a straight line
    assert steepness(GRID, there_and_back**2) == pytest.approx(1, rel=0.05)
    assert steepness(GRID, [GRID, GRID**2]).shape == (2,)


# --- ... and of plateaus and cliffs that are planted into a network ---


def snapped(degrees):
    """The layer sees its input only to the nearest 15 degrees: a staircase."""
    return 15 * np.round(degrees / 15)


def asleep(degrees):
    """Next to nothing happens up to 30 degrees, and then all of it is there at once."""
    return np.where(degrees < 30, 0.02 * degrees, degrees)


def torn(degrees):
    """A cliff alone: smooth before and behind it."""
    return np.where(degrees < 30, degrees, degrees + 20)


def soft(degrees):
    """A plateau, an edge some degrees wide, and a plateau: the shape that is reported of large networks."""
    return 80 * scipy.special.expit((degrees - 40) / 3)


PLANTED = {"snapped": snapped, "asleep": asleep, "torn": torn, "soft": soft}
DOUBLED = np.array([0, 1, 3, 7, 15])  # every angle twice the one before


@cache
def curves(name, layer):
    """KL of 6 tokens turned towards other tokens, as it is and with each of the planted views of the angle."""
    model, rng = shared(name), np.random.default_rng(5)
    texts = [text[:24] for text in prompts()[::15]]
    x = residuals(model, texts, layer)
    found = {kind: [] for kind in ("own", *PLANTED)}
    for text in texts[:6]:
        position, v = int(rng.integers(12, 24)), x[rng.integers(len(x))]
        for kind in found:
            view = PLANTED.get(kind, lambda t: t)
            found[kind].append(logit_path(model, text, layer, position, v, np.radians(view(DEGREES))))
    return {kind: np.array(kl) for kind, kl in found.items()}


@pytest.mark.parametrize("name, layer", [("nano-ln-relu", 1), ("nano-none-relu", 2)])
@pytest.mark.parametrize("kind", PLANTED)
def test_both_statistics_find_what_is_planted(name, layer, kind):
    """In the median over tokens and in nearly each of them; the network as it is has none of it."""
    found = curves(name, layer)
    steep = {k: steepness(GRID, kl) for k, kl in found.items()}
    assert np.median(steep[kind]) > 2 * np.median(steep["own"])
    assert np.median(steep["own"]) < 4 and (steep[kind] > np.median(steep["own"])).mean() > 0.8
    largest = {k: growth_exponents(GRID, kl).max(axis=-1) for k, kl in found.items()}
    assert np.median(largest[kind]) > 2 * np.median(largest["own"])
    assert (largest[kind] > np.median(largest["own"])).mean() > 0.8


@pytest.mark.parametrize("name, layer", [("nano-ln-relu", 1), ("nano-none-relu", 2)])
def test_between_angles_that_double_a_plateau_shows(name, layer):
    found = curves(name, layer)
    largest = {k: np.median(growth_exponents(GRID[DOUBLED], kl[:, DOUBLED]).max(axis=-1)) for k, kl in found.items()}
    assert largest["own"] < 5
    assert all(largest[kind] > 1.5 * largest["own"] for kind in ("snapped", "asleep", "soft"))
    first = growth_exponents(GRID[DOUBLED], found["own"][:, DOUBLED])[:, 0]
    np.testing.assert_allclose(np.median(first), 2, atol=0.15)  # smooth: KL = c angle^2


BAD = {
    "another vocabulary": (
        lambda: kl_divergence(np.ones(3), np.ones(4)),
        "logits0 and logits1: expected the same number",
    ),
    "shapes": (lambda: kl_divergence(np.ones((2, 3)), np.ones((4, 3))), "logits0 and logits1: expected shapes that br"),
    "infinite logits": (lambda: kl_divergence([np.inf, 0.0], [0.0, 0.0]), "logits0: expected finite numbers"),
    "angles that fall": (
        lambda: growth_exponents([2.0, 1.0], [1.0, 1.0]),
        "angles: expected at least 2 numbers in incre",
    ),
    "one angle": (lambda: growth_exponents([1.0], [1.0]), "angles: expected at least 2 numbers in increasing order"),
    "an angle of 0": (lambda: steepness([0.0, 1.0], [0.0, 1.0]), "angles: expected numbers > 0, got 0"),
    "negative": (lambda: steepness([1.0, 2.0], [1.0, -1.0]), "kl: expected numbers >= 0, got -1"),
    "lengths": (lambda: steepness([1.0, 2.0], [1.0, 2.0, 3.0]), r"kl: expected shape \[..., 2\], got \[3\]"),
    "nothing moves": (lambda: steepness([1.0, 2.0], [[1.0, 2.0], [0.0, 0.0]]), "kl: expected paths on which something"),
    "a constant": (lambda: rotate_residual([1.0, 2.0], [3.0, 3.0], 0.1), "v: expected vectors with a direction"),
    "towards itself": (
        lambda: rotate_residual([1.0, 2.0, 0.0], [2.0, 4.0, 0.0], 0.1),
        "z0 and z1: expected two points",
    ),
    "kind": (lambda: rotate_residual([1.0, 2.0], [3.0, 0.0], 0.1, kind="LN"), "kind: expected one of"),
    "v too short": (
        lambda: logit_path(shared("nano-ln-relu"), TEXT, 0, 3, np.ones(64), [0.1]),
        r"v: expected shape \[\.\.\., 128\], got \[64\]",
    ),
    "angles as a number": (
        lambda: logit_path(shared("nano-ln-relu"), TEXT, 0, 3, np.arange(128.0), 0.1),
        r"angles: expected shape \[n_angles\], got \[\]",
    ),
}


@pytest.mark.parametrize("call, message", BAD.values(), ids=BAD)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        call()


# --- logit_survey ---

TEXTS = [text[:20] for text in prompts()[::9]]


@pytest.mark.parametrize("name", ["nano-ln-gelu", "nano-none-relu"])
def test_a_survey_of_predictions_is_its_paths(name, monkeypatch):
    model, angles, calls = load_model(name), np.radians([3.0, 40.0]), []
    kind = "layernorm" if name == "nano-ln-gelu" else "rmsnorm"
    z = normalize(residuals(model, TEXTS, 2), kind=kind)

    own = logit_paths._path

    def noted(place, v, *rest):
        calls.append((place.tokens, place.layer, len(place.tokens) - 1, v))
        return own(place, v, *rest)

    monkeypatch.setattr(logit_paths, "_path", noted)
    starts = {}
    for towards in ("points", "look-alikes", "isotropic"):
        calls.clear()
        found = logit_survey(model, TEXTS, 2, np.random.default_rng(4), angles=angles, towards=towards, n_paths=4)
        starts[towards] = [(window.tolist(), position) for window, _, position, _ in calls]
        starting = [bytes(window.astype(np.uint8)).decode() for window, *_ in calls]
        assert len({text for text in TEXTS for start in starting if text.startswith(start)}) == 4
        assert all(layer == 2 and 0 < position < 20 for _, layer, position, _ in calls)
        targets = normalize([v for *_, v in calls], kind=kind)
        by_hand = [logit_path(model, window, 2, position, v, angles) for window, _, position, v in list(calls)]
        np.testing.assert_allclose(found, by_hand, rtol=1e-9)
        nearest = np.abs(targets[:, None] - z).max(axis=-1).min(axis=1)
        assert (nearest < 1e-12).all() if towards == "points" else (nearest > 0.1).all()
    assert starts["points"] == starts["look-alikes"] == starts["isotropic"]  # the same tokens in all three
    assert len({position for _, position in starts["points"]}) > 1


def test_look_alikes_look_alike_and_isotropic_directions_do_not(monkeypatch):
    model, found = load_model("nano-ln-relu"), {}
    texts = [text[:9] for text in prompts()[:60]]
    z = normalize(residuals(model, texts, 1)[distinct_contexts(model, texts)])
    mean = z.mean(axis=0) / np.linalg.norm(z.mean(axis=0))
    for towards in ("look-alikes", "isotropic"):
        targets = []
        monkeypatch.setattr(logit_paths, "_path", lambda _, v, *rest: targets.append(v) or np.zeros(1))  # noqa: B023
        logit_survey(model, texts, 1, np.random.default_rng(4), angles=[0.1], towards=towards, n_paths=48)
        found[towards] = normalize(targets) @ mean
    assert abs(found["look-alikes"].mean() - (z @ mean).mean()) < 4 * (z @ mean).std() / np.sqrt(48)
    assert abs(found["isotropic"].mean()) < 4 / np.sqrt(48) < (z @ mean).mean() / 4


def test_a_survey_of_predictions_says_what_it_wants():
    model = load_model("nano-ln-relu")
    with pytest.raises(ValueError, match=r"^texts: expected at least n_paths = 24 windows, got 2\. Pass more texts"):
        logit_survey(model, TEXTS[:2], 0, np.random.default_rng(0), angles=[0.1])
    with pytest.raises(
        ValueError, match="^towards: expected one of 'points', 'look-alikes', 'isotropic', got 'tokens'"
    ):
        logit_survey(model, TEXTS, 0, np.random.default_rng(0), angles=[0.1], towards="tokens")
