"""An explorer of a path: what the output does and which boundaries are crossed on the way from point to point."""

from typing import Any

import numpy as np

from .._inputs import ArrayLike, Real, as_float64, require_folded
from ..changes import split_change
from ..layer import FoldedMLP
from ..plotting import new_figure, plot_path
from ..rotation import angle_between, crossings, rotate
from .explorer import Explorer, State, module, number

_NAMES = ("output moved", "tangent part", "rest")
_STEP = 0.5  # degrees between the places of the path where the curves are computed


def explore_rotation(
    mlp: FoldedMLP, z0: Real[ArrayLike, "d"], z1: Real[ArrayLike, "d"], *, title: str = ""
) -> Explorer:
    """Walk from one point of the sphere to another: who has flipped so far, and how far the output has moved.

    Beside it, how far the layer's tangent map at the start says that it has moved (for ReLU the affine map of the first
    region), and the length of what is left, which for ReLU is what the flipped neurons add. The three are the sides of
    a triangle.

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
        With ``angle`` in degrees, from 0 to that between z0 and z1: a multiple of half a degree, or the end.

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
    >>> explorer = explore_rotation(mlp, [1.0, 1.0], [-1.0, 1.0])
    >>> explorer.angle = 60.2
    >>> explorer.angle, explorer.path["degrees"][-1]
    (60.0, 90.0)
    """
    require_folded(mlp)
    z0, z1 = (as_float64(z, name, shape=(mlp.d_model,)) for z, name in ((z0, "z0"), (z1, "z1")))
    found, whole = crossings(mlp, z0, z1), float(np.degrees(angle_between(z0, z1)))
    degrees = np.minimum(_STEP * np.arange(np.ceil(whole / _STEP) + 1), whole)  # every place where the reader can be
    tangent, rest = split_change(mlp, z0, rotate(z0, z1, np.radians(degrees)))
    lengths = [np.linalg.norm(part, axis=-1) for part in (tangent + rest, tangent, rest)]
    path = {
        "degrees": degrees.tolist(),
        "lengths": [
            [float(f"{length:.7g}") for length in row] for row in lengths
        ],  # of the change, the tangent part, the rest
        "crossings": np.degrees(found.angles).tolist(),
        "neurons": found.neurons.tolist(),
        "turns_on": found.turns_on.astype(int).tolist(),
        "title": title,
    }
    return RotationExplorer(path)


def _angle(value, explorer):
    whole, places = explorer.path["degrees"][-1], np.array(explorer.path["degrees"])
    found = number("angle", 0, whole).check(value, explorer)
    return float(places[np.abs(places - found).argmin()])


class RotationExplorer(Explorer):
    """What `explore_rotation` returns."""

    _name, _esm = "rotation", module("rotation")
    angle = State(_angle)
    path = State(lambda value, explorer: value, data=True)

    def __init__(self, path):
        self.set_trait("path", path)
        super().__init__(path=path, angle=path["degrees"][len(path["degrees"]) // 2])

    def _picture(self, **values: Any):
        path = self.path
        figure, ax = new_figure(7.2, 3.8)
        curves, title = dict(zip(_NAMES, path["lengths"], strict=True)), path["title"] or "Along the path"
        plot_path(path["degrees"], curves, path["crossings"], ylabel="length", ax=ax, at=values["angle"], title=title)
        return figure

    def _text(self, **values: Any):
        angle, path = values["angle"], self.path
        k, found = path["degrees"].index(angle), path["crossings"]
        neurons, turns_on = np.array(path["neurons"], dtype=int), np.array(path["turns_on"], dtype=bool)
        n = sum(at <= angle for at in found)
        on, off = np.unique(neurons[:n][turns_on[:n]]), np.unique(neurons[:n][~turns_on[:n]])
        lengths = ", ".join(f"{name} {row[k]:.3f}" for name, row in zip(_NAMES, path["lengths"], strict=True))
        ahead = "No boundary is left before the end"
        if n < len(found):
            ahead = f"Next: neuron {neurons[n]} switches {'on' if turns_on[n] else 'off'} at {found[n]:.2f}°"
        return (
            f"{angle:.1f}° of {path['degrees'][-1]:.1f}°: {n} of {len(found)} boundaries crossed, "
            f"by {len(np.unique(neurons[:n]))} neurons\n"
            f"Now on that were off: {len(np.setdiff1d(on, off))}; off that were on: {len(np.setdiff1d(off, on))}\n"
            f"Lengths: {lengths}\n{ahead}"
        )
