"""What a validation finds, as numbers; and what speaks against the judge."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from easyr1_fgrpo.files import write_whole
from easyr1_fgrpo.judge_validation.errors import Errors
from easyr1_fgrpo.judges.protocol import Question
from easyr1_fgrpo.statistics import Estimate

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
        first_cause: the first failure's message.
        left_out: questions that were not asked, by reason.
        unjudged_share: of the questions asked.
        agreement, kappa: over the questions with both labels (n); kappa is None where it is not defined.
        confusion: counts by reference and judge label, "no verdict" among them.
        errors: on each side.
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
    errors: Errors
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
        write_whole(path, self.model_dump_json(indent=1, ensure_ascii=True) + "\n")
