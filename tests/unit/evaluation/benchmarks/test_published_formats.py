# Every benchmark in the files, columns, index bases and letters it is published with.
import zipfile

import pytest

from easyr1_fgrpo.evaluation.benchmarks import BENCHMARKS, Item

from . import published_files


def load(name, location):
    found = list(BENCHMARKS[name].load(location))
    assert all(isinstance(item, Item) for item in found), found
    assert all(item.benchmark == name for item in found)
    return found


def shades(item):
    return [image.getpixel((0, 0))[0] for image in item.load_images()]


@pytest.mark.parametrize(("half", "task", "source"), [("2D", "Count", "COCO"), ("3D", "Depth", "Omni3D")])
def test_cv_bench(tmp_path, half, task, source):
    published_files.cv_bench(tmp_path, half)
    items = load(f"cv_bench_{half.lower()}", tmp_path)
    assert [item.id for item in items] == ["0", "1", "2", "3"]
    assert items[1].question == "How many lamps are in picture 1?"
    assert items[1].choices == ("3", "4", "5")
    assert items[1].answer == "4"
    assert (items[1].category, items[1].group) == (task, source)
    assert [shades(item) for item in items] == [[0], [1], [2], [3]]
    assert items[0].load_images()[0].mode == "RGB"


def test_cv_bench_file_is_taken_itself(tmp_path):
    assert len(load("cv_bench_2d", published_files.cv_bench(tmp_path))) == 4


@pytest.mark.parametrize("layout", ["archive", "folder of the archive", "unpacked", "unpacked data"])
def test_mindcube(tmp_path, layout):
    archive = published_files.mindcube(tmp_path / "hub")
    zipfile.ZipFile(archive).extractall(tmp_path / "unpacked")
    location = {
        "archive": archive,
        "folder of the archive": archive.parent,
        "unpacked": tmp_path / "unpacked",
        "unpacked data": tmp_path / "unpacked" / "data",
    }[layout]
    among, around, rotation = load("mindcube", location)
    assert among.question == "From these views, what is behind you?"
    assert among.choices == ("TV", "Wooden dining table", "White wall", "Door")
    assert among.answer == "Wooden dining table"
    assert [item.category for item in (among, around, rotation)] == ["among", "around", "rotation"]
    assert (around.choices, around.answer) == (("Yes", "No"), "Yes")
    assert (rotation.choices, rotation.answer) == (("Plan A. map", "Lamp", "Chair"), "Chair")
    assert [len(item.load_images()) for item in (among, around, rotation)] == [2, 4, 3]
    assert shades(among) == [1, 0], "images come in the row's order"


@pytest.mark.parametrize("header", ["Index", "lndex"])
def test_mmvp_folder(tmp_path, header):
    items = load("mmvp", published_files.mmvp_folder(tmp_path / "MMVP", header=header))
    check_mmvp(items)


def test_mmvp_parquet_of_lmms_eval(tmp_path):
    check_mmvp(load("mmvp", published_files.mmvp_parquet(tmp_path)))


def check_mmvp(items):
    assert [item.id for item in items] == ["1", "2", "3", "4"]
    assert [item.group for item in items] == ["1", "1", "2", "2"]
    assert [item.answer for item in items] == ["Open", "Closed", "2", "1"]
    assert items[2].choices == ("1", "2")
    assert [shades(item)[0] for item in items] == pytest.approx([1, 2, 3, 4], abs=2)


@pytest.mark.parametrize("packed", [True, False])
def test_omnispatial(tmp_path, packed):
    location = published_files.omnispatial(tmp_path / "hub")
    if not packed:
        zipfile.ZipFile(location).extractall(tmp_path / "unpacked")
        location = tmp_path / "unpacked" / "OmniSpatial-test"
    first, second, third = load("omnispatial", location)
    assert [item.id for item in (first, second, third)] == [
        "Dynamic_Reasoning/0_0",
        "Dynamic_Reasoning/0_1",
        "Perspective_Taking/0_0",
    ]
    assert [item.answer for item in (first, second, third)] == ["2.7s", "right", "behind"]
    assert third.category == "Perspective_Taking/Allocentric"
    assert shades(first) == shades(second) == [1]
    assert shades(third)[0] == pytest.approx(2, abs=2), "a jpg where there is no png"


def test_realworldqa(tmp_path):
    wheel, pedestrians, car, limit = load("realworldqa", published_files.realworldqa(tmp_path))
    assert wheel.question == "In which direction does the front wheel face?"
    assert (wheel.choices, wheel.answer) == (("Left", "Straight", "Right"), "Right")
    assert pedestrians.question == "How many pedestrians are there?"
    assert (pedestrians.choices, pedestrians.answer) == ((), "0")
    assert (car.question, car.answer) == ("Is the car uphill or downhill from us?", "Downhill")
    assert (limit.choices, limit.answer) == (("35 m.p.h.", "45"), "35 m.p.h.")
    assert [item.id for item in (wheel, pedestrians, car, limit)] == ["0", "1", "2", "3"]
    assert shades(limit) == [3], "from the second shard"


@pytest.mark.parametrize("write", [published_files.sat_real, published_files.sat_real_v2])
def test_sat_real_rotates_the_answers(tmp_path, write):
    write(tmp_path)
    items = load("sat_real", tmp_path)
    assert [(item.id, item.group) for item in items] == [
        *(("0-0", "0"), ("0-1", "0")),
        *(("1-0", "1"), ("1-1", "1"), ("1-2", "1")),
    ]
    assert [item.choices for item in items[2:]] == [
        ("right", "left", "behind"),
        ("left", "behind", "right"),
        ("behind", "right", "left"),
    ]
    assert {item.answer for item in items[:2]} == {"moved left"}
    assert [item.category for item in items[1:3]] == ["ego_movement", "perspective"]
    assert shades(items[1]) == [1, 2]
    assert shades(items[4]) == [3]


def test_expected_sizes_are_the_published_ones():
    sizes = {name: benchmark.n_expected for name, benchmark in BENCHMARKS.items()}
    assert sizes == {
        "cv_bench_2d": 1438,
        "cv_bench_3d": 1200,
        "mindcube": 1050,
        "mmvp": 300,
        "omnispatial": 1533,
        "realworldqa": 765,
        "sat_real": 300,
        "miniature": None,
    }
