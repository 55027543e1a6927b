"""The multipliers' controllers in closed loops: which one is feasible first, overshoots least, winds up least.

    python tests/benchmarks/closed_loops.py --out build/closed_loops
    python tests/benchmarks/closed_loops.py --metrics runs/NAME/metrics.jsonl --constraint consistency --out ...

Writes `closed_loops.md` and `closed_loops.png`. The loop is closed over a plant, not over training: a run of minutes
per controller, scenario and seed is replaced by a recurrence whose parameters are stated, or fitted to a recorded run.
"""

import argparse
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from closed_loop_plant import CAP, CLOSE, Plant, fitted
from tqdm import tqdm

from easyr1_fgrpo.algorithm import PID, Constraint, DualAscent, FixedMultipliers, Multiplicative, NuPI
from easyr1_fgrpo.config.dual import CONTROLLER_OPTIONS
from easyr1_fgrpo.metrics_file import read_metrics

SEEDS, MIN_APPLICABLE = 20, 8
STAYS = 10
"""A score counts as feasible from `CLOSE` below its threshold on, once it stays so for `STAYS` steps."""


@dataclass(frozen=True)
class Scenario:
    """Thresholds for so many steps each; `rise` is a segment that starts violated, `fall` one that starts high."""

    name: str
    segments: tuple[tuple[float, int], ...]
    start: float = 1.0
    rollouts: float = 60.0
    rise: int | None = None
    fall: int | None = None


SCENARIOS = (
    Scenario("threshold .7, .9, .8", ((0.7, 120), (0.9, 120), (0.8, 120)), rise=1, fall=2),
    Scenario("unreachable .99, then .8", ((0.99, 120), (0.8, 120)), fall=1),
    Scenario("start at 0.1", ((0.9, 240),), start=0.1, rise=0),
    Scenario("start at 5", ((0.8, 240),), start=5.0, fall=0),
    Scenario("8 rollouts a step", ((0.9, 240),), rollouts=8.0, rise=0),
)


def _adaptive(kind, **options) -> Callable:
    return lambda constraints: kind(constraints, max_multiplier=CAP, min_applicable=MIN_APPLICABLE, **options)


CONTROLLERS: dict[str, Callable] = {
    "fixed": FixedMultipliers,
    "dual ascent, lr .05": _adaptive(DualAscent, lr=0.05),
    "PID, lr .05": _adaptive(PID, lr=0.05, **CONTROLLER_OPTIONS["pid"]),
    "nuPI, lr .05": _adaptive(NuPI, lr=0.05, **CONTROLLER_OPTIONS["nupi"]),
    "multiplicative, lr .05": _adaptive(Multiplicative, lr=0.05, **CONTROLLER_OPTIONS["multiplicative"]),
    "dual ascent, lr .5": _adaptive(DualAscent, lr=0.5),
    "PID, lr .5": _adaptive(PID, lr=0.5, **CONTROLLER_OPTIONS["pid"]),
    "nuPI, lr .5": _adaptive(NuPI, lr=0.5, **CONTROLLER_OPTIONS["nupi"]),
    "multiplicative, lr .5": _adaptive(Multiplicative, lr=0.5, **CONTROLLER_OPTIONS["multiplicative"]),
}
"""The paper's rate, and ten times that: the paper's run is 1,150 steps long, these loops are a fifth of it."""

SHOWN = ("dual ascent, lr .05", "dual ascent, lr .5", "PID, lr .5", "nuPI, lr .5", "multiplicative, lr .5")


def run(build: Callable, scenario: Scenario, plant: Plant, seeds: int = SEEDS) -> tuple[np.ndarray, np.ndarray]:
    """True scores and multipliers, both (steps, seeds); the seeds' loops are the constraints of one controller."""
    random = np.random.default_rng(0)
    names = [f"seed{seed}" for seed in range(seeds)]
    multipliers = np.full(seeds, scenario.start)
    score = plant.target(multipliers)
    applied = [multipliers] * (plant.delay + 1)
    scores, weights, state = [], [], None
    for threshold, steps in scenario.segments:
        controller = build([Constraint(name, plant.placed(threshold), scenario.start) for name in names])
        if state is not None:  # as a run that is resumed with another threshold
            controller.load_state_dict(state)
        for _ in range(steps):
            scores.append(score)
            weights.append(multipliers)
            counts = random.poisson(scenario.rollouts, seeds)
            noise = random.standard_normal(seeds) * plant.noise / np.sqrt(np.maximum(counts, 1))
            measured = np.clip(score + noise, 0.0, 1.0)
            controller.step(
                {
                    name: (torch.full((int(n),), float(x)), torch.ones(int(n), dtype=torch.bool))
                    for name, n, x in zip(names, counts, measured, strict=True)
                }
            )
            applied = [*applied[1:], multipliers]
            score = score + plant.rate * (plant.target(applied[0]) - score)
            multipliers = np.array(list(controller.multipliers.values()))
        state = controller.state_dict()
    return np.array(scores), np.array(weights)


def measures(scores: np.ndarray, weights: np.ndarray, scenario: Scenario, plant: Plant) -> dict[str, np.ndarray | None]:
    """Each measure per seed; NaN where a seed never got there, None where the scenario does not ask."""
    ends = np.cumsum([steps for _, steps in scenario.segments])
    parts = [slice(end - steps, end) for end, (_, steps) in zip(ends, scenario.segments, strict=True)]
    thresholds = [plant.placed(threshold) for threshold, _ in scenario.segments]
    found: dict[str, np.ndarray | None] = dict.fromkeys(MEASURES)
    if scenario.rise is not None:
        above = scores[parts[scenario.rise]] - thresholds[scenario.rise]
        found["feasible after"] = _first(above >= -CLOSE)
        found["overshoot"] = np.maximum(above.max(0), 0.0)
    reachable = [k for k, threshold in enumerate(thresholds) if float(plant.target(CAP)) >= threshold]
    found["violation area"] = sum(np.maximum(thresholds[k] - scores[parts[k]], 0.0).sum(0) for k in reachable)
    found["excess area"] = sum(
        np.maximum(weights[parts[k]] - plant.needed(thresholds[k]), 0.0).sum(0) for k in reachable
    )
    if scenario.fall is not None:
        limit = 1.25 * plant.needed(thresholds[scenario.fall])
        found["let go after"] = _first(weights[parts[scenario.fall]] <= limit, stays=1)
    return found


MEASURES = ("feasible after", "overshoot", "violation area", "excess area", "let go after")


def _first(holds: np.ndarray, stays: int = STAYS) -> np.ndarray:
    """Per column the first step from which `holds` is true for `stays` steps; NaN when never."""
    windows = np.lib.stride_tricks.sliding_window_view(holds, stays, axis=0).all(-1)
    return np.where(windows.any(0), windows.argmax(0), np.nan)


def _cell(values: np.ndarray | None) -> str:
    """Mean and 95 % interval over seeds (normal); over those that got there, with their number, where not all did."""
    if values is None:
        return ""
    there = values[~np.isnan(values)]
    if not len(there):
        return "never"
    digits = 0 if there.mean() >= 20 else 1 if there.mean() >= 2 else 3
    half = 1.96 * there.std(ddof=1) / math.sqrt(len(there)) if len(there) > 1 else math.nan
    text = f"{there.mean():.{digits}f} ± {half:.{digits}f}"
    return text if len(there) == len(values) else f"{text} ({len(there)} of {len(values)})"


def table(loops: dict[str, dict[str, tuple[np.ndarray, np.ndarray]]], plant: Plant) -> str:
    """One Markdown table per scenario."""
    lines = []
    for scenario in SCENARIOS:
        thresholds = ", ".join(f"{plant.placed(threshold):.3g}" for threshold, _ in scenario.segments)
        lines += [
            f"\n**{scenario.name}** (thresholds here: {thresholds})\n",
            f"| controller | {' | '.join(MEASURES)} |",
        ]
        lines += ["|---|" + "---:|" * len(MEASURES)]
        for name, (scores, weights) in loops[scenario.name].items():
            found = measures(scores, weights, scenario, plant)
            lines.append(f"| {name} | {' | '.join(_cell(found[measure]) for measure in MEASURES)} |")
    return "\n".join(lines)


def figure(loops: dict[str, dict[str, tuple[np.ndarray, np.ndarray]]], plant: Plant, path: Path) -> None:
    """Mean true score and multiplier over the seeds, a column per scenario."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    colours = ("#000000", "#999999", "#D55E00", "#0072B2", "#009E73")
    figure, axes = plt.subplots(2, len(SCENARIOS), figsize=(3.2 * len(SCENARIOS), 5.2), sharex="col", sharey="row")
    for column, scenario in enumerate(SCENARIOS):
        held = np.concatenate([np.full(steps, plant.placed(threshold)) for threshold, steps in scenario.segments])
        needed = np.array([plant.needed(threshold) for threshold in held])
        for axis, reference in zip(axes[:, column], (held, needed), strict=True):
            axis.plot(reference, color="#CC79A7", linestyle="--", linewidth=1.2, label="threshold; multiplier it needs")
        for name, colour in zip(SHOWN, colours, strict=True):
            for axis, values in zip(axes[:, column], loops[scenario.name][name], strict=True):
                axis.plot(values.mean(1), color=colour, linewidth=1.3, label=name)
        axes[0, column].set_title(scenario.name, fontsize=10)
        axes[1, column].set_xlabel("step")
    axes[0, 0].set_ylabel("batch score, true")
    axes[1, 0].set_ylabel("multiplier")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="lower center", ncol=6, frameon=False, fontsize=9)
    figure.tight_layout(rect=(0, 0.06, 1, 1))
    figure.savefig(path, dpi=130)


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 when written, 1 for a file that cannot be read, 3 for a run that shows no plant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/closed_loops"))
    parser.add_argument("--metrics", type=Path, help="metrics.jsonl of a run to fit the plant to")
    parser.add_argument("--constraint", default="consistency")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    given = parser.parse_args(arguments)
    plant, told = Plant(), f"default {Plant()}"
    if given.metrics:
        try:
            plant, told = fitted(read_metrics(given.metrics), given.constraint)
        except OSError as error:
            print(f"error: --metrics {given.metrics}: {error.strerror}", file=sys.stderr)
            return 1
        except ValueError as error:
            print(f"error: --metrics {given.metrics}: {error}", file=sys.stderr)
            return 3
    loops: dict[str, dict[str, tuple[np.ndarray, np.ndarray]]] = {scenario.name: {} for scenario in SCENARIOS}
    for scenario, name in tqdm([(scenario, name) for scenario in SCENARIOS for name in CONTROLLERS], desc="loops"):
        loops[scenario.name][name] = run(CONTROLLERS[name], scenario, plant, given.seeds)
    text = f"Plant: {told}. {given.seeds} seeds, mean ± 95 % interval.\n{table(loops, plant)}\n"
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "closed_loops.md").write_text(text)
    figure(loops, plant, given.out / "closed_loops.png")
    print(text, f"\nwritten: {given.out}/closed_loops.md and .png", sep="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
