"""A word about a cluster that has no room for a run, where verl waits in silence."""

import time

import pytest
import ray

from easyr1_fgrpo.verl_plugin.waiting import Waiting

pytestmark = pytest.mark.integration

PATIENCE_S = 1.0
DEADLINE_S = 60.0


@pytest.fixture
def cluster(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def until_told(waiting):
    deadline = time.monotonic() + DEADLINE_S
    while (line := waiting.news()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return line


def quiet(waiting):
    """Nothing is said for longer than the patience."""
    end = time.monotonic() + 2 * PATIENCE_S
    while time.monotonic() < end:
        assert waiting.news() is None
        time.sleep(0.1)


def test_without_a_cluster_there_is_nothing_to_wait_for():
    assert Waiting(0.0).news() is None


def test_what_is_lacking_is_told_once(cluster):
    waiting = Waiting(PATIENCE_S)
    quiet(waiting)
    asked = time.monotonic()
    group = ray.util.placement_group([{"CPU": 1.0}, {"CPU": 2.0}])
    assert until_told(waiting) == (
        "waiting: the Ray cluster has CPU=2 free, and CPU=3 asked of it; "
        "end another run on it, add a node, or ask for less"
    )
    assert time.monotonic() - asked >= PATIENCE_S
    quiet(waiting)

    worker = ray.remote(lambda: None).options(num_gpus=1).remote()
    assert "has CPU=2, GPU=0 free, and CPU=4, GPU=1 asked" in until_told(waiting)
    ray.cancel(worker, force=True)
    ray.util.remove_placement_group(group)
    quiet(waiting)
