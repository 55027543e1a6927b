r"""ViGoRL-Spatial (arXiv 2505.23678): `gsarch/ViGoRL-7b-Spatial`.

The system turn is that of its training, whose file was read as it is: each "\n" in it reached the model as a backslash
and an n. Traces ground steps with "(x, y)" in pixels. It was trained on one picture, two frames being joined into one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from easyr1_fgrpo.evaluation.benchmarks.item import Item
from easyr1_fgrpo.evaluation.styles.coordinates import points
from easyr1_fgrpo.evaluation.styles.final_answer import answer_in
from easyr1_fgrpo.evaluation.styles.prompt import option_lines, system_turn, user_turn
from easyr1_fgrpo.evaluation.styles.style import Coordinates, Parsed
from easyr1_fgrpo.evaluation.styles.tags import answer_sections, trace_before, well_formed

SYSTEM = (
    "A conversation between User and Assistant. The User asks a question, and the Assistant solves it. The Assistant "
    "systematically reasons through the problem step by step by checking and verifying possible solutions and image "
    "regions, while grounding reasoning steps to specific objects and their relationships in the image using (x,y) "
    "coordinates. There may be one image or two images concatenated together, in which case the Assistant must "
    r"compare the spatial relationships between the two images.\n\nAll reasoning processes must be enclosed within a "
    r"single set of '<think>' tags, and reasoning steps must include specific reference coordinates:\n\nFor example, "
    r"<think>\n{Reasoning text}. {Further reasoning text} {more reasoning} \n</think>\n\nThe final answer should be "
    r"enclosed in '<answer>' tags in the format:\n<answer> {text of selected answer choice} </answer>\n\nThe Assistant"
    r" must help the user identify the correct answer choice from the options provided.\n-Your answer should be the "
    "**exact text** of the selected answer option, without additional explanations or reasoning or the option text. "
    "For example, if the answer is A. right , your response should just be <answer>right</answer> (not <answer>A. "
    r"right</answer>).\n-If the correct answer is unclear, select the most relevant option based on the spatial "
    r"relationships and dynamics within the image.\n- The Assistant should verify each step and check multiple "
    "possible solutions before selecting the final answer."
)

_LETTER = re.compile(r"[A-Za-z][.)]\s*+(?=\S)")


class VigorlSpatial:
    """The first answer section counts, its letter taken off where a text follows, as in its reward."""

    name = "vigorl_spatial"
    prefill = ""
    coordinates: Coordinates = "pixels"
    pixels = (3_136, 4_194_304)

    def messages(self, item: Item, n_images: int) -> list[dict[str, Any]]:
        """The question and its options."""
        text = "\n".join([item.question, *option_lines(item.choices)])
        return [system_turn(SYSTEM), user_turn(n_images, text)]

    def parse(self, response: str, choices: Sequence[str] = ()) -> Parsed:
        """Trace, points and answer; the format is right when both sections stand alone and the trace has a point."""
        sections = answer_sections(response)
        trace = trace_before(response, sections[0].start if sections else len(response))
        found = points(trace or "")
        answer = answer_in(_without_letter(sections[0].text)) if sections else None
        return Parsed(trace, answer, points=found, format_ok=bool(found) and well_formed(response))


def _without_letter(answer: str) -> str:
    letter = _LETTER.match(answer)
    return answer[letter.end() :] if letter else answer
