"""The API key is sent, and shown nowhere."""

import logging

import pytest
from judge_endpoint import Script, judge_endpoint

from easyr1_fgrpo.judges.cache import VerdictCache
from easyr1_fgrpo.judges.protocol import Failure, JudgeRequest, Label, Question

from .model_judge import CLAIM, KEY, judging

pytestmark = pytest.mark.usefixtures("no_back_off")


async def test_the_key_is_sent_and_shown_nowhere(monkeypatch, caplog, tmp_path):
    monkeypatch.setenv("JUDGE_KEY", f"{KEY}\n")
    caplog.set_level(logging.DEBUG)
    says = "wrong key {key}, Bearer {key}"
    cache = VerdictCache(tmp_path, max_gib=0.1)
    with judge_endpoint(Script(first=["401", "500", "answer", "text"], says=says)) as server:
        server.script.answer = lambda case: KEY if len(server.bodies) > 3 else "CORRECT"
        async with judging(server, api_key_env="JUDGE_KEY", max_retries=0, cache=cache) as judge:
            verdicts = [await judge.ask(JudgeRequest(Question.GROUNDING, "?", claim=f"{n} birds.")) for n in range(5)]
            shown = repr(judge) + repr(vars(judge)) + repr(verdicts) + caplog.text
    assert {headers["authorization"] for headers in server.headers} == {f"Bearer {KEY}"}
    assert [verdict.failure for verdict in verdicts] == [
        Failure.REFUSED,
        Failure.UNREACHABLE,
        None,
        Failure.INVALID,
        Failure.INVALID,
    ]
    assert "check the API key in JUDGE_KEY" in verdicts[0].cause
    assert verdicts[4].text == "***"
    assert "wrong key ***, Bearer ***" in shown
    assert KEY not in shown
    assert not any(KEY.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


async def test_a_missing_key_is_named_until_it_is_there(monkeypatch):
    monkeypatch.delenv("JUDGE_KEY", raising=False)
    with judge_endpoint() as server:
        async with judging(server, api_key_env="JUDGE_KEY") as judge:
            verdict = await judge.ask(CLAIM)
            assert (verdict.failure, verdict.usage.calls, server.calls) == (Failure.UNREACHABLE, 0, 0)
            assert "JUDGE_KEY (api_key_env) is not set" in verdict.cause
            monkeypatch.setenv("JUDGE_KEY", KEY)
            assert (await judge.ask(CLAIM)).label is Label.CORRECT
