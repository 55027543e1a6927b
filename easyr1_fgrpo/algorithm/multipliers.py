"""Controllers of the multipliers: dual ascent (FGRPO Eq. 4), and multipliers that never move."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

from torch import Tensor

from .constraints import Constraint, Measurement, measure

logger = logging.getLogger(__name__)

NOTHING_HELD: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class MultiplierRecord(Measurement):
    """One constraint after one dual step: what was measured and what became of its multiplier.

    Attributes:
        multiplier: lambda after the step.
        held: why the multiplier was not updated; empty when it was.
        saturated: whether lambda has stayed at its cap under violation for so long that the threshold is probably
            not reachable.
    """

    multiplier: float
    held: str = ""
    saturated: bool = False

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


class FixedMultipliers:
    """Multipliers that stay at their initial values (FGRPO's ablation); constraints are still measured.

    Args:
        constraints: what to measure, each name once.

    Raises:
        ValueError: when two constraints share a name.
    """

    def __init__(self, constraints: Iterable[Constraint]) -> None:
        self._constraints = _unique(constraints)
        self._multipliers = _initial(self._constraints)

    @property
    def multipliers(self) -> dict[str, float]:
        """Lambda per constraint; a copy."""
        return dict(self._multipliers)

    def step(
        self, scores: Mapping[str, tuple[Tensor, Tensor]], *, hold: Mapping[str, str] = NOTHING_HELD
    ) -> dict[str, MultiplierRecord]:
        """Measure every constraint; no multiplier moves.

        Args:
            scores: per constraint its (B,) scores and (B,) boolean mask, True on applicable valid rollouts.
            hold: not read, nothing moves anyway.

        Returns:
            A record per constraint.

        Raises:
            ValueError: when `scores` holds other names than the constraints, or for a bad tensor.
        """
        return {
            name: MultiplierRecord(**vars(measured), multiplier=self._multipliers[name], held="multipliers are fixed")
            for name, measured in measure(self._constraints, scores).items()
        }

    def state_dict(self) -> dict[str, Any]:
        """The multipliers, in plain types that survive JSON."""
        return {"controller": "fixed", "multipliers": self.multipliers}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a saved state.

        Raises:
            ValueError: when the state is another controller's, of other constraints, or not whole.
        """
        _check_controller(state, "fixed")
        self._multipliers = _load_multipliers(state, self._multipliers)


class DualAscent:
    """Projected gradient ascent on the multipliers (FGRPO Eq. 4).

    lambda_k <- clip(lambda_k + lr (tau_k - s_k), 0, max_multiplier), only if `min_applicable` rollouts are applicable.

    Args:
        constraints: what to hold, each name once.
        lr: eta, above 0.
        max_multiplier: the cap, above 0 and not below any initial multiplier.
        min_applicable: the fewest applicable rollouts a multiplier is updated on, at least 1.
        saturation_patience: updates in a row that end at the cap with the constraint violated, after which the
            constraint is reported as saturated and warned about.

    Raises:
        ValueError: when an option is out of its range or two constraints share a name.
    """

    def __init__(
        self,
        constraints: Iterable[Constraint],
        *,
        lr: float,
        max_multiplier: float,
        min_applicable: int,
        saturation_patience: int = 20,
    ) -> None:
        for option, value in (("lr", lr), ("max_multiplier", max_multiplier)):
            if not (math.isfinite(value) and value > 0.0):
                raise ValueError(f"{option} must be finite and above 0, got {value}")
        for option, count in (("min_applicable", min_applicable), ("saturation_patience", saturation_patience)):
            if count < 1:
                raise ValueError(f"{option} must be at least 1, got {count}")
        self._constraints = _unique(constraints)
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
        self._multipliers = _initial(self._constraints)
        self._updates_at_cap = dict.fromkeys(self._multipliers, 0)

    @property
    def multipliers(self) -> dict[str, float]:
        """Lambda per constraint; a copy."""
        return dict(self._multipliers)

    def step(
        self, scores: Mapping[str, tuple[Tensor, Tensor]], *, hold: Mapping[str, str] = NOTHING_HELD
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
        """Multipliers and saturation counters, in plain types that survive JSON."""
        return {
            "controller": "dual_ascent",
            "multipliers": self.multipliers,
            "updates_at_cap": dict(self._updates_at_cap),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a saved state; a multiplier above a cap that was lowered since comes down at the next step.

        Raises:
            ValueError: when the state is another controller's, of other constraints, or not whole.
        """
        _check_controller(state, "dual_ascent")
        multipliers = _load_multipliers(state, self._multipliers)
        self._updates_at_cap = {
            name: int(count) for name, count in _per_constraint(state, "updates_at_cap", self._updates_at_cap).items()
        }
        self._multipliers = multipliers

    def _update(self, name: str, measured: Measurement, held: str) -> MultiplierRecord:
        if measured.count < self._min_applicable:
            held = held or f"{measured.count} applicable rollouts, {self._min_applicable} needed"
        if not held and measured.violation is not None:
            moved = self._multipliers[name] + self._lr * measured.violation
            self._multipliers[name] = min(max(moved, 0.0), self._max_multiplier)
            self._watch_saturation(name, measured, measured.violation)
        return MultiplierRecord(
            **vars(measured),
            multiplier=self._multipliers[name],
            held=held,
            saturated=self._updates_at_cap[name] >= self._saturation_patience,
        )

    def _watch_saturation(self, name: str, measured: Measurement, violation: float) -> None:
        at_cap = violation > 0.0 and self._multipliers[name] == self._max_multiplier
        self._updates_at_cap[name] = self._updates_at_cap[name] + 1 if at_cap else 0
        # Equality warns once per stay at the cap, also across a resume.
        if self._updates_at_cap[name] == self._saturation_patience:
            logger.warning(
                "the multiplier of %s has been at its cap %g for %d updates with the constraint violated "
                "(score %.3f, threshold %g): the threshold is probably not reachable; lower it or raise the cap",
                name,
                self._max_multiplier,
                self._saturation_patience,
                measured.score,
                measured.threshold,
            )


def _unique(constraints: Iterable[Constraint]) -> tuple[Constraint, ...]:
    constraints = tuple(constraints)
    names = [constraint.name for constraint in constraints]
    if len(set(names)) < len(names):
        raise ValueError(f"every constraint may be given once, got {names}")
    return constraints


def _initial(constraints: Iterable[Constraint]) -> dict[str, float]:
    return {constraint.name: float(constraint.initial_multiplier) for constraint in constraints}


def _check_controller(state: Mapping[str, Any], expected: str) -> None:
    if state.get("controller") != expected:
        raise ValueError(
            f"the saved state is that of controller {state.get('controller')!r}, this one is {expected!r}; "
            "resume with the controller of the run, or start a new run"
        )


def _load_multipliers(state: Mapping[str, Any], names: Iterable[str]) -> dict[str, float]:
    multipliers = {name: float(value) for name, value in _per_constraint(state, "multipliers", names).items()}
    for name, value in multipliers.items():
        if not (math.isfinite(value) and value >= 0.0):
            raise ValueError(f"the saved multiplier of {name} must be finite and at least 0, got {value}")
    return multipliers


def _per_constraint(state: Mapping[str, Any], key: str, names: Iterable[str]) -> dict[str, Any]:
    names, saved = list(names), state.get(key, {})
    if set(saved) != set(names):
        raise ValueError(
            f"the saved {key} are of the constraints {sorted(saved)}, this run has {sorted(names)}; "
            "resume with the same constraints, or start a new run"
        )
    return {name: saved[name] for name in names}
