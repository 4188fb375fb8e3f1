"""One submission: find its answers, put them into the teacher's source, run them, test them.

`main` is a process of its own: it reads a plan from its input and writes one line of JSON for each test as soon as its
result is known, so that nothing is lost if it has to be stopped.
"""

import ast
import base64
import contextlib
import io
import json
import os
import pickle
import re
import sys
import time
import traceback
import warnings
from dataclasses import asdict, dataclass, field

import nbformat

from .exchange import RemoteFunction
from .sandbox import Stopped, StudentProcess, close_up
from .tables import Refused

STUB = {"code": "# YOUR CODE HERE\nraise NotImplementedError()", "markdown": "YOUR ANSWER HERE"}  # nbgrader's
_TAG = re.compile(r"(?:\A|\n)[ \t]*#[ \t]*task:[ \t]*([\w-]+)[^\n]*")
_LONGEST = 300  # letters of one note


@dataclass
class Cell:
    """A cell of the source: kind is "context", "once", "target", "answer", "text", "test" or "words"."""

    id: str
    kind: str
    source: str
    task: str = ""
    points: float = 0
    functions: list = field(default_factory=list)  # what the answer defines


def read_source(path):
    """The cells of the source notebook, each with what nbgrader's metadata make of it."""
    try:
        found = nbformat.read(path, as_version=4).cells
    except Exception as error:
        raise Refused(f"source: expected a notebook, got {path} ({type(error).__name__}: {error})") from None
    cells, task, functions = [], "", []
    for cell in found:
        about = cell.metadata.get("nbgrader", {})
        grade, solution, tags = about.get("grade"), about.get("solution"), cell.metadata.get("tags", [])
        if cell.cell_type != "code":
            kind = "text" if solution else "words"
        elif solution or grade:
            kind = "answer" if solution else "test"
        else:
            kind = next((tag for tag in ("once", "target") if tag in tags), "context")
        grade_id = about.get("grade_id", cell.get("id", ""))
        if kind in ("answer", "text"):
            task = grade_id
            functions = _functions(grade_id, cell.source) if kind == "answer" else []
        if kind == "test" and not functions:
            raise Refused(f"source: expected an answer with a function above test {grade_id}, got none.")
        if grade_id in (known.id for known in cells):
            raise Refused(f"source: expected each grade id once, got {grade_id} again.")
        belongs = {"task": task, "functions": functions} if kind in ("answer", "text", "test") else {}
        cells.append(Cell(grade_id, kind, cell.source, points=about.get("points", 0), **belongs))
    return cells


def _functions(grade_id, source):
    try:
        return [node.name for node in _plain_python(source).body if isinstance(node, ast.FunctionDef)]
    except SyntaxError as error:
        raise Refused(f"source: cell {grade_id} is not Python: {error}") from None


def tasks(cells):
    """The points of each task, in order: {task: points}."""
    points = {}
    for cell in cells:
        if cell.task:
            points[cell.task] = points.get(cell.task, 0) + cell.points
    return points


def texts(cells):
    """The points of each task that a person marks."""
    return {cell.task: cell.points for cell in cells if cell.kind == "text"}


def released(cell):
    """What a student was given in place of this cell."""
    stub = STUB["markdown" if cell.kind == "text" else "code"].split("\n")
    source = _region("SOLUTION").sub(lambda found: "\n".join(found[1] + line for line in stub), cell.source)
    return _region("HIDDEN TESTS").sub("", source)


def _region(name):
    return re.compile(rf"^([ \t]*)[^\n]*BEGIN {name}.*?END {name}[^\n]*$", re.MULTILINE | re.DOTALL)


class Unreadable(ValueError):
    """The file is no notebook; says why."""


def find_answers(content, cells):
    """The answers in a submitted file (bytes): {task: source}, and notes on what was odd.

    A cell answers the task that its task line names (near the top: a ``%%time`` may stand above it), or else the one
    of its grade id. Of several that were changed the last one counts, as when a notebook is run from top to bottom.
    """
    found = [cell for cell in _cells(content) if isinstance(cell.get("source"), str)]
    wanted = {cell.task: cell for cell in cells if cell.kind in ("answer", "text")}
    handed_out = {"", *(_core(released(cell)) for cell in cells)}
    given, notes, own = {task: [] for task in wanted}, [], 0
    for cell in found:
        tag = _TAG.search("\n".join(cell["source"].split("\n")[:5]))
        task = tag[1] if tag and tag[1] in wanted else _grade_id(cell)
        if task not in wanted:
            own += cell.get("cell_type") == "code" and _core(cell["source"]) not in handed_out
        elif wanted[task].kind == "text" or cell.get("cell_type") == "code":
            given[task].append(cell["source"])
        else:
            notes.append(f"{task}: its cell is no code cell")
    answers = {}
    for task, sources in given.items():
        changed = [source for source in sources if _core(source) != _core(released(wanted[task]))]
        if not sources:
            notes.append(f"{task}: no cell of this task")
        elif not changed:
            notes.append(f"{task}: not answered")
        if len(changed) > 1:
            notes.append(f"{task}: {len(changed)} answers, the last one counts")
        answers[task] = changed[-1] if changed else ""
    if own:
        notes.append(f"not run: {own} code {'cell' if own == 1 else 'cells'} added or changed outside the answers")
    return answers, notes


def _cells(content):
    """The cells of a notebook's file, also of one that some editor left not quite valid."""
    try:
        text = content.decode("utf-8-sig")
        with warnings.catch_warnings(), contextlib.suppress(nbformat.ValidationError):
            warnings.simplefilter("ignore")
            return list(nbformat.reads(text, as_version=4).cells)
        cells = json.loads(text)["cells"]
        return [cell | {"source": "".join(cell.get("source") or [])} for cell in cells]
    except Exception as error:
        raise Unreadable(f"not a notebook ({type(error).__name__}: {error})"[:_LONGEST]) from None


def _grade_id(cell):
    about = cell.get("metadata")
    about = about.get("nbgrader") if isinstance(about, dict) else None
    grade_id = about.get("grade_id") if isinstance(about, dict) else None
    return grade_id if isinstance(grade_id, str) else None


def _core(source):
    """A cell without its task line, white space at the ends of lines, and the address that a release puts in."""
    source = re.sub(r"github\.com/[\w.-]+/[\w.-]+", "", _TAG.sub("", source, count=1))
    return "\n".join(line.rstrip() for line in source.strip().splitlines())


def _plain_python(source):
    """A context cell's syntax tree; lines of IPython's own are left out."""
    return ast.parse(re.sub(r"^(\s*)[%!].*$", r"\1pass", source, flags=re.MULTILINE))


def imports(source):
    """The import statements of a context cell, as source."""
    tree = _plain_python(source)
    return "\n".join(ast.unparse(node) for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom)))


def assigned(source):
    """The names that a context cell assigns."""
    names = (node for node in ast.walk(_plain_python(source)) if isinstance(node, ast.Name))
    return sorted({node.id for node in names if isinstance(node.ctx, ast.Store)})


class Bench:
    """The student's process with what ran in it so far, so that it can be set up again after a stop."""

    def __init__(self, folder, token, cell_seconds, total_seconds):
        self.process = StudentProcess(folder, token)
        self.cell_seconds, self.end = cell_seconds, time.monotonic() + total_seconds
        self.done = []  # (task or None, source) of every cell that ran to its end
        self.stderr = False

    def run(self, source, until=None):
        """Run a cell in the process; returns its outputs. Raises `Stopped`."""
        self.ready()
        now = time.monotonic()
        if now >= self.end:
            raise Stopped("the time for the whole notebook was used up")
        outputs = self.process.run(source, max(0.1, min(until or now + self.cell_seconds, self.end) - now))
        self.stderr |= any(output.get("name") == "stderr" for output in outputs)
        return outputs

    def ready(self):
        """Start the process now, if it does not run, so that this takes no time of what comes next."""
        while not self.process.running and not self._set_up():
            pass

    def _set_up(self):
        for task, source in self.done:
            try:
                self.process.run(source, self.cell_seconds)
            except Stopped as stop:
                answers = {owner for owner, _ in self.done if owner}
                if task is None and not answers:
                    raise RuntimeError(f"the setup did not run: {stop}") from None
                self.forget(*([task] if task else answers))  # it ran once and does not run again
                return False
        return True

    def forget(self, *tasks):
        """Leave the answers to these tasks out when the process is set up again."""
        self.done = [(owner, source) for owner, source in self.done if owner not in tasks]


def grade(plan, emit):
    """Grade one submission; ``emit`` takes each result as a dict."""
    cells = [Cell(**cell) for cell in plan["cells"]]
    try:
        answers, notes = find_answers(base64.b64decode(plan["content"]), cells)
    except Unreadable as error:
        emit({"unreadable": str(error)})
        return
    for note in notes:
        emit({"note": note})
    for cell in cells:
        if cell.kind in ("answer", "text"):
            source = answers[cell.task]
            text = _TAG.sub("", source, count=1).strip() if cell.kind == "text" else None
            emit({"answer": cell.task, "source": source, "text": text})
    context = pickle.loads(base64.b64decode(plan["context"]))  # the teacher's own
    names = {}
    for cell in cells:
        if cell.kind in ("context", "once"):
            exec(imports(cell.source), names)
    close_up(plan["gigabytes"])  # from here on the student's code decides what happens
    bench = Bench(plan["folder"], plan["token"], plan["cell_seconds"], plan["total_seconds"])
    try:
        _run_all(cells, answers, bench, names | context, emit)
    finally:
        bench.process.kill()
    if bench.stderr:
        emit({"note": "wrote to stderr (costs nothing)"})


def _run_all(cells, answers, bench, names, emit):
    stopped, raised = {}, {}
    for cell in cells:
        if cell.kind in ("context", "once"):
            source = cell.source
            if cell.kind == "once":
                load = "import pickle as _; globals().update(_.load(open('../context.pkl', 'rb')))"
                source = f"{imports(cell.source)}\n{load}"
            bench.done.append((None, source))
            if bench.process.running:
                with contextlib.suppress(Stopped):  # then it runs when the process is set up again
                    bench.run(source)
        elif cell.kind == "answer" and answers[cell.task]:
            try:
                outputs = bench.run(answers[cell.task])
                bench.done.append((cell.task, answers[cell.task]))
                for output in (output for output in outputs if output["output_type"] == "error"):
                    raised[cell.task] = f"{output['ename']}: {output['evalue']}"
            except Stopped as stop:
                stopped[cell.task], outputs = str(stop), []
                emit({"stopped": cell.task})
            emit({"cell": cell.id, "outputs": outputs})
        elif cell.kind == "test":
            why, shown = stopped.get(cell.task), ""
            if not answers[cell.task]:
                why = "not answered"
            if why is None:
                try:
                    why, shown = _test(cell, bench, names)
                except Stopped as stop:
                    why = stopped[cell.task] = str(stop)
                    bench.forget(cell.task)
                    emit({"stopped": cell.task})
            if why and cell.task in raised:
                why = f"{why} (the cell itself raised {raised[cell.task]})"
            why = why and why[: 2 * _LONGEST]
            emit({"test": cell.id, "task": cell.task, "points": 0 if why else cell.points, "why": why, "shown": shown})


def _test(cell, bench, names):
    """Run a test of the teacher's on the student's functions; returns why it fails, or None, and what it prints."""
    bench.ready()
    until = time.monotonic() + bench.cell_seconds
    folder = bench.process.folder
    functions = {name: RemoteFunction(lambda source: bench.run(source, until), name, folder) for name in cell.functions}
    shown = io.StringIO()
    try:
        with contextlib.redirect_stdout(shown), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exec(compile(cell.source, cell.id, "exec"), names | functions)
    except AssertionError as error:
        return str(error) or "a hidden test failed", shown.getvalue()
    except Exception as error:
        return f"{type(error).__name__}: {error}", shown.getvalue()
    return None, shown.getvalue()


def plan_for(cells, content, context, folder, token, limits):
    """What `main` reads: everything that grading one submission takes, as text."""
    plan = {"cells": [asdict(cell) for cell in cells], "content": base64.b64encode(content).decode()}
    plan["context"] = base64.b64encode(context).decode()
    return json.dumps(plan | {"folder": str(folder), "token": token} | asdict(limits))


def main():
    """Grade the submission of the plan on the input; what the student's code prints goes nowhere."""
    plan = json.load(sys.stdin)
    results = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)

    def emit(result):
        results.write(json.dumps(result) + "\n")
        results.flush()

    try:
        grade(plan, emit)
        emit({"done": True})
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        emit({"failed": f"{type(error).__name__}: {error} ({os.path.basename(where.filename)}:{where.lineno})"})
