"""The author scripts, which are no package, as modules."""

import importlib.util
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def load(path):
    """A fresh module from a script of the repository, such as ``"notebooks/build.py"``."""
    folder = str((ROOT / path).parent)
    if folder not in sys.path:  # as when it runs by itself: what lies beside it can be imported
        sys.path.append(folder)
    spec = importlib.util.spec_from_file_location(path.removesuffix(".py").replace("/", "_"), ROOT / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
