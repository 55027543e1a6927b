"""`fgrpo judge validate` between its arguments and its exit code."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from rich.console import Console

from easyr1_fgrpo.config.schema import FgrpoConfig
from easyr1_fgrpo.evaluation.judge_validation.run import Options, judges_of, validate
from easyr1_fgrpo.evaluation.judge_validation.table import plain, report_tables

DONE, BAD_INPUT, OBJECTED = 0, 1, 3


def run(settings: FgrpoConfig, options: Options, min_kappa: float | None, out: Path | None) -> int:
    """Validate the config's judges on trace files and print what was found.

    Args:
        settings: the key `fgrpo` of the config.
        options: what is asked about.
        min_kappa: what kappa's lower bound must reach; None for no demand.
        out: where the report is written as JSON; None for nowhere.

    Returns:
        The exit code: 0 done, 1 bad input, 3 for a judge that misses planted errors, gives no labels or falls short of
        `min_kappa`.
    """
    if problems := _problems(options, out):
        return _bad_input(*problems)
    try:
        report = asyncio.run(validate(judges_of(settings), options, settings.reward.deadline_s))
    except (ValueError, OSError) as error:
        return _bad_input(str(error))
    Console().print(report_tables(report))
    for line in report.warnings:
        print(f"warning: {plain(line)}", file=sys.stderr)
    objections = report.objections(min_kappa)
    for line in objections:
        print(f"objection: {line}", file=sys.stderr)
    try:
        if out:
            report.save(out)
    except OSError as error:
        return _bad_input(f"--out {out}: cannot be written ({error.strerror})")
    return OBJECTED if objections else DONE


def _problems(options: Options, out: Path | None) -> list[str]:
    """What speaks against the arguments, found before the judge is asked for an hour."""
    problems = [f"{path}: no such trace file" for path in options.traces if not path.is_file()]
    if not options.traces:
        problems.append("no trace file given: name files like runs/NAME/traces/train-0.jsonl")
    if options.images and not options.images.is_dir():
        problems.append(f"--images {options.images}: no such folder")
    if out and (out.is_dir() or not out.absolute().parent.is_dir()):
        problems.append(f"--out {out}: name a file in a folder that exists")
    return problems


def _bad_input(*problems: str) -> int:
    for problem in problems:
        print(f"error: {plain(problem)}", file=sys.stderr)
    return BAD_INPUT
