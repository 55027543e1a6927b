"""A trace record as the page shows it: the response in parts with their verdicts, boxes matched, all text visible."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from easyr1_fgrpo.judges.protocol import Label
from easyr1_fgrpo.rewards.response import Box, parse_response
from easyr1_fgrpo.rewards.sentences import Sentence, split_sentences
from easyr1_fgrpo.rewards.spatial import ciou
from easyr1_fgrpo.traces import SentenceRecord, TraceRecord, VerdictRecord

GROUNDED, UNGROUNDED, SKIPPED, UNJUDGED = "grounded", "ungrounded", "skipped", "unjudged"
CONSISTENT, INCONSISTENT = "consistent", "inconsistent"

_STATES = {
    Label.CORRECT: GROUNDED,
    Label.INCORRECT: UNGROUNDED,
    Label.SKIP: SKIPPED,
    Label.YES: CONSISTENT,
    Label.NO: INCONSISTENT,
    Label.UNCERTAIN: INCONSISTENT,
}
_ONE_BOX = re.compile(r"<bbox>[^<\[\]]*\[[^<\[\]]*\][^<\[\]]*</bbox>")
_SECTION_TAG = re.compile(r"</?(?:think|answer)>")
# What a reader cannot see, or what moves other text: control, bidirectional, zero-width and tag characters. The
# zero-width joiners stay, as scripts and emoji need them.
_HIDDEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    r"\U000e0000-\U000e007f]"
)


def visible(text: str) -> str:
    """The text with each character that a reader could not see written out, as in ⟨U+202E⟩."""
    return _HIDDEN.sub(lambda char: f"⟨U+{ord(char[0]):04X}⟩", text)


def trace_view(record: TraceRecord) -> dict[str, Any]:
    """What the page needs of one record, JSON-ready.

    Returns:
        split, step, index, session, item: which rollout. question, choices, truth, images, references: of the row.
        parts: the response in order, each `{"text"}` and, for a sentence, `state` (GROUNDED, UNGROUNDED, SKIPPED or
        UNJUDGED), `boxes` (numbers of the boxes in it) and the judge's `judge`, `word` and `note`. answer, correct
        (None where it was not measured), truncated. conclusion: `state` (CONSISTENT, INCONSISTENT or UNJUDGED) and the
        judge's word. boxes, n_boxes: as predicted. pairs: see `matched_pairs`. signals: value, or the reason's name.
    """
    asked = record.evaluation
    accuracy = record.signals.get("accuracy")
    correct = None if accuracy is None or accuracy.value is None else accuracy.value == 1.0
    return {
        "split": visible(record.split),
        "step": record.step,
        "index": record.index,
        "session": record.session,
        "item": visible(asked.item) if asked else "",
        "question": visible(record.question),
        "choices": [visible(choice) for choice in record.choices],
        "truth": visible(record.ground_truth),
        "images": [visible(digest) for digest in record.images],
        "references": record.reference_boxes,
        "parts": list(_parts(record)),
        "answer": None if record.answer is None else visible(record.answer),
        "correct": correct,
        "truncated": record.truncated,
        "conclusion": _verdict(record.consistency),
        "boxes": record.boxes,
        "n_boxes": record.n_boxes,
        "pairs": matched_pairs(record.boxes, record.reference_boxes),
        "signals": {
            visible(name): signal.reason.lower() if signal.value is None else signal.value
            for name, signal in record.signals.items()
        },
    }


def matched_pairs(boxes: Sequence[Box], references: Sequence[Box]) -> list[tuple[int, int, float]]:
    """The matching behind R_G (FGRPO Eq. 1): predicted box, reference box and their CIoU, for pairs above 0."""
    if not boxes or not references:
        return []
    scores = ciou(np.array(boxes, dtype=np.float64), np.array(references, dtype=np.float64))
    rows, columns = linear_sum_assignment(np.clip(scores, 0.0, 1.0), maximize=True)
    pairs = ((int(row), int(column), float(scores[row, column])) for row, column in zip(rows, columns, strict=True))
    return [pair for pair in pairs if pair[2] > 0.0]


# ---------------------------------------------------------------------- the response in parts


def _parts(record: TraceRecord) -> Iterator[dict[str, Any]]:
    """The response from start to end; a trace that is no verbatim piece of it stands before it, on its own."""
    trace = record.trace or ""
    start = record.response.find(trace)
    if start < 0:
        yield from _trace_parts(record, trace)
        yield {"text": visible(f"\n\n{record.response}")}
        return
    if before := record.response[:start]:
        yield {"text": visible(before)}
    yield from _trace_parts(record, trace)
    if after := record.response[start + len(trace) :]:
        yield {"text": visible(after)}


def _trace_parts(record: TraceRecord, trace: str) -> Iterator[dict[str, Any]]:
    position = 0
    sentences: Sequence[SentenceRecord | Sentence] = record.sentences or split_sentences(
        trace
    )  # none where the grounding judge was not asked
    counts = _box_counts([sentence.text for sentence in sentences], record)
    # Boxes are numbered in the order of the trace; where the count differs, another grammar wrote them.
    numbered = sum(counts) >= len(record.boxes)
    first = 0
    for sentence, count in zip(sentences, counts, strict=True):
        if sentence.start < position or trace[sentence.start : sentence.end] != sentence.text:
            continue
        if sentence.start > position:
            yield {"text": visible(trace[position : sentence.start])}
        boxes = range(first, min(first + count, len(record.boxes))) if numbered else range(0)
        yield _sentence(sentence, list(boxes))
        first, position = first + count, sentence.end
    if position < len(trace):
        yield {"text": visible(trace[position:])}


def _box_counts(texts: Sequence[str], record: TraceRecord) -> list[int]:
    """How many usable boxes each sentence has."""
    simple = [len(_ONE_BOX.findall(text)) for text in texts]
    if sum(simple) == len(record.boxes) == record.n_boxes:  # these are all there are, and all are usable
        return simple
    return [_n_boxes(text) for text in texts]


def _n_boxes(text: str) -> int:
    """Usable boxes of a sentence; section tags in it are no tags here, but still end a box tag that they stand in."""
    if "<bbox>" not in text:
        return 0
    return len(parse_response(f"<think>{_SECTION_TAG.sub('<>', text)}</think>").boxes)


def _sentence(sentence: SentenceRecord | Sentence, boxes: list[int]) -> dict[str, Any]:
    verdict = sentence.verdict if isinstance(sentence, SentenceRecord) else None
    part = {"text": visible(sentence.text), "boxes": boxes, **_verdict(verdict)}
    if sentence.trivial and verdict is None:
        part |= {"state": SKIPPED, "note": "planning or filler without a visual claim, never put to a judge"}
    return part


def _verdict(verdict: VerdictRecord | None) -> dict[str, str]:
    if verdict is None:
        return {"state": UNJUDGED, "judge": "", "word": "", "note": "the judge was not asked"}
    return {
        "state": UNJUDGED if verdict.label is None else _STATES[verdict.label],
        "judge": visible(verdict.judge),
        "word": str(verdict.label or f"no verdict: {verdict.failure or 'unknown'}"),
        "note": visible(verdict.cause or verdict.text),
    }
