"""A folder of submissions, each graded by a process of its own: the inbox, the processes, the rows of the table."""

import contextlib
import hashlib
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from .grading import assigned, plan_for, tasks, texts
from .sandbox import Room, Stopped, StudentProcess
from .tables import Refused, one_line

_GRACE = 60  # seconds that a grader may take beyond its submission's limit
_LONGEST = 80  # letters of an id
_GRADER = "from lnpoly_helpers.classroom.grading import main; main()"


@dataclass
class Limits:
    """What one submission may use, and how many are graded at a time."""

    cell_seconds: float = 20
    total_seconds: float = 180
    jobs: int = 1


@dataclass
class Submission:
    """What one student handed in: notebooks, or the reason why there is none."""

    id: str
    paths: list = field(default_factory=list)
    problem: str = ""


@dataclass
class Row:
    """One student's line of the score table.

    ``status`` is "graded"; "stopped" if a task was stopped or ended its process (the others are graded all the same);
    "unreadable" if there is no notebook to grade; "failed" if the grader did, so that a person must look.
    """

    id: str
    file: str
    points: dict  # by task; "" where a person has to mark
    notes: list = field(default_factory=list)
    status: str = "graded"
    seconds: float = 0
    texts: dict = field(default_factory=dict)  # the answers in words
    outputs: dict = field(default_factory=dict)  # what each cell showed
    sources: dict = field(default_factory=dict)  # the answers as they were run

    @property
    def total(self):
        return sum(points for points in self.points.values() if points != "")


# --- the inbox -------------------------------------------------------------------------------------------------------


def find_submissions(inbox, leave_out=()):
    """Every student of an inbox: ``<id>.ipynb``, or a folder ``<id>`` with a notebook somewhere inside.

    Hidden files are left out, and those named. Anything else becomes an entry with the reason why it cannot be graded,
    so that no student is lost without a word. Links are not followed.
    """
    if not os.path.isdir(inbox):
        raise Refused(f"INBOX: expected a folder of submissions, got {inbox}. Put <id>.ipynb or <id>/*.ipynb into it.")
    found, others = {}, {}
    leave_out = {os.path.realpath(path) for path in leave_out}
    for entry in sorted(os.scandir(inbox), key=lambda entry: entry.name):
        name, ending = os.path.splitext(entry.name)
        if _hidden(entry.name) or os.path.realpath(entry.path) in leave_out:
            continue
        if entry.is_dir(follow_symlinks=False):
            found.setdefault(entry.name, []).extend(_notebooks(entry.path))
        elif ending == ".ipynb":
            found.setdefault(name, []).append(entry.path)
        else:
            others.setdefault(name, f"expected a notebook, got {entry.name}")
    names = sorted({*found, *others})
    if not names:
        raise Refused(f"INBOX: expected submissions, got none in {inbox}. Put <id>.ipynb or <id>/*.ipynb into it.")
    submissions, ids = [], set()
    for name in names:
        paths = found.get(name, [])
        problem = "" if paths else others.get(name, "expected a notebook in this folder, found none")
        submissions.append(Submission(_id(name, ids), paths, problem))
        ids.add(submissions[-1].id)
    return submissions


def _hidden(name):
    return name.startswith(".") or name in ("__MACOSX", "__pycache__")


def _notebooks(folder):
    paths = []
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not _hidden(name))
        paths += [os.path.join(place, name) for name in sorted(files) if name.endswith(".ipynb") and not _hidden(name)]
    return paths


def _id(name, taken):
    """A name that any table holds, and that no other student has."""
    plain = one_line(name).strip()
    if len(plain) > _LONGEST or plain in taken or not plain:
        digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:8]
        plain = f"{plain[: _LONGEST - 9]}~{digest}"
    return plain


# --- the rows that are known -----------------------------------------------------------------------------------------


class Journal:
    """The rows of a batch, saved as they come, so that the same command goes on where it was interrupted.

    Parameters
    ----------
    path : path
        A file with one row a line.
    what : str
        Everything besides a submission's own files that decides about its row.
    """

    def __init__(self, path, what):
        self.path, self._what, self._known = Path(path), what, {}
        with contextlib.suppress(OSError):
            for line in self.path.read_bytes().splitlines():
                with contextlib.suppress(ValueError, TypeError, KeyError):  # the last one is cut off
                    saved = json.loads(line)
                    self._known[saved["key"]] = Row(**saved["row"])

    def find(self, submission):
        """The row of a submission that was graded before and has not changed, or None."""
        row = self._known.get(self._key(submission))
        return None if row is None or row.status == "failed" else row

    def add(self, submission, row):
        """Save a row, on the disk when this returns."""
        with open(self.path, "ab") as file:
            file.write(b"\n" + json.dumps({"key": self._key(submission), "row": asdict(row)}).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def close(self):
        """Remove it: the table holds its rows."""
        self.path.unlink(missing_ok=True)

    def _key(self, submission):
        about = []
        for path in submission.paths:
            with contextlib.suppress(OSError):
                seen = os.lstat(path)
                about.append([path, seen.st_size, seen.st_mtime_ns])
        known = json.dumps([self._what, submission.id, submission.problem, about])
        return hashlib.sha256(known.encode()).hexdigest()


# --- the processes ---------------------------------------------------------------------------------------------------


def grade_all(submissions, cells, room, limits, journal, progress=print):
    """Grade submissions side by side, each by a process of its own; returns their rows in order."""
    rows = {submission.id: row for submission in submissions if (row := journal.find(submission))}
    if rows:
        progress(f"{len(rows)} of {len(submissions)} were graded before")
    waiting = [submission for submission in submissions if submission.id not in rows]
    by_machine = sum(tasks(cells).values()) - sum(texts(cells).values())
    if not waiting:
        return [rows[submission.id] for submission in submissions]
    progress("running the notebook's own cells once ...")
    context, files = _prepare(cells)
    running = set()
    with ThreadPoolExecutor(limits.jobs) as pool:
        rest = (cells, context, replace(room, files=files), limits, running)
        futures = {pool.submit(_grade_one, submission, *rest): submission for submission in waiting}
        try:
            for future in as_completed(futures):
                rows[futures[future].id] = row = future.result()
                journal.add(futures[future], row)
                who, score = f"[{len(rows)}/{len(submissions)}] {row.id}", f"{row.total:g} of {by_machine:g}"
                progress(f"{who:32} {score:>9}  {row.status:10} {row.seconds:5.1f} s")
        except BaseException:  # the teacher's Ctrl-C, too: leave nothing running
            pool.shutdown(wait=False, cancel_futures=True)
            for process in list(running):
                _end(process)
            raise
    return [rows[submission.id] for submission in submissions]


def _prepare(cells):
    """Run the source's own cells once: what they assigned, pickled, and the list of fonts that matplotlib made."""
    names = [name for cell in cells if cell.kind in ("context", "once") for name in assigned(cell.source)]
    with tempfile.TemporaryDirectory(prefix="lnpoly-") as home:
        kept = Path(home, "context.pkl")
        process = StudentProcess(
            Room(home=home, gigabytes=2**20), _environment() | {"MPLCONFIGDIR": home, "TMPDIR": home}
        )
        requests = [(cell.source, f"cell {cell.id}") for cell in cells if cell.kind in ("context", "once")]
        requests += [
            ("import matplotlib.font_manager", "matplotlib"),
            (f"import {__name__} as _\n_.hand_over(get_ipython().user_ns, {names!r}, {str(kept)!r})", "handing over"),
        ]
        try:
            for source, what in requests:
                for output in process.ask({"run": [source]}, 300)["outputs"]:
                    if output["output_type"] == "error":
                        raise Refused(f"source: {what} raised {output['ename']}: {output['evalue']}")
            fonts = {path.name: path.read_text(encoding="utf-8") for path in Path(home).glob("fontlist-*.json")}
            return kept.read_bytes(), fonts
        except Stopped as stop:
            raise Refused(f"source: its own cells do not run: {stop}") from None
        finally:
            process.kill()


def hand_over(namespace, names, file):
    """Put those of the variables into a file that can be pickled without torch."""
    import pickle

    plain = {}
    for name in names:
        with contextlib.suppress(Exception):
            data = pickle.dumps({name: namespace[name]})
            if not any(word in data for word in (b"torch", b"__main__")):
                plain[name] = namespace[name]
    Path(file).write_bytes(pickle.dumps(plain))


def _grade_one(submission, cells, context, room, limits, running):
    """Grade one submission; raises for nothing, so that no submission ends the batch."""
    start = time.monotonic()
    file = one_line(submission.paths[0]) if submission.paths else ""
    row = Row(submission.id, file, dict.fromkeys(tasks(cells), 0))
    try:
        if submission.problem:
            row.status, row.notes = "unreadable", [one_line(submission.problem)]
        else:
            secret = secrets.token_hex(16)  # in every result: none can come from anybody else
            plan = plan_for(cells, submission.paths, context, room, asdict(limits)) | {"secret": secret}
            results, errors = _run_grader(json.dumps(plan).encode(), limits.total_seconds + _GRACE, running)
            _fill(row, results, errors, cells, secret)
    except Exception as error:
        _failed(row, f"{type(error).__name__}: {error}")
    row.seconds = time.monotonic() - start
    return row


def _run_grader(plan, seconds, running):
    """Let a process group of its own grade one submission; returns what it wrote."""
    process = subprocess.Popen(
        [sys.executable, "-c", _GRADER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=_environment(),
        start_new_session=True,
    )
    running.add(process)
    try:
        return process.communicate(plan, timeout=seconds)
    except subprocess.TimeoutExpired:
        _end(process)
        return process.communicate()
    finally:
        _end(process)
        running.discard(process)


def _environment():
    """The teacher's own, with the folder of this very package in front: the process may start elsewhere."""
    here = str(Path(__file__).resolve().parents[2])
    return os.environ | {"PYTHONPATH": os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])])}


def _end(process):
    """Kill a grader's process group; rooms end with their grader."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


# --- the rows --------------------------------------------------------------------------------------------------------


def _fill(row, results, errors, cells, secret):
    """Put what a grader wrote into a row: one result a line, the last one cut off where it was killed.

    Points are the source's, for each test once.
    """
    finished, known = False, set()
    tests = {cell.id: cell for cell in cells if cell.kind in ("check", "hidden")}
    for line in results.splitlines():
        try:
            result = json.loads(line)
        except ValueError:
            continue
        if not isinstance(result, dict) or result.get("secret") != secret:
            row.notes.append("something wrote into the grader's results; it was left out")
            continue
        match result:
            case {"test": test, "why": why, "shown": shown} if test in tests:
                cell = tests.pop(test)
                row.points[cell.task] += 0 if why else cell.points
                row.outputs[test] = [_error(why)] if why else [_stream(shown)] * bool(shown)
                if why and why != "not answered" and (cell.task, why) not in known:
                    row.notes.append(f"{test}: {why}")
                known.add((cell.task, why))
            case {"answer": task, "source": source, "text": text}:
                row.sources[task] = source
                if text is not None:
                    row.texts[task], row.points[task] = text, "" if text else 0
            case {"cell": cell, "outputs": outputs}:
                row.outputs[cell] = outputs
            case {"note": note}:
                row.notes.append(note)
            case {"file": file}:
                row.file = one_line(file)
            case {"stopped": _}:
                row.status = "stopped"
            case {"unreadable": reason}:
                row.status, finished = "unreadable", True
                row.notes.append(reason)
            case {"failed": reason}:
                errors = reason.encode()
            case {"done": True}:
                finished = True
    if not finished:
        last = errors.decode(errors="replace").strip().splitlines()[-1:] or ["it was stopped or ended early"]
        _failed(row, last[0])


def _failed(row, why):
    row.status = "failed"
    row.notes.append(f"the grader failed: {one_line(why)}; look at this one by hand")


def _error(why):
    return {"output_type": "error", "ename": "CheckFailed", "evalue": why, "traceback": [f"Not yet. {why}"]}


def _stream(text):
    return {"output_type": "stream", "name": "stdout", "text": text}
