"""First questions to each judge that can be asked without Ray, and one rollout to each custom signal.

They are about the first row of the data. A wrong address, model name or API key, or a model that does not keep to its
answer format, would show as missing verdicts hours later; one that agrees with everything would never show. Judges on
the run's own cluster are found healthy when they are launched.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from omegaconf import OmegaConf

from easyr1_fgrpo.config.judges import LocalJudgeConfig, ModelJudgeConfig
from easyr1_fgrpo.config.schema import FgrpoConfig
from easyr1_fgrpo.judges.asking import ask
from easyr1_fgrpo.judges.factory import build_judges, close
from easyr1_fgrpo.judges.protocol import Judge, JudgeRequest, Label, Question, Verdict
from easyr1_fgrpo.rewards import Sample, score_rollout
from easyr1_fgrpo.rewards.accuracy import answer_matches
from easyr1_fgrpo.rewards.custom_signal import load_signal, with_custom_signals
from easyr1_fgrpo.terminal import printable

LIMIT_S = 30.0
"""Seconds for the answer: a judge that needs longer for one small question alone is not there."""

LOOKED_AT = 64
"""Rows in which another answer is worth looking for."""

LARGEST = 1024
"""Pixels of a picture's longer side: what counts is whether the judge takes pictures at all."""


def first_question_problems(config: Any, settings: FgrpoConfig, first: Sample, answers: Iterable[str]) -> list[str]:
    """Ask, and print what each judge says.

    Args:
        config: the whole composed config.
        settings: its key `fgrpo`, whose judges can be built (`judges.judge_problems`).
        first: a row of the training data, its pictures decoded.
        answers: right ones of further rows.

    Returns:
        One line for each judge that gave no verdict. A verdict that is not the right one is told on the terminal: it
        may be a weak judge, or the prompt of another task.
    """
    here = asked_here(settings)
    ways_out = {str(name): _way_out(config, name, judge) for name, judge in here.items()}
    asked = []
    if here:
        other = _another_answer(first, answers)
        asked = asyncio.run(_ask_all(settings.model_copy(update={"judges": here}), first, other, ways_out))
    return [*asked, *asyncio.run(_signal_problems(settings, first))]


def asked_here(settings: FgrpoConfig) -> dict[str, LocalJudgeConfig | ModelJudgeConfig]:
    """The judges that can be asked without Ray, by question."""
    return {
        name: judge
        for name, judge in settings.judges.items()
        if isinstance(judge, LocalJudgeConfig) or (isinstance(judge, ModelJudgeConfig) and judge.base_urls)
    }


async def _signal_problems(settings: FgrpoConfig, sample: Sample) -> list[str]:
    answer = sample.ground_truth
    response = f"<think>So the answer is {answer}.</think><answer>{answer}</answer>"
    score = await score_rollout(sample, response, {}, settings.reward)
    problems = []
    for name, target in settings.signals.items():
        try:
            with_custom_signals(score, sample, {name: load_signal(target)})
        except Exception as error:  # a user's function may raise anything
            why = " ".join(printable(str(error)).split())[:300]
            problems.append(
                f"fgrpo.signals.{name}={target}: fails on a trace that says the right answer of the first row "
                f"({type(error).__name__}: {why}); it takes (sample, score) and gives a number in [0, 1], or None"
            )
    return problems


def _way_out(config: Any, name: str, judge: LocalJudgeConfig | ModelJudgeConfig) -> str:
    """What to do, and to type, about a judge that does not answer."""
    if isinstance(judge, LocalJudgeConfig):
        return f"its class is {judge.target}"
    at = OmegaConf.select(config, "judge_endpoint.base_urls")
    where = "judge_endpoint" if at is not None and at == config.fgrpo.judges[name].base_urls else f"fgrpo.judges.{name}"
    this = f"export {judge.api_key_env}=KEY with one that it takes" if judge.api_key_env else "start it"
    return f"{this}, or name another: {where}.base_urls=[URL] {where}.model=NAME"


async def _ask_all(settings: FgrpoConfig, first: Sample, other: str | None, ways_out: Mapping[str, str]) -> list[str]:
    print(f"asking the judges of {' and '.join(settings.judges)} a first question", flush=True)
    judges = build_judges(settings, cache=False)
    try:
        asked = [
            _ask(settings, question, judge, _cases(question, first, other), ways_out[question])
            for question, judge in judges.items()
        ]
        return [problem for problem in await asyncio.gather(*asked) if problem]
    finally:
        await close(set(judges.values()))


async def _ask(
    settings: FgrpoConfig, question: Question, judge: Judge, cases: Sequence[_Case], way_out: str
) -> str | None:
    config = settings.judges[question.value]
    at = f"{config.model} at {', '.join(config.base_urls)}" if isinstance(config, ModelJudgeConfig) else ""
    who = at or judge.name
    for case in cases:
        request = replace(case.request, limit_s=min(LIMIT_S, settings.reward.deadline_s))
        started = time.monotonic()
        (verdict,) = await ask(judge, [request])
        if verdict.label is None:
            cause = _why(verdict)
            return f"fgrpo.judges.{question.value}: {who} gave no verdict on a first question ({cause}); {way_out}"
        wrong = "" if verdict.label in case.right else ", which is wrong; see `fgrpo judge validate`"
        took_s = time.monotonic() - started
        print(f"judge of {question.value}, {who}: {verdict.label} to {case.what}{wrong}, {took_s:.1f} s", flush=True)
    return None


@dataclass(frozen=True)
class _Case:
    what: str
    request: JudgeRequest
    right: set[Label]


def _another_answer(first: Sample, answers: Iterable[str]) -> str | None:
    """An answer that the first row could have and has not: one of its choices, or another row's."""
    possible = [*first.choices, *answers]
    return next((text for text in possible if not answer_matches(text, first.ground_truth, first.choices)), None)


def _cases(question: Question, first: Sample, other: str | None) -> list[_Case]:
    """A trace that says its answer, and one that says another, as far as it is known what is right for them."""
    answer, asked = first.ground_truth, first.question_with_choices
    sentence = f"So the answer is {answer}."
    if question is Question.GROUNDING:
        images = tuple(image.copy() for image in first.images)
        for image in images:
            image.thumbnail((LARGEST, LARGEST))
        request = JudgeRequest(question, asked, images=images, claim=sentence)
        return [_Case("a claim that says the right answer", request, {Label.CORRECT, Label.SKIP})]
    request = JudgeRequest(question, asked, context=sentence, answer=answer)
    cases = [_Case("a trace that says its answer", request, {Label.YES})]
    if other is not None:
        cases.append(_Case("a trace that says another answer", replace(request, answer=other), {Label.NO}))
    return cases


def _why(verdict: Verdict) -> str:
    cause = " ".join(printable(verdict.cause or verdict.text or "no cause").split())
    return f"{verdict.failure}: {cause[:200]}"
