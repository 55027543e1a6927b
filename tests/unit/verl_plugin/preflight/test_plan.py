"""What `fgrpo plan` prints and refuses, for real recipes' groups and for a broken one."""

from __future__ import annotations

from pathlib import Path

import pytest

from easyr1_fgrpo.miniature.build import build
from easyr1_fgrpo.preflight.counts import Assumptions
from easyr1_fgrpo.verl_plugin.preflight.plan import plan

ROOT = Path(__file__).parents[4]
GROUPS = ["backbone=qwen2_5_vl_7b", "dataset=fgrpo", "judge=qwen3_vl_30b", "scale=gpus_8"]
TINY = "run_fgrpo_tiny_cpu.sh"
TOGETHER = {
    "gpus_1": ("1 + 2 = 3, on 1 machine of 8", "1, on 1 machine of 8"),
    "gpus_4": ("4 + 2 = 6, on 1 machine of 8", "4, on 1 machine of 8"),
    "gpus_8": ("8 + 2 = 10, on 2 machines of 8", "8, on 1 machine of 8"),
    "nodes_2": ("8 + 8 + 2 = 18, on 3 machines of 8", "8 + 8 = 16, on 2 machines of 8"),
}
"""Scale -> GPUs of the policy with those of the judge, which vLLM splits over 2, and with an oracle."""
# 4 bytes a parameter and again in the export, 8 of moments for what is trained, in 2^30 bytes.
CHECKPOINT_GIB = {
    "run_fgrpo_qwen25vl_3b.sh": 51.0,  # 8 x 3,754,622,976 + 8 x 3,085,938,688
    "run_fgrpo_qwen25vl_7b.sh": 118.5,  # 8 x 8,292,166,656 + 8 x 7,615,616,512
    "run_fgrpo_qwen25vl_7b_lora.sh": 32.7,  # no export: 4 x 8,453,647,360 + 8 x 161,480,704 of the adapter
    "run_fgrpo_qwen3vl_8b.sh": 126.3,  # 8 x 8,767,123,696 + 8 x 8,190,735,360
}
ASSUMED = Assumptions(sentences=10.0, rollout_s=50.0, correct=0.5)


@pytest.fixture
def planned(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where no run was begun

    def planned(*overrides, files=False):
        code = plan(overrides, files=files, assumed=ASSUMED)
        out = capsys.readouterr()
        return code, " ".join(out.out.replace("│", " ").split()), out.err

    return planned


def test_the_papers_run_counted_by_hand(planned):
    """7B on 8 GPUs of 80 GiB, a judge on 2 more; half of the rollouts right, 10 sentences, 50 s a step (ASSUMED)."""
    code, out, err = planned(*GROUPS)
    assert (code, err) == (0, "")
    for line in (
        "GPUs of the policy 1 x 8",
        "GPUs of the judges 2",
        "GPUs together 8 + 2 = 10, on 2 machines of 8",
        "rollouts a step 640 (128 prompts x 5)",
        "consistency calls a step 320",  # 640 x 0.5
        "grounding calls a step 3,200",  # 320 x 10
        "70.4 calls/s",  # 3,520 in 50 s
        # 25 waves of 128, 1 s each, in the 25 s in which rollouts end
        "judging adds 1.0 s to a step, no more than its last answer: 3,200 calls, 128 at once, 1 s each",
        # 8,292,166,656 parameters, of which the tower's 676,550,144 are frozen; 4 bytes each, over 8 GPUs, in 2^30
        # bytes: weights 33,168,666,624 / 8, gradients 7,615,616,512 x 4 / 8, two moments of those
        "parameters 8,292,166,656, 7,615,616,512 of them trained",
        "weights 3.9 + gradients 3.5 + optimizer 7.1 = 14.5 of 80 GiB",
        # 0.6 x 80; a copy of 2 bytes, 16,584,333,312; the rest, 34,955,274,240 bytes, in tokens of 28 layers x 4 heads
        # x 128 x keys and values x 2 bytes = 57,344; beside it 3.9 + 7.1 without gradients
        "vLLM 48.0 (weights 15.4, KV cache 32.6 GiB for 609,571 tokens) beside 11.0",
        # weights 33.2 GB + moments 60.9 + float32 export 33.2 = 127.3 GB = 118.5 GiB; one of the 3 kept being written
        "118.5 GiB x 3, the one being written among them = 355.6",
    ):
        assert line in out, line


def test_what_scores_are_compared_with_where_a_judge_errs(planned):
    key = "fgrpo.constraints.consistency.judge_error"
    code, out, err = planned(*GROUPS, f"{key}={{false_negative: 0.1, false_positive: 0.1}}")
    assert (code, err) == (0, "")
    # .95 x .9 + .05 x .1
    assert (
        "consistency compared with 0.86, as a judge with the errors {false_negative: 0.1, false_positive: 0.1} "
        "measures a true rate of 0.95"
    ) in out
    assert out.count("compared with") == 1
    assert "compared with" not in planned(*GROUPS)[1]


def test_every_recipe_at_every_scale_on_a_laptop(planned, recipes):
    """Allowed or refused, GPUs, rollouts, disk of a checkpoint: composed by Hydra, checked by verl where it can."""
    scales = {path.stem for path in (ROOT / "easyr1_fgrpo/config/scale").glob("*.yaml")}
    assert set(TOGETHER) == {scale for scale in scales if not scale.startswith("cpu")}
    assert set(recipes) == {*CHECKPOINT_GIB, TINY}
    for recipe, groups in recipes.items():
        for scale in sorted(scales):
            code, out, err = planned(*groups, f"scale={scale}")
            with_judge, policy = TOGETHER.get(scale, (None, None))
            together = policy if recipe == TINY else with_judge
            case = (recipe, scale, out, err)
            if together is None and recipe != TINY:
                assert code == 1, case
                assert "error: trainer.device=cpu: the judge server qwen3_vl_30b would wait for 2 GPUs" in err, case
            elif together is None:
                assert "GPUs of the policy none" in out, case
            else:
                assert f"GPUs together {together} (assumed: none to count here)" in out, case
                assert "not checked here, as this machine has no GPU: CUDA, vllm and flash_attn" in out, case
            assert f"rollouts a step {80 if scale.startswith('cpu') or scale == 'gpus_1' else 640} (" in out, case
            if recipe in CHECKPOINT_GIB:
                assert f"checkpoints {CHECKPOINT_GIB[recipe]} GiB x " in out, case
            if together is None and recipe != TINY:
                assert "error: stages.warm_start_gpus=4: " in err, case
            elif scale == "gpus_1" and recipe != TINY:
                assert code == 1, case
                assert "while updating, a GPU holds" in err, case
            else:
                assert (code, err) == (0, ""), case


def test_steps_follow_from_the_data(planned, tmp_path, checkpoint):
    build(tmp_path / "world", seed=0, train=35, val=2, test=1, sft=1, sft_val=1)
    code, out, _ = planned(
        f"stages.world={tmp_path}/world", f"actor_rollout_ref.model.path={checkpoint}",
        "trainer.total_training_steps=null", "trainer.total_epochs=3", files=True,
    )  # fmt: skip
    assert code == 0
    assert "steps 6" in out  # 35 rows in batches of 16, three times


def test_five_mistakes_are_named_in_one_run(planned):
    code, out, err = planned(
        *GROUPS,
        "actor_rollout_ref.rollout.tensor_model_parallel_size=3",
        "data.train_batch_size=100",
        "fgrpo.constraints.consistency.threshold=1.9",
        "fgrpo.images.max_pixels=12845056",
        "actor_rollout_ref.actor.lr_rate=1e-6",
    )
    assert code == 1
    lines = err.splitlines()
    assert len(lines) == 5
    for key in ("actor_rollout_ref.rollout.tensor_model_parallel_size=3", "ppo_mini_batch_size=64: must divide "
                "data.train_batch_size=100", "fgrpo.constraints.consistency.threshold=1.9",
                "fgrpo.images.max_pixels=12845056", "actor_rollout_ref.actor.lr_rate: no such key"):  # fmt: skip
        assert sum(key in line for line in lines) == 1, err
    assert "rollouts a step" not in out  # it would be counted without the overrides that are refused


def test_what_an_own_data_set_lacks_is_all_that_is_said(planned):
    for overrides, missing in (([], ("train", "val")), (["own.train=a.parquet"], ("val",))):
        code, _, err = planned("backbone=tiny", "dataset=own", *overrides)
        assert code == 1
        assert [line.partition(";")[0] for line in err.splitlines()] == [
            f"error: dataset=own: own.{part} is missing" for part in missing
        ], err


ORACLE = "+fgrpo.reward_servers.oracle.options"


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["seed=x"], "seed=x: give a whole number from 0 on"),
        (["seed=4294967296"], "seed=4294967296: give a whole number below 2^32"),
        (["data.train_batch_size=x"], "data.train_batch_size=x: give a whole number from 1 on"),
        (
            [f"{ORACLE}.error_rate=10"],
            "fgrpo.reward_servers.oracle.options: error_rate=10: give a share of requests, between 0 and 1",
        ),
        ([f"{ORACLE}.error_rate=x"], "fgrpo.reward_servers.oracle.options: error_rate=x: give a share"),
        (
            [f"{ORACLE}.error_rate=0.1", f"{ORACLE}.errors=false_negative"],
            "fgrpo.reward_servers.oracle.options: errors=false_negative: there are both, false_negatives, ",
        ),
        (
            [f"{ORACLE}.errors=false_negatives"],
            "fgrpo.reward_servers.oracle.options: errors=false_negatives: nothing errs without an error_rate",
        ),
        (
            ["dataset=miniature_four_way", "stages.held_out=farther_vertical"],
            "stages.held_out=farther_vertical: choose nothing or ",
        ),
        (["stages.world_name=three_way"], "stages.world_name=three_way: choose one_step or two_step or four_way"),
        (
            ["stages.held_out=farther"],
            "stages.held_out: this data set asks questions of one type; take dataset=miniature_two_step or ",
        ),
    ],
)
def test_one_wrong_value_is_one_problem_before_a_run(planned, overrides, line):
    code, _, err = planned(*overrides)
    assert code == 1
    assert len(err.splitlines()) == 1, err
    assert err.startswith(f"error: {line}")


def test_the_sum_of_signals_is_printed(planned):
    sums = "fgrpo.reward.weights={consistency: 0.3}", "fgrpo.reward.weights={consistency: 0.3, semantic_grounding: 0}"
    for weights, shown in zip(
        sums,
        ("(R_task + 0.3 consistency + 1 semantic_grounding) / 2.3", "(R_task + 0.3 consistency) / 1.3"),
        strict=True,
    ):
        code, out, err = planned("arm=weighted_sum", weights)
        assert (code, err) == (0, "")
        assert f"task reward {shown}" in out
    assert "task reward" not in planned()[1]


def test_a_signal_that_nothing_reads_is_shown_as_measured(planned, tmp_path):
    (tmp_path / "short.py").write_text("def short(rollout):\n    return 1.0\n")
    signal = "fgrpo.signals.short=short.py:short"
    assert "measured alone short" in planned("arm=weighted_sum", signal)[1]
    assert "measured alone" not in planned("arm=weighted_sum", signal, "fgrpo.reward.weights.short=1")[1]


def test_one_wrong_choice_is_one_problem(planned):
    own = ["backbone=tiny", "dataset=own", "own.train=a.parquet", "own.val=b.parquet"]
    for wrong in ("arm=FGRPO", "fgrpo.dual.lr='0,05'", "arm=[fgrpo,grpo_t]"):
        code, _, err = planned(*own, wrong)
        assert code == 1
        assert len(err.splitlines()) == 1, err
        assert err.startswith(f"error: {wrong.partition('=')[0]}=")


def test_judges_of_ones_own_are_checked(planned):
    own = ["backbone=tiny", "~judge", "fgrpo.constraint_keys=[consistency]"]
    assert planned(*own)[2].startswith("error: fgrpo.judges.consistency is not set")
    _, _, err = planned(*own, "fgrpo.judges.consistency={kind:local,target:'nomodule:Judge'}")
    assert err.startswith("error: fgrpo.judges.consistency.target=nomodule:Judge: ")


def test_missing_files_are_problems_unless_told_otherwise(planned):
    code, _, err = planned(*GROUPS, files=True)
    assert code == 1
    assert "actor_rollout_ref.model.path=runs/warm_start-qwen2_5_vl_7b: no checkpoint there" in err
    assert "data.train_files=data/fgrpo/rl/train.parquet: no such file" in err


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("actor_rollout_ref.rollout.max_model_len=4096", "less than data.max_prompt_length + data.max_response_length"),
        ("actor_rollout_ref.actor.ppo_max_token_len_per_gpu=8192", "a rollout may have 9216 tokens"),
        ("actor_rollout_ref.rollout.gpu_memory_utilization=0.15", "room for 0 tokens of keys and values"),
        ("gpu_memory_gib=16", "while rolling out, a GPU holds"),
        ("+actor_rollout_ref.actor.strange=1", "verl says:"),
        ("trainer.n_gpus_per_node=6", "do not divide over the 6 GPUs"),
    ],
)
def test_what_does_not_fit_is_named(planned, override, line):
    if override.startswith("gpu_memory"):
        override_list = [override, "actor_rollout_ref.rollout.gpu_memory_utilization=0.99"]
    else:
        override_list = [override]
    code, _, err = planned(*GROUPS, *override_list)
    assert code == 1
    assert line in err


def test_another_budget_than_the_warm_starts_is_refused(planned, tmp_path):
    (tmp_path / "image_budget.json").write_text('{"min_pixels": 3136, "max_pixels": 1003520}')
    code, _, err = planned(*GROUPS, f"actor_rollout_ref.model.path={tmp_path}")
    assert code == 1
    assert "fgrpo.images.max_pixels=4194304: the warm start saw images with max_pixels=1003520" in err


@pytest.mark.parametrize("noted", ["", ', "coordinates": "pixels"'])
def test_another_convention_than_the_warm_starts_is_refused(planned, tmp_path, noted):
    (tmp_path / "image_budget.json").write_text(f'{{"min_pixels": 3136, "max_pixels": 4194304{noted}}}')
    overrides = [*GROUPS, f"actor_rollout_ref.model.path={tmp_path}", "fgrpo.images.coordinates=thousand"]
    code, _, err = planned(*overrides)
    assert code == 1
    assert f"fgrpo.images.coordinates=thousand: the warm start {tmp_path} writes boxes in pixels" in err


def test_a_judge_without_its_settings_is_named(planned):
    code, _, err = planned(*GROUPS[:2], "judge=openai_compatible", "scale=gpus_8")
    assert code == 1
    assert "judge_endpoint" in err
