"""Results files: written once, compared afterwards, never overwritten."""

import json

import numpy as np
import pytest

from lnpoly_helpers import published, save_results

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


def test_a_damaged_reference_is_named(tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "06.json").write_text("{ not json")
    with pytest.raises(ValueError, match="expected a results file in JSON, got.*Restore it"):
        save_results("m", "06", NUMBERS, folder=tmp_path)


def test_published_numbers_are_complete():
    numbers = published()
    assert len(numbers["layers"]) == len(numbers["later positions"]) == len(numbers["position 0"]) == 8
    assert numbers["source"].startswith("ApolloResearch/gpt2_noLN") and numbers["later positions"][0] == 1.21
