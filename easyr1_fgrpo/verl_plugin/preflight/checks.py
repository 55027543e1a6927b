"""What can be known to be wrong with a training config before anything is started."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from omegaconf import OmegaConf

from easyr1_fgrpo.config.judges import VllmServerConfig
from easyr1_fgrpo.config.schema import FgrpoConfig
from easyr1_fgrpo.host import ESTIMATOR
from easyr1_fgrpo.miniature.worlds import NOTHING, check_held_out
from easyr1_fgrpo.preflight.effects import BOXED, effect_problems, seen_twice_problems, without_boxes
from easyr1_fgrpo.preflight.judges import judge_problems, signal_problems
from easyr1_fgrpo.rows import causes, check_rows
from easyr1_fgrpo.verl_plugin.names import TRAINER
from easyr1_fgrpo.verl_plugin.paths import data_files
from easyr1_fgrpo.verl_plugin.preflight.budget import image_problems, length_problems, prompt_problems
from easyr1_fgrpo.verl_plugin.preflight.doctor import registration_problems
from easyr1_fgrpo.verl_plugin.preflight.tokens import token_problems
from easyr1_fgrpo.verl_plugin.preflight.vllm_problems import judge_server_problems, policy_problems
from easyr1_fgrpo.verl_plugin.preflight.warm_start import unfinished_problems

_LOGGER_PACKAGES = ("wandb", "mlflow", "swanlab", "tensorboard", "clearml", "trackio")
"""Loggers that are a package of the same name."""


def training_problems(config: Any, *, files: bool = True, judges: bool = True) -> list[str]:
    """Everything wrong with a composed config on this machine, one line each: key, value and the fix.

    Args:
        config: the whole composed config, its key `fgrpo` valid.
        files: whether checkpoint and data must be here.
        judges: whether each question must have its judge.
    """
    settings = FgrpoConfig.model_validate(OmegaConf.to_container(config.fgrpo, resolve=True))
    return [
        *registration_problems(),
        *_method_problems(config),
        *_batch_problems(config),
        *_adapter_problems(config),
        *length_problems(config),
        *image_problems(config),
        *_logger_problems(config),
        *signal_problems(settings),
        *(
            [*_gpu_judge_problems(config, settings), *judge_problems(settings, config.reward.num_workers)]
            if judges
            else ()
        ),
        *judge_server_problems(settings),
        *policy_problems(config),
        *unfinished_problems(config),
        *_world_problems(config),
        *_box_problems(config),
        *effect_problems(
            config.arm,
            settings,
            prompts=config.data.train_batch_size,
            n=config.actor_rollout_ref.rollout.n,
            n_key="actor_rollout_ref.rollout.n",
        ),
        *seen_twice_problems(
            data_files(config.data.train_files),
            {key: data_files(OmegaConf.select(config, key)) for key in ("data.val_files", "evaluation.file")},
        ),
        *(_file_problems(config) if files else ()),
    ]


def _method_problems(config: Any) -> Iterator[str]:
    mode, estimator = config.trainer.v1.trainer_mode, config.algorithm.adv_estimator
    if mode != TRAINER:
        yield (
            f"trainer.v1.trainer_mode={mode}: constraints need {TRAINER}: verl's async modes mix rollouts of several "
            "policies in a step, so the scores that move the multipliers would not be those of the policy they act on"
        )
    if estimator != ESTIMATOR:
        yield (
            f"algorithm.adv_estimator={estimator}: trainer_mode={TRAINER} computes {ESTIMATOR}; "
            "for plain GRPO use arm=grpo_t"
        )
    if config.algorithm.use_kl_in_reward:
        yield (
            "algorithm.use_kl_in_reward=true: a penalty inside the reward would be normalised with it; "
            "use actor.use_kl_loss"
        )
    if config.algorithm.filter_groups.enable:
        yield (
            "algorithm.filter_groups.enable=true: it drops groups of constant reward, which still carry constraint "
            "signal; set it to false"
        )
    if OmegaConf.select(config, "trainer.v1.sampler.sync_refill_failed_groups", default=False):
        yield (
            "trainer.v1.sampler.sync_refill_failed_groups=true: refilled prompts are numbered from 0 again, so a step "
            "would have two of a name; set it to false: a failed group leaves the step's statistics"
        )
    if config.fgrpo.max_probs_difference is not None:
        off = {
            "actor_rollout_ref.rollout.calculate_log_probs": False,
            "algorithm.rollout_correction.bypass_mode": True,
        }
        for key, value in off.items():
            if OmegaConf.select(config, key) is value:
                yield (
                    f"{key}={str(value).lower()}: the trainer does not compute probabilities to compare the rollout "
                    "engine's with; change it, or train without that canary: fgrpo.max_probs_difference=null"
                )
    if config.reward.reward_model.enable:
        yield "reward.reward_model.enable=true: judges are set with fgrpo.judges; set it to false"


def _batch_problems(config: Any) -> Iterator[str]:
    actor, n = config.actor_rollout_ref.actor, config.actor_rollout_ref.rollout.n
    prompts, mini = config.data.train_batch_size, actor.ppo_mini_batch_size
    ranks = config.trainer.n_gpus_per_node * config.trainer.nnodes
    rollout = config.actor_rollout_ref.rollout
    if rollout.data_parallel_size > 1 and ranks % (rollout.tensor_model_parallel_size * rollout.data_parallel_size):
        yield (
            f"actor_rollout_ref.rollout.data_parallel_size={rollout.data_parallel_size}: engines of "
            f"{rollout.tensor_model_parallel_size} x {rollout.data_parallel_size} GPUs do not divide the {ranks} GPUs"
        )
    if prompts % mini:
        yield f"actor_rollout_ref.actor.ppo_mini_batch_size={mini}: must divide data.train_batch_size={prompts}"
        return
    if (mini * n) % ranks:
        yield (
            f"actor_rollout_ref.actor.ppo_mini_batch_size={mini}: {mini} prompts x {n} rollouts do not divide over the "
            f"{ranks} GPUs"
        )
        return
    sizes = {
        "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu": (mini, actor.ppo_micro_batch_size_per_gpu),
        "actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu": (
            prompts,
            config.actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu,
        ),
        "actor_rollout_ref.ref.log_prob_micro_batch_size_per_gpu": (
            prompts,
            config.actor_rollout_ref.ref.log_prob_micro_batch_size_per_gpu,
        ),
    }
    for key, (batch, micro) in sizes.items():
        if not actor.use_dynamic_bsz and micro and (batch * n) % (micro * ranks):
            yield f"{key}={micro}: must divide the {batch * n} rollouts ({batch} prompts x {n}) over {ranks} workers"


def _adapter_problems(config: Any) -> Iterator[str]:
    key = "actor_rollout_ref.actor.checkpoint.save_contents"
    rank, contents = config.actor_rollout_ref.model.lora_rank, OmegaConf.select(config, key)
    if rank > 0 and "hf_model" in contents:
        yield (
            f"{key}={list(contents)}: with an adapter (actor_rollout_ref.model.lora_rank={rank}) verl names the "
            "weights of hf_model as no model does: they load as random ones; leave it out, export_hf.sh merges shards"
        )


def _gpu_judge_problems(config: Any, settings: FgrpoConfig) -> Iterator[str]:
    taking = {
        name: server.gpus
        for name, server in settings.reward_servers.items()
        if isinstance(server, VllmServerConfig) and server.gpus
    }
    if taking and config.trainer.device == "cpu":
        yield (
            f"trainer.device=cpu: the judge server{'s' * (len(taking) > 1)} {' and '.join(taking)} would wait for "
            f"{' + '.join(f'{gpus:g}' for gpus in taking.values())} GPUs, which a run without any has not: take "
            "judge=openai_compatible for one that is served elsewhere, or judge=oracle on the miniature"
        )


def _logger_problems(config: Any) -> Iterator[str]:
    from verl.utils.tracking import Tracking

    for name in [config.trainer.logger] if isinstance(config.trainer.logger, str) else list(config.trainer.logger):
        if name not in Tracking.supported_backend:
            yield f"trainer.logger={name}: verl has {', '.join(Tracking.supported_backend)}"
        elif name in _LOGGER_PACKAGES and importlib.util.find_spec(name) is None:
            yield f"trainer.logger={name}: it is not installed: pip install {name}"


def _file_problems(config: Any) -> Iterator[str]:
    model = Path(str(config.actor_rollout_ref.model.path))
    looks_like_path = model.is_absolute() or str(model).startswith((".", "runs/", "~"))
    said = any(unfinished_problems(config))
    if looks_like_path and not said and not (model.expanduser() / "config.json").exists():
        yield (
            f"actor_rollout_ref.model.path={model}: no checkpoint there (config.json is missing); "
            "`fgrpo stages` with the same overrides makes the warm start"
        )
    for key in ("train_files", "val_files"):
        for path in data_files(config.data[key]):
            if not path.exists():
                yield f"data.{key}={path}: no such file"
            elif problems := causes(check_rows([path])):
                yield from problems
            else:
                yield from prompt_problems(path, config)
                yield from token_problems(path, config)


def _world_problems(config: Any) -> Iterator[str]:
    """A world of the miniature that `fgrpo stages` could not build."""
    if (world := OmegaConf.select(config, "stages.world_name")) is None:
        return
    try:
        check_held_out(world, OmegaConf.select(config, "stages.held_out", default=NOTHING))
    except ValueError as error:
        yield f"stages.{error}"


def _box_problems(config: Any) -> Iterator[str]:
    """A constraint on boxes that no row could ever meet or miss."""
    files = data_files(config.data.train_files)
    if BOXED not in config.fgrpo.constraint_keys or not all(path.exists() for path in files):
        return
    for path in files:
        try:
            boxes = pq.read_table(path, columns=["extra_info"]).column("extra_info").combine_chunks().field("boxes")
        except (OSError, KeyError, pa.ArrowException):
            return  # named above
        if any(boxes.value_lengths().to_pylist()):
            return
    yield without_boxes(config.fgrpo.constraint_keys, f"data.train_files={config.data.train_files}")
