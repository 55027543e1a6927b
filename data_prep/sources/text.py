"""Questions, options and answers as the sources write them -> as a row has them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from string import ascii_uppercase

from data_prep.sources.item import Reject
from easyr1_fgrpo.normal_form import normalize_answer, same_options
from easyr1_fgrpo.published.options import is_letter
from easyr1_fgrpo.published.options import split_options as options_in
from easyr1_fgrpo.rewards.accuracy import answer_matches
from easyr1_fgrpo.rows import IMAGE_MARK, special_token

_IMAGE_MARK = re.compile(r"<image>", re.IGNORECASE)
_MARKS_AROUND = re.compile(rf"(?:\s|{IMAGE_MARK})*(?P<text>.*?)(?:\s|{IMAGE_MARK})*", re.DOTALL)
_HOW_TO_ANSWER = (  # capitals: "does the sign answer the question" is no instruction
    r"\b(?:Answer (?:the question |with |using )|Please answer (?!wh|how )|Please provide the bounding box |"
    r"Please select the correct |Select the (?:best|correct) answer|Choose the (?:best|correct) answer)"
)
_INSTRUCTION = re.compile(rf"\s*{_HOW_TO_ANSWER}[^\n]*$")
_FIRST_LINE = re.compile(rf"{_HOW_TO_ANSWER}[^\n?]*\n")
_ASKS_BEHIND = re.compile(r"[^.:!?]*(?::|[.!](?=[^?]*\?))\s*(.*\w.*)", re.DOTALL)
_DRESSING = re.compile(r"\$*\\(?:boxed|text|textbf|mathrm)\{([^{}]*)\}\$*")
_TAG = re.compile(r"</?[a-z_]+>", re.IGNORECASE)


def without_marks(text: str, images: int) -> str:
    """The text of a prompt whose image marks agree with its images and stand before or after it.

    Raises:
        Reject: when they do not, or when there is no image.
    """
    if not images:
        raise Reject("no image")
    if (marks := text.count(IMAGE_MARK)) != images:
        raise Reject("marks and images differ in number", f"{marks} {IMAGE_MARK} marks, {images} images")
    found = _MARKS_AROUND.fullmatch(text)
    assert found is not None
    if IMAGE_MARK in found["text"]:
        raise Reject("an image inside the text", found["text"])
    return found["text"]


def clean_question(text: str) -> str:
    """The question without image marks and without the source's instruction on how to answer.

    The instruction belongs to the source's own model; ours stands in the system turn
    (`easyr1_fgrpo.task_prompt.INSTRUCTION`).

    Raises:
        Reject: when nothing is left, or when it holds a token that models and trainers give a meaning to.
    """
    text = tidy(_IMAGE_MARK.sub(" ", text))
    while (shorter := _without_instruction(text).strip()) != text:
        text = shorter
    if not text:
        raise Reject("no question")
    return no_special(text)


def _without_instruction(text: str) -> str:
    """The text without an instruction at its end or in its first line; the question behind one is kept."""
    if first := _FIRST_LINE.match(text):
        return text[first.end() :]
    if not (found := _INSTRUCTION.search(text)):
        return text
    before, said = text[: found.start()].strip(), found.group().strip()
    if "?" not in said and (before or ":" not in said):
        return before
    behind = _ASKS_BEHIND.fullmatch(said)
    if behind:
        return f"{before} {behind[1]}"
    return text if "?" in said else before


def clean_answer(text: str) -> str:
    """The answer without tags, image marks, Markdown, LaTeX's dressing and a closing full stop.

    Raises:
        Reject: when nothing is left, or when it holds a special token.
    """
    text = " ".join(_TAG.sub(" ", no_special(text)).split())
    while (plainer := _DRESSING.sub(r"\1", _without_stop(text.replace("**", "").strip("*` ")))) != text:
        text = plainer
    if normalize_answer(text) in ("", "-"):  # a dash alone stands for a missing value
        raise Reject("no answer")
    return text


def clean_choice(text: str) -> str:
    """An option's text on one line, without image marks.

    Raises:
        Reject: when it holds a special token.
    """
    return " ".join(_IMAGE_MARK.sub(" ", no_special(text)).split())


def no_special(text: str) -> str:
    """The text itself.

    Raises:
        Reject: when it holds a `special_token`.
    """
    if token := special_token(text):
        raise Reject("special token in the text", token)
    return text


def split_options(text: str) -> tuple[str, tuple[str, ...]]:
    """A question and the options written in it (`easyr1_fgrpo.published.options.split_options`), both cleaned."""
    question, options = options_in(_IMAGE_MARK.sub(" ", text))
    return clean_question(question), tuple(clean_choice(_INSTRUCTION.sub("", option) or option) for option in options)


def _without_stop(text: str) -> str:
    return text[:-1].rstrip() if text.endswith(".") and not text.endswith("..") else text


def right_choice(answer: str, choices: Sequence[str]) -> str:
    """The choice that the answer names, by text or letter.

    Raises:
        Reject: when it names none, when two choices are the same answer, or when there are fewer than two.
    """
    if len(choices) < 2:
        raise Reject("fewer than two choices", repr(list(choices)))
    if len(choices) > len(ascii_uppercase):
        raise Reject("too many choices", str(len(choices)))
    if same := same_options(choices):
        raise Reject("two choices are the same answer", f"{same[0]!r} and {same[1]!r}")
    if answer in choices:
        return answer
    for choice in choices:
        if answer_matches(answer, choice, choices):
            return choice
    raise Reject("the answer is none of the choices", f"{answer!r}, choices {list(choices)}")


def question_and_answer(text: str, answer: str) -> tuple[str, tuple[str, ...], str]:
    """A question with its options in it, and its answer.

    Returns:
        The question, the options' texts (none for a free answer), and the answer: the right option's text, or free.

    Raises:
        Reject: when the answer is none, none of the options, or a letter without options.
    """
    question, choices = split_options(text)
    answer = clean_answer(answer)
    if not choices and is_letter(answer):
        raise Reject("a letter without options", f"{answer!r} to {question!r}")
    return question, choices, right_choice(answer, choices) if choices else answer


def tidy(text: str) -> str:
    """Lines kept, runs of blanks within them made one."""
    lines = (" ".join(line.split()) for line in text.splitlines())
    return "\n".join(line for line in lines if line)
