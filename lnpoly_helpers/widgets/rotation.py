"""An explorer of a path: what the output does and which boundaries are crossed on the way from point to point."""

import numpy as np

from .._inputs import ArrayLike, Real, as_float64, require_folded
from ..changes import split_change
from ..layer import FoldedMLP
from ..plotting import new_figure, plot_path
from ..rotation import angle_between, crossings, rotate
from .sliders import Sliders, slider


def explore_rotation(mlp: FoldedMLP, z0: Real[ArrayLike, "d"], z1: Real[ArrayLike, "d"], *, title: str = "") -> Sliders:
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
    Sliders
        Control ``angle`` in degrees, from 0 to that between z0 and z1.

    Raises
    ------
    TypeError
        mlp is no `FoldedMLP`.
    ValueError
        z0 or z1 is not on the sphere, or they have no single great circle.

    See Also
    --------
    crossings, rotate, split_change, explore_slice

    Examples
    --------
    >>> from lnpoly_helpers import FoldedMLP
    >>> mlp = FoldedMLP(np.eye(2), [1.0, 0.0], np.eye(2), [0.0, 0.0], "relu", 0.0, "rmsnorm")
    >>> explore_rotation(mlp, [1.0, 1.0], [-1.0, 1.0]).controls["angle"].max
    90.0
    """
    require_folded(mlp)
    z0, z1 = (as_float64(z, name, shape=(mlp.d_model,)) for z, name in ((z0, "z0"), (z1, "z1")))
    found, whole = crossings(mlp, z0, z1), float(np.degrees(angle_between(z0, z1)))
    step = 0.5
    degrees = np.minimum(step * np.arange(np.ceil(whole / step) + 1), whole)  # every place where the slider can be
    path = rotate(z0, z1, np.radians(degrees))
    first, rest = split_change(mlp, z0, path)
    parts = {"output moved": first + rest, "the first map alone": first, "the rest": rest}
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
    return Sliders(render, {"angle": slider("angle (°)", start, 0.0, step * (len(degrees) - 1), step)})
