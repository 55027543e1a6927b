import math

import pytest
import torch
from made_trainer import settings_of

from easyr1_fgrpo.algorithm import DualAscent, FixedMultipliers
from easyr1_fgrpo.config.schema import FgrpoConfig
from easyr1_fgrpo.training.controllers import build_controller


def test_dual_ascent_from_the_config():
    controller = build_controller(FgrpoConfig.model_validate(settings_of()))
    assert isinstance(controller, DualAscent)
    assert controller.multipliers == {"consistency": 1.0, "spatial_grounding": 0.5}
    ones = (torch.tensor([0.45]), torch.tensor([True]))
    records = controller.step({"consistency": ones, "spatial_grounding": ones})
    # 1 + .1 (.95 - .45) = 1.05; .5 + .1 (.65 - .45) = .52
    assert records["consistency"].multiplier == pytest.approx(1.05)
    assert records["spatial_grounding"].multiplier == pytest.approx(0.52)
    for _ in range(20):
        records = controller.step({"consistency": ones, "spatial_grounding": ones})
    assert records["consistency"].multiplier == 1.5  # lambda_max


def test_fixed_multipliers_from_the_config():
    controller = build_controller(FgrpoConfig.model_validate(settings_of(dual={"controller": "fixed"})))
    assert isinstance(controller, FixedMultipliers)
    assert controller.multipliers == {"consistency": 1.0, "spatial_grounding": 0.5}


def test_other_controllers_from_the_config():
    for dual, moved in [
        # violation .95 - .45 = .5: 1 + .1 * .5 is the integral, 2 * .5 the proportional part
        ({"controller": "pid", "kp": 2.0}, 2.05),
        ({"controller": "nupi"}, 1.05),
        ({"controller": "multiplicative", "floor": 0.5}, math.exp(0.1 * 0.5)),
    ]:
        settings = FgrpoConfig.model_validate(settings_of(dual={"lr": 0.1, "min_applicable": 1, **dual}))
        controller = build_controller(settings)
        assert controller.state_dict()["controller"] == dual["controller"], dual
        score = (torch.tensor([0.45]), torch.tensor([True]))
        records = controller.step(dict.fromkeys(settings.constraint_keys, score))
        assert records["consistency"].multiplier == pytest.approx(moved), dual


def test_no_constraint_no_multiplier():
    assert build_controller(FgrpoConfig.model_validate(settings_of(constraint_keys=[]))).multipliers == {}
