"""What all tests share: no network, no models of this machine's user, the same random numbers in every run."""

import gc
import os
import shutil
import sys
import tempfile

import numpy as np
import pytest
import typecheck
from hypothesis import settings
from thorough import THOROUGH

# With it the jsonschema of nbformat would compile 39 grammars of addresses at its import: more than a second a process.
sys.modules.setdefault("rfc3987_syntax", None)

gc.disable()  # all that is imported stays, and would be looked through again and again: a fifth of the collection

typecheck.install()  # before anything imports the package

# Read by huggingface_hub when it is first imported. A user's own cache must neither decide what "auto" finds nor take
# the stand-ins that some tests download from a hub of their own.
for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "LNPOLY_MODEL", "LNPOLY_RESULTS"):
    os.environ.pop(name, None)
_home = tempfile.TemporaryDirectory(prefix="lnpoly-hub-")
os.environ["HF_HOME"] = _home.name
os.environ.setdefault("HF_HUB_OFFLINE", "1")

settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=60)
settings.load_profile("repeatable")


def pytest_collection_modifyitems(config, items):
    """Side by side, where a file stays whole, those with a slow test go first: none of them is left for the end."""
    if not THOROUGH:
        for item in items:
            if item.get_closest_marker("thorough"):
                item.add_marker(pytest.mark.skip(reason="takes long: LNPOLY_THOROUGH=1 runs it"))
    if hasattr(config, "workerinput"):
        slow = {item.path for item in items if item.get_closest_marker("slow")}
        items.sort(key=lambda item: item.path not in slow)


def pytest_collection_finish():
    gc.freeze()
    gc.enable()


@pytest.fixture
def rng():
    return np.random.default_rng(20230916)


@pytest.fixture(scope="session")
def full_size_gpt2(tmp_path_factory):
    """The folder of a GPT-2 small in its full size with random weights, biases and norms, 500 MB; gone afterwards."""
    import torch
    from tiny import small_tokenizer
    from transformers import GPT2Config, GPT2LMHeadModel

    folder = tmp_path_factory.mktemp("full") / "random-gpt2"
    with torch.device("meta"):
        model = GPT2LMHeadModel(GPT2Config())
    model = model.to_empty(device="cpu")
    model.tie_weights()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_(std=0.3 if parameter.ndim == 1 else 0.05, generator=generator)
            if "ln_" in name and name.endswith("weight"):
                parameter.add_(1)
    model.save_pretrained(folder)
    del model
    small_tokenizer().save_pretrained(folder)
    yield folder
    shutil.rmtree(folder)
