"""Every refusal of a run on EasyR1: key, value and the fix."""

import importlib.metadata

import pytest

from easyr1_fgrpo.config.schema import FgrpoConfig
from easyr1_fgrpo.easyr1_plugin.keys import key_notes
from easyr1_fgrpo.easyr1_plugin.problems import run_problems, vllm_problems

from .made_config import OURS, config_of


def problems(*changes, **ours):
    return run_problems(config_of(*changes, **ours), FgrpoConfig.model_validate(OURS | ours))


@pytest.mark.parametrize(
    "changes",
    [
        (),
        (("algorithm.use_kl_loss", False), ("algorithm.disable_kl", True)),
        (("data.min_pixels", None),),
        (("data.mini_rollout_batch_size", 2),),
        (("trainer.max_steps", None), ("worker.actor.model.lora.rank", 8)),
        (("trainer.logger", "console"), ("worker.actor.loss_avg_mode", "seq"), ("worker.actor.loss_type", "gspo")),
        (("trainer.save_checkpoint_path", "runs/x/checkpoints"),),
    ],
)
def test_a_run_as_it_should_be_has_none(changes):
    assert problems(*changes) == []


REFUSED = [
    ("algorithm.adv_estimator", "rloo", "leave the key out, or say grpo"),
    ("algorithm.online_filtering", True, "Set it to false"),
    ("algorithm.use_kl_loss", False, "or algorithm.disable_kl=true"),
    ("algorithm.kl_coef", -0.1, "less rewards divergence"),
    ("algorithm.kl_penalty", "k3", "EasyR1 has kl, abs, mse, low_var_kl, full"),
    ("algorithm.kl_type", "adaptive", "leave it out, or say fixed"),
    ("algorithm.gamma", 0.9, "leave it out, or say 1.0"),
    ("worker.reward.reward_function", "m.py:f", "signal:FILE.py:FUNCTION"),
    ("worker.reward.reward_function_kwargs", {"a": 1}, "leave it out, or say {}"),
    ("worker.reward.skip_special_tokens", False, "leave it out, or say true"),
    ("worker.hybrid_engine", False, "leave it out, or say true"),
    ("worker.rollout.val_override_config", {}, "{n:1,temperature:1.0}'"),
    ("worker.rollout.n", 1, "give a whole number from 2 on: a group of one rollout has no advantage"),
    ("worker.rollout.temperature", 0.0, "give a number above 0"),
    ("worker.rollout.top_p", 1.5, "give a number above 0 and up to 1"),
    ("worker.rollout.tensor_parallel_size", 4, "must divide the 2 GPUs"),
    ("worker.rollout.max_num_batched_tokens", 100, "less than data.max_prompt_length + data.max_response_length = 120"),
    ("worker.rollout.max_model_len", 100, "less than data.max_prompt_length + data.max_response_length = 120"),
    ("worker.rollout.name", "hf", "EasyR1 has vllm"),
    ("worker.actor.global_batch_size", 3, "must divide data.rollout_batch_size=8"),
    ("worker.actor.micro_batch_size_per_device_for_update", 4, "must divide the 10 rollouts of a rank's update"),
    ("worker.actor.micro_batch_size_per_device_for_experience", 3, "must divide the 40 rollouts of a step"),
    ("worker.actor.loss_avg_mode", "token-mean", "EasyR1 has token, seq"),
    ("worker.actor.loss_type", "dapo", "EasyR1 has default, gspo, gspo_token, cispo, sapo"),
    ("worker.actor.optim.lr", 0.0, "give a number above 0"),
    ("worker.actor.optim.strategy", "sgd", "EasyR1 has adamw, adamw_bf16"),
    ("worker.actor.ulysses_size", 3, "must divide the 2 GPUs"),
    ("worker.actor.fsdp.enable_cpu_offload", True, "worker.actor.offload.offload_optimizer=true instead"),
    ("worker.actor.model.model_path", None, "name a folder or a model of the hub"),
    ("worker.actor.model.model_path", "runs/nowhere", "config.json is missing"),
    ("data.train_files", "", "name a file, a folder or a data set of the hub"),
    ("data.val_files", "me/train@train", "the run trains on these rows"),
    ("data.mini_rollout_batch_size", 3, "must divide data.rollout_batch_size=8"),
    ("data.mini_rollout_batch_size", 1, "must be a multiple of the 2 GPUs"),
    ("data.format_prompt", "gone.jinja", "no such file, and EasyR1 would go on without it; rows of EasyR1's want"),
    ("data.image_dir", "gone", "no such file, and EasyR1 would go on without it"),
    ("data.override_chat_template", "gone.jinja", "no such file, and EasyR1 would go on without it"),
    ("data.seed", -1, "give a whole number from 0 on"),
    ("data.seed", "x", "give a whole number from 0 on"),
    ("data.val_batch_size", "x", "or -1 for all"),
    ("worker.rollout.seed", 1 << 32, "give a whole number below 2^32"),
    ("data.val_batch_size", 0, "or -1 for all"),
    ("data.train_files", __file__, "EasyR1 reads files that end in .parquet, .json"),
    ("fgrpo.run_dir", f"{__file__}/run", "is no folder; name another place"),
    ("trainer.load_checkpoint_path", "gone", "no such file, and EasyR1 would go on without it"),
    ("trainer.save_checkpoint_path", "elsewhere", "leave it null, and say fgrpo.run_dir=FOLDER"),
    ("trainer.val_only", True, "`fgrpo evaluate` measures a model"),
    ("trainer.critic_warmup", 5, "leave it out, or say 0"),
    ("trainer.max_steps", 0, "give a whole number from 1 on"),
    ("trainer.experiment_name", "..", "give a name, the run's folder has it"),
    ("trainer.logger", ["tensorbord"], "EasyR1 has console, file, mlflow, swanlab, tensorboard, wandb"),
    ("trainer.logger", ["swanlab"], "pip install swanlab, or 'trainer.logger=[console,file]'"),
]


@pytest.mark.parametrize(("key", "value", "within"), REFUSED)
def test_what_easyr1_would_do_with_a_key_is_refused_with_the_fix(key, value, within):
    line = problems((key, value))[0]
    shown = str(value).lower() if isinstance(value, bool) else value[0] if key == "trainer.logger" else value
    assert line.startswith(f"{key}={shown}: "), line
    assert within in line, line
    assert "\n" not in line


def test_a_step_takes_no_more_generations_than_are_allowed():
    (line,) = problems(("data.mini_rollout_batch_size", 2), ("trainer.max_try_make_batch", 3))
    assert line.startswith("trainer.max_try_make_batch=3: a step takes 4 generations (data.rollout_batch_size=8 by ")
    assert problems(("data.mini_rollout_batch_size", 2), ("trainer.max_try_make_batch", -1)) == []


def test_settings_with_which_a_run_would_not_be_what_it_is_called_are_refused():
    (line,) = problems(dual={"min_applicable": 41})
    assert line.startswith("fgrpo.dual.min_applicable=41: a step has 40 rollouts (8 prompts x 5)")
    (line,) = problems(advantage={"min_group_valid": 6})
    assert "a group has 5 rollouts (worker.rollout.n)" in line
    (line,) = problems(("arm", "grpo_t"))
    assert line.startswith("fgrpo.constraint_keys=['consistency']: arm=grpo_t means fgrpo.constraint_keys=[]")


def test_keys_that_stand_for_something_this_host_has_not_are_refused():
    (line,) = problems(max_probs_difference=0.1)
    assert line.startswith("fgrpo.max_probs_difference=0.1: ")
    (line,) = problems(("data.max_pixels", 9))
    assert line.startswith("fgrpo.images.max_pixels=7056: EasyR1 has data.max_pixels=9")
    assert problems(max_silence_s=9.0, resume={"accept": ["data.seed"], "from": "global_step_4"}) == []


def test_what_a_user_may_not_expect_is_named():
    assert list(key_notes(config_of())) == []
    (line,) = key_notes(config_of(("trainer.save_freq", -1)))
    assert line.startswith("trainer.save_freq=-1: no checkpoint before the end")
    (line,) = key_notes(config_of(("trainer.save_model_only", True)))
    assert line.startswith("trainer.save_model_only=true: EasyR1 cannot go on from")


def test_judges_that_it_would_have_to_start_and_questions_without_one_are_refused():
    server = {"kind": "embedded", "target": "easyr1_fgrpo.miniature.oracle:OracleJudge", "options": {"scenes": "x"}}
    served = {"judges": {"consistency": {"kind": "server", "server": "one"}}, "reward_servers": {"one": server}}
    (line,) = problems(**served)
    assert line.startswith("fgrpo.reward_servers.one: ")
    assert "judge=openai_compatible judge_endpoint.model=NAME" in line
    (line,) = problems(judges={})
    assert line.startswith("fgrpo.judges.consistency is not set")
    (line,) = problems(signals={"short": "nowhere.py:short"})
    assert line.startswith("fgrpo.signals.short=")


def test_a_vllm_that_easyr1_cannot_import_is_named_with_one_that_it_can(monkeypatch):
    installed = {}
    monkeypatch.setattr(importlib.metadata, "version", lambda name: installed[name])
    for version, refused in {"0.11.0": False, "0.12.0": False, "0.13.0": True, "0.24.0+cu130": True}.items():
        installed["vllm"] = version
        found = vllm_problems(needed=True)
        assert bool(found) == refused, version
        assert not refused or found[0].startswith(f"vllm {version}: ")

    def absent(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", absent)
    assert vllm_problems(needed=False) == []
    assert vllm_problems(needed=True) == ["vllm is not installed: pip install vllm==0.11.0, as in EasyR1's Dockerfile"]
