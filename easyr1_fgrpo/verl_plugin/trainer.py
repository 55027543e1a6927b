"""The trainer `fgrpo`: verl's synchronous v1 trainer that hands every signal to `cgrpo` and moves the multipliers.

What it adds to a step: read the signals, refuse a step with too many failures, compute the advantage with the
multipliers from before the step, then take the dual step (primal, then dual). It also makes runs repeatable (row
order and ids), and keeps the multipliers inside verl's checkpoints.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import transfer_queue as tq
from omegaconf import OmegaConf, open_dict
from verl.trainer.ppo.v1.trainer_base import register_trainer
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
from verl.utils import tensordict_utils as tu

from easyr1_fgrpo.algorithm import (
    PID,
    Constraint,
    DualAscent,
    FixedMultipliers,
    Multiplicative,
    MultiplierController,
    NuPI,
)
from easyr1_fgrpo.config.schema import FgrpoConfig
from easyr1_fgrpo.rewards import SIGNALS
from easyr1_fgrpo.training.judge_metrics import JUDGE_FAILURES, valid_share
from easyr1_fgrpo.training.metrics_file import MetricsFile
from easyr1_fgrpo.training.step_signals import StepSignals, failed_count, metrics_of, read_step, split_key
from easyr1_fgrpo.verl_plugin.estimator import Handover, handed_over
from easyr1_fgrpo.verl_plugin.logged_traces import log_traces, validation_traces
from easyr1_fgrpo.verl_plugin.names import TRAINER

STATE_FILE = "fgrpo.json"
POLL_SECONDS = 0.1
"""How often the replay buffer looks for finished groups; verl's two seconds would dominate a short step."""

ADAPTIVE: dict[str, Callable[..., MultiplierController]] = {
    "dual_ascent": DualAscent,
    "pid": PID,
    "nupi": NuPI,
    "multiplicative": Multiplicative,
}

logger = logging.getLogger(__name__)


class RolloutsFailedError(RuntimeError):
    """More rollouts of a step failed than `fgrpo.max_failed_share` allows."""


def build_controller(settings: FgrpoConfig) -> MultiplierController:
    """The multipliers' controller that the config asks for."""
    constraints = [
        Constraint(key, settings.constraints[key].threshold, settings.constraints[key].initial_multiplier)
        for key in settings.constraint_keys
    ]
    if settings.dual.controller == "fixed":
        return FixedMultipliers(constraints)
    return ADAPTIVE[settings.dual.controller](
        constraints,
        lr=settings.dual.lr,
        max_multiplier=settings.dual.lambda_max,
        min_applicable=settings.dual.min_applicable,
        **settings.dual.own_options,
    )


@register_trainer(TRAINER)
class FaithfulTrainer(PPOTrainerSync):
    """Synchronous PPO with constrained advantages and multipliers (FGRPO Eq. 4-6)."""

    def __init__(self, config: Any) -> None:
        self.settings = FgrpoConfig.model_validate(OmegaConf.to_container(config.fgrpo, resolve=True))
        self.signals = (*SIGNALS, *self.settings.signals)
        self.controller = build_controller(self.settings)
        self.metrics_file = MetricsFile(Path(self.settings.run_dir) / "metrics.jsonl")
        # The base class compares the mode with the literal "sync" in six places.
        with open_dict(config):
            config.trainer.v1.trainer_mode = "sync"
        super().__init__(config)
        self.replay_buffer.poll_interval = POLL_SECONDS

    # ------------------------------------------------------------------ repeatable rows

    def _next_train_batch(self, num_prompts: int | None = None) -> Any:
        batch = super()._next_train_batch(num_prompts)
        tu.assign_non_tensor_stack(batch, "uid", [f"{self.global_steps}-{row}" for row in range(len(batch))])
        return batch

    def _balance_batch(self, batch: Any, metrics: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        # The queue hands rows over in order of arrival; from here on their order is the dataset's.
        batch.reorder(sorted(range(len(batch.keys)), key=lambda row: _row_order(batch.keys[row])))
        return super()._balance_batch(batch, metrics, *args, **kwargs)

    # ------------------------------------------------------------------ signals, advantage, dual step

    def _compute_advantage(self, batch: Any, metrics: dict[str, Any]) -> Any:
        step = self._read_step(batch)
        expected = self.config.data.train_batch_size * self.config.actor_rollout_ref.rollout.n
        metrics |= metrics_of(step, expected)
        self._refuse_failures(step, expected)
        handover = Handover(
            step, self.controller.multipliers, self.settings.advantage, level=self.settings.reward.level
        )
        with handed_over(handover):
            batch = super()._compute_advantage(batch, metrics)
        assert handover.result is not None, "cgrpo did not run"
        keys = self.settings.constraint_keys
        shares = {str(key): valid_share(step.masks[key], step.reasons[key]) for key in keys}
        records = self.controller.step(
            {key: (step.scores[key], step.masks[key]) for key in keys}, hold=self._unmeasured(step, shares)
        )
        for name, share in handover.result.shares.items():
            metrics |= _present(f"fgrpo/{name}", share=share, zero_variance_groups=handover.result.zero_variance[name])
        for key, record in records.items():
            metrics |= _present(
                f"fgrpo/{key}",
                score=record.score,
                applicable=record.count,
                valid_share=shares[key],
                threshold=record.threshold,
                violation=record.violation,
                multiplier=handover.multipliers[key],
                next_multiplier=record.multiplier,
                updated=float(record.updated),
                saturated=float(record.saturated),
                **record.terms,
            )
        metrics["fgrpo/dual/lambda_max"] = self.settings.dual.lambda_max
        return batch

    def _read_step(self, batch: Any) -> StepSignals:
        fields = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=["extra_fields"])
        rows = [getattr(row, "data", row) for row in list(fields["extra_fields"])]
        return read_step(
            batch.keys,
            [bool(tag.get("is_padding", False)) for tag in batch.tags],
            [row.get("reward_extra_info") for row in rows],
            self.signals,
        )

    def _unmeasured(self, step: StepSignals, shares: dict[str, float | None]) -> dict[str, str]:
        """Constraints whose judge measured too few of its rollouts to move their multiplier, and why; warned about."""
        least = self.settings.dual.min_valid_share
        hold = {}
        for key, share in shares.items():
            if share is not None and share < least:
                failures = {reason: step.reasons[key][reason] for reason in JUDGE_FAILURES if step.reasons[key][reason]}
                hold[key] = f"the judge measured {share:.0%} of its rollouts, {least:.0%} needed ({failures})"
                logger.warning("step %d: %s is not being measured: %s", self.global_steps, key, hold[key])
        return hold

    def _refuse_failures(self, step: StepSignals, expected: int) -> None:
        failed = failed_count(step, expected)
        if failed:
            logger.warning(
                "step %d: %d of %d rollouts failed (%d never came back, %s) and enter no statistic",
                self.global_steps, failed, expected, expected - step.sessions, dict(step.invalid) or "none unscored",
            )  # fmt: skip
        if failed > self.settings.max_failed_share * expected:
            raise RolloutsFailedError(
                f"step {self.global_steps}: {failed} of {expected} rollouts failed, more than "
                f"fgrpo.max_failed_share={self.settings.max_failed_share} allows: {expected - step.sessions} never "
                f"came back (see 'Error in _run_prompt' above), not scored: {dict(step.invalid) or 0}"
            )

    # ------------------------------------------------------------------ what is logged

    def _compute_metrics(self, batch: Any, metrics: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        super()._compute_metrics(batch, metrics, *args, **kwargs)
        self.metrics_file.write(self.global_steps, metrics)

    def _validate(self) -> dict[str, float]:
        metrics: dict[str, float] = super()._validate()
        if self.global_steps == 0:  # later ones go into their step's record, whose line no other may replace
            self.metrics_file.write(self.global_steps, metrics)
        return metrics

    def _maybe_log_val_generations(self, *args: Any, **kwargs: Any) -> None:
        if count := self.config.trainer.log_val_generations:
            records = validation_traces(Path(self.settings.run_dir), self.global_steps, count)
            log_traces(records, self.global_steps, self.logger.logger, self.validation_generations_logger)

    def _val_metrics_update(
        self, data_sources: list[str], sample_uids: list[str], numbers: dict[str, list[Any]], *args: Any, **kwargs: Any
    ) -> dict[str, float]:
        """Verl's metrics for accuracy, and the mean of every signal over the rollouts that have it."""
        metrics: dict[str, float] = super()._val_metrics_update(
            data_sources,
            sample_uids,
            {key: numbers[key] for key in ("reward", "acc") if key in numbers},
            *args,
            **kwargs,
        )
        for name in self.signals:
            values = [
                v for v, r in zip(numbers.get(name, []), numbers.get(f"{name}_reason", []), strict=True) if r == 0
            ]
            metrics[f"fgrpo/val/{name}/measured"] = len(values)
            if values:
                metrics[f"fgrpo/val/{name}/mean"] = sum(values) / len(values)
        return metrics

    # ------------------------------------------------------------------ checkpoints

    def _save_checkpoint(self) -> None:
        # Before super(): verl marks the checkpoint as the latest in its last act, so that mark covers this file.
        folder = Path(self.config.trainer.default_local_dir) / f"global_step_{self.global_steps}"
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f"{STATE_FILE}.part"
        part.write_text(json.dumps(self.controller.state_dict(), indent=1))
        os.replace(part, folder / STATE_FILE)
        super()._save_checkpoint()

    def _load_checkpoint(self) -> None:
        super()._load_checkpoint()
        if self.global_steps == 0:
            return
        trainer = self.config.trainer
        folder = Path(trainer.default_local_dir) / f"global_step_{self.global_steps}"
        path = (Path(trainer.resume_from_path) if trainer.resume_mode == "resume_path" else folder) / STATE_FILE
        if not path.exists():
            raise FileNotFoundError(f"{path} is missing: this checkpoint was not written by trainer_mode={TRAINER}")
        self.controller.load_state_dict(json.loads(path.read_text()))
        logger.info("multipliers resumed at step %d: %s", self.global_steps, self.controller.multipliers)


def _row_order(key: str) -> tuple[int, int, int, int]:
    uid, session, index = split_key(key)
    step, position = uid.split("-")
    return int(step), int(position), session, index


def _present(prefix: str, **values: float | None) -> dict[str, float]:
    return {f"{prefix}/{name}": value for name, value in values.items() if value is not None}
