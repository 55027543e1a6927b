from types import SimpleNamespace

import pytest
from verl.trainer.sft_trainer import SFTTrainer

from easyr1_fgrpo.verl_plugin.run.warm_start import WarmStart


@pytest.fixture
def resumed(monkeypatch):
    """The trainer as verl leaves it, resumed after a step of 6, 3 an epoch; what it did is in `calls`."""

    def resumed(step):
        def parent(self, config):
            self.resume_global_step, self.steps_per_epoch, self.total_training_steps = step, 3, 6
            self.train_dataloader, self.ckpt_handler = "used up", SimpleNamespace(train_dataloader="used up")
            self.calls = []

        monkeypatch.setattr(SFTTrainer, "__init__", parent)
        monkeypatch.setattr(SFTTrainer, "_build_dataloader", lambda self: setattr(self, "train_dataloader", "fresh"))
        monkeypatch.setattr(SFTTrainer, "fit", lambda self: self.calls.append("fit"))
        return WarmStart(None)

    return resumed


def test_an_epoch_begins_with_a_fresh_loader_and_goes_on_with_a_used_one(resumed):
    for step, loader in ((3, "fresh"), (4, "used up")):
        trainer = resumed(step)
        assert (trainer.train_dataloader, trainer.ckpt_handler.train_dataloader) == (loader, loader), step


def test_after_the_last_step_nothing_is_trained(resumed):
    for step, calls in ((5, ["fit"]), (6, [])):
        trainer = resumed(step)
        trainer.fit()
        assert trainer.calls == calls, step
