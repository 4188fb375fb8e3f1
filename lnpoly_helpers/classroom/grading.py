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
import stat
import sys
import tempfile
import time
import traceback
import warnings
from dataclasses import asdict, dataclass, field, replace

from .._words import count
from .exchange import RemoteFunction
from .sandbox import Room, Stopped, StudentProcess
from .tables import Refused, plain
from .worker import limit

STUB = {"code": "# YOUR CODE HERE\nraise NotImplementedError()", "markdown": "YOUR ANSWER HERE"}  # nbgrader's
_TAG = re.compile(r"(?:\A|\n)[ \t]*#[ \t]*task:[ \t]*([\w-]+)[^\n]*")
_LONGEST = 300  # letters of one note
_LARGEST = 20 * 2**20  # bytes of a notebook
_NOTEBOOKS = 20  # that are looked at in one student's folder
_ROOM = 200_000  # letters of one output


@dataclass
class Cell:
    """A cell of the source: kind is "context", "once", "target", "answer", "text", "check", "hidden" or "words"."""

    id: str
    kind: str
    source: str
    task: str = ""
    points: float = 0
    functions: list = field(default_factory=list)  # what the answer defines


def read_source(path):
    """The cells of the source notebook, each with what nbgrader's metadata make of it."""
    import nbformat

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
            test = "hidden" if _region("HIDDEN TESTS").search(cell.source) else "check"
            kind = "answer" if solution else test
        else:
            kind = next((tag for tag in ("once", "target") if tag in tags), "context")
        grade_id = about.get("grade_id", cell.get("id", ""))
        if kind in ("answer", "text"):
            task = grade_id
            functions = _functions(grade_id, cell.source) if kind == "answer" else []
        if kind in ("check", "hidden") and not functions:
            raise Refused(f"source: expected an answer with a function above test {grade_id}, got none.")
        if grade_id in (known.id for known in cells):
            raise Refused(f"source: expected each grade id once, got {grade_id} again.")
        belongs = {"task": task, "functions": functions} if kind in ("answer", "text", "check", "hidden") else {}
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
    """The answers in a submitted file (bytes): {task: its parts}, and notes on what was odd.

    A cell answers the task that its task line names (near the top: a ``%%time`` may stand above it), or else the one
    of its grade id. A cell with that id alone goes on where the one above it ended, as when a cell was split. Of
    several answers that were changed the last one counts, as when a notebook is run from top to bottom.
    """
    found, notes = _cells(content)
    wanted = {cell.task: cell for cell in cells if cell.kind in ("answer", "text")}
    handed_out = {"", *(_core(released(cell)) for cell in cells)}
    given, own = {task: [] for task in wanted}, 0  # of each task its answers, of each answer its parts
    tagged = set()
    for cell in found:
        tag = _TAG.search("\n".join(cell["source"].split("\n")[:5]))
        task = tag[1] if tag and tag[1] in wanted else _grade_id(cell)
        if task not in wanted:
            own += cell.get("cell_type") == "code" and _core(cell["source"]) not in handed_out
        elif wanted[task].kind == "answer" and cell.get("cell_type") != "code":
            notes.append(f"{task}: its cell is no code cell")
        else:
            if not given[task] or tag and task in tagged:
                given[task].append([])
            given[task][-1].append(cell["source"])
            tagged |= {task} if tag else set()
    answers = {}
    for task, several in given.items():
        changed = [parts for parts in several if _core("\n".join(parts)) != _core(released(wanted[task]))]
        if not several:
            notes.append(f"{task}: no cell of this task")
        elif not changed:
            notes.append(f"{task}: not answered")
        if len(changed) > 1:
            notes.append(f"{task}: {len(changed)} answers, the last one counts")
        answers[task] = [part for part in changed[-1] if part.strip()] if changed else []
        if len(answers[task]) > 1:
            notes.append(f"{task}: an answer in {len(answers[task])} cells, taken together")
    if own:
        notes.append(f"not run: {count(own, 'code cell')} added or changed outside the answers")
    return answers, notes


def _cells(content):
    """The cells of a notebook's file with their sources, also of one that some editor left not quite valid."""
    notes = []
    try:
        try:
            notebook = json.loads(content)
        except UnicodeDecodeError:
            notebook = json.loads(content.decode("utf-8", errors="replace"))
            notes.append("not in UTF-8: some letters are lost")
        cells = notebook.get("cells")
        if cells is None and isinstance(notebook.get("worksheets"), list):  # formats 2 and 3
            cells = [cell for sheet in notebook["worksheets"] for cell in sheet["cells"]]
        found = []
        for cell in cells or []:
            source = (cell.get("source", cell.get("input")) or "") if isinstance(cell, dict) else None
            if isinstance(source, list):
                source = "".join(line for line in source if isinstance(line, str))
            if isinstance(source, str):
                found.append(cell | {"source": source.replace("\r\n", "\n")})
        if not isinstance(cells, list) or cells and not found:
            raise ValueError("expected cells")
        return found, notes
    except Exception as error:
        raise Unreadable(f"not a notebook ({type(error).__name__}: {error})"[:_LONGEST]) from None


def choose(paths, cells):
    """The notebook of a student's folder with the most answers, of equals the newest: its path, `find_answers`."""
    problem, readable = None, []
    newest = sorted(paths, key=lambda path: -_age(path))
    for path in newest[:_NOTEBOOKS]:
        try:
            readable.append((path, *find_answers(_content(path), cells)))
        except (Refused, Unreadable) as error:
            problem = problem or str(error)
    if not readable:
        raise Unreadable(problem or "expected a notebook in this folder, found none")
    # the first of equals: the newest
    path, answers, notes = max(readable, key=lambda one: sum(map(bool, one[1].values())))
    looked = f", looked at the newest {_NOTEBOOKS}" if len(paths) > _NOTEBOOKS else ""
    several = [f"{len(paths)} notebooks{looked}, graded {os.path.basename(path)}"] if len(paths) > 1 else []
    return path, answers, several + notes


def _age(path):
    try:
        return os.lstat(path).st_mtime
    except OSError:
        return 0.0


def _content(path):
    """A file's bytes; a link, a pipe or a folder is none, and nothing waits for it."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        with open(handle, "rb") as file:
            about = os.fstat(file.fileno())
            if not stat.S_ISREG(about.st_mode):
                raise Refused("expected a file, got a link or a folder")
            if about.st_size > _LARGEST:
                size = f"{about.st_size >> 20} MB"
                raise Refused(f"expected at most {_LARGEST >> 20} MB, got {size}: clear its outputs")
            return file.read(_LARGEST)
    except OSError as error:
        raise Refused(f"expected a file that can be read, got: {error.strerror}") from None


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

    def __init__(self, room, cell_seconds, end):
        self.process = StudentProcess(room)
        self.cell_seconds, self.end = cell_seconds, end
        self.done = []  # (task or None, request) of what ran or is to run before the next one
        self.ran = 0  # how many of them ran
        self.stderr = False

    def ask(self, request, until=None):
        """Ask the process when everything before it ran; returns its answer. Raises `Stopped`."""
        self.ready()
        left, own = self._left(), until - time.monotonic() if until else self.cell_seconds
        answer = self.process.ask(request, max(0.1, min(own, left)))
        self.stderr |= bool(answer.get("stderr"))
        return answer

    def run(self, task, request):
        """Ask for what has to run again after a stop; returns the answer."""
        answer = self.ask(request)
        self.done.append((task, request))
        self.ran += 1
        return answer

    def ready(self):
        """Start the process now and run what is to run, so that this takes no time of what comes next."""
        while self.done and not (self.process.running and self.ran == len(self.done)):
            self.ran = self.ran if self.process.running else 0
            left = self._left()
            task, request = self.done[self.ran]
            try:
                self.process.ask(request, min(self.cell_seconds, left))
                self.ran += 1
            except Stopped as stop:
                answers = {owner for owner, _ in self.done if owner}
                if task is None and not answers:
                    raise RuntimeError(f"the setup did not run: {stop}") from None
                self.forget(*([task] if task else answers))  # it ran once and does not run again

    def _left(self):
        """The seconds that are left for the whole notebook. Raises `Stopped` if none are."""
        left = self.end - time.monotonic()
        if left <= 0:
            raise Stopped("the time for the whole notebook was used up")
        return left

    def forget(self, *tasks):
        """Leave the answers to these tasks out when the process is set up again."""
        self.done = [(owner, request) for owner, request in self.done if owner not in tasks]


def grade(plan, emit):
    """Grade one submission; ``emit`` takes each result as a dict."""
    cells = [Cell(**cell) for cell in plan["cells"]]
    try:
        path, answers, notes = choose(plan["paths"], cells)
    except Unreadable as error:
        emit({"unreadable": str(error)})
        return
    emit({"file": path})
    for note in notes:
        emit({"note": note})
    for cell in cells:
        if cell.kind in ("answer", "text"):
            source = "\n".join(answers[cell.task])
            text = _TAG.sub("", source, count=1).strip() if cell.kind == "text" else None
            emit({"answer": cell.task, "source": source, "text": text})
    context = pickle.loads(base64.b64decode(plan["context"]))  # the teacher's own
    names = {}
    for cell in cells:
        if cell.kind in ("context", "once"):
            exec(imports(cell.source), names)
    one = _Submission(cells, answers, plan, names | context, emit, time.monotonic() + plan["total_seconds"])
    one.run("check")
    one.run("hidden")
    if one.stderr:
        emit({"note": "wrote to stderr (costs nothing)"})


class _Submission:
    """One submission under test: what was stopped, what its cells raised."""

    def __init__(self, cells, answers, plan, names, emit, end):
        self.cells, self.answers, self.plan, self.names = cells, answers, plan, names
        self.emit, self.end, self.stderr = emit, end, False
        self.stopped, self.raised = {}, {}

    def run(self, tests):
        """Run the answers and the tests of one kind, each where it stands in the source.

        What has seen a hidden test's inputs must not tell them: hidden tests get a process of their own, after all
        else, and of what it says no words are kept.
        """
        with contextlib.ExitStack() as stack:
            room = Room(**self.plan["room"])
            if not room.walls:
                room = replace(room, home=stack.enter_context(tempfile.TemporaryDirectory(prefix="lnpoly-")))
            bench = Bench(room, self.plan["cell_seconds"], self.end)
            stack.callback(bench.process.kill)
            for cell in self.cells:
                if cell.kind == "context":
                    bench.done.append((None, {"run": [cell.source]}))
                elif cell.kind == "once":
                    bench.done += [(None, {"run": [imports(cell.source)]}), (None, {"load": self.plan["context"]})]
                elif cell.kind == "answer" and self.answers[cell.task] and cell.task not in self.stopped:
                    request = {"run": self.answers[cell.task]}
                    if tests == "check":
                        self._answer(cell, bench, request)
                    else:
                        bench.done.append((cell.task, request))
                elif cell.kind == tests:
                    self._test(cell, bench)
            self.stderr |= bench.stderr

    def _answer(self, cell, bench, request):
        outputs = []
        try:
            outputs = _inert(bench.run(cell.task, request))
            for output in (output for output in outputs if output["output_type"] == "error"):
                self.raised[cell.task] = f"{output['ename']}: {output['evalue']}"
        except Stopped as stop:
            self._stop(cell.task, stop)
        self.emit({"cell": cell.id, "outputs": outputs})

    def _stop(self, task, stop):
        self.stopped[task] = str(stop)
        self.emit({"stopped": task})

    def _test(self, cell, bench):
        why, shown = self.stopped.get(cell.task), ""
        if not self.answers[cell.task]:
            why = "not answered"
        if why is None:
            try:
                why, shown = _outcome(cell, bench, self.names)
            except Stopped as stop:
                why = str(stop)
                bench.forget(cell.task)
                self._stop(cell.task, stop)
        if why and cell.task in self.raised:
            why = f"{why} (the cell itself raised {self.raised[cell.task]})"
        self.emit({"test": cell.id, "why": why and why[: 2 * _LONGEST], "shown": shown})


def _outcome(cell, bench, names):
    """Run a test of the teacher's on the student's functions; returns why it fails, or None, and what it prints."""
    bench.ready()
    until = time.monotonic() + bench.cell_seconds
    words = cell.kind == "check"
    functions = {
        name: RemoteFunction(lambda request: bench.ask(request, until), name, words) for name in cell.functions
    }
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


def _inert(answer):
    """What a cell showed, as a notebook holds it, without anything that a page would run: text, and pictures as PNG."""
    outputs = []
    given = answer.get("outputs")
    for output in given[:100] if isinstance(given, list) else []:
        match output:
            case {"output_type": "stream", "name": "stdout" | "stderr" as name, "text": str(text)}:
                outputs.append({"output_type": "stream", "name": name, "text": text[:_ROOM]})
            case {"output_type": "display_data", "data": {"text/plain": str(text)} as data}:
                shown = {"text/plain": text[:_ROOM]}
                picture = str(data.get("image/png"))
                if len(picture) < 2 * _ROOM and re.fullmatch(r"iVBORw0KGgo[A-Za-z0-9+/\n]*=*\n?", picture):
                    shown["image/png"] = picture
                outputs.append({"output_type": "display_data", "data": shown, "metadata": {}})
            case {"output_type": "error", "ename": str(name), "evalue": str(said), "traceback": list(lines)}:
                lines = [str(line)[:_LONGEST] for line in lines[:50]]
                error = {"ename": name[:_LONGEST], "evalue": said[:_LONGEST], "traceback": lines}
                outputs.append({"output_type": "error", **error})
    return outputs


def plan_for(cells, paths, context, room, limits):
    """What `main` reads: everything that grading one submission takes, as text."""
    plan = {"cells": [asdict(cell) for cell in cells], "paths": paths, "room": asdict(room)}
    return plan | {"context": base64.b64encode(context).decode(), **limits}


def main():
    """Grade the submission of the plan on the input; every result carries the plan's secret."""
    plan = json.loads(sys.stdin.buffer.read())
    results = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    limit(plan["room"]["gigabytes"])  # what a student's function returns may be large

    def emit(result):
        results.write(json.dumps(_cleaned(result) | {"secret": plan["secret"]}) + "\n")
        results.flush()

    try:
        grade(plan, emit)
        emit({"done": True})
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        emit({"failed": f"{type(error).__name__}: {error} ({os.path.basename(where.filename)}:{where.lineno})"})


def _cleaned(value):
    """The same with `plain` texts."""
    if isinstance(value, dict):
        return {name: _cleaned(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_cleaned(item) for item in value]
    return plain(value) if isinstance(value, str) else value
