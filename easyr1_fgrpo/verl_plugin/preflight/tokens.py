"""The words of a run's rows on verl, against the tokenizer of its policy or of the backbone that it is made from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from easyr1_fgrpo.preflight.tokens import SAMPLE, model_file, unknown_words_problem


def token_problems(path: Path, config: Any) -> Iterator[str]:
    """A line for a file of rows whose questions, options and answers the tokenizer mostly does not know.

    Args:
        path: parquet of checked rows.
        config: of the run. A tokenizer that is not on this machine is not looked for elsewhere, which is said.
    """
    key, policy = "actor_rollout_ref.model.path", str(config.actor_rollout_ref.model.path)
    named = [str(name) for name in (policy, config.stages.get("backbone")) if name]
    file = next((found for name in named if (found := model_file(name, "tokenizer.json"))), None)
    if file is None:
        print(f"not checked here: whether the tokenizer of {named[-1]}, which is not on this machine, knows {path}")
        return
    yield from unknown_words_problem(policy, key, file, _texts(path), str(path))


def _texts(path: Path) -> Iterator[str]:
    """Question, options and answer of some rows."""
    rows = pq.read_table(path, columns=["extra_info", "reward_model"])
    every = max(1, len(rows) // SAMPLE)
    for row in rows.take(list(range(0, len(rows), every))).to_pylist():
        info = row["extra_info"]
        yield " ".join([info["question"], *info["choices"], row["reward_model"]["ground_truth"]])
