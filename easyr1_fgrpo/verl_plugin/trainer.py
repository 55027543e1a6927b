"""The trainer `fgrpo`: verl's synchronous v1 trainer that hands every signal to `cgrpo` and moves the multipliers.

What FGRPO adds to a step is `training.step.Fgrpo`; here verl's batch is read for it. The trainer also makes runs
repeatable (row order and ids), and keeps the multipliers inside verl's checkpoints.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import transfer_queue as tq
from omegaconf import OmegaConf, open_dict
from verl.trainer.ppo.v1.trainer_base import register_trainer
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
from verl.utils import tensordict_utils as tu

from easyr1_fgrpo.checkpoints import CheckpointError, finished_step, prune, step_folder, write_manifest
from easyr1_fgrpo.config.schema import FgrpoConfig
from easyr1_fgrpo.metrics_file import MetricsFile
from easyr1_fgrpo.training.canary import check_probabilities
from easyr1_fgrpo.training.handover import handed_over
from easyr1_fgrpo.training.state import load_state, save_state
from easyr1_fgrpo.training.step import Fgrpo
from easyr1_fgrpo.training.step_signals import RolloutId
from easyr1_fgrpo.training.validation import validation_metrics
from easyr1_fgrpo.verl_plugin.logged_traces import log_traces, validation_traces
from easyr1_fgrpo.verl_plugin.names import TRAINER

POLL_SECONDS = 0.1
"""How often the replay buffer looks for finished groups; verl's two seconds would dominate a short step."""


@register_trainer(TRAINER)
class FaithfulTrainer(PPOTrainerSync):
    """Synchronous PPO with constrained advantages and multipliers (FGRPO Eq. 4-6)."""

    def __init__(self, config: Any) -> None:
        settings = FgrpoConfig.model_validate(OmegaConf.to_container(config.fgrpo, resolve=True))
        self.fgrpo = Fgrpo(settings, lost_hint="see 'Error in _run_prompt' above")
        self.run_dir = Path(settings.run_dir)
        self.metrics_file = MetricsFile(self.run_dir / "metrics.jsonl")
        # The base class compares the mode with the literal "sync" in six places.
        with open_dict(config):
            config.trainer.v1.trainer_mode = "sync"
            # verl knows the checkpoints of its own process only, so each resume left one more; and of one checkpoint it
            # deletes the policy alone, the last whole one's too, before the next is marked. Here the trainer deletes.
            self._checkpoints_kept: int | None = config.trainer.max_actor_ckpt_to_keep
            config.trainer.max_actor_ckpt_to_keep = None
        super().__init__(config)
        self.replay_buffer.poll_interval = POLL_SECONDS

    # ------------------------------------------------------------------ repeatable rows

    def _next_train_batch(self, num_prompts: int | None = None) -> Any:
        batch = super()._next_train_batch(num_prompts)
        name = self.run_dir.name.replace("_", "-")  # verl cuts its keys at the first underscore to find the prompt
        tu.assign_non_tensor_stack(batch, "uid", [f"{name}-{self.global_steps}-{row}" for row in range(len(batch))])
        return batch

    def _balance_batch(self, batch: Any, metrics: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        # The queue hands rows over in order of arrival; from here on their order is the dataset's.
        batch.reorder(sorted(range(len(batch.keys)), key=lambda row: _row_order(batch.keys[row])))
        return super()._balance_batch(batch, metrics, *args, **kwargs)

    # ------------------------------------------------------------------ the canary

    def _compute_old_log_prob(self, batch: Any, metrics: dict[str, Any]) -> Any:
        batch = super()._compute_old_log_prob(batch, metrics)
        check_probabilities(self.global_steps, metrics, self.fgrpo.settings.max_probs_difference)
        return batch

    # ------------------------------------------------------------------ signals, advantage, dual step

    def _compute_advantage(self, batch: Any, metrics: dict[str, Any]) -> Any:
        step = self.fgrpo.begin_step(
            self.global_steps,
            [rollout_id(key, tag) for key, tag in zip(batch.keys, batch.tags, strict=True)],
            self._reported(batch),
            expected=self.config.data.train_batch_size * self.config.actor_rollout_ref.rollout.n,
        )
        with handed_over(partial(self.fgrpo.advantage, step)) as handover:
            batch = super()._compute_advantage(batch, metrics)
        assert handover.result is not None, "cgrpo did not run"
        metrics |= self.fgrpo.end_step(step, handover.result)
        return batch

    def _reported(self, batch: Any) -> list[dict[str, Any] | None]:
        """What the reward workers gave for each row."""
        fields = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=["extra_fields"])
        rows = [getattr(row, "data", row) for row in list(fields["extra_fields"])]
        return [row.get("reward_extra_info") for row in rows]

    # ------------------------------------------------------------------ what is logged

    def _compute_metrics(self, batch: Any, metrics: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        super()._compute_metrics(batch, metrics, *args, **kwargs)
        self.metrics_file.write(self.global_steps, metrics)
        self.fgrpo.unmeasured.check()
        self.fgrpo.first_steps.see(self.global_steps, metrics)

    def _validate(self) -> dict[str, float]:
        if self.fgrpo.unmeasured.due:  # the run ends after this step, and nobody judges
            return {}
        metrics: dict[str, float] = super()._validate()
        if self.global_steps == 0:  # later ones go into their step's record, whose line no other may replace
            self.metrics_file.write(self.global_steps, metrics)
        return metrics

    def _maybe_log_val_generations(self, *args: Any, **kwargs: Any) -> None:
        if count := self.config.trainer.log_val_generations:
            records = validation_traces(self.run_dir, self.global_steps, count)
            log_traces(records, self.global_steps, self.logger.logger, self.validation_generations_logger)

    def _val_metrics_update(
        self, data_sources: list[str], sample_uids: list[str], numbers: dict[str, list[Any]], *args: Any, **kwargs: Any
    ) -> dict[str, float]:
        """Verl's metrics for accuracy, and `validation_metrics`."""
        metrics: dict[str, float] = super()._val_metrics_update(
            data_sources,
            sample_uids,
            {key: numbers[key] for key in ("reward", "acc") if key in numbers},
            *args,
            **kwargs,
        )
        return metrics | validation_metrics(self.global_steps, numbers, self.fgrpo.signal_names)

    # ------------------------------------------------------------------ checkpoints

    def on_step_end(self) -> None:
        """Save what a run that is about to end would lose, unless verl has just done so."""
        saved = finished_step(Path(self.config.trainer.default_local_dir))
        if self.fgrpo.unmeasured.due and saved != self.global_steps:
            self._save_checkpoint()
        super().on_step_end()

    def _save_checkpoint(self) -> None:
        folder, keep = self._checkpoint.parent, self._checkpoints_kept
        # Before super(): verl marks the checkpoint as the latest in its last act, so that mark covers this file.
        save_state(self.fgrpo, self._checkpoint)
        if keep:
            prune(
                folder, max(2, keep), self.global_steps
            )  # the new one and the last whole one; disks are sized for `keep`
        super()._save_checkpoint()
        write_manifest(self._checkpoint)
        if keep:
            prune(folder, keep, self.global_steps)

    def _load_checkpoint(self) -> None:
        super()._load_checkpoint()
        trainer = self.config.trainer
        marked = finished_step(Path(trainer.default_local_dir)) or 0
        if trainer.resume_mode == "auto" and self.global_steps != marked:
            raise CheckpointError(
                f"{trainer.default_local_dir}: step {marked} is marked, but verl loaded step {self.global_steps}"
            )
        if self.global_steps > 0:
            chosen = trainer.resume_mode == "resume_path"
            load_state(self.fgrpo, Path(trainer.resume_from_path) if chosen else self._checkpoint)

    @property
    def _checkpoint(self) -> Path:
        return step_folder(Path(self.config.trainer.default_local_dir), self.global_steps)


def split_key(key: str) -> tuple[str, int, int]:
    """`{uid}_{session}_{output}` of verl's agent loop -> its parts."""
    uid, session, output = key.rsplit("_", 2)
    return uid, int(session), int(output)


def rollout_id(key: str, tag: dict[str, Any]) -> RolloutId | None:
    """Whose output a row of verl's batch is; None for the rows that fill it up."""
    return None if tag.get("is_padding", False) else RolloutId(*split_key(key))


def _row_order(key: str) -> tuple[int, int, int, int]:
    uid, session, output = split_key(key)
    _, step, position = uid.rsplit("-", 2)
    return int(step), int(position), session, output
