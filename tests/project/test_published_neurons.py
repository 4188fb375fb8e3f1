"""What is said of published neurons follows from their tables: themselves where they are, and small ones made here."""

import os
from pathlib import Path

import numpy as np
import pytest
import scripts
from scipy.stats import norm

from lnpoly_helpers import published_neurons
from lnpoly_helpers.series import data_folder

NETWORKS = {"stanford-gpt2-small-a": (12, 1533), "stanford-gpt2-medium-a": (24, 1211), "pythia-160m": (12, 465)}


@pytest.fixture(scope="module")
def script():
    return scripts.load("data/published_neurons.py")


def test_what_is_committed_is_what_the_tables_give(script):
    """Where LNPOLY_PUBLISHED names the folder of the tables, which are not ours to keep."""
    if "LNPOLY_PUBLISHED" not in os.environ:
        pytest.skip("LNPOLY_PUBLISHED names no folder with the tables of wesg52/universal-neurons")
    committed = (data_folder() / "published" / "neurons.json").read_text(encoding="utf-8")
    assert script.text_of(script.compute(Path(os.environ["LNPOLY_PUBLISHED"]))) == committed


@pytest.mark.parametrize("network", NETWORKS)
def test_what_is_committed_agrees_with_itself(network, script):
    found, (n_layers, n) = published_neurons(network), NETWORKS[network]
    layers, together = found["layers"], found["together"]
    assert (n_layers, found["d_model"], found["d_mlp"]) == script.NETWORKS[network][:3]
    assert layers["neurons"].sum() == together["neurons"] == n and len(layers["neurons"]) == n_layers
    assert not layers["misses"].any() and together["misses"] == 0 and layers["highest"].max() < 1
    assert together["highest"] == layers["highest"].max()
    for figure in script.FIGURES:
        low, middle, high = layers["quartiles"][figure]
        assert (low <= middle).all() and (middle <= high).all()
        mean = (layers["mean"][figure] * layers["neurons"]).sum() / n
        assert together["mean"][figure] == pytest.approx(mean, rel=1e-3)
    # the cap shrinks as the boundary rises, and Rice's factor grows with the on-rate up to one half
    D = found["d_model"] - 1
    caps = np.array(layers["quartiles"]["cap_share"])
    as_normal = norm.sf(layers["quartiles"]["height"][::-1] * np.sqrt(D))  # of a point's coordinate, nearly normal
    np.testing.assert_allclose(caps, as_normal, rtol=0.1, atol=0.002)
    rice = np.exp(-(norm.isf(layers["quartiles"]["on"]) ** 2) / 2)
    few = layers["neurons"] > 30  # quartiles of a few are means of two neighbours, which no curve keeps
    np.testing.assert_allclose(layers["quartiles"]["rice"][:, few], rice[:, few], rtol=0.05)


def test_the_sample_is_said_and_nothing_is_called_gpt2_that_is_not():
    found = published_neurons()
    assert "no random sample" in found["sample"] and found["licence"] == "MIT" and "2401.12181" in found["source"]
    with pytest.raises(ValueError, match="network: expected one of stanford-gpt2-small-a, .*, got 'gpt2'"):
        published_neurons("gpt2")


# --- the script, on tables made here ---

ROWS = [  # layer, neuron, length, bias, on-rate, and what they mean at d = 768
    (0, 3, 2.0, 0.0, 0.5),  # height 0: half of the sphere, and as many crossings as without a bias
    (0, 9, 0.5, -np.sqrt(768) / 4, 0.1),  # height 1/2
    (0, 7, 0.1, -np.sqrt(768) / 4, 0.0),  # height 2.5: misses
    *((k, 0, 1.0, np.sqrt(768) / 10, 0.9) for k in range(1, 12)),  # height -1/10
]


def write(path, rows=ROWS, header="layer,neuron,max_corr,w_in_norm,input_bias,sparsity"):
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join([header, *(f"{k},{i},0.9,{w!r},{b!r},{on}" for k, i, w, b, on in rows)]))


def test_figures_of_neurons_that_are_known(script, tmp_path):
    write(tmp_path / "a.csv")
    found = script.network(tmp_path / "a.csv", *script.NETWORKS["stanford-gpt2-small-a"])
    first, later = ({key: found["layers"][key] for key in ("mean", "quartiles")} for _ in range(2))
    assert found["layers"]["neurons"] == [3] + 11 * [1] and found["layers"]["misses"] == [1] + 11 * [0]
    assert found["layers"]["highest"] == pytest.approx([2.5] + 11 * [0.1])
    quartiles = {figure: np.array(values) for figure, values in found["layers"]["quartiles"].items()}
    np.testing.assert_allclose(quartiles["height"][:, 0], [0.25, 0.5, 1.5])
    np.testing.assert_allclose(quartiles["height"][:, 1:], -0.1)
    # a coordinate of a random point of the sphere has the standard deviation 1 / sqrt(767)
    np.testing.assert_allclose(quartiles["cap_share"][:, 1:], norm.sf(-0.1 * np.sqrt(767)), rtol=1e-3)
    assert quartiles["cap_share"][0, 0] < 1e-30 and quartiles["cap_share"][2, 0] == pytest.approx(0.25)
    np.testing.assert_allclose(
        quartiles["rice"][:, 0], np.quantile([1, 0, np.exp(-(1.2816**2) / 2)], [0.25, 0.5, 0.75]), rtol=1e-3
    )
    # random circles: (1 - h^2)^((D - 2)/2) with D = 767
    assert found["layers"]["circles"][1] == pytest.approx(0.99 ** (765 / 2), rel=1e-3)
    assert found["layers"]["circles"][0] == pytest.approx(1 / 3, rel=1e-3)


def test_both_places_of_a_table_are_found_and_what_is_wrong_is_said(script, tmp_path):
    with pytest.raises(FileNotFoundError, match="expected pythia-160m.universal.csv or pythia-160m/universal.csv, got"):
        script.find(tmp_path, "pythia-160m")
    write(tmp_path / "pythia-160m" / "universal.csv")
    assert script.find(tmp_path, "pythia-160m").parent.name == "pythia-160m"
    write(tmp_path / "pythia-160m.universal.csv", header="layer,neuron,max_corr,w_in_norm,bias,sparsity")
    with pytest.raises(ValueError, match="expected the columns layer, .*, got none called input_bias"):
        script.read(script.find(tmp_path, "pythia-160m"), 12, 3072)
    write(tmp_path / "b.csv", [(12, 0, 1.0, 0.0, 0.5)])
    with pytest.raises(ValueError, match="expected neurons of 12 layers with 3072 each, got others"):
        script.read(tmp_path / "b.csv", 12, 3072)
