import asyncio

import pytest
from clock import Clock
from hypothesis import given, settings
from hypothesis import strategies as st

from easyr1_fgrpo.model_client import endpoints as module
from easyr1_fgrpo.model_client.endpoints import FAULTS_TO_OPEN, Endpoints, NoEndpoint, Outcome

A, B, C = (f"http://{letter}/v1" for letter in "abc")


def lookup(*urls):
    async def look_up():
        look_up.times += 1
        return list(urls)

    look_up.times = 0
    return look_up


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


async def fail(endpoints, times=FAULTS_TO_OPEN, cause="no one there"):
    for _ in range(times):
        slot = await endpoints.take()
        endpoints.give_back(slot, Outcome.FAULT, cause)
    return slot.endpoint


async def test_calls_are_spread_and_limited_per_url():
    endpoints = Endpoints(lookup(A, B, C), limit=2)
    slots = [await endpoints.take() for _ in range(6)]
    assert sorted(slot.endpoint.url for slot in slots) == [A, A, B, B, C, C]
    waiting = asyncio.create_task(endpoints.take())
    await asyncio.sleep(0.02)
    assert not waiting.done()
    endpoints.give_back(slots[3], Outcome.ALIVE)
    assert (await waiting).endpoint is slots[3].endpoint


async def test_the_total_holds_over_all_urls():
    endpoints = Endpoints([A, B], limit=3, total=4)
    slots = [await endpoints.take() for _ in range(4)]
    assert sorted(slot.endpoint.url for slot in slots) == [A, A, B, B]
    waiting = asyncio.create_task(endpoints.take())
    await asyncio.sleep(0)
    assert not waiting.done()
    endpoints.give_back(slots[0], Outcome.ALIVE)
    assert (await waiting).endpoint.url == slots[0].endpoint.url


async def test_slots_are_given_in_the_order_of_asking():
    endpoints = Endpoints(lookup(A), limit=1)
    slot, served = await endpoints.take(), []

    async def ask(name):
        mine = await endpoints.take()
        served.append(name)
        endpoints.give_back(mine, Outcome.ALIVE)

    tasks = []
    for name in range(5):
        tasks.append(asyncio.create_task(ask(name)))
        await asyncio.sleep(0)
    endpoints.give_back(slot, Outcome.ALIVE)
    await asyncio.gather(*tasks)
    assert served == [0, 1, 2, 3, 4]


async def test_a_repetition_goes_elsewhere_and_home_only_when_it_must():
    endpoints = Endpoints(lookup(A, B), limit=1)
    first = await endpoints.take()
    endpoints.give_back(first, Outcome.FAULT, "500")
    other = await endpoints.take(avoid=first.endpoint)
    assert other.endpoint is not first.endpoint
    assert (await endpoints.take(avoid=first.endpoint)).endpoint is first.endpoint


async def test_who_stops_waiting_holds_no_slot():
    for given_first in [False, True]:
        endpoints = Endpoints(lookup(A), limit=1)
        slot = await endpoints.take()
        waiting = asyncio.create_task(endpoints.take())
        await asyncio.sleep(0.01)
        if given_first:
            endpoints.give_back(slot, Outcome.ALIVE)  # the slot is on its way when the task is cancelled
            waiting.cancel()
        else:
            waiting.cancel()
            endpoints.give_back(slot, Outcome.ALIVE)
        with pytest.raises(asyncio.CancelledError):
            await waiting
        async with asyncio.timeout(1.0):
            assert (await endpoints.take()).endpoint.busy == 1


async def test_a_url_that_fails_in_a_row_is_left_out_while_others_serve():
    endpoints = Endpoints(lookup(A, B), limit=100)
    dead = (await endpoints.take()).endpoint
    for _ in range(FAULTS_TO_OPEN):
        dead.fail("connection refused", trial=False)
    assert {(await endpoints.take()).endpoint.url for _ in range(20)} == {A, B} - {dead.url}


async def test_only_faults_in_a_row_count():
    endpoints = Endpoints(lookup(A), limit=1)
    for outcome in [Outcome.ALIVE, Outcome.UNKNOWN]:
        endpoint = await fail(endpoints, FAULTS_TO_OPEN - 1)
        endpoints.give_back(await endpoints.take(), outcome)
        assert not endpoint.open
    endpoints.give_back(await endpoints.take(), Outcome.FAULT, "once more")
    assert endpoint.open  # UNKNOWN forgave nothing: nine before it and one after it


async def test_when_all_are_left_out_everyone_is_told_at_once():
    endpoints = Endpoints(lookup(A), limit=1)
    await fail(endpoints, FAULTS_TO_OPEN - 1)
    last = await endpoints.take()
    waiting = [asyncio.create_task(endpoints.take()) for _ in range(3)]
    await asyncio.sleep(0.01)
    endpoints.give_back(last, Outcome.FAULT, "connection refused")
    await asyncio.sleep(0)
    assert all(task.done() for task in waiting)
    for task in [*waiting, endpoints.take()]:
        with pytest.raises(NoEndpoint, match=r"http://a/v1 is left out for .* s more after: connection refused"):
            await task


async def test_while_all_are_left_out_the_first_who_stays_is_the_trial(monkeypatch):
    monkeypatch.setattr(module, "FIRST_COOL_DOWN_S", 0.05)
    for outcome in (Outcome.FAULT, Outcome.UNKNOWN, Outcome.ALIVE):
        endpoints = Endpoints(lookup(A), limit=2)
        await fail(endpoints)
        staying = [asyncio.create_task(endpoints.take(stay=True)) for _ in range(4)]
        trial = await staying[0]
        await asyncio.sleep(0)
        assert trial.trial
        assert not any(task.done() for task in staying[1:])
        endpoints.give_back(trial, outcome, "still slow")
        slots = [await staying[1]]
        if not slots[0].trial:
            slots.append(await staying[2])
        assert [slot.trial for slot in slots] == ([False, False] if outcome is Outcome.ALIVE else [True])
        assert not staying[3].done()
        staying[3].cancel()


async def test_a_url_that_is_left_out_is_tried_again_while_the_others_are_busy(monkeypatch):
    monkeypatch.setattr(module, "FIRST_COOL_DOWN_S", 0.05)
    endpoints = Endpoints(lookup(A, B), limit=1)
    slots = [await endpoints.take() for _ in range(2)]
    for _ in range(FAULTS_TO_OPEN):
        slots[0].endpoint.fail("connection refused", trial=False)
    endpoints.give_back(slots[0], Outcome.UNKNOWN)
    assert (await endpoints.take()).endpoint is slots[0].endpoint  # the other one's call has not ended


async def test_one_trial_call_decides(clock):
    endpoints = Endpoints(lookup(A), limit=5)
    endpoint = await fail(endpoints)
    assert endpoint.cool_down_s == 1.0
    for cool_down_s in (2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0):
        clock.now += endpoint.cool_down_s
        trial = await endpoints.take()
        with pytest.raises(NoEndpoint):
            await endpoints.take()
        endpoints.give_back(trial, Outcome.FAULT, "still dead")
        assert endpoint.cool_down_s == cool_down_s
    clock.now += 60.0
    endpoints.give_back(await endpoints.take(), Outcome.ALIVE)
    assert [(await endpoints.take()).trial for _ in range(5)] == [False] * 5


async def test_a_cancelled_trial_leaves_room_for_another(clock):
    endpoints = Endpoints(lookup(A), limit=5)
    endpoint = await fail(endpoints)
    clock.now += 1.0
    endpoints.give_back(await endpoints.take(), Outcome.UNKNOWN)
    assert endpoint.open
    assert (await endpoints.take()).trial


async def test_late_news_of_old_calls_does_not_prolong_the_pause():
    endpoints = Endpoints(lookup(A), limit=100)
    old = [await endpoints.take() for _ in range(3 * FAULTS_TO_OPEN)]
    for slot in old:
        endpoints.give_back(slot, Outcome.FAULT, "all at once")
    assert old[0].endpoint.cool_down_s == module.FIRST_COOL_DOWN_S
    assert old[0].endpoint.busy == 0


async def test_urls_are_looked_up_once():
    look_up = lookup(A, B)
    endpoints = Endpoints(look_up, limit=3)
    await asyncio.gather(*(endpoints.take() for _ in range(6)))
    assert look_up.times == 1


async def test_a_failed_lookup_says_why_and_is_not_repeated_at_every_question(clock):
    times = 0

    async def look_up():
        nonlocal times
        times += 1
        if times == 1:
            raise LookupError("no such server")
        return [A]

    endpoints = Endpoints(look_up, limit=1)
    for _ in range(20):
        with pytest.raises(NoEndpoint, match="cannot be looked up: no such server"):
            await endpoints.take()
    assert times == 1
    clock.now += module.LOOKUP_PAUSE_S
    assert (await endpoints.take()).endpoint.url == A


async def test_a_server_that_moved_is_found_again(clock):
    urls = [A]

    async def look_up():
        return list(urls)

    endpoints = Endpoints(look_up, limit=1)
    await fail(endpoints)
    urls[:] = [B]
    clock.now += module.LOOKUP_PAUSE_S
    assert (await endpoints.take()).endpoint.url == B


async def test_no_urls_is_an_answer():
    with pytest.raises(NoEndpoint, match="there are none"):
        await Endpoints(lookup(), limit=1).take()


def holds(task):
    return task.done() and not task.cancelled() and task.exception() is None


actions = st.lists(st.sampled_from(["take", "stay", "cancel", *Outcome]), max_size=60)


@settings(max_examples=150)
@given(actions, st.integers(1, 3), st.integers(1, 3), st.randoms(use_true_random=False))
def test_slots_are_neither_lost_nor_invented(plan, limit, n_urls, random):
    async def run():
        endpoints = Endpoints(lookup(*[A, B, C][:n_urls]), limit)
        tasks = []
        for action in plan:
            await asyncio.sleep(0)
            if action in ("take", "stay"):
                tasks.append(asyncio.create_task(endpoints.take(stay=action == "stay")))
            elif action == "cancel":
                for task in [task for task in tasks if not task.done()][:1]:
                    task.cancel()
            elif held := [task for task in tasks if holds(task)]:
                tasks.remove(task := random.choice(held))
                endpoints.give_back(task.result(), action)
            assert all(0 <= endpoint.busy <= limit for endpoint in endpoints._endpoints)
        await asyncio.sleep(0)
        held = 0
        for task in tasks:
            held += holds(task)
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return held, endpoints

    held, endpoints = asyncio.run(run())
    assert sum(endpoint.busy for endpoint in endpoints._endpoints) == held
    assert all(not endpoint.on_trial or endpoint.open for endpoint in endpoints._endpoints)
    assert not endpoints._waiting
