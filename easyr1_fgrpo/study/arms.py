"""What is compared. Arms differ in configuration only; everything else is the recipe's."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

STEPS = 200
LONG = 440
QUICK_STEPS = 60
QUICK = ("grpo_t", "fgrpo")
SEEDS = (0, 1, 2)

_ZERO_FILL = "fgrpo.advantage.mask_mode=zero_fill"


@dataclass(frozen=True)
class Arm:
    """One way to train.

    Attributes:
        name: of its row and its folder.
        about: what it is, for the page.
        overrides: what it changes, Hydra overrides.
        steps: of RL.
        held_out: whether a question type is left out of RL, another one for each seed.
        judge_errors: share of training's judge requests that get the opposite verdict; evaluation's get the true one.
    """

    name: str
    about: str
    overrides: tuple[str, ...]
    steps: int = STEPS
    held_out: bool = False
    judge_errors: float = 0.0


def _start(value: str) -> tuple[str, ...]:
    keys = ("consistency", "spatial_grounding", "semantic_grounding")
    return ("arm=fgrpo", *(f"fgrpo.constraints.{key}.initial_multiplier={value}" for key in keys))


_MAIN = (
    Arm("grpo_t", "the task reward alone", ("arm=grpo_t",)),
    Arm("fgrpo", "three constraints, multipliers by dual ascent (Eq. 4, 6)", ("arm=fgrpo",)),
    Arm("additive", "one scalar reward, signals added", ("arm=additive",)),
    Arm("multiplicative", "one scalar reward, signals multiplied", ("arm=multiplicative",)),
    Arm("consistency_only", "one constraint", ("arm=consistency_only",)),
    Arm("fixed_multipliers", "three constraints, multipliers stay at 1", ("arm=fixed_multipliers",)),
    Arm("fgrpo_zero_fill", "FGRPO, rows without a signal count as 0 in its group", ("arm=fgrpo", _ZERO_FILL)),
    Arm("gdpo_style", "fixed multipliers with zero fill (GDPO, 2601.05242)", ("arm=fixed_multipliers", _ZERO_FILL)),
)
_MORE = (
    Arm("grpo_t_held_out", "GRPO-T, one question type absent from RL", ("arm=grpo_t",), held_out=True),
    Arm("fgrpo_held_out", "FGRPO, one question type absent from RL", ("arm=fgrpo",), held_out=True),
    Arm("fgrpo_start_0.1", "FGRPO, multipliers start at 0.1", _start("0.1")),
    Arm("fgrpo_start_5", "FGRPO, multipliers start at 5", _start("5.0")),
    Arm("fgrpo_judge_errors", "FGRPO, one verdict in ten is wrong in training", ("arm=fgrpo",), judge_errors=0.1),
    Arm("grpo_t_long", f"GRPO-T for {LONG} steps", ("arm=grpo_t",), steps=LONG),
    Arm("fgrpo_long", f"FGRPO for {LONG} steps", ("arm=fgrpo",), steps=LONG),
)
_CHOICES = (
    Arm("fgrpo_whiten_rollout", "FGRPO, whitened over rollouts", ("arm=fgrpo", "fgrpo.advantage.whiten=rollout")),
    Arm("fgrpo_whiten_none", "FGRPO, not whitened", ("arm=fgrpo", "fgrpo.advantage.whiten=none")),
    Arm("fgrpo_min_std", "FGRPO, standard deviations floored at 0.1", ("arm=fgrpo", "fgrpo.advantage.min_std=0.1")),
    Arm("fgrpo_pid", "FGRPO, multipliers by PID control", ("arm=fgrpo", "fgrpo.dual.controller=pid")),
    Arm("fgrpo_by_sentence", "FGRPO, sentences credit their own tokens", ("arm=fgrpo", "fgrpo.reward.level=sentence")),
)
ARMS = MappingProxyType({arm.name: arm for arm in (*_MAIN, *_MORE, *_CHOICES)})
MAIN = tuple(arm.name for arm in _MAIN)
