r"""VL-Rethinker (arXiv 2504.08837): `TIGER-Lab/VL-Rethinker-7B`.

No system turn; the request and the pixel budget are those of its repository. It reasons freely, reconsiders ("Wait,
..."), and boxes its answer; a later box replaces an earlier one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from easyr1_fgrpo.evaluation.benchmarks.item import Item
from easyr1_fgrpo.evaluation.styles.final_answer import last_announced, last_boxed
from easyr1_fgrpo.evaluation.styles.prompt import option_lines, user_turn
from easyr1_fgrpo.evaluation.styles.style import Coordinates, Parsed
from easyr1_fgrpo.evaluation.styles.tags import after_think, trace_before

ASK = r"Please reason step by step, and put your final answer within \boxed{}"


class VlRethinker:
    r"""The last `\boxed{}` counts; without any, the last answer announced. The trace is what stands before it."""

    name = "vl_rethinker"
    prefill = ""
    coordinates: Coordinates = "none"
    pixels = (256 * 28 * 28, 1280 * 28 * 28)

    def messages(self, item: Item, n_images: int) -> list[dict[str, Any]]:
        """Question, options, and the request after a blank line."""
        text = "\n".join([item.question, *option_lines(item.choices), "", ASK])
        return [user_turn(n_images, text)]

    def parse(self, response: str, choices: Sequence[str] = ()) -> Parsed:
        """Trace and answer; the format is right when the answer is boxed and a trace stands before it."""
        start = after_think(response)
        boxed = last_boxed(response, choices, start)
        found = boxed or last_announced(response, choices, start)
        if found is None:
            return Parsed(trace_before(response, len(response)), None)
        trace = trace_before(response, found.start)
        return Parsed(trace, found.answer, format_ok=bool(boxed and boxed.answer and trace))
