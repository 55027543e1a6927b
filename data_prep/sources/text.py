"""Questions, options and answers as the sources write them -> as a row has them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from string import ascii_uppercase

from data_prep.sources.item import Reject
from easyr1_fgrpo.normal_form import normalize_answer, same_options
from easyr1_fgrpo.published.options import texts_after
from easyr1_fgrpo.rewards.accuracy import answer_matches
from easyr1_fgrpo.rows import IMAGE_MARK, special_token

_IMAGE_MARK = re.compile(r"<image>", re.IGNORECASE)
_MARKS_AROUND = re.compile(rf"(?:\s|{IMAGE_MARK})*(?P<text>.*?)(?:\s|{IMAGE_MARK})*", re.DOTALL)
_INSTRUCTION = re.compile(  # capitals: "does the sign answer the question" is no instruction
    r"\s*\b(?:Answer (?:the question |with |using )|Please answer |Please provide the bounding box |"
    r"Please select the correct |Select the (?:best|correct) answer|Choose the (?:best|correct) answer)[^\n]*$"
)
_OPTIONS_HEAD = re.compile(
    r"\s*(?:options|choices|select from the following choices|choose from the following)\s*[:.]?\s*$", re.IGNORECASE
)
_LINE_OPTION = re.compile(r"^[ \t]*\(?([A-Z])[.):][ \t]*(\S[^\n]*?)[ \t]*$", re.MULTILINE)
_INLINE_OPTION = re.compile(r"(?:(?<=\s)|^)(?:\(([A-Z])\)|([A-Z])[.):])\s+")
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
    while (shorter := _INSTRUCTION.sub("", text).strip()) != text:
        text = shorter
    if not text:
        raise Reject("no question")
    return no_special(text)


def clean_answer(text: str) -> str:
    """The answer without tags, image marks and a closing full stop.

    Raises:
        Reject: when nothing is left, or when it holds a special token.
    """
    text = " ".join(_TAG.sub(" ", no_special(text)).split())
    if text.endswith(".") and not text.endswith(".."):
        text = text[:-1].rstrip()
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
    """A question and the options written in it, as lines (`A. four`) or running (`(A) four (B) five`).

    Options are lettered from A without a gap and end the text, but for an instruction.

    Returns:
        The cleaned question and the options; none when there are fewer than two.
    """
    text = tidy(_IMAGE_MARK.sub(" ", text))
    found = _run([(m.group(1), m.start(), m.group(2)) for m in _LINE_OPTION.finditer(text)])
    if not found:
        marks = list(_INLINE_OPTION.finditer(text))
        options = zip(marks, texts_after(marks, text), strict=True)
        found = _run([(mark[1] or mark[2], mark.start(), option) for mark, option in options])
    if not found:
        return clean_question(text), ()
    question = clean_question(text[: found[0][1]])
    choices = tuple(clean_choice(_INSTRUCTION.sub("", option)) for _, _, option in found)
    return _OPTIONS_HEAD.sub("", question).strip() or question, choices


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


def is_letter(answer: str) -> bool:
    """Whether an answer is an option's letter, like `(B)`."""
    return re.fullmatch(r"\(?[A-Za-z]\)?[.:]?", answer.strip()) is not None


def tidy(text: str) -> str:
    """Lines kept, runs of blanks within them made one."""
    lines = (" ".join(line.split()) for line in text.splitlines())
    return "\n".join(line for line in lines if line)


def _run(found: list[tuple[str, int, str]]) -> list[tuple[str, int, str]]:
    """The options lettered A, B, C, ... at the end of what looks like options; empty when there are not two."""
    letters = [letter for letter, _, _ in found]
    if "A" not in letters:
        return []
    run = found[len(letters) - 1 - letters[::-1].index("A") :]
    lettered = "".join(letter for letter, _, _ in run) == ascii_uppercase[: len(run)]
    return run if lettered and len(run) >= 2 else []
