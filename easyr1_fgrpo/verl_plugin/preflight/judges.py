"""What can be known to be wrong with judges and custom signals without asking or running one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from easyr1_fgrpo.config.judges import EmbeddedServerConfig, LocalJudgeConfig, ModelJudgeConfig, VllmServerConfig
from easyr1_fgrpo.config.schema import FgrpoConfig
from easyr1_fgrpo.judges.local import find_judge
from easyr1_fgrpo.judges.protocol import Question
from easyr1_fgrpo.rewards.custom_signal import load_signal


def signal_problems(settings: FgrpoConfig) -> Iterator[str]:
    """Custom signals whose function cannot be loaded."""
    for name, target in settings.signals.items():
        try:
            load_signal(target)
        except ValueError as error:
            yield f"fgrpo.signals.{name}={error}"


def judge_problems(config: Any, settings: FgrpoConfig) -> Iterator[str]:
    """Questions without a judge that a constraint or the reward needs, and judges that could not be built or asked."""
    taking = {
        name: server.gpus
        for name, server in settings.reward_servers.items()
        if isinstance(server, VllmServerConfig) and server.gpus
    }
    if taking and config.trainer.device == "cpu":
        yield (
            f"trainer.device=cpu: the judge server{'s' * (len(taking) > 1)} {' and '.join(taking)} would wait for "
            f"{' + '.join(f'{gpus:g}' for gpus in taking.values())} GPUs, which a run without any has not: take "
            "judge=openai_compatible for one that is served elsewhere, or judge=oracle on the miniature"
        )
    for name, server in settings.reward_servers.items():
        if isinstance(server, EmbeddedServerConfig):
            yield from _target_problems(f"fgrpo.reward_servers.{name}", server)
    for question in Question:
        judge = settings.judges.get(question.value)
        if judge is None:
            if reason := _needs(settings, question):
                yield (
                    f"fgrpo.judges.{question.value} is not set, but {reason} needs it: choose a judge, for example "
                    "judge=openai_compatible"
                )
        elif isinstance(judge, LocalJudgeConfig):
            yield from _target_problems(f"fgrpo.judges.{question.value}", judge)
        elif isinstance(judge, ModelJudgeConfig):
            problems = _model_judge_problems(question, judge, config.reward.num_workers)
            yield from (f"fgrpo.judges.{question.value}.{problem}" for problem in problems)


def _needs(settings: FgrpoConfig, question: Question) -> str:
    """The setting that a run cannot have without an answer to the question; "" where there is none."""
    key = {Question.CONSISTENCY: "consistency", Question.GROUNDING: "semantic_grounding"}[question]
    if key in settings.constraint_keys:
        return f"{key} in fgrpo.constraint_keys"
    in_reward = question is Question.CONSISTENCY and settings.reward.task != "weighted"
    return f"fgrpo.reward.task={settings.reward.task}" if in_reward else ""


def _target_problems(key: str, judge: LocalJudgeConfig | EmbeddedServerConfig) -> Iterator[str]:
    try:
        find_judge(judge.target, judge.options)
    except ValueError as error:
        yield f"{key}.target={judge.target}: {error}"


def _model_judge_problems(question: Question, judge: ModelJudgeConfig, workers: int) -> Iterator[str]:
    from easyr1_fgrpo.judges.prompt import Prompt

    if judge.api_key_env and not os.environ.get(judge.api_key_env):
        yield f"api_key_env={judge.api_key_env}: no such environment variable here; export it"
    if judge.concurrency < workers:
        yield (
            f"concurrency={judge.concurrency}: the {workers} workers of reward.num_workers share it, one call each at "
            "least; raise it, or lower reward.num_workers"
        )
    try:
        Prompt.load(question, template=judge.prompt, per_rollout=judge.per_rollout and question is Question.GROUNDING)
    except ValueError as error:
        yield f"prompt: {error}"
