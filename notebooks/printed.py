"""What a cell prints, as a page shows it: a table where its lines have columns, plain lines elsewhere."""

import re
from html import escape

NUMBER = re.compile(r"[-−+]?[\d.,]+(e[-+]?\d+)?( ?[%°]| ?[±x×] ?[\d.]+| \([-−]?[\d.]+\)| of +\d+)?|nan|about 10\^\d+")
GAP = re.compile(r"\S {2,}\S")
# behind these a wide gap is the padding of a number, not the border of a column
GOES_ON = re.compile(r"([=:±×(,]|\b(to|of|at))$")


def to_html(text):
    """The HTML of a text: each block of lines with columns as a table, the lines between as they are.

    Two lines or more have columns if all are blank in the same places, by two spaces or more each. Nothing is lost but
    spaces: what cannot be cut so that no wide gap is left within a cell remains as it is printed.
    """
    made, plain = [], []

    def flush():
        if any(line.strip() for line in plain):
            made.append(f'<pre class="output">{escape(chr(10).join(plain).strip(chr(10)))}</pre>')
        plain.clear()

    for block, gapped in _blocks(text.expandtabs().splitlines()):
        rows = _cells(block) if gapped and len(block) > 1 else None
        if rows:
            flush()
            made.append(_table(rows))
        else:
            plain.extend(block)
    flush()
    return "\n".join(made)


def _blocks(lines):
    """Runs of neighbouring lines that all have, or all have not, a gap of two spaces or more."""
    blocks = []
    for line in lines:
        gapped = bool(GAP.search(line)) or (line.startswith("  ") and bool(line.strip()))
        if blocks and blocks[-1][1] == gapped:
            blocks[-1][0].append(line)
        else:
            blocks.append(([line], gapped))
    return blocks


def _cells(lines):
    """The cells of each line, or None where the lines are no table."""
    width = max(map(len, lines))
    lines = [line.ljust(width) for line in lines]
    blank = "".join(" " if all(line[k] == " " for line in lines) else "x" for k in range(width))
    cuts = []
    for gap in re.finditer("  +", blank):
        lefts = [line[: gap.start()].rstrip() for line in lines]
        if 0 < gap.start() and gap.end() < width and not any(map(GOES_ON.search, lefts)):
            cuts.append(gap.end())
    ends = zip([0, *cuts], [*cuts, width], strict=True)
    columns = [[line[start:end].strip() for line in lines] for start, end in ends]
    for k in reversed(range(len(columns) - 1)):
        if len(set(columns[k])) == 1:  # the same in every line: words of a sentence
            columns[k : k + 2] = [[f"{a} {b}".strip() for a, b in zip(*columns[k : k + 2], strict=True)]]
    rows = list(zip(*columns, strict=True))
    return None if len(columns) < 2 or any(_torn(cell) for row in rows for cell in row) else rows


def _torn(cell):
    """Whether two columns stand in one cell, so that what was aligned would be so no more."""
    return any(not GOES_ON.search(cell[: gap.start() + 1]) for gap in re.finditer(r"\S {4,}\S", cell))


def _table(rows):
    numeric = [[bool(NUMBER.fullmatch(cell)) for cell in row] for row in rows]
    headed = not any(numeric[0][1:]) and any(any(row[1:]) for row in numeric[1:])
    body, flags = (rows[1:], numeric[1:]) if headed else (rows, numeric)
    right = [all(column) for column in zip(*flags, strict=True)]

    def line(row, head=False):
        made = ""
        for k, cell in enumerate(row):
            tag, scope = ("th", "col" if head else "row") if (head and cell) or (k == 0 and not head) else ("td", "")
            scope = f' scope="{scope}"' if scope else ""
            made += f"<{tag}{scope}{' class=number' if right[k] else ''}>{escape(re.sub(' +', ' ', cell))}</{tag}>"
        return f"<tr>{made}</tr>"

    head = f"<thead>{line(rows[0], head=True)}</thead>" if headed else ""
    return f'<table class="output printed">{head}<tbody>{"".join(map(line, body))}</tbody></table>'
