"""Speed of an evaluation against servers in other processes: how many samples a second, and latency hidden.

FGRPO_EVALUATION_SAMPLES sets the number of samples; 6300 are the seven benchmarks together.
"""

import asyncio
import os
import tracemalloc
from dataclasses import replace
from itertools import count

import pytest
from model_endpoint import model_process
from PIL import Image

from easyr1_fgrpo.config.schema import RewardSettings
from easyr1_fgrpo.evaluation.answers.asking import Answer, AnswerLog, Asking, ask
from easyr1_fgrpo.evaluation.benchmarks import Item
from easyr1_fgrpo.evaluation.run_items import Task, run_items
from easyr1_fgrpo.evaluation.scoring.score import Scoring
from easyr1_fgrpo.evaluation.scoring.scorer import AnswerScorer
from easyr1_fgrpo.evaluation.styles import STYLES
from easyr1_fgrpo.judges.protocol import Label, Question, Verdict
from easyr1_fgrpo.model_client.client import Address, ModelClient

SAMPLES = int(os.environ.get("FGRPO_EVALUATION_SAMPLES", "640"))
CONCURRENCY = 64
LATENCY_S = 0.1
SAYS = (
    "<think>The red circle is at <bbox>[0,7,14,21]</bbox>. The blue square is at <bbox>[56,56,84,84]</bbox>. "
    "The red circle is left of the blue square. So the answer is left.</think><answer>left</answer>"
)
PICTURE = Image.effect_noise((84, 84), 60).convert("RGB")


class InstantJudge:
    name = "instant"

    async def ask(self, request):
        return Verdict(Label.YES if request.kind is Question.CONSISTENCY else Label.CORRECT, self.name)


def rows(n):
    return (
        Item(
            id=str(number),
            benchmark="made",
            load_images=lambda: [PICTURE.copy()],
            question=f"Is thing {number} left or right?",
            choices=("left", "right"),
            answer="left",
            category="",
        )
        for number in range(n)
    )


def connected(url):
    return ModelClient(Address((url,)), concurrency=CONCURRENCY, deadline_s=30.0)


async def evaluate(out, n, model_url, scorer_url):
    """Generate, parse, score; without `model_url` the answers are there already."""
    scoring = Scoring(dict.fromkeys(Question, InstantJudge()), {}, RewardSettings(judge_scope="all"))
    asking = Asking("a-model", "x", STYLES["ours"], {"temperature": 0.0, "max_tokens": 64})
    async with connected(model_url) as model, connected(scorer_url) as scorer:
        log = AnswerLog(out / "answers.jsonl")

        async def respond(item, pictures):
            answer = await ask(model, asking, item, pictures) if model_url else Answer(SAYS)
            log.put(asking.key(item), answer)
            return answer

        task = Task("m", asking.style, "made", rows(n), asking.key, respond, n)
        scoring = replace(scoring, scorer=AnswerScorer(scorer, "a-model"))
        tally = await run_items(task, scoring, out, CONCURRENCY)
    assert len(tally.outcomes) == n
    assert all(outcome.accurate_by_scorer for outcome in tally.outcomes)


@pytest.fixture
def folders(tmp_path):
    numbers = count()

    def fresh():
        folder = tmp_path / str(next(numbers))
        folder.mkdir()
        return folder

    return fresh


def test_samples_a_second_with_instant_servers(benchmark, folders):
    with model_process("--says", SAYS) as model_url, model_process() as scorer_url:
        benchmark.pedantic(lambda: asyncio.run(evaluate(folders(), SAMPLES, model_url, scorer_url)), rounds=3)
    rate = SAMPLES / benchmark.stats.stats.min
    benchmark.extra_info["samples_per_s"] = rate
    assert rate >= 150.0


def test_a_scorers_latency_is_hidden(benchmark, folders):
    ideal_s = SAMPLES / CONCURRENCY * LATENCY_S
    with model_process("--delay", LATENCY_S) as scorer_url:
        benchmark.pedantic(lambda: asyncio.run(evaluate(folders(), SAMPLES, "", scorer_url)), rounds=3)
    benchmark.extra_info["times_the_ideal"] = benchmark.stats.stats.min / ideal_s
    assert benchmark.stats.stats.min < 1.8 * ideal_s


def test_memory_does_not_grow_with_the_images(benchmark, folders):
    """Four times the samples, each with an image of its own of a megabyte: the peak hardly moves."""

    def large():
        return Image.effect_noise((560, 560), 60).convert("RGB")

    async def respond(item, pictures):
        return Answer(SAYS)

    def peak(n):
        made = (replace(item, load_images=lambda: [large()]) for item in rows(n))
        scoring = Scoring(dict.fromkeys(Question, InstantJudge()), {}, RewardSettings(judge_scope="all"))
        task = Task("m", STYLES["ours"], "made", made, lambda item: item.id, respond)
        tracemalloc.start()
        asyncio.run(run_items(task, scoring, folders(), 4))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    few = peak(20)
    many = benchmark.pedantic(lambda: peak(80), rounds=1)
    benchmark.extra_info["peak_MB"] = many / 1e6
    assert many < few + 2e6
