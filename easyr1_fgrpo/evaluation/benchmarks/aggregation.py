"""From single answers to a benchmark's number. What was not measured enters no number."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import fmean

from easyr1_fgrpo.evaluation.benchmarks.item import ItemMeta


def over_items(correct: Mapping[str, float], items: Sequence[ItemMeta]) -> float | None:
    """Mean over the items (micro average)."""
    return _mean([correct[item.id] for item in items if item.id in correct])


def over_groups(correct: Mapping[str, float], items: Sequence[ItemMeta]) -> float | None:
    """Mean over the groups of each group's mean (macro average)."""
    measured = [item for item in items if item.id in correct]
    return _mean([fmean(correct[item.id] for item in group) for group in _grouped(measured)])


def whole_groups(correct: Mapping[str, float], items: Sequence[ItemMeta]) -> float | None:
    """Share of the groups whose items are all right; a group that was not measured as a whole is left out."""
    groups = [group for group in _grouped(items) if all(item.id in correct for item in group)]
    return _mean([min(correct[item.id] for item in group) for group in groups])


def named(**numbers: float | None) -> dict[str, float]:
    """The numbers that there are."""
    return {name: number for name, number in numbers.items() if number is not None}


def _grouped(items: Sequence[ItemMeta]) -> list[list[ItemMeta]]:
    groups: dict[str, list[ItemMeta]] = defaultdict(list)
    for item in items:
        groups[item.group].append(item)
    return list(groups.values())


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None
