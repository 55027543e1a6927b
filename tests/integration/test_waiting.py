"""A word about a cluster that has no room for a run, where verl waits in silence."""

import os
import time

import pytest
import ray

from easyr1_fgrpo.verl_plugin.run.waiting import Waiting

from .ray_cluster import ray_node

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


def test_what_no_single_node_has_is_told(cluster, tmp_path):
    """Two nodes of two CPUs: three in all are there, three on one are not."""
    head = ray.get_runtime_context().gcs_address
    with ray_node([f"--address={head}", "--num-cpus=2"], dict(os.environ), tmp_path / "node.log"):
        deadline = time.monotonic() + DEADLINE_S
        while ray.cluster_resources()["CPU"] < 4.0:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        waiting = Waiting(PATIENCE_S)
        spread = ray.util.placement_group([{"CPU": 1.0}] * 3, strategy="PACK")
        ray.get(spread.ready(), timeout=DEADLINE_S)
        quiet(waiting)
        ray.util.remove_placement_group(spread)
        ray.util.placement_group([{"CPU": 1.0}] * 3, strategy="STRICT_PACK")
        assert until_told(waiting) == (
            "waiting: CPU=3 asked of one node of the Ray cluster, where no node has more than CPU=2 free; "
            "end another run on it, add a larger node, or ask for less on each (trainer.n_gpus_per_node)"
        )
        quiet(waiting)
