"""One layer is not the network: how far the prediction moves as one token's residual vector turns, and how evenly.

KL(unpatched || patched) of a smooth network grows as the square of a small angle, and its root as a straight line. On a
plateau it stays near 0 for a while, at a cliff it jumps. Both would show in `growth_exponents` and in `steepness`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from ._inputs import (
    ArrayLike,
    Float,
    Real,
    as_float64,
    as_increasing,
    as_not_negative,
    one_of,
    positive_integer,
    require_broadcast,
)
from .layer import normalize
from .models.capture import residuals
from .models.patch import patched_place, patched_places, patched_runs, unpatched_run
from .models.read import mlp_block
from .models.run import Model, known
from .models.text import Text, Texts, context_windows, distinct_contexts, positions
from .nulls import look_alikes
from .rotation import apart, rotate_residual

_ROUNDING = 1e-20  # nats: two predictions this near are the same


def kl_divergence(
    logits0: Real[ArrayLike, "... d_vocab"], logits1: Real[ArrayLike, "... d_vocab"]
) -> Float[np.ndarray | np.float64, "..."]:
    """How much worse logits1 predict what logits0 say: KL(p || q) = sum_k p_k log(p_k / q_k) in nats.

    p and q are the softmax of the two. Computed as sum_k p_k (e^u_k - 1 - u_k) with u = log q - log p, which is the
    same, as both sum to 1, and in which no term is negative: small divergences keep their digits.

    Parameters
    ----------
    logits0, logits1 : array_like [..., d_vocab]
        Up to a constant each, so log-probabilities as well. Shapes broadcast.

    Returns
    -------
    kl : float64 [...]
        Never negative.

    Raises
    ------
    ValueError
        The shapes do not fit, or a number is NaN or infinite.

    Notes
    -----
    Accurate to about 1e-15 |logits| sqrt(kl), so that 1e-20 nats still have five digits where logits are of order 1.

    See Also
    --------
    logit_path : of a network's prediction, along a turn.
    scipy.special.rel_entr : term by term, of probabilities.

    Examples
    --------
    >>> kl_divergence([0.0, 0.0], [0.0, np.log(3)]).round(6), round(np.log(4 / 3) / 2, 6)
    (np.float64(0.143841), np.float64(0.143841))
    """
    from scipy.special import log_softmax  # here, since importing the package is to be quick

    logits0, logits1 = (
        as_float64(x, n, shape=(..., "d_vocab")) for x, n in ((logits0, "logits0"), (logits1, "logits1"))
    )
    if logits0.shape[-1] != logits1.shape[-1]:
        raise ValueError(
            f"logits0 and logits1: expected the same number of tokens, got {logits0.shape[-1]} and {logits1.shape[-1]}."
        )
    require_broadcast("logits0 and logits1", logits0.shape, logits1.shape)
    log_p, log_q = log_softmax(logits0, axis=-1), log_softmax(logits1, axis=-1)
    u, p = log_q - log_p, np.exp(log_p)
    near = p * (np.expm1(np.minimum(u, 1)) - u)
    return np.maximum(np.where(u < 1, near, np.exp(log_q) - p - p * u).sum(axis=-1), 0)[()]


def logit_path(
    model: Model,
    text: Text,
    layer: int,
    position: int,
    v: Real[ArrayLike, "... d"],
    angles: Real[ArrayLike, "n_angles"],
    *,
    measure: Callable[[np.ndarray, np.ndarray], Any] = kl_divergence,
    tokenizer: Any = None,
) -> Float[np.ndarray, "... n_angles"]:
    """How far the network's prediction moves as one token's residual vector turns towards v: KL against the angle.

    `rotate_residual` turns the vector that the layer reads, which keeps its length and, for LayerNorm, its mean; the
    turned one takes its place in the residual stream, and KL(unpatched || patched) compares what the network predicts
    behind that token.

    Parameters
    ----------
    model, text, layer, position, tokenizer
        As in `patched_logits`.
    v : array_like [..., d]
        The directions to turn towards.
    angles : array_like [n_angles]
        Radians, in any order.
    measure : callable, optional
        Something else in place of the divergence: takes the unpatched logits [d_vocab] and patched ones [n, d_vocab]
        and returns [n]. ``lambda a, b: np.var(b - a, axis=-1)`` is how far the logits move before the softmax.

    Returns
    -------
    kl : float64 [..., n_angles]
        Nats.

    Raises
    ------
    ValueError
        As for `patched_logits` and `rotate_residual`.
    ImportError
        torch is not installed; the message says which extra brings it.

    Notes
    -----
    Accurate to about 1e-14 of the logits in float64, so 1e-28 nats are 0. Time: position + 1 tokens for each vector and
    angle; memory as `patched_logits`, a batch of logits at a time.

    See Also
    --------
    growth_exponents, steepness : is it smooth, or are there plateaus?
    path_profile : the same question about one layer's output.
    steering_angle : how far a steering vector turns.

    Examples
    --------
    >>> from lnpoly_helpers import load_model, token_embeddings
    >>> model = load_model("nano-ln-relu")
    >>> kl = logit_path(model, "Twice two is", 3, 11, token_embeddings(model)[ord("x")], np.radians([1, 2, 4]))
    >>> (kl[1:] / kl[:-1]).round()  # twice the angle, four times the divergence
    array([4., 4.])
    """
    angles = as_float64(angles, "angles", shape=("n_angles",))
    return _path(patched_place(model, text, layer, position, tokenizer), v, angles, measure)


def _path(place, v, angles, measure):
    x, logits = unpatched_run(place)
    v = as_float64(v, "v", shape=(..., len(x)))
    turned = rotate_residual(x, v[..., None, :], angles, kind=_kind(place.model, place.layer))
    runs = patched_runs(place, turned.reshape(-1, len(x)))
    return np.concatenate([measure(logits, patched) for patched in runs]).reshape(turned.shape[:-1])


def _kind(model, layer):
    """The kind of norm before a layer's MLP, read once: many paths ask for it."""
    memory = known(model)
    if ("kind", layer) not in memory:
        memory["kind", layer] = mlp_block(model, layer).kind
    return memory["kind", layer]


def growth_exponents(
    angles: Real[ArrayLike, "n_angles"], kl: Real[ArrayLike, "... n_angles"]
) -> Float[np.ndarray, "... n_steps"]:
    """How fast a divergence grows with the angle: d log KL / d log angle, between neighbouring angles.

    2 wherever KL = c angle^2, as in every smooth network near angle 0. Less where the prediction has changed about as
    far as it can; much more where it leaves a plateau or falls off a cliff.

    Parameters
    ----------
    angles : array_like [n_angles]
        Increasing, larger than 0, of any unit.
    kl : array_like [..., n_angles]
        Never negative; less than 1e-20 counts as that.

    Returns
    -------
    exponents : float64 [..., n_angles - 1]

    Raises
    ------
    ValueError
        The angles do not increase, or there are fewer than 2; or a divergence is negative.

    Notes
    -----
    The steps say what can be seen. Between angles that double, a plateau shows and a cliff of 20 degrees hardly does;
    between angles a few degrees apart both do, and so does each small bend.

    See Also
    --------
    logit_path : where the divergences come from.
    steepness : the same question, in one number for a path.

    Examples
    --------
    >>> angles = np.array([1.0, 2.0, 4.0])
    >>> growth_exponents(angles, 0.01 * angles**2)
    array([2., 2.])
    """
    angles, kl = _curve(angles, kl, 2)
    return np.diff(np.log(np.maximum(kl, _ROUNDING)), axis=-1) / np.diff(np.log(angles))


def steepness(
    angles: Real[ArrayLike, "n_angles"], kl: Real[ArrayLike, "... n_angles"]
) -> Float[np.ndarray | np.float64, "..."]:
    """How unevenly a prediction moves on the way: the largest slope of sqrt(KL) by the angle over its mean slope.

    Slopes are taken without sign, between neighbouring angles and from 0, where KL is 0. It is 1 if sqrt(KL) is a
    straight line; N, the number of equal steps, where all of the way lies in one of them.

    Parameters
    ----------
    angles : array_like [n_angles]
        Increasing, larger than 0, of any unit.
    kl : array_like [..., n_angles]
        Never negative.

    Returns
    -------
    steepness : float64 [...]
        From 1 to N.

    Raises
    ------
    ValueError
        The angles do not increase; or a divergence is negative, or all of a path are 0.

    Notes
    -----
    Comparable between paths of the same angles only. Janiak et al. 2024, arXiv:2409.17113, and Giglemiani et al. 2024,
    arXiv:2409.15019, take the largest slope of a distance between outputs for the same purpose.

    See Also
    --------
    logit_path : where the divergences come from.
    growth_exponents : where on the way it is steep.
    path_profile : largest and mean slope of one layer's output.

    Examples
    --------
    >>> angles = np.arange(1.0, 11.0)
    >>> float(steepness(angles, angles**2)), float(steepness(angles, 7.0 * (angles > 3)))
    (1.0, 10.0)
    """
    angles, kl = _curve(angles, kl, 1)
    steps = np.abs(np.diff(np.sqrt(kl), axis=-1, prepend=0))
    way = steps.sum(axis=-1)
    if not way.all():
        raise ValueError("kl: expected paths on which something changes, got one of zeros. Leave it out.")
    return ((steps / np.diff(angles, prepend=0)).max(axis=-1) * angles[-1] / way)[()]


def _curve(angles, kl, at_least):
    angles = as_increasing(angles, "angles", at_least=at_least)
    return angles, as_not_negative(kl, "kl", shape=(..., len(angles)))


def logit_survey(
    model: Model,
    texts: Texts,
    layer: int,
    rng: "np.random.Generator",
    *,
    angles: Real[ArrayLike, "n_angles"],
    towards: str = "points",
    n_paths: int = 24,
    measure: Callable[[np.ndarray, np.ndarray], Any] = kl_divergence,
    tokenizer: Any = None,
) -> Float[np.ndarray, "n_paths n_angles"]:
    """How far a network's prediction moves as one layer's residual vector turns: `logit_path` of many tokens.

    Each path starts at a token of another text. With the generator in the same state the same tokens are turned:
    towards something else, in another network that reads the same tokens, or by other angles. So
    logit_survey(..., angles=step * np.round(angles / step)) plants a staircase into what the network sees, which
    `steepness` has to find.

    Parameters
    ----------
    model : transformer_lens TransformerBridge, model of transformers, or torch module that reads tokens
        One that predicts next tokens.
    texts : list of str or of integers [n_tokens], or integers [n_texts, n_tokens]
        At least ``n_paths`` windows; short ones take less time.
    layer : int
    rng : numpy Generator
    angles : array_like [n_angles]
        Radians, in any order.
    towards : {"points", "look-alikes", "isotropic"}
        What is turned towards: residual vectors of other tokens, `look_alikes` of them on the sphere, or directions of
        which each is as likely as any other.
    n_paths : int
    measure : callable, optional
        As for `logit_path`.
    tokenizer : tokenizer of transformers, optional
        For texts, where the model has none; as for `encode`.

    Returns
    -------
    kl : float64 [n_paths, n_angles]
        KL(unpatched || patched) in nats.

    Raises
    ------
    ValueError
        As for `logit_path`; also for fewer windows than paths.

    Notes
    -----
    Tokens are drawn from `distinct_contexts`, each text's as likely as another's. Time: `logit_path`, n_paths times.

    See Also
    --------
    logit_path : one path.
    growth_exponents, steepness : what to ask of the result.
    survey : of the layer alone.

    Examples
    --------
    >>> from lnpoly_helpers import load_model, prompts
    >>> model, texts = load_model("nano-ln-relu"), [text[:20] for text in prompts()]
    >>> logit_survey(model, texts, 3, np.random.default_rng(0), angles=np.radians([10, 20]), n_paths=6).shape
    (6, 2)
    """
    one_of(towards, ("points", "look-alikes", "isotropic"), "towards")
    n_paths = positive_integer(n_paths, "n_paths")
    angles = as_float64(angles, "angles", shape=("n_angles",))
    windows = context_windows(model, texts, tokenizer=tokenizer)
    rows = distinct_contexts(model, windows)
    window = np.repeat(np.arange(len(windows)), [len(w) for w in windows])[rows]
    usable = np.unique(window)
    if len(usable) < n_paths:
        raise ValueError(f"texts: expected at least n_paths = {n_paths} windows, got {len(usable)}. Pass more texts.")
    kind = "layernorm" if _kind(model, layer) == "layernorm" else "rmsnorm"
    z = normalize(residuals(model, windows, layer)[rows], kind=kind)
    starts = [rng.choice(np.flatnonzero(window == k)) for k in rng.choice(usable, n_paths, replace=False)]
    if towards == "points":
        targets = [z[rng.choice(np.flatnonzero(apart(z, z[start])))] for start in starts]
    elif towards == "look-alikes":
        targets = look_alikes(z, n_paths, rng, kind=kind)
    else:
        targets = normalize(rng.normal(size=(n_paths, z.shape[1])), kind=kind)
    at, place = positions(model, windows)[rows], patched_places(model, layer)
    paths = zip(starts, targets, strict=True)
    return np.array([_path(place(windows[window[k]], int(at[k])), v, angles, measure) for k, v in paths])
