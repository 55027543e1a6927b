from dataclasses import replace

import made_results
import pytest

from easyr1_fgrpo.evaluation.mode import Mode
from easyr1_fgrpo.evaluation.results.results import Evaluation
from easyr1_fgrpo.judges.protocol import Label
from easyr1_fgrpo.report.run_files import read_run
from easyr1_fgrpo.report.verdicts import BAD, GOOD, OPEN, verdicts

from .runs import write_run

N = 40


def outcomes(right, faithful, judged=True):
    """Of N answers; the faithful ones are among the right ones."""
    return [
        made_results.outcome(
            n,
            accurate=n < right,
            consistency=Label.YES if judged else None,
            semantic_grounding=1.0 if n < faithful else 0.0,
        )
        for n in range(N)
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("verdicts") / "run", steps=12, traces=1, questions=2)


def verdict(folder, before, after, judged=True):
    results = [
        made_results.result(name, outcomes(*counts, judged=judged), mode=mode)
        for name, counts in (("before_RL", before), ("after_RL", after))
        for mode in Mode
    ]
    Evaluation(settings={"judges": {"consistency": "x"}}, results=tuple(results)).save(folder / "evaluation")
    (found,) = verdicts([read_run(folder)])
    return found


def test_the_words_follow_the_paired_intervals(folder):
    for before, after, words in (
        ((20, 10), (35, 30), "more right answers, more for reasons that hold"),
        ((20, 20), (35, 5), "more right answers, fewer for reasons that hold"),
        ((20, 10), (35, 10), "more right answers, as many for reasons that hold"),
        ((30, 10), (31, 30), "as many right answers, more for reasons that hold"),
        ((30, 30), (10, 10), "fewer right answers, fewer for reasons that hold"),
    ):
        assert words in verdict(folder, before, after).text, (before, after)
    text = verdict(folder, (20, 10), (35, 30)).text
    assert text.startswith("finished, 12 steps; more right")
    assert "accuracy 50.0 → 87.5 %, faithful accuracy 25.0 → 75.0 % (sampled)" in text


def test_without_verdicts_nothing_is_said_of_reasons(folder):
    found = verdict(folder, (20, 20), (35, 35), judged=False)
    assert "more right answers: accuracy 50.0 → 87.5 %, faithful accuracy not measured (sampled)" in found.text
    assert found.state == OPEN


def test_a_run_is_good_when_it_is_finished_better_and_meets_what_was_asked(folder):
    assert verdict(folder, (20, 10), (35, 30)).state == OPEN  # this run misses some thresholds
    run = read_run(folder)
    for name in ("consistency", "spatial_grounding", "semantic_grounding"):
        score = run.metrics[f"fgrpo/{name}/score"]
        run.metrics[f"fgrpo/{name}/score"] = replace(score, values=(1.0,) * len(score.values))
    (good,) = verdicts([run])
    assert (good.state, good.text.rpartition("; ")[2]) == (GOOD, "3 of 3 constraints met.")
    (unfinished,) = verdicts([replace(run, finished=False, total_steps=40)])
    assert (unfinished.state, unfinished.text.partition(";")[0]) == (OPEN, "step 12 of 40")
    run.metrics["fgrpo/consistency/valid_share"] = replace(score, values=(0.0,) * len(score.values))
    (alarmed,) = verdicts([run])
    assert alarmed.state == BAD
    assert alarmed.alarms[0].startswith("consistency: its judge measured less than 50%")


def test_what_was_not_evaluated_or_has_no_constraint_says_so(made, tmp_path):
    run = read_run(write_run(tmp_path / "run", "grpo_t", steps=2, traces=1, evaluations=False))
    (found,) = verdicts([run])
    assert found.text == "finished, 2 steps; not evaluated before and after RL; no constraint acts."
    assert verdicts([read_run(made / "benchmarks")]) == []
