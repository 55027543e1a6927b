"""What stands on a page: its elements, its numbers, and the JSON packed in it."""

import gzip
import json
from base64 import b64decode
from html.parser import HTMLParser

VOID = {"meta", "link", "input", "img", "br", "hr"}


class Page(HTMLParser):
    """Elements in order as (tag, attributes), the text of scripts by id, and tables as rows of (text, data-value)."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.elements, self.scripts, self.tables = [], {}, {}
        self._open, self._cell, self._text = [], None, []
        self.feed(html)
        self.close()
        self.text = "".join(self._text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.elements.append((tag, attributes))
        if tag not in VOID:
            self._open.append((tag, attributes))
        if tag == "table":
            self.tables[attributes["id"]] = []
        if tag == "tr":
            self._table().append([])
        if tag in ("td", "th"):
            self._cell = ["", attributes.get("data-value")]
            self._table()[-1].append(self._cell)

    def handle_endtag(self, tag):
        while self._open and self._open.pop()[0] != tag:
            pass
        if tag in ("td", "th"):
            self._cell = None

    def handle_data(self, data):
        tag, attributes = self._open[-1] if self._open else ("", {})
        if tag == "script":
            name = attributes.get("id", "own")
            self.scripts[name] = self.scripts.get(name, "") + data
        elif tag != "style":
            self._text.append(data)
        if self._cell is not None:
            self._cell[0] += data

    def _table(self):
        name = [attributes["id"] for tag, attributes in self._open if tag == "table"][-1]
        return self.tables[name]

    def packed(self, name):
        text = gzip.decompress(b64decode(self.scripts[name])).decode()
        return text if name == "plotly" else json.loads(text)

    def policy(self):
        return next(a["content"] for t, a in self.elements if a.get("http-equiv") == "Content-Security-Policy")
