"""Figures of computed objects. Every function takes ``ax=None``, returns the figure and says in words what it shows.

The words are the figure's alternative text: a notebook keeps them beside the picture, for readers who cannot see it
and for tests, which can compare words but not pictures.
"""

# ruff: noqa: E402  (the imports below come after it)
from .._inputs import require_installed

require_installed("lnpoly_helpers.plotting", "plot", "matplotlib")

from .arrows import plot_arrows, plot_bundle
from .circle import plot_arc_window, plot_arcs
from .curves import plot_lines, plot_path, plot_spread
from .dots import plot_dots
from .figure import LabelledFigure, new_figure
from .panels import plot_panels
from .plane import plot_plane
from .ray import plot_ray_patterns, plot_shrink
from .space import plot_fibres, plot_layernorm, plot_points_3d
from .sphere import plot_sphere
from .tables import plot_verdicts

__all__ = [
    "LabelledFigure",
    "new_figure",
    "plot_arc_window",
    "plot_arcs",
    "plot_arrows",
    "plot_bundle",
    "plot_dots",
    "plot_fibres",
    "plot_layernorm",
    "plot_lines",
    "plot_panels",
    "plot_path",
    "plot_plane",
    "plot_points_3d",
    "plot_ray_patterns",
    "plot_shrink",
    "plot_sphere",
    "plot_spread",
    "plot_verdicts",
]
