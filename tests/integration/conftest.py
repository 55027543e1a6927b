"""One warm start and one uninterrupted run serve all tests of the recipe."""

from __future__ import annotations

import pytest

from .recipe_runs import Runs


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="session")
def whole(runs: Runs) -> str:
    """Output of one uninterrupted run."""
    return runs.run("whole")
