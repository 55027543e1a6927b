"""FGRPO in TRL 1.16: the weights of GRPOTrainer's reward functions are multipliers that move."""

import json
from pathlib import Path

import torch
from trl import GRPOTrainer

from easyr1_fgrpo import MultiplierController

STATE = "multipliers.json"


class FgrpoTrainer(GRPOTrainer):
    """The first reward function is the objective; each other one is a constraint, named like its function."""

    def __init__(self, *args, dual: MultiplierController, **kwargs):
        super().__init__(*args, **kwargs)
        if self.multi_objective_aggregation != "normalize_then_sum":
            raise ValueError('FGRPO needs GRPOConfig(multi_objective_aggregation="normalize_then_sum")')
        if set(self.reward_func_names[1:]) != set(dual.multipliers):
            raise ValueError(f"reward_funcs[1:] are {self.reward_func_names[1:]}, dual is of {[*dual.multipliers]}")
        self.dual = dual

    def _calculate_rewards(self, *args, **kwargs):
        """Score a batch, weigh its rewards by the multipliers as they are, then take the dual step (Eq. 4)."""
        rewards = super()._calculate_rewards(*args, **kwargs)  # (B, K) of all processes, NaN where a function gave None
        constraints, multipliers = self.reward_func_names[1:], self.dual.multipliers
        self.reward_weights = torch.tensor([1.0, *(multipliers[name] for name in constraints)])
        if self.model.training:
            columns = zip(constraints, rewards.T[1:], strict=True)
            for name, record in self.dual.step({name: (column, ~column.isnan()) for name, column in columns}).items():
                self._log_metric(f"multiplier/{name}", multipliers[name])
                self._log_metric(f"next_multiplier/{name}", record.multiplier)
        return rewards

    def _save_checkpoint(self, model, trial):
        super()._save_checkpoint(model, trial)
        if self.args.should_save:
            checkpoint = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
            (checkpoint / STATE).write_text(json.dumps(self.dual.state_dict()))

    def _load_optimizer_and_scheduler(self, checkpoint):
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is not None:
            self.dual.load_state_dict(json.loads((Path(checkpoint) / STATE).read_text()))
