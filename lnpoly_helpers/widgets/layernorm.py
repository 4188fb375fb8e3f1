"""An explorer of LayerNorm: a vector of 3-D space on its way to the circle."""

from typing import Any

import numpy as np

from .._inputs import ArrayLike, Real, as_float64
from ..layer import normalize
from ..plotting import new_figure, plot_layernorm
from .explorer import Explorer, State, module, number, numbers, vector


def explore_layernorm(x: Real[ArrayLike, "3"] = (1.4, 0.5, -0.7)) -> Explorer:
    """Drag a vector of 3-D space, scale it, add a multiple of the ones vector, choose ε; see where LayerNorm sends it.

    Parameters
    ----------
    x : array_like [3]

    Returns
    -------
    Explorer
        With ``x``, ``scale`` (a, -2 to 2), ``offset`` (c, -1.5 to 1.5), ``eps`` and ``view``, the azimuth and the
        elevation from which it is seen, in degrees.

    Raises
    ------
    ValueError
        x has another shape, or no direction: three equal entries.

    See Also
    --------
    normalize, explore_circle

    Examples
    --------
    >>> explore_layernorm((1.0, 2.0, 4.0)).text.splitlines()[-1]
    'z is where x itself is sent'
    """
    return LayerNormExplorer(x)


def _with_direction(value, explorer):
    x = as_float64(value, "x", shape=(3,))
    normalize(x)  # says so where it has none
    return tuple(x.tolist())


class LayerNormExplorer(Explorer):
    """What `explore_layernorm` returns."""

    _name, _esm = "layernorm", module("layernorm")
    x = State(_with_direction)
    scale = number("scale", -2, 2)
    offset = number("offset", -1.5, 1.5)
    eps = number("eps", 0)
    view = numbers("view", 2)

    def __init__(self, x):
        super().__init__(x=x, scale=1.5, offset=0.5, eps=0.0, view=(-18, 14))

    def _text(self, **values: Any):
        x, moved = _moved(**values)
        head = f"a·x + c·1 = {vector(moved)}: mean {moved.mean() + 0.0:.2f}, standard deviation {moved.std():.3f}"
        try:
            z = normalize(moved, eps=values["eps"])
        except ValueError:
            return f"{head}\nthree equal entries have no direction: LayerNorm has no image of them at ε = 0"
        apart = np.linalg.norm(z - normalize(x))
        return (
            f"{head}\nz = {vector(z, 4)}, ‖z‖/√3 = {np.linalg.norm(z) / np.sqrt(3):.4f}\n"
            f"{'z is where x itself is sent' if apart < 1e-9 else f'z is {apart:.4f} away from where x itself is sent'}"
        )

    def _picture(self, **values: Any):
        x, moved = _moved(**values)
        z = normalize(moved, eps=values["eps"])
        figure, ax = new_figure(5.6, 4.6, subplot_kw={"projection": "3d"})
        title = f"a = {values['scale']:.4g}, c = {values['offset']:.4g}, ε = {values['eps']:g}"
        limit = max(2.4 * np.abs(x).max(), 2.2)  # a x + c 1 may lie a little outside
        plot_layernorm(x, moved, moved - moved.mean(), z, normalize(x), limit=limit, title=title, ax=ax)
        azimuth, elevation = values["view"]
        ax.view_init(elev=elevation, azim=azimuth)
        return figure


def _moved(x, scale, offset, **_):
    x = np.array(x)
    return x, scale * x + offset
