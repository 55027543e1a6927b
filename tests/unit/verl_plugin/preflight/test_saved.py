# What is deleted or cut in a checkpoint is found before Ray starts, and the last whole one is named.
import shutil
import zipfile
from pathlib import Path

import pytest

from easyr1_fgrpo.checkpoints import MANIFEST_FILE, MARKER, CheckpointError, write_manifest
from easyr1_fgrpo.config.load import ConfigError, read_settings
from easyr1_fgrpo.verl_plugin.preflight.saved import go_back, saved_step

from ..saved_run import config_of, save


@pytest.fixture
def newest(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(4)
    return save(6)


def problem(*overrides: str) -> str:
    with pytest.raises(CheckpointError) as refused:
        saved_step(config_of(*overrides))
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_a_whole_checkpoint_is_what_the_run_goes_on_from(newest):
    assert saved_step(config_of()) == 6
    from_path = "trainer.resume_mode=resume_path", f"trainer.resume_from_path={newest.with_name('global_step_4')}"
    assert saved_step(config_of(*from_path)) == 4
    assert problem(from_path[1]).endswith("it is read with trainer.resume_mode=resume_path only")
    shutil.rmtree(newest.parent)
    assert saved_step(config_of()) is None
    assert saved_step(config_of("trainer.resume_mode=disable")) is None


def test_a_run_that_starts_anew_does_not_mix_with_another(newest):
    said = "trainer.resume_mode=disable: run/checkpoints holds a run's checkpoints, and a new run would be mixed with"
    assert problem("trainer.resume_mode=disable").startswith(said)


def test_each_missing_or_cut_part_is_named_with_the_way_out(newest):
    way_out = ". Go on from the last whole one: the same command with fgrpo.resume.from=global_step_4"
    cut = {
        "data.pt": b"",
        "actor/model_world_size_1_rank_0.pt": b"half",
        "actor/optim_world_size_1_rank_0.pt": bytes(4000),
        "actor/extra_state_world_size_1_rank_0.pt": None,
        "fgrpo.json": b'{"multipliers": {',
    }
    for name, content in cut.items():
        path = newest / name
        before = path.read_bytes()
        path.unlink() if content is None else path.write_bytes(content)
        if content == b"half":
            path.write_bytes(before[: len(before) // 2])
        found = problem()
        assert found.startswith(f"{path.absolute().relative_to(newest.parent.parent.parent.absolute())} "), name
        assert found.endswith(way_out), name
        path.write_bytes(before)
    assert saved_step(config_of()) == 6


def test_a_shard_of_the_right_size_and_shape_is_told_by_the_manifest(newest):
    write_manifest(newest)
    assert saved_step(config_of()) == 6
    shard = newest / "actor/optim_world_size_1_rank_0.pt"
    before = shard.read_bytes()
    shard.write_bytes(bytes(len(before) // 2) + before[len(before) // 2 :])
    assert zipfile.is_zipfile(shard)
    assert "optim_world_size_1_rank_0.pt is not as it was written: its content changed. Go on" in problem()
    shard.write_bytes(before)
    export = newest / "actor/huggingface"
    export.mkdir()
    (export / "config.json").write_text("{}")
    write_manifest(newest)
    (export / "config.json").unlink()
    assert saved_step(config_of()) == 6, "what is made for others may be removed"
    (newest / MANIFEST_FILE).write_text("{")
    assert f"{MANIFEST_FILE} is no whole file" in problem()


def test_a_marker_that_names_no_checkpoint_is_refused(newest):
    marker = newest.parent / MARKER
    for content, said in (
        ("9999", "global_step_9999: no such checkpoint"),
        ("", f"{marker} holds '' instead of a step"),
    ):
        marker.write_text(content)
        assert said in problem()
    marker.write_text("6")
    shutil.rmtree(newest)
    shutil.rmtree(newest.with_name("global_step_4"))
    assert "move run/checkpoints away to start anew" in problem()


def test_a_marker_that_is_gone_is_told_from_a_first_checkpoint_that_was_cut_off(newest):
    (newest.parent / MARKER).unlink()
    assert problem().startswith(
        f"run/checkpoints/{MARKER} is missing beside checkpoints of steps 4, 6. Go on from the last whole one: the "
        "same command with fgrpo.resume.from=global_step_6"
    )
    assert saved_step(config_of("fgrpo.resume.from=global_step_6")) == 6
    shutil.rmtree(newest)
    assert saved_step(config_of()) is None


def test_a_run_goes_back_once_and_then_on_from_what_it_saved_since(newest):
    shutil.rmtree(newest / "actor")
    (advice,) = [word for word in problem().split() if word.startswith("fgrpo.")]
    back, marker = config_of(advice), newest.parent / MARKER
    for _ in range(2):  # killed before its next checkpoint, it starts at the same place again
        assert saved_step(back) == 4
        go_back(back)
        assert marker.read_text() == "4"
    save(8)
    with Path("run/resumes.jsonl").open("a") as notes:
        notes.write('{"from": "global_')  # a note that a kill cut off
    assert saved_step(back) == 8
    go_back(back)
    assert marker.read_text() == "8"
    marker.write_text("")  # damaged again: what is advised works again
    assert saved_step(back) == 4
    assert problem().endswith("the same command with fgrpo.resume.from=global_step_8")
    back.fgrpo.resume["from"] = "global_step_8"
    assert saved_step(back) == 8
    back.trainer.resume_mode = "disable"
    with pytest.raises(CheckpointError, match=r"not with trainer\.resume_mode=disable, drop one"):
        saved_step(back)
    with pytest.raises(ConfigError, match=r"fgrpo.resume.from=.step_4.: .*global_step_"):
        read_settings(config_of("fgrpo.resume.from=step_4"))


def test_ranks_must_be_those_that_wrote(newest):
    assert "written by another number of ranks than this run's 2" in problem("trainer.n_gpus_per_node=2")
    shutil.rmtree(newest.parent)
    folder = save(2, ranks=2)
    assert saved_step(config_of("trainer.n_gpus_per_node=2")) == 2
    for shard in folder.glob("actor/*_rank_1.pt"):
        shard.unlink()
    assert "rank_1.pt is missing" in problem("trainer.n_gpus_per_node=2")
    assert saved_step(config_of("trainer.nnodes=2")) == 2, "the other machine has its own"
