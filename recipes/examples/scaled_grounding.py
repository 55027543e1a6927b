"""A signal on another scale: semantic grounding as of a judge that uses a tenth of its range."""

from __future__ import annotations

from easyr1_fgrpo.rewards import RolloutScore, Sample


def tenth_of_grounding(sample: Sample, score: RolloutScore) -> float | None:
    """Semantic grounding times 0.1, in [0, 0.1]; None where semantic grounding is not applicable."""
    grounding = score.signals["semantic_grounding"].value
    return 0.1 * grounding if grounding is not None and score.applicable("semantic_grounding") else None
