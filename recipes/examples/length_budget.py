"""A custom constraint: traces of at most 18 words. arm/length_budget.yaml beside this file puts it to use."""

from easyr1_fgrpo.rewards import RolloutScore, Sample

WORDS = 18


def length_budget(sample: Sample, score: RolloutScore) -> float | None:
    """1 within the budget, falling to 0 at twice its words; no score where there is no trace."""
    if score.response.trace is None:
        return None
    excess = len(score.response.trace.split()) - WORDS
    return min(1.0, max(0.0, 1.0 - excess / WORDS))
