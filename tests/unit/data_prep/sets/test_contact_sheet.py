import base64
import io
import re
from html import unescape

import pytest
from PIL import Image
from source_files import picture

from data_prep.sets.contact_sheet import TEXT_LIMIT, THUMBNAIL, contact_sheet, visible
from easyr1_fgrpo.miniature.tokenizer import build_tokenizer
from easyr1_fgrpo.rows import CONVERSATION_SCHEMA, write_rows
from easyr1_fgrpo.task_prompt import prompt_messages


def row(index, question="Where is it?", boxes=(), photo=None, choices=("left", "right")):
    return {
        "data_source": "test",
        "prompt": prompt_messages(question, choices, 1),
        "images": [{"bytes": photo or picture(index, 800, 400)}],
        "reward_model": {"style": "rule", "ground_truth": choices[0]},
        "extra_info": {
            **{"index": index, "split": "train", "question": question, "choices": list(choices), "source": "test"},
            **{"boxes": [list(box) for box in boxes], "width": 800, "height": 400, "dataset": "gqa"},
        },
    }


def sheet(tmp_path, written, **options):
    write_rows(tmp_path / "rows.parquet", written)
    shown = contact_sheet(tmp_path / "rows.parquet", tmp_path / "sheet.html", **options)
    return shown, (tmp_path / "sheet.html").read_text()


def thumbnails(html):
    return [Image.open(io.BytesIO(base64.b64decode(data))) for data in re.findall(r"base64,([^\"]+)", html)]


def test_boxes_are_drawn_where_they_are(tmp_path):
    white = io.BytesIO()
    Image.new("RGB", (800, 400), "white").save(white, "PNG")
    _, html = sheet(tmp_path, [row(0, boxes=[(80, 40, 400, 200)], photo=white.getvalue())])
    (thumbnail,) = thumbnails(html)
    assert thumbnail.size == (THUMBNAIL, THUMBNAIL // 2)
    scale = THUMBNAIL / 800
    for x, y in [(80, 120), (400, 120), (240, 40), (240, 200)]:  # the middle of each edge
        red, green, _ = thumbnail.getpixel((round(x * scale), round(y * scale)))
        assert red > green + 60
    assert min(thumbnail.getpixel((round(600 * scale), round(300 * scale)))) > 240


def test_prompts_as_turns_or_through_a_chat_template(tmp_path):
    build_tokenizer().save_pretrained(tmp_path / "model")
    _, html = sheet(tmp_path, [row(0)])
    assert "&lt;image&gt;Where is it?\nA. left\nB. right" in html
    _, html = sheet(tmp_path, [row(0)], model=str(tmp_path / "model"))
    text = unescape(re.search(r"<pre>(.*?)</pre>", html, re.DOTALL)[1])
    pad = "<|vision_start|><|image_pad|><|vision_end|>"
    assert text.endswith(f"<|im_start|>user{pad}Where is it?\nA. left\nB. right<|im_end|><|im_start|>assistant")
    with pytest.raises(ValueError, match="nothing: no tokenizer can be read"):
        sheet(tmp_path, [row(0)], model=str(tmp_path / "nothing"))


@pytest.mark.parametrize(
    "hostile", ["<script>alert(1)</script>", '"><img src=http://x/y onerror=alert(1)>', "{{ 7*7 }}"]
)
def test_hostile_text_stays_text(tmp_path, hostile):
    rows = [row(0, question=hostile, choices=(hostile, "right"))]
    rows[0]["extra_info"]["source"] = hostile
    _, html = sheet(tmp_path, rows)
    assert "<script" not in html
    assert html.count("<img") == 1
    assert unescape(html).count(hostile) >= 3
    assert "default-src 'none'" in html


def test_characters_that_hide_or_reorder_are_shown():
    text = "a\u202eb\u200bc\x1b[31m\u2066\ufeff\x00\nend"
    assert visible(text) == "a<U+202E>b<U+200B>c<U+001B>[31m<U+2066><U+FEFF><U+0000>\nend"
    assert len(visible("x" * 10**6)) < TEXT_LIMIT + 50


def test_a_seeded_choice_in_the_order_of_the_file(tmp_path):
    rows = [row(n, question=f"Question {n}?", photo=picture(0, 800, 400)) for n in range(130)]
    shown, html = sheet(tmp_path, rows, rows=9, seed=3)
    numbers = [int(number) for number in re.findall(r"question\">Question (\d+)\?", html)]
    assert (shown, len(numbers)) == (9, 9)
    assert numbers == sorted(set(numbers))
    assert [int(number) for number in re.findall(r"row (\d+) ·", html)] == numbers
    assert sheet(tmp_path, rows, rows=9, seed=3)[1] == html
    assert sheet(tmp_path, rows, rows=9, seed=4)[1] != html
    assert sheet(tmp_path, rows[:2])[0] == 2


def test_rows_that_training_would_refuse_are_shown_with_the_reason(tmp_path):
    broken = [row(0, boxes=[(0, 0, 900, 10)]), row(1, photo=b"no picture"), row(2)]
    shown, html = sheet(tmp_path, broken)
    assert shown == 3
    assert "not a box inside the image" in html
    assert "unreadable image" in html
    assert len(thumbnails(html)) == 1


def test_a_folder_of_shards(tmp_path):
    for number in range(3):
        write_rows(tmp_path / f"rows-0000{number}.parquet", [row(2 * number), row(2 * number + 1)])
    assert contact_sheet(tmp_path, tmp_path / "sheet.html") == 6
    assert re.findall(r"row (\d+) ·", (tmp_path / "sheet.html").read_text()) == list("012345")


def test_question_options_and_answer_are_shown_and_the_right_option_is_marked(tmp_path):
    _, html = sheet(tmp_path, [row(0, question="Where <b>is</b> it?")])
    assert '<p class="question">Where &lt;b&gt;is&lt;/b&gt; it?</p>' in html
    assert re.findall(r"<li( class=\"right\")?>(\w+)</li>", html) == [(' class="right"', "left"), ("", "right")]
    assert "answer: <b" in html


def test_traces_are_shown_too(tmp_path):
    messages = [
        {"role": "user", "content": "<image>Where?"},
        {"role": "assistant", "content": "<think>There</think><answer>left</answer>"},
    ]
    written = [{"messages": messages, "images": [{"bytes": photo}]} for photo in (picture(0, 80, 40), b"no picture")]
    write_rows(tmp_path / "sft.parquet", written, CONVERSATION_SCHEMA)
    assert contact_sheet(tmp_path / "sft.parquet", tmp_path / "sheet.html") == 2
    html = (tmp_path / "sheet.html").read_text()
    assert "&lt;think&gt;There&lt;/think&gt;&lt;answer&gt;left&lt;/answer&gt;" in html
    assert len(thumbnails(html)) == 1
    assert "unreadable image" in html
