# Every test asks a real server on loopback; see tests/judge_endpoint.py for what it can do wrong.
import asyncio
import socket
import time
from contextlib import asynccontextmanager

import pytest
from judge_endpoint import Script, judge_endpoint

from data_prep.mcts import teacher as module
from data_prep.mcts.teacher import BudgetUsedUp, Stopped, Teacher, TeacherConfig, TeacherFailed

MESSAGES = [{"role": "system", "content": "Rules."}, {"role": "user", "content": [{"type": "text", "text": "Why?"}]}]


@pytest.fixture(autouse=True)
def no_back_off(monkeypatch):
    monkeypatch.setattr("easyr1_fgrpo.model_client.retrying.FIRST_PAUSE_S", 0.0)


@asynccontextmanager
async def teaching(*urls, **config):
    teacher = Teacher(TeacherConfig(base_urls=list(urls), model="tiny", **config))
    teacher.connect()
    try:
        yield teacher
    finally:
        await teacher.close()


def said(case):
    return f"seed {case.body['seed']}"


async def test_what_is_sent_and_what_comes_back():
    with judge_endpoint(Script(answer=said, tokens=(100, 7))) as server:
        async with teaching(server.url, temperature=0.7, reply_tokens=33) as teacher:
            reply = await teacher.ask(MESSAGES, 5)
    assert (reply.text, reply.finish_reason) == ("seed 5", "stop")
    assert (teacher.calls, teacher.tokens) == (1, 107)
    assert server.bodies[0] == {
        "model": "tiny",
        "messages": MESSAGES,
        "temperature": 0.7,
        "top_p": 1.0,
        "max_tokens": 33,
        "seed": 5,
    }


async def test_failures_that_pass_are_repeated_and_cost_budget():
    first = ["429", "500", "drop", "broken", "empty", "503"]
    with judge_endpoint(Script(answer=said, first=list(first))) as server:
        async with teaching(server.url) as teacher:
            assert (await teacher.ask(MESSAGES, 1)).text == "seed 1"
    assert teacher.calls == server.calls == len(first) + 1


async def test_a_slow_answer_is_given_up_and_asked_again():
    with judge_endpoint(Script(answer=said, first=["hang"])) as server:
        async with teaching(server.url, deadline_s=0.3) as teacher:
            assert (await teacher.ask(MESSAGES, 1)).text == "seed 1"
    assert server.calls == 2


async def test_repetitions_are_bounded_and_a_refusal_is_not_repeated():
    with judge_endpoint(Script(shares={"500": 1.0})) as server:
        async with teaching(server.url) as teacher:
            with pytest.raises(TeacherFailed, match="answered 500: "):
                await teacher.ask(MESSAGES, 1)
    assert server.calls == module.RETRIES.attempts
    with judge_endpoint(Script(first=["400"])) as server:
        async with teaching(server.url) as teacher:
            with pytest.raises(TeacherFailed, match="answered 400: "):
                await teacher.ask(MESSAGES, 1)
            assert teacher.stopped is None
    assert server.calls == 1


async def test_a_teacher_that_never_answers_is_asked_no_more():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
    async with teaching(url) as teacher:
        failures = await asyncio.gather(*(teacher.ask(MESSAGES, n) for n in range(8)), return_exceptions=True)
        assert {type(failure) for failure in failures} == {TeacherFailed}
        with pytest.raises(Stopped, match=rf"no reply 8 times in a row; the last: {url}"):
            await teacher.ask(MESSAGES, 9)


async def test_a_reply_between_failures_starts_the_count_anew():
    with judge_endpoint(Script(first=(["400"] * 7 + ["answer"]) * 2, answer=said)) as server:
        async with teaching(server.url, concurrency=1) as teacher:
            for n in range(16):
                if n % 8 == 7:
                    await teacher.ask(MESSAGES, n)
                else:
                    with pytest.raises(TeacherFailed):
                        await teacher.ask(MESSAGES, n)
            assert teacher.stopped is None


async def test_never_more_calls_at_once_than_allowed_over_all_urls():
    with judge_endpoint(Script(answer=said, delay_s=0.05)) as one, judge_endpoint(one.script) as two:
        async with teaching(one.url, two.url, concurrency=6) as teacher:
            await asyncio.gather(*(teacher.ask(MESSAGES, n) for n in range(36)))
    assert (one.most_at_once, two.most_at_once) == (3, 3)
    assert abs(one.calls - two.calls) <= 12


async def test_the_budget_of_calls_is_exact():
    with judge_endpoint(Script(answer=said, delay_s=0.02)) as server:
        async with teaching(server.url, concurrency=8, max_calls=20) as teacher:
            results = await asyncio.gather(*(teacher.ask(MESSAGES, n) for n in range(40)), return_exceptions=True)
    stopped = [result for result in results if isinstance(result, BudgetUsedUp)]
    assert (server.calls, teacher.calls, len(stopped)) == (20, 20, 20)
    assert str(stopped[0]) == "the budget of this run is used up: 20 of 20 calls (--max-calls)"


async def test_the_budget_of_tokens_lets_calls_under_way_end():
    with judge_endpoint(Script(answer=said, tokens=(90, 10), delay_s=0.02)) as server:
        async with teaching(server.url, concurrency=4, max_tokens=1000) as teacher:
            results = await asyncio.gather(*(teacher.ask(MESSAGES, n) for n in range(40)), return_exceptions=True)
    replies = [result for result in results if not isinstance(result, BudgetUsedUp)]
    assert 10 <= len(replies) <= 13
    assert teacher.tokens == 100 * len(replies)


async def test_requests_per_minute_are_spaced():
    with judge_endpoint(Script(answer=said)) as server:
        async with teaching(server.url, requests_per_minute=600) as teacher:
            started = time.monotonic()
            await asyncio.gather(*(teacher.ask(MESSAGES, n) for n in range(16)))
            took = time.monotonic() - started
    assert took >= 0.55  # ten at once, then one each tenth of a second


async def test_the_key_is_read_by_name_and_shown_nowhere(monkeypatch):
    monkeypatch.setenv("TEACHER_KEY", "sk-teacher-0123456789")
    script = Script(first=["400"], says="bad key {key}", answer=lambda case: "you sent sk-teacher-0123456789")
    with judge_endpoint(script) as server:
        async with teaching(server.url, api_key_env="TEACHER_KEY") as teacher:
            with pytest.raises(TeacherFailed) as failure:
                await teacher.ask(MESSAGES, 1)
            text = teacher.without_key((await teacher.ask(MESSAGES, 1)).text)
    assert server.headers[0]["authorization"] == "Bearer sk-teacher-0123456789"
    assert "bad key ***" in str(failure.value)
    assert text == "you sent ***"


async def test_a_missing_key_is_named():
    with pytest.raises(TeacherFailed, match="environment variable NO_SUCH_KEY"):
        async with teaching("http://127.0.0.1:9/v1", api_key_env="NO_SUCH_KEY"):
            pass
