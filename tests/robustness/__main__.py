"""`bash tests/run.sh --robustness [UNIT...]`: faults injected for real; writes docs/robustness.md.

Without a name every unit is run that has no result of this commit yet. Exit code 1 when a fault did not end as it has
to.
"""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Iterator

import psutil

from .bench import Bench
from .outcomes import Outcome, commit, keep, kept
from .page import write_page
from .units import UNITS


def main(names: list[str]) -> int:
    """Run units, keep what they found, write the page."""
    if unknown := [name for name in names if name not in UNITS]:
        print(f"error: {', '.join(unknown)}: no such unit; there are {', '.join(UNITS)}", file=sys.stderr)
        return 2
    bench, good = Bench(), True
    for name in names or UNITS:
        result = kept(name)
        if names or result is None or result.commit != commit():
            started = time.monotonic()
            outcomes = list(_injected(name, bench))
            result = keep(name, outcomes, (time.monotonic() - started) / 60)
        good = good and result.good
        write_page(UNITS)
    return 0 if good else 1


def _injected(name: str, bench: Bench) -> Iterator[Outcome]:
    """What came of a unit's faults; of a unit that broke off, why, beside what it had found."""
    try:
        for outcome in UNITS[name](bench):
            print(f"{name}: {outcome}", flush=True)
            yield outcome
    except Exception as error:
        traceback.print_exc()
        for left in psutil.Process().children(recursive=True):
            left.kill()
        yield Outcome("the unit itself", " ".join(f"broke off: {error}".split())[:300], good=False)


sys.exit(main(sys.argv[1:]))
