"""TreeVGR (arXiv 2507.07999): `HaochenWang/TreeVGR-7B`.

Prompt, prefill and pixel budget are those of its evaluation. Traces hold `<box>[x1,y1,x2,y2]</box>` in pixels, the
answer is a letter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from easyr1_fgrpo.evaluation.benchmarks.item import Item
from easyr1_fgrpo.evaluation.styles.coordinates import tagged_boxes
from easyr1_fgrpo.evaluation.styles.final_answer import answer_in
from easyr1_fgrpo.evaluation.styles.prompt import option_lines, system_turn, user_turn
from easyr1_fgrpo.evaluation.styles.style import Coordinates, Parsed
from easyr1_fgrpo.evaluation.styles.tags import answer_sections, trace_before, well_formed

SYSTEM = (
    "A conversation between user and assistant. The user asks a question, and the Assistant solves it. The assistant "
    "MUST first think about the reasoning process in the mind and then provide the user with the answer. The reasoning "
    "process and answer are enclosed within <think> </think> and <answer> </answer> tags, respectively. When referring "
    "to particular objects in the reasoning process, the assistant MUST localize the object with bounding box "
    "coordinates between <box> and </box>. You MUST strictly follow the format."
)
ASK_LETTER = (
    "Select the best answer to the above multiple-choice question based on the image. After the reasoning process, "
    "respond with only the letter of the correct option between <answer> and </answer>."
)
ASK_WORD = "After the reasoning process, respond with only a word or number between <answer> and </answer>."


class TreeVgr:
    """The first answer section counts, as in its evaluation."""

    name = "treevgr"
    prefill = "<think>"
    coordinates: Coordinates = "pixels"
    pixels = (1280 * 28 * 28, 16384 * 28 * 28)

    def messages(self, item: Item, n_images: int) -> list[dict[str, Any]]:
        """The question, its options, and how to answer; free answers are asked for in our words."""
        if item.choices:
            lines = [f"{item.question} Options:", *option_lines(item.choices), ASK_LETTER]
        else:
            lines = [item.question, ASK_WORD]
        return [system_turn(SYSTEM), user_turn(n_images, "\n".join(lines))]

    def parse(self, response: str, choices: Sequence[str] = ()) -> Parsed:
        """Trace, boxes and answer."""
        whole = response if response.lstrip().startswith(self.prefill) else self.prefill + response
        sections = answer_sections(whole)
        trace = trace_before(whole, sections[0].start if sections else len(whole))
        answer = answer_in(sections[0].text, choices) if sections else None
        return Parsed(trace, answer, boxes=tagged_boxes(trace or ""), format_ok=well_formed(whole))
