"""Constraints that their judge leaves unmeasured: one step holds a multiplier, several in a row end the run.

Without it a judge that died would turn a run into plain GRPO for days. One that refuses our key ends it at once.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from easyr1_fgrpo.training.judge_metrics import JUDGE_FAILURES, REFUSED

GOOD_SHARE = 0.95
"""Valid share below which a step warns: what is lost then is seldom a fair sample, as long traces fail more often."""

logger = logging.getLogger(__name__)


class ConstraintUnmeasuredError(RuntimeError):
    """A constraint was not measured for `fgrpo.max_unmeasured_steps` steps in a row."""


class UnmeasuredSteps:
    """Counts, by constraint, steps in a row on which its judge measured too few rollouts.

    A step without a rollout to be measured neither counts nor ends the row. The count outlives a resume: a job that is
    started again and again would else train blindly for some steps each time.

    Args:
        least: share of the rollouts that must be measured, `fgrpo.dual.min_valid_share`.
        most: steps in a row, `fgrpo.max_unmeasured_steps`.
    """

    def __init__(self, least: float, most: int) -> None:
        self._least, self._most = least, most
        self._shares: dict[str, list[float]] = {}
        self._problem = ""

    def see(
        self,
        number: int,
        shares: Mapping[str, float | None],
        reasons: Mapping[str, Mapping[str, int]],
        causes: Mapping[str, Sequence[str]],
    ) -> dict[str, str]:
        """Take a step into account, and warn.

        Args:
            number: of the training step.
            shares: by constraint, see `judge_metrics.valid_share`.
            reasons: per signal, how many rollouts lack it, by reason.
            causes: per signal, what its judge said last when it failed.

        Returns:
            The constraints that are not measured on this step, and why.

        Raises:
            ConstraintUnmeasuredError: on the first step of a resumed run, when the one before it ended as the judge was
                gone and still is: nothing was learnt from this step.
        """
        hold, poor = {}, []
        self._problem = ""
        for name, share in shares.items():
            if share is None:
                continue
            failures = {reason: reasons[name][reason] for reason in JUDGE_FAILURES if reasons[name].get(reason)}
            if share >= self._least:
                self._shares.pop(name, None)
                poor += [f"{name} {share:.1%} ({failures})"] if share < GOOD_SHARE else []
                continue
            row = self._shares.setdefault(name, [])
            row.append(share)
            hold[name] = f"the judge measured {share:.0%} of its rollouts, {self._least:.0%} needed ({failures})"
            logger.warning("step %d: %s is not being measured: %s", number, name, hold[name])
            last = "; ".join(causes.get(name, ())) or "see the log above"
            if REFUSED in failures and not self._problem:
                self._problem = (
                    f"step {number}: the judge of {name} refuses the key, {failures}: {last}. Give it one that is "
                    "valid and run the same command: what is left goes on from the last checkpoint"
                )
            if len(row) >= self._most and not self._problem:
                self._problem = (
                    f"step {number}: {name} was not measured for {len(row)} steps in a row, and "
                    f"fgrpo.max_unmeasured_steps={self._most}: its judge measured "
                    f"{', '.join(f'{share:.0%}' for share in row[-self._most :])} of its rollouts where "
                    f"{self._least:.0%} are needed, on the last step with {failures}; the judge's last causes: {last}. "
                    "Bring the judge back and run the same command: what is left goes on from the last checkpoint"
                )
            if len(row) > self._most:  # the run had ended after the step before, and was started again
                self.check()
        if poor:
            logger.warning("step %d: judges measured less than %.0f%%: %s", number, 100 * GOOD_SHARE, ", ".join(poor))
        return hold

    def state_dict(self) -> dict[str, list[float]]:
        """By constraint, the shares measured on its last steps in a row that count; plain types."""
        return {name: list(row) for name, row in self._shares.items()}

    def load_state_dict(self, state: Mapping[str, Sequence[float]]) -> None:
        """Go on counting where another one stopped."""
        self._shares = {name: list(row) for name, row in state.items()}

    @property
    def due(self) -> bool:
        """Whether the run has to end after this step."""
        return bool(self._problem)

    def check(self) -> None:
        """Raise a `ConstraintUnmeasuredError` when the run has to end; the host saves a checkpoint before."""
        if self._problem:
            raise ConstraintUnmeasuredError(self._problem)
