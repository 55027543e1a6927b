"""Repeatable sampling: what a rollout draws depends on its own seed and prompt, never on its neighbours in a batch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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
        top_k: number of most likely tokens kept; -1 or 0 keeps all.
        seed: of this rollout alone; greedy decoding does not read it.

    Raises:
        ValueError: when a field is out of its range.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = -1
    seed: int = 0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise ValueError(f"temperature={self.temperature}: must be finite and 0 or more")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p={self.top_p}: must lie in (0, 1]")
        if self.top_k < -1:
            raise ValueError(f"top_k={self.top_k}: must be -1 (all) or a number of tokens")

    @classmethod
    def from_params(cls, params: Mapping[str, Any], default_seed: int = 0) -> Sampling:
        """Read verl's sampling parameters.

        Args:
            params: verl's, with a `seed` of this rollout alone where the temperature is above 0.
            default_seed: of a greedy rollout without a seed.

        Raises:
            ValueError: when a drawn rollout has no seed (all rollouts of a group would be one), or a parameter asks for
                what this sampler does not do.
        """
        if (penalty := float(params.get("repetition_penalty", 1.0))) != 1.0:
            raise ValueError(f"repetition_penalty={penalty}: the CPU sampler draws from the plain softmax, set it to 1")
        temperature = float(params.get("temperature", 1.0))
        if temperature > 0 and "seed" not in params:
            raise ValueError("a sampled rollout needs a seed of its own: use the agent loop fgrpo_single_turn")
        return cls(
            temperature=temperature,
            top_p=float(params.get("top_p", 1.0)),
            top_k=int(params.get("top_k", -1)),
            seed=int(params.get("seed", default_seed)),
        )


class SeededGumbel(LogitsProcessor):
    """Turns greedy decoding into sampling: argmax(logits / T + Gumbel noise) is a draw from softmax(logits / T).

    The noise of row b comes from a generator seeded with that row's own seed, so a row draws the same tokens in
    whatever company it is generated.

    Attributes:
        log_probs: per step, the log-probability (B,) under softmax(logits) of the token that each row draws; the
            temperature, the banned tokens, top-k and top-p have no part in it.
    """

    def __init__(self, rows: Sequence[Sampling], banned_ids: Sequence[int]) -> None:
        self.rows = rows
        self.banned_ids = list(banned_ids)
        self.drawn_rows = [index for index, row in enumerate(rows) if row.temperature > 0]
        self.temperatures_D1 = torch.tensor([[rows[index].temperature] for index in self.drawn_rows])
        self.generators = [torch.Generator().manual_seed(rows[index].seed) for index in self.drawn_rows]
        self.log_probs: list[torch.Tensor] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Perturb one step's raw logits: input_ids (B, T), scores (B, V); their argmax is the draw."""
        perturbed = scores.clone()
        perturbed[:, self.banned_ids] = -torch.inf
        if self.drawn_rows:
            logits_DV = perturbed[self.drawn_rows] / self.temperatures_D1
            for line, index in enumerate(self.drawn_rows):
                self._narrow(input_ids, logits_DV[line : line + 1], self.rows[index])
            vocabulary = logits_DV.shape[1]
            uniform_DV = torch.stack(
                [torch.rand(vocabulary, generator=g, dtype=torch.float64) for g in self.generators]
            )
            gumbel_DV = -torch.log(-torch.log(uniform_DV.clamp_min_(1e-300)))
            perturbed[self.drawn_rows] = (logits_DV.double() + gumbel_DV).to(perturbed.dtype)
        drawn = perturbed.argmax(-1, keepdim=True)
        self.log_probs.append(torch.log_softmax(scores, -1).gather(-1, drawn).squeeze(-1))
        return perturbed

    @staticmethod
    def _narrow(input_ids: torch.Tensor, line_1V: torch.Tensor, row: Sampling) -> None:
        """Leave a row its top-k tokens and its nucleus, in place."""
        if 0 < row.top_k < line_1V.shape[-1]:
            line_1V.copy_(TopKLogitsWarper(row.top_k)(input_ids, line_1V))
        if row.top_p < 1.0:
            line_1V.copy_(TopPLogitsWarper(row.top_p)(input_ids, line_1V))
