"""What all adaptive multipliers share: clipping, holding, saturation, exact resume; an update rule is a subclass."""

from __future__ import annotations

import logging
import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .constraints import Constraints, Measurement
from .controller import MultiplierController, MultiplierRecord
from .saved_state import Memory, check_controller, per_constraint, saved_memory

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Move:
    """What an update rule wants: the next multiplier, not yet clipped, what to remember, and the terms it added up."""

    multiplier: float
    memory: Memory = field(default_factory=dict)
    terms: Mapping[str, float] = field(default_factory=dict)


class AdaptiveMultipliers(MultiplierController):
    """Multipliers that move with the violation; a subclass is one update rule, its `_move`.

    After every rule a multiplier is clipped to [0, max_multiplier]. A constraint on fewer than `min_applicable`
    rollouts, or held, keeps its multiplier and everything else that the rule remembers.

    Args:
        constraints: what to hold, each name once; or thresholds by name, with initial multipliers of 1.
        lr: how fast multipliers move with the violation, above 0.
        max_multiplier: the cap, above 0 and not below any initial multiplier.
        min_applicable: the fewest applicable rollouts a multiplier is updated on, at least 1.
        saturation_patience: updates in a row that end at the cap with the constraint violated, after which the
            constraint is reported as saturated and warned about.

    Raises:
        ValueError: when an option is out of its range or two constraints share a name.
    """

    def __init__(
        self,
        constraints: Constraints,
        *,
        lr: float = 0.05,
        max_multiplier: float = 5.0,
        min_applicable: int = 8,
        saturation_patience: int = 20,
    ) -> None:
        for option, value in (("lr", lr), ("max_multiplier", max_multiplier)):
            check_positive(option, value)
        for option, count in (("min_applicable", min_applicable), ("saturation_patience", saturation_patience)):
            if count < 1:
                raise ValueError(f"{option} must be at least 1, got {count}")
        super().__init__(constraints)
        for constraint in self._constraints:
            if constraint.initial_multiplier > max_multiplier:
                raise ValueError(
                    f"the initial multiplier of {constraint.name} is {constraint.initial_multiplier}, "
                    f"above max_multiplier={max_multiplier}; lower it or raise the cap"
                )
        self._lr = lr
        self._max_multiplier = max_multiplier
        self._min_applicable = min_applicable
        self._saturation_patience = saturation_patience
        self._updates_at_cap = dict.fromkeys(self._multipliers, 0)
        self._first = {name: self._first_memory(start) for name, start in self._multipliers.items()}
        self._memory = dict(self._first)

    def state_dict(self) -> dict[str, Any]:
        """Multipliers, saturation counters and what the rule remembers."""
        state = {**super().state_dict(), "updates_at_cap": dict(self._updates_at_cap)}
        if any(self._first.values()):
            state["memory"] = {name: dict(memory) for name, memory in self._memory.items()}
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a saved state; a multiplier above a cap that was lowered since comes down at the next step.

        Raises:
            ValueError: when the state is another controller's, of other constraints, or not whole.
        """
        check_controller(state, self.name)
        memory = saved_memory(state, self._first) if any(self._first.values()) else self._memory
        at_cap = per_constraint(state, "updates_at_cap", self._updates_at_cap)
        super().load_state_dict(state)
        self._updates_at_cap = {name: int(count) for name, count in at_cap.items()}
        self._memory = memory

    @abstractmethod
    def _move(self, multiplier: float, violation: float, memory: Memory) -> Move:
        """One step of the rule for one constraint; it changes nothing itself and does not overflow."""

    def _first_memory(self, multiplier: float) -> Memory:
        """What is remembered before the first update, given the initial multiplier."""
        return {}

    def _update(self, name: str, measured: Measurement, held: str) -> MultiplierRecord:
        if measured.count < self._min_applicable:
            held = held or f"{measured.count} applicable rollouts, {self._min_applicable} needed"
        terms: Mapping[str, float] = {}
        if not held and measured.violation is not None:
            move = self._move(self._multipliers[name], measured.violation, self._memory[name])
            self._multipliers[name] = self._clipped(move.multiplier)
            self._memory[name], terms = move.memory, move.terms
            self._watch_saturation(name, measured, measured.violation)
        return MultiplierRecord(
            **vars(measured),
            multiplier=self._multipliers[name],
            held=held,
            saturated=self._updates_at_cap[name] >= self._saturation_patience,
            terms=terms,
        )

    def _clipped(self, multiplier: float) -> float:
        return min(max(multiplier, 0.0), self._max_multiplier)

    def _watch_saturation(self, name: str, measured: Measurement, violation: float) -> None:
        at_cap = violation > 0.0 and self._multipliers[name] == self._max_multiplier
        self._updates_at_cap[name] = self._updates_at_cap[name] + 1 if at_cap else 0
        # Equality warns once per stay at the cap, also across a resume.
        if self._updates_at_cap[name] == self._saturation_patience:
            logger.warning(
                "the multiplier of %s has been at its cap %g for %d updates with the constraint violated "
                "(score %.3f, compared with %g): the threshold is probably not reachable; lower it or raise the cap",
                name,
                self._max_multiplier,
                self._saturation_patience,
                measured.score,
                measured.threshold,
            )


def check_positive(option: str, value: float) -> None:
    """Raises a ValueError unless an option is a finite number above 0."""
    if not (math.isfinite(value) and value > 0.0):
        raise ValueError(f"{option} must be finite and above 0, got {value}")
