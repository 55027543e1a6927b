"""Plain chain of thought: free reasoning, then a line "Answer: ..."."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from easyr1_fgrpo.evaluation.benchmarks.item import Item
from easyr1_fgrpo.evaluation.styles.final_answer import answer_in, bare_option, last_marked
from easyr1_fgrpo.evaluation.styles.prompt import option_lines, user_turn
from easyr1_fgrpo.evaluation.styles.style import Coordinates, Parsed
from easyr1_fgrpo.evaluation.styles.tags import after_think, final_sections, trace_before

ASK = (
    'Think step by step about what is visible before you answer. Then end with one line "Answer: X", where X is {what}.'
)


class ChainOfThought:
    """The last answer in answer tags counts; else the last announced, the last boxed, or a bare option."""

    name = "cot"
    prefill = ""
    coordinates: Coordinates = "none"
    pixels = None

    def messages(self, item: Item, n_images: int) -> list[dict[str, Any]]:
        """Question, options, and how to answer."""
        ask = ASK.format(what="the letter of the right option" if item.choices else "a single word or number")
        return [user_turn(n_images, "\n".join([item.question, *option_lines(item.choices), "", ask]))]

    def parse(self, response: str, choices: Sequence[str] = ()) -> Parsed:
        """The trace is what stands before the answer."""
        start = after_think(response)
        if sections := final_sections(response):
            return Parsed(trace_before(response, sections[-1].start), answer_in(sections[-1].text, choices))
        if found := last_marked(response, choices, start):
            trace, last_line = trace_before(response, found.start), not response[found.end :].strip()
            format_ok = not found.boxed and None not in (trace, found.answer) and last_line
            return Parsed(trace, found.answer, format_ok=format_ok)
        if bare := bare_option(response[start:], choices):
            return Parsed(trace_before(response, start), bare)
        return Parsed(trace_before(response, len(response)), None)
