"""Deadlines, cancellation, and endpoints that die and come back."""

import asyncio
from urllib.parse import urlsplit

import pytest
from clock import Clock
from judge_endpoint import Script, judge_endpoint

from easyr1_fgrpo.judges.protocol import Failure, JudgeRequest, Label, Question
from easyr1_fgrpo.model_client import endpoints

from .model_judge import CLAIM, asked, judging

pytestmark = pytest.mark.usefixtures("no_back_off")


async def test_a_call_that_hangs_is_given_up_and_repeated():
    verdict, server = await asked(Script(first=["hang"]), deadline_s=0.3)
    assert verdict.label is Label.CORRECT
    assert verdict.usage.calls == server.calls == 2


async def test_calls_that_hang_end_as_a_deadline():
    verdict, server = await asked(Script(shares={"hang": 1.0}), deadline_s=0.3, max_retries=1)
    assert verdict.failure is Failure.DEADLINE
    assert "gave no answer within 0.3 s" in verdict.cause
    assert verdict.usage.calls == server.calls == 2


async def test_the_answer_comes_before_the_questions_time_is_over():
    for script in [Script(shares={"hang": 1.0}), Script(shares={"429": 1.0}, retry_after="20")]:
        verdict, server = await asked(script, JudgeRequest(Question.GROUNDING, "?", claim="A bird.", limit_s=0.5))
        assert verdict.usage.seconds < 15.0  # long before the reply, or the time at which the server wants to be asked
        assert verdict.label is None
        assert verdict.usage.calls == server.calls == 1


async def test_the_queue_is_left_when_the_server_answers_nobody():
    quick = JudgeRequest(Question.GROUNDING, "?", claim="A bird.", limit_s=0.3)
    with judge_endpoint(Script(shares={"hang": 1.0})) as server:
        async with judging(server, concurrency=1) as judge:
            first = asyncio.create_task(judge.ask(CLAIM))
            while not server.calls:
                await asyncio.sleep(0.01)
            verdict = await judge.ask(quick)
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
    assert verdict.failure is Failure.DEADLINE
    assert "no call could start" in verdict.cause
    assert (verdict.usage.calls, server.calls) == (0, 1)


async def test_a_question_without_time_is_not_asked():
    verdict, server = await asked(Script(), JudgeRequest(Question.GROUNDING, "?", claim="A bird.", limit_s=0.0))
    assert (verdict.failure, verdict.usage.calls, server.calls) == (Failure.DEADLINE, 0, 0)


async def test_cancellation_passes_and_frees_the_slot():
    with judge_endpoint(Script(first=["hang"])) as server:
        async with judging(server, concurrency=1) as judge:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await judge.ask(CLAIM)
            assert (await judge.ask(CLAIM)).label is Label.CORRECT


async def test_a_dead_endpoint_costs_its_deadline_once(monkeypatch):
    monkeypatch.setattr(endpoints, "FAULTS_TO_OPEN", 3)
    monkeypatch.setattr(endpoints, "FIRST_COOL_DOWN_S", 60.0)
    with judge_endpoint(Script(shares={"hang": 1.0})) as server:
        async with judging(server, deadline_s=0.2, max_retries=5) as judge:
            await asyncio.gather(*(judge.ask(CLAIM) for _ in range(3)))
            calls = server.calls
            verdicts = [await judge.ask(CLAIM) for _ in range(20)]
    assert {verdict.failure for verdict in verdicts} == {Failure.UNREACHABLE}
    assert all(server.url in verdict.cause and "gave no answer" in verdict.cause for verdict in verdicts)
    assert server.calls == calls


async def test_a_stall_costs_no_question_its_verdict(monkeypatch):
    """Every call under way hangs until its deadline, which opens the only URL's circuit; then the server is back."""
    monkeypatch.setattr(endpoints, "FIRST_COOL_DOWN_S", 0.05)
    request = JudgeRequest(Question.GROUNDING, "?", claim="A bird.", limit_s=120.0)
    with judge_endpoint(Script(first=["hang"] * 16)) as server:
        async with judging(server, concurrency=16, deadline_s=2.0) as judge:
            verdicts = await asyncio.gather(*(judge.ask(request) for _ in range(200)))
    assert server.counts["hang"] == 16
    assert {verdict.label for verdict in verdicts} == {Label.CORRECT}


async def test_when_a_judge_dies_for_good_every_question_waits_and_ends_in_time(monkeypatch):
    monkeypatch.setattr(endpoints, "FIRST_COOL_DOWN_S", 0.1)
    request = JudgeRequest(Question.GROUNDING, "?", claim="A bird.", limit_s=2.0)
    with judge_endpoint(Script(shares={"500": 1.0})) as server:
        async with judging(server, concurrency=16) as judge, asyncio.timeout(60.0):
            verdicts = await asyncio.gather(*(judge.ask(request) for _ in range(200)))
    assert {verdict.failure for verdict in verdicts} <= {Failure.UNREACHABLE, Failure.DEADLINE}
    never_sent = [verdict for verdict in verdicts if not verdict.usage.calls]
    assert len(never_sent) > 100
    assert all("is left out for" in verdict.cause and "answered 500" in verdict.cause for verdict in never_sent)
    assert all(verdict.usage.seconds > 1.5 for verdict in never_sent)


async def test_a_server_that_comes_back_is_used_again(monkeypatch):
    monkeypatch.setattr(endpoints, "time", clock := Clock())
    with judge_endpoint() as server:
        port = urlsplit(server.url).port
        async with judging(server) as judge:
            assert (await judge.ask(CLAIM)).label
    async with judging(server) as judge:
        while_down = [await judge.ask(CLAIM) for _ in range(5)]
        with judge_endpoint(port=port):
            clock.now += endpoints.LAST_COOL_DOWN_S
            assert (await judge.ask(CLAIM)).label
    assert {verdict.failure for verdict in while_down} == {Failure.UNREACHABLE}
    assert "is left out for" in while_down[-1].cause
