import json

from easyr1_fgrpo.report.alarms import alarms, stretches
from easyr1_fgrpo.report.charts.training import training_sections
from easyr1_fgrpo.report.run_files import read_run

from .runs import write_run


def changed(folder, change, arm="fgrpo", **config):
    """A run of 40 steps whose metrics `change(step, metrics)` has changed."""
    write_run(folder, arm, steps=40, traces=1, evaluations=False)
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        change(line["step"], line["metrics"])
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    run = read_run(folder)
    run.config.update(config)
    return run


def said(run):
    return [str(alarm) for alarm in alarms(run)]


def test_a_run_without_a_fault_has_no_alarm(made):
    assert [said(read_run(made / name)) for name in ("fgrpo-s0", "grpo_t-s0")] == [[], []]


def test_a_judge_that_was_down_is_said_and_drawn(tmp_path):
    def down(step, metrics):
        if step in (7, 8, 9, 20):
            metrics |= {"fgrpo/consistency/valid_share": 0.25, "fgrpo/consistency/updated": 0.0}

    run = changed(tmp_path / "a", down)
    assert said(run) == [
        "consistency: its judge measured less than 50% of the rollouts, the multiplier was held "
        "at 4 of 40 steps (7–9, 20)"
    ]
    scores = training_sections([run])[0].charts
    red = [[(each["x0"], each["x1"]) for each in chart.figure["layout"]["shapes"]] for chart in scores]
    assert red == [[(6.5, 9.5), (19.5, 20.5)], [], []]
    run.config["fgrpo.dual.min_valid_share"] = 0.2
    assert said(run) == [
        "consistency: too few rollouts that it applies to, the multiplier was held at 4 of 40 steps (7–9, 20)"
    ]


def test_without_constraints_a_dead_judge_is_said_all_the_same(tmp_path):
    def dead(step, metrics):
        if step > 38:
            metrics["fgrpo/judges/grounding/valid_share"] = 0.0

    (line,) = said(changed(tmp_path / "a", dead, "grpo_t"))
    assert line == "the judge of grounding gave less than 50% of its verdicts at 2 of 40 steps (39–40)"


def test_held_multipliers_are_said_unless_they_are_fixed(tmp_path):
    def held(step, metrics):
        if step == 3:
            metrics["fgrpo/spatial_grounding/updated"] = 0.0

    run = changed(tmp_path / "a", held)
    (line,) = said(run)
    assert line.startswith("spatial grounding: too few rollouts")
    run.config["fgrpo.dual.controller"] = "fixed"
    assert said(run) == []


def test_nothing_had_variance_only_where_every_signal_was_constant(tmp_path):
    def constant(step, metrics):
        shares = [key for key in metrics if key.endswith("zero_variance_groups")]
        if step in (1, 2, 3, 10, 11):  # two in a row come by chance
            metrics |= dict.fromkeys(shares, 1.0)
        elif step in (4, 5, 6):
            metrics |= dict.fromkeys(shares[1:], 1.0)

    run = changed(tmp_path / "a", constant)
    assert said(run) == ["nothing had variance in any group, so nothing was learnt at 3 of 40 steps (1–3)"]
    assert {len(chart.figure["layout"]["shapes"]) for chart in training_sections([run])[0].charts} == {1}


def test_stretches_and_a_long_list_of_them():
    assert stretches([]) == []
    assert stretches([1, 2, 3, 7, 9, 10]) == [(1, 3), (7, 7), (9, 10)]


def test_a_signal_that_changed_suddenly_is_said(tmp_path):
    def sudden(step, metrics):
        if step > 0:
            metrics["fgrpo/consistency/sudden"] = float(step == 25)

    (line,) = said(changed(tmp_path / "a", sudden))
    assert line == "consistency: changed as no policy does, so perhaps its judge did, at 1 of 40 steps (25)"


def test_a_constraint_that_nothing_could_bring_back_is_said(tmp_path):
    def stuck(step, metrics):
        if step > 0:
            metrics["fgrpo/consistency/standstill"] = float(max(0, step - 20))

    (line,) = said(changed(tmp_path / "a", stuck))
    assert line == (
        "consistency: violated, and no group's rollouts differed in it, so its multiplier weighed nothing, at 11 of 40 "
        "steps (30–40)"
    )
