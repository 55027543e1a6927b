"""Everything that is looked at before a run on EasyR1 starts: config, files, rows, what it would go on from, judges."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from verl.utils.dataset import process_image

from easyr1_fgrpo.config.load import ConfigError, read_settings
from easyr1_fgrpo.config.schema import FgrpoConfig
from easyr1_fgrpo.easyr1_plugin.config import FaithfulPPOConfig, as_written, easyr1_config, read_arguments
from easyr1_fgrpo.easyr1_plugin.dataset import rows_of
from easyr1_fgrpo.easyr1_plugin.keys import key_notes
from easyr1_fgrpo.easyr1_plugin.problems import run_problems
from easyr1_fgrpo.easyr1_plugin.resume import resume_problems
from easyr1_fgrpo.easyr1_plugin.row_checks import first_samples, row_notes, row_problems, word_problems
from easyr1_fgrpo.easyr1_plugin.rows import Rows
from easyr1_fgrpo.preflight.counts import Assumptions, judge_counts, step_counts, threshold_counts, weight_counts
from easyr1_fgrpo.preflight.first_question import asked_here, first_question_problems
from easyr1_fgrpo.preflight.tokens import model_file

PATCH = 14
"""Pixels of a patch's side, of Qwen2.5-VL: where the model is not here to say its own."""


@dataclass(frozen=True)
class CheckedRun:
    """A run without problems.

    Attributes:
        asked: the whole config as it was asked for.
        settings: its key `fgrpo`.
        config: as EasyR1's trainer reads it.
        rows: of training; None where they were not looked for.
    """

    asked: Any
    settings: FgrpoConfig
    config: FaithfulPPOConfig
    rows: Rows | None

    def first_question_problems(self) -> list[str]:
        """One line for each judge that gives no verdict on the first row, and each signal that fails on it."""
        if self.rows is None or not (asked_here(self.settings) or self.settings.signals):
            return []
        (first, answers), data = first_samples(self.rows), self.asked.data
        seen = tuple(process_image(image, data.min_pixels, data.max_pixels) for image in first.images)
        return first_question_problems(self.asked, self.settings, replace(first, images=seen), answers)

    def counts(self, assumed: Assumptions) -> Iterator[tuple[str, str]]:
        """What the run does."""
        data, n, trainer = self.config.data, self.config.worker.rollout.n, self.config.trainer
        steps = trainer.max_steps
        if steps is None and self.rows is not None:
            steps = len(self.rows) // data.rollout_batch_size * trainer.total_epochs
        policy = f"{self.config.worker.actor.model.model_path}, arm {self.config.arm}"
        yield from step_counts(policy, steps, data.rollout_batch_size, n)
        yield "GPUs of the policy", f"{trainer.nnodes} x {trainer.n_gpus_per_node}"
        yield from weight_counts(self.settings)
        yield from threshold_counts(self.settings)
        # EasyR1 hands over a step's rollouts together.
        yield from judge_counts(self.settings, assumed, rollouts=data.rollout_batch_size * n, at_once=True)


def checked_run(arguments: Sequence[str], *, files: bool) -> CheckedRun:
    """Check a run; prints what a user may not expect of it.

    Args:
        arguments: `config=FILE.yaml`, and keys of EasyR1 and of ours.
        files: whether model and data must be here.

    Raises:
        ConfigError: with everything that is wrong, one line each.
    """
    asked = read_arguments(arguments)
    settings = read_settings(asked)
    if problems := run_problems(asked, settings, files=files):
        raise ConfigError(problems)
    rows = _checked_rows(asked) if files else None
    notes = [*key_notes(asked), *_model_notes(asked)]
    for line in [*notes, *(row_notes(asked, rows) if rows is not None else ())]:
        print(f"note: {line}")
    config = easyr1_config(asked)
    if files and (problems := resume_problems(as_written(config, None))):
        raise ConfigError(problems)
    return CheckedRun(asked, settings, config, rows)


def _checked_rows(asked: Any) -> Rows:
    """The rows of training, after those of both files were looked at.

    Raises:
        ConfigError: when something is wrong with them.
    """
    patch_size = _described(asked).get("vision_config", {}).get("patch_size", PATCH)
    found: dict[str, Rows] = {}
    problems = []
    for key in ("train_files", "val_files"):
        try:
            found[key] = rows_of(asked.data, key)
        except ValueError as error:
            problems.append(str(error))
        else:
            problems += row_problems(asked, key, found[key], patch_size)
    if not problems:
        problems += word_problems(asked, found["train_files"])
    if problems:
        raise ConfigError(problems)
    return found["train_files"]


def _described(asked: Any) -> dict[str, Any]:
    """config.json of the model, where it is on this machine."""
    file = model_file(asked.worker.actor.model.model_path, "config.json")
    found: dict[str, Any] = json.loads(file.read_bytes()) if file else {}
    return found


def _model_notes(asked: Any) -> Iterator[str]:
    model, coordinates = asked.worker.actor.model.model_path, asked.fgrpo.images.coordinates
    is_qwen3 = "qwen3-vl" in model.lower() or str(_described(asked).get("model_type")).startswith("qwen3_vl")
    if is_qwen3 and coordinates == "pixels":
        yield (
            f"fgrpo.images.coordinates=pixels: {model} is a Qwen3-VL, which writes boxes in thousandths of the sides "
            "unless it was trained to write pixels; say fgrpo.images.coordinates=thousand"
        )
