"""What is wrong with the config key `fgrpo`, in one line a problem: key, value, what is allowed."""

from __future__ import annotations

from types import UnionType
from typing import Annotated, Any, get_args, get_origin

from pydantic import ValidationError

from easyr1_fgrpo.config.base import Settings, listed
from easyr1_fgrpo.config.schema import CONSTRAINABLE, FgrpoConfig
from easyr1_fgrpo.terminal import printable


def problems_of(error: ValidationError) -> list[str]:
    """One line per problem of an `FgrpoConfig`: key, value, what is allowed."""
    lines = [_line(item["type"], item["loc"], item["input"], item["msg"]) for item in error.errors()]
    # Keys and names are the user's text: a line break in one of them must not become one here.
    return [printable(line) for line in lines]


def _line(kind: str, loc: tuple[int | str, ...], value: Any, message: str) -> str:
    message = message.removeprefix("Value error, ")
    if kind == "value_error" and not loc:  # from _agree, whose messages start with the key
        return f"fgrpo.{message}"
    keys, here = _walk(loc)
    key = ".".join(["fgrpo", *keys])
    if kind == "extra_forbidden":
        return f"{key}: unknown key, allowed: {listed(_walk(loc[:-1])[1].model_fields)}"
    if loc[-1:] == ("[key]",):
        return f"{key}: unknown key, {message.replace('Input should be', 'allowed:')}"
    if kind.startswith("union_tag"):
        given = value.get("kind") if isinstance(value, dict) else None
        return f"{key}.kind={given!r}: Input should be one of {listed(_kinds(here))}"
    if kind == "missing" and keys[0] == "constraints" and keys[1:2] and keys[1] not in CONSTRAINABLE:
        return f"{key}: {message}; signals of ours are {listed(CONSTRAINABLE)}, and one of your own wants it, too"
    if kind in ("value_error", "missing"):
        return f"{key}: {message}"
    return f"{key}={value!r}: {message}"


def _walk(loc: tuple[int | str, ...]) -> tuple[list[str], Any]:
    """A location in the config: its keys, without pydantic's marks for kinds and for keys, and the type there."""
    here: Any = FgrpoConfig
    keys = []
    for part in loc:
        if part in (kinds := _kinds(here)):
            here = kinds[str(part)]
        elif part != "[key]":
            keys.append(str(part))
            here = _below(here, str(part))
    return keys, here


def _below(here: Any, key: str) -> Any:
    """The type of a field, or of what a dictionary or list holds; None where nothing is known."""
    if hasattr(here, "model_fields"):
        held = here.model_fields[key].annotation if key in here.model_fields else None
        return get_args(held)[0] if isinstance(held, UnionType) else held  # of SETTINGS | None the settings
    return (get_args(here) or (None,))[-1]


def _kinds(here: Any) -> dict[str, type[Settings]]:
    """The choices of a union of settings by their `kind`; empty for any other type."""
    choices = get_args(get_args(here)[0]) if get_origin(here) is Annotated else ()
    settings = [choice for choice in choices if isinstance(choice, type) and issubclass(choice, Settings)]
    return {get_args(choice.model_fields["kind"].annotation)[0]: choice for choice in settings}
