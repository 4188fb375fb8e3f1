"""A folder of submissions, each graded by a process of its own: the inbox, the processes, the rows of the table."""

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from .grading import Unreadable, assigned, find_answers, plan_for, tasks, texts
from .sandbox import Stopped, StudentProcess, python_path, sweep
from .tables import Refused

_LARGEST = 20 * 2**20  # bytes of a submission
_GRACE = 60  # seconds that a grader may take beyond its submission's limit
# nbformat's validator would spend most of a second on a grammar of web addresses, for every submission
_GRADER = "import sys; sys.modules['rfc3987_syntax'] = None; from lnpoly_helpers.classroom.grading import main; main()"


@dataclass
class Limits:
    """What one submission may use, how many are graded at a time, and as whom."""

    cell_seconds: float = 20
    total_seconds: float = 180
    gigabytes: float = 4
    jobs: int = 1
    user: str | None = None


@dataclass
class Submission:
    """What one student handed in: a notebook, or the reason why there is none."""

    id: str
    path: Path | None = None
    problem: str = ""
    notes: list = field(default_factory=list)


@dataclass
class Row:
    """One student's line of the score table.

    ``status`` is "graded"; "stopped" if a task was stopped or ended its process (the others are graded all the same);
    "unreadable" if there is no notebook to grade; "failed" if the grader did, so that a person must look.
    """

    id: str
    file: str
    points: dict  # by task; "" where a person has to mark
    notes: list
    status: str = "graded"
    seconds: float = 0
    texts: dict = field(default_factory=dict)  # the answers in words
    outputs: dict = field(default_factory=dict)  # what each cell showed
    sources: dict = field(default_factory=dict)  # the answers as they were run

    @property
    def total(self):
        return sum(points for points in self.points.values() if points != "")


# --- the inbox -------------------------------------------------------------------------------------------------------


def find_submissions(inbox, cells, leave_out=()):
    """Every student of an inbox: ``<id>.ipynb``, or a folder ``<id>`` with a notebook somewhere inside.

    Hidden files are left out, and those named. Anything else becomes an entry with the reason why it cannot be graded,
    so that no student is lost without a word.
    """
    inbox = Path(inbox)
    if not inbox.is_dir():
        raise Refused(f"INBOX: expected a folder of submissions, got {inbox}. Put <id>.ipynb or <id>/*.ipynb into it.")
    notebooks, others = {}, {}
    leave_out = {Path(path).resolve() for path in leave_out}
    for entry in sorted(path for path in inbox.iterdir() if not _hidden(path.name) and path.resolve() not in leave_out):
        if entry.is_dir():
            inside = sorted(p for p in entry.rglob("*.ipynb") if not any(map(_hidden, p.relative_to(entry).parts)))
            notebooks.setdefault(entry.name, []).extend(inside)
        elif entry.suffix == ".ipynb":
            notebooks.setdefault(entry.stem, []).append(entry)
        else:
            others[entry.stem] = entry.name
    found = [_choose(student, paths, cells) for student, paths in notebooks.items()]
    found += [Submission(i, problem=f"expected a notebook, got {n}") for i, n in others.items() if i not in notebooks]
    if not found:
        raise Refused(f"INBOX: expected submissions, got none in {inbox}. Put <id>.ipynb or <id>/*.ipynb into it.")
    return sorted(found, key=lambda submission: submission.id)


def _hidden(name):
    return name.startswith(".") or name in ("__MACOSX", "__pycache__")


def _choose(student, paths, cells):
    """Of several notebooks of one student the one with the most answers; of equals the newest."""

    def worth(path):
        try:
            answers, _ = find_answers(_content(path), cells)
        except (Refused, Unreadable):
            return -1, 0
        return sum(map(bool, answers.values())), path.stat().st_mtime

    if not paths:
        return Submission(student, problem="expected a notebook in this folder, found none")
    if len(paths) == 1:
        return Submission(student, paths[0])
    best = max(paths, key=worth)
    return Submission(student, best, notes=[f"{len(paths)} notebooks, graded {best.name}"])


def _content(path):
    try:
        if path.is_symlink() or not path.is_file():
            raise Refused("expected a file, got a link or a folder")
        if path.stat().st_size > _LARGEST:
            size = path.stat().st_size >> 20
            raise Refused(f"expected at most {_LARGEST >> 20} MB, got {size} MB: clear its outputs")
        return path.read_bytes()
    except OSError as error:
        raise Refused(f"expected a file that can be read, got: {error.strerror}") from None


# --- the processes ---------------------------------------------------------------------------------------------------


def grade_all(submissions, cells, limits, progress=print):
    """Grade submissions side by side, each by a process of its own; returns their rows in order."""
    rows, running = [], {}
    by_machine = sum(tasks(cells).values()) - sum(texts(cells).values())
    progress("running the notebook's own cells once ...")
    with tempfile.TemporaryDirectory(prefix="lnpoly-", ignore_cleanup_errors=True) as shared:
        context = _prepare(cells, Path(shared))
        with ThreadPoolExecutor(limits.jobs) as pool:
            rest = (cells, context, Path(shared), limits, running)
            waiting = [pool.submit(_grade_one, submission, *rest) for submission in submissions]
            try:
                for k, future in enumerate(waiting, 1):
                    rows.append(row := future.result())
                    who, score = f"[{k}/{len(waiting)}] {row.id}", f"{row.total:g} of {by_machine:g}"
                    progress(f"{who:32} {score:>9}  {row.status:10} {row.seconds:5.1f} s")
            except BaseException:  # the teacher's Ctrl-C, too: leave nothing running
                pool.shutdown(wait=False, cancel_futures=True)
                for token, process in list(running.items()):
                    _end(process, token)
                raise
    return rows


def _prepare(cells, folder):
    """Run the source's own cells once; returns what they assigned, pickled."""
    process, names, file = StudentProcess(folder, secrets.token_hex(8)), [], folder / "context.pkl"

    def run(source, what):
        for output in process.run(source, 300):
            if output.output_type == "error":
                raise Refused(f"source: {what} raised {output.ename}: {output.evalue}")

    try:
        for cell in cells:
            if cell.kind in ("context", "once"):
                run(cell.source, f"cell {cell.id}")
                names += assigned(cell.source)
        run("import matplotlib.font_manager", "matplotlib")  # makes the list of fonts, which every submission then has
        call = f"hand_over(get_ipython().user_ns, {names!r}, {str(file)!r})"
        run(f"import lnpoly_helpers.classroom.exchange as _\n_.{call}", "handing over")
        return file.read_bytes()
    except Stopped as stop:
        raise Refused(f"source: its own cells do not run: {stop}") from None
    finally:
        process.kill()


def _grade_one(submission, cells, context, shared, limits, running):
    """Grade one submission; raises for nothing, so that no submission ends the batch."""
    start = time.monotonic()
    row = Row(submission.id, str(submission.path or ""), dict.fromkeys(tasks(cells), 0), submission.notes)
    try:
        if submission.problem:
            raise Refused(submission.problem)
        _grade_in_a_folder(row, _content(submission.path), cells, context, shared, limits, running)
    except Refused as problem:
        row.status = "unreadable"
        row.notes.append(str(problem))
    except Exception as error:
        _failed(row, f"{type(error).__name__}: {error}")
    row.seconds = time.monotonic() - start
    return row


def _grade_in_a_folder(row, content, cells, context, shared, limits, running):
    """Let a process group of its own grade one submission in a folder of its own, and fill its row."""
    token = secrets.token_hex(8)
    with tempfile.TemporaryDirectory(prefix="lnpoly-", ignore_cleanup_errors=True) as folder:
        folder = Path(folder)
        (folder / "context.pkl").write_bytes(context)
        for fonts in shared.glob("fontlist-*.json"):
            shutil.copy(fonts, folder)
        process = _start(folder, limits.user)
        running[token] = process
        try:
            plan = plan_for(cells, content, context, folder, token, limits)
            results, errors = process.communicate(plan, timeout=limits.total_seconds + _GRACE)
        except subprocess.TimeoutExpired:
            _end(process, token)
            results, errors = process.communicate()
        finally:
            _end(process, token)
            del running[token]
    _fill(row, results, errors)


def _start(folder, user):
    identity = {}
    if user:
        import pwd  # not on every system

        uid, gid = pwd.getpwnam(user)[2:4]
        for path in (folder, *folder.iterdir()):
            os.chown(path, uid, gid)
        identity = {"user": uid, "group": gid, "extra_groups": []}
    return subprocess.Popen(
        [sys.executable, "-c", _GRADER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        cwd=folder,
        env=os.environ | {"PYTHONPATH": python_path()},
        start_new_session=True,
        **identity,
    )


def _end(process, token):
    """Kill a grader's process group and whatever its submission started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    sweep(token)


# --- the rows --------------------------------------------------------------------------------------------------------


def _fill(row, results, errors):
    """Put what a grader wrote into a row: one result a line, the last one cut off where it was killed."""
    finished, known = False, set()
    for line in results.splitlines():
        try:
            result = json.loads(line)
        except ValueError:
            continue
        match result:
            case {"test": test, "task": task, "points": points, "why": why, "shown": shown}:
                row.points[task] += points
                row.outputs[test] = [_error(why)] if why else [_stream(shown)] * bool(shown)
                if why and why != "not answered" and (task, why) not in known:
                    row.notes.append(f"{test}: {why}")
                known.add((task, why))
            case {"answer": task, "source": source, "text": text}:
                row.sources[task] = source
                if text is not None:
                    row.texts[task], row.points[task] = text, "" if text else 0
            case {"cell": cell, "outputs": outputs}:
                row.outputs[cell] = outputs
            case {"note": note}:
                row.notes.append(note)
            case {"stopped": _}:
                row.status = "stopped"
            case {"unreadable": reason}:
                row.status, finished = "unreadable", True
                row.notes.append(reason)
            case {"failed": reason}:
                errors = reason
            case {"done": True}:
                finished = True
    if not finished:
        last = errors.strip().splitlines()[-1:] or ["it was stopped or ended early"]
        _failed(row, last[0])


def _failed(row, why):
    row.status = "failed"
    row.notes.append(f"the grader failed: {why}; look at this one by hand")


def _error(why):
    return {"output_type": "error", "ename": "CheckFailed", "evalue": why, "traceback": [f"Not yet. {why}"]}


def _stream(text):
    return {"output_type": "stream", "name": "stdout", "text": text}
