# A run goes on as what it was begun as, or says which key changed, from what to what.
import json
import shutil
from copy import deepcopy
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from easyr1_fgrpo.config.schema import CONSTRAINABLE
from easyr1_fgrpo.preflight.resume import note_start
from easyr1_fgrpo.verl_plugin.paths import make_paths_absolute
from easyr1_fgrpo.verl_plugin.preflight.resume import KEYS, resume_problems

from ..saved_run import begin, config_of, save


@pytest.fixture(autouse=True)
def run(tmp_path, monkeypatch):
    """Trained up to step 6 with the default settings."""
    monkeypatch.chdir(tmp_path)
    begin()
    start(None)
    save(6)


def start(step, *overrides):
    config = config_of(*overrides)
    make_paths_absolute(config)
    note_start(config, step, KEYS)


def test_the_same_run_goes_on_with_other_speed_and_place():
    free = (
        *("trainer.total_training_steps=50", "trainer.save_freq=3", "trainer.logger=[console]"),
        *("actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=2", "fgrpo.reward.deadline_s=99"),
    )
    assert resume_problems(config_of(*free)) == []


def test_what_makes_the_run_is_refused_with_old_and_new_value():
    config = config_of()
    for key, old, new in (
        ("fgrpo.constraints.consistency.threshold", 0.95, 0.9),
        ("fgrpo.dual.lr", 0.05, 0.1),
        ("fgrpo.reward.task", "weighted", "additive"),
        ("fgrpo.images.max_pixels", 7056, 9000),
        ("fgrpo.constraint_keys", [*CONSTRAINABLE], []),
        ("actor_rollout_ref.actor.optim.lr", 0.0006, 0.5),
        ("actor_rollout_ref.rollout.temperature", 1.0, 0.5),
        ("algorithm.norm_adv_by_std_in_grpo", True, False),
    ):
        assert OmegaConf.select(config, key) == old, f"the default of {key}"
        changed = deepcopy(config)
        OmegaConf.update(changed, key, new)
        (problem,) = resume_problems(changed)
        assert problem.startswith(f"{key}={new}: "), key
        assert f"up to step 6 with {old}; " in problem, key


def test_a_key_that_an_earlier_version_had_not_is_no_change():
    written = Path("run/config.yaml")
    old = OmegaConf.load(written)
    del old.fgrpo.reward.max_claims
    OmegaConf.save(old, written)
    assert resume_problems(config_of()) == []
    (problem,) = resume_problems(config_of("fgrpo.reward.max_claims=5"))
    assert problem.startswith("fgrpo.reward.max_claims=5: ")


def test_a_judges_error_that_is_given_later_is_a_change_and_its_absence_none():
    key = "fgrpo.constraints.consistency.judge_error"
    erring = f"{key}={{false_negative: 0.1, false_positive: 0.05}}"
    first, second = resume_problems(config_of(erring))
    assert first.startswith(f"{key}.false_negative=0.1: ")
    assert second.startswith(f"{key}.false_positive=0.05: ")
    assert all("up to step 6 with nothing; " in problem for problem in (first, second))
    accepted = f"fgrpo.resume.accept=[{key}.false_negative,{key}.false_positive]"
    assert resume_problems(config_of(erring, accepted)) == []


def test_what_is_accepted_is_a_key_that_is_compared():
    (problem,) = resume_problems(config_of("fgrpo.resume.accept=[fgrpo.nonsense]"))
    assert problem == (
        "fgrpo.resume.accept=fgrpo.nonsense: names no key that is compared; give one that a refusal names"
    )


def test_another_judge_is_another_run():
    judge = "judge=openai_compatible", "judge_endpoint.base_urls=[http://127.0.0.1:9/v1]"
    shutil.rmtree("run")
    start(None, *judge, "judge_endpoint.model=one")
    save(6)
    moved = "judge=openai_compatible", "judge_endpoint.base_urls=[http://127.0.0.1:10/v1]", "judge_endpoint.model=one"
    assert resume_problems(config_of(*moved)) == []
    keys = [line.partition("=")[0] for line in resume_problems(config_of(*judge, "judge_endpoint.model=two"))]
    assert keys == ["fgrpo.judges.consistency.model", "fgrpo.judges.grounding.model"]


def test_files_count_by_their_content():
    Path("moved").mkdir()
    Path("train.parquet").rename("moved/train.parquet")
    assert resume_problems(config_of("data.train_files=moved/train.parquet")) == []
    Path("train.parquet").write_bytes(b"other rows" * 1000)
    (problem,) = resume_problems(config_of())
    assert problem.startswith("data.train_files=[")
    Path("train.parquet").write_bytes(Path("moved/train.parquet").read_bytes())
    Path("policy/config.json").write_text('{"other": 1}')
    (problem,) = resume_problems(config_of())
    assert problem.startswith("actor_rollout_ref.model.path=")


def test_an_accepted_change_is_recorded_once():
    key = "fgrpo.constraints.consistency.threshold"
    before, changed = config_of(), config_of(f"{key}=0.9", f"fgrpo.resume.accept=[{key}]")
    assert resume_problems(changed) == []
    for _ in range(2):
        absolute = deepcopy(changed)
        make_paths_absolute(absolute)
        note_start(absolute, 6, KEYS)
    (line,) = Path("run/resumes.jsonl").read_text().splitlines()
    record = json.loads(line)
    assert (record["after_step"], record["changed"]) == (6, {key: [0.95, 0.9]})
    (problem,) = resume_problems(before)
    assert problem.startswith(f"{key}=0.95: ")
    changed.fgrpo.dual.lr = 0.1
    (problem,) = resume_problems(changed)
    assert problem.startswith("fgrpo.dual.lr=0.1: ")


def test_a_run_without_a_checkpoint_starts_as_anything():
    shutil.rmtree("run/checkpoints")
    assert resume_problems(config_of("fgrpo.dual.lr=0.1")) == []


def test_code_that_is_named_by_its_module_is_compared_by_its_content(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    code = tmp_path / "resumed_code.py"
    code.write_text("def half(sample, score):\n    return 0.5\n")
    mine = "fgrpo.constraints.half={signal:'resumed_code:half',threshold:0.9}"
    start(6, mine)
    assert resume_problems(config_of(mine)) == []
    code.write_text("def half(sample, score):\n    return 0.0\n")
    (problem,) = resume_problems(config_of(mine))
    assert problem.startswith("fgrpo.signals.half=resumed_code:half (")
