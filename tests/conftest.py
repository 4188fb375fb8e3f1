"""What all tests share: no network, no models of this machine's user, the same random numbers in every run."""

import os
import shutil
import tempfile

import numpy as np
import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

install_import_hook("lnpoly_helpers", "typecheck.check")  # before anything imports the package

# Read by huggingface_hub when it is first imported. A user's own cache must neither decide what "auto" finds nor take
# the stand-ins that some tests download from a hub of their own.
for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "LNPOLY_MODEL", "LNPOLY_RESULTS"):
    os.environ.pop(name, None)
_home = tempfile.TemporaryDirectory(prefix="lnpoly-hub-")
os.environ["HF_HOME"] = _home.name
os.environ.setdefault("HF_HUB_OFFLINE", "1")

settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=60)
settings.load_profile("repeatable")


# what takes long to make: a test that uses one is slow, and all that do stay together
LONG = {"full_size_gpt2", "graded", "release", "runs", "site", "wheels"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Mark what is slow; side by side, the slow ones go first and one by one, the others file by file."""
    for item in items:
        long = LONG & set(getattr(item, "fixturenames", ()))
        if long:
            item.add_marker(pytest.mark.slow)
        alone = item.nodeid if item.get_closest_marker("slow") else item.path.as_posix()
        item.add_marker(pytest.mark.xdist_group(min(long, default=alone).replace("@", " ")))
    if config.getoption("dist", "no") == "loadgroup":
        items.sort(key=lambda item: item.get_closest_marker("slow") is None)


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
