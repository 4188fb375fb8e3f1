"""How many cases a test draws: all in a thorough run, a sixth otherwise.

``LNPOLY_THOROUGH`` makes a run thorough; the workflow sets it. What counts is that the kinds of cases are all there, so
a test takes them in turn.
"""

import os

from hypothesis import settings

THOROUGH = bool(os.environ.get("LNPOLY_THOROUGH"))


def drawn(n):
    """``n`` cases, or a sixth of them."""
    return n if THOROUGH else n // 6


thousand = settings(max_examples=drawn(1000))
