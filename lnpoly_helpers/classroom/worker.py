"""The student's side: an IPython that runs cells and calls functions, asked over a socket, one line of JSON a time.

It knows no test and decides nothing: whatever a student's code makes of it, what it sends back is taken for data.
"""

import ast
import base64
import contextlib
import io
import json
import os
import pickle
import sys
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any

from .._answers import borrowed
from .exchange import decode, encode, message_of

_ROOM = 200_000  # letters of output that are kept of one cell, and bytes of one picture
_SHOWN = 50  # results and pictures that are kept of one cell
_PACKAGE = __name__.split(".")[0]


def main():
    """Answer the requests that come in, until no more do."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    settings = json.loads(requests.readline())
    limit(settings["gigabytes"], settings["processes"], settings["disk"])
    for name, text in settings["files"].items():
        Path(os.environ["MPLCONFIGDIR"], name).write_text(text, encoding="utf-8")
    student = Student()
    for line in requests:
        answers.write(json.dumps(student.answer(json.loads(line))).encode() + b"\n")
        answers.flush()


def limit(gigabytes, processes=None, disk=None):
    """Bound the memory of this process, the processes beside it in its room, and the bytes of a file.

    What a system does not know is left out: macOS bounds no memory.
    """
    import resource  # not on every system

    bounds = {"RLIMIT_AS": int(gigabytes * 2**30), "RLIMIT_NPROC": processes, "RLIMIT_FSIZE": disk, "RLIMIT_CORE": 0}
    for name, bound in bounds.items():
        if bound is not None:
            with contextlib.suppress(AttributeError, OSError, ValueError):
                resource.setrlimit(getattr(resource, name), (bound, bound))
    if disk:
        with contextlib.suppress(OSError):  # where memory runs out, this is what the system ends first
            Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


class Student:
    """The student's namespace, in an IPython without history, files or a terminal."""

    def __init__(self):
        from IPython.core.displayhook import CapturingDisplayHook
        from IPython.core.displaypub import CapturingDisplayPublisher
        from IPython.core.interactiveshell import InteractiveShell
        from traitlets.config import Config

        config = Config({"HistoryManager": {"enabled": False}, "InteractiveShell": {"colors": "nocolor"}})
        self.shell: Any = InteractiveShell.instance(config=config)
        self.shell.display_pub = CapturingDisplayPublisher()
        self.displays = self.shell.display_pub.outputs
        self.shell.display_trap.hook = CapturingDisplayHook(shell=self.shell, outputs=self.displays)
        self.shell.ask_exit = lambda: None  # exit() must not end it cells later
        self.shell._showtraceback = lambda kind, error, lines: self.traceback.extend(map(str, lines))
        self.traceback = []

    def answer(self, request):
        """What a request asks for: to run a cell, to take variables over, to call a function or to look at it."""
        with contextlib.redirect_stdout(_Written()) as out, contextlib.redirect_stderr(_Written()) as err:
            try:
                answer = self._answer(request, out, err)
            except BaseException as error:  # SystemExit and KeyboardInterrupt are answers, too
                answer = {"error": type(error).__name__, "message": message_of(error)}
        return answer | {"stderr": err.written}

    def _answer(self, request, out, err):
        match request:
            case {"run": parts}:
                return {"outputs": self.run(parts, out, err)}
            case {"load": data}:
                self.shell.user_ns.update(pickle.loads(base64.b64decode(data)))
                return {}
            case {"call": name, "arguments": arguments}:
                function, (args, kwargs) = self.named(name), decode(arguments)
                with _without_the_package():
                    value = function(*args, **dict(kwargs))
                return {"value": encode(value), "args": encode(args)}
            case {"look at": name}:
                return {"value": encode(borrowed(self.named(name)))}
            case _:
                raise ValueError("expected another request")

    def named(self, name):
        """The function of that name."""
        if name not in self.shell.user_ns:
            raise NameError(f"name {name!r} is not defined")
        return self.shell.user_ns[name]

    def run(self, parts, out, err):
        """Run an answer's cells: as one where they only stand together, as after a cut through a function."""
        whole = "\n".join(parts)
        together = not any(part.startswith("%%") for part in parts[1:]) and self.is_python(whole)
        outputs = []
        for part in [whole] if together else parts:
            self.displays.clear()
            self.traceback.clear()
            result = self.shell.run_cell(part, store_history=False)
            for stream, name in ((out, "stdout"), (err, "stderr")):
                if text := stream.getvalue():
                    outputs.append({"output_type": "stream", "name": name, "text": text})
                    stream.seek(stream.truncate(0))
            for shown in self.displays[:_SHOWN]:
                outputs.append({"output_type": "display_data", "data": _plain(shown.get("data", {}))})
            if error := result.error_before_exec or result.error_in_exec:
                about = {"ename": type(error).__name__, "evalue": message_of(error), "traceback": self.traceback[-50:]}
                outputs.append({"output_type": "error", **about})
        return outputs[: 2 * _SHOWN]

    def is_python(self, source):
        """Whether a cell compiles, IPython's own lines included."""
        try:
            compile(self.shell.transform_cell(source), "cell", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        except Exception:
            return False
        return True


class _Written(io.StringIO):
    """What a cell prints, up to some length."""

    written = False

    def write(self, text):
        self.written = True
        super().write(str(text)[: max(0, _ROOM - self.tell())])
        return len(text)


def _plain(data):
    """Of the forms of a result the text and the picture, which no page runs."""
    kept = {"text/plain": str(data.get("text/plain", ""))[:_ROOM]}
    picture = data.get("image/png")
    if isinstance(picture, bytes):
        picture = base64.b64encode(picture).decode()
    if isinstance(picture, str) and len(picture) <= 2 * _ROOM:
        kept["image/png"] = picture
    return kept


class _Refusing(MetaPathFinder):
    """Finds nothing of this package."""

    def find_spec(self, fullname, path=None, target=None):
        """Raises for this package, and leaves the rest to others."""
        if fullname.split(".")[0] == _PACKAGE:
            raise ImportError(f"{_PACKAGE} does not count in an answer: write it with NumPy")


@contextlib.contextmanager
def _without_the_package():
    """No import of this package, while an answer is called."""
    mine = {name: module for name, module in sys.modules.items() if name.split(".")[0] == _PACKAGE}
    for name in mine:
        del sys.modules[name]
    sys.meta_path.insert(0, finder := _Refusing())
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            sys.meta_path.remove(finder)
        sys.modules.update(mine)


if __name__ == "__main__":
    main()
