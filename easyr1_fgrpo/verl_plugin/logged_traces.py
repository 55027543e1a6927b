"""Some coloured traces of each validation for the loggers, `trainer.log_val_generations` of them.

W&B gets HTML, TensorBoard and verl's other loggers text: `trace_html` and `trace_text`.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from easyr1_fgrpo.report.traces.html import trace_text, traces_html
from easyr1_fgrpo.report.traces.view import visible
from easyr1_fgrpo.trace_index import index_traces
from easyr1_fgrpo.traces import TraceRecord

NAME = "val/traces"
"""What the traces are called in W&B and TensorBoard."""

logger = logging.getLogger(__name__)


def validation_traces(run_dir: Path, step: int, count: int) -> list[TraceRecord]:
    """The same questions at every validation, chosen by a fixed seed; reward workers have written their records.

    Args:
        run_dir: the run's.
        step: the training step that was validated.
        count: how many; fewer when there are fewer.
    """
    index = index_traces(sorted((run_dir / "traces").glob("val-*.jsonl")))
    found = index.rows[index.rows["step"] == step]
    found.sort(order=["index", "session"])
    for problem in index.problems:
        logger.warning("%s", problem)
    if not len(found):
        logger.warning("step %d: no validation trace in %s: none is logged", step, run_dir / "traces")
    return list(index.records(found[random.Random(0).sample(range(len(found)), min(count, len(found)))]))


def log_traces(records: list[TraceRecord], step: int, loggers: Mapping[str, Any], generations: Any) -> None:
    """Hand the traces to every logger that shows some.

    Args:
        records: see `validation_traces`; none does nothing.
        step: the training step.
        loggers: of verl's `Tracking`, by name.
        generations: verl's logger of validation generations, for the other loggers.
    """
    if not records:
        return
    others = [name for name in loggers if name not in ("wandb", "tensorboard")]
    if "wandb" in loggers:
        wandb = loggers["wandb"]
        wandb.log({NAME: wandb.Html(traces_html(records))}, step=step)
    if "tensorboard" in loggers:
        writer = loggers["tensorboard"].writer
        for number, record in enumerate(records):
            writer.add_text(f"{NAME}/{number}", trace_text(record), step)
        writer.flush()
    if others:
        samples = [(visible(record.question), trace_text(record), _task(record)) for record in records]
        generations.log(others, samples, step)


def _task(record: TraceRecord) -> float | None:
    signal = record.signals.get("task")
    return None if signal is None else signal.value
