"""Traces as the report reads them: judged rollouts, and one line for every file with lines that are none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from easyr1_fgrpo.report.evaluation_files import Evaluation
from easyr1_fgrpo.report.reading import json_object
from easyr1_fgrpo.report.run_files import Run
from easyr1_fgrpo.traces import TraceRecord, read_traces


def read_records(run: Run) -> tuple[list[TraceRecord], list[str]]:
    """The rollouts of training and its validations; the last record of a key wins.

    Returns:
        The records, and one line for each file with lines that are none.
    """
    return _read_trace_files(run.trace_files)


def read_evaluation_records(evaluation: Evaluation) -> tuple[list[TraceRecord], list[str]]:
    """The judged rollouts of one evaluation; several evaluations ask the same questions, so their keys are the same."""
    return _read_trace_files([evaluation.trace_file] if evaluation.trace_file else [])


def _read_trace_files(paths: Sequence[Path]) -> tuple[list[TraceRecord], list[str]]:
    problems: list[str] = []
    readable = []
    for path in paths:
        try:
            path.open("rb").close()
            readable.append(path)
        except OSError as error:
            problems.append(f"{path}: cannot be read ({error.strerror})")
    records, bad = read_traces(readable)
    if bad:
        problems += [line for path in readable if (line := _bad_lines(path))]
    return records, problems


def _bad_lines(path: Path) -> str:
    """What is wrong with a trace file, "" when nothing is."""
    torn, other, first = 0, 0, ""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                TraceRecord.model_validate_json(line)
            except ValidationError as error:
                if json_object(line):
                    other += 1
                    where = ".".join(map(str, error.errors()[0]["loc"]))
                    first = first or f", first in line {number}: {where}: {error.errors()[0]['msg']}"
                else:
                    torn += 1
    if not torn + other:
        return ""
    return f"{path}: left out are {torn} torn lines and {other} records of another schema{first}"
