import pytest

from easyr1_fgrpo.verl_plugin import plugin
from easyr1_fgrpo.verl_plugin.names import AGENT_LOOP, CPU_ROLLOUT, TRAINER


def test_importing_verl_registers():
    import verl  # noqa: F401 its import runs the entry point

    assert plugin.is_registered()


def test_the_trainer_is_found_by_its_name():
    from verl.trainer.ppo.v1 import get_trainer_cls

    from easyr1_fgrpo.verl_plugin.trainer import FaithfulTrainer

    assert get_trainer_cls(TRAINER) is FaithfulTrainer


def test_the_agent_loop_is_found_by_its_name():
    from verl.experimental.agent_loop.agent_loop import _agent_loop_registry

    assert _agent_loop_registry[AGENT_LOOP]["_target_"] == "easyr1_fgrpo.verl_plugin.agent_loop.SeededSingleTurn"


def test_the_engine_is_taken_on_the_cpu():
    for backend in ["fsdp", "fsdp2"]:
        from verl.workers.engine import EngineRegistry

        from easyr1_fgrpo.verl_plugin.engine import FrozenVisionEngine

        assert EngineRegistry.get_engine_cls("language_model", backend) is FrozenVisionEngine, backend


def test_the_cpu_rollout_is_found_by_its_name():
    from verl.workers.rollout.base import get_rollout_class
    from verl.workers.rollout.replica import RolloutReplicaRegistry

    from easyr1_fgrpo.verl_plugin.cpu.rollout import CpuReplica, CpuServerAdapter

    assert get_rollout_class(CPU_ROLLOUT, "async") is CpuServerAdapter
    assert RolloutReplicaRegistry.get(CPU_ROLLOUT) is CpuReplica


def test_a_registration_that_fails_is_not_hidden(caplog):
    with pytest.raises(ModuleNotFoundError):
        plugin._import_ours("easyr1_fgrpo.no_such_module", pytest)
    assert "easyr1_fgrpo could not register easyr1_fgrpo.no_such_module with pytest" in caplog.text
