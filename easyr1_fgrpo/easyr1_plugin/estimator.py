"""Makes the advantage estimator `cgrpo` known to EasyR1, which then computes what our trainer hands over."""

from __future__ import annotations

from verl.trainer.core_algos import register_adv_estimator

from easyr1_fgrpo.host import ESTIMATOR
from easyr1_fgrpo.training.handover import handed_over_advantages

register_adv_estimator(ESTIMATOR)(handed_over_advantages)
