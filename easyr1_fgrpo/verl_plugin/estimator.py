"""Makes the advantage estimator `cgrpo` known to verl, which then computes what our trainer hands over."""

from __future__ import annotations

from verl.trainer.ppo.core_algos import register_adv_est

from easyr1_fgrpo.host import ESTIMATOR
from easyr1_fgrpo.training.handover import handed_over_advantages

register_adv_est(ESTIMATOR)(handed_over_advantages)
