"""Options inside the text of a question."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise
from string import ascii_uppercase

_FORMS = (r"[(（\[] ?@ ?[)）\]]", r"@ ?[.．]", r"@[)）]", r"@ ?[:：]", r"@、")
"""(A)  A.  A)  A:  A、 with a letter for @; also in full width."""

_STARS = r"\*{0,3}"
_UPPER, _LOWER = "A-ZＡ-Ｚ", "a-z"

_HEAD = re.compile(
    rf"(?:^|(?<=[.?!:]))\s*{_STARS}(?:(?:answer |possible )?(?:options|choices|answers)|选项|"
    r"(?:please )?(?:select|choose|pick)(?: one| an option| an answer)? (?:from|between|among|of)"
    rf"(?: the)? following(?: options| choices| answers)?){_STARS}\s*[:：.]?{_STARS}\s*$",
    re.IGNORECASE | re.MULTILINE,
)
_BULLETS = re.compile(r"\n(?P<items>(?:[ \t]*[-*•][ \t]+\S[^\n]*(?:\n|$)){2,})")
_BULLET = re.compile(r"^[ \t]*[-*•][ \t]+\S", re.MULTILINE)
_OPENS = re.compile(r"(?:[?:？：\n]|\b(?:answer|option|choice|following)s?\.)[\s\"'”*]*\Z", re.IGNORECASE)
"""What stands before options inside a line that nothing joins: the question's end, or a request to choose."""
_NOT_BEFORE = re.compile(
    r"(?:^|\b(?:is|are|was|were|do|does|did|can|has|have|will|compare|between|than|rank|order|"
    r"at|on|in|into|to|of|from|with|by|near|behind|for|and|the|an?))\s*\Z",
    re.IGNORECASE,
)
"""Behind these words, `(A) the cup or (B) the book` are things that the question goes on to ask about."""
_STATEMENT = re.compile(
    r"(?:^|[.!?:;,]\s)\s*(?:the|this|that|these|those|an?|it|he|she|they|there)\b[^.!?:;,]*\b(?:is|are|was|were)\s*\Z",
    re.IGNORECASE,
)
"""But `The cup is` has its subject, so that options complete it."""
_JOINS = re.compile(r"\s*[,;，；]\s*(?:or|and)?\s*\Z|\s+or\s*\Z", re.IGNORECASE)
_GOES_ON = re.compile(r"[?:!]\s+\S|[.]\s+\S.*\?")
"""In a last option: more of the question."""
_ASKS_TO_ANSWER = re.compile(r"(?:please|answer|choose|select|pick)\b", re.IGNORECASE)
_JOINT = re.compile(r"\s*[,;]\s*(?:or|and)?$|\s+(?P<word>or|and)$", re.IGNORECASE)


def split_options(text: str) -> tuple[str, tuple[str, ...]]:
    """A question with its options, taken apart; no word is lost.

    Options are lettered from A: each on a line of its own, also as bullets, or running (`A. left or B. right`); these
    only where the text before has ended (`Which? A. left B. right`) or commas or "or" join them, and where they end the
    question: `Is (A) nearer than (B)?` has none. They begin at the last "A" that a "B" follows. An option goes on over
    lines until the next one begins; the last one does where another option has several lines or its next line begins
    with a small letter and is no instruction. What stands behind the options belongs to the question. Bullets without
    letters are options under a heading like "Options:".

    Returns:
        The question without options and their heading, and the options' texts as they stand; none where there are fewer
        than two, where a letter is left out or there twice, or where an option has no text.
    """
    marks = _marks(text)
    if not marks:
        return _bulleted(text)
    options = [_joined(part) for part in _between(marks, text)]
    last, note = _last(text[marks[-1].end() :], any(len(part.splitlines()) > 1 for part in options))
    question = "\n".join(filter(None, (_without_head(text[: marks[0].start()]), note)))
    running = "\n" not in text[: marks[-1].start()]
    if running and not re.search("[?？]", question + "".join(options)):  # Is it A. left or B. right?
        last = last.removesuffix("?")
    options = [*_apart(options), last]
    if not all(re.search(r"\w|[^\s\w.?!,;:]", option) for option in options):
        return text.strip(), ()
    return question, tuple(option.strip() for option in options)


def numbered_options(text: str) -> tuple[str, tuple[str, ...]]:
    """As `split_options`, for options under numbers from 1: `1. left`, `2) right`, `(3) up`, on lines or running.

    Numbers list many things. They are options directly behind a question mark or a heading like "Options:", where
    nothing is asked behind them, and where no letters stand before options.
    """
    for pattern in (_NUMBERED_LINES, _NUMBERED):
        marks = list(pattern.finditer(text))
        firsts = [index for index, mark in enumerate(marks) if int(mark[1] or mark[2]) == 1]
        marks = marks[firsts[-1] :] if firsts else []
        counted = [int(mark[1] or mark[2]) for mark in marks]
        if not 2 <= len(marks) <= len(ascii_uppercase) or counted != list(range(1, len(marks) + 1)):
            continue
        before = text[: marks[0].start()].rstrip(" \t\n\"'”*")
        if (before.endswith(("?", "？")) or _without_head(before) != before) and "?" not in text[marks[0].end() :]:
            ends = [*(mark.start() for mark in marks[1:]), len(text)]
            texts = (text[mark.end() : end].strip("\n ") for mark, end in zip(marks, ends, strict=True))
            lettered = "\n".join(f"{letter}. {option}" for letter, option in zip(ascii_uppercase, texts, strict=False))
            question, options = split_options(f"{before}\n{lettered}")
            return (question, options) if len(options) == len(marks) else (text.strip(), ())
    return text.strip(), ()


# ---------------------------------------------------------------------- marks


def _pattern(forms: Sequence[str], letters: str, *, at_lines: bool) -> re.Pattern[str]:
    mark = "|".join(forms).replace("@", rf"{_STARS}([{letters}]){_STARS}", 1)
    if at_lines:
        return re.compile(rf"^[ \t]*(?:[-*•][ \t]+)?{_STARS}(?:{mark}){_STARS}[ \t]*(?=\S)", re.MULTILINE)
    return re.compile(rf"(?:(?<=\s)|^|(?<=[^\x00-\x7f])){_STARS}(?:{mark}){_STARS}(?:\s+|(?<=[^\x00-\x7f*])(?=\S))")


_LINES = [_pattern([form], letters, at_lines=True) for letters in (_UPPER, _LOWER) for form in _FORMS[:-2]]
_LINES += [_pattern([form], _UPPER, at_lines=True) for form in _FORMS[-2:]]
_RUNNING = [_pattern([form], _UPPER, at_lines=False) for form in _FORMS]
_RUNNING += [_pattern([form], _LOWER, at_lines=False) for form in (_FORMS[0], _FORMS[2])]
ANY_MARK = re.compile(
    rf"\s*(?:[-*•]\s+)?{_STARS}[(（\[]? ?{_STARS}([{_UPPER}{_LOWER}]){_STARS} ?(?:[)）\].．、]|[:：]){_STARS}\s*(?=\S)"
)
"""A letter before an option, in any form."""
_NUMBER = rf"{_STARS}(?:\((\d{{1,2}})\)|(\d{{1,2}})[.)．]){_STARS}"
_NUMBERED_LINES = re.compile(rf"^[ \t]*(?:[-*•][ \t]+)?{_NUMBER}[ \t]+(?=\S)", re.MULTILINE)
_NUMBERED = re.compile(rf"(?<=\s){_NUMBER}\s+(?=\S)")
_MIXED_LINES = re.compile(r"^[ \t]*\(?([A-Za-z])[.):][ \t]*(?=\S)", re.MULTILINE)


def _marks(text: str) -> list[re.Match[str]]:
    """The marks of the options, all of one form where that is possible."""
    lined = _from_a(list(_MIXED_LINES.finditer(text)))
    if len(lined) > 1 and not _in_alphabet(lined):  # a letter twice, in another case, left out
        return []
    for pattern in (*_LINES, _MIXED_LINES):
        marks = _from_a(list(pattern.finditer(text)))
        if len(marks) > 1 and _in_alphabet(marks) and len(marks) >= len(lined):
            return marks
    for pattern in _RUNNING:
        marks = _in_order(_from_a(list(pattern.finditer(text))))
        if len(marks) > 1 and _are_options(marks, text):
            return marks
    return []


def _in_alphabet(marks: list[re.Match[str]]) -> bool:
    return "".join(map(letter_of, marks)) == ascii_uppercase[: len(marks)] and (
        all(mark[1].isupper() for mark in marks) or all(mark[1].islower() for mark in marks)
    )


def _are_options(marks: list[re.Match[str]], text: str) -> bool:
    """Whether marks inside a line begin options: what stands before or between them says so, and nothing goes on."""
    before, last = text[: marks[0].start()], text[marks[-1].end() :].strip()
    if _GOES_ON.search(last.partition("\n")[0]):
        return False
    if not before.strip() or _OPENS.search(before.rstrip(" ")):
        return True
    joined = all(_JOINS.search(part) for part in _between(marks, text))
    return joined and (_STATEMENT.search(before) is not None or not _NOT_BEFORE.search(before))


def _from_a(marks: list[re.Match[str]]) -> list[re.Match[str]]:
    """From the last A that B follows."""
    firsts = [index for index, two in enumerate(pairwise(marks)) if "".join(map(letter_of, two)) == "AB"]
    return marks[firsts[-1] :] if firsts else []


def _in_order(marks: list[re.Match[str]]) -> list[re.Match[str]]:
    """Each next letter in order, others are text; none where a letter is skipped or comes again: whose is it?"""
    taken: list[re.Match[str]] = []
    skipped = ""
    for mark in marks:
        if len(taken) < len(ascii_uppercase) and letter_of(mark) == ascii_uppercase[len(taken)]:
            taken.append(mark)
            skipped = ""
        elif letter_of(mark) == ascii_uppercase[len(taken) + 1 : len(taken) + 2]:
            skipped = letter_of(mark)
    others = {letter_of(mark) for mark in marks if mark not in taken}
    return [] if skipped or others & set(map(letter_of, taken)) else taken


def letter_of(mark: re.Match[str]) -> str:
    """The letter of a mark, in upper case and usual width."""
    return unicodedata.normalize("NFKC", mark[1]).upper()


# ---------------------------------------------------------------------- texts


def _between(marks: list[re.Match[str]], text: str) -> list[str]:
    """What stands behind each mark but the last, up to the next one."""
    return [text[mark.end() : after.start()] for mark, after in pairwise(marks)]


def _last(text: str, several_lines: bool) -> tuple[str, str]:
    """The last option, and what stands behind the options."""
    lines = text.strip().splitlines()
    end = 1
    while end < len(lines) and (line := lines[end].strip()) and not _ASKS_TO_ANSWER.match(line):
        if not several_lines and not line[0].islower():
            break
        end += 1
    return "\n".join(lines[:end]), "\n".join(line for line in lines[end:] if line.strip()).strip()


def _joined(part: str) -> str:
    return "\n".join(" ".join(line.split()) for line in part.splitlines() if line.strip())


def _apart(options: list[str]) -> list[str]:
    """Options without the commas and the "or" that join them to the next one."""
    joints = [_JOINT.search(option) for option in options]
    if all(joints) or (joints[-1] is not None and joints[-1]["word"]):
        return [_JOINT.sub("", option) for option in options]
    return options


def _without_head(question: str) -> str:
    question = question.strip()
    found = _HEAD.search(question)
    return question[: found.start()].strip() or question if found and found.end() == len(question) else question


def _bulleted(text: str) -> tuple[str, tuple[str, ...]]:
    for found in _BULLETS.finditer(text):
        before = text[: found.start()].strip()
        if (question := _without_head(before)) != before:
            if _BULLET.search(text, found.end()):  # lines within the options: which of them are theirs?
                break
            note = "\n".join(line for line in text[found.end() :].splitlines() if line.strip())
            options = tuple(line.strip()[1:].strip() for line in found["items"].strip().splitlines())
            return "\n".join(filter(None, (question, note.strip()))), options
    return text.strip(), ()
