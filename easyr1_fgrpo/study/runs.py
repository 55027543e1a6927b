"""The runs of a study, one after the other; what is finished is not run again.

Runs of a seed share world, backbone and warm start, and one judge server: reward servers belong to the last part of a
run directory's name, which is the same for all of them. Held-out types and a judge's errors make other names.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from types import MappingProxyType
from typing import Any

from omegaconf import OmegaConf

from easyr1_fgrpo.checkpoints import last_checkpoint
from easyr1_fgrpo.export import loadable
from easyr1_fgrpo.files import write_json
from easyr1_fgrpo.miniature.worlds import WORLDS, WorldName
from easyr1_fgrpo.study.arms import Arm

STUDIED: Mapping[WorldName, str] = MappingProxyType(
    {"two_step": "Two-step questions", "four_way": "Two-step questions with four options"}
)
"""Worlds that a study can be made in, and what its page calls their questions."""
NOTE = "study.json"
INTERVENTION = "intervention.json"
RESULTS = Path("recipes/results")
_RUN_DIR = "fgrpo.run_dir="
_ORACLE = "+fgrpo.reward_servers.oracle.options."

Call = Callable[[Sequence[str]], int]
"""Runs a command, returns its exit code."""


@dataclass(frozen=True)
class Run:
    """One arm with one seed.

    Attributes:
        arm: what is trained.
        seed: of everything: world, backbone, warm start and RL.
        root: the study's folder.
        steps: of RL.
        world: whose questions, a key of `STUDIED`.
    """

    arm: Arm
    seed: int
    root: Path
    steps: int
    world: WorldName = "two_step"

    @property
    def held_out(self) -> str:
        """The question type that RL does not see; another one for each seed."""
        kinds = list(reversed(WORLDS[self.world].QUESTIONS))
        return kinds[self.seed % len(kinds)] if self.arm.held_out else "nothing"

    @property
    def folder(self) -> Path:
        """Its run directory."""
        without = f"-without-{self.held_out}" if self.arm.held_out else ""
        errors = f"-judge-errors-{self.arm.judge_errors:g}" if self.arm.judge_errors else ""
        only = f"-{self.arm.errors}" if self.arm.errors != "both" else ""
        return self.root / self.arm.name / f"s{self.seed}{without}{errors}{only}"

    @property
    def overrides(self) -> list[str]:
        """The run as Hydra overrides."""
        return [
            *("backbone=tiny", f"dataset=miniature_{self.world}", "judge=oracle", "scale=cpu"),
            *self.arm.overrides,
            f"seed={self.seed}",
            f"stages.held_out={self.held_out}",
            f"{_RUN_DIR}{self.folder}",
            f"trainer.experiment_name={self.arm.name}",
            f"trainer.total_training_steps={self.steps}",
            *([f"{_ORACLE}error_rate={self.arm.judge_errors}"] if self.arm.judge_errors else []),
            *([f"{_ORACLE}errors={self.arm.errors}"] if self.arm.errors != "both" else []),
        ]

    @property
    def evaluation(self) -> list[str]:
        """Its overrides for the evaluation, whose judge makes no errors."""
        return [override for override in self.overrides if not override.startswith(_ORACLE)]

    @property
    def choices(self) -> list[str]:
        """Those of its overrides that make its result, wherever it is run."""
        return [override for override in self.overrides if not override.startswith(_RUN_DIR)]

    @property
    def note(self) -> dict[str, Any]:
        """What is known of it: overrides, commit, and whether it is finished."""
        path = self.folder / NOTE
        return dict(json.loads(path.read_text())) if path.exists() else {}

    @property
    def finished(self) -> bool:
        """Whether it reached its end with these very overrides."""
        note = self.note
        return bool(note.get("finished")) and note["overrides"] == self.overrides


def study_of(world: WorldName) -> str:
    """What the page, the folder of records and, with `_study`, the folder of runs of a world's study are called."""
    return "miniature" if world == "two_step" else f"miniature_{world}"


def run_all(runs: Iterable[Run], call: Call, keep: Callable[[Run], object] = lambda run: None) -> list[str]:
    """Make every run that is not finished; runs of one seed and one world stand together.

    Args:
        runs: in their order.
        call: runs a command.
        keep: is given each run as soon as it is finished.

    Returns:
        One line for every run that failed: what, and with which exit code.
    """
    missing = [run for run in runs if not run.finished]
    failures: list[str] = []
    for _, together in groupby(enumerate(missing, start=1), key=lambda numbered: numbered[1].folder.name):
        failures += _run_group(dict(together), len(missing), call, keep)
    return failures


def run_command(command: Sequence[str]) -> int:
    """Run a command in this terminal."""
    return subprocess.run(command, check=False).returncode


def _run_group(group: Mapping[int, Run], total: int, call: Call, keep: Callable[[Run], object]) -> list[str]:
    """Make the runs of one seed and one world with one judge server."""
    first = next(iter(group.values()))
    start = [_fgrpo("stages", *first.overrides), _fgrpo("judge", "serve", *first.overrides)]
    if code := _first_failure(start, call):
        return [f"{run.folder}: not started, stages or judge ended with exit code {code}" for run in group.values()]
    failures = []
    try:
        for number, run in group.items():
            title = f"{run.arm.name}, seed {run.seed}, {run.steps} steps"
            print(f"== run {number} of {total}: {title}", flush=True)
            if code := _run(run, call):
                failures.append(f"{run.folder}: ended with exit code {code}; see its train.log")
            else:
                keep(run)
    finally:
        call(_fgrpo("judge", "stop", *first.overrides))
    return failures


def _run(run: Run, call: Call) -> int:
    """Train, evaluate, intervene. Returns the exit code of what failed, 0 when nothing did."""
    run.folder.mkdir(parents=True, exist_ok=True)
    code = _first_failure([_fgrpo("train", *run.overrides), _fgrpo("summary", *run.evaluation)], call)
    if not code:
        code = call(_intervention(run))
    note = {
        "overrides": run.overrides,
        "finished": code == 0,
        "commit": commit(),
    }
    write_json(run.folder / NOTE, note)
    return code


def commit() -> str:
    """The checkout's commit, marked when files differ from it; "unknown" outside of a checkout.

    Results of a study do not count: the page of the last one is no change of what the next one runs.
    """
    described = _git("describe", "--always", "--abbrev=12", "--exclude=*")
    if described.returncode != 0:
        return "unknown"
    same = _git("diff", "--quiet", "HEAD", "--", ":/", f":(top,exclude){RESULTS}").returncode == 0
    return described.stdout.strip() + ("" if same else "-dirty")


def _git(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)


def _first_failure(commands: Iterable[Sequence[str]], call: Call) -> int:
    return next((code for command in commands if (code := call(command))), 0)


def _fgrpo(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "easyr1_fgrpo", *arguments]


def _intervention(run: Run) -> list[str]:
    config = OmegaConf.load(run.folder / "config.yaml")
    after = loadable(last_checkpoint(Path(config.trainer.default_local_dir)))
    return _fgrpo(
        *("miniature", "intervention"),
        *(f"before_RL={config.actor_rollout_ref.model.path}", f"after_RL={after}"),
        *("--world", config.stages.world, "--out", str(run.folder / INTERVENTION)),
    )
