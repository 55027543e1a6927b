"""What a run does, for `fgrpo plan`: steps, rollouts, thresholds, judge calls."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from easyr1_fgrpo.config.judges import ModelJudgeConfig
from easyr1_fgrpo.config.schema import FgrpoConfig
from easyr1_fgrpo.judges.protocol import Question
from easyr1_fgrpo.preflight.hidden import Judging

SPREAD = 0.5
"""Share of a step's rollout time over which rollouts end on GPUs, assumed: responses differ in length."""


@dataclass(frozen=True)
class Assumptions:
    """What only a run can tell.

    Attributes:
        sentences: judged sentences of a trace.
        rollout_s: seconds in which a step's rollouts are generated.
        correct: share of correct rollouts; training asks judges about those only.
        answer_s: seconds of a model judge's answer, with as many calls under way as it takes.
    """

    sentences: float = 8.0
    rollout_s: float = 60.0
    correct: float = 0.65
    answer_s: float = 1.0


def step_counts(policy: str, steps: int | None, prompts: int, n: int) -> Iterator[tuple[str, str]]:
    """What a run trains, and on how much.

    Args:
        policy: and its arm.
        steps: None where the data are not here that say it.
        prompts: of a step.
        n: rollouts of a prompt.
    """
    yield "policy", policy
    yield "steps", "unknown: the data are not here" if steps is None else f"{steps:,}"
    yield "rollouts a step", f"{prompts * n:,} ({prompts} prompts x {n})"


def weight_counts(settings: FgrpoConfig) -> Iterator[tuple[str, str]]:
    """The task reward, where signals are added to it, and signals that neither it nor a constraint reads."""
    weights = {name: weight for name, weight in settings.reward.weights.items() if weight}
    if weights:
        added = "".join(f" + {weight:g} {name}" for name, weight in weights.items())
        yield "task reward", f"(R_task{added}) / {1 + sum(weights.values()):g}"
    if alone := [name for name in settings.signals if name not in weights and name not in settings.constraint_keys]:
        yield "measured alone", ", ".join(alone)


def threshold_counts(settings: FgrpoConfig) -> Iterator[tuple[str, str]]:
    """What the scores of constraints are compared with whose judge errs."""
    for name in settings.constraint_keys:
        constraint = settings.constraints[name]
        if constraint.judge_error is not None:
            yield (
                f"{name} compared with",
                f"{constraint.measured_threshold:.4g}, as a judge with the errors {constraint.judge_error} measures a "
                f"true rate of {constraint.threshold:g}",
            )


def judge_counts(
    settings: FgrpoConfig, assumed: Assumptions, *, rollouts: int, at_once: bool
) -> Iterator[tuple[str, str]]:
    """What judges are asked in a step, and what that adds to it.

    Args:
        settings: the key `fgrpo` of the config.
        assumed: what only a run can tell.
        rollouts: of a step.
        at_once: whether all rollouts end together, so that judging begins after the last.
    """
    judged = rollouts * (1.0 if settings.reward.judge_scope == "all" else assumed.correct)
    sentences = min(assumed.sentences, settings.reward.max_sentences or assumed.sentences)
    total = 0.0
    asked: list[tuple[ModelJudgeConfig, float]] = []
    for question in Question:
        judge = settings.judges.get(question.value)
        if judge is None:
            yield f"{question} calls a step", "none: nobody judges it, nothing is known about it"
            continue
        whole = question is Question.CONSISTENCY or (isinstance(judge, ModelJudgeConfig) and judge.per_rollout)
        calls = judged * (1.0 if whole else sentences)
        total += calls
        if isinstance(judge, ModelJudgeConfig):
            asked.append((judge, calls))
        yield f"{question} calls a step", f"{calls:,.0f}"
    yield (
        "judge rate needed",
        f"{total / assumed.rollout_s:,.1f} calls/s, to stay hidden behind rollouts of {assumed.rollout_s:g} s "
        f"(assumed, as {sentences:g} sentences a trace and {assumed.correct:.0%} correct)",
    )
    if asked:
        yield "judging adds", _added(asked, assumed, at_once=at_once)


def _added(asked: list[tuple[ModelJudgeConfig, float]], assumed: Assumptions, *, at_once: bool) -> str:
    """What model judges add to a step; questions whose judges are configured alike share one (judges/factory.py)."""
    spread = 0.0 if at_once else SPREAD
    judgings = [
        Judging(
            calls=sum(calls for other, calls in asked if other == judge),
            at_once=judge.concurrency * max(1, len(judge.base_urls)),
            answer_s=assumed.answer_s,
        )
        for judge, _ in asked
    ]
    added_s, _, slowest = max(
        ((judging.added_s(assumed.rollout_s, spread), judging.calls, judging) for judging in judgings),
        key=lambda one: one[:2],
    )
    hidden = "no more than its last answer" if added_s <= assumed.answer_s else "what rollouts do not hide"
    return (
        f"{added_s:,.1f} s to a step, {hidden}: {slowest.calls:,.0f} calls, {slowest.at_once} at once, "
        f"{assumed.answer_s:g} s each (assumed)"
    )
