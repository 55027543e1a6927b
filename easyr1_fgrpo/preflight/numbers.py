"""Keys of a host that must be numbers of a kind; hosts themselves take what they get and fail, or train nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from omegaconf import OmegaConf

LARGEST_SEED = 1 << 32
"""NumPy takes smaller ones only."""


def whole_number_problems(
    config: Any, least: Mapping[str, int], *, or_none: Collection[str], why: Mapping[str, str]
) -> Iterator[str]:
    """One line for each key that is no whole number, or a smaller one than trains something; seeds have a largest one.

    Args:
        config: the whole config.
        least: by key.
        or_none: keys that may be null.
        why: what a smaller one would do, by key.
    """
    for key, smallest in least.items():
        value = OmegaConf.select(config, key)
        if value is None and key in or_none:
            continue
        if type(value) is int and value >= smallest:
            if key.rpartition(".")[2] == "seed" and value >= LARGEST_SEED:
                yield f"{key}={value}: give a whole number below 2^32"
            continue
        yield f"{key}={value}: give a whole number from {smallest} on{f': {why[key]}' if key in why else ''}"


def positive_problems(config: Any, keys: Collection[str], *, at_most_one: Collection[str]) -> Iterator[str]:
    """One line for each key that is no number above 0.

    Args:
        config: the whole config.
        keys: to be looked at.
        at_most_one: those of them above which a larger number is none.
    """
    for key in keys:
        value = OmegaConf.select(config, key)
        if type(value) not in (int, float) or not value > 0:
            yield f"{key}={value}: give a number above 0"
        elif key in at_most_one and value > 1:
            yield f"{key}={value}: give a number above 0 and up to 1"
