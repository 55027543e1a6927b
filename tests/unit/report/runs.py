"""Small run directories, written by the real writers: pictures of two squares, traces about them, a judge that knows.

The records are scored rollouts; the metrics are made up, under the names that the trainer writes.
"""

import asyncio
import math
from dataclasses import dataclass

import made_results
import numpy as np
import yaml
from PIL import Image

from easyr1_fgrpo.config.schema import RewardSettings
from easyr1_fgrpo.evaluation.mode import Mode
from easyr1_fgrpo.evaluation.results.outcome import Outcome
from easyr1_fgrpo.evaluation.results.results import Evaluation as BenchmarkEvaluation
from easyr1_fgrpo.judges.protocol import Label, Question, Verdict
from easyr1_fgrpo.metrics_file import MetricsFile
from easyr1_fgrpo.pictures import image_sha256
from easyr1_fgrpo.rewards import Sample, score_rollout
from easyr1_fgrpo.traces import EvaluationRecord, TraceRecord, TraceWriter, save_images

THRESHOLDS = {"consistency": 0.95, "spatial_grounding": 0.65, "semantic_grounding": 0.95}
LAMBDA_MAX = 5.0
JUDGES = {"consistency": "oracle", "grounding": "oracle"}


def write_run(folder, arm="fgrpo", steps=20, traces=12, seed=0, total_steps=None, evaluations=True, questions=16):
    """A run directory at `folder`: `steps` steps of metrics, `traces` training rollouts and as many validation ones.

    Runs of any arm and seed have the same questions, so that their traces can be compared. `total_steps` beyond
    `steps` makes the run one that is still going. Returns `folder`.
    """
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config_of(arm, seed, total_steps or steps)))
    metrics = MetricsFile(folder / "metrics.jsonl")
    metrics.write(0, validation_metrics(0.0, arm))
    for step in range(1, steps + 1):
        progress = step / steps
        numbers = step_metrics(progress, arm, seed)
        metrics.write(step, numbers | validation_metrics(progress, arm) if step % max(1, steps // 4) == 0 else numbers)
    write_rollouts(folder, "train", arm, seed, [(1 + n * steps // max(1, traces), n) for n in range(traces)])
    write_rollouts(folder, "val", arm, seed, [(step, n) for step in (0, steps) for n in range(traces // 2)])
    if evaluations:
        out = folder / "evaluation"
        results = [
            evaluated(out, label, mode, like, seed, questions)
            for label, like in (("before_RL", "warm"), ("after_RL", arm))
            for mode in Mode
        ]
        BenchmarkEvaluation(settings={"judges": JUDGES, "seed": 0}, results=tuple(results)).save(out)
    return folder


def config_of(arm, seed=0, total_steps=20):
    return {
        "arm": arm,
        "seed": seed,
        "fgrpo": {
            "run_dir": f"runs/{arm}-s{seed}",
            "constraint_keys": list(THRESHOLDS) if arm == "fgrpo" else [],
            "constraints": {key: {"threshold": value} for key, value in THRESHOLDS.items()},
            "dual": {"lr": 0.05, "lambda_max": LAMBDA_MAX},
            "signals": {},
        },
        "actor_rollout_ref": {"actor": {"optim": {"lr": 1e-6}, "kl_loss_coef": 0.01}, "rollout": {"n": 5}},
        "data": {"train_batch_size": 16, "train_files": ["train.parquet"]},
        "trainer": {"total_training_steps": total_steps, "experiment_name": f"{arm}_tiny_cpu", "logger": []},
    }


# ---------------------------------------------------------------------- metrics


def scores_at(progress, arm):
    """Batch scores of the three signals: constraints pull them up, plain GRPO lets them fall."""
    ends = (0.99, 0.80, 0.96) if arm == "fgrpo" else (0.45, 0.70, 0.62)
    return {
        name: start + (end - start) * progress
        for name, start, end in zip(THRESHOLDS, (0.92, 0.6, 0.8), ends, strict=True)
    }


def step_metrics(progress, arm, seed=0):
    wave = 0.01 * math.sin(40 * progress + seed)
    task = 0.75 + 0.22 * progress + wave
    metrics = {
        "fgrpo/rollouts/expected": 80, "fgrpo/rollouts/scored": 80, "fgrpo/rollouts/missing": 0,
        "fgrpo/rollouts/failed_share": 0.0, "fgrpo/signals/task/mean": task,
        "fgrpo/signals/accuracy/mean": task - 0.05, "fgrpo/signals/accuracy/applicable": 80,
        "fgrpo/signals/format/mean": 0.99, "fgrpo/signals/format/applicable": 80,
        "fgrpo/task/share": 0.4, "fgrpo/task/zero_variance_groups": 0.3,
        "fgrpo/dual/lambda_max": LAMBDA_MAX,
        "actor/pg_loss": 0.01, "actor/kl_loss": 0.002 * progress, "actor/entropy": 0.5 - 0.3 * progress,
        "actor/pg_clipfrac": 0.01, "actor/grad_norm": 0.4 + wave, "actor/lr": 1e-6,
        "critic/score/mean": task, "critic/rewards/mean": task,
        "response_length/mean": 36.0 + wave, "fgrpo/rollouts/truncated/mean": 0.0, "timing_s/step": 5.0,
    }  # fmt: skip
    for number, (name, score) in enumerate(scores_at(progress, arm).items()):
        metrics[f"fgrpo/signals/{name}/applicable"] = 60 - 20 * number
        metrics[f"fgrpo/signals/{name}/mean"] = score + wave
        if arm != "fgrpo":
            continue
        violation = THRESHOLDS[name] - score - wave
        metrics |= {
            f"fgrpo/{name}/{part}": value
            for part, value in {
                "share": 0.2, "zero_variance_groups": 0.5 + 0.1 * number, "score": score + wave,
                "applicable": 60 - 20 * number, "valid_share": 1.0, "threshold": THRESHOLDS[name],
                "violation": violation, "multiplier": 1.0 + number * progress, "updated": 1.0, "saturated": 0.0,
                "next_multiplier": 1.0 + number * progress + 0.05 * violation,
            }.items()
        }  # fmt: skip
    for question in Question:
        metrics |= {
            f"fgrpo/judges/{question}/{part}": value
            for part, value in {
                "verdicts": 60.0, "valid_share": 0.99, "cached_share": 0.1, "calls": 54.0, "retries": 1.0,
                "prompt_tokens": 6000.0, "completion_tokens": 60.0, "dollars": 0.002,
                "wait_s/p50": 0.4, "wait_s/p95": 1.2,
            }.items()
        }  # fmt: skip
    return metrics


def validation_metrics(progress, arm):
    metrics = {"val-core/miniature/acc/mean@1": 0.6 + 0.3 * progress, "val-aux/num_turns/mean": 2.0}
    for name, value in {"accuracy": 0.6 + 0.3 * progress, "format": 0.99, **scores_at(progress, arm)}.items():
        metrics |= {f"fgrpo/val/{name}/measured": 12, f"fgrpo/val/{name}/mean": value}
    return metrics


# ---------------------------------------------------------------------- rollouts


SIDE = 84  # px
OTHER = {"left": "right", "right": "left"}


@dataclass(frozen=True)
class Scene:
    """A red and a blue square; boxes are xyxy in pixels."""

    red: tuple[int, int, int, int]
    blue: tuple[int, int, int, int]

    @property
    def answer(self):
        return "left" if self.red[0] < self.blue[0] else "right"

    def trace(self, claimed, red=None):
        """Four sentences; the first two give boxes, `red` may be a wrong one."""
        return " ".join(
            [
                f"The red square is at <bbox>{list(red or self.red)}</bbox>.",
                f"The blue square is at <bbox>{list(self.blue)}</bbox>.",
                f"The red square is {claimed} of the blue square.",
                f"So the answer is {claimed}.",
            ]
        )

    def picture(self, rng):
        pixels = rng.integers(180, 200, (SIDE, SIDE, 3), dtype=np.uint8)
        for (x1, y1, x2, y2), colour in ((self.red, (220, 40, 40)), (self.blue, (40, 70, 220))):
            pixels[y1:y2, x1:x2] = colour
        return Image.fromarray(pixels)


class SceneJudge:
    """Knows the scene."""

    name = "oracle"

    def __init__(self, scene):
        self.scene = scene

    async def ask(self, request):
        if request.kind is Question.CONSISTENCY:
            label = Label.YES if f"So the answer is {request.answer}." in request.context else Label.NO
        elif request.claim.startswith("So the answer"):
            label = Label.SKIP
        else:
            label = Label.CORRECT if request.claim in self.scene.trace(self.scene.answer) else Label.INCORRECT
        return Verdict(label, self.name, text=label.value)


def rollout(split, index, arm, seed=0, step=0, session=0):
    """A scored rollout and its picture; the question depends on split and index alone."""
    of_question = np.random.default_rng([index, *split.encode()])
    columns = of_question.permutation(3)[:2] * 28
    red, blue = (
        (int(x), y, int(x) + 21, y + 21) for x, y in zip(columns, of_question.integers(0, 60, 2).tolist(), strict=True)
    )
    scene = Scene(red, blue)
    picture = scene.picture(of_question)
    rng = np.random.default_rng([index, step, session, seed, *arm.encode()])
    wrong = rng.random() < (0.05 if arm == "fgrpo" else 0.4)
    shortcut = arm == "grpo_t" and rng.random() < 0.7  # the right answer, whatever the trace says
    claimed = OTHER[scene.answer] if wrong else scene.answer
    trace = scene.trace(claimed, red=(0, 0, 10, 10) if rng.random() < 0.1 else None)
    text = f"<think>{trace}</think><answer>{scene.answer if shortcut else claimed}</answer>"
    sample = Sample(
        question="Is the red square left or right of the blue square?",
        choices=("left", "right"),
        ground_truth=scene.answer,
        images=(picture,),
        boxes=tuple(tuple(map(float, box)) for box in (red, blue)) if index % 2 == 0 else (),
        index=index,
        split=split,
    )
    judges = dict.fromkeys(Question, SceneJudge(scene))
    score = asyncio.run(score_rollout(sample, text, judges, RewardSettings(judge_scope="all")))
    images = (image_sha256(picture),)
    return TraceRecord.from_score(sample, score, images=images, response=text, step=step, session=session), picture


def write_rollouts(folder, split, arm, seed, rows, session=0):
    """One rollout per (step, index) into traces/<split>-0.jsonl."""
    with TraceWriter(folder, split) as writer:
        for step, index in rows:
            record, picture = rollout(split, index, arm, seed, step, session)
            save_images([picture], folder)
            writer.write(record)


def evaluated(out, label, mode, arm, seed=0, questions=16):
    """One checkpoint in one mode on a run's held-out questions, as `fgrpo summary` leaves it."""
    with TraceWriter(out, label, f"held-out-{mode}") as writer:
        items = []
        for index in range(questions):
            record, picture = rollout("test", index, arm, seed, session=0 if mode is Mode.GREEDY else 1)
            record = record.model_copy(update={"session": 0})
            save_images([picture], out)
            writer.write(record)
            items.append(Outcome.from_record(record, tokens=36))
    return made_results.result(label, items, mode=mode)


def write_benchmarks(out, models, benchmarks=("cv_bench", "mindcube"), questions=12):
    """The folder of an `fgrpo evaluate`; `models` maps a model's name to the arm that its answers look like."""
    results = []
    for model, arm in models.items():
        for benchmark in benchmarks:
            items = []
            with TraceWriter(out, model, f"{benchmark}-greedy") as writer:
                for index in range(questions):
                    record, picture = rollout(benchmark, index, arm)
                    asked = EvaluationRecord(
                        key=f"{model}-{index}", model=model, style="ours", benchmark=benchmark, item=f"q{index}"
                    )
                    record = record.model_copy(update={"evaluation": asked})
                    save_images([picture], out)
                    writer.write(record)
                    items.append(Outcome.from_record(record, tokens=36))
            results.append(made_results.result(model, items, benchmark))
    BenchmarkEvaluation(settings={"judges": JUDGES}, results=tuple(results)).save(out)
    return out
