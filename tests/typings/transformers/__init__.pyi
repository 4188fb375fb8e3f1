"""Stands in for transformers where types are checked: to find the five names that are imported of it, and kept as
Any, pyright would read all of its 2,700 files, which takes longer than all the rest."""

from typing import Any

def __getattr__(name: str) -> Any: ...
