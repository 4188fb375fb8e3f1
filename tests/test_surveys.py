"""surveys: against the closed forms on layers that are drawn, and on layers with a planted cliff, a planted plateau, a
rest that cancels and effects that are alike everywhere and nowhere."""

from dataclasses import replace

import numpy as np
import pytest
import transformers
from oracles import random_mlp
from scipy.stats import norm

from lnpoly_helpers import (
    FoldedMLP,
    at_length,
    compare_surveys,
    distinct_contexts,
    fold_layer_norm,
    load_model,
    matched_layer,
    mean_interval,
    mlp_block,
    normalize,
    positions,
    prompts,
    read_network,
    residuals,
    rice_factor,
    survey,
    survey_beside_nulls,
    survey_interval,
    survey_network,
    wide_relu,
    wide_relu_range,
    wide_relu_share,
)

ANGLE = np.pi / 6
WIDE = {"n_paths": 96, "n_contexts": 24, "n_directions": 24}


def sphere(rng, n, d, kind="rmsnorm"):
    return normalize(rng.normal(size=(n, d)), kind=kind)


def layer(W_in, b_in, W_out, activation="relu"):
    return FoldedMLP(W_in, b_in, W_out, np.zeros(W_out.shape[1]), activation, 0.0, "rmsnorm")


def wide(rng, p, d=200, m=4000, d_out=300):
    return layer(rng.normal(size=(d, m)), np.full(m, -norm.isf(p) * np.sqrt(d)), rng.normal(size=(m, d_out)))


@pytest.mark.slow
@pytest.mark.parametrize("towards", ["points", "isotropic"])
@pytest.mark.parametrize("p", [0.15, 0.5])
def test_a_wide_random_layer_has_the_figures_of_the_closed_forms(rng, p, towards):
    """Points in all directions, so nearly at right angles. Each within its errors and some of finite width."""
    mlp, z = wide(rng, p), sphere(rng, 300, 200)
    found = survey(mlp, z, rng, towards=towards, **WIDE)
    exact, twice = wide_relu(ANGLE, on_rate=p), wide_relu(2 * ANGLE, on_rate=p)
    jostled = wide_relu_share(ANGLE, np.arccos(np.cos(ANGLE) ** 2), on_rate=p)
    apart = wide_relu_share(ANGLE, np.pi / 2, on_rate=p)
    expected = {
        "on": p,
        "rice": rice_factor(p),
        "crossed_law": rice_factor(p),
        "crossed": rice_factor(p) * 4000 / 6,
        "halfway": exact.change / twice.change,
        "tangent": exact.tangent,
        "rest": exact.rest,
        "opposition": exact.opposition,
        "own_share": 1,
        "kappa": 1,
        "share_contexts": apart,
        "share_look_alikes": apart,
        "share_isotropic": jostled,
        "share_tokens": jostled,
        **{f"speed_{where}": 1 for where in ("start", "middle", "end")},
    }
    for name, value in expected.items():
        assert abs(found[name] - value) < 4 * found.get(f"{name}_se", 0) + 0.03 * abs(value), name
        assert found.get(f"{name}_se", 0) < 0.1 * abs(value), name
    assert found["range"] == pytest.approx(np.degrees(wide_relu_range(0.1, on_rate=p)), rel=0.15)
    assert found["range_boundaries"] == pytest.approx(1.5 * 0.1**2 * p * 4000, rel=0.25)
    assert abs(found["rho"]) < 4 * found["rho_se"] + 1e-3 and found["n_effective"] > 100
    assert 0.7 < found["speed_least"] < 1 < found["speed_most"] < 1.4


@pytest.mark.slow
def test_standard_errors_are_the_spread_over_draws(rng):
    mlp, z = random_mlp(rng, 20, 150), sphere(rng, 400, 20, "layernorm")
    twice = {name: np.repeat(getattr(mlp, name), 2, axis=-1) for name in ("W_in", "b_in")}
    mlp = replace(mlp, W_out=np.repeat(mlp.W_out, 2, axis=0), **twice)  # every neuron has a double
    runs = [survey(mlp, z, rng, n_paths=16, n_contexts=16, n_directions=8) for _ in range(60)]
    assert np.mean([run["own_share"] for run in runs]) == pytest.approx(0.5, abs=0.1)  # half is against the double
    names = [name for name in runs[0] if f"{name}_se" in runs[0]]
    assert {"crossed", "halfway", "speed_end", "own_share", "rho", "share_tokens"} < set(names)
    for name in names:
        values, errors = (np.array([run[key] for run in runs]) for key in (name, f"{name}_se"))
        assert 0.6 < values.std(ddof=1) / np.sqrt((errors**2).mean()) < 1.6, name


def test_layers_at_the_same_points_get_the_same_paths_and_contexts(rng):
    mlp, z = random_mlp(rng, 15, 80), sphere(rng, 90, 15, "layernorm")
    other = replace(mlp, W_out=2 * mlp.W_out)  # every figure is free of the output's scale
    a, b = (survey(m, z, np.random.default_rng(3)) for m in (mlp, other))
    np.testing.assert_allclose(list(a.values()), list(b.values()), rtol=1e-9)
    third = survey(matched_layer(mlp, z, rng, keep="W_in"), z, np.random.default_rng(3))
    assert all(third[name] == a[name] for name in ("on", "rice", "crossed", "crossed_se"))
    assert third["kappa"] != a["kappa"]
    c = survey(mlp, z, np.random.default_rng(4))
    assert c["on"] == a["on"] and c["crossed"] != a["crossed"]
    assert all(isinstance(value, float) for value in a.values())


def test_a_cliff_is_found(rng):
    """Eight boundaries at each of which the output jumps, and nothing else: some four on every path."""
    d, z = 40, sphere(rng, 60, 40)
    w, steep = rng.normal(size=(d, 8)), 1e4
    ramps = layer(
        np.tile(steep * w, 2), np.repeat([0.5, -0.5], 8), np.concatenate([np.eye(8), -np.eye(8)])
    )  # one from 0 to 1 across each boundary
    found, smooth = survey(ramps, z, rng, n_paths=200), survey(wide(rng, 0.5, d, 1000, 50), z, rng)
    assert found["speed_most"] > 3 > 1.7 > smooth["speed_most"]
    assert found["speed_least"] < 1e-6 < 0.5 < smooth["speed_least"]


def test_a_plateau_is_found(rng):
    """Each point in the middle of a cap of 38 degrees on which the output stands still; it moves between the caps."""
    d = 64
    z = np.sqrt(d) * np.eye(d)
    high, low = np.cos(np.radians([38.0, 45.0])) * np.sqrt(d)
    mlp = layer(np.tile(np.eye(d), 2), np.repeat([-low, -high], d), np.concatenate([np.eye(d), -np.eye(d)]))
    found = survey(mlp, z, rng)
    assert found["speed_start"] < 1e-9 and found["speed_end"] < 1e-9 and found["speed_middle"] > 4
    assert found["halfway"] < 1e-9  # nothing in 30 degrees, all in 60
    assert found["crossed"] == 0
    wider = survey(mlp, z, rng, angle=np.radians(48))
    assert wider["halfway"] < 0.8 and wider["crossed"] == 3  # and a turn that leaves the cap is seen
    assert wider["tangent"] < 1e-9 and wider["rest"] == pytest.approx(1)  # of which the map at the start knows nothing


def test_a_rest_that_cancels_is_found(rng):
    """A linear layer, and neurons in pairs that flip together and write opposite vectors."""
    d, m = 20, 100
    W, rows, z = rng.normal(size=(d, m)), rng.normal(size=(m, d)), sphere(rng, 60, d)
    mlp = layer(
        np.concatenate([np.eye(d), W, W], axis=1),
        np.concatenate([np.full(d, 50.0), np.zeros(2 * m)]),
        np.concatenate([np.eye(d), rows, -rows]),
    )
    found = survey(mlp, z, rng)
    assert found["kappa"] < 1e-20 and found["rest"] < 1e-12 and found["tangent"] == pytest.approx(1, abs=1e-9)
    assert found["n_effective"] > 10 and -0.1 < found["rho"] < 0
    agree = replace(mlp, W_out=np.concatenate([np.eye(d), rows, rows]))
    assert 1.7 < survey(agree, z, rng)["kappa"] < 2.6


def test_an_effect_that_is_alike_everywhere_is_found_and_one_that_is_alike_only_nearby(rng):
    d, m = 60, 400
    z, small = sphere(rng, 150, d), {"angle": 0.02, "towards": "isotropic"}
    z = np.concatenate([z, -z])  # so that what an even function does is nowhere the same
    always = survey(layer(np.eye(d), np.full(d, 50.0), np.eye(d)), z, rng, **small)
    W, rows = rng.normal(size=(d, m)), rng.normal(size=(m, d))
    even = survey(layer(np.concatenate([W, -W], axis=1), np.zeros(2 * m), np.tile(rows, (2, 1))), z, rng, **small)
    for name in ("share_contexts", "share_look_alikes", "share_isotropic", "share_tokens"):
        assert always[name] > 0.96, name
        nearby = name in ("share_isotropic", "share_tokens")
        assert even[name] > 0.9 if nearby else abs(even[name]) < 4 * even[f"{name}_se"] + 1 / 300 < 0.05, name
    for name in ("kappa", "rho", "own_share", "opposition"):
        assert np.isnan(always[name]), name  # nothing flips
    assert always["range"] == always["range_boundaries"] == np.inf


@pytest.mark.parametrize("kind", ["layernorm", "rmsnorm", "none"])
def test_gated_layers_and_layers_without_a_norm_are_surveyed(rng, kind):
    mlp = random_mlp(rng, 16, 60, kind=kind, activation="silu", gated=True)
    z = sphere(rng, 60, 16, "layernorm" if kind == "layernorm" else "rmsnorm")
    mlp = at_length(mlp, 8.0) if kind == "none" else mlp
    for layer in (mlp, matched_layer(mlp, z, rng)):
        found = survey(layer, z, rng)
        assert np.isfinite(list(found.values())).all()
        assert found["kappa"] == pytest.approx(1 + (found["n_effective"] - 1) * found["rho"], rel=0.1)


def test_the_matched_layer_of_a_trained_one_adds_its_flips_like_independent_vectors():
    model = load_model("nano-ln-relu")
    x = residuals(model, prompts()[:4], layer=2)
    mlp = fold_layer_norm(mlp_block(model, 2))
    z = mlp.to_sphere(x)
    null = survey(matched_layer(mlp, z, np.random.default_rng(0)), z, np.random.default_rng(1), n_paths=96)
    for name in ("kappa", "own_share"):
        assert abs(null[name] - 1) < 4 * null[f"{name}_se"] < 0.2
    trained = survey(mlp, z, np.random.default_rng(1), n_paths=96)
    assert trained["on"] == pytest.approx(null["on"], rel=1e-3) and trained["kappa"] > null["kappa"]


def test_a_layer_beside_its_nulls_walks_the_same_paths(rng):
    """What reads alike crosses alike; each null is the one that its name says; another seed draws others."""
    mlp, z = random_mlp(rng, d=16, m=48, kind="layernorm"), sphere(rng, 80, 16, "layernorm")
    options = {"n_paths": 8, "n_contexts": 8, "n_directions": 4}
    found = survey_beside_nulls(mlp, z, [3, 1], **options)
    assert found["trained"] == survey(mlp, z, np.random.default_rng([3, 1, 0]), **options)
    match = matched_layer(mlp, z, np.random.default_rng([3, 1, 1]))
    assert found["matched"] == survey(match, z, np.random.default_rng([3, 1, 0]), **options)
    assert found["W_out random"]["crossed"] == found["trained"]["crossed"] != found["matched"]["crossed"]
    assert found["W_out random"]["kappa"] != found["trained"]["kappa"]
    assert survey_beside_nulls(mlp, z, 4, **options)["trained"] != found["trained"]


def test_only_the_nulls_that_are_asked_for_are_measured_and_they_are_the_same(rng):
    mlp, z = random_mlp(rng, d=12, m=30), sphere(rng, 40, 12, "layernorm")
    options = {"n_paths": 6, "n_contexts": 6, "n_directions": 3}
    whole = survey_beside_nulls(mlp, z, 2, **options)
    for nulls in ((), ("W_out random",), ("matched",)):
        found = survey_beside_nulls(mlp, z, 2, nulls=nulls, **options)
        assert found == {name: whole[name] for name in ("trained", *nulls)}
    with pytest.raises(ValueError, match="nulls: expected one of 'matched', 'W_out random', got 'untrained'"):
        survey_beside_nulls(mlp, z, 2, nulls=["untrained"])


def test_heights_and_misses_are_those_of_the_boundaries(rng):
    """Seven neurons whose boundaries stand at planted heights, two of them beyond the sphere."""
    d, heights = 20, np.array([-3.0, -0.5, -0.1, 0.02, 0.3, 0.9, 1.5])
    W = rng.normal(size=(d, 7))
    mlp = layer(W, -heights * np.sqrt(d) * np.linalg.norm(W, axis=0), rng.normal(size=(7, 4)))
    found = survey(mlp, sphere(rng, 40, d), rng, n_paths=4)
    assert found["height"] == pytest.approx(0.02, rel=1e-12) and found["misses"] == 2 / 7


def test_surveys_are_compared_figure_by_figure(rng):
    seeds = {kind: {"on": rng.normal(size=(3, 2)), "kappa": rng.normal(size=(3, 2))} for kind in ("trained", "matched")}
    single = {"trained": {"on": [0.1, 0.3], "kappa": [1.0, 2.0], "kappa_se": [0.3, 0.4]}}
    found = compare_surveys({"seeds": seeds, "one": single}, {"neurons on": "on", "κ": "kappa"})
    assert list(found) == ["neurons on", "κ"] and list(found["κ"]) == ["seeds", "one"]
    assert found["κ"]["seeds"]["matched"] == survey_interval(seeds["matched"], "kappa")
    assert found["κ"]["one"] == {"trained": (1.5, 0.49)} and found["neurons on"]["one"] == {"trained": (0.2, None)}
    with pytest.raises(ValueError, match="figure: expected one of"):
        compare_surveys({"one": single}, {"ρ": "rho"})


def test_the_interval_of_a_figure_is_over_seeds_or_over_paths(rng):
    values = rng.normal(size=(9, 4))
    mean, half = survey_interval({"kappa": values}, "kappa")
    np.testing.assert_allclose([mean, half], mean_interval(values.mean(axis=1)), atol=1e-15)
    assert survey_interval({"range": [1.0, 3.0]}, "range") == (2.0, None)
    assert survey_interval({"range": 1.0}, "range") == (1.0, None)
    # four layers of many paths each: the standard error of the mean of their means
    paths = rng.normal(size=(4, 1000)) * [[1.0], [2.0], [3.0], [4.0]]
    errors = paths.std(axis=1, ddof=1) / np.sqrt(1000)
    mean, half = survey_interval({"kappa": paths.mean(axis=1), "kappa_se": errors}, "kappa")
    np.testing.assert_allclose([mean, half], mean_interval(paths, strata=0), rtol=2e-3)
    with pytest.raises(ValueError, match=r"figure: expected one of 'kappa', got 'rho'"):
        survey_interval({"kappa": values}, "rho")


@pytest.mark.parametrize("layer", [1.9, True, 4])
def test_what_is_no_layer_is_not_read_as_one(layer):
    with pytest.raises(ValueError, match=f"^layer: expected an integer from 0 to 3, got {layer}"):
        read_network(load_model("nano-ln-relu"), prompts()[:1], [layer])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nano-ln-relu", "nano-none-relu"])
def test_a_network_is_surveyed_layer_by_layer(name):
    model, texts, options = load_model(name), prompts()[:12], {"n_paths": 6, "n_contexts": 8, "n_directions": 3}
    found = survey_network(model, texts, [3, 1], seed=5, **options)
    for k, layer in enumerate((3, 1)):
        mlp = fold_layer_norm(mlp_block(model, layer))
        x = residuals(model, texts, layer)[distinct_contexts(model, texts)]
        if mlp.kind == "none":
            mlp = at_length(mlp, np.median(np.linalg.norm(x, axis=1)))
        one = survey_beside_nulls(mlp, mlp.to_sphere(x), [5, layer], **options)
        for kind, figures in one.items():
            assert {key: values[k] for key, values in found[kind].items()} == figures
    assert all(len(v) == 4 for v in survey_network(model, texts, **options)["trained"].values())


# --- a network, read ---


@pytest.mark.parametrize("name", ["nano-ln-relu", "nano-rms-relu", "nano-none-relu"])
def test_a_reading_holds_what_the_single_functions_give(name):
    model, texts = load_model(name), prompts()[:4]
    found = read_network(model, texts, [0, 2])
    x = residuals(model, texts, [0, 2])
    np.testing.assert_array_equal(found.x, x[:, distinct_contexts(model, texts)])
    np.testing.assert_array_equal(found.first, positions(model, texts) == 0)
    centred = x - x.mean(axis=-1, keepdims=True) if found.mlps[0].kind == "layernorm" else x
    np.testing.assert_allclose(found.sizes, np.sqrt((centred**2).mean(axis=-1)), rtol=1e-12)
    for k, layer in enumerate(found.layers):
        np.testing.assert_array_equal(found.mlps[k].W_in, fold_layer_norm(mlp_block(model, layer)).W_in)
    np.testing.assert_array_equal(found.depth, [0, 2 / 3])
    squares = [(mlp.to_sphere(x) ** 2).sum() for mlp, x in zip(found.mlps, found.x, strict=True)]
    assert found.each(lambda mlp, z: (z**2).sum()) == squares
    assert max(*found.fold_errors, *found.own_errors) < 1e-9


def test_a_reading_measures_errors_token_by_token(monkeypatch):
    """One token that is off by a tenth of its own output, however small that is, is found."""
    import lnpoly_helpers.surveys as surveys

    real = surveys.reads_and_writes

    def planted(*arguments):
        read, written = real(*arguments)
        written[0, 2] *= 1e-6
        written[1, 3] *= 1.1
        return read, written

    model = load_model("nano-ln-relu")
    monkeypatch.setattr(surveys, "reads_and_writes", planted)
    found = read_network(model, prompts()[:2], [0, 2, 3])
    assert found.own_errors[0] > 1e5 and found.own_errors[1] == pytest.approx(1 / 11) and found.own_errors[2] < 1e-9
    assert found.fold_errors.max() < 1e-9


def test_a_model_of_transformers_itself_is_surveyed_by_tokens(rng):
    config = transformers.GPT2Config(vocab_size=50, n_embd=16, n_layer=2, n_head=2, initializer_range=0.2)
    model = transformers.GPT2LMHeadModel(config).double().eval()
    texts = list(rng.integers(50, size=(6, 12)))
    found = read_network(model, [*texts, texts[0][:5]])
    assert (found.name, found.n_layers, found.layers) == ("GPT2LMHeadModel", 2, (0, 1))
    assert found.own_errors.max() < 1e-9 and found.x.shape == (2, 6 * 11, 16)
    figures = survey_network(model, texts, n_paths=4, n_contexts=4, n_directions=2)
    assert len(figures["trained"]["on"]) == 2 and np.isfinite(figures["trained"]["on"]).all()
