"""Which family of models a judge belongs to: a judge that shares the training judge's family shares its blind spots."""

from __future__ import annotations

import re

_FAMILIES = {
    "qwen": "qwen|qwq|qvq",
    "gpt": "gpt|chatgpt|o[1345](?![a-z0-9])",
    "gemini": "gemini",
    "gemma": "gemma|paligemma",
    "claude": "claude",
    "llama": "llama|vicuna",
    "llava": "llava",
    "internvl": "internvl|internlm",
    "mistral": "mistral|mixtral|pixtral|ministral|magistral",
    "deepseek": "deepseek",
    "glm": "glm|chatglm|cogvlm",
    "minicpm": "minicpm",
    "molmo": "molmo",
    "phi": "phi(?=[-_ ]?[0-9])",
    "kimi": "kimi",
    "grok": "grok",
}
_PATTERNS = {family: re.compile(rf"(?<![a-z0-9])(?:{pattern})") for family, pattern in _FAMILIES.items()}


def families(judge: str) -> frozenset[str]:
    """The families that a judge's name tells of: several for a model made from others (a distilled or joined one).

    A name that tells of none is a family of its own.
    """
    name = judge.strip().lower()
    return frozenset(family for family, pattern in _PATTERNS.items() if pattern.search(name)) or frozenset({name})


def shared_family(first: str, second: str) -> str | None:
    """A family that both judges belong to, or None."""
    return min(families(first) & families(second), default=None)
