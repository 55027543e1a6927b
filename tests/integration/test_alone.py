"""One run on a Ray cluster, on a real one; a second `fgrpo train` is refused in test_model_judges.py."""

import inspect
import sys
import time

import pytest
import ray
from transfer_queue import interface

from easyr1_fgrpo.verl_plugin.run import alone
from easyr1_fgrpo.verl_plugin.run.alone import Alone, SecondRunError

pytestmark = pytest.mark.integration

RUNS = 3
TO_GO_S = 60.0

ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # Ray's workers cannot import a test


@pytest.fixture(scope="module", autouse=True)
def cluster():
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        ray.init(address="local", num_cpus=RUNS, include_dashboard=False, log_to_driver=False)
        yield
        ray.shutdown()


@ray.remote(num_cpus=0)
class Runner:
    """Stands for verl's task runner, which trains for hours."""

    def answer(self):
        return 7


def started(patience_s=0.0, **options):
    """A run; where there is another one, what it is told."""
    try:
        return Alone(Runner, patience_s).options(**options).remote()
    except SecondRunError as error:
        return str(error)


@ray.remote
def started_at(moment):
    """From a process of its own."""
    while time.time() < moment:
        time.sleep(0.001)
    return started()


def test_of_runs_that_start_at_once_one_gets_the_cluster():
    ray.get([ray.remote(lambda: time.sleep(1.0)).remote() for _ in range(RUNS)])  # each has a process now
    found = ray.get([started_at.remote(time.time() + 1.0) for _ in range(RUNS)])
    (runner,) = [one for one in found if not isinstance(one, str)]
    assert ray.get(runner.answer.remote()) == 7
    refusals = [*(one for one in found if isinstance(one, str)), started(num_cpus=0)]
    assert len(refusals) == RUNS
    for refusal in refusals:
        assert "another run trains on this Ray cluster" in refusal
        assert "wait for its end or end it, or start this one on another cluster" in refusal
    ray.kill(runner)


def test_a_run_waits_for_one_that_was_just_killed():
    ray.kill(started(TO_GO_S))
    runner = started(TO_GO_S)
    assert ray.get(runner.answer.remote()) == 7
    ray.kill(runner)


def test_any_run_of_verl_is_another_one():
    ray.kill(started(TO_GO_S))
    controller = Runner.options(name=alone.CONTROLLER, namespace=alone.QUEUE).remote()
    assert "another run trains" in started()
    ray.kill(controller)
    assert f'get_actor("{alone.CONTROLLER}", namespace="{alone.QUEUE}")' in inspect.getsource(interface)
