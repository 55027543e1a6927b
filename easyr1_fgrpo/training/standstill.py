"""A violated constraint in whose signal no group's rollouts differ: nothing that a multiplier could weigh.

Advantages compare the rollouts of a group, so where all of them fail a constraint alike its term is 0, and the
multiplier rises to its cap without any effect. It happens when another signal, a length budget say, has driven out what
the constraint needs; no threshold and no cap brings it back.
"""

from __future__ import annotations

from collections.abc import Mapping

PATIENCE = 10
"""Steps in a row after which it is warned of."""


class Standstills:
    """For how many steps in a row each constraint has stood still; a resumed run counts on."""

    def __init__(self) -> None:
        self._steps: dict[str, int] = {}

    def see(self, name: str, zero_variance: float | None, violation: float | None) -> dict[str, float]:
        """Take a step of a constraint into account.

        Args:
            name: of the constraint.
            zero_variance: share of the groups whose rollouts do not differ, in [0, 1]; None without a group.
            violation: threshold minus score; None where it was not measured.

        Returns:
            `standstill`: the number of steps, this one included; nothing of a step without a measurement.
        """
        if zero_variance is None or violation is None:
            return {}
        self._steps[name] = self._steps.get(name, 0) + 1 if zero_variance == 1.0 and violation > 0.0 else 0
        return {"standstill": float(self._steps[name])}

    def state_dict(self) -> dict[str, int]:
        """Steps by constraint."""
        return dict(self._steps)

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on where another one stopped."""
        self._steps = {name: int(steps) for name, steps in state.items()}


def standstills(metrics: Mapping[str, float]) -> list[str]:
    """A line about each constraint that has stood still for `PATIENCE` steps with this one, from the step's metrics."""
    found = []
    for key, value in metrics.items():
        if key.startswith("fgrpo/") and key.endswith("/standstill") and value == PATIENCE:
            name = key.split("/")[1]
            score, threshold = (metrics[f"fgrpo/{name}/{what}"] for what in ("score", "threshold"))
            found.append(
                f"{name} is {score:.2f}, compared with {threshold:g}, and for {PATIENCE} steps no group's rollouts "
                "have differed in it: its multiplier has nothing to weigh and does not bring it back; begin again with "
                "what competes with it loosened (another constraint, a budget), or with more rollouts of a prompt"
            )
    return found
