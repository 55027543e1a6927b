import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_rows import made_folder, made_row, png

from data_prep.sets.mix import draw, mix, split_off
from data_prep.sets.portions import Portion
from data_prep.shards import read_rows
from easyr1_fgrpo.rows import check_rows


@pytest.fixture
def sources(tmp_path):
    sat = made_folder(tmp_path / "sat", [made_row(i) for i in range(40)])
    vgr = made_folder(tmp_path / "vgr", [made_row(i, source="vgr", boxes=[(1, 2, 9, 8)]) for i in range(25)])
    return sat, vgr


def test_both_parts_hold_what_was_drawn_and_pass_the_check(tmp_path, sources):
    sat, vgr = sources
    out = tmp_path / "rl"
    summaries = mix([Portion(sat, 30), Portion(vgr, 20)], out, val=10, seed=0)
    train, val = (list(read_rows(out / f"{part}.parquet")) for part in ("train", "val"))
    assert (len(train), len(val)) == (40, 10)
    for part, rows in (("train", train), ("val", val)):
        assert [(row["extra_info"]["split"], row["extra_info"]["index"]) for row in rows] == [
            (part, index) for index in range(len(rows))
        ]
    assert check_rows([out / "train.parquet", out / "val.parquet"]) == []
    questions = {row["extra_info"]["question"] for row in train + val}
    assert len(questions) == 50
    assert sum(question.startswith("vgr") for question in questions) == 20
    assert [(s["in"], s["out"], s["rejected"], s["train"] + s["val"]) for s in summaries] == [
        (40, 30, {"not_drawn": 10}, 30),
        (25, 20, {"not_drawn": 5}, 20),
    ]


def test_a_row_is_unchanged_but_for_split_and_index(tmp_path, sources):
    _, vgr = sources
    mix([Portion(vgr, 25)], tmp_path / "rl", val=1, seed=0)
    before = {row["extra_info"]["question"]: row for row in read_rows(vgr)}
    for row in read_rows(tmp_path / "rl" / "train.parquet"):
        old = before[row["extra_info"]["question"]]
        changed = row["extra_info"] | {"split": "train", "index": old["extra_info"]["index"]}
        assert row | {"extra_info": changed} == old


def test_the_same_command_gives_the_same_bytes_and_another_seed_another_set(tmp_path, sources):
    sat, vgr = sources
    for name, seed in (("one", 0), ("two", 0), ("three", 1)):
        mix([Portion(sat, 30), Portion(vgr, 20)], tmp_path / name, val=10, seed=seed)
    one, two, three = (
        [(tmp_path / name / f"{part}.parquet").read_bytes() for part in ("train", "val")]
        for name in ("one", "two", "three")
    )
    assert one == two
    assert one != three


def test_a_finished_mix_is_left_alone_and_other_settings_are_refused(tmp_path, sources):
    sat, _ = sources
    out = tmp_path / "rl"
    first = mix([Portion(sat, 30)], out, val=5, seed=0)
    (out / "train.parquet").write_bytes(b"untouched")
    assert mix([Portion(sat, 30)], out, val=5, seed=0) == json.loads(json.dumps(first))
    assert (out / "train.parquet").read_bytes() == b"untouched"
    with pytest.raises(ValueError, match=r"begun with other settings \(portions="):
        mix([Portion(sat, 31)], out, val=5, seed=0)


def test_more_than_there_is_is_refused_with_the_number_there_is(tmp_path, sources):
    sat, _ = sources
    with pytest.raises(ValueError, match="has 40 rows, 41 were asked for: ask for 40 or fewer"):
        mix([Portion(sat, 41)], tmp_path / "rl", val=5, seed=0)
    with pytest.raises(ValueError, match="leaves nothing to train on"):
        mix([Portion(sat, 5)], tmp_path / "rl", val=5, seed=0)


def test_an_invalid_row_stops_the_mix_and_names_its_source(tmp_path):
    sat = made_folder(tmp_path / "sat", [made_row(0), made_row(1, answer="neither")])
    with pytest.raises(ValueError, match=r"sat: a row is invalid: reward_model.ground_truth 'neither' is none"):
        mix([Portion(sat, 2)], tmp_path / "rl", val=1, seed=0)
    assert not (tmp_path / "rl" / "summary.json").exists()


def test_train_and_val_share_no_picture(tmp_path):
    # Five questions a picture, and rows of two pictures that tie neighbours together.
    pictures = [png((9 * n, 0, 0)) for n in range(12)]
    rows = [made_row(i, pictures=[pictures[i // 5]]) for i in range(50)]
    rows += [made_row(50 + n, pictures=[pictures[n], pictures[n + 1]]) for n in (0, 5, 10)]
    sat = made_folder(tmp_path / "sat", rows)
    mix([Portion(sat, 53)], tmp_path / "rl", val=11, seed=0)
    train, val = (
        {image["bytes"] for row in read_rows(tmp_path / "rl" / f"{part}.parquet") for image in row["images"]}
        for part in ("train", "val")
    )
    assert val
    assert not train & val


def test_boxes_are_kept_where_the_paper_rewards_them(tmp_path):
    portions = [
        Portion(made_folder(tmp_path / name, [made_row(i, source=name, boxes=[(1, 2, 9, 8)]) for i in range(3)]), 3)
        for name in ("vgr", "visual_cot", "treevgr")
    ]
    mix(portions, tmp_path / "rl", val=1, seed=0)
    rows = [row for part in ("train", "val") for row in read_rows(tmp_path / "rl" / f"{part}.parquet")]
    boxes = {(row["data_source"], str(row["extra_info"]["boxes"])) for row in rows}
    one = "[[1.0, 2.0, 9.0, 8.0]]"
    assert boxes == {("vgr", one), ("visual_cot", "[]"), ("treevgr", one)}


def test_a_group_larger_than_what_is_missing_stays_behind():
    pictures = [[b"a"], [b"a"], [b"a"], [b"b"], [b"c"]]
    for seed in range(5):
        assert split_off(pictures, 2, seed) == {3, 4}


@settings(max_examples=50)
@given(st.lists(st.lists(st.integers(0, 9).map(lambda n: bytes([n])), min_size=1, max_size=3), max_size=20), st.data())
def test_split_off_shares_nothing_and_takes_no_more_than_wanted(pictures, data):
    wanted = data.draw(st.integers(0, 20))
    chosen = split_off(pictures, wanted, seed=data.draw(st.integers(0, 9)))
    inside = {p for i in chosen for p in pictures[i]}
    outside = {p for i, row in enumerate(pictures) if i not in chosen for p in row}
    assert len(chosen) <= wanted
    assert not inside & outside


def test_a_sources_draw_does_not_depend_on_the_others(tmp_path):
    numbers = draw(Portion(tmp_path / "sat", 5), 100, seed=7)
    assert len(set(numbers.tolist())) == 5
    assert np.array_equal(numbers, np.sort(numbers))
    assert numbers.tolist() == draw(Portion(tmp_path / "elsewhere" / "sat", 5), 100, seed=7).tolist()
    assert numbers.tolist() != draw(Portion(tmp_path / "vgr", 5), 100, seed=7).tolist()
