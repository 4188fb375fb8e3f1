"""An explorer of the circle: boundaries that turn and shift, and the affine maps on both sides of one."""

from typing import Any

import numpy as np

from .._inputs import ArrayLike, Real, as_float64
from .._words import count
from ..changes import affine_map
from ..geometry.arrangement import Arrangement
from ..geometry.circle import partition_circle
from ..geometry.plane import partition_plane
from ..layer import FoldedMLP
from ..plotting import new_figure, plot_arcs, plot_plane
from ..plotting.style import bits
from .explorer import Explorer, State, integer, module, numbers, switch, vector

_W_OUT = np.array([[1, 0], [0, 1], [1, 1], [1, -1], [2, 1], [1, 2]], dtype=float)
_X = (1.35, -0.55)


def explore_circle(
    directions: Real[ArrayLike, "m"] = (30, 150, 260), biases: Real[ArrayLike, "m"] = (0.3, -0.4, 0.6)
) -> Explorer:
    """Drag the boundaries of a few neurons, turn them, pull x; see the arcs, and the affine maps on both sides of one.

    Neuron i is on at y iff w_i . y + b_i > 0, w_i the unit vector in its direction. It writes to the output with the
    weights (1, 0), (0, 1), (1, 1), (1, -1) and so on, so that the two maps differ by w_i times these. LayerNorm sends x
    to the point z of the circle in its own direction; switched off, the layer sees x itself.

    Parameters
    ----------
    directions : array_like [m]
        Where each neuron's weights point at first, in degrees.
    biases : array_like [m]
        At first, -1.5 to 1.5. A neuron switches on the circle iff its bias is between -1 and 1.

    Returns
    -------
    Explorer
        With ``directions``, ``biases``, ``x``, ``layernorm`` (whether it is on) and ``boundary``, the number of the
        crossing that is looked at.

    Raises
    ------
    ValueError
        There are more than six neurons, or not as many directions as biases, or a bias lies outside.

    See Also
    --------
    partition_circle, affine_map, explore_sphere

    Examples
    --------
    >>> explore_circle((30, 150, 260), (0.3, -0.4, 1.2)).text.splitlines()[0]
    '4 arcs, 4 patterns'
    """
    directions = as_float64(directions, "directions", shape=("m",))
    biases = as_float64(biases, "biases", shape=("m",))
    if not len(directions) == len(biases) <= 6 or np.abs(biases).max() > 1.5:
        raise ValueError(
            f"directions and biases: expected one of each for up to 6 neurons, biases from -1.5 to 1.5, got "
            f"{len(directions)} directions and biases {biases.tolist()}."
        )
    return CircleExplorer(directions, biases)


def _degrees(value, explorer):
    found = as_float64(value, "directions", shape=(explorer.n_neurons,)) % 360
    return tuple((found % 360).tolist())  # twice: what is barely negative rounds to 360


class CircleExplorer(Explorer):
    """What `explore_circle` returns."""

    _name, _esm = "circle", module("circle")
    directions = State(_degrees)
    biases = numbers("biases", "n_neurons", -1.5, 1.5)
    x = numbers("x", 2)
    layernorm = switch("layernorm")
    boundary = integer("boundary")

    def __init__(self, directions, biases):
        self.n_neurons = len(directions)
        super().__init__(directions=directions, biases=biases, x=_X, layernorm=True, boundary=0)

    def _cut(self, directions, biases, boundary, **_):
        """The circle; its arcs, but for those that are rounding; the crossing looked at and the arcs on its sides."""
        angle, b = np.radians(directions), np.array(biases)
        w = np.c_[np.cos(angle), np.sin(angle)]
        # a line that touches the circle does not cut it, whatever rounding makes of the length of w
        circle = partition_circle(Arrangement(w, np.where(np.abs(np.abs(b) - 1) < 1e-12, 1.000000001 * b, b)))
        arcs = np.flatnonzero(circle.lengths > 1e-9)
        k = boundary % len(circle.angles) if len(circle.angles) else None
        after = 0 if k is None else int(np.searchsorted(arcs, circle.arc_after[k])) % len(arcs)
        return Arrangement(w, b), circle, arcs, k, arcs[[after - 1, after]]

    def _text(self, **values: Any):
        arrangement, circle, arcs, k, sides = self._cut(**values)
        patterns = circle.patterns(arcs)
        lines = [f"{count(len(arcs), 'arc')}, {count(len(np.unique(patterns, axis=0)), 'pattern')}"]
        if k is not None:
            w, b = arrangement.normals, arrangement.offsets
            layer = FoldedMLP(w.T, b, _W_OUT[: len(b)], np.zeros(2), "relu", eps=0, kind="none")
            before, after = circle.patterns(sides)
            neuron = circle.neurons[k]
            turned = f"neuron {neuron} switches {'on' if after[neuron] else 'off'}"
            lines += [
                f"Boundary {k}: {turned} at {np.degrees(circle.angles[k]):.1f}°",
                f"before it, {_map(*affine_map(layer, before))}",
                f"after it, {_map(*affine_map(layer, after))}",
            ]
        if self._has_moved(values):
            x = np.array(values["x"])
            y, where = _seen(x, values["layernorm"])
            seen = "no image" if y is None else f"pattern {bits(arrangement.preactivations(y) > 0)}"
            lines.append(f"x = {vector(x)}, {where}: {seen}")
        return "\n".join(lines)

    def _picture(self, **values: Any):
        arrangement, circle, arcs, k, _ = self._cut(**values)
        marks = {} if k is None else {f"boundary {k}": float(circle.angles[k])}
        if self._has_moved(values) and any(values["x"]):
            marks["z" if values["layernorm"] else "x"] = float(np.arctan2(*values["x"][::-1]) % (2 * np.pi))
        figure, axes = new_figure(8.4, 4.3, ncols=2)
        plane = partition_plane(arrangement, half_width=1.7)
        plot_plane(plane, circle=circle, marks=marks, title="the plane and the circle", ax=axes[0])
        axes[0].set_axis_off()
        head = self._text(**values).split("\n")[0]
        plot_arcs(circle, marks=marks, title=f"the circle alone: {head}", ax=axes[1])
        return figure

    @staticmethod
    def _has_moved(values):
        return values["x"] != _X or not values["layernorm"]


def _seen(x, layernorm):
    """What the neurons see of x, None where that is nothing, and in words."""
    length = np.hypot(*x)
    if not layernorm:
        return x, f"length {length:.2f}, seen as it is"
    if length == 0:
        return None, "without a direction for LayerNorm"
    return x / length, f"length {length:.2f}, sent to z at {np.degrees(np.arctan2(x[1], x[0])) % 360:.1f}°"


def _map(A, c):
    return f"y ↦ yA + c with A = [{vector(A[0])}, {vector(A[1])}], c = {vector(c)}"
