"""What would break on Windows first: text in the system's own encoding, Unix-only modules, a console without ε."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [*ROOT.glob("lnpoly_helpers/**/*.py"), *ROOT.glob("notebooks/*.py"), *ROOT.glob("data/*.py")]
ENCODING_AT = {"read_text": 0, "write_text": 1}  # which argument it is, if it has no name


def without_encoding(source):
    """The lines that read or write text and leave its encoding to the system."""
    found = []
    for call in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)):
        named = {keyword.arg for keyword in call.keywords}
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", None)
        owner = call.func.value if isinstance(call.func, ast.Attribute) else None
        if name in ENCODING_AT and owner is not None:
            given = len(call.args) > ENCODING_AT[name]
        elif name == "open" and not (
            isinstance(owner, ast.Name) and owner.id in {"Image", "os", "tarfile", "webbrowser"}
        ):
            mode = call.args[0 if owner else 1 :][:1] + [word.value for word in call.keywords if word.arg == "mode"]
            given = any(isinstance(m, ast.Constant) and "b" in str(m.value) for m in mode)
        else:
            given = not named & {"text", "universal_newlines"}
        if not given and "encoding" not in named:
            found.append(call.lineno)
    return sorted(set(found))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_text_has_a_stated_encoding(path):
    assert without_encoding(path.read_text(encoding="utf-8")) == []


def test_that_check_can_fail():
    bad = "path.read_text()", "path.write_text(x)", "open(name, 'w')", "path.open()", "subprocess.run(x, text=True)"
    good = (
        "path.read_text('utf-8')",
        "open(name, 'rb')",
        "open(name, encoding='utf-8')",
        "os.open(name, flags)",
        "Image.open(name)",
    )
    assert without_encoding("\n".join(bad + good)) == [1, 2, 3, 4, 5]


def test_rooms_import_without_unix():
    code = """
import os, pathlib, signal, sys
for name in ("fcntl", "grp", "pwd", "resource", "termios"):
    sys.modules[name] = None
for module, name in ((os, "setsid"), (os, "killpg"), (os, "getuid"), (os, "geteuid"), (signal, "SIGKILL")):
    delattr(module, name)
import importlib, pkgutil, lnpoly_helpers
rooms = [room.name for room in pkgutil.walk_packages(lnpoly_helpers.__path__, "lnpoly_helpers.")]
for room in rooms:
    if room.split(".")[1] != "classroom" and not room.endswith("__main__"):
        importlib.import_module(room)
import lnpoly_helpers.classroom.command
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=120)


@pytest.mark.slow
def test_build_prints_its_table_on_a_console_without_epsilon(tmp_path):
    (tmp_path / "notebooks").mkdir()
    for script in (ROOT / "notebooks").glob("*.py"):
        shutil.copy(script, tmp_path / "notebooks")
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("raise ValueError('ε ≠ 0')")])
    (tmp_path / "notebooks" / "a.ipynb").write_text(nbformat.writes(nb), encoding="utf-8")
    console = os.environ | {"PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"}
    command = [sys.executable, "notebooks/build.py"]
    done = subprocess.run(command, cwd=tmp_path, env=console, capture_output=True, encoding="cp1252", timeout=120)
    assert r"ValueError: \u03b5 \u2260 0" in done.stdout.splitlines()[-1], done.stderr
