"""Custom signals: a function of a scored rollout, which a constraint can be put on (`fgrpo.signals`)."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from easyr1_fgrpo.rewards.rollout import RolloutScore, Sample
from easyr1_fgrpo.rewards.signal import Reason, Signal

SignalFunction = Callable[[Sample, RolloutScore], float | None]
"""A score in [0, 1], the higher the better, or None where the signal does not apply to the rollout."""


def load_signal(target: str) -> SignalFunction:
    """The function that a config names.

    Args:
        target: `path/to/file.py:function` or `package.module:function`.

    Raises:
        ValueError: when it cannot be loaded, saying why.
    """
    location, separator, name = target.rpartition(":")
    if not separator or not location or not name:
        raise ValueError(f"{target!r}: write path/to/file.py:function or package.module:function")
    try:
        module = _module_of_file(Path(location)) if location.endswith(".py") else importlib.import_module(location)
        function = getattr(module, name)
    except Exception as error:  # a user's module may raise anything while it is imported
        raise ValueError(f"{target!r} cannot be loaded ({type(error).__name__}: {error})") from error
    if not callable(function):
        raise ValueError(f"{target!r} is no function")
    return function  # type: ignore[no-any-return]


def with_custom_signals(score: RolloutScore, sample: Sample, functions: Mapping[str, SignalFunction]) -> RolloutScore:
    """A rollout's score with its custom signals.

    Raises:
        ValueError: when a function gives something that is neither a number in [0, 1] nor None.
    """
    custom = {name: _signal(name, function(sample, score)) for name, function in functions.items()}
    return replace(score, signals={**score.signals, **custom})


def _signal(name: str, value: float | None) -> Signal:
    if value is None:
        return Signal.absent(Reason.NOT_APPLICABLE)
    try:
        return Signal(float(value))
    except (TypeError, ValueError) as error:
        raise ValueError(f"fgrpo.signals.{name} gave {value!r}: {error}") from error


def _module_of_file(path: Path) -> object:
    spec = importlib.util.spec_from_file_location(f"custom_signal_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
