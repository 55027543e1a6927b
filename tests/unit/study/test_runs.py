import json
import re
import subprocess
from pathlib import Path

import pytest

from easyr1_fgrpo.config.load import load_config, read_settings
from easyr1_fgrpo.preflight.effects import effect_problems
from easyr1_fgrpo.rewards.custom_signal import load_signal
from easyr1_fgrpo.study.arms import ARMS, MAIN
from easyr1_fgrpo.study.runs import Run, commit, run_all


class Caller:
    """Stands for this machine: notes what is run, leaves a checkpoint, and fails where it is told to."""

    def __init__(self, fails=()):
        self.fails, self.calls, self.interventions = dict(fails), [], []
        self.error_rates = []

    def __call__(self, command):
        what = next(word for word in command[3:] if word not in ("judge", "miniature"))
        folder = next((text.partition("=")[2] for text in command if text.startswith("fgrpo.run_dir=")), "")
        if what == "intervention":
            self.interventions.append(list(command[5:]))
        rates = [text.partition("error_rate=")[2] for text in command if "error_rate=" in text]
        self.error_rates += [(what, *rates)] if rates else []
        self.calls.append((what, "/".join(Path(folder).parts[-2:])))
        if what == "train":
            marker = Path(folder) / "checkpoints" / "latest_checkpointed_iteration.txt"
            marker.parent.mkdir(parents=True, exist_ok=True)
            marker.write_text("200")
            weights = marker.parent / "global_step_200/actor/huggingface/model.safetensors"
            weights.parent.mkdir(parents=True, exist_ok=True)
            weights.touch()
            config = {
                "trainer": {"default_local_dir": str(marker.parent)},
                "actor_rollout_ref": {"model": {"path": "warm"}},
                "stages": {"world": "world"},
            }
            (Path(folder) / "config.yaml").write_text(json.dumps(config))
        return self.fails.get(self.calls[-1], 0)

    def of(self, *names):
        return [call for call in self.calls if call[0] in names]


def runs(root, *wanted):
    return [Run(ARMS[name], seed, root, steps=200) for name, seed in wanted]


def test_one_judge_for_all_runs_of_a_seed(tmp_path):
    caller = Caller()
    asked = runs(tmp_path, ("grpo_t", 0), ("fgrpo", 0), ("fgrpo_held_out", 0), ("grpo_t", 1))
    assert run_all(asked, caller) == []
    assert [name for name, _ in caller.calls] == [
        *("stages", "serve", "train", "summary", "intervention", "train", "summary", "intervention", "stop"),
        *("stages", "serve", "train", "summary", "intervention", "stop"),
        *("stages", "serve", "train", "summary", "intervention", "stop"),
    ]
    assert [folder for _, folder in caller.of("train")] == [
        *("grpo_t/s0", "fgrpo/s0", "fgrpo_held_out/s0-without-farther_vertical", "grpo_t/s1"),
    ]


def test_a_judges_errors_are_training_s_only_and_its_own(tmp_path):
    caller = Caller()
    run_all(runs(tmp_path, ("fgrpo", 0), ("fgrpo_judge_errors", 0)), caller)
    assert caller.of("serve") == [("serve", "fgrpo/s0"), ("serve", "fgrpo_judge_errors/s0-judge-errors-0.1")]
    assert caller.error_rates == [(what, "0.1") for what in ("stages", "serve", "train", "stop")]


def test_the_intervention_is_on_both_ends_of_the_run(tmp_path):
    (run,), caller = runs(tmp_path, ("fgrpo", 0)), Caller()
    run_all([run], caller)
    after = run.folder / "checkpoints/global_step_200/actor/huggingface"
    out = run.folder / "intervention.json"
    assert caller.interventions == [["before_RL=warm", f"after_RL={after}", "--world", "world", "--out", str(out)]]


def test_what_is_finished_is_kept(tmp_path, capsys):
    asked = runs(tmp_path, ("grpo_t", 0), ("fgrpo", 0))
    run_all(asked[:1], Caller())
    assert asked[0].finished
    assert not asked[1].finished
    second = Caller()
    run_all(asked, second)
    assert second.of("train") == [("train", "fgrpo/s0")]
    assert "== run 1 of 1: fgrpo, seed 0, 200 steps" in capsys.readouterr().out
    third = Caller()
    assert run_all(asked, third) == []
    assert third.calls == []


def test_a_failed_run_is_named_made_again_and_stops_no_other(tmp_path):
    asked = runs(tmp_path, ("grpo_t", 0), ("fgrpo", 0))
    caller = Caller({("train", "grpo_t/s0"): 7})
    assert run_all(asked, caller) == [f"{asked[0].folder}: ended with exit code 7; see its train.log"]
    assert caller.of("train", "summary") == [("train", "grpo_t/s0"), ("train", "fgrpo/s0"), ("summary", "fgrpo/s0")]
    assert [run.finished for run in asked] == [False, True]
    again = Caller()
    assert run_all(asked, again) == []
    assert again.of("train") == [("train", "grpo_t/s0")]
    assert asked[0].finished


def test_each_run_is_kept_as_soon_as_it_is_finished(tmp_path):
    asked = runs(tmp_path, ("grpo_t", 0), ("additive", 0), ("fgrpo", 0))
    caller, kept = Caller({("train", "additive/s0"): 7}), []
    run_all(asked, caller, lambda run: kept.append((run.arm.name, run.finished, len(caller.of("train")))))
    assert kept == [("grpo_t", True, 1), ("fgrpo", True, 3)]


def test_a_killed_run_is_made_again(tmp_path):
    (run,) = runs(tmp_path, ("fgrpo", 0))

    def killed(command):
        if command[3] == "train":
            raise KeyboardInterrupt
        stopped.append(command[3:5])
        return 0

    stopped = []
    with pytest.raises(KeyboardInterrupt):
        run_all([run], killed)
    assert stopped[-1] == ["judge", "stop"]
    assert not run.finished
    caller = Caller()
    run_all([run], caller)
    assert run.finished
    assert caller.of("train")


def test_other_steps_are_another_run(tmp_path):
    quick = Run(ARMS["fgrpo"], 0, tmp_path, steps=60)
    run_all([quick], Caller())
    assert quick.finished
    longer = Run(ARMS["fgrpo"], 0, tmp_path, steps=200)
    assert not longer.finished
    run_all([longer], Caller())
    assert longer.finished
    assert longer.note["commit"]


def test_no_run_starts_without_its_stages_or_its_judge(tmp_path):
    asked = runs(tmp_path, ("grpo_t", 0), ("fgrpo", 0), ("fgrpo", 1))
    caller = Caller({("serve", "grpo_t/s0"): 3})
    failures = run_all(asked, caller)
    assert failures == [f"{run.folder}: not started, stages or judge ended with exit code 3" for run in asked[:2]]
    assert caller.of("train") == [("train", "fgrpo/s1")]


KINDS = {re.sub(r"[\d.]+", "0", " ".join(arm.overrides)): name for name, arm in ARMS.items() if name not in MAIN}
OVERRIDING = {*KINDS.values(), "fgrpo_judge_errors", "fgrpo_start_5", "gdpo_style", "fgrpo_zero_fill"}
"""An arm for each kind of overrides; numbers do not make a kind."""


def test_every_kind_of_arm_composes():
    for name in sorted(OVERRIDING):
        run = Run(ARMS[name], 3, Path("runs/study"), steps=ARMS[name].steps)
        config = load_config(run.overrides)
        settings = read_settings(config)
        start = 5.0 if name == "fgrpo_start_5" or "_5.0_" in name else 1.0
        assert {constraint.initial_multiplier for constraint in settings.constraints.values()} == {start}, name
        assert not list(effect_problems(config.arm, settings, prompts=24, n=5, n_key="rollout.n")), name
        assert all(map(load_signal, settings.signals.values())), name
        assert config.trainer.total_training_steps == ARMS[name].steps, name
        assert config.actor_rollout_ref.model.path == "runs/miniature_two_step-s3/warm_start", name
        assert settings.run_dir == str(run.folder), name
        assert settings.advantage.mask_mode == (
            "zero_fill" if name in ("fgrpo_zero_fill", "gdpo_style") else "exclude"
        ), name
        assert settings.namespace == f"fgrpo-{run.folder.name}", name
        assert settings.reward_servers["oracle"].options.get("error_rate", 0.0) == ARMS[name].judge_errors, name


def test_the_arms_are_those_of_the_paper_and_the_two_masks():
    arms = [path.stem for path in (Path(__file__).parents[3] / "easyr1_fgrpo/config/arm").glob("*.yaml")]
    assert {"grpo_t", "additive", "multiplicative", "consistency_only", "fixed_multipliers", "fgrpo"} <= set(arms)
    assert set(MAIN) == {
        *("grpo_t", "additive", "multiplicative", "consistency_only", "fixed_multipliers", "fgrpo"),
        *("fgrpo_zero_fill", "gdpo_style"),
    }


def test_the_held_out_type_goes_round(tmp_path):
    kinds = [Run(ARMS["grpo_t_held_out"], seed, tmp_path, steps=200).held_out for seed in range(5)]
    assert kinds[0] == kinds[4] == "farther_vertical"
    assert len(set(kinds)) == 4
    assert Run(ARMS["grpo_t"], 1, tmp_path, steps=200).held_out == "nothing"
    kinds = [Run(ARMS["fgrpo_held_out"], seed, tmp_path, 200, "four_way").held_out for seed in range(3)]
    assert kinds == ["farther", "nearer", "farther"]


def test_a_run_in_the_world_of_four_options_composes(tmp_path):
    run = Run(ARMS["fgrpo_held_out"], 1, tmp_path, steps=200, world="four_way")
    config = load_config(run.overrides)
    assert config.data.train_files == "runs/miniature_four_way-s1/world_without_nearer/train.parquet"
    assert config.actor_rollout_ref.model.path == "runs/miniature_four_way-s1/warm_start"
    assert read_settings(config).run_dir == str(run.folder)


def test_the_commit_is_marked_when_files_differ_from_it_but_for_results(tmp_path, monkeypatch):
    def git(*arguments):
        return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout.strip()

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert commit() == "unknown"
    git("init", "-q")
    page, code = tmp_path / "recipes" / "results" / "page.md", tmp_path / "code.py"
    page.parent.mkdir(parents=True)
    for file in (page, code):
        file.write_text("1")
    git("add", ".")
    git("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false", "commit", "-qm", "first")
    head = git("rev-parse", "--short=12", "HEAD")
    assert commit() == head
    page.write_text("2")
    assert commit() == head
    code.write_text("2")
    assert commit() == f"{head}-dirty"
