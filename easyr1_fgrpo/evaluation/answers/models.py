"""Which models are evaluated: `NAME=URL[,more]` or `NAME=FOLDER[,more]` of the command line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from easyr1_fgrpo.checkpoints import checkpoint_problems
from easyr1_fgrpo.evaluation.benchmarks import NAME
from easyr1_fgrpo.evaluation.styles import STYLES, Style
from easyr1_fgrpo.model_client.client import Address

DEFAULT_STYLE = "ours"


@dataclass(frozen=True)
class ModelSpec:
    """A model to evaluate.

    Attributes:
        name: in tables and files.
        style: prompt style.
        address: where it is served; None for a folder.
        folder: a local checkpoint, which we serve ourselves; None for an address.
    """

    name: str
    style: Style
    address: Address | None
    folder: Path | None


def parse_models(texts: Iterable[str]) -> list[ModelSpec]:
    """Read `NAME=URL[,URL...][,STYLE][,served=MODEL][,key=VARIABLE]` or `NAME=FOLDER[,STYLE]`.

    Raises:
        ValueError: for one that is none, or a name that occurs twice.
    """
    specs = [_parse(text) for text in texts]
    names = [spec.name for spec in specs]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"two models are called {min(twice)!r}: give each a name of its own")
    return specs


def parse_address(text: str) -> Address:
    """Read `URL[,URL...][,served=MODEL][,key=VARIABLE]`.

    Raises:
        ValueError: when it is none.
    """
    urls, options, words = _sorted(text)
    if words or not urls:
        raise ValueError(f"{words[0] if words else text!r}: write URL[,URL...][,served=MODEL][,key=VARIABLE]")
    return Address(tuple(urls), options.get("key", ""), options.get("served", ""))


def _parse(text: str) -> ModelSpec:
    name, _, where = text.partition("=")
    if not NAME.fullmatch(name) or not where:
        raise ValueError(f"--model {text}: write NAME=URL or NAME=FOLDER, the name of letters, digits and . _ + -")
    urls, options, words = _sorted(where)
    folders = [word for word in words if word not in STYLES]
    styles = [word for word in words if word in STYLES]
    if len(styles) > 1 or len(folders) > 1 or bool(urls) == bool(folders):
        raise ValueError(
            f"--model {text}: name URLs or one checkpoint folder, and at most one style of {', '.join(STYLES)}"
        )
    style = STYLES[styles[0] if styles else DEFAULT_STYLE]
    if urls:
        return ModelSpec(name, style, Address(tuple(urls), options.get("key", ""), options.get("served", "")), None)
    if options:
        raise ValueError(f"--model {text}: {min(options)}= is for a URL")
    if problems := checkpoint_problems(Path(folders[0])):
        raise ValueError(f"--model {text}: {problems[0]}; styles are {', '.join(STYLES)}")
    return ModelSpec(name, style, None, Path(folders[0]))


def _sorted(text: str) -> tuple[list[str], dict[str, str], list[str]]:
    """Comma-separated parts: URLs, key=value options, other words."""
    urls, options, words = [], {}, []
    for part in filter(None, (part.strip() for part in text.split(","))):
        key, equals, value = part.partition("=")
        if part.startswith(("http://", "https://")):
            urls.append(_url(part))
        elif equals and key in ("served", "key"):
            options[key] = value
        else:
            words.append(part)
    return urls, options, words


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.username or parts.password or parts.query:
        # The message must not hold the URL: it would hold the secret.
        raise ValueError("a model's URL holds a user name, password or query; name a key by key=VARIABLE")
    return text.rstrip("/")
