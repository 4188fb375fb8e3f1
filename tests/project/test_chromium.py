"""How `make browser` comes by a Chromium, with programs of our own in place of the machine's."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the programs in place of the machine's are shell scripts")
SCRIPT = Path(__file__).resolve().parents[1] / "browser" / "chromium.py"
APT = """#!/bin/sh
echo "$@" >> "{folder}/log"
{body}
"""
NEW = "{folder}/bin/chromium"
INSTALLS = f'case "$*" in *install*) printf "#!/bin/sh\\n" > {NEW}; /bin/chmod +x {NEW};; esac'


@pytest.fixture
def machine(tmp_path):
    """Run the script on a machine that has just these programs; the log tells what apt-get was asked for."""
    (tmp_path / "bin").mkdir()

    def run(programs, **environment):
        for name, body in programs.items():
            path = tmp_path / "bin" / name
            path.write_text(APT.format(folder=tmp_path, body=body.format(folder=tmp_path)))
            path.chmod(0o755)
        environment = {"PATH": str(tmp_path / "bin"), **environment}
        done = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, env=environment, timeout=60)
        log = tmp_path / "log"
        return done, log.read_text().splitlines() if log.exists() else []

    return run


ENV = {"env": 'shift; exec "$@"'}  # what is set before the command does not matter here
SUDO = {} if os.geteuid() == 0 else {"sudo": '[ "$1" = -n ] && shift; exec "$@"', "true": ""}


def test_one_that_is_there_is_taken(machine, tmp_path):
    done, log = machine({"chromium": "", "apt-get": ""})
    assert done.stdout == f"{tmp_path}/bin/chromium\n" and log == []


def test_named_one_goes_first(machine, tmp_path):
    (tmp_path / "mine").touch()
    done, log = machine({"chromium": ""}, LNPOLY_CHROMIUM=str(tmp_path / "mine"))
    assert done.stdout == f"{tmp_path}/mine\n"


def test_named_one_that_is_missing_is_an_error(machine):
    done, log = machine({"chromium": "", "apt-get": ""}, LNPOLY_CHROMIUM="/no/where")
    assert done.returncode and "LNPOLY_CHROMIUM: expected the path" in done.stderr and "'/no/where'" in done.stderr
    assert not done.stdout and log == []


def test_missing_one_is_installed_after_an_update(machine, tmp_path):
    done, log = machine({**ENV, **SUDO, "apt-get": INSTALLS})
    asked = [line for line in log if line.startswith("-qq")]
    assert asked == ["-qq update", "-qq install -y --no-install-recommends chromium"], done.stderr
    assert done.returncode == 0 and done.stdout == f"{tmp_path}/bin/chromium\n"


def test_failed_installation_is_one_error(machine):
    done, log = machine({**ENV, **SUDO, "apt-get": "exit 100"})
    assert done.returncode and "apt-get update failed" in done.stderr and not done.stdout


def test_machine_without_apt_is_told_what_to_do(machine):
    done, log = machine({})
    assert done.returncode and not done.stdout and log == []
    assert len(done.stderr.splitlines()) == 1 and "LNPOLY_CHROMIUM=/path/to/chromium make browser" in done.stderr


def test_user_without_rights_is_told_what_to_do(machine, tmp_path):
    machine({"apt-get": ""})
    nobody = "import os, runpy, sys; os.geteuid = lambda: 65534; runpy.run_path(sys.argv[1], run_name='__main__')"
    environment = {"PATH": str(tmp_path / "bin")}
    command = [sys.executable, "-c", nobody, SCRIPT]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode and "Install Chromium or Chrome, or name one" in done.stderr
