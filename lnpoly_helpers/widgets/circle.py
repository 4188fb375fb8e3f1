"""An explorer of the circle: boundaries that turn and shift, and the affine maps on both sides of one."""

import numpy as np

from .._inputs import ArrayLike, Real, as_float64
from ..changes import affine_map
from ..geometry.arrangement import Arrangement
from ..geometry.circle import partition_circle
from ..geometry.plane import partition_plane
from ..layer import FoldedMLP
from ..plotting import new_figure, plot_arcs, plot_plane
from .explorer import Explorer, count, slider, vector


def explore_circle(
    directions: Real[ArrayLike, "m"] = (30, 150, 260), biases: Real[ArrayLike, "m"] = (0.3, -0.4, 0.6)
) -> Explorer:
    """Turn and shift the boundaries of a few neurons; see the arcs, and the affine maps on both sides of a boundary.

    Neuron i is on at y iff w_i . y + b_i > 0, w_i the unit vector in its direction. It writes to the output with the
    weights (1, 0), (0, 1), (1, 1), (1, -1) and so on, so that the two maps differ by w_i times these.

    Parameters
    ----------
    directions : array_like [m]
        Where each neuron's weights point at first, in whole degrees.
    biases : array_like [m]
        At first, -1.5 to 1.5. A neuron switches on the circle iff its bias is between -1 and 1.

    Returns
    -------
    Explorer
        Controls ``direction_0``, ``bias_0``, ... and ``boundary``, the number of the crossing that is looked at.

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
    m = len(directions)
    W_out = np.array([[1, 0], [0, 1], [1, 1], [1, -1], [2, 1], [1, 2]], dtype=float)[:m]
    figure, axes = new_figure(8.4, 4.3, ncols=2)

    def render(boundary, **values):
        angle = np.radians([values[f"direction_{i}"] for i in range(m)])
        w, b = np.c_[np.cos(angle), np.sin(angle)], np.array([values[f"bias_{i}"] for i in range(m)])
        circle = partition_circle(Arrangement(w, b))
        layer = FoldedMLP(w.T, b, W_out, np.zeros(2), "relu", eps=0, kind="none")
        crossed = {}
        text = head = f"{count(circle.n_arcs, 'arc')}, {count(circle.n_patterns, 'pattern')}"
        if len(circle.angles):
            k = boundary % len(circle.angles)
            neuron = circle.neurons[k]
            crossed = {f"boundary {k}": float(circle.angles[k])}
            arc = circle.arc_after[k]  # not k where neurons share a line
            before, after = circle.patterns()[[arc - 1, arc]]
            text += (
                f"\nBoundary {k}: neuron {neuron} switches {'on' if after[neuron] else 'off'} at "
                f"{np.degrees(circle.angles[k]):.1f}°\n"
                f"before it, {_map(*affine_map(layer, before))}\nafter it, {_map(*affine_map(layer, after))}"
            )
        figure.wipe()
        plane = partition_plane(Arrangement(w, b), half_width=1.7)
        plot_plane(plane, circle=True, marks=crossed, title="the plane and the circle", ax=axes[0])
        axes[0].set_axis_off()
        plot_arcs(circle, marks=crossed, title=f"the circle alone: {head}", ax=axes[1])
        return figure, text

    controls = {}
    for i in range(m):
        controls[f"direction_{i}"] = slider(f"direction {i} (°)", int(directions[i] % 360), 0, 360, 5)
        controls[f"bias_{i}"] = slider(f"bias {i}", biases[i], -1.5, 1.5, 0.05)
    controls["boundary"] = slider("boundary", 0, 0, 2 * m - 1)
    return Explorer(render, controls)


def _map(A, c):
    return f"y ↦ yA + c with A = [{vector(A[0])}, {vector(A[1])}], c = {vector(c)}"
