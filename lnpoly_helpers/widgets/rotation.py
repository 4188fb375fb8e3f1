"""An explorer of a path: what the output does and which boundaries are crossed on the way from point to point."""

from typing import Any

import numpy as np

from .._inputs import ArrayLike, Real, as_float64, require_folded
from .._words import count
from ..changes import split_change
from ..layer import FoldedMLP
from ..plotting import new_figure, plot_path
from ..rotation import angle_between, crossings, rotate
from .explorer import Explorer, State, coded, module, number

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
        With ``angle``, the nearest of its ``degrees``: from 0 to the angle between z0 and z1 in steps of half a degree.

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
    >>> explorer.angle, float(explorer.degrees[-1])
    (60.0, 90.0)
    """
    require_folded(mlp)
    z0, z1 = (as_float64(z, name, shape=(mlp.d_model,)) for z, name in ((z0, "z0"), (z1, "z1")))
    found, whole = crossings(mlp, z0, z1), float(np.degrees(angle_between(z0, z1)))
    degrees = np.minimum(_STEP * np.arange(np.ceil(whole / _STEP) + 1), whole)  # every place where the reader can be
    tangent, rest = split_change(mlp, z0, rotate(z0, z1, np.radians(degrees)))
    places = np.array([degrees, *(np.linalg.norm(part, axis=-1) for part in (tangent + rest, tangent, rest))])
    flips = np.array([np.degrees(found.angles), found.neurons, found.turns_on])
    return RotationExplorer(places, flips, title)


def _angle(value, explorer):
    found = number("angle", 0, explorer.degrees[-1]).check(value, explorer)
    return float(explorer.degrees[np.abs(explorer.degrees - found).argmin()])


def _were(n):
    return "was" if n == 1 else "were"


class RotationExplorer(Explorer):
    """What `explore_rotation` returns."""

    _name, _esm = "rotation", module("rotation")
    angle = State(_angle)
    path = State(lambda value, explorer: value, data=True)

    def __init__(self, places, flips, title):
        self.degrees, *self._lengths = places  # of the path's places; lengths there, in the order of _NAMES
        self._crossings, self._title = flips[0], title or "Along the path"
        self._neurons, self._turns_on = flips[1].astype(int), flips[2].astype(bool)
        path = {"places": coded(places), "flips": coded(flips), "title": title}
        super().__init__(path=path, angle=self.degrees[len(self.degrees) // 2])

    def _picture(self, **values: Any):
        figure, ax = new_figure(7.2, 3.8)
        curves: dict[str, Any] = dict(zip(_NAMES, self._lengths, strict=True))
        what = {"ylabel": "length", "title": self._title}
        plot_path(self.degrees, curves, self._crossings, at=values["angle"], ax=ax, **what)
        return figure

    def _text(self, **values: Any):
        angle, found = values["angle"], self._crossings
        k, n = int(np.searchsorted(self.degrees, angle)), int((found <= angle).sum())
        neurons, turns_on = self._neurons[:n], self._turns_on[:n]
        on, off = np.unique(neurons[turns_on]), np.unique(neurons[~turns_on])
        n_on, n_off = len(np.setdiff1d(on, off)), len(np.setdiff1d(off, on))
        lengths = ", ".join(f"{name} {row[k]:.3f}" for name, row in zip(_NAMES, self._lengths, strict=True))
        ahead = "No boundary is left before the end"
        if n < len(found):
            ahead = (
                f"Next: neuron {self._neurons[n]} switches {'on' if self._turns_on[n] else 'off'} at {found[n]:.2f}°"
            )
        return (
            f"{angle:.1f}° of {self.degrees[-1]:.1f}°: {n} of {len(found)} boundaries crossed, "
            f"by {count(len(np.unique(neurons)), 'neuron')}\n"
            f"{n_on} now on that {_were(n_on)} off at the start, {n_off} off that {_were(n_off)} on\n"
            f"Lengths: {lengths}\n{ahead}"
        )
