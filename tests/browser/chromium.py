"""Find a Chromium for the browser tests, installing Debian's if there is none; as a command, print its path.

usage: python tests/browser/chromium.py
"""

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 60_000  # to wait for anything, in milliseconds: a busy machine takes long over a page
NAMES = ("chromium", "chromium-browser", "google-chrome")
SWITCHES = [
    "--no-sandbox",  # the tests may run as root, and open nothing but pages of this repository
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def find():
    """The path of a Chromium: LNPOLY_CHROMIUM if that is set, else the first on the PATH, or None."""
    named = os.environ.get("LNPOLY_CHROMIUM")
    if named and not Path(named).is_file():
        sys.exit(f"LNPOLY_CHROMIUM: expected the path of a Chromium or Chrome, but there is no file {named!r}.")
    return named or next(filter(None, map(shutil.which, NAMES)), None)


def install():
    """Install Debian's package chromium, if this machine has apt-get and lets us use it."""
    sudo = [] if hasattr(os, "geteuid") and os.geteuid() == 0 else ["sudo", "-n"]
    allowed = not sudo or shutil.which("sudo") and not subprocess.run([*sudo, "true"], capture_output=True).returncode
    if not (allowed and shutil.which("apt-get")):
        sys.exit(
            "No Chromium found, and it cannot be installed from here (that takes apt-get and root's rights). Install "
            "Chromium or Chrome, or name one: LNPOLY_CHROMIUM=/path/to/chromium make browser"
        )
    apt = [*sudo, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]
    for step in (["update"], ["install", "-y", "--no-install-recommends", "chromium"]):
        print("+ apt-get", *step, file=sys.stderr)
        done = subprocess.run([*apt, "-qq", *step], stdout=sys.stderr)
        if done.returncode:
            sys.exit(f"apt-get {step[0]} failed; install Chromium by hand, or name one by LNPOLY_CHROMIUM.")


@contextmanager
def launched():
    """A headless browser of Playwright's, with an empty profile."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find(), args=SWITCHES)
        yield browser
        browser.close()


@contextmanager
def opened(browser, origin, **options):
    """A new page, and the list of requests to anywhere but ``origin``, which are refused."""
    context, elsewhere = browser.new_context(**options), []
    context.set_default_timeout(PATIENCE)

    def pass_or_refuse(route):
        if route.request.url.startswith((origin, "data:", "blob:")):
            route.continue_()
        else:
            elsewhere.append(route.request.url)
            route.abort()

    context.route("**/*", pass_or_refuse)
    yield context.new_page(), elsewhere
    context.close()


if __name__ == "__main__":
    if not find():
        install()
    print(find() or sys.exit("apt-get installed chromium, but it is not on the PATH. Name it by LNPOLY_CHROMIUM."))
