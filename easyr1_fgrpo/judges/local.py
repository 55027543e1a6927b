"""A judge in this process, named in config by where it can be imported from."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from typing import Any

from easyr1_fgrpo.judges.protocol import Judge


def load_judge(target: str, options: Mapping[str, Any]) -> Judge:
    """Build `package.module:Class(**options)`.

    Raises:
        ValueError: when the target cannot be imported, takes other options, or is no judge.
    """
    module_name, _, class_name = target.partition(":")
    try:
        factory = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"judge target {target!r} cannot be imported ({error}): write package.module:Class") from error
    try:
        inspect.signature(factory).bind(**options)
    except TypeError as error:
        raise ValueError(f"judge target {target!r} cannot be built with options {dict(options)}: {error}") from error
    judge = factory(**options)
    if not isinstance(judge, Judge):
        raise ValueError(f"judge target {target!r} has no `name` and `ask`: it is no judge")
    return judge
