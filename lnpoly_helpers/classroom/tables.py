"""The score table and the marks, as CSV that a spreadsheet can read and write."""

import csv
import os
from pathlib import Path


class Refused(Exception):
    """What was asked for cannot be done; the message says what was expected, what was found and what to do."""


def number(text, student):
    """A mark out of a table, with a decimal point or comma."""
    try:
        return float(str(text).replace(",", "."))
    except ValueError:
        raise Refused(f"expected a number as a mark for {student}, got {text!r}.") from None


def read_table(path):
    """The lines of a CSV file as dicts; also one that a spreadsheet saved with semicolons."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise Refused(f"{path}: expected a table, got: {error.strerror}.") from None
    lines = text.splitlines()
    semicolons = bool(lines) and lines[0].count(";") > lines[0].count(",")
    table = csv.DictReader(text.splitlines(keepends=True), delimiter=";" if semicolons else ",", restval="")
    return [{name: _plain(cell) for name, cell in line.items() if name is not None} for line in table]


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
    text = str(text).replace("\0", "")
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r", "'")) else text


def _plain(text):
    return text[1:] if text and text.startswith("'") else text
