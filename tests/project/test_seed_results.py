"""What is committed of the seeds is what measuring them gives, and says of its nulls what must hold of them."""

import hashlib
import io
import json
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
import scripts
import torch

from lnpoly_helpers import EMBEDDED, load_model, model_card, seed_results, survey_beside_nulls, survey_network
from lnpoly_helpers.models import load

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "data" / "results" / "seeds"
PRETRAINED = ("minilm", "smollm2-4bit")
FILES = (*EMBEDDED, "checkpoints", "widths", "ladder", *PRETRAINED)
KINDS = ("trained", "matched", "W_out random", "untrained")


@pytest.fixture(scope="module")
def measure():
    return scripts.load("data/measure.py")


def agree(found, committed):
    """What a fresh measurement gives is what is committed, to the digits that are kept."""
    np.testing.assert_allclose(found, committed, rtol=5.1e-4, atol=1e-12)


# --- what is committed -------------------------------------------------------------------------------------------


def test_all_of_it_is_there_and_small():
    assert sorted(path.stem for path in FOLDER.glob("*.json")) == sorted(FILES)
    assert sum(path.stat().st_size for path in FOLDER.glob("*.json")) < 300_000


@pytest.mark.parametrize("name", FILES)
def test_every_figure_has_a_number_for_every_network_and_layer(name):
    found = seed_results(name)
    n = len(found["networks"])
    kinds = [kind for kind in KINDS if kind in found]
    assert kinds == list(KINDS[:3]) + (["untrained"] if name in (*EMBEDDED, "widths") else [])
    for kind in kinds:
        assert found[kind].keys() == found["trained"].keys() >= {"on", "crossed_law", "kappa", "share_tokens"}
        for figure, values in found[kind].items():
            layers = len(found["networks"][0]["layers"]) if name in PRETRAINED else n
            assert values.shape == ((layers,) if name in ("ladder", *PRETRAINED) else (n, 4)), (kind, figure)
            assert not np.isnan(values).any(), (kind, figure)


@pytest.mark.parametrize("name", EMBEDDED)
def test_a_design_has_nine_seeds_and_the_first_is_the_embedded_model(name):
    networks = seed_results(name)["networks"]
    assert [one["seed"] for one in networks] == list(range(9))
    assert networks[0]["sha256"] == model_card(name)["sha256"]
    assert len({one["sha256"] for one in networks}) == 9
    losses = np.array([one["held_back_loss"] for one in networks])
    assert losses[0] == round(model_card(name)["training"]["held_back_loss"], 3)
    assert np.abs(losses - losses.mean()).max() < 0.03  # seeds of one recipe


@pytest.mark.parametrize("name", FILES)
def test_nulls_keep_what_they_are_made_to_keep(name):
    """The matched layer its on-rates; the layer with random W_out all that W_in decides, on the same paths."""
    found = seed_results(name)
    for figure in ("on", "rice"):
        np.testing.assert_allclose(found["matched"][figure], found["trained"][figure], rtol=0.01)
    for figure in ("on", "rice", "crossed", "crossed_law", "n_effective"):
        other = found["W_out random"][figure]
        # a matched layer keeps the lengths of W_out's rows too, so the weights of the terms are the same
        np.testing.assert_array_equal(other, found["trained"][figure], err_msg=figure)
    for kind in ("matched", "W_out random"):  # rows of W_out that know nothing of each other
        np.testing.assert_allclose(found[kind]["kappa"].mean(), 1, atol=0.05)
        np.testing.assert_allclose(found[kind]["own_share"].mean(), 1, atol=0.05)


def test_fresh_weights_are_what_the_laws_say():
    """Without biases half of the neurons are on, every boundary is crossed as often as the θ/π law says."""
    for name in ("nano-ln-relu", "nano-rms-relu", "nano-none-relu"):
        found = seed_results(name)["untrained"]
        for figure, law in {"on": 0.5, "crossed_law": 1, "opposition": -0.351, "halfway": 0.552, "kappa": 1}.items():
            assert abs(found[figure].mean() - law) < 0.03, (name, figure)


def test_checkpoints_begin_and_end_where_the_seeds_do():
    found = seed_results("checkpoints")
    for k, one in enumerate(found["networks"]):
        design = seed_results(one["design"])
        for step, kind in {0: "untrained", 3000: "trained"}.items():
            if one["step"] == step:
                for figure, values in design[kind].items():
                    np.testing.assert_array_equal(found["trained"][figure][k], values[one["seed"]], err_msg=figure)
    assert [one["step"] for one in found["networks"]] == 4 * [0, 30, 100, 300, 1000, 3000]


def test_networks_are_chosen_by_what_is_known_of_them():
    whole = seed_results("ladder")
    rows = [k for k, one in enumerate(whole["networks"]) if (one["activation"], one["d_model"]) == ("relu", 256)]
    some = seed_results("ladder", activation="relu", d_model=256)
    assert 0 < len(rows) < len(whole["networks"]) and some["networks"] == [whole["networks"][k] for k in rows]
    for kind in KINDS[:3]:
        for figure, values in some[kind].items():
            np.testing.assert_array_equal(values, whole[kind][figure][rows])
    whole, same = seed_results("minilm"), seed_results("minilm", d_model=384)  # one network: its layers stay
    np.testing.assert_array_equal(same["trained"]["on"], whole["trained"]["on"])
    with pytest.raises(ValueError, match=r"^which: expected what is known of a network in ladder, as \{.*got \{'d': 1"):
        seed_results("ladder", d=1)


def test_a_wrong_name_is_named():
    with pytest.raises(ValueError, match="name: expected one of checkpoints, ladder, minilm, .*got 'gpt2'"):
        seed_results("gpt2")


# --- measured again ----------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name, layer", [("nano-ln-relu", 2), ("nano-none-relu", 0)])
def test_a_layer_of_seed_0_gives_what_is_committed(measure, name, layer):
    committed = seed_results(name)
    found = survey_network(load_model(name), measure.TEXTS, [layer], **measure.SETTINGS)
    assert list(found) == list(KINDS[:3])
    for kind, figures in found.items():
        for figure, values in committed[kind].items():
            agree(figures[figure], [values[0, layer]])


def folder_in(variable):
    """A folder of networks that are no part of the project, where somebody has one."""
    if variable not in os.environ:
        pytest.skip(f"{variable} names no folder")
    return Path(os.environ[variable])


@pytest.mark.slow
@pytest.mark.parametrize("name", [*EMBEDDED, "checkpoints", "widths"])
def test_a_network_of_each_file_gives_what_is_committed(measure, name):
    networks = measure.find_networks(folder_in("LNPOLY_SEEDS"))
    committed = seed_results(name)
    k = len(committed["networks"]) - 2
    about = committed["networks"][k]
    (network,) = (
        n
        for n in networks
        if (n.design, n.seed, n.step, n.width)
        == (about.get("design", name), about["seed"], about.get("step"), about.get("d_model"))
    )
    model, sha256 = network.load()
    assert sha256 == about["sha256"]
    found = survey_network(model, measure.TEXTS, [1], seed=network.seed, **measure.SETTINGS)
    for kind, figures in found.items():
        for figure, values in committed[kind].items():
            agree(figures[figure], [values[k, 1]])


@pytest.mark.slow
def test_a_layer_of_the_ladder_gives_what_is_committed(measure):
    committed = seed_results("ladder")
    layers = measure.ladder_layers(folder_in("LNPOLY_LADDER"))
    about, mlp, z = next(one for one in layers if one[0]["d_model"] == 64)
    k = committed["networks"].index(about)
    for kind, figures in survey_beside_nulls(mlp, z, [about["seed"], about["layer"]], **measure.SETTINGS).items():
        for figure, values in committed[kind].items():
            agree(figures[figure], values[k])


# --- the harness -------------------------------------------------------------------------------------------------


def arrays(config):
    fresh = load.boot_native(config).state_dict()
    return {key: value.half().numpy() for key, value in fresh.items() if key != "unembed.bias"}


def test_networks_are_found_loose_and_in_tar_files(measure, tmp_path):
    config = model_card("nano-ln-relu")["config"]
    small = config | {"d_model": 64, "n_heads": 2, "d_mlp": 256, "seed": 5}
    np.savez(tmp_path / "w064-ln-relu.seed5.npz", **arrays(small))
    packed = io.BytesIO()
    np.savez(packed, **arrays(config | {"seed": 3}))
    content = packed.getvalue()
    runs = {"w064-ln-relu": {"seeds": [5], "held_back": [[1, [9.0]], [2, [1.23456]]]}}
    (tmp_path / "losses.json").write_text(json.dumps({"runs": runs}))
    with tarfile.open(tmp_path / "any.tar", "w") as archive:
        entry = tarfile.TarInfo("nano-ln-relu.seed3.step30.npz")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
        archive.addfile(tarfile.TarInfo("README"), io.BytesIO())
    loose, kept = sorted(measure.find_networks(tmp_path), key=lambda n: n.width is None)
    assert (loose.design, loose.seed, loose.step, loose.width) == ("nano-ln-relu", 5, None, 64)
    assert (kept.design, kept.seed, kept.step, kept.width) == ("nano-ln-relu", 3, 30, None)
    assert (loose.held_back_loss, kept.held_back_loss) == (1.235, None)
    model, sha256 = kept.load()
    assert sha256 == hashlib.sha256(content).hexdigest()
    weight = model.state_dict()["blocks.2.mlp.in.weight"]
    assert weight.dtype == torch.float64 and torch.equal(weight.half(), load_half(content, "blocks.2.mlp.in.weight"))
    assert loose.load()[0].cfg.d_mlp == 256


def test_a_step_on_the_way_is_no_finished_width_and_an_empty_kind_is_named(measure, tmp_path, monkeypatch):
    for name in ("w064-ln-relu.seed5", "w064-ln-relu.seed5.step1"):
        (tmp_path / f"{name}.npz").touch()
    networks, measured = measure.find_networks(tmp_path), []
    monkeypatch.setattr(measure.Network, "load", lambda network: measured.append(network) or (None, "sha"))
    for name in ("measure_network", "measure_twin"):
        monkeypatch.setattr(measure, name, lambda *_: {"trained": {"on": [0.5]}})
    about, found = measure.measure_widths(networks)
    assert [network.step for network in measured] == [None] and len(about) == len(found["trained"]["on"]) == 1
    with pytest.raises(SystemExit, match="expected networks of this kind in the folder, got none"):
        measure.measure_checkpoints(networks)
    with pytest.raises(SystemExit, match="^nano-ln-relu: expected other seeds of it in the folder, got none"):
        measure.measure_design("nano-ln-relu", networks)


def load_half(content, key):
    return torch.from_numpy(np.load(io.BytesIO(content))[key])


def test_weights_of_another_design_are_refused(measure, tmp_path):
    np.savez(tmp_path / "nano-none-relu.seed5.npz", **arrays(model_card("nano-ln-relu")["config"]))
    (network,) = measure.find_networks(tmp_path)
    with pytest.raises(SystemExit, match="nano-none-relu, seed 5: expected the weights of"):
        network.load()


def test_layers_of_the_ladder_are_read_in_both_forms(measure, rng, tmp_path):
    layer = {
        "W": rng.normal(size=(8, 12)).astype(np.float16),  # not centred: float16 never is
        "b": rng.normal(size=12),
        "Wo": rng.normal(size=(12, 8)).astype(np.float16),
        "z": rng.normal(size=(40, 8)).astype(np.float16),
        "act": "relu",
        "seed": 3,
        "layer": 1,
        "layers": 4,
    }
    np.savez(tmp_path / "a.npz", **layer)
    np.savez(tmp_path / "b.npz", **{f"{name}/{key}": value for name in "xy" for key, value in layer.items()})
    found = list(measure.ladder_layers(tmp_path))
    assert len(found) == 3
    for about, mlp, z in found:
        assert (about["seed"], about["layer"], about["layers"], about["d_model"]) == (3, 1, 4, 8)
        W = layer["W"].astype(float)
        np.testing.assert_allclose(mlp.W_in, W - W.mean(axis=0), rtol=0, atol=1e-14)
        np.testing.assert_allclose((z**2).sum(axis=1), 8, rtol=1e-12)


def test_numbers_are_rounded_to_four_digits_and_read_back(measure, tmp_path, monkeypatch):
    assert measure.rounded([[1.23456, -0.000123456], [123456.0, np.inf]]) == [[1.235, -0.0001235], [123500.0, "inf"]]
    values = {"trained": {"range": [[1.23456, np.inf]], "range_se": [[1.0, 2.0]]}}
    measure.write(tmp_path / "results" / "seeds" / "some.json", [{"seed": 1}], values, "command")
    monkeypatch.setattr("lnpoly_helpers.series.data_folder", lambda: tmp_path)
    found = seed_results("some")
    assert found["networks"] == [{"seed": 1}] and list(found["trained"]) == ["range"]
    np.testing.assert_array_equal(found["trained"]["range"], [[1.235, np.inf]])
