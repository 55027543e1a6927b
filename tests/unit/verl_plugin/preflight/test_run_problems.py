# What a plan refuses a run refuses, line for line, and the other way round.
import shutil
from pathlib import Path

import pytest

from easyr1_fgrpo.miniature.build import build
from easyr1_fgrpo.preflight.counts import Assumptions
from easyr1_fgrpo.verl_plugin.preflight import machine
from easyr1_fgrpo.verl_plugin.preflight.plan import plan
from easyr1_fgrpo.verl_plugin.run import stages, train

NO_NUMBERS = {
    "actor_rollout_ref.rollout.n=0": "give a whole number from 2 on: a group of one rollout has no advantage",
    "trainer.save_freq=0": "give a whole number from 1 on: without a checkpoint nothing is left of the run",
    "trainer.total_training_steps=five": "give a whole number from 1 on",
    "data.train_batch_size=1.5": "give a whole number from 1 on",
    "actor_rollout_ref.actor.optim.lr=0": "give a number above 0",
    "actor_rollout_ref.rollout.top_p=7": "give a number above 0 and up to 1",
    "actor_rollout_ref.actor.kl_loss_coef=-1": "give a number from 0 on; less rewards divergence",
    "actor_rollout_ref.actor.use_kl_loss=maybe": "give true or false",
    "data.train_files=[]": "name one file at least",
    "data.val_max_samples=0": "give a whole number from 1 on, or -1 for all",
    "evaluation.samples=0": "give a whole number from 1 on",
    "trainer.experiment_name=": "give a name, the run's folder has it",
    "trainer.max_actor_ckpt_to_keep=0": "give a whole number from 1 on",
    "seed=99999999999": "give a whole number below 2^32",
}
WRONG = {
    "trainer.logger=nonsense": "verl has wandb, mlflow, swanlab, ",
    "algorithm.adv_estimator=grpo": "trainer_mode=fgrpo computes cgrpo; for plain GRPO use arm=grpo_t",
    "actor_rollout_ref.actor.ppo_mini_batch_size=5": "must divide data.train_batch_size=16",
    "fgrpo.reward_servers.oracle.target=no.such:Judge": "judge target 'no.such:Judge' cannot be imported",
    "fgrpo.images.max_pixels=9000": "the warm start saw images with max_pixels=7056",
    "fgrpo.dual.controller=fixed": "with arm=fgrpo multipliers move; say arm=fixed_multipliers",
    f"fgrpo.judge_cache.directory={__file__}/cache": "is no folder; name another place",
}


@pytest.fixture
def run(tmp_path, checkpoint, monkeypatch):
    monkeypatch.chdir(tmp_path)
    build(tmp_path / "world", seed=0, train=17, val=2, test=1, sft=1, sft_val=1)
    shutil.copytree(checkpoint, "model")
    Path("model/image_budget.json").write_text('{"min_pixels": 3136, "max_pixels": 7056}')
    return [f"stages.world={tmp_path}/world", "actor_rollout_ref.model.path=./model"]


def refused(capsys, what, *arguments, **options) -> list[str]:
    assert what(*arguments, **options) == 1
    return [line.removeprefix("error: ") for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]


@pytest.mark.parametrize("wrong", [NO_NUMBERS, WRONG])
def test_plan_stages_and_train_refuse_the_same(run, wrong, capsys):
    overrides = [*run, *wrong]
    planned = refused(capsys, plan, overrides, files=True, assumed=Assumptions(8.0, 60.0, 0.65))
    assert sorted(line.partition(": ")[0] for line in planned) == sorted(wrong)
    for key, why in wrong.items():
        assert sum(line.startswith(f"{key}: ") and why in line for line in planned) == 1, (key, planned)
    assert sorted(refused(capsys, train.main, overrides)) == sorted(planned)
    assert sorted(refused(capsys, stages.main, overrides)) == sorted(planned)


def test_a_vllm_rollout_on_a_cpu_has_no_memory_of_a_gpu_to_count(run, capsys, monkeypatch):
    overrides = [*run, "actor_rollout_ref.rollout.name=vllm", "actor_rollout_ref.rollout.load_format=auto"]
    assert "vllm is not installed" in refused(capsys, plan, overrides, files=True, assumed=Assumptions())[0]
    monkeypatch.setattr(machine, "missing_packages", lambda *modules: [])
    assert plan(overrides, files=True, assumed=Assumptions(8.0, 60.0, 0.65)) == 0
    assert "a GPU" not in capsys.readouterr().out
