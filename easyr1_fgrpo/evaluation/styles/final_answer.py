r"""Answers that are announced in words ("Final Answer: B", "the correct option is B") or boxed (LaTeX's \boxed).

Model output is hostile text: every pattern here is linear in its length and no text raises.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from easyr1_fgrpo.evaluation.styles.dressing import DRESSING, undressed
from easyr1_fgrpo.evaluation.styles.said import WINDOW, said, said_alone, without_filler
from easyr1_fgrpo.rewards.accuracy import named_options

_KIND = r"(?:final|correct|right|best|most likely)"
_NOUN = (
    rf"(?<!\w)(?:(?:{_KIND}[ \t]++){{0,2}}+answer(?:[ \t]++(?:choice|option|letter))?+"
    rf"|{_KIND}[ \t]++(?:option|choice|letter))"
)
_CUE = re.compile(
    rf"{_NOUN}(?:[ \t]*+\*++)?+(?:[ \t]++(?:is|would be|should be)\b)?+[ \t]*+[:：]"
    rf"|^[#*_ \t]*+(?:{_KIND}[ \t]++)?+answer[#*_ \t]*+(?:$|[-–—](?=[ \t]))"
    r"|^[#*_ \t]*+(?:option|choice|ans)[*_.]*+[ \t]*+[:：]"
    r"|(?<!如果)(?<!假设)(?<!错误)(?<!错误的)(?:最终|正确|最佳)?+的?+答案[*_ ]*+"
    r"(?:应该|应当|应)?+(?:是|为|选择?+|[:：])"
    rf"|(?P<is>{_NOUN}(?:[ \t]++to[ \t]++(?:the|this)[ \t]++question|[ \t]++here)?+[ \t*]++"
    r"(?:is|would[ \t]++be|should[ \t]++be|must[ \t]++be|will[ \t]++be)\b"
    r"(?:[ \t]++(?:therefore|thus|hence|clearly|likely|probably|most|simply|indeed|definitely)\b)*+)",
    re.IGNORECASE | re.MULTILINE,
)
_LETTER = r"[*(\[]{0,3}([A-Z])[*)\]]{0,3}"
_IS = r"[ \t]++is[ \t]++(?:clearly[ \t]++)?+(?:the[ \t]++)?+"
_STATED = re.compile(
    rf"(?<![\w(\[*])(?:(?i:option|answer|choice)[ \t]++{_LETTER}{_IS}(?:correct|best)\b"
    rf"|{_LETTER}{_IS}{_KIND}[ \t]++(?:answer|option|choice)\b"
    rf"|(?:(?<=[.!?]\s)|(?<=\n)|(?<=\A)){_LETTER}[ \t]++is[ \t]++(?:clearly[ \t]++)?+correct\b"
    rf"|(?i:I|we)(?:['’]d|[ \t]++would|['’]ll|[ \t]++will)?+[ \t]++(?i:choose|pick|select|go[ \t]++with|go[ \t]++for)"
    rf"[ \t]++(?i:option[ \t]++)?{_LETTER}(?!\w)(?![ \t]++[a-z])"
    rf"|(?i:therefore|thus|hence|so)[,:]?+[ \t]++{_LETTER}(?=[.!\s*]*\Z)"
    rf"|(?:故|应|因此|所以|答案)?选择?[ \t：:]*+{_LETTER}(?![A-Za-z]))"
)
_JSON = re.compile(
    r"(?:```(?:json)?\s*)?+(?:\{\s*)?+[\"'](?:(?:final|correct)[_ ])?(?:answer|choice|option)[\"']\s*+:\s*+"
    r"(?:\"([^\"\n]*+)\"|'([^'\n]*+)'|([\w.]++))",
    re.IGNORECASE,
)
_DENIED = re.compile(r"[\s*_]*+(?:not|never|neither)\b", re.IGNORECASE)
_NO_ANSWER = re.compile(
    r"[\s*_]*+(?:not|n['’]t|never|neither|clear|unclear|obvious|evident|determined|found|based|given|consistent)\b",
    re.IGNORECASE,
)
_ANOTHER = re.compile(r"(?:this|that|whose|any|each|every|no|which|an|your)[ \t]+\Z", re.IGNORECASE)
_NOT_MEANT = re.compile(
    r"(?:\b(?:incorrect|wrong|false|bad|worst|least[ \t]likely|other|another|alternative|opposite|possible|tempting"
    r"|student['’]s|previous)[ \t*_]+"
    r"|\b(?:neither|nor|false|untrue|wrong|incorrect|unlikely|impossible|doubtful)(?:[ \t]+that)?(?:[ \t]+the)?[ \t]+"
    r"|(?:\bnot|n['’]t|\bnever)[ \t]+(?:(?:be|true|think|believe|mean|say|the[ \t]case|clear|certain|sure)[ \t]+)?"
    r"(?:that[ \t]+)?(?:the[ \t]+)?"
    r"|\b(?:if|whether|unless|suppose|supposing|assuming|assume)\b"
    r"(?:(?!\b(?:and|so|but|then|see|find)\b)[^,.!?;:\n])*"
    r"|\b(?:one|you|some|someone|people|they|many|others)[ \t]+(?:\w+[ \t]+)?(?:might|may|could|would|can)"
    r"[ \t]+(?:\w+[ \t]+)?(?:think|say|believe|assume|guess|argue|suppose)\b"
    r"[^,.!?;:\n]*"
    r"|\bif\b[^.!?;:\n]*\b(?:were|had)\b[^.!?;:\n]*,[^.!?;:\n]*)\Z",
    re.IGNORECASE,
)
"""Ends of what stands before an announcement of something else: the wrong answer, a condition, what others think."""

_BEFORE = 120
"""So many characters before an announcement are looked at."""

_MAX_CUES = 20
"""So many announcements are read, the last ones."""

_BRACE = re.compile(r"\\boxed[ \t]*+\{|\\[{}\\]|[{}]")
_END = re.compile(r"\n|</answer>|<br\b|\Z", re.IGNORECASE)
_UNDRESSED = re.compile(
    rf"(?:```[\w-]++(?=[ \t]*+\n)|[{re.escape(DRESSING)}]|\\[\[(](?=[ \t]*+\n)"
    r"|(?<=\n)[-=~|: \t]{3,}+(?=\n))*+(?=.)",
    re.DOTALL,
)
"""What may stand between an announcement and its answer: dressing, lines of it, the opening of display math."""


@dataclass(frozen=True)
class Found:
    """What is announced.

    Attributes:
        answer: without its dressing; None where two options are announced at once.
        start: where the announcement starts.
        end: where the answer's line or box ends.
        boxed: it is boxed, not announced.
    """

    answer: str | None
    start: int
    end: int
    boxed: bool = False


def answer_in(text: str, choices: Sequence[str] = ()) -> str | None:
    """The answer of a section that holds nothing else: announced or boxed in it, or itself; None for none."""
    found = last_marked(text, choices)
    return (found.answer if found else said_alone(text, choices)) or None


def bare_option(text: str, choices: Sequence[str]) -> str | None:
    """What a text says that holds nothing but an option, like the letter after a think block, or one in its first line.

    What follows a first line explains it, unless it is such a line itself: then options are listed.
    """
    first, _, rest = text.strip().partition("\n")
    if any(_names_alone(line, choices) for line in rest.splitlines()):
        return None
    return said(first, choices) if _names_alone(first, choices) else None


def _names_alone(text: str, choices: Sequence[str]) -> bool:
    """Whether a text is an option, or "option B"."""
    return bool(named_options(without_filler(undressed(text[:WINDOW])), choices))


def last_marked(text: str, choices: Sequence[str] = (), start: int = 0) -> Found | None:
    """The last answer announced, or else the last boxed; the box also where only it names an option."""
    announced, boxed = last_announced(text, choices, start), last_boxed(text, choices, start)
    if announced and boxed and announced.answer and not named_options(announced.answer, choices):
        return boxed if named_options(boxed.answer or "", choices) else announced
    return announced or boxed


def last_announced(text: str, choices: Sequence[str] = (), start: int = 0) -> Found | None:
    """The last answer that is announced from `start` on.

    Announced is what follows "Final answer:", "Answer:" or such a heading, on that line or the next that is not blank,
    what follows "the answer is" or "the correct option is", and the letter in "B is the correct answer". With options a
    sentence that names none of them ("the answer is in the picture") announces nothing while another one does. What is
    denied or asked ("not B", "A?") is never announced.
    """
    aside = None
    for cue in sorted(_cues(text, start), key=lambda cue: cue.start(), reverse=True)[:_MAX_CUES]:
        found = _announced(text, cue, choices)
        if found is None:
            continue
        firm = cue.re is _CUE and cue["is"] is None
        if firm or found.answer is None or named_options(found.answer, choices):
            return found
        aside = aside or found
    return aside


def last_boxed(text: str, choices: Sequence[str] = (), start: int = 0) -> Found | None:
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
    answer = said(text[best[0].end() : best[1]], choices, exact=True)
    return None if answer == "" else Found(answer, best[0].start(), best[1], boxed=True)


def _cues(text: str, start: int) -> list[re.Match[str]]:
    """The last announcements in words, of all kinds."""
    return [cue for kind in (_CUE, _STATED, _JSON) for cue in deque(kind.finditer(text, start), _MAX_CUES)]


def _announced(text: str, cue: re.Match[str], choices: Sequence[str]) -> Found | None:
    """What follows a cue, or the letter of a statement; None where that is no announcement."""
    if _NOT_MEANT.search(text[max(0, cue.start() - _BEFORE) : cue.start()]):
        return None
    if cue.re is _JSON:
        answer = said(cue[1] or cue[2] or cue[3] or "", choices, exact=True)
        return None if answer == "" else Found(answer, cue.start(), _line_end(text, cue.end()))
    if cue.re is _STATED:
        letter = said(next(filter(None, cue.groups())), choices)
        return Found(letter, cue.start(), _line_end(text, cue.end())) if named_options(letter or "", choices) else None
    if cue["is"] and _ANOTHER.search(text[max(0, cue.start() - 8) : cue.start()]):
        return None
    content = _UNDRESSED.match(text, cue.end())
    if content is None:
        return None
    end = _line_end(text, content.end())
    line = text[content.end() : min(end, content.end() + WINDOW)]
    answer = said(line, choices)
    if answer is not None and (not answer or answer.endswith("?")):
        return None
    if answer and not named_options(answer, choices):
        if cue["is"] and _NO_ANSWER.match(line):
            return None
        if choices and _DENIED.match(line):
            answer = None
    return Found(answer, cue.start(), end)


def _line_end(text: str, start: int) -> int:
    """Where a line ends, or the section it is in."""
    end = _END.search(text, start)
    return end.start() if end else len(text)
