"""The reference: every public name of lnpoly_helpers with its docstring, by pdoc, for the pages of the site.

usage: python notebooks/reference.py     print {page: {title, body, sections}} as JSON, for build.py

A process of its own, so that jaxtyping is there before the package: only then do its signatures show shapes.
"""

import functools
import importlib
import inspect
import json
import posixpath
import re
import sys
import types
from pathlib import Path

import markupsafe
from numpy.typing import ArrayLike

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PACKAGE = "lnpoly_helpers"
# the promised names, the package's own and those of its wings: a page for each of these modules
PAGES = {PACKAGE: "reference.html"}
PAGES |= {f"{PACKAGE}.{wing}": f"reference_{wing}.html" for wing in ("plotting", "widgets", "checks")}
FULL = 100  # a docstring's line that would have been longer than this with the next word has been wrapped


def public_names(module):
    """What a module offers: its ``__all__``, or else what it defines, and for the package what it imports as well."""
    if hasattr(module, "__all__"):
        return [name for name in module.__all__ if not name.startswith("_")]
    own = {name: value for name, value in vars(module).items() if not name.startswith("_")}
    if module.__name__ == PACKAGE:
        return [name for name, value in own.items() if not isinstance(value, types.ModuleType)]
    home = f"{module.__name__}."
    return [n for n, v in own.items() if callable(v) and f"{getattr(v, '__module__', '')}.".startswith(home)]


def first_line(docstring):
    """A docstring's first paragraph, on one line."""
    return " ".join(inspect.cleandoc(docstring or "").split("\n\n")[0].split())


def reflowed(docstring):
    """A docstring with each paragraph on one line, except where its author broke a line that had room for more.

    So formulas keep their lines, and a line that happens to begin with a plus or a bar makes no list and no table.
    """
    made, before, example = [], "", False
    for line in docstring.splitlines():
        example = line.lstrip().startswith(">>>") or (example and bool(line.strip()))
        deeper = indent(line) - indent(before)
        goes_on = deeper == 0 or (deeper == 2 and before.lstrip().startswith("- "))
        begins = re.match(r"\s*(- |--|$|[\w*\\, ]+ : )", line)  # an item, a rule under a heading, nothing, a parameter
        if example or not goes_on or not before.strip() or begins or before.startswith("--"):
            made.append(line)
        elif len(before) + 1 + len(line.split()[0]) > FULL:
            made[-1] += f" {line.strip()}"
        else:
            made[-1] += "  "  # so Markdown marks the end of a line
            made.append(line)
        before = line
    return "\n".join(made)


def indent(line):
    return len(line) - len(line.lstrip())


def to_html(docstring):
    """A docstring as HTML: its parts without headings, of which a page has its own, a name's type behind the name."""
    from pdoc import docstrings, render_helpers

    one_a_line = re.sub(r";  (?=\w+ : )", "\n", docstring)  # A : float64 [d, d_out];  c : float64 [d_out]
    stars = re.compile(r"^( *)(\*+\w+(?:, \*+\w+)*)(?= *(?::|$))", re.MULTILINE)  # else emphasis
    one_a_line = stars.sub(lambda found: found[1] + found[2].replace("*", r"\*"), one_a_line)
    made = render_helpers.to_html(docstrings.convert(reflowed(one_a_line), "numpy", None))
    made = re.sub(r"<h6[^>]*>(.*?)</h6>", r'<p class="part">\1</p>', made)
    made = re.sub(r"<li><p>((?:(?!</?p>|<li>).)*)</p></li>", r"<li>\1</li>", made, flags=re.DOTALL)
    made = re.sub(r"(<li><strong>[^<]*</strong>) \((.*?)\):(?=\n|</li>)", r'\1 <span class="type">\2</span>', made)
    made = re.sub(r"(</span>)\n\s*(?!\s|</?(?:li|ul|p)\b)", r"\1<br>", made)
    made = re.sub(r"<code>([\w.]+),</code>", r"<code>\1</code>", made)  # pdoc takes the comma of See Also for the name
    return made.replace("[..., ", "[...,\N{NO-BREAK SPACE}")  # a shape stays on one line


def read(name):
    """A module as pdoc reads it, with its public names alone."""
    from pdoc import doc, doc_ast

    module = importlib.import_module(name)
    members = {name: getattr(module, name) for name in public_names(module)}

    class Public(doc.Module):
        @functools.cached_property
        def _member_objects(self):
            return members

        @functools.cached_property
        def _var_docstrings(self):  # a value is explained where it is assigned, which is below this module
            ours = [one for key, one in [*sys.modules.items()] if key.startswith(name)]
            found = [doc_ast.walk_tree(one).var_docstrings for one in ours]
            return {key: text for one in found for key, text in one.items() if key in members}

    return Public(module)


def inner(one):
    """The methods and properties of a class that have a docstring of ours."""
    named = [m for m in one.members.values() if m.name == "__call__" or not m.name.startswith("_")]
    ours = [m for m in named if m.docstring and m.taken_from[0].startswith(PACKAGE)]
    # matplotlib writes each of its figures a method of its own, set
    return [m for m in ours if m.kind != "function" or m.obj.__module__.startswith(PACKAGE)]


def rooms(module):
    """[(room, what its docstring says, its members)], both in the order in which the README names them.

    The package has the rooms right below it, its plain values, which know no room, last; a wing is one room.
    """
    readme = ROOT / "README.md"
    words = re.findall(r"`(\w+)`", readme.read_text(encoding="utf-8") if readme.is_file() else "")
    place = {word: k for k, word in reversed(list(enumerate(words)))}
    found = {}
    for one in sorted(module.members.values(), key=lambda one: place.get(one.name, len(words))):
        home = getattr(one.obj, "__module__", None)
        room = home.split(".")[1] if isinstance(home, str) and home.startswith(f"{PACKAGE}.") else "values"
        found.setdefault(room if module.modulename == PACKAGE else "", []).append(one)
    if "values" in found:
        found["values"] = found.pop("values")
    about = {room: getattr(sys.modules.get(f"{PACKAGE}.{room}"), "__doc__", "") for room in found}
    return [(room, about[room], members) for room, members in found.items()]


def call(one):
    """How a function or class is called; fields of a result that begin with _ are no one's to give."""
    one = one.members.get("__init__") if one.kind == "class" else one
    if one is None:
        return ""
    full = one.signature if one.qualname == one.name else one.signature_without_self
    kept = [parameter for name, parameter in full.parameters.items() if not name.startswith("_")]
    kept = [parameter.replace(annotation=Words.of(parameter.annotation)) for parameter in kept]
    return full.replace(parameters=kept, return_annotation=Words.of(full.return_annotation))


def bare(text):
    """An annotation without the modules that everybody knows."""
    return re.sub(r"\b(?:jaxtyping|typing|numpy|collections\.abc)\.", "", text).replace("NoneType", "None")


ARRAYLIKE = bare(inspect.formatannotation(ArrayLike)).partition("[")[2][:-1]  # of which larger unions have the members


class Words:
    """An annotation in fewer words: ``Real[ArrayLike, '... d']`` for what is taken as an array and as a tensor."""

    def __init__(self, text):
        self.text = text

    def __repr__(self):
        return self.text

    @classmethod
    def of(cls, annotation):
        if annotation is inspect.Parameter.empty:
            return annotation
        text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
        text = bare(text).replace(ARRAYLIKE, "ArrayLike").replace("Union[ArrayLike]", "ArrayLike")
        array, tensor = r"(\w+)\[ndarray, ('[^']*')\]", r"\1\[Tensor, \2\]"
        text = re.sub(rf"{array}(?:, | \| ){tensor}", r"\1[ArrayLike, \2]", text)
        text = re.sub(r"Union\[(\w+\[[^\[\]]*\])\]", r"\1", text)
        return cls(re.sub(r"(?:Union|Optional)\[(\w+(?:\[[^\[\]]*\])?)(?:, None)?\]", r"\1 | None", text))


def short(signature):
    """The HTML of a signature with types by their last names: ndarray, not numpy.ndarray."""
    dotted = r'(?:<span class="n">\w+</span><span class="o">\.</span>)+(?=<span class="n">)'
    arrow = '<span class="whole">-&gt;</span>'  # else a line may end in the middle of it
    return markupsafe.Markup(re.sub(dotted, "", signature).replace("-&gt;", arrow))


def source(one):
    """Where an entry is defined: a path from the repository's root, with its line."""
    if not (one.source_file and one.source_lines):
        return None
    base = Path(sys.modules[PACKAGE].__file__).parent.parent
    return f"{one.source_file.relative_to(base).as_posix()}#L{one.source_lines[0]}"


def page(module, modules):
    """Title, body and sections of a module's page."""
    from jinja2 import FileSystemLoader
    from pdoc import render, render_helpers

    render_helpers.markdown_extensions["fenced-code-blocks"] = {"cssclass": "highlight"}  # as in the other pages
    env = render.env.overlay(loader=FileSystemLoader(HERE / "site_template"))
    env.filters |= {"docstring": to_html, "first_line": first_line, "short": short}
    groups = rooms(module)
    entries = {one.fullname for each in modules.values() for one in each.members.values()}
    entries |= {m.fullname for each in modules.values() for one in each.classes for m in inner(one)}
    body = env.get_template("reference.html.j2").render(
        module=module,
        all_modules=modules,
        pages=PAGES,
        groups=groups,
        inner=inner,
        call=call,
        words=Words.of,
        source=source,
        is_public=lambda one: "yes" if one.fullname in entries else "",  # what pdoc asks before it links a name
    )
    # pdoc links to its own layout of folders, from this page's place in it
    folder = posixpath.dirname(module.modulename.replace(".", "/"))

    def ours(link):
        target = posixpath.normpath(posixpath.join(folder, link[1])).replace("/", ".")
        return f'href="{PAGES[target]}' if target in PAGES else link[0]

    body = re.sub(r'href="([\w./]+)\.html', ours, body)
    # within a docstring pdoc looks for a bare name in its own module alone; the wings speak of the package's, too
    roots = modules[PACKAGE].members.keys() - module.members.keys()

    def linked(code):
        name = code[1]
        return f'<code><a href="{PAGES[PACKAGE]}#{name}">{name}</a></code>' if name in roots else code[0]

    body = re.sub(r"<code>(\w+)</code>", linked, body)
    sections = []
    for room, _, members in groups:
        sections += [(f"room-{room}", room)] if room else []
        sections += [(one.name, f"<code>{one.name}</code>") for one in members]
    title = "Reference" if module.modulename == PACKAGE else module.modulename
    return {"title": title, "body": body, "sections": sections}


def main():
    import jaxtyping  # noqa: F401  (before the package)

    sys.path.insert(0, str(ROOT))  # the package that lies beside these notebooks, whatever is installed
    modules = {name: read(name) for name in PAGES}
    made = {PAGES[name]: page(module, modules) for name, module in modules.items()}
    sys.stdout.reconfigure(encoding="utf-8")
    json.dump(made, sys.stdout)


if __name__ == "__main__":
    main()
