from html.parser import HTMLParser

from easyr1_fgrpo.judges.protocol import Label
from easyr1_fgrpo.report.traces.html import trace_html, trace_text, traces_html

from ..runs import rollout

HOSTILE = [
    "<script>alert(1)</script>",
    "</div></span><img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)',
    "javascript:alert(1) [click](javascript:alert(1)) ![x](http://evil.example/x.png)",
    "{{ 7 * 7 }}{% raw %}",
    "\u202edrow\u2066\u2069\u200b\x00\x1b[31m",
    "\ud800 broken \udfff",
    "# title\n\n- list\n\n```\n</pre>\n",
]


class Tags(HTMLParser):
    """What a browser would make of a text: its elements with attributes, and the text that is shown."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.text = [], ""
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data


def record_of(**changes):
    record, _ = rollout("val", 2, "fgrpo")
    return type(record).model_validate({**record.model_dump(), **changes})


def with_text(text):
    """A record that says `text` wherever a model or a judge can."""
    record = record_of()
    trace = f"{text} The cup is red."
    verdict = record.consistency.model_dump() | {"text": text, "judge": text}
    sentence = {
        "text": trace,
        "start": 0,
        "end": len(trace),
        "trivial": False,
        "verdict": verdict | {"label": "CORRECT"},
    }
    return record_of(
        question=text, choices=(text,), ground_truth=text, answer=text, trace=trace, sentences=(sentence,),
        response=f"<think>{trace}</think><answer>{text}</answer>", consistency=verdict,
    )  # fmt: skip


def spans(record):
    page = Tags(trace_html(record))
    return [attributes["title"].partition(":")[0] for tag, attributes in page.elements if "title" in attributes]


def test_sentences_have_their_verdicts_colour_and_mark():
    record = record_of()
    assert spans(record) == ["grounded", "grounded", "grounded", "skipped"]
    wrong = [sentence.model_dump() for sentence in record.sentences]
    wrong[1]["verdict"]["label"] = Label.INCORRECT
    wrong[2]["verdict"] = None
    record = record_of(sentences=wrong, consistency=record.consistency.model_dump() | {"label": Label.NO})
    assert spans(record) == ["grounded", "ungrounded", "unjudged", "skipped"]
    text = trace_text(record)
    assert [text.count(mark) for mark in "🟦🟧⬛⬜🟥🟩"] == [1, 1, 1, 1, 1, 0]
    assert "🟥 inconsistent" in trace_html(record)
    assert "consistency 1.00" in text


def test_the_whole_response_is_shown():
    record = record_of()
    shown = Tags(trace_html(record)).text
    for mark in "🟦⬜🟩":
        shown = shown.replace(f"{mark} ", "")
    assert record.response in shown


def test_hostile_text_stays_text():
    for text in HOSTILE:
        page = Tags(traces_html([with_text(text)]))
        assert {tag for tag, _ in page.elements} == {"div", "b", "span", "meta"}, text
        assert {name for _, attributes in page.elements for name in attributes} <= {
            "style",
            "title",
            "dir",
            "charset",
        }, text
        assert not set("\u202e\u2066\u200b\x00\x1b") & set(page.text), text
        assert (text.isprintable() is False) or text in page.text, text


def test_every_line_of_the_text_is_indented():
    for text in HOSTILE:
        lines = trace_text(with_text(text)).split("\n")
        assert lines.pop() == "", text
        assert all(line.startswith("    ") and line.strip() for line in lines), text


def test_a_response_without_a_trace():
    record = record_of(response="no idea", trace=None, answer=None, sentences=(), consistency=None, signals={})
    assert "no idea" in trace_html(record)
    assert "answer missing" in trace_html(record)
    assert "⬛ unjudged" in trace_text(record)
