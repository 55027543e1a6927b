"""Which response tokens a judged sentence is made of: from characters of the trace to positions in the response.

The reward worker knows text and verdicts, the trainer tokens. So the worker finds the tokens, and they travel with the
rollout's numbers as a list of (first token, one past the last, verdict).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from easyr1_fgrpo.algorithm import JudgedSentences
from easyr1_fgrpo.judges.protocol import Label
from easyr1_fgrpo.rewards import RolloutScore

SENTENCE_TOKENS = "sentence_tokens"
"""The key beside a training rollout's numbers, with reward.level=sentence."""

VALUES: dict[Label | None, float] = {Label.CORRECT: 1.0, Label.INCORRECT: 0.0}

SentenceTokens = list[tuple[int, int, float]]


def sentence_tokens(tokenizer: Any, response_ids: Sequence[int], text: str, score: RolloutScore) -> SentenceTokens:
    """The judged sentences of a rollout as token ranges with verdicts, in order.

    A token belongs to the first sentence that it holds a character of. A sentence without a token of its own is left
    out, and so are those of a malformed trace whose start is not certain (see `trace_start`).

    Args:
        tokenizer: the policy's.
        response_ids: the response.
        text: the response decoded without special tokens, as it was scored.
        score: what became of `text`.

    Returns:
        (first token, one past the last, 1 for CORRECT or 0 for INCORRECT) per sentence that has such a verdict.

    Raises:
        ValueError: when the tokenizer's decoding is not the sum of its parts.
    """
    judged = [
        (item.sentence, VALUES[item.verdict.label])
        for item in score.sentences
        if item.verdict is not None and item.verdict.label in VALUES
    ]
    start = trace_start(text, score.response.trace or "") if judged else None
    if start is None:
        return []
    spans = character_spans(tokenizer, response_ids, text)
    found: SentenceTokens = []
    taken = 0
    for sentence, value in judged:
        begin, end = start + sentence.start, start + sentence.end
        inside = [i for i in range(taken, len(spans)) if max(spans[i][0], begin) < min(spans[i][1], end)]
        if inside:
            taken = inside[-1] + 1
            found.append((inside[0], taken, value))
    return found


def trace_start(text: str, trace: str) -> int | None:
    """Where the trace that `parse_response` read begins in the response; None where that is not certain.

    The trace begins after the first `<think>`, or at the start of a response that has none before its answer. With a
    `</think>` before the first `<think>` it could be either.
    """
    opening, closing = text.find("<think>"), text.find("</think>")
    if -1 < closing < opening:
        return None
    # Nothing but white space comes between that point and the trace, whose first character is none.
    return text.index(trace, opening + len("<think>") if opening > -1 else 0)


def character_spans(tokenizer: Any, ids: Sequence[int], text: str) -> list[tuple[int, int]]:
    """The characters `text[start:end]` that each token wrote; tokens that write a character together share its span.

    Special tokens have an empty span.

    Raises:
        ValueError: when decoding token by token does not give `text`.
    """
    spans: list[tuple[int, int]] = []
    pending: list[int] = []
    position = 0
    for number, token in enumerate(ids):
        pending.append(token)
        piece = tokenizer.decode(pending, skip_special_tokens=True)
        # A character may take several tokens; until it is whole it decodes to the replacement character.
        if piece.endswith("\ufffd") and number + 1 < len(ids):
            continue
        if not text.startswith(piece, position):
            raise ValueError(
                f"{type(tokenizer).__name__} decodes {pending} to {piece!r}, the whole response has "
                f"{text[position : position + len(piece)]!r} there: reward.level=sentence needs a tokenizer whose text "
                "is the sum of its tokens' texts; use reward.level=outcome"
            )
        spans += [(position, position + len(piece))] * len(pending)
        position += len(piece)
        pending = []
    return spans


def judged_sentences(reported: Sequence[SentenceTokens]) -> JudgedSentences:
    """The sentences of a batch, row by row; empty rows have none."""
    flat = [(row, *sentence) for row, sentences in enumerate(reported) for sentence in sentences]
    rows, starts, ends, values = zip(*flat, strict=True) if flat else ((), (), (), ())
    return JudgedSentences(
        values_S=torch.tensor(values, dtype=torch.float64),
        rows_S=torch.tensor(rows, dtype=torch.long),
        starts_S=torch.tensor(starts, dtype=torch.long),
        ends_S=torch.tensor(ends, dtype=torch.long),
    )
