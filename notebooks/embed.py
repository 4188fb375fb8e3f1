"""Explorers in the pages of the site: modules and states stand in the page, so that it works from the disk.

An explorer's output says in its metadata which one it is and in which state. The saved picture stays: for readers
without JavaScript, and for print.
"""

import json
import re
from pathlib import Path

HERE = Path(__file__).resolve().parent
MODULES = HERE.parent / "lnpoly_helpers" / "widgets"
SHARED = r'^import \{[^}]*\} from "\./common\.js";\n'


def figure(about, picture):
    """A figure that comes to life, as HTML, from an output's metadata and the HTML of its picture."""
    state = json.dumps(about["state"], ensure_ascii=False).replace("<", "\\u003c")
    return (
        f'<figure class="explorer" data-explorer="{about["explorer"]}">'
        f'<script type="application/json">{state}</script>{picture}</figure>'
    )


def live(body):
    """The HTML of a page with the modules that its explorers need, once each, at its end."""
    names = sorted(set(re.findall(r'<figure class="explorer" data-explorer="(\w+)"', body)))
    if not names:
        return body
    shared = re.sub("^export ", "", read("common"), flags=re.MULTILINE)
    modules = "".join(f"{{\n{own(name)}}}\n" for name in names)
    script = (HERE / "site_template" / "explorers.js").read_text(encoding="utf-8")
    return f'{body}\n<script type="module">\nconst explorers = {{}};\n{shared}{modules}{script}</script>\n'


def own(name):
    """An explorer's module as a block of a page's script, in which it enters itself."""
    code = re.sub(SHARED, "", read(name), flags=re.MULTILINE)
    code = re.sub("^export default ", f"explorers.{name} = ", code, flags=re.MULTILINE)
    return re.sub("^export ", "", code, flags=re.MULTILINE)


def read(name):
    """A module's text, which a page can hold."""
    code = (MODULES / f"{name}.js").read_text(encoding="utf-8")
    if "</script" in code:
        raise ValueError(f"{name}.js: expected a module without the end of a script in it: a page's ends there.")
    return code
