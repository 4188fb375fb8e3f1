"""Results files: written once, compared afterwards, never overwritten. Predictions: held to a run, never to taste."""

import json
import os

import numpy as np
import pytest

from lnpoly_helpers import (
    FoldedMLP,
    compare_predictions,
    predictions,
    prompts,
    published,
    published_neurons,
    save_results,
    seed_results,
    series,
    survey,
)

NUMBERS = {"angle": [1.0, 2.5, np.float64(3e-7)], "count": np.int64(7), "none": [np.nan]}


def test_the_first_run_writes_and_the_second_agrees(tmp_path):
    assert "written to gpt2/06.json" in save_results("gpt2", "06", NUMBERS, folder=tmp_path)
    written = (tmp_path / "gpt2" / "06.json").read_text()
    close = {"angle": [1 + 5e-7, 2.5 - 1e-6, 3e-7], "count": 7, "none": [np.nan]}
    assert "all 3 figures agree" in save_results("gpt2", "06", close, folder=tmp_path)
    assert (tmp_path / "gpt2" / "06.json").read_text() == written


@pytest.mark.parametrize(
    "change, key",
    [
        ({"angle": [1 + 2e-6, 2.5, 3e-7]}, "angle"),
        ({"angle": [1.0, 2.5]}, "angle"),
        ({"count": 8}, "count"),
        ({"extra": 1}, "extra"),
    ],
)
def test_a_difference_is_named_and_the_reference_stays(tmp_path, change, key):
    save_results("a b/c", "07", NUMBERS, folder=tmp_path)
    reference = tmp_path / "a_b_c" / "07.json"
    before = reference.read_text()
    assert f"1 figures DIFFER from the reference: {key}" in save_results(
        "a b/c", "07", NUMBERS | change, folder=tmp_path
    )
    assert reference.read_text() == before
    assert json.loads((tmp_path / "a_b_c" / "07.new.json").read_text()).keys() == (NUMBERS | change).keys()


@pytest.mark.parametrize("content", ["{ not json", "[1]", "3", '{"angle": "wide"}', '{"angle": [1, [2]]}', "\0"])
def test_a_damaged_reference_is_named(tmp_path, content):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "06.json").write_text(content)
    with pytest.raises(ValueError, match="expected a results file in JSON, got.*Restore it"):
        save_results("m", "06", NUMBERS, folder=tmp_path)


@pytest.mark.parametrize("model", ["..", ".", "", "...", "/", "__"])
def test_a_model_whose_name_would_leave_the_folder_is_refused(tmp_path, model):
    with pytest.raises(ValueError, match="^model: expected a name that a file can have, .* got '"):
        save_results(model, "06", NUMBERS, folder=tmp_path / "in" / "here")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("notebook", ["../06", "..", "", "/etc/06", "a/b", "a\\b", "06\n", "\0"])
def test_a_notebook_whose_name_would_leave_the_folder_is_refused(tmp_path, notebook):
    with pytest.raises(ValueError, match="^notebook: expected a name that a file can have, .* got '"):
        save_results("gpt2", notebook, NUMBERS, folder=tmp_path / "in" / "here")
    assert not list(tmp_path.iterdir())


def test_any_other_name_of_a_model_stays_inside(tmp_path):
    for k, model in enumerate(
        ["../../gpt2", "/abs/gpt2", "C:\\gpt2", "gpt2 (folder)", "näno", "a\0b", "~/gpt2", ".gpt2"]
    ):
        save_results(model, "06", NUMBERS, folder=tmp_path / "in")
        assert len(list((tmp_path / "in").rglob("06.json"))) == k + 1
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.fixture
def nobody_may_write(tmp_path):
    """A folder that may be read, and a user who is not root, whom no permission stops."""
    if os.name != "posix":
        pytest.skip("permissions of this kind are POSIX's")
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o555)
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    yield folder
    os.seteuid(before)


def test_without_a_place_to_write_the_error_names_the_way_out(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "deeper", "/proc/nowhere", tmp_path / ("x" * 300)):
        with pytest.raises(OSError, match="expected a folder to write into, got .*LNPOLY_RESULTS") as caught:
            save_results("gpt2", "06", NUMBERS, folder=folder)
        assert len(str(caught.value).splitlines()) == 1
        monkeypatch.setenv("LNPOLY_RESULTS", str(folder))
        with pytest.raises(OSError, match="folder to write into, got .* the environment variable LNPOLY_RESULTS"):
            save_results("gpt2", "06", NUMBERS)


def test_a_read_only_folder_is_named(nobody_may_write):
    with pytest.raises(PermissionError, match=r"expected a folder to write into, got Permission denied\. Name another"):
        save_results("gpt2", "06", NUMBERS, folder=nobody_may_write)


def test_a_home_in_the_environment_is_that_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LNPOLY_RESULTS", "~/results")
    save_results("gpt2", "06", NUMBERS)
    assert (tmp_path / "results" / "gpt2" / "06.json").is_file()


def test_published_numbers_are_complete():
    numbers = published()
    assert len(numbers["layers"]) == len(numbers["later positions"]) == len(numbers["position 0"]) == 8
    assert numbers["source"].startswith("ApolloResearch/gpt2_noLN") and numbers["later positions"][0] == 1.21


# --- predictions ---


def planted(value_of, n_layers=12):
    """Figures of a run in which every prediction has the number that value_of(low, high) says."""
    trained, matched = {}, {}
    for one in sorted(predictions()["predictions"], key=lambda one: one["of"] != "trained"):
        value, figure = value_of(one["low"], one["high"]), one["figure"]
        if one["of"] == "trained":
            trained[figure] = value
        else:
            level = trained.setdefault(figure, 2.0)
            matched[figure] = level - value if one["of"] == "trained - matched" else level / value
    tilt = np.linspace(-1, 1, n_layers) * 1e-4  # the mean over layers counts, not one of them
    figures = {"trained": trained, "matched": matched}
    return {kind: {name: value + tilt for name, value in values.items()} for kind, values in figures.items()}


def verdicts(figures):
    return [row[-1] for row in compare_predictions(figures)]


@pytest.mark.parametrize(
    "value_of, verdict",
    [
        (lambda low, high: (low + high) / 2, "confirmed"),
        (lambda low, high: low + 0.01 * (high - low), "confirmed"),
        (lambda low, high: high + 0.01, "refuted"),
        (lambda low, high: low - 0.01, "refuted"),
    ],
)
def test_a_run_inside_the_intervals_confirms_and_one_outside_refutes(value_of, verdict):
    assert set(verdicts(planted(value_of))) == {verdict}


def test_what_a_run_lacks_is_not_measured():
    figures = planted(lambda low, high: (low + high) / 2)
    assert set(verdicts({})) == {"not measured"} and set(verdicts({"matched": figures["matched"]})) == {"not measured"}
    needs_null = [one["of"] != "trained" for one in predictions()["predictions"]]
    found = verdicts({"trained": figures["trained"]})
    assert [verdict == "not measured" for verdict in found] == needs_null and any(needs_null)
    figures["trained"]["on"] = [np.nan, *figures["trained"]["on"][1:]]  # one layer without a number is no mean
    assert verdicts(figures)[0] == "not measured" and verdicts(figures)[1] == "confirmed"
    with pytest.raises(
        ValueError, match=r"as many layers in trained and matched, got share_tokens of \[12\] and \[3\]"
    ):
        compare_predictions(figures | {"matched": figures["matched"] | {"share_tokens": [0.1, 0.2, 0.3]}})


def test_predictions_say_what_they_are_about_and_can_be_refuted():
    """Figures that exist, intervals with an inside and an outside, grounds."""
    known = set(survey_of_noise())
    everything = predictions()
    assert {"model", "written", "how", "rule", "predictions"} == everything.keys()
    for one in everything["predictions"]:
        assert one["figure"] in known and one["low"] < one["high"] and one["claim"] and one["from"]
        assert one["of"] in ("trained", "trained - matched", "trained / matched")
    with pytest.raises(ValueError, match="model: expected one of gpt2, got 'gpt3'"):
        predictions("gpt3")


def survey_of_noise():
    rng = np.random.default_rng(0)
    mlp = FoldedMLP(rng.normal(size=(8, 32)), np.zeros(32), rng.normal(size=(32, 8)), np.zeros(8), "gelu", 0, "rmsnorm")
    return survey(mlp, mlp.to_sphere(rng.normal(size=(80, 8))), rng)


def test_a_network_of_random_weights_is_refuted_where_training_is_claimed():
    """A stand-in from survey to verdict: half of its neurons are on, and it is its own matched layer."""
    found = survey_of_noise()
    figures = {kind: {name: [value, value] for name, value in found.items()} for kind in ("trained", "matched")}
    of_null = [one["of"] != "trained" and one["figure"] != "share_tokens" for one in predictions()["predictions"]]
    found = dict(
        zip([(one["figure"], one["of"]) for one in predictions()["predictions"]], verdicts(figures), strict=True)
    )
    for k, ((figure, of), verdict) in enumerate(found.items()):
        if of_null[k] or figure in ("on", "kappa", "own_share"):
            assert verdict == "refuted", (figure, of)
        assert verdict != "not measured", (figure, of)


@pytest.mark.parametrize("read", [published, published_neurons, predictions, prompts, lambda: seed_results("ladder")])
def test_what_is_gone_is_named_with_the_remedy(read, tmp_path, monkeypatch):
    monkeypatch.setattr(series, "data_folder", lambda: tmp_path)
    with pytest.raises(FileNotFoundError, match=r"expected a file that comes with lnpoly_helpers, got .*Install the"):
        read()
