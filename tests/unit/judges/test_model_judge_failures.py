"""A judge that fails, in every way a server can: never an exception, never an invented label."""

import asyncio
import time
from email.utils import formatdate

import pytest
from judge_endpoint import Script, judge_endpoint

from easyr1_fgrpo.judges.cache import VerdictCache
from easyr1_fgrpo.judges.protocol import Failure, Label
from easyr1_fgrpo.model_client import chat
from easyr1_fgrpo.model_client.chat import MAX_TEXT

from .model_judge import CLAIM, KEY, asked, dead_url, judging

pytestmark = pytest.mark.usefixtures("no_back_off")


async def test_passing_trouble_is_repeated():
    for trouble in ["408", "409", "429", "500", "502", "503", "drop", "half", "broken", "empty", "error"]:
        verdict, server = await asked(Script(first=[trouble, trouble]))
        assert verdict.label is Label.CORRECT
        assert (verdict.usage.calls, verdict.usage.retries) == (3, 2)
        assert server.counts == {trouble: 2, "answer": 1}


async def test_lasting_trouble_ends_after_the_retries():
    for trouble, cause in [
        ("429", "answered 429"),
        ("500", "answered 500"),
        ("drop", "broke the connection"),
        ("half", "broke the connection"),
        ("broken", "answered with no chat completion"),
        ("empty", "lacks choices[0].message"),
        ("error", 'answered 503: {"message": "as told"'),
    ]:
        verdict, server = await asked(Script(shares={trouble: 1.0}), max_retries=2)
        assert (verdict.label, verdict.failure) == (None, Failure.UNREACHABLE)
        assert server.url in verdict.cause
        assert cause in verdict.cause
        assert verdict.cause.endswith("(after 3 calls)")
        assert (verdict.usage.calls, verdict.usage.retries, server.calls) == (3, 2, 3)


async def test_a_refusal_is_not_repeated():
    for status in ["400", "401", "403", "404", "422", "refused"]:
        verdict, server = await asked(Script(shares={status: 1.0}, says="no such model"))
        assert verdict.failure is (Failure.REFUSED if status in ("401", "403") else Failure.UNREACHABLE)
        assert f"answered {status.replace('refused', '400')}" in verdict.cause
        assert "no such model" in verdict.cause
        assert server.calls == verdict.usage.calls == 1


async def test_a_model_that_was_cut_off_while_it_thought_is_no_outage():
    """Ten of them in a row opened the circuit breaker, and healthy questions went unasked."""
    thinking = {"role": "assistant", "reasoning_content": "First I look at the"}
    says = iter([*[thinking] * 20, *["CORRECT"] * 20])
    with judge_endpoint(Script(answer=lambda case: next(says))) as server:
        async with judging(server, concurrency=1, max_retries=0) as judge:
            verdicts = [await judge.ask(CLAIM) for _ in range(40)]
    assert [verdict.failure for verdict in verdicts] == [Failure.INVALID] * 20 + [None] * 20
    assert verdicts[0].cause == "the answer is no label, it only thought"
    assert server.calls == 40


async def test_a_label_behind_thinking_or_in_a_fence_counts_where_the_config_says_so():
    for said in ["<think>INCORRECT? No.</think>\n\nCORRECT", "```\nCORRECT\n```", "**CORRECT**"]:
        strict, _ = await asked(Script(answer=lambda case, said=said: said))
        assert (strict.label, strict.failure) == (None, Failure.INVALID)
        loose, server = await asked(Script(answer=lambda case, said=said: said), accept_reasoning=True)
        assert loose.label is Label.CORRECT
        assert "max_tokens" not in server.bodies[0]
    unsure = "CORRECT, I think. INCORRECT?"
    assert (await asked(Script(answer=lambda case: unsure), accept_reasoning=True))[0].label is None


async def test_a_verdict_that_was_read_loosely_is_none_for_who_reads_strictly(tmp_path):
    fenced = Script(answer=lambda case: "```\nCORRECT\n```")
    parameters = {"temperature": 0.0, "max_tokens": 64}
    with judge_endpoint(fenced) as server:
        for accept, label in [(True, Label.CORRECT), (False, None), (True, Label.CORRECT)]:
            cache = VerdictCache(tmp_path / "cache", max_gib=0.1)
            async with judging(server, cache=cache, parameters=parameters, accept_reasoning=accept) as judge:
                assert (await judge.ask(CLAIM)).label is label
    assert server.calls == 2


async def test_an_answer_that_is_no_label_is_invalid_and_not_repeated():
    for behaviour, said in [("text", "Well, that depends on how one looks at it."), ("wrong", "YES"), ("null", "")]:
        verdict, server = await asked(Script(shares={behaviour: 1.0}))
        assert (verdict.label, verdict.failure) == (None, Failure.INVALID)
        assert verdict.text == said
        assert ("cut off" in verdict.cause) == (behaviour == "null")
        assert server.calls == verdict.usage.calls == 1
        assert verdict.usage.prompt_tokens == 100


async def test_hostile_answers_are_stored_bounded_and_encodable():
    for text in ["x" * 100_000, "\ud800 \x1b[31m", "YES\nCORRECT"]:
        verdict, _ = await asked(Script(answer=lambda case, text=text: text))
        assert verdict.failure is Failure.INVALID
        assert len(verdict.text.encode()) <= MAX_TEXT


async def test_a_hostile_error_body_gives_a_short_clean_cause():
    verdict, _ = await asked(Script(shares={"400": 1.0}, says="\x1b[31m\u202e\nline\n" + "y" * 100_000))
    assert verdict.cause.isprintable()
    assert len(verdict.cause) < 500


async def test_nobody_listens():
    async with judging(url := dead_url(), max_retries=1) as judge:
        verdict = await judge.ask(CLAIM)
    assert verdict.failure is Failure.UNREACHABLE
    assert url in verdict.cause
    assert verdict.usage.calls == 0  # nothing was sent


async def test_a_dead_url_costs_no_verdict():
    with judge_endpoint() as server:
        async with judging(dead_url(), server, concurrency=4) as judge:
            verdicts = await asyncio.gather(*(judge.ask(CLAIM) for _ in range(40)))
    assert {verdict.label for verdict in verdicts} == {Label.CORRECT}
    assert sum(verdict.usage.calls for verdict in verdicts) == server.calls == 40


async def test_retry_after_is_honoured():
    started = time.monotonic()
    verdict, _ = await asked(Script(first=["429"], retry_after="1"))
    assert verdict.label is Label.CORRECT
    assert time.monotonic() - started >= 1.0


def test_retry_after_in_seconds():
    headers = {"3": 3.0, "0": 0.0, "99999": 30.0, "-4": 0.0, "soon": 0.0, "": 0.0, "1e400": 0.0, "٣": 3.0}
    assert {header: chat._retry_after_s(header) for header in headers} == headers


def test_retry_after_as_a_date():
    assert 8.0 < chat._retry_after_s(formatdate(time.time() + 10, usegmt=True)) <= 10.0
    assert chat._retry_after_s(formatdate(time.time() - 10, usegmt=True)) == 0.0


async def test_a_judge_does_not_raise(monkeypatch, caplog):
    monkeypatch.setenv("JUDGE_KEY", KEY)
    with judge_endpoint() as server:
        async with judging(server, api_key_env="JUDGE_KEY") as judge:
            await judge.ask(CLAIM)

            async def raising(*_):
                raise RuntimeError(f"cannot send {KEY}\nnow")

            judge._client.chat.complete = raising
            verdict = await judge.ask(CLAIM)
    assert verdict.failure is Failure.UNREACHABLE
    assert verdict.cause == "RuntimeError: cannot send *** now"
    assert "in raising" in caplog.text
    assert KEY not in caplog.text
