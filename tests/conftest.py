"""What all tests share: no network, the same random numbers in every run."""

import os

import numpy as np
import pytest
from hypothesis import settings

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read by huggingface_hub when it is first imported

settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=60)
settings.load_profile("repeatable")


@pytest.fixture
def rng():
    return np.random.default_rng(20230916)
