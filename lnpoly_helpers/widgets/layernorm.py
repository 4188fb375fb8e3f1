"""An explorer of LayerNorm: a vector of 3-D space on its way to the circle."""

import numpy as np

from .._inputs import ArrayLike, Real, as_float64
from ..layer import normalize
from ..plotting import new_figure, plot_layernorm
from .explorer import vector
from .sliders import Sliders, chooser, slider


def explore_layernorm(x: Real[ArrayLike, "3"] = (1.4, 0.5, -0.7)) -> Sliders:
    """Scale a vector of 3-D space, add a multiple of the ones vector, choose ε; see where LayerNorm sends it.

    Parameters
    ----------
    x : array_like [3]

    Returns
    -------
    Sliders
        Controls ``scale``, ``offset`` and ``eps``.

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
            f"a·x + c·1 = {vector(moved)}: mean {moved.mean() + 0.0:.2f}, standard deviation {moved.std():.3f}\n"
            f"z = {vector(z, 4)}, ‖z‖/√3 = {np.linalg.norm(z) / np.sqrt(3):.4f}\n"
            f"{'z is where x itself is sent' if apart < 1e-9 else f'z is {apart:.4f} away from where x itself is sent'}"
        )

    controls = {
        "scale": slider("scale a", 1.5, -2.0, 2.0, 0.1),
        "offset": slider("offset c", 0.5, -1.5, 1.5, 0.1),
        "eps": chooser("ε", ("0", "0.00001", "0.001", "0.01", "0.1", "1"), (0.0, 1e-5, 1e-3, 0.01, 0.1, 1.0), 0.0),
    }
    return Sliders(render, controls)
