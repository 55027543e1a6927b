from types import SimpleNamespace

import pytest
import ray

from easyr1_fgrpo.verl_plugin.run import alone
from easyr1_fgrpo.verl_plugin.run.alone import Alone, SecondRunError

RUNNER = SimpleNamespace(remote=lambda: "runner", options=lambda **options: RUNNER)


@pytest.fixture
def controllers(monkeypatch):
    """Names of live actors by (name, namespace)."""
    live = set()

    def get_actor(name, namespace):
        if (name, namespace) not in live:
            raise ValueError("no such actor")

    monkeypatch.setattr(ray, "get_actor", get_actor)
    return live


def test_a_run_starts_where_no_other_is(controllers):
    controllers.add(("TransferQueueController", "elsewhere"))
    assert Alone(RUNNER).remote() == "runner"


def test_a_second_run_is_refused_with_the_fix(controllers):
    controllers.add(("TransferQueueController", "transfer_queue"))
    for runner in (Alone(RUNNER, patience_s=0.0), Alone(RUNNER, patience_s=0.0).options(name="x")):
        with pytest.raises(SecondRunError, match=r"another run trains on this Ray cluster.*wait for its end or end it"):
            runner.remote()


def test_a_run_waits_for_one_that_was_just_killed(controllers, monkeypatch):
    controllers.add(("TransferQueueController", "transfer_queue"))
    monkeypatch.setattr(alone.time, "sleep", lambda seconds: controllers.clear())
    assert Alone(RUNNER).remote() == "runner"


def test_the_name_is_transfer_queues_own():
    """What `transfer_queue.init` looks for before it makes a controller."""
    import inspect

    from transfer_queue import interface

    assert f'get_actor("{alone.CONTROLLER}", namespace="{alone.NAMESPACE}")' in inspect.getsource(interface)
