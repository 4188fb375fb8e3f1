"""Other processors, simulated: their kernels and numbers of threads.

Libraries choose among kernels by what the processor can do, and those differ in the last digits of what they compute.
A notebook prints no digit that depends on them: its networks run in float64, and what it counts is not that close to a
tie. nbval runs the notebooks with this machine's own kernels, the simulated Colab with the oldest, and the simulated
Binder with those in between, with two threads; all three are compared with the saved outputs.
"""

import sys

import environments
import numpy as np
from environments import KERNELS

SUM = """
import numpy as np, torch
x = np.random.default_rng(0).standard_normal((300, 3000))
y = torch.from_numpy(x).float()
print((x @ x.T).sum().hex(), float((y @ y.T).double().sum()).hex(), torch.backends.cpu.get_cpu_capability())
print(torch.get_num_threads())
"""


def test_the_settings_do_change_the_kernels():
    found = {
        name: environments.run([sys.executable, "-c", SUM], env=environments.bare(**kernels)).split()
        for name, kernels in {"own": {}, **KERNELS}.items()
    }
    assert [found[name][2:] for name in ("oldest", "avx2")] == [["DEFAULT", "1"], ["AVX2", "2"]]
    assert found["oldest"][:2] != found["avx2"][:2]
    sums = np.array([[float.fromhex(number) for number in said[:2]] for said in found.values()])
    assert np.ptp(sums[:, 0]) < 1e-9 * abs(sums[0, 0])  # they differ, in digits that nobody prints
