"""An explorer of the ordinary sphere: small circles on it, and the faces between them."""

from functools import lru_cache
from typing import Any

import numpy as np

from .._words import count
from ..geometry.arrangement import Arrangement
from ..geometry.sphere import n_regions, partition_sphere
from ..plotting import new_figure, plot_sphere
from ..plotting.style import ROLES, bits
from .explorer import Explorer, State, coded, integer, module, number

_MOST, _SEEDS = 24, 21


def explore_sphere(n: int = 8, seed: int = 0) -> Explorer:
    """Turn the ordinary sphere that n random small circles cut, push the circles apart, step from face to face.

    Neuron i is on at y iff w_i . y + b_i > 0, w_i a random unit vector and b_i the spread times a random normal number.
    The point in the middle of the view is where the reader is: the face that holds it shows its pattern and its area,
    and a step across one of its boundaries flips that neuron alone.

    Parameters
    ----------
    n : int
        Neurons at first, 1 to 24.
    seed : int
        At first, 0 to 20. With the same seed a larger n only adds circles.

    Returns
    -------
    Explorer
        With ``n``, ``seed``, ``spread`` (0 to 1), and ``longitude`` and ``latitude`` of the middle, in degrees.

    Raises
    ------
    TypeError, ValueError
        n or seed is no integer of its range.

    See Also
    --------
    partition_sphere, n_regions, explore_circle

    Examples
    --------
    >>> explore_sphere(n=4).render(spread=0)[1].splitlines()[0]
    '4 neurons, 4 of them cut the sphere: 14 faces, 14 patterns'
    """
    return SphereExplorer(n, seed)


def _draws(value, explorer):
    """The random numbers, which the browser cannot draw itself: all of them."""
    return {"n": _MOST, "seeds": _SEEDS, "rows": coded(_rows())}


@lru_cache(maxsize=1)
def _rows():
    """A unit normal and a standard normal number for each neuron of each seed: float64 [n_seeds, 24, 4]."""
    rows = np.array([np.random.default_rng(seed).standard_normal((_MOST, 4)) for seed in range(_SEEDS)])
    rows[..., :3] /= np.linalg.norm(rows[..., :3], axis=-1, keepdims=True)
    return rows


@lru_cache(maxsize=4)  # what does not change while the sphere is only turned
def _cut(n, seed, spread):
    rows = _rows()[seed, :n]
    return partition_sphere(Arrangement(rows[:, :3], spread * rows[:, 3]))


def _longitude(value, explorer):
    found = number("longitude").check(value, explorer)
    return found if -180 <= found < 180 else (found + 180) % 360 - 180  # one that fits is kept to the last digit


def _plain(degrees):
    rounded = round(degrees, 1)
    return int(rounded) if rounded.is_integer() else rounded


class SphereExplorer(Explorer):
    """What `explore_sphere` returns."""

    _name, _esm = "sphere", module("sphere")
    n = integer("n", 1, _MOST)
    seed = integer("seed", 0, _SEEDS - 1)
    spread = number("spread", 0, 1)
    longitude = State(_longitude)
    latitude = number("latitude", -90, 90)
    draws = State(_draws, data=True)

    def __init__(self, n, seed):
        super().__init__(n=n, seed=seed, spread=0.3, longitude=30, latitude=15, draws=None)

    def _picture(self, **values: Any):
        sphere = _cut(values["n"], values["seed"], values["spread"])
        figure, ax = new_figure(4.6, 4.6)
        title = f"{count(len(sphere.circles), 'circle')}, {count(sphere.n_faces, 'face')}"
        view = (_plain(values["longitude"]), _plain(values["latitude"]))
        plot_sphere(sphere.arrangement, view=view, pixels=360, title=title, ax=ax)
        ax.plot(0, 0, ROLES["z"].marker, color=ROLES["z"].light, mec="white", ms=9)
        return figure

    def _text(self, **values: Any):
        n, sphere = values["n"], _cut(values["n"], values["seed"], values["spread"])
        lon, lat = np.radians([values["longitude"], values["latitude"]])
        face = sphere.face_at([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
        *others, last = sorted({*sphere.neighbours(face)[1].tolist()}) if len(sphere.circles) else [None]
        around = f"{', '.join(map(str, others))} or {last}" if others else last
        return (
            f"{count(n, 'neuron')}, {len(sphere.circles)} of them cut the sphere: {count(sphere.n_faces, 'face')}, "
            f"{count(sphere.n_patterns, 'pattern')}\n"
            f"Great circles, or any {n} that all cross, would make n² − n + 2 = {n_regions(n, 2)} faces\n"
            f"In the middle: {bits(sphere.patterns(face)[0])}, {100 * sphere.areas[face] / (4 * np.pi):.2f} % of the "
            f"sphere; {'no neuron flips' if last is None else f'a step away flips neuron {around}'}"
        )
