"""What a controller of the multipliers is, and what it reports."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar

from .checks import Values
from .constraints import Constraints, Measurement, as_constraints, initial_multipliers, measure
from .saved_state import check_controller, saved_multipliers

NOTHING_HELD: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class MultiplierRecord(Measurement):
    """One constraint after one dual step: what was measured and what became of its multiplier.

    Attributes:
        multiplier: lambda after the step.
        held: why the multiplier was not updated; empty when it was.
        saturated: whether lambda has stayed at its cap under violation for so long that the threshold is probably
            not reachable.
        terms: what the multiplier was added up from, by name, where the controller adds up; empty when held.
    """

    multiplier: float
    held: str = ""
    saturated: bool = False
    terms: Mapping[str, float] = field(default_factory=dict)

    @property
    def updated(self) -> bool:
        """Whether the step applied the update rule (the multiplier may still be where it was, at 0 or the cap)."""
        return not self.held


class MultiplierController(ABC):
    """Anything that weighs constraints. Advantages of a step use the multipliers from before its dual step.

    Args:
        constraints: what to hold, each name once; or thresholds by name, with initial multipliers of 1.

    Raises:
        ValueError: when two constraints share a name.
    """

    name: ClassVar[str]
    """What the saved state calls this controller."""

    def __init__(self, constraints: Constraints) -> None:
        self._constraints = as_constraints(constraints)
        self._multipliers = initial_multipliers(self._constraints)

    @property
    def multipliers(self) -> dict[str, float]:
        """Lambda per constraint; a copy."""
        return dict(self._multipliers)

    def step(
        self, scores: Mapping[str, tuple[Values, Values]], *, hold: Mapping[str, str] = NOTHING_HELD
    ) -> dict[str, MultiplierRecord]:
        """Take one dual step on a whole batch (all ranks, all groups), after its advantages were computed.

        Args:
            scores: per constraint its (B,) scores and (B,) boolean mask, True on applicable valid rollouts.
            hold: constraints whose multiplier stays this time, and why: they are measured all the same.

        Returns:
            A record per constraint.

        Raises:
            ValueError: when `scores` holds other names than the constraints, or for a bad tensor; nothing has moved
                then.
        """
        measured = measure(self._constraints, scores)
        return {name: self._update(name, measured[name], hold.get(name, "")) for name in measured}

    def state_dict(self) -> dict[str, Any]:
        """Everything an exact resume needs, in plain types that survive JSON. Thresholds and options stay in config."""
        return {"controller": self.name, "multipliers": self.multipliers}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a saved state, all of it or nothing.

        Raises:
            ValueError: when the state is another controller's, of other constraints, or not whole.
        """
        check_controller(state, self.name)
        self._multipliers = saved_multipliers(state, self._multipliers)

    @abstractmethod
    def _update(self, name: str, measured: Measurement, held: str) -> MultiplierRecord:
        """Move one multiplier, or keep it where `held` says why."""
