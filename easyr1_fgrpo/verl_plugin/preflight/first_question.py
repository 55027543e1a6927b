"""First questions to the judges of a run on verl: about the first row of its data."""

from __future__ import annotations

from itertools import islice
from typing import Any

from easyr1_fgrpo.config.schema import FgrpoConfig
from easyr1_fgrpo.preflight import first_question
from easyr1_fgrpo.rows import read_rows
from easyr1_fgrpo.training.rollout import sample_of
from easyr1_fgrpo.verl_plugin.paths import data_files


def first_question_problems(config: Any, settings: FgrpoConfig) -> list[str]:
    """One line for each judge that gave no verdict, and each custom signal that fails; see `preflight.first_question`.

    Args:
        config: the whole composed config; its training data are here.
        settings: its key `fgrpo`.
    """
    if not first_question.asked_here(settings) and not settings.signals:
        return []
    path = data_files(config.data.train_files)[0]
    if not path.exists():  # a stage refuses that where it needs the data
        return []
    try:
        rows = list(islice(read_rows(path), first_question.LOOKED_AT))
    except (OSError, ValueError) as error:
        return [f"data.train_files={path}: cannot be read ({error})"]
    if not rows:
        return [f"data.train_files={path}: it holds no rows"]
    first = sample_of(rows[0].model_dump(by_alias=True), rows[0].open_images())
    answers = [row.reward_model.ground_truth for row in rows]
    return first_question.first_question_problems(config, settings, first, answers)
