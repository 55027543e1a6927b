r"""Answers that are announced in words ("Final Answer: B") or boxed (LaTeX's \boxed), and their dressing.

Model output is hostile text: every pattern here is linear in its length and no text raises.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_ANSWER = r"(?<!\w)(?:(?:final|correct)[ \t]++)?+answer(?:[ \t]*+\*++)?+"
_COLON = re.compile(
    rf"{_ANSWER}(?:[ \t]++is\b)?+[ \t]*+[:：]|(?<!\w)final[ \t]++answer[ \t*]*+(?=\n)",
    re.IGNORECASE,
)
_IS = re.compile(rf"{_ANSWER}[ \t]++is\b", re.IGNORECASE)
_BRACE = re.compile(r"\\boxed[ \t]*+\{|\\[{}\\]|[{}]")
_WRAPPED = re.compile(
    r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mbox|boxed)[ \t]*+\{([^{}]*+(?:\{.*)?)\}",
    re.DOTALL,
)
_DRESSING = "*_`#$" + "".join(char for char in map(chr, range(0x3001)) if char.isspace())
_UNDRESSED = re.compile(rf"[^{re.escape(_DRESSING)}]")
_MAX_WRAPPINGS = 4


@dataclass(frozen=True)
class Found:
    """An answer without its dressing, where its announcement starts, dressing included, and where the answer ends."""

    answer: str
    start: int
    end: int


def last_announced(text: str, start: int = 0) -> Found | None:
    """The last answer after "Final answer:" or "Answer:", without any the last after "the answer is", from `start` on.

    Any case, also in bold or as a heading. The answer is the rest of that line, or the next line that is not blank.
    """
    for pattern in (_COLON, _IS):
        last = None
        for cue in pattern.finditer(text, start):
            if content := _UNDRESSED.search(text, cue.end()):
                last = (cue.start(), content.start())
        if last is not None:
            return _found(text, last[0], last[1], _line_end(text, last[1]))
    return None


def last_boxed(text: str, start: int = 0) -> Found | None:
    r"""The content of the last `\boxed{...}` that is closed, braces inside it matched.

    Where none is closed, the last one runs to the end of its line.
    """
    opened: list[re.Match[str]] = []
    best: tuple[re.Match[str], int] | None = None
    unclosed: re.Match[str] | None = None
    for brace in _BRACE.finditer(text, start):
        token = brace.group()
        if token.startswith(r"\boxed"):
            opened.append(brace)
            unclosed = brace
        elif token == "{":
            opened.append(brace)
        elif token == "}" and opened:
            opening = opened.pop()
            boxed = opening.group() != "{"
            if boxed and (best is None or opening.start() > best[0].start()):
                best = (opening, brace.start())
    if best is None and unclosed is not None:
        best = (unclosed, _line_end(text, unclosed.end()))
    if best is None:
        return None
    return _found(text, best[0].start(), best[0].end(), best[1])


def undressed(answer: str) -> str:
    r"""The answer without Markdown and LaTeX around it: "**B**" and "$\text{B}$" are "B"."""
    for _ in range(_MAX_WRAPPINGS):
        answer = answer.strip(_DRESSING)
        wrapped = _WRAPPED.fullmatch(answer)
        if wrapped is None:
            break
        answer = wrapped[1]
    return answer.strip(_DRESSING)


def _found(text: str, start: int, content: int, end: int) -> Found | None:
    answer = undressed(text[content:end])
    return Found(answer, len(text[:start].rstrip(_DRESSING)), end) if answer else None


def _line_end(text: str, start: int) -> int:
    end = text.find("\n", start)
    return len(text) if end < 0 else end
