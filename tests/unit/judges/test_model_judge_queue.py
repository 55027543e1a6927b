"""A queue that takes longer than the time a question has: the time counts from a question's first call."""

import asyncio
import time

import pytest
from judge_endpoint import Script, judge_endpoint

from easyr1_fgrpo.config.schema import RewardSettings
from easyr1_fgrpo.judges.protocol import Failure, Question
from easyr1_fgrpo.rewards import Reason, Sample, score_rollout

from .model_judge import judging

pytestmark = pytest.mark.usefixtures("no_back_off")

LENGTHS = (1, 3, 8)
"""Sentences of a trace."""


def rollout(sentences):
    trace = " ".join(f"The red circle number {i} is left of the blue square." for i in range(sentences))
    return f"<think>{trace}</think><answer>left</answer>"


async def scores_of(judge, rollouts, deadline_s):
    sample = Sample("Is red left or right of blue?", ("left", "right"), "left")
    settings = RewardSettings(deadline_s=deadline_s)
    judges = dict.fromkeys(Question, judge)
    return await asyncio.gather(*(score_rollout(sample, text, judges, settings) for text in rollouts))


async def test_a_slow_server_measures_short_and_long_traces_alike():
    """One slot, 75 questions at once of 0.04 s each; a question has half of the time that they take together."""
    rollouts = [rollout(length) for length in LENGTHS * 5]
    started = time.monotonic()
    with judge_endpoint(Script(delay_s=0.04)) as server:
        async with judging(server, concurrency=1) as judge:
            scores = await scores_of(judge, rollouts, deadline_s=1.5)
    assert server.calls == 75
    assert time.monotonic() - started > 2 * 1.5
    assert {score.signals["consistency"].valid for score in scores} == {True}
    assert {score.signals["semantic_grounding"].valid for score in scores} == {True}


async def test_a_call_that_hangs_costs_its_own_question_only():
    with judge_endpoint(Script(first=["answer", "hang"], delay_s=0.02)) as server:
        async with judging(server, concurrency=1, deadline_s=0.5, max_retries=0) as judge:
            scores = await scores_of(judge, [rollout(1)] * 10, deadline_s=2.0)
    failures = [verdict.failure for score in scores for verdict in (score.consistency, score.sentences[0].verdict)]
    assert [failure for failure in failures if failure] == [Failure.DEADLINE]
    assert server.calls == 20


async def test_the_queue_of_a_dead_server_ends_for_all_traces_alike():
    with judge_endpoint(Script(shares={"hang": 1.0})) as server:
        async with judging(server, concurrency=1) as judge, asyncio.timeout(20.0):
            scores = await scores_of(judge, [rollout(length) for length in LENGTHS], deadline_s=0.3)
    reasons = {score.signals[name].reason for score in scores for name in ("consistency", "semantic_grounding")}
    assert reasons == {Reason.JUDGE_DEADLINE}
    assert server.calls == 1
