"""How many cases a test draws: all in a thorough run, a sixth otherwise. Or one or two of a few that are named.

``LNPOLY_THOROUGH`` makes a run thorough; the workflow sets it. What counts is that the kinds of cases are all there, so
a test takes them in turn.
"""

import os

import pytest
from hypothesis import settings

THOROUGH = bool(os.environ.get("LNPOLY_THOROUGH"))


def drawn(n):
    """``n`` cases, or a sixth of them."""
    return n if THOROUGH else n // 6


def some(values, *beginnings):
    """A parameter of each string or path; all but those that begin so are for a thorough run."""
    names = [getattr(value, "stem", value) for value in values]
    marks = {False: [pytest.mark.thorough], True: []}
    return [
        pytest.param(value, marks=marks[name.startswith(beginnings)], id=name)
        for value, name in zip(values, names, strict=True)
    ]


thousand = settings(max_examples=drawn(1000))
