"""What a rollout is scored on: rules at once, judges in parallel, each question with its deadline."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from statistics import fmean

from easyr1_fgrpo.config.schema import RewardSettings
from easyr1_fgrpo.judges.asking import ask
from easyr1_fgrpo.judges.protocol import Failure, Judge, JudgeRequest, Label, Question, Verdict
from easyr1_fgrpo.rewards.accuracy import answer_matches
from easyr1_fgrpo.rewards.response import ParsedResponse, parse_response
from easyr1_fgrpo.rewards.rollout import RolloutScore, Sample, SentenceVerdict
from easyr1_fgrpo.rewards.sentences import Sentence, split_sentences
from easyr1_fgrpo.rewards.signal import Reason, Signal
from easyr1_fgrpo.rewards.spatial import spatial_score
from easyr1_fgrpo.rewards.task import task_reward

MAX_CONTEXT = 20_000
"""Characters before a claim that its judge reads; bounds memory when a hostile trace has thousands of sentences."""

_REASONS = {
    Failure.UNREACHABLE: Reason.JUDGE_UNREACHABLE,
    Failure.REFUSED: Reason.JUDGE_REFUSED,
    Failure.DEADLINE: Reason.JUDGE_DEADLINE,
    Failure.INVALID: Reason.JUDGE_INVALID,
    Failure.OVERSIZED: Reason.JUDGE_OVERSIZED,
    Failure.TOO_MANY_CLAIMS: Reason.TOO_MANY_CLAIMS,
}


async def score_rollout(
    sample: Sample,
    response: str,
    judges: Mapping[Question, Judge],
    settings: RewardSettings,
    *,
    truncated: bool = False,
    parsed: ParsedResponse | None = None,
) -> RolloutScore:
    """Measure every signal of one rollout.

    Judges are asked about a correct rollout, or about every one with `judge_scope="all"`: consistency when there are a
    trace and an answer, grounding for each sentence of a trace that is not trivial (or `max_sentences` of them). A
    rollout with more than `max_claims` to be judged is not put to the judge: its first claim carries the failure. All
    questions of the rollout run at once; one without an answer at its deadline (`deadline_s`) is a DEADLINE verdict. A
    malformed response is scored by the rules.

    A truncated response is scored like any other (it normally lacks its answer and fails the format); with
    `truncated="invalid"` it has no task reward (reason TRUNCATED) and so enters no statistic.

    Args:
        sample: the dataset row.
        response: the decoded response; any string.
        judges: who answers which question; one that nobody answers is not asked, its signal is absent (NO_JUDGE).
        settings: see `RewardSettings`.
        truncated: whether the response was cut at the length limit.
        parsed: the parts of a response in another grammar than ours; None reads it with ours.

    Returns:
        The score. A signal that could not be measured carries the reason.
    """
    if parsed is None:
        parsed = parse_response(response)
    accurate = answer_matches(parsed.answer, sample.ground_truth, sample.choices)

    asked = accurate or settings.judge_scope == "all"
    consistency_verdict, sentences = await _judge(sample, parsed, judges, settings) if asked else (None, ())
    consistency = semantic_grounding = Signal.absent(Reason.NO_JUDGE if asked else Reason.ANSWER_WRONG)
    if asked and Question.CONSISTENCY in judges:
        consistency = _consistency(consistency_verdict)
    if asked and Question.GROUNDING in judges:
        semantic_grounding = _semantic_grounding(parsed, sentences, settings)
    spatial_grounding = _spatial_grounding(sample, parsed)
    task = task_reward(
        settings.task,
        well_formed=parsed.well_formed,
        accurate=accurate,
        consistency=consistency,
        spatial_grounding=spatial_grounding,
    )
    if truncated and settings.truncated == "invalid":
        task = Signal.absent(Reason.TRUNCATED)
    return RolloutScore(
        signals={
            "format": Signal(float(parsed.well_formed)),
            "accuracy": Signal(float(accurate)),
            "task": task,
            "consistency": consistency,
            "semantic_grounding": semantic_grounding,
            "spatial_grounding": spatial_grounding,
        },
        response=parsed,
        consistency=consistency_verdict,
        sentences=sentences,
        truncated=truncated,
    )


# ---------------------------------------------------------------------- verdicts to signals


def _consistency(verdict: Verdict | None) -> Signal:
    """R_C: YES is 1; NO is 0, and so is UNCERTAIN, which is counted apart."""
    if verdict is None:
        return Signal.absent(Reason.UNPARSABLE)
    if verdict.failure is not None:
        return Signal.absent(_REASONS[verdict.failure])
    return Signal(float(verdict.label is Label.YES))


def _semantic_grounding(
    parsed: ParsedResponse, sentences: Sequence[SentenceVerdict], settings: RewardSettings
) -> Signal:
    """R_S: the mean over scored sentences, CORRECT 1 and INCORRECT 0.

    One failed verdict leaves R_S absent with the first failure's reason: judges fail more on long and odd sentences, so
    a mean over the rest would be biased.
    """
    if parsed.trace is None:
        return Signal.absent(Reason.UNPARSABLE)
    verdicts = [item.verdict for item in sentences if item.verdict is not None]
    for verdict in verdicts:
        if verdict.failure is not None:
            return Signal.absent(_REASONS[verdict.failure])
    scores = [float(v.label is Label.CORRECT) for v in verdicts if v.label is not Label.SKIP]
    if scores:
        return Signal(fmean(scores))
    return Signal(0.0) if settings.no_claim == "zero" else Signal.absent(Reason.NO_CLAIM)


def _spatial_grounding(sample: Sample, parsed: ParsedResponse) -> Signal:
    """R_G where the sample has ground-truth boxes."""
    if not sample.boxes:
        return Signal.absent(Reason.NO_REFERENCE)
    return Signal(spatial_score(parsed.boxes, sample.boxes, parsed.n_boxes))


# ---------------------------------------------------------------------- questions to verdicts


async def _judge(
    sample: Sample, parsed: ParsedResponse, judges: Mapping[Question, Judge], settings: RewardSettings
) -> tuple[Verdict | None, tuple[SentenceVerdict, ...]]:
    """Ask everything there is to ask about a rollout, at once.

    Returns:
        The consistency verdict (None without a trace and an answer) and the trace's sentences with their verdicts.
    """
    trace = parsed.trace or ""
    sentences = split_sentences(trace)
    claims = _drawn([sentence for sentence in sentences if not sentence.trivial], trace, settings.max_sentences)
    if Question.GROUNDING not in judges:
        claims = []
    refused = _too_many(claims, judges, settings)
    grounding = [] if refused else [_grounding_request(sample, trace, claim, settings) for claim in claims]
    asked = parsed.parsable and Question.CONSISTENCY in judges
    consistency = [_consistency_request(sample, parsed, settings)] if asked else []
    consistency_verdicts, grounding_verdicts = await asyncio.gather(
        _verdicts(judges, Question.CONSISTENCY, consistency), _verdicts(judges, Question.GROUNDING, grounding)
    )
    answered = zip(claims, refused or grounding_verdicts, strict=not refused)
    by_start = {claim.start: verdict for claim, verdict in answered}
    return (
        consistency_verdicts[0] if consistency else None,
        tuple(SentenceVerdict(sentence, by_start.get(sentence.start)) for sentence in sentences),
    )


async def _verdicts(
    judges: Mapping[Question, Judge], question: Question, requests: Sequence[JudgeRequest]
) -> Sequence[Verdict]:
    return await ask(judges[question], requests) if requests else ()


def _too_many(
    claims: Sequence[Sentence], judges: Mapping[Question, Judge], settings: RewardSettings
) -> tuple[Verdict, ...]:
    """The failure of a rollout that says more than anybody is asked about; () of one that does not."""
    if len(claims) <= settings.max_claims:
        return ()
    cause = (
        f"{len(claims):,} claims, and reward.max_claims={settings.max_claims}: nobody was asked about them; "
        "raise it, or have some drawn by reward.max_sentences"
    )
    return (Verdict(None, judges[Question.GROUNDING].name, Failure.TOO_MANY_CLAIMS, cause=cause),)


def _drawn(claims: list[Sentence], trace: str, most: int | None) -> list[Sentence]:
    """At most `most` of the claims, in their order. The trace itself is the seed: the same rollout, the same claims."""
    if most is None or len(claims) <= most:
        return claims
    return sorted(
        random.Random(trace.encode("utf-8", "surrogatepass")).sample(claims, most), key=lambda claim: claim.start
    )


def _consistency_request(sample: Sample, parsed: ParsedResponse, settings: RewardSettings) -> JudgeRequest:
    return JudgeRequest(
        Question.CONSISTENCY,
        question=sample.question_with_choices,
        context=parsed.trace or "",
        answer=parsed.answer or "",
        limit_s=settings.deadline_s,
    )


def _grounding_request(sample: Sample, trace: str, claim: Sentence, settings: RewardSettings) -> JudgeRequest:
    return JudgeRequest(
        Question.GROUNDING,
        question=sample.question_with_choices,
        images=sample.images,
        context=trace[max(0, claim.start - MAX_CONTEXT) : claim.start],
        claim=claim.text,
        limit_s=settings.deadline_s,
    )
