"""What the tests in a browser share: one Chromium, and the site with the outputs that are saved in the notebooks."""

import subprocess
import sys
from pathlib import Path

import pytest
from chromium import launched

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def browser():
    with launched() as one:
        yield one


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The folder of the site with the outputs that are saved in the notebooks."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, ROOT / "notebooks" / "build.py", "--site", folder, "--saved"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=60)
    return folder
