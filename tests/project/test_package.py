"""The package as a user gets it: what the wheel carries, what an import loads, and who imports whom."""

import importlib
import inspect
import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "lnpoly_helpers"
HEAVY = (
    "torch",
    "transformer_lens",
    "huggingface_hub",
    "matplotlib",
    "ipywidgets",
    "anywidget",
    "scipy.special",
    "scipy.stats",
)


def fresh(code, python=sys.executable, **options):
    """What code prints in a new process."""
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, timeout=300, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# --- the wheel ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """The wheel built from the clone, and the one built from the source archive."""
    made = []
    for kind, how in (("direct", ["--wheel"]), ("from-sdist", [])):
        out = tmp_path_factory.mktemp(kind)
        command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), *how, str(ROOT)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=out)
        assert done.returncode == 0, done.stdout + done.stderr
        made += out.glob("*.whl")
    return made


def test_wheel_holds_the_package_its_data_and_nothing_else(wheels):
    from lnpoly_helpers import EMBEDDED, __version__

    data = ["manifest.json", "prompts.txt", "predictions/gpt2.json", "results/coverage.json"]
    data += ["published/gpt2_residual_std.json", "published/neurons.json"]
    data += [path.relative_to(ROOT / "data").as_posix() for path in (ROOT / "data" / "results").glob("*/*.json")]
    data += [name + ending for name in EMBEDDED for ending in (".safetensors", ".md")]
    info = f"lnpoly_helpers-{__version__}.dist-info/"
    expected = {path.relative_to(ROOT).as_posix() for path in PACKAGE.rglob("*.py")} | {"lnpoly_helpers/py.typed"}
    expected |= {path.relative_to(ROOT).as_posix() for path in (PACKAGE / "widgets").glob("*.js")}
    expected |= {f"lnpoly_helpers/data/{name}" for name in data}
    expected |= {info + name for name in ("METADATA", "WHEEL", "RECORD", "licenses/LICENSE")}
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            assert set(archive.namelist()) == expected
            for entry in archive.infolist():
                assert entry.file_size <= 4 * 2**20, f"{entry.filename} is over 4 MiB"


def test_wheel_from_the_source_archive_is_the_same(wheels):
    contents = []
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            contents.append({entry.filename: entry.CRC for entry in archive.infolist()})
    assert contents[0] == contents[1]


def test_source_archive_holds_no_answer_of_the_assignment(wheels):
    (archive,) = wheels[1].parent.glob("*.tar.gz")
    with tarfile.open(archive) as files:
        names = [name.split("/", 1)[1] for name in files.getnames()]
    assert "notebooks/assignment/README.md" in names
    secret = ("notebooks/assignment/source", "tests/classroom")
    assert not [name for name in names if name.startswith(secret)]


USE = """
import os, sys, lnpoly_helpers
from lnpoly_helpers import EMBEDDED, load_model, model_card, normalize, prompts
assert abs(normalize([3.0, 1.0, -1.0])).sum() > 0
assert len(prompts()) > 50
for name in EMBEDDED:
    model_card(name)
assert load_model("nano-ln-relu").cfg.d_model == 128
print(lnpoly_helpers.__file__)
print(*map(os.path.realpath, sys.path), sep="\\n")
"""


@pytest.mark.slow
def test_wheel_works_from_an_empty_folder_without_network(wheels, tmp_path):
    """In an environment of its own, which sees the dependencies installed here but not this clone."""
    environment, empty = tmp_path / "environment", tmp_path / "empty"
    empty.mkdir()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True, timeout=120)
    python = next(p for p in environment.rglob("python*") if p.parent.name in ("bin", "Scripts") and p.stem == "python")
    site = Path(fresh("import sysconfig; print(sysconfig.get_path('purelib'))", python))
    # a folder named in a .pth file is searched, but its own .pth files, the editable install's among them, are not read
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n" + sysconfig.get_path("platlib") + "\n")
    install = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*install, "--force-reinstall", wheels[0]], check=True, timeout=120, cwd=empty)
    dead = "http://127.0.0.1:9"
    cut_off = {"HTTP_PROXY": dead, "HTTPS_PROXY": dead, "ALL_PROXY": dead, "HF_HUB_OFFLINE": "1", "HF_HOME": str(empty)}
    bare = {k: v for k, v in os.environ.items() if k.lower() not in ("pythonpath", "no_proxy")}
    where, *search_path = fresh(USE, python, cwd=empty, env=bare | cut_off).splitlines()
    assert Path(where).is_relative_to(site)
    assert str(ROOT) not in search_path


# --- an import ---------------------------------------------------------------------------------------------------


def loaded_by(statement):
    """Which of the heavy libraries a statement loads in a fresh process."""
    code = f"import sys\n{statement}\nprint(*(name for name in {HEAVY} if name in sys.modules))"
    return set(fresh(code, cwd=ROOT).split())


def test_import_loads_no_heavy_library():
    assert loaded_by("import lnpoly_helpers") == set()


def test_that_check_can_fail():
    assert loaded_by("import lnpoly_helpers.plotting") == {"matplotlib"}


def test_import_is_quick():
    code = """
import time, numpy
start = time.process_time()
import lnpoly_helpers
print(time.process_time() - start)
"""
    # the processor's time, and the quickest of several: what else the machine does only ever adds; 0.06 here
    assert min(float(fresh(code, cwd=ROOT)) for _ in range(3)) < 0.2


# --- the public names ---------------------------------------------------------------------------------------------

PUBLIC = ("lnpoly_helpers", "lnpoly_helpers.plotting", "lnpoly_helpers.widgets", "lnpoly_helpers.checks")


@pytest.mark.parametrize("room", PUBLIC)
def test_what_a_room_offers_is_there_and_says_what_it_is(room):
    module = importlib.import_module(room)
    assert module.__doc__ and len(set(module.__all__)) == len(module.__all__)
    public = {name: getattr(module, name) for name in module.__all__ if callable(getattr(module, name))}
    for part in (">>>", "See Also"):
        assert [name for name, one in public.items() if part not in (one.__doc__ or "")] == []
    for name, one in public.items():
        if inspect.isfunction(one):
            signature = inspect.signature(one)
            said = [parameter.annotation for parameter in signature.parameters.values()] + [signature.return_annotation]
            assert inspect.Signature.empty not in said, name


def test_dir_shows_what_is_promised():
    import lnpoly_helpers

    assert dir(lnpoly_helpers) == sorted(lnpoly_helpers.__all__)
