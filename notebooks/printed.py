"""What a cell prints, as a page shows it: a table where its lines have columns, plain lines elsewhere."""

import re
from difflib import SequenceMatcher
from html import escape
from itertools import pairwise

_ONE = r"[-−]?[\d.]+"
_MORE = rf" ?[%°]| ?[±x×] ?[\d.]+| \({_ONE}( to {_ONE})?\)| to {_ONE}| of +\d+"
NUMBER = re.compile(rf"[-−+]?[\d.,]+(e[-+]?\d+)?({_MORE})?|nan|about 10\^\d+")
GAP = re.compile(r"\S {2,}\S")
# behind these a wide gap is the padding of a number, not the border of a column
GOES_ON = re.compile(r"([=:±×(,]|\b(to|of|at))$")
ENDS = ",:;"  # signs behind a word that go with it
LONGEST, SHORT = 40, 20  # cell, and header
PATH = re.compile(r"\w+(?:\.\w+){2,}")  # of a module: a line may break behind its dots
PREPOSITION = "at|by|for|from|of|on|to"
# a word of a line: what stands in brackets is one, and so is a share as in 3 of 4
WORD = re.compile(r"(?:[\d.,]+ of [\d.,]+|(?:\[[^\[\]]*(?:\[[^\[\]]*\][^\[\]]*)*\]|\([^()]*\)|\S)+)")


def to_html(text):
    """The HTML of a text: each block of lines with columns as a table, the lines between as they are.

    Two lines or more have columns if all are blank in the same places, by two spaces or more each, or if all say the
    same words and differ in what stands between them, as "neuron 4 flips at a = 0.02": then the words head the columns.
    Nothing else is lost but spaces: what cannot be cut so that no wide gap is left within a cell remains as printed.
    """
    made, plain = [], []

    def flush():
        rest = []
        for lines, found in [*_runs(plain), ([], ())]:  # at the end what is left
            if found is None:
                rest += lines
                continue
            if any(line.strip() for line in rest):
                made.append(f'<pre class="output">{escape(chr(10).join(rest).strip(chr(10)))}</pre>')
            rest = []
            if found:
                made.append(_table([found[0], *found[1]], "labelled"))
        plain.clear()

    for block, gapped in _blocks(text.expandtabs().splitlines()):
        rows = _cells(block) if gapped and len(block) > 1 else None
        if rows and not _says_more(_under_words(block), rows):
            flush()
            made.append(_table(rows))
        else:
            plain.extend((line, gapped and k > 0) for k, line in enumerate(block))
    flush()
    return "\n".join(made)


def _runs(plain):
    """Runs of neighbouring lines that say the same words, with what `_under_words` makes of each, and the rest.

    ``plain`` are lines, and whether each goes on with what is aligned in the line before: that is not torn apart.
    """
    lines, goes_on = [line for line, _ in plain], [on for _, on in plain] + [False]
    runs, k = [], 0
    while k < len(lines):
        stops = [stop for stop in range(len(lines), k + 1, -1) if not (goes_on[k] or goes_on[stop])]
        tried = ((stop, _under_words(lines[k:stop])) for stop in stops)
        stop, found = next((one for one in tried if one[1]), (k + 1, None))
        runs.append((lines[k:stop], found))
        k = stop
    return runs


def _under_words(lines):
    """The headers and the rows of cells of lines that all say the same words, or None: the cells are what differs."""
    texts = [WORD.findall(line) for line in lines]
    fixed = [len(set(words)) == 1 for words in zip(*texts, strict=False)]  # a number that never changes is a word
    named = [word[-1] in "=:" for word in ["=", *texts[0]]] if texts[0] else []  # but not behind its name
    same = [
        word
        for k, word in enumerate(texts[0])
        if not NUMBER.fullmatch(word.rstrip(ENDS)) or (k < len(fixed) and fixed[k] and not named[k])
    ]
    for text in texts[1:]:
        pieces = SequenceMatcher(None, same, text, autojunk=False).get_matching_blocks()
        same = [word for piece in pieces for word in same[piece.a : piece.a + piece.size]]
    cells = [_between(same, text) for text in texts]
    here = [k for k in range(len(same) + 1) if any(row[k] for row in cells)]
    if len(here) < 2 or not all(row[k] for row in cells for k in here):
        return None
    before, after = [same[: here[0]]], []
    for p, k in pairwise(here):  # up to a comma words belong to the number that they follow
        follow = all(_numbers(row[p]) and row[p][-1][-1] not in ENDS for row in cells)
        n = follow and next((j for j, word in enumerate(same[p:k], 1) if word[-1] in ENDS), 0)
        after.append(same[p : p + n])
        before.append(same[p + n : k])
    after.append(same[here[-1] :])
    rows = [[" ".join(row[k]).rstrip(ENDS) for k in here] for row in cells]
    heads = [_head(*words) for words in zip(before, after, strict=True)]
    numeric = any(map(_numbers, zip(*rows, strict=True)))
    crowded = any(
        len(cell) > LONGEST or any(map(_numbers, pairwise(WORD.findall(cell)))) for row in rows for cell in row
    )
    names = all(re.search(r"\w", head) and not re.fullmatch(PREPOSITION, head) for head in heads[1:])
    return (heads, rows) if numeric and names and not crowded else None


def _says_more(named, rows):
    """Whether words make short headers for the same rows, where the gaps between columns leave them in every line."""
    heads, cells = named or ([], [])
    alike = [row[0] for row in cells] == [row[0] for row in rows]
    return alike and len(heads) > 2 and max(map(len, heads)) <= SHORT


def _numbers(words):
    """Whether all words are numbers."""
    return all(NUMBER.fullmatch(word.rstrip(ENDS)) for word in words)


def _between(same, text):
    """What stands in a line before, between and behind the words that all lines have."""
    cells = [[]]
    for word in text:
        if len(cells) <= len(same) and word == same[len(cells) - 1]:
            cells.append([])
        else:
            cells[-1].append(word)
    return cells


def _head(before, after):
    """The header of a column: the words before its cells, and those behind them.

    >>> _head(["neuron"], ["flips"]), _head(["a", "="], []), _head([], ["samples:"])
    ('neuron … flips', 'a', 'samples')
    """
    words = (" ".join(words).strip(f" ={ENDS}") for words in (before, after))
    return " … ".join(filter(None, words))


def _blocks(lines):
    """Runs of neighbouring lines that all have, or all have not, a gap of two spaces or more.

    Words over an empty first column head another table, so with them begins another run.
    """
    blocks = []
    for line in lines:
        indented = line.startswith("  ") and bool(line.strip())
        gapped = bool(GAP.search(line)) or indented
        heads = indented and not any(map(NUMBER.fullmatch, line.split()))
        if blocks and blocks[-1][1] == gapped and not (heads and len(blocks[-1][0]) > 1):
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


def _headed(rows):
    """Whether the first row names the columns: it alone has no numbers, or words that never come again as others do."""
    first, *below = ([bool(NUMBER.fullmatch(cell)) for cell in row[1:]] for row in rows)
    if any(first) or any(map(any, below)):
        return not any(first)
    columns = list(zip(*rows, strict=True))[1:]
    new = all(head not in cells and not re.search(r"\d", head) for head, *cells in columns)
    return new and len(columns) > 1 and all(len(set(cells)) < len(cells) for _, *cells in columns)


def _table(rows, kind=None):
    numeric = [[bool(NUMBER.fullmatch(cell)) for cell in row] for row in rows]
    headed = kind or _headed(rows)
    body, flags = (rows[1:], numeric[1:]) if headed else (rows, numeric)
    gaps = [[not cell for cell in row] for row in body]  # which a column of numbers may have
    right = [
        any(column) and all(map(max, column, empty))
        for column, empty in zip(zip(*flags, strict=True), zip(*gaps, strict=True), strict=True)
    ]

    def line(row, head=False):
        made = ""
        for k, cell in enumerate(row):
            tag, scope = ("th", "col" if head else "row") if (head and cell) or (k == 0 and not head) else ("td", "")
            scope = f' scope="{scope}"' if scope else ""
            # a row's name, which no line should break: a word never, a few words not where there is room
            name, longest = ("few", LONGEST) if " " in cell else ("name", SHORT)
            named = k == 0 and not head and len(cell) <= longest
            kind = ' class="number"' if right[k] else f' class="{name}"' if named else ""
            words = PATH.sub(lambda name: re.sub(r"(?<=[._])", "<wbr>", name[0]), escape(re.sub(" +", " ", cell)))
            made += f"<{tag}{scope}{kind}>{words}</{tag}>"
        return f"<tr>{made}</tr>"

    head = f"<thead>{line(rows[0], head=True)}</thead>" if headed else ""
    classes = f"output printed {kind or ''}".strip()
    return f'<table class="{classes}">{head}<tbody>{"".join(map(line, body))}</tbody></table>'
