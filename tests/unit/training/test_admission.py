"""More rollouts than a worker scores at once: whose time counts from when, and what a dead judge costs."""

import asyncio

import pytest
from clock import run

from easyr1_fgrpo.config.judges import ModelJudgeConfig
from easyr1_fgrpo.config.schema import FgrpoConfig
from easyr1_fgrpo.judges.protocol import Label, Question, Verdict
from easyr1_fgrpo.miniature.tokenizer import build_tokenizer
from easyr1_fgrpo.rewards import Reason
from easyr1_fgrpo.training import admission
from easyr1_fgrpo.training.admission import rollouts_at_once
from easyr1_fgrpo.training.rollout import RolloutScorer

from .made_rollouts import RIGHT, rollout_of, settings_of

TOKENIZER = build_tokenizer()
RIGHT_LABEL = {Question.CONSISTENCY: Label.YES, Question.GROUNDING: Label.CORRECT}
AT_ONCE, ALL = 3, 24


@pytest.fixture(autouse=True)
def _few_at_once(monkeypatch):
    monkeypatch.setattr(admission, "LEAST", AT_ONCE)


class Slow:
    """Answers one question at a time."""

    name = "slow"

    def __init__(self, seconds=0.0):
        self.asked = self.at_once = self.most_at_once = 0
        self._seconds, self._lock = seconds, asyncio.Lock()

    async def ask(self, request):
        self.asked += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        async with self._lock:
            await asyncio.sleep(self._seconds)
        self.at_once -= 1
        return Verdict(RIGHT_LABEL[request.kind], self.name)


class Dead:
    """Answers nobody, or nobody any more."""

    name = "dead"

    def __init__(self, alive=0):
        self.asked, self._alive = 0, alive

    async def ask(self, request):
        self.asked += 1
        if self.asked > self._alive:
            await asyncio.Event().wait()
        return Verdict(RIGHT_LABEL[request.kind], self.name)


def scored(scorer, *, steps=1):
    """The numbers of the rollouts of each step, which come all at once; nothing takes time but by the judges' words."""

    async def all_steps():
        rollouts = [rollout_of(RIGHT, TOKENIZER) for _ in range(ALL)]
        return [await asyncio.gather(*map(scorer.score, rollouts)) for _ in range(steps)]

    return run(all_steps)


def scorer_of(run_dir, judges):
    settings = settings_of(run_dir=str(run_dir), constraint_keys=[], constraints={}, reward={"deadline_s": 60.0})
    return RolloutScorer(FgrpoConfig.model_validate(settings), judges, TOKENIZER, max_response_length=40)


def reasons(rows, signal):
    return [Reason(int(row[f"{signal}_reason"])) for row in rows]


def test_a_rollouts_time_counts_from_its_turn(tmp_path):
    """All together take four times what a question has."""
    judge = Slow(5.0)
    (rows,) = scored(scorer_of(tmp_path, dict.fromkeys(Question, judge)))
    assert {*reasons(rows, "consistency"), *reasons(rows, "semantic_grounding")} == {Reason.NONE}
    assert judge.asked == 2 * ALL
    assert judge.most_at_once <= 2 * AT_ONCE


def test_a_dead_judge_costs_one_deadline_however_many_wait_behind_the_first(tmp_path):
    judge = Dead()
    both = scored(scorer_of(tmp_path, dict.fromkeys(Question, judge)), steps=2)
    for rows in both:  # the next step's rollouts ask again
        assert set(reasons(rows, "consistency")) == set(reasons(rows, "semantic_grounding")) == {Reason.JUDGE_DEADLINE}
        assert all(row["task"] == 1.0 for row in rows)
        assert "not asked: the judge had answered nobody for 60" in rows[-1]["judge_consistency_cause"]
    assert 2 * 2 <= judge.asked <= 2 * 2 * 2 * AT_ONCE  # of 96; some find it silent when their pictures are read


def test_a_judge_that_dies_on_the_way_costs_one_deadline_too(tmp_path):
    judge = Dead(alive=2 * 10)
    (rows,) = scored(scorer_of(tmp_path, dict.fromkeys(Question, judge)))
    assert 5 <= reasons(rows, "consistency").count(Reason.NONE) <= 15
    assert judge.asked <= 2 * 10 + 2 * 2 * AT_ONCE


def test_a_dead_judge_does_not_silence_another(tmp_path):
    """Which nobody asks, so nobody hears, while the dead one is waited for."""
    dead, alive = Dead(), Slow()
    (rows,) = scored(scorer_of(tmp_path, {Question.CONSISTENCY: alive, Question.GROUNDING: dead}))
    assert set(reasons(rows, "consistency")) == {Reason.NONE}
    assert set(reasons(rows, "semantic_grounding")) == {Reason.JUDGE_DEADLINE}
    assert (alive.asked, dead.asked <= 2 * AT_ONCE) == (ALL, True)


def test_as_many_at_once_as_keep_the_judges_busy(tmp_path):
    urls = [f"http://judge{number}/v1" for number in range(4)]
    one = {"kind": "openai_compatible", "model": "m", "base_urls": urls, "concurrency": 64}
    for judges, workers, expected in [
        ({}, 8, AT_ONCE),
        ({"grounding": one}, 8, AT_ONCE + 4 * 64 / 8),
        ({"grounding": one, "consistency": one}, 8, AT_ONCE + 4 * 64 / 8),  # one judge, whose calls they share
        ({"grounding": one, "consistency": one | {"model": "other"}}, 8, AT_ONCE + 2 * 4 * 64 / 8),
        ({"grounding": one | {"base_urls": [], "server": "judge"}}, 1, AT_ONCE + 64),
    ]:
        parsed = {name: ModelJudgeConfig.model_validate(judge) for name, judge in judges.items()}
        settings = FgrpoConfig.model_validate(settings_of(run_dir=str(tmp_path)))
        assert rollouts_at_once(settings.model_copy(update={"judges": parsed}), workers) == expected
