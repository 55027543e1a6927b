import io
from types import SimpleNamespace

import pytest
from made_trainer import settings_of
from omegaconf import OmegaConf
from PIL import Image
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync

from easyr1_fgrpo.verl_plugin.trainer import FaithfulTrainer


@pytest.fixture
def png():
    buffer = io.BytesIO()
    Image.new("RGB", (100, 60), (200, 30, 40)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Builds a trainer whose parent starts nothing."""

    def parent(self, config):
        self.config = config
        self.global_steps = 1
        self.replay_buffer = SimpleNamespace(poll_interval=2.0)

    monkeypatch.setattr(PPOTrainerSync, "__init__", parent)

    def build(rollouts=4, keep=None, **changes):
        config = OmegaConf.create(
            {
                "fgrpo": settings_of(run_dir=str(tmp_path / "run"), **changes),
                "data": {"train_batch_size": 1},
                "actor_rollout_ref": {"rollout": {"n": rollouts}},
                "trainer": {
                    "default_local_dir": str(tmp_path / "run" / "checkpoints"),
                    "resume_mode": "auto",
                    "max_actor_ckpt_to_keep": keep,
                    "v1": {"trainer_mode": "fgrpo"},
                },
            }
        )
        OmegaConf.set_struct(config, True)
        return FaithfulTrainer(config)

    return build
