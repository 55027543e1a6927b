"""Where faults are injected: runs of the tiny recipe in one folder, and one uninterrupted run to compare them with."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import cached_property

from integration.recipe_runs import ROOT, Runs, learning

from easyr1_fgrpo.checkpoints import finished_step

from .ends import last_error
from .outcomes import commit

STEPS = 12
"""Of each run; every second leaves a checkpoint."""


HERE = ("backbone=tiny", "dataset=miniature", "judge=oracle", "scale=cpu")
ON_CPU = {**os.environ, "VERL_PLATFORM": "cpu"}
MINIATURE = {"backbone_steps": 300, "warm_start_steps": 200, "scenes": "{train:3072,val:32,test:64,sft:6400}"}
"""Its stages: those of the recipe, with fewer questions to validate and test on."""


class Bench:
    """Runs below runs/robustness/COMMIT; stages and the uninterrupted run are made once and are found again."""

    def __init__(self) -> None:
        self.folder = ROOT / "runs/robustness" / commit()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.runs = Runs(self.folder, always=(f"trainer.total_training_steps={STEPS}",))
        self.draws = random.Random()

    @cached_property
    def whole(self) -> dict[int, dict[str, float]]:
        """The metrics of a run that nothing happened to, by step."""
        if self.saved("whole") < STEPS:
            self.runs.run("whole")
        return self.runs.metrics("whole")

    @cached_property
    def whole_miniature(self) -> list[str]:
        """What makes a run start from the whole miniature, whose responses are read, judged and often right."""
        stages = [f"stages.{key}={value}" for key, value in {"dir": self.folder / "miniature", **MINIATURE}.items()]
        subprocess.run(
            [sys.executable, "-m", "easyr1_fgrpo", "stages", *HERE, *stages], cwd=ROOT, check=True, env=ON_CPU
        )
        return stages

    def forget(self, name: str) -> str:
        """Make room for a run of this name; stages and the uninterrupted run are there afterwards."""
        assert len(self.whole) == STEPS
        shutil.rmtree(self.folder / name, ignore_errors=True)
        return name

    def refusal(self, name: str, *more: str) -> tuple[int, str, float]:
        """The exit code of a run that is refused before it needs Ray, what it said, and after how many seconds."""
        started = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "easyr1_fgrpo", "train", *HERE, *self.runs.overrides(name, *more)],
            cwd=ROOT, env=ON_CPU, capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.returncode, last_error(done.stderr), round(time.monotonic() - started, 1)

    def moments(self, times: int) -> list[int]:
        """Random steps in their order, from the first checkpoint on, with a checkpoint between any two."""
        drawn = sorted(self.draws.sample(range(2, STEPS - 1 - 2 * (times - 1)), times))
        return [step + 2 * number for number, step in enumerate(drawn)]

    def saved(self, name: str) -> int:
        """The last step of which a run has a whole checkpoint."""
        return finished_step(self.folder / name / "checkpoints") or 0

    def equal(self, name: str, steps: range) -> bool:
        """Whether a run learned in some steps what the uninterrupted one did."""
        metrics = self.runs.metrics(name)
        return all(learning(metrics[step]) == learning(self.whole[step]) for step in steps)

    def equal_after(self, name: str, resumed_after: Sequence[int]) -> list[bool]:
        """By fault, whether the run did so from where it was resumed after it to where it was after the next one."""
        ends = [*resumed_after[1:], STEPS]
        return [self.equal(name, range(first + 1, last + 1)) for first, last in zip(resumed_after, ends, strict=True)]
