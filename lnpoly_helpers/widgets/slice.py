"""An explorer of a real layer: the exact circle through two of its vectors, all of it or a hundredth of a degree."""

import base64
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from .._inputs import ArrayLike, Real, as_float64, require_sphere
from .._words import count
from ..geometry.circle import partition_circle
from ..layer import FoldedMLP, normalize
from ..plotting import new_figure, plot_arc_window, plot_arcs
from ..rotation import angle_between
from ..slices import restrict, slice_basis
from .explorer import Explorer, State, coded, integer, module, number

_EXPORTED = 200_000  # characters of an output's metadata that may go to exact slices for a page without a kernel


def explore_slice(
    mlps: FoldedMLP | Sequence[FoldedMLP],
    x: Real[ArrayLike, "*n_layers n d"],
    *,
    names: Sequence[str] | None = None,
    first: int = 0,
    second: int = 1,
    title: str = "",
) -> Explorer:
    """The exact circle of a layer's sphere through two residual vectors: drag along it, zoom in, walk to the other.

    In a notebook any two vectors and any layer can be chosen. A saved page has no layers: with it go the exact slices
    through every two vectors, of as many layers as fit into 200 kB, the present one first.

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
        With ``layer``, ``first``, ``second``, ``where`` in degrees from the first vector towards the second, and
        ``width``, how many degrees are enlarged: 0.01 to 360.

    Raises
    ------
    TypeError, ValueError
        A layer is not folded, or without a norm; x, names or the two numbers do not fit.

    See Also
    --------
    slice_basis, restrict, partition_circle, explore_rotation

    Examples
    --------
    >>> from lnpoly_helpers import FoldedMLP
    >>> mlp = FoldedMLP(np.eye(3), [0.5, 0.0, 2.0], np.eye(3), np.zeros(3), "relu", 0.0, "rmsnorm")
    >>> explore_slice(mlp, np.eye(3)).text.splitlines()[0]
    '4 arcs, 4 patterns on the whole circle'
    """
    alone = not isinstance(mlps, (list, tuple))
    layers: Any = [mlps] if alone else mlps
    mlps = list(layers)
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
    return SliceExplorer(mlps, x, names, first, second, title, alone)


def _up_to(name, count_of):
    def check(value, explorer):
        return integer(name, 0, getattr(explorer, count_of) - 1).check(value, explorer)

    return State(check)


def _where(value, explorer):
    found = number("where").check(value, explorer) % 360
    return found % 360  # twice: what is barely negative rounds to 360


def _as_it_is(value, explorer):
    return value


class SliceExplorer(Explorer):
    """What `explore_slice` returns."""

    _name, _esm = "slice", module("slice")
    layer, first, second = _up_to("layer", "n_layers"), _up_to("first", "n_vectors"), _up_to("second", "n_vectors")
    where = State(_where)
    width = number("width", 0.01, 360)
    about = State(_as_it_is, data=True)
    cut = State(_as_it_is, data=True)
    slices = State(_as_it_is, data=True)

    def __init__(self, mlps, x, names, first, second, title, alone):
        self.n_layers, self.n_vectors = len(mlps), len(names)
        self._mlps, self._x, self._names, self._title, self._alone = mlps, x, names, title, alone
        self._through = lru_cache(maxsize=4)(self._circle_through)  # what does not change along the circle
        super().__init__(
            layer=0,
            first=first,
            second=second,
            where=20,
            width=5,
            about={"title": title, "names": names, "n_layers": self.n_layers, "alone": alone},
            cut=self._cut(0, first, second),
            slices={},
        )
        self.observe(self._follow, ["layer", "first", "second"])

    def _follow(self, change):
        """Cut the circle that the reader asks for; through a vector and itself there is none, and the last stays."""
        if self.first != self.second:
            self.cut = self._cut(self.layer, self.first, self.second)

    def _arrangement(self, layer, first, second):
        mlp, pair = self._mlps[layer], self._x[layer][[first, second]]
        arrangement = restrict(mlp, slice_basis(pair, kind=mlp.kind))
        return arrangement, float(angle_between(*normalize(pair, kind=mlp.kind)))

    def _circle_through(self, layer, first, second):
        arrangement, apart = self._arrangement(layer, first, second)
        return partition_circle(arrangement), apart

    def _cut(self, layer, first, second):
        """What the browser cuts the circle from: A, B and b of every neuron, float64, and the angle between the two."""
        arrangement, apart = self._arrangement(layer, first, second)
        rows = np.stack([*arrangement.normals.T, arrangement.offsets])
        return {"layer": layer, "first": first, "second": second, "apart": apart, "rows": coded(rows)}

    def _circle(self, layer, first, second, **place):
        if first == second:
            raise ValueError(
                f"first and second: expected two different vectors, got {self._names[first]} twice. Choose another."
            )
        return self._through(layer, first, second)

    def _picture(self, **values: Any):
        layer, first, second, where, width = (values[name] for name in ("layer", "first", "second", "where", "width"))
        circle, apart = self._circle(**values)
        figure, axes = new_figure(8.6, 3.7, ncols=2, width_ratios=[1, 1.3])
        model = f"{self._title}{', ' if self._title else ''}{'' if self._alone else f'layer {layer}, '}"
        marks = {self._names[first]: 0.0, self._names[second]: apart, "here": np.radians(where)}
        plot_arcs(circle, labels=False, marks=marks, title=model + count(circle.n_arcs, "arc"), ax=axes[0])
        window = f"{width:g}° of it, around {_place(where, width)}°"
        plot_arc_window(circle, np.radians(where), np.radians(width), title=window, ax=axes[1])
        return figure

    def _text(self, **values: Any):
        where, width = values["where"], values["width"]
        circle, apart = self._circle(**values)
        first, second = self._names[values["first"]], self._names[values["second"]]
        lines = [
            f"{count(circle.n_arcs, 'arc')}, {count(circle.n_patterns, 'pattern')} on the whole circle",
            f"{first} and {second} are {np.degrees(apart):.1f}° apart, "
            f"with {count((circle.angles < apart).sum(), 'boundary', 'boundaries')} between them",
        ]
        if not len(circle.angles):
            return "\n".join([*lines, "No boundary meets this circle"])
        nearest = min(circle.angles[0], 2 * np.pi - circle.angles[-1])
        at = np.radians(where)
        away = (circle.angles - at + np.pi) % (2 * np.pi) - np.pi
        k = int(np.abs(away).argmin())
        inside = len(away) if width >= 360 else np.count_nonzero(np.abs(away) < np.radians(width) / 2)
        arc = (np.searchsorted(circle.starts, at, side="right") - 1) % circle.n_arcs
        neuron = circle.neurons[k]
        turns = "on" if circle.patterns([circle.arc_after[k]])[0, neuron] else "off"
        return "\n".join(
            [
                *lines,
                f"The boundary nearest to {first} on this circle is {_short(np.degrees(nearest))}° away",
                f"At {_place(where, width)}°: arc {arc + 1:,} of {circle.n_arcs:,}, and in {width:g}° around it "
                f"{count(inside, 'boundary', 'boundaries')}",
                f"The nearest, neuron {neuron}, is {_short(abs(np.degrees(away[k])))}° "
                f"{'ahead' if away[k] >= 0 else 'behind'}; crossed towards larger angles, the neuron switches {turns}",
            ]
        )

    def _repr_mimebundle_(self, **kwargs):
        data, metadata = super()._repr_mimebundle_(**kwargs)
        state = metadata["lnpoly"]["state"]
        state["slices"] = self._exported()
        if str(self.layer) in state["slices"]:
            state["cut"] = None  # which holds no more than that
        return data, metadata

    def _exported(self):
        """Layers from which a page can cut every circle through two vectors: those that fit, the present one first."""
        layers, room = {}, _EXPORTED
        for layer in sorted(range(self.n_layers), key=lambda k: (k != self.layer, k)):
            n = self.n_vectors
            room -= (n + 1) * self._mlps[layer].n_neurons * 8 + 32 * n**2 // 3  # base64 of six bytes each; angles
            if room < 0:
                break
            layers[str(layer)] = exported_layer(self._mlps[layer], self._x[layer])
        return layers


def exported_layer(mlp: FoldedMLP, x: Real[np.ndarray, "n d"]) -> dict[str, Any]:
    """A layer at n vectors, from which the circle through every two of them can be cut without the layer.

    On the circle through z_i and z_j, at the angle t from z_i, neuron k's pre-activation is A cos t + B sin t + b with
    A = w . z_i and B = (w . z_j - cos(apart) A) / sin(apart). So b and w . z, n + 1 numbers for each neuron, are all
    n (n - 1) / 2 circles.

    Parameters
    ----------
    mlp : FoldedMLP
    x : float64 [n, d]
        Residual vectors.

    Returns
    -------
    dict
        ``values``: b and then w . z of each vector as whole numbers of ``step``, six bytes each, the lowest first, in
        base64. ``apart`` [n, n]: the angles between vectors in radians, float64 in base64. ``n``.

    Notes
    -----
    A step is 2^-47 of the largest number: angles of crossings are good to about 1e-13 radians, and to 1e-9 where a line
    comes within 1e-9 of its distance from touching the circle.

    See Also
    --------
    explore_slice : puts it into a notebook's output, for the page.

    Examples
    --------
    >>> mlp = FoldedMLP(np.eye(3), [0.5, 0.0, 2.0], np.eye(3), np.zeros(3), "relu", 0.0, "rmsnorm")
    >>> exported_layer(mlp, np.eye(3))["step"] == 2 / (2**47 - 1)
    True
    """
    z = normalize(x, kind=mlp.kind)
    rows = np.concatenate([mlp.b_in[None], z @ mlp.W_in])
    step = float(np.abs(rows).max() / (2**47 - 1)) or 1.0
    whole = np.rint(rows / step).astype("<i8")
    six = whole.reshape(-1).view(np.uint8).reshape(-1, 8)[:, :6]
    apart = angle_between(z[:, None], z[None])
    return {"n": len(z), "step": step, "apart": coded(apart), "values": base64.b64encode(six.tobytes()).decode()}


def _place(where, width):
    """Degrees, with two digits below the width of the window."""
    return f"{where:.{max(1, 2 - int(np.floor(np.log10(width))))}f}"


def _short(value):
    """A number with two significant digits."""
    return f"{value:.{max(0, 1 - int(np.floor(np.log10(value))))}f}" if value >= 1e-12 else "0"
