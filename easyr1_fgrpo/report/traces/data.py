"""All traces of the runs as the page's browser reads them, a fair choice where there are too many."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from easyr1_fgrpo.report.evaluation_files import Evaluation
from easyr1_fgrpo.report.evaluations import sampled_first
from easyr1_fgrpo.report.measured_on import Places
from easyr1_fgrpo.report.run_files import Run
from easyr1_fgrpo.report.subjects import run_names, subject, subjects
from easyr1_fgrpo.report.trace_files import read_evaluation_records, read_records
from easyr1_fgrpo.report.traces.view import trace_view, visible
from easyr1_fgrpo.terminal import progress_bar
from easyr1_fgrpo.traces import TraceRecord


@dataclass
class TraceData:
    """What the trace browser needs.

    Attributes:
        sources: names of runs and models; each trace's `source` is an index of it.
        sets: training splits and evaluations; each trace's `set` is an index of it.
        traces: see `trace_view`.
        opening: numbers of the sets that the page may open on, the first with something to see.
        total: how many there are in the files.
        image_folders: where their images may lie.
        problems: one line for each file that could not be read in full.
    """

    sources: list[str]
    sets: list[str] = field(default_factory=list)
    traces: list[dict[str, Any]] = field(default_factory=list)
    opening: list[int] = field(default_factory=list)
    total: int = 0
    image_folders: list[Path] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def image_hashes(self) -> Iterator[str]:
        """Of all traces, with repetitions."""
        return (digest for trace in self.traces for digest in trace["images"])

    def payload(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "sources": [*map(visible, self.sources)],
            "sets": [*map(visible, self.sets)],
            "opening": self.opening,
            "traces": self.traces,
        }


@dataclass(frozen=True)
class _Shelf:
    """The records of one source in one set."""

    source: str
    name: str
    records: list[TraceRecord]


def read_trace_data(runs: Sequence[Run], most: int) -> TraceData:
    """Read the traces of all runs.

    Args:
        runs: the runs.
        most: traces on the page. Of more, evaluations stay and training keeps every n-th of its steps, whole, the same
            steps in every run.
    """
    with _no_collection():
        return _read(runs, most)


def _read(runs: Sequence[Run], most: int) -> TraceData:
    data = TraceData(sources=list(subjects(runs)))
    shelves = list(_shelves(runs, data))
    data.total = sum(len(shelf.records) for shelf in shelves)
    data.sets = list(dict.fromkeys(shelf.name for shelf in shelves))
    places = Places(runs)
    data.opening = list(
        dict.fromkeys(data.sets.index(places.occasion(after)) for run in runs for after in sampled_first(run))
    )
    steps = _kept_steps(shelves, most)
    with progress_bar(total=data.total, desc="Traces", unit="trace", delay=1.0, leave=False) as bar:
        for shelf in shelves:
            origin = {"source": data.sources.index(shelf.source), "set": data.sets.index(shelf.name)}
            for record in shelf.records:
                if steps is None or record.step in steps:
                    data.traces.append(trace_view(record) | origin)
                bar.update()
    return data


@contextmanager
def _no_collection() -> Iterator[None]:
    """Looking for cycles again and again among millions of live objects takes as long as reading them."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _shelves(runs: Sequence[Run], data: TraceData) -> Iterator[_Shelf]:
    places = Places(runs)
    for name, run in zip(run_names(runs), runs, strict=True):
        records, problems = read_records(run)
        data.problems += problems
        data.image_folders.append(run.path / "images")
        for split in sorted({record.split for record in records}):
            yield _Shelf(name, split, [record for record in records if record.split == split])
        for evaluation in run.evaluations:
            yield _Shelf(subject(name, evaluation), places.occasion(evaluation), _evaluated(evaluation, data))


def _evaluated(evaluation: Evaluation, data: TraceData) -> list[TraceRecord]:
    records, problems = read_evaluation_records(evaluation)
    data.problems += problems
    folder = evaluation.path.parent / "images"
    if folder not in data.image_folders:
        data.image_folders.append(folder)
    return records


def _kept_steps(shelves: Sequence[_Shelf], most: int) -> frozenset[int] | None:
    """The steps whose traces are kept; None for all. Step 0, where evaluations stand, is always among them."""
    per_step = Counter(record.step for shelf in shelves for record in shelf.records)
    steps = sorted(per_step)
    if per_step.total() <= most:
        return None
    for stride in range(2, len(steps) + 1):
        kept = frozenset({0, *steps[::stride]})
        if sum(per_step[step] for step in kept) <= most:
            return kept
    return frozenset({0})
