import asyncio
from contextlib import asynccontextmanager

import pytest
from judge_endpoint import Script, judge_endpoint

from easyr1_fgrpo.model_client import endpoints, retrying
from easyr1_fgrpo.model_client.chat import CallFailed
from easyr1_fgrpo.model_client.endpoints import NoEndpoint
from easyr1_fgrpo.model_client.retrying import Asking, Retries, RetryingClient

BODY = b'{"model": "m", "messages": [{"role": "system", "content": ""}, {"role": "user", "content": []}]}'


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(retrying, "FIRST_PAUSE_S", 0.0)


@asynccontextmanager
async def asking(*servers, limit=4, deadline_s=10.0, retries=None, **options):
    urls = [server.url for server in servers]
    client = RetryingClient(urls, limit=limit, deadline_s=deadline_s, retries=retries or Retries(attempts=1), **options)
    try:
        yield client
    finally:
        await client.close()


def script(**behaviour):
    return Script(answer=lambda case: "fine", **behaviour)


async def test_a_body_is_made_once_there_is_a_slot():
    made = []

    async def body():
        made.append(True)
        return BODY

    with judge_endpoint(script(first=["hang"])) as server:
        async with asking(server, limit=1) as client:
            first = asyncio.create_task(client.ask(body))
            while not server.calls:
                await asyncio.sleep(0.01)
            second = asyncio.create_task(client.ask(body))
            await asyncio.sleep(0.05)
            assert len(made) == 1
            first.cancel()
            assert (await second).text == "fine"
    assert len(made) == 2


async def test_a_call_cut_short_by_its_questions_end_says_nothing_about_the_endpoint(monkeypatch):
    monkeypatch.setattr(endpoints, "FAULTS_TO_OPEN", 1)
    with judge_endpoint(script(first=["hang", "answer", "hang"])) as server:
        async with asking(server) as client:
            with pytest.raises(CallFailed, match="no answer within") as cut_short:
                await client.ask(BODY, Asking(5.0, ends=asyncio.get_running_loop().time() + 0.3))
            assert cut_short.value.late
            assert (await client.ask(BODY)).text == "fine"
            with pytest.raises(CallFailed, match="no answer within"):
                await client.ask(BODY, Asking(0.3))  # it had all of its time
            with pytest.raises(NoEndpoint):
                await client.ask(BODY)


@pytest.mark.parametrize("has_end", [False, True])
async def test_without_an_endpoint_a_question_is_repeated_or_keeps_its_turn_until_its_end(monkeypatch, has_end):
    monkeypatch.setattr(endpoints, "FAULTS_TO_OPEN", 1)
    monkeypatch.setattr(endpoints, "FIRST_COOL_DOWN_S", 0.05)
    monkeypatch.setattr(retrying, "FIRST_PAUSE_S", 0.0 if has_end else 0.1)
    with judge_endpoint(script(first=["500"])) as server:
        async with asking(server, retries=Retries(attempts=2 if has_end else 50)) as client:
            asked = Asking(60.0) if has_end else Asking()
            assert (await client.ask(BODY, asked)).text == "fine"
    assert asked.calls == server.calls == 2


async def test_a_question_that_ends_while_every_url_is_left_out_says_why(monkeypatch):
    monkeypatch.setattr(endpoints, "FAULTS_TO_OPEN", 1)
    with judge_endpoint(script(first=["500"])) as server:
        async with asking(server) as client:
            with pytest.raises(CallFailed):
                await client.ask(BODY)
            with pytest.raises(NoEndpoint, match=r"is left out for .* answered 500"):
                await client.ask(BODY, Asking(0.1))
    assert server.calls == 1


async def test_a_repetition_that_would_come_too_late_is_not_made():
    with judge_endpoint(script(shares={"429": 1.0}, retry_after="20")) as server:
        async with asking(server, retries=Retries(attempts=5)) as client:
            with pytest.raises(CallFailed, match="answered 429"):
                await client.ask(BODY, Asking(15.0))
    assert server.calls == 1


async def test_a_repetition_does_not_queue_behind_those_who_were_not_asked_yet():
    """At one slot, the first of ten fails once and has little time left: it is asked again before the other nine."""
    answered = []

    async def question(number, limit_s):
        await client.ask(BODY, Asking(limit_s))
        answered.append(number)

    with judge_endpoint(script(first=["500"], delay_s=0.1)) as server:
        async with asking(server, limit=1, retries=Retries(attempts=2)) as client:
            await asyncio.gather(*(question(number, 60.0) for number in range(10)))
    assert answered.index(0) <= 1  # the second one's call may have taken the slot during the pause
    assert server.calls == 11


async def test_what_is_raised_before_a_call_ends_the_question_and_frees_the_slot():
    class BudgetError(Exception):
        pass

    budget = iter([BudgetError(), None])

    async def before_call():
        if (error := next(budget)) is not None:
            raise error

    with judge_endpoint(script()) as server:
        async with asking(server, limit=1, retries=Retries(attempts=5), before_call=before_call) as client:
            with pytest.raises(BudgetError):
                await client.ask(BODY)
            assert (await client.ask(BODY)).text == "fine"
    assert server.calls == 1
