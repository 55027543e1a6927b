"""What came of a fault that was injected, kept on disk unit by unit, so that a command that was cut off goes on."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Outcome:
    """One fault and what the run did about it.

    Attributes:
        fault: what was done to it.
        happened: what it said or did, one line.
        good: whether that is what it has to do.
        seconds: from the fault to a clear end; None where nothing had to end.
        equal: whether the resumed run learned what an uninterrupted one does; None where nothing was resumed.
    """

    fault: str
    happened: str
    good: bool
    seconds: float | None = None
    equal: bool | None = None


@dataclass(frozen=True)
class Result:
    """What a unit found."""

    unit: str
    commit: str
    date: str
    minutes: float
    machine: str
    outcomes: list[Outcome]

    @property
    def good(self) -> bool:
        """Whether every fault ended as it has to."""
        return all(outcome.good and outcome.equal is not False for outcome in self.outcomes)


def keep(unit: str, outcomes: Sequence[Outcome], minutes: float) -> Result:
    """Write what a unit found."""
    result = Result(
        unit, commit(), time.strftime("%Y-%m-%d", time.gmtime()), round(minutes, 1), machine(), list(outcomes)
    )
    RESULTS.mkdir(exist_ok=True)
    # Nothing of this machine: neither where the checkout lies nor its address.
    text = json.dumps(asdict(result), indent=1, ensure_ascii=False).replace(str(Path(__file__).parents[2]), "/checkout")
    text = re.sub(r" on (\d+\.){3}\d+\)", ")", text)
    (RESULTS / f"{unit}.json").write_text(f"{text}\n", encoding="utf-8")
    return result


def kept(unit: str) -> Result | None:
    """What a unit found the last time; None when it was never run."""
    path = RESULTS / f"{unit}.json"
    if not path.exists():
        return None
    fields = json.loads(path.read_text(encoding="utf-8"))
    return Result(**fields | {"outcomes": [Outcome(**outcome) for outcome in fields["outcomes"]]})


def machine() -> str:
    """This machine, in words."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown make")
    return f"{os.cpu_count()} cores ({model})"


def commit() -> str:
    """The checkout's, with "+" where files were changed since."""
    short = _git("rev-parse", "--short", "HEAD")
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ":/easyr1_fgrpo", ":/recipes")
    return short + "+" * bool(changed)


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=Path(__file__).parent, capture_output=True, text=True, check=True
    )  # fmt: skip
    return done.stdout.strip()
