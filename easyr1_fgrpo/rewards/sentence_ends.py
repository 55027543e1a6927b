"""Where sentences end. `sentencex` decides, and does not see what is no sentence end in a trace.

Hidden from it: boxes, the full stops of abbreviations before numbers ("approx. 3 m") and of list marks ("1. a red cup,
2. a blue book", "Step 2. Look"). A box after a full stop belongs to the sentence before it, unless a small letter says
that the next one is about it.

No splitter is right on our tests without this, and each cuts 4 to 35 of 7,999 miniature traces otherwise, inside boxes
mostly: pysbd 0.3.4 joins sentences at unusual white space and is quadratic (4 s for 20,000 characters "Aa. "); syntok
1.4.4 joins full-width and detokenised sentences (" . the"); BlingFire 0.1.8 joins detokenised ones and cuts boxes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sentencex import get_sentence_boundaries

_BOX = re.compile(
    r"<bbox>[^<]*</bbox>|<box>[^<]*</box>|<SOT>[^<]*<EOT>(?:\s?<image>)?|<points?\b[^<>]*>[^<]*</points?>|<\|box_start\|>[^<]*<\|box_end\|>|<\|det\|>[^<]*<\|/det\|>|\{[^{}]{0,40}\bbbox[^{}]{0,200}\}"
    r"|\[\s*+\d[\d.,\s]*+\]|\(\s*+\d[\d.\s]*+(?:,\s*+\d[\d.\s]*+){1,3}+\)"
)
"""Tags, VGR's and Molmo's too, tokens, JSON, [1, 2, 3, 4] and (1, 2)."""

_BOXES = re.compile(
    rf"(?:\s*+(?:{_BOX.pattern})[,;]?)++(?:\s*+[.!?。！？]++)?+"
    r"(?=\s*+\Z|\s++[^\s\w]*+[^\W_a-z]|(?![是的为在里中])[\u3040-\u30ff\u4e00-\u9fff])"
)
ONLY_BOXES = re.compile(rf"[\s*_>#-]*+(?:(?!\{{)(?:{_BOX.pattern})[\s,;]*+)++[.!?。！？]*+\s*+")
"""Boxes that nothing is said about; JSON has a label."""
_LINE_OF_BOXES = re.compile(rf"[\s*_>#-]*+(?:(?:{_BOX.pattern})[\s,;]*+)++[.!?。！？]*+\s*+")
_CLOSING = re.compile(r"[)）」』】》]|\*{1,3}|`{1,3}|[\"”]")
_MAX_CLOSING = 4
_NO_WORD = re.compile(r"(?:[^\w。！？｡]|_)*+(?:[A-Z]\.(?:[^\w。！？｡]|_)*+)?+")
"""Markdown and "A.": no sentence, but part of the one they stand with."""
_LONG_RUN = re.compile(r"(['`])\1{3,}+")
_UNIT = re.compile(
    r"(?<=\d)\s?([A-Za-z])\.(?=\s++[^\s\w]*+[A-Z])"
    r"|\b(?i:image|picture|photo|figure|view|frame|panel|region|point|object|box|group|label|option)\s([A-Z])\.(?=\s++[^\s\w]*+[A-Z])"
)
"""3 m and image A, whose full stop sentencex takes for that of an initial."""

_CAPITAL = re.compile(r"[^\w\n]{0,20}(?:\d{1,3}[.)]\s{1,5})?[^\W\d_a-z]")
_SMALL = re.compile(r"[ \t]{0,20}[a-z]")

_LINE = re.compile(r"[^\n\r。！？｡]+[。！？｡]*|[。！？｡]+")
_NEWLINE = re.compile(r"[\n\r]")
_STOPS = (".", "!", "?", "。", "！", "？")
_NON_ASCII = re.compile(r"[^\x00-\x7f]")
_NO_STOP = re.compile(
    r"…(?=\s*+[a-z])|(?<!\w)(?:(?:approx|incl|excl|resp|vs)\.(?=\s)|(?:max|min|ca|est|avg|nos?|figs?|eqs?|sec|vol|ch|pp?|tab|temp|dist)"
    r"\.(?=\s*+[~<>]?\d)|deg\.(?=\s[CF]\b))",
    re.IGNORECASE,
)
_NAMED_MARK = re.compile(
    r"(?:(?<=[.!?:]\s)|\A[\s*_#>-]*+)(?:(?:step|item|point|part|option|choice)\s(?:\d{1,2}|[a-z])|ii|iii|iv|vi{0,3}|ix)\."
    r"(?=[*_]*+\s)",
    re.IGNORECASE,
)
_NUMBER_MARK = re.compile(r"(?<![^\s*_(])(\d{1,2})\.(?=[*_)]*+\s)")
_BEFORE_MARK = re.compile(r"(?:[.,;:!?)]|\b(?:and|or|then)|\A)[\s*_(#>-]*+\Z", re.IGNORECASE)
_MARKUP = " \t*_()#>-"
_NEAR = 20


def sentence_spans(trace: str) -> Iterator[tuple[int, int]]:
    """Spans of sentences in order, white space around them included; together they are the trace but for line breaks.

    A line break and a full-width full stop always end a sentence, but for boxes on a line of their own, which belong to
    the sentence before them.
    """
    sentence: tuple[int, int] | None = None
    for start, end in _spans(trace):
        if sentence and _LINE_OF_BOXES.fullmatch(trace, start, end):
            sentence = (sentence[0], end)
            continue
        if sentence:
            yield sentence
        sentence = (start, end)
    if sentence:
        yield sentence


def _spans(trace: str) -> Iterator[tuple[int, int]]:
    """As `sentence_spans`, boxes on a line of their own apart."""
    waiting: tuple[int, int] | None = None
    for start, end in _pieces(trace):
        if waiting and _NEWLINE.search(trace, waiting[1], start):
            yield waiting
            waiting = None
        whole = (waiting[0] if waiting else start, end)
        waiting = whole if _NO_WORD.fullmatch(trace, start, end) else None
        if not waiting:
            yield whole
    if waiting:
        yield waiting


def _pieces(trace: str) -> Iterator[tuple[int, int]]:
    """As `sentence_spans`, marks without a word apart."""
    masked = _BOX.sub(lambda box: "X" * len(box[0]), trace)
    start = limit = 0
    for line in _LINE.finditer(masked):
        start = max(start, line.start())
        if line.end() > limit:
            newline = _NEWLINE.search(trace, line.end())
            limit = newline.start() if newline else len(trace)
        for boundary in get_sentence_boundaries("en", _readable(line[0])):
            end = line.start() + boundary["end_index"]
            if end <= start:  # within the boxes that went to the sentence before
                continue
            if _goes_on(trace, start, end):
                continue
            end = _closed(trace, start, end, limit)
            if boxes := _boxes_after(trace, start, end, limit):
                end = boxes
            yield start, end
            start = end


def _goes_on(trace: str, start: int, end: int) -> bool:
    """Whether a sentence that began with a capital goes on with a small letter: "the temp. is", "the 2nd. floor"."""
    last = trace[max(start, end - 4) : end].rstrip()
    abbreviated = last.endswith(".") and not last.endswith("..")
    return abbreviated and bool(_SMALL.match(trace, end) and _CAPITAL.match(trace, start))


def _closed(trace: str, start: int, end: int, stop: int) -> int:
    """Where the brackets, quotes and Markdown end that close behind a sentence's full stop."""
    if not trace[start:end].endswith(_STOPS):
        return end
    for _ in range(_MAX_CLOSING):
        mark = _CLOSING.match(trace, end, stop)
        if not mark:
            break
        if mark[0] not in ")）」』】》”" and trace.count(mark[0], start, end) % 2 == 0:
            break
        end = mark.end()
    return end


def _readable(line: str) -> str:
    """The line as `sentencex` may see it: of the same length, and ASCII.

    sentencex 1.0.32 panics at some multi-byte white space and is quadratic in full-width stops and rows of quotes.
    """
    hidden = [found.end() - 1 for pattern in (_NO_STOP, _NAMED_MARK) for found in pattern.finditer(line)]
    chars = list(_NON_ASCII.sub(_ascii_of, _LONG_RUN.sub(lambda run: "-" * len(run[0]), line)))
    for unit in _UNIT.finditer(line):
        chars[unit.end() - 2] = "0"
    for index in (*hidden, *_list_marks(line)):
        chars[index] = "x"
    return "".join(chars)


def _list_marks(line: str) -> Iterator[int]:
    """Where the full stops of list marks are: of any number that opens the line, and of 1., 2., ... within it.

    A number within a line is a mark after punctuation or "and", or before a small letter ("I see 1. a cup, 2. a book",
    not "there are 2. The cup").
    """
    run: list[int] = []
    for mark in _NUMBER_MARK.finditer(line):
        number, stop = int(mark[1]), mark.end() - 1
        before = line[max(0, mark.start() - _NEAR) : mark.start()]
        after = line[mark.end() : mark.end() + _NEAR]
        if mark.start() < _NEAR and not before.strip(_MARKUP):
            yield stop
        if not _BEFORE_MARK.search(before) and not after.lstrip(_MARKUP)[:1].islower():
            continue
        if number != len(run) + 1:
            run = []
        if number == len(run) + 1:
            run.append(stop)
        if len(run) >= 2:
            yield from run[-2:]


def _boxes_after(trace: str, start: int, end: int, stop: int) -> int | None:
    """Where the boxes end that follow a sentence's full stop; None without any."""
    if not trace[start:end].rstrip(_MARKUP + "`").endswith((*_STOPS, '"', "”")):
        return None
    boxes = _BOXES.match(trace, end, stop)
    return boxes.end() if boxes else None


def _ascii_of(match: re.Match[str]) -> str:
    """One ASCII character that plays the same role in a sentence."""
    char = match[0]
    if char.isspace():
        return " "
    if char.isalpha():
        return "X" if char.isupper() else "x"
    return {"“": '"', "”": '"', "‘": "'", "’": "'", "…": ".", "。": ".", "！": "!", "？": "?"}.get(char, "-")
