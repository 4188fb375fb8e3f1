"""The marks that a person gave, out of a table or out of nbgrader's gradebook."""

from pathlib import Path

from .tables import Refused, number, read_table


def read_marks(path, most):
    """The marks in a file, {(id, task): mark}: a table, or the gradebook that nbgrader's formgrader writes.

    A table has either the columns id, task and mark, or id and one column for each text. Empty marks are left out.
    """
    if Path(path).suffix == ".db":
        from .course import gradebook_marks  # needs nbgrader

        marks = [mark for mark in gradebook_marks(path) if mark[1] in most]
    else:
        lines = read_table(path, "id", "task", "mark", *most)
        if lines and {"id", "task", "mark"} <= set(lines[0]):
            marks = [(line["id"], line["task"], line["mark"]) for line in lines]
        elif lines and "id" in lines[0] and set(most) & set(lines[0]):
            marks = [(line["id"], task, line[task]) for line in lines for task in most if task in line]
        else:
            raise Refused(f"{path}: expected columns id, task, mark or id, {', '.join(most)}, got others.")
    found = {}
    for student, task, mark in marks:
        if str(mark or "").strip() == "":
            continue
        if task not in most:
            raise Refused(f"{path}: expected a task out of {', '.join(most)}, got {task!r} for {student}.")
        value = number(mark, student)
        if not 0 <= value <= most[task]:
            raise Refused(f"{path}: expected a mark from 0 to {most[task]:g} for {student}, {task}, got {value:g}.")
        if found.setdefault((student, task), value) != value:
            raise Refused(f"{path}: expected one mark for {student}, {task}, got two.")
    return found
