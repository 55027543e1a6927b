"""How a file names the right option: by its text, by its letter, or by its number from 0 or from 1."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from data_prep.sources import Reject
from data_prep.sources.text import clean_answer, right_choice
from easyr1_fgrpo.published.option_fields import by_letter


class Form(StrEnum):
    """A way to name the right option."""

    TEXT = "text"
    """Its text, or the letter where no option has that text."""
    LETTER = "letter"
    """Its letter, whatever the options' texts are."""
    FROM_0 = "index0"
    FROM_1 = "index1"


def right_option(answer: str, choices: Sequence[str], form: Form) -> str:
    """The option that an answer names.

    Raises:
        Reject: when it names none.
    """
    if form is Form.TEXT:
        return right_choice(clean_answer(answer), choices)
    if form is Form.LETTER:
        try:
            return by_letter(answer, choices)
        except ValueError as error:
            raise Reject("the answer is none of the choices", str(error)) from None
    number = _number(answer) - (form is Form.FROM_1)
    if not 0 <= number < len(choices):
        raise Reject("the answer is none of the choices", f"{answer!r} of {len(choices)}, as {form.value}")
    return choices[number]


def guess_form(answered: Sequence[tuple[str, Sequence[str]]]) -> tuple[Form, int]:
    """The form in which the most answers name an option, and how many do; letters are letters where all answers are.

    Args:
        answered: answers with their options.

    Raises:
        ValueError: when the answers would name other options if they were read in another way that fits as well.
    """
    named = {form: [_named(answer, choices, form) for answer, choices in answered] for form in Form}
    fits = {form: len(options) - options.count(None) for form, options in named.items()}
    best = max((Form.LETTER, Form.TEXT, Form.FROM_0, Form.FROM_1), key=lambda form: fits[form])
    as_good = [form for form in Form if fits[form] == fits[best]]
    if any(named[form] != named[as_good[0]] for form in as_good):
        raise ValueError(
            f"answers like {answered[0][0]!r} may be read as {' or '.join(_WORDS[form] for form in as_good)}, and name "
            f"other options then: say {' or '.join(f'--answers {form}' for form in as_good)}"
        )
    return best, fits[best]


_WORDS = {
    Form.TEXT: "the option's text",
    Form.LETTER: "its letter",
    Form.FROM_0: "its number from 0",
    Form.FROM_1: "its number from 1",
}


def _named(answer: str, choices: Sequence[str], form: Form) -> str | None:
    try:
        return right_option(answer, choices, form)
    except Reject:
        return None


def _number(answer: str) -> int:
    try:
        number = float(answer)  # a CSV file written by pandas has 2.0
    except ValueError:
        raise Reject("the answer is none of the choices", f"{answer!r} is no number") from None
    if not number.is_integer():
        raise Reject("the answer is none of the choices", f"{answer!r} is no whole number")
    return int(number)
