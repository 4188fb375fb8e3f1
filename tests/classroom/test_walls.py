"""One batch of honest and hostile submissions, graded by root and by an ordinary user: nobody gets what is not theirs.

Each attack here once worked. What a hostile submission gets hold of it tells in its notes, as GOT.
"""

import ctypes
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import nbformat
import psutil
import pytest
from submissions import (
    CELLS,
    ROOT,
    cell_of,
    hand_in,
    handed_out,
    in_function,
    needs_walls,
    solved,
    with_answer,
    without_networks,
)
from thorough import THOROUGH

from lnpoly_helpers.classroom import sandbox
from lnpoly_helpers.classroom.command import SOURCE, main
from lnpoly_helpers.classroom.tables import Refused, read_table, write_table

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="bubblewrap is Linux's"),
    needs_walls,
    pytest.mark.slow,
]
ROOT_ALONE = pytest.mark.skipif(
    hasattr(os, "geteuid") and os.geteuid() != 0, reason="only root can become another user"
)
FUNCTIONS = [cell.task for cell in CELLS if cell.kind == "answer"]
SURVIVOR = "lnpoly-survivor"
HIDDEN = "0.0341"  # the first digits of the first number that only a hidden test sees


# --- who grades ------------------------------------------------------------------------------------------------------


def as_nobody():
    """What runs a command as the user nobody, who sees of closed folders what this Python and this clone need."""
    needed = sorted({sys.prefix, sys.base_prefix, str(ROOT)})
    closed = sorted({str(p) for path in needed for p in Path(path).parents if not p.stat().st_mode & 0o001})
    command = ["bwrap", "--dev-bind", "/", "/"]
    for folder in closed[:1]:
        command += ["--tmpfs", folder]
        inside = [path for path in needed if path.startswith(folder)]
        between = sorted({str(p) for path in inside for p in Path(path).parents if len(str(p)) > len(folder)})
        command += [word for p in between for word in ("--dir", p)]
        command += [word for path in inside for word in ("--ro-bind", path, path)]
    capabilities = ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    return [*command, *capabilities, "--", "setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]


def copied(clone):
    """A copy of what the teachers' page puts into a container."""
    page = (ROOT / "notebooks" / "assignment" / "README.md").read_text(encoding="utf-8")
    for line in re.findall(r"^COPY (.+)$", page, re.MULTILINE):
        *names, to = line.split()
        clone.mkdir(exist_ok=True)
        for name in names:
            (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, clone / to)
    assert not (clone / ".git").exists() and not (clone / "tests").exists()
    return clone


class Class:
    """A folder with an inbox, and the command that grades it as one user or another."""

    def __init__(self, user):
        self.folder = Path(tempfile.mkdtemp(prefix="lnpoly-class-"))
        self.inbox, self.out = self.folder / "inbox", self.folder / "scores.csv"
        self.tmp = self.folder / ("long" * 40)  # longer than the name of a socket may be
        self.clone = ROOT if user == "nobody" else copied(self.folder / "clone")
        self.before = [] if user == "me" else as_nobody()
        self.honest: list = []
        self.odd: dict = {}
        self.inbox.mkdir()
        self.tmp.mkdir()

    def grade(self, *options):
        if self.before:
            subprocess.run(["chown", "-R", "-h", "65534:65534", self.folder], check=True)
        command = [
            *self.before,
            sys.executable,
            "-m",
            "lnpoly_helpers.classroom",
            "grade",
            self.inbox,
            "--out",
            self.out,
        ]
        home = dict.fromkeys(("HOME", "HF_HOME"), str(self.folder)) | {"TMPDIR": str(self.tmp)}
        env = os.environ | home | {"PYTHONPATH": str(self.clone), "PYTHONDONTWRITEBYTECODE": "1"}
        command = [*command, *options, "--cell-seconds", "8", "--gigabytes", "2", "--jobs", "4"]
        return subprocess.run(command, capture_output=True, text=True, cwd=self.folder, env=env, timeout=900)

    def rows(self):
        return {row["id"]: row for row in read_table(self.out)}


# --- the hostile -----------------------------------------------------------------------------------------------------

EXPLORER = """
import ctypes, os, socket, sys
got, looked = [], 0
def attempt(what, deed):
    try:
        result = deed()
    except BaseException:
        return
    if result:
        got.append(f"{what}: {result!r}"[:150])
for path in SECRETS:
    attempt("sees " + path, lambda: os.path.exists(path))
for place, folders, files in os.walk("/"):
    looked += 1
    shut = place == "/" and {"usr", "lib", "lib64", "bin", "proc", "sys", "dev"} or {"site-packages"}
    folders[:] = [name for name in folders if name not in shut and os.path.join(place, name) != sys.base_prefix]
    found = [name for name in folders + files if name == ".git" or name.endswith((".ipynb", ".csv", ".jsonl"))]
    found += [name for name in folders if name.startswith(("lnpoly-", "inbox")) and not name.startswith("lnpoly-class")]
    attempt("finds in " + place, lambda: found)
    if looked > 20_000:
        break
mine = {folder for folder in (ROOT, *sys.path) if folder and not folder.startswith("/tmp")}  # which is its own
for folder in {"/", "/dev", "/etc", "/usr", sys.prefix, *WRITES, *mine}:
    attempt("writes into " + folder, lambda: open(folder + "/lnpoly-planted.txt", "w").write("import os"))
for process in filter(str.isdigit, os.listdir("/proc")):
    attempt("sees a grader", lambda: b"grading import main" in open(f"/proc/{process}/cmdline", "rb").read())
attempt("reaches this machine", lambda: socket.create_connection(("127.0.0.1", PORT), 1) and "a port")
def abstract():
    with socket.socket(socket.AF_UNIX) as s:
        s.connect("\\0lnpoly-" + str(PORT))
        return "a socket"
attempt("reaches this machine", abstract)
attempt("shares memory", lambda: open("/proc/sysvipc/shm").read().count("\\n") > 1)
attempt("becomes root", lambda: os.getuid() and os.setuid(0) is None)
attempt("makes a user namespace", lambda: ctypes.CDLL(None).unshare(0x10000000) == 0)
if got:
    raise RuntimeError("GOT " + "; ".join(got))
"""
SURVIVE = """
import os, subprocess, sys, textwrap
code = '''
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
while True:
    for path in TABLES:
        try:
            with open(path, "w") as file:
                file.write("forged")
        except OSError:
            pass
    time.sleep(0.1)
'''
code = textwrap.dedent(code).replace("TABLES", repr(TABLES))
once = "/tmp/survivor-is-there"
for session in (True, False) if not os.path.exists(once) else ():
    subprocess.Popen([sys.executable, "-c", code, SURVIVOR], env={}, start_new_session=session)
if not os.path.exists(once) and os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execv(sys.executable, [sys.executable, "-c", code, SURVIVOR])
    os._exit(0)
open(once, "w").close()
"""
FORGE = """
import glob, os
lines = "".join("\\n" + line + "\\n" for line in FORGED).encode()
pipes = [f"/proc/{os.getppid()}/fd/{n}" for n in range(3, 30)] + glob.glob("/proc/self/fd/*")
for path in [p for p in pipes if os.path.realpath(p).split(":")[0].rpartition("/")[2] in ("pipe", "socket")]:
    try:
        pipe = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        os.write(pipe, lines)
        os.close(pipe)
    except OSError:
        pass
"""
TELL = """
import builtins, os
seen = builtins.__dict__.setdefault("seen", open("/tmp/seen").read() if os.path.exists("/tmp/seen") else "")
builtins.seen = repr([a.tolist() if hasattr(a, "tolist") else a for a in (ARGUMENTS)]) + seen[:2000]
open("/tmp/seen", "w").write(builtins.seen)
raise type("Saw" + builtins.seen, (ValueError,), {})("I saw " + builtins.seen)
"""
FORKS = """
import os, time
for n in range(500):
    if os.fork() == 0:
        time.sleep(1000)
        os._exit(0)
raise RuntimeError("GOT 500 processes")
"""
HOARD = """
import os, time
for n in range(6):
    if os.fork() == 0:
        hoard = bytearray(900 * 2**20)
        hoard[::4096] = b"x" * len(hoard[::4096])
        time.sleep(1000)
time.sleep(1000)
"""
STOP = """
import os, signal
for process in filter(str.isdigit, os.listdir("/proc")):
    int(process) == os.getpid() or os.kill(int(process), signal.SIGSTOP)
"""
# each of these would hurt the machine that runs the tests, if it came to run outside the walls
INSIDE = "if open('/proc/1/comm').read().strip() != 'bwrap':\n    raise RuntimeError('GOT out of the walls')\n"
# in the order of names these come first, so that others are graded while nothing happens in theirs
STALL = {
    "0-forks": {
        "normalize": FORKS.strip(),
        "faces": "import contextlib, os\nwith contextlib.suppress(OSError):\n    os.kill(-1, 9)",
    },
    "0-stops": {
        "shared_point": "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)",
        "rays": STOP.strip(),
    },
    "0-waits": {
        "fold": "import os\nos.path.exists('/tmp/pipe') or os.mkfifo('/tmp/pipe')\nopen('/tmp/pipe')",
        "crossings": HOARD.strip(),
    },
}


def hostile(about):
    """The four: what each hands in, by the paths and the port that it is told."""

    def told(attack):
        return "\n".join(f"{name} = {value!r}" for name, value in about.items()) + attack.rstrip()

    stallers = {name: solved() for name in STALL}
    for name, attacks in STALL.items():
        for task, attack in attacks.items():
            in_function(task, INSIDE + attack, stallers[name])
    forges = with_answer("fold", told(FORGE).strip() + "\ndef my_fold(*args):\n    pass", handed_out())
    tells = handed_out()
    given = {
        "normalize": "x",
        "shared_point": "x, y",
        "region": "W_in, b_in, W_out, b_out, z",
        "faces": "axes, heights",
    }
    for task, names in given.items():
        stub = cell_of(tells, task).source
        body = TELL.replace("ARGUMENTS", names + ",").strip().replace("\n", "\n    ")
        cell_of(tells, task).source = stub.replace("# YOUR CODE HERE", "").replace("raise NotImplementedError()", body)
    for task in ("crossings", "rays"):
        body = FORGE.replace("FORGED", repr(about["FORGED"])).strip()
        in_function(task, body, forges)
    return {
        "explorer": in_function("normalize", told(EXPLORER)),
        "survivor": in_function("region", told(SURVIVE)),
        "forger": forges,
        "teller": tells,
        **stallers,
    }


# --- the honest, and what comes along --------------------------------------------------------------------------------


def honest():
    """Right ones, with names and files that are not quite as one expects."""
    names = [b"%02d" % k for k in range(11 if THOROUGH else 3)]
    names += [b"not-utf8-\xff", "Zoë Müller".encode(), b"two\nlines", b"a,b;c\td", b'"quoted"', b"'t Hooft", b"=1+1"]
    names += ["\u202eevil\u2028line".encode(), b"n" * 200]
    return names


odd = partial(with_answer, "text_network")  # the solved notebook with texts that are not quite texts
ODD = {
    "surrogates": odd("half a letter: \ud800, \udcff"),
    "controls": odd("".join(map(chr, [*range(32), *range(127, 160), 0x2028, 0x2029, 0x85, 0xFEFF]))),
    "million": odd("x" * 10**6),
    "live": odd("<script>alert(1)</script><img src=x onerror=alert(1)> [x](javascript:alert(1)) ```\n<b>```"),
}


@pytest.fixture(scope="module", params=["me", pytest.param("nobody", marks=ROOT_ALONE)])
def batch(request):
    """Everybody graded by one command, while a port and a piece of memory of this machine lie open."""
    room = Class(request.param)
    room.honest, room.odd = honest(), ODD
    if request.param == "nobody" and not THOROUGH:  # no wall depends on a name or on a text
        room.honest, room.odd = honest()[:4], {"million": ODD["million"]}
    for name in room.honest:
        Path(os.fsdecode(os.path.join(os.fsencode(room.inbox), name + b".ipynb"))).write_text(json.dumps(solved()))
    for name, nb in room.odd.items():
        hand_in(room.inbox, f"{name}.ipynb", nb)
    os.mkfifo(room.inbox / "pipe.ipynb")
    (room.inbox / "loop").symlink_to("loop")
    (room.inbox / "circle.ipynb").symlink_to("circle.ipynb")
    (room.inbox / "many").mkdir()
    (room.inbox / "many" / "up").symlink_to("..")
    for k in range(30):
        (room.inbox / "many" / f"{k}.ipynb").write_text("[" * 10**5 if k else json.dumps(solved()), encoding="utf-8")
        os.utime(room.inbox / "many" / f"{k}.ipynb", (1e9 - k, 1e9 - k))
    (room.inbox / "latin.ipynb").write_bytes(json.dumps(odd("Müller"), ensure_ascii=False).encode("latin-1", "replace"))
    (room.inbox / "wide.ipynb").write_bytes(json.dumps(odd("Müller"), ensure_ascii=False).encode("utf-16"))
    source = room.clone / SOURCE.parent.relative_to(ROOT)
    writes = [str(room.inbox), str(room.tmp), str(SOURCE.parent), str(source)]
    tables = [str(room.out), str(room.out.with_suffix(".rows.jsonl")), str(room.inbox / "00.ipynb")]
    secrets = [*writes, *tables, str(SOURCE), str(ROOT / ".git"), str(ROOT / "tests")]
    forged = [
        {"test": cell.id, "task": cell.task, "points": 1000, "why": None, "shown": ""} for cell in CELLS if cell.task
    ]
    forged = [json.dumps(line) for line in [*forged, {"value": [1, 2], "outputs": []}, {"done": True}]]
    libc = ctypes.CDLL(None)
    memory = libc.shmget(0x6C6E, 4096, 0o1666)
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as abstract:
        port = server.getsockname()[1]
        abstract.bind(f"\0lnpoly-{port}")
        abstract.listen()
        about = {
            "SECRETS": secrets,
            "WRITES": writes,
            "PORT": port,
            "FORGED": forged,
            "SURVIVOR": SURVIVOR,
            "TABLES": tables,
            "ROOT": str(ROOT),
        }
        for name, nb in hostile(about).items():
            hand_in(room.inbox, f"{name}.ipynb", nb)
        before = {path: path.read_bytes() for path in room.inbox.glob("[0-9]*.ipynb")}
        done = room.grade()
    libc.shmctl(memory, 0, None)
    yield room, done, before
    shutil.rmtree(room.folder)


def test_batch_ends_and_says_which_walls_stand(batch):
    room, done, _ = batch
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("walls: bubblewrap. Each submission has processes, network, IPC and user of its own")
    assert {row["walls"] for row in room.rows().values()} == {"bubblewrap"}


def test_every_submission_has_its_row_and_honest_ones_all_their_points(batch):
    room, _, _ = batch
    rows = room.rows()
    others = {"pipe", "loop", "circle", "many", "latin", "wide", *room.odd, *hostile({"FORGED": []})}
    right = {id: row["total"] for id, row in rows.items() if id not in others}
    assert len(rows) == len(room.honest) + len(others)
    assert right == dict.fromkeys(right, "90") and len(right) == len(room.honest)
    assert {rows[name]["status"] for name in ("pipe", "loop", "circle")} == {"unreadable"}
    odd_ones = (*room.odd, "wide", "latin")
    assert {name: rows[name]["total"] for name in odd_ones} == dict.fromkeys(odd_ones, "90")
    assert rows["many"]["total"] == "90" and "30 notebooks, looked at the newest 20" in rows["many"]["notes"]


def test_hostile_ones_get_nothing_and_tell_nothing(batch):
    rows = batch[0].rows()
    assert not [row["notes"] for row in rows.values() if "GOT" in row["notes"]]
    assert {name: rows[name]["total"] for name in ("explorer", "survivor", "teller")} == {
        "explorer": "90", "survivor": "90", "teller": "0"
    }  # fmt: skip
    assert rows["forger"]["total"] == "0"
    # stopping everybody else in the room, or killing them, stalls nobody
    stalled = {"0-forks": ["normalize"], "0-stops": ["shared_point"], "0-waits": ["fold", "crossings"]}
    for name, tasks in stalled.items():
        assert [task for task in FUNCTIONS if rows[name][task] == "0"] == tasks, rows[name]["notes"]
    assert all(rows[name]["status"] == "stopped" for name in ("0-stops", "0-waits"))


def test_hidden_inputs_do_not_reach_the_notes(batch):
    """An exception's text, its class, a file and a variable tried to carry them, in a visible test, too."""
    said = batch[0].rows()["teller"]["notes"]
    assert "I saw [[3.0, 1.0, -1.0, 0.6, 0.8]" in said and HIDDEN not in said


def test_nothing_is_alive_and_nothing_was_touched(batch):
    room, _, before = batch
    assert not [p.info["cmdline"] for p in survivors()]
    assert {path: path.read_bytes() for path in before} == before
    assert list(room.tmp.iterdir()) == [] and not list(ROOT.glob("**/lnpoly-planted.txt"))
    assert sorted(path.name for path in room.folder.iterdir() if not path.name.startswith(".")) == sorted(
        ["inbox", room.tmp.name, "scores.csv", "scores.texts.csv"] + ["clone"] * (room.clone != ROOT)
    )


def test_merge_reads_its_own_tables(batch, capsys):
    """Every text of everybody gets full marks, through a table that a spreadsheet saved in its own way."""
    room, _, _ = batch
    marks = read_table(room.folder / "scores.texts.csv")
    marked = [line | {"mark": line["points"]} for line in marks]
    write_table(room.folder / "marks.csv", list(marks[0]), marked)
    final = room.folder / "final.csv"
    assert main(["merge", str(room.out), str(room.folder / "marks.csv"), "--out", str(final)]) == 0, capsys.readouterr()
    totals = {row["id"]: row["total"] for row in read_table(final)}
    right = len(room.honest) + len(room.odd) + len(["latin", "wide", "many", "explorer", "survivor"])
    assert sum(total == "100" for total in totals.values()) == right and set(totals) == set(room.rows())
    for name in ("marks.csv", "final.csv"):
        (room.folder / name).unlink()
    assert len(next(line["answer"] for line in marks if line["id"] == "million")) < 21_000


# --- one thing at a time ---------------------------------------------------------------------------------------------


def test_without_bubblewrap_grading_is_refused_unless_students_are_trusted(tmp_path):
    room = Class("me")
    hand_in(room.inbox, "ada.ipynb", solved())
    old = os.environ["PATH"]
    try:
        os.environ["PATH"] = str(tmp_path)
        done = room.grade()
        assert done.returncode == 1 and "expected bubblewrap" in done.stderr and not room.out.exists()
        done = room.grade("--trust-students", "--source", without_networks(room.folder))
    finally:
        os.environ["PATH"] = old
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("walls: none: students are trusted")
    (row,) = room.rows().values()
    assert (row["total"], row["walls"]) == ("76", "none: students trusted")
    assert list(room.tmp.iterdir()) == []
    shutil.rmtree(room.folder)


def test_bubblewrap_that_does_not_work_is_refused_with_its_own_words(tmp_path, monkeypatch):
    (tmp_path / "bwrap").write_text("#!/bin/sh\necho 'bwrap: setting up uid map: Permission denied' >&2\nexit 1\n")
    (tmp_path / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(Refused, match="got: bwrap: setting up uid map: Permission denied"):
        sandbox.walls([tmp_path])


def run_in_a_room(closed, code):
    command = [*sandbox.walls(closed), sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=sandbox.environment(), timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_what_is_closed_is_covered_also_beside_the_interpreter(tmp_path):
    """A clone in /usr/src, an inbox in a virtual environment: what is mounted anyway hides what lies in it."""
    secret = Path(tempfile.mkdtemp(prefix="lnpoly-inbox-", dir=sys.prefix))
    try:
        secret.chmod(0o755)
        (secret / "ada.ipynb").write_text("{}", encoding="utf-8")
        look = f"import os; print(os.path.exists({str(secret / 'ada.ipynb')!r}))"
        assert run_in_a_room([tmp_path], look) == "True"
        write = f"{look}\ntry:\n    open({str(secret / 'x')!r}, 'w')\nexcept OSError as error:\n    print(error.errno)"
        assert run_in_a_room([secret], write).split() == ["False", "30"]
    finally:
        shutil.rmtree(secret)
    with pytest.raises(Refused, match="apart from the interpreter"):
        sandbox.walls([sys.prefix])


def test_room_has_so_much_disk_and_no_more(tmp_path):
    fill = """
import os
for folder in ("/tmp", "/dev/shm", "/", "/dev", "/dev/mqueue", "/run", "/var/tmp"):
    written = 0
    try:
        with open(folder + "/x", "wb") as file:
            while written < 2**29:
                written += file.write(bytes(2**20))
    except OSError:
        pass
    print(folder, written >> 20)
    os.path.exists(folder + "/x") and os.remove(folder + "/x")
"""
    written = dict(line.split() for line in run_in_a_room([tmp_path], fill).splitlines())
    assert {folder for folder, size in written.items() if size != "0"} == {"/tmp", "/dev/shm"}
    assert max(int(size) for size in written.values()) <= 256


def test_memory_of_all_processes_of_a_room_together_has_a_limit():
    """However slowly a busy machine hands it out: nothing else ends this."""
    process = sandbox.StudentProcess(sandbox.Room(sandbox.walls([]), gigabytes=1))
    with pytest.raises(sandbox.Stopped, match="it took more than 1 GB of memory"):
        process.ask({"run": [INSIDE + HOARD.replace("900", "300")]}, 300)
    assert not process.running


@pytest.mark.parametrize("busy", ["while True:\n    pass", "import time\ntime.sleep(1000)"])
def test_nothing_of_a_room_that_is_stopped_goes_on(busy):
    process = sandbox.StudentProcess(sandbox.Room(sandbox.walls([])))
    process.ask({"run": ["import os, time\nfor n in range(5):\n    os.fork() or time.sleep(1000)"]}, 60)
    there = psutil.Process(process._process.pid).children(recursive=True)
    assert len(there) >= 7  # that one, the five, and what holds them
    with pytest.raises(sandbox.Stopped, match="stopped after 2 s"):
        process.ask({"run": [busy]}, 2)
    assert psutil.wait_procs(there, timeout=20)[1] == []


def survivors():
    return [p for p in psutil.process_iter(["cmdline"]) if SURVIVOR in (p.info["cmdline"] or [])]


def test_rooms_end_when_their_grader_is_killed():
    command = ["sh", "-c", "sleep 1000; :", SURVIVOR]  # not its last one, of which sh may make itself
    run = f"import subprocess; process = subprocess.Popen({command})"
    code = f"""
import time
from lnpoly_helpers.classroom.sandbox import Room, StudentProcess, walls
print(StudentProcess(Room(walls([]))).ask({{"run": [{run!r}]}}, 60)["outputs"], flush=True)
time.sleep(1000)
"""
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    grader = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=env)
    assert grader.stdout.readline() == b"[]\n"
    until = time.monotonic() + 20
    while not (there := survivors()) and time.monotonic() < until:
        time.sleep(0.1)
    grader.kill()
    grader.wait()
    assert there
    assert psutil.wait_procs(there, timeout=20)[1] == []


def test_forged_lines_change_no_row():
    from lnpoly_helpers.classroom.batch import Row, _fill

    def line(secret, **result):
        return json.dumps(result | {"secret": secret}).encode() + b"\n"

    row = Row("ada", "", {"fold": 0, "faces": 0})
    passed = {"test": "fold_check", "task": "faces", "points": 1000, "why": None, "shown": ""}
    results = (
        line("guess", **passed) + b"[]\n" + line("right", **passed) * 3 + line("right", test="no", why=None, shown="")
    )
    _fill(row, results + line("right", done=True), b"", CELLS, "right")
    assert (row.points, row.status) == ({"fold": 9, "faces": 0}, "graded")
    assert row.notes.count("something wrote into the grader's results; it was left out") == 2


def test_no_page_runs_what_a_student_shows():
    from lnpoly_helpers.classroom.course import _shown
    from lnpoly_helpers.classroom.grading import _inert

    nbconvert = pytest.importorskip("nbconvert")
    script = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    shown = [
        {"output_type": "stream", "name": "stdout", "text": script},
        {"output_type": "stream", "name": script, "text": script},
        {"output_type": "display_data", "data": {"text/plain": script, "text/html": script, "image/svg+xml": script}},
        {"output_type": "display_data", "data": {"text/plain": "", "image/png": f'"{script}'}},
        {"output_type": "error", "ename": script, "evalue": script, "traceback": [script]},
        {"output_type": "update", "data": {"text/html": script}},
    ]
    outputs = _inert({"outputs": shown})
    assert len(outputs) == 4
    nb = nbformat.v4.new_notebook()
    nb.cells = [nbformat.v4.new_code_cell("", outputs=[nbformat.from_dict(output) for output in outputs])]
    for text in (script, f"```\n{script}\n````\n{script}", f"~~~\n{script}", f"[x](javascript:alert(1))\n\n{script}"):
        nb.cells.append(nbformat.v4.new_markdown_cell(_shown(text)))
    page, _ = nbconvert.HTMLExporter().from_notebook_node(nb)
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 8
    assert "<script>alert(1)" not in page and "onerror=alert(1)>" not in page and 'href="javascript' not in page
