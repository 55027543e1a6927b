"""An answer without reasoning: accuracy alone, no trace to judge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from easyr1_fgrpo.evaluation.benchmarks.item import Item
from easyr1_fgrpo.evaluation.styles.final_answer import answer_in
from easyr1_fgrpo.evaluation.styles.prompt import option_lines, user_turn
from easyr1_fgrpo.evaluation.styles.style import Coordinates, Parsed
from easyr1_fgrpo.evaluation.styles.tags import after_think, final_sections

ASK_LETTER = "Answer with the letter of the right option and nothing else."
ASK_WORD = "Answer with a single word or number and nothing else."


class Direct:
    """What stands after thinking is the answer, unless it marks one: in answer tags, boxed, or announced."""

    name = "direct"
    prefill = ""
    coordinates: Coordinates = "none"
    pixels = None

    def messages(self, item: Item, n_images: int) -> list[dict[str, Any]]:
        """Question, options, and how to answer."""
        ask = ASK_LETTER if item.choices else ASK_WORD
        return [user_turn(n_images, "\n".join([item.question, *option_lines(item.choices), ask]))]

    def parse(self, response: str, choices: Sequence[str] = ()) -> Parsed:
        """The answer; never a trace."""
        text = response[after_think(response) :].strip()
        sections = final_sections(response)
        answer = answer_in(sections[-1].text if sections else text, choices)
        return Parsed(None, answer, format_ok=answer is not None and response.strip() in (answer, f"{answer}."))
