"""`fgrpo study choices RUN`: what the choices that the paper leaves open do to a run's advantages.

The rollouts of a miniature's run are taken as they were sampled, and their advantages computed again, by default and
with each choice changed. Nothing is trained: this is the effect on single steps, not on where training ends.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from easyr1_fgrpo.algorithm import constrained_advantage
from easyr1_fgrpo.miniature.tokenizer import build_tokenizer
from easyr1_fgrpo.report.run_files import Run
from easyr1_fgrpo.trace_index import index_traces
from easyr1_fgrpo.traces import TraceRecord

Array = NDArray[np.float64]
BEFORE, AFTER = "multiplier", "next_multiplier"
CLEAR = 0.1


@dataclass(frozen=True)
class Choice:
    """One of the choices: what it is called, the options it changes, and which multipliers it weighs with."""

    about: str
    options: dict[str, Any]
    multiplier: str = BEFORE


CHOICES = (
    Choice("as configured by default", {}),
    Choice("`mask_mode=zero_fill`", {"mask_mode": "zero_fill"}),
    Choice("`whiten=rollout`", {"whiten": "rollout"}),
    Choice("`whiten=none`", {"whiten": "none"}),
    Choice("`min_std=0.1`", {"min_std": 0.1}),
    Choice("dual step before the advantage", {}, AFTER),
)


@dataclass(frozen=True)
class Effect:
    """What a choice does, over all rollouts of all steps.

    Attributes:
        correlation: with the advantages of the default, mean over steps; None where a side is constant.
        other_sign: share of rollouts that are pushed the other way than by the default, in [0, 1], of those that the
            default pushes with `CLEAR` of its root mean square or more.
        size: root mean square of the advantages.
        right_minus_wrong: mean advantage of right minus that of wrong answers within a group, over the groups that have
            both, in units of `size`; None without such a group or where all advantages are 0.
    """

    correlation: float | None
    other_sign: float
    size: float
    right_minus_wrong: float | None


@dataclass(frozen=True)
class Step:
    """The rollouts of a step (B) and its metrics."""

    records: Sequence[TraceRecord]
    metrics: dict[str, float]
    lengths: Sequence[int]

    @property
    def groups(self) -> list[int]:
        """(B,) one number per prompt."""
        return [record.index for record in self.records]


def read_steps(run: Run) -> list[Step]:
    """The steps of a run that have metrics and traces.

    Raises:
        ValueError: when a file is missing or damaged.
    """
    index = index_traces(run.trace_files)
    if problems := [*run.problems, *index.problems]:
        raise ValueError("; ".join(problems))
    metrics: dict[int, dict[str, float]] = defaultdict(dict)
    for name, series in run.metrics.items():
        for step, value in zip(series.steps, series.values, strict=True):
            metrics[step][name] = value
    rollouts: dict[int, list[TraceRecord]] = defaultdict(list)
    for record in index.records():
        if record.split == "train" and record.step in metrics:
            rollouts[record.step].append(record)
    if not rollouts:
        raise ValueError(f"{run.path}: no step with metrics and training records")
    tokenizer = build_tokenizer()
    return [
        Step(found, metrics[step], [len(tokenizer(record.response)["input_ids"]) + 1 for record in found])
        for step, found in sorted(rollouts.items())
    ]


def advantages(step: Step, constraints: Sequence[str], choice: Choice) -> tuple[Array, dict[str, float | None]]:
    """(B,) advantages of a step's rollouts under a choice, and each signal's share."""
    task_B, valid_B = _signal(step, "task")
    signals = {name: _signal(step, name) for name in constraints}
    found = constrained_advantage(
        task_B,
        {name: score_B for name, (score_B, _) in signals.items()},
        {name: mask_B for name, (_, mask_B) in signals.items()},
        {name: step.metrics[f"fgrpo/{name}/{choice.multiplier}"] for name in constraints},
        torch.tensor(step.groups),
        (torch.arange(max(step.lengths)) < torch.tensor(step.lengths)[:, None]).long(),
        valid_B=valid_B,
        **choice.options,
    )
    return found.whole_B.double().numpy(), found.shares


def check_replay(step: Step, constraints: Sequence[str]) -> None:
    """The recorded rollouts give the shares that the run logged.

    Raises:
        ValueError: when they do not.
    """
    _, shares = advantages(step, constraints, CHOICES[0])
    for name, share in shares.items():
        logged = step.metrics.get(f"fgrpo/{name}/share")
        if share is not None and (logged is None or abs(share - logged) > 1e-6):
            raise ValueError(
                f"step {step.records[0].step}: the share of {name} is {share} from its traces and {logged} in "
                "metrics.jsonl; the run had other options than the defaults, or lost traces"
            )


def effect(steps: Sequence[Step], constraints: Sequence[str], choice: Choice) -> Effect:
    """What a choice does to the advantages of a run."""
    theirs = [advantages(step, constraints, CHOICES[0])[0] for step in steps]
    ours = [advantages(step, constraints, choice)[0] for step in steps]
    size, default_size = _size(ours), _size(theirs)
    default_N, other_N = np.concatenate(theirs), np.concatenate(ours)
    clear_N = np.abs(default_N) >= CLEAR * default_size
    gaps = [gap for step, found in zip(steps, ours, strict=True) for gap in _gaps(step, found)]
    return Effect(
        correlation=_mean(_correlation(a, b) for a, b in zip(ours, theirs, strict=True)),
        other_sign=float(np.mean((other_N * default_N < 0)[clear_N])),
        size=size,
        right_minus_wrong=float(np.mean(gaps)) / size if gaps and size else None,
    )


def largest_move(steps: Sequence[Step], constraints: Sequence[str]) -> float:
    """The most that a multiplier moved in a step."""
    return max(
        abs(step.metrics[f"fgrpo/{name}/{AFTER}"] - step.metrics[f"fgrpo/{name}/{BEFORE}"])
        for step in steps
        for name in constraints
    )


def _signal(step: Step, name: str) -> tuple[torch.Tensor, torch.Tensor]:
    values = [record.signals[name].value for record in step.records]
    score_B = torch.tensor([float("nan") if value is None else value for value in values], dtype=torch.float64)
    return score_B.nan_to_num(), ~score_B.isnan()


def _size(found: Sequence[Array]) -> float:
    return float(np.sqrt(np.mean(np.square(np.concatenate(found)))))


def _gaps(step: Step, advantage_B: Array) -> Iterable[float]:
    """Mean advantage of right minus that of wrong answers, for each group with both."""
    right_B = np.array([record.signals["accuracy"].value == 1.0 for record in step.records])
    groups_B = np.array(step.groups)
    for group in np.unique(groups_B):
        right, wrong = (advantage_B[(groups_B == group) & side] for side in (right_B, ~right_B))
        if len(right) and len(wrong):
            yield float(right.mean() - wrong.mean())


def _correlation(a: Array, b: Array) -> float | None:
    if np.ptp(a) == 0.0 or np.ptp(b) == 0.0:
        return None
    return float(np.corrcoef(a, b)[0, 1])


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
