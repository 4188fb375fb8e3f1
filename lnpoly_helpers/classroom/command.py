"""Hand out the assignment, grade what comes back, add the marks that a person gave.

usage: python -m lnpoly_helpers.classroom release                        make the students' notebooks
       python -m lnpoly_helpers.classroom grade INBOX --out scores.csv   grade a folder of submissions
       python -m lnpoly_helpers.classroom merge scores.csv MARKS         add the marks of the free texts

It works from a clone, where the source notebook with its answers and hidden tests lies, and needs the extra
"classroom". notebooks/assignment/README.md is the teacher's page; -h after a command lists its options.
"""

import argparse
import io
import os
import sys
import tomllib
from dataclasses import asdict
from pathlib import Path

from .._inputs import require_installed
from .marks import read_marks
from .tables import Refused, number, read_table, write_table

CLONE = Path(__file__).resolve().parents[2]
ASSIGNMENT = CLONE / "notebooks" / "assignment"
SOURCE = ASSIGNMENT / "source" / "ln_directions" / "ln_directions.ipynb"
_TEXT_COLUMNS = ("id", "task", "points", "mark", "answer")


def release(options):
    """Write the students' notebooks and say where."""
    from .course import colab_link, make_release

    repository = options.repository
    if repository is None:
        project = tomllib.loads((CLONE / "pyproject.toml").read_text(encoding="utf-8"))
        repository = project["tool"]["lnpoly"]["repository"]
    for path in make_release(options.source, options.out, repository, options.public):
        print(f"written: {path}")
    if options.public:
        print(f"Colab link for the class: {colab_link(options.public, options.source.name)}")


def grade(options):
    """Grade an inbox, write the score table and the texts that wait for a mark."""
    if os.name != "posix":
        raise Refused("grade: expected Linux, or macOS with --trust-students. Use WSL.")
    from .batch import Journal, Limits, find_submissions, grade_all
    from .grading import read_source, texts
    from .sandbox import Room, walls

    cells = read_source(options.source)
    unmarked, saved = options.out.with_suffix(".texts.csv"), options.out.with_suffix(".rows.jsonl")
    _check_outputs(options, unmarked)
    submissions = find_submissions(options.inbox, [options.out, unmarked, saved, *filter(None, [options.course])])
    closed = [options.source.parent, options.inbox, options.out.parent, *_of_the_clone()]
    room = Room([] if options.trust_students else walls(closed), gigabytes=options.gigabytes)
    print(f"walls: {room}", flush=True)
    limits = Limits(options.cell_seconds, options.total_seconds, options.jobs)
    same = [asdict(limits) | {"jobs": 0}, room.gigabytes, bool(room.walls)]
    journal = Journal(saved, [options.source.read_text(encoding="utf-8"), *same])
    try:
        rows = grade_all(submissions, cells, room, limits, journal, lambda line: print(line, flush=True))
    except KeyboardInterrupt:
        raise Refused(f"stopped; the rows so far are in {saved}, and the same command goes on from there") from None

    _write_tables(options.out, unmarked, rows, texts(cells), "bubblewrap" if room.walls else "none: students trusted")
    journal.close()
    if options.course:
        from .course import make_course

        for problem in make_course(options.source, options.course, rows):
            print(problem, file=sys.stderr)
        print(f"written: {options.course}, an nbgrader course to mark the texts in")
    counts = {status: sum(row.status == status for row in rows) for status in dict.fromkeys(row.status for row in rows)}
    waiting = sum(bool(row.texts.get(task)) for row in rows for task in texts(cells))
    print(f"written: {options.out} ({', '.join(f'{n} {status}' for status, n in counts.items())})")
    print(f"written: {unmarked} ({waiting} texts to mark; then: merge {options.out} {unmarked})")
    return counts.get("failed", 0)


def _write_tables(scores, unmarked, rows, texts, walls):
    table = []
    for row in rows:
        points = {task: p if p == "" else f"{p:g}" for task, p in row.points.items()}
        rest = {"seconds": f"{row.seconds:.1f}", "walls": walls, "notes": " | ".join(row.notes), "file": row.file}
        table.append({"id": row.id, "status": row.status, "total": f"{row.total:g}", **points, **rest})
    write_table(scores, list(table[0]), table)
    waiting = [
        {"id": row.id, "task": task, "points": f"{most:g}", "mark": "", "answer": row.texts[task]}
        for row in rows
        for task, most in texts.items()
        if row.texts.get(task)
    ]
    write_table(unmarked, _TEXT_COLUMNS, waiting)


def _of_the_clone():
    """The clone that this package lies in, if it does: its history and its tests hold answers, too."""
    return [CLONE] if (CLONE / "pyproject.toml").is_file() else []


def _check_outputs(options, unmarked):
    """Refuse at once what would fail, or lose marks, when everything is graded."""
    if unmarked.exists() and not options.overwrite and any(line.get("mark") for line in read_table(unmarked, "mark")):
        raise Refused(f"{unmarked}: it holds marks that grading again would lose. Move it away, or pass --overwrite.")
    folder = options.out.resolve().parent
    if options.out.is_dir() or not os.access(folder, os.W_OK):
        raise Refused(f"--out: expected a file in a folder that can be written to, got {options.out}.")
    if options.course:
        from .course import check_course

        check_course(options.course)


def merge(options):
    """Add marks to a score table and sum it up again."""
    from .grading import read_source, tasks, texts

    cells = read_source(options.source)
    most = texts(cells)
    columns = {"id", "total", *tasks(cells)}
    scores = read_table(options.scores, *columns)
    if not scores or not columns <= set(scores[0]):
        raise Refused(f"{options.scores}: expected a table that `grade` wrote, got other columns.")
    rows = {row["id"]: row for row in scores}
    if len(rows) < len(scores):
        raise Refused(f"{options.scores}: expected one line for each id, got several.")
    for (student, task), mark in read_marks(options.marks, most).items():
        if student not in rows:
            raise Refused(f"{options.marks}: expected the ids of {options.scores}, got {student!r} as well.")
        rows[student][task] = f"{mark:g}"
    open_marks = 0
    for row in scores:
        row["total"] = f"{sum(number(row[task] or '0', row['id']) for task in tasks(cells)):g}"
        open_marks += sum(row[task] == "" for task in most)
    out = options.out or options.scores
    write_table(out, list(scores[0]), scores)
    print(f"written: {out} ({len(scores)} students, {open_marks} texts without a mark)")


def _options(arguments):
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m lnpoly_helpers.classroom", description=__doc__, formatter_class=plain, usage=argparse.SUPPRESS
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    source = argparse.ArgumentParser(add_help=False)
    source.add_argument("--source", type=Path, default=SOURCE, metavar="FILE", help="the teacher's own notebook")

    make = commands.add_parser("release", parents=[source], help="make the students' notebooks")
    option = make.add_argument
    option("--out", type=Path, default=ASSIGNMENT / "release", metavar="DIR", help="default: %(default)s")
    option("--repository", metavar="OWNER/NAME", help="where Colab installs the helpers from (default: this project)")
    option("--public", metavar="OWNER/NAME/FOLDER", help="where DIR will lie on GitHub: for the Colab badge")
    make.set_defaults(run=release)

    score = commands.add_parser("grade", parents=[source], help="grade a folder of submissions")
    option, cores = score.add_argument, os.cpu_count() or 1
    option("inbox", type=Path, metavar="INBOX", help="with <id>.ipynb or <id>/<anything>.ipynb for each student")
    option("--out", type=Path, required=True, metavar="CSV", help="the score table")
    option("--cell-seconds", type=_positive, default=20, metavar="S", help="for one cell (default: %(default)s)")
    option("--total-seconds", type=_positive, default=180, metavar="S", help="for one student (default: %(default)s)")
    option("--gigabytes", type=_positive, default=4, metavar="G", help="memory for one student (default: %(default)s)")
    option("--jobs", type=_count, default=min(4, cores), metavar="N", help="students at a time (default: %(default)s)")
    option("--trust-students", action="store_true", help="run what they hand in without walls, with your own rights")
    option("--course", type=Path, metavar="DIR", help="also write an nbgrader course, for its formgrader")
    option("--overwrite", action="store_true", help="even if marks from an earlier run are lost")
    score.set_defaults(run=grade)

    add = commands.add_parser("merge", parents=[source], help="add the marks of the free texts")
    option = add.add_argument
    option("scores", type=Path, metavar="SCORES", help="the table that grade wrote")
    option("marks", type=Path, metavar="MARKS", help="the table of texts with their marks, or a course's gradebook.db")
    option("--out", type=Path, metavar="CSV", help="default: SCORES itself")
    add.set_defaults(run=merge)
    return parser.parse_args(arguments)


def _positive(text):
    value = float(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"expected a number > 0, got {text}")
    return value


def _count(text):
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number >= 1, got {text}")
    return int(text)


def _require_what_it_needs(options):
    command = options.run.__name__
    libraries = {"release": ["nbgrader"], "grade": ["IPython", "psutil"], "merge": ["psutil"]}
    course = command == "grade" and options.course or command == "merge" and options.marks.suffix == ".db"
    needed = ["nbformat", *libraries[command], *["nbgrader"] * bool(course)]
    require_installed(f"python -m lnpoly_helpers.classroom {command}", "classroom", *needed)


def main(arguments: list[str] | None = None) -> int:
    """Run one of the commands; returns its exit status."""
    for stream in (sys.stdout, sys.stderr):  # a file's name may hold what a terminal does not take
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    options = _options(arguments)
    try:
        _require_what_it_needs(options)
    except ImportError as error:
        print(error, file=sys.stderr)
        return 1
    try:
        if not options.source.is_file():
            raise Refused(
                f"source: expected the teacher's notebook, got no file at {options.source}. This command works from a "
                f"clone of the repository; or name the file: --source FILE."
            )
        return 1 if options.run(options) else 0
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
    except Refused as error:
        print(error, file=sys.stderr)
    return 1
