"""How a batch score answers to its multiplier: the plant of the closed loops, and its fit to a recorded run."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

CAP = 5.0
"""The largest multiplier."""

CLOSE = 0.01
"""Scores closer than this count as the same."""


@dataclass(frozen=True)
class Plant:
    """How the true batch score of one constraint answers to its multiplier: first order, delayed, measured with noise.

        share_t = weight lambda_t / (1 + weight lambda_t)
        s_{t+1} = s_t + rate (clip(floor + gain share_{t - delay}, 0, 1) - s_t)
        measured_t = clip(s_t + noise / sqrt(n_t) N(0, 1), 0, 1) on n_t ~ Poisson(rollouts) applicable rollouts

    The share is what whitening leaves of a multiplier: weights matter relative to the task's only.
    """

    floor: float = 0.55
    gain: float = 0.5
    rate: float = 0.08
    delay: int = 2
    weight: float = 1.0
    noise: float = 0.35

    def target(self, multiplier):
        """The score that a multiplier leads to in the end."""
        share = self.weight * multiplier / (1.0 + self.weight * multiplier)
        return np.clip(self.floor + self.gain * share, 0.0, 1.0)

    def needed(self, threshold: float) -> float:
        """The smallest multiplier that holds a threshold in the end; the cap where none below it does."""
        share = (threshold - self.floor) / self.gain
        return CAP if share >= 1.0 else min(max(share, 0.0) / (1.0 - share) / self.weight, CAP)

    def placed(self, threshold: float) -> float:
        """A threshold for the default plant at the same position within what this plant can reach."""
        low, high, usual = self.floor, float(self.target(CAP)), Plant()
        position = (threshold - usual.floor) / (float(usual.target(CAP)) - usual.floor)
        return float(np.clip(low + position * (high - low), 0.0, 1.0))


def fitted(metrics: dict[int, dict[str, float]], constraint: str) -> tuple[Plant, str]:
    """The plant that a recorded run shows, by least squares on the simulated score (not on its noisy differences).

    Raises:
        ValueError: when the run has too few steps of the constraint, or does not show how the score answers.
    """
    keys = [f"fgrpo/{constraint}/{name}" for name in ("score", "applicable", "share", "multiplier")]
    steps = [step for step in sorted(metrics) if all(key in metrics[step] for key in keys)]
    if len(steps) < 30:
        raise ValueError(f"{len(steps)} steps have a score, a share and a multiplier of {constraint}, 30 needed")
    score, count, share, multiplier = (np.array([metrics[step][key] for step in steps]) for key in keys)
    moving = (multiplier > 0.0) & (share > 0.0) & (share < 1.0)
    if not moving.any():
        raise ValueError(f"{constraint} has no share in the advantage at any step of this run")
    weight = float(np.median(share[moving] / (1.0 - share[moving]) / multiplier[moving]))

    def simulated(p: np.ndarray, delay: int) -> np.ndarray:
        floor, gain, rate, now = p
        values = []
        for step in range(len(score)):
            values.append(now)
            now += rate * (np.clip(floor + gain * share[max(step - delay, 0)], 0.0, 1.0) - now)
        return np.array(values)

    def residuals(p: np.ndarray, delay: int) -> np.ndarray:
        return (simulated(p, delay) - score) * np.sqrt(count)

    bounds = ([-1.0, -2.0, 1e-3, 0.0], [1.0, 3.0, 1.0, 1.0])
    start = [0.5, 0.3, 0.1, float(np.clip(score[:5].mean(), 0.01, 0.99))]
    fits = [least_squares(residuals, start, bounds=bounds, args=(delay,)) for delay in range(6)]
    delay = int(np.argmin([fit.cost for fit in fits]))
    best = fits[delay]
    noise = math.sqrt(2.0 * best.cost / (len(score) - 4))
    errors = noise * _standard_errors(best.jac)
    floor, gain, rate, _ = (float(value) for value in best.x)
    told = f"floor {floor:.3f} ± {errors[0]:.3f}, gain {gain:.3f} ± {errors[1]:.3f}, rate {rate:.3f} ± {errors[2]:.3f}"
    plant = Plant(floor=floor, gain=gain, rate=rate, delay=delay, weight=weight, noise=noise)
    sure = gain > 2.0 * errors[1] and rate > 2.0 * errors[2] and not best.active_mask[:3].any()
    if not (sure and plant.target(CAP) - plant.target(0.0) > 5 * CLOSE):
        raise ValueError(
            f"{constraint}: {told}: this run does not show how the score answers to the share; take one whose "
            "multiplier moved far (started at .1 or 5, or with a threshold changed on the way)"
        )
    return plant, f"{told}, delay {delay}, weight {weight:.3f}, noise {noise:.3f}, from {len(steps)} steps"


def _standard_errors(jacobian: np.ndarray) -> np.ndarray:
    """Per parameter, for residuals of deviation 1; infinite for what the residuals do not depend on alone."""
    lengths = np.linalg.norm(jacobian, axis=0)
    if not lengths.all() or np.linalg.matrix_rank(jacobian / lengths, tol=1e-6) < len(lengths):
        return np.full(len(lengths), np.inf)
    unit = jacobian / lengths
    return np.sqrt(np.diag(np.linalg.inv(unit.T @ unit))) / lengths
