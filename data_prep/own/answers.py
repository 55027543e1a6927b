"""How a file names the right option: by its text, by its letter, or by its number from 0 or from 1."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from data_prep.sources import Reject
from data_prep.sources.text import clean_answer, right_choice
from easyr1_fgrpo.published.options import by_letter


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
    """The form in which the most answers name an option, an earlier one where several do; and how many do.

    Args:
        answered: answers with their options.

    Raises:
        ValueError: when the answers are numbers that may count from 0 as well as from 1.
    """
    fits = {form: sum(_fits(answer, choices, form) for answer, choices in answered) for form in Form}
    best = max(Form, key=lambda form: fits[form])
    if best in (Form.FROM_0, Form.FROM_1) and fits[Form.FROM_0] == fits[Form.FROM_1]:
        raise ValueError(
            f"answers like {answered[0][0]!r} number the options from 0 or from 1, both would do: "
            f"say --answers {Form.FROM_0} or --answers {Form.FROM_1}"
        )
    return best, fits[best]


def _fits(answer: str, choices: Sequence[str], form: Form) -> bool:
    try:
        right_option(answer, choices, form)
    except Reject:
        return False
    return True


def _number(answer: str) -> int:
    try:
        number = float(answer)  # a CSV file written by pandas has 2.0
    except ValueError:
        raise Reject("the answer is none of the choices", f"{answer!r} is no number") from None
    if not number.is_integer():
        raise Reject("the answer is none of the choices", f"{answer!r} is no whole number")
    return int(number)
