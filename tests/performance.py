"""Rows of docs/performance.md: benchmarks note what they measured, `--performance` keeps it and writes the page.

A benchmark's figures are kept as they were measured, with commit and machine, until it is run again.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import pytest
from robustness.outcomes import commit, machine

TESTS = Path(__file__).parent
RESULTS, PAGE = TESTS / "benchmarks/results", TESTS.parent / "docs/performance.md"
HEAD = """# Performance

Where the hours of a run go: what it took before it was made faster, takes now, and would take at least. Written by

```bash
bash tests/run.sh --performance                                        # all, on a machine with nothing else to do
bash tests/run.sh --performance tests/benchmarks/test_rollout_pictures.py
PROMPTS=128 bash tests/run.sh --performance tests/benchmarks/test_rollout_pictures.py  # a step of the paper's size
FGRPO_TRACES=736000 bash tests/run.sh --performance tests/benchmarks/test_report_speed.py  # the paper's run, 4 GB
bash tests/run.sh --gpu-path --performance -k three_times                             # with a vLLM of its own
```

from benchmarks that also hold the figures to limits with room for slow machines. *Before* is measured beside *now*
where the code can still do it, else it is an earlier figure, with its commit where that is known.
"""


@dataclass(frozen=True)
class Row:
    """One line of the page; figures with their units."""

    what: str
    now: str
    before: str
    bound: str


class Note(Protocol):
    """Notes a row."""

    def __call__(self, what: str, now: str, *, before: str = "", bound: str = "") -> None: ...


@pytest.fixture
def row(request: pytest.FixtureRequest) -> Iterator[Note]:
    """Note what a benchmark measured; kept where it succeeds and the page was asked for."""
    rows: list[Row] = []
    yield lambda what, now, *, before="", bound="": rows.append(Row(what, now, before, bound))
    if rows and request.config.getoption("performance"):
        keep(request.node, rows)


def keep(test: pytest.Item, rows: list[Row]) -> None:
    """Write a benchmark's rows, and the page with those of all others."""
    RESULTS.mkdir(exist_ok=True)
    found = {
        "test": str(test.path.relative_to(TESTS.parent)),
        "commit": commit(),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": machine(),
        "rows": [asdict(row) for row in rows],
    }
    name = re.sub(r"\W+", "_", test.name).strip("_")
    (RESULTS / f"{name}.json").write_text(f"{json.dumps(found, indent=1, ensure_ascii=False)}\n", encoding="utf-8")
    write_page()


def write_page() -> None:
    """The page, from what is kept."""
    results = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(RESULTS.glob("*.json"))]
    lines = ["| what | before | now | bound | measured by |", "|---|---|---|---|---|"]
    for found in results:
        by = f"[{Path(found['test']).name}](../{found['test']}), `{found['commit']}`"
        lines += [f"| {r['what']} | {r['before']} | {r['now']} | {r['bound']} | {by} |" for r in found["rows"]]
    made = sorted({f"{found['machine']}, {found['date']}" for found in results})
    PAGE.write_text("\n".join([HEAD, *lines, "", f"Machines: {'; '.join(made)}.", ""]), encoding="utf-8")
