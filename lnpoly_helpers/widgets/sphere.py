"""An explorer of the ordinary sphere: small circles on it, and the faces between them."""

from functools import lru_cache

import numpy as np

from ..geometry.arrangement import Arrangement
from ..geometry.sphere import n_regions, partition_sphere
from ..plotting import new_figure, plot_sphere
from .explorer import count
from .sliders import Sliders, slider


def explore_sphere(n: int = 8, seed: int = 0) -> Sliders:
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
    Sliders
        Controls ``n``, ``seed``, ``spread``, ``longitude`` and ``latitude``.

    Raises
    ------
    ValueError
        n or seed is no integer of its range.

    See Also
    --------
    partition_sphere, n_regions, explore_circle

    Examples
    --------
    >>> explore_sphere(n=4).render(n=4, seed=0, spread=0.0, longitude=30, latitude=15)[1].splitlines()[0]
    '4 neurons, 4 of them cut the sphere: 14 faces, 14 patterns'
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
        faces = count(n_faces, "face")
        title = f"{count(n_circles, 'circle')}, {faces}"
        plot_sphere(arrangement, view=(longitude, latitude), pixels=360, title=title, ax=ax)
        return figure, (
            f"{count(n, 'neuron')}, {n_circles} of them cut the sphere: {faces}, {count(n_patterns, 'pattern')}\n"
            f"Great circles, or any {n} that all cross, would make n² − n + 2 = {n_regions(n, 2)} faces"
        )

    controls = {
        "n": slider("neurons n", n, 1, 24),
        "seed": slider("seed", seed, 0, 20),
        "spread": slider("bias spread", 0.3, 0.0, 1.0, 0.05),
        "longitude": slider("longitude (°)", 30, -180, 180, 5),
        "latitude": slider("latitude (°)", 15, -90, 90, 5),
    }
    return Sliders(render, controls)
