"""Rollouts' numbers as the reward worker reports them (`RolloutScore.to_numbers`), for two signals."""

import math

from easyr1_fgrpo.rewards import Reason

NAMES = ("consistency", "spatial_grounding")


def scored(value):
    return value, True, Reason.NONE


def measured_only(value):
    """A wrong rollout that was judged all the same: a value, and the constraint does not apply."""
    return value, False, Reason.NONE


def absent(reason):
    return math.nan, False, reason


def numbers(task, consistency=None, spatial_grounding=None, **extras):
    signals = {
        "task": task,
        "consistency": consistency or absent(Reason.ANSWER_WRONG),
        "spatial_grounding": spatial_grounding or absent(Reason.NO_REFERENCE),
    }
    row = {}
    for name, (value, valid, reason) in signals.items():
        row |= {name: value, f"{name}_valid": float(valid), f"{name}_reason": float(reason)}
    return {**row, **extras}
