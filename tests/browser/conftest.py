"""What the tests in a browser share: one Chromium for each process, and one site for all of them, built once."""

import pytest
import shared
from chromium import launched


@pytest.fixture(scope="session")
def browser():
    with launched() as one:
        yield one


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The folder of the site with the outputs that are saved in the notebooks."""
    shared.SCREENSHOTS.mkdir(exist_ok=True)
    return shared.made_once(tmp_path_factory, "site", shared.build_site)
