"""Folders that a run would write and cannot."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from easyr1_fgrpo.files import place_problem


def place_problems(config: Any, keys: Iterable[str]) -> list[str]:
    """One line for each cause.

    Args:
        config: the whole one.
        keys: that name folders.
    """
    found: dict[str, str] = {}
    for key in keys:
        folder = str(OmegaConf.select(config, key) or "")
        if folder and (problem := place_problem(Path(folder).expanduser())):
            found.setdefault(problem, f"{key}={folder}: {problem}; name another place")
    return list(found.values())
