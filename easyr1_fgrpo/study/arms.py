"""What is compared. Arms differ in configuration only; everything else is the recipe's."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

STEPS = 200
LONG = 440
HOMECOMING = 100
"""Steps in which multipliers that start wrong have to come home."""
STARTS = ("0.1", "5.0")
"""Multipliers that are wrong from the start: FGRPO's start at 1."""
LEVELS = ("0.80", "0.90", "0.99")
"""Thresholds of consistency and semantic grounding that are asked for beside the paper's 0.95."""
WEIGHTS = ("0.1", "0.3", "3.0")
"""Weights of the same signals in the weighted sum, beside 1."""
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
        errors: which verdicts are affected, as the oracle's option of this name.
    """

    name: str
    about: str
    overrides: tuple[str, ...]
    steps: int = STEPS
    held_out: bool = False
    judge_errors: float = 0.0
    errors: str = "both"


_KEYS = ("consistency", "spatial_grounding", "semantic_grounding")
_JUDGED = ("consistency", "semantic_grounding")
_BRIEF = "recipes/examples/length_budget.py:length_budget"
_TENTH = "recipes/examples/scaled_grounding.py:tenth_of_grounding"


def _start(value: str) -> tuple[str, ...]:
    return ("arm=fgrpo", *(f"fgrpo.constraints.{key}.initial_multiplier={value}" for key in _KEYS))


def _level(threshold: str) -> tuple[str, ...]:
    return ("arm=fgrpo", *(f"fgrpo.constraints.{key}.threshold={threshold}" for key in _JUDGED))


def _weights(**weights: str) -> tuple[str, ...]:
    return ("arm=weighted_sum", *(f"fgrpo.reward.weights.{key}={weight}" for key, weight in weights.items()))


def _brief(threshold: str) -> tuple[str, ...]:
    return ("arm=fgrpo", f"fgrpo.constraints.length_budget={{signal:{_BRIEF},threshold:{threshold}}}")


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
_PID = "fgrpo.dual.controller=pid"
_ASKED = (
    *(Arm(f"fgrpo_level_{level}", f"FGRPO that asks for {level}", _level(level)) for level in LEVELS),
    *(Arm(f"pid_level_{level}", f"PID that asks for {level}", (*_level(level), _PID)) for level in LEVELS),
    Arm("weighted_sum", "consistency and semantic grounding added to the task reward, weight 1", ("arm=weighted_sum",)),
    *(
        Arm(
            f"weighted_sum_{weight}",
            f"the same, weight {weight}",
            _weights(consistency=weight, semantic_grounding=weight),
        )
        for weight in WEIGHTS
    ),
)
_SCALE = (
    Arm(
        "fgrpo_tenth",
        "FGRPO, semantic grounding measured on a scale that ends at 0.1",
        (
            "arm=fgrpo",
            f"fgrpo.constraints.tenth={{signal:{_TENTH},threshold:0.095}}",
            "fgrpo.constraint_keys=[consistency,spatial_grounding,tenth]",
        ),
    ),
    Arm("weighted_sum_tenth", "weighted sum, semantic grounding times 0.1", _weights(semantic_grounding="0.1")),
    Arm("weighted_sum_tenfold", "weighted sum, semantic grounding times 10", _weights(semantic_grounding="10.0")),
)
_COMPETITION = (
    *(
        Arm(f"fgrpo_brief_{level}", f"FGRPO and a length budget, threshold {level}", _brief(level))
        for level in ("0.5", "0.9")
    ),
    *(
        Arm(
            f"weighted_sum_brief_{weight}",
            f"weighted sum and a length budget, weight {weight}",
            (
                *_weights(spatial_grounding="1.0"),
                f"fgrpo.signals.length_budget={_BRIEF}",
                f"fgrpo.reward.weights.length_budget={weight}",
            ),
        )
        for weight in ("0.3", "1.0")
    ),
)
CONTROLLERS = {
    "dual_ascent": ("dual ascent", ()),
    "lr_0.5": ("dual ascent with a rate of 0.5", ("fgrpo.dual.lr=0.5",)),
    "pid": ("PID", (_PID,)),
    "nupi": ("nuPI", ("fgrpo.dual.controller=nupi",)),
    "multiplicative": (
        "multiplicative updates with a rate of 1",
        ("fgrpo.dual.controller=multiplicative", "fgrpo.dual.lr=1.0"),
    ),
}


def _told(error: str) -> tuple[str, ...]:
    error = f"{{false_negative:{error},false_positive:{error}}}"
    return ("arm=fgrpo", *(f"fgrpo.constraints.{key}.judge_error={error}" for key in _JUDGED))


_ERRORS = tuple(
    Arm(f"fgrpo_judge_errors{name}", f"FGRPO, {about} of verdicts are wrong{rest}", overrides, judge_errors=share)
    for name, about, rest, overrides, share in (
        ("_0.05", "5 %", "", ("arm=fgrpo",), 0.05),
        ("_0.2", "20 %", "", ("arm=fgrpo",), 0.2),
        ("_told", "10 %", ", and the run is told", _told("0.1"), 0.1),
        ("_0.2_told", "20 %", ", and the run is told", _told("0.2"), 0.2),
    )
)
_ONE_SIDED = tuple(
    Arm(
        f"fgrpo_judge_{errors}",
        f"FGRPO, 10 % of the verdicts that could be are {errors.replace('_', ' ')}",
        ("arm=fgrpo",),
        judge_errors=0.1,
        errors=errors,
    )
    for errors in ("false_negatives", "false_positives")
)
CORRECTED = MappingProxyType(
    {"fgrpo_judge_errors": "fgrpo_judge_errors_told", "fgrpo_judge_errors_0.2": "fgrpo_judge_errors_0.2_told"}
)
"""Arms whose judge errs, and the same with `judge_error` set."""
_HOME = tuple(
    Arm(
        f"home_{value}_{name}", f"multipliers start at {value}, {about}", (*_start(value), *overrides), steps=HOMECOMING
    )
    for value in STARTS
    for name, (about, overrides) in CONTROLLERS.items()
)
_ALL = (*_MAIN, *_MORE, *_CHOICES, *_ASKED, *_SCALE, *_COMPETITION, *_HOME, *_ERRORS, *_ONE_SIDED)
ARMS = MappingProxyType({arm.name: arm for arm in _ALL})
MAIN = tuple(arm.name for arm in _MAIN)
