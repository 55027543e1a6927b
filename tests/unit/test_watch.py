"""When a run counts as stuck: what moves it, and for how long nothing may."""

from easyr1_fgrpo import watch
from easyr1_fgrpo.watch import Watch


def test_only_what_training_writes_moves_a_run(tmp_path, monkeypatch):
    now = 1000.0
    monkeypatch.setattr(watch.time, "monotonic", lambda: now)
    for folder in ("traces", "checkpoints/global_step_2/actor"):
        (tmp_path / folder).mkdir(parents=True)
    watching = Watch(tmp_path, max_silence_s=100.0, runner=lambda: None)
    moving = ("metrics.jsonl", "traces/train-1.jsonl", "checkpoints/global_step_2/actor/model.pt")
    for name in moving:
        now += 90.0
        with (tmp_path / name).open("a") as file:
            file.write("more\n")
        assert watching.silence() == ""
    now += 99.0
    (tmp_path / "train.log").write_text("a library repeats itself\n")
    assert watching.silence() == ""
    now += 1.0
    assert watching.silence() == (
        "nothing moved for 100 s (fgrpo.max_silence_s): no step, no rollout's trace, no checkpoint was written below "
        f"{tmp_path}, while all processes of the run are alive"
    )


def test_a_resumed_run_is_not_silent_for_what_it_wrote_before(tmp_path, monkeypatch):
    now = 1000.0
    monkeypatch.setattr(watch.time, "monotonic", lambda: now)
    (tmp_path / "metrics.jsonl").write_text("{}\n")
    watching = Watch(tmp_path, max_silence_s=100.0, runner=lambda: None)
    now += 99.0
    assert watching.silence() == ""
    now += 1.0
    assert watching.silence()
