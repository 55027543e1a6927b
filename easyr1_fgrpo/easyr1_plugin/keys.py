"""EasyR1's keys: which values train something, which files they name, and which FGRPO does not read.

EasyR1 itself takes what it gets: it fails minutes later on the GPUs, prints that a file was not found and goes on
without it, or trains nothing. Keys that are not named here mean what they mean there. Nothing of EasyR1 is imported.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from easyr1_fgrpo.host import ESTIMATOR
from easyr1_fgrpo.preflight.numbers import positive_problems, whole_number_problems
from easyr1_fgrpo.preflight.places import place_problems

_WHOLE = {
    "data.max_prompt_length": 1,
    "data.max_response_length": 1,
    "data.rollout_batch_size": 1,
    "data.mini_rollout_batch_size": 1,
    "worker.actor.global_batch_size": 1,
    "worker.actor.micro_batch_size_per_device_for_update": 1,
    "worker.actor.micro_batch_size_per_device_for_experience": 1,
    "worker.actor.ppo_epochs": 1,
    "worker.actor.ulysses_size": 1,
    "worker.actor.model.lora.rank": 0,
    "worker.rollout.n": 2,
    "worker.rollout.limit_images": 0,
    "worker.rollout.seed": 0,
    "data.seed": 0,
    "worker.rollout.tensor_parallel_size": 1,
    "worker.reward.num_cpus": 1,
    "trainer.n_gpus_per_node": 1,
    "trainer.nnodes": 1,
    "trainer.total_epochs": 1,
    "trainer.max_steps": 1,
}
_OR_NONE = ("trainer.max_steps", "data.mini_rollout_batch_size")
_WHY = {"worker.rollout.n": "a group of one rollout has no advantage"}
_ABOVE_ZERO = (
    "worker.actor.optim.lr",
    "worker.actor.max_grad_norm",
    "worker.actor.clip_ratio_low",
    "worker.actor.clip_ratio_high",
    "worker.rollout.temperature",
    "worker.rollout.top_p",
    "worker.rollout.gpu_memory_utilization",
)
_AT_MOST_ONE = ("worker.actor.optim.lr", "worker.rollout.top_p", "worker.rollout.gpu_memory_utilization")

_ONE_OF = {
    "algorithm.kl_penalty": ("kl", "abs", "mse", "low_var_kl", "full"),
    "worker.actor.loss_avg_mode": ("token", "seq"),
    "worker.actor.loss_type": ("default", "gspo", "gspo_token", "cispo", "sapo"),
    "worker.actor.strategy": ("fsdp",),
    "worker.ref.strategy": ("fsdp",),
    "worker.actor.optim.strategy": ("adamw", "adamw_bf16"),
    "worker.actor.optim.lr_scheduler_type": ("constant", "cosine"),
    "worker.rollout.name": ("vllm",),
}
"""What EasyR1 knows; of another word it says so after the models are loaded, or does not read it."""

_ONLY: dict[str, tuple[Any, str]] = {
    "algorithm.gamma": (1.0, "FGRPO's advantage has no discount"),
    "algorithm.lam": (1.0, "FGRPO's advantage has no discount"),
    "algorithm.kl_type": (
        "fixed",
        "EasyR1 adapts the coefficient of a KL in the reward, which FGRPO does not read",
    ),
    "worker.hybrid_engine": (True, "EasyR1 has no other"),
    "worker.reward.reward_function_kwargs": ({}, "they go to a reward function, and none is called"),
    "worker.reward.skip_special_tokens": (True, "rewards and judges read responses without special tokens"),
    "trainer.critic_warmup": (0, "the policy would stand still while multipliers move, and there is no critic"),
    "trainer.val_only": (False, "nothing would be trained; `fgrpo evaluate` measures a model"),
}
"""Keys with the one value that FGRPO has a use for, and why."""

_FILES = {
    "data.format_prompt": "rows of EasyR1's want recipes/easyr1/format_prompt.jinja, rows of ours null",
    "data.override_chat_template": "",
    "data.image_dir": "",
    "trainer.load_checkpoint_path": "",
}
"""What EasyR1 goes on without when it is not there, by key, with a word on what to name."""

_FORMATS = (".parquet", ".json", ".jsonl", ".csv", ".arrow")
"""Of files of rows."""

_LOGGERS = ("console", "file", "mlflow", "swanlab", "tensorboard", "wandb")


def key_problems(config: Any, *, files: bool) -> Iterator[str]:
    """One line for each of EasyR1's keys whose value would end the run later, or not do what it says.

    Args:
        config: the whole one, as `config.read_arguments` gives it.
        files: whether model and data must be here.
    """
    yield from whole_number_problems(config, _WHOLE, or_none=_OR_NONE, why=_WHY)
    yield from positive_problems(config, _ABOVE_ZERO, at_most_one=_AT_MOST_ONE)
    batch = config.data.val_batch_size
    if type(batch) is not int or (batch != -1 and batch < 1):
        yield f"data.val_batch_size={batch}: give a whole number from 1 on, or -1 for all"
    for key, known in _ONE_OF.items():
        if (value := OmegaConf.select(config, key)) not in known:
            yield f"{key}={value}: EasyR1 has {', '.join(known)}"
    for key, (only, why) in _ONLY.items():
        if (value := OmegaConf.select(config, key)) != only:
            yield f"{key}={_shown(value)}: {why}; leave it out, or say {_shown(only)}"
    yield from _algorithm_problems(config.algorithm)
    yield from _reward_problems(config.worker.reward)
    yield from _validation_problems(config.worker.rollout)
    yield from _name_problems(config)
    yield from _file_problems(config) if files else ()
    yield from _logger_problems(config.trainer.logger)


def key_notes(config: Any) -> Iterator[str]:
    """What a user may not expect of a config that can be trained."""
    trainer = config.trainer
    if trainer.save_freq <= 0:
        yield f"trainer.save_freq={trainer.save_freq}: no checkpoint before the end, so a killed run starts anew"
    if trainer.save_model_only:
        yield "trainer.save_model_only=true: EasyR1 cannot go on from a checkpoint without its optimizer"


def _algorithm_problems(algorithm: Any) -> Iterator[str]:
    if algorithm.adv_estimator not in ("grpo", ESTIMATOR):
        yield (
            f"algorithm.adv_estimator={algorithm.adv_estimator}: FGRPO's own advantage ({ESTIMATOR}) takes its place; "
            "leave the key out, or say grpo"
        )
    if algorithm.online_filtering:
        yield (
            "algorithm.online_filtering=true: EasyR1 would score parts of a batch, drop and reorder rows, and rows "
            "would lose their signals; groups whose reward does not vary still carry the constraints'. Set it to false"
        )
    if not algorithm.disable_kl and not algorithm.use_kl_loss:
        yield (
            "algorithm.use_kl_loss=false: EasyR1 takes the KL off the reward, which FGRPO's advantage does not read; "
            "set algorithm.use_kl_loss=true (in the paper with algorithm.kl_penalty=low_var_kl and "
            "algorithm.kl_coef=0.01), or algorithm.disable_kl=true"
        )
    if not algorithm.disable_kl and algorithm.kl_coef < 0:
        yield f"algorithm.kl_coef={algorithm.kl_coef}: give a number from 0 on; less rewards divergence"


def _reward_problems(reward: Any) -> Iterator[str]:
    if given := reward.reward_function:
        yield (
            f"worker.reward.reward_function={given}: rewards come from fgrpo.* here, and this function would not be "
            "called; set it to null. A constraint on a function of your own: "
            "fgrpo.constraints.NAME={signal:FILE.py:FUNCTION,threshold:0.9}"
        )


def _validation_problems(rollout: Any) -> Iterator[str]:
    if "n" not in rollout.val_override_config and rollout.n != 1:
        yield (
            f"worker.rollout.val_override_config={dict(rollout.val_override_config)}: without n EasyR1 generates "
            f"worker.rollout.n={rollout.n} responses a question and expects one; "
            "say 'worker.rollout.val_override_config={n:1,temperature:1.0}'"
        )


def _name_problems(config: Any) -> Iterator[str]:
    """What is not named, and checkpoints that would lie elsewhere than the rest of the run."""
    if not (model := config.worker.actor.model.model_path):
        yield f"worker.actor.model.model_path={model}: name a folder or a model of the hub"
    for key in ("train_files", "val_files"):
        if not (files := config.data[key]):
            yield f"data.{key}={files}: name a file, a folder or a data set of the hub"
    run_dir, given = Path(config.fgrpo.run_dir), config.trainer.save_checkpoint_path
    if given and run_dir.absolute() not in Path(given).absolute().parents:
        yield (
            f"trainer.save_checkpoint_path={given}: a run has its checkpoints in its folder, {run_dir}/checkpoints, "
            "where `fgrpo report` and `fgrpo export` look for them; leave it null, and say fgrpo.run_dir=FOLDER"
        )
    name = config.trainer.experiment_name
    if name.strip(" /.") == "" or ".." in name.split("/"):
        yield f"trainer.experiment_name={name}: give a name, the run's folder has it"


def _file_problems(config: Any) -> Iterator[str]:
    """Files that are named and not there."""
    for key, name in _FILES.items():
        if (path := OmegaConf.select(config, key)) and not Path(path).exists():
            yield f"{key}={path}: no such file, and EasyR1 would go on without it{f'; {name}' if name else ''}"
    model = config.worker.actor.model.model_path
    if model and _is_path(model) and not (Path(model) / "config.json").is_file():
        yield f"worker.actor.model.model_path={model}: no checkpoint there (config.json is missing)"
    for key in ("train_files", "val_files"):
        path = config.data[key].partition("@")[0]
        if path and _is_path(path) and not Path(path).exists():
            yield f"data.{key}={config.data[key]}: no such file"
        elif Path(path).is_file() and Path(path).suffix not in _FORMATS:
            yield f"data.{key}={config.data[key]}: EasyR1 reads files that end in {', '.join(_FORMATS)}"
    yield from place_problems(config, ("fgrpo.run_dir", "fgrpo.judge_cache.directory"))


def _is_path(name: str) -> bool:
    """Whether a name is a path, and no `OWNER/NAME` of the hub."""
    return name.startswith((".", "/", "~", "runs/")) or name.count("/") != 1 or Path(name).suffix in _FORMATS


def _logger_problems(loggers: Any) -> Iterator[str]:
    for name in [loggers] if isinstance(loggers, str) else loggers:
        if name not in _LOGGERS:
            yield f"trainer.logger={name}: EasyR1 has {', '.join(_LOGGERS)}"
        elif name not in ("console", "file") and importlib.util.find_spec(name) is None:
            yield f"trainer.logger={name}: it is not installed: pip install {name}, or 'trainer.logger=[console,file]'"


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
