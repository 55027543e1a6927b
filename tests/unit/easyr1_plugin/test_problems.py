"""Every refusal of a run on EasyR1: key, value and the fix."""

import importlib.metadata

from omegaconf import OmegaConf

from easyr1_fgrpo.config.schema import FgrpoConfig
from easyr1_fgrpo.easyr1_plugin.problems import run_problems, vllm_problems

LOCAL = {"kind": "local", "target": "easyr1_fgrpo.miniature.own.judge:ConclusionJudge"}
GOOD = {
    "data": {"train_files": "a", "val_files": "b", "min_pixels": 3136, "max_pixels": 7056},
    "algorithm": {"adv_estimator": "grpo", "online_filtering": False, "disable_kl": False, "use_kl_loss": True},
    "worker": {"rollout": {"n": 5, "val_override_config": {"n": 1}}, "reward": {"reward_function": None}},
}
OURS = {
    "run_dir": "runs/x",
    "constraint_keys": ["consistency"],
    "constraints": {"consistency": {"threshold": 0.95}},
    "judges": {"consistency": LOCAL},
    "images": {"min_pixels": 3136, "max_pixels": 7056},
    "max_probs_difference": None,
}


def problems(*changes, **ours):
    config = OmegaConf.create(GOOD)
    OmegaConf.set_struct(config, False)
    for key, value in changes:
        OmegaConf.update(config, key, value, merge=False)
    return run_problems(config, FgrpoConfig.model_validate(OURS | ours))


def test_a_run_as_it_should_be_has_none():
    assert problems() == []
    assert problems(("algorithm.use_kl_loss", False), ("algorithm.disable_kl", True)) == []
    assert problems(("data.min_pixels", None)) == []


REFUSED = [
    (("algorithm.adv_estimator", "rloo"), "algorithm.adv_estimator=rloo: ", "leave the key out, or say grpo"),
    (("algorithm.online_filtering", True), "algorithm.online_filtering=true: ", "Set it to false"),
    (("algorithm.use_kl_loss", False), "algorithm.use_kl_loss=false: ", "or algorithm.disable_kl=true"),
    (("worker.reward.reward_function", "m.py:f"), "worker.reward.reward_function=m.py:f: ", "signal:FILE.py:FUNCTION"),
    (("worker.rollout.val_override_config", {}), "worker.rollout.val_override_config={}: ", "{n:1,temperature:1.0}'"),
    (("data.val_files", "a"), "data.val_files=a: ", "name others"),
    (("data.max_pixels", 9), "fgrpo.images.max_pixels=7056: EasyR1 has data.max_pixels=9", "leave ours out"),
]


def test_what_easyr1_would_do_with_a_key_is_refused_with_the_fix():
    for change, start, within in REFUSED:
        (line,) = problems(change)
        assert line.startswith(start), line
        assert within in line, line


def test_keys_that_nothing_reads_on_this_host_are_refused():
    for key, value in {"max_probs_difference": 0.1, "max_silence_s": 9.0, "resume": {"accept": ["seed"]}}.items():
        (line,) = problems(**{key: value})
        assert line.startswith(f"fgrpo.{key}")
        assert "leave" in line
    (line,) = problems(resume={"from": "global_step_4"})
    assert line.startswith("fgrpo.resume.from=global_step_4: ")


def test_judges_that_it_would_have_to_start_and_questions_without_one_are_refused():
    server = {"kind": "embedded", "target": "easyr1_fgrpo.miniature.oracle:OracleJudge", "options": {"scenes": "x"}}
    served = {"judges": {"consistency": {"kind": "server", "server": "one"}}, "reward_servers": {"one": server}}
    (line,) = problems(**served)
    assert line.startswith("fgrpo.reward_servers.one: ")
    assert "judge=openai_compatible judge_endpoint.model=NAME" in line
    (line,) = problems(judges={})
    assert line.startswith("fgrpo.judges.consistency is not set")
    (line,) = problems(signals={"short": "nowhere.py:short"})
    assert line.startswith("fgrpo.signals.short=")


def test_a_vllm_that_easyr1_cannot_import_is_named_with_one_that_it_can(monkeypatch):
    installed = {}
    monkeypatch.setattr(importlib.metadata, "version", lambda name: installed[name])
    for version, refused in {"0.11.0": False, "0.12.0": False, "0.13.0": True, "0.24.0+cu130": True}.items():
        installed["vllm"] = version
        found = vllm_problems(needed=True)
        assert bool(found) == refused, version
        assert not refused or found[0].startswith(f"vllm {version}: ")

    def absent(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", absent)
    assert vllm_problems(needed=False) == []
    assert vllm_problems(needed=True) == ["vllm is not installed: pip install vllm==0.11.0, as in EasyR1's Dockerfile"]
