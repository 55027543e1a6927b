"""Steps of FGRPO on reported rows, by keys `group_session_output`; a group that starts with "pad" is padding."""

import torch
from made_trainer import settings_of

from easyr1_fgrpo.config.schema import FgrpoConfig
from easyr1_fgrpo.training.step import Fgrpo
from easyr1_fgrpo.training.step_signals import RolloutId

FOUND_TOO = {f"{name}{end}": 0.0 for name in ("format", "accuracy", "semantic_grounding") for end in ("", "_valid")}


def make(**changes):
    return Fgrpo(FgrpoConfig.model_validate(settings_of(**changes)))


def id_of(key):
    group, session, output = key.rsplit("_", 2)
    return None if group.startswith("pad") else RolloutId(group, int(session), int(output))


def begin(fgrpo, rows, expected=None):
    reported = [None if row is None else FOUND_TOO | row for row in rows.values()]
    return fgrpo.begin_step(1, [id_of(key) for key in rows], reported, expected=expected or len(rows))


def step_of(fgrpo, rows, expected=None):
    """The advantages and the metrics of a whole step."""
    step = begin(fgrpo, rows, expected)
    advantage = fgrpo.advantage(step, torch.ones(len(rows), 2, dtype=torch.long))
    return advantage, fgrpo.end_step(step, advantage)
