"""Execute the assignment's source notebook, with its reference answers, and bring it into its normal form.

usage: python notebooks/assignment/build.py            execute, normalise and write back
       python notebooks/assignment/build.py --check    execute, compare with what is there, say what differs

Edit the notebook itself in JupyterLab (nbgrader's sidebar "Create Assignment" edits points and grade ids), then run
this. The outputs that it keeps are the targets that students see; the release takes them from here.
"""

import importlib.util
import sys
from pathlib import Path

import nbformat

HERE = Path(__file__).resolve().parent
SOURCE = HERE / "source" / "ln_directions" / "ln_directions.ipynb"

spec = importlib.util.spec_from_file_location("notebooks_build", HERE.parent / "build.py")
series = importlib.util.module_from_spec(spec)
spec.loader.exec_module(series)


def words(cells):
    """Every cell's source and what its outputs say, a picture by its alternative text."""
    said = []
    for cell in cells:
        outputs = [o.get("text") or o.get("data", {}).get("text/plain", o.output_type) for o in cell.get("outputs", [])]
        said.append((cell.source, "".join(outputs)))
    return said


def main():
    if sys.argv[1:] not in ([], ["--check"]):
        sys.exit(__doc__)
    nb, seconds, result = series.execute(SOURCE)
    print(f"{SOURCE.name}: {result} after {seconds:.1f} s")
    if result != "ok":
        sys.exit(1)
    nb = series.normalise(nb)
    if not sys.argv[1:]:
        SOURCE.write_text(series.text_of(nb), encoding="utf-8")
        return
    there = SOURCE.read_text(encoding="utf-8")
    differ = words(nb.cells) != words(nbformat.reads(there, as_version=4).cells)
    if differ or there != series.text_of(series.normalise(nbformat.reads(there, as_version=4))):
        sys.exit(f"{SOURCE}: what it holds is not what it gives; run python notebooks/assignment/build.py")


if __name__ == "__main__":
    main()
