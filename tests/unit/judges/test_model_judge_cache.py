"""What is known is not asked again."""

import threading

import pytest
from judge_endpoint import Script, judge_endpoint
from PIL import Image

from easyr1_fgrpo.judges import openai_compatible
from easyr1_fgrpo.judges.cache import VerdictCache
from easyr1_fgrpo.judges.protocol import Failure, JudgeRequest, Label

from .model_judge import CHOICE, CLAIM, RED, claims, judging

pytestmark = pytest.mark.usefixtures("no_back_off")


async def test_a_known_verdict_is_not_asked_again(tmp_path):
    cache = VerdictCache(tmp_path, max_gib=0.1)
    with judge_endpoint() as server:
        async with judging(server, cache=cache) as judge:
            first = await judge.ask(CLAIM)
            assert (judge.asked, judge.known) == (1, 0)
        async with judging(server, cache=VerdictCache(tmp_path, max_gib=0.1)) as judge:
            again = await judge.ask(JudgeRequest(**{**vars(CLAIM), "images": (RED.copy(),), "limit_s": 9.0}))
            assert (judge.asked, judge.known) == (0, 1)
    assert (again.label, again.text, again.judge) == (first.label, first.text, first.judge)
    assert (again.usage.cached, again.usage.calls, again.usage.prompt_tokens) == (1, 0, 0)
    assert server.calls == 1


async def test_whatever_changes_the_question_is_asked(tmp_path):
    changed = [
        CLAIM,
        JudgeRequest(**{**vars(CLAIM), "images": (Image.new("RGB", (20, 10), "blue"),)}),
        JudgeRequest(**{**vars(CLAIM), "images": (Image.new("RGB", (10, 20), "red"),)}),
        JudgeRequest(**{**vars(CLAIM), "question": "Which is farther?"}),
        JudgeRequest(**{**vars(CLAIM), "context": "I look again."}),
        JudgeRequest(**{**vars(CLAIM), "claim": "The square is blue."}),
        CHOICE,
    ]
    configs = [{}, {"parameters": {"temperature": 0.5}}, {"repetition": "incorrect"}, {"coordinates": "thousand"}]
    with judge_endpoint() as server:
        for n, config in enumerate(configs):
            async with judging(server, cache=VerdictCache(tmp_path, max_gib=0.1), **config) as judge:
                verdicts = [await judge.ask(request) for request in (changed if n == 0 else [CLAIM])]
                assert not any(verdict.usage.cached for verdict in verdicts)
    assert server.calls == len(changed) + len(configs) - 1


async def test_failures_are_not_cached(tmp_path):
    cache = VerdictCache(tmp_path, max_gib=0.1)
    with judge_endpoint(Script(first=["text", "400"])) as server:
        async with judging(server, cache=cache) as judge:
            verdicts = [await judge.ask(CLAIM) for _ in range(4)]
    assert [verdict.failure for verdict in verdicts] == [Failure.INVALID, Failure.UNREACHABLE, None, None]
    assert [verdict.usage.cached for verdict in verdicts] == [0, 0, 0, 1]


async def test_a_known_rollout_counts_every_verdict(tmp_path):
    with judge_endpoint() as server:
        async with judging(server, per_rollout=True, cache=VerdictCache(tmp_path, max_gib=0.1)) as judge:
            await judge.ask_all(claims(3))
            verdicts = await judge.ask_all(claims(3))
    assert [verdict.usage.cached for verdict in verdicts] == [3, 0, 0]
    assert [verdict.label for verdict in verdicts] == [Label.CORRECT] * 3


async def test_a_hanging_disk_costs_no_verdict(tmp_path, monkeypatch):
    monkeypatch.setattr(openai_compatible, "CACHE_WAIT_S", 0.05)
    cache, disk_answers = VerdictCache(tmp_path, max_gib=0.1), threading.Event()
    with judge_endpoint() as server:
        async with judging(server, cache=cache) as judge:
            await judge.ask(CHOICE)
            store = cache._store.set
            cache._store.set = lambda *entry: disk_answers.wait() and store(*entry)
            verdict = await judge.ask(CLAIM)
            disk_answers.set()
    assert verdict.label is Label.CORRECT
