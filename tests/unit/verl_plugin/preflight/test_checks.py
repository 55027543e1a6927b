import copy
import shutil

import pytest
from omegaconf import OmegaConf, open_dict

from easyr1_fgrpo.config.load import load_config
from easyr1_fgrpo.miniature.build import build
from easyr1_fgrpo.rows import read_rows, write_rows
from easyr1_fgrpo.verl_plugin.preflight import checks
from easyr1_fgrpo.verl_plugin.preflight.checks import training_problems


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "world"
    build(path, seed=0, train=3, val=2, test=1, sft=1, sft_val=1)
    return path


@pytest.fixture(scope="module")
def composed(checkpoint, world):
    files = [f"data.{split}_files={world / split}.parquet" for split in ("train", "val")]
    return load_config([f"actor_rollout_ref.model.path={checkpoint}", *files])


@pytest.fixture
def problems(composed, monkeypatch):
    """What is wrong with the composed config after some changes; registration is checked elsewhere."""
    monkeypatch.setattr(checks, "registration_problems", list)

    def problems(changes=()):
        config = copy.deepcopy(composed)
        for key, value in dict(changes).items():
            with open_dict(config):
                OmegaConf.update(config, key, value, force_add=True, merge=False)
        return training_problems(config)

    return problems


def test_a_good_config_has_no_problem(problems):
    assert problems() == []


def test_registration_comes_first(problems, monkeypatch):
    monkeypatch.setattr(checks, "registration_problems", lambda: ["the plug-in is not registered"])
    assert problems({"reward.reward_model.enable": True})[0] == "the plug-in is not registered"


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("trainer.v1.trainer_mode", "colocate_async", "trainer.v1.trainer_mode=colocate_async: constraints need fgrpo"),
        (
            "algorithm.adv_estimator",
            "grpo",
            "algorithm.adv_estimator=grpo: trainer_mode=fgrpo computes cgrpo; for plain",
        ),
        ("algorithm.use_kl_in_reward", True, "algorithm.use_kl_in_reward=true: a penalty inside the reward"),
        ("algorithm.filter_groups.enable", True, "algorithm.filter_groups.enable=true: it drops groups of constant"),
        (
            "trainer.v1.sampler.sync_refill_failed_groups",
            True,
            "trainer.v1.sampler.sync_refill_failed_groups=true: ref",
        ),
        (
            "actor_rollout_ref.rollout.calculate_log_probs",
            False,
            "actor_rollout_ref.rollout.calculate_log_probs=false: the trainer does not compute probabilities",
        ),
        (
            "algorithm.rollout_correction.bypass_mode",
            True,
            "algorithm.rollout_correction.bypass_mode=true: the trainer does not compute probabilities",
        ),
        ("trainer.logger", ["console", "nonsense"], "trainer.logger=nonsense: verl has wandb, mlflow, "),
        ("fgrpo.constraint_keys", [], "fgrpo.constraint_keys=[]: no constraint acts, so arm=fgrpo would be plain GRPO"),
        ("fgrpo.signals.mine", "no/file.py:f", "fgrpo.signals.mine='no/file.py:f' cannot be loaded (FileNotFoundError"),
        (
            "fgrpo.reward_servers.oracle.target",
            "no.such:Judge",
            "fgrpo.reward_servers.oracle.target=no.such:Judge: judge target 'no.such:Judge' cannot be imported",
        ),
        (
            "fgrpo.judges.consistency",
            {"kind": "local", "target": "collections:Counter", "options": {}},
            "fgrpo.judges.consistency.target=collections:Counter: judge target 'collections:Counter' has no `ask`",
        ),
        (
            "actor_rollout_ref.model.lora_rank",
            8,
            "actor_rollout_ref.actor.checkpoint.save_contents=['model', 'optimizer', 'extra', 'hf_model']: with an",
        ),
        ("reward.reward_model.enable", True, "reward.reward_model.enable=true: judges are set with fgrpo.judges"),
        ("data.train_files", "no/such/train.parquet", "data.train_files=no/such/train.parquet: no such file"),
        ("data.val_files", ["no/such/val.parquet"], "data.val_files=no/such/val.parquet: no such file"),
        ("actor_rollout_ref.model.path", "/no/model", "actor_rollout_ref.model.path=/no/model: no checkpoint there"),
        ("actor_rollout_ref.model.path", "runs/no/warm_start", "actor_rollout_ref.model.path=runs/no/warm_start: no"),
        (
            "actor_rollout_ref.actor.ppo_mini_batch_size",
            5,
            "actor_rollout_ref.actor.ppo_mini_batch_size=5: must divide data.train_batch_size=16",
        ),
        (
            "actor_rollout_ref.ref.log_prob_micro_batch_size_per_gpu",
            48,
            "actor_rollout_ref.ref.log_prob_micro_batch_size_per_gpu=48: must divide the 80 rollouts (16 prompts x 5) "
            "over 1 workers",
        ),
    ],
)
def test_one_line_for_one_mistake(problems, key, value, line):
    (found,) = problems({key: value})
    assert found.startswith(line)
    assert "\n" not in found


def test_a_model_of_the_hub_is_left_to_the_hub(problems):
    assert problems({"actor_rollout_ref.model.path": "Qwen/Qwen2.5-VL-3B-Instruct"}) == []


def test_a_missing_judge_is_named(problems, composed):
    judges = {"consistency": composed.fgrpo.judges.consistency}
    config = copy.deepcopy(composed)
    config.fgrpo.judges = judges
    (line,) = training_problems(config)
    assert line.startswith(
        "fgrpo.judges.grounding is not set, but semantic_grounding in fgrpo.constraint_keys needs it"
    )
    config.fgrpo.constraint_keys = ["consistency", "spatial_grounding"]
    assert training_problems(config) == []
    config.fgrpo.judges, config.arm = {}, "grpo_t"
    config.fgrpo.constraint_keys = []
    assert training_problems(config) == []
    config.fgrpo.reward.task = config.arm = "additive"
    (line,) = training_problems(config)
    assert line.startswith("fgrpo.judges.consistency is not set, but fgrpo.reward.task=additive needs it")


def test_a_constraint_on_boxes_that_no_row_has_is_refused(problems, world, tmp_path):
    rows = [row.model_dump(by_alias=True) for row in read_rows(world / "train.parquet")]
    for row in rows:
        row["extra_info"]["boxes"] = []
    write_rows(tmp_path / "without.parquet", rows)
    (line,) = problems({"data.train_files": str(tmp_path / "without.parquet")})
    assert "has boxes, so spatial_grounding would never be measured" in line
    assert line.endswith("fgrpo.constraint_keys=[consistency,semantic_grounding]")
    keys = ["consistency", "semantic_grounding"]
    assert problems({"data.train_files": str(tmp_path / "without.parquet"), "fgrpo.constraint_keys": keys}) == []


@pytest.fixture
def model_judge_problems(problems, composed, monkeypatch):
    monkeypatch.setenv("A_KEY", "sk-secret")

    def problems_of(**changes):
        judge = {"kind": "openai_compatible", "model": "m", "base_urls": ["http://127.0.0.1:9/v1"], **changes}
        config = copy.deepcopy(composed)
        with open_dict(config):
            config.fgrpo.judges = {"consistency": composed.fgrpo.judges.consistency, "grounding": judge}
            config.reward.num_workers = 4
        return training_problems(config)

    return problems_of


def test_a_good_model_judge_has_no_problem(model_judge_problems):
    assert model_judge_problems(api_key_env="A_KEY", per_rollout=True) == []


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"api_key_env": "NO_KEY"}, "api_key_env=NO_KEY: no such environment variable here; export it"),
        ({"concurrency": 3}, "concurrency=3: the 4 workers of reward.num_workers share it"),
        ({"prompt": "/no/prompt.jinja"}, "prompt: prompt template /no/prompt.jinja: cannot be read"),
    ],
)
def test_a_model_judge_that_cannot_be_asked_is_refused(model_judge_problems, changes, line):
    (found,) = model_judge_problems(**changes)
    assert found.startswith(f"fgrpo.judges.grounding.{line}")


def test_every_mistake_gets_its_line(problems):
    changes = {"algorithm.adv_estimator": "gae", "reward.reward_model.enable": True, "data.val_files": "no.parquet"}
    assert [line.split(":")[0] for line in problems(changes)] == [
        "algorithm.adv_estimator=gae",
        "reward.reward_model.enable=true",
        "data.val_files=no.parquet",
    ]


def test_bad_rows_are_named_beside_a_missing_file(problems, world, tmp_path):
    bad = tmp_path / "bad.parquet"
    bad.write_bytes(b"no parquet")
    found = problems({"data.train_files": [str(world / "train.parquet"), str(bad), "no.parquet"]})
    assert len(found) == 2
    assert "data.train_files=no.parquet: no such file" in found
    assert any(line.startswith(f"{bad}: cannot be read as parquet") for line in found)


def test_a_checkpoint_without_its_config_is_missing(problems, checkpoint, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(checkpoint, folder)
    (folder / "config.json").unlink()
    (found,) = problems({"actor_rollout_ref.model.path": str(folder)})
    assert "config.json is missing" in found
