"""`fgrpo plan`: what a run would do and take, and everything wrong with it, before a GPU is used.

Composes the config, checks it as training will (verl's own validation included), and prints steps, rollouts, judge
calls, memory and disk. All problems are named at once.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import shutil
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from easyr1_fgrpo.config.judges import ModelJudgeConfig, VllmServerConfig
from easyr1_fgrpo.config.load import ConfigError, load_config, read_settings
from easyr1_fgrpo.config.schema import FgrpoConfig
from easyr1_fgrpo.judges.protocol import Question
from easyr1_fgrpo.rows import count_rows
from easyr1_fgrpo.verl_plugin.preflight.shape import checkpoint_bytes, memory_of, shape_of

if TYPE_CHECKING:
    from rich.table import Table

GIB = 2**30
NO_JUDGE = "~judge"
"""Hydra's word for leaving a group out."""


@dataclass(frozen=True)
class Assumptions:
    """What only a run can tell.

    Attributes:
        sentences: judged sentences of a trace.
        rollout_s: seconds in which a step's rollouts are generated.
        correct: share of correct rollouts; training asks judges about those only.
    """

    sentences: float = 8.0
    rollout_s: float = 60.0
    correct: float = 0.65


def plan(overrides: Sequence[str], *, files: bool, assumed: Assumptions) -> int:
    """Print the plan of a run and its problems.

    Args:
        overrides: Hydra overrides of the run.
        files: whether checkpoint and data must be here.
        assumed: what only a run can tell.

    Returns:
        The exit code: 1 when something is wrong.
    """
    from rich.console import Console

    config, usable, problems = _compose(overrides)
    config, settings, refused = _settings(config, usable)
    problems += refused
    if settings is not None:
        about_judges = ("fgrpo.judges.",) if NO_JUDGE in usable else ()
        problems += [line for line in _problems(config, files) if not line.startswith(about_judges)]
        problems += _room_problems(config)
        Console().print(_table(config, settings, assumed))
    console = Console(stderr=True)
    for problem in problems:
        console.print(f"error: {problem}", style="red", markup=False, highlight=False, soft_wrap=True)
    if not problems:
        print("nothing is wrong with this plan" + ("" if files else "; checkpoint and data were not looked for"))
    return 1 if problems else 0


def _compose(overrides: Sequence[str]) -> tuple[Any, list[str], list[str]]:
    """The config of the overrides that can be composed, these overrides, and what is wrong with the others."""
    try:
        return load_config(overrides), list(overrides), []
    except ConfigError as error:
        whole = error
    usable: list[str] = []
    problems = []
    # Group choices first: other keys exist only with them.
    for override in sorted(overrides, key=lambda override: "." in override.partition("=")[0]):
        try:
            load_config([*usable, override])
        except ConfigError as error:
            problems += [f"{override}: {line}" for line in error.lines]
        else:
            usable.append(override)
    if not problems:
        raise whole
    if any(problem.startswith("judge=") for problem in problems):
        usable.append(NO_JUDGE)  # the default judge would only add more problems
    return load_config(usable), usable, problems


def _settings(config: Any, overrides: Sequence[str]) -> tuple[Any, FgrpoConfig | None, list[str]]:
    """Our own settings; where values are refused, those of the recipe without them, so that the rest is checked too."""
    try:
        return config, read_settings(config), []
    except ConfigError as error:
        problems = error.lines
    refused = tuple(problem.partition(":")[0].partition("=")[0] for problem in problems)
    usable = [override for override in overrides if not override.startswith(refused)]
    config = load_config(usable)
    try:
        return config, read_settings(config), problems
    except ConfigError:
        return config, None, problems


def _problems(config: Any, files: bool) -> Iterator[str]:
    # Before verl is imported: it resolves its platform once, and a plan needs no accelerator.
    os.environ.setdefault("VERL_PLATFORM", "cpu")
    os.environ.setdefault("VERL_LOGGING_LEVEL", "WARNING")
    from easyr1_fgrpo.verl_plugin.preflight.checks import training_problems

    ours = training_problems(config, files=files)
    yield from ours
    yield from _verl_problems(config, ours)


def _verl_problems(config: Any, known: Sequence[str]) -> Iterator[str]:
    """What verl's own validation says; it stops at its first problem, so what is known already is left out."""
    from verl.trainer.ppo.utils import need_critic, need_reference_policy
    from verl.utils.config import omega_conf_to_dataclass, validate_config

    for section in ("actor", "rollout"):
        try:
            omega_conf_to_dataclass(config.actor_rollout_ref[section])
        except Exception as error:  # whatever its dataclasses raise is verl's word on the section
            yield f"actor_rollout_ref.{section}: verl says: {_one_line(error)}"
            return
    if config.actor_rollout_ref.model.lora_rank > 0 and importlib.util.find_spec("vllm") is None:
        print("not checked here: verl's validation of a low-rank adapter needs vllm")
        return
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that GRPO has no critic is meant
            validate_config(config, use_reference_policy=need_reference_policy(config), use_critic=need_critic(config))
    except Exception as error:
        if not any("batch_size" in line for line in known):
            yield f"verl says: {_one_line(error)}"


def _room_problems(config: Any) -> Iterator[str]:
    shape, rollout = shape_of(config), config.actor_rollout_ref.rollout
    if shape is None or rollout.name != "vllm":
        return
    memory, total = memory_of(shape, config), config.gpu_memory_gib * GIB
    sequence = config.data.max_prompt_length + config.data.max_response_length
    if memory.kv_tokens < sequence:
        yield (
            f"actor_rollout_ref.rollout.gpu_memory_utilization={rollout.gpu_memory_utilization}: room for "
            f"{memory.kv_tokens} tokens of keys and values, a rollout may have {sequence}; raise it or "
            "actor_rollout_ref.rollout.tensor_model_parallel_size"
        )
    for what, taken in (("updating", memory.while_updating), ("rolling out", memory.while_rolling_out)):
        if taken > total:
            yield (
                f"trainer.n_gpus_per_node={config.trainer.n_gpus_per_node}: while {what}, a GPU holds "
                f"{taken / GIB:.0f} GiB of {config.gpu_memory_gib}, activations not counted; take more GPUs, or set "
                "actor_rollout_ref.actor.fsdp_config.optimizer_offload=true and .param_offload=true"
            )


def _table(config: Any, settings: FgrpoConfig, assumed: Assumptions) -> Table:
    from rich.table import Table

    table = Table("", "", title=f"{settings.run_dir}", show_header=False, title_justify="left")
    for name, value in [*_steps(config), *_judges(config, settings, assumed), *_memory(config)]:
        table.add_row(name, value)
    return table


def _steps(config: Any) -> Iterator[tuple[str, str]]:
    from easyr1_fgrpo.verl_plugin.preflight.checks import data_files

    prompts, n = config.data.train_batch_size, config.actor_rollout_ref.rollout.n
    files = data_files(config, "train_files")
    steps = config.trainer.total_training_steps
    if steps is None and all(path.exists() for path in files):
        steps = sum(count_rows(path) for path in files) // prompts * config.trainer.total_epochs
    trainer = config.trainer
    yield "policy", f"{config.actor_rollout_ref.model.path}, arm {config.arm}"
    yield "GPUs of the policy", f"{trainer.nnodes} x {trainer.n_gpus_per_node}"
    yield "steps", "unknown: the data are not here" if steps is None else f"{steps:,}"
    yield "rollouts a step", f"{prompts * n:,} ({prompts} prompts x {n})"


def _judges(config: Any, settings: FgrpoConfig, assumed: Assumptions) -> Iterator[tuple[str, str]]:
    servers = [server for server in settings.reward_servers.values() if isinstance(server, VllmServerConfig)]
    gpus = sum(server.tensor_parallel_size if server.num_gpus is None else server.num_gpus for server in servers)
    yield "GPUs of the judges", f"{gpus:g}, in the same Ray cluster" if gpus else "none"
    rollouts = config.data.train_batch_size * config.actor_rollout_ref.rollout.n
    judged = rollouts * (1.0 if settings.reward.judge_scope == "all" else assumed.correct)
    sentences = min(assumed.sentences, settings.reward.max_sentences or assumed.sentences)
    total = 0.0
    for question in Question:
        judge = settings.judges.get(question.value)
        whole = question is Question.CONSISTENCY or (isinstance(judge, ModelJudgeConfig) and judge.per_rollout)
        calls = judged * (1.0 if whole else sentences)
        total += calls
        yield f"{question} calls a step", f"{calls:,.0f}"
    yield (
        "judge rate needed",
        f"{total / assumed.rollout_s:,.1f} calls/s, to stay hidden behind rollouts of {assumed.rollout_s:g} s "
        f"(assumed, as {sentences:g} sentences a trace and {assumed.correct:.0%} correct)",
    )


def _memory(config: Any) -> Iterator[tuple[str, str]]:
    shape = shape_of(config)
    if shape is None:
        yield "memory", "unknown: the checkpoint is not here and the config has no model_shape"
        return
    yield "parameters", f"{shape.parameters:,}, {shape.parameters - shape.frozen:,} of them trained"
    if config.actor_rollout_ref.rollout.name == "vllm":
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
    times = "each" if most is None else f"x {most + 1} ({most} kept, one being written) = {disk * (most + 1) / GIB:.1f}"
    yield "checkpoints", f"{disk / GIB:.1f} GiB {times}; {_free(config) / GIB:.0f} GiB are free here"


def _free(config: Any) -> int:
    folder = Path(config.trainer.default_local_dir).expanduser().absolute()
    return shutil.disk_usage(next(parent for parent in folder.parents if parent.exists())).free


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
