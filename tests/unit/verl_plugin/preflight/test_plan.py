"""What `fgrpo plan` prints and refuses, for real recipes' groups and for a broken one."""

from __future__ import annotations

import pytest

from easyr1_fgrpo.miniature.build import build
from easyr1_fgrpo.verl_plugin.preflight.counts import Assumptions
from easyr1_fgrpo.verl_plugin.preflight.plan import plan

GROUPS = ["backbone=qwen2_5_vl_7b", "dataset=fgrpo", "judge=qwen3_vl_30b", "scale=gpus_8"]
ASSUMED = Assumptions(sentences=10.0, rollout_s=50.0, correct=0.5)


@pytest.fixture
def planned(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where no run was begun

    def planned(*overrides, files=False):
        code = plan(overrides, files=files, assumed=ASSUMED)
        out = capsys.readouterr()
        return code, " ".join(out.out.replace("│", " ").split()), out.err

    return planned


def test_counts_of_the_paper_run(planned):
    code, out, err = planned(*GROUPS)
    assert (code, err) == (0, "")
    assert "rollouts a step 640 (128 prompts x 5)" in out
    assert "consistency calls a step 320" in out  # half of 640
    assert "grounding calls a step 3,200" in out
    assert "70.4 calls/s" in out  # 3,520 in 50 s
    assert "GPUs of the judges 2" in out
    assert "weights 3.9 + gradients 3.5 + optimizer 7.1 = 14.5 of 80 GiB" in out


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
                "fgrpo.images.max_pixels=12845056", "actor_rollout_ref.actor.lr_rate=1e-6"):  # fmt: skip
        assert sum(key in line for line in lines) == 1, err
    assert "rollouts a step" not in out  # it would be counted without the overrides that are refused


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
