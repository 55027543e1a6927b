"""What a piece of text that is marked as the answer says: which of the options, in whose words.

Nothing is guessed: "B. Here's why" names B, "A or B" names nothing, nor does "B. left" where left is A.

Model output is hostile text: only its first `WINDOW` characters are read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import takewhile
from string import ascii_uppercase

from easyr1_fgrpo.evaluation.styles.dressing import undressed
from easyr1_fgrpo.rewards.accuracy import named_by_letter, named_options
from easyr1_fgrpo.rewards.sentences import split_sentences

WINDOW = 2000
"""So many characters are read."""

_MAX_PARTS = 8
_YES_OR_NO = re.compile(r"(?:yes|no)(?=[,;:]\s)", re.IGNORECASE)
_REASON = re.compile(
    r"[,;]?\s+(?:because|since|as (?:it|the|this|there)|due to|given that)\b|,\s+which\b|\s+[–—]\s+(?=[A-Za-z])",
    re.IGNORECASE,
)
_ALTERNATIVES = re.compile(r"\s*(?:(?<!\d)[,;/&]|[,;/&](?!\d)|\bor\b|\band\b)\s*", re.IGNORECASE)
_FILLER = re.compile(
    r"(?:(?:either|both|between|maybe|perhaps|possibly|rather|options?|choice|letter|answer|the|an)\s+)+", re.IGNORECASE
)
_LETTER = re.compile(r"([(\[{]?)([A-Za-z])(?![\w'’])([)\]}]?)[*_`]*")
_ENDS = re.compile(r"\Z|[.,:;!)(\]–—\n\"“、，。：；！（）-]")
_GOES_ON = re.compile(
    r"\s+(?:\(|(?:because|since|as|is|which|for|given|due|based|where|with|and|in|on)\b)", re.IGNORECASE
)
_MARKED = re.compile(r">[ \t]*+|\d{1,2}[.)][ \t]++")
_LETTER_LAST = re.compile(r"([^.!?()\[\]\n]{1,80})[(\[]([A-Z])[)\]]")
_BUT = re.compile(r"\s+(?:is|was|would|could|may|might|seems?|looks?|cannot|can['’]t|does|has)\b", re.IGNORECASE)
_OTHER = re.compile(r"(?<![\w'’])([A-Z])(?![\w'’])(?! [a-z])")
_BARE_LETTER = re.compile(r"[(\[{]?([A-Za-z])[)\]}]?[.)]?")
_NEGATED = re.compile(r"(?:not|never|neither)\b", re.IGNORECASE)
_DENIED = re.compile(r"\s+(?:is|was)(?:n['’]t|\s+(?:not|wrong|incorrect|false))\b|\s*\?", re.IGNORECASE)
_GAP = '、，。：；！（） \t\n.,:;()[]*_`-–—"“'


def said(text: str, choices: Sequence[str] = (), *, exact: bool = False) -> str | None:
    """The answer in a text's own words.

    Args:
        text: what is marked as the answer, dressed as it may be.
        choices: the options. With them the longest part at the text's start that names one is taken: the whole, the
            first sentence, what stands before a reason or a comma, a letter.
        exact: the mark has an end (a box, a tag), so that all of the text is the answer where no option is named.

    Returns:
        A part of the text; "" for a blank one, None for two options or a letter with another option's text. A text that
        names no option says its first sentence, without the reason; without options "Yes, it is" says yes. Where a
        letter is the text of another option, it is the letter that is said, with its own option's text.
    """
    answer = _said(undressed(text[:WINDOW]), choices, exact)
    letter = _BARE_LETTER.fullmatch(answer or "")
    for number, (name, choice) in enumerate(zip(ascii_uppercase, choices, strict=False)):
        if letter and letter[1].upper() == name and named_options(letter[0], choices) != {number}:
            return f"{name}. {choice}"
    return answer


def _said(whole: str, choices: Sequence[str], exact: bool) -> str | None:
    clause = _clause(whole)
    parts = (whole, _first_sentence(whole), clause, without_filler(clause), undressed(_MARKED.sub("", whole, count=1)))
    for part in dict.fromkeys(parts) if choices else ():
        if named_options(part, choices):
            return part
    if last := _LETTER_LAST.fullmatch(whole):
        return _letter_last(whole, undressed(last[1]), last[2], choices)
    alternatives = _alternatives(clause, choices)
    if len({frozenset(named_options(part, choices)) for part in alternatives}) > 1:
        return None
    if alternatives:
        return alternatives[0]
    if not choices and (word := _YES_OR_NO.match(clause)):
        return word[0]
    letter = _by_letter(without_filler(whole), choices)
    return letter if letter is None else letter or (whole if exact else clause)


def _letter_last(whole: str, text: str, letter: str, choices: Sequence[str]) -> str | None:
    """The letter of "right (B)"; None where the text is another option, the whole where no option has the letter."""
    own = named_by_letter(letter, choices)
    if not own or _NEGATED.match(text) or (len(text) == 1 and text.isascii() and text.isalpha()):
        return whole
    return letter if named_options(text, choices) <= own else None


def said_alone(text: str, choices: Sequence[str] = ()) -> str | None:
    """As `said` of a text that nothing marks: where several options stand in it with their letters, it names none."""
    listed = [
        choice
        for letter, choice in zip(ascii_uppercase, choices, strict=False)
        if re.search(rf"(?<!\w){letter}[)\].:]\s*+{re.escape(choice)}", text[:WINDOW], re.IGNORECASE)
    ]
    return None if len(listed) > 1 else said(text, choices, exact=True)


def _first_sentence(text: str) -> str:
    sentences = split_sentences(text)
    return undressed(sentences[0].text) if sentences else ""


def _clause(text: str) -> str:
    """The first sentence without a reason that follows."""
    sentence = _first_sentence(text)
    reason = _REASON.search(sentence)
    return undressed(sentence[: reason.start()]) if reason and reason.start() else sentence


def without_filler(text: str) -> str:
    """The text without words like "option" or "maybe" before it."""
    filler = _FILLER.match(text)
    return undressed(text[filler.end() :]) if filler else text


def _alternatives(clause: str, choices: Sequence[str]) -> list[str]:
    """The parts "left" and "B" of "left, B, which is", as long as they name options."""
    parts = [undressed(without_filler(part)) for part in _ALTERNATIVES.split(clause, maxsplit=_MAX_PARTS)]
    return list(takewhile(lambda part: named_options(part, choices), parts))


def _by_letter(text: str, choices: Sequence[str]) -> str | None:
    """The letter that opens a text and that no other option's text follows; "" without one, None with one."""
    letter = _LETTER.match(text)
    if not letter or ascii_uppercase.index(letter[2].upper()) >= len(choices):
        return ""
    rest = text[letter.end() :]
    bracketed = letter[1] and letter[3] and (letter[2].isupper() or _ENDS.match(rest) or _GOES_ON.match(rest))
    if _DENIED.match(rest) or not (bracketed or _stands_alone(letter[2], rest)):
        return ""
    if _BUT.match(rest) and any(named_by_letter(other, choices) for other in _OTHER.findall(rest)):
        return None
    own = choices[ascii_uppercase.index(letter[2].upper())]
    after = rest.lstrip(_GAP)
    opened = [choice for choice in choices if _opens(after, choice)]
    if (opened and max(opened, key=len) != own) or named_by_letter(after, choices):
        return None
    return letter[0].rstrip("*_`")


def _stands_alone(letter: str, rest: str) -> bool:
    """Whether a letter without brackets is one, and not the article of "A cup" or "a cup"."""
    if _ENDS.match(rest):
        return letter.isupper() or not rest or rest[0] in ".:)"
    return letter.isupper() and rest[0].isspace() and (letter not in "AI" or _GOES_ON.match(rest) is not None)


def _opens(text: str, choice: str) -> bool:
    """Whether a text begins with an option's text."""
    head, after = text[: len(choice)], text[len(choice) : len(choice) + 1]
    return bool(choice) and head.casefold() == choice.casefold() and not after.isalnum()
