from pathlib import Path

import torch

from easyr1_fgrpo.report.run_files import Run, Series, read_run
from easyr1_fgrpo.report.series import (
    CONSTRAINT_PARTS,
    JUDGE_PARTS,
    RL_CURVES,
    constraint_names,
    constraint_series,
    judge_questions,
    judge_series,
    ratio,
    run_labels,
)
from easyr1_fgrpo.rewards import JUDGE_COUNTS, SIGNALS
from easyr1_fgrpo.training.judge_metrics import judge_metrics
from easyr1_fgrpo.training.step_signals import RolloutId, metrics_of, read_step

from .runs import rollout, step_metrics


def run_of(name="run", arm=None, seed=None, experiment=None, **metrics):
    config = {"trainer.experiment_name": experiment}
    series = {key: Series((1,), (value,)) for key, value in metrics.items()}
    return Run(Path("runs") / name, name, arm, seed, config, None, 1, False, series, (), (), ())


def test_every_part_of_a_constraint(made):
    series = constraint_series(read_run(made / "fgrpo-s0"), "spatial_grounding")
    of_known_errors = {"score_corrected", "threshold_asked"}
    assert list(series) == [part for part in CONSTRAINT_PARTS if part not in of_known_errors]
    written = step_metrics(1.0, "fgrpo")
    assert series["score"].values[-1] == written["fgrpo/spatial_grounding/score"]
    assert series["multiplier"].values[-1] == written["fgrpo/spatial_grounding/multiplier"]
    assert (series["threshold"].values[-1], series["cap"].values[-1]) == (0.65, 5.0)
    assert series["applicable_share"].values[-1] == 40 / 80
    assert series["score"].steps == tuple(range(1, 25))


def test_a_signal_that_no_constraint_is_put_on_has_a_score_all_the_same(made):
    series = constraint_series(read_run(made / "grpo_t-s0"), "consistency")
    assert set(series) == {"score", "applicable", "applicable_share"}
    assert series["score"].values[-1] == step_metrics(1.0, "grpo_t")["fgrpo/signals/consistency/mean"]


def test_names_are_the_runs_own(made):
    ours = ["consistency", "spatial_grounding", "semantic_grounding"]
    faithful, plain = (read_run(made / name) for name in ("fgrpo-s0", "grpo_t-s0"))
    assert constraint_names([plain, faithful]) == constraint_names([plain]) == ours
    own = run_of(**{"fgrpo/length/threshold": 0.5, "fgrpo/brevity/threshold": 0.5, "fgrpo/consistency/threshold": 0.9})
    assert constraint_names([own]) == ["consistency", "brevity", "length"]
    assert constraint_names([plain, own]) == ["consistency", "brevity", "length"]
    assert constraint_names([]) == constraint_names([run_of()]) == []


def test_judges(made):
    run = read_run(made / "fgrpo-s0")
    assert judge_questions([run_of(), run]) == ["consistency", "grounding"]
    assert list(judge_series(run, "grounding")) == [part for part in JUDGE_PARTS if part != "uncertain_share"]
    assert judge_series(run, "grounding")["wait_s/p95"].values == (1.2,) * 24
    assert judge_series(run_of(), "grounding") == {}


def test_the_names_are_those_that_training_writes():
    numbers = []
    for index in range(4):
        record, _ = rollout("train", index, "fgrpo")
        signals = {name: signal.value for name, signal in record.signals.items()}
        row = {name: value if value is not None else float("nan") for name, value in signals.items()}
        row |= {f"{name}_valid": float(value is not None) for name, value in signals.items()}
        row["truncated"] = float(record.truncated)
        numbers.append(row | {f"{name}_reason": float(value is None) * 3 for name, value in signals.items()})
    step = read_step(1, [RolloutId("1-0", n) for n in range(4)], numbers, list(SIGNALS), expected=4)
    asked = {f"judge_{question}_verdicts": 1.0 for question in ("consistency", "grounding")}
    counts = [count for count in JUDGE_COUNTS if count != "verdicts"]
    asked |= {f"judge_{question}_{count}": 0.0 for question in ("consistency", "grounding") for count in counts}
    written = {
        **metrics_of(step),
        **{f"fgrpo/judges/{name}": value for name, value in judge_metrics([asked]).items()},
    }
    assert torch.isfinite(torch.tensor(list(written.values()), dtype=torch.float64)).all()
    made_up = {name for name in step_metrics(0.5, "grpo_t") if name.startswith("fgrpo/")}
    of_the_advantage = {"fgrpo/task/share", "fgrpo/task/zero_variance_groups", "fgrpo/dual/lambda_max"}
    assert made_up - of_the_advantage <= written.keys()
    parts = {key.removeprefix("fgrpo/judges/consistency/") for key in written if "judges/consistency/" in key}
    assert parts == set(JUDGE_PARTS)


def test_rl_curves_are_in_a_run(made):
    run = read_run(made / "fgrpo-s0")
    assert [curve.key for curve in RL_CURVES if curve.key not in run.metrics] == []


def test_a_ratio_is_of_the_steps_that_both_have():
    whole = Series((1, 2, 4), (8.0, 0.0, 5.0))
    assert ratio(Series((1, 2, 3, 4), (2.0, 1.0, 1.0, 5.0)), whole) == Series((1, 4), (0.25, 1.0))
    assert ratio(Series((3,), (1.0,)), whole) is None
    assert ratio(None, whole) is ratio(whole, None) is None


def test_seeds_share_a_name_and_experiments_do_not():
    seeds = [run_of("a-s0", "fgrpo", 0, "a"), run_of("a-s1", "fgrpo", 1, "a"), run_of("b-s0", "grpo_t", 0, "b")]
    assert run_labels(seeds) == ["fgrpo", "fgrpo", "grpo_t"]
    assert run_labels([*seeds[:2], run_of("c-s0", "fgrpo", 0, "c")]) == ["a-s0", "a-s1", "c-s0"]
    assert run_labels([run_of("a-s0", "fgrpo", 0, "a"), run_of("d-s0", "fgrpo", 0, "a")]) == ["a-s0", "d-s0"]
    assert run_labels([run_of("bench"), run_of("bench")]) == ["runs/bench", "runs/bench"]
