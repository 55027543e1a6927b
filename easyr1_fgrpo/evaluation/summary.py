"""`fgrpo summary [overrides]`: the last table of a run, before and after RL.

Measures the exported checkpoints on held-out questions that training never saw (greedy and sampled), and prints them
with the multipliers and the run directory. Takes the overrides of the run; finished ones are not repeated.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from easyr1_fgrpo.checkpoints import CheckpointError, exported_model, last_checkpoint, read_state
from easyr1_fgrpo.config.load import ConfigError, load_config, read_settings
from easyr1_fgrpo.config.schema import FgrpoConfig, RewardSettings

HELD_OUT = "held-out"
"""What a run's own test questions are called as a benchmark."""


def main(overrides: list[str]) -> int:
    """Evaluate the run's first and last checkpoint and print the table.

    Args:
        overrides: the Hydra overrides of the run.

    Returns:
        The exit code.
    """
    try:
        config = load_config(overrides)
        settings = read_settings(config)
        after = last_checkpoint(Path(config.trainer.default_local_dir))
    except ConfigError as error:
        for line in error.lines:
            print(f"error: {line}", file=sys.stderr)
        return 1
    except CheckpointError as error:
        print(f"error: trainer.default_local_dir={error}", file=sys.stderr)
        return 1
    if "evaluation" not in config:
        print(f"run directory: {settings.run_dir}")
        print(f"its checkpoint for use elsewhere: bash recipes/export_hf.sh {settings.run_dir} OUT")
        return 0
    checkpoints = {"before_RL": Path(config.actor_rollout_ref.model.path), "after_RL": exported_model(after)}
    multipliers = {
        "before_RL": {key: settings.constraints[key].initial_multiplier for key in settings.constraint_keys},
        "after_RL": read_state(after)["multipliers"],
    }
    _evaluate_and_print(config, settings, checkpoints, multipliers)
    print(f"run directory: {settings.run_dir}")
    return 0


def questions(config: Any) -> Path:
    """The file of questions of the last table: the config's, unless that is of a world in which the run never was.

    A run on files of its own, with a config made for the miniature, is measured on its own validation file, the first
    where it has several.
    """
    named = Path(config.evaluation.file)
    files = config.data.val_files
    validated = [Path(file) for file in ([files] if isinstance(files, str) else files)]
    world = config.stages.get("world")
    if world is None or Path(world) not in named.parents or any(Path(world) in file.parents for file in validated):
        return named
    print(f"the last table is of data.val_files={validated[0]}: the run was on no questions of {named}")
    return validated[0]


def _evaluate_and_print(
    config: Any, settings: FgrpoConfig, checkpoints: dict[str, Path], multipliers: dict[str, dict[str, float]]
) -> None:
    from rich.console import Console

    from easyr1_fgrpo.evaluation.answers.models import ModelSpec
    from easyr1_fgrpo.evaluation.benchmarks import RowFile, Source
    from easyr1_fgrpo.evaluation.evaluate import evaluate
    from easyr1_fgrpo.evaluation.mode import Mode
    from easyr1_fgrpo.evaluation.plan import Plan
    from easyr1_fgrpo.evaluation.results.results import FOLDER
    from easyr1_fgrpo.evaluation.scoring.judges import judges_of
    from easyr1_fgrpo.evaluation.styles import trained_on
    from easyr1_fgrpo.evaluation.tables.before_after import results_table

    style = trained_on(settings.images)
    plan = Plan(
        models=[ModelSpec(name, style, None, folder) for name, folder in checkpoints.items()],
        benchmarks=[Source(RowFile(HELD_OUT), questions(config))],
        out=Path(settings.run_dir) / FOLDER,
        modes=tuple(Mode),
        samples=config.evaluation.samples,
        seed=config.evaluation.seed,
        max_new_tokens=config.data.max_response_length,
        concurrency=config.evaluation.batch,
    )
    scoring = replace(judges_of(settings), rewards=RewardSettings(judge_scope="all"))
    evaluation, rejects = asyncio.run(evaluate(plan, scoring))
    extra = {
        f"multiplier of {key}": {name: f"{values[key]:.2f}" for name, values in multipliers.items()}
        for key in settings.constraint_keys
    }
    Console().print(results_table(evaluation, extra))
    if rejects:
        print(f"{len(rejects)} rejects, the first: {rejects[0].row}: {rejects[0].reason}", file=sys.stderr)
