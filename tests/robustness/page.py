"""docs/robustness.md, from what the units found."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from integration.recipe_runs import ROOT

from .outcomes import Outcome, Result, kept

PAGE = ROOT / "docs/robustness.md"

HEAD = """# What happens when things break

Faults that were injected into real runs of the tiny recipe, and what came of each. The page is written by

```bash
bash tests/run.sh --robustness
bash tests/run.sh --robustness kill_queue soak
```

The first command runs every unit that has no result of this commit yet, so one that was cut off goes on; the second
runs the units that it names. Both fail where a run does not end, says nothing, leaves processes behind, or learns
something else after its resume than an uninterrupted run of the same seed. *Equal* means every learning metric of every
step, to the last digit; *seconds* are those from the fault until the run's last process has ended.

What takes less than 20 seconds is in the normal tests and is not repeated here:

- [how judges fail](../tests/unit/judges/test_model_judge_failures.py),
  [their circuit breaker](../tests/unit/judges/test_model_judge_trouble.py),
  [a run whose judge stalls, fails and is gone](../tests/integration/test_model_judges.py)
- [who died, and who is silent](../tests/integration/test_watch.py),
  [a run that is killed and resumed](../tests/integration/test_tiny_cpu_recipe.py)
- [checkpoints that are not whole](../tests/unit/verl_plugin/preflight/test_saved.py),
  [disks that are full](../tests/unit/test_files.py)
- [bodies of judges](../tests/unit/judges/test_model_judge_bodies.py), [pictures](../tests/unit/test_pictures.py),
  [a response with more claims than a judge is asked](../tests/unit/rewards/test_suite.py),
  [6,400 rollouts at once](../tests/unit/training/test_admission.py)
"""

SECTIONS = {
    "kill_": (
        "Killed processes",
        "`kill -9` of one process at a random moment, three times a run; the same command resumes.",
    ),
    "full_disk": ("A full disk", "The run's folder is on a small tmpfs of its own, which is filled while it trains."),
    "damaged_checkpoints": (
        "Damaged checkpoints",
        "The last checkpoint of a run is damaged: the same command has to refuse before Ray starts, and name the file.",
    ),
    "misbehaving_judge": (
        "A judge that misbehaves",
        "Half of a step's calls go wrong, in another way each step. Every label is compared with the one that the\n"
        "judge would have given.",
    ),
    "hostile_": (
        "Hostile bodies and pictures",
        "Bytes that are made to fill a memory, or to run what they should not.",
    ),
    "judge_delay": (
        "Slow judges",
        "How long a step of the miniature takes with judges of 0, 200 and 2,000 ms, beside what `fgrpo plan` says of\n"
        "it ([how](scaling.md#what-judging-adds-to-a-step)), from the step of 0 ms on; they may differ by 20 %.",
    ),
    "soak": (
        "A long run",
        "500 steps with validations, checkpoints, a judge server in Ray, and a judge over HTTP of whose calls 3 %\n"
        "fail. What the processes of each role hold: medians of steps 100 to 200 and of the last hundred, which may\n"
        "differ by 5 %, or by 4 MiB, 3 descriptors, 3 threads.\n\n"
        "Ray's control store (gcs_server) held 159 MiB after 150 steps while it noted each call of an actor, 29,939\n"
        "of them, of at most 100,000; on a cluster that a recipe starts it does so no more.\n"
        "A reward worker has a connection for each call under way, 64 here, and closes it after two idle seconds.\n\n"
        "![Memory, descriptors and threads over 500 steps](pictures/soak.svg)",
    ),
}
"""Beginning of a unit's name -> its section's title, and what is done."""


def write_page(units: Iterable[str]) -> None:
    """Write what is known about the units; one that was never run is named."""
    PAGE.write_text("\n".join([HEAD, *sections(list(units))]) + "\n", encoding="utf-8")


def sections(units: list[str]) -> Iterator[str]:
    """Parts of the page: a table for each kind of fault, and what was never run."""
    for beginning, (title, what) in SECTIONS.items():
        mine = [unit for unit in units if unit.startswith(beginning)]
        results = [result for unit in mine if (result := kept(unit)) is not None]
        yield f"## {title}\n\n{what}\n"
        if results:
            yield from _table([outcome for result in results for outcome in result.outcomes])
            yield f"\n{_made(results)}\n"
        if never := [unit for unit in mine if kept(unit) is None]:
            yield f"Not run yet: {', '.join(never)}.\n"


def _table(outcomes: list[Outcome]) -> Iterator[str]:
    timed = any(outcome.seconds is not None for outcome in outcomes)
    resumed = any(outcome.equal is not None for outcome in outcomes)
    heads = ["fault", "what happened", *["seconds"] * timed, *["resumed equal"] * resumed]
    yield "| " + " | ".join(heads) + " |"
    yield "|---" * len(heads) + "|"
    for one in outcomes:
        seconds = "" if one.seconds is None else f"{one.seconds:.0f}"
        equal = {None: "", True: "yes", False: "**no**"}[one.equal]
        happened = _cell(one.happened) if one.good else f"**wrong:** {_cell(one.happened)}"
        yield "| " + " | ".join([_cell(one.fault), happened, *[seconds] * timed, *[equal] * resumed]) + " |"


def _made(results: list[Result]) -> str:
    stamps = sorted({f"commit `{result.commit}`, {result.date}, {result.machine}" for result in results})
    minutes = sum(result.minutes for result in results)
    return f"Made in {minutes:.0f} minutes ({'; '.join(stamps)})."


def _cell(text: str) -> str:
    """A line as it may stand in a table and on any machine: without folders, unprinted marks and bars."""
    text = re.sub(r"(/[\w.+-]+)+/(?=[\w.+-])", "", text)  # a folder of this machine
    text = re.sub(r"\bpid \d+( on [\d.]+)?", "pid N", re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", text))
    return text.replace("|", "/").replace("<", "‹")
