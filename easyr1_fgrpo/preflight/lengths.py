"""How many tokens a question takes: its pictures by their area, its text by its characters."""

from __future__ import annotations

from collections.abc import Iterable

from easyr1_fgrpo.rows import IMAGE_MARK

CHARACTERS_PER_TOKEN = 3
"""Of English questions, on the safe side."""


def image_tokens(pixels: float, patch_size: int) -> int:
    """Tokens of an image of that area: one per square of two patches, in pixels."""
    return int(pixels // (2 * patch_size) ** 2)


def too_long(
    questions: Iterable[tuple[str, int, int]], room: int, *, pixels: tuple[int | None, int | None], patch_size: int
) -> list[tuple[int, int]]:
    """The questions that may not fit, each as (tokens, position).

    Args:
        questions: the whole prompt with its image marks, and width and height of its first picture.
        room: in tokens.
        pixels: the least and the most that a picture is shown with; None for no bound.
        patch_size: of the policy's vision tower, in pixels.
    """
    found = []
    for position, (text, width, height) in enumerate(questions):
        area = max(width * height, pixels[0] or 0)
        area = area if pixels[1] is None else min(area, pixels[1])
        # All images of a row count like its first, whose size the row tells.
        pictures = text.count(IMAGE_MARK) * image_tokens(area, patch_size)
        tokens = pictures + len(text.replace(IMAGE_MARK, "")) // CHARACTERS_PER_TOKEN
        if tokens > room:
            found.append((tokens, position))
    return found
