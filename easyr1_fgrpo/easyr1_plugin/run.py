"""`fgrpo plan` and `fgrpo train` where `import verl` finds EasyR1: its command with FGRPO's keys."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from easyr1_fgrpo.config.load import ConfigError
from easyr1_fgrpo.easyr1_plugin.problems import host_problems, host_warnings, vllm_problems
from easyr1_fgrpo.easyr1_plugin.resume import KEYS, saved_run, saved_step
from easyr1_fgrpo.failure import exit_code, on_full_disk, reason
from easyr1_fgrpo.host import on_cpu
from easyr1_fgrpo.lock import RunLockedError, locked
from easyr1_fgrpo.preflight.resume import note_start
from easyr1_fgrpo.stopping import stop_code, take_signals
from easyr1_fgrpo.terminal import printable

if TYPE_CHECKING:
    from easyr1_fgrpo.easyr1_plugin.config import FaithfulPPOConfig
    from easyr1_fgrpo.easyr1_plugin.preflight import CheckedRun
    from easyr1_fgrpo.preflight.counts import Assumptions

WORKERS = {
    **{"TOKENIZERS_PARALLELISM": "true", "NCCL_DEBUG": "WARN", "VLLM_LOGGING_LEVEL": "WARN"},
    **{"TORCH_NCCL_AVOID_RECORD_STREAMS": "1", "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:False"},
    **{"CUDA_DEVICE_MAX_CONNECTIONS": "1", "VLLM_ALLREDUCE_USE_SYMM_MEM": "0"},
}
"""What EasyR1 sets in its workers' environment."""


def plan(arguments: Sequence[str], *, files: bool, assumed: Assumptions) -> int:
    """Print the plan of a run without starting it.

    Args:
        arguments: `config=FILE.yaml`, and keys of EasyR1 and of ours.
        files: whether model and data must be here.
        assumed: what only a run can tell.

    Returns:
        The exit code: 1 with every problem in a line.
    """
    from rich.console import Console
    from rich.table import Table

    try:
        checked = _checked(arguments, files=files)
    except ConfigError as error:
        return _refused(error.lines)
    table = Table("", "", title=checked.settings.run_dir, show_header=False, title_justify="left")
    for name, value in checked.counts(assumed):
        table.add_row(name, value)
    Console().print(table)
    print("nothing is wrong with this plan" + ("" if files else "; model and data were not looked for"))
    return 0


def train(arguments: Sequence[str]) -> int:
    """Train, from the last checkpoint on where there is one.

    Args:
        arguments: as in `plan`.

    Returns:
        The exit code: 0 when the last step is reached, 130 or 143 when a signal stopped it, else `failure.exit_code`.
    """
    try:
        checked = _checked(arguments, files=True)
        if problems := checked.first_question_problems():
            return _refused(problems)
        config = checked.config
        with locked(Path(config.fgrpo["run_dir"])) as before:
            if before:
                print(f"{config.fgrpo['run_dir']}: {before} trained there and is gone; its lock is taken over")
            return _go_on(config)
    except ConfigError as error:
        return _refused(error.lines)
    except RunLockedError as error:
        return _refused([str(error)])


def _checked(arguments: Sequence[str], *, files: bool) -> CheckedRun:
    if problems := [*host_problems(), *vllm_problems(needed=files and not on_cpu())]:
        raise ConfigError(problems)
    for line in host_warnings():
        print(f"warning: {line}", file=sys.stderr)
    if on_cpu():
        from easyr1_fgrpo.easyr1_plugin.cpu.platform import install

        install()  # before EasyR1 is imported
    from easyr1_fgrpo.easyr1_plugin.preflight import checked_run

    return checked_run(arguments, files=files)


def _refused(lines: Sequence[str]) -> int:
    for line in lines:
        print(f"error: {printable(line)}", file=sys.stderr)
    return 1


def _go_on(config: FaithfulPPOConfig) -> int:
    from easyr1_fgrpo.easyr1_plugin.config import as_written

    run_dir, total = config.fgrpo["run_dir"], config.trainer.max_steps
    written = as_written(config, total)
    done = saved_step(written)
    if done is not None and total is not None and done >= total:
        print(f"{run_dir}: all {total} steps are done; raise trainer.max_steps to go on")
        return 0
    print(f"{run_dir}: {'starting' if done is None else f'resuming after step {done}'}", flush=True)
    note_start(written, done, KEYS)
    saved_run(written).go_back()
    return _train(config)


def _train(config: FaithfulPPOConfig) -> int:
    import ray

    from easyr1_fgrpo.easyr1_plugin.runner import Runner
    from easyr1_fgrpo.watch import StuckError, watched

    environment: dict[str, Any] = {"env_vars": WORKERS}
    options: dict[str, Any] = {}
    if on_cpu():
        environment["worker_process_setup_hook"] = "easyr1_fgrpo.easyr1_plugin.cpu.platform.install"
        # A GPU is a slot for one rank.
        options = {"address": "local", "num_cpus": 16, "num_gpus": config.trainer.n_gpus_per_node}
    run_dir, error = Path(config.fgrpo["run_dir"]), None
    try:
        ray.init(runtime_env=environment, **options)
        take_signals()  # Ray has just put its own handlers
        runner = ray.remote(num_cpus=1)(Runner).remote()
        with watched(run_dir, config.fgrpo["max_silence_s"], lambda: runner):
            ray.get(runner.run.remote(config))
        if config.trainer.ray_timeline is not None:
            ray.timeline(filename=config.trainer.ray_timeline)
    except (KeyboardInterrupt, ray.exceptions.RayError, StuckError) as ended:
        error = ended
    finally:
        ray.shutdown()  # its workers' last lines come before ours
    if error is None:
        return 0
    # Below EasyR1's progress bars.
    if isinstance(error, KeyboardInterrupt):
        print("\nstopped: the same command resumes after the last checkpoint", file=sys.stderr)
        return stop_code()
    print(f"\nerror: {printable(on_full_disk(reason(error), run_dir))}", file=sys.stderr)
    return exit_code(error)
