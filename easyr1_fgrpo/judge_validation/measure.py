"""From a judge's answers to the numbers of the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from easyr1_fgrpo.judge_validation.errors import measure_errors
from easyr1_fgrpo.judge_validation.families import shared_family
from easyr1_fgrpo.judge_validation.perturbations import FALSE, TRUE, Plan
from easyr1_fgrpo.judge_validation.questions import Case
from easyr1_fgrpo.judge_validation.report import NO_VERDICT, Agreement, Caught, Retest
from easyr1_fgrpo.judges.protocol import LABELS, Label, Question, Verdict
from easyr1_fgrpo.statistics import agreement_share, cohen_kappa, confusion_by_record, of_counts, share


@dataclass(frozen=True)
class Answers:
    """The judge's verdicts, each list in the order of what it answers.

    Attributes:
        first: on the cases.
        planted: on the planted errors, kind after kind.
        second: on the cases again; None when they were not asked again.
    """

    first: Sequence[Verdict]
    planted: Sequence[Verdict]
    second: Sequence[Verdict] | None


def measure_agreement(
    kind: Question, judge: str, cases: Sequence[Case], answers: Answers, left_out: Mapping[str, int], seed: int
) -> Agreement:
    """Everything about one kind of question but the planted errors.

    Args:
        kind: which.
        judge: the judge's name.
        cases: all cases, of any kind.
        answers: the verdicts on them.
        left_out: questions of the kind that were not asked, by reason.
        seed: of the bootstrap.
    """
    labels = [label for label in Label if label in LABELS[kind]]
    asked = [number for number, case in enumerate(cases) if case.kind is kind]
    failed = [verdict for number in asked if (verdict := answers.first[number]).failure is not None]
    pairs = []
    for number in asked:
        reference, label = cases[number].reference.label, answers.first[number].label
        if reference is not None and label is not None:
            pairs.append((cases[number].record, labels.index(reference), labels.index(label)))
    by_record = confusion_by_record(pairs, len(labels))
    cells = Counter((cases[number].reference.label, answers.first[number].label) for number in asked)
    return Agreement(
        question=kind,
        judge=judge,
        references=dict(Counter(cases[number].reference.judge for number in asked)),
        questions=len(asked) + sum(left_out.values()),
        judged=len(asked) - len(failed),
        unjudged=len(failed),
        failures=dict(Counter(str(verdict.failure) for verdict in failed)),
        first_cause=failed[0].cause if failed else "",
        left_out=dict(left_out),
        unjudged_share=share(answers.first[number].label is None for number in asked),
        agreement=of_counts(by_record, agreement_share, seed),
        kappa=of_counts(by_record, cohen_kappa, seed),
        confusion={
            row or NO_VERDICT: {column or NO_VERDICT: cells[row, column] for column in (*labels, None)}
            for row in (*labels, None)
        },
        errors=measure_errors(kind, [(cases[number], answers.first[number].label) for number in asked], seed),
        retest=None if answers.second is None else _retest(cases, asked, answers.first, answers.second, seed),
    )


def _retest(
    cases: Sequence[Case], asked: Sequence[int], first: Sequence[Verdict], second: Sequence[Verdict], seed: int
) -> Retest:
    labels = list(Label)
    pairs = []
    for number in asked:
        before, after = first[number].label, second[number].label
        if before is not None and after is not None:
            pairs.append((cases[number].record, labels.index(before), labels.index(after)))
    by_record = confusion_by_record(pairs, len(labels))
    return Retest(flips=of_counts(by_record, _off_diagonal, seed), unjudged=len(asked) - len(pairs))


def _off_diagonal(confusion: np.ndarray) -> float | None:
    same = agreement_share(confusion)
    return None if same is None else 1.0 - same


def measure_planted(plans: Sequence[Plan], answers: Answers) -> tuple[Caught, ...]:
    """What became of the planted errors."""
    verdicts = iter(answers.planted)
    return tuple(
        _caught(plan, [(answers.first[item.original], next(verdicts)) for item in plan.planted]) for plan in plans
    )


def _caught(plan: Plan, pairs: Sequence[tuple[Verdict, Verdict]]) -> Caught:
    judged = [(before.label, after.label) for before, after in pairs if before.label and after.label]
    false = FALSE[plan.question]
    return Caught(
        name=plan.name,
        question=plan.question,
        candidates=len(pairs) + plan.unsuitable + plan.spared,
        made=len(pairs),
        unsuitable=plan.unsuitable,
        spared=plan.spared,
        unjudged=len(pairs) - len(judged),
        caught=share(after is false and before is not false for before, after in judged),
        originals_right=share(before is TRUE[plan.question] for before, _ in judged),
    )


def family_warnings(agreements: Sequence[Agreement], training_judge: str) -> tuple[str, ...]:
    """One line for every judge that is of one family with the judge it is compared with.

    Args:
        agreements: the judges and the names in the records.
        training_judge: the training judge's name, when it is not the one in the records; empty otherwise.
    """
    lines = []
    for item in agreements:
        for name in [training_judge] if training_judge else item.references:
            if family := shared_family(name, item.judge):
                lines.append(
                    f"{item.question}: training judge {name} and evaluation judge {item.judge} are of one family "
                    f"({family}): they share their blind spots, so evaluate with another one"
                )
    return tuple(lines)
