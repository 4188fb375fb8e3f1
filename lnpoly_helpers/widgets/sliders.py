"""Sliders that move the geometry: each explorer is a few controls, a picture and the numbers beside it.

    explore_sphere()      as the last line of a cell

shows it in JupyterLab, Notebook, VS Code and Colab, with ipywidgets 7.7 or 8. Where no kernel runs (on GitHub, in an
exported page) the picture of the starting view stands in its place. What is drawn is a plain function of the controls'
values: ``explorer.render(**values)`` gives the figure and the numbers without any widget.
"""

import base64
import html
from collections.abc import Callable, Mapping
from typing import Any

import ipywidgets

# A picture's text for screen readers, where no eye sees it: an Image has none of its own, and with a tooltip, which it
# has in name, ipywidgets 8 fails to show it in the browser
_UNSEEN = "position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%)"


class Sliders:
    """Controls, a picture and its numbers, shown together by a notebook.

    Parameters
    ----------
    render : callable
        ``render(**values)`` with the value of each control; returns a figure of `plotting` and the numbers as text,
        some lines. It may draw into the same figure each time (`LabelledFigure.wipe`).
    controls : dict
        Name: an ipywidgets control with a ``value``.

    Attributes
    ----------
    values : dict
        The present value of each control.
    text, alt : str
        The numbers, and what the picture shows in words, as they were last drawn.
    picture, numbers : Image, HTML
        The widgets that change. An error in render is shown as a line of the numbers, above the picture of before.

    Notes
    -----
    A slider that is dragged sends its next value only when the kernel has answered the one before, and then the newest:
    redraws never queue up behind it. Nothing is printed and nothing waits.

    See Also
    --------
    explore_rotation, explore_slice, explore_sphere

    Examples
    --------
    >>> from lnpoly_helpers.widgets import explore_layernorm
    >>> explore_layernorm()
    Sliders(n_controls=3, values={'scale': 1.5, 'offset': 0.5, 'eps': 0.0})
    """

    def __init__(self, render: Callable[..., tuple[Any, str]], controls: Mapping[str, Any]):
        self.render, self.controls = render, dict(controls)
        self.picture, self.numbers = ipywidgets.Image(format="png"), ipywidgets.HTML()
        self.numbers.add_class("lnpoly-numbers")
        self._unseen = ipywidgets.HTML(layout=ipywidgets.Layout(height="0", margin="0"))
        self._lines = 1
        self._redraw()  # an error here is the caller's to see
        for control in self.controls.values():
            control.observe(self._update, "value")
        grid = ipywidgets.Layout(display="flex", flex_flow="row wrap")
        sliders = ipywidgets.Box(list(self.controls.values()), layout=grid)
        self._box = ipywidgets.VBox([sliders, self.numbers, self._unseen, self.picture])
        self._box.add_class("lnpoly-explorer")

    def __repr__(self):
        return f"Sliders(n_controls={len(self.controls)}, values={self.values})"

    @property
    def values(self) -> dict[str, Any]:
        """The present value of each control."""
        return {name: control.value for name, control in self.controls.items()}

    def _redraw(self):
        figure, text = self.render(**self.values)
        self.picture.value = figure.quick_png()
        self.alt, self.text = figure.alt, text
        self._unseen.value = f'<span style="{_UNSEEN}">Picture: {html.escape(self.alt, quote=False)}</span>'
        self._say(text)

    def _update(self, change):
        try:
            self._redraw()
        except Exception as error:  # else it would vanish in the kernel's log
            reason = " ".join(str(error).split()) or type(error).__name__
            self._say(f"No picture for these settings; the one below is from before. {reason}")

    def _say(self, text):
        self._lines = max(self._lines, text.count("\n") + 1)  # so that the picture below does not jump
        shown = html.escape(text, quote=False).replace("\n", "<br>")
        style = f"line-height: 1.4; min-height: {1.4 * self._lines:.1f}em"
        self.numbers.value = f'<div style="{style}">{shown}</div>'

    def _repr_mimebundle_(self, include=None, exclude=None):
        data = {
            "image/png": base64.b64encode(self.picture.value).decode(),
            "text/plain": f"{self.alt}\n{self.text}",
            "application/vnd.jupyter.widget-view+json": {
                "version_major": 2,
                "version_minor": 0,
                "model_id": self._box.model_id,
            },
        }
        return data, {"image/png": {"alt": self.alt}}


def _look():
    return {"style": {"description_width": "7.5em"}, "layout": ipywidgets.Layout(width="24em")}


def slider(description: str, value: float, low: float, high: float, step: float = 1):
    """A slider that the arrow keys move; of integers if its step is an integer."""
    kind = ipywidgets.IntSlider if isinstance(step, int) else ipywidgets.FloatSlider
    return kind(value=value, min=low, max=high, step=step, description=description, **_look())


def chooser(description, names, values, value):
    """A slider along named values."""
    options = list(zip(names, values, strict=True))
    return ipywidgets.SelectionSlider(options=options, value=value, description=description, **_look())
