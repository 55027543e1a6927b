"""From rollouts' numbers to what one step's advantage and dual step are computed on."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from easyr1_fgrpo.algorithm import JudgedSentences
from easyr1_fgrpo.rewards import Reason
from easyr1_fgrpo.training.judge_metrics import judge_metrics, last_causes
from easyr1_fgrpo.training.sentence_tokens import SENTENCE_TOKENS, judged_sentences

TASK = "task"


class RolloutId(NamedTuple):
    """Whose output a row of a batch is.

    Attributes:
        group: the prompt: rollouts of a group are compared with each other.
        session: number of the rollout within its group.
        output: number of the output within the rollout, for conversations of several turns; the last one is scored.
    """

    group: Hashable
    session: int
    output: int = 0


@dataclass(frozen=True)
class StepSignals:
    """One batch of rollouts, row by row in the trainer's order (B rows, padding included).

    Attributes:
        number: of the training step.
        expected: how many rollouts the step should have.
        task_B: (B,) task reward; anything where `valid_B` is False.
        scores: per signal (B,) scores, NaN where there is none.
        masks: per signal (B,) boolean, where the score applies; False on invalid rows.
        valid_B: (B,) boolean, rows that are a scored rollout.
        groups_B: (B,) integers, one per prompt.
        owner_B: (B,) row whose advantage a row carries: the last output of its rollout.
        reasons: per signal, how many valid rows have no score, by reason.
        invalid: how many rollouts have no task reward, by reason.
        present: how many rollouts the batch holds, padding not counted.
        sentences: judged sentences that credit their own tokens; none at the outcome level.
        judges: how the judges did, see `judge_metrics`; over all rollouts that were scored.
        causes: by signal, what its judge said last when it failed.
        extras: remaining numbers of the rollouts, means over valid rows.
    """

    number: int
    expected: int
    task_B: Tensor
    scores: dict[str, Tensor]
    masks: dict[str, Tensor]
    valid_B: Tensor
    groups_B: Tensor
    owner_B: Tensor
    reasons: dict[str, Counter[str]]
    invalid: Counter[str]
    present: int
    sentences: JudgedSentences
    judges: dict[str, float]
    causes: dict[str, list[str]]
    extras: dict[str, float]

    @property
    def missing(self) -> int:
        """Rollouts that never came back."""
        return self.expected - self.present

    @property
    def failed(self) -> int:
        """Rollouts that a failure cost the step: never came back or could not be scored.

        A truncated response that the config leaves out of the statistics is no failure.
        """
        return self.expected - int(self.valid_B.sum()) - self.invalid[Reason.TRUNCATED.name.lower()]


def read_step(
    number: int,
    ids: Sequence[RolloutId | None],
    numbers: Sequence[Mapping[str, Any] | None],
    signal_names: Sequence[str],
    *,
    expected: int,
) -> StepSignals:
    """Arrange one batch.

    Args:
        number: of the training step.
        ids: whose output each row is; None for padding.
        numbers: what was scored for the row (`RolloutScore.to_numbers` and, at the sentence level, `SENTENCE_TOKENS`),
            None where nothing was.
        signal_names: the signals to read, "task" excepted.
        expected: how many rollouts the step should have.
    """
    last: dict[tuple[Hashable, int], tuple[int, int]] = {}  # rollout -> (number of its last output, row)
    for row, who in enumerate(ids):
        if who is not None:
            key = who.group, who.session
            last[key] = max(last.get(key, (-1, -1)), (who.output, row))
    owner = [row if who is None else last[who.group, who.session][1] for row, who in enumerate(ids)]
    is_last = [who is not None and owner[row] == row for row, who in enumerate(ids)]
    known = [row if row is not None and who is not None else {} for row, who in zip(numbers, ids, strict=True)]
    valid = [use and found.get("task_valid", 0.0) == 1.0 for use, found in zip(is_last, known, strict=True)]

    group_ids: dict[Hashable, int] = {}
    groups = [
        -1 - row if who is None else group_ids.setdefault(who.group, len(group_ids)) for row, who in enumerate(ids)
    ]
    valid_B = torch.tensor(valid, dtype=torch.bool)
    scores = {name: _column(known, name) for name in signal_names}
    masks = {name: (_column(known, f"{name}_valid") == 1.0) & valid_B for name in signal_names}
    return StepSignals(
        number=number,
        expected=expected,
        task_B=torch.where(valid_B, _column(known, TASK), 0.0),
        scores=scores,
        masks=masks,
        valid_B=valid_B,
        groups_B=torch.tensor(groups),
        owner_B=torch.tensor(owner),
        reasons={
            name: Counter(
                _reason(found, name)
                for found, use, has in zip(known, valid, masks[name].tolist(), strict=True)
                if use and not has
            )
            for name in signal_names
        },
        invalid=Counter(
            _reason(found, TASK) for found, use, has in zip(known, is_last, valid, strict=True) if use and not has
        ),
        present=len(last),
        sentences=judged_sentences(
            [found.get(SENTENCE_TOKENS, []) if use else [] for found, use in zip(known, valid, strict=True)]
        ),
        judges=judge_metrics([found for found, use in zip(known, is_last, strict=True) if use]),
        causes=last_causes(known),
        extras=_extras(known, valid, signal_names),
    )


def _column(rows: Sequence[Mapping[str, float]], name: str) -> Tensor:
    return torch.tensor([float(row.get(name, math.nan)) for row in rows], dtype=torch.float64)


def _reason(row: Mapping[str, float], name: str) -> str:
    reason = Reason(int(row.get(f"{name}_reason", Reason.MISSING)))
    # A wrong rollout that was judged all the same has a value, and still the constraint does not apply to it.
    return (Reason.ANSWER_WRONG if reason is Reason.NONE else reason).name.lower()


def _extras(
    rows: Sequence[Mapping[str, float]], valid: Sequence[bool], signal_names: Sequence[str]
) -> dict[str, float]:
    used = [row for row, use in zip(rows, valid, strict=True) if use]
    if not used:
        return {}
    not_meant = {SENTENCE_TOKENS} | {
        f"{name}{end}" for name in (TASK, *signal_names) for end in ("", "_valid", "_reason")
    }
    names = [name for name in used[0] if name not in not_meant and not name.startswith("judge_")]
    return {name: sum(row[name] for row in used) / len(used) for name in names}


def metrics_of(step: StepSignals) -> dict[str, Any]:
    """What is logged about a step's signals: means over the rows where they apply, counts, and why scores lack.

    A mean over no row is left out: a missing measurement is never a number.
    """
    metrics: dict[str, Any] = {
        "fgrpo/rollouts/expected": step.expected,
        "fgrpo/rollouts/scored": int(step.valid_B.sum()),
        "fgrpo/rollouts/missing": step.missing,
        "fgrpo/rollouts/failed_share": step.failed / step.expected,
    }
    metrics |= {f"fgrpo/rollouts/invalid/{reason}": count for reason, count in step.invalid.items()}
    if step.valid_B.any():
        metrics["fgrpo/signals/task/mean"] = float(step.task_B[step.valid_B].mean())
    for name, scores_B in step.scores.items():
        mask_B = step.masks[name]
        metrics[f"fgrpo/signals/{name}/applicable"] = int(mask_B.sum())
        if mask_B.any():
            metrics[f"fgrpo/signals/{name}/mean"] = float(scores_B[mask_B].mean())
        metrics |= {f"fgrpo/signals/{name}/absent/{reason}": n for reason, n in step.reasons[name].items()}
    if credited := len(step.sentences.rows_S):
        metrics["fgrpo/rollouts/credited_sentences"] = credited
    metrics |= {f"fgrpo/judges/{name}": value for name, value in step.judges.items()}
    metrics |= {f"fgrpo/rollouts/{name}/mean": value for name, value in step.extras.items()}
    return metrics
