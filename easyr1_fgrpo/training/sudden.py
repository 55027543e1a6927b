"""A signal that changes as no policy does: its judge may have broken without failing.

A judge that approves everything fails no question, so its constraint looks met and its multiplier falls. Two rules,
each a warning and no more, as a policy may do the same:

- a jump: the means of `LASTING` steps in a row are all `JUMP`, and `SIGMAS` standard deviations, above the mean of the
  `HISTORY` steps before them, or all below it. A judge that broke stays broken; one step of few rollouts is chance;
- standing still: on `HISTORY` steps in a row all rollouts have one and the same value, `STILL` away from the mean of
  any of as many steps before. A value that is reached in small steps, as a policy learns, is no sign of anything.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from torch import Tensor

from easyr1_fgrpo.training.unmeasured import GOOD_SHARE

HISTORY = 10
LASTING = 3
JUMP, SIGMAS = 0.1, 5.0
STILL = 0.03


class SuddenChanges:
    """Follows signals over the steps on which their judges measured (nearly) all rollouts.

    The history outlives a resume, so that a resumed run warns where an uninterrupted one does.
    """

    def __init__(self) -> None:
        self._steps: dict[str, list[tuple[float, bool]]] = {}

    def see(self, name: str, values: Tensor, share: float | None) -> dict[str, float]:
        """Take a step of a signal into account.

        Args:
            name: of the signal.
            values: the signal where it applies and was measured, in [0, 1].
            share: how much of where it applies was measured; None when it applies nowhere.

        Returns:
            `usual`, the mean of the steps before, and `sudden`, 1 where the step is one to warn of and 0 elsewhere;
            nothing while there is too little history, and of a step that does not count.
        """
        if len(values) < 2 or share is None or share < GOOD_SHARE:
            return {}
        steps = self._steps.setdefault(name, [])
        now = float(values.mean()), bool((values == values[0]).all())
        steps.append(now)
        del steps[: -2 * HISTORY]
        means = [mean for mean, _ in steps]
        before, lately = means[-HISTORY - LASTING : -LASTING], means[-LASTING:]
        if len(before) < HISTORY:
            return {}
        usual = statistics.fmean(before)
        far = max(JUMP, SIGMAS * statistics.stdev(before))
        if min(lately) >= usual + far or max(lately) <= usual - far:
            del steps[:-LASTING]  # one warning a jump: what comes now is compared with what comes now
            return {"usual": usual, "sudden": 1.0}
        if len(steps) == 2 * HISTORY and now[1] and steps[HISTORY - 1] != now and set(steps[HISTORY:]) == {now}:
            moving = means[:HISTORY]
            away = all(abs(now[0] - mean) >= STILL for mean in moving)
            return {"usual": statistics.fmean(moving), "sudden": float(away)}
        return {"usual": usual, "sudden": 0.0}

    def state_dict(self) -> dict[str, list[list[float]]]:
        """By signal, mean and whether all values were one (0 or 1) of its last steps; plain types."""
        return {name: [[mean, float(still)] for mean, still in steps] for name, steps in self._steps.items()}

    def load_state_dict(self, state: Mapping[str, Sequence[Sequence[float]]]) -> None:
        """Go on where another one stopped."""
        self._steps = {name: [(mean, bool(still)) for mean, still in steps] for name, steps in state.items()}


def sudden_changes(metrics: Mapping[str, float]) -> list[str]:
    """A line about each constraint whose signal changed suddenly on a step, from the step's metrics."""
    found = []
    for key, value in metrics.items():
        if key.startswith("fgrpo/") and key.endswith("/sudden") and value == 1.0:
            name = key.split("/")[1]
            found.append(
                f"{name} is {metrics[f'fgrpo/{name}/score']:.2f} where it was {metrics[f'fgrpo/{name}/usual']:.2f} in "
                "the steps before: if no data changed, its judge did (look at its verdicts in the report's traces; "
                "fgrpo judge validate measures a judge)"
            )
    return found
