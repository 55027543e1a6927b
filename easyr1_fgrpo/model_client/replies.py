"""What OpenAI-compatible servers send as a chat completion: text, thinking, or an error in a good answer's place."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from easyr1_fgrpo.chat_marks import with_think_tags, without_boxes, without_end_tokens

_REASONING = ("reasoning_content", "reasoning")
"""Where servers put a model's thinking beside `content`: vLLM and DeepSeek, newer vLLM and OpenRouter."""

_WORDS = ("text", "thinking", "thought", "reasoning", "summary", "refusal")
"""Where a part of a content has its words."""

_EMPTY_THOUGHT = re.compile(r"\A\s*+<think>\s*+</think>\s*+")
_THINKING_PART = re.compile(r"(?:redacted_)?(?:thinking|thought|reasoning)\b|reasoning_", re.IGNORECASE)
_FENCE = re.compile(r"```[\w-]*\s*(.*?)\s*```", re.DOTALL)


@dataclass(frozen=True)
class Reply:
    """The model's reply.

    Attributes:
        text: "" where there is none, as from a model that was cut off while it thought.
        finish_reason: why it stopped.
        prompt_tokens, completion_tokens: as the server counts them; 0 where it does not.
        reasoning: its thinking, where the server sends it apart from the text.
    """

    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    reasoning: str = ""

    @property
    def whole(self) -> str:
        """Thinking and text as the model wrote them: `<think>...</think>` and the text.

        Thinking alone of a model that stopped by itself is its text: a server's parser took all of it for thinking, as
        vLLM's does where thinking is off.
        """
        text = _EMPTY_THOUGHT.sub("", self.text, count=1) if self.reasoning else self.text
        if not self.reasoning or text.lstrip().startswith("<think>"):
            return text
        if text:
            return f"<think>\n{self.reasoning}\n</think>\n{text}"
        return self.reasoning if self.finish_reason == "stop" else f"<think>\n{self.reasoning}"


class ErrorReply(Exception):  # noqa: N818 - what a server says
    """An error object in a reply of status 200.

    Attributes:
        status: the status of HTTP that it means; 200 where it names none.
        text: the object's JSON.
    """

    def __init__(self, error: Any) -> None:
        self.text = error if isinstance(error, str) else json.dumps(error)
        code = error.get("code", error.get("status")) if isinstance(error, dict) else None
        known = str(code).isdecimal() and 400 <= int(str(code)) < 600
        refused = isinstance(error, dict) and error.get("type") == "invalid_request_error"
        self.status = int(str(code)) if known else 400 if refused else 200
        super().__init__(self.text)


def read_reply(content: bytes) -> Reply:
    """The parts of a chat completion that count.

    Raises:
        ErrorReply: when it is an error.
        ValueError: when it is none.
    """
    completion = json.loads(content)
    match completion:
        case {"error": error} if error:
            raise ErrorReply(error)
        case {"object": "error"} | {"choices": [{"error": {}}, *_]}:
            raise ErrorReply(completion if "object" in completion else completion["choices"][0]["error"])
        case {"choices": [{"finish_reason": "error"}, *_]}:
            raise ErrorReply("its finish_reason is error")
        case {"choices": [{"message": {} | None as message, **choice}, *_]}:
            message = message or {}  # null where a filter took it
            text, thinking = _content(message.get("content"))
            apart = next(
                (message[name] for name in _REASONING if message.get(name) and isinstance(message[name], str)), ""
            )
            refusal, details = message.get("refusal"), message.get("reasoning_details")
            thinking = thinking or (_content(details)[1] if isinstance(details, list) else "")
            usage = completion.get("usage")
            return Reply(
                text or (refusal if isinstance(refusal, str) else ""),
                str(choice.get("finish_reason")),
                _count(usage, "prompt_tokens"),
                _count(usage, "completion_tokens"),
                apart or thinking,
            )
    raise ValueError("its JSON lacks choices[0].message")


def plain(text: str) -> str:
    """What a model says besides its thinking: behind the last end of a thinking block, out of a code fence or stars."""
    text = without_end_tokens(without_boxes(with_think_tags(text).rpartition("</think>")[2])).strip()
    fenced = _FENCE.fullmatch(text)
    return (fenced[1] if fenced else text).strip().strip("*`")


def _content(content: Any) -> tuple[str, str]:
    """Text and thinking of a content: a text, nothing, or a list of parts."""
    if content is None or isinstance(content, str):
        return content or "", ""
    if not isinstance(content, list):
        raise ValueError("its choices[0].message.content is neither a text nor a list of parts")
    text: list[str] = []
    thinking: list[str] = []
    for part in content:
        said = part if isinstance(part, str) else _said(part)
        (thinking if _is_thinking(part) else text).append(said)
    return "".join(text), "".join(thinking)


def _is_thinking(part: Any) -> bool:
    """Whether a part of a content is thinking: by its type, or as Gemini marks it."""
    return isinstance(part, dict) and (part.get("thought") is True or bool(_THINKING_PART.match(str(part.get("type")))))


def _said(part: Any) -> str:
    """The words of a part; Mistral's thinking is a list of parts again."""
    if isinstance(part, str):
        return part
    if not isinstance(part, dict):
        return ""
    words = next((part[name] for name in _WORDS if name in part), "")
    return "".join(map(_said, words)) if isinstance(words, list) else _said(words)


def _count(usage: Any, name: str) -> int:
    """A count of tokens; 0 where the server gives none that is one."""
    count = usage.get(name) if isinstance(usage, dict) else None
    return count if type(count) is int and 0 <= count < 10**9 else 0
