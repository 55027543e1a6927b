"""One trace as a small coloured document, for the loggers of training: HTML, and plain text where HTML is not shown.

The colours are the paper's (FGRPO appendix E), each with a mark that is read without colour. Model output stays text:
escaped, invisible characters written out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from jinja2 import Environment

from easyr1_fgrpo.report.traces.view import (
    CONSISTENT,
    GROUNDED,
    INCONSISTENT,
    SKIPPED,
    UNGROUNDED,
    UNJUDGED,
    trace_view,
)
from easyr1_fgrpo.traces import TraceRecord

MARKS = {
    GROUNDED: "🟦",
    UNGROUNDED: "🟧",
    SKIPPED: "⬜",
    UNJUDGED: "⬛",
    CONSISTENT: "🟩",
    INCONSISTENT: "🟥",
}
_COLOURS = {
    GROUNDED: "#cfe3f5",
    UNGROUNDED: "#fbd3b0",
    SKIPPED: "#ececec",
    UNJUDGED: "#ffffff",
    CONSISTENT: "#c5e8c9",
    INCONSISTENT: "#f6bcbc",
}

_TEMPLATE = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
    """\
<div style="font:14px/1.5 sans-serif;color:#111;background:#fff;padding:8px;border-bottom:1px solid #999">
<div><b>{{ view.question }}</b>{% for choice in view.choices %} · {{ choice }}{% endfor %}</div>
<div dir="auto" style="white-space:pre-wrap;unicode-bidi:isolate">
{%- for part in view.parts %}
{%- if part.state is defined -%}
<span title="{{ part.state }}{{ ': ' if part.note }}{{ part.note }}" style="background:{{ colours[part.state] }}">
{{- marks[part.state] }} {{ part.text }}</span>
{%- else %}{{ part.text }}{% endif %}
{%- endfor -%}
</div>
<div><span style="background:{{ colours[view.conclusion.state] }}">{{ marks[view.conclusion.state] }} \
{{ view.conclusion.state }}</span> · answer {{ view.answer if view.answer is not none else "missing" }} · \
right is {{ view.truth }} · {{ signals }}</div>
</div>
"""
)


def trace_html(record: TraceRecord) -> str:
    """A self-contained piece of HTML: the question, the response with its sentences coloured, the verdicts."""
    view = trace_view(record)
    return _TEMPLATE.render(view=view, marks=MARKS, colours=_COLOURS, signals=_signals(view))


def trace_text(record: TraceRecord) -> str:
    """The same as indented lines: Markdown shows an indented block as it is, whatever the trace holds."""
    view = trace_view(record)
    return "".join(f"    {line}\n" for line in _lines(view))


def traces_html(records: Iterable[TraceRecord]) -> str:
    """Several traces as one document."""
    legend = " ".join(f"{mark} {state}" for state, mark in MARKS.items())
    traces = "".join(trace_html(record) for record in records)
    return f'<!doctype html><meta charset="utf-8"><div style="font:12px sans-serif">{legend}</div>{traces}'


def _lines(view: dict[str, Any]) -> Iterator[str]:
    yield from _split([view["question"], *view["choices"]])
    for part in view["parts"]:
        mark = MARKS[part["state"]] if "state" in part else "  "
        yield from (f"{mark} {line}" for line in _split([part["text"]]))
    answer = "missing" if view["answer"] is None else view["answer"]
    conclusion = view["conclusion"]["state"]
    yield from _split([f"{MARKS[conclusion]} {conclusion} · answer {answer} · right is {view['truth']}"])
    yield from _split([_signals(view)])


def _split(texts: Iterable[str]) -> Iterator[str]:
    """Non-empty lines: an empty one would end the indented block."""
    for text in texts:
        yield from (line for line in text.splitlines() if line.strip())


def _signals(view: dict[str, Any]) -> str:
    return ", ".join(
        f"{name} {value if isinstance(value, str) else format(value, '.2f')}" for name, value in view["signals"].items()
    )
