"""The prompt style "bare": the question alone, answered in our grammar, as the miniature's policies are trained."""

from __future__ import annotations

from typing import Any

from easyr1_fgrpo.evaluation.benchmarks import Item
from easyr1_fgrpo.evaluation.styles import STYLES, Coordinates, Parsed, Style


class Bare:
    """The images and the question, without options, instruction or system turn."""

    name = "bare"
    prefill = ""
    coordinates: Coordinates = "pixels"
    pixels = None

    def messages(self, item: Item, n_images: int) -> list[dict[str, Any]]:
        """One user turn."""
        images = [{"type": "image", "index": number} for number in range(n_images)]
        return [{"role": "user", "content": [*images, {"type": "text", "text": item.question}]}]

    def parse(self, response: str) -> Parsed:
        """As our own style does."""
        return STYLES["ours"].parse(response)


ALL_STYLES: dict[str, Style] = {**STYLES, "bare": Bare()}
