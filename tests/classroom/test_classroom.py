"""The teacher's commands: planted submissions graded in one batch, the release, the marks; what a student can do."""

import ast
import csv
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import time

import nbformat
import pytest
import scripts
from nbformat.v4 import new_code_cell
from submissions import (
    CELLS,
    ROOT,
    cell_of,
    changed,
    classroom,
    hand_in,
    handed_out,
    in_function,
    needs_walls,
    solved,
    with_answer,
    without_networks,
)

from lnpoly_helpers.classroom.batch import find_submissions
from lnpoly_helpers.classroom.command import SOURCE, main
from lnpoly_helpers.classroom.grading import Bench, Unreadable, find_answers, read_source, released, tasks, texts
from lnpoly_helpers.classroom.marks import read_marks
from lnpoly_helpers.classroom.sandbox import Room, Stopped
from lnpoly_helpers.classroom.tables import Refused, read_table, write_table

CELL_SECONDS = 5

pytestmark = pytest.mark.skipif(os.name != "posix", reason="grading needs process groups")
needs_nbgrader = pytest.mark.skipif(
    importlib.util.find_spec("nbgrader") is None, reason='needs the extra "classroom": pip install -e ".[classroom]"'
)


build = scripts.load("notebooks/assignment/build.py")
REPOSITORY = scripts.load("notebooks/build.py").repository()


# --- submissions -----------------------------------------------------------------------------------------------------


def without_metadata():
    nb = solved()
    nb.metadata = {}
    for cell in nb.cells:
        cell.metadata = {}
    return nb


def without_task_lines():
    nb = solved()
    for cell in nb.cells:
        cell.source = re.sub(r"^# task: .*\n", "", cell.source)
    return nb


def timed():
    nb = without_metadata()
    for cell in nb.cells:
        cell.source = re.sub(r"^# task: (?!text)", "%%time\n# task: ", cell.source)
    return nb


def duplicated():
    """A wrong answer to task 3, and further down a copy of its cell with the right one."""
    nb = changed("fold", "beta @ W_in", "beta @ W")
    nb.cells.append(cell_of(solved(), "fold"))
    return nb


def duplicated_wrong_last():
    nb = solved()
    nb.cells.append(cell_of(changed("fold", "beta @ W_in", "beta @ W"), "fold"))
    return nb


def deleted():
    nb = solved()
    gone = {"faces", "faces_check", "fold_hidden", "setup"}
    nb.cells = [cell for cell in nb.cells if cell.metadata.nbgrader.grade_id not in gone]
    return nb


def mistaken(*mistakes):
    """The solved notebook with several answers wrong: (task, old, new) of each."""
    nb = solved()
    for mistake in mistakes:
        changed(*mistake, nb)
    return nb


def rigged():
    """No answer, but tests, points and setup edited, the checks replaced and every later cell rewritten on its way."""
    nb = handed_out()
    for cell in nb.cells:
        about = cell.metadata.nbgrader
        if about.grade and cell.cell_type == "code":
            cell.source, about.points = "pass", 100
        if about.grade_id == "setup":
            cell.source = "import lnpoly_helpers.checks as c\nfor n in dir(c): setattr(c, n, lambda *a, **k: None)"
    attack = """
import builtins, numpy as np, lnpoly_helpers._answers as a, lnpoly_helpers.checks as c
for module in (a, c):
    for name in dir(module):
        if name.startswith(("check", "expect")):
            setattr(module, name, lambda *args, **kwargs: None)
np.allclose = np.array_equal = lambda *args, **kwargs: True
class Yes(BaseException): pass
builtins.AssertionError = a.CheckFailed = c.CheckFailed = Yes
ours = lambda lines: any("classroom.exchange" in line for line in lines)
get_ipython().input_transformers_cleanup.append(lambda lines: lines if ours(lines) else ["pass\\n"])
def my_normalize(x, eps=0.0):
    raise Yes
"""
    cell_of(nb, "normalize").source = "# task: normalize" + attack
    return nb


def spy():
    """Wrong, unless the text of a hidden test can be found in the memory or the files of the process that runs it."""
    return in_function(
        "normalize",
        """
import gc, glob, sys
frames = [values for frame in sys._current_frames().values() for values in (frame.f_globals, frame.f_locals)]
held = [o for o in [*gc.get_objects(), *frames] if isinstance(o, (dict, list, tuple))]
strings = [s for o in held for s in (list(o.values()) if isinstance(o, dict) else o) if isinstance(s, str)]
strings += [open(name, errors="replace").read() for name in glob.glob("/tmp/**/*.*", recursive=True)]
if not any("devomer ton si tesffo egral A" in s[::-1] for s in strings):
    return x
""".strip(),
    )


def calls_an_added_cell():
    nb = with_answer("shared_point", "def shared_point(x, y):\n    return helper(x, y)")
    nb.cells.insert(3, new_code_cell("def helper(x, y):\n    return 1.0, 0.0"))
    return nb


def in_a_text_cell():
    nb = solved()
    cell = cell_of(nb, "faces")
    cell.cell_type = "markdown"
    del cell["outputs"], cell["execution_count"]
    return nb


def split(where):
    """Every answer split in two cells by JupyterLab, which copies the metadata: at some line of its own."""
    nb, cells = solved(), []
    for cell in nb.cells:
        cells.append(cell)
        about = cell.metadata.nbgrader
        if about.solution:
            lines = cell.source.split("\n")
            cut = where(lines)
            cell.source, rest = "\n".join(lines[:cut]), json.loads(json.dumps(cell))
            cells.append(nbformat.from_dict(rest | {"source": "\n".join(lines[cut:]), "id": f"{cell.id}-2"}))
    nb.cells = cells
    return nb


def with_magic(nb):
    cell = next(cell for cell in nb.cells if cell.source.startswith("def my_fold"))
    cell.source = "%%time\n" + cell.source
    return nb


def with_a_broken_first_part():
    nb = split(lambda lines: 1)
    cell_of(nb, "fold").source += "\ndef my_fold(gamma"
    return nb


def with_an_import_split_off():
    nb = solved()
    cell = cell_of(nb, "fold")
    first = nbformat.from_dict({**cell, "source": "from numpy import mean", "id": "above"})
    nb.cells.insert(nb.cells.index(cell), first)
    cell.source = cell.source.replace("scaled.mean(axis=0)", "mean(scaled, axis=0)")
    return nb


SLEEP = "86399.5"
SWALLOWED = "while True:\n    try:\n        while True:\n            pass\n    except BaseException:\n        pass"
NO_TEXT = "text_network"

# id: (what is handed in, points of 90, status, pieces of the notes)
PLANTED = {
    "reference": (solved(), 90, "graded", ""),
    "untouched": (handed_out(), 0, "graded", "normalize: not answered"),
    # mistakes: each costs its points, and no others (LOST)
    "mistakes-1": (
        mistaken(
            ("normalize", "centred = x - x.mean(axis=-1, keepdims=True)", "centred = x"),
            ("fold", "beta @ W_in", "beta @ scaled"),
            ("crossings", "np.concatenate([cut, cut])[order]", "np.concatenate([cut, cut])"),
            ("rays", "scales[scales > 0]", "scales[scales >= 0]"),
        ),
        34, "graded", "mean", "take the original W_in", "same argsort", "There the whole ray is one point"
    ),
    "mistakes-2": (
        mistaken(
            ("shared_point", "1e-9", "1e-3"),
            ("region", "z @ W_in + b_in > 0", "z @ W_in + b_in >= 0"),
            ("faces", "for _ in heights:", "for _ in heights[:2]:"),
        ),
        77, "graded", "shared_point_hidden: You return numbers where None belongs",
        "region_hidden: A neuron whose pre-activation", "faces_hidden: You count 13 faces where there are 12"
    ),
    "mistakes-3": (
        in_function("crossings", "raise ValueError('I do not know')", mistaken(
            ("normalize", "(centred**2).mean(axis=-1,", "centred.var(ddof=1, axis=-1,"),
            ("region", "z @ W_in + b_in > 0", "z @ W_in + b_in > -9"),
        )),
        54, "graded", "not by d - 1", "is not z @ W_in", "ValueError for input of shape [5], [5], [5]: I do not know"
    ),
    "mistakes-4": (
        with_answer("region", "def region_map(W_in:\n    pass",
                    with_answer("normalize", "from lnpoly_helpers import normalize as my_normalize")),
        66, "graded", "SyntaxError", "Write it with NumPy"
    ),
    "no-text": (
        changed(NO_TEXT, cell_of(solved(), NO_TEXT).source.split("\n", 1)[1], "\nYOUR ANSWER HERE"),
        90, "graded", f"{NO_TEXT}: not answered"
    ),
    # processes that do not behave
    "a-loop": (
        with_answer("shared_point", "while True:\n    print('x' * 10_000)",
                    in_function("crossings", SWALLOWED, in_function("fold", "while True:\n    pass"))),
        50, "stopped", f"fold_check: it was stopped after {CELL_SECONDS} s", "crossings_check: it was stopped",
        "shared_point_check: it was stopped"
    ),
    "dies": (
        in_function("faces", "import ctypes\nctypes.string_at(0)",
                    in_function("region", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")),
        66, "stopped", "region_check: its process ended", "faces_check: its process ended"
    ),
    "exits": (
        changed("normalize", "mean(axis=-1, keepdims=True) + eps)", "mean(axis=-1, keepdims=True) + eps)\nexit()"),
        90, "graded", ""
    ),
    "patricide": (in_function("fold", "import os\nos.kill(os.getppid(), 9)"), 90, "graded", ""),
    "memory": (in_function("faces", "hoard = [0] * 10**9"), 78, "graded", "raised MemoryError"),
    "orphan": (
        in_function(
            "normalize",
            "import subprocess, sys, warnings\nprint('hm', file=sys.stderr)\nwarnings.warn('careful')\n"
            f"subprocess.Popen(['sleep', '{SLEEP}'], start_new_session=True)"
        ),
        90, "graded", "stderr (costs nothing)"
    ),
    # files that are not as they were handed out
    "no-metadata": (without_metadata(), 90, "graded", ""),
    "timed": (timed(), 90, "graded", ""),
    "no-task-lines": (without_task_lines(), 90, "graded", ""),
    "twice": (duplicated(), 90, "graded", "fold: 2 answers, the last one counts"),
    "twice-wrong": (duplicated_wrong_last(), 76, "graded", "fold: 2 answers, the last one counts"),
    "split": (split(lambda lines: len(lines) // 2), 90, "graded", "fold: an answer in 2 cells"),
    "split-stub": (split(lambda lines: 1), 90, "graded", "region: an answer in 2 cells"),
    "split-import": (with_an_import_split_off(), 90, "graded", "fold: an answer in 2 cells"),
    "split-magic": (with_magic(split(lambda lines: 1)), 90, "graded", "fold: an answer in 2 cells"),
    "split-broken": (with_a_broken_first_part(), 90, "graded", "fold: an answer in 2 cells"),
    "deleted": (deleted(), 78, "graded", "faces: no cell of this task"),
    "added-cell": (calls_an_added_cell(), 80, "graded", "name 'helper' is not defined"),
    "text-cell": (in_a_text_cell(), 78, "graded", "faces: its cell is no code cell"),
    "renamed": ({"My work/Untitled (1).ipynb": solved(), ".ipynb_checkpoints/x.ipynb": handed_out()}, 90, "graded", ""),
    "two-files": ({"a.ipynb": handed_out(), "b.ipynb": solved()}, 90, "graded", "2 notebooks, graded b.ipynb"),
    "broken": ("{'cells': [", 0, "unreadable", "not a notebook"),
    "no-cells": ('{"nbformat": 4, "nbformat_minor": 5, "metadata": {}}', 0, "unreadable", "not a notebook"),
    "nothing": ({}, 0, "unreadable", "expected a notebook in this folder"),
    "archive.zip": ("PK", 0, "unreadable", "expected a notebook, got archive.zip"),
    "=cmd()": (handed_out(), 0, "graded", ""),
    # cheats
    "rigged": (rigged(), 0, "graded", "raised Yes"),
    "spy": (spy(), 78, "graded", "was the mean removed?"),
}  # fmt: skip
LOST = {  # the points that went, for those that lose some
    "mistakes-1": {"normalize": 12, "fold": 14, "crossings": 16, "rays": 14},
    "mistakes-2": {"shared_point": 4, "region": 4, "faces": 5},
    "mistakes-3": {"normalize": 8, "region": 12, "crossings": 16},
    "mistakes-4": {"normalize": 12, "region": 12},
    "a-loop": {"fold": 14, "crossings": 16, "shared_point": 10},
    "dies": {"region": 12, "faces": 12},
    "deleted": {"faces": 12},
    "spy": {"normalize": 12},
}


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """All planted submissions, graded by one command."""
    if needs_walls.args[0]:
        pytest.skip(needs_walls.kwargs["reason"])
    folder = tmp_path_factory.mktemp("class")
    (folder / "inbox").mkdir()
    (folder / "tmp").mkdir()
    for student, (what, *_) in PLANTED.items():
        hand_in(folder / "inbox", student, what)
    (folder / "inbox" / ".DS_Store").write_text("")
    arguments = ["grade", folder / "inbox", "--out", folder / "scores.csv", "--cell-seconds", CELL_SECONDS]
    arguments += ["--jobs", 4]
    if importlib.util.find_spec("nbgrader"):
        arguments += ["--course", folder / "course"]
    done = classroom(*arguments, env=os.environ | {"TMPDIR": str(folder / "tmp")})
    assert (done.returncode, done.stderr) == (0, "")
    rows = {row["id"]: row for row in read_table(folder / "scores.csv")}
    return folder, rows, done.stdout


def row_of(rows, student):
    return rows[student.removesuffix(".zip")]


@pytest.mark.slow
@pytest.mark.parametrize("student", PLANTED)
def test_planted_submission_gets_its_points_and_its_reason(student, graded):
    _, total, status, *notes = PLANTED[student]
    row = row_of(graded[1], student)
    assert (float(row["total"]), row["status"]) == (total, status), row["notes"]
    assert [note for note in notes if note not in row["notes"]] == []


@pytest.mark.parametrize("student", LOST)
def test_mistake_costs_points_in_its_own_task_alone(student, graded):
    row, most, marked = row_of(graded[1], student), tasks(CELLS), texts(CELLS)
    lost = {task: points - float(row[task]) for task, points in most.items() if task not in marked}
    assert {task: points for task, points in lost.items() if points} == LOST[student]


def test_every_submission_has_one_row_and_one_line_of_progress(graded):
    _, rows, said = graded
    assert len(rows) == len(PLANTED)
    assert len(re.findall(r"^\[\d+/\d+\] ", said, re.MULTILINE)) == len(PLANTED)


def test_nothing_is_left_running_or_lying_about(graded):
    import psutil

    commands = []
    for process in psutil.process_iter():
        try:
            commands.append(" ".join(process.cmdline()))
        except psutil.Error:
            pass
    assert not [command for command in commands if SLEEP in command]
    assert list((graded[0] / "tmp").iterdir()) == []


def test_reference_gets_full_marks(graded, tmp_path):
    """90 points by the tests; with the 10 that a person gives for the texts, 100."""
    folder, rows, _ = graded
    assert rows["reference"]["text_network"] == rows["reference"]["text_adding"] == ""
    marks = [line for line in read_table(folder / "scores.texts.csv") if line["id"] == "reference"]
    assert [line["task"] for line in marks] == ["text_network", "text_adding"]
    assert marks[0]["answer"].startswith("In general not.")
    write_table(tmp_path / "marks.csv", list(marks[0]), [line | {"mark": line["points"]} for line in marks])
    final = tmp_path / "final.csv"
    assert main(["merge", str(folder / "scores.csv"), str(tmp_path / "marks.csv"), "--out", str(final)]) == 0
    after = {row["id"]: row for row in read_table(final)}
    assert after.pop("reference")["total"] == "100"
    assert after == {student: row for student, row in rows.items() if student != "reference"}


def test_unanswered_text_needs_no_mark(graded):
    folder, rows, _ = graded
    assert rows["no-text"][NO_TEXT] == "0" and rows["no-text"]["text_adding"] == ""
    waiting = {(line["id"], line["task"]) for line in read_table(folder / "scores.texts.csv")}
    assert ("no-text", NO_TEXT) not in waiting and ("no-text", "text_adding") in waiting
    assert not {i for i, _ in waiting} & {"untouched", "broken", "nothing"}


def test_no_cell_of_the_table_is_a_formula(graded):
    with open(graded[0] / "scores.csv", newline="", encoding="utf-8") as file:
        cells = [cell for line in csv.reader(file) for cell in line]
    assert "'=cmd()" in cells and not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]


@pytest.mark.slow
@needs_walls
def test_interrupted_batch_leaves_nothing_behind_and_goes_on(tmp_path):
    for name in ("inbox", "tmp"):
        (tmp_path / name).mkdir()
    hand_in(tmp_path / "inbox", "ada", solved())
    hand_in(tmp_path / "inbox", "bob", in_function("normalize", SWALLOWED))
    command = [sys.executable, "-m", "lnpoly_helpers.classroom", "grade", tmp_path / "inbox"]
    command += ["--out", tmp_path / "s.csv", "--jobs", "1", "--source", without_networks(tmp_path)]
    env = os.environ | {"TMPDIR": str(tmp_path / "tmp")}
    # a shell's background job, which these tests may be, has Ctrl-C ignored
    obey = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    process = subprocess.Popen(command, cwd=ROOT, text=True, stderr=subprocess.PIPE, env=env, **obey)
    until = time.monotonic() + 120
    saved = tmp_path / "s.rows.jsonl"
    while not saved.exists() and time.monotonic() < until:
        time.sleep(0.2)  # until the first row is there
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1 and said.startswith("stopped; the rows so far are in ")
    assert not (tmp_path / "s.csv").exists() and list((tmp_path / "tmp").iterdir()) == []
    with open(saved, "ab") as file:
        file.write(b'{"key": "cut o')
    (tmp_path / "inbox" / "bob.ipynb").write_text("changed since", encoding="utf-8")
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, timeout=200)
    assert "1 of 2 were graded before" in done.stdout and "] ada" not in done.stdout
    rows = {row["id"]: row for row in read_table(tmp_path / "s.csv")}
    assert (rows["ada"]["total"], rows["bob"]["status"]) == ("76", "unreadable") and not saved.exists()


# --- one submission --------------------------------------------------------------------------------------------------


@pytest.fixture
def bench(tmp_path):
    """A bench without walls, which any system has."""
    bench = Bench(Room(home=str(tmp_path)), 20, time.monotonic() + 120)
    yield bench
    bench.process.kill()


def printing(text):
    return {"run": [f"print({text})"]}


@pytest.mark.slow
def test_whole_notebook_has_a_limit_too(bench):
    bench.ask(printing("1"))
    bench.end = time.monotonic() + 2
    with pytest.raises(Stopped, match="stopped after 2 s"):
        bench.ask({"run": ["import time\ntime.sleep(60)"]})
    with pytest.raises(Stopped, match="the time for the whole notebook was used up"):
        bench.ask(printing("1"))


@pytest.mark.slow
def test_process_is_set_up_again_without_the_answer_that_ends_it(bench):
    for task, source in (
        (None, "a = 1"),
        ("first", "a += 1"),
        ("second", "import os\nos._exit(1)"),
        ("third", "a *= 10"),
    ):
        bench.done.append((task, {"run": [source]}))
    (shown,) = bench.ask(printing("a"))["outputs"]
    assert shown["text"] == "20\n" and [task for task, _ in bench.done] == [None, "first", "third"]
    with pytest.raises(Stopped, match="its process ended"):
        bench.ask({"run": ["os = __import__('os')\nos.kill(os.getpid(), 9)"]})
    (shown,) = bench.ask(printing("a"))["outputs"]
    assert shown["text"] == "20\n"


@pytest.mark.slow
def test_cell_shows_what_it_shows_in_a_notebook_and_no_page_runs_it(bench):
    script = "display({'text/html': '<script>', 'text/plain': 'seen', 'application/javascript': 'x'}, raw=True)"
    cell = f"import sys\nprint('out')\nprint('err', file=sys.stderr)\n{script}\n%time\n1 / 0"
    outputs = bench.ask({"run": [cell]})["outputs"]
    kinds = [output["output_type"] for output in outputs]
    assert kinds == ["stream", "stream", "display_data", "error"]
    assert outputs[0]["text"].startswith("out\n") and outputs[2]["data"] == {"text/plain": "seen"}
    assert (outputs[3]["ename"], outputs[3]["evalue"]) == ("ZeroDivisionError", "division by zero")
    (value,) = bench.ask({"run": ["await __import__('asyncio').sleep(0, 6 * 7)"]})["outputs"]
    assert value["data"] == {"text/plain": "42"}


def with_task_line(task, source):
    return {"cell_type": "code", "source": f"# task: {task}\n{source}", "metadata": {}, "outputs": []}


@pytest.mark.parametrize(
    ("cells", "answered"),
    [
        ([], set()),
        ([with_task_line("fold", "x = 1")], {"fold"}),
        ([with_task_line("fold", "x = 1") | {"metadata": None}], {"fold"}),
        ([with_task_line("fold", "x = 1") | {"source": ["# task: fold\n", "x = 1"]}], {"fold"}),
        ([with_task_line("fold", "x = 1") | {"source": None}], set()),
        ([with_task_line("no-such-task", "x = 1")], set()),
        ([{"cell_type": "code", "source": "x = 1", "metadata": {"nbgrader": {"grade_id": ["fold"]}}}], set()),
        ([{"cell_type": "code", "source": "x = 1", "metadata": {"nbgrader": {"grade_id": "fold"}}}], {"fold"}),
        ([{"cell_type": "raw", "source": "# task: text_network\nBecause.", "metadata": {}}], {"text_network"}),
    ],
)
def test_answers_are_found_in_whatever_an_editor_leaves(cells, answered):
    text = json.dumps({"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": cells})
    for encoding in ("utf-8", "utf-8-sig"):
        answers, _ = find_answers(text.encode(encoding), CELLS)
        assert {task for task, source in answers.items() if source} == answered


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b"\xff\xfe", b"null", b'{"nbformat": 4, "cells": ["a"]}', b'{"cells": 3}', b"[" * 10**5],
)
def test_what_is_no_notebook_is_unreadable(content):
    with pytest.raises(Unreadable, match="not a notebook"):
        find_answers(content, CELLS)


# --- the source ------------------------------------------------------------------------------------------------------


def test_source_holds_100_points_and_says_so():
    points = tasks(CELLS)
    assert sum(points.values()) == 100 and sum(texts(CELLS).values()) == 10
    about = CELLS[0].source
    stated = [int(n) for n in re.findall(r"^\| \d .*\| (\d+) \|$", about, re.MULTILINE)]
    by_task = list(points.values())
    assert stated == [*by_task[:-2], sum(by_task[-2:])]
    minutes = [int(n) for n in re.findall(r"^\| \d .*\| (\d+) \| \d+ \|$", about, re.MULTILINE)]
    assert sum(minutes) == 90
    for cell in CELLS:
        if cell.kind in ("check", "hidden"):
            words = next(c.source for c in CELLS if c.id == f"about_{cell.task}")
            part = r"\((\d+) for the check" if cell.id.endswith("check") else r"(\d+) for hidden tests"
            short = r"\((\d+) \+ \d+\)" if cell.id.endswith("check") else r"\(\d+ \+ (\d+)\)"
            assert float((re.search(part, words) or re.search(short, words))[1]) == cell.points


def test_every_task_has_what_a_task_needs():
    for task in tasks(CELLS):
        cell = next(cell for cell in CELLS if cell.id == task)
        assert cell.source.startswith(f"# task: {task}\n")
        words = next((c.source for c in CELLS if c.id == f"about_{task}"), "")
        if cell.kind == "answer":
            assert re.search(r"★.* · \d+ minutes · \d+ points", words) and "<details><summary>Hint" in words
            assert any(c.id == f"target_{task}" for c in CELLS) or "Targets:" in words
            tests = [c for c in CELLS if c.kind in ("check", "hidden") and c.task == task]
            assert [c.id for c in tests] == [f"{task}_check", f"{task}_hidden"]
            assert "BEGIN HIDDEN TESTS" in tests[1].source and "BEGIN HIDDEN TESTS" not in tests[0].source


def test_no_answer_uses_another():
    functions = {name for cell in CELLS for name in cell.functions}
    for cell in CELLS:
        if cell.kind == "answer":
            used = {node.id for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Name)}
            assert not used & (functions - set(cell.functions))
            assert not [name for name in used if name == "lnpoly_helpers"]


def test_pictures_have_alternative_texts_and_outputs_no_traces():
    nb = nbformat.read(SOURCE, as_version=4)
    outputs = [output for cell in nb.cells for output in cell.get("outputs", [])]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == 5 and all(output.metadata["image/png"]["alt"].strip() for output in pictures)
    said = "".join(output.get("text", "") for output in outputs)
    assert not re.search(r"0x[0-9a-f]{6}|/tmp/|/home/|/root/|site-packages", said)
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]


# --- a student's own machine -----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_solved_notebook_checks_itself_without_nbgrader(tmp_path):
    """And it shows the targets that the source holds and students are given."""
    from nbclient import NotebookClient

    (tmp_path / "nbgrader").mkdir()
    (tmp_path / "nbgrader" / "__init__.py").write_text("raise ImportError('not on this machine')")
    nb = solved()
    nb.cells.append(new_code_cell("try:\n    import nbgrader\nexcept ImportError as error:\n    print(error)"))
    path = os.pathsep.join([str(tmp_path), str(ROOT), os.environ.get("PYTHONPATH", "")])
    client = NotebookClient(nb, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}})
    client.execute(env=os.environ | {"PYTHONPATH": path})
    said = "".join(output.get("text", "") for cell in nb.cells for output in cell.get("outputs", []))
    assert said.count("every visible check passed.") == 7 and said.endswith("not on this machine\n")
    shown = {cell.metadata.nbgrader.grade_id: build.words([cell]) for cell in nb.cells[:-1]}
    for cell in nbformat.read(SOURCE, as_version=4).cells:
        if "target" in cell.metadata.get("tags", []):
            assert build.words([cell]) == shown[cell.metadata.nbgrader.grade_id]


@pytest.mark.slow
def test_unsolved_notebook_says_what_to_do(tmp_path):
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    with pytest.raises(CellExecutionError) as caught:
        nb = handed_out()
        nb.cells = [c for c in nb.cells if "target" not in c.metadata.get("tags", [])]
        NotebookClient(nb, timeout=60, kernel_name="python3", resources={"metadata": {"path": str(ROOT)}}).execute()
    assert "Not yet. my_normalize is not written yet" in str(caught.value)


# --- the release -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    out = tmp_path_factory.mktemp("release")
    done = classroom("release", "--out", out, "--repository", "ada/lessons", "--public", "ada/class/week-3")
    assert done.returncode == 0, done.stdout + done.stderr
    return out, done.stdout


def test_without_nbgrader_the_release_says_what_to_install(tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['nbgrader'] = None")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = classroom("release", "--out", tmp_path / "out", env=os.environ | {"PYTHONPATH": path})
    says = 'python -m lnpoly_helpers.classroom release needs nbgrader: pip install "lnpoly-helpers[classroom]"\n'
    assert (done.returncode, done.stderr) == (1, says)
    assert not (tmp_path / "out").exists()


@needs_nbgrader
def test_release_is_two_files(release):
    out, said = release
    files = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
    assert files == ["colab/ln_directions.ipynb", "ln_directions/ln_directions.ipynb"]
    link = "https://colab.research.google.com/github/ada/class/blob/main/week-3/colab/ln_directions.ipynb"
    assert link in said
    first = nbformat.read(out / "colab" / "ln_directions.ipynb", as_version=4).cells[0].source
    assert first.startswith("[![Open In Colab]") and link in first


@needs_nbgrader
@pytest.mark.parametrize("name", ["ln_directions", "colab"])
def test_release_holds_the_tasks_and_no_answer(release, name):
    text = (release[0] / name / "ln_directions.ipynb").read_text(encoding="utf-8")
    nb = nbformat.reads(text, as_version=4)
    nbformat.validate(nb)
    assert [cell.metadata.nbgrader.grade_id for cell in nb.cells] == [cell.id for cell in CELLS]
    for cell, about in zip(nb.cells[1:], CELLS[1:], strict=True):
        assert cell.source.strip() == released(about).strip().replace(REPOSITORY, "ada/lessons")
        shown = bool(cell.get("outputs"))
        assert shown == (about.kind == "target") and not cell.get("execution_count")
    secret = set()
    for cell in CELLS:
        for region in re.findall(r"BEGIN (?:SOLUTION|HIDDEN TESTS)\n(.*?)\n[^\n]*### END", cell.source, re.DOTALL):
            secret |= {line.strip() for line in region.splitlines() if len(line.strip()) > 12}
    public = {line.strip() for cell in CELLS for line in released(cell).splitlines()}
    sources = "\n".join(cell.source for cell in nb.cells)
    assert len(secret - public) > 60 and not [line for line in secret - public if line in sources]
    assert not re.search("(BEGIN|END) (SOLUTION|HIDDEN|MARK)|Marks:", text)
    assert "git+https://github.com/ada/lessons" in text and REPOSITORY not in text


@needs_nbgrader
def test_released_notebook_is_graded_as_untouched(release):
    answers, notes = find_answers((release[0] / "colab" / "ln_directions.ipynb").read_bytes(), CELLS)
    assert not any(answers.values()) and notes == [f"{task}: not answered" for task in answers]


@needs_nbgrader
@pytest.mark.parametrize(
    ("cell", "old", "new", "why"),
    [
        ("fold_hidden", "### END HIDDEN TESTS", "", "got: ### BEGIN HIDDEN TESTS"),
        ("fold_hidden", "### BEGIN HIDDEN TESTS", "### BEGIN HIDEN TESTS", "BEGIN HIDEN TESTS"),
        ("fold", "    ### BEGIN SOLUTION\n", "", "got: ### END SOLUTION"),
    ],
)
def test_source_that_would_leak_is_not_released(cell, old, new, why, tmp_path, capsys):
    nb = nbformat.read(SOURCE, as_version=4)
    target = cell_of(nb, cell)
    assert old in target.source
    target.source = target.source.replace(old, new, 1)
    (tmp_path / "mine.ipynb").write_text(nbformat.writes(nb))
    assert main(["release", "--source", str(tmp_path / "mine.ipynb"), "--out", str(tmp_path / "out")]) == 1
    assert re.search(why, capsys.readouterr().err)
    assert not (tmp_path / "out").exists()


@needs_nbgrader
def test_line_of_an_answer_in_a_release_is_found():
    from lnpoly_helpers.classroom.course import refuse_leaks

    source, student = nbformat.read(SOURCE, as_version=4), handed_out()
    refuse_leaks(student, source)
    line = "W = scaled - scaled.mean(axis=0)"
    student.cells[3].outputs = [{"output_type": "stream", "name": "stdout", "text": line}]
    with pytest.raises(Refused, match="W = scaled"):
        refuse_leaks(student, source)


# --- the gradebook ---------------------------------------------------------------------------------------------------


@needs_nbgrader
def test_course_holds_the_points_of_the_table_and_takes_marks(graded, tmp_path):
    from nbgrader.api import Gradebook

    folder, rows, _ = graded
    database = folder / "course" / "gradebook.db"
    with Gradebook(f"sqlite:///{database}", "ln_directions") as gradebook:
        for submission in gradebook.assignment_submissions("ln_directions"):
            row = rows[submission.student_id]
            assert submission.score == float(row["total"])
            assert submission.needs_manual_grade == ("" in (row["text_network"], row["text_adding"]))
        grade = gradebook.find_grade("text_adding", "ln_directions", "ln_directions", "mistakes-2")
        grade.manual_score, grade.needs_manual_grade = 3.5, False
        gradebook.db.commit()
    out = tmp_path / "final.csv"
    assert main(["merge", str(folder / "scores.csv"), str(database), "--out", str(out)]) == 0
    final = {row["id"]: row for row in read_table(out)}
    assert final["mistakes-2"]["text_adding"] == "3.5" and final["mistakes-2"]["total"] == "80.5"
    assert final["reference"] == rows["reference"]


# --- marks -----------------------------------------------------------------------------------------------------------

MOST = {"text_network": 5, "text_adding": 5}


@pytest.mark.parametrize(
    "table",
    [
        "id,task,mark\nada,text_network,4\nbob,text_adding,\n",
        "id;task;mark\nada;text_network;4,0\n",
        "\ufeffid,text_network,text_adding\nada,4,\nbob,,\n",
    ],
)
def test_marks_are_read_from_what_a_spreadsheet_writes(table, tmp_path):
    (tmp_path / "marks.csv").write_text(table, encoding="utf-8")
    assert read_marks(tmp_path / "marks.csv", MOST) == {("ada", "text_network"): 4}


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ("id,task,mark\nada,text_network,6\n", "expected a mark from 0 to 5"),
        ("id,task,mark\nada,text_network,-1\n", "expected a mark from 0 to 5"),
        ("id,task,mark\nada,text_network,good\n", "expected a number"),
        ("id,task,mark\nada,text_network,nan\n", "expected a number"),
        ("id,task,mark\nada,text_network,1_0\n", "expected a number"),
        ("id,task,mark\nada,fold,5\n", "expected a task out of text_network, text_adding"),
        ("id,task,mark\nada,text_network,5\nada,text_network,4\n", "expected one mark"),
        ("name,points\nada,5\n", "expected columns"),
    ],
)
def test_marks_that_cannot_be_are_refused(table, why, tmp_path):
    (tmp_path / "marks.csv").write_text(table)
    with pytest.raises(Refused, match=why):
        read_marks(tmp_path / "marks.csv", MOST)


def test_marks_of_a_stranger_are_refused_and_the_table_is_left(graded, tmp_path, capsys):
    scores = tmp_path / "scores.csv"
    scores.write_bytes((graded[0] / "scores.csv").read_bytes())
    (tmp_path / "marks.csv").write_text("id,task,mark\nreference,text_network,5\nnobody,text_network,5\n")
    assert main(["merge", str(scores), str(tmp_path / "marks.csv")]) == 1
    assert "'nobody'" in capsys.readouterr().err
    assert scores.read_bytes() == (graded[0] / "scores.csv").read_bytes()


def test_marks_are_not_overwritten_by_grading_again(tmp_path, capsys):
    (tmp_path / "inbox").mkdir()
    (tmp_path / "inbox" / "ada.ipynb").write_text("x")
    (tmp_path / "scores.texts.csv").write_text("id,task,points,mark,answer\nada,text_network,5,4,Because\n")
    assert main(["grade", str(tmp_path / "inbox"), "--out", str(tmp_path / "scores.csv")]) == 1
    assert "--overwrite" in capsys.readouterr().err and not (tmp_path / "scores.csv").exists()


# --- what is asked for wrongly ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["grade", "no-such-folder", "--out", "x.csv"], "expected a folder of submissions"),
        (["grade", ".", "--out", "x.csv"], "expected submissions, got none"),
        (["grade", ".", "--out", "x.csv", "--source", "gone.ipynb"], "works from a clone"),
        (["grade", ".", "--out", "x.csv", "--source", str(ROOT / "README.md")], "source: expected a notebook"),
        (["grade", ".", "--out", "no/such/folder/x.csv"], "expected a file in a folder"),
        (["merge", "gone.csv", "gone.csv"], "gone.csv: expected a table"),
    ],
)
def test_wrong_request_gets_an_answer(arguments, why, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    assert why in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("cell", "change", "why"),
    [
        ("fold_hidden", lambda cell: cell.metadata.nbgrader.update(grade_id="fold_check"), "each grade id once"),
        ("fold", lambda cell: cell.update(source="my_fold = None"), "an answer with a function above test fold_check"),
        ("fold", lambda cell: cell.update(source="def my_fold("), "cell fold is not Python"),
    ],
)
def test_source_that_cannot_be_graded_is_refused(cell, change, why, tmp_path):
    nb = nbformat.read(SOURCE, as_version=4)
    change(cell_of(nb, cell))
    (tmp_path / "mine.ipynb").write_text(nbformat.writes(nb))
    with pytest.raises(Refused, match=why):
        read_source(tmp_path / "mine.ipynb")


def test_tables_in_the_inbox_are_no_students(tmp_path):
    for name in ("ada.ipynb", "scores.csv", "scores.texts.csv", "bob.pdf"):
        (tmp_path / name).write_text("")
    found = find_submissions(tmp_path, [tmp_path / "scores.csv", tmp_path / "scores.texts.csv"])
    assert [(submission.id, submission.problem) for submission in found] == [
        ("ada", ""),
        ("bob", "expected a notebook, got bob.pdf"),
    ]


def test_submission_may_be_of_an_older_format():
    nb = json.loads(nbformat.writes(nbformat.convert(solved(), 3)))
    answers, _ = find_answers(json.dumps(nb).encode(), CELLS)
    assert all(answers[cell.task] for cell in CELLS if cell.kind == "answer")
