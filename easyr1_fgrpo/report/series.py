"""Which metric means what: constraints, judges and RL curves by the names of metrics.jsonl.

Constraints and judges are found in the names themselves, so that a user's own signals are shown like ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from easyr1_fgrpo.config.schema import CONSTRAINABLE
from easyr1_fgrpo.report.run_files import Run, Series

CONSTRAINT_PARTS = {
    "score": "score (Eq. 5)",
    "threshold": "threshold",
    "score_corrected": "true rate that the score stands for",
    "threshold_asked": "true rate that is asked for",
    "violation": "violation",
    "multiplier": "multiplier",
    "cap": "cap of the multiplier",
    "share": "share of the advantage",
    "applicable": "applicable rollouts",
    "applicable_share": "applicable rollouts, share of the scored",
    "zero_variance": "groups without variance, share",
    "valid_share": "share that the judge measured",
}
"""What `constraint_series` gives of a constraint, and how it is called."""

JUDGE_PARTS = {
    "valid_share": "verdicts with a label, share",
    "cached_share": "verdicts from the cache, share",
    "uncertain_share": "uncertain verdicts, share",
    "wait_s/p50": "wait for a rollout's verdicts, median, s",
    "wait_s/p95": "wait for a rollout's verdicts, 95th percentile, s",
    "verdicts": "verdicts",
    "calls": "calls",
    "retries": "repeated calls",
    "prompt_tokens": "prompt tokens",
    "completion_tokens": "completion tokens",
    "dollars": "dollars",
}
"""What is known of a judge per step, under `fgrpo/judges/<question>/`."""

CAP = "fgrpo/dual/lambda_max"
SCORED = "fgrpo/rollouts/scored"
ALWAYS_MEASURED = ("format", "accuracy")
"""Signals that no constraint is put on."""

_THRESHOLD = re.compile(r"fgrpo/([^/]+)/threshold")
_SIGNAL = re.compile(r"fgrpo/signals/([^/]+)/applicable")
_JUDGE = re.compile(r"fgrpo/judges/([^/]+)/verdicts")


@dataclass(frozen=True)
class Curve:
    """One ordinary curve of RL.

    Attributes:
        label: what it is called.
        key: its metric.
    """

    label: str
    key: str


RL_CURVES = (
    Curve("task reward", "fgrpo/signals/task/mean"),
    Curve("accuracy of rollouts", "fgrpo/signals/accuracy/mean"),
    Curve("accuracy in validation", "fgrpo/val/accuracy/mean"),
    Curve("KL to the reference policy", "actor/kl_loss"),
    Curve("entropy, nats a token", "actor/entropy"),
    Curve("response length, tokens", "response_length/mean"),
    Curve("responses cut at the length limit, share", "fgrpo/rollouts/truncated/mean"),
    Curve("clipped tokens, share", "actor/pg_clipfrac"),
    Curve("gradient norm", "actor/grad_norm"),
    Curve("failed rollouts, share", "fgrpo/rollouts/failed_share"),
)


def constraint_names(runs: Iterable[Run]) -> list[str]:
    """Constraints that act in any of the runs; when there is none, the signals that one could be put on.

    Ours come first, then the users' in alphabetical order.
    """
    runs = list(runs)
    found = _found(runs, _THRESHOLD) or _found(runs, _SIGNAL) - set(ALWAYS_MEASURED)
    return [*(name for name in CONSTRAINABLE if name in found), *sorted(found - set(CONSTRAINABLE))]


def constraint_series(run: Run, name: str) -> dict[str, Series]:
    """What a run knows of a constraint, by `CONSTRAINT_PARTS`; what it lacks is not there.

    A run in which the constraint does not act still measures the signal: its score is the signal's mean over the
    rollouts it applies to, which is Eq. 5 too.
    """
    own, signal = f"fgrpo/{name}", f"fgrpo/signals/{name}"
    metrics = run.metrics
    series = {
        "score": metrics.get(f"{own}/score") or metrics.get(f"{signal}/mean"),
        "threshold": metrics.get(f"{own}/threshold"),
        "score_corrected": metrics.get(f"{own}/score_corrected"),
        "threshold_asked": metrics.get(f"{own}/threshold_asked"),
        "violation": metrics.get(f"{own}/violation"),
        "multiplier": metrics.get(f"{own}/multiplier"),
        "cap": metrics.get(CAP) if f"{own}/multiplier" in metrics else None,
        "share": metrics.get(f"{own}/share"),
        "applicable": metrics.get(f"{own}/applicable") or metrics.get(f"{signal}/applicable"),
        "zero_variance": metrics.get(f"{own}/zero_variance_groups"),
        "valid_share": metrics.get(f"{own}/valid_share"),
    }
    series["applicable_share"] = ratio(series["applicable"], metrics.get(SCORED))
    return {part: found for part in CONSTRAINT_PARTS if (found := series[part]) is not None}


def judge_questions(runs: Iterable[Run]) -> list[str]:
    """The questions that judges were asked in any of the runs."""
    return sorted(_found(runs, _JUDGE))


def judge_series(run: Run, question: str) -> dict[str, Series]:
    """What a run knows of a judge, by `JUDGE_PARTS`; what it lacks is not there."""
    keys = {part: f"fgrpo/judges/{question}/{part}" for part in JUDGE_PARTS}
    return {part: run.metrics[key] for part, key in keys.items() if key in run.metrics}


def ratio(part: Series | None, whole: Series | None) -> Series | None:
    """One series over another, at the steps where both are measured and the second is not 0."""
    if part is None or whole is None:
        return None
    wholes = dict(zip(whole.steps, whole.values, strict=True))
    values = {
        step: value / wholes[step] for step, value in zip(part.steps, part.values, strict=True) if wholes.get(step)
    }
    return Series(tuple(values), tuple(values.values())) if values else None


def run_labels(runs: Sequence[Run]) -> list[str]:
    """What each run is called; runs that differ in the seed alone share their arm's name.

    Where an arm stands for different experiments, or a seed comes twice, each run has its directory's name.
    """
    return [_label(run, runs) for run in runs]


def _label(run: Run, runs: Sequence[Run]) -> str:
    same_name = [other for other in runs if other.name == run.name]
    unique = run.name if len(same_name) == 1 else str(run.path)
    if run.arm is None:
        return unique
    arm = [other for other in runs if other.arm == run.arm]
    experiments = {other.config.get("trainer.experiment_name") for other in arm}
    seeds = {other.seed for other in arm}
    return run.arm if len(experiments) == 1 and len(seeds) == len(arm) else unique


def _found(runs: Iterable[Run], pattern: re.Pattern[str]) -> set[str]:
    return {name for run in runs for name in _matches(run, pattern)}


def _matches(run: Run, pattern: re.Pattern[str]) -> Iterator[str]:
    for key in run.metrics:
        if match := pattern.fullmatch(key):
            yield match[1]
