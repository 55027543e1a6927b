"""`fgrpo summary [overrides]`: the last table of a run, before and after RL.

Measures the exported checkpoints on held-out questions that training never saw (greedy and sampled), and prints them
with the multipliers and the run directory. Takes the overrides of the run; finished measurements are kept.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from easyr1_fgrpo.checkpoints import CheckpointError, exported_model, last_checkpoint, read_state
from easyr1_fgrpo.config.load import ConfigError, load_config, read_settings
from easyr1_fgrpo.config.schema import FgrpoConfig
from easyr1_fgrpo.judges.factory import build_judges, close


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


def _evaluate_and_print(
    config: Any, settings: FgrpoConfig, checkpoints: dict[str, Path], multipliers: dict[str, dict[str, float]]
) -> None:
    from rich.console import Console

    from easyr1_fgrpo.evaluation.results import Mode, Result
    from easyr1_fgrpo.evaluation.run import Protocol, evaluate_checkpoints
    from easyr1_fgrpo.evaluation.table import results_table

    protocol = Protocol(
        data=Path(config.evaluation.file),
        samples=config.evaluation.samples,
        seed=config.evaluation.seed,
        max_new_tokens=config.data.max_response_length,
        judge="fgrpo.judges",
        judge_options=settings.model_dump(mode="json", include={"judges", "reward_servers"}),
        batch=config.evaluation.batch,
    )
    judges = build_judges(settings, in_process=True)
    out = Path(settings.run_dir) / "evaluation"

    async def measure() -> list[Result]:
        try:
            return await evaluate_checkpoints(checkpoints, list(Mode), protocol, judges, out)
        finally:
            await close(judges.values())

    results = asyncio.run(measure())
    extra = {
        f"multiplier of {key}": {name: f"{values[key]:.2f}" for name, values in multipliers.items()}
        for key in settings.constraint_keys
    }
    Console().print(results_table(results, extra))
