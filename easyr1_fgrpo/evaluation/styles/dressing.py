r"""What stands around an answer and says nothing: Markdown, LaTeX, tags, a full stop.

Model output is hostile text: every pattern here is linear in its length and no text raises.
"""

from __future__ import annotations

import re

DRESSING = "*_`#$" + "".join(char for char in map(chr, range(0x3001)) if char.isspace())
"""Characters that are taken off both ends: Markdown, dollars, white space."""

_WRAPPED = re.compile(
    r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mbox|boxed)[ \t]*+\{([^{}]*+(?:\{.*)?)\}"
    r"|\\\((.*)\\\)|\\\[(.*)\\\]|<answer>(.*)</answer>|“(.*)”|\"([^\"]*+)\"",
    re.DOTALL,
)
_OPEN_TAG = re.compile(
    r"(?:<answer>|</?(?:b|i|u|p|em|br|strong|code|span|mark|center)\s*+/?>"
    r"|[✅✔☑👉🎯🔹🔸💡⭐📌]\N{VARIATION SELECTOR-16}?+)"
    r"\s*+(?=\S)|[-•]\s++(?=[A-Za-z(*\[])",
    re.IGNORECASE,
)
_CLOSE_TAG = re.compile(
    r"(?:</answer>|</?(?:b|i|u|p|em|br|strong|code|span|mark|center) ?/?>|(?P<math>(?<=\s)\\[\])]))\Z", re.IGNORECASE
)
_TAG_LENGTH = 12
_CLOSING_STOP = re.compile(r"(?<![.\s])[.。]\Z")
_MAX_LAYERS = 6


def undressed(answer: str) -> str:
    r"""The answer without Markdown, LaTeX and a closing full stop: "**B**.", "\(\text{B}\)" and "$B$" are "B"."""
    for _ in range(_MAX_LAYERS):
        before = answer
        answer = answer.strip(DRESSING)
        if opened := _OPEN_TAG.match(answer):
            answer = answer[opened.end() :]
        if closed := _CLOSE_TAG.search(answer, max(0, len(answer) - _TAG_LENGTH)):
            answer = answer if closed["math"] and answer.startswith(("\\[", "\\(")) else answer[: closed.start()]
        answer = _CLOSING_STOP.sub("", answer)
        if wrapped := _WRAPPED.fullmatch(answer):
            answer = next(inner for inner in wrapped.groups() if inner is not None)
        if answer == before:
            break
    return answer.strip(DRESSING)
