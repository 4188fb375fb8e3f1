"""A student's function, called so that every way to fail is told apart and gets a sentence of its own."""

import dis
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

from ._inputs import Float

_PACKAGE = __name__.split(".")[0]
_LOADS = {"LOAD_GLOBAL", "LOAD_NAME", "IMPORT_NAME"}


class CheckFailed(AssertionError):
    """Says what is missing in one sentence; a notebook shows that sentence and no traceback.

    See Also
    --------
    expect

    Examples
    --------
    >>> raise CheckFailed("Your angles are not sorted.")
    Traceback (most recent call last):
    lnpoly_helpers.checks.CheckFailed: Your angles are not sorted.
    """

    __module__ = f"{_PACKAGE}.checks"  # the name that a traceback shows is the one that is promised

    def _render_traceback_(self):  # what IPython asks for
        return [f"Not yet. {self}"]


class NotAnswered(CheckFailed):
    """The function is still the stub that it was handed out as.

    See Also
    --------
    exercise

    Examples
    --------
    >>> raise NotAnswered("my_sort is not written yet.")
    Traceback (most recent call last):
    lnpoly_helpers.checks.NotAnswered: my_sort is not written yet.
    """

    __module__ = CheckFailed.__module__


def expect(holds: Any, sentence: str) -> None:
    """Raise `CheckFailed` with that sentence unless it holds.

    Parameters
    ----------
    holds : bool
    sentence : str
        What is missing, and why, to a student.

    Raises
    ------
    CheckFailed

    See Also
    --------
    near, Answer

    Examples
    --------
    >>> expect(2 > 1, "never said")
    >>> expect(2 < 1, "Your 2 is not below 1.")
    Traceback (most recent call last):
    lnpoly_helpers.checks.CheckFailed: Your 2 is not below 1.
    """
    if not holds:
        raise CheckFailed(sentence)


def near(a: Any, b: Any, tolerance: float = 1e-9) -> bool:
    """Whether two arrays have one shape and agree: |a - b| <= tolerance max(1, max |b|) in every entry.

    Parameters
    ----------
    a, b : array_like
    tolerance : float

    Returns
    -------
    bool
        False where shapes differ, and for NaN.

    See Also
    --------
    expect

    Examples
    --------
    >>> near([1.0, 2.0], [1.0, 2.0 + 1e-12]), near([1.0, 2.0], [1.0])
    (True, False)
    """
    a, b = np.asarray(a), np.asarray(b)
    return a.shape == b.shape and bool((np.abs(a - b) <= tolerance * max(1.0, np.abs(b).max(initial=0))).all())


class Answer:
    """A function that a student wrote, called so that every way to fail gets a sentence of its own.

    Parameters
    ----------
    function : callable
    name : str
        What the task calls it.

    Raises
    ------
    CheckFailed
        It is no function, or it uses the part of this package that it should rebuild.

    See Also
    --------
    expect, borrowed, kind

    Examples
    --------
    >>> f = Answer(np.sort, "my_sort")
    >>> f.array(np.array([2.0, 1.0]), shape=(2,))
    array([1., 2.])
    """

    def __init__(self, function: Any, name: str):
        self.function, self.name, self.given = function, name, ""
        expect(callable(function), f"{name} is {kind(function)}, not a function: was its name used for something else?")
        taken = borrowed(function)
        expect(not taken, f"{name} uses {taken} of {_PACKAGE}. Write it with NumPy: that is the task.")

    def __repr__(self):
        return f"Answer(name={self.name!r})"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What the function returns for copies of these arguments.

        Parameters
        ----------
        *args, **kwargs
            As the function takes them.

        Returns
        -------
        object

        Raises
        ------
        CheckFailed
            It is not written yet, it raises, or it changes an array that it was given.
        """
        mine = [np.array(a) if isinstance(a, np.ndarray) else a for a in args]
        shapes = [str(list(a.shape)) for a in mine if isinstance(a, np.ndarray)]
        self.given = f"for input of shape {', '.join(shapes)}" if shapes else "for that input"
        try:
            value = self.function(*mine, **kwargs)
        except NotImplementedError:
            stub = "put your code where `raise NotImplementedError()` stands."
            raise NotAnswered(f"{self.name} is not written yet: {stub}") from None
        except Exception as error:
            raise CheckFailed(f"{self.name} raised {type(error).__name__} {self.given}: {error}") from None
        if kind(value) == kind(...):  # of what comes over from another process only the kind is known
            raise NotAnswered(f"{self.name} is not written yet: put your code where `...` stands.")
        untouched = all(np.array_equal(a, b) for a, b in zip(args, mine, strict=True) if isinstance(a, np.ndarray))
        expect(untouched, f"{self.name} changes its input in place: write x = x - m, which makes a copy, not x -= m.")
        return value

    def passed(self) -> None:
        """Say that every visible check passed."""
        print(f"{self.name}: every visible check passed.")

    def array(self, *args: Any, shape: tuple[int | None, ...], **kwargs: Any) -> Float[np.ndarray, "..."]:
        """What it returns, as finite float64 of that shape.

        Parameters
        ----------
        *args, **kwargs
            As the function takes them.
        shape : tuple
            None stands for any length.

        Returns
        -------
        float64 of that shape

        Raises
        ------
        CheckFailed
            It returns something else.
        """
        return self.as_array(self(*args, **kwargs), shape, f"What {self.name} returns")

    def arrays(
        self, *args: Any, shapes: dict[str, tuple[int | None, ...]], **kwargs: Any
    ) -> list[Float[np.ndarray, "..."]]:
        """The several values that it returns, each as `array` has it.

        Parameters
        ----------
        *args, **kwargs
            As the function takes them.
        shapes : dict
            The name of each value, in order, and its shape.

        Returns
        -------
        list of float64

        Raises
        ------
        CheckFailed
            It returns another number of values, or one of another kind.
        """
        value, names = self(*args, **kwargs), ", ".join(shapes)
        expect(value is not None, f"{self.name} returned None {self.given}: is `return {names}` its last line?")
        several = isinstance(value, (tuple, list)) and len(value) == len(shapes)
        expect(several, f"{self.name} returned {kind(value)} {self.given}: expected {len(shapes)} values, {names}.")
        given = zip(value, shapes.items(), strict=True)
        return [self.as_array(v, shape, f"{name} of {self.name}") for v, (name, shape) in given]

    def as_array(self, value: Any, shape: tuple[int | None, ...], what: str) -> Float[np.ndarray, "..."]:
        """A value as finite float64 of that shape.

        Parameters
        ----------
        value : object
        shape : tuple
            None stands for any length.
        what : str
            Begins the sentence if it is not.

        Returns
        -------
        float64 of that shape

        Raises
        ------
        CheckFailed
        """
        expect(value is not None, f"{what} is None {self.given}: is there a `return` at the end?")
        try:
            array = np.asarray(value)
        except Exception:
            array = np.asarray(None)
        numbers = array.dtype.kind in "biuf"
        expect(numbers, f"{what} is {kind(value)} {self.given}: expected an array of real numbers.")
        fits = array.ndim == len(shape) and all(want in (None, n) for n, want in zip(array.shape, shape, strict=True))
        wanted = str(["any" if n is None else n for n in shape]).replace("'", "") if shape else "a single number"
        expect(fits, f"{what} has shape {list(array.shape)} {self.given}: expected {wanted}.")
        expect(np.isfinite(array).all(), f"{what} holds NaN or infinity {self.given}.")
        return array.astype(np.float64)


@contextmanager
def exercise(function: Any, name: str) -> Iterator[Answer]:
    """The `Answer` to an exercise that nobody marks: what is still a stub is said to be one, and is no error.

    Parameters
    ----------
    function : callable
    name : str
        What the exercise calls it.

    Yields
    ------
    Answer

    Raises
    ------
    CheckFailed
        As in an `Answer`, except while the function is not written: a notebook runs on with its exercises open.

    See Also
    --------
    Answer, expect

    Examples
    --------
    >>> with exercise(np.sort, "my_sort") as f:
    ...     expect(near(f([2.0, 1.0]), [1.0, 2.0]), "Not sorted.")
    my_sort: right.
    """
    f = Answer(function, name)
    try:
        yield f
    except NotAnswered:
        print(f"{name}: not answered yet.")
    else:
        print(f"{name}: right.")


def kind(value: Any) -> str:
    """What a value is, in words.

    Parameters
    ----------
    value : object

    Returns
    -------
    str

    See Also
    --------
    Answer

    Examples
    --------
    >>> kind((1, 2)), kind(np.zeros((2, 3)))
    ('a tuple of 2', 'an array of shape [2, 3] and dtype float64')
    """
    if isinstance(value, (tuple, list)):
        return f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, np.ndarray):
        return f"an array of shape {list(value.shape)} and dtype {value.dtype}"
    given = getattr(value, "kind", None)  # what came over from another process knows what it was
    return given if isinstance(given, str) else f"a {type(value).__name__}"


def borrowed(function: Any) -> str | None:
    """What a function uses out of this package, itself or through functions of its notebook.

    Parameters
    ----------
    function : callable

    Returns
    -------
    str or None
        The name of the first thing that was found.

    Notes
    -----
    It reads names in the function's code and runs nothing: an honest student is told, one who hides it is not caught.

    See Also
    --------
    Answer

    Examples
    --------
    >>> borrowed(np.sort) is None, borrowed(near)
    (True, 'near')
    """
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
