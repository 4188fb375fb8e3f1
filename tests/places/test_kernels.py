"""Every notebook on other processors, simulated: their kernels and numbers of threads, the same printed numbers.

Libraries choose among kernels by what the processor can do, and those differ in the last digits of what they compute.
A notebook prints no digit that depends on them: its networks run in float64, and what it counts is not that close to a
tie. nbval runs the notebooks with this machine's own kernels, the simulated Colab with the oldest, and this test with
those in between, with two threads.
"""

import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import environments
import nbformat
import numpy as np
import pytest
from environments import KERNELS, ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SUM = """
import numpy as np, torch
x = np.random.default_rng(0).standard_normal((300, 3000))
y = torch.from_numpy(x).float()
print((x @ x.T).sum().hex(), float((y @ y.T).double().sum()).hex(), torch.backends.cpu.get_cpu_capability())
"""


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """{name: future of the notebook as run}, the long ones first."""
    folder = tmp_path_factory.mktemp("kernels")
    offline = {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(folder / "no-hub"), "LNPOLY_RESULTS": str(folder / "results")}

    def run(path):
        return environments.execute(path, folder / path.stem, Path(sys.prefix), **offline, **KERNELS["avx2"])

    with ThreadPoolExecutor(2) as pool:
        yield {path.stem: pool.submit(run, path) for path in reversed(NOTEBOOKS)}
    shutil.rmtree(folder)


def test_the_settings_do_change_the_kernels():
    found = {name: environments.run([sys.executable, "-c", SUM], env=environments.bare(**kernels))
             for name, kernels in {"own": {}, **KERNELS}.items()}
    capabilities = [said.split()[2] for said in found.values()]
    assert capabilities[1:] == ["DEFAULT", "AVX2"]
    assert found["oldest"] != found["avx2"]
    sums = np.array([[float.fromhex(number) for number in said.split()[:2]] for said in found.values()])
    assert np.ptp(sums[:, 0]) < 1e-9 * abs(sums[0, 0])  # they differ, in digits that nobody prints


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_prints_the_same_with_other_kernels(path, runs):
    there = environments.printed(runs[path.stem].result())
    here = environments.printed(nbformat.read(path, as_version=4))
    # without results to compare with, save_results says that it wrote them
    assert {code: text for code, text in there.items() if text != here[code] and "save_results(" not in code} == {}
