import json
import shutil
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync

from easyr1_fgrpo.checkpoints import MARKER, CheckpointError, step_of


@pytest.fixture
def checkpoints(monkeypatch):
    """verl's part of a checkpoint: the mark of the latest one, written last."""

    def mark(trainer):
        return Path(trainer.config.trainer.default_local_dir) / MARKER

    def save(self):
        folder = mark(self).with_name(f"global_step_{self.global_steps}")
        assert (folder / "fgrpo.json").exists(), "the mark must cover the multipliers"
        mark(self).write_text(str(self.global_steps))

    def load(self):
        self.global_steps = int(mark(self).read_text()) if mark(self).exists() else 0

    monkeypatch.setattr(PPOTrainerSync, "_save_checkpoint", save)
    monkeypatch.setattr(PPOTrainerSync, "_load_checkpoint", load)


def move(trainer):
    score = (torch.tensor([1 / 3]), torch.tensor([True]))
    trainer.fgrpo.controller.step(dict.fromkeys(trainer.fgrpo.settings.constraint_keys, score))


def test_multipliers_go_round_to_the_last_digit(make, checkpoints):
    saved = make()
    move(saved)
    saved.global_steps = 20
    saved._save_checkpoint()
    move(saved)  # after the checkpoint: lost
    resumed = make()
    resumed._load_checkpoint()
    fresh = make()
    move(fresh)
    assert resumed.global_steps == 20
    assert resumed.fgrpo.controller.state_dict() == fresh.fgrpo.controller.state_dict()
    assert resumed.fgrpo.controller.multipliers != saved.fgrpo.controller.multipliers
    folder = Path(resumed.config.trainer.default_local_dir) / "global_step_20"
    assert sorted(path.name for path in folder.iterdir()) == ["fgrpo.json", "manifest.json"]
    assert list(json.loads((folder / "manifest.json").read_text())) == ["fgrpo.json"]


def test_a_first_start_keeps_the_initial_multipliers(make, checkpoints):
    trainer = make()
    trainer._load_checkpoint()
    assert trainer.fgrpo.controller.multipliers == {"consistency": 1.0, "spatial_grounding": 0.5}


@pytest.fixture
def marked(make, checkpoints):
    """A trainer whose latest checkpoint is marked as that of step 5."""
    trainer = make()
    folder = Path(trainer.config.trainer.default_local_dir)
    folder.mkdir(parents=True)
    (folder / MARKER).write_text("5")
    return trainer


def test_what_verl_loads_is_what_is_marked(marked, monkeypatch):
    """verl starts anew, with a log line at most, when it does not find what the marker names."""
    monkeypatch.setattr(PPOTrainerSync, "_load_checkpoint", lambda self: setattr(self, "global_steps", 0))
    with pytest.raises(CheckpointError, match="step 5 is marked, but verl loaded step 0"):
        marked._load_checkpoint()


def test_resume_from_a_path(make, checkpoints, monkeypatch, tmp_path):
    other = tmp_path / "elsewhere" / "global_step_3"
    other.mkdir(parents=True)
    trainer = make()
    move(trainer)
    (other / "fgrpo.json").write_text(json.dumps(trainer.fgrpo.controller.state_dict()))
    monkeypatch.setattr(PPOTrainerSync, "_load_checkpoint", lambda self: setattr(self, "global_steps", 3))
    resumed = make()
    OmegaConf.set_struct(resumed.config, False)
    resumed.config.trainer.resume_mode = "resume_path"
    resumed.config.trainer.resume_from_path = str(other)
    resumed._load_checkpoint()
    assert resumed.fgrpo.controller.multipliers == trainer.fgrpo.controller.multipliers


def test_a_checkpoint_of_another_trainer_is_refused(marked):
    with pytest.raises(
        FileNotFoundError, match=r"global_step_5/fgrpo.json is missing: this checkpoint was not written"
    ):
        marked._load_checkpoint()


def test_at_most_so_many_checkpoints_lie_on_disk_whatever_was_resumed(make, checkpoints, monkeypatch):
    """verl counts those of its own process only, and of a single one deletes the last whole one before the next is."""
    save = PPOTrainerSync._save_checkpoint
    seen = []

    def steps(folder):
        return sorted(step_of(path) for path in folder.glob("global_step_*"))

    def save_and_look(self):
        folder = Path(self.config.trainer.default_local_dir)
        assert self.config.trainer.max_actor_ckpt_to_keep is None  # verl deletes nothing
        seen.append((steps(folder), (folder / MARKER).read_text() if (folder / MARKER).exists() else None))
        save(self)

    monkeypatch.setattr(PPOTrainerSync, "_save_checkpoint", save_and_look)
    for keep in (1, 2, 3):
        step = 0
        for _start in range(4):  # each a process of its own, that ends after two checkpoints
            trainer = make(keep=keep)
            folder = Path(trainer.config.trainer.default_local_dir)
            if step == 0 and folder.exists():
                shutil.rmtree(folder)
            trainer._load_checkpoint()
            assert trainer.global_steps == step
            for _ in range(2):
                step += 1
                trainer.global_steps = step
                trainer._save_checkpoint()
                assert steps(folder) == list(range(max(1, step - keep + 1), step + 1))
                there, marked = seen[-1]
                assert len(there) <= max(2, keep)
                assert marked is None or int(marked) in there
    # Taken up again from an earlier step: what that start has not reached yet is left alone.
    trainer = make(keep=2)
    trainer.global_steps = 7
    (folder / MARKER).write_text("6")
    trainer._save_checkpoint()
    assert steps(folder) == [6, 7, 8]
