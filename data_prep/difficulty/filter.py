"""Difficulty filter (FGRPO section A.3): what the base model answers sometimes, and a tenth of the rest.

Every row is answered four times by the base model. Rows with a mean accuracy strictly between 0 and 1 are kept, and
of those that are always right or always wrong a seeded draw. The pipeline is Ray Data's, on one machine or a cluster:
read, ask (an endpoint or vLLM), write; outcomes go to a ledger as they come, so that no rollout is asked for twice. A
rollout that failed is not an outcome: its row is rejected with the cause, never scored 0.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_prep.difficulty.cluster import ray_cluster
from data_prep.difficulty.ledger import Ledger
from data_prep.difficulty.pipeline import rollout_texts, row_keys
from data_prep.difficulty.rollouts import Outcome, Sampling, draw_of, measure, row_key
from data_prep.record import command_line, fingerprint, in_and_out
from data_prep.shards import ShardWriter, counts, read_rows, read_summary
from easyr1_fgrpo.files import begin, write_json
from easyr1_fgrpo.terminal import progress_bar

if TYPE_CHECKING:
    from data_prep.difficulty.rollout_engines import Endpoint, Vllm

FAILED, ALL_RIGHT, ALL_WRONG = "rollout_failed", "always_right", "always_wrong"
"""Reasons to reject a row."""


class TooManyFailed(RuntimeError):  # noqa: N818 - the outcome of a measurement, not an error of a program
    """So many rollouts failed that the rest would be another data set."""


@dataclass(frozen=True)
class Keep:
    """What is kept.

    Attributes:
        extremes: share of the rows that are always right or always wrong, in [0, 1]; the paper's 10 %.
        max_failed: share of the rows that may lack a rollout, in [0, 1], before the stage gives up.
    """

    extremes: float = 0.1
    max_failed: float = 0.05


def filter_by_difficulty(
    folders: Sequence[Path], out: Path, asked: Endpoint | Vllm, sampling: Sampling, keep: Keep
) -> dict[str, dict[str, Any]]:
    """Filter folders of shards into folders of the same names below `out`; what is done already is not done again.

    Args:
        folders: normalised sources, each with a name of its own.
        out: gets `rollouts.jsonl` (the ledger), `failures.json` (rows that lack a rollout, written when the asking is
            over: what is written after a kill is what was being written) and a folder of shards a source.
        asked: who makes the rollouts.
        sampling: with which model and seeds.
        keep: what is kept.

    Returns:
        The summary of every folder, by its name.

    Raises:
        ValueError: for folders of the same name, or an `out` that was begun with other settings.
        TooManyFailed: when more rows than `keep.max_failed` lack a rollout; nothing but the ledger is written, and the
            same command asks for the missing rollouts again.
    """
    sources = {folder.resolve().name: folder for folder in folders}
    if len(sources) < len(folders):
        raise ValueError("two of the folders have the same name: their rows could not be told apart")
    ledger = Ledger(out / "rollouts.jsonl", _settings(sources, sampling))
    try:
        for name in sources:
            begin(out / name, {"rollouts": sampling.rollouts, "extremes": keep.extremes})
        done = {name: summary for name in sources if (summary := read_summary(out / name)) is not None}
        if len(done) == len(sources):
            return done
        failures = _measure(sources, out, ledger, asked, sampling, keep)
        return {
            name: done.get(name) or _select(name, folder, out / name, ledger, failures, sampling, keep)
            for name, folder in sources.items()
        }
    finally:
        ledger.close()


def choose(right: Mapping[str, int], rollouts: int, extremes: float, seed: int) -> set[str]:
    """The rows to keep.

    Args:
        right: how many of its rollouts are right, by row.
        rollouts: how many each row has.
        extremes: share of the rows with none or all right that is kept, rounded to the nearest count.
        seed: of the draw, which gives each row a number that depends on nothing else.
    """
    extreme = sorted(
        (key for key, count in right.items() if count in (0, rollouts)), key=lambda key: (draw_of(seed, key), key)
    )
    drawn = extreme[: math.floor(extremes * len(extreme) + 0.5)]
    return (right.keys() - set(extreme)) | set(drawn)


# ---------------------------------------------------------------------- the rollouts


def _measure(
    sources: Mapping[str, Path], out: Path, ledger: Ledger, asked: Endpoint | Vllm, sampling: Sampling, keep: Keep
) -> dict[str, str]:
    """Ask for every rollout that the ledger lacks.

    Returns:
        Why a row lacks one still, by its key.
    """
    finished = out / "failures.json"
    if finished.exists():
        return dict(json.loads(finished.read_text(encoding="utf-8")))
    keys = [key for name, folder in sources.items() for key in row_keys(name, folder)]
    pending = {key: missing for key in keys if (missing := ledger.missing(key, sampling.rollouts))}
    failures: dict[str, str] = {}
    total = len(keys) * sampling.rollouts
    bar = progress_bar(total=total, initial=total - sum(map(len, pending.values())), desc="Rollouts", unit="rollout")
    if pending:
        with bar, ray_cluster():
            for texts in rollout_texts(sources, pending, asked, sampling):
                failures |= {text["key"]: text["failure"] for text in texts if text["failure"]}
                ledger.add(measure(text) for text in texts if not text["failure"])
                bar.update(len(texts))
                bar.set_postfix(failed_rows=len(failures))
                if len(failures) > keep.max_failed * len(keys):
                    raise TooManyFailed(_too_many(failures, len(keys), keep))
    write_json(finished, failures)
    return failures


def _too_many(failures: Mapping[str, str], rows: int, keep: Keep) -> str:
    cause, count = Counter(failures.values()).most_common(1)[0]
    return (
        f"{len(failures)} of {rows} rows lack a rollout, more than max_failed={keep.max_failed:g} of all; {count} of "
        f"them: {cause}. Finished rollouts are used again: fix the cause and run the same command again"
    )


# ---------------------------------------------------------------------- the selection


def _select(
    name: str,
    folder: Path,
    out: Path,
    ledger: Ledger,
    failures: Mapping[str, str],
    sampling: Sampling,
    keep: Keep,
) -> dict[str, Any]:
    """Write what is kept of one source, and its summary."""
    outcomes = {key: _outcomes(ledger, key, sampling) for key in row_keys(name, folder)}
    right = {key: sum(outcome.correct for outcome in found) for key, found in outcomes.items() if key not in failures}
    kept = choose(right, sampling.rollouts, keep.extremes, sampling.seed)
    with ShardWriter(out, name) as shards:
        rows = enumerate(read_rows(folder))
        for number, row in progress_bar(
            islice(rows, shards.position, None), total=len(outcomes), initial=shards.position, desc=f"Writing {name}"
        ):
            key = row_key(name, row["extra_info"])
            if key in failures:
                shards.reject(number, FAILED, failures[key])
            elif key in kept:
                shards.add(row)
            else:
                shards.reject(number, ALL_WRONG if right[key] == 0 else ALL_RIGHT)
    texts = [outcome for found in outcomes.values() for outcome in found]
    summary = {
        "stage": "difficulty",
        "source": name,
        **counts(out),
        **asdict(sampling),
        **asdict(keep),
        "rows_by_right_rollouts": {str(n): count for n, count in sorted(Counter(right.values()).items())},
        "kept_by_right_rollouts": {str(n): c for n, c in sorted(Counter(right[key] for key in kept).items())},
        "rollouts_with_an_answer": sum(outcome.answer is not None for outcome in texts),
        "rollouts_measured": len(texts),
        "command": command_line(),
    }
    write_json(out / "summary.json", summary)
    return summary


def _outcomes(ledger: Ledger, key: str, sampling: Sampling) -> list[Outcome]:
    return [outcome for number, outcome in ledger.outcomes.get(key, {}).items() if number < sampling.rollouts]


# ---------------------------------------------------------------------- the record


def _settings(sources: Mapping[str, Path], sampling: Sampling) -> dict[str, Any]:
    """What an outcome depends on; the number of rollouts does not matter to the first ones."""
    settings = {key: value for key, value in asdict(sampling).items() if key != "rollouts"}
    return settings | {"inputs": {name: fingerprint(folder) for name, folder in sorted(sources.items())}}


def report(summaries: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A line a source for people: in = out + rejects, and whether the base model answers in the format at all."""
    lines = []
    for name, summary in summaries.items():
        lines.append(f"{name}: {in_and_out(summary)}")
        measured, answered = summary["rollouts_measured"], summary["rollouts_with_an_answer"]
        if answered < 0.5 * measured:
            lines.append(
                f"warning: {name}: only {answered} of {measured} rollouts have an <answer>: the filter measures the "
                "format more than the question; ask a model that follows the instruction (the SFT model)"
            )
    return lines
