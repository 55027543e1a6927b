"""A long run, and what every process of it holds from first to last: memory, descriptors, threads."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from integration.recipe_runs import RECIPE, ROOT, SHORT
from judge_endpoint import judge_process

from easyr1_fgrpo.metrics_file import read_metrics

from .bench import Bench
from .curves import draw
from .outcomes import RESULTS, Outcome
from .processes import held

STEPS, WARM_UP = 500, 100
SAMPLE_S = 10.0
SAMPLES = RESULTS / "soak_samples.json"
COUNTED = {"uss": "memory", "descriptors": "descriptors", "threads": "threads"}
GROWTH = 0.05
SLACK = {"uss": 4 * 2**20, "descriptors": 3, "threads": 3}
"""Growth that is none whatever it was before: a page cache more, a connection just open."""

MODEL = "a-model"
FAILING = {"500": 0.01, "drop": 0.01, "429": 0.01}
"""Of the calls over HTTP: connections have to be made anew now and then."""


def soak(bench: Bench) -> Iterator[Outcome]:
    """500 steps with validations, checkpoints and a judge over HTTP that fails now and then."""
    run, miniature = bench.folder / "soak", bench.whole_miniature
    shutil.rmtree(run, ignore_errors=True)
    settings = [
        *SHORT,
        *miniature,
        f"fgrpo.run_dir={run}",
        f"trainer.total_training_steps={STEPS}",
        "trainer.save_freq=20",
        "trainer.test_freq=50",
        f"fgrpo.judge_cache.directory={run / 'cache'}",
    ]
    options = json.dumps({"scenes": str(bench.folder / "miniature/world/scenes.jsonl")})
    with judge_process(
        "--judge", "easyr1_fgrpo.miniature.oracle:OracleJudge", "--options", options, "--shares", json.dumps(FAILING)
    ) as (url, judge):
        # One question goes over HTTP with its pictures, the other to a judge server in Ray.
        over_http = f'{{kind:openai_compatible,model:{MODEL},base_urls:["{url}"],max_retries:5}}'
        process = subprocess.Popen(
            ["bash", RECIPE, *settings, "~fgrpo.judges.grounding", f"+fgrpo.judges.grounding={over_http}"],
            cwd=ROOT, stdout=(bench.folder / "soak.out").open("w"), stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        samples = list(_samples(process, judge.pid, run / "metrics.jsonl"))
    steps = read_metrics(run / "metrics.jsonl")
    yield Outcome(
        f"{STEPS} steps",
        f"{max(steps)} steps, exit code {process.returncode}",
        good=process.returncode == 0 and max(steps) == STEPS,
    )
    SAMPLES.parent.mkdir(exist_ok=True)
    SAMPLES.write_text(json.dumps(columns(samples)) + "\n", encoding="utf-8")
    draw(columns(samples), WARM_UP)
    yield from growth(samples)


def _samples(process: subprocess.Popen[bytes], judge: int, metrics: Path) -> Iterator[dict[str, Any]]:
    """What every role holds, every ten seconds while the run trains."""
    started = time.monotonic()
    while process.poll() is None:
        step = max(read_metrics(metrics), default=0) if metrics.exists() else 0
        for role, one in held([process.pid, judge]).items():
            yield {
                "step": step, "seconds": round(time.monotonic() - started), "role": role,
                **{name: getattr(one, name) for name in ("processes", "rss", *COUNTED)}, "kinds": dict(one.kinds),
            }  # fmt: skip
        time.sleep(SAMPLE_S)


def columns(samples: Sequence[dict[str, Any]]) -> dict[str, dict[str, list[int]]]:
    """By role that trains, one sample of every ten steps; memory in MiB."""
    kept: dict[str, dict[int, dict[str, Any]]] = {}
    for sample in samples:
        if 0 < sample["step"] < STEPS:
            kept.setdefault(sample["role"], {})[sample["step"] // 10] = sample
    return {
        role: {
            "step": [sample["step"] for sample in some.values()],
            "memory_mib": [round(sample["uss"] / 2**20) for sample in some.values()],
            **{name: [sample[name] for sample in some.values()] for name in ("descriptors", "threads")},
        }
        for role, some in kept.items()
    }


def growth(samples: Sequence[dict[str, Any]]) -> Iterator[Outcome]:
    """By role, the median of the last hundred steps beside that of the hundred after the warm-up."""
    for role in sorted({sample["role"] for sample in samples}):
        mine = [sample for sample in samples if sample["role"] == role]
        early = [sample for sample in mine if WARM_UP < sample["step"] <= 2 * WARM_UP]
        late = [sample for sample in mine if STEPS - WARM_UP < sample["step"] <= STEPS]
        if not early or not late:
            continue  # starts or ends with the run
        parts, good = [], True
        for name, what in COUNTED.items():
            first, last = (median(sample[name] for sample in some) for some in (early, late))
            good = good and last - first <= max(GROWTH * first, SLACK[name])
            unit = 2**20 if name == "uss" else 1
            parts.append(f"{what} {first / unit:.0f} to {last / unit:.0f}{' MiB' if name == 'uss' else ''}")
        yield Outcome(f"{role}, steps {WARM_UP} to {STEPS}", ", ".join(parts), good=good)
