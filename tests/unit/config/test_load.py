# The composed config, as train and the judge servers read it.
import pytest

from easyr1_fgrpo.config.load import ConfigError, load_config, read_settings


def settings(*overrides: str):
    return read_settings(load_config(overrides))


def problems(*overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        settings(*overrides)
    assert all("\n" not in line for line in caught.value.lines)
    return caught.value.lines


def test_overrides_reach_the_settings():
    found = settings(
        "fgrpo.constraints.consistency.threshold=0.9",
        "fgrpo.dual.lambda_max=2",
        "fgrpo.constraint_keys=[consistency]",
    )
    assert found.constraints["consistency"].threshold == 0.9
    assert found.dual.lambda_max == 2.0
    assert found.constraint_keys == ["consistency"]


def test_a_wrong_override_is_one_line():
    for override, line in [
        ("fgrpo.constraints.consistency.threshold=1.9", "threshold=1.9: Input should be between 0 and 1"),
        ("fgrpo.constraints.entailment.threshold=0.9", "fgrpo.constraints.entailment: unknown key, allowed: consis"),
        ("+fgrpo.constraints.entailment.threshold=0.9", "fgrpo.constraints.entailment: unknown key, allowed: consis"),
        ("fgrpo.dual.lambda=2", "fgrpo.dual.lambda: unknown key, allowed: controller, lr, lambda_max"),
        ("arm=grpo", "Could not find 'arm/grpo' Available options in 'arm': additive consistency_only"),
        ("trainer.no_such_key=1", "Key 'no_such_key' is not in struct"),
        ("fgrpo.dual.lambda_max", "Error parsing override"),
        ("--stop", "LexerNoViableAltException: --stop"),
        ("fgrpo.run_dir=${nowhere}", "Interpolation key 'nowhere' not found"),
        ("fgrpo.judges=???", "Missing mandatory value: judges"),
        ("fgrpo=null", "fgrpo=None: Input should be a valid dictionary"),
    ]:
        (found,) = problems(override)
        assert line in found, override


def test_search_paths_of_this_machine_are_left_out():
    assert "search path" not in problems("arm=grpo")[0]
