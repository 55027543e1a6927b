"""Repeatable sampling: what a rollout draws depends on its own seed and prompt, never on its neighbours in a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import LogitsProcessor, TopKLogitsWarper, TopPLogitsWarper


@dataclass(frozen=True)
class Sampling:
    """How one rollout is drawn.

    Attributes:
        temperature: 0 means greedy.
        top_p: nucleus mass in (0, 1].
        top_k: number of most likely tokens kept; -1 keeps all.
        seed: of this rollout alone; a rollout that is drawn (temperature > 0) needs one.
    """

    temperature: float
    top_p: float
    top_k: int
    seed: int

    @classmethod
    def from_params(cls, params: dict[str, Any], default_seed: int) -> Sampling:
        """Read verl's sampling parameters."""
        return cls(
            temperature=float(params.get("temperature", 1.0)),
            top_p=float(params.get("top_p", 1.0)),
            top_k=int(params.get("top_k", -1)),
            seed=int(params.get("seed", default_seed)),
        )


class SeededGumbel(LogitsProcessor):  # type: ignore[misc]
    """Turns greedy decoding into sampling: argmax(logits / T + Gumbel noise) is a draw from softmax(logits / T).

    The noise of row b comes from a generator seeded with that row's own seed, so a row draws the same tokens in
    whatever company it is generated.
    """

    def __init__(self, rows: Sequence[Sampling], banned_ids: Sequence[int]) -> None:
        self.rows = rows
        self.banned_ids = list(banned_ids)
        self.generators = [torch.Generator().manual_seed(row.seed) for row in rows]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Perturb one step's scores: input_ids (B, T), scores (B, V)."""
        scores = scores.clone()
        scores[:, self.banned_ids] = -torch.inf
        for index, (row, generator) in enumerate(zip(self.rows, self.generators, strict=True)):
            if row.temperature <= 0:
                continue
            line = scores[index : index + 1] / row.temperature
            if 0 < row.top_k < line.shape[-1]:
                line = TopKLogitsWarper(row.top_k)(input_ids, line)
            if row.top_p < 1.0:
                line = TopPLogitsWarper(row.top_p)(input_ids, line)
            uniform = torch.rand(line.shape, generator=generator, dtype=torch.float64).clamp_min_(1e-300)
            scores[index] = (line.double() - torch.log(-torch.log(uniform))).to(scores.dtype)[0]
        return scores
