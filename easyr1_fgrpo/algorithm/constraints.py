"""Constraints and how far the batch is from satisfying them (FGRPO Eq. 5)."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from .checks import Values, applicable_values, as_tensor


@dataclass(frozen=True)
class Constraint:
    """The mean score of signal `name` over a batch shall be at least `threshold`.

    Attributes:
        name: the signal's name.
        threshold: tau of FGRPO Eq. 4, in [0, 1].
        initial_multiplier: lambda before the first dual step, at least 0.

    Raises:
        ValueError: when a value is out of its range.
    """

    name: str
    threshold: float
    initial_multiplier: float = 1.0

    def __post_init__(self) -> None:
        if not self.name or self.name == "task":
            raise ValueError(f"a constraint needs a signal's name ('task' is the objective's), got {self.name!r}")
        if not 0.0 <= self.threshold <= 1.0:
            raise ValueError(f"the threshold of {self.name} must lie in [0, 1], got {self.threshold}")
        if not (math.isfinite(self.initial_multiplier) and self.initial_multiplier >= 0.0):
            raise ValueError(
                f"the initial multiplier of {self.name} must be finite and at least 0, got {self.initial_multiplier}"
            )


Constraints = Iterable[Constraint] | Mapping[str, float]
"""Each name once; or thresholds by name, with initial multipliers of 1."""


@dataclass(frozen=True)
class Measurement:
    """One constraint on one batch.

    Attributes:
        score: s of FGRPO Eq. 5, or None when no rollout is applicable.
        count: applicable rollouts.
        threshold: tau.
    """

    score: float | None
    count: int
    threshold: float

    @property
    def violation(self) -> float | None:
        """Tau - s, above 0 when the constraint is violated; None without a score."""
        return None if self.score is None else self.threshold - self.score


def batch_score(scores_B: Values, mask_B: Values) -> tuple[float | None, int]:
    """The mean of the applicable scores over the whole batch (FGRPO Eq. 5).

    The sum is rounded once (`math.fsum`), so the score does not depend on the order in which rollouts came back.

    Args:
        scores_B: (B,) scores; a row that is not applicable may hold anything.
        mask_B: (B,) boolean, True where the score applies and the rollout is valid.

    Returns:
        The score and the number of applicable rollouts; (None, 0) when there is none.

    Raises:
        ValueError: for a wrong shape or dtype, or an applicable score that is NaN or infinite.
    """
    scores_B = as_tensor(scores_B)
    mask_B = as_tensor(mask_B, scores_B.device)
    total, count = math.fsum(applicable_values("scores_B", scores_B, mask_B).tolist()), int(mask_B.sum())
    return (total / count if count else None), count


def measure(constraints: Sequence[Constraint], scores: Mapping[str, tuple[Values, Values]]) -> dict[str, Measurement]:
    """Measure every constraint on one batch.

    Args:
        constraints: what to measure.
        scores: per constraint its (B,) scores and (B,) boolean mask.

    Returns:
        A measurement per constraint, in the order of `constraints`.

    Raises:
        ValueError: when `scores` holds other names than the constraints, or for a bad tensor (as `batch_score`).
    """
    names = [constraint.name for constraint in constraints]
    if set(scores) != set(names):
        raise ValueError(f"scores must be given for exactly the constraints {sorted(names)}, got {sorted(scores)}")
    return {c.name: Measurement(*batch_score(*scores[c.name]), threshold=c.threshold) for c in constraints}


def as_constraints(constraints: Constraints) -> tuple[Constraint, ...]:
    """Thresholds by name as constraints; constraints as they are."""
    if isinstance(constraints, Mapping):
        return tuple(Constraint(name, threshold) for name, threshold in constraints.items())
    return tuple(constraints)


def initial_multipliers(constraints: Collection[Constraint]) -> dict[str, float]:
    """Lambda per constraint before the first dual step; a ValueError when two constraints share a name."""
    names = [constraint.name for constraint in constraints]
    if len(set(names)) < len(names):
        raise ValueError(f"every constraint may be given once, got {names}")
    return {constraint.name: float(constraint.initial_multiplier) for constraint in constraints}
