r"""What chat families write around thinking, answers and turns, as one family writes it.

Model output is hostile text: every pattern here is linear in its length and no text raises.
"""

from __future__ import annotations

import re

_NAME = r"(?:think|thinking|thoughts?|reasoning|seed:think)"
_MARK = re.compile(
    rf"(?P<open><{_NAME}>|\[THINK\]|◁think▷|<\|(?:begin_of_thought|START_THINKING)\|>|<unused94>|<\|channel>thought\b)"
    rf"|(?P<close></{_NAME}>|\[/THINK\]|◁/think▷|<\|(?:end_of_thought|END_THINKING)\|>|<unused95>|<channel\|>)"
    r"|(?:<\|start\|>assistant)?+<\|channel\|>(?:(?P<channel>analysis|commentary)|final)[^<\n]{0,80}+"
    r"(?:<\|constrain\|>[^<\n]{0,80}+)?+<\|message\|>"
    r"|(?P<end><\|end\|>)",
    re.IGNORECASE,
)
_TURN_END = re.compile(
    r"<\|(?:im_end|im_start|endoftext|end_of_text|eot_id|eom_id|eot|end_of_turn|endofturn|return|end|user|observation)\|>"
    r"|<｜(?:end▁of▁sentence|User)｜>|</s>|<(?:eos|end_of_turn|start_of_turn|end_of_utterance|turn\|)>",
    re.IGNORECASE,
)
_LEADING = re.compile(rf"(?:\s|{_TURN_END.pattern})*+", re.IGNORECASE)
_END_TOKEN = re.compile(
    r"<\|[^<>|]{1,40}\|>|<｜[^<>｜]{1,40}｜>|</s>|<(?:eos|pad|eoa|end_of_turn|end_of_utterance|turn\|)>", re.IGNORECASE
)
_END_TOKEN_LENGTH = 44
_ANSWER_BOX = re.compile(r"<\|(?:begin|end)_of_box\|>")


def with_think_tags(text: str) -> str:
    """A reply whose thinking stands in `<think>` and `</think>`, whatever its family writes.

    Known are `<thinking>`, `<thought>`, `<reasoning>`, `[THINK]` (Mistral), `◁think▷` (Kimi), `<seed:think>`, the
    tokens of OpenThinker, Command A and Gemma, and the channels of gpt-oss: all but the final one are thinking.
    """
    thinking = False

    def plain(mark: re.Match[str]) -> str:
        nonlocal thinking
        if mark["end"] and not thinking:
            return mark[0]
        was, thinking = thinking, bool(mark["channel"])
        if mark["open"] or (mark["channel"] and not was):
            return "<think>"
        if mark["close"] or mark["end"] or was != thinking:
            return "</think>"
        return ""

    return _MARK.sub(plain, text)


def with_boxed(text: str) -> str:
    r"""A reply with `\boxed{B}` for the answer box of GLM, `<|begin_of_box|>B<|end_of_box|>`."""
    return _ANSWER_BOX.sub(lambda mark: r"\boxed{" if "begin" in mark[0] else "}", text)


def without_boxes(text: str) -> str:
    """A text without the marks of GLM's answer box."""
    return _ANSWER_BOX.sub("", text)


def without_end_tokens(text: str) -> str:
    """A response without what chat templates end a turn with, like `<|im_end|>` or `</s>`, and white space."""
    end = len(text)
    while True:
        while end and text[end - 1].isspace():
            end -= 1
        start = text.rfind("<", max(0, end - _END_TOKEN_LENGTH), end)
        if start < 0 or _ANSWER_BOX.match(text, start) or not _END_TOKEN.fullmatch(text, start, end):
            return text[:end]
        end = start


def first_turn(text: str) -> str:
    """A response up to the first token that ends a turn or begins another one: what a model ran on with is not its."""
    leading = _LEADING.match(text)
    ended = _TURN_END.search(text, leading.end() if leading else 0)
    return without_end_tokens(text[: ended.start()] if ended else text)
