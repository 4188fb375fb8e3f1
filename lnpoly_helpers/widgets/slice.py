"""An explorer of a real layer: the exact circle through two of its vectors, and a stretch of it enlarged."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from .._inputs import ArrayLike, Real, as_float64, require_sphere
from ..geometry.circle import partition_circle
from ..layer import FoldedMLP, normalize
from ..plotting import new_figure, plot_arc_window, plot_arcs
from ..rotation import angle_between
from ..slices import restrict, slice_basis
from .explorer import count
from .sliders import Sliders, chooser, slider


def explore_slice(
    mlps: FoldedMLP | Sequence[FoldedMLP],
    x: Real[ArrayLike, "*n_layers n d"],
    *,
    names: Sequence[str] | None = None,
    first: int = 0,
    second: int = 1,
    title: str = "",
) -> Sliders:
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
    Sliders
        Controls ``layer`` (for a list), ``first``, ``second``, ``where`` in degrees from the first vector towards the
        second, and ``width`` in degrees.

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
    figure, axes = new_figure(8.6, 3.7, ncols=2, width_ratios=[1, 1.3])
    layout: Any = figure.get_layout_engine()
    layout.set(rect=(0, 0, 0.97, 1))  # room for the widest number below the window's right end

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
        plot_arcs(circle, labels=False, marks=marks, title=model + count(circle.n_arcs, "arc"), ax=axes[0])
        window = f"{width:g}° of it, around {where:.1f}°"
        plot_arc_window(circle, np.radians(where), np.radians(width), title=window, ax=axes[1])
        return figure, (
            f"{count(circle.n_arcs, 'arc')}, {count(circle.n_patterns, 'pattern')} on the whole circle\n"
            f"{names[first]} and {names[second]} are {np.degrees(apart):.1f}° apart, "
            f"with {inside} boundaries between them\n"
            f"The boundary nearest to {names[first]} on this circle is {np.degrees(nearest):.2g}° away"
        )

    controls = {} if alone else {"layer": slider("layer", 0, 0, len(mlps) - 1)}
    controls |= {
        "first": chooser("first vector", names, range(len(names)), first),
        "second": chooser("second vector", names, range(len(names)), second),
        "where": slider("where (°)", 20.0, 0.0, 360.0, 0.5),
        "width": slider("width (°)", 5.0, 0.5, 20.0, 0.5),
    }
    return Sliders(render, controls)
