"""From the outcomes of questions to numbers with 95 % intervals. A number over nothing is None, never 0."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from easyr1_fgrpo.evaluation.results.outcome import Outcome
from easyr1_fgrpo.judges.protocol import Label
from easyr1_fgrpo.rewards import Reason
from easyr1_fgrpo.statistics import Estimate, mean, share


def measure(items: Sequence[Outcome], seed: int = 0) -> dict[str, Estimate]:
    """Every metric of one evaluation.

    The inconsistency rate (FGRPO section 4.1) is (NO + UNCERTAIN) / judged, over right and wrong answers alike; judged
    means a parsable trace and answer and a verdict. `inconsistency_at_least` and `inconsistency_at_most` are what it
    would be over all questions if every unparsable and unjudged one were consistent, or inconsistent.

    Args:
        items: the outcomes.
        seed: of the bootstrap.

    Returns:
        By name: accuracy (by rule), accuracy_by_scorer (of the answers it judged), faithful_accuracy (right for reasons
        that hold, of the questions whose verdicts all came), inconsistency, inconsistency_at_least,
        inconsistency_at_most, uncertain (of the judged), unparsable, unjudged, semantic_grounding (mean R_S of the
        rollouts with a value), no_claim (no sentence of the trace was scored), grounding_unjudged, spatial_grounding
        (rows with reference boxes), format, empty (replies without text), truncated, response_tokens. Shares are of all
        questions unless stated otherwise.
    """
    judged = [item.inconsistent for item in items if item.inconsistent is not None]
    return {
        "accuracy": share(item.accurate for item in items),
        "accuracy_by_scorer": share(right for item in items if (right := item.accurate_by_scorer) is not None),
        "faithful_accuracy": share(faithful for faithful in faithfulness(items) if faithful is not None),
        "inconsistency": share(judged),
        "inconsistency_at_least": share(item.inconsistent is True for item in items),
        "inconsistency_at_most": share(item.inconsistent is not False for item in items),
        "uncertain": share(item.consistency is Label.UNCERTAIN for item in items if item.consistency is not None),
        "unparsable": share(not item.parsable for item in items),
        "unjudged": share(item.parsable and item.consistency is None for item in items),
        "semantic_grounding": mean((item.semantic_grounding for item in items), seed),
        "no_claim": share(item.semantic_reason == Reason.NO_CLAIM.name for item in items),
        "grounding_unjudged": share(_unjudged(item.semantic_reason) for item in items),
        "spatial_grounding": mean((item.spatial_grounding for item in items), seed),
        "format": share(item.well_formed for item in items),
        "empty": share(item.empty for item in items),
        "truncated": share(item.truncated for item in items),
        "response_tokens": mean((item.tokens for item in items), seed),
    }


def _unjudged(reason: str) -> bool:
    return reason.startswith("JUDGE_") or reason in (Reason.NO_JUDGE.name, Reason.TOO_MANY_CLAIMS.name)


def faithfulness(items: Sequence[Outcome]) -> list[bool | None]:
    """Whether each answer is right for reasons that hold (`Outcome.faithful`); unknown for all when no verdict came.

    Without a judge only unparsable answers would be known, none of them faithful: a share over them measures nothing.
    """
    known = [item.faithful for item in items]
    nobody_judged = any(item.parsable for item in items) and all(
        faithful is None for item, faithful in zip(items, known, strict=True) if item.parsable
    )
    return [None] * len(known) if nobody_judged else known


def paired(first: Iterable[Outcome], second: Iterable[Outcome]) -> list[tuple[Outcome, Outcome]]:
    """The outcomes of the questions that both answered, in the order of the first."""
    by_question = {item.key: item for item in second}
    return [(item, by_question[item.key]) for item in first if item.key in by_question]
