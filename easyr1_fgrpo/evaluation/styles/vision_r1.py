"""Vision-R1 (arXiv 2503.06749): `Osilly/Vision-R1-7B`.

System turn and layout of the options are those of its repository. It answers
`<think>...</think> <answer> Final Answer:X </answer>`; its authors read the first such section.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from easyr1_fgrpo.evaluation.benchmarks.item import Item
from easyr1_fgrpo.evaluation.styles.final_answer import answer_in, last_announced
from easyr1_fgrpo.evaluation.styles.prompt import option_lines, system_turn, user_turn
from easyr1_fgrpo.evaluation.styles.style import Coordinates, Parsed
from easyr1_fgrpo.evaluation.styles.tags import after_think, answer_sections, trace_before, well_formed

_FINAL = re.compile(r"[*\s]*+Final Answer[*\s]*+[:：]", re.IGNORECASE)


class VisionR1:
    """The first answer section with "Final Answer:", else the first one, else an answer announced outside of tags."""

    name = "vision_r1"
    prefill = ""
    coordinates: Coordinates = "none"
    pixels = None

    def messages(self, item: Item, n_images: int) -> list[dict[str, Any]]:
        """The plain question, options as `A: text` lines."""
        options = ["Choices:", *option_lines(item.choices, "{letter}: {text}")] if item.choices else []
        text = "\n".join([item.question, *options])
        return [system_turn("You are a helpful assistant."), user_turn(n_images, text)]

    def parse(self, response: str, choices: Sequence[str] = ()) -> Parsed:
        """Trace and answer; the format is right when both sections stand alone and the answer is announced."""
        if sections := answer_sections(response):
            section = next((section for section in sections if _FINAL.match(section.text)), sections[0])
            cue = _FINAL.match(section.text)
            answer = answer_in(section.text[cue.end() :] if cue else section.text, choices)
            format_ok = cue is not None and answer is not None and well_formed(response)
            return Parsed(trace_before(response, section.start), answer, format_ok=format_ok)
        if found := last_announced(response, choices, after_think(response)):
            return Parsed(trace_before(response, found.start), found.answer)
        return Parsed(trace_before(response, len(response)), None)
