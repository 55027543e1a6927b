"""What the terminal shows while a run trains: a bar, the numbers worth watching, and what the cluster lacks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from easyr1_fgrpo.metrics_file import MetricsFollower
from easyr1_fgrpo.terminal import progress_bar
from easyr1_fgrpo.training.first_steps import WATCHED, signs
from easyr1_fgrpo.training.judge_metrics import CAUSES
from easyr1_fgrpo.training.standstill import standstills
from easyr1_fgrpo.training.sudden import sudden_changes
from easyr1_fgrpo.training.unmeasured import GOOD_SHARE
from easyr1_fgrpo.verl_plugin.run.waiting import Waiting

RED = "\x1b[31m{}\x1b[0m"


@dataclass
class Reached:
    """The last step that a run has done."""

    step: int


@contextmanager
def progress(run_dir: Path, done: int, total: int | None, terminal: TextIO) -> Iterator[Reached]:
    """A progress bar on the terminal, fed by metrics.jsonl; before the first step, what the cluster lacks for it."""
    reached = Reached(done)
    stop = threading.Event()
    waiting = Waiting()
    follower = MetricsFollower(run_dir / "metrics.jsonl")

    def follow() -> None:
        with progress_bar(
            total=total, initial=done, desc="training", unit="step", file=terminal, delay=0.0, dynamic_ncols=True
        ) as bar:
            while True:
                ended = stop.wait(1.0)
                for step, metrics in follower.new():
                    if warning := unmeasured(step, metrics):
                        bar.write(warning, file=terminal)
                    first = signs(metrics) if 0 < step <= WATCHED else []
                    for sign in [*first, *sudden_changes(metrics), *standstills(metrics)]:
                        told = f"warning: step {step}: {sign}"
                        bar.write(RED.format(told) if terminal.isatty() else told, file=terminal)
                    bar.set_postfix_str(summary(metrics, coloured=terminal.isatty()), refresh=False)
                    bar.update(step - bar.n)
                    reached.step = step
                if ended:
                    return
                if bar.n == done and (line := waiting.news()):
                    bar.write(line, file=terminal)

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield reached
    finally:
        stop.set()
        thread.join()


def unmeasured(step: int, metrics: dict[str, float]) -> str:
    """A line about a validation for which judges measured less than they should; "" about any other record."""
    shares = {name: metrics.get(f"fgrpo/val/{name}/valid_share", 1.0) for name in CAUSES}
    poor = ", ".join(f"{name} on {share:.0%} of its rollouts" for name, share in shares.items() if share < GOOD_SHARE)
    return f"warning: in the validation at step {step} judges measured {poor}; see train.log" if poor else ""


def summary(metrics: dict[str, float], *, coloured: bool = False) -> str:
    """The few numbers worth watching: task reward, score and multiplier of each constraint, and failing judges."""
    parts = [f"task {metrics['fgrpo/signals/task/mean']:.2f}"] if "fgrpo/signals/task/mean" in metrics else []
    for name in metrics:
        if name.startswith("fgrpo/") and name.endswith("/threshold"):
            key = name.split("/")[1]
            score = metrics.get(f"fgrpo/{key}/score")
            shown = "–" if score is None else f"{score:.2f}"
            if (corrected := metrics.get(f"fgrpo/{key}/score_corrected")) is not None:
                shown += f" (true {corrected:.2f})"
            part = f"{key} {shown} λ{metrics[f'fgrpo/{key}/multiplier']:.2f}"
            if (judged := metrics.get(f"fgrpo/{key}/valid_share", 1.0)) < 1.0:
                failing = f"(judged {judged:.0%})"
                part += f" {RED.format(failing)}" if coloured and judged < GOOD_SHARE else f" {failing}"
            parts.append(part)
    return ", ".join(parts)
