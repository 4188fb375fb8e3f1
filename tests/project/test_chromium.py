"""What `make browser` says where it finds no Chromium; how it finds or installs one shows in each run of it."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[1] / "browser" / "chromium.py"


def said(folder, **environment):
    """What the script says on a machine without any program."""
    environment = {"PATH": str(folder), **environment}
    done = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode and not done.stdout and len(done.stderr.splitlines()) == 1
    return done.stderr


def test_named_one_that_is_missing_is_an_error(tmp_path):
    error = said(tmp_path, LNPOLY_CHROMIUM="/no/where")
    assert "LNPOLY_CHROMIUM: expected the path" in error and "'/no/where'" in error


def test_machine_without_apt_is_told_what_to_do(tmp_path):
    assert "LNPOLY_CHROMIUM=/path/to/chromium make browser" in said(tmp_path)
