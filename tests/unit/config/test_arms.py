from importlib.resources import files

import pytest
from omegaconf import OmegaConf
from pydantic import ValidationError

from easyr1_fgrpo.config.load import load_config, read_settings
from easyr1_fgrpo.config.problems import problems_of
from easyr1_fgrpo.config.schema import FgrpoConfig

ARMS = {
    "fgrpo": {},
    "grpo_t": {"fgrpo.constraint_keys": []},
    "consistency_only": {"fgrpo.constraint_keys": ["consistency"]},
    "fixed_multipliers": {"fgrpo.dual.controller": "fixed"},
    "additive": {"fgrpo.constraint_keys": [], "fgrpo.reward.task": "additive"},
    "multiplicative": {"fgrpo.constraint_keys": [], "fgrpo.reward.task": "multiplicative"},
    "weighted_sum": {
        "fgrpo.constraint_keys": [],
        "fgrpo.reward.weights.consistency": 1.0,
        "fgrpo.reward.weights.semantic_grounding": 1.0,
    },
}
"""What an arm sets, beside its name."""

RUN_NAME = {
    "arm",
    "fgrpo.run_dir",
    "trainer.experiment_name",
    "trainer.default_local_dir",
    "actor_rollout_ref.rollout.trace.experiment_name",
}
"""Keys that hold the run's name."""


def flat(values, prefix=""):
    """Leaves by dotted key."""
    if not isinstance(values, dict) or not values:
        return {prefix: values}
    parts = [flat(part, f"{prefix}.{name}".strip(".")) for name, part in values.items()]
    return {key: leaf for part in parts for key, leaf in part.items()}


def resolved(config):
    return flat(OmegaConf.to_container(config, resolve=True))


@pytest.fixture(scope="module")
def fgrpo():
    return resolved(load_config(["arm=fgrpo"]))


def test_no_arm_is_left_out():
    found = {item.name.removesuffix(".yaml") for item in (files("easyr1_fgrpo.config") / "arm").iterdir()}
    assert found == set(ARMS)


@pytest.mark.parametrize("arm", ARMS)
def test_an_arm_is_valid_and_differs_in_our_keys_and_its_name_only(arm, fgrpo):
    config = load_config([f"arm={arm}"])
    settings = read_settings(config)
    assert settings.constraint_keys == ARMS[arm].get("fgrpo.constraint_keys", list(settings.constraints))
    assert settings.reward.task == ARMS[arm].get("fgrpo.reward.task", "weighted")
    assert settings.dual.controller == ARMS[arm].get("fgrpo.dual.controller", "dual_ascent")

    values = resolved(config)
    weights = {key for key in ARMS[arm] if key.startswith("fgrpo.reward.weights.")}
    assert values.keys() == (fgrpo.keys() - {"fgrpo.reward.weights"} | weights if weights else fgrpo.keys())
    differing = {key: value for key, value in values.items() if value != fgrpo.get(key)}
    named = {key for key, value in differing.items() if str(value).replace(arm, "fgrpo") == fgrpo.get(key)}
    assert {key: differing[key] for key in differing.keys() - named} == ARMS[arm]
    assert named == (RUN_NAME if arm != "fgrpo" else set())


def test_fgrpo_has_the_papers_numbers(fgrpo):
    # FGRPO Table 6
    expected = {"consistency": 0.95, "spatial_grounding": 0.65, "semantic_grounding": 0.95}
    assert fgrpo["fgrpo.constraint_keys"] == list(expected)
    for key, threshold in expected.items():
        assert fgrpo[f"fgrpo.constraints.{key}.threshold"] == threshold
        assert fgrpo[f"fgrpo.constraints.{key}.initial_multiplier"] == 1.0
    dual = {key.split(".")[-1]: value for key, value in fgrpo.items() if key.startswith("fgrpo.dual.")}
    assert dual == {
        "controller": "dual_ascent",
        "lr": 0.05,
        "lambda_max": 5.0,
        "min_applicable": 8,
        "min_valid_share": 0.5,
    }


def test_a_threshold_out_of_bounds_is_one_line():
    config = load_config(["fgrpo.constraints.consistency.threshold=1.9"])
    with pytest.raises(ValidationError) as refused:
        FgrpoConfig.model_validate(OmegaConf.to_container(config.fgrpo, resolve=True))
    assert problems_of(refused.value) == [
        "fgrpo.constraints.consistency.threshold=1.9: Input should be between 0 and 1"
    ]


def test_overrides_arrive():
    overrides = ["fgrpo.constraints.consistency.threshold=0.9", "fgrpo.dual.lambda_max=2"]
    settings = read_settings(load_config([*overrides, "fgrpo.constraint_keys=[consistency]"]))
    assert settings.constraints["consistency"].threshold == 0.9
    assert settings.dual.lambda_max == 2.0
    assert settings.constraint_keys == ["consistency"]
