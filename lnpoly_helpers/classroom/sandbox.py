"""A process for a student's code, inside walls that bubblewrap builds: a room with nothing in it but an interpreter.

The room has processes, a network, IPC and a user of its own, an empty ``/tmp`` in memory, and of this machine's files
those of the interpreter and of this package alone, which it cannot write. It ends with the process that made it.
"""

import contextlib
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import sysconfig
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from .tables import Refused

_PACKAGE = Path(__file__).resolve().parents[1]
_SYSTEM = ("/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/alternatives")
_NOBODY = "65534"
_PROCESSES = 64  # of one submission, threads included
_DISK = 256 * 2**20  # bytes that one submission may write
_LARGEST = 2**28  # bytes of one answer
_LOOK = 0.25  # seconds between two looks at the memory
_KEPT = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL")


class Stopped(BaseException):
    """The student's process was stopped or ended by itself; says why. No ``except Exception`` of a test swallows it."""


@dataclass
class Room:
    """Where a student's code runs: the command that builds the walls (none if students are trusted), and limits."""

    walls: list = field(default_factory=list)
    home: str = "/tmp"
    gigabytes: float = 4
    files: dict = field(default_factory=dict)  # {name: text}, laid into the home

    @property
    def processes(self):
        """How many it may hold; None where the system counts those of other rooms, too."""
        release = platform.release().split(".")[:2]
        return _PROCESSES if self.walls and [int(n) for n in release if n.isdigit()] >= [5, 14] else None

    def __str__(self):
        if not self.walls:
            return (
                "none: students are trusted. What they hand in runs with your rights and can read and change your files"
            )
        processes = f"{self.processes} processes" if self.processes else "any number of processes (Linux before 5.14)"
        return (
            "bubblewrap. Each submission has processes, network, IPC and user of its own, reads the interpreter and "
            f"the package alone, and writes nothing outside; {self.gigabytes:g} GB of memory, {processes}, "
            f"{_DISK >> 20} MB of files"
        )


# --- the walls -------------------------------------------------------------------------------------------------------


def walls(closed):
    """The command that runs another one inside the walls; nothing of the paths ``closed`` is to be seen in there.

    Raises `Refused` where there is no bubblewrap, or where it does not work.
    """
    bwrap = shutil.which("bwrap")
    trust = "Or pass --trust-students, if nobody of the class would harm you: there are no walls then."
    if bwrap is None:
        raise Refused(
            "grade: expected bubblewrap, which keeps what students hand in from everything else, got no command bwrap. "
            f"Install it (apt-get install bubblewrap; on macOS and Windows, in a Linux of its own). {trust}"
        )
    command = _command(bwrap, _mounts(closed))
    test = [*command, sys.executable, "-c", "import IPython, lnpoly_helpers.classroom.worker"]
    done = subprocess.run(test, capture_output=True, text=True, encoding="utf-8", errors="replace", env=environment())
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise Refused(f"grade: expected bubblewrap to work on this machine, got: {why}. {trust}")
    return command


def _mounts(closed):
    """Options that mount the interpreter and the package, and cover what of ``closed`` lies in there."""
    places = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    places += [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    wanted = [*_SYSTEM, sys.prefix, sys.base_prefix, sys.exec_prefix, *places, os.path.dirname(sys.executable)]
    trees = {Path(path) for path in wanted if os.path.exists(path)}
    steps = {tree: ["--ro-bind", str(tree), str(tree)] for tree in {*trees, _PACKAGE}}
    closing = []
    for path in map(os.path.realpath, closed):
        for tree in trees:
            real = Path(os.path.realpath(tree))
            if Path(path) == real:
                raise Refused(f"grade: expected source, inbox and table apart from the interpreter, got {path}.")
            if real in Path(path).parents:
                cover = tree / Path(path).relative_to(real)
                steps[cover] = ["--tmpfs", str(cover)]
                closing += ["--remount-ro", str(cover)]
    options = []
    for parent in sorted({parent for path in steps for parent in path.parents} - {Path("/")}):
        if not any(tree == parent or tree in parent.parents for tree in trees):
            options += ["--dir", str(parent)]  # by bwrap itself they would be closed to all but root
    for path in sorted(steps, key=lambda path: len(path.parts)):
        options += steps[path]
    return options + closing


def _command(bwrap, mounts):
    room = [bwrap, "--die-with-parent", "--new-session", "--unshare-user", "--disable-userns", "--unshare-ipc"]
    room += ["--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try", "--proc", "/proc"]
    room += ["--dev", "/dev", "--size", str(_DISK), "--tmpfs", "/dev/shm", "--size", str(_DISK), "--tmpfs", "/tmp"]
    room += [*mounts, "--remount-ro", "/", "--remount-ro", "/dev", "--chdir", "/tmp"]
    if os.geteuid() != 0:
        return [*room, "--"]
    # the system counts no processes of root's: become nobody first, where the mounts are open to nobody, too
    outer = [bwrap, "--die-with-parent", "--dev-bind", "/proc", "/proc", "--dev-bind", "/dev", "/dev", "--dir", "/tmp"]
    outer += [*mounts, "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "--"]
    return [*outer, "setpriv", "--reuid", _NOBODY, "--regid", _NOBODY, "--clear-groups", *room, "--"]


def environment(home="/tmp"):
    """The variables that a student's process gets."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    kept |= dict.fromkeys(("HOME", "TMPDIR", "IPYTHONDIR", "JUPYTER_CONFIG_DIR", "MPLCONFIGDIR"), home)
    kept |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "HF_HUB_OFFLINE"), "1")
    backend = "module://matplotlib_inline.backend_inline"
    return kept | {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(_PACKAGE.parent), "MPLBACKEND": backend}


# --- the process -----------------------------------------------------------------------------------------------------


class StudentProcess:
    """One process in a room, started when it is first needed and again after it was stopped."""

    def __init__(self, room, env=None):
        self.room, self.env = room, env or environment(room.home)
        self._process: Any = None
        self._socket: Any = None

    @property
    def running(self):
        """Whether there is one."""
        return self._process is not None

    def ask(self, request, seconds):
        """What it answers to a request, both dicts. Raises `Stopped` if that takes longer or the process ends."""
        if not self.running:
            self._start()
        try:
            return self._exchange(request, time.monotonic() + seconds)
        except TimeoutError:
            why = f"it was stopped after {max(1, round(seconds))} s"
        except MemoryError as error:
            why = str(error) or "what it sent was too much"
        except (OSError, ValueError, RecursionError):
            why = "its process ended: a crash, an exit, or too much memory"
        self.kill()
        raise Stopped(why)

    def _start(self):
        self._socket, theirs = socket.socketpair()
        command = [*self.room.walls, sys.executable, "-m", "lnpoly_helpers.classroom.worker"]
        pipes = {"stdin": theirs, "stdout": theirs, "stderr": subprocess.DEVNULL}
        where = None if self.room.walls else self.room.home
        with theirs:
            self._process = subprocess.Popen(command, env=self.env, cwd=where, **pipes)
        room, disk = self.room, _DISK if self.room.walls else None
        settings = {"gigabytes": room.gigabytes, "processes": room.processes, "disk": disk, "files": room.files}
        self._socket.sendall(json.dumps(settings).encode() + b"\n")
        try:
            self.ask({"run": ["pass"]}, 60)  # so that the start takes no time of what comes next
        except Stopped as stop:  # not the student's doing
            raise RuntimeError(f"the room did not open: {stop}") from None

    def _exchange(self, request, until):
        """Send one line and read one, while looking after the time and the memory."""
        self._socket.settimeout(max(0.01, until - time.monotonic()))
        self._socket.sendall(json.dumps(request).encode() + b"\n")
        line, look = bytearray(), time.monotonic() + _LOOK
        while not line.endswith(b"\n"):
            now = time.monotonic()
            if now >= until:
                raise TimeoutError
            if now >= look:
                self._look_at_memory()
                look = now + _LOOK
            self._socket.settimeout(max(0.01, min(until, look) - now))
            try:
                piece = self._socket.recv(2**20)
            except TimeoutError:
                continue
            if not piece:
                raise ConnectionError
            line += piece
            if len(line) > _LARGEST:
                raise MemoryError
        answer = json.loads(line)
        if not isinstance(answer, dict):
            raise ValueError
        return answer

    def _all(self):
        """All processes of the room, and those that built its walls."""
        with contextlib.suppress(psutil.Error):
            first = psutil.Process(self._process.pid)
            return [first, *first.children(recursive=True)]
        return []

    def _look_at_memory(self):
        """Raises `MemoryError` if all processes of the room together hold more than they may."""
        used = 0
        for process in self._all():
            with contextlib.suppress(psutil.Error):  # it has just ended
                used += process.memory_info().rss
        if used > self.room.gigabytes * 2**30:
            raise MemoryError(f"it was stopped: it took more than {self.room.gigabytes:g} GB of memory")

    def kill(self):
        """End the process, and with it everything in its room; the next `ask` begins with a fresh one."""
        if self._process is not None:
            for process in self._all():  # bwrap has given root's rights away, and ends no bwrap that runs as nobody
                with contextlib.suppress(psutil.Error):
                    process.kill()
            self._process.kill()
            self._process.wait()
            self._socket.close()
        self._process = None
