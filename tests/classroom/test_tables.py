"""The tables come back as they went, through whatever a spreadsheet makes of them."""

import csv
import io
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lnpoly_helpers.classroom.batch import Journal, Row, Submission, find_submissions
from lnpoly_helpers.classroom.command import main
from lnpoly_helpers.classroom.marks import read_marks
from lnpoly_helpers.classroom.tables import Refused, one_line, plain, read_table, write_table

MOST = {"text_network": 5, "text_adding": 5}
ANY = st.text(st.characters(exclude_categories=()), max_size=12)  # surrogates, controls and separators, too
NASTY = st.lists(
    st.sampled_from(["'", '"', ",", ";", "\t", "\n", "\r", "\x85", "\u2028", "=", "\ud800", " ", "a"]), max_size=8
)
TEXT = st.one_of(ANY, NASTY.map("".join))


@given(st.lists(TEXT, min_size=1, max_size=5))
def test_table_comes_back_as_it_went(tmp_path_factory, texts):
    path = tmp_path_factory.mktemp("table") / "t.csv"
    write_table(path, ["id", "answer"], [{"id": f"{k}", "answer": text} for k, text in enumerate(texts)])
    lines = read_table(path, "id", "answer")
    assert [line["answer"] for line in lines] == [plain(text) for text in texts]
    assert [line["id"] for line in lines] == [f"{k}" for k in range(len(texts))]


@given(TEXT)
def test_plain_text_is_taken_by_every_file_and_page(text):
    shown = plain(text)
    assert shown == plain(shown) and shown.encode("utf-8").decode("utf-8") == shown
    assert len(one_line(text).splitlines()) <= 1


def saved(lines, encoding, separator, first=""):
    """A table as a spreadsheet saves it."""
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=separator).writerows(lines)
    return (first + file.getvalue()).encode(encoding)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("first", ["", "sep"])
def test_marks_are_read_whatever_the_spreadsheet(encoding, separator, first, tmp_path):
    first = f"sep={separator}\r\n" if first else ""
    answer = "one; two, three\nfour\tfive " + "x" * 200_000
    lines = [["Name", "id ", "task", "mark", "answer"], ["Zoë, Müller; x", "Müller", "text_network", "4,5", answer]]
    (tmp_path / "m.csv").write_bytes(
        saved([*lines, [], ["", "'t Hooft", "text_adding", "3"]], encoding, separator, first)
    )
    assert read_marks(tmp_path / "m.csv", MOST) == {("Müller", "text_network"): 4.5, ("'t Hooft", "text_adding"): 3}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "expected columns"),
        (b"\xff\xfe\x00", "expected columns"),
        (bytes(range(256)), "expected columns|expected a table|expected each column once"),
        (b"id,task,mark\nada,text_network,4,5\n", "no cell beyond the last"),
        (b"id,task,mark,mark\nada,text_network,4,5\n", "each column once"),
        (b'id,task,mark\n"ada,text_network,4\n', "expected"),
    ],
)
def test_table_that_is_none_is_refused_in_one_sentence(content, why, tmp_path):
    (tmp_path / "m.csv").write_bytes(content)
    with pytest.raises(Refused, match=why):
        if not read_marks(tmp_path / "m.csv", MOST):
            raise Refused("expected")


def test_scores_with_an_id_twice_are_refused(tmp_path, capsys):
    tasks = "normalize,shared_point,fold,region,crossings,faces,rays,text_network,text_adding"
    (tmp_path / "s.csv").write_text(f"id,total,{tasks}\n" + "ada,0,0,0,0,0,0,0,0,0,0\n" * 2, encoding="utf-8")
    (tmp_path / "m.csv").write_text("id,task,mark\nada,text_network,4\n", encoding="utf-8")
    assert main(["merge", str(tmp_path / "s.csv"), str(tmp_path / "m.csv")]) == 1
    assert "one line for each id" in capsys.readouterr().err


# --- the inbox -------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.name != "posix", reason="names of bytes")
def test_every_name_becomes_an_id_of_its_own(tmp_path):
    names = [
        b"ada",
        b"ada\xff",
        b"ada\\udcff",
        b"a\nb",
        b"a\\nb",
        b" ada",
        b"ada ",
        b" ",
        b"n" * 240,
        b"n" * 241,
        b"=1",
        b"-x",
    ]
    for name in names:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name + b".ipynb")).write_text("{}", encoding="utf-8")
    found = find_submissions(tmp_path)
    ids = [submission.id for submission in found]
    assert len(set(ids)) == len(ids) == len(names)
    assert all(i == one_line(i).strip() and 0 < len(i) <= 80 for i in ids)
    assert sorted(os.fsencode(os.path.basename(s.paths[0])) for s in found) == sorted(
        name + b".ipynb" for name in names
    )
    assert ids == [submission.id for submission in find_submissions(tmp_path)]


def test_journal_keeps_what_was_graded_and_has_not_changed(tmp_path):
    paths = [tmp_path / f"{name}.ipynb" for name in "abc"]
    a, b, c = (Submission(path.stem, [str(path)]) for path in paths)
    for path in paths:
        path.write_text("1", encoding="utf-8")
    journal = Journal(tmp_path / "rows", "these limits")
    for submission in (a, b, c):
        row = Row(
            submission.id, "\ud800", {"fold": 9, "text": ""}, ["\udcff\n"], "failed" if submission is c else "graded"
        )
        journal.add(submission, row)
    with open(tmp_path / "rows", "ab") as file:
        file.write(b'{"key": "cut o')
    paths[1].write_text("23", encoding="utf-8")
    again = Journal(tmp_path / "rows", "these limits")
    assert again.find(a) == Row("a", "\ud800", {"fold": 9, "text": ""}, ["\udcff\n"])
    assert again.find(b) is None and again.find(c) is None  # it changed; it failed
    again.add(b, Row("b", "", {}))
    assert Journal(tmp_path / "rows", "these limits").find(b) == Row("b", "", {})
    assert Journal(tmp_path / "rows", "other limits").find(a) is None
    again.close()
    assert Journal(tmp_path / "rows", "these limits").find(a) is None
