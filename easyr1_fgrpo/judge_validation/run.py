"""Ask a judge what was asked before, and plant errors: what `fgrpo judge validate` does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from easyr1_fgrpo.config.judges import ModelJudgeConfig
from easyr1_fgrpo.config.schema import FgrpoConfig
from easyr1_fgrpo.judge_validation.asking import ask, calls_of
from easyr1_fgrpo.judge_validation.measure import Answers, family_warnings, measure_agreement, measure_planted
from easyr1_fgrpo.judge_validation.perturbations import plant
from easyr1_fgrpo.judge_validation.questions import Images, questions_of, read_records
from easyr1_fgrpo.judge_validation.report import Report
from easyr1_fgrpo.judges.factory import build_judges, close
from easyr1_fgrpo.judges.protocol import Judge, Question


def judges_of(settings: FgrpoConfig) -> dict[Question, Judge]:
    """The config's judges for a process without Ray: embedded ones are built here, and no earlier verdict is used.

    Raises:
        ValueError: when a judge cannot be built, or its URL is known to the run's Ray cluster only.
    """
    for name, config in settings.judges.items():
        if isinstance(config, ModelJudgeConfig) and config.server:
            raise ValueError(
                f"fgrpo.judges.{name}.server={config.server}: its URL is looked up in a run's Ray cluster, which this "
                f"command does not join; set fgrpo.judges.{name}.server='' and fgrpo.judges.{name}.base_urls=[URL]"
            )
    try:
        return build_judges(settings, cache=False, in_process=True)
    except (TypeError, OSError) as error:  # from a judge's own constructor
        raise ValueError(f"a judge cannot be built: {error}") from error


@dataclass(frozen=True)
class Options:
    """What is asked about, and how.

    Attributes:
        traces: trace files, as `TraceWriter` writes them.
        images: folder of the images; None for `images/` beside each file's folder.
        limit: so many records at most, a seeded choice; None for all.
        seed: chooses records, plants errors and resamples.
        retest: ask everything a second time.
        training_judge: the training judge's name, when the records were judged by another one.
    """

    traces: Sequence[Path]
    images: Path | None = None
    limit: int | None = None
    seed: int = 0
    retest: bool = True
    training_judge: str = ""


async def validate(judges: Mapping[Question, Judge], options: Options, deadline_s: float) -> Report:
    """Measure judges against the verdicts that trace records hold.

    Args:
        judges: who is measured, by kind of question; closed in the end.
        options: see `Options`.
        deadline_s: seconds for a verdict.

    Raises:
        OSError: when a trace file cannot be read.
        ValueError: when the files hold no record, or no question that can be asked.
    """
    traces, seed = options.traces, options.seed
    read = read_records(traces, options.limit, seed)
    names = ", ".join(str(path) for path in traces)
    if not read.read:
        raise ValueError(f"{names}: no trace record in {read.damaged} lines")
    shelf = Images([options.images] if options.images else [path.parent.parent / "images" for path in traces])
    questions = questions_of(read.chosen, judges, shelf)
    if not questions.cases:
        reasons = sum(questions.left_out.values(), Counter[str]())
        listed = ", ".join(f"{number} {reason}" for reason, number in reasons.items())
        raise ValueError(f"{names}: no question can be asked about {len(read.chosen)} records: {listed}")
    plans = plant(questions.cases, shelf.size, seed)

    asked = calls_of(questions.cases, judges)
    planted = [[item.case] for plan in plans for item in plan.planted]
    try:
        verdicts = await ask([*asked, *planted, *(asked if options.retest else [])], judges, shelf, deadline_s)
    finally:
        await close(judges.values())
    n, n_planted = len(questions.cases), len(planted)
    answers = Answers(verdicts[:n], verdicts[n : n + n_planted], verdicts[n + n_planted :] if options.retest else None)

    agreements = tuple(
        measure_agreement(kind, judge.name, questions.cases, answers, questions.left_out[kind], seed)
        for kind, judge in judges.items()
    )
    return Report(
        traces=tuple(map(str, traces)),
        records_read=read.read,
        records_used=len(read.chosen),
        damaged_lines=read.damaged,
        repeated_records=read.repeated,
        seed=seed,
        limit=options.limit,
        agreements=agreements,
        planted=measure_planted(plans, answers),
        warnings=family_warnings(agreements, options.training_judge),
    )
