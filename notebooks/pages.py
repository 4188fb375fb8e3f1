"""The pages of the site, from notebooks that have run: for build.py.

A page needs no network and no server. It reads as a book does: formulas are MathML, what cells print is a table where
it has columns, helper code is folded, and the answer to each *Predict* stays folded until the reader has one. What a
script adds (page.js) is no more than search and comfort: without it every page shows all that it has.
"""

import functools
import json
import posixpath
import re
import shutil
import subprocess
import sys
from contextlib import closing
from html import unescape
from itertools import takewhile
from pathlib import Path
from xml.etree import ElementTree

import embed
import figures
import printed
import reference
from bs4 import BeautifulSoup, NavigableString

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
TEMPLATE = HERE / "site_template"
ASSETS = ("site.css", "page.js")
TITLE = "LayerNorm, spheres and polytopes"
# the pages of the site that are no notebooks: their source, file and name in the menu
TEXTS = [
    ("notebooks/notation.md", "notation.html", "Notation"),
    ("notebooks/assignment/README.md", "teachers.html", "For teachers"),
]
# what a notebook installs that runs no network, and so runs in a browser as well: lite.py makes the page for those
WITHOUT_NETWORKS = "lnpoly-helpers[plot,widgets] @"
BADGE = re.compile(r"\[!\[[^\]]*\]\([^)]*\)\]\([^)]*\)\n*")  # a page has links of its own in place of it
OPENS_WITH = r'<figure class="explorer" data-explorer="circle">.*?</figure>'  # what the first page lets a reader move
TIGHT = {"/", "|", "‖"}  # signs of a formula that keep no distance and do not grow
SHORT = 12  # signs of a formula that no narrow column needs to break
RELATION = re.compile(r"=|\\(?:left|right)arrow\b|\\approx\b")
BRACKET_OR_RELATION = re.compile(rf"\\?[{{(\[]|\\?[}})\]]|{RELATION.pattern}")
# what no line should tear apart: GPT-2, 1e-9, 13 %, θ/π, layer 2, ε = 0; the last also where its letter is set apart
EQUAL = r" [=<>] [-−]?\d[\d.,]*(?<![.,])"
WORDS = r"[A-Za-z]\w*-\d\w*|\d[\d.]*e[-+]?\d+|\d[\d.,]* [%°]|(?<![\w/])\w/\w(?![\w/])"
WORDS += r"|(?:layer|neuron|notebook|token) \d+"
WHOLE = re.compile(rf"{WORDS}|(?<!\w)[\d/√|‖]*\w{EQUAL}")
DEFINES = re.compile(r"^(?:def|class) (\w+)", re.MULTILINE)


def public_site(repository):
    """Where GitHub Pages shows the site of a repository, owner/name."""
    owner, name = repository.split("/")
    return f"https://{owner}.github.io/{name}/"


def write_site(paths, ran, site, repository, ref):
    """Write the site of some notebooks, from the position in ``paths``, notebook and result of each that has run.

    ``ran`` gives them as they come; a page is made at once, while others run. Links lead to that repository,
    owner/name, at that branch or tag.
    """
    from jinja2 import Environment, FileSystemLoader
    from nbformat.v4 import new_markdown_cell, new_notebook

    reading = subprocess.Popen([sys.executable, reference.__file__], stdout=subprocess.PIPE)
    sources = [(f"notebooks/{path.name}", f"{path.stem}.html") for path in paths]
    sources += [(source, page) for source, page, _ in TEXTS]
    files = dict(sources) | {page: page for page in reference.PAGES.values()}
    menu = [("index.html", "Notebooks"), *((page, label) for _, page, label in TEXTS)]
    menu.insert(2, (next(iter(reference.PAGES.values())), "Reference"))
    blob = f"https://github.com/{repository}/blob/{ref}/"
    template = Environment(loader=FileSystemLoader(TEMPLATE), autoescape=True).get_template
    common = {"menu": menu, "repository": repository, "files": blob, "public": public_site(repository)}

    (site / "figures").mkdir(parents=True, exist_ok=True)
    for asset in ASSETS:
        shutil.copy(TEMPLATE / asset, site)
    cards, index, made = [], [], {}

    def write(page, body, name="page.html.j2", **about):
        html = template(name).render(common, here=page, body=body, **about)
        (site / page).write_text(html, encoding="utf-8")
        return html

    def make(k, nb, result):
        source, page = sources[k]
        nb, body = rendered(without_badges(nb), site, page)
        opening = re.search(OPENS_WITH, body, re.DOTALL)
        made[k] = nb, facts(nb), result, opening, *shaped(body, source, files, blob)

    for k, (source, _) in enumerate(sources[len(paths) :], len(paths)):
        text = (ROOT / source).read_text(encoding="utf-8")
        make(k, new_notebook(cells=[new_markdown_cell(text)]), None)
    documented = {}
    with reading, closing(ran):
        for one in ran:
            make(*one)
            if not documented:  # long since read, while the first notebook ran
                text = reading.stdout.read()
                if reading.wait():
                    raise subprocess.CalledProcessError(reading.returncode, reading.args)
                documented = json.loads(text)
                for about in documented.values():
                    about["body"], _, about["found"] = shaped(about["body"], "", files, blob)
    pictures = [card_picture(made[k][0]) for k in range(len(sources))]
    panels = [card_panel(made[k][0]) for k in range(len(sources))]
    cover = next((one for one in pictures if one[0]), (None, ""))
    for k, (source, page) in enumerate(sources):
        nb, about, result, _, body, sections, found = made[k]
        title = about["title"] or Path(page).stem
        index += [[page, anchor, title, heading, text] for anchor, heading, text in found]
        picture, alt = pictures[k]
        neighbours, where = [], []
        if k < len(paths):
            where = places(paths[k], nb, site, repository, ref)
            claim = inline(about["claim"])
            cards.append(about | {"page": page, "title": title, "claim": claim, "result": result, "places": where})
            cards[-1] |= dict(zip(("picture", "alt"), panels[k], strict=True))
            for word, j in (("Previous", k - 1), ("Next", k + 1)):
                if 0 <= j < len(paths):
                    neighbours.append((word, sources[j][1], made[j][1]["title"] or sources[j][1]))
        write(
            page,
            embed.live(body),
            source=source,
            title=title,
            description=summary(about),
            picture=picture or cover[0],
            alt=alt or cover[1],
            sections=sections,
            neighbours=neighbours,
            places=where,
            folds='<details class="helper">' in body,
        )
    for page, one in documented.items():
        index += [[page, anchor, one["title"], heading, text] for anchor, heading, text in one["found"]]
        write(
            page,
            one["body"],
            source="lnpoly_helpers",
            title=one["title"],
            description=f"{one['title']}: every public name of lnpoly_helpers, with its docstring.",
            picture=cover[0],
            alt=cover[1],
            sections=one["sections"],
        )
    explorers = [made[k][3] for k in range(len(sources))]
    home = write(
        "index.html",
        embed.live(next((found[0] for found in explorers if found), "")),
        "index.html.j2",
        source="notebooks",
        title=TITLE,
        description="Run, see and test the claim that an MLP behind LayerNorm sees only directions.",
        picture=cover[0],
        alt=cover[1],
        home=True,
        cards=cards,
    )
    found = pieces(BeautifulSoup(home, "html.parser").main)
    index += [["index.html", anchor, "Notebooks", heading, text] for anchor, heading, text in found]
    words = json.dumps(index, ensure_ascii=False, separators=(",", ":"))
    (site / "search.js").write_text(f"window.searchIndex = {words};\n", encoding="utf-8")


def places(path, nb, site, repository, ref):
    """Where a notebook can be run without installing anything, and its file: (name, address) of each."""
    at, file = f"{repository}/blob/{ref}", f"notebooks/{path.name}"
    found = [
        ("Run in Colab", f"https://colab.research.google.com/github/{at}/{file}"),
        ("Run in Binder", f"https://mybinder.org/v2/gh/{repository}/{ref}?labpath={file}"),
        ("Notebook file", f"https://github.com/{at}/{file}"),
    ]
    if any(WITHOUT_NETWORKS in cell.source for cell in nb.cells):
        lite = "lite/" if (site / "lite").is_dir() else public_site(repository) + "lite/"  # by make lite, or published
        found.insert(0, ("Run it here", f"{lite}notebooks/index.html?path={path.name}"))
    return found


# --- what a notebook says of itself ------------------------------------------------------------------------------


def facts(nb):
    """What a notebook says of itself: title (its first heading), lead, claim and minutes, "" where it does not say."""
    text = "\n".join(cell.source for cell in nb.cells if cell.cell_type == "markdown")
    found = re.search(r"^# +(.+)\n+([^\n#|>][^|>]*?(?:[.!?](?=\s)|\n\n))?", text + "\n\n", re.MULTILINE)
    rows = dict(re.findall(r"^\| \*\*(.+?)\*\* \| (.+?) \|$", text, re.MULTILINE))
    title, lead = (found[1].strip(), (found[2] or "").strip()) if found else ("", "")
    return {"title": title, "lead": lead, "claim": rows.get("You will see", lead), "minutes": rows.get("Time", "")}


def summary(about):
    """A page in a sentence or two, without marks, for those who find a link to it."""
    lead, claim = about["lead"], about["claim"]
    text = lead if claim in ("", lead) else f"{lead} You will see {claim}.".strip()
    return " ".join(BeautifulSoup(inline(text), "html.parser").get_text().split())


def card_output(nb):
    """The cell and the output of a page's picture for its card: of the cell tagged card, or else the first one."""
    cells = sorted(nb.cells, key=lambda cell: "card" not in cell.metadata.get("tags", []))
    found = ((cell, output) for cell in cells for output in cell.get("outputs", []))
    return next((one for one in found if "filenames" in one[1].get("metadata", {})), (None, None))


def card_picture(nb):
    """Name and alternative text of the PNG file of a page's picture, which those who find a link can show."""
    _, output = card_output(nb)
    if not output:
        return None, ""
    return Path(output.metadata.filenames["image/png"]).as_posix(), output.metadata.get("image/png", {}).get("alt", "")


def card_panel(nb):
    """Name and alternative text of what a card shows: one panel, since a card is too small for several.

    It is the last, which shows what became of the others, or the one that the cell's metadata "panel" counts from 0.
    """
    cell, output = card_output(nb)
    if not output:
        return None, ""
    shown = BeautifulSoup(output.metadata.get("shown", ""), "html.parser")("img")
    if not shown:
        return card_picture(nb)
    panel = shown[cell.metadata.get("panel", -1)]
    return panel["src"], panel["alt"]


def without_badges(nb):
    """A notebook whose first cell shows no badge; the argument is left as it is."""
    import nbformat

    nb = nbformat.from_dict(nb)
    nb.cells[0].source = BADGE.sub("", nb.cells[0].source)
    return nb


# --- from cells to HTML ------------------------------------------------------------------------------------------


def rendered(nb, site, page):
    """The notebook with the names of its pictures, which are written to the site, and its cells as HTML."""
    from nbconvert.preprocessors import ExtractOutputPreprocessor

    resources = {"output_files_dir": "figures", "unique_key": Path(page).stem, "outputs": {}}
    nb, resources = ExtractOutputPreprocessor(extract_output_types={"image/png"}).preprocess(nb, resources)
    for name, data in resources["outputs"].items():
        (site / name).write_bytes(data)
    nb = figures.shown(nb, resources["outputs"], site, page)
    return nb, _exporter().from_notebook_node(nb, resources)[0]


@functools.cache
def _exporter():
    from nbconvert import HTMLExporter
    from nbconvert.exporters import TemplateExporter
    from nbconvert.filters import Highlight2HTML

    class Cells(HTMLExporter):
        def from_notebook_node(self, nb, resources=None, **options):
            # HTMLExporter would then read all of the HTML, for a notebook that JupyterLab's template shows
            return TemplateExporter.from_notebook_node(self, nb, resources, **options)

    filters = {"markdown2html": to_html, "printed": printed.to_html, "helper": helper, "explorer": embed.figure}
    filters["highlight_code"] = Highlight2HTML(pygments_lexer="python")
    return Cells(
        extra_template_basedirs=[str(HERE)],
        template_name=TEMPLATE.name,
        template_file="cells.html.j2",
        filters=filters,
    )


def to_html(markdown):
    """A cell's Markdown as HTML, its formulas as MathML."""
    from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

    class Renderer(IPythonRenderer):
        def inline_math(self, body):
            return "<wbr>".join(map(formula, links_of(body)))

        def block_math(self, body):
            return formula(body, "block")

    return MarkdownWithMath(renderer=Renderer(escape=False)).render(markdown)


def inline(markdown):
    """A line of Markdown as HTML that may stand in a paragraph."""
    return to_html(markdown).strip().removeprefix("<p>").removesuffix("</p>")


def links_of(tex):
    r"""The pieces of a long formula in a line of text, each with its relation in front: a line may break between them.

    >>> links_of(r"z = Px / \sqrt{s^2 + ε} = {a=b}"), links_of("a = b")
    (['z', '= Px / \\sqrt{s^2 + ε}', '= {a=b}'], ['a = b'])
    """
    depth, cuts = 0, [0]
    for sign in BRACKET_OR_RELATION.finditer(tex):
        depth += sign[0][-1] in "{([" or -(sign[0][-1] in "})]")
        if not depth and RELATION.match(sign[0]) and sign.start():
            cuts.append(sign.start())
    pieces = [tex[start:stop].strip() for start, stop in zip(cuts, [*cuts[1:], len(tex)], strict=True)]
    return pieces if len(re.sub(r"\\[A-Za-z]+|[{}\s^_]", "", tex)) > SHORT else [tex]


def formula(tex, display="inline"):
    """TeX as MathML, which a browser shows by itself, with the TeX as its alternative text.

    Raises
    ------
    ValueError
        A command that latex2mathml does not know, or an argument that is missing: it leaves both in what it makes.
    """
    from latex2mathml import exceptions
    from latex2mathml.converter import convert_to_element

    refusals = tuple(one for one in vars(exceptions).values() if isinstance(one, type) and issubclass(one, Exception))
    try:
        made = convert_to_element(" ".join(tex.split()), display=display)
    except refusals as error:
        raise ValueError(f"${tex}$: expected TeX that latex2mathml can read, got {type(error).__name__}.") from error
    wanted = {"mfrac": 2, "msup": 2, "msub": 2, "mover": 2, "munder": 2, "msubsup": 3, "munderover": 3}
    torn = [one.tag for one in made.iter() if len(one) != wanted.get(one.tag, len(one)) or "\\" in (one.text or "")]
    if torn:
        raise ValueError(f"${tex}$: expected TeX that latex2mathml can read, got no whole {torn[0]} of it.")
    for one in made.iter():
        one.text = one.text and unescape(one.text)
        if one.tag == "mi" and not any(map(str.isalpha, one.text)):
            one.tag = "mo"  # · and ⊙ as they stand in the notebooks: latex2mathml knows their commands alone
        if one.tag == "mo" and one.text in TIGHT:
            one.attrib |= {"lspace": "0", "rspace": "0", "stretchy": "false"}
        elif one.tag == "mi" and len(one.text) > 1:  # sin and the like, which stand apart from their neighbours
            one.tag = "mo"
            one.attrib |= {"lspace": "0.17em", "rspace": "0.17em"}
    first = next((one for one in made.iter() if one.text), None)
    if first is not None and first.tag == "mo" and RELATION.match(tex):
        first.set("form", "infix")  # as it stands in the whole formula, from which links_of has cut it
    made.set("alttext", " ".join(tex.split()))
    return ElementTree.tostring(made, encoding="unicode")


def helper(cell):
    """What to call a code cell that is folded, or None: one that installs and imports, or only defines helpers."""
    if "%pip install" in cell.source:
        return "Set-up: installation on Colab, and imports"
    names = DEFINES.findall(cell.source)
    return f"Code: {', '.join(names)}" if names and not cell.outputs else None


# --- from HTML to a page -----------------------------------------------------------------------------------------


def shaped(body, source, pages, files):
    """The HTML of a page made to fit the site, its sections, and what a search finds there.

    A link to the source of another page becomes a link to that page, one to any other file a link to its public
    address, which begins with ``files``. A badge, which is a picture on another machine, becomes its text; a table
    gets a frame to scroll in; a heading gets a link to itself. Sections are (anchor, heading as HTML) of each of the
    second level; what is found is (anchor, heading, text) of each piece between two headings.
    """
    soup = BeautifulSoup(body, "html.parser")
    for link in soup("a", href=re.compile(r"^(?![a-z]+:|#)")):
        file, mark, anchor = link["href"].partition("#")
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), file))
        link["href"] = pages.get(target, files + target) + mark + anchor
    for picture in soup("img", src=re.compile("^https?:")):
        badge = soup.new_tag("span", attrs={"class": "badge"})
        badge.string = picture["alt"]
        picture.replace_with(badge)
    for mark in soup("a", class_="anchor-link"):  # in place of them come links with a name
        mark.decompose()
    for table in soup("table"):
        table.wrap(soup.new_tag("div", attrs={"class": "scroll", "role": "group", "aria-label": "Table"}))
    keep_whole(soup)
    for block in soup("blockquote"):
        if block.strong and block.strong.get_text().startswith("Predict"):
            fold_answer(soup, block)
    found = pieces(soup)
    sections = [(heading["id"], heading.decode_contents()) for heading in soup("h2")]
    for heading in soup(["h2", "h3"], id=True):
        label = f"Link to this place: {heading.get_text()}"
        link = soup.new_tag("a", attrs={"class": "permalink", "href": f"#{heading['id']}", "aria-label": label})
        link.string = "#"
        heading.wrap(soup.new_tag("div", attrs={"class": "heading"})).append(link)  # beside it: not part of its name
    return str(soup), sections, found


LOOSE = {"h1", "h2", "h3", "code", "math", "script", "style", "summary"}  # what may break anywhere, or is no text


def keep_whole(soup):
    """Put in a span that no line breaks: what `WHOLE` names, a formula with the signs that touch it, and ε = 0."""

    def span(*content):
        made = soup.new_tag("span", attrs={"class": "whole"})
        made.extend(content)
        return made

    for one in soup(["math", "em"]):
        before, after = one.previous_sibling, one.next_sibling
        formula = one.name == "math" and one["display"] == "inline"
        signs = r"[.,:;!?)\]\"”’'…]+\w?" if formula else rf"[|‖]?{EQUAL}"
        opens = formula and isinstance(before, NavigableString) and re.search(r"[(\[\"“]$", before)
        closes = isinstance(after, NavigableString) and re.match(signs, after)
        if (formula or len(one.get_text()) == 1) and (opens or closes):
            frame = one.wrap(span())
            if opens:
                before.replace_with(before[:-1])
                frame.insert(0, opens[0])
            if closes:
                after.replace_with(after[closes.end() :])
                frame.append(closes[0])
    for text in list(soup.find_all(string=WHOLE)):
        parents = [parent for parent in text.parents if parent is not soup]
        coded = any(one.name == "pre" and "output" not in one.get("class", []) for one in parents)
        if not coded and LOOSE.isdisjoint(parent.name for parent in parents):
            parts, end = [], 0
            for found in WHOLE.finditer(text):
                parts += [text[end : found.start()], span(found[0])]
                end = found.end()
            text.replace_with(*parts, text[end:])


HEADING = re.compile("^h[1-6]$")


def fold_answer(soup, block):
    """Put a *Predict* and its answer in one frame, the answer folded.

    The answer is what the notebook itself folds right behind the question, or else the rest of the question's cell up
    to a heading. If that ends the cell, what the cells below show is part of it; and if there is nothing yet in words,
    the first paragraph of the text that follows, or what is folded at its top. An explorer is there to be moved first:
    it stays outside.
    """
    cell, frame = block.parent, block.wrap(soup.new_tag("div", attrs={"class": "predict"}))
    after = frame.find_next_siblings(True)
    rest = list(takewhile(lambda one: not HEADING.match(one.name), after))
    ends = len(rest) == len(after)
    if own := bool(rest) and rest[0].name == "details":
        answer, ends = rest.pop(0).extract(), len(after) == 1
        parts = []  # the text goes on
    else:
        answer = BeautifulSoup("<details><summary>Answer</summary></details>", "html.parser").details
        parts = rest
    if ends:
        below = cell.find_next_siblings(True)
        shown = list(takewhile(lambda one: "text" not in one.get("class", []), below))
        text = below[len(shown)].find(True) if not (own or rest) and len(shown) < len(below) else None
        parts += shown if not any("explore_" in one.get_text() for one in shown) else []
        if text is not None and text.name == "details":
            text.summary.decompose()
        parts += [text] if text is not None and text.name in ("details", "p") else []
        while text is not None and parts[-1].get_text().rstrip().endswith(":") and parts[-1].find_next_sibling():
            parts.append(parts[-1].find_next_sibling())
    answer.extend(part.extract() for part in parts)
    for inner in answer("details", recursive=False):
        if not inner.summary:
            inner.unwrap()
    answer["class"] = "answer"
    frame.append(answer)


def pieces(soup):
    """(anchor, heading, text) of each piece of a page between two headings that can be linked to."""
    left_out, found = {"h1", "h2", "h3", "pre", "summary", "style", "script"}, [["", "", []]]
    for one in soup.descendants:
        if isinstance(one, NavigableString):
            if left_out.isdisjoint(parent.name for parent in one.parents):
                found[-1][2].append(str(one))
        elif one.name in ("h2", "h3") and one.get("id"):
            found.append([one["id"], one.get_text(), []])
    return [(anchor, heading, " ".join("".join(words).split())) for anchor, heading, words in found]
