"""A run whose process dies is ended with who died, where verl would wait for ever; on a real Ray."""

import os
import signal
import sys
import threading
import time

import pytest
import ray

from easyr1_fgrpo import watch
from easyr1_fgrpo.verl_plugin.run.alone import RUN, RUNS
from easyr1_fgrpo.watch import StuckError, watched

pytestmark = pytest.mark.integration

HOURS = 3600.0

ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # Ray's workers cannot import a test


@pytest.fixture(scope="module", autouse=True)
def cluster():
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        patch.setattr(watch, "POLL_S", 0.1)
        patch.setattr(watch, "GRACE_S", 0.1)
        ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
        yield
        ray.shutdown()


@ray.remote(num_cpus=0)
class TransferQueueController:
    """Any actor of a run."""

    def pid(self):
        return os.getpid()


@ray.remote(num_cpus=0)
class Runner:
    """Stands for verl's task runner, which waits without a limit."""

    def __init__(self):
        self.queue, self.replaced = TransferQueueController.remote(), TransferQueueController.remote()

    def pids(self):
        ray.get(self.replaced.pid.remote())
        ray.kill(self.replaced)  # on purpose: no sign of anything
        return os.getpid(), ray.get(self.queue.pid.remote())

    def run(self):
        time.sleep(HOURS)

    def fail(self):
        raise ValueError("a mistake of verl's own")


def named_runner():
    return ray.get_actor(RUN, namespace=RUNS)


@pytest.fixture
def runner():
    runner = Runner.options(name=RUN, namespace=RUNS).remote()
    yield runner
    ray.kill(runner)


def test_silence_ends_the_run(runner, tmp_path):
    with (
        pytest.raises(StuckError, match=r"nothing moved for 1 s \(fgrpo.max_silence_s\)"),
        watched(tmp_path, 1.0, named_runner),
    ):
        ray.get(runner.run.remote())


def test_a_run_that_fails_keeps_its_own_error(runner, tmp_path):
    ray.get(runner.pids.remote())
    with pytest.raises(ValueError, match="a mistake of verl's own"), watched(tmp_path, HOURS, named_runner):
        ray.get(runner.fail.remote())


def test_who_died_is_said_and_the_run_ends(runner, tmp_path):
    """Last in this file: Ray remembers the dead of a job."""
    _, queue = ray.get(runner.pids.remote())
    threading.Timer(0.5, os.kill, (queue, signal.SIGKILL)).start()
    with pytest.raises(StuckError) as caught, watched(tmp_path, HOURS, named_runner):
        ray.get(runner.run.remote())
    assert str(caught.value).startswith(f"the controller of the rollout queue (pid {queue} on ")
    assert str(caught.value).endswith(" died; the same command resumes after the last checkpoint")
