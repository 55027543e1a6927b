"""What can be known to be wrong with judges and custom signals without asking or running one."""

from __future__ import annotations

import os
from collections.abc import Iterator

from easyr1_fgrpo.config.judges import EmbeddedServerConfig, LocalJudgeConfig, ModelJudgeConfig
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


def judge_problems(settings: FgrpoConfig, workers: int = 1) -> Iterator[str]:
    """Questions without a judge that a constraint or the reward needs, and judges that could not be built or asked.

    Args:
        settings: the key `fgrpo` of the config.
        workers: processes that score rollouts; more than one are verl's `reward.num_workers`.
    """
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
            problems = _model_judge_problems(question, judge, workers)
            yield from (f"fgrpo.judges.{question.value}.{problem}" for problem in problems)


def _needs(settings: FgrpoConfig, question: Question) -> str:
    """The setting that a run cannot have without an answer to the question; "" where there is none."""
    key = {Question.CONSISTENCY: "consistency", Question.GROUNDING: "semantic_grounding"}[question]
    if key in settings.constraint_keys:
        return f"{key} in fgrpo.constraint_keys"
    if settings.reward.weights.get(key):
        return f"{key} in fgrpo.reward.weights"
    in_reward = question is Question.CONSISTENCY and settings.reward.task != "weighted"
    return f"fgrpo.reward.task={settings.reward.task}" if in_reward else ""


def _target_problems(key: str, judge: LocalJudgeConfig | EmbeddedServerConfig) -> Iterator[str]:
    try:
        check = getattr(find_judge(judge.target, judge.options), "check_options", None)
    except ValueError as error:
        yield f"{key}.target={judge.target}: {error}"
        return
    try:
        if check is not None:
            check(**judge.options)
    except Exception as error:  # a user's check may raise anything
        yield f"{key}.options: {error}"


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
