"""A finished run that several files of tests look at."""

import packagings
import pytest
from fakes.runs import settings

from lightdepth.training.train import train


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A finished run of two epochs on the test pairs, with the lines it said."""
    lines = []
    return train(settings(packagings.TUM), tmp_path_factory.mktemp("runs") / "whole", say=lines.append), lines
