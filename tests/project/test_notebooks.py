"""The committed notebooks: all of them checked, all of them run, in their normal form, fit to be read by anyone."""

import base64
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import pytest
import scripts
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
build = scripts.load("notebooks/build.py")
REPOSITORY, REF = build.repository(), build.ref()

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
BADGE = (
    "[![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
    "(https://colab.research.google.com/github/{repository}/blob/{ref}/notebooks/{name})"
)
SETUP = """\
import importlib.util
if importlib.util.find_spec("lnpoly_helpers") is None:  # as on Colab
    %pip install -q "lnpoly-helpers[{extras}] @ git+https://github.com/{repository}@{ref}"
"""
WITHOUT_NETWORKS = ("01", "02", "03", "04")  # what they need installs in no time
# what would differ on the next machine: addresses in memory, folders of the machine, matplotlib's own text
TRACES = re.compile(r"\b0x[0-9a-f]{6,}|/tmp/|/home/|/Users/|/root/|site-packages|ipykernel_|<Figure size")


def faults(name, text, folder):
    """All that is wrong with the notebook of that file name and text, which stands in that folder."""
    nb = nbformat.reads(text, as_version=4)
    code = [cell for cell in nb.cells if cell.cell_type == "code"]
    found = []

    def expect(condition, fault):
        if not condition:
            found.append(fault)

    first = nb.cells[0]
    badge = BADGE.format(repository=REPOSITORY, ref=REF, name=name)
    expect(first.cell_type == "markdown" and badge in first.source, "badge: the first cell has not this notebook's")
    extras = "plot,widgets" if name.startswith(WITHOUT_NETWORKS) else "models,plot,widgets"
    setup = SETUP.format(repository=REPOSITORY, ref=REF, extras=extras)
    expect(code and (code[0].source + "\n").startswith(setup), "setup: the first code cell does not begin with it")
    expect(set(re.findall(build.ADDRESS, text)) and addresses(text) == {REPOSITORY}, "address: not the repository's")
    expect(all(cell.execution_count for cell in code if cell.source.strip()), "unrun: a cell has no execution count")
    expect(text == build.text_of(build.normalise(nb)), "form: not normalised")
    expect(len(text.encode()) < 1_000_000, "size: 1 MB or more")
    expect("widgets" not in json.loads(text)["metadata"], "widgets: state is saved")
    tags = {tag for cell in code for tag in cell.metadata.get("tags", [])}
    skipped = "nbval-skip" in tags or any("NBVAL_SKIP" in cell.source for cell in code)
    expect(not skipped, "skip: a cell that nbval does not run")
    for output in (output for cell in code for output in cell.outputs):
        data = output.get("data", {})
        expect(output.output_type != "error" and output.get("name") != "stderr", "error: a cell shows an error")
        for kind in (kind for kind in data if kind.startswith("image/")):
            expect(output.metadata.get(kind, {}).get("alt", "").strip(), "alt: a picture has no alternative text")
        shown = output.get("text", "") + data.get("text/plain", "")
        expect(not TRACES.search(shown), f"trace: an output shows {TRACES.findall(shown)[:1]}")
    text = "\n".join(cell.source for cell in nb.cells if cell.cell_type == "markdown")
    for tex in re.findall(r"(?<!\$)\$([^$\n]+)\$(?!\$)", text) + re.findall(r"\$\$(.+?)\$\$", text, re.DOTALL):
        expect(readable(tex), f"formula: {tex} is no TeX that a page could show")
    expect(not re.search(r"\\[(\[]", text), "formula: not between $, which GitHub, Colab and JupyterLab all show")
    for link in relative_links(text):
        expect((folder / link).exists(), f"link: {link} leads nowhere")
    return found


def readable(tex):
    try:
        return bool(build.pages.formula(tex))
    except ValueError:
        return False


def addresses(text):
    return {match[2] for match in build.ADDRESS.finditer(text)}


def relative_links(markdown):
    targets = re.findall(r"\]\(([^)\s]+)", markdown) + re.findall(r'(?:src|href)="([^"]+)"', markdown)
    return [t.split("#")[0] for t in targets if not re.match(r"[a-z]+:|#", t)]


# --- the committed ones ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_as_it_should_be(path):
    assert faults(path.name, path.read_text(encoding="utf-8"), path.parent) == []


@pytest.mark.slow
def test_nbval_checks_every_cell_of_every_notebook():
    """Its own collection, by the very command of the Makefile, against the files on disk."""
    line = next(line for line in (ROOT / "Makefile").read_text().splitlines() if "--nbval " in line)
    arguments = shlex.split(line.split("$(BESIDE)", 1)[1])
    command = [sys.executable, "-m", "pytest", *arguments, "--collect-only", "-q"]
    listed = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120).stdout.splitlines()
    checked = sorted(line.split("::")[0] for line in listed if "::" in line)
    expected = []
    for path in NOTEBOOKS:
        cells = nbformat.read(path, as_version=4).cells
        expected += [f"notebooks/{path.name}"] * sum(cell.cell_type == "code" for cell in cells)
    assert checked == expected and expected


def test_readme_lists_every_notebook():
    rows = [line for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    listed = [re.findall(r"\]\(notebooks/([^)]+\.ipynb)\)", row) for row in rows]
    assert sorted(name for names in listed for name in names) == [path.name for path in NOTEBOOKS]


def test_readme_begins_with_a_film_and_one_link_to_start():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    lead, film, start, *_ = [part for part in readme.split("\n\n") if not part.startswith("#")]
    assert re.fullmatch(r"[^.!?]+\.", lead), "one sentence"
    alt, name = re.fullmatch(r"!\[([^]]+)\]\((\S+)\)", film).groups()
    assert 60 < len(alt) <= 400
    with Image.open(ROOT / name) as shown:
        assert shown.n_frames > 20 and (ROOT / name).stat().st_size < 500_000
    (address,) = re.findall(r"\]\((\S+)\)", start)
    assert address == f"{build.public_site()}{NOTEBOOKS[0].stem}.html"
    assert readme.count("![") == 1, "no badges: a row of them is wider than a phone"


def decimals(text):
    return set(re.findall(r"(?<![\w./])\d+\.\d+(?![\w/])", text.replace("−", "-")))


def unprinted(cells):
    """Decimal numbers of the prose that no cell prints."""
    printed = "".join(output.get("text", "") for cell in cells for output in cell.get("outputs", []))
    prose = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    return decimals(re.sub(r"\]\([^)]*\)", "]", prose)) - decimals(printed)


@pytest.mark.parametrize("name", ["07_adding_a_direction", "08_same_direction_other_contexts"])
def test_every_number_in_the_prose_is_printed(name):
    cells = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4).cells
    assert unprinted(cells) <= {"0.5", "1.5"}  # half of the way, and what is derived in the text


def test_that_a_number_nobody_prints_is_found():
    cells = [new_markdown_cell("It is 0.25, not −3.75 ([so](https://arxiv.org/abs/1234.56789)).")]
    assert unprinted(cells) == {"0.25", "3.75"}
    cells.append(new_code_cell("print(0.25)", outputs=[new_output("stream", name="stdout", text="-3.75 0.25\n")]))
    assert unprinted(cells) == set()


# --- that the check can fail -------------------------------------------------------------------------------------


def good():
    """A notebook without a fault."""
    image = new_output("display_data", data={"image/png": PIXEL}, metadata={"image/png": {"alt": "One pixel."}})
    cells = [
        new_markdown_cell(
            BADGE.format(repository=REPOSITORY, ref=REF, name="a.ipynb") + "\n\n# A claim\n\nIt holds. [On](a.ipynb)"
        ),
        new_code_cell(SETUP.format(repository=REPOSITORY, ref=REF, extras="models,plot,widgets").rstrip()),
        new_code_cell("print(1)", outputs=[new_output("stream", name="stdout", text="1\n"), image]),
    ]
    return build.normalise(new_notebook(cells=cells))


def faults_of(nb, tmp_path, normal=True):
    (tmp_path / "a.ipynb").touch()
    return faults("a.ipynb", build.text_of(build.normalise(nb) if normal else nb), tmp_path)


def test_good_notebook_has_no_fault(tmp_path):
    assert faults_of(good(), tmp_path) == []


def _plant(fault, nb):
    first, setup, cell = nb.cells
    if fault == "badge":
        first.source = first.source.replace("a.ipynb)", "b.ipynb)", 1)
    elif fault == "setup":
        nb.cells[1:] = [cell, setup]
    elif fault == "address":
        setup.source += "\n# git+https://github.com/someone/else"
    elif fault == "skip":
        cell.metadata["tags"] = ["nbval-skip"]
    elif fault == "size":
        cell.outputs[0].text = "1" * 1_000_000
    elif fault == "error":
        cell.outputs[0].name = "stderr"
    elif fault == "alt":
        cell.outputs[1].metadata = {}
    elif fault == "trace":
        cell.outputs[0].text = "<object at 0x7f0123456789>"
    elif fault == "formula":
        first.source += r" where $\frac{x$"
    elif fault == "formula in brackets":
        first.source += r" where \(x > 0\)"
    elif fault == "link":
        first.source += " [Gone](gone.ipynb#part)"


FAULTS = [
    "badge",
    "setup",
    "address",
    "skip",
    "size",
    "error",
    "alt",
    "trace",
    "formula",
    "formula in brackets",
    "link",
]


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_fault_is_found(fault, tmp_path):
    nb = good()
    _plant(fault, nb)
    assert [found.split(":")[0] for found in faults_of(nb, tmp_path)] == [fault.split()[0]]


def test_unrun_cell_and_saved_widgets_are_found(tmp_path):
    nb = good()
    nb.cells[2].execution_count = None
    nb.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": {}}
    found = [fault.split(":")[0] for fault in faults_of(nb, tmp_path, normal=False)]
    assert found == ["unrun", "form", "widgets"]


# --- the normaliser ----------------------------------------------------------------------------------------------


def messy():
    """The good notebook as a session in an editor leaves it."""
    nb = good()
    nb.nbformat_minor = 4
    for cell in nb.cells:
        del cell["id"]
    nb.metadata = nbformat.from_dict({"widgets": {}, "kernelspec": {"name": "mine", "display_name": "Mine"}})
    nb.metadata["language_info"] = {"name": "python", "version": "3.11.7"}
    nb.cells[1].execution_count = 41
    nb.cells[2].execution_count = 42
    nb.cells[2].metadata["execution"] = {"iopub.execute_input": "2026-01-01"}
    nb.cells[2].metadata["tags"] = ["kept"]
    nb.cells[2].outputs = [
        new_output("stream", name="stdout", text="1"),
        new_output("stream", name="stdout", text="\n"),
        new_output("execute_result", data={"text/plain": "2", build.WIDGET_VIEW: {}}, execution_count=42),
        new_output("stream", name="stdout", text="3\n"),
    ]
    nb.cells.append(new_code_cell("", execution_count=7))
    return nb


def test_normaliser_takes_out_what_differs_from_run_to_run():
    nb = messy()
    before = nbformat.from_dict(json.loads(json.dumps(nb)))
    normal = build.normalise(nb)
    assert nb == before, "the argument is left as it is"
    assert normal.nbformat_minor == 5 and normal.metadata == build.NOTEBOOK_METADATA
    assert [cell.id for cell in normal.cells] == ["cell-00", "cell-01", "cell-02", "cell-03"]
    assert [cell.execution_count for cell in normal.cells[1:]] == [1, 2, None]
    assert normal.cells[2].metadata == {"tags": ["kept"]}
    shown = normal.cells[2].outputs
    assert [output.output_type for output in shown] == ["stream", "execute_result", "stream"]
    assert shown[0].text == "1\n" and shown[1].execution_count == 2 and shown[1].data == {"text/plain": "2"}
    assert build.normalise(good()).cells[2].outputs[1].metadata == {"image/png": {"alt": "One pixel."}}


def test_normaliser_changes_nothing_twice():
    text = build.text_of(build.normalise(messy()))
    assert build.text_of(build.normalise(nbformat.reads(text, as_version=4))) == text
    assert text.endswith("}\n") and '\n "cells"' in text


# --- build.py as a command ---------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path):
    """Two notebooks of their own, one of which fails, beside a copy of build.py."""
    scripts = [f"notebooks/{name}.py" for name in ("build", "embed", "figures", "pages", "printed", "reference")]
    for name in ("pyproject.toml", *scripts, *(source for source, _, _ in build.pages.TEXTS)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(build.pages.TEMPLATE, tmp_path / "notebooks" / build.pages.TEMPLATE.name)
    show = f"import base64\nfrom IPython.display import Image\nImage(base64.b64decode('{PIXEL}'), alt='One pixel.')"
    works = new_notebook(
        cells=[new_markdown_cell("# It works\n\nAlways. [On](b.ipynb#x), [up](../README.md)"), new_code_cell(show)]
    )
    fails = new_notebook(cells=[new_code_cell("1 / 0"), new_code_cell("print('never')")])
    for name, nb in (("a", works), ("b", fails)):
        (tmp_path / "notebooks" / f"{name}.ipynb").write_text(nbformat.writes(nb))
    return tmp_path


def command(project, *arguments):
    arguments = [sys.executable, "notebooks/build.py", *arguments]
    return subprocess.run(arguments, cwd=project, capture_output=True, text=True, timeout=120)


@pytest.mark.slow
def test_site_is_written_and_a_failure_is_reported(project):
    before = {path.name: path.read_bytes() for path in project.glob("notebooks/*.ipynb")}
    done = command(project, "--site", "site")
    assert done.returncode == 1 and "WARNING" not in done.stderr  # a kernel may still grumble when it is shut down
    table = done.stdout.splitlines()[-3:]
    assert table[0].split() == ["notebook", "seconds", "result"]
    assert re.fullmatch(r"a +\d+\.\d  ok", table[1])
    assert re.fullmatch(r"b +\d+\.\d  ZeroDivisionError: division by zero", table[2])
    page = (project / "site" / "a.html").read_text(encoding="utf-8")
    assert 'alt="One pixel."' in page and 'href="b.html#x"' in page
    assert (project / "site" / "figures" / "a_1_0.png").read_bytes() == base64.b64decode(PIXEL)
    assert f'href="https://github.com/{REPOSITORY}/blob/{REF}/README.md"' in page
    index = (project / "site" / "index.html").read_text(encoding="utf-8")
    assert '<a href="a.html">It works</a>' in index and "Always." in index and "ZeroDivisionError" in index
    assert "ZeroDivisionError" in (project / "site" / "b.html").read_text(encoding="utf-8")
    assert before == {path.name: path.read_bytes() for path in project.glob("notebooks/*.ipynb")}


@pytest.mark.slow
def test_notebooks_are_rewritten_in_place_unless_they_fail(project):
    before = (project / "notebooks" / "b.ipynb").read_bytes()
    assert not build.check([project / "notebooks" / "a.ipynb"])
    assert command(project).returncode == 1
    assert command(project, "--check", "a").returncode == 0
    assert (project / "notebooks" / "b.ipynb").read_bytes() == before
    assert nbformat.read(project / "notebooks" / "a.ipynb", as_version=4).cells[1].execution_count == 1


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="Windows has no such signal for one process")
def test_interrupted_run_leaves_no_kernel(project):
    sleeps = "import os, pathlib, time\npathlib.Path(f'{os.getpid()}.pid').touch()\ntime.sleep(600)"
    for name in "abc":
        nb = new_notebook(cells=[new_code_cell(sleeps)])
        (project / "notebooks" / f"{name}.ipynb").write_text(nbformat.writes(nb))
    # a shell's background job, which these tests may be, has Ctrl-C ignored
    obey = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    process = subprocess.Popen([sys.executable, "notebooks/build.py"], cwd=project, **streams, **obey)
    until = time.monotonic() + 120  # against hanging alone
    while len(started := list(project.glob("notebooks/*.pid"))) < build.AT_A_TIME and time.monotonic() < until:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=120)
    assert process.returncode and sorted(said.splitlines()) == ["[2/3] b ...", "[3/3] c ..."]
    assert len(started) == build.AT_A_TIME
    assert not [path for path in started if psutil.pid_exists(int(path.stem))]
