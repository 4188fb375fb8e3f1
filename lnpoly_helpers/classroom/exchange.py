"""A student's function, called from another process: numbers and arrays go over as text, and nothing else does.

The tests run in the teacher's process and the function runs in the student's. What comes back is data: it can be
wrong, but it cannot change a test, read one, or report a success. `reply` is the student's side, `RemoteFunction`
the teacher's.
"""

import base64
import contextlib
import json
import pickle
import secrets
import sys
from pathlib import Path
from typing import Any

import numpy as np

from .._answers import borrowed, kind

_LARGEST = 2**26  # bytes of one array
_FLOOD = 10**6  # letters that one cell may print
_LONGEST = 1000  # items of one list, letters of one message


class Opaque:
    """Stands for a value that does not go over; knows what it was."""

    __array__ = None  # NumPy makes no number of it

    def __init__(self, what):
        self.kind = what


def encode(value, depth=0):
    """A value as JSON can hold it."""
    if value is None or isinstance(value, (bool, float)) or (isinstance(value, int) and abs(value) < 2**63):
        return value
    if isinstance(value, str):
        return {"str": value[:_LONGEST]}
    if isinstance(value, (list, tuple)) and len(value) <= _LONGEST and depth < 4:
        return {"tuple" if isinstance(value, tuple) else "list": [encode(item, depth + 1) for item in value]}
    what = kind(value)
    if hasattr(value, "__array__"):
        value = np.asarray(value)
        if value.dtype.kind in "biufc" and value.nbytes <= _LARGEST:
            data = base64.b64encode(np.ascontiguousarray(value).tobytes()).decode()
            return {"array": data, "dtype": value.dtype.str, "shape": list(value.shape)}
    return {"other": str(what)[:_LONGEST]}


def decode(value) -> Any:
    """The value that `encode` was given, an `Opaque` where it could not go over."""
    if not isinstance(value, dict):
        return value
    if "str" in value:
        return str(value["str"])
    if "array" in value:
        dtype = np.dtype(value["dtype"])
        if dtype.kind not in "biufc":
            raise ValueError(f"expected numbers, got dtype {dtype}")
        return np.frombuffer(base64.b64decode(value["array"]), dtype).reshape(value["shape"]).copy()
    for make, name in ((tuple, "tuple"), (list, "list")):
        if name in value:
            return make(decode(item) for item in value[name])
    return Opaque(str(value.get("other")))


def reply(namespace, name, question, answer):
    """Call a function of the student's namespace with the arguments in one file and put what it returns into another.

    Without a question it is not called, but asked what it uses of this package.
    """
    try:
        if name not in namespace:
            raise NameError(f"name {name!r} is not defined")
        if question is None:
            result = {"value": encode(borrowed(namespace[name]))}
        else:
            args, kwargs = decode(json.loads(Path(question).read_text(encoding="utf-8")))
            result = {"value": encode(namespace[name](*args, **dict(kwargs))), "args": encode(args)}
    except BaseException as error:  # SystemExit and KeyboardInterrupt are answers, too
        try:
            message = str(error)[:_LONGEST]
        except Exception:
            message = ""
        result = {"error": type(error).__name__, "message": message}
    Path(answer).write_text(json.dumps(result), encoding="utf-8")


def settle(shell):
    """Make a fresh kernel fit for grading: exit() does not end it cells later, and a flood of text does not fill it."""
    shell.ask_exit = lambda: None
    shell.events.register("pre_run_cell", _keep_short)


def _keep_short(info):
    for stream in (sys.stdout, sys.stderr):
        stream.write = _shortened(getattr(stream.write, "whole", stream.write))  # newer IPythons undo this themselves


def _shortened(whole):
    left = _FLOOD

    def write(text):
        nonlocal left
        left -= len(text)
        return whole(text) if left > 0 else len(text)

    vars(write)["whole"] = whole
    return write


def hand_over(namespace, names, file):
    """Put those of the variables into a file that can be pickled without torch."""
    plain = {}
    for name in names:
        with contextlib.suppress(Exception):
            data = pickle.dumps({name: namespace[name]})
            if not any(word in data for word in (b"torch", b"__main__")):
                plain[name] = namespace[name]
    Path(file).write_bytes(pickle.dumps(plain))


class RemoteFunction:
    """A function of a student's process that can be called like one of this process.

    Parameters
    ----------
    run : callable
        Takes the source of a cell and runs it in the student's process.
    name : str
    folder : path
        Where arguments and results lie while they go over. A kernel's messages can be late; a file is there or not.
    """

    def __init__(self, run, name, folder):
        self._run, self.__name__, self._folder = run, name, Path(folder)

    def __call__(self, *args, **kwargs):
        question = self._folder / "question.json"
        question.write_text(json.dumps(encode((args, tuple(kwargs.items())))), encoding="utf-8")
        answer = self._ask(str(question))
        after = answer.get("args")
        for mine, theirs in zip(args, after if isinstance(after, tuple) else (), strict=False):
            if isinstance(mine, np.ndarray) and isinstance(theirs, np.ndarray) and mine.shape == theirs.shape:
                mine[...] = theirs  # a function that changes its input changes it here, too
        return answer.get("value")

    def borrowed(self):
        """As `borrowed`, asked in the student's process: honest students are told, others can lie."""
        value = self._ask(None).get("value")
        return value if isinstance(value, str) else None

    def _ask(self, question):
        file = self._folder / f"answer-{secrets.token_hex(8)}.json"
        call = f"reply(get_ipython().user_ns, {self.__name__!r}, {question!r}, {str(file)!r})"
        self._run(f"import lnpoly_helpers.classroom.exchange as _\n_.{call}")
        try:
            if file.stat().st_size > 4 * _LARGEST:
                raise ValueError
            answer = json.loads(file.read_text(encoding="utf-8"))
            answer = {key: value if key in ("error", "message") else decode(value) for key, value in answer.items()}
        except Exception:
            raise RuntimeError("what it returned did not arrive") from None
        finally:
            file.unlink(missing_ok=True)
        if "error" in answer:
            name, message = str(answer["error"]), str(answer.get("message", ""))
            known = NotImplementedError if name == "NotImplementedError" else type(name, (Exception,), {})
            raise known(message)
        return answer
