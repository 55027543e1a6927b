from pathlib import Path

from easyr1_fgrpo.config.load import load_config
from easyr1_fgrpo.evaluation.summary import questions


def test_the_last_table_is_of_the_runs_own_data(capsys):
    own = ["dataset=own", "own.train=mine/train.parquet", "own.val=mine/val.parquet"]
    mine = ["data.train_files=mine/train.parquet", "data.val_files=mine/val.parquet"]
    several = ["data.train_files=mine/train.parquet", "data.val_files=[mine/a.parquet,mine/b.parquet]"]
    for overrides, file in [
        ([], "runs/miniature-s0/world/test.parquet"),
        (["data.train_files=other.parquet"], "runs/miniature-s0/world/test.parquet"),
        (own, "mine/val.parquet"),
        ([*own, "evaluation.file=mine/test.parquet"], "mine/test.parquet"),
    ]:
        assert questions(load_config(overrides)) == Path(file), overrides
    assert capsys.readouterr().out == ""
    for overrides, file in [(mine, "mine/val.parquet"), (several, "mine/a.parquet")]:
        assert questions(load_config(overrides)) == Path(file), overrides
        assert f"the last table is of data.val_files={file}" in capsys.readouterr().out
    assert questions(load_config([*mine, "evaluation.file=mine/test.parquet"])) == Path("mine/test.parquet")
