"""A judge in this process, named in config by where it can be imported from."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from easyr1_fgrpo.judges.protocol import Judge


def load_judge(target: str, options: Mapping[str, Any]) -> Judge:
    """Build `package.module:Class(**options)`.

    Raises:
        ValueError: when the target cannot be imported, takes other options, or is no judge.
    """
    judge = find_judge(target, options)(**options)
    if not isinstance(judge, Judge):
        raise ValueError(f"judge target {target!r} has no `name` and `ask`: it is no judge")
    return judge


def find_judge(target: str, options: Mapping[str, Any]) -> Callable[..., Any]:
    """What builds the judge, without building it.

    Raises:
        ValueError: when the target cannot be imported or takes other options, or a class has no `ask`.
    """
    module_name, _, class_name = target.partition(":")
    try:
        factory = getattr(importlib.import_module(module_name), class_name)
    except Exception as error:  # a user's module may raise anything while it is imported
        raise ValueError(f"judge target {target!r} cannot be imported ({error}): write package.module:Class") from error
    try:
        inspect.signature(factory).bind(**options)
    except TypeError as error:
        raise ValueError(f"judge target {target!r} cannot be built with options {dict(options)}: {error}") from error
    if inspect.isclass(factory) and not callable(getattr(factory, "ask", None)):
        raise ValueError(f"judge target {target!r} has no `ask`: it is no judge")
    return factory  # type: ignore[no-any-return]
