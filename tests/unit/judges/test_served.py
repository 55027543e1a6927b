# What a ServedJudge makes of Ray's answers, with Ray replaced; the real thing is in tests/integration.
import asyncio
import time
from dataclasses import replace

import pytest
import ray
from ray.exceptions import ActorDiedError, ActorUnavailableError, RayTaskError

from easyr1_fgrpo.judges import served
from easyr1_fgrpo.judges.protocol import Failure, JudgeRequest, Label, Question, RolloutJudge, Verdict
from easyr1_fgrpo.judges.served import ServedJudge

REQUEST = JudgeRequest(Question.GROUNDING, question="?", claim="The circle is red.")
CORRECT = Verdict(Label.CORRECT, judge="oracle")


class Actor:
    """Stands for an actor handle: `actor.ask.remote(requests)` is awaitable; an exception in `answer` is raised."""

    def __init__(self, answer, seconds: float = 0.0) -> None:
        self.answer = answer
        self.seconds = seconds
        self.ask = self

    def remote(self, requests: list[JudgeRequest]) -> asyncio.Future:
        return asyncio.ensure_future(self._answer(requests))

    async def _answer(self, requests):
        await asyncio.sleep(self.seconds)
        if isinstance(self.answer, Exception):
            raise self.answer
        return [self.answer] * len(requests)


@pytest.fixture
def names(monkeypatch):
    """The named actors of a pretended Ray; a lookup takes the seconds under "delay"."""
    found = {"delay": 0.0, "lookups": 0}

    def get_actor(name: str, namespace: str) -> Actor:
        found["lookups"] += 1
        time.sleep(found["delay"])
        if (name, namespace) not in found:
            raise ValueError(f"Failed to look up actor with name '{name}'")
        return found[name, namespace]

    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    monkeypatch.setattr(ray, "get_actor", get_actor)
    return found


def key() -> tuple[str, str]:
    return "judge-oracle", "fgrpo-run"


def judge() -> ServedJudge:
    return ServedJudge("oracle", "fgrpo-run")


async def test_the_actor_is_looked_up_once(names):
    names[key()] = Actor(CORRECT)
    asked = judge()
    assert [await asked.ask(REQUEST) for _ in range(3)] == [CORRECT] * 3
    assert names["lookups"] == 1


async def test_without_ray_nothing_is_started():
    assert not ray.is_initialized()
    verdict = await judge().ask(REQUEST)
    assert verdict.failure is Failure.UNREACHABLE
    assert "'judge-oracle' in namespace 'fgrpo-run': this process is not connected to Ray" in verdict.cause
    assert not ray.is_initialized()


async def test_an_absent_server_is_unreachable_until_it_is_launched(names):
    asked = judge()
    verdict = await asked.ask(REQUEST)
    assert (verdict.label, verdict.failure, verdict.judge) == (None, Failure.UNREACHABLE, "oracle")
    assert "no such server" in verdict.cause
    names[key()] = Actor(CORRECT)
    assert await asked.ask(REQUEST) == CORRECT


@pytest.mark.parametrize("error", [ActorDiedError(), ActorUnavailableError("resting", None)])
async def test_after_a_lost_actor_the_next_question_looks_it_up_again(names, error):
    names[key()] = Actor(error)
    asked = judge()
    lost = await asked.ask(REQUEST)
    assert lost.failure is Failure.UNREACHABLE
    assert "\n" not in lost.cause
    names[key()] = Actor(CORRECT)
    assert await asked.ask(REQUEST) == CORRECT


async def test_a_judge_that_raises_keeps_its_actor(names):
    names[key()] = Actor(RayTaskError("ask", "a long traceback", ValueError("bad picture")))
    asked = judge()
    for _ in range(2):
        verdict = await asked.ask(REQUEST)
        assert verdict.failure is Failure.UNREACHABLE
        assert "it raised ValueError: bad picture" in verdict.cause
    assert names["lookups"] == 1


async def test_a_rollouts_questions_travel_in_one_call_and_fail_together(names):
    names[key()] = Actor(CORRECT)
    asked = judge()
    assert isinstance(asked, RolloutJudge)
    assert asked.per_rollout
    assert await asked.ask_all([REQUEST] * 3) == [CORRECT] * 3
    names[key()].answer = ActorDiedError()
    assert [verdict.failure for verdict in await asked.ask_all([REQUEST] * 3)] == [Failure.UNREACHABLE] * 3


async def test_a_slow_lookup_leaves_the_event_loop_free(names):
    names[key()] = Actor(CORRECT)
    names["delay"] = 0.3
    task = asyncio.create_task(judge().ask(REQUEST))
    ticks = 0
    while not task.done():
        await asyncio.sleep(0.01)
        ticks += 1
    assert task.result() == CORRECT
    assert ticks >= 10  # a loop that waits for the lookup ticks once


async def test_a_lookup_that_never_ends_is_given_up(names, monkeypatch):
    monkeypatch.setattr(served, "LOOKUP_DEADLINE_S", 0.05)
    names["delay"] = 0.3
    verdict = await judge().ask(REQUEST)
    assert verdict.failure is Failure.UNREACHABLE
    assert "within 0.05 s" in verdict.cause


async def test_cancellation_passes_through_and_reaches_the_server(names, monkeypatch):
    cancelled = []
    monkeypatch.setattr(ray, "cancel", cancelled.append)
    names[key()] = Actor(CORRECT, seconds=60.0)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await judge().ask(REQUEST)
    assert len(cancelled) == 1


class Queue:
    """Stands for an actor that serves one rollout after the other, each in `seconds`; the last ones it forgets."""

    def __init__(self, seconds: float, answers: int) -> None:
        self.ask, self.turn = self, asyncio.Lock()
        self.seconds, self.answers = seconds, answers

    def remote(self, requests: list[JudgeRequest]) -> asyncio.Future:
        return asyncio.ensure_future(self._answer(requests))

    async def _answer(self, requests):
        async with self.turn:
            await asyncio.sleep(self.seconds if self.answers else 60.0)
            self.answers -= 1
            return [CORRECT] * len(requests)


async def test_rollouts_queue_for_as_long_as_others_are_answered(names, monkeypatch):
    monkeypatch.setattr(ray, "cancel", lambda reference: reference.cancel())
    monkeypatch.setattr(served, "GRACE_S", 0.0)
    names[key()] = Queue(seconds=0.1, answers=12)
    request, asked = replace(REQUEST, limit_s=1.0), judge()
    verdicts = await asyncio.gather(*(asked.ask(request) for _ in range(14)))
    lost = [verdict for verdict in verdicts if verdict != CORRECT]
    assert [verdict.failure for verdict in lost] == [Failure.DEADLINE] * 2
    assert all("it answered nobody for 1 s" in verdict.cause for verdict in lost)
