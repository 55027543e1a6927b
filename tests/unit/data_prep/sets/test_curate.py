import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_rows import made_folder, made_row

from data_prep.sets.curate import curate, embed, representatives
from data_prep.sets.portions import Portion, parse_portions
from data_prep.shards import read_rows, read_summary
from easyr1_fgrpo.rows import check_rows

WORDS = ["where", "is", "the", "cup", "left", "right", "how", "many", "chairs", "are", "there", "which", "closer"]


def test_the_row_nearest_to_each_centre_is_taken():
    # Three far clusters; of each, the middle row is the mean itself.
    middles = np.array([[0, 0], [100, 0], [0, 100]], np.float32)
    around = np.array([[0, 3], [0, 0], [0, -3], [2, 0], [-2, 0]], np.float32)
    points = np.concatenate([around + middle for middle in middles])
    assert representatives(points, 3, seed=0).tolist() == [1, 6, 11]


def test_of_equally_near_rows_the_first_is_taken():
    points = np.array([[0, 0], [0, 0], [50, 0], [50, 0]], np.float32)
    assert representatives(points, 2, seed=0).tolist() == [0, 2]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_many_rows_of_the_same_question_still_give_as_many_as_wanted():
    points = np.ones((20, 4), np.float32)
    rows = representatives(points, 7, seed=0)
    assert len(set(rows.tolist())) == 7


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@settings(max_examples=15)
@given(st.integers(1, 40), st.data())
def test_rows_are_different_and_repeatable(size, data):
    wanted = data.draw(st.integers(1, size))
    points = np.random.default_rng(data.draw(st.integers(0, 99))).normal(size=(size, 3)).round(1).astype(np.float32)
    rows = representatives(points, wanted, seed=3)
    assert len(rows) == wanted
    assert sorted(set(rows.tolist())) == rows.tolist()
    assert rows.tolist() == representatives(points, wanted, seed=3).tolist()


def test_equal_questions_are_embedded_once():
    class Counted:
        def encode(self, texts, **kwargs):
            self.asked = list(texts)
            return np.arange(len(texts), dtype=np.float32)[:, None]

    model = Counted()
    assert embed(model, ["a", "b", "a", "c", "b"])[:, 0].tolist() == [0, 1, 0, 2, 1]
    assert model.asked == ["a", "b", "c"]


def folders(folder):
    side = [f"where is the {word} ?" for word in WORDS for _ in range(3)]
    count = [f"how many {word} are there ?" for word in WORDS]
    sat = [made_row(i, question=question) for i, question in enumerate(side)]
    vgr = [made_row(i, question=question, source="vgr") for i, question in enumerate(count)]
    return made_folder(folder / "sat", sat), made_folder(folder / "vgr", vgr)


def test_seeds_are_rows_of_their_sources_numbered_through(tmp_path, embedder):
    sat, vgr = folders(tmp_path)
    out = tmp_path / "seeds"
    sources = curate([Portion(sat, 6), Portion(vgr, 4)], out, embedder, seed=0)
    rows = list(read_rows(out / "seeds.parquet"))
    assert [row["data_source"] for row in rows] == ["sat"] * 6 + ["vgr"] * 4
    assert [(row["extra_info"]["split"], row["extra_info"]["index"]) for row in rows] == [
        ("seeds", i) for i in range(10)
    ]
    assert check_rows([out / "seeds.parquet"]) == []
    assert [(s["in"], s["out"], s["rejected"]) for s in sources] == [
        (39, 6, {"not_representative": 33}),
        (13, 4, {"not_representative": 9}),
    ]
    # Six different questions, as there are far more than six.
    assert len({row["extra_info"]["question"] for row in rows[:6]}) == 6


def test_the_same_command_gives_the_same_bytes_and_a_finished_one_is_left_alone(tmp_path, embedder):
    sat, _ = folders(tmp_path)
    for name in ("one", "two"):
        curate([Portion(sat, 5)], tmp_path / name, embedder, seed=1)
    one, two = (tmp_path / name / "seeds.parquet" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    one.write_bytes(b"untouched")
    assert curate([Portion(sat, 5)], tmp_path / "one", embedder, seed=1)[0]["out"] == 5
    assert one.read_bytes() == b"untouched"
    with pytest.raises(ValueError, match=r"begun with other settings \(portions="):
        curate([Portion(sat, 4)], tmp_path / "one", embedder, seed=1)


def test_more_than_there_is_is_refused_with_the_number_there_is(tmp_path):
    sat = made_folder(tmp_path / "sat", [made_row(i) for i in range(3)])
    with pytest.raises(ValueError, match="has 3 rows, 4 were asked for"):
        curate([Portion(sat, 4)], tmp_path / "out", "no-model-is-loaded", seed=0)
    assert read_summary(tmp_path / "out") is None


def test_a_portion_is_folder_and_count(subtests):
    for text in ["sat", "sat=", "=3", "sat=0", "sat=-1", "sat=2.5"]:
        with subtests.test(text=text), pytest.raises(ValueError, match="is not FOLDER=COUNT"):
            parse_portions([text])


def test_two_portions_of_the_same_name_are_refused():
    with pytest.raises(ValueError, match="same name"):
        parse_portions(["a/sat=1", "b/sat=1"])


def test_the_command_says_what_is_wrong_in_one_line(tmp_path):
    sat = made_folder(tmp_path / "sat", [made_row(0)])
    command = [sys.executable, "-m", "easyr1_fgrpo", "data", "curate", f"{sat}=2", "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400)
    assert done.returncode == 1
    assert done.stderr == f"error: {sat} has 1 rows, 2 were asked for: ask for 1 or fewer\n"
