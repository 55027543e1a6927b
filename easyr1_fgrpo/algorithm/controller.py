"""What a controller of the multipliers is, and what it reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

from torch import Tensor

from .constraints import Measurement

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


class MultiplierController(Protocol):
    """Anything that weighs constraints. Advantages of a step use the multipliers from before its dual step."""

    @property
    def multipliers(self) -> dict[str, float]:
        """Lambda per constraint; a copy."""
        ...

    def step(
        self, scores: Mapping[str, tuple[Tensor, Tensor]], *, hold: Mapping[str, str] = NOTHING_HELD
    ) -> dict[str, MultiplierRecord]:
        """Take one dual step on a whole batch: per constraint its (B,) scores and (B,) boolean mask.

        `hold` names constraints whose multiplier stays, and why.
        """
        ...

    def state_dict(self) -> dict[str, Any]:
        """Everything an exact resume needs, in plain types that survive JSON. Thresholds and options stay in config."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a saved state, all of it or (with a ValueError) nothing."""
        ...
