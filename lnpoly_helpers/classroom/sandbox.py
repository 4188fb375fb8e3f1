"""A kernel for a student's cells, in a process group of its own, with limits on time and memory."""

import contextlib
import ctypes
import itertools
import math
import os
import signal
from pathlib import Path
from typing import Any

import psutil
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError
from nbclient.util import run_sync
from nbformat.v4 import new_code_cell, new_notebook

MARK = "LNPOLY_SUBMISSION"  # in the environment of everything that a submission starts
_ROOM = 200_000  # letters of output that are kept of one cell
_KEPT = ("PATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "LANG", "LC_ALL")


class Stopped(BaseException):
    """The student's process was stopped or ended by itself; says why. No ``except Exception`` of a test swallows it."""


class _Client(NotebookClient):
    """nbclient's runner, which drops what a cell shows beyond some size."""

    room = _ROOM

    def process_message(self, msg, cell, cell_index):
        if msg["msg_type"].startswith("comm"):
            return None  # widgets
        if msg["msg_type"] in ("stream", "display_data", "execute_result", "error", "update_display_data"):
            self.room -= len(str(msg["content"]))
            if self.room < 0:
                return None
        return super().process_message(msg, cell, cell_index)


class StudentProcess:
    """One kernel, started when it is first needed and again after it was stopped.

    Parameters
    ----------
    folder : path
        An empty folder: where the kernel runs, its home, its settings and its sockets.
    token : str
        Marks every process that comes out of this one.
    """

    def __init__(self, folder, token):
        self.folder, self.token, self._client = Path(folder), token, None
        self._numbers = itertools.count()

    @property
    def running(self):
        return self._client is not None

    def run(self, source, seconds):
        """Run one cell; returns its outputs. Raises `Stopped` if it takes longer or its process ends."""
        if seconds <= 0:
            raise Stopped("no time was left")
        client = self._client or self._start()
        client.timeout, client.room, cell = math.ceil(seconds), _ROOM, new_code_cell(source)
        try:
            client.execute_cell(cell, 0, store_history=False)
        except CellTimeoutError:
            self.kill()
            raise Stopped(f"it was stopped after {math.ceil(seconds)} s") from None
        except Exception:
            self.kill()
            raise Stopped("its process ended: a crash, an exit, or too much memory") from None
        return cell.outputs

    def _start(self):
        work = self.folder / "work"
        work.mkdir(exist_ok=True)
        client = _Client(new_notebook(cells=[new_code_cell()]), kernel_name="python3", allow_errors=True)
        client.startup_timeout = 60
        client.extra_arguments = ["--IPKernelApp.log_level=50", "--HistoryManager.enabled=False"]
        manager = client.create_kernel_manager()
        manager.transport, manager.ip = "ipc", str(self.folder / f"k{next(self._numbers)}")
        manager.connection_file = f"{manager.ip}.json"
        env = {name: os.environ[name] for name in _KEPT if name in os.environ}
        env |= dict.fromkeys(("HOME", "TMPDIR", "IPYTHONDIR", "JUPYTER_CONFIG_DIR", "MPLCONFIGDIR"), str(self.folder))
        env |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "HF_HUB_OFFLINE"), "1")
        env |= {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": python_path(), MARK: self.token}
        client.start_new_kernel(cwd=str(work), env=env)
        client.start_new_kernel_client()
        self._client = client
        self.run("import lnpoly_helpers.classroom.exchange as _\n_.settle(get_ipython())", 60)
        return client

    def kill(self):
        """End the kernel and all that it started; the next `run` begins with a fresh one."""
        client: Any = self._client
        self._client = None
        sweep(self.token)
        if client is not None:
            client.kc.stop_channels()
            run_sync(client.km.shutdown_kernel)(now=True)


def python_path():
    """PYTHONPATH with the folder of this very package in front, for a process that starts elsewhere."""
    here = str(Path(__file__).resolve().parents[2])
    return os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])])


def close_up(gigabytes):
    """Bound the memory and the files of this process and of all that it starts, and let none of them look into it.

    What a system does not know is left out: macOS bounds no memory, and only Linux has the last line, which closes
    /proc/<pid> to processes of the same user (not to root's).
    """
    import resource  # not on every system

    bounds = {"RLIMIT_AS": int(gigabytes * 2**30), "RLIMIT_FSIZE": 2**28, "RLIMIT_CORE": 0}
    for name, bound in bounds.items():
        with contextlib.suppress(AttributeError, OSError, ValueError):
            resource.setrlimit(getattr(resource, name), (bound, bound))
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(4, 0)  # PR_SET_DUMPABLE


def sweep(token):
    """Kill every process that carries the mark, also one that left its process group."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):  # another user's, or gone
            if process.environ().get(MARK) == token:
                os.kill(process.pid, signal.SIGKILL)
