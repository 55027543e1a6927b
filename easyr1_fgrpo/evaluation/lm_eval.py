"""Results in the JSON layout of lm-evaluation-harness, under lmms-eval's task names, for tools that read those."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from easyr1_fgrpo.evaluation.benchmark_results import BenchmarkResult, Evaluation, write_whole

HIGHER_IS_BETTER = {
    "acc": True,
    "acc_scorer": True,
    "acc_authors": True,
    "acc_paper": True,
    "acc_faithful": True,
    "inconsistency": False,
    "semantic_grounding": True,
}


def save(evaluation: Evaluation, out: Path) -> None:
    """Write `lm_eval/<model>/results_lm_eval.json` for every model; that layout holds one."""
    for model in evaluation.models:
        folder = out / "lm_eval" / model
        folder.mkdir(parents=True, exist_ok=True)
        layout = lm_eval_layout([result for result in evaluation.results if result.model == model], evaluation.settings)
        write_whole(folder / "results_lm_eval.json", json.dumps(layout, indent=1, sort_keys=True) + "\n")


def lm_eval_layout(results: Sequence[BenchmarkResult], settings: dict[str, Any]) -> dict[str, Any]:
    """One model's results: `results` by task with `<metric>,none` and `<metric>_stderr,none`, and what goes with them.

    Metrics: acc (by rule, plain share), acc_scorer, acc_authors and acc_paper (the benchmark's aggregations, by rule),
    acc_faithful, inconsistency, semantic_grounding. One without a value is left out; "N/A" stands for a standard error
    not known.
    """
    tasks = {result.task or result.benchmark: result for result in results}
    return {
        "results": {task: {"alias": task, **_metrics(result)} for task, result in tasks.items()},
        "group_subtasks": {task: [] for task in tasks},
        "configs": {
            task: {
                "task": task,
                "output_type": "generate_until",
                "num_fewshot": 0,
                "metadata": {"version": 1.0, "benchmark": result.benchmark, "style": result.style},
            }
            for task, result in tasks.items()
        },
        "versions": dict.fromkeys(tasks, 1.0),
        "n-shot": dict.fromkeys(tasks, 0),
        "higher_is_better": dict.fromkeys(tasks, HIGHER_IS_BETTER),
        "n-samples": {
            task: {"original": result.totals.rows, "effective": result.totals.scored} for task, result in tasks.items()
        },
        "config": {"model": "openai_compatible", "model_args": results[0].model, "settings": settings},
        "model_name": results[0].model,
        "model_source": "easyr1-fgrpo",
    }


def _metrics(result: BenchmarkResult) -> dict[str, float | str]:
    metrics: dict[str, float | str] = {}
    named = {
        "acc": "accuracy",
        "acc_scorer": "accuracy_by_scorer",
        "acc_faithful": "faithful_accuracy",
        "inconsistency": "inconsistency",
        "semantic_grounding": "semantic_grounding",
    }
    for name, source in named.items():
        estimate = result.metrics[source]
        if estimate.value is not None:
            metrics[f"{name},none"] = estimate.value
            binary = source != "semantic_grounding"
            error = math.sqrt(estimate.value * (1 - estimate.value) / max(1, estimate.n - 1)) if binary else "N/A"
            metrics[f"{name}_stderr,none"] = error
    for name, value in result.aggregations["rule"].items():
        metrics |= {f"acc_{name},none": value, f"acc_{name}_stderr,none": "N/A"}
    return metrics
