"""The canary: do the rollout engine and the trainer see the same policy, and the same pictures?

Each token of a rollout has two probabilities: the one it was drawn with, and the trainer's for the same token in the
same context. Engines differ by rounding alone; more means that rollouts come from other weights or without their
pictures. Such rollouts are fluent and would train for days.
"""

from __future__ import annotations

from collections.abc import Mapping

MEAN = "training/rollout_probs_diff_mean"
MAX = "training/rollout_probs_diff_max"
VALID = "training/rollout_probs_diff_valid"
"""verl's metrics of a step: over response tokens, |probability in the engine - probability in the trainer|."""


class RolloutsDifferError(RuntimeError):
    """The rollout engine's probabilities are not the trainer's."""


def check_probabilities(number: int, metrics: Mapping[str, float], bound: float | None) -> None:
    """Compare a step's probabilities with the bound.

    Args:
        number: of the training step.
        metrics: of the step, with `MEAN`, `MAX` and `VALID`.
        bound: on the mean, `fgrpo.max_probs_difference`; None for no comparison.

    Raises:
        RolloutsDifferError: when the mean is above the bound, is no number or is not there. A step without a single
            response token has nothing to compare.
    """
    if bound is None or metrics.get(VALID) == 0:
        return
    if MEAN not in metrics:
        raise RolloutsDifferError(
            f"step {number}: {MEAN} was not measured, so fgrpo.max_probs_difference={bound} holds nothing; keep "
            "actor_rollout_ref.rollout.calculate_log_probs=true, or set it to null"
        )
    if not metrics[MEAN] <= bound:  # also when it is not a number
        raise RolloutsDifferError(
            f"step {number}: the rollout engine's token probabilities differ from the trainer's by {metrics[MEAN]:.4g} "
            f"in the mean (at most {metrics[MAX]:.4g}), more than fgrpo.max_probs_difference={bound}: rollouts come "
            "from another policy than the one that is trained. Likely: the engine does not see its pictures (vLLM 0.29 "
            "or newer with load_format=dummy: set actor_rollout_ref.rollout.load_format=auto); it did not get the "
            "trainer's weights; it resizes pictures differently; or it samples from another distribution (top_p, top_k)"
        )
