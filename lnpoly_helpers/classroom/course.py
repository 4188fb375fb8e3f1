"""What nbgrader does for the classroom: it makes the students' version, and its formgrader shows the texts to mark."""

import os
import re
import sysconfig
import tempfile
import warnings
from pathlib import Path
from typing import Any

import nbformat

from .tables import Refused

_BADGE = "[![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
_MARKERS = {what: [f"### BEGIN {what}", f"### END {what}"] for what in ("SOLUTION", "HIDDEN TESTS")}
_ON_COLAB = """**On Colab:** first *File → Save a copy in Drive*, so that your work is kept. To hand in:
*File → Download → Download .ipynb*."""

# nbgrader runs `alembic` as a command, which an environment that is not activated does not find
os.environ["PATH"] = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)])


def make_release(source, out, repository, public=None):
    """Write the students' notebook and its copy for Colab; returns the two paths.

    nbgrader works in a folder of its own that holds this one notebook, so that nothing else can come out.
    """
    source, out = Path(source), Path(out)
    text = _with_address(source.read_text(encoding="utf-8"), repository)
    _refuse_slips(_notebook(text))
    with tempfile.TemporaryDirectory(prefix="lnpoly-") as course:
        student = _generate(text, source.stem, Path(course))
    _restore_targets(student, _notebook(text))
    refuse_leaks(student, _notebook(text))
    colab = _node(student)
    link = public and f"{_BADGE}(https://colab.research.google.com/github/{_blob(public, source.name)})\n\n"
    first = f"{link or ''}{colab.cells[0].source}\n\n{_ON_COLAB}"
    colab = _node({**colab, "cells": [{**colab.cells[0], "source": first}, *colab.cells[1:]]})
    colab.metadata["colab"] = {"provenance": [], "toc_visible": True}
    written = []
    for folder, nb in ((source.stem, student), ("colab", colab)):
        path = out / folder / source.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(nbformat.writes(nb) + "\n", encoding="utf-8")
        written.append(path)
    return written


def _notebook(text) -> Any:
    return nbformat.reads(text, as_version=4)


def _node(parts) -> Any:
    """A copy whose keys are attributes too."""
    return nbformat.from_dict(parts)


def _blob(public, name):
    owner, repository, *folder = public.strip("/").split("/")
    return "/".join([owner, repository, "blob/main", *folder, "colab", name])


def colab_link(public, name):
    """Where Colab opens the copy of a release that lies in a folder of a public repository: OWNER/NAME/FOLDER."""
    return f"https://colab.research.google.com/github/{_blob(public, name)}"


def _with_address(text, repository):
    """The notebook's text with the helpers installed from, and the links leading to, this repository."""
    found = re.search(r"git\+https://github\.com/([\w.-]+/[\w-]+(?:\.[\w-]+)*)", text)
    return re.sub(rf"(github\.com/){re.escape(found[1])}(?![\w-])", rf"\g<1>{repository}", text) if found else text


def _generate(text, name, course):
    """Run generate_assignment in a course folder; returns the students' notebook. Its exit status alone says little."""
    from nbgrader.apps import NbGraderAPI

    source = course / "source" / name / f"{name}.ipynb"
    source.parent.mkdir(parents=True)
    source.write_text(text, encoding="utf-8")
    result = NbGraderAPI(config=_config(course)).generate_assignment(name)
    release = course / "release" / name / f"{name}.ipynb"
    if not result["success"] or not release.is_file():
        log = str(result.get("log") or "")
        errors = re.findall(r"^ *(\w+(?:\.\w+)*(?:Error|Exception): .+)$", log, re.MULTILINE)
        raise Refused(f"source: expected a notebook that nbgrader accepts, got {(errors or ['no release'])[-1]}")
    return nbformat.read(release, as_version=4)


def _config(course):
    from traitlets.config import Config

    config = Config()
    config.CourseDirectory.root = str(course)
    config.CourseDirectory.db_url = f"sqlite:///{course / 'gradebook.db'}"
    return config


def _restore_targets(student, source):
    """Give the cells that show a target their output back: a student sees it before anything runs."""
    shown = {_grade_id(cell): cell.outputs for cell in source.cells if "target" in cell.metadata.get("tags", [])}
    for cell in student.cells:
        cell.outputs = shown.get(_grade_id(cell), cell.get("outputs")) if cell.cell_type == "code" else None
        if cell.outputs is None:
            del cell["outputs"]


def _grade_id(cell):
    return cell.metadata.get("nbgrader", {}).get("grade_id")


def _refuse_slips(nb):
    """Refuse a source whose markers do not pair: nbgrader would take a misspelt one for a comment, and hand it out."""
    for cell in nb.cells:
        markers = re.findall(r"^\s*(#+ *(?:BEGIN|END)\b.*?)\s*$", cell.source, re.MULTILINE)
        wanted = _MARKERS["SOLUTION" if cell.metadata.get("nbgrader", {}).get("solution") else "HIDDEN TESTS"]
        pairs = [marker for pair in zip(markers[::2], markers[1::2], strict=False) for marker in pair]
        if pairs != markers or pairs != wanted * (len(pairs) // 2) or (wanted == _MARKERS["SOLUTION"]) > bool(pairs):
            raise Refused(
                f"source: expected {' ... '.join(wanted)} in pairs in cell {_grade_id(cell)}, "
                f"got: {', '.join(markers) or 'none'}. Each stands on a line of its own."
            )


def refuse_leaks(student, source):
    """Refuse a release in which a line of a solution or of a hidden test is left."""
    secret, public = set(), set()
    for cell in source.cells:
        inside = False
        for line in map(str.strip, cell.source.splitlines()):
            inside = (inside or line.startswith("### BEGIN")) and not line.startswith("### END")
            (secret if inside else public).add(line)
    text = "\n".join(cell.source + "\n" + repr(cell.get("outputs", "")) for cell in student.cells)
    lines = set(map(str.strip, text.splitlines()))
    left = [line for line in sorted(secret - public) if line in lines or (len(line) > 30 and line in text)]
    if left:
        raise Refused(f"release: expected no line of an answer or a hidden test, got {left[0]!r}. Nothing was written.")


# --- marking in nbgrader's formgrader --------------------------------------------------------------------------------


def check_course(folder):
    """Refuse, before anything is graded, what `make_course` could not do afterwards."""
    import nbgrader  # noqa: F401

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Refused(f"--course: expected a new or empty folder, got {folder}. Its gradebook may hold marks.")


def make_course(source, folder, rows):
    """Write an nbgrader course with the graded notebooks and their points, for the formgrader to show.

    Returns a sentence for each student for whom that did not work: the others have theirs, and the table has all.
    """
    from nbgrader.api import Gradebook
    from nbgrader.preprocessors import SaveAutoGrades

    source, folder = Path(source), Path(folder).resolve()
    text, name = source.read_text(encoding="utf-8"), source.stem
    student = _generate(text, name, folder)
    config = f'c = get_config()\nc.CourseDirectory.course_id = "{name}"\n'
    (folder / "nbgrader_config.py").write_text(config, encoding="utf-8")
    teacher = _notebook(text)
    released = {_grade_id(cell): cell for cell in student.cells}
    url, problems = f"sqlite:///{folder / 'gradebook.db'}", []
    for row in rows:
        try:
            nb = _node({**teacher, "cells": [_graded(cell, released, row) for cell in teacher.cells]})
            path = folder / "autograded" / row.id / name / f"{name}.ipynb"
            path.parent.mkdir(parents=True)
            path.write_text(nbformat.writes(nb) + "\n", encoding="utf-8")
            about: Any = {"nbgrader": {"notebook": name, "assignment": name, "student": row.id, "db_url": url}}
            with warnings.catch_warnings(), Gradebook(url, name) as gradebook:
                warnings.simplefilter("ignore")  # SQLAlchemy's, about how nbgrader uses it
                gradebook.update_or_create_student(row.id)
                gradebook.update_or_create_submission(name, row.id)
                SaveAutoGrades().preprocess(nb, about)
        except Exception as error:
            problems.append(f"--course: {row.id} is not in it ({type(error).__name__}: {error})")
    return problems


def _graded(cell, released, row):
    """A cell of the teacher's notebook as grading left it: with the student's answer, and with what it showed."""
    grade_id = _grade_id(cell)
    about = cell.metadata.get("nbgrader", {})
    cell = _node({**cell, "metadata": released[grade_id].metadata})
    if about.get("solution"):
        given = row.sources.get(grade_id)
        cell.source = (given if cell.cell_type == "code" else _shown(given)) if given else released[grade_id].source
    if cell.cell_type == "code":
        nothing = []
        if about.get("grade"):  # no result: nbgrader would take an empty output for a pass
            why = "not answered" if row.sources else "; ".join(row.notes)
            nothing = [{"output_type": "error", "ename": "NotGraded", "evalue": why, "traceback": [why]}]
        cell.outputs = _node(row.outputs.get(grade_id, nothing))
        cell.execution_count = None
    return cell


def _shown(text):
    """A text as it was typed: nothing of it is Markdown, HTML or a script to the page that shows it."""
    fence = "`" * (max(map(len, re.findall("`+", text)), default=0) + 3)
    return f"{fence}text\n{text}\n{fence}"


def gradebook_marks(path):
    """The marks that a person gave in the formgrader: (id, task, mark) for each."""
    from nbgrader.api import Gradebook

    if not Path(path).is_file():
        raise Refused(f"{path}: expected a gradebook, got no such file.")
    with Gradebook(f"sqlite:///{Path(path).resolve()}") as gradebook:
        return [
            (submission.student_id, grade.cell.name, grade.manual_score)
            for assignment in gradebook.assignments
            for submission in assignment.submissions
            for notebook in submission.notebooks
            for grade in notebook.grades
            if grade.manual_score is not None
        ]
