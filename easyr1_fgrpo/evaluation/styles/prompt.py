"""Parts that the prompts of several styles share."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_uppercase
from typing import Any


def user_turn(n_images: int, text: str) -> dict[str, Any]:
    """All images in order, then the text."""
    parts: list[dict[str, Any]] = [{"type": "image", "index": index} for index in range(n_images)]
    return {"role": "user", "content": [*parts, {"type": "text", "text": text}]}


def system_turn(text: str) -> dict[str, Any]:
    """The system turn."""
    return {"role": "system", "content": text}


def option_lines(choices: Sequence[str], pattern: str = "{letter}. {text}") -> list[str]:
    """A line for each option."""
    return [pattern.format(letter=letter, text=text) for letter, text in zip(ascii_uppercase, choices, strict=False)]
