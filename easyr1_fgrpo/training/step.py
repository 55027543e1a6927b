"""FGRPO beside a trainer's loop: a step's rollouts become advantages, then new multipliers (primal, then dual).

    step = fgrpo.begin_step(number, ids, numbers, expected=rollouts)  # measured; refused when too many failed
    advantage = fgrpo.advantage(step, response_mask)  # with the multipliers from before the step
    metrics = fgrpo.end_step(step, advantage)  # the dual step, and what is logged
    fgrpo.unmeasured.check()  # after the step's checkpoint: ends the run when a judge has been gone for too long

`numbers` are what `RolloutScorer` gave; the policy is the trainer's to update.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from easyr1_fgrpo.algorithm import ConstrainedAdvantage, constrained_advantage
from easyr1_fgrpo.config.schema import ConstraintSettings, FgrpoConfig
from easyr1_fgrpo.rewards import SIGNALS
from easyr1_fgrpo.training.controllers import build_controller
from easyr1_fgrpo.training.first_steps import FirstSteps
from easyr1_fgrpo.training.judge_metrics import valid_share
from easyr1_fgrpo.training.standstill import Standstills
from easyr1_fgrpo.training.step_signals import RolloutId, StepSignals, metrics_of, read_step
from easyr1_fgrpo.training.sudden import SuddenChanges
from easyr1_fgrpo.training.unmeasured import UnmeasuredSteps

logger = logging.getLogger(__name__)


class RolloutsFailedError(RuntimeError):
    """More rollouts of a step failed than `fgrpo.max_failed_share` allows."""


class Fgrpo:
    """Constraints, their multipliers and what one step does with them (FGRPO Eq. 4-6).

    Args:
        settings: the key `fgrpo` of the config.
        lost_hint: where to look for why a rollout never came back, for the error that names lost ones.
    """

    def __init__(self, settings: FgrpoConfig, *, lost_hint: str = "see the log above") -> None:
        self.settings = settings
        self.signal_names = (*SIGNALS, *settings.signals)
        self.controller = build_controller(settings)
        self.unmeasured = UnmeasuredSteps(settings.dual.min_valid_share, settings.max_unmeasured_steps)
        self.sudden = SuddenChanges()
        self.standstills = Standstills()
        self.first_steps = FirstSteps(stop=settings.stop_if_hopeless)
        self._lost_hint = lost_hint

    def begin_step(
        self,
        number: int,
        ids: Sequence[RolloutId | None],
        numbers: Sequence[Mapping[str, Any] | None],
        *,
        expected: int,
    ) -> StepSignals:
        """Arrange a batch and count what it lost.

        Args:
            number: of the training step.
            ids: whose output each row is; None for padding.
            numbers: what was scored for each row (`RolloutScorer.score`), None where nothing was.
            expected: how many rollouts the step should have.

        Raises:
            RolloutsFailedError: when more rollouts failed than `fgrpo.max_failed_share` allows; nothing has moved then.
        """
        step = read_step(number, ids, numbers, self.signal_names, expected=expected)
        if step.failed:
            logger.warning(
                "step %d: %d of %d rollouts failed (%d never came back, %s) and enter no statistic",
                number, step.failed, expected, step.missing, dict(step.invalid) or "none unscored",
            )  # fmt: skip
        if step.failed > self.settings.max_failed_share * expected:
            raise RolloutsFailedError(
                f"step {number}: {step.failed} of {expected} rollouts failed, more than "
                f"fgrpo.max_failed_share={self.settings.max_failed_share} allows: {step.missing} never came back "
                f"({self._lost_hint}), not scored: {dict(step.invalid) or 0}"
            )
        return step

    def advantage(self, step: StepSignals, response_mask_BT: Tensor) -> ConstrainedAdvantage:
        """The constrained advantage of every row, with the multipliers as they are now (FGRPO Eq. 6).

        A rollout with several outputs is judged on its last one, and all of them carry that one's advantage; judged
        sentences are the last one's own.

        Args:
            step: as `begin_step` gave it.
            response_mask_BT: (B, T), non-zero on response tokens; on the CPU.
        """
        multipliers = self.controller.multipliers
        found = constrained_advantage(
            step.task_B,
            {name: step.scores[name] for name in multipliers},
            {name: step.masks[name] for name in multipliers},
            multipliers,
            step.groups_B,
            response_mask_BT,
            valid_B=step.valid_B,
            sentences={"semantic_grounding": step.sentences} if self.settings.reward.level == "sentence" else {},
            **self.settings.advantage.model_dump(),
        )
        is_owner_B = step.owner_B == torch.arange(len(step.owner_B))
        others_BT = torch.where(response_mask_BT.bool(), found.whole_B[step.owner_B, None], 0.0)
        return replace(found, advantages=torch.where(is_owner_B[:, None], found.advantages, others_BT))

    def end_step(self, step: StepSignals, advantage: ConstrainedAdvantage) -> dict[str, Any]:
        """Take the dual step (FGRPO Eq. 4) and say what is logged of the whole step.

        A constraint whose judge measured too few of its rollouts keeps its multiplier, with a warning; for how many
        steps in a row is what `unmeasured` knows.

        Raises:
            ConstraintUnmeasuredError: see `UnmeasuredSteps.see`.
        """
        before = self.controller.multipliers
        shares = {name: valid_share(step.masks[name], step.reasons[name]) for name in before}
        records = self.controller.step(
            {name: (step.scores[name], step.masks[name]) for name in before},
            hold=self.unmeasured.see(step.number, shares, step.reasons, step.causes),
        )
        metrics = metrics_of(step)
        for name, share in advantage.shares.items():
            metrics |= _present(f"fgrpo/{name}", share=share, zero_variance_groups=advantage.zero_variance[name])
        for name, record in records.items():
            metrics |= _present(
                f"fgrpo/{name}",
                score=record.score,
                applicable=record.count,
                valid_share=shares[name],
                threshold=record.threshold,
                violation=record.violation,
                **_through_errors(self.settings.constraints[name], record.score),
                multiplier=before[name],
                next_multiplier=record.multiplier,
                updated=float(record.updated),
                saturated=float(record.saturated),
                **record.terms,
                **self.sudden.see(name, step.scores[name][step.masks[name]], shares[name]),
                **self.standstills.see(name, advantage.zero_variance[name], record.violation),
            )
        metrics["fgrpo/dual/lambda_max"] = self.settings.dual.lambda_max
        return metrics


def _through_errors(constraint: ConstraintSettings, score: float | None) -> dict[str, float | None]:
    """What threshold and score stand for where the judge errs."""
    if constraint.judge_error is None:
        return {}
    corrected = None if score is None else constraint.judge_error.true_rate(score)
    return {"threshold_asked": constraint.threshold, "score_corrected": corrected}


def _present(prefix: str, **values: float | None) -> dict[str, float]:
    return {f"{prefix}/{name}": value for name, value in values.items() if value is not None}
