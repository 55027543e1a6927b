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
        ("arm=grpo", "arm=grpo: no such choice; there are additive, consistency_only, "),
        ("trainer.no_such_key=1", "trainer.no_such_key: no such key; one that verl reads without naming it in its "),
        ("stages.scene=1", "stages.scene: no such key (did you mean stages.scenes?)"),
        ("rollout.n=5", "rollout.n: no such key (did you mean actor_rollout_ref.rollout.n or "),
        ("trainer.save_frequency=5", "trainer.save_frequency: no such key (did you mean trainer.save_freq?)"),
        ("arm={a:1}", "arm=: takes the name of a choice, as in arm=NAME"),
        ("fgrpo.dual.lambda_max", "fgrpo.dual.lambda_max: cannot be read as KEY=VALUE; a list is [a,b]"),
        ("--stop", "--stop: cannot be read as KEY=VALUE; "),
        ("fgrpo.run_dir=${nowhere}", "Interpolation key 'nowhere' not found"),
        ("fgrpo.reward.weights=[consistency]", "fgrpo.reward.weights: is a section, no list; write {NAME: VALUE}, as"),
        (
            "fgrpo.constraints.grounding.initial_multiplier=2",
            "fgrpo.constraints.grounding.threshold: Field required; signals of ours are consistency, spatial_grounding",
        ),
        ("fgrpo.judges=???", "Missing mandatory value: judges"),
        ("fgrpo=null", "fgrpo=None: Input should be a valid dictionary"),
    ]:
        (found,) = problems(override)
        assert line in found, override
        assert "++stages" not in found  # verl reads no key of that section


def test_without_judges_nobody_judges():
    assert settings("~fgrpo.judges").judges == {}


def test_search_paths_of_this_machine_are_left_out():
    assert "search path" not in problems("arm=grpo")[0]


def test_a_wrong_choice_or_pair_of_groups_is_said_in_our_words():
    """Hydra says "Could not override", "Interpolation key not found", and for some of these OmegaConf a traceback."""
    own = ["own.train=t.parquet", "own.val=v.parquet"]
    oracle = "judge=oracle (the default): it knows the miniature's pictures only, and this data set is another; "
    needs = "say own.train=FILE.parquet own.val=FILE.parquet, as `fgrpo data import` writes them"
    for overrides, line in [
        (["judge=oracle", "dataset=own", *own], oracle),
        (["dataset=own", *own, "judge=oracle"], oracle),
        (["dataset=fgrpo", "backbone=qwen2_5_vl_7b"], oracle),
        (
            ["dataset=fgrpo", "judge=conclusion"],
            "backbone=tiny: it is made from the miniature or from rows of your own; ",
        ),
        (["dataset=own", own[0]], f"dataset=own: own.val is missing; {needs}"),
        (own[:1], "own.*: these keys come with dataset=own, which is not chosen"),
        (
            ["judge=openai_compatible"],
            "judge=openai_compatible: judge_endpoint.model is missing; say judge_endpoint.model=",
        ),
        (["judge_endpoint.model=m"], "judge_endpoint.*: these keys come with judge=openai_compatible, which is not "),
        (["judge=gpt"], "judge=gpt: no such choice; there are conclusion, consistency_text, "),
        (["judges=oracle"], "judges=: no such group; a run is a choice of scale=, backbone=, dataset=, judge=, arm="),
        (["data=own"], "data=: no such group; a run is a choice of scale="),
        (["model=qwen"], "model=: no such group; a run is a choice of scale="),
        (["+judge=oracle"], "+judge=: a run has one of them already; say judge=CHOICE, without +"),
        (["+dataset=own"], "+dataset=: a run has one of them already; say dataset=CHOICE, without +"),
        (
            ["arm=weighted_sum", "fgrpo.reward.weights={}"],
            "fgrpo.reward.weights={}: a section is merged into what is there, so an empty one changes nothing; leave "
            "it out, or set what it holds: fgrpo.reward.weights.KEY=VALUE",
        ),
        (["~scale"], "~scale: a run needs one; say scale=CHOICE"),
    ]:
        (found,) = problems(*overrides)
        assert found.startswith(line), overrides
