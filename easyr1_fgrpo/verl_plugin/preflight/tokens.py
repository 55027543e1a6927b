"""Whether the policy's tokenizer knows the words of the data: a model of another world trains without an error."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

SAMPLE = 300
"""Rows of a file that are looked at, spread evenly over it."""

MOST_UNKNOWN = 0.05
"""Share of tokens; a rare name is no reason to refuse."""


def token_problems(path: Path, config: Any) -> Iterator[str]:
    """A line for a file of rows whose questions, options and answers the tokenizer mostly does not know.

    Args:
        path: parquet of checked rows.
        config: of the run. A tokenizer that is not on this machine is not looked for elsewhere, which is said.
    """
    from tokenizers import Tokenizer

    named = [str(name) for name in (config.actor_rollout_ref.model.path, config.stages.get("backbone")) if name]
    file = next((found for name in named if (found := _tokenizer_file(name))), None)
    if file is None:
        print(f"not checked here: whether the tokenizer of {named[-1]}, which is not on this machine, knows {path}")
        return
    tokenizer = Tokenizer.from_file(str(file))
    unknown = getattr(tokenizer.model, "unk_token", None)
    if unknown is None:  # of bytes, so that it knows everything
        return
    total, words = 0, Counter[str]()
    for text in _texts(path):
        encoded = tokenizer.encode(text, add_special_tokens=False)
        total += len(encoded.tokens)
        pieces = zip(encoded.tokens, encoded.offsets, strict=True)
        words.update(text[start:end] for token, (start, end) in pieces if token == unknown)
    if total and words.total() / total > MOST_UNKNOWN:
        shown = ", ".join(repr(word) for word, _ in words.most_common(3))
        share, model = words.total() / total, config.actor_rollout_ref.model.path
        yield (
            f"actor_rollout_ref.model.path={model}: {share:.0%} of the tokens of {path} are "
            f"unknown to its tokenizer ({shown}), so it can neither read nor answer these questions; take another "
            "backbone, or one made from these rows (dataset=own)"
        )


def _tokenizer_file(model: str) -> Path | None:
    """Of a folder, or of a hub id whose files are in the cache."""
    folder = Path(model).expanduser()
    if folder.is_dir():
        return file if (file := folder / "tokenizer.json").exists() else None
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        cached = try_to_load_from_cache(model, "tokenizer.json")
    except HFValidationError:  # a path
        return None
    return Path(cached) if isinstance(cached, str) else None


def _texts(path: Path) -> Iterator[str]:
    """Question, options and answer of some rows."""
    rows = pq.read_table(path, columns=["extra_info", "reward_model"])
    every = max(1, len(rows) // SAMPLE)
    for row in rows.take(list(range(0, len(rows), every))).to_pylist():
        info = row["extra_info"]
        yield " ".join([info["question"], *info["choices"], row["reward_model"]["ground_truth"]])
