"""The score table and the marks, as CSV that a spreadsheet can read and write."""

import csv
import io
import os
import re
from pathlib import Path

_LONGEST = 20_000  # letters of one cell; a spreadsheet holds some 32,000
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")
# control characters, line and paragraph separators, changes of direction, halves of letters
_ODD = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]")


class Refused(Exception):
    """What was asked for cannot be done; the message says what was expected, what was found and what to do."""


def plain(text):
    """A text that every file, table and terminal takes: what is no letter of any script becomes an escape."""
    return _ODD.sub(_escape, str(text).replace("\r\n", "\n"))


def one_line(text):
    """The same, without line breaks and tabs."""
    return re.sub("[\n\t]", _escape, plain(text))


def _escape(found):
    return found[0].encode("unicode_escape").decode()


def number(text, student):
    """A mark out of a table, with a decimal point or comma."""
    if not re.fullmatch(r"\s*[+-]?(\d+[.,]?\d*|[.,]\d+)\s*", str(text), re.ASCII):
        raise Refused(f"expected a number as a mark for {student}, got {str(text)[:80]!r}.")
    return float(str(text).replace(",", "."))


def read_table(path, *columns):
    """The lines of a CSV file as dicts, in whatever encoding and with whatever separator a spreadsheet saved it.

    Of comma, semicolon and tab the one counts that gives the most of the ``columns``.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise Refused(f"{path}: expected a table, got: {error.strerror}.") from None
    text = _decoded(content)
    tables = []
    for separator in ",;\t":
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        csv.field_size_limit(max(csv.field_size_limit(), len(text) + 1))
        try:
            names, *cells = [line for line in lines if any(cell.strip() for cell in line)] or [[]]
        except csv.Error as error:
            raise Refused(f"{path}: expected a table, got: {error}.") from None
        tables.append(([name.strip() for name in names], cells))
    names, cells = max(tables, key=lambda table: (len({*columns} & {*table[0]}), len(table[0])))
    wrong = next((line for line in cells if any(cell.strip() for cell in line[len(names) :])), None)
    if wrong or len(set(filter(None, names))) < sum(map(bool, names)):
        raise Refused(f"{path}: expected each column once and no cell beyond the last, got {(wrong or names)[:4]} ...")
    return [dict(zip(names, map(_bare, [*line, *[""] * len(names)]), strict=False)) for line in cells]


def _decoded(content):
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = content.decode("utf-16", errors="replace")
    else:
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = content.decode("cp1252", errors="replace")
    return re.sub(r"\A\"?sep=.\"?\r?\n", "", text)  # Excel's own line


def write_table(path, columns, lines):
    """Write a CSV file, at once or not at all; no cell can be taken for a formula by a spreadsheet."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".part")
    with open(draft, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows({name: _safe(line[name]) for name in columns} for line in lines)
    os.replace(draft, path)


def _safe(text):
    text = plain(text)
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST]} [... {len(text) - _LONGEST} letters more in the file]"
    return f"'{text}" if text.startswith(_FORMULA) else text


def _bare(text):
    """A cell without the sign that `write_table` put before a formula."""
    return text[1:] if text[:1] == "'" and text[1:].startswith(_FORMULA) else text
