import pytest
from made_rows import made_folder, made_row, png

from data_prep.record import command_line
from data_prep.sets.card import write_card
from data_prep.sets.mix import mix
from data_prep.sets.portions import Portion
from data_prep.shards import read_summary
from easyr1_fgrpo.files import begin, write_json

BOX = (1, 2, 9, 8)


@pytest.fixture
def finished(tmp_path):
    """An RL set of two sources, and the folders of the stages before it."""
    sat = made_folder(tmp_path / "filtered" / "sat", [made_row(i, choices=("left", "right", "up")) for i in range(6)])
    rows = [made_row(i, source="vgr", boxes=[BOX] * (i % 4), choices=() if i else ("left", "right")) for i in range(8)]
    vgr = made_folder(tmp_path / "filtered" / "vgr", rows)
    for folder, rejected in ((sat, {"always_right": 10, "always_wrong": 0, "rollout_failed": 4}), (vgr, {})):
        rows_in = {"sat": 20, "vgr": 8}[folder.name]
        flow = {"in": rows_in, "out": rows_in - sum(rejected.values()), "rejected": rejected}
        asked = {"model": "base", "rollouts": 4, "seed": 3}
        counted = {"rows_by_right_rollouts": {"0": 1, "4": 10, "2": 5}, "kept_by_right_rollouts": {"0": 1, "2": 5}}
        summary = {"stage": "difficulty", "source": folder.name, **flow, **asked, **counted, "command": "the command"}
        write_json(folder / "summary.json", summary)
    mix([Portion(sat, 6), Portion(vgr, 8)], tmp_path / "rl", val=4, seed=0)
    return tmp_path / "rl", [sat, vgr]


def table(card, title):
    """The cells of the first table of a section, without its head."""
    lines = card.partition(f"## {title}")[2].partition("\n## ")[0].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return rows[2:]


def test_rows_of_each_source_add_up(finished):
    rl, stages = finished
    sat, vgr, everything = table(write_card(rl, stages), "Rows")
    assert sat[0] == "sat"
    assert sat[3] == vgr[3] == "CC0-1.0"
    assert [int(sat[n]) + int(vgr[n]) for n in (1, 2)] == [10, 4]
    assert everything == ["all", "10", "4", ""]


def test_every_stage_says_what_came_in_and_went_out(finished):
    rl, stages = finished
    rows = table(write_card(rl, stages), "From the sources to the set")
    assert rows[0] == ["filtered/sat", "sat", "20", "6", "14", "always_right: 10, rollout_failed: 4"]
    assert rows[1] == ["filtered/vgr", "vgr", "8", "8", "0", ""]
    assert [row[1:5] for row in rows[2:]] == [["sat", "6", "6", "0"], ["vgr", "8", "8", "0"]]


def test_nested_flows_are_found_where_something_came_in(finished):
    rl, stages = finished
    sft = rl.parent / "traces" / "sft"
    sft.mkdir(parents=True)
    chains = {"in": 9, "out": 5, "direct": 4, "corrected": 1, "not_among_the_shortest": 3, "rejected": {"wrong": 1}}
    write_json(sft / "summary.json", {"questions": {"in": 2, "out": 1, "rejected": {"bad row": 1}}, "chains": chains})
    rows = table(write_card(rl, [sft, *stages]), "From the sources to the set")
    assert rows[0] == ["traces/sft", "questions", "2", "1", "1", "bad row: 1"]
    assert rows[1] == ["traces/sft", "chains", "9", "5", "4", "wrong: 1"]


def test_histograms_count_every_row(finished):
    rl, stages = finished
    card = write_card(rl, stages)
    assert table(card, "Difficulty")[:2] == [
        ["sat", "asked", "1", "0", "5", "0", "10"],
        ["sat", "kept", "1", "0", "5", "0", "0"],
    ]
    # Columns: 0, 1, 2, 3-4, 5-10, over 10 boxes.
    assert table(card, "Boxes of a row") == [["sat", "6", *"00000"], ["vgr", "2", "2", "2", "2", "0", "0"]]
    assert table(card, "Longer side") == [["sat", "6", *"0000"], ["vgr", "8", *"0000"]]
    # Columns: 0, 2 and 3 choices.
    assert table(card, "Choices") == [["sat", "0", "0", "6"], ["vgr", "7", "1", "0"]]


def test_the_same_files_give_the_same_card_and_the_command_is_in_it(finished):
    rl, stages = finished
    card = write_card(rl, stages)
    assert write_card(rl, stages) == card == (rl / "README.md").read_text()
    assert 'filtered/sat, filtered/vgr\n    the command\n    model = "base"\n    rollouts = 4\n    seed = 3\n' in card


def test_names_from_a_source_cannot_break_the_tables(tmp_path):
    rows = [made_row(i, pictures=[png((i, 0, 0))]) for i in range(3)]
    rows[0]["extra_info"]["dataset"] = "a|b\n<script>alert(1)</script>"
    mix([Portion(made_folder(tmp_path / "sat", rows), 3)], tmp_path / "rl", val=1, seed=0)
    card = write_card(tmp_path / "rl", [])
    assert "| sat | a\\|b &lt;script>alert(1)&lt;/script> | 1 |" in card


def test_an_unfinished_stage_is_named(finished):
    rl, _ = finished
    with pytest.raises(FileNotFoundError, match=r"no summary\.json: this stage is not finished"):
        write_card(rl, [rl.parent / "filtered"])
    assert read_summary(rl) is not None


def test_credentials_in_a_url_do_not_reach_the_command_line(monkeypatch):
    words = ["fgrpo", "data", "difficulty", "data/a b", "--base-url", "http://user:secret@host:8000/v1"]
    monkeypatch.setattr("sys.argv", words)
    assert command_line() == "fgrpo data difficulty 'data/a b' --base-url http://host:8000/v1"


def test_a_folder_goes_on_with_the_same_settings_only(tmp_path):
    begin(tmp_path / "out", {"seed": 0, "model": "m"})
    begin(tmp_path / "out", {"seed": 0, "model": "m"})
    with pytest.raises(ValueError, match=r"out was begun with other settings \(seed=0, now 1\)"):
        begin(tmp_path / "out", {"seed": 1, "model": "m"})
