"""How responses are drawn: greedily, or one sample a question with a seed of its own."""

from __future__ import annotations

import hashlib
from enum import StrEnum


class Mode(StrEnum):
    """Greedy, or one sample at temperature 1 (the distribution that RL trains)."""

    GREEDY = "greedy"
    SAMPLED = "sampled"

    @property
    def temperature(self) -> float:
        """Of the softmax; 0 is greedy."""
        return 0.0 if self is Mode.GREEDY else 1.0


def question_seed(seed: int, question: str) -> int:
    """A 63-bit seed for one question, the same for every model: pairs share their noise.

    Args:
        seed: of the evaluation.
        question: its id within the benchmark.
    """
    digest = hashlib.sha256(f"{seed}/{question}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
