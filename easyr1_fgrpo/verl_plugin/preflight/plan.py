"""`fgrpo plan`: what a run would do and take, and everything wrong with it, before a GPU is used.

Composes the config, checks it as training will (verl's own validation included), and prints steps, rollouts, judge
calls, memory and disk. All problems are named at once.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from easyr1_fgrpo.config.load import ConfigError, IncompleteConfigError, load_config, read_settings
from easyr1_fgrpo.config.schema import FgrpoConfig
from easyr1_fgrpo.preflight.counts import Assumptions
from easyr1_fgrpo.verl_plugin.preflight.counts import counts
from easyr1_fgrpo.verl_plugin.preflight.gpus import Offered, offered
from easyr1_fgrpo.verl_plugin.preflight.machine import machine_problems
from easyr1_fgrpo.verl_plugin.preflight.numbers import number_problems
from easyr1_fgrpo.verl_plugin.preflight.resume import resume_problems
from easyr1_fgrpo.verl_plugin.preflight.run_problems import NO_JUDGE, run_problems


def plan(overrides: Sequence[str], *, files: bool, assumed: Assumptions) -> int:
    """Print the plan of a run and its problems; with an override that is refused, its problems alone.

    Args:
        overrides: Hydra overrides of the run.
        files: whether checkpoint and data must be here.
        assumed: what only a run can tell.

    Returns:
        The exit code: 1 when something is wrong.
    """
    from rich.console import Console

    try:
        config, usable, problems = _compose(overrides)
        config, settings, refused = _settings(config, usable)
    except ConfigError as error:
        return _told(error.lines)
    problems += refused
    judges = NO_JUDGE in overrides or NO_JUDGE not in usable  # not where one of them is what was refused
    set_aside = bool(problems)
    if settings is not None:
        # Before verl is imported: it resolves its platform once, and a plan needs no accelerator.
        os.environ.setdefault("VERL_PLATFORM", "cpu")
        problems += run_problems(config, files=files, judges=judges)
        problems += resume_problems(config) if files else []
        found, lacking = _gpus(config, settings)
        problems += lacking
        if not set_aside:  # a table without what was asked for would be another run's
            Console().print(counts(config, settings, assumed, found))
    if not problems:
        print("nothing is wrong with this plan" + ("" if files else "; checkpoint and data were not looked for"))
    return _told(problems)


def _told(problems: Sequence[str]) -> int:
    """Print the problems; the exit code."""
    from rich.console import Console

    console = Console(stderr=True)
    for problem in problems:
        console.print(f"error: {problem}", style="red", markup=False, highlight=False, soft_wrap=True)
    return 1 if problems else 0


def _compose(overrides: Sequence[str]) -> tuple[Any, list[str], list[str]]:
    """The config of the overrides that can be composed, these overrides, and what is wrong with the others."""
    try:
        return load_config(overrides), list(overrides), []
    except IncompleteConfigError:
        raise  # what is missing is known; no override is wrong on its own
    except ConfigError as error:
        whole = error
    usable: list[str] = []
    problems = []
    # Group choices first: other keys exist only with them.
    for override in sorted(overrides, key=lambda override: "." in override.partition("=")[0]):
        try:
            load_config([*usable, override])
        except IncompleteConfigError:
            usable.append(override)  # what it lacks may come with the next
        except ConfigError as error:
            name = override.partition("=")[0]
            problems += [line if line.startswith(name) else f"{override}: {line}" for line in error.lines]
        else:
            usable.append(override)
    if not problems:
        raise whole
    if any(problem.startswith("judge=") for problem in problems):
        usable.append(NO_JUDGE)  # the default judge would only add more problems
    try:
        return load_config(usable), usable, problems
    except ConfigError as error:
        raise ConfigError([*problems, *error.lines]) from whole


def _settings(config: Any, overrides: Sequence[str]) -> tuple[Any, FgrpoConfig | None, list[str]]:
    """Our own settings; where values are refused, those of the recipe without them, so that the rest is checked too."""
    problems = list(number_problems(config))
    try:
        settings = read_settings(config)
    except ConfigError as error:
        problems += error.lines
    if not problems:
        return config, settings, []
    refused = tuple(problem.partition(":")[0].partition("=")[0] for problem in problems)
    usable = [override for override in overrides if not override.lstrip("+").startswith(refused)]
    config = load_config(usable)
    try:
        return config, read_settings(config), problems
    except ConfigError:
        return config, None, problems


def _gpus(config: Any, settings: FgrpoConfig) -> tuple[Offered | None, list[str]]:
    """The GPUs that there are, and what is wrong with the machine; a laptop may plan what it cannot train."""
    if config.trainer.device != "cuda":
        return None, machine_problems(config, settings)
    try:
        found = offered()
    except ConnectionError:
        return None, machine_problems(config, settings)
    if found is None:
        print("not checked here, as this machine has no GPU: CUDA, vllm and flash_attn, and whether the GPUs suffice")
        return None, []
    return found, machine_problems(config, settings)
