"""What the tests of the classroom hand in: the assignment solved, and with something changed."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from lnpoly_helpers.classroom.command import SOURCE
from lnpoly_helpers.classroom.grading import read_source, released

ROOT = Path(__file__).resolve().parents[1]
CELLS = read_source(SOURCE)
needs_walls = pytest.mark.skipif(shutil.which("bwrap") is None, reason="needs bubblewrap: make walls")


def handed_out():
    """The students' notebook, by the grader's own idea of it; the release's tests compare it with nbgrader's."""
    nb = nbformat.read(SOURCE, as_version=4)
    for cell, about in zip(nb.cells, CELLS, strict=True):
        cell.source = released(about)
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return nb


def solved():
    """The students' notebook with the reference's answers."""
    nb = handed_out()
    for cell, about in zip(nb.cells, CELLS, strict=True):
        if about.kind in ("answer", "text"):
            cell.source = re.sub(r"^.*### (BEGIN|END) SOLUTION.*$\n?", "", about.source, flags=re.MULTILINE).rstrip()
    return nb


def without_networks(folder):
    """The path of a source without the task that runs networks, so that grading starts sooner: tests give 76 points."""
    nb = nbformat.read(SOURCE, as_version=4)
    ids = [cell.metadata.nbgrader.grade_id for cell in nb.cells]
    nb.cells = [cell for cell, id in zip(nb.cells, ids, strict=True) if id != "layers" and "rays" not in id]
    nbformat.write(nb, folder / SOURCE.name)
    return folder / SOURCE.name


def cell_of(nb, grade_id):
    return next(cell for cell in nb.cells if cell.metadata.nbgrader.grade_id == grade_id)


def with_answer(task, source, nb=None):
    """The solved notebook, or another, with one answer replaced; its task line stays."""
    nb = nb or solved()
    cell_of(nb, task).source = f"# task: {task}\n{source}"
    return nb


def changed(task, old, new, nb=None):
    """The solved notebook, or another, with one piece of one answer replaced."""
    nb = nb or solved()
    cell = cell_of(nb, task)
    assert cell.source.count(old) == 1, f"the reference of {task} has not one {old!r}"
    cell.source = cell.source.replace(old, new)
    return nb


def in_function(task, body, nb=None):
    """The solved notebook, or another, with lines put at the beginning of one function."""
    nb = nb or solved()
    cell = cell_of(nb, task)
    lines = cell.source.split("\n")
    docstring = next(k for k, line in enumerate(lines) if '"""' in line)
    lines[docstring + 1 : docstring + 1] = ["    " + line for line in body.split("\n")]
    cell.source = "\n".join(lines)
    return nb


def hand_in(inbox, student, what):
    if isinstance(what, dict) and not isinstance(what, nbformat.NotebookNode):
        (inbox / student).mkdir()
        for name, nb in what.items():
            (inbox / student / name).parent.mkdir(parents=True, exist_ok=True)
            (inbox / student / name).write_text(nbformat.writes(nb), encoding="utf-8")
    else:
        name = student if "." in student else f"{student}.ipynb"
        text = what if isinstance(what, str) else json.dumps(what)
        (inbox / name).write_text(text, encoding="utf-8")


def classroom(*arguments, **options):
    command = [sys.executable, "-m", "lnpoly_helpers.classroom", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=500, **options)
