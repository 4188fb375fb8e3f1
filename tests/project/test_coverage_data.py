"""What is committed of the coverage of architectures is what the package makes of them today."""

import json
import re

import pytest
import scripts
from architectures import ARCHITECTURES
from environments import ROOT

COMMITTED = json.loads((ROOT / "data" / "results" / "coverage.json").read_text(encoding="utf-8"))
FIELDS = {"norm", "place", "activation", "gated", "forgets_scale", "forgets_offset", "affine_pieces"}


@pytest.fixture(scope="module")
def script():
    return scripts.load("data/coverage.py")


@pytest.mark.parametrize("name", ["OPT", "Gemma 2", "ELECTRA", "GPT-2 without norms", "Mixtral", "OLMo 2"])
def test_a_row_is_what_the_package_finds(name, script):
    assert script.verdict(name) == COMMITTED[name]


def test_every_architecture_has_its_row_as_the_table_of_the_tests_has_it(script):
    assert list(COMMITTED) == list(ARCHITECTURES) and len(COMMITTED) >= 40
    assert script.text_of(COMMITTED) == (ROOT / "data" / "results" / "coverage.json").read_text(encoding="utf-8")
    for name, found in COMMITTED.items():
        row = ARCHITECTURES[name]
        assert (found["class"], found["read"]) == (row.kind, not row.refused)
        if row.refused:
            assert set(found) == {"class", "kind", "read", "words"} and re.search(row.refused, found["words"])
            continue
        assert set(found) == {"class", "kind", "read"} | FIELDS
        stated = row.norm_kind, row.place, row.activation, row.gated
        assert (found["norm"], found["place"], found["activation"], found["gated"]) == stated


def test_what_is_forgotten_follows_from_the_norm_and_pieces_from_the_activation():
    """Both are measured; this is what the mathematics says of them."""
    for found in (row for row in COMMITTED.values() if row["read"]):
        assert found["forgets_scale"] == (found["norm"] != "none")
        assert found["forgets_offset"] == (found["norm"] == "layernorm")
        assert found["affine_pieces"] == (found["activation"] == "relu" and not found["gated"])
