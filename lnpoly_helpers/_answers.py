"""A student's function, called so that every way to fail is told apart and gets a sentence of its own."""

import dis
from types import CodeType, FunctionType, ModuleType

import numpy as np

_PACKAGE = __name__.split(".")[0]
_LOADS = {"LOAD_GLOBAL", "LOAD_NAME", "IMPORT_NAME"}


class CheckFailed(AssertionError):
    """Says what is missing in one sentence; a notebook shows that sentence and no traceback."""

    def _render_traceback_(self):  # what IPython asks for
        return [f"Not yet. {self}"]


def expect(holds, sentence):
    """Raise `CheckFailed` with that sentence unless it holds."""
    if not holds:
        raise CheckFailed(sentence)


def near(a, b, tolerance=1e-9):
    """Whether two arrays agree to the tolerance, relative to the largest number in the second (at least 1)."""
    a, b = np.asarray(a), np.asarray(b)
    return a.shape == b.shape and bool((np.abs(a - b) <= tolerance * max(1.0, np.abs(b).max(initial=0))).all())


class Answer:
    """A function that a student wrote.

    Parameters
    ----------
    function : callable
    name : str
        What the task calls it.

    Raises
    ------
    CheckFailed
        It is no function, or it uses the part of this package that it should rebuild.
    """

    def __init__(self, function, name):
        self.function, self.name, self.given = function, name, ""
        expect(callable(function), f"{name} is {kind(function)}, not a function: was its name used for something else?")
        taken = borrowed(function)
        expect(not taken, f"{name} uses {taken} of {_PACKAGE}. Write it with NumPy: that is the task.")

    def __call__(self, *args, **kwargs):
        """What the function returns for copies of these arguments."""
        mine = [np.array(a) if isinstance(a, np.ndarray) else a for a in args]
        shapes = [str(list(a.shape)) for a in mine if isinstance(a, np.ndarray)]
        self.given = f"for input of shape {', '.join(shapes)}" if shapes else "for that input"
        try:
            value = self.function(*mine, **kwargs)
        except NotImplementedError:
            stub = "put your code where `raise NotImplementedError()` stands."
            raise CheckFailed(f"{self.name} is not written yet: {stub}") from None
        except Exception as error:
            raise CheckFailed(f"{self.name} raised {type(error).__name__} {self.given}: {error}") from None
        untouched = all(np.array_equal(a, b) for a, b in zip(args, mine) if isinstance(a, np.ndarray))
        expect(untouched, f"{self.name} changes its input in place: write x = x - m, which makes a copy, not x -= m.")
        return value

    def array(self, *args, shape, **kwargs):
        """What it returns, as finite float64 of that shape; None in the shape stands for any length."""
        return self.as_array(self(*args, **kwargs), shape, f"What {self.name} returns")

    def arrays(self, *args, shapes, **kwargs):
        """The several values that it returns, as arrays; ``shapes`` maps their names to their shapes."""
        value, names = self(*args, **kwargs), ", ".join(shapes)
        expect(value is not None, f"{self.name} returned None {self.given}: is `return {names}` its last line?")
        several = isinstance(value, (tuple, list)) and len(value) == len(shapes)
        expect(several, f"{self.name} returned {kind(value)} {self.given}: expected {len(shapes)} values, {names}.")
        return [self.as_array(v, shape, f"{name} of {self.name}") for v, (name, shape) in zip(value, shapes.items())]

    def as_array(self, value, shape, what):
        """A value as finite float64 of that shape; ``what`` begins the sentence if it is not."""
        expect(value is not None, f"{what} is None {self.given}: is there a `return` at the end?")
        try:
            array = np.asarray(value)
        except Exception:
            array = np.asarray(None)
        numbers = array.dtype.kind in "biuf"
        expect(numbers, f"{what} is {kind(value)} {self.given}: expected an array of real numbers.")
        fits = array.ndim == len(shape) and all(want in (None, n) for n, want in zip(array.shape, shape))
        wanted = str(["any" if n is None else n for n in shape]).replace("'", "") if shape else "a single number"
        expect(fits, f"{what} has shape {list(array.shape)} {self.given}: expected {wanted}.")
        expect(np.isfinite(array).all(), f"{what} holds NaN or infinity {self.given}.")
        return array.astype(np.float64)


def kind(value):
    """What a value is, in words."""
    if isinstance(value, (tuple, list)):
        return f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, np.ndarray):
        return f"an array of shape {list(value.shape)} and dtype {value.dtype}"
    return getattr(value, "kind", f"a {type(value).__name__}")


def borrowed(function):
    """What a function uses out of this package, itself or through functions of its notebook: a name, or None."""
    if hasattr(function, "borrowed"):  # it runs in another process and is asked there
        return function.borrowed()
    waiting, seen = [function], set()
    while waiting:
        value = waiting.pop()
        module = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
        if str(module).split(".")[0] == _PACKAGE:
            return getattr(value, "__name__", type(value).__name__)
        if isinstance(value, FunctionType) and value not in seen:
            seen.add(value)
            names = _names(value.__code__)
            if any(name.split(".")[0] == _PACKAGE for name in names):
                return "an import"
            waiting += [value.__globals__[name] for name in names if name in value.__globals__]
    return None


def _names(code):
    """The global names that a function's code reads and the modules that it imports."""
    here = {step.argval for step in dis.get_instructions(code) if step.opname in _LOADS}
    return here.union(*(_names(const) for const in code.co_consts if isinstance(const, CodeType)))
