"""What every explorer is: a widget whose state a cell can read and set, with a picture of it where no kernel runs.

    explorer = explore_circle()
    explorer                        as the last line of a cell: drag what it shows
    explorer.biases                 in a later cell: where the reader left it
    explorer.biases = (0, 0, 0.5)   and the picture follows

It is shown by JupyterLab, Notebook, VS Code, Colab and JupyterLite, with ipywidgets 7.7 or 8, through anywidget. What
the reader touches is `NAME.js` in this folder, and what explorers share is `common.js`. The site shows the same modules
without a kernel, from the state that stands in an output's metadata.
"""

import base64
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import anywidget
import numpy as np
import traitlets

from .._inputs import as_float64

_HERE = Path(__file__).parent


def module(name: str) -> str:
    """The one ES module that a front end takes: what explorers share and `NAME.js`, without the line that imports it.

    >>> "export default" in module("circle"), "import {" in module("circle")
    (True, False)
    """
    shared = (_HERE / "common.js").read_text(encoding="utf-8")
    own = (_HERE / f"{name}.js").read_text(encoding="utf-8")
    own = re.sub(r'^import \{[^}]*\} from "\./common\.js";\n', "", own, flags=re.MULTILINE)
    return re.sub(r"^export (?=const |function |class )", "", shared, flags=re.MULTILINE) + own


if TYPE_CHECKING:
    _Trait = traitlets.TraitType[Any, Any]
else:
    _Trait = traitlets.TraitType  # the traitlets of Colab knows no brackets


class State(_Trait):
    """A part of an explorer's state, the same in Python and in the browser.

    Parameters
    ----------
    check : callable
        ``check(value, explorer)`` returns a value as JSON has it (numbers, text, tuples of those), or raises an error
        that names what was expected. It sees every value that is set, and nothing changes where it raises.
    data : bool
        What the picture is made from and no reader moves: not among the explorer's `values`.
    """

    def __init__(self, check, *, data=False):
        super().__init__(None, allow_none=False)
        self.tag(sync=True)
        self.check, self.data = check, data

    def validate(self, obj, value):
        """What `check` makes of the value."""
        return self.check(value, obj)


def _range(low, high):
    return f" from {low:g} to {high:g}" if high < float("inf") else f" >= {low:g}"


def numbers(name, n, low=float("-inf"), high=float("inf")):
    """A `State` of n numbers from low to high, a tuple; n may be the name of the explorer's attribute that has it.

    >>> numbers("x", 2).check([1, 2], None)
    (1.0, 2.0)
    """

    def check(value, explorer):
        length = getattr(explorer, n) if isinstance(n, str) else n
        found = tuple(as_float64(value, name, shape=(length,)).tolist())
        if not all(low <= one <= high for one in found):
            raise ValueError(f"{name}: expected numbers{_range(low, high)}, got {list(found)}.")
        return found

    return State(check)


def number(name, low=float("-inf"), high=float("inf")):
    """A `State` of one number from low to high.

    >>> number("eps", 0).check(1, None)
    1.0
    """

    def check(value, explorer):
        found = float(as_float64(value, name, shape=()))
        if not low <= found <= high:
            raise ValueError(f"{name}: expected a number{_range(low, high)}, got {found:g}.")
        return found

    return State(check)


def integer(name, low=0, high=float("inf")):
    """A `State` of one integer from low to high.

    >>> integer("boundary").check(3, None)
    3
    """

    def check(value, explorer):
        if isinstance(value, bool) or not hasattr(value, "__index__") or not low <= value.__index__() <= high:
            raise ValueError(f"{name}: expected an integer{_range(low, high)}, got {value!r}.")
        return value.__index__()

    return State(check)


def switch(name):
    """A `State` that is True or False.

    >>> switch("norm").check(True, None)
    True
    """

    def check(value, explorer):
        if value not in (True, False):
            raise ValueError(f"{name}: expected True or False, got {value!r}.")
        return bool(value)

    return State(check)


class Explorer(anywidget.AnyWidget):
    """A picture to touch, its state and its numbers: what each ``explore_...`` returns.

    Its state is kept in plain attributes, named in `values`: a cell reads where the reader left them, and sets them. A
    value that does not fit is refused with one error, and nothing changes.

    Attributes
    ----------
    values : dict
        The present state, by name.
    text, alt : str
        The numbers, as lines, and what the picture shows in words: both computed by Python from the present state.

    Notes
    -----
    A notebook is given the widget, and beside it a picture of the present state with its alternative text, which stands
    where no kernel runs. In an explorer that is shown everything is computed in the browser; a reader's changes come to
    Python when they come to rest, and at most ten times a second before.

    See Also
    --------
    explore_circle, explore_layernorm, explore_rotation, explore_slice, explore_sphere

    Examples
    --------
    >>> from lnpoly_helpers.widgets import explore_circle
    >>> explorer = explore_circle((30, 150), (0.3, -0.4))
    >>> explorer.biases = (0.3, 1.2)
    >>> explorer.text.splitlines()[0]
    '2 arcs, 2 patterns'
    """

    # a subclass has the name of its module, `_esm = module(name)`, its `State`s, `_picture` and `_text`
    _name: ClassVar[str] = ""
    _ipython_display_ = None  # with ipywidgets 7 it would come before the bundle below

    def _picture(self, **values: Any) -> Any:
        """The figure of a state."""
        raise NotImplementedError

    def _text(self, **values: Any) -> str:
        """The numbers of a state, as lines."""
        raise NotImplementedError

    @classmethod
    def _states(cls):
        return {name: one for kind in cls.__mro__[::-1] for name, one in vars(kind).items() if isinstance(one, State)}

    def __repr__(self):
        return f"Explorer({self._name}: {', '.join(f'{name}={value!r}' for name, value in self.values.items())})"

    @property
    def values(self) -> dict[str, Any]:
        """The present state, by name.

        >>> from lnpoly_helpers.widgets import explore_circle
        >>> explore_circle((30,), (0.5,)).values["biases"]
        (0.5,)
        """
        return {name: getattr(self, name) for name, one in self._states().items() if not one.data}

    @property
    def text(self) -> str:
        """The numbers, as lines."""
        return self._text(**self.values)

    @property
    def alt(self) -> str:
        """What the picture shows, in words."""
        return self._picture(**self.values).alt

    def render(self, **values: Any) -> tuple[Any, str]:
        """The figure and the numbers, of the present state or with other values in the place of some of it.

        Parameters
        ----------
        **values
            Named as in `values`. The explorer itself does not move.

        Returns
        -------
        figure : LabelledFigure
        text : str

        Raises
        ------
        TypeError, ValueError
            No such value, or one that does not fit.

        See Also
        --------
        explore_circle, explore_layernorm

        Examples
        --------
        >>> from lnpoly_helpers.widgets import explore_circle
        >>> explore_circle((30,), (0.5,)).render(biases=[1.5])[1]
        '1 arc, 1 pattern'
        """
        known = self._states()
        for name in values:
            if name not in self.values:
                raise TypeError(f"{name}: expected one of {', '.join(self.values)}. This explorer has no other values.")
        values = self.values | {name: known[name].validate(self, one) for name, one in values.items()}
        return self._picture(**values), self._text(**values)

    def _repr_mimebundle_(self, **kwargs):
        data, metadata = super()._repr_mimebundle_(**kwargs) or ({}, {})
        try:
            figure, text = self.render()
        except ValueError as error:  # a state without a picture; the widget says so itself
            data = data | {"text/plain": f"No picture of this state. {error}"}
        else:
            # a page shows what can be touched, and its print takes the PNG
            picture, about = figure._repr_mimebundle_(exclude={"image/svg+xml"})
            data, metadata = data | picture | {"text/plain": f"{figure.alt}\n{text}"}, metadata | about
        state = {name: getattr(self, name) for name in self._states()}
        return data, metadata | {"lnpoly": {"explorer": self._name, "state": state}}


def coded(values):
    """Numbers as one line of text for the browser: little-endian float64 in base64.

    >>> coded([1, 2.5])
    'AAAAAAAA8D8AAAAAAAAEQA=='
    """
    return base64.b64encode(np.asarray(values, dtype="<f8").tobytes()).decode()


def vector(values, digits=2):
    """Numbers in brackets, none of them -0.

    >>> vector([1, -0.001])
    '(1.00, 0.00)'
    """
    return "(" + ", ".join(f"{value:.{digits}f}" for value in as_float64(values, "values").round(digits) + 0.0) + ")"
