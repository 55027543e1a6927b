"""An answer without reasoning: accuracy alone, no trace to judge."""

from __future__ import annotations

from typing import Any

from easyr1_fgrpo.evaluation.benchmarks.item import Item
from easyr1_fgrpo.evaluation.styles.final_answer import last_announced, last_boxed, undressed
from easyr1_fgrpo.evaluation.styles.prompt import option_lines, user_turn
from easyr1_fgrpo.evaluation.styles.style import Coordinates, Parsed
from easyr1_fgrpo.evaluation.styles.tags import answer_sections

ASK_LETTER = "Answer with the letter of the right option and nothing else."
ASK_WORD = "Answer with a single word or number and nothing else."


class Direct:
    """The whole response is the answer, unless it marks one: in answer tags, boxed, or announced."""

    name = "direct"
    prefill = ""
    coordinates: Coordinates = "none"
    pixels = None

    def messages(self, item: Item, n_images: int) -> list[dict[str, Any]]:
        """Question, options, and how to answer."""
        ask = ASK_LETTER if item.choices else ASK_WORD
        return [user_turn(n_images, "\n".join([item.question, *option_lines(item.choices), ask]))]

    def parse(self, response: str) -> Parsed:
        """The answer; never a trace."""
        text = response.strip()
        sections = answer_sections(text)
        marked = sections[-1].text if sections else None
        found = last_boxed(text) or last_announced(text)
        answer = marked or (found.answer if found else undressed(text)) or None
        return Parsed(None, answer, format_ok=answer is not None and answer == text)
