"""Print the benchmarks' rows as one table, write it to data/benchmarks.md, and fail if a bound does not hold.

python tests/benchmarks/report.py BENCHMARK.json ...
"""

import json
import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path

HEAD = ("what", "time", "against", "result", "bound", "holds")
TARGET = Path(__file__).parents[2] / "data" / "benchmarks.md"


def rows_of(path):
    benchmarks = json.loads(Path(path).read_text(encoding="utf-8"))["benchmarks"]
    for row in (row for benchmark in benchmarks for row in benchmark["extra_info"]["rows"]):
        verdict = {True: "yes", False: "NO", None: ""}[row["holds"]]
        yield row["what"], row["ours"], row["other"], row["result"], row["bound"], verdict


def processor():
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def machine():
    libraries = ", ".join(f"{name} {version(name)}" for name in ("numpy", "torch"))
    return f"{os.cpu_count()} cores, {processor()}; Python {platform.python_version()}, {libraries}"


def markdown(rows):
    lines = ["| " + " | ".join(cells) + " |" for cells in (HEAD, ["---"] * len(HEAD), *rows)]
    return "\n".join(
        [
            "# Benchmarks",
            "",
            f"Measured on {machine()}. The shortest of several runs; a ratio compares runs of one session.",
            "`make bench` measures anew, checks every bound and writes this file.",
            "",
            *lines,
            "",
        ]
    )


def plain(rows):
    table = [HEAD, *rows]
    widths = [max(len(cells[k]) for cells in table) for k in range(len(HEAD))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip() for cells in table
    )


def main(paths):
    rows = [row for path in paths for row in rows_of(path)]
    print(plain(rows))
    TARGET.write_text(markdown(rows), encoding="utf-8")
    broken = [row for row in rows if row[-1] == "NO"]
    print(f"\n{machine()}\n{len(rows)} rows, {len(broken)} bounds that do not hold; written to data/benchmarks.md")
    return int(bool(broken) or not rows)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
