"""Answer accuracy R_acc (FGRPO section 3.1): exact match in the one normal form of answers."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_uppercase

from easyr1_fgrpo.normal_form import named_by_text, normalize_answer


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
    options = list(choices) if named_by_text(ground_truth, choices) else [*choices, ground_truth]
    named = named_by_text(answer, options) or named_by_letter(answer, choices)
    return bool(named) and named <= named_by_text(ground_truth, options)


def named_options(answer: str, choices: Sequence[str]) -> set[int]:
    """The choices that an answer names, by text or else by letter; see `answer_matches`."""
    return named_by_text(answer, choices) or named_by_letter(answer, choices)


def named_by_letter(answer: str, choices: Sequence[str]) -> set[int]:
    """The choices whose letter, or letter and text, the answer gives."""
    normal = normalize_answer(answer)
    lettered = enumerate(zip(ascii_uppercase, choices, strict=False))
    return {i for i, (letter, text) in lettered if normal in (letter.lower(), normalize_answer(f"{letter}. {text}"))}
