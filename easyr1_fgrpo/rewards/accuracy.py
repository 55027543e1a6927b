"""Answer accuracy R_acc (FGRPO section 3.1): exact match after stripping case, spaces and punctuation."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from string import ascii_uppercase

_SIGN_APART = re.compile(r"^\s*-\s+(?=\.?\d)")
_NO_SIGN_NOR_POINT = re.compile(r"-(?!\.?\d)|\.(?!\d)|(?<=[^\W\d_])[-.]|\s")


def answer_matches(answer: str | None, ground_truth: str, choices: Sequence[str] = ()) -> bool:
    """Whether the answer names the ground truth: its text, its letter, or "letter. text".

    The answer is resolved to options by verbatim text, else by normal form, else by letter or letter with text; the
    first rule that fits any option decides, and every option it fits must be the ground truth. So a text wins over a
    letter (with choices B, A the answer "A" is the second one), and an answer that fits two different options is wrong.

    Args:
        answer: the rollout's answer; None, blank or mere punctuation names nothing.
        ground_truth: the right option's text.
        choices: the options' texts in order, lettered A to Z; may be empty. A ground truth that is none of them has no
            letter.

    Returns:
        R_acc as a truth value.
    """
    if answer is None or not answer.strip():
        return False
    options = list(choices) if _by_text(ground_truth, choices) else [*choices, ground_truth]
    named = _by_text(answer, options) or _by_letter(answer, choices)
    return bool(named) and named <= _by_text(ground_truth, options)


def normalize_answer(text: str) -> str:
    """NFKC and case folded; letters, marks and digits are left, and minus signs and decimal points.

    A dash is a minus sign when a number follows and no letter precedes directly ("-3", "x = -3", "3-4", not "A-3"); a
    dash set apart at the start is one too ("- 3"). A point is decimal when a digit follows and no letter precedes
    directly ("3.5", ".5", not "A.3"). Numbers are text: "3.50" is not "3.5".
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    kept = "".join(_kept(char) for char in folded)
    return _NO_SIGN_NOR_POINT.sub("", _SIGN_APART.sub("-", kept))


def _kept(char: str) -> str:
    """The character as far as it may matter: letters, marks, numbers, points, any dash as "-"; a blank for others."""
    category = unicodedata.category(char)
    if char == "−" or category == "Pd":
        return "-"
    return char if char == "." or category[0] in "LMN" else " "


def _by_text(text: str, options: Sequence[str]) -> set[int]:
    """The options of the same text, else of the same normal form."""
    if verbatim := {i for i, option in enumerate(options) if option.strip() == text.strip()}:
        return verbatim
    normal = normalize_answer(text)
    return {i for i, option in enumerate(options) if normal and normalize_answer(option) == normal}


def _by_letter(answer: str, choices: Sequence[str]) -> set[int]:
    """The choices whose letter, or letter and text, the answer gives."""
    normal = normalize_answer(answer)
    lettered = enumerate(zip(ascii_uppercase, choices, strict=False))
    return {
        i
        for i, (letter, text) in lettered
        if normal in (normalize_answer(letter), normalize_answer(f"{letter}. {text}"))
    }
