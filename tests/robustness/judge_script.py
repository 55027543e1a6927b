"""A judge that misbehaves in every way, one way a step: no score is invented, and what failed is known."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

from integration.recipe_runs import TRAIN_ONLY
from judge_endpoint import Script, answers_of, judge_endpoint
from PIL import Image

from easyr1_fgrpo.config.schema import RewardSettings
from easyr1_fgrpo.judges.protocol import Question
from easyr1_fgrpo.miniature.oracle import OracleJudge
from easyr1_fgrpo.rewards import Sample, score_rollout
from easyr1_fgrpo.traces import TraceRecord, VerdictRecord, read_traces

from .bench import Bench
from .ends import last_error
from .outcomes import Outcome

SHARE = 0.5
"""Of a step's calls that go wrong."""

WAYS = {
    "500": "answers 500",
    "503": "answers 503",
    "429": "answers 429",
    "drop": "breaks the connection",
    "half": "breaks off in the middle of a body",
    "broken": "sends no JSON",
    "empty": "sends JSON without choices",
    "null": "says nothing and was cut off",
    "text": "talks instead of giving a label",
    "wrong": "gives a label of the other question",
    "error": "answers 200 with an error of 503",
    "refused": "answers 200 with an error of 400",
    "flood": "sends a body without an end",
    "hang": "answers too late",
}
"""Behaviour of tests/judge_endpoint.py -> in words."""


def misbehaving_judge(bench: Bench) -> Iterator[Outcome]:
    """One run, in each step of which half of the calls go wrong in one way."""
    run = bench.forget("misbehaving_judge")
    oracle = OracleJudge(bench.folder / "stages/world/scenes.jsonl")
    script = Script(answer=answers_of(oracle))
    with judge_endpoint(script) as server:
        process = bench.runs.start(
            run,
            f"trainer.total_training_steps={len(WAYS) + 2}",
            "judge=openai_compatible",
            "judge_endpoint.model=a-model",
            f"judge_endpoint.base_urls=[{server.url}]",
            f"fgrpo.judge_cache.directory={bench.folder / run / 'cache'}",
            *(f"fgrpo.judges.{question}.deadline_s=5" for question in Question),
            *(f"fgrpo.judges.{question}.max_retries=1" for question in Question),
            "fgrpo.reward.deadline_s=15",
            "fgrpo.max_unmeasured_steps=100",
            script=TRAIN_ONLY,
        )
        for step, way in enumerate(WAYS, start=1):
            bench.runs.wait_for_step(run, step, process)
            script.shares = {way: SHARE}
        bench.runs.wait_for_step(run, len(WAYS) + 1, process)
        script.shares = {}
        output = bench.runs.finish(process)
    yield Outcome(
        "a judge that misbehaves in another way each step",
        f"exit code {process.returncode}, {last_error(output)}",
        good=process.returncode == 0,
    )
    steps = bench.runs.metrics(run)
    records, bad = read_traces((bench.folder / run / "traces").glob("train-*.jsonl"))
    invented = asyncio.run(_invented(records, oracle, bench.folder / run / "images"))
    for step, (way, words) in enumerate(WAYS.items(), start=2):
        mine = [record for record in records if record.step == step]
        failed = sum(verdict.failure is not None for record in mine for verdict in _verdicts(record))
        measured = [steps[step].get(f"fgrpo/judges/{question}/valid_share", 1.0) for question in Question]
        yield Outcome(
            f"it {words}",
            f"{failed} of {sum(len(_verdicts(record)) for record in mine)} verdicts failed, {invented.get(step, 0)} "
            f"labels and scores invented, measured {', '.join(f'{share:.0%}' for share in measured)}",
            good=not invented.get(step, 0) and bad == 0 and server.counts[way] > 0,
        )


async def _invented(records: list[TraceRecord], oracle: OracleJudge, images: Path) -> dict[int, int]:
    """By step, the labels that the oracle does not give to the same trace, and the scores without all verdicts."""
    judges = dict.fromkeys(Question, oracle)
    invented: dict[int, int] = {}
    for record in records:
        sample = Sample(
            question=record.question, choices=record.choices, ground_truth=record.ground_truth,
            images=tuple(Image.open(images / f"{sha}.png") for sha in record.images), boxes=record.reference_boxes,
            index=record.index, split=record.split,
        )  # fmt: skip
        sound = await score_rollout(sample, record.response, judges, RewardSettings())
        theirs = [sound.consistency, *(item.verdict for item in sound.sentences)]
        ours = [record.consistency, *(sentence.verdict for sentence in record.sentences)]
        for mine, its in zip(ours, theirs, strict=True):
            if mine is not None and mine.label is not None and (its is None or its.label != mine.label):
                invented[record.step] = invented.get(record.step, 0) + 1
        for name, verdicts in {"consistency": ours[:1], "semantic_grounding": ours[1:]}.items():
            if record.signals[name].value is not None and any(mine and mine.failure for mine in verdicts):
                invented[record.step] = invented.get(record.step, 0) + 1
    return invented


def _verdicts(record: TraceRecord) -> list[VerdictRecord]:
    found = [record.consistency, *(sentence.verdict for sentence in record.sentences)]
    return [verdict for verdict in found if verdict is not None]
