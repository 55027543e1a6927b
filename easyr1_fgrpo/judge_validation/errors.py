"""How often a judge errs on each side, and what a config says of it (`fgrpo.constraints.NAME.judge_error`)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict

from easyr1_fgrpo.config.judge_error import JudgeErrorSettings, tells_too_little
from easyr1_fgrpo.judge_validation.perturbations import TRUE
from easyr1_fgrpo.judge_validation.questions import Case
from easyr1_fgrpo.judges.protocol import Label, Question
from easyr1_fgrpo.statistics import Estimate, confusion_by_record, of_counts

CONSTRAINT = {Question.CONSISTENCY: "consistency", Question.GROUNDING: "semantic_grounding"}
"""Whose score a question's verdicts make."""

ENOUGH_TRUE, ENOUGH_FALSE = 100, 20
"""Verdicts from which each side is told, on what deserves approval and on what does not: a threshold near 1 moves
almost one to one with the false negatives, and hardly with the false positives."""


class Errors(BaseModel):
    """How often a judge errs on each side, by the reference, counted as a constraint's score counts verdicts.

    Attributes:
        question: the kind.
        false_negative: share that the judge refuses of what the reference approves.
        false_positive: share that it approves of what the reference does not.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    question: Question
    false_negative: Estimate
    false_positive: Estimate

    @property
    def lines(self) -> list[str]:
        """What they do to a threshold and the override that takes them into account, or why there is none."""
        refused, approved = self.false_negative, self.false_positive
        if refused.value is None or refused.n < ENOUGH_TRUE:
            return [f"{self.question}: {_lacking('false negatives', 'approves', refused.n, ENOUGH_TRUE)}"]
        most = f"perfect traces measure {1.0 - refused.value:.3f}, a higher threshold is out of reach"
        reach = f"{self.question}: {most if refused.value else 'nothing true is refused'}; "
        if approved.value is None or approved.n < ENOUGH_FALSE:
            return [reach + _lacking("false positives", "does not approve", approved.n, ENOUGH_FALSE)]
        if refused.value + approved.value == 0.0:
            return [f"{self.question}: no error in {refused.n + approved.n} verdicts"]
        false_negative, false_positive = round(refused.value, 3), round(approved.value, 3)
        if tells_too_little(false_negative, false_positive):
            return [
                f"{self.question}: the judge refuses {refused.value:.1%} of what it should approve and approves "
                f"{approved.value:.1%} of what it should refuse: it tells next to nothing, take another one"
            ]
        errors = JudgeErrorSettings(false_negative=false_negative, false_positive=false_positive)
        return [
            f"{reach}to ask for a true rate, type",
            f"  'fgrpo.constraints.{CONSTRAINT[self.question]}.judge_error={errors}'",
        ]


def _lacking(what: str, does: str, n: int, needed: int) -> str:
    return f"{what} cannot be told from {n} verdicts on what the reference {does}, {needed} needed: give more traces"


def measure_errors(kind: Question, judged: Sequence[tuple[Case, Label | None]], seed: int) -> Errors:
    """The errors of a judge's labels. UNCERTAIN refuses; SKIP, of either, and a missing label are in no score.

    Args:
        kind: of all cases.
        judged: each case with the judge's label.
        seed: of the bootstrap over records.
    """
    wrong: dict[bool, list[tuple[int, int, int]]] = {True: [], False: []}  # by whether approval is deserved
    for case, label in judged:
        reference = case.reference.label
        if not {reference, label} & {None, Label.SKIP}:
            deserved = reference is TRUE[kind]
            wrong[deserved].append((case.record, 0, int((label is TRUE[kind]) != deserved)))
    refused, approved = (
        of_counts(confusion_by_record(wrong[deserved], 2), _wrong_share, seed) for deserved in (True, False)
    )
    return Errors(question=kind, false_negative=refused, false_positive=approved)


def _wrong_share(counts: np.ndarray) -> float | None:
    """Of right and wrong verdicts in the first row."""
    right, wrong = map(int, counts[0])
    return wrong / (right + wrong) if right + wrong else None
