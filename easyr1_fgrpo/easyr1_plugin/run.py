"""`fgrpo plan` and `fgrpo train` where `import verl` finds EasyR1: its command with FGRPO's keys."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from easyr1_fgrpo.config.load import ConfigError, read_settings
from easyr1_fgrpo.easyr1_plugin.problems import host_problems, host_warnings, run_problems, vllm_problems
from easyr1_fgrpo.host import on_cpu
from easyr1_fgrpo.lock import RunLockedError, locked
from easyr1_fgrpo.stopping import stop_code
from easyr1_fgrpo.terminal import printable
from easyr1_fgrpo.training.unmeasured import ConstraintUnmeasuredError

if TYPE_CHECKING:
    from easyr1_fgrpo.easyr1_plugin.config import FaithfulPPOConfig

JUDGE_GONE = 4
"""Exit code of a run that stopped with a checkpoint because a judge measured too little for too long."""

WORKERS = {
    **{"TOKENIZERS_PARALLELISM": "true", "NCCL_DEBUG": "WARN", "VLLM_LOGGING_LEVEL": "WARN"},
    **{"TORCH_NCCL_AVOID_RECORD_STREAMS": "1", "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:False"},
    **{"CUDA_DEVICE_MAX_CONNECTIONS": "1", "VLLM_ALLREDUCE_USE_SYMM_MEM": "0"},
}
"""What EasyR1 sets in its workers' environment."""


def plan(arguments: Sequence[str]) -> int:
    """Check a run without starting it; gives the exit code, 1 with every problem in a line.

    Args:
        arguments: `config=FILE.yaml`, and keys of EasyR1 and of ours.
    """
    try:
        config = _checked(arguments)
    except ConfigError as error:
        return _refused(error.lines)
    print(f"nothing is wrong with this config: arm {config.arm}, run directory {config.fgrpo['run_dir']}")
    return 0


def train(arguments: Sequence[str]) -> int:
    """Train, from the last checkpoint on where there is one.

    Args:
        arguments: as in `plan`.

    Returns:
        The exit code: 0 when the last step is reached, `JUDGE_GONE` when a constraint could not be measured any more,
        130 or 143 when a signal stopped it, 1 otherwise.
    """
    try:
        config = _checked(arguments)
        with locked(Path(config.fgrpo["run_dir"])):
            return _train(config)
    except ConfigError as error:
        return _refused(error.lines)
    except RunLockedError as error:
        return _refused([str(error)])


def _checked(arguments: Sequence[str]) -> FaithfulPPOConfig:
    if problems := [*host_problems(), *vllm_problems(needed=not on_cpu())]:
        raise ConfigError(problems)
    for line in host_warnings():
        print(f"warning: {line}", file=sys.stderr)
    if on_cpu():
        from easyr1_fgrpo.easyr1_plugin.cpu.platform import install

        install()  # before EasyR1 is imported
    from easyr1_fgrpo.easyr1_plugin.config import easyr1_config, read_arguments

    asked = read_arguments(arguments)
    if problems := run_problems(asked, read_settings(asked)):
        raise ConfigError(problems)
    return easyr1_config(asked)


def _refused(lines: Sequence[str]) -> int:
    for line in lines:
        print(f"error: {printable(line)}", file=sys.stderr)
    return 1


def _train(config: FaithfulPPOConfig) -> int:
    import ray

    from easyr1_fgrpo.easyr1_plugin.runner import Runner

    environment: dict[str, Any] = {"env_vars": WORKERS}
    options: dict[str, Any] = {}
    if on_cpu():
        environment["worker_process_setup_hook"] = "easyr1_fgrpo.easyr1_plugin.cpu.platform.install"
        # A GPU is a slot for one rank.
        options = {"address": "local", "num_cpus": 16, "num_gpus": config.trainer.n_gpus_per_node}
    error: BaseException | None = None
    try:
        ray.init(runtime_env=environment, **options)
        runner = ray.remote(num_cpus=1)(Runner).remote()
        ray.get(runner.run.remote(config))
    except (KeyboardInterrupt, ray.exceptions.RayError) as ended:
        error = ended
    finally:
        ray.shutdown()  # its workers' last lines come before ours
    if error is None:
        return 0
    if isinstance(error, KeyboardInterrupt):
        print("stopped: the same command resumes after the last checkpoint", file=sys.stderr)
        return stop_code()
    cause = getattr(error, "cause", None) or error
    print(f"\nerror: {_last_line(cause)}", file=sys.stderr)  # below EasyR1's progress bars
    return JUDGE_GONE if isinstance(cause, ConstraintUnmeasuredError) else 1


def _last_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return printable(lines[-1]) if lines else type(error).__name__
