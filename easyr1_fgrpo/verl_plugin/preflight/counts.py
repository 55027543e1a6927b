"""What a run does and takes, for `fgrpo plan`: steps, GPUs, judge calls, memory, disk."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from easyr1_fgrpo.config.schema import FgrpoConfig
from easyr1_fgrpo.preflight.counts import Assumptions, judge_counts, step_counts, threshold_counts, weight_counts
from easyr1_fgrpo.rows import count_rows
from easyr1_fgrpo.verl_plugin.names import CPU_ROLLOUT
from easyr1_fgrpo.verl_plugin.preflight.gpus import ASSUMED_NODE, Offered, machines, wanted_by
from easyr1_fgrpo.verl_plugin.preflight.shape import checkpoint_bytes, memory_of, shape_of

if TYPE_CHECKING:
    from rich.table import Table

GIB = 2**30


def counts(config: Any, settings: FgrpoConfig, assumed: Assumptions, found: Offered | None) -> Table:
    """What a run does and takes, as a table.

    Args:
        config: the whole composed config.
        settings: its key `fgrpo`.
        assumed: what only a run can tell.
        found: the GPUs that there are; None where there are none to count.
    """
    from rich.table import Table

    table = Table("", "", title=f"{settings.run_dir}", show_header=False, title_justify="left")
    for name, value in [
        *_steps(config),
        *_gpus(config, settings, found),
        *weight_counts(settings),
        *threshold_counts(settings),
        *judge_counts(
            settings,
            assumed,
            rollouts=config.data.train_batch_size * config.actor_rollout_ref.rollout.n,
            at_once=config.actor_rollout_ref.rollout.name == CPU_ROLLOUT,
        ),
        *_memory(config),
    ]:
        table.add_row(name, value)
    return table


def _steps(config: Any) -> Iterator[tuple[str, str]]:
    from easyr1_fgrpo.verl_plugin.paths import data_files

    prompts, n = config.data.train_batch_size, config.actor_rollout_ref.rollout.n
    files = data_files(config.data.train_files)
    steps = config.trainer.total_training_steps
    if steps is None and all(path.exists() for path in files):
        steps = sum(count_rows(path) for path in files) // prompts * config.trainer.total_epochs
    yield from step_counts(f"{config.actor_rollout_ref.model.path}, arm {config.arm}", steps, prompts, n)


def _gpus(config: Any, settings: FgrpoConfig, found: Offered | None) -> Iterator[tuple[str, str]]:
    trainer, wanted = config.trainer, wanted_by(config, settings)
    judges = sum(wanted.judges)
    yield "GPUs of the policy", f"{trainer.nnodes} x {trainer.n_gpus_per_node}" if wanted.policy else "none"
    yield "GPUs of the judges", f"{judges:g}, in the same Ray cluster" if judges else "none"
    if found is not None:
        yield "GPUs together", f"{wanted}; there are {found}"
    elif wanted.policy:
        count = machines(wanted)
        size = max((ASSUMED_NODE, *wanted.blocks))
        yield (
            "GPUs together",
            f"{wanted}, on {count} machine{'s' * (count > 1)} of {size:g} (assumed: none to count here)",
        )


def _memory(config: Any) -> Iterator[tuple[str, str]]:
    shape = shape_of(config)
    if shape is None:
        yield "memory", "unknown: the checkpoint is not here and the config has no model_shape"
        return
    yield "parameters", f"{shape.parameters:,}, {shape.parameters - shape.frozen:,} of them trained"
    if config.actor_rollout_ref.rollout.name == "vllm" and config.trainer.device == "cuda":
        memory = memory_of(shape, config)
        yield (
            "a GPU, updating",
            f"weights {memory.weights / GIB:.1f} + gradients {memory.gradients / GIB:.1f} + optimizer "
            f"{memory.optimizer / GIB:.1f} = {memory.while_updating / GIB:.1f} of {config.gpu_memory_gib} GiB, "
            "activations on top",
        )
        yield (
            "a GPU, rolling out",
            f"vLLM {memory.rollout / GIB:.1f} (weights {memory.rollout_weights / GIB:.1f}, KV cache "
            f"{memory.kv_cache / GIB:.1f} GiB for {memory.kv_tokens:,} tokens) beside "
            f"{(memory.weights + memory.optimizer) / GIB:.1f}",
        )
    most = config.trainer.max_actor_ckpt_to_keep
    disk = checkpoint_bytes(shape, config)
    kept = max(2, most or 0)  # the last whole one stays until the next is whole
    times = "each" if most is None else f"x {kept}, the one being written among them = {disk * kept / GIB:.1f}"
    yield "checkpoints", f"{disk / GIB:.1f} GiB {times}; {_free(config) / GIB:.0f} GiB are free here"


def _free(config: Any) -> int:
    folder = Path(config.trainer.default_local_dir).expanduser().absolute()
    return shutil.disk_usage(next(parent for parent in folder.parents if parent.exists())).free
