"""Our own styles: think, bbox and answer tags, with the instruction of `easyr1_fgrpo.task_prompt` or without."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from easyr1_fgrpo.evaluation.benchmarks.item import Item
from easyr1_fgrpo.evaluation.styles.prompt import system_turn, user_turn
from easyr1_fgrpo.evaluation.styles.style import Coordinates, Parsed
from easyr1_fgrpo.rewards.response import parse_response
from easyr1_fgrpo.rows import IMAGE_MARK
from easyr1_fgrpo.task_prompt import prompt_messages


@dataclass(frozen=True)
class Ours:
    """The grammar is that of training; the last closed answer counts. Qwen3-VL writes thousandths."""

    name: str = "ours"
    coordinates: Coordinates = "pixels"
    prefill: str = ""
    pixels: tuple[int, int] | None = None

    def messages(self, item: Item, n_images: int) -> list[dict[str, Any]]:
        """The messages a policy is trained with, image marks turned into image parts."""
        system, user = prompt_messages(item.question, item.choices, n_images)
        text = user["content"].removeprefix(IMAGE_MARK * n_images)
        return [system_turn(system["content"]), user_turn(n_images, text)]

    def parse(self, response: str, choices: Sequence[str] = ()) -> Parsed:
        """See `easyr1_fgrpo.rewards.response`."""
        parsed = parse_response(response)
        return Parsed(parsed.trace, parsed.answer, parsed.boxes, format_ok=parsed.well_formed, n_boxes=parsed.n_boxes)


class Trained(Ours):
    """The prompt that stands beside the question, word for word: what a run trains and evaluates with."""

    def messages(self, item: Item, n_images: int) -> list[dict[str, Any]]:
        """Its messages, image marks turned into image parts."""
        if not item.prompt:
            raise ValueError(f"{item.benchmark} brings no prompts of its own: choose another style than {self.name}")
        numbers = count()
        return [
            {"role": message["role"], "content": list(_parts(message["content"], numbers))} for message in item.prompt
        ]


def _parts(text: str, numbers: Iterator[int]) -> Iterator[dict[str, Any]]:
    for index, words in enumerate(text.split(IMAGE_MARK)):
        if index:
            yield {"type": "image", "index": next(numbers)}
        if words:
            yield {"type": "text", "text": words}


class Bare(Ours):
    """The images and the question, without options, instruction or system turn, as the miniature is trained."""

    def messages(self, item: Item, n_images: int) -> list[dict[str, Any]]:
        """One user turn."""
        return [user_turn(n_images, item.question)]
