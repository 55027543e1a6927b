"""Questions, options and answers as the sources write them -> as a row has them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from string import ascii_uppercase

from data_prep.sources.item import Reject
from easyr1_fgrpo.normal_form import named_by_text, normalize_answer, same_options
from easyr1_fgrpo.published.option_fields import is_letter
from easyr1_fgrpo.published.options import numbered_options
from easyr1_fgrpo.published.options import split_options as options_in
from easyr1_fgrpo.rewards.accuracy import answer_matches, named_by_letter
from easyr1_fgrpo.rows import IMAGE_MARK, special_token

_IMAGE_MARK = re.compile(r"<image(?:[ _]?\d+)?>", re.IGNORECASE)
"""`<image>`, and MMMU's `<image 1>`."""
_MARKS_AROUND = re.compile(rf"(?:\s|{IMAGE_MARK})*(?P<text>.*?)(?:\s|{IMAGE_MARK})*", re.DOTALL)
_HOW_TO_ANSWER = (  # capitals: "does the sign answer the question" is no instruction
    r"\b(?:Answer (?:the question |with |using )|Please answer (?!wh|how )|Please provide the bounding box |"
    r"Please (?:choose|select|pick)(?: one\b| the (?:best|correct|right) |[.:]|$)|"
    r"Select the (?:best|correct) answer|Choose the (?:best|correct) answer)"
)
_INSTRUCTION = re.compile(
    rf"{_HOW_TO_ANSWER}|^(?i:(?:please )?(?:answer|choose|select|pick) (?:with|using|by|directly|one|"
    r"the (?:best |correct |right )?(?:letter|answer|option|choice))\b)"
)
_FIRST_LINE = re.compile(rf"{_HOW_TO_ANSWER}[^\n?]*\n")
_ASKS_BEHIND = re.compile(r"[^.:!?]*(?::|[.!](?=[^?]*\?))\s*(.*\w.*)", re.DOTALL)
_SENTENCE_END = re.compile(r"(?<=[.!])\s+(?=[\"'(]?[A-Z(])")
_MORE_HOW = re.compile(
    r"(?:Do not|Don't|Only|Just|No|Use|Give|Write|Output|Explain|Think|Answer|Please|Select|Choose|Provide|Put|Return|"
    r"Reply|Respond|Keep|Be|(?:Your|The) (?:final )?answer|Format|End|Enclose)\b"
)
_BARE_ANSWER = re.compile(r"\**\bAnswer\**[:：]\**\s*\Z", re.IGNORECASE)
_GIVEN = re.compile(
    r"(?:^|[.!)]\s)\W{0,4}(?i:(?:the )?(?:correct |right |final |ground truth )?(?:answer|solution)"
    r"(?:\W{0,3}[:：]|\s+is\s(?!either|one of|an? |the |in |to ))\W{0,4}\w)|\bAnswer\W{0,3}[:：]\W{0,4}\w"
)
"""An answer written in the question. Read from the last question mark of a line on."""

_MAX_PASSES = 5
"""One pass may uncover what another one reads; the text may be hostile."""

_DRESSING = re.compile(r"\${0,2}\\(?:boxed|text|textbf|mathrm)\{([^{}]*)\}\${0,2}")
_MARKDOWN = re.compile(r"(\*{1,3}|__|`{1,3})(?![\s*`])([^*`]*[^\s*`])\1")
_HTML = re.compile(r"<(answer|b|i|u|p|em|strong|span|div)>([^<>]*)</\1>", re.IGNORECASE)
_NUMBER = re.compile(r"\(?(\d{1,2})\)?[.:)]?(?:\s+(\S.*))?", re.DOTALL)
_NO_TEXT = re.compile(r"<image(?:[ _]?\d+)?>|<br ?/?>|</?answer>", re.IGNORECASE)


def without_marks(text: str, images: int) -> str:
    """The text of a prompt whose image marks agree with its images and stand before or after it.

    Raises:
        Reject: when they do not, or when there is no image.
    """
    if not images:
        raise Reject("no image")
    text = _IMAGE_MARK.sub(IMAGE_MARK, text)
    if (marks := text.count(IMAGE_MARK)) != images:
        raise Reject("marks and images differ in number", f"{marks} {IMAGE_MARK} marks, {images} images")
    found = _MARKS_AROUND.fullmatch(text)
    assert found is not None
    if IMAGE_MARK in found["text"]:
        raise Reject("an image inside the text", found["text"])
    return found["text"]


def has_marks(text: str) -> bool:
    """Whether a text says where its images are."""
    return _IMAGE_MARK.search(text) is not None


def clean_question(text: str) -> str:
    """The question without image marks and without the source's instruction on how to answer.

    The instruction belongs to the source's own model; ours stands in the system turn
    (`easyr1_fgrpo.task_prompt.INSTRUCTION`).

    Raises:
        Reject: when nothing is left, when the answer is written in it, or when it holds a token that models and
            trainers give a meaning to.
    """
    text = tidy(_IMAGE_MARK.sub(" ", text))
    for _ in range(_MAX_PASSES):
        if (shorter := _without_instruction(text).strip()) == text:
            break
        text = shorter
    if not text:
        raise Reject("no question")
    _refuse_given(text)
    return no_special(text)


def _refuse_given(text: str) -> None:
    for line in text.splitlines():
        if found := _GIVEN.search(line[line.rfind("?") + 1 :]):
            raise Reject("the answer is written in the question", found.string)


def _without_instruction(text: str) -> str:
    """The text without an instruction at its end or in its first line; the question behind one and notes are kept."""
    if first := _FIRST_LINE.match(text):
        return text[first.end() :]
    if bare := _BARE_ANSWER.search(text, max(0, len(text) - 20)):
        return text[: bare.start()]
    start = text.rfind("\n") + 1
    if not (found := _INSTRUCTION.search(text[start:])):
        return text
    before, said = text[: start + found.start()].strip(), text[start + found.start() :]
    if "?" not in said and (before or ":" not in said):
        return f"{before} {_notes(said)}"
    behind = _ASKS_BEHIND.fullmatch(said)
    if behind:
        return f"{before} {behind[1]}"
    return text if "?" in said else before


def _notes(said: str) -> str:
    """The sentences behind an instruction that say nothing of how to answer."""
    return " ".join(sentence for sentence in _SENTENCE_END.split(said)[1:] if not _MORE_HOW.match(sentence))


def clean_answer(text: str) -> str:
    """The answer without image marks, a closing full stop, and the tags, Markdown or LaTeX's dressing around it.

    Only what is around the whole answer dresses it: `2**3`, `C*` and `x<y>z` are answers.

    Raises:
        Reject: when nothing is left, or when it holds a special token.
    """
    text = " ".join(_NO_TEXT.sub(" ", no_special(text)).split())
    for _ in range(_MAX_PASSES):
        if (plainer := _undressed(_without_stop(text))) == text:
            break
        text = plainer
    if normalize_answer(text) in ("", "-"):  # a dash alone stands for a missing value
        raise Reject("no answer")
    return text


def _undressed(text: str) -> str:
    for around in (_MARKDOWN, _HTML):
        if found := around.fullmatch(text):
            text = found[2].strip()
    return _DRESSING.sub(r"\1", text)


def clean_choice(text: str) -> str:
    """An option's text on one line.

    Raises:
        Reject: when it holds a special token or an image.
    """
    if has_marks(text):
        raise Reject("an image in an option", text)
    return " ".join(no_special(text).split())


def no_special(text: str) -> str:
    """The text itself.

    Raises:
        Reject: when it holds a `special_token`.
    """
    if token := special_token(text):
        raise Reject("special token in the text", token)
    return text


def split_options(text: str) -> tuple[str, tuple[str, ...]]:
    """A question and the options written in it (`easyr1_fgrpo.published.options`), both cleaned.

    Raises:
        Reject: as `clean_question`.
    """
    text = _IMAGE_MARK.sub(" ", text)
    question, options = options_in(text)
    if not options:
        question, options = numbered_options(text)
    for option in options:
        _refuse_given(option)
    if options and (found := _INSTRUCTION.search(options[-1])) and found.start():
        last, said = options[-1][: found.start()].strip(), options[-1][found.start() :]
        question, options = f"{question}\n{_notes(said)}", (*options[:-1], last)
    return clean_question(question), tuple(map(clean_choice, options))


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


def answer_by_number(answer: str, text: str, choices: Sequence[str]) -> str:
    """The answer, or the text of the option that it names by its number in the question's text: `2`, `(2)`, `2. right`.

    Raises:
        Reject: when it is one option's number and another one's text.
    """
    found = _NUMBER.fullmatch(answer.strip())
    if not found or int(found[1]) not in range(1, len(choices) + 1) or options_in(text)[1]:
        return answer
    option = choices[int(found[1]) - 1]
    if found[2]:
        return option if normalize_answer(found[2]) == normalize_answer(option) else answer
    if (named := named_by_text(found[1], choices)) and named != {int(found[1]) - 1}:
        raise Reject("the number of an option and the text of another", f"{answer!r}, choices {list(choices)}")
    return option


def _refuse_two_meanings(answer: str, choices: Sequence[str]) -> None:
    by_text, by_letter = named_by_text(answer, choices), named_by_letter(answer, choices)
    if by_text and by_letter and by_text != by_letter:
        raise Reject("the letter of an option and the text of another", f"{answer!r}, choices {list(choices)}")


def question_and_answer(text: str, answer: str) -> tuple[str, tuple[str, ...], str]:
    """A question with its options in it, and its answer.

    Returns:
        The question, the options' texts (none for a free answer), and the answer: the right option's text, or free.

    Raises:
        Reject: when the answer is none, none of the options, or a letter without options.
    """
    question, choices = split_options(text)
    answer = answer_by_number(clean_answer(answer), text, choices)
    _refuse_two_meanings(answer, choices)
    if not choices and is_letter(answer):
        raise Reject("a letter without options", f"{answer!r} to {question!r}")
    return question, choices, right_choice(answer, choices) if choices else answer


def tidy(text: str) -> str:
    """Lines kept, runs of blanks within them made one."""
    lines = (" ".join(line.split()) for line in text.splitlines())
    return "\n".join(line for line in lines if line)
