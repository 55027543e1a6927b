"""One warm start and one uninterrupted run serve all tests of the recipe."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .ray_cluster import Cluster, ray_cluster
from .recipe_runs import Runs


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="session")
def whole(runs: Runs) -> str:
    """Output of one uninterrupted run."""
    return runs.run("whole")


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster that was there before the run, as `ray start` makes it."""
    with ray_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster
