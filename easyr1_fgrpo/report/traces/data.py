"""Traces of the runs as the page's browser reads them: all, or a choice where there are too many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from easyr1_fgrpo.report.evaluations import sampled_first
from easyr1_fgrpo.report.measured_on import Places
from easyr1_fgrpo.report.run_files import Run
from easyr1_fgrpo.report.subjects import run_names, subject, subjects
from easyr1_fgrpo.report.traces.choice import Shelf, choose
from easyr1_fgrpo.report.traces.view import trace_view, visible
from easyr1_fgrpo.terminal import progress_bar
from easyr1_fgrpo.trace_index import TraceIndex, index_traces


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


def read_trace_data(runs: Sequence[Run], most: int) -> TraceData:
    """Read the traces of all runs: an index of all of them first, then those that are chosen.

    Args:
        runs: the runs.
        most: traces on the page; of more, `choice.choose` takes some.
    """
    data = TraceData(sources=list(subjects(runs)))
    found = list(_indexed(runs, data))
    data.total = sum(len(shelf.rows) for _, shelf in found)
    places = Places(runs)
    data.opening = list(
        dict.fromkeys(data.sets.index(places.occasion(after)) for run in runs for after in sampled_first(run))
    )
    kept = choose([shelf for _, shelf in found], most)
    total = sum(int(rows.sum()) for rows in kept)
    with progress_bar(total=total, desc="Traces", unit="trace", delay=1.0, leave=False) as bar:
        for (index, shelf), rows in zip(found, kept, strict=True):
            origin = {"source": shelf.source, "set": shelf.place}
            for record in index.records(shelf.rows[rows]):
                data.traces.append(trace_view(record) | origin)
                bar.update()
    return data


def _indexed(runs: Sequence[Run], data: TraceData) -> Iterator[tuple[TraceIndex, Shelf]]:
    """What there is of each source in each set; notes sets, folders of images and problems."""
    places, signals = Places(runs), dict[str, int]()
    for name, run in zip(run_names(runs), runs, strict=True):
        index = index_traces(run.trace_files, signals)
        data.problems += index.problems
        data.image_folders.append(run.path / "images")
        for split in sorted(index.splits):
            rows = index.rows[index.rows["split"] == index.splits.index(split)]
            yield index, Shelf(data.sources.index(name), _number(data.sets, split), False, rows)
        for evaluation in run.evaluations:
            index = index_traces([evaluation.trace_file] if evaluation.trace_file else [], signals)
            data.problems += index.problems
            folder = evaluation.path.parent / "images"
            if folder not in data.image_folders:
                data.image_folders.append(folder)
            source = data.sources.index(subject(name, evaluation))
            yield index, Shelf(source, _number(data.sets, places.occasion(evaluation)), True, index.rows)


def _number(names: list[str], name: str) -> int:
    if name not in names:
        names.append(name)
    return names.index(name)
