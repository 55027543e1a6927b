"""What is ours in a config of EasyR1: the key `fgrpo` with the numbers of the paper, and two groups."""

import pytest

from easyr1_fgrpo.config.load import ConfigError, load_config, load_method


def test_the_key_is_the_same_on_both_hosts_but_for_what_the_host_has_not():
    verl, easyr1 = load_config(["arm=fgrpo", "judge=conclusion"]).fgrpo, load_method(["judge=conclusion"]).fgrpo
    assert easyr1.max_probs_difference is None
    for key in set(verl) - {"run_dir", "images", "max_probs_difference", "max_silence_s"}:
        assert verl[key] == easyr1[key], key


def test_arms_and_judges_are_groups_there_too():
    config = load_method(["arm=additive", "judge=openai_compatible"])
    assert (config.arm, config.fgrpo.reward.task, list(config.fgrpo.constraint_keys)) == ("additive", "additive", [])
    assert config.fgrpo.judges.grounding.kind == "openai_compatible"
    with pytest.raises(ConfigError, match=r"^arm=x: no such choice; there are additive, "):
        load_method(["arm=x"])
