"""The author scripts, which are no package, as modules."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def load(path):
    """A fresh module from a script of the repository, such as ``"notebooks/build.py"``."""
    spec = importlib.util.spec_from_file_location(path.removesuffix(".py").replace("/", "_"), ROOT / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
