# Items of a whole benchmark hold no pictures; those of the miniature are its rows.
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from easyr1_fgrpo.evaluation.benchmarks import BENCHMARKS, Item, Reject
from easyr1_fgrpo.miniature.scene import SIDE
from easyr1_fgrpo.rows import write_rows

from . import published_files


def noise(seed):
    """A picture that no codec makes small: 120 kB."""
    pixels = np.random.default_rng(seed).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    return published_files.encoded(Image.fromarray(pixels))


def grown_by(load):
    tracemalloc.start()
    try:
        items = load()
        return items, tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def test_items_of_a_parquet_file_hold_no_pictures(tmp_path):
    rows = published_files.cv_bench_rows("2D", n=60)
    for i, row in enumerate(rows):
        row["image"]["bytes"] = noise(i)
    path = published_files.cv_bench(tmp_path, rows=rows)
    list(BENCHMARKS["cv_bench_2d"].load(path))  # imports and caches
    items, held = grown_by(lambda: list(BENCHMARKS["cv_bench_2d"].load(path)))
    assert len(items) == 60
    assert held < 2_000_000 < 60 * len(noise(0))
    assert items[7].load_images()[0].tobytes() == Image.open(BytesIO(noise(7))).tobytes()


def test_items_of_an_archive_hold_no_pictures(tmp_path):
    row = published_files.omnispatial_rows()[0]
    rows = [row | {"id": f"{i}_0"} for i in range(60)]
    pictures = {f"Dynamic_Reasoning/{i}.png": noise(i) for i in range(60)}
    path = published_files.omnispatial(tmp_path, rows, pictures)
    list(BENCHMARKS["omnispatial"].load(path))
    items, held = grown_by(lambda: list(BENCHMARKS["omnispatial"].load(path)))
    assert len(items) == 60
    assert held < 2_000_000


@pytest.mark.parametrize("name", ["cv_bench_2d", "omnispatial"])
def test_threads_read_the_same_pictures(tmp_path, name):
    path = published_files.cv_bench(tmp_path) if name == "cv_bench_2d" else published_files.omnispatial(tmp_path)
    items = list(BENCHMARKS[name].load(path)) * 20
    alone = [[image.tobytes() for image in item.load_images()] for item in items]
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(lambda item: [image.tobytes() for image in item.load_images()], items))
    assert together == alone


# ---------------------------------------------------------------------- the miniature


def miniature_row(index, **info):
    picture = published_files.picture(index, size=(SIDE, SIDE))
    return {
        "data_source": "miniature",
        "prompt": [{"role": "user", "content": "<image>Where?"}],
        "images": [{"bytes": picture}],
        "reward_model": {"style": "rule", "ground_truth": "Left"},
        "extra_info": {
            "index": index,
            "split": "test",
            "question": "Where?",
            "choices": ["left", "right"],
            "source": "miniature",
            "boxes": [[1, 2, 3, 4]],
            "width": SIDE,
            "height": SIDE,
        }
        | info,
    }


def test_rows_of_the_miniature_are_items_with_boxes(tmp_path):
    rows = [miniature_row(0), miniature_row(1, boxes=[]), miniature_row(2, boxes=[[5, 5, 1, 1]]), miniature_row(1)]
    write_rows(tmp_path / "test.parquet", rows)
    first, second, third, fourth = BENCHMARKS["miniature"].load(tmp_path / "test.parquet")
    assert isinstance(first, Item)
    assert (first.id, first.question, first.choices, first.answer) == ("test/0", "Where?", ("left", "right"), "left")
    assert first.boxes == ((1, 2, 3, 4),)
    assert isinstance(second, Item)
    assert second.boxes == ()
    assert second.load_images()[0].getpixel((0, 0)) == (1, 80, 160)
    assert isinstance(third, Reject)
    assert third.row == "row 2"
    assert "is not a box inside the image" in third.reason
    assert fourth == Reject("miniature", "row 3", "the id test/1 again")
