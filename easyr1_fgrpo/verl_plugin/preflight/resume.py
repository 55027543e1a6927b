"""Whether a run on verl goes on as what it was begun as: verl's keys that make a run what it is."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from easyr1_fgrpo.checkpoints import CheckpointError
from easyr1_fgrpo.preflight.resume import keys_of_a_run
from easyr1_fgrpo.preflight.resume import resume_problems as problems_of
from easyr1_fgrpo.verl_plugin.paths import make_paths_absolute
from easyr1_fgrpo.verl_plugin.preflight.saved import saved_step

KEYS = keys_of_a_run(
    r"""
    seed
    | data\.(train_files|val_files|train_batch_size|max_(prompt|response)_length|seed|shuffle|filter_overlong_prompts
            |train_max_samples|val_max_samples)
    | algorithm\..+
    | actor_rollout_ref\.model\.(path|lora_\w+|target_modules|exclude_modules|override_config.*)
    | actor_rollout_ref\.actor\.(ppo_mini_batch_size|ppo_epochs|clip_\w+|loss_agg_mode|\w*kl_loss\w*|grad_clip
            |entropy_coeff|freeze_vision_tower|policy_loss.*|optim.*)
    | actor_rollout_ref\.rollout\.(n|temperature|top_p|top_k|val_kwargs.*)
    """
)


def resume_problems(config: Any) -> list[str]:
    """Why the run cannot go on from where its directory ends, one line each; nothing where it starts anew.

    Args:
        config: the whole composed config, its key `fgrpo` valid.
    """
    config = deepcopy(config)
    make_paths_absolute(config)
    try:
        step = saved_step(config)
    except CheckpointError as error:
        return [str(error)]
    return problems_of(config, step, KEYS)
