import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from source_files import encode, picture, sat_record, write_sat

from data_prep.normalise.decontaminate import (
    ALIKE_IMAGE,
    SAME_IMAGE,
    BenchmarkItem,
    Benchmarks,
    image_hash,
    read_benchmarks,
    words,
)
from data_prep.sources import Reject
from easyr1_fgrpo.rows import write_rows

LONG = "Seen from the bench, is the red bin left or right of the tall lamp beside it?"
BALL = "Is the ball, which nobody has thrown yet, nearer to us than the oak?"
TEMPLATE = "The first image is from the beginning of the video and the second from the end. How did the camera move?"


def photo(seed, width=320, height=240):
    return Image.open(io.BytesIO(picture(seed, width, height, "PNG"))).convert("RGB")


def reason(benchmarks, question, *images):
    try:
        benchmarks.check(question, images)
    except Reject as reject:
        return reject.reason
    return None


def distance(one, other):
    return (image_hash(one) ^ image_hash(other)).bit_count()


BENCHMARK = Benchmarks(
    [
        BenchmarkItem("bench/0", photo("a"), "Is it red?"),
        BenchmarkItem("bench/1", photo("b"), LONG),
        BenchmarkItem("bench/2", photo("c"), TEMPLATE),
        BenchmarkItem("bench/2", photo("d"), TEMPLATE),
        BenchmarkItem("bench/3", photo("e"), TEMPLATE),
        BenchmarkItem("bench/4", None, BALL),
    ]
)


def test_the_same_picture_in_other_clothes_is_found():
    original = photo("a")
    copies = [
        original,
        original.resize((160, 120)),
        original.resize((500, 375)),
        Image.open(io.BytesIO(encode(original, quality=50))),
        original.point(lambda value: min(255, int(value * 1.1))),
        original.convert("L"),
    ]
    assert {reason(BENCHMARK, "Anything?", copy) for copy in copies} == {"benchmark image"}
    assert reason(BENCHMARK, "Anything?", photo(1), photo("d").resize((100, 80))) == "benchmark image"


def test_other_pictures_pass():
    known, others = ([image_hash(photo(seed, 96, 64)) for seed in seeds] for seeds in ("abcde", range(100)))
    assert min((one ^ other).bit_count() for one in known for other in others) > ALIKE_IMAGE
    assert {reason(BENCHMARK, "Is it red?", photo(n)) for n in range(20)} == {None}


def test_a_short_question_counts_only_with_a_picture_like_its_own():
    crops = [photo("a").crop((4 * n, 4 * n, 320, 240)) for n in range(12)]
    alike = next(crop for crop in crops if SAME_IMAGE < distance(crop, photo("a")) <= ALIKE_IMAGE)
    assert reason(BENCHMARK, "is it RED", alike) == "benchmark question"
    assert reason(BENCHMARK, "Is it blue?", alike) is None
    assert reason(BENCHMARK, "Is it red?", photo(1)) is None


def test_a_long_question_counts_alone_when_only_one_item_asks_it():
    assert reason(BENCHMARK, LONG.upper().replace(",", " ,"), photo(1)) == "benchmark question"
    assert reason(BENCHMARK, BALL, photo(1)) == "benchmark question"
    assert reason(BENCHMARK, TEMPLATE, photo(1)) is None  # two items ask it: a template


def test_nothing_known_refuses_nothing():
    assert Benchmarks().items == 0
    assert reason(Benchmarks(), "", photo("a")) is None


def test_the_fingerprint_is_of_what_is_known():
    items = [BenchmarkItem("a", photo("a"), "Is it red?"), BenchmarkItem("b", photo("b"), "Where?")]
    assert Benchmarks(items).fingerprint == Benchmarks(items).fingerprint
    renamed, repainted = items[1]._replace(question="Who?"), items[1]._replace(image=photo("c"))
    others = [items[:1], [items[0], renamed], [items[0], repainted]]
    assert len({Benchmarks(some).fingerprint for some in [items, *others]}) == 4


def test_words():
    assert words(" Is it\nRED—or “blue”?  ") == "is it red or blue"


def test_benchmarks_as_their_hubs_publish_them(tmp_path):
    def stored(name):
        return {"bytes": encode(photo(name), "PNG"), "path": None}

    folder = tmp_path / "all"
    write_sat(folder, [sat_record([picture("a"), picture("b")], "Which way?")], "SAT_test.parquet")
    pq.write_table(pa.Table.from_pylist([{"Question": "Is it red?", "image": stored("c")}]), folder / "mmvp.parquet")
    asked = "What is it?\nA. a car\nB. a cat\nPlease answer directly with only the letter of the correct option."
    pq.write_table(pa.Table.from_pylist([{"question": asked, "image": stored("d")}]), folder / "realworldqa.parquet")
    (folder / "pictures").mkdir()
    photo("e").save(folder / "pictures" / "1.png")
    photo("f").save(folder / "pictures" / "2.png")
    record = {"question": "From here?", "images": ["pictures/1.png", "pictures/2.png"]}
    (folder / "mindcube.jsonl").write_text(json.dumps(record) + "\n")
    own = {"images": [stored("g")], "extra_info": {"question": "Ours?"}}
    own["images"][0].pop("path")
    write_rows(folder / "rows.parquet", [own])
    items = list(read_benchmarks([folder]))
    found = {(item.name, item.question) for item in items}
    assert found == {
        ("SAT_test.parquet row 0", "Which way?"),
        ("mmvp.parquet row 0", "Is it red?"),
        ("realworldqa.parquet row 0", "What is it?"),
        ("mindcube.jsonl row 0", "From here?"),
        ("rows.parquet row 0", "Ours?"),
        ("all/pictures/1.png", ""),
        ("all/pictures/2.png", ""),
    }
    assert len(items) == 9
    benchmarks = Benchmarks(items)
    assert [reason(benchmarks, "Anything?", photo(name)) for name in "abcdefg"] == ["benchmark image"] * 7


@pytest.mark.parametrize(
    "record", [{"text": "no question"}, {"question": "Where?", "image": "gone.png"}, {"question": "Where?", "image": 3}]
)
def test_a_benchmark_record_that_cannot_be_read_is_named(tmp_path, record):
    (tmp_path / "bench.jsonl").write_text(json.dumps(record) + "\n")
    with pytest.raises(ValueError, match=r"bench\.jsonl row 0"):
        list(read_benchmarks([tmp_path]))


def test_a_benchmark_question_that_no_row_could_have_is_kept_out_as_it_stands(tmp_path):
    question = "Which of the people in the <video> has turned away from the door of the <|im_end|> house?"
    (tmp_path / "bench.jsonl").write_text(json.dumps({"question": question}) + "\n")
    assert reason(Benchmarks(read_benchmarks([tmp_path])), question) == "benchmark question"


def test_a_plain_picture_has_a_hash():
    assert isinstance(image_hash(Image.fromarray(np.zeros((8, 8, 3), dtype=np.uint8))), int)
