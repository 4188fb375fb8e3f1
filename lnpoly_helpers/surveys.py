"""What one push does to one layer, in figures: for networks, seeds and nulls side by side."""

import copy
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._inputs import (
    ArrayLike,
    Bool,
    Float,
    Frozen,
    Real,
    as_angle,
    as_float64,
    freeze,
    integer_below,
    length,
    one_of,
    positive_integer,
    require_on_sphere,
    require_sphere,
)
from .boundaries import boundary_height, meets_sphere
from .changes import coherence_of, context_share, cosine, own_and_whole, split_weights
from .layer import FoldedMLP, direction, fold_layer_norm, normalize
from .models.capture import reads_and_writes, residuals
from .models.find import all_layers
from .models.load import model_name
from .models.read import mlp_blocks
from .models.run import Model, network_of
from .models.text import Texts, context_windows, distinct_contexts, positions
from .nulls import jostle, look_alikes, matched_layer, rice_factor
from .output_paths import path_speed, tangent_range
from .rotation import apart, at_length, crossings, rotate
from .stats import mean_interval

_PARTS = 16  # of a path, for the speed
NULLS = ("matched", "W_out random")


def survey(
    mlp: FoldedMLP,
    z: Real[ArrayLike, "n d"],
    rng: "np.random.Generator",
    *,
    towards: str = "points",
    angle: float = np.pi / 6,
    tolerance: float = 0.1,
    n_paths: int = 48,
    n_contexts: int = 32,
    n_directions: int = 16,
) -> dict[str, float]:
    """What a push by an angle does to a layer at real points of its sphere: the figures of notebooks 7 and 8.

    On ``n_paths`` paths from one of the points towards another, and in ``n_contexts`` contexts for each of
    ``n_directions`` directions. With the generator in the same state, layers at the same points get the same paths: so
    survey(matched_layer(mlp, z, ...), z, ...) is the null, pair by pair.

    Parameters
    ----------
    mlp : FoldedMLP
        Behind LayerNorm or RMSNorm. For a layer without a norm pass at_length(mlp, length), with the length of a usual
        residual vector, and the points normalize(x, kind="rmsnorm").
    z : array_like [n, d]
        Real points of the layer's sphere.
    rng : numpy Generator
    towards : {"points", "isotropic"}
        What is pushed towards, on paths and in contexts: other points of z, or directions of which each is as likely as
        any other.
    angle : float
        Radians, at most pi / 2; 30 degrees without it.
    tolerance : float
        Of the first tangent map.
    n_paths, n_contexts, n_directions : int

    Returns
    -------
    dict of float
        ``name`` and, for what is measured on paths or directions, ``name_se``, its standard error:

        - on: share of the neurons that are on, over z.
        - height, misses: the median of `boundary_height`, and the share of the boundaries that miss the sphere.
        - crossed, crossed_law: boundaries on the way, and as a share of m angle / pi.
        - rice: what Rice's formula makes of the on-rates in place of that share (`rice_factor`, mean over neurons).
        - range, range_boundaries: medians of the degrees at which the tangent map is first off by the tolerance, and of
          the boundaries crossed by then; inf if that is not within the angle.
        - halfway: how far the output has moved at the angle, as a share of how far it has at twice the angle.
        - speed_start, speed_middle, speed_end, speed_least, speed_most: how fast the output moves on the first, middle,
          last, slowest and fastest of 16 parts of the whole way to the target, over its mean speed: all about 1 where
          it is even, 0 on a plateau, up to 16 at a cliff.
        - tangent, rest, opposition, own_share: of `split_change`, the first two as shares of the change's length.
        - kappa, n_effective, rho: of `coherence`.
        - share_contexts, share_look_alikes: `context_share` in other points of z and in `look_alikes`.
        - share_isotropic, share_tokens: in copies of one point, jostled by the angle in random directions and towards
          other points.

        NaN where something is not defined, as the rest of a layer that is affine on every path.

    Raises
    ------
    ValueError
        Fewer points than contexts + 2, points off the sphere, or all of them within a degree of one another.

    Notes
    -----
    On paths and directions each mean is over those where it is defined. Points at less than a degree from each other
    count as one. Time: some 8 n_contexts n_directions + 20 n_paths outputs.

    See Also
    --------
    matched_layer, wide_relu : what to compare with.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> mlp = FoldedMLP(np.eye(6), np.zeros(6), np.eye(6), np.zeros(6), "relu", 0.0, "rmsnorm")
    >>> found = survey(mlp, mlp.to_sphere(rng.normal(size=(200, 6))), rng, n_paths=200)
    >>> round(found["crossed_law"]), round(found["opposition"], 1)
    (1, -0.4)
    """
    require_sphere(mlp)
    z = as_float64(z, "z", shape=("n", mlp.d_model))
    require_on_sphere(z, "z", mlp.kind)
    one_of(towards, ("points", "isotropic"), "towards")
    angle = as_angle(angle, "angle")
    if angle > np.pi / 2:
        raise ValueError(f"angle: expected radians with 0 < angle <= pi / 2, got {angle:.6g}.")
    n_paths, n_contexts, n_directions = (
        positive_integer(n, name)
        for n, name in ((n_paths, "n_paths"), (n_contexts, "n_contexts"), (n_directions, "n_directions"))
    )
    if len(z) < n_contexts + 2:
        raise ValueError(f"z: expected at least n_contexts + 2 = {n_contexts + 2} points, got {len(z)}.")
    draw = _Draw(z, rng, mlp.kind, towards)
    starts, targets = draw.pairs(n_paths)
    on = (mlp.preactivations(z) > 0).mean(axis=0)
    height = boundary_height(mlp)
    found = {"on": on.mean(), "height": np.median(height), "misses": (~meets_sphere(mlp)).mean()}
    found["rice"] = rice_factor(on).mean()
    found |= _on_paths(mlp, starts, targets, angle, tolerance)
    found |= _shares(mlp, draw, angle, n_contexts, n_directions)
    return {name: float(value) for name, value in found.items()}


class _Draw:
    """Pairs, contexts and directions out of the points z; what it draws depends on no layer."""

    def __init__(self, z, rng, kind, towards):
        self.z, self.rng, self.kind, self.towards = z, rng, kind, towards

    def point(self):
        return self.z[self.rng.integers(len(self.z))]

    def direction(self):
        if self.towards == "points":
            return self.point()
        return normalize(self.rng.normal(size=self.z.shape[1]), kind=self.kind)

    def pairs(self, n):
        pairs = []
        for _ in range(100 * n):
            start, target = self.point(), self.direction()
            if apart(start, target):
                pairs.append((start, target))
            if len(pairs) == n:
                return np.swapaxes(pairs, 0, 1)
        raise ValueError("z: expected points in different directions, got hardly two that are a degree apart.")

    def others(self, n, *points):
        """n points of z, none of them at one of the points."""
        far = np.all([apart(self.z, point) for point in points], axis=0)
        if far.sum() < n:
            raise ValueError(f"z: expected {n} points a degree apart from one of them, got {far.sum()}.")
        return self.z[self.rng.choice(np.flatnonzero(far), n, replace=False)]


def _on_paths(mlp, starts, targets, angle, tolerance):
    counts = crossings(mlp, starts, targets, end=angle).counts
    ranges = tangent_range(mlp, starts, targets, tolerances=[tolerance], end=angle, resolution=32)
    at, further = (rotate(starts, targets, t) for t in (angle, 2 * angle))
    first, moved, twice = (mlp.output(x) for x in (starts, at, further))
    moved, twice = (length(x - first) for x in (moved, twice))
    weights = split_weights(mlp, starts, at)
    tangent, rest = (w @ mlp.W_out for w in weights)
    own, whole = own_and_whole(mlp, *weights)
    adding = coherence_of(mlp, weights[1])
    with np.errstate(invalid="ignore", divide="ignore"):
        columns = {
            "crossed": counts,
            "crossed_law": counts / (mlp.n_neurons * angle / np.pi),
            "halfway": moved / twice,
            **_speeds(mlp, starts, targets),
            "tangent": length(tangent) / moved,
            "rest": length(rest) / moved,
            "opposition": cosine(tangent, rest),
            "kappa": adding.kappa,
            "n_effective": adding.n_effective,
            "rho": adding.rho,
        }
    found: dict[str, Any] = {
        "range": np.median(np.degrees(ranges.angles)),
        "range_boundaries": np.median(np.where(np.isfinite(ranges.angles), ranges.n_crossings, np.inf)),
    }
    for name, values in columns.items():
        found |= _mean(name, values)
    return found | _ratio("own_share", own, whole)


def _speeds(mlp, starts, targets):
    speed, half = path_speed(mlp, starts, targets, n_parts=_PARTS), _PARTS // 2
    return {
        "speed_start": speed[:, 0],
        "speed_middle": speed[:, half - 1 : half + 1].mean(axis=1),
        "speed_end": speed[:, -1],
        "speed_least": speed.min(axis=1),
        "speed_most": speed.max(axis=1),
    }


def _shares(mlp, draw, angle, n_contexts, n_directions):
    def alike(n):
        return look_alikes(draw.z, n, draw.rng, kind=draw.kind)

    directions = np.array([draw.direction() for _ in range(n_directions)])
    tokens = np.array([draw.others(1, direction)[0] for direction in directions])
    around = {
        "contexts": [draw.others(n_contexts, direction) for direction in directions],
        "look_alikes": [*alike(n_directions * n_contexts).reshape(n_directions, n_contexts, -1)],
        "isotropic": [jostle(token, angle, n_contexts, draw.rng, kind=draw.kind) for token in tokens],
        "tokens": [
            rotate(token, draw.others(n_contexts, direction, token), angle)
            for token, direction in zip(tokens, directions, strict=True)
        ],
    }
    found, towards = {}, dict.fromkeys(around, directions)
    if draw.towards == "points":
        towards["look_alikes"] = alike(n_directions)
    for name, contexts in around.items():
        found |= _mean(f"share_{name}", context_share(mlp, np.array(contexts), towards[name], angle))
    return found


def _mean(name, values):
    """The mean of the defined values and its standard error."""
    values = values[~np.isnan(values)]
    n = len(values)
    return {
        name: values.mean() if n else np.nan,
        f"{name}_se": values.std(ddof=1) / np.sqrt(n) if n > 1 else np.nan,
    }


def _ratio(name, part, whole):
    """The ratio of two sums over paths and its standard error (Cochran 1977, Sampling Techniques, 6.4)."""
    n, total = len(whole), whole.sum()
    if total == 0:
        return {name: np.nan, f"{name}_se": np.nan}
    share = part.sum() / total
    off = part - share * whole
    return {name: share, f"{name}_se": np.sqrt(n / (n - 1) * (off**2).sum()) / abs(total) if n > 1 else np.nan}


# --- beside its nulls ---


def survey_beside_nulls(
    mlp: FoldedMLP,
    z: Real[ArrayLike, "n d"],
    seed: int | Sequence[int],
    *,
    nulls: Collection[str] = NULLS,
    **options: Any,
) -> dict[str, dict[str, float]]:
    """`survey` of a layer and of its nulls, on the same paths and in the same contexts.

    Parameters
    ----------
    mlp : FoldedMLP
        Behind LayerNorm or RMSNorm.
    z : array_like [n, d]
        Real points of the layer's sphere.
    seed : int, or a sequence of int
        What is drawn follows from it: paths and contexts, and the weights of the nulls.
    nulls : collection of {"matched", "W_out random"}
        Which of them are measured.
    **options
        As `survey` takes them.

    Returns
    -------
    dict
        "trained": the layer's own figures; "matched": those of its `matched_layer`; "W_out random": those of the layer
        with its own W_in and a random W_out.

    Raises
    ------
    ValueError
        As for `survey`, or for another null.

    See Also
    --------
    survey_interval : one figure of several layers, with its interval.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> mlp = FoldedMLP(np.eye(6), np.zeros(6), np.eye(6), np.zeros(6), "relu", 0.0, "rmsnorm")
    >>> found = survey_beside_nulls(mlp, mlp.to_sphere(rng.normal(size=(200, 6))), seed=0)
    >>> list(found), found["trained"]["own_share"]  # each neuron writes to a coordinate of its own
    (['trained', 'matched', 'W_out random'], 1.0)
    """
    numbers = np.atleast_1d(seed).tolist()
    draws, match, rewrite = (np.random.default_rng([*numbers, k]) for k in range(3))
    layers = {"trained": mlp}
    for name in nulls:
        is_new = one_of(name, NULLS, "nulls") == "matched"
        layers[name] = matched_layer(mlp, z, match) if is_new else matched_layer(mlp, z, rewrite, keep="W_in")
    return {name: survey(layer, z, copy.deepcopy(draws), **options) for name, layer in layers.items()}


def survey_network(
    model: Model,
    texts: Texts,
    layers: Sequence[int] | None = None,
    *,
    seed: int = 0,
    tokenizer: Any = None,
    **options: Any,
) -> dict[str, dict[str, list[float]]]:
    """`survey_beside_nulls` of some layers of a network, at the tokens of texts.

    The points are the residual vectors of `distinct_contexts`. Without a norm they are taken at their median length
    (`at_length`).

    Parameters
    ----------
    model : transformer_lens TransformerBridge, model of transformers, or torch module that reads tokens
    texts : list of str or of integers [n_tokens], or one of them, or integers [n_texts, n_tokens]
    layers : sequence of int, optional
        By default all.
    seed : int
        Paths, contexts and nulls of a layer follow from it and the layer's number.
    tokenizer : tokenizer of transformers, optional
        For texts, where the model has none; as for `encode`.
    **options
        As `survey_beside_nulls` and `survey` take them.

    Returns
    -------
    dict
        "trained", "matched" and "W_out random": {figure: [one for each layer]}.

    Raises
    ------
    ValueError
        As for `residuals` and `survey`.

    See Also
    --------
    seed_results : the same of several seeds, measured before.
    survey_interval : one figure, with its interval.

    Examples
    --------
    >>> from lnpoly_helpers import load_model, prompts
    >>> found = survey_network(load_model("nano-ln-relu"), prompts()[:9], [2], n_paths=8)
    >>> found["trained"]["on"][0] == found["matched"]["on"][0] < 0.2
    True
    """
    layers = list(range(len(all_layers(model, network_of(model)))) if layers is None else layers)
    blocks = mlp_blocks(model, layers)
    windows = context_windows(model, texts, tokenizer=tokenizer)
    vectors = residuals(model, windows, layers)[:, distinct_contexts(model, windows)]
    found = []
    for layer, block, x in zip(layers, blocks, vectors, strict=True):
        mlp = fold_layer_norm(block)  # one at a time: all of a network take as much as the network
        if mlp.kind == "none":
            mlp = at_length(mlp, float(np.median(length(x))))
        found.append(survey_beside_nulls(mlp, mlp.to_sphere(x), [seed, layer], **options))
    return {kind: {key: [one[kind][key] for one in found] for key in found[0][kind]} for kind in found[0]}


@dataclass(frozen=True, eq=False, repr=False)
class NetworkReading(Frozen):
    """What is kept of a network once it was read: some layers, folded, and the vectors that texts make there.

    Attributes
    ----------
    name : str
    n_layers : int
        Of the whole network.
    layers : tuple of int
        Those that were read, k of them; ``depth``: where they stand, float64 [k], from 0, the first, to 1, the last.
    mlps : tuple of FoldedMLP
    x : float64 [k, n, d]
        Residual vectors, without first tokens and without repeated contexts (`distinct_contexts`).
    sizes : float64 [k, n_tokens]
        What the norm divides by at eps = 0, of all tokens: the standard deviation, or the root mean square.
    first : bool [n_tokens]
        Which of all tokens stand first in their window.
    fold_errors, own_errors : float64 [k]
        The largest over tokens of |folded - other| / |other|, where other is the output of the stored block, or of the
        model itself.

    See Also
    --------
    read_network : makes it.

    Examples
    --------
    >>> from lnpoly_helpers import load_model
    >>> read_network(load_model("nano-rms-relu"), ["Twice two is four."])
    nano-rms-relu: 4 of 4 layers, d = 128, 512 neurons, relu, rmsnorm, ε = 1e-05, 17 tokens
    """

    name: str
    n_layers: int
    layers: tuple[int, ...]
    mlps: tuple[FoldedMLP, ...]
    x: Float[np.ndarray, "k n d"]
    sizes: Float[np.ndarray, "k n_tokens"]
    first: Bool[np.ndarray, "n_tokens"]
    fold_errors: Float[np.ndarray, "k"]
    own_errors: Float[np.ndarray, "k"]

    def __post_init__(self):
        freeze(self)

    @property
    def depth(self) -> Float[np.ndarray, "k"]:
        """Where the layers stand, from 0, the network's first, to 1, its last."""
        return np.array(self.layers) / max(self.n_layers - 1, 1)

    @property
    def z(self) -> list[np.ndarray]:
        """The points of each layer's sphere, float64 [n, d]; x itself where there is no norm."""
        return [mlp.to_sphere(x) for mlp, x in zip(self.mlps, self.x, strict=True)]

    def each(self, function: Callable[[FoldedMLP, np.ndarray], Any]) -> list[float]:
        """The number that function(mlp, z) gives of each layer and its points."""
        return [float(function(mlp, z)) for mlp, z in zip(self.mlps, self.z, strict=True)]

    def __repr__(self) -> str:
        mlp = self.mlps[0]
        return (
            f"{self.name}: {len(self.layers)} of {self.n_layers} layers, d = {mlp.d_model}, {mlp.n_neurons} "
            f"{'gated ' if mlp.is_gated else ''}neurons, {mlp.activation}, {mlp.kind}, ε = {mlp.eps:g}, "
            f"{self.x.shape[1]:,} tokens"
        )


def read_network(
    model: Model, texts: Texts, layers: Sequence[int] | None = None, *, tokenizer: Any = None
) -> NetworkReading:
    """Read some layers of a network and check them, so that the network itself is no longer needed.

    Parameters
    ----------
    model : transformer_lens TransformerBridge, model of transformers, or torch module that reads tokens
    texts : list of str or of integers [n_tokens], or one of them
        On the first window of them (`context_windows`) the folded layers are compared with the model's own.
    layers : list of int, optional
        By default all of a network with up to 12, six of any other, evenly spread from the first to the last.
    tokenizer : tokenizer of transformers, optional
        For texts, where the model has none; as for `encode`.

    Returns
    -------
    NetworkReading

    Raises
    ------
    ValueError
        As for `residuals` and `mlp_block`.

    Notes
    -----
    Memory: the layers', and 8 k n d bytes for the vectors of n tokens.

    See Also
    --------
    residuals, mlp_block, fold_layer_norm, distinct_contexts : what it calls.

    Examples
    --------
    >>> from lnpoly_helpers import load_model, prompts
    >>> found = read_network(load_model("nano-ln-relu"), prompts()[:3], [0, 3])
    >>> found.layers, found.depth.tolist(), bool(found.own_errors.max() < 1e-9)
    ((0, 3), [0.0, 1.0], True)
    """
    n = len(all_layers(model, network_of(model)))
    if layers is None:
        layers = list(range(n)) if n <= 12 else [round(k * (n - 1) / 5) for k in range(6)]
    chosen = tuple(integer_below(layer, n, "layer") for layer in layers)
    windows = context_windows(model, texts, tokenizer=tokenizer)
    blocks = mlp_blocks(model, chosen)
    x = residuals(model, windows, chosen)
    read, written = reads_and_writes(model, windows[0], chosen)
    mlps, sizes, errors = [], [], []
    for block, vectors, inside, outside in zip(blocks, x, read, written, strict=True):
        mlp = fold_layer_norm(block)
        sizes.append(direction(vectors, mlp.kind)[1][:, 0])
        errors.append((_worst(mlp(inside), block(inside)), _worst(mlp(inside), outside)))
        mlps.append(mlp)
    first, rows = positions(model, windows) == 0, distinct_contexts(model, windows)
    fold_errors, own_errors = np.array(errors).T
    return NetworkReading(
        model_name(model), n, chosen, tuple(mlps), x[:, rows], np.array(sizes), first, fold_errors, own_errors
    )


def _worst(found, true):
    return (length(found - true) / length(true)).max()


def survey_interval(found: Mapping[str, Any], figure: str) -> tuple[float, float | None]:
    """One figure of a network: its mean over layers, and half of a 95 % interval.

    Over seeds where there are several: each seed's mean over its layers is one value. Else over the paths and
    directions of each layer, from the standard errors of `survey`; None where a figure has none, as a median.

    Parameters
    ----------
    found : dict
        Figures as `survey` names them, each a float, [n_layers], or [n_seeds, n_layers] with at least two seeds.
    figure : str

    Returns
    -------
    mean : float
    half : float or None

    Raises
    ------
    ValueError
        The figure is not there.

    See Also
    --------
    seed_results : where figures of several seeds come from.
    mean_interval : how sure several seeds are.

    Examples
    --------
    >>> survey_interval({"on": [[0.1, 0.3], [0.2, 0.4], [0.3, 0.5]]}, "on")[0]
    0.3
    >>> survey_interval({"kappa": [1.0, 2.0], "kappa_se": [0.3, 0.4]}, "kappa")
    (1.5, 0.49)
    """
    one_of(figure, list(found), "figure")
    values = np.asarray(found[figure], dtype=np.float64)
    if values.ndim == 2:
        mean, half = mean_interval(np.nanmean(values, axis=1))
        return float(mean), float(half)
    errors = found.get(f"{figure}_se")
    values = np.atleast_1d(values)
    if errors is None:
        return float(values.mean()), None
    errors = np.atleast_1d(np.asarray(errors, dtype=np.float64))
    return float(values.mean()), 1.96 * float(np.sqrt((errors**2).sum())) / len(errors)


def compare_surveys(
    found: Mapping[str, Mapping[str, Mapping[str, Any]]],
    figures: Mapping[str, str],
    kinds: Sequence[str] = ("trained", "matched"),
) -> dict[str, dict[str, dict[str, tuple[float, float | None]]]]:
    """Figures of several networks and of their nulls side by side, each with its interval: as `plot_dots` takes them.

    Parameters
    ----------
    found : dict
        {network's name: what `survey_network` or `seed_results` gave for it}.
    figures : dict
        {title: figure of `survey`}.
    kinds : sequence of {"trained", "matched", "W_out random", "untrained"}
        What is compared. A network that lacks one of them goes without.

    Returns
    -------
    dict
        {title: {network: {kind: (mean, half)}}}, of `survey_interval`.

    Raises
    ------
    ValueError
        As for `survey_interval`.

    See Also
    --------
    lnpoly_helpers.plotting.plot_dots : draws it.
    table : prints it.

    Examples
    --------
    >>> from lnpoly_helpers import seed_results
    >>> found = compare_surveys({"nine seeds": seed_results("nano-ln-relu")}, {"neurons on": "on"}, ["trained"])
    >>> round(found["neurons on"]["nine seeds"]["trained"][0], 2)
    0.15
    """
    return {
        title: {
            name: {kind: survey_interval(of[kind], figure) for kind in kinds if kind in of}
            for name, of in found.items()
        }
        for title, figure in figures.items()
    }
