"""What evaluations are measured on: questions, data set and judge. Numbers share a place only where these are the same.

Seeds of one experiment have data sets of their own, in folders that differ in the seed alone: they share a place, too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from easyr1_fgrpo.report.evaluation_files import HELD_OUT, Evaluation
from easyr1_fgrpo.report.run_files import Run

NAMED = 6
"""Data sets of a place that are named, at most."""


@dataclass
class Place:
    """One benchmark, data set and judge.

    Attributes:
        name: the benchmark, numbered where the same name stands for several places.
        data: by seed, as the evaluations say it.
        judge: who judged.
    """

    name: str
    judge: str
    data: dict[int | None, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """In a line."""
        sets = list(dict.fromkeys(self.data.values()))
        more = [f"{len(sets) - NAMED} more"] if len(sets) > NAMED else []
        return (
            f"{self.name}: {'; '.join([*sets[:NAMED], *more]) or 'unknown data set'}; judge: {self.judge or 'unknown'}"
        )


class Places:
    """The places of some runs' evaluations.

    Args:
        runs: in the order in which places are numbered.
    """

    def __init__(self, runs: Iterable[Run]) -> None:
        self._of: dict[int, Place] = {}
        found: dict[str, list[Place]] = {}
        for run in runs:
            for evaluation in run.evaluations:
                places = found.setdefault(evaluation.benchmark, [])
                place = next((place for place in places if _belongs(run, evaluation, place)), None)
                if place is None:
                    place = Place(evaluation.benchmark, evaluation.judge)
                    places.append(place)
                place.data.setdefault(run.seed, evaluation.data)
                self._of[id(evaluation)] = place
        self.all = [place for places in found.values() for place in places]
        for places in found.values():
            for number, place in enumerate(places, start=1):
                place.name += f" [{number}]" if len(places) > 1 else ""

    def of(self, evaluation: Evaluation) -> Place:
        """Where an evaluation of one of the runs belongs."""
        return self._of[id(evaluation)]

    def where(self, evaluation: Evaluation) -> str:
        """The place and how answers were drawn."""
        name = self.of(evaluation).name
        if evaluation.benchmark == HELD_OUT:
            return f"{name}, {evaluation.mode}"
        return f"{name}, sampled" if evaluation.mode.endswith("sampled") else name

    def occasion(self, evaluation: Evaluation) -> str:
        """What was measured: a model on a benchmark, or which checkpoint of a run and how it answered."""
        if evaluation.benchmark == HELD_OUT:
            return f"{self.of(evaluation).name}, {evaluation.label}, {evaluation.mode}"
        return self.where(evaluation)


def _belongs(run: Run, evaluation: Evaluation, place: Place) -> bool:
    """Whether it is of the place's data set, or of another seed's copy of it, and by the same judge."""
    if evaluation.judge != place.judge:
        return False
    if _content(evaluation.data) in map(_content, place.data.values()):
        return True
    others = {_path(data, seed) for seed, data in place.data.items()}
    return run.seed not in place.data and _path(evaluation.data, run.seed) in others


def _content(data: str) -> str:
    """The hash of a file of rows; of anything else its name."""
    return data.rpartition("sha256 ")[2]


def _path(data: str, seed: int | None) -> str:
    """The path of a file of rows, a seed's own folder written alike for every seed."""
    return data.partition(", sha256 ")[0].replace(f"-s{seed}/", "-s*/")
