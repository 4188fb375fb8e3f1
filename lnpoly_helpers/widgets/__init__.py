"""Explorers: pictures of the geometry to touch, and their numbers.

Each needs the extra "widgets".
"""

# ruff: noqa: E402  (the imports below come after it)
from .._inputs import require_installed

require_installed("lnpoly_helpers.widgets", "widgets", "ipywidgets", "anywidget")

from .circle import explore_circle
from .explorer import Explorer
from .layernorm import explore_layernorm
from .rotation import explore_rotation
from .slice import explore_slice
from .sphere import explore_sphere

__all__ = [
    "Explorer",
    "explore_circle",
    "explore_layernorm",
    "explore_rotation",
    "explore_slice",
    "explore_sphere",
]
