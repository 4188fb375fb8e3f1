"""Sliders that move the geometry: each explorer is a few controls, a picture and the numbers beside it.

    explore_circle()      as the last line of a cell

shows it in JupyterLab, Notebook, VS Code and Colab, with ipywidgets 7.7 or 8. Where no kernel runs (on GitHub, in an
exported page) the picture of the starting view stands in its place. What is drawn is a plain function of the controls'
values: ``explorer.render(**values)`` gives the figure and the numbers without any widget.
"""

import base64
import html
from functools import lru_cache

import ipywidgets
import numpy as np

from ._inputs import as_float64
from .circle import partition_circle
from .layernorm import FoldedMLP, normalize, require_folded
from .patterns import affine_map, require_sphere
from .plane import partition_plane
from .plotting import new_figure, plot_arc_window, plot_arcs, plot_layernorm, plot_path, plot_plane, plot_sphere
from .rotation import angle_between, crossings, rotate, tangent_change
from .slices import Arrangement, restrict, slice_basis
from .sphere import n_regions, partition_sphere

# A picture's text for screen readers, where no eye sees it: an Image has none of its own, and with a tooltip, which it
# has in name, ipywidgets 8 fails to show it in the browser
_UNSEEN = "position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%)"


class Explorer:
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
    picture, numbers : Image, HTML
        The widgets that change. An error in render is shown as a line of the numbers, above the picture of before.

    Notes
    -----
    A slider that is dragged sends its next value only when the kernel has answered the one before, and then the newest:
    redraws never queue up behind it. Nothing is printed and nothing waits.
    """

    def __init__(self, render, controls):
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

    @property
    def values(self):
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


def _slider(description, value, low, high, step=1):
    """A slider that the arrow keys move; of integers if its step is an integer."""
    kind = ipywidgets.IntSlider if isinstance(step, int) else ipywidgets.FloatSlider
    return kind(value=value, min=low, max=high, step=step, description=description, **_look())


def _chooser(description, names, values, value):
    """A slider along named values."""
    options = list(zip(names, values))
    return ipywidgets.SelectionSlider(options=options, value=value, description=description, **_look())


def _vector(values, digits=2):
    return "(" + ", ".join(f"{value:.{digits}f}" for value in np.round(values, digits) + 0.0) + ")"


def _count(n, thing):
    return f"{n:,} {thing}{'s' * (n != 1)}"


def explore_layernorm(x=(1.4, 0.5, -0.7)):
    """Scale a vector of 3-D space, add a multiple of the ones vector, choose ε; see where LayerNorm sends it.

    Parameters
    ----------
    x : array_like [3]

    Returns
    -------
    Explorer
        Controls ``scale``, ``offset`` and ``eps``.
    """
    x = as_float64(x, "x", shape=(3,))
    before = normalize(x)
    limit = 2.4 * np.abs(x).max()  # a x + c 1 at the sliders' ends may lie a little outside
    figure, ax = new_figure(5.6, 4.6, subplot_kw={"projection": "3d"})

    def render(scale, offset, eps):
        moved = scale * x + offset
        z = normalize(moved, eps=eps)
        figure.wipe()
        title = f"a = {scale:.1f}, c = {offset:.1f}, ε = {eps:g}"
        plot_layernorm(x, moved, moved - moved.mean(), z, before, limit=limit, title=title, ax=ax)
        apart = np.linalg.norm(z - before)
        return figure, (
            f"a·x + c·1 = {_vector(moved)}: mean {moved.mean() + 0.0:.2f}, standard deviation {moved.std():.3f}\n"
            f"z = {_vector(z, 4)}, ‖z‖/√3 = {np.linalg.norm(z) / np.sqrt(3):.4f}\n"
            f"{'z is where x itself is sent' if apart < 1e-9 else f'z is {apart:.4f} away from where x itself is sent'}"
        )

    controls = {
        "scale": _slider("scale a", 1.5, -2.0, 2.0, 0.1),
        "offset": _slider("offset c", 0.5, -1.5, 1.5, 0.1),
        "eps": _chooser("ε", ("0", "0.00001", "0.001", "0.01", "0.1", "1"), (0.0, 1e-5, 1e-3, 0.01, 0.1, 1.0), 0.0),
    }
    return Explorer(render, controls)


def explore_circle(directions=(30, 150, 260), biases=(0.3, -0.4, 0.6)):
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
        text = head = f"{_count(circle.n_arcs, 'arc')}, {_count(circle.n_patterns, 'pattern')}"
        if len(circle.angles):
            k = boundary % len(circle.angles)
            neuron = circle.neurons[k]
            crossed = {f"boundary {k}": circle.angles[k]}
            before, after = circle.patterns()[[k - 1, k]]
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
        controls[f"direction_{i}"] = _slider(f"direction {i} (°)", int(directions[i] % 360), 0, 360, 5)
        controls[f"bias_{i}"] = _slider(f"bias {i}", biases[i], -1.5, 1.5, 0.05)
    controls["boundary"] = _slider("boundary", 0, 0, 2 * m - 1)
    return Explorer(render, controls)


def _map(A, c):
    return f"y ↦ yA + c with A = [{_vector(A[0])}, {_vector(A[1])}], c = {_vector(c)}"


def explore_sphere(n=8, seed=0):
    """Cut the ordinary sphere with n random small circles, turn it, push the circles apart; count the faces.

    Neuron i is on at y iff w_i . y + b_i > 0, w_i a random unit vector and b_i the spread times a random normal number.

    Parameters
    ----------
    n : int
        Neurons at first, 1 to 24.
    seed : int
        At first, 0 to 20. With the same seed a larger n only adds circles.

    Returns
    -------
    Explorer
        Controls ``n``, ``seed``, ``spread``, ``longitude`` and ``latitude``.
    """
    for name, value, low, high in (("n", n, 1, 24), ("seed", seed, 0, 20)):
        if not (isinstance(value, (int, np.integer)) and low <= value <= high):
            raise ValueError(f"{name}: expected an integer from {low} to {high}, got {value!r}.")
    figure, ax = new_figure(4.6, 4.6)

    @lru_cache(maxsize=4)  # what does not change while the sphere is only turned
    def cut(n, seed, spread):
        rows = np.random.default_rng(seed).standard_normal((n, 4))
        normals = rows[:, :3] / np.linalg.norm(rows[:, :3], axis=1, keepdims=True)
        arrangement = Arrangement(normals, spread * rows[:, 3])
        sphere = partition_sphere(arrangement)
        return arrangement, len(sphere.circles), sphere.n_faces, sphere.n_patterns

    def render(n, seed, spread, longitude, latitude):
        arrangement, n_circles, n_faces, n_patterns = cut(n, seed, spread)
        figure.wipe()
        faces = _count(n_faces, "face")
        title = f"{_count(n_circles, 'circle')}, {faces}"
        plot_sphere(arrangement, view=(longitude, latitude), pixels=360, title=title, ax=ax)
        return figure, (
            f"{_count(n, 'neuron')}, {n_circles} of them cut the sphere: {faces}, {_count(n_patterns, 'pattern')}\n"
            f"Great circles, or any {n} that all cross, would make n² − n + 2 = {n_regions(n, 2)} faces"
        )

    controls = {
        "n": _slider("neurons n", n, 1, 24),
        "seed": _slider("seed", seed, 0, 20),
        "spread": _slider("bias spread", 0.3, 0.0, 1.0, 0.05),
        "longitude": _slider("longitude (°)", 30, -180, 180, 5),
        "latitude": _slider("latitude (°)", 15, -90, 90, 5),
    }
    return Explorer(render, controls)


def explore_slice(mlps, x, *, names=None, first=0, second=1, title=""):
    """The exact circle of a layer's sphere through two residual vectors, and a stretch of it enlarged.

    Parameters
    ----------
    mlps : FoldedMLP, or a list with one for each layer
        Behind LayerNorm or RMSNorm: ``[fold_layer_norm(mlp_block(model, k)) for k in layers]``.
    x : array_like [n, d], or [n_layers, n, d] for a list
        Residual vectors to choose from: ``residuals(model, text, layers)``.
    names : list of str, optional
        What the n vectors are called: the tokens that they stand for.
    first, second : int
        Which two at first.
    title : str
        Whose layers they are; stands in the figure.

    Returns
    -------
    Explorer
        Controls ``layer`` (for a list), ``first``, ``second``, ``where`` in degrees from the first vector towards the
        second, and ``width`` in degrees.
    """
    alone = not isinstance(mlps, (list, tuple))
    mlps = [mlps] if alone else list(mlps)
    for mlp in mlps:
        require_sphere(mlp)
    if len({mlp.d_model for mlp in mlps}) != 1:
        raise ValueError(
            f"mlps: expected one or more layers of one model, got d_model {[mlp.d_model for mlp in mlps]}. "
            f"[fold_layer_norm(mlp_block(model, k)) for k in layers] makes them."
        )
    d = mlps[0].d_model
    x = as_float64(x, "x", shape=("n", d) if alone else (len(mlps), "n", d))
    x = x[None] if alone else x
    last = x.shape[1] - 1
    if not (0 <= first <= last and 0 <= second <= last and first != second):
        raise ValueError(
            f"first and second: expected two different numbers of vectors, 0 to {last}, got {first} and {second}."
        )
    if names is not None and len(names) != x.shape[1]:
        raise ValueError(f"names: expected one for each of the {x.shape[1]} vectors, got {len(names)}.")
    names = [str(k) if names is None else f"{k} {names[k]}".strip() for k in range(x.shape[1])]
    figure, axes = new_figure(8.6, 3.7, ncols=2, width_ratios=[1, 1.3])
    figure.get_layout_engine().set(rect=(0, 0, 0.97, 1))  # room for the widest number below the window's right end

    @lru_cache(maxsize=4)  # what does not change along the circle
    def cut(layer, first, second):
        mlp, pair = mlps[layer], x[layer][[first, second]]
        circle = partition_circle(restrict(mlp, slice_basis(pair, kind=mlp.kind)))
        return circle, angle_between(*normalize(pair, kind=mlp.kind))

    def render(first, second, where, width, layer=0):
        if first == second:
            raise ValueError(f"first and second: expected two different vectors, got {names[first]} twice. Move one.")
        circle, apart = cut(layer, first, second)
        inside = int((circle.angles < apart).sum())
        nearest = min(circle.angles[0], 2 * np.pi - circle.angles[-1]) if len(circle.angles) else np.inf
        figure.wipe()
        model = f"{title}{', ' if title else ''}{'' if alone else f'layer {layer}, '}"
        marks = {names[first]: 0.0, names[second]: apart, "here": np.radians(where)}
        plot_arcs(circle, labels=False, marks=marks, title=model + _count(circle.n_arcs, "arc"), ax=axes[0])
        window = f"{width:g}° of it, around {where:.1f}°"
        plot_arc_window(circle, np.radians(where), np.radians(width), title=window, ax=axes[1])
        return figure, (
            f"{_count(circle.n_arcs, 'arc')}, {_count(circle.n_patterns, 'pattern')} on the whole circle\n"
            f"{names[first]} and {names[second]} are {np.degrees(apart):.1f}° apart, "
            f"with {inside} boundaries between them\n"
            f"The boundary nearest to {names[first]} on this circle is {np.degrees(nearest):.2g}° away"
        )

    controls = {} if alone else {"layer": _slider("layer", 0, 0, len(mlps) - 1)}
    controls |= {
        "first": _chooser("first vector", names, range(len(names)), first),
        "second": _chooser("second vector", names, range(len(names)), second),
        "where": _slider("where (°)", 20.0, 0.0, 360.0, 0.5),
        "width": _slider("width (°)", 5.0, 0.5, 20.0, 0.5),
    }
    return Explorer(render, controls)


def explore_rotation(mlp, z0, z1, *, title=""):
    """Walk from one point of the sphere to another: who has flipped so far, and how far the output has moved.

    Beside it, how far the layer's tangent map at the start says that it has moved (for ReLU the affine map of the first
    region), and the length of what is left, which for ReLU is what the flipped neurons add.

    Parameters
    ----------
    mlp : FoldedMLP
        Behind LayerNorm or RMSNorm.
    z0, z1 : array_like [d]
        On the sphere of radius sqrt(d): normalize(x) at eps = 0.
    title : str

    Returns
    -------
    Explorer
        Control ``angle`` in degrees, from 0 to that between z0 and z1.
    """
    require_folded(mlp)
    z0, z1 = (as_float64(z, name, shape=(mlp.d_model,)) for z, name in ((z0, "z0"), (z1, "z1")))
    found, whole = crossings(mlp, z0, z1), float(np.degrees(angle_between(z0, z1)))
    step = 0.5
    degrees = np.minimum(step * np.arange(np.ceil(whole / step) + 1), whole)  # every place where the slider can be
    path = rotate(z0, z1, np.radians(degrees))
    change, first = mlp.output(path) - mlp.output(z0), tangent_change(mlp, z0, path)
    parts = {"output moved": change, "the first map alone": first, "the rest": change - first}
    curves = {name: np.linalg.norm(part, axis=-1) for name, part in parts.items()}
    figure, ax = new_figure(7.2, 3.8)

    def render(angle):
        k = round(angle / step)
        passed = found.angles <= np.radians(degrees[k])
        here = ", ".join(f"{name} {lengths[k]:.3f}" for name, lengths in curves.items())
        figure.wipe()
        where = {"at": degrees[k], "title": title or "Along the path"}
        plot_path(degrees, curves, np.degrees(found.angles), ylabel="length", ax=ax, **where)
        return figure, (
            f"{degrees[k]:.1f}° of {whole:.1f}°: {passed.sum()} of {len(passed)} boundaries crossed, "
            f"by {len(np.unique(found.neurons[passed]))} neurons\nlengths: {here}"
        )

    start = step * (len(degrees) // 2)
    return Explorer(render, {"angle": _slider("angle (°)", start, 0.0, step * (len(degrees) - 1), step)})
