"""The pages for users, as Markdown: their links, their headings' anchors, their code blocks."""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[3]
PAGES = sorted(
    page
    for pattern in ("*.md", "docs/**/*.md", "recipes/**/*.md", "data_prep/*.md", "docker/*.md")
    for page in ROOT.glob(pattern)
)

_PARSER = MarkdownIt().enable("table")


def tokens(text: str) -> Iterator[Token]:
    for token in _PARSER.parse(text):
        yield token
        yield from token.children or ()


def targets(text: str) -> list[str]:
    """Where links and pictures point."""
    found = [token.attrGet("href") or token.attrGet("src") for token in tokens(text)]
    return [str(target) for target in found if target]


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives the headings."""
    parsed = _PARSER.parse(text)
    found: set[str] = set()
    for opening, inline in pairwise(parsed):
        if opening.type == "heading_open":
            slug = re.sub(r"[^\w\- ]", "", _shown(inline).lower()).replace(" ", "-")
            repeats = sum(1 for anchor in found if re.fullmatch(rf"{re.escape(slug)}(-\d+)?", anchor))
            found.add(f"{slug}-{repeats}" if repeats else slug)
    return found


def blocks(text: str, language: str) -> list[str]:
    """The contents of the code blocks of a language."""
    fences = [token for token in tokens(text) if token.type == "fence"]
    return [fence.content for fence in fences if fence.info.strip() == language]


def tables(text: str) -> Iterator[tuple[str, list[list[str]]]]:
    """Every table with the heading above it: its lines of cells, the titles first, all without their backticks."""
    heading, parsed = "", _PARSER.parse(text)
    lines: list[list[str]] = []
    for token, inner in pairwise(parsed):
        if token.type == "heading_open":
            heading = _shown(inner)
        elif token.type == "table_open":
            lines = []
        elif token.type == "tr_open":
            lines.append([])
        elif token.type in ("th_open", "td_open"):
            lines[-1].append(_shown(inner))
        if inner.type == "table_close":
            yield heading, lines


def _shown(inline: Token) -> str:
    return "".join(child.content for child in inline.children or ())
