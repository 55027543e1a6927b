"""Plain chain of thought: free reasoning, then a line "Answer: ..."."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from easyr1_fgrpo.evaluation.benchmarks.item import Item
from easyr1_fgrpo.evaluation.styles.final_answer import answer_in, bare_option, last_announced, last_boxed
from easyr1_fgrpo.evaluation.styles.prompt import option_lines, user_turn
from easyr1_fgrpo.evaluation.styles.style import Coordinates, Parsed
from easyr1_fgrpo.evaluation.styles.tags import after_think, answer_sections, trace_before

ASK = (
    'Think step by step about what is visible before you answer. Then end with one line "Answer: X", where X is {what}.'
)


class ChainOfThought:
    """The last answer that is announced counts; else the last in answer tags, the last boxed, or a bare option."""

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
        if found := last_announced(response, choices, start):
            trace, last_line = trace_before(response, found.start), not response[found.end :].strip()
            return Parsed(trace, found.answer, format_ok=None not in (trace, found.answer) and last_line)
        if sections := answer_sections(response[start:]):
            return Parsed(trace_before(response, start + sections[-1].start), answer_in(sections[-1].text, choices))
        if boxed := last_boxed(response, choices, start):
            return Parsed(trace_before(response, boxed.start), boxed.answer)
        if bare := bare_option(response[start:], choices):
            return Parsed(trace_before(response, start), bare)
        return Parsed(trace_before(response, len(response)), None)
