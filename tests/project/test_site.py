"""The site's pages as files: what stands in them, where their links lead, and that nothing comes from elsewhere.

What only a browser can tell (width, contrast, requests) is in tests/browser, for `make browser`.
"""

import base64
import gzip
import importlib
import inspect
import io
import json
import re
from functools import cache
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

import nbformat
import numpy as np
import printed
import pytest
import scripts
from bs4 import BeautifulSoup
from jaxtyping import Float64, Real
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
build = scripts.load("notebooks/build.py")
pages = build.pages
figures = pages.figures
reference = scripts.load("notebooks/reference.py")
OURS = f"https://github.com/{build.repository()}"
FILES = f"{OURS}/blob/{build.ref()}/"
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site from the saved outputs of the notebooks."""
    folder = tmp_path_factory.mktemp("site")
    build.run(build.notebooks(), folder, saved=True)
    return folder


@cache
def read(path):
    """A page as it lies there, parsed once for all tests: none may change it."""
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def faults(folder):
    """All that is wrong with the pages of a folder."""
    found = []
    pages = {path.name: read(path) for path in sorted(folder.glob("*.html"))}
    anchors = {name: ids(page) for name, page in pages.items()}
    for name, page in pages.items():

        def expect(condition, fault, name=name):
            if not condition:
                found.append(f"{fault} ({name})")

        expect(page.html.get("lang") == "en", "language: not named")
        expect(page.title and page.title.text.strip(), "title: none")
        expect(len(page("h1")) == 1, "heading: not one of the first level")
        levels = [int(heading.name[1]) for heading in page(re.compile("^h[1-6]$"))]
        expect(all(b <= a + 1 for a, b in pairwise(levels)), "heading: a level is left out")
        expect(all(len(page(part)) == 1 for part in ("header", "main", "footer")), "landmark: missing or twice")
        expect(all(nav.get("aria-label") for nav in page("nav")), "landmark: a nav without a name")
        expect(page.a.get("href") == f"#{page.main.get('id')}", "skip: the first link is none to the content")
        expect(len(ids(page)) == len(page(id=True)), "id: twice")
        for picture in page("img"):
            expect(picture.get("alt", "").strip(), "alt: a picture has no alternative text")
        for source in [one.get("src") or one.get("href") for one in page(["img", "script", "link", "iframe"])]:
            if source is None:  # a script that stands in the page
                continue
            expect(source.startswith("data:") or (folder / source).is_file(), f"source: {source}")
        for link in (link["href"] for link in page("a", href=True)):
            if link.startswith(FILES):
                target = unquote(link.removeprefix(FILES)).split("#")[0]
                expect((ROOT / target).exists(), f"link: not in the repository: {target}")
            elif not link.startswith("https://"):
                target, _, anchor = link.partition("#")
                there = anchors.get(target or name)
                expect(there is not None and (not anchor or {anchor, unquote(anchor)} & there), f"link: {link}")
    for style in folder.glob("*.css"):
        if re.search(r"@import|url\((?!['\"]?data:)", style.read_text(encoding="utf-8")):
            found.append(f"source: the style sheet asks for more ({style.name})")
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return found + ([f"size: {size} bytes"] if size >= 15_000_000 else [])


def ids(page):
    return {one["id"] for one in page(id=True)}


@pytest.mark.slow
def test_site_has_no_fault(site):
    assert faults(site) == []


def test_every_notebook_has_a_card_and_a_page_with_all_it_shows(site):
    cards = read(site / "index.html").select(".card")
    paths = build.notebooks()
    assert len(cards) == len(paths) > 0
    for path, card in zip(paths, cards, strict=True):
        nb = nbformat.read(path, as_version=4)
        page = read(site / f"{path.stem}.html")
        assert card.a["href"] == f"{path.stem}.html" and card.a.text == page.h1.text == pages.facts(nb)["title"]
        assert re.fullmatch(r"\d+ minutes", card.select_one(".minutes").text) and len(card.p.text) > 20
        outputs = [output for cell in nb.cells for output in cell.get("outputs", [])]
        abouts = [output.metadata["image/png"] for output in outputs if "image/png" in output.get("data", {})]
        panels = [panel["alt"] for about in abouts for panel in about.get("panels", [about])]
        assert [picture["alt"] for picture in page("img")] == panels
        shown = [about["alt"] for about in abouts]
        assert card.img is None if not shown else card.img["alt"] in panels
        texts = [output.text for output in outputs if output.output_type == "stream"]
        lines = [plain_words(line) for text in texts for line in text.splitlines() if line.strip()]
        assert [line for block in page.select("pre.output, .printed") for line in lines_of(block)] == lines
        folded = [one for one in page("details") if one.summary.text == "Solution" and not one.has_attr("open")]
        solutions = sum("solution" in cell.metadata.get("tags", []) for cell in nb.cells)
        assert solutions == len(folded) == sum(len(one.select(".highlight")) for one in folded)
        code = sum(bool(cell.source) for cell in nb.cells if "outputs" in cell)
        assert len(page.select(".highlight")) == code + solutions
        assert not re.search(r"(In|Out)\s*\[", page.main.text)


def plain_words(text):
    """The words of a line, in any order, without the signs that end a phrase: those are lines between columns."""
    return sorted(filter(None, (word.strip(",:;=…") for word in text.split())))


def lines_of(block):
    """The words of each line that is shown: of a table those of a row, with its header where it is made of them."""
    if block.name == "pre":
        return [plain_words(line) for line in block.text.splitlines() if line.strip()]
    head = " ".join(cell.text for cell in block.select("thead th"))
    rows = block.select("tbody tr") if "labelled" in block["class"] else block("tr")
    rows = [" ".join(cell.text for cell in row(["td", "th"])) for row in rows]
    return [plain_words(f"{head} {row}" if "labelled" in block["class"] else row) for row in rows]


def test_every_page_offers_the_places_where_its_notebook_runs(site, tmp_path):
    for path in build.notebooks():
        page = read(site / f"{path.stem}.html")
        found = {link.text.strip(): link["href"] for link in page.select(".places a")}
        at, name = f"{build.repository()}/blob/{build.ref()}/notebooks/{path.name}", path.name
        assert found.pop("Run in Colab") == f"https://colab.research.google.com/github/{at}"
        labpath = f"{build.ref()}?labpath=notebooks/{name}"
        assert found.pop("Run in Binder") == f"https://mybinder.org/v2/gh/{build.repository()}/{labpath}"
        assert found.pop("Notebook file") == f"https://github.com/{at}"
        here = f"{build.public_site()}lite/notebooks/index.html?path={name}"
        assert found == ({"Run it here": here} if name[:2] in ("01", "02", "03", "04") else {})
        assert "Open In Colab" not in page.text
    assert [link.text for link in read(site / "index.html").select(".run dt a")] == [
        "In this browser",
        "In Colab",
        "In Binder",
    ]
    assert not read(site / "notation.html").select(".places")
    (tmp_path / "lite").mkdir()  # as make lite leaves it
    nb = nbformat.read(path := build.notebooks(["03"])[0], as_version=4)
    assert (
        pages.places(path, nb, tmp_path, build.repository(), build.ref())[0][1]
        == f"lite/notebooks/index.html?path={path.name}"
    )


def test_pages_lead_from_one_to_the_next(site):
    names = [f"{path.stem}.html" for path in build.notebooks()]
    for k, name in enumerate(names):
        pager = [link["href"] for link in read(site / name).select(".pager a")]
        assert pager == names[max(k - 1, 0) : k] + names[k + 1 : k + 2]
        menu = [link["href"] for link in read(site / name).select("header nav a")]
        assert menu == ["index.html", "notation.html", "reference.html", "teachers.html", OURS]


# --- the reference -----------------------------------------------------------------------------------------------


def plain(text):
    """Text without spaces and without the marks of code and emphasis, which a page shows in another way."""
    return re.sub(r"[\s`*]", "", text)


@pytest.mark.parametrize(("module", "file"), reference.PAGES.items())
def test_reference_has_every_public_name_with_its_first_line_and_no_other(site, module, file):
    page, module = read(site / file), importlib.import_module(module)
    entries = {entry.find(["h2", "h3"])["id"]: entry for entry in page.select(".entry")}
    listed = [link["href"].removeprefix("#") for link in page.select(".names a") if link.parent.name == "dt"]
    names = reference.public_names(module)
    assert sorted(entries) == sorted(listed) == sorted(names) and names
    for name, entry in entries.items():
        value = getattr(module, name)
        assert plain(entry.pre.text).startswith(f"class{name}" if inspect.isclass(value) else name)
        if callable(value):
            first = inspect.getdoc(value).splitlines()[0]
            assert plain(first) in plain(entry.select_one(".text").text), name
        assert len(entry.select_one(".text").text.split()) > 3, f"{name} is not explained"


def test_reference_shows_methods_and_where_each_entry_is_written(site):
    page = read(site / "reference.html")
    methods = {member["id"] for member in page.select(".member")}
    assert {"FoldedMLP.preactivations", "FoldedMLP.__call__", "CirclePartition.patterns"} <= methods
    assert not [name for name in methods if re.search(r"\._(?!_call__)", name)]
    assert "*args, **kwargs: As" in read(site / "reference_checks.html").text
    drawn = read(site / "reference_plotting.html")
    assert "LabelledFigure.set" not in {member["id"] for member in drawn.select(".member")}, "that is matplotlib's"
    calls = " ".join(call.text for call in [*page.select("pre.call"), *drawn.select("pre.call")])
    assert "ray: ArrayLike | None" in calls and "Mapping[str, ArrayLike]" in calls and "_Supports" not in calls
    sources = [link["href"] for link in page.select(".source a")]
    assert sources and all(re.fullmatch(rf"{FILES}lnpoly_helpers/[\w/]+\.py#L\d+", link) for link in sources)
    assert page.select('.text code a[href="#FoldedMLP"]'), "names in the text lead to their entries"
    assert not [name.text for name in page.select(".entry strong") if " : " in name.text], "two parameters in one"


PUBLIC = {name for module in reference.PAGES for name in reference.public_names(importlib.import_module(module))}


@pytest.mark.parametrize("module", ["lnpoly_helpers", "lnpoly_helpers.plotting", "lnpoly_helpers.widgets"])
def test_what_else_to_see_is_linked(site, module):
    page = read(site / reference.PAGES[module])
    parts = [part for part in page(class_="part") if part.text == "See Also"]
    assert len(parts) > 4
    for part in parts:
        said = part.find_next_sibling()
        assert said.a and not re.search(",[ ,]*,", said.text), said.text
        assert not [code.text for code in said("code") if code.text in PUBLIC and not code.a]
    for code in page("pre"):
        code.decompose()
    assert ">>>" not in page.text, "an example has a heading of its own, else it is taken for what stands above it"


def test_public_names_are_those_of_all_or_else_what_a_module_defines():
    module = type(inspect)("lnpoly_helpers.wing")
    code = "import re\nfrom pathlib import Path\nx = 1\ndef f(): pass\ndef _g(): pass\nclass C: pass"
    exec(code, vars(module))
    assert reference.public_names(module) == ["f", "C"]
    module.__all__ = ["x", "f", "__version__"]
    assert reference.public_names(module) == ["x", "f"]
    package = type(inspect)("lnpoly_helpers")
    exec(code, vars(package))
    assert reference.public_names(package) == ["Path", "x", "f", "C"]


LONG = "A line that its author has wrapped since the next word would have made it longer than the file is wide,"


@pytest.mark.parametrize(
    ("docstring", "made"),
    [
        (f"{LONG}\n+ it is.", f"{LONG} + it is."),
        (f"{LONG}\n|x| and\n\nmore", f"{LONG} |x| and\n\nmore"),
        ("a = b,\nc = d.", "a = b,  \nc = d."),
        ("A list:\n- one\n- two", "A list:\n- one\n- two"),
        (f"- {LONG}\n  on", f"- {LONG} on"),
        ("Parameters\n----------\nx : int\n    It.", "Parameters\n----------\nx : int\n    It."),
        (f"x : {LONG}\ny, *more : int", f"x : {LONG}\ny, *more : int"),
        (">>> a = [\n... 1]\n>>> a\n[1]", ">>> a = [\n... 1]\n>>> a\n[1]"),
    ],
)
def test_paragraphs_go_on_and_formulas_keep_their_lines(docstring, made):
    assert reference.reflowed(docstring) == made


def test_docstring_becomes_parts_names_and_types():
    returns = "Returns\n-------\nA : float64 [d, m];  c : float64 [m]\n    ``c`` of it."
    text = f"It.\n\n{returns}\n\nRaises\n------\nValueError\n    Why."
    page = BeautifulSoup(reference.to_html(text), "html.parser")
    assert [part.text for part in page.select(".part")] == ["Returns", "Raises"]
    assert [(item.strong.text, item.select_one(".type").text) for item in page.ul("li")] == [
        ("A", "float64 [d, m]"),
        ("c", "float64 [m]"),
    ]
    assert page.br.previous_sibling.text == "float64 [m]" and page.br.next_sibling.text == "c"
    assert plain(page("ul")[1].text) == "ValueError:Why."


def test_shapes_stand_in_signatures_and_types_go_by_their_last_names():
    from pdoc.render_helpers import format_signature

    rows = Float64[np.ndarray, "... d"]

    def function(x: rows, eps: float = 0.0) -> rows: ...

    html = reference.short(format_signature(inspect.signature(function), colon=False))
    shape = "Float64[ndarray, '... d']"
    assert plain(BeautifulSoup(html, "html.parser").text) == plain(f"(x: {shape}, eps: float = 0.0) -> {shape}")


def test_what_is_taken_as_an_array_and_as_a_tensor_is_said_once():
    class Tensor:
        shape = dtype = None

    def said(annotation):
        return repr(reference.Words.of(annotation))

    both = Real[np.ndarray, "... d"] | Real[Tensor, "... d"]
    assert said(both) == "Real[ArrayLike, '... d']"
    assert said(both | None) == "Real[ArrayLike, '... d'] | None"
    assert said(Float64[np.ndarray, "n"] | None) == "Float64[ndarray, 'n'] | None"
    assert said(Real[np.ndarray, "a"] | Real[Tensor, "b"]).count("Real[") == 2
    assert (said(float), said(str | None), said(np.ndarray)) == ("float", "str | None", "ndarray")
    assert reference.Words.of(inspect.Parameter.empty) is inspect.Parameter.empty


# --- notation ----------------------------------------------------------------------------------------------------


def notation():
    """The symbols of the notation page, and the number of the notebook that is said to bring each in."""
    rows = (ROOT / "notebooks" / "notation.md").read_text(encoding="utf-8").splitlines()
    cells = [re.split(r"(?<!\\)\|", row) for row in rows if row.startswith("|") and "](0" in row]
    return [(untexed(row[1]), int(re.search(r"\[(\d)\]\(0\1_", row[3])[1])) for row in cells]


def words(*kinds):
    """What the cells of these kinds say, by the number of the notebook."""
    cells = {int(path.name[:2]): nbformat.read(path, as_version=4).cells for path in build.notebooks()}
    return {n: untexed("\n".join(c.source for c in some if c.cell_type in kinds)) for n, some in cells.items()}


def untexed(text):
    """A text whose formulas name things as plain text does: W_in, not W_\\text{in}."""
    return re.sub(r"\\[A-Za-z]+", "", re.sub(r"\\text\{(\w+)\}", r"\1", text))


def test_notation_explains_every_greek_letter_and_the_words_that_are_not_plain():
    named = " ".join(symbol for symbol, _ in notation())
    text = " ".join(words("markdown").values())
    greek = set(re.findall(r"[α-ω]", text)) - {"π"}
    assert greek and {letter for letter in greek if letter not in named} == set()
    for word in ("W_in", "W_out", "b_in", "‖", "⊙", "ReLU", "GELU", "RMSNorm", "MiniLM", "polytope", "arc", "face"):
        assert word in text and word in named, word


def test_notation_names_a_notebook_that_uses_the_symbol():
    text = words("markdown", "code")
    for symbol, number in notation():
        first = re.search(r"`([\w-]+)`|([α-ω⊙‖])|([A-Za-z]{4,})", symbol)
        assert not first or first[0].strip("`").lower() in text[number].lower(), f"{symbol} is not in {number}"


# --- that the check can fail -------------------------------------------------------------------------------------

GOOD = """<!DOCTYPE html><html lang="en"><head><title>A page</title><link rel="stylesheet" href="site.css"></head><body>
<a href="#content">Skip</a><header><nav aria-label="Site"><a href="a.html">A</a></nav></header>
<main id="content"><h1>A page</h1><h2 id="ε">ε</h2><p><a href="a.html#ε">There</a> <a href="#%CE%B5">Here</a>
<img src="data:," alt="Nothing."> <a href="{files}README.md">Ours</a></p></main>
<footer></footer></body></html>
"""
FLAWS = [
    ('lang="en"', "", "language"),
    ("<title>A page", "<title>", "title"),
    ("<h1>A page</h1>", "", "heading"),
    ("<h2 ", "<h1>Again</h1><h2 ", "heading"),
    ("<h2 ", "<h3>Deep</h3><h2 ", "heading"),
    ("<footer></footer>", "", "landmark"),
    (' aria-label="Site"', "", "landmark"),
    ('href="#content"', 'href="a.html"', "skip"),
    ("<p>", '<p id="ε">', "id"),
    (' alt="Nothing."', "", "alt"),
    ('alt="Nothing."', 'alt=" "', "alt"),
    ("data:,", "gone.png", "source"),
    ("data:,", "https://example.org/a.png", "source"),
    ("<footer>", '<footer><script src="//example.org/a.js"></script>', "source"),
    ("a.html#ε", "a.html#gone", "link"),
    ("#%CE%B5", "#gone", "link"),
    ('href="a.html"', 'href="b.html"', "link"),
    ('href="a.html"', 'href="http://example.org"', "link"),
    ("README.md", "GONE.md", "link"),
]


def good(folder):
    (folder / "a.html").write_text(GOOD.format(files=FILES), encoding="utf-8")
    (folder / "site.css").write_text("body { color: black }")


def test_good_page_has_no_fault(tmp_path):
    good(tmp_path)
    assert faults(tmp_path) == []


@pytest.mark.parametrize("old, new, fault", FLAWS)
def test_planted_flaw_is_found(tmp_path, old, new, fault):
    good(tmp_path)
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "a.html").write_text(text.replace(old, new, 1), encoding="utf-8")
    assert {found.split(":")[0] for found in faults(tmp_path)} == {fault}


@pytest.mark.parametrize("rule", ['@import "a.css"', "b { background: url(https://example.org/a.png) }"])
def test_style_sheet_that_asks_for_more_is_found(tmp_path, rule):
    good(tmp_path)
    (tmp_path / "site.css").write_text(rule)
    assert [found.split(":")[0] for found in faults(tmp_path)] == ["source"]


def test_heavy_site_is_found(tmp_path):
    good(tmp_path)
    with open(tmp_path / "film.bin", "wb") as file:
        file.truncate(15_000_000)
    assert [found.split(":")[0] for found in faults(tmp_path)] == ["size"]


# --- the parts that make a page ----------------------------------------------------------------------------------


def test_links_are_made_to_fit_the_site():
    body = (
        '<h2 id="a">A <em>b</em><a class="anchor-link" href="#a"></a></h2><a href="b.ipynb#x">b</a>'
        '<a href="../README.md">r</a><a href="#a">a</a><a href="https://example.org">e</a>'
        '<a href="https://c.org"><img alt="Open" src="https://c.org/a"/></a><table></table>'
    )
    made, sections, found = pages.shaped(body, "notebooks/a.ipynb", {"notebooks/b.ipynb": "b.html"}, FILES)
    assert made == (
        '<div class="heading"><h2 id="a">A <em>b</em></h2>'
        '<a aria-label="Link to this place: A b" class="permalink" href="#a">#</a></div>'
        f'<a href="b.html#x">b</a><a href="{FILES}README.md">r</a>'
        '<a href="#a">a</a><a href="https://example.org">e</a><a href="https://c.org"><span class="badge">Open</span>'
        '</a><div aria-label="Table" class="scroll" role="group"><table></table></div>'
    )
    assert sections == [("a", "A <em>b</em>")]
    assert found == [("", "", ""), ("a", "A b", "braeOpen")]


def test_facts_are_what_the_notebook_says():
    table = "| | |\n| --- | --- |\n| **You will see** | *much* |\n| **Time** | 5 minutes |"
    nb = new_notebook(cells=[new_markdown_cell("badge\n\n# 1 · It holds\n\nAlways. And ever.\n\n" + table)])
    assert pages.facts(nb) == {
        "title": "1 · It holds",
        "lead": "Always.",
        "claim": "*much*",
        "minutes": "5 minutes",
    }
    assert pages.summary(pages.facts(nb)) == "Always. You will see much."
    nb.cells[0].source = "# It holds\n\nAlways. And ever."
    assert pages.facts(nb) == {"title": "It holds", "lead": "Always.", "claim": "Always.", "minutes": ""}
    assert pages.summary(pages.facts(nb)) == "Always."
    assert pages.facts(new_notebook()) == {"title": "", "lead": "", "claim": "", "minutes": ""}


def test_card_shows_the_tagged_picture_or_else_the_first():
    def cell(name, tags):
        output = new_output("display_data", {"image/png": PIXEL}, metadata={"image/png": {"alt": name}})
        output.metadata["filenames"] = {"image/png": f"{name}.png"}
        return new_code_cell("1", metadata={"tags": tags}, outputs=[new_output("stream", text="1"), output])

    assert pages.card_picture(new_notebook(cells=[cell("a", []), cell("b", ["card"])])) == ("b.png", "b")
    assert pages.card_picture(new_notebook(cells=[cell("a", []), cell("b", [])])) == ("a.png", "a")
    assert pages.card_picture(new_notebook(cells=[new_markdown_cell("a")])) == (None, "")


def test_card_shows_one_panel_the_last_or_the_one_that_is_named():
    def shown(names, **metadata):
        output = new_output("display_data", {"image/png": PIXEL}, metadata={"image/png": {"alt": "all"}})
        images = "".join(f'<img src="{name}.svg" alt="{name}">' for name in names)
        output.metadata |= {"filenames": {"image/png": "a.png"}, "shown": f'<div class="panels">{images}</div>'}
        return pages.card_panel(new_notebook(cells=[new_code_cell("1", metadata=metadata, outputs=[output])]))

    assert shown("abc") == ("c.svg", "c")
    assert shown("abc", panel=0) == ("a.svg", "a")
    assert shown("") == ("a.png", "all")
    assert pages.card_panel(new_notebook(cells=[new_markdown_cell("a")])) == (None, "")


def test_every_page_says_what_it_is_to_those_who_find_a_link_to_it(site):
    said = set()
    for path in site.glob("*.html"):
        page = read(path)
        about = {meta.get("name") or meta.get("property"): meta["content"] for meta in page("meta", content=True)}
        assert 40 <= len(about["description"]) == len(about["og:description"]) and "*" not in about["description"]
        said.add(about["description"])
        assert about["og:title"] and (about["og:title"] == page.h1.text or path.stem.startswith(("index", "ref")))
        public = build.public_site()
        assert about["og:image"].startswith(public) and about["og:image:alt"].strip()
        assert (site / about["og:image"].removeprefix(public)).is_file()
        assert page.find("link", rel="icon")["href"].startswith("data:image/svg+xml,")
    assert len(said) == len(list(site.glob("*.html")))


def test_index_starts_with_the_first_notebook_and_says_how_long_it_takes(site):
    (start,) = read(site / "index.html").select("a.start")
    first = build.notebooks()[0]
    minutes = pages.facts(nbformat.read(first, as_version=4))["minutes"]
    assert (start["href"], start.text) == (f"{first.stem}.html", f"Start ({minutes})")


def test_every_section_is_in_the_contents_and_has_a_link_to_itself(site):
    for path in site.glob("*.html"):
        page = read(path)
        assert page.main("h2", id=True)
        for heading in page.main(["h2", "h3"], id=True):
            assert heading.find_next_sibling("a", class_="permalink")["href"] == f"#{heading['id']}"
        sections = [heading["id"] for heading in page.main("h2", id=True)]
        listed = [link["href"] for link in page.select(".contents a")]
        if not path.stem.startswith(("index", "ref")):
            assert listed == [f"#{name}" for name in sections] and listed


def test_search_knows_every_page_and_each_of_its_sections(site):
    text = (site / "search.js").read_text(encoding="utf-8")
    found = json.loads(text.removeprefix("window.searchIndex = ").removesuffix(";\n"))
    for path in build.notebooks():
        page = read(site / f"{path.stem}.html")
        mine = [row for row in found if row[0] == f"{path.stem}.html"]
        assert [row[1] for row in mine if row[1]] == [one["id"] for one in page.main(["h2", "h3"], id=True)]
        assert all(row[2] == page.h1.text for row in mine)
    assert {row[0] for row in found} == {path.name for path in site.glob("*.html")}
    assert any(row[1] == "run" and "Binder" in row[4] for row in found if row[0] == "index.html")
    texts = {(row[0], row[3]): row[4] for row in found}
    assert "dashed line of 1" in texts["01_layernorm_is_a_projection.html", "Which vectors share a point?"]
    entry = next(row for row in found if row[1] == "partition_circle")
    assert entry[0] == "reference.html" and "arcs" in entry[4]


def test_figures_are_numbered_drawn_and_parted_into_their_panels(site):
    for path in build.notebooks():
        cells = nbformat.read(path, as_version=4).cells
        shown = [
            (output.metadata["image/png"], cell.metadata.caption)
            for cell in cells
            for output in cell.get("outputs", [])
            if "image/png" in output.get("data", {})
        ]
        found = read(site / f"{path.stem}.html").select("figure")
        for k, (figure, (about, words)) in enumerate(zip(found, shown, strict=True)):
            assert figure.figcaption.text == f"Figure {int(path.stem[:2])}.{k + 1}. {words}"
            whole = {"box": [0, 0, about.get("width"), about.get("height")]} | about
            for image, panel in zip(figure("img"), about.get("panels", [whole]), strict=True):
                assert image["src"].endswith(".svg" if "svg" in about else ".png")
                assert image["class"] == ["drawn" if "svg" in about else "painted"]
                if "width" in about:
                    assert [image["width"], image["height"]] == [str(size) for size in panel["box"][2:]]


def test_a_panel_is_a_piece_of_its_picture(tmp_path):
    """A picture of two panels, black and white, as PNG and as SVG: each piece has one colour, and the right one."""
    halves = np.repeat(np.array([[[0] * 3] * 8 + [[255] * 3] * 12], dtype=np.uint8), 10, axis=0)
    png = io.BytesIO()
    Image.fromarray(halves).save(png, "PNG")
    panels = [{"box": [0, 0, 4, 5], "alt": "black"}, {"box": [4, 0, 6, 5], "alt": "<white>"}]
    about = {"alt": "both", "width": 10, "height": 5, "panels": panels}
    (tmp_path / "figures").mkdir()
    html = figures.picture("figures/a.png", png.getvalue(), about, tmp_path)
    found = BeautifulSoup(html, "html.parser").select(".panels > img.painted")
    assert [(one["alt"], one["width"], one["height"]) for one in found] == [("black", "4", "5"), ("<white>", "6", "5")]
    for one, color, width in zip(found, (0, 255), (8, 12), strict=True):
        piece = np.asarray(Image.open(tmp_path / one["src"]))
        assert piece.shape == (10, width, 3) and (piece == color).all()
    assert "--tall" not in html, "nothing is empty in the one, all in the other"
    halves[:, 9:] = 255
    halves[5:7, 12] = 0
    drawn = io.BytesIO()
    Image.fromarray(np.repeat(np.repeat(halves, 20, axis=0), 20, axis=1)).save(drawn, "PNG")
    panels = [[0, 0, 80, 100], [80, 0, 120, 100]]
    assert figures.blank(drawn.getvalue(), panels, 200) == [(0, 0), (pytest.approx(0.42), pytest.approx(0.22))]
    svg = '<svg width="7.2pt" height="3.6pt" viewBox="0 0 7.2 3.6"><path d="M0 0"/></svg>'
    about["svg"] = base64.b64encode(gzip.compress(svg.encode())).decode()
    found = BeautifulSoup(figures.picture("figures/a.png", png.getvalue(), about, tmp_path), "html.parser")("img")
    heads = [(tmp_path / one["src"]).read_text(encoding="utf-8").partition(">")[0] for one in found]
    assert heads == [
        '<svg width="4" height="5" viewBox="0.00 0.00 2.88 3.60"',
        '<svg width="6" height="5" viewBox="2.88 0.00 4.32 3.60"',
    ]
    assert (tmp_path / "figures" / "a.svg").read_text(encoding="utf-8") == svg
    plain = figures.picture("figures/b.png", png.getvalue(), {}, tmp_path)  # no figure of ours
    assert '<img class="painted" src="figures/b.png" alt="" width="20" height="10"' in plain


def test_first_page_opens_with_an_explorer(site):
    page = read(site / "index.html")
    (figure,) = page.select("figure.explorer")
    assert figure["data-explorer"] == "circle" and json.loads(figure.script.string)
    assert len(figure.img["alt"]) > 60
    assert str(page).index("data-explorer") < str(page).index("The notebooks</h2>")


# --- formulas, tables, code, answers ----------------------------------------------------------------------------


def formulas():
    """Every formula of the notebooks and of the notation, as TeX: ("", it) in a line, (it, "") in one of its own."""
    texts = [
        cell.source for path in build.notebooks() for cell in nbformat.read(path, 4).cells if "outputs" not in cell
    ]
    texts.append((ROOT / "notebooks" / "notation.md").read_text(encoding="utf-8"))
    return re.findall(r"\$\$(.+?)\$\$|\$([^$\n]+)\$", "\n".join(texts), re.DOTALL)


def test_every_formula_is_mathml_on_its_page(site):
    shown = [one["alttext"] for path in site.glob("[0n]*.html") for one in read(path)("math")]
    parts = [part for block, line in formulas() for part in ([block] if block else pages.links_of(line))]
    assert sorted(shown) == sorted(" ".join(tex.split()) for tex in parts) and len(shown) > 60
    for path in site.glob("[0n]*.html"):
        skipped = ["pre", "code", "math", "script"]
        texts = (text for text in read(path).find_all(string=True) if not text.find_parent(skipped))
        assert [text for text in texts if "$" in text] == [], path.name


@pytest.mark.parametrize(
    ("tex", "text"),
    [
        (r"\frac{a}{b + 1}", "ab+1"),
        (r"W_\text{in} \leftarrow P(γ ⊙ W_\text{in})", "Win←P(γ⊙Win)"),
        (r"a^{\ast} = \sqrt{ε}", "a*=ε"),
        ("‖x‖^2 < 3", "‖x‖2<3"),
    ],
)
def test_formula_becomes_mathml(tex, text):
    made = BeautifulSoup(pages.formula(tex), "html.parser").math
    assert made.text == text and made["alttext"] == tex and made["display"] == "inline"
    assert {one.text for one in made("mo")} <= set("+←(⊙)*=‖<")


def test_a_long_formula_may_break_before_its_relations_and_is_the_same_in_pieces():
    long = r"z = \text{normalize}(x) \approx Px / \sqrt{s^2 + ε_{a=b}}"
    pieces = pages.links_of(long)
    assert [piece.split()[0] for piece in pieces] == ["z", "=", r"\approx"] and " ".join(pieces) == long
    texts = [BeautifulSoup(pages.formula(tex), "html.parser").math for tex in (long, *pieces)]
    assert texts[0].text == "".join(one.text for one in texts[1:])
    assert [one.mo["form"] for one in texts[2:]] == ["infix"] * 2 and not texts[0].mo.has_attr("form")
    assert pages.to_html(f"So ${long}$.").count("<wbr>") == 2
    for whole in ("a = b", r"f(x = 1, y = 2, z = 3, w = 4)", r"\left(a = b + c + d + e + f\right)^2"):
        assert pages.links_of(whole) == [whole]


@pytest.mark.parametrize("tex", [r"\frac{x", r"\unheard{x}", r"x^", r"\sqrt"])
def test_formula_that_cannot_be_read_is_refused(tex):
    with pytest.raises(ValueError, match=re.escape(f"${tex}$: expected TeX")):
        pages.formula(tex)


def rows(html):
    """The cells of the tables of a text, (name of the tag, text, whether a number) of each."""
    page = BeautifulSoup(html, "html.parser")
    return [[(one.name, one.text, "number" in one.get("class", [])) for one in row(["td", "th"])] for row in page("tr")]


def test_what_is_printed_in_columns_becomes_a_table():
    made = printed.to_html("of two:\n          a b       c\none      1.00  3 of 4\nthe two  20.5  5 of 6\nend\n")
    assert [block.text for block in BeautifulSoup(made, "html.parser")("pre")] == ["of two:", "end"]
    assert rows(made) == [
        [("td", "", False), ("th", "a b", True), ("th", "c", True)],
        [("th", "one", False), ("td", "1.00", True), ("td", "3 of 4", True)],
        [("th", "the two", False), ("td", "20.5", True), ("td", "5 of 6", True)],
    ]
    made = printed.to_html("x    at a.b_c.d\ny    at 0.5\n")
    assert "a.<wbr>b_<wbr>c.<wbr>d" in made and "0.5<" in made
    made = printed.to_html("x    yes: 1\n<y>  no:  12\n")
    assert [[text for _, text, _ in row] for row in rows(made)] == [["x", "yes: 1"], ["<y>", "no: 12"]]


def test_lines_of_the_same_words_become_a_table_under_these():
    made = printed.to_html("a =  2.5°: neuron 2 flips\na = 17.0°: neuron 13 flips\n2 flips, 3 arcs\n")
    assert [block.text for block in BeautifulSoup(made, "html.parser")("pre")] == ["2 flips, 3 arcs"]
    assert rows(made) == [
        [("th", "a", True), ("th", "neuron … flips", True)],
        [("th", "2.5°", True), ("td", "2", True)],
        [("th", "17.0°", True), ("td", "13", True)],
    ]
    for text, head, last in (
        ("1,000 tries: 4 of 5 found\n   20 tries: 3 of 5 found", ["tries", "found"], ["20", "3 of 5"]),
        ("at 90° apart: 0.1 for 30°\nat  4° apart: 0.2 for 30°", ["at … apart", "for 30°"], ["4°", "0.2"]),
        ("x, one part a = 1, b: 7\ny a = 2, b: 7", ["", "a", "b"], ["y", "2", "7"]),
    ):
        made = [[cell for _, cell, _ in row] for row in rows(printed.to_html(text))]
        assert (made[0], made[-1]) == (head, last)


@pytest.mark.parametrize(
    "text",
    [
        "one line  with a gap",
        "in (0, 1): A = [[1, 2], [3, 4]]\nin (1, 2): A = [[5, 6], [7, 8]]",  # no column of numbers
        "all 14 of one: to 1e-6\nall 14 of two: to 1e-6",
        "this layer     x 1.5, y 2.5\nthat layer     x 3.5, y 4.5\nwide, 0.5 on   1.06      2.60",
        "neuron  4 flips\nneuron  7 flips",
        "a = 1:  13°, b\na = 4:  43°, b",
        "no gap\nat all",
        "this layer     x 1.5, y 2.5\nwide, 0.5 on   1.06      2.60",
        "",
    ],
)
def test_what_has_no_columns_stays_as_it_is_printed(text):
    made = BeautifulSoup(printed.to_html(text), "html.parser")
    assert not made("table") and "".join(block.text for block in made("pre")) == text


def test_two_tables_printed_one_after_the_other_are_two():
    lines = ["            off by  then", "this  1.2 (1 to 2)     3", "that  2.5 (2 to 3)", "       law", "other  1.0"]
    made = printed.to_html("\n".join(lines))
    one, other = BeautifulSoup(made, "html.parser")("table")
    assert rows(str(one))[1:] == [
        [("th", "this", False), ("td", "1.2 (1 to 2)", True), ("td", "3", True)],
        [("th", "that", False), ("td", "2.5 (2 to 3)", True), ("td", "", True)],
    ]
    assert [cell for _, cell, _ in rows(str(other))[0]] == ["", "law"]


@pytest.mark.parametrize(
    ("first", "headed"),
    [
        ("net    norm     covered", True),
        ("GPT    none     yes", False),  # as in other rows
        ("GPT    1 layer  sometimes", False),
    ],
)
def test_words_that_never_come_again_head_a_table_of_words(first, headed):
    text = f"{first}\nOPT    none     yes\nLlama  RMS      yes\nBERT   none     no"
    assert bool(BeautifulSoup(printed.to_html(text), "html.parser").thead) == headed


@pytest.mark.parametrize(
    ("html", "kept"),
    [
        ("<p>13 % of GPT-2's, to 1e-9 (θ/π), at 1/√d = 0.</p>", ["13 %", "GPT-2", "1e-9", "θ/π", "1/√d = 0"]),
        ("<p>In layer 12, (θ/π)</p>", ["layer 12", "θ/π"]),
        ("<p>For <em>d</em> = 4, (<math display='inline'></math>), is</p>", ["d = 4", "(),"]),
        ("<p>for <em>all</em> = 4, and/or <code>x-1</code></p><pre>1e-9</pre>", []),
        ('<pre class="output">to 1e-05</pre><h2>GPT-2</h2>', ["1e-05"]),
    ],
)
def test_what_belongs_together_stays_in_one_line(html, kept):
    soup = BeautifulSoup(html, "html.parser")
    text = soup.text
    pages.keep_whole(soup)
    assert [one.text for one in soup.select(".whole")] == kept and soup.text == text


def test_code_that_only_defines_helpers_is_folded(site):
    def folded(source, *outputs):
        return pages.helper(new_code_cell(source, outputs=list(outputs)))

    assert folded("%pip install x\nimport y") == "Set-up: installation on Colab, and imports"
    assert folded("def f(x):\n    def g(): pass\nclass C:\n    pass") == "Code: f, C"
    assert folded("x = 1") is None and folded("def f(): pass", new_output("stream", text="1")) is None
    for path in build.notebooks():
        cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
        page = read(site / f"{path.stem}.html")
        assert len(page.select("details.helper")) == sum(pages.helper(cell) is not None for cell in cells) > 0
        assert page.select("#all-code"), "one switch for all of them"


def test_every_prediction_has_its_answer_folded(site):
    for path in build.notebooks():
        asked = sum(c.source.count("**Predict.**") for c in nbformat.read(path, 4).cells if c.cell_type == "markdown")
        page = read(site / f"{path.stem}.html")
        frames = page.select(".predict")
        assert len(frames) == asked
        for frame in frames:
            (answer,) = frame.select("details.answer")
            assert frame.blockquote and answer.summary and not answer.has_attr("open")
            assert len(answer.get_text()) > 10, frame.blockquote.text


QUESTION = "<blockquote><p><strong>Predict.</strong> What?</p></blockquote>"
CELL = '<div class="code">f()</div><pre class="output">7</pre>'
AFTER = '<section class="text"><p>Seven.</p><p>More.</p></section>'


@pytest.mark.parametrize(
    ("rest", "below", "folded", "left"),
    [
        ("<details><summary>Look</summary><p>7.</p></details>", CELL + AFTER, "Look7.f()7", "Seven.More."),
        ("<details><summary>Ha</summary><p>7.</p></details>", CELL.replace("f", "explore_a"), "Ha7.", "explore_a()7"),
        ("<details><summary>Look</summary><p>7.</p></details><p>On.</p>", CELL + AFTER, "Look7.", "On.f()7Seven.More."),
        ("", CELL + AFTER, "Answerf()7Seven.", "More."),
        ("", CELL + AFTER.replace("Seven.", "Seven:"), "Answerf()7Seven:More.", ""),
        ("<p>It is.</p>", CELL + AFTER, "AnswerIt is.f()7", "Seven.More."),
        ("<p>It is.</p><h3>Next</h3>", CELL + AFTER, "AnswerIt is.", "Nextf()7Seven.More."),
        ("", CELL.replace("f", "explore_a") + AFTER, "AnswerSeven.", "explore_a()7More."),
        ("", CELL + AFTER.replace("<p>Seven.</p>", "<details><summary>A</summary>Seven.</details>"),
         "Answerf()7Seven.", "More."),
        ("", CELL, "Answerf()7", ""),
    ],
)  # fmt: skip
def test_answer_is_what_the_notebook_folds_or_what_follows(rest, below, folded, left):
    soup = BeautifulSoup(f'<section class="text">{QUESTION}{rest}</section>{below}', "html.parser")
    pages.fold_answer(soup, soup.blockquote)
    frame = soup.select_one(".predict").extract()
    assert frame.details.extract().text == folded
    assert (frame.text, soup.text) == ("Predict. What?", left)


# --- build.py as a command ----------------------------------------------------------------------------------------


def test_saved_goes_with_a_site_alone(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["build.py", "--saved"])
    with pytest.raises(SystemExit):
        build.main()
    assert "--saved goes with --site DIR" in capsys.readouterr().err
