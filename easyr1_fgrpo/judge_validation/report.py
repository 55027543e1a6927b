"""What a validation finds, as numbers; and what speaks against the judge."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from easyr1_fgrpo.judge_validation.families import shared_family
from easyr1_fgrpo.judge_validation.perturbations import FALSE, TRUE, Plan
from easyr1_fgrpo.judge_validation.questions import Case
from easyr1_fgrpo.judges.protocol import LABELS, Label, Question, Verdict
from easyr1_fgrpo.statistics import (
    Estimate,
    agreement_share,
    cohen_kappa,
    confusion_by_record,
    of_counts,
    share,
)

NO_VERDICT = "no verdict"
ENOUGH = 20
"""Planted errors of a kind that must be judged before missing them counts against the judge."""

HALF = 0.5


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Retest(_Record):
    """The same questions asked a second time.

    Attributes:
        flips: share of the questions judged both times whose label changed.
        unjudged: questions without a label at one time or both.
    """

    flips: Estimate
    unjudged: int


class Agreement(_Record):
    """One judge and the reference on one kind of question: questions = judged + unjudged + left out.

    Attributes:
        question: the kind.
        judge: its name.
        references: who gave the reference verdicts, with their number.
        questions, judged, unjudged: what the records hold, what got a label, what got none.
        failures: the unjudged ones by failure.
        first_cause: what the first failure said.
        left_out: questions that were not asked, by reason.
        unjudged_share: of the questions asked.
        agreement, kappa: over the questions with both labels (n); kappa is None where it is not defined.
        confusion: counts by reference and judge label, "no verdict" among them.
        retest: None when it was not asked for.
    """

    question: Question
    judge: str
    references: dict[str, int]
    questions: int
    judged: int
    unjudged: int
    failures: dict[str, int]
    first_cause: str
    left_out: dict[str, int]
    unjudged_share: Estimate
    agreement: Estimate
    kappa: Estimate
    confusion: dict[str, dict[str, int]]
    retest: Retest | None


class Caught(_Record):
    """Planted errors of one kind: candidates = made + unsuitable + spared, made = n of `caught` + unjudged.

    Attributes:
        name: the kind.
        question: what was asked about them.
        candidates: true sentences or entailed answers in the records.
        made: errors planted.
        unsuitable: candidates whose text did not allow it.
        spared: candidates left over when enough were made.
        unjudged: pairs of original and changed question of which one got no label.
        caught: share of the pairs whose verdict changed to the one that the error calls for.
        originals_right: share of the same pairs whose original the judge called right.
    """

    name: str
    question: Question
    candidates: int
    made: int
    unsuitable: int
    spared: int
    unjudged: int
    caught: Estimate
    originals_right: Estimate

    @property
    def missed(self) -> bool:
        """Whether less than half of them were caught."""
        return self.caught.value is not None and self.caught.value < HALF

    @property
    def line(self) -> str:
        """The finding in words."""
        if self.caught.value is None or self.originals_right.value is None:
            return f"not measured: {self.name} (made {self.made}, judged none)"
        n = self.caught.n
        counts = f"caught {round(self.caught.value * n)} of {n}"
        if self.originals_right.value < HALF:
            counts += f"; called {round(self.originals_right.value * n)} of the {n} originals right"
        few = "" if n >= ENOUGH else ", too few to tell"
        return f"{'misses' if self.missed else 'catches'}: {self.name} ({counts}{few})"


class Report(_Record):
    """Everything `fgrpo judge validate` measured.

    Attributes:
        traces: the files.
        records_read, records_used: in the files, and after `--limit`.
        damaged_lines, repeated_records: lines that were no record, and records that another file holds too.
        seed, limit: as given.
        agreements: one per kind of question that has a judge.
        planted: one per kind of planted error.
        warnings: one line each.
    """

    traces: tuple[str, ...]
    records_read: int
    records_used: int
    damaged_lines: int
    repeated_records: int
    seed: int
    limit: int | None
    agreements: tuple[Agreement, ...]
    planted: tuple[Caught, ...]
    warnings: tuple[str, ...]

    def objections(self, min_kappa: float | None) -> list[str]:
        """What speaks against the judge, one line each.

        Args:
            min_kappa: what the lower bound of kappa must reach; where kappa has no interval (as every resample has the
                same value) kappa itself must, and where it is not defined it does not.
        """
        lines = [line.line for line in self.planted if line.missed and line.caught.n >= ENOUGH]
        for item in self.agreements:
            if item.unjudged and not item.judged:
                lines.append(f"{item.question}: the judge gave no label to any of its {item.unjudged} questions")
            if min_kappa is not None:
                bound = item.kappa.value if item.kappa.low is None else item.kappa.low
                if bound is None or bound < min_kappa:
                    shown = "not defined" if bound is None else f"{bound:.3f}"
                    lines.append(f"{item.question}: lower bound of kappa is {shown}, --min-kappa is {min_kappa:g}")
        return lines

    def save(self, path: Path) -> None:
        """Write the report as JSON, whole or not at all.

        Raises:
            OSError: when it cannot be written.
        """
        part = path.with_name(f".{path.name}.part")
        part.write_text(self.model_dump_json(indent=1, ensure_ascii=True) + "\n", encoding="utf-8")
        os.replace(part, path)


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
