"""One question of each kind to each judge that can be asked without Ray, and one rollout to each custom signal.

They are about the first row of the data. A wrong address, model name or API key, or a model that does not keep to its
answer format, would show as missing verdicts hours later. Judges on the run's own cluster are found healthy when they
are launched.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from omegaconf import OmegaConf

from easyr1_fgrpo.config.judges import LocalJudgeConfig, ModelJudgeConfig
from easyr1_fgrpo.config.schema import FgrpoConfig
from easyr1_fgrpo.judges.asking import ask
from easyr1_fgrpo.judges.factory import build_judges, close
from easyr1_fgrpo.judges.protocol import Judge, JudgeRequest, Label, Question, Verdict
from easyr1_fgrpo.rewards import score_rollout
from easyr1_fgrpo.rewards.custom_signal import load_signal, with_custom_signals
from easyr1_fgrpo.rows import Row, read_rows
from easyr1_fgrpo.terminal import printable
from easyr1_fgrpo.training.rollout import sample_of
from easyr1_fgrpo.verl_plugin.paths import data_files

LIMIT_S = 30.0
"""Seconds for the answer: a judge that needs longer for one small question alone is not there."""


LARGEST = 1024
"""Pixels of a picture's longer side: what counts is whether the judge takes pictures at all."""


def first_question_problems(config: Any, settings: FgrpoConfig) -> list[str]:
    """Ask, and print what each judge says.

    Args:
        config: the whole composed config; its training data are here.
        settings: its key `fgrpo`, whose judges can be built (`run_problems`).

    Returns:
        One line for each question that got no verdict. A verdict that is not the right one is told on the terminal: it
        may be a weak judge, or the prompt of another task.
    """
    here: dict[str, LocalJudgeConfig | ModelJudgeConfig] = {
        name: judge
        for name, judge in settings.judges.items()
        if isinstance(judge, LocalJudgeConfig) or (isinstance(judge, ModelJudgeConfig) and judge.base_urls)
    }
    if not here and not settings.signals:
        return []
    path = data_files(config.data.train_files)[0]
    if not path.exists():  # a stage refuses that where it needs the data
        return []
    try:
        row = next(read_rows(path), None)
    except (OSError, ValueError) as error:
        return [f"data.train_files={path}: cannot be read ({error})"]
    if row is None:
        return [f"data.train_files={path}: it holds no rows"]
    ways_out = {str(name): _way_out(config, name, judge) for name, judge in here.items()}
    asked = asyncio.run(_ask_all(settings.model_copy(update={"judges": here}), row, ways_out)) if here else []
    return [*asked, *asyncio.run(_signal_problems(settings, row))]


async def _signal_problems(settings: FgrpoConfig, row: Row) -> list[str]:
    sample = sample_of(row.model_dump(by_alias=True), row.open_images())
    answer = row.reward_model.ground_truth
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


async def _ask_all(settings: FgrpoConfig, row: Row, ways_out: Mapping[str, str]) -> list[str]:
    print(f"asking the judges of {' and '.join(settings.judges)} a first question", flush=True)
    judges = build_judges(settings, cache=False)
    try:
        asked = [_ask(settings, question, judge, row, ways_out[question]) for question, judge in judges.items()]
        return [problem for problem in await asyncio.gather(*asked) if problem]
    finally:
        await close(set(judges.values()))


async def _ask(settings: FgrpoConfig, question: Question, judge: Judge, row: Row, way_out: str) -> str | None:
    request, right = _case(question, row)
    started = time.monotonic()
    (verdict,) = await ask(judge, [replace(request, limit_s=min(LIMIT_S, settings.reward.deadline_s))])
    config = settings.judges[question.value]
    at = f"{config.model} at {', '.join(config.base_urls)}" if isinstance(config, ModelJudgeConfig) else ""
    who = at or judge.name
    if verdict.label is None:
        return f"fgrpo.judges.{question.value}: {who} gave no verdict on a first question ({_why(verdict)}); {way_out}"
    as_due = "" if verdict.label in right else " of a trace that says the right answer; see `fgrpo judge validate`"
    print(f"judge of {question.value}, {who}: {verdict.label}{as_due}, {time.monotonic() - started:.1f} s", flush=True)
    return None


def _case(question: Question, row: Row) -> tuple[JudgeRequest, set[Label]]:
    """A trace that says the answer, and the labels that are right for it."""
    answer = row.reward_model.ground_truth
    sentence = f"So the answer is {answer}."
    images = row.open_images()
    for image in images:
        image.thumbnail((LARGEST, LARGEST))
    sample = sample_of(row.model_dump(by_alias=True), images)
    if question is Question.CONSISTENCY:
        request = JudgeRequest(question, sample.question_with_choices, context=sentence, answer=answer)
        return request, {Label.YES}
    request = JudgeRequest(question, sample.question_with_choices, images=images, claim=sentence)
    return request, {Label.CORRECT, Label.SKIP}


def _why(verdict: Verdict) -> str:
    cause = " ".join(printable(verdict.cause or verdict.text or "no cause").split())
    return f"{verdict.failure}: {cause[:200]}"
