"""Reading files that may be missing or damaged: the rest goes on, with one line for each that could not be read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import yaml

T = TypeVar("T")


def tried(read: Callable[[Path, list[str]], T], path: Path, otherwise: T, problems: list[str]) -> T:
    """What `read` makes of a file; `otherwise`, and a line among the problems, when it cannot."""
    try:
        return read(path, problems)
    except FileNotFoundError:
        problems.append(f"{path}: missing")
    except (OSError, ValueError, yaml.YAMLError) as error:
        problems.append(f"{path}: cannot be read ({str(error).partition(chr(10))[0]})")
    return otherwise
