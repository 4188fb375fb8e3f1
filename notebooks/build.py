"""Execute the notebooks of this folder; write them back in their normal form, or write the HTML site from them.

usage: python notebooks/build.py [NAME ...]              execute, normalise and write back (NAME: how a notebook begins)
       python notebooks/build.py --site DIR              execute, leave the notebooks alone, write DIR/index.html
       python notebooks/build.py --site DIR --saved      the same from the saved outputs, without executing
       python notebooks/build.py --class DIR             write copies without the exercises' solutions, not executing
       python notebooks/build.py --check                 name the notebooks that are not in their normal form
       python notebooks/build.py --links [OWNER/NAME]    put the public address into every badge and install line,
                                 [--ref REF]             and the branch or tag that they open

The .ipynb files are the single source: the site, the outputs and their numbers come from them alone.
"""

import argparse
import copy
import os
import re
import sys
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import nbformat
import pages

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
CELL_SECONDS = 300
AT_A_TIME = 2  # notebooks

NOTEBOOK_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
# what editors and kernels leave behind: times, and the state of somebody's screen
CELL_NOISE = {"ExecuteTime", "colab", "collapsed", "execution", "id", "outputId", "scrolled"}
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"  # a random id, which no saved page can show

# the places whose address is ours by construction; other links to GitHub are ours only if they name the repository
ADDRESS = re.compile(
    r"(colab\.research\.google\.com/github/|mybinder\.org/v2/gh/|git\+https://github\.com/|git clone https://github\.com/"
    r'|^repository = ")([\w.-]+/[\w.-]+?)(?=\.git\b|[^\w.-]|$)',
    re.MULTILINE,
)
# what comes before the branch or tag, once the address is ours; an install line may have none yet
REF = r"colab\.research\.google\.com/github/{0}/blob/|mybinder\.org/v2/gh/{0}/|https://github\.com/{0}/(?:blob|tree)/"
INSTALL = r"(git\+https://github\.com/{0}(?:\.git)?)(?![\w.-])(?:@[\w.-]+)?"
# what carries the address, besides the notebooks; not every fork keeps all of it
CARRIERS = ("pyproject.toml", "README.md", "CITATION.cff", "CHANGELOG.md", "CONTRIBUTING.md", ".github/**/*.yml")
CARRIERS += ("notebooks/assignment/source/*/*.ipynb",)


def notebooks(beginnings=()):
    """The notebooks of this folder in order: all, or those whose names begin so."""
    found = [p for p in sorted(HERE.glob("*.ipynb")) if not beginnings or p.name.startswith(tuple(beginnings))]
    if not found:
        sys.exit(f"{HERE}: no notebook begins with {' or '.join(beginnings) or 'anything'}.")
    return found


def setting(name):
    """A setting of the project, in pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["lnpoly"][name]


def repository():
    """The public address, owner/name."""
    return setting("repository")


def ref():
    """The branch or tag that badges, install lines and the site's links open."""
    return setting("ref")


def public_site(address=None):
    """Where GitHub Pages shows the site of a repository, owner/name, of this one by default."""
    return pages.public_site(address or repository())


def normalise(nb):
    """A notebook with everything taken out that differs from run to run; the argument is left as it is."""
    nb = nbformat.from_dict(copy.deepcopy(nb))
    nb.nbformat, nb.nbformat_minor = 4, 5
    nb.metadata = nbformat.from_dict(NOTEBOOK_METADATA)
    count = 0
    for position, cell in enumerate(nb.cells):
        cell.id = f"cell-{position:02d}"
        cell.metadata = nbformat.from_dict({k: v for k, v in cell.metadata.items() if k not in CELL_NOISE})
        if cell.cell_type != "code":
            continue
        ran = bool(cell.source.strip())
        count += ran
        cell.execution_count = count if ran else None
        cell.outputs = _merged(cell.outputs) if ran else []
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = count
            output.get("data", {}).pop(WIDGET_VIEW, None)
    return nb


def _merged(outputs):
    """Outputs with neighbouring pieces of one stream joined: where a kernel cuts them is chance."""
    merged = []
    for output in outputs:
        last = merged[-1] if merged else None
        if last and output.output_type == last.output_type == "stream" and output.name == last.name:
            last.text += output.text
        else:
            merged.append(output)
    return merged


def text_of(nb):
    """The text of a notebook's file."""
    return nbformat.writes(nb) + "\n"


def execute(path, kernels=None, **variables):
    """Run a notebook in a fresh kernel of this interpreter; returns it executed, the seconds, and ok or the error.

    A list ``kernels`` holds the kernel's manager while it runs; ``variables`` go into its environment.
    """
    from nbclient import NotebookClient
    from nbclient.exceptions import CellControlSignal, CellExecutionError, DeadKernelError

    nb = nbformat.read(path, as_version=4)
    for cell in nb.cells:
        if cell.cell_type == "code":  # so that nothing old stands behind a cell that fails
            cell.outputs, cell.execution_count = [], None
    start, result = time.perf_counter(), "ok"
    place = {"metadata": {"path": str(HERE)}}
    quiet = ["--IPKernelApp.log_level=40"]  # else each start warns that the kernel talks over the loopback unencrypted
    client = NotebookClient(nb, timeout=CELL_SECONDS, kernel_name="python3", resources=place, extra_arguments=quiet)
    manager = client.create_kernel_manager()
    if kernels is not None:
        kernels.append(manager)
    try:
        client.execute(env=os.environ | variables)
    except CellExecutionError as error:
        result = f"{error.ename}: {error.evalue}".strip().splitlines()[-1]
    except (CellControlSignal, DeadKernelError) as error:
        result = f"{type(error).__name__}: {error}".strip().splitlines()[-1]
    return nb, time.perf_counter() - start, result


def say(line):
    """Print a line in one piece, whatever another thread prints."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def execute_all(paths):
    """Run notebooks, `AT_A_TIME`, the long ones, which stand last, first; yields the position and result of each.

    Each kernel gets its share of the cores, unless OMP_NUM_THREADS is set: threads of two that wait for one another on
    the same cores make both several times slower.
    """
    from nbclient.util import run_sync

    at_a_time = max(1, min(AT_A_TIME, len(paths)))
    threads = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // at_a_time))}
    variables = threads if "OMP_NUM_THREADS" not in os.environ else {}
    kernels = []

    def start(k):
        say(f"[{k + 1}/{len(paths)}] {paths[k].stem} ...")
        return k, execute(paths[k], kernels, **variables)

    with ThreadPoolExecutor(at_a_time) as pool:
        waiting = [pool.submit(start, k) for k in reversed(range(len(paths)))]
        try:
            for done in as_completed(waiting):
                yield done.result()
        finally:  # after Ctrl-C no kernel goes on
            for one in waiting:
                one.cancel()
            while not all(one.done() for one in waiting):
                for manager in (manager for manager in kernels if manager.has_kernel):
                    run_sync(manager.shutdown_kernel)(now=True)
                time.sleep(0.1)


def write_class(paths, folder):
    """Copy the notebooks for a class: without the cells tagged solution, and without badges, which open ours.

    A link that leaves the folder of the notebooks leads to the public address.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for path in paths:
        nb = pages.without_badges(nbformat.read(path, as_version=4))
        nb.cells = [cell for cell in nb.cells if "solution" not in cell.metadata.get("tags", [])]
        for cell in nb.cells:
            if cell.cell_type == "markdown":
                cell.source = cell.source.replace("](../", f"](https://github.com/{repository()}/blob/{ref()}/")
        (folder / path.name).write_text(text_of(normalise(nb)), encoding="utf-8", newline="\n")
    print(f"written: {len(paths)} notebooks in {folder}")


def run(paths, site=None, saved=False):
    """Execute the notebooks, write site or notebooks, print the table; returns whether all went well."""
    rows = {}

    def ran():
        for k, (nb, seconds, result) in execute_all(paths):
            say(f"[{k + 1}/{len(paths)}] {paths[k].stem} {result} after {seconds:.1f} s")
            rows[k] = (paths[k].stem, seconds, result)
            yield k, normalise(nb), result

    if site:
        stored = ((k, normalise(nbformat.read(path, as_version=4)), "ok") for k, path in enumerate(paths))
        pages.write_site(paths, stored if saved else ran(), site, repository(), ref())
        print(f"\nwritten: {site / 'index.html'}")
    else:
        for k, nb, result in ran():
            if result == "ok":
                paths[k].write_text(text_of(nb), encoding="utf-8", newline="\n")
    if rows:
        width = max(len(name) for name, _, _ in rows.values())
        print(f"\n{'notebook':{width}}  seconds  result")
        for _, (name, seconds, result) in sorted(rows.items()):
            print(f"{name:{width}}  {seconds:7.1f}  {result}")
    return all(result == "ok" for _, _, result in rows.values())


def check(paths):
    """Name the notebooks that `normalise` would change; returns whether there is none."""
    changed = [p for p in paths if p.read_text(encoding="utf-8") != text_of(normalise(nbformat.read(p, as_version=4)))]
    for path in changed:
        print(f"{path.name}: not in its normal form; run make notebooks")
    return not changed


def links(address=None, at=None):
    """Make all that names the repository name that of pyproject.toml, after setting it, or its branch or tag."""
    old = repository()
    address, at = address or old, at or ref()
    if not re.fullmatch(r"[\w-]+/[\w.-]+", address):
        sys.exit(f"--links: expected owner/name, as in lnpoly/lnpoly, got {address!r}.")
    if not re.fullmatch(r"\w+(?:[.-]\w+)*", at):
        sys.exit(f"--ref: expected a branch or tag without a slash, as in main or v0.1.0, got {at!r}.")
    for path in [*(path for carrier in CARRIERS for path in sorted(ROOT.glob(carrier))), *notebooks()]:
        text = path.read_text(encoding="utf-8")
        changed = ADDRESS.sub(rf"\g<1>{address}", text)
        changed = re.sub(rf"(https://github\.com/){re.escape(old)}(?![\w-])", rf"\g<1>{address}", changed)
        changed = re.sub(re.escape(public_site(old)), public_site(address), changed)
        changed = re.sub(f"({REF.format(re.escape(address))})" + r"[\w.-]+", rf"\g<1>{at}", changed)
        changed = re.sub(INSTALL.format(re.escape(address)), rf"\g<1>@{at}", changed)
        if path.name == "pyproject.toml":
            changed = re.sub(r'^ref = ".*"', f'ref = "{at}"', changed, flags=re.MULTILINE)
        if changed != text:
            path.write_text(changed, encoding="utf-8", newline="\n")
            print(f"{path.relative_to(ROOT)}: now {address} at {at}")


def main():
    sys.stdout.reconfigure(errors="backslashreplace")  # a console without ε still gets its table
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain, usage=argparse.SUPPRESS)
    parser.add_argument("names", nargs="*", metavar="NAME")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--site", type=Path, metavar="DIR")
    what.add_argument("--class", type=Path, metavar="DIR", dest="copies")
    what.add_argument("--check", action="store_true")
    what.add_argument("--links", nargs="?", const="", metavar="OWNER/NAME")
    parser.add_argument("--ref", metavar="REF")
    parser.add_argument("--saved", action="store_true")
    options = parser.parse_args()
    if options.saved and not options.site:
        parser.error("--saved goes with --site DIR: it writes the site from the saved outputs.")
    if options.ref and options.links is None:
        parser.error("--ref goes with --links: it sets the branch or tag that badges and install lines open.")
    if options.links is not None:
        links(options.links, options.ref)
        return
    paths = notebooks(options.names)
    if options.copies:
        write_class(paths, options.copies)
        return
    if not (check(paths) if options.check else run(paths, options.site, options.saved)):
        sys.exit(1)


if __name__ == "__main__":
    main()
