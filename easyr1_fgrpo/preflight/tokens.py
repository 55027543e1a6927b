"""Whether the policy's tokenizer knows the words of the data: a model of another world trains without an error."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

SAMPLE = 300
"""Questions that are looked at, spread evenly over them."""

MOST_UNKNOWN = 0.05
"""Share of tokens; a rare name is no reason to refuse."""


def unknown_words_problem(model: str, key: str, file: Path, texts: Iterable[str], where: str) -> Iterator[str]:
    """A line where the tokenizer mostly does not know the texts.

    Args:
        model: the policy, as the config names it.
        key: the host's key for it.
        file: its `tokenizer.json`.
        texts: questions, options and answers.
        where: they are from.
    """
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(file))
    unknown = getattr(tokenizer.model, "unk_token", None)
    if unknown is None:  # of bytes, so that it knows everything
        return
    total, words = 0, Counter[str]()
    for text in texts:
        encoded = tokenizer.encode(text, add_special_tokens=False)
        total += len(encoded.tokens)
        pieces = zip(encoded.tokens, encoded.offsets, strict=True)
        words.update(text[start:end] for token, (start, end) in pieces if token == unknown)
    if total and words.total() / total > MOST_UNKNOWN:
        shown = ", ".join(repr(word) for word, _ in words.most_common(3))
        yield (
            f"{key}={model}: {words.total() / total:.0%} of the tokens of {where} are unknown to its tokenizer "
            f"({shown}), so it can neither read nor answer these questions; take another backbone, or one made from "
            "these rows (dataset=own)"
        )


def model_file(model: str, name: str) -> Path | None:
    """A file of a model: in its folder, or of a hub id in the cache; None where it is not on this machine."""
    folder = Path(model).expanduser()
    if folder.is_dir():
        return file if (file := folder / name).exists() else None
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        cached = try_to_load_from_cache(model, name)
    except HFValidationError:  # a path
        return None
    return Path(cached) if isinstance(cached, str) else None
