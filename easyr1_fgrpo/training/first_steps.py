"""A run that cannot learn, told by its first steps: nothing in any group differs, so every advantage is 0.

Such a run looks fine from afar: it finishes, and its table shows what it began with.
"""

from __future__ import annotations

from collections.abc import Mapping

WATCHED = 3
"""Steps from a run's beginning; later a policy may be right about everything, which is no fault."""

NEARLY_ALL = 0.9


_NOWHERE = {
    "spatial_grounding": "no row has boxes",
    **dict.fromkeys(("consistency", "semantic_grounding"), "it is asked of right answers"),
}


class HopelessRunError(RuntimeError):
    """None of a run's first steps had anything to learn from."""


class FirstSteps:
    """Counts the first steps without any variance.

    Args:
        stop: whether the run ends after `WATCHED` of them, `fgrpo.stop_if_hopeless`.
    """

    def __init__(self, *, stop: bool) -> None:
        self._stop = stop
        self._still = 0

    def see(self, number: int, metrics: Mapping[str, float]) -> None:
        """Take a step's metrics into account.

        Raises:
            HopelessRunError: when each of the run's first `WATCHED` steps had no group in which a rollout differed.
        """
        if number > WATCHED or not self._stop:
            return
        self._still += not varied(metrics)
        if self._still == WATCHED:
            raise HopelessRunError(
                f"the first {WATCHED} steps had nothing to learn from: {'; '.join(signs(metrics))}. "
                "fgrpo.stop_if_hopeless=false goes on all the same"
            )


def varied(metrics: Mapping[str, float]) -> bool:
    """Whether a signal differs within a group; also where nothing is known."""
    still = [value for name, value in metrics.items() if name.endswith("/zero_variance_groups")]
    return not still or min(still) < 1.0


def signs(metrics: Mapping[str, float]) -> list[str]:
    """What of a step keeps a run from learning, each with its likely cause; nothing of a step as it should be."""
    found = []
    if metrics.get("fgrpo/rollouts/truncated/mean", 0.0) >= NEARLY_ALL:
        found.append(
            "nearly all responses are cut off (data.max_response_length is too short, or the model never stops: it "
            "needs a warm start, or its end-of-text token is not the tokenizer's)"
        )
    if metrics.get("fgrpo/signals/format/mean", 1.0) == 0.0:
        found.append("no response has the format (the model was not warm-started on it, or another prompt asks for it)")
    if metrics.get("fgrpo/signals/accuracy/mean", 1.0) == 0.0:
        found.append("no answer is right (ground truth and options may be written differently)")
    for name in (key.split("/")[1] for key in metrics if key.startswith("fgrpo/") and key.endswith("/threshold")):
        if metrics.get(f"fgrpo/{name}/applicable") == 0.0:
            why = _NOWHERE.get(name, "its function gave None for each")
            found.append(f"{name} applies to no rollout ({why})")
    if not varied(metrics):
        found.append(
            "in no group a rollout differs from another in any signal, so every advantage is 0 (a temperature of 0, or "
            "all answers right or all wrong)"
        )
    return found
