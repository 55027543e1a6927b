"""`fgrpo data inspect`: some rows of a file as one HTML page, boxes drawn, to be looked at before training.

Rows are questions, or traces for the warm start.

The page needs no network and runs nothing. Text of the rows is hostile: it is escaped, and characters that reorder or
hide text are shown as their code points.
"""

from __future__ import annotations

import base64
import io
import random
import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw
from pydantic import ValidationError

from data_prep.sets.validate import Trace
from data_prep.shards import opened, shard_paths
from easyr1_fgrpo.rewards import answer_matches
from easyr1_fgrpo.rows import IMAGE_MARK, Row, explain

THUMBNAIL = 360
"""Pixels of a thumbnail's longer side."""

TEXT_LIMIT = 6000
"""Characters shown of one text."""

IMAGE_LIMIT = 8
"""Thumbnails shown of one row."""

_COLOURS = ("#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#008080")

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{{ title }}</title>
<style>
body { font: 15px/1.4 system-ui, sans-serif; margin: 2em; color: #222; background: #fafafa }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(420px, 1fr)); gap: 1em }
article { background: #fff; border: 1px solid #ddd; border-radius: 6px; padding: 1em; overflow-wrap: anywhere }
img { max-width: 100%; margin-right: .5em }
pre { white-space: pre-wrap; background: #f3f3f3; padding: .6em; margin: .4em 0; font-size: 13px }
.facts, .problem { font-size: 13px } .facts { color: #555 } .problem { color: #b00020 } .role { font-weight: 600 }
.question { font-size: 17px; white-space: pre-wrap } ol { list-style: upper-alpha }
.right { font-weight: 600; color: #0a7a33 }
summary { font-size: 13px; color: #555; cursor: pointer }
</style></head><body>
<h1>{{ title }}</h1>
<p>{{ shown }} of {{ total }} rows, chosen with seed {{ seed }}; boxes belong to the first image.</p>
<main>
{% for card in cards %}<article>
<p class="facts">row {{ card.number }} · {{ card.facts }}</p>
{% if card.problem %}<p class="problem">{{ card.problem }}</p>{% endif %}
{% for image in card.images %}<img alt="" src="data:image/jpeg;base64,{{ image }}">{% endfor %}
{% if card.question %}<p class="question">{{ card.question }}</p>{% endif %}
{% if card.choices %}<ol>
{% for choice in card.choices %}<li{% if choice.right %} class="right"{% endif %}>{{ choice.text }}</li>
{% endfor %}</ol>{% endif %}
{% if card.answer %}<p>answer: <b class="right">{{ card.answer }}</b></p>{% endif %}
<details{% if not card.question %} open{% endif %}><summary>{{ card.kind }}</summary>
{% for turn in card.turns %}<div class="role">{{ turn.role }}</div><pre>{{ turn.text }}</pre>{% endfor %}</details>
</article>
{% endfor %}</main></body></html>
"""


def contact_sheet(source: Path, out: Path, rows: int = 24, seed: int = 0, model: str = "") -> int:
    """Write the page.

    Args:
        source: a parquet file of rows, or a folder of shards.
        out: the HTML file.
        rows: how many rows at most, a seeded choice in the order of the file.
        seed: of that choice.
        model: a checkpoint's folder: prompts are shown through its chat template, as one text; "" shows the turns.

    Returns:
        How many rows the page shows.

    Raises:
        OSError, ValueError: when the file or the checkpoint cannot be read, with one line of explanation.
    """
    from jinja2 import Environment

    paths = shard_paths(source)
    total = 0
    for path in paths:
        with opened(path) as file:
            total += file.metadata.num_rows
    chosen = sorted(random.Random(seed).sample(range(total), min(rows, total)))
    template = _chat_template(model) if model else None
    cards = [_card(number, values, template) for number, values in _rows_at(paths, chosen)]
    page = Environment(autoescape=True).from_string(_PAGE)
    html = page.render(title=visible(str(source)), shown=len(cards), total=total, seed=seed, cards=cards)
    out.write_text(html, encoding="utf-8")
    return len(cards)


def visible(text: str) -> str:
    """The text with control, format (bidirectional, zero-width) and unassigned characters as <U+202E>, bounded."""
    shown = text[:TEXT_LIMIT] + (f" … ({len(text)} characters)" if len(text) > TEXT_LIMIT else "")
    return "".join(
        f"<U+{ord(char):04X}>" if char != "\n" and unicodedata.category(char)[0] == "C" else char for char in shown
    )


def _rows_at(paths: Sequence[Path], numbers: Sequence[int]) -> list[tuple[int, dict[str, Any]]]:
    """The rows of these numbers, counted through all files; only their row groups are read, in small batches."""
    wanted, found, first = set(numbers), [], 0
    for path in paths:
        with opened(path) as file:
            for group in range(file.num_row_groups):
                rows = file.metadata.row_group(group).num_rows
                if wanted & set(range(first, first + rows)):
                    number = first
                    for batch in file.iter_batches(16, row_groups=[group]):
                        inside = [n for n in range(number, number + batch.num_rows) if n in wanted]
                        found += [(n, batch.slice(n - number, 1).to_pylist()[0]) for n in inside]
                        number += batch.num_rows
                first += rows
    return found


def _card(number: int, values: dict[str, Any], template: Any) -> dict[str, Any]:
    if "messages" in values:
        return _trace_card(number, values)
    try:
        row = Row.model_validate(values)
        pictures = row.open_images()
    except ValidationError as error:
        return _broken(number, explain(error), values)
    except ValueError as error:
        return _broken(number, str(error), values)
    info = row.extra_info
    messages = [{"role": turn.role, "content": turn.content} for turn in row.prompt]
    turns = [{"role": "prompt", "content": template(messages)}] if template else messages
    extra = values["extra_info"]
    facts = [
        *(str(extra.get(key)) for key in ("source", "dataset", "question_type", "split") if extra.get(key)),
        *(f"index {info.index}", f"{info.width} x {info.height} pixels"),
        *(f"{len(pictures)} image(s)", f"{len(info.boxes)} box(es)"),
    ]
    return {
        "number": number,
        "facts": visible(" · ".join(facts)),
        "images": [_thumbnail(picture, () if n else info.boxes) for n, picture in enumerate(pictures[:IMAGE_LIMIT])],
        "question": visible(info.question),
        "choices": [
            {"text": visible(choice), "right": answer_matches(row.reward_model.ground_truth, choice, info.choices)}
            for choice in info.choices
        ],
        "answer": visible(row.reward_model.ground_truth),
        "kind": "prompt, as the model reads it",
        "turns": _turns(turns),
    }


def _trace_card(number: int, values: dict[str, Any]) -> dict[str, Any]:
    try:
        trace = Trace.model_validate(values)
        pictures = [image.open() for image in trace.images]
    except ValidationError as error:
        return _broken(number, explain(error), values)
    except ValueError as error:
        return _broken(number, str(error), values)
    turns = [{"role": turn.role, "content": turn.content} for turn in trace.messages]
    return {
        "number": number,
        "facts": f"{len(pictures)} image(s)",
        "images": [_thumbnail(picture, ()) for picture in pictures[:IMAGE_LIMIT]],
        "kind": "trace, as the model imitates it",
        "turns": _turns(turns),
    }


def _broken(number: int, problem: str, values: dict[str, Any]) -> dict[str, Any]:
    """A row that training would refuse, shown without pictures."""
    rest = {key: value for key, value in values.items() if key != "images"}
    turns = _turns([{"role": "row", "content": str(rest)}])
    return {"number": number, "problem": visible(problem), "kind": "row", "turns": turns}


def _turns(turns: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    return [{"role": visible(turn["role"]), "text": visible(turn["content"])} for turn in turns]


def _thumbnail(picture: Image.Image, boxes: Sequence[tuple[float, float, float, float]]) -> str:
    scale = min(1.0, THUMBNAIL / max(picture.size))
    small = picture.resize((max(1, round(picture.width * scale)), max(1, round(picture.height * scale))))
    draw = ImageDraw.Draw(small)
    for number, box in enumerate(boxes):
        colour = _COLOURS[number % len(_COLOURS)]
        draw.rectangle([corner * scale for corner in box], outline=colour, width=2)
        draw.text((box[0] * scale + 4, box[1] * scale + 2), str(number + 1), fill=colour)
    buffer = io.BytesIO()
    small.save(buffer, format="JPEG", quality=85)
    return base64.b64encode(buffer.getvalue()).decode()


def _chat_template(model: str) -> Any:
    """A function that writes messages as a checkpoint's chat template does, ready for generation."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(model, local_files_only=True)
    except (OSError, ValueError) as error:
        raise ValueError(f"{model}: no tokenizer can be read ({str(error).strip().partition(chr(10))[0]})") from None
    if not tokenizer.chat_template:
        raise ValueError(f"{model}: its tokenizer has no chat template")

    def render(messages: Sequence[dict[str, str]]) -> str:
        parts = [{"role": message["role"], "content": _parts(message["content"])} for message in messages]
        return str(tokenizer.apply_chat_template(parts, tokenize=False, add_generation_prompt=True))

    return render


def _parts(content: str) -> list[dict[str, str]]:
    pieces = re.split(f"({re.escape(IMAGE_MARK)})", content)
    return [{"type": "image"} if piece == IMAGE_MARK else {"type": "text", "text": piece} for piece in pieces if piece]
