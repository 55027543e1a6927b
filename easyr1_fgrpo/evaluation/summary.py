"""`fgrpo summary RUN | OVERRIDES`: the last table of a run, before and after RL.

Measures the run's first and last checkpoint on held-out questions (greedy and sampled), and prints them with the
multipliers and the run directory. What the run was is read from its own config.yaml; of the command line counts which
run is meant, and who judges (`judge=`) and how it is asked (`evaluation.*`) where it says so. Finished ones are not
repeated.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf, open_dict

from easyr1_fgrpo.checkpoints import CheckpointError, last_checkpoint, read_state
from easyr1_fgrpo.config.load import ConfigError, load_config, read_settings
from easyr1_fgrpo.config.schema import FgrpoConfig, RewardSettings
from easyr1_fgrpo.export import loadable
from easyr1_fgrpo.metrics_file import read_metrics

HELD_OUT = "held-out"
"""What a run's own test questions are called as a benchmark."""

CONFIG_FILE = "config.yaml"
"""Of a run: what it was trained with."""

_ASKED = {"samples": 512, "seed": 1, "batch": 64}
"""How a run without the key `evaluation` is asked."""

_JUDGES = ("judge=", "judge_endpoint.", "fgrpo.judges.", "fgrpo.reward_servers.")


def main(given: Sequence[str]) -> int:
    """Evaluate the run's first and last checkpoint and print the table.

    Args:
        given: the run's folder or its Hydra overrides, or the folder and some.

    Returns:
        The exit code.
    """
    overrides = [word for word in given if "=" in word or word.startswith("~")]
    named = [Path(word) for word in given if word not in overrides]
    try:
        if named and (unread := [line for line in map(_unread, overrides) if line]):
            raise ConfigError(unread)
        for path in named:
            if not (path / CONFIG_FILE).is_file():
                raise ConfigError(
                    [f"{path}: no run there, {CONFIG_FILE} is missing; name its folder, or its overrides"]
                )
            overrides.append(f"fgrpo.run_dir={path}")
        config = as_trained(load_config(overrides), overrides)
        settings = read_settings(config)
        if "~evaluation" in overrides:
            print(f"run directory: {settings.run_dir}")
            return 0
        after = last_checkpoint(Path(config.trainer.default_local_dir))
        if not named and config.trainer.device == "cuda" and _judges_hold_gpus(settings):
            print(
                f"no table yet: the judge's server holds GPUs here, of which vLLM would take the first; once others "
                f"are free: CUDA_VISIBLE_DEVICES=N fgrpo summary {settings.run_dir}"
            )
            return 0
        checkpoints = {"before_RL": Path(config.actor_rollout_ref.model.path), "after_RL": loadable(after)}
    except ConfigError as error:
        for line in error.lines:
            print(f"error: {line}", file=sys.stderr)
        return 1
    except CheckpointError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    multipliers = {
        "before_RL": {key: settings.constraints[key].initial_multiplier for key in settings.constraint_keys},
        "after_RL": read_state(after)["multipliers"],
    }
    try:
        _evaluate_and_print(config, settings, checkpoints, multipliers)
    except (ValueError, OSError) as error:  # a judge that cannot be built, questions that are gone
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"run directory: {settings.run_dir}")
    return 0


def _unread(override: str) -> str | None:
    """Why an override beside a run's folder would change nothing; None for one that counts."""
    key = override.partition("=")[0].lstrip("+")
    known = (*_ASKED, "file")
    if key.startswith("evaluation.") and key.partition(".")[2] not in known:
        return f"{key}: no such key; there are {', '.join(f'evaluation.{name}' for name in known)}"
    if key == "~evaluation" or key.startswith("evaluation.") or override.lstrip("+").startswith(_JUDGES):
        return None
    return f"{override}: a run's folder says what the run was; beside it only judges and evaluation.KEY can be given"


def as_trained(config: Any, overrides: Sequence[str]) -> Any:
    """The config that a run was trained with, and of a composed one what the command says of the measurement.

    Args:
        config: composed; its run need not have begun.
        overrides: that it was composed from.
    """
    written = Path(config.fgrpo.run_dir) / CONFIG_FILE
    trained = OmegaConf.load(written) if written.is_file() else config
    with open_dict(trained):
        if "evaluation" not in trained:
            trained.evaluation = {"file": trained.data.val_files, **_ASKED}
        if trained is config:
            return config
        was, checkpoints = Path(trained.fgrpo.run_dir), Path(trained.trainer.default_local_dir)
        trained.fgrpo.run_dir = str(written.parent)
        if was in checkpoints.parents:  # a copy is measured by what it holds, wherever the run was
            trained.trainer.default_local_dir = str(written.parent / checkpoints.relative_to(was))
        if any(override.lstrip("+").startswith(_JUDGES) for override in overrides):
            for key in ("judges", "reward_servers"):
                trained.fgrpo[key] = OmegaConf.to_container(config.fgrpo[key], resolve=True)
        for override in overrides:
            key = override.partition("=")[0].lstrip("+")
            if key.startswith("evaluation."):
                OmegaConf.update(trained, key, OmegaConf.select(config, key))
    return trained


def _judges_hold_gpus(settings: FgrpoConfig) -> bool:
    return any(server.kind == "vllm" for server in settings.reward_servers.values())


def questions(config: Any) -> Path:
    """The file of questions of the last table: the config's, unless that is of a world in which the run never was.

    A run on files of its own, with a config made for the miniature, is measured on its own validation file, the first
    where it has several.
    """
    file, files = config.evaluation.file, config.data.val_files
    named = Path(file if isinstance(file, str) else file[0])
    validated = [Path(file) for file in ([files] if isinstance(files, str) else files)]
    world = config.stages.get("world")
    if world is None or not _within(named, world) or any(_within(file, world) for file in validated):
        return named
    print(f"the last table is of data.val_files={validated[0]}: the run was on no questions of {named}")
    return validated[0]


def _within(file: Path, folder: str) -> bool:
    """Whether a file is below a folder; a run's config.yaml has absolute paths of its data, and others as they were."""
    return Path(folder).absolute() in file.absolute().parents


def unmeasured_steps(settings: FgrpoConfig) -> dict[int, list[str]]:
    """The run's steps, each with the constraints whose judge measured too few rollouts; none without its metrics."""
    path, least = Path(settings.run_dir) / "metrics.jsonl", settings.dual.min_valid_share
    metrics = read_metrics(path) if path.exists() else {}
    return {
        step: [key for key in settings.constraint_keys if row.get(f"fgrpo/{key}/valid_share", 1.0) < least]
        for step, row in metrics.items()
        if step > 0
    }


def erring_judges(settings: FgrpoConfig) -> list[str]:
    """One line for each constraint whose threshold is one of the true rate: the table's numbers are as judged."""
    asked = {key: settings.constraints[key] for key in settings.constraint_keys}
    return [
        f"{key}: a true rate of {one.threshold:g} was asked for, which a judge with the errors {one.judge_error} "
        f"measures as {one.measured_threshold:.3f}; no number of the table is corrected for a judge's errors"
        for key, one in asked.items()
        if one.judge_error is not None
    ]


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
    if steps := unmeasured_steps(settings):
        extra["steps unmeasured"] = {"after_RL": f"{sum(map(bool, steps.values()))} of {len(steps)}"}
    Console().print(results_table(evaluation, extra))
    for line in erring_judges(settings):
        print(line)
    for key, times in Counter(key for keys in steps.values() for key in keys).items():
        print(f"{key} was not measured at {times} of {len(steps)} steps: its judge failed, and its multiplier was held")
    if rejects:
        print(f"{len(rejects)} rejects, the first: {rejects[0].row}: {rejects[0].reason}", file=sys.stderr)
