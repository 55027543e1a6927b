"""Runs with results made by hand, as `train`, `summary` and the intervention leave them."""

import json

from easyr1_fgrpo.evaluation.metrics import measure
from easyr1_fgrpo.evaluation.results import Inputs, Mode, Outcome, Result
from easyr1_fgrpo.judges.protocol import Label
from easyr1_fgrpo.miniature.worlds.two_step import QUESTIONS
from easyr1_fgrpo.study.runs import INTERVENTION, NOTE
from easyr1_fgrpo.traces import SignalRecord, TraceRecord, TraceWriter
from easyr1_fgrpo.training.metrics_file import MetricsFile

SIZE = 20
KINDS = list(QUESTIONS)


def outcomes(accurate, inconsistent):
    """The first `accurate` of twenty questions are right, the last `inconsistent` contradict themselves."""
    return tuple(
        Outcome(
            split="test",
            index=index,
            accurate=index < accurate,
            well_formed=True,
            truncated=False,
            tokens=47,
            parsable=True,
            consistency=Label.NO if index >= SIZE - inconsistent else Label.YES,
            semantic_grounding=0.5 if index % 2 else 1.0,
            semantic_reason="NONE",
            spatial_grounding=None,
        )
        for index in range(SIZE)
    )


def write_result(run, when, mode, items):
    out = run.folder / "evaluation"
    out.mkdir(parents=True, exist_ok=True)
    inputs = Inputs(
        checkpoint_sha256="",
        data_sha256="",
        mode=mode,
        samples=SIZE,
        seed=1,
        max_new_tokens=56,
        judge="",
        judge_options={},
    )
    metrics = measure(items, 1)
    Result(name=when, checkpoint="", data="", inputs=inputs, seconds=1.0, metrics=metrics, items=items).save(out)
    with TraceWriter(out, when, mode) as writer:
        for item in items:
            signals = {"accuracy": SignalRecord(value=float(item.accurate))}
            writer.write(
                TraceRecord(
                    split="test",
                    step=0,
                    index=item.index,
                    session=0,
                    question=QUESTIONS[KINDS[item.index % len(KINDS)]],
                    choices=("left", "right"),
                    ground_truth="left",
                    response="",
                    trace=None,
                    answer=None,
                    signals=signals,
                )
            )


def finish(run, accurate, inconsistent, *, followed=10, warm=(8, 2)):
    """A finished run whose responses, sampled and greedy, have these counts."""
    for mode in Mode:
        write_result(run, "before_RL", mode, outcomes(*warm))
        write_result(run, "after_RL", mode, outcomes(accurate, inconsistent))
    for step in (1, 2):
        MetricsFile(run.folder / "metrics.jsonl").write(step, {"timing_s/step": 2700.0})
    (run.folder / "config.yaml").write_text(f"arm: {run.arm.name}\nseed: {run.seed}\n")
    numbers = {"questions": 10, "right": 0, "probability": 0.5}
    found = {"before_RL": numbers | {"followed": 10}, "after_RL": numbers | {"followed": followed}}
    (run.folder / INTERVENTION).write_text(json.dumps(found))
    note = {"overrides": run.overrides, "finished": True, "commit": "abc"}
    (run.folder / NOTE).write_text(json.dumps(note))
