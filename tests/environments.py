"""Environments of other places, made here: what Google Colab has installed, and what Binder installs."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import distribution, distributions
from pathlib import Path
from urllib.parse import unquote

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
COLAB_LIST = ROOT / "tests" / "places" / "colab.txt"
COLAB_PYTHON = "3.13"
# torch, and what comes with a build of it for graphics cards
TORCH = re.compile(r"torch|triton|nvidia-.*|cuda-.*")
# other processors' kernels: of torch, of NumPy's OpenBLAS and of torch's MKL
KERNELS = {
    "oldest": {
        "ATEN_CPU_CAPABILITY": "default",
        "OPENBLAS_CORETYPE": "Nehalem",
        "MKL_CBWR": "COMPATIBLE",
        "OMP_NUM_THREADS": "1",
    },
    "avx2": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "OPENBLAS_CORETYPE": "Haswell",
        "MKL_CBWR": "AVX2",
        "OMP_NUM_THREADS": "2",
        "OMP_WAIT_POLICY": "passive",  # a thread that waits takes no time from what else runs here
    },
}
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
VERSIONS = """
import json, re
from importlib.metadata import distributions
found = {}
for d in distributions():  # in the order of sys.path: the first is the one that is imported
    found.setdefault(re.sub("[-_.]+", "-", d.name).lower(), d.version)
print(json.dumps(found))
"""


def preinstalled(text=None):
    """{canonical name: version} of what Colab has, from what pip freeze prints; the committed list by default."""
    found = {}
    for line in (COLAB_LIST.read_text(encoding="utf-8") if text is None else text).splitlines():
        name, _, version = line.partition("==")
        if " @ " in line:  # an address: a wheel's name tells its version, others do not
            name, address = line.split(" @ ")
            wheel = re.search(r"/([^/#]+\.whl)", unquote(address))
            version = wheel and str(parse_wheel_filename(wheel[1])[1])
        if version and line[0] != "#":
            found[canonicalize_name(name)] = version
    return found


def requirements(*extras):
    """What the package asks for with these extras; an extra that names others is taken apart."""
    found = list(PROJECT["project"]["dependencies"])
    for extra in extras:
        for line in PROJECT["project"]["optional-dependencies"][extra]:
            wanted = Requirement(line)
            found += requirements(*wanted.extras) if wanted.name == PROJECT["project"]["name"] else [line]
    return list(dict.fromkeys(found))


def walk(requirements, into=lambda name: True, look=distribution):
    """Every requirement on the way down from these, with the name of who asks, as Colab's interpreter reads markers.

    Parameters
    ----------
    requirements : iterable of str
        What we ask for ourselves.
    into : callable
        Whether to go on to what the package of that canonical name asks for.
    look : callable
        A distribution by its name, with ``requires`` and ``metadata``; what is installed here by default.

    Yields
    ------
    (str, Requirement)
    """
    todo, done = [("lnpoly-helpers", text, {""}) for text in requirements], set()
    while todo:
        asker, text, extras = todo.pop(0)
        wanted = Requirement(text)
        here = {"python_version": COLAB_PYTHON, "python_full_version": f"{COLAB_PYTHON}.0", "sys_platform": "linux"}
        if wanted.marker and not any(wanted.marker.evaluate(here | {"extra": extra}) for extra in extras):
            continue
        yield asker, wanted
        name, key = canonicalize_name(wanted.name), (wanted.name, *sorted(wanted.extras))
        if key not in done and into(name):
            done.add(key)
            todo += [(name, needed, {"", *wanted.extras}) for needed in look(name).requires or []]


def run(command, **options):
    """What a command prints; its own words if it fails."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "encoding": "utf-8"} | options
    done = subprocess.run(list(map(str, command)), **options)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def bare(**more):
    """The environment variables of this process without those that lead a kernel to this clone or decide its model."""
    ours = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "MPLBACKEND", "JUPYTER_PREFER_ENV_PATH"}
    ours |= {name for kernels in KERNELS.values() for name in kernels}
    kept = {k: v for k, v in os.environ.items() if k not in ours and not k.startswith(("HF_", "LNPOLY_", "PYTEST_"))}
    return kept | {"PYDEVD_DISABLE_FILE_VALIDATION": "1"} | more  # else each kernel grumbles about a debugger


def python_of(environment):
    """The interpreter of a virtual environment."""
    return environment / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def site_of(environment):
    return Path(run([python_of(environment), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]).strip())


def versions(environment):
    """{name: version} of what an environment imports."""
    return json.loads(run([python_of(environment), "-c", VERSIONS], env=bare()))


def link(source, target):
    """A file under another name, or its copy where that cannot be."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def install(environment, *packages, **options):
    """Install as pip would, into an environment that may have none; by uv, a tenth of the work."""
    index = {"UV_DEFAULT_INDEX": os.environ["PIP_INDEX_URL"]} if "PIP_INDEX_URL" in os.environ else {}
    uv = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", python_of(environment)]
    run([*uv, *packages], env=bare(**index), **options)


@contextlib.contextmanager
def made(environment, *packages, torch=True, **options):
    """A fresh virtual environment with the torch of this interpreter and what is installed; gone afterwards.

    Colab's own torch cannot be had everywhere, conda's pytorch-cpu has no wheel, and installing a gigabyte would prove
    nothing. What torch asks for comes with what is installed.
    """
    try:
        run([sys.executable, "-m", "venv", "--without-pip", environment])
        site = site_of(environment)
        for found in (found for found in distributions() if torch and TORCH.fullmatch(canonicalize_name(found.name))):
            for file in found.files:
                if ".." not in file.parts and file.locate().exists():
                    (site / file).parent.mkdir(parents=True, exist_ok=True)
                    link(file.locate(), site / file)
        install(environment, *packages, **options)
        yield environment
    finally:
        shutil.rmtree(environment, ignore_errors=True)


def layer(environment, base, at_start=""):
    """An empty environment above another: it imports what the base has, and what pip adds stays out of the base."""
    run([sys.executable, "-m", "venv", "--without-pip", environment])
    lines = [str(site_of(base)), *([at_start] if at_start else [])]
    (site_of(environment) / "base.pth").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return environment


def snapshot(folder):
    """The project as it stands here, committed or not, as a git repository in a new folder, on the branch we name."""
    listed = run(["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]).split("\0")
    for name in filter(None, listed):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    git = ["git", "-C", folder, "-c", "user.name=x", "-c", "user.email=x@localhost", "-c", "commit.gpgsign=false"]
    ref = PROJECT["tool"]["lnpoly"]["ref"]
    init = ["init", "--quiet", "--initial-branch", ref]
    for arguments in (init, ["add", "--all"], ["commit", "--quiet", "-m", "snapshot"]):
        run([*git, *arguments])
    return folder


def execute(notebook, folder, environment, **variables):
    """Run a copy of a notebook, alone in a new folder, with the interpreter of an environment; returns it executed."""
    import nbformat
    from jupyter_client import AsyncKernelManager
    from jupyter_client.kernelspec import KernelSpecManager
    from nbclient import NotebookClient

    kernels, alone = folder / "kernels", folder / "alone"
    (kernels / "elsewhere").mkdir(parents=True)
    alone.mkdir()
    launch = [str(python_of(environment)), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": launch, "display_name": "elsewhere", "language": "python"}
    (kernels / "elsewhere" / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
    nb = nbformat.read(shutil.copy(notebook, alone), as_version=4)
    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    manager = AsyncKernelManager(
        kernel_name="elsewhere", kernel_spec_manager=KernelSpecManager(kernel_dirs=[str(kernels)])
    )
    client = NotebookClient(nb, km=manager, timeout=600, resources={"metadata": {"path": str(alone)}})
    client.owns_km = True  # so that the kernel ends with the notebook
    client.extra_arguments = ["--IPKernelApp.log_level=40"]  # as in build.py
    client.execute(env=bare(**{"OMP_NUM_THREADS": "1"} | variables))
    return nb


def printed(nb):
    """{cell's code: what it shows in words}, without stderr and the widgets of a download's progress."""
    shown = {}
    for cell in (cell for cell in nb.cells if cell.cell_type == "code"):
        outputs = [o for o in cell.outputs if o.get("name") != "stderr" and not is_progress(o.get("data", {}))]
        shown[cell.source] = "".join(o.get("text", "") + o.get("data", {}).get("text/plain", "") for o in outputs)
    return shown


def is_progress(data):
    """Whether an output is a bare widget; an explorer brings its picture with it."""
    return WIDGET_VIEW in data and "image/png" not in data
