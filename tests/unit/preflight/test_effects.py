# What would finish and not be what it is called is refused.
import shutil

import pytest
from omegaconf import OmegaConf

from easyr1_fgrpo.config.load import load_config, read_settings
from easyr1_fgrpo.miniature.build import build
from easyr1_fgrpo.preflight.effects import effect_problems, seen_twice_problems
from easyr1_fgrpo.verl_plugin.paths import data_files


def problems(*overrides):
    config = load_config(list(overrides))
    n, prompts = config.actor_rollout_ref.rollout.n, config.data.train_batch_size
    others = {key: data_files(OmegaConf.select(config, key)) for key in ("data.val_files", "evaluation.file")}
    return [
        *effect_problems(config.arm, read_settings(config), prompts=prompts, n=n, n_key="rollout.n"),
        *seen_twice_problems(data_files(config.data.train_files), others),
    ]


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (
            ["fgrpo.dual.min_applicable=81"],
            "fgrpo.dual.min_applicable=81: a step has 80 rollouts (16 prompts x 5), so no",
        ),
        (["fgrpo.advantage.min_group_valid=6"], "fgrpo.advantage.min_group_valid=6: a group has 5 rollouts"),
        (
            ["fgrpo.advantage.min_std=0.6"],
            "fgrpo.advantage.min_std=0.6: signals in [0, 1] of 5 rollouts differ by 0.56",
        ),
        (
            ["arm=fixed_multipliers", "fgrpo.constraints.consistency.initial_multiplier=0"],
            "fgrpo.constraints.consistency.initial_multiplier=0: with fgrpo.dual.controller=fixed it stays 0",
        ),
    ],
)
def test_a_constraint_that_could_not_act_is_refused(overrides, line):
    (problem,) = problems(*overrides)
    assert problem.startswith(line)


def test_what_just_acts_is_none():
    assert problems() == []
    edge = ("fgrpo.dual.min_applicable=80", "fgrpo.advantage.min_group_valid=5", "fgrpo.advantage.min_std=0.5")
    assert problems(*edge, "fgrpo.constraints.consistency.initial_multiplier=0") == []


BRIEF = "fgrpo.constraints.brief={signal:short.py:short,threshold:0.9}"


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["arm=grpo_t", BRIEF], "fgrpo.constraint_keys=['brief']: arm=grpo_t means fgrpo.constraint_keys=[]"),
        (["arm=grpo_t", "fgrpo.reward.task=additive"], "fgrpo.reward.task=additive: arm=grpo_t means"),
        (["fgrpo.reward.task=multiplicative"], "fgrpo.reward.task=multiplicative: arm=fgrpo means"),
        (["arm=consistency_only", BRIEF], "fgrpo.constraint_keys=['consistency', 'brief']: arm=consistency_only means"),
        (["arm=fixed_multipliers", "fgrpo.dual.controller=pid"], "fgrpo.dual.controller=pid: arm=fixed_multipliers"),
        (["fgrpo.dual.controller=fixed"], "fgrpo.dual.controller=fixed: with arm=fgrpo multipliers move"),
        (
            ["fgrpo.constraint_keys=[]"],
            "fgrpo.constraint_keys=[]: no constraint acts, so arm=fgrpo would be plain GRPO",
        ),
        (
            ["arm=consistency_only", "fgrpo.constraints.semantic_grounding.threshold=0.9"],
            "fgrpo.constraints.semantic_grounding.threshold=0.9: semantic_grounding does not act; leave this out, or",
        ),
        (
            ["arm=grpo_t", "fgrpo.constraints.consistency.threshold=0.9"],
            "fgrpo.constraints.consistency.threshold=0.9: consistency does not act; leave this out, or let it act: "
            "fgrpo.constraint_keys=[consistency]",
        ),
        (
            [
                "arm=grpo_t",
                "fgrpo.constraints.consistency.judge_error={false_negative: 0.1, false_positive: 0.05}",
            ],
            "fgrpo.constraints.consistency.judge_error={false_negative: 0.1, false_positive: 0.05}: consistency does",
        ),
        (["arm=grpo_t", "fgrpo.dual.controller=pid"], "fgrpo.dual.controller=pid: no multiplier moves here; leave it "),
        (["arm=grpo_t", "fgrpo.dual.min_applicable=4"], "fgrpo.dual.min_applicable=4: no multiplier moves here; leave"),
        (
            ["arm=weighted_sum", "fgrpo.advantage.mask_mode=zero_fill"],
            "fgrpo.advantage.mask_mode=zero_fill: it is about constraints, and none acts; leave it out",
        ),
        (["arm=grpo_t", "fgrpo.dual.lr=0.5"], "fgrpo.dual.lr=0.5: no multiplier moves here; leave it out"),
        (
            ["fgrpo.reward.weights.consistency=1"],
            "fgrpo.reward.weights={'consistency': 1.0}: arm=fgrpo adds no signals",
        ),
        (
            ["arm=weighted_sum", "fgrpo.reward.weights.consistency=0", "fgrpo.reward.weights.semantic_grounding=0"],
            "fgrpo.reward.weights={'consistency': 0.0, 'semantic_grounding': 0.0}: nothing is added; say arm=grpo_t",
        ),
        (["arm=weighted_sum", "fgrpo.constraint_keys=[consistency]"], "fgrpo.constraint_keys=['consistency']: arm="),
        (["arm=fixed_multipliers", "fgrpo.dual.lambda_max=9"], "fgrpo.dual.lambda_max=9.0: no multiplier moves here"),
        (
            ["arm=fixed_multipliers", "fgrpo.dual.min_applicable=99"],
            "fgrpo.dual.min_applicable=99: no multiplier moves",
        ),
        (
            [
                "arm=fixed_multipliers",
                "fgrpo.constraints.consistency.judge_error={false_negative: 0.1, false_positive: 0.2}",
            ],
            "fgrpo.constraints.consistency.judge_error={false_negative: 0.1, false_positive: 0.2}: no multiplier moves",
        ),
    ],
)
def test_an_arm_is_what_its_name_says_and_a_threshold_is_read(overrides, line):
    (problem,) = problems(*overrides)
    assert problem.startswith(line)


def test_a_variant_of_an_arm_keeps_its_name():
    assert problems("fgrpo.constraint_keys=[]", BRIEF) == []
    assert problems("fgrpo.constraint_keys=[consistency]", "fgrpo.dual.controller=pid") == []
    assert problems("~fgrpo.dual") == []
    assert problems("arm=weighted_sum", "fgrpo.reward.weights.consistency=3") == []


def test_the_arm_that_was_meant_is_named():
    for overrides, arm in (
        (["arm=grpo_t", "fgrpo.reward.task=additive"], "say arm=additive"),
        (["arm=fixed_multipliers", "fgrpo.dual.controller=nupi"], "say arm=fgrpo"),
        (["arm=additive", "fgrpo.constraint_keys=[consistency]"], "make it an arm of your own"),
    ):
        (problem,) = problems(*overrides)
        assert arm in problem


def test_questions_that_training_sees_are_no_validation(tmp_path):
    build(tmp_path / "world", seed=0, train=3, val=2, test=1, sft=1, sft_val=1)
    world = f"stages.world={tmp_path}/world"
    train = tmp_path / "world/train.parquet"
    assert problems(world) == []
    (problem,) = problems(world, f"data.val_files={train}")
    assert problem == f"data.val_files={train}: the run trains on these rows (data.train_files={train}); name others"
    copy = shutil.copy(train, tmp_path / "copy.parquet")
    (problem,) = problems(world, f"evaluation.file={copy}")
    assert problem.startswith(f"evaluation.file={copy}: the run trains on these rows")
