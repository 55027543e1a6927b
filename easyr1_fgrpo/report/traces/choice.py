"""Which traces are on the page, where there are too many: some of every step, the telling ones first.

The same rollouts of every run and the same questions of every model, so that they can be compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from easyr1_fgrpo.trace_index import ROW

MOST_BYTES = 40 * 2**20
"""Of the records as written; in the page they take a tenth."""

MOST_PICTURES = 1_600
"""Beyond, thumbnails would be too small to see anything, or the page too large to open at once."""

FOR_EVALUATIONS = 0.5
"""Share of the page for evaluations, as far as they have so many traces."""


@dataclass(frozen=True)
class Shelf:
    """Records of one source in one set.

    Attributes:
        source: number of the run or model.
        place: number of the set: a training split or an evaluation.
        evaluation: whether it is one.
        rows: of a `TraceIndex`.
    """

    source: int
    place: int
    evaluation: bool
    rows: NDArray[Any]


def choose(shelves: Sequence[Shelf], most: int) -> list[NDArray[np.bool_]]:
    """Choose rows of each shelf, at most `most` in all.

    Half of the room is the evaluations', and each half is shared evenly among its evaluations or steps. In each of
    these, what records tell (`trace_index`) takes turns, the rarest first, and one of any kind ends a round.
    """
    everything = [np.ones(len(shelf.rows), bool) for shelf in shelves]
    rows: NDArray[Any] = np.concatenate([np.empty(0, ROW), *(shelf.rows for shelf in shelves)])
    if not len(rows) or _fit(rows, most):
        return everything
    place = np.concatenate([np.full(len(shelf.rows), shelf.place) for shelf in shelves])
    evaluation = np.concatenate([np.full(len(shelf.rows), shelf.evaluation) for shelf in shelves])
    # One rollout of several runs, one question of several models.
    key = np.stack([place, rows["step"], rows["index"], rows["session"]])
    _, first, rollout = np.unique(key, axis=1, return_index=True, return_inverse=True)
    rollout = rollout.reshape(-1)
    tells = np.zeros(len(first), np.uint64)
    np.bitwise_or.at(tells, rollout, rows["tells"])
    _, unit = np.unique(key[:2, first], axis=1, return_inverse=True)
    unit = unit.reshape(-1)
    chosen = _chosen(unit, tells, evaluation[first], _room(rows, len(first), most))
    kept = chosen[rollout]
    return np.split(kept, np.cumsum([len(shelf.rows) for shelf in shelves])[:-1])


def _fit(rows: NDArray[Any], most: int) -> bool:
    pictures = len(np.unique(rows["pictures"]))
    return len(rows) <= most and int(rows["length"].sum()) <= MOST_BYTES and pictures <= MOST_PICTURES


def _room(rows: NDArray[Any], rollouts: int, most: int) -> int:
    """How many rollouts fit, each in as many runs as the mean one is."""
    runs = len(rows) / rollouts
    return max(1, int(min(most / runs, MOST_BYTES / (runs * rows["length"].mean()), MOST_PICTURES)))


def _chosen(
    unit: NDArray[np.int64], tells: NDArray[np.uint64], evaluation: NDArray[np.bool_], room: int
) -> NDArray[np.bool_]:
    """Which rollouts are kept: `unit` is the number of each one's step or evaluation."""
    sizes = np.bincount(unit)
    of_evaluations = np.zeros(len(sizes), bool)
    of_evaluations[unit] = evaluation
    wanted = round(FOR_EVALUATIONS * room)
    for_evaluations = min(max(wanted, room - int(sizes[~of_evaluations].sum())), int(sizes[of_evaluations].sum()))
    shares = np.zeros(len(sizes), np.int64)
    shares[of_evaluations] = _even(sizes[of_evaluations], for_evaluations)
    shares[~of_evaluations] = _even(sizes[~of_evaluations], room - for_evaluations)
    bits = [bit for bit in range(64) if np.any(tells >> np.uint64(bit) & np.uint64(1))]
    has = {bit: (tells >> np.uint64(bit) & np.uint64(1)).astype(bool) for bit in bits}
    rarest_first = [has[bit] for bit in sorted(bits, key=lambda bit: int(has[bit].sum()))]
    chosen = np.zeros(len(unit), bool)
    order = np.argsort(unit, kind="stable")
    for number, members in enumerate(np.split(order, np.cumsum(sizes)[:-1])):
        members = np.random.default_rng(number).permutation(members)
        chosen[_turns(members, rarest_first, int(shares[number]))] = True
    return chosen


def _even(sizes: NDArray[np.int64], room: int) -> NDArray[np.int64]:
    """Share room evenly: nobody gets more than it has, and what is left over goes to some at even distances."""
    if not len(sizes) or room <= 0:
        return np.zeros_like(sizes)
    low, high = 0, int(sizes.max())  # the most that each may have
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if np.minimum(sizes, middle).sum() <= room else (low, middle - 1)
    shares = np.minimum(sizes, low)
    larger = np.flatnonzero(sizes > low)
    extra = min(room - int(shares.sum()), len(larger))
    shares[larger[np.linspace(0, len(larger) - 1, extra).round().astype(int)]] += 1
    return shares


def _turns(members: NDArray[np.int64], kinds: Sequence[NDArray[np.bool_]], room: int) -> NDArray[np.int64]:
    """Of the members as many as there is room for: each kind has its turn, then one of any kind, round by round."""
    if room >= len(members):
        return members
    queues = [*(iter(members[kind[members]]) for kind in kinds), iter(members)]
    taken: dict[int, None] = {}
    while len(taken) < room:
        for queue in queues:
            found = next((member for member in queue if member not in taken), None)
            if found is not None and len(taken) < room:
                taken[int(found)] = None
    return np.array(list(taken), np.int64)
