"""The warm start: verl's SFT trainer, going on after its last checkpoint as if it had never stopped.

`fgrpo stages` has torchrun start this module with overrides of config/warm_start.yaml.

verl 0.9.1 does not at two points. It saves its data loader before an epoch's last batch counts as the end of that
epoch, so resumed there it skips an epoch; resumed after its last step it takes one more.
"""

from __future__ import annotations

from typing import Any

import hydra
from verl.trainer.sft_trainer import SFTTrainer
from verl.utils.device import auto_set_device
from verl.utils.distributed import destroy_global_process_group, initialize_global_process_group


class WarmStart(SFTTrainer):
    """verl's SFT trainer whose result does not depend on where it was stopped."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        if self.resume_global_step % self.steps_per_epoch == 0:
            # The loader's state is a finished epoch's: the next epoch starts fresh, and so do its checkpoints.
            self._build_dataloader()
            self.ckpt_handler.train_dataloader = self.train_dataloader

    def fit(self) -> None:
        """Train from the last checkpoint to the last step; nothing when that was reached before."""
        if self.resume_global_step < self.total_training_steps:
            super().fit()


@hydra.main(config_path="pkg://easyr1_fgrpo.config", config_name="warm_start", version_base=None)  # type: ignore[untyped-decorator]
def main(config: Any) -> None:
    """Train on this rank."""
    auto_set_device(config)
    initialize_global_process_group()
    WarmStart(config).fit()
    destroy_global_process_group()


if __name__ == "__main__":
    main()
