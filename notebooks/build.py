"""Execute the notebooks of this folder; write them back in their normal form, or write the HTML site from them.

usage: python notebooks/build.py [NAME ...]              execute, normalise and write back (NAME: how a notebook begins)
       python notebooks/build.py --site DIR              execute, leave the notebooks alone, write DIR/index.html
       python notebooks/build.py --check                 name the notebooks that are not in their normal form
       python notebooks/build.py --links [OWNER/NAME]    put the public address into every badge and install line

The .ipynb files are the single source: the site, the outputs and their numbers come from them alone.
"""

import argparse
import base64
import copy
import html
import re
import sys
import time
import tomllib
from pathlib import Path

import nbformat

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
CELL_SECONDS = 300
# the README's figure is the one of this notebook whose alternative text begins so
README_FIGURE = ("03_arcs_on_the_circle", "plane and circle", "plane_and_circle.png")

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

# nbconvert's page with each picture's alternative text, links to the other pages, room on a phone, and no script from
# elsewhere but MathJax where a notebook has formulas
PAGE = """{%- extends "lab/index.html.j2" -%}
{% macro nav() %}<nav><a href="index.html">All notebooks</a>
{%- for label, stem in resources.neighbours %}<a href="{{ stem }}.html">{{ label }}: {{ stem.replace("_", " ") }}</a>
{%- endfor %}</nav>{% endmacro %}
{% block html_head_js_requirejs %}{% endblock %}
{% block html_head_js_mermaidjs %}{% endblock %}
{% block html_head_js_mathjax %}{% if resources.has_formulas %}{{ super() }}{% endif %}{% endblock %}
{% block html_head_css %}<style>
body.jp-Notebook { max-width: 62rem; margin: 0 auto; padding: 1rem; }
img { max-width: 100%; height: auto; }
.jp-RenderedHTMLCommon table { display: block; max-width: 100%; overflow-x: auto; }
.jp-OutputArea-output pre, .highlight pre { overflow-x: auto; }
nav { font: 1rem/1.6 system-ui, sans-serif; margin: 0.5rem 0; display: flex; flex-wrap: wrap; gap: 0 1.5rem; }
nav a { color: #1565c0; }
@media (max-width: 45rem) {
  body.jp-Notebook { padding: 0.5rem; }
  .jp-InputPrompt, .jp-OutputPrompt { display: none; }
}
</style>{% endblock %}
{% block body_header %}{{ super() }}{{ nav() }}{% endblock %}
{% block body_footer %}{{ nav() }}{{ super() }}{% endblock %}
{% block data_png scoped %}<div class="jp-RenderedImage jp-OutputArea-output {{ extra_class }}">
<img alt="{{ output | get_metadata("alt", "image/png") | e }}"
 src="data:image/png;base64,{{ output.data["image/png"] }}">
</div>{% endblock %}
"""
INDEX = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>lnpoly: the notebooks</title>
<style>body {{ font: 1.1rem/1.5 system-ui, sans-serif; max-width: 45rem; margin: 0 auto; padding: 1rem; }}
li {{ margin: 1rem 0; }} li a {{ font-weight: 600; }} p {{ margin: 0.2rem 0; }}</style></head>
<body><h1>LayerNorm, spheres and polytopes</h1>
<ol>
{items}
</ol>
<p><a href="https://github.com/{repository}">The notebooks and their source</a></p>
</body></html>
"""


def notebooks(beginnings=()):
    """The notebooks of this folder in order: all, or those whose names begin so."""
    found = [p for p in sorted(HERE.glob("*.ipynb")) if not beginnings or p.name.startswith(tuple(beginnings))]
    if not found:
        sys.exit(f"{HERE}: no notebook begins with {' or '.join(beginnings) or 'anything'}.")
    return found


def repository():
    """The public address, owner/name: the one setting in pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["lnpoly"]["repository"]


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


def picture(nb, beginning):
    """The bytes of the first picture of a notebook whose alternative text begins so."""
    for cell in nb.cells:
        for output in cell.get("outputs", []):
            if output.get("metadata", {}).get("image/png", {}).get("alt", "").startswith(beginning):
                return base64.b64decode(output.data["image/png"])
    raise ValueError(f"expected a figure whose alternative text begins with {beginning!r}, found none.")


def text_of(nb):
    """The text of a notebook's file."""
    return nbformat.writes(nb) + "\n"


def execute(path):
    """Run a notebook in a fresh kernel of this interpreter; returns it executed, the seconds, and ok or the error."""
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
    try:
        client.execute()
    except CellExecutionError as error:
        result = f"{error.ename}: {error.evalue}".strip().splitlines()[-1]
    except (CellControlSignal, DeadKernelError) as error:
        result = f"{type(error).__name__}: {error}".strip().splitlines()[-1]
    return nb, time.perf_counter() - start, result


def title_and_claim(nb):
    """The first heading of a notebook and the first sentence below it."""
    text = "\n".join(cell.source for cell in nb.cells if cell.cell_type == "markdown")
    found = re.search(r"^# +(.+)\n+([^\n#|>][^|>]*?(?:[.!?](?=\s)|\n\n))?", text + "\n\n", re.MULTILINE)
    return (found[1].strip(), (found[2] or "").strip()) if found else ("", "")


def page(nb, path, others):
    """The HTML page of an executed notebook: one file, linked to its neighbours."""
    from nbconvert import HTMLExporter

    nb = copy.deepcopy(nb)
    nb.metadata["title"] = title_and_claim(nb)[0] or path.stem
    stems = [other.stem for other in others]
    here = stems.index(path.stem)
    neighbours = [(label, stems[k]) for label, k in (("Before", here - 1), ("Next", here + 1)) if 0 <= k < len(stems)]
    formulas = any("$" in cell.source for cell in nb.cells if cell.cell_type == "markdown")
    body, _ = HTMLExporter(raw_template=PAGE, embed_images=True).from_notebook_node(
        nb, resources={"neighbours": neighbours, "has_formulas": formulas}
    )
    for stem in stems:
        body = re.sub(rf'href="(?:\./)?{re.escape(stem)}\.ipynb(#[^"]*)?"', rf'href="{stem}.html\1"', body)
    return body.replace('href="../', f'href="https://github.com/{repository()}/blob/main/')


def index(entries):
    """The site's first page from (path, executed notebook, result) of each notebook."""
    from nbconvert.filters import markdown2html

    items = []
    for path, nb, result in entries:
        title, claim = title_and_claim(nb)
        failed = "" if result == "ok" else f"<p>This run failed: {html.escape(result)}</p>"
        link = f'<a href="{path.stem}.html">{html.escape(title or path.stem)}</a>'
        items.append(f"<li>{link}{markdown2html(claim)}{failed}</li>")
    return INDEX.format(items="\n".join(items), repository=repository())


def run(paths, site=None):
    """Execute the notebooks one by one, write site or notebooks, print the table; returns whether all went well."""
    entries, rows = [], []
    for k, path in enumerate(paths, 1):
        print(f"[{k}/{len(paths)}] {path.stem} ...", flush=True)
        nb, seconds, result = execute(path)
        print(f"[{k}/{len(paths)}] {path.stem} {result} after {seconds:.1f} s", flush=True)
        rows.append((path.stem, seconds, result))
        entries.append((path, nb, result))
        if site:
            site.mkdir(parents=True, exist_ok=True)
            (site / f"{path.stem}.html").write_text(page(nb, path, paths), encoding="utf-8")
        elif result == "ok":
            path.write_text(text_of(normalise(nb)), encoding="utf-8", newline="\n")
            if path.stem == README_FIGURE[0]:
                (HERE / README_FIGURE[2]).write_bytes(picture(nb, README_FIGURE[1]))
    if site:
        (site / "index.html").write_text(index(entries), encoding="utf-8")
        print(f"\nwritten: {site / 'index.html'}")
    width = max(len(name) for name, _, _ in rows)
    print(f"\n{'notebook':{width}}  seconds  result")
    for name, seconds, result in rows:
        print(f"{name:{width}}  {seconds:7.1f}  {result}")
    return all(result == "ok" for _, _, result in rows)


def check(paths):
    """Name the notebooks that `normalise` would change; returns whether there is none."""
    changed = [p for p in paths if p.read_text(encoding="utf-8") != text_of(normalise(nbformat.read(p, as_version=4)))]
    for path in changed:
        print(f"{path.name}: not in its normal form; run make notebooks")
    return not changed


def links(new=None):
    """Make every badge and install line name the repository of pyproject.toml, after setting it to ``new`` if given."""
    old = repository()
    new = new or old
    if not re.fullmatch(r"[\w-]+/[\w.-]+", new):
        sys.exit(f"--links: expected owner/name, as in lnpoly/lnpoly, got {new!r}.")
    for path in [ROOT / "pyproject.toml", ROOT / "README.md", *notebooks()]:
        text = path.read_text(encoding="utf-8")
        changed = ADDRESS.sub(rf"\g<1>{new}", text)
        changed = re.sub(rf"(https://github\.com/){re.escape(old)}(?![\w-])", rf"\g<1>{new}", changed)
        if changed != text:
            path.write_text(changed, encoding="utf-8", newline="\n")
            print(f"{path.relative_to(ROOT)}: now {new}")


def main():
    sys.stdout.reconfigure(errors="backslashreplace")  # a console without ε still gets its table
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain, usage=argparse.SUPPRESS)
    parser.add_argument("names", nargs="*", metavar="NAME")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--site", type=Path, metavar="DIR")
    what.add_argument("--check", action="store_true")
    what.add_argument("--links", nargs="?", const="", metavar="OWNER/NAME")
    options = parser.parse_args()
    if options.links is not None:
        links(options.links)
        return
    paths = notebooks(options.names)
    if not (check(paths) if options.check else run(paths, options.site)):
        sys.exit(1)


if __name__ == "__main__":
    main()
