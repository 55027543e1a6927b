"""Runs with results made by hand, as `train`, `summary` and the intervention leave them."""

import json

from made_results import outcome, result

from easyr1_fgrpo.evaluation.mode import Mode
from easyr1_fgrpo.evaluation.results.results import Evaluation
from easyr1_fgrpo.judges.protocol import Label
from easyr1_fgrpo.metrics_file import MetricsFile
from easyr1_fgrpo.miniature.worlds.two_step import QUESTIONS
from easyr1_fgrpo.study.runs import INTERVENTION, NOTE
from easyr1_fgrpo.traces import EvaluationRecord, SignalRecord, TraceRecord, TraceWriter

SIZE = 20
KINDS = list(QUESTIONS)


def outcomes(accurate, inconsistent):
    """The first `accurate` of twenty questions are right, the last `inconsistent` contradict themselves."""
    return [
        outcome(
            index,
            item=f"test/{index}",
            accurate=index < accurate,
            tokens=47,
            consistency=Label.NO if index >= SIZE - inconsistent else Label.YES,
            semantic_grounding=0.5 if index % 2 else 1.0,
        )
        for index in range(SIZE)
    ]


def measured(run, when, mode, items):
    """A result, and the traces it comes from."""
    with TraceWriter(run.folder / "evaluation", when, f"held-out-{mode}") as writer:
        for item in items:
            asked = EvaluationRecord(key=item.item, model=when, style="trained", benchmark="held-out", item=item.item)
            writer.write(
                TraceRecord(
                    split="held-out",
                    step=0,
                    index=item.index,
                    session=0,
                    question=QUESTIONS[KINDS[item.index % len(KINDS)]],
                    choices=("left", "right"),
                    ground_truth="left",
                    response="",
                    trace=None,
                    answer=None,
                    signals={"accuracy": SignalRecord(value=float(item.accurate))},
                    evaluation=asked,
                )
            )
    return result(when, items, mode=mode, seed=1)


def finish(run, accurate, inconsistent, *, followed=10, warm=(8, 2)):
    """A finished run whose responses, sampled and greedy, have these counts."""
    ends = {"before_RL": outcomes(*warm), "after_RL": outcomes(accurate, inconsistent)}
    results = [measured(run, when, mode, items) for when, items in ends.items() for mode in Mode]
    Evaluation(settings={"judges": {}, "seed": 1}, results=tuple(results)).save(run.folder / "evaluation")
    for step in (1, 2):
        MetricsFile(run.folder / "metrics.jsonl").write(step, {"timing_s/step": 2700.0})
    (run.folder / "config.yaml").write_text(f"arm: {run.arm.name}\nseed: {run.seed}\n")
    numbers = {"questions": 10, "right": 0, "probability": 0.5}
    found = {"before_RL": numbers | {"followed": 10}, "after_RL": numbers | {"followed": followed}}
    (run.folder / INTERVENTION).write_text(json.dumps(found))
    note = {"overrides": run.overrides, "finished": True, "commit": "abc"}
    (run.folder / NOTE).write_text(json.dumps(note))
