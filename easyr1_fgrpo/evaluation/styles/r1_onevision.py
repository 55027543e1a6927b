"""R1-Onevision (arXiv 2503.10615): `Fancy-MLLM/R1-Onevision-7B` and its `-RL` successor.

The prompt is that of the model card, without a system turn. The supervised model reasons freely, often in think tags,
and gives a final answer at the end; the RL one writes think and answer tags. Coordinates are not asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from easyr1_fgrpo.evaluation.benchmarks.item import Item
from easyr1_fgrpo.evaluation.styles.final_answer import answer_in, last_marked
from easyr1_fgrpo.evaluation.styles.prompt import option_lines, user_turn
from easyr1_fgrpo.evaluation.styles.said import said_alone
from easyr1_fgrpo.evaluation.styles.style import Coordinates, Parsed
from easyr1_fgrpo.evaluation.styles.tags import after_think, answer_sections, trace_before

HINT = "Hint: Please answer the question and provide the final answer at the end. Question: "


class R1Onevision:
    """The first answer section counts, as in the RL reward; else the last answer announced or boxed after thinking.

    With neither, the answer is all that follows a closing think tag. It often leaves thinking open: then an answer
    counts that ends the response.
    """

    name = "r1_onevision"
    prefill = ""
    coordinates: Coordinates = "none"
    pixels = None

    def messages(self, item: Item, n_images: int) -> list[dict[str, Any]]:
        """The model card's hint, the question, the options."""
        options = ["Choices:", *option_lines(item.choices, "({letter}) {text}")] if item.choices else []
        return [user_turn(n_images, "\n".join([HINT + item.question, *options]))]

    def parse(self, response: str, choices: Sequence[str] = ()) -> Parsed:
        """Trace and answer; the format is right when an answer is marked and a trace stands before it."""
        if sections := answer_sections(response):
            answer, end, marked = answer_in(sections[0].text, choices), sections[0].start, True
        else:
            start = after_think(response)
            unfinished = start == len(response)
            found = last_marked(response, choices, 0 if unfinished else start)
            if found and unfinished and response[found.end :].strip(" }$*.\n"):
                found = None
            if found is None and (unfinished or start == 0):
                return Parsed(trace_before(response, len(response)), None)
            answer, end = (found.answer, found.start) if found else (said_alone(response[start:], choices), start)
            marked = found is not None
        trace = trace_before(response, end)
        return Parsed(trace, answer or None, format_ok=bool(marked and answer and trace))
