from easyr1_fgrpo.verl_plugin.run.progress import summary, unmeasured


def test_summary_shows_task_score_and_multiplier():
    metrics = {
        "fgrpo/signals/task/mean": 0.854,
        "fgrpo/consistency/threshold": 0.95,
        "fgrpo/consistency/score": 0.9,
        "fgrpo/consistency/multiplier": 1.25,
        "fgrpo/spatial_grounding/threshold": 0.65,  # without a score in this step
        "fgrpo/spatial_grounding/multiplier": 1.0,
        "actor/lr": 1.0,
    }
    assert summary(metrics) == "task 0.85, consistency 0.90 λ1.25, spatial_grounding – λ1.00"
    assert summary({"actor/lr": 1.0}) == ""


def test_a_score_through_a_judges_errors_is_shown_with_what_it_stands_for():
    measured = {"threshold": 0.86, "score": 0.84, "score_corrected": 0.925, "threshold_asked": 0.95, "multiplier": 1.2}
    metrics = {f"fgrpo/consistency/{part}": value for part, value in measured.items()}
    assert summary(metrics) == "consistency 0.84 (true 0.93) λ1.20"


def test_a_judge_that_fails_is_red_on_a_terminal():
    metrics = {"fgrpo/consistency/threshold": 0.95, "fgrpo/consistency/multiplier": 1.0}
    for share, shown in ((0.94, " \x1b[31m(judged 94%)\x1b[0m"), (0.96, " (judged 96%)"), (1.0, "")):
        seen = metrics | {"fgrpo/consistency/valid_share": share}
        assert summary(seen, coloured=True) == f"consistency – λ1.00{shown}"
        assert "\x1b" not in summary(seen)


def test_a_validation_that_measured_little_is_told():
    shares = {"fgrpo/val/consistency/valid_share": 0.0, "fgrpo/val/semantic_grounding/valid_share": 0.96}
    assert unmeasured(0, shares) == (
        "warning: in the validation at step 0 judges measured consistency on 0% of its rollouts; see train.log"
    )
    assert unmeasured(0, shares | {"fgrpo/val/consistency/valid_share": 1.0}) == unmeasured(3, {"actor/lr": 1.0}) == ""
