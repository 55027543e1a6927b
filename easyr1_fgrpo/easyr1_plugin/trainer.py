"""EasyR1's trainer that hands every signal to `cgrpo`, moves the multipliers and keeps them in its checkpoints.

What FGRPO adds to a step is `training.step.Fgrpo`; here EasyR1's batch is read for it. Nothing of EasyR1's loop is
repeated: `fit` is its own, and calls the methods below.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import ray
from torch import Tensor
from verl.trainer.ray_trainer import RayPPOTrainer
from verl.utils.checkpoint import remove_obsolete_ckpt

from easyr1_fgrpo.algorithm import ConstrainedAdvantage
from easyr1_fgrpo.checkpoints import MARKER, finished_step, step_folder, write_manifest
from easyr1_fgrpo.config.schema import FgrpoConfig
from easyr1_fgrpo.easyr1_plugin import estimator  # noqa: F401 (registers cgrpo)
from easyr1_fgrpo.easyr1_plugin.rewards import SESSION, numbered
from easyr1_fgrpo.files import write_whole
from easyr1_fgrpo.host import ESTIMATOR
from easyr1_fgrpo.metrics_file import MetricsFile
from easyr1_fgrpo.training.handover import handed_over
from easyr1_fgrpo.training.state import load_state, save_state
from easyr1_fgrpo.training.step import Fgrpo
from easyr1_fgrpo.training.step_signals import RolloutId
from easyr1_fgrpo.training.validation import validation_metrics

HOSTS_ESTIMATOR = "grpo"
"""What the base class is told: it refuses names that are none of its own, and needs no critic for this one."""


class FaithfulTrainer(RayPPOTrainer):  # type: ignore[misc, unused-ignore]
    """GRPO with constrained advantages and multipliers (FGRPO Eq. 4-6).

    Args:
        config: a `FaithfulPPOConfig`.
        parts: as EasyR1's; `reward_fn` and `val_reward_fn` are a handle of `FaithfulRewards`.
    """

    def __init__(self, config: Any, **parts: Any) -> None:
        settings = FgrpoConfig.model_validate(config.fgrpo)
        self.fgrpo = Fgrpo(settings)
        self.metrics_file = MetricsFile(Path(settings.run_dir) / "metrics.jsonl")
        self._ids: list[RolloutId] = []
        self._metrics: dict[str, Any] = {}
        self._record: dict[str, Any] = {}
        self._steps_begun = 0
        config.algorithm.adv_estimator = HOSTS_ESTIMATOR
        super().__init__(config=config, **parts)
        config.algorithm.adv_estimator = ESTIMATOR

    def fit(self) -> None:
        """Train, from the last checkpoint on where there is one."""
        with handed_over(self._advantage):
            super().fit()

    # ------------------------------------------------------------------ signals, advantage, dual step

    def _balance_batch(self, batch: Any, metrics: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        # The last thing EasyR1 does with a batch before it asks for rewards: from here on its rows keep their order.
        batch.non_tensor_batch[SESSION] = np.array(numbered(batch.non_tensor_batch["uid"]), dtype=object)
        super()._balance_batch(batch, metrics, *args, **kwargs)
        columns = batch.non_tensor_batch
        self._ids = [RolloutId(uid, int(number)) for uid, number in zip(columns["uid"], columns[SESSION], strict=True)]
        self._metrics, self._record = metrics, {}
        self._steps_begun += 1
        self.reward_fn.begin.remote(self.global_step)

    def _advantage(self, response_mask_BT: Tensor) -> ConstrainedAdvantage:
        expected = self.config.data.rollout_batch_size * self.config.worker.rollout.n
        numbers = ray.get(self.reward_fn.take.remote())
        step = self.fgrpo.begin_step(self.global_step, self._ids, numbers, expected=expected)
        found = self.fgrpo.advantage(step, response_mask_BT)
        self._metrics |= self.fgrpo.end_step(step, found)
        return found

    # ------------------------------------------------------------------ what is logged

    @property
    def logger(self) -> Any:
        """EasyR1's tracker, whose records go to metrics.jsonl as well."""
        return self._logger

    @logger.setter
    def logger(self, tracker: Any) -> None:
        tracker.log = partial(self._log, tracker.log)
        self._logger = tracker

    def _log(self, log: Any, data: dict[str, Any], step: int) -> None:
        log(data=data, step=step)
        if step > 0 and self._steps_begun == 0:
            return  # a resumed run's validation before its first step, whose record is there
        of_training = self._steps_begun > 0 and not self._record
        self._record |= data  # the last step has two records: its own, and the last validation's
        self.metrics_file.write(step, self._record)
        if of_training:
            self._after_step(step, data)

    def _after_step(self, step: int, metrics: dict[str, Any]) -> None:
        checkpoints = Path(self.config.trainer.save_checkpoint_path)
        if self.fgrpo.unmeasured.due and finished_step(checkpoints) != step:
            self._save_checkpoint()
        self.fgrpo.unmeasured.check()
        self.fgrpo.first_steps.see(step, metrics)

    def _validate(self) -> dict[str, Any]:
        if self.fgrpo.unmeasured.due:  # the run ends after this step, and nobody judges
            return {}
        self.val_reward_fn.begin.remote(self.global_step)
        metrics: dict[str, Any] = super()._validate()
        rows = ray.get(self.val_reward_fn.take.remote())
        columns = {key: [row.get(key) for row in rows] for key in {key: None for row in rows for key in row}}
        return metrics | validation_metrics(self.global_step, columns, self.fgrpo.signal_names)

    # ------------------------------------------------------------------ checkpoints

    def _save_checkpoint(self) -> None:
        trainer = self.config.trainer
        checkpoints, limit = Path(trainer.save_checkpoint_path), trainer.save_limit
        # Before super(): EasyR1 marks the checkpoint as the latest in its last act, so that mark covers this file.
        save_state(self.fgrpo, step_folder(checkpoints, self.global_step))
        # EasyR1 deletes before it writes, with a limit of 1 the last whole checkpoint; here it deletes afterwards.
        trainer.save_limit = -1
        try:
            super()._save_checkpoint()
        finally:
            trainer.save_limit = limit
        write_manifest(step_folder(checkpoints, self.global_step))
        write_whole(checkpoints / MARKER, str(self.global_step))
        remove_obsolete_ckpt(str(checkpoints), self.global_step, self.best_global_step, limit)

    def _load_checkpoint(self) -> None:
        super()._load_checkpoint()
        if self.global_step > 0:
            trainer = self.config.trainer
            loaded = trainer.load_checkpoint_path or step_folder(Path(trainer.save_checkpoint_path), self.global_step)
            load_state(self.fgrpo, Path(loaded))
