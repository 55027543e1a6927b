"""What runs were trained on, in lines: data set, judge, and the checkpoint that they started from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from easyr1_fgrpo.evaluation.results.results import BEFORE, judge_name
from easyr1_fgrpo.report.run_files import Run

_JUDGE = re.compile(r"fgrpo\.judges\.([^.]+)\.(model|server|target)")


def trained_on(runs: Sequence[Run], names: Sequence[str]) -> list[str]:
    """One line for all runs that were trained on the same, and their names where there are several lines.

    Args:
        runs: with a config; others have no line.
        names: what they are called.
    """
    lines: dict[str, list[str]] = {}
    for run, name in zip(runs, names, strict=True):
        if "data.train_files" in run.config:
            lines.setdefault(_line(run), []).append(name)
    if len(lines) == 1:
        return list(lines)
    return [f"{', '.join(dict.fromkeys(mine))}: {line}" for line, mine in lines.items()]


def _line(run: Run) -> str:
    parts = [f"trained on {_files(run, 'data.train_files')}"]
    if any(name.startswith("fgrpo/val/") for name in run.metrics):
        parts.append(f"validated on {_files(run, 'data.val_files')}")
    parts.append(f"judge: {_judge(run) or 'none'}")
    start = run.config.get("actor_rollout_ref.model.path")
    parts += [f"started from {_short(run, start)}{_checkpoint(run)}"] if start else []
    return "; ".join(parts)


def _files(run: Run, key: str) -> str:
    files = run.config.get(key)
    return ", ".join(_short(run, file) for file in (files if isinstance(files, list) else [files]))


def _short(run: Run, path: object) -> str:
    """Without the folder that the run was started in; its files lie in `runs/` there, as a rule."""
    started_in = Path(str(run.config.get("fgrpo.run_dir", ""))).parent.parent
    return str(path).removeprefix(f"{started_in}/")


def _judge(run: Run) -> str:
    """By question; a model's name before its server's."""
    found: dict[str, dict[str, str]] = {}
    for key, value in run.config.items():
        if value and (match := _JUDGE.fullmatch(key)):
            found.setdefault(match[1], {})[match[2]] = str(value)
    names = {
        question: said.get("model") or said.get("server") or said.get("target", "") for question, said in found.items()
    }
    return judge_name(names)


def _checkpoint(run: Run) -> str:
    """The hash of the start, where the run was evaluated."""
    found = (each.checkpoint for each in run.evaluations if each.label == BEFORE and each.checkpoint)
    return f" ({hash_})" if (hash_ := next(found, "")) else ""
