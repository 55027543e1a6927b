"""Every answer of the findings from records made by hand, and the page in the repository from the records beside it."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from typer.testing import CliRunner

from easyr1_fgrpo.cli import app
from easyr1_fgrpo.evaluation.mode import Mode
from easyr1_fgrpo.statistics import Estimate
from easyr1_fgrpo.study.arms import ARMS, HOMECOMING
from easyr1_fgrpo.study.findings import (
    QUESTIONS,
    accuracy,
    competition,
    faithful,
    four_way,
    judge_errors,
    levels,
    scale,
    starts,
    write_findings,
)
from easyr1_fgrpo.study.findings.numbers import Runs, over_seeds, same_start, with_interval
from easyr1_fgrpo.study.records import Record

ROOT = Path(__file__).parents[3]
FOLLOWED = {"questions": 10, "followed": 9, "right": 0, "probability": 0.5}
SIGNALS = ("consistency", "semantic_grounding", "spatial_grounding", "length_budget", "accuracy")


def made(arm, seed=0, *, scores=0.97, steps=200, multiplier=1.0, greedy=None, warm=0.5, **measured):
    """A record whose signals measure `scores` at every step, by name or all the same, under these multipliers.

    `measured` is of the test set after RL, `greedy` where that differs, `warm` the accuracy of the warm start.
    """
    values = {"accuracy": 0.9, "faithful_accuracy": 0.8, "inconsistency": 0.05, "semantic_grounding": 0.9, **measured}
    after = {Mode.SAMPLED: estimates(values), Mode.GREEDY: estimates(values | (greedy or {}))}
    by_mode = {"before_RL": dict.fromkeys(Mode, estimates({**values, "accuracy": warm})), "after_RL": after}
    curve = multiplier if isinstance(multiplier, tuple) else (multiplier,) * steps
    scores = scores if isinstance(scores, dict) else dict.fromkeys(SIGNALS, scores)
    training = {f"fgrpo/signals/{name}/mean": (score,) * steps for name, score in scores.items()}
    for name in SIGNALS[:4]:
        training |= {
            f"fgrpo/{name}/multiplier": curve,
            f"fgrpo/{name}/score": (scores[name],) * steps,
            f"fgrpo/{name}/threshold": (0.95,) * steps,
        }
    return Record(
        arm=arm,
        seed=seed,
        steps=steps,
        held_out="farther_vertical" if ARMS[arm].held_out else "nothing",
        overrides=(f"trainer.total_training_steps={steps}",),
        commit="abc",
        machine="2 CPU cores",
        seconds=1.0,
        measured=by_mode,
        measured_held_out=by_mode if ARMS[arm].held_out else None,
        followed=dict.fromkeys(("before_RL", "after_RL"), FOLLOWED),
        training_steps=tuple(range(1, steps + 1)),
        training={**training, "fgrpo/task/share": (0.7,) * steps},
    )


def estimates(values):
    return {name: Estimate(value=value, low=None, high=None, n=100) for name, value in values.items()}


def page(records, folder):
    """The written page, its sections by heading."""
    missing = write_findings({"two_step": records, "four_way": records}, folder / "findings.md")
    parts = (folder / "findings.md").read_text().split("\n## ")
    return {part.split("\n", 1)[0]: part.split("\n", 1)[1] for part in parts[1:]}, missing


def test_every_question_is_answered_from_its_own_runs(tmp_path):
    sections, missing = page([made(arm, seed) for arm in ARMS for seed in (0, 1)], tmp_path)
    assert missing == []
    for question in QUESTIONS:
        assert f"pictures/findings_{question.slug}.svg" in sections[question.title]
        assert (tmp_path / "pictures" / f"findings_{question.slug}.svg").stat().st_size > 1000
        assert question.command in sections[question.title]
        assert set(question.arms) <= set(ARMS), question.slug
        alone = Runs([made(arm, seed) for arm in question.arms for seed in question.seeds])
        assert question.find(alone) is not None, question.slug  # its command makes all that it needs
    assert "| use | when | evidence |" in sections["What to use"]


def test_a_question_without_its_runs_is_not_run_yet(tmp_path):
    sections, missing = page([made("grpo_t"), made("fgrpo")], tmp_path)
    assert "Does reasoning stay faithful under plain GRPO?" in sections
    titles = [question.title for question in missing]
    assert "What if multipliers start wrong?" in titles
    assert all(f"- {title}" in sections["Not run yet"] for title in titles)


@pytest.mark.parametrize(
    ("plain", "ours", "verdict"),
    [
        (0.1, 0.8, "No, and FGRPO's does: after plain GRPO (`grpo_t`) 40.0 % of the sampled answers contradict"),
        (0.1, 0.1, "No, and neither does FGRPO's:"),
        (0.8, 0.8, "Yes, and so does FGRPO's:"),
        (0.8, 0.1, "Yes, but FGRPO's does not:"),
    ],
)
def test_whether_reasoning_stays_faithful_is_what_was_measured(plain, ours, verdict):
    # 0.85 right: 0.8 of all questions are nearly all of these, 0.1 are not.
    runs = [made("grpo_t", accuracy=0.85, faithful_accuracy=plain, inconsistency=0.4), made("grpo_t", 1)]
    answer = faithful.QUESTION.find(Runs([*runs, made("fgrpo", accuracy=0.85, faithful_accuracy=ours)])).answer
    assert answer.startswith(verdict)
    assert answer.endswith(f"after FGRPO 5.0 % and {100 * ours:.1f} % (means, seed 0).")  # seed 1 has no pair


def test_a_level_is_kept_from_above_and_hit_within_two_points():
    # .80, .90, .95 and .99 were asked for and .93 is measured everywhere, of two signals each.
    runs = Runs([made(arm, scores=0.93) for arm in levels.DUAL.values()])
    section = levels.QUESTION.find(runs)
    assert section.answer.startswith("Type the level as the threshold and look at what comes out,")
    assert "6 of 8 constraints end at the level" in section.answer
    assert "2 of them within 2 points" in section.answer
    (advice,) = levels.QUESTION.advise(runs)
    assert advice.evidence.startswith("6 of 8 levels met")


@pytest.mark.parametrize(
    ("scores", "opening", "advised"),
    [(0.99, "Type the level as the threshold, `fgrpo.", 1), (0.7, "No threshold gives it, `fgrpo.", 0)],
)
def test_no_threshold_is_advised_that_nothing_meets(scores, opening, advised):
    runs = Runs([made(arm, scores=scores) for arm in levels.DUAL.values()])
    assert levels.QUESTION.find(runs).answer.startswith(opening)
    assert len(levels.QUESTION.advise(runs)) == advised


def test_claims_that_may_be_false_are_spread_over_the_answers():
    runs = Runs([made("fgrpo"), made("fgrpo_level_0.80", faithful_accuracy=0.016)])
    section = levels.QUESTION.find(runs)
    said = "is 1.6 % with 90.0 % accuracy where 0.8 was asked for, 80.0 % with 90.0 % where 0.95 was."
    assert said in section.parts[2]


NOT_TOLD_APART = "constraints (`arm=fgrpo`) or a {}, not told apart"


@pytest.mark.parametrize(
    ("theirs", "use"),
    [(0.8, NOT_TOLD_APART), (0.7, "constraints (`arm=fgrpo`)"), (0.9, "a {}")],
)
def test_what_to_use_without_a_level_is_what_the_interval_says(theirs, use):
    records = [made("fgrpo", seed, faithful_accuracy=0.8) for seed in (0, 1)]
    for arm in ("additive", "multiplicative"):
        records += [made(arm, seed, faithful_accuracy=theirs + 1e-4 * seed) for seed in (0, 1)]
    (advice,) = accuracy.QUESTION.advise(Runs(records))
    assert advice.use == use.format("sum (`arm=additive`)")
    found = [line.use for line in four_way.QUESTION.advise(Runs(records))]
    assert found == [use.format("sum (`arm=additive`)"), use.format("product (`arm=multiplicative`)")]
    assert accuracy.QUESTION.advise(Runs([records[0], records[2]])) == []  # one pair decides nothing


def test_who_wins_where_rewards_are_sparse_is_what_shared_seeds_decide():
    ours, sums = [0.5, 0.9, 0.9], [0.4, 0.8001, 0.8]
    records = [made("fgrpo", seed, faithful_accuracy=share) for seed, share in enumerate(ours)]
    records += [made("additive", seed, faithful_accuracy=share) for seed, share in enumerate(sums)]
    answer = four_way.QUESTION.find(Runs(records)).answer
    assert answer.startswith("`fgrpo`: right for reasons that hold are")
    assert "76.7 % after `fgrpo` and 66.7 % after `additive` (seeds 0, 1, 2)." in answer
    # The sum has its best seed alone: the other seeds do not count, and one decides nothing.
    section = four_way.QUESTION.find(Runs([*records[:3], records[4]]))
    assert section.answer.startswith("Not decided by seed 1:")
    assert "90.0 % after `fgrpo` and 80.0 % after `additive` (seed 1)." in section.answer
    assert "| -10.0 | 1 |" in section.parts[0]
    # A third arm with one seed: the two others' other seeds do not decide what is told of this one.
    section = four_way.QUESTION.find(Runs([*records, made("grpo_t", 1, faithful_accuracy=0.1)]))
    assert section.answer.startswith("Not decided by seed 1:")


@pytest.mark.parametrize(
    ("ours", "theirs", "use"),
    [
        (0.97, 0.9, "constraints (`arm=fgrpo`)"),
        (0.9, 0.97, "a weighted sum (`arm=weighted_sum`)"),
        (0.97, 0.97, NOT_TOLD_APART.format("weighted sum (`arm=weighted_sum`)")),
    ],
)
def test_who_wins_a_competition_keeps_more_levels(ours, theirs, use):
    # The constraints ask for 0.95 each, and 2 points are allowed.
    records = [made("fgrpo_brief_0.9", scores=ours), made("weighted_sum_brief_1.0", scores=theirs)]
    (advice,) = competition.QUESTION.advise(Runs(records))
    assert advice.use == use
    kept = {0.97: 4, 0.9: 0}
    assert advice.evidence.startswith(f"{kept[ours]} of 4 levels hold with constraints, {kept[theirs]} with the best")
    elsewhere = made("weighted_sum_brief_1.0", scores=theirs, warm=0.6)
    assert competition.QUESTION.advise(Runs([records[0], elsewhere])) == []


def test_a_competition_names_the_levels_that_hold():
    scores = dict.fromkeys(SIGNALS, 0.97) | {"length_budget": 0.5}
    answer = competition.QUESTION.find(Runs([made("fgrpo_brief_0.9", scores=scores)])).answer
    assert "constraints meet 3 of 4 levels: met consistency, spatial grounding and semantic grounding," in answer
    assert "missed length budget;" in answer


def test_a_constraint_that_nothing_brings_back_is_named():
    record = made("fgrpo_brief_0.9", scores=dict.fromkeys(SIGNALS, 0.97) | {"consistency": 0.0})
    assert len(competition.QUESTION.find(Runs([record])).parts) == 2
    equal = {**record.training, "fgrpo/consistency/zero_variance_groups": (1.0,) * 200}
    section = competition.QUESTION.find(Runs([record.model_copy(update={"training": equal})]))
    assert section.parts[2].startswith("Nothing is left to compare in consistency: ")


@pytest.mark.parametrize(
    ("tenth", "sum_tenth", "tenfold", "said", "use"),
    [
        (0.97, 0.87, 0.97, ("where it was", "10.0 points lower"), "constraints (`arm=fgrpo`)"),
        (0.97, 0.97, 0.87, ("where it was", "where it was"), "constraints (`arm=fgrpo`)"),
        (0.77, 0.87, 0.87, ("20.0 points lower", "10.0 points lower"), "a weighted sum (`arm=weighted_sum`)"),
        (0.98, 0.97, 0.97, ("1.0 points higher", "where it was"), NOT_TOLD_APART),
    ],
)
def test_what_a_scale_costs(tenth, sum_tenth, tenfold, said, use):
    scored = {
        **{"fgrpo": 0.97, "weighted_sum": 0.97, "fgrpo_tenth": tenth},
        **{"weighted_sum_tenth": sum_tenth, "weighted_sum_tenfold": tenfold},
    }
    records = [made(arm, scores=scores) for arm, scores in scored.items()]
    answer = scale.QUESTION.find(Runs(records)).answer
    assert f"it ends {said[0]} by FGRPO (threshold 0.095) and {said[1]} by a weighted sum." in answer
    (advice,) = scale.QUESTION.advise(Runs([*records, made("fgrpo", 1, warm=0.6)]))  # another seed starts elsewhere
    assert advice.use == use.format("weighted sum (`arm=weighted_sum`)")
    assert scale.QUESTION.advise(Runs([*records[:-1], made("weighted_sum_tenfold", warm=0.6)])) == []


def test_what_a_judge_that_errs_costs_is_told_in_numbers():
    records = [
        made("fgrpo", faithful_accuracy=0.8, multiplier=1.0),
        made("fgrpo_judge_errors", faithful_accuracy=0.7, multiplier=2.0),
        made("fgrpo_judge_errors_told", faithful_accuracy=0.75, multiplier=1.5),
    ]
    answer = judge_errors.QUESTION.find(Runs(records)).answer
    assert "10 % of its verdicts wrong faithful accuracy is 70.0 % instead of 80.0 %, and 75.0 % where" in answer
    assert "multiplier ends at 2.00 instead of 1.00, and at 1.50 where" in answer


def test_runs_from_unequal_warm_starts_are_no_pairs_and_are_named(tmp_path):
    ours, here, elsewhere = made("fgrpo"), made("grpo_t"), made("additive", warm=0.51)
    assert same_start(ours, here)
    assert not same_start(ours, elsewhere)
    assert not same_start(ours, None)
    runs = Runs([ours, here, elsewhere])
    assert (len(runs.pairs("fgrpo", "grpo_t")), runs.pairs("fgrpo", "additive")) == (1, [])
    sections, _ = page([ours, here, elsewhere], tmp_path)
    named = "Made on another kind of processor, from a warm start that is rounded differently,"
    assert named in sections["What does faithfulness cost in accuracy?"]
    assert "in direction only: `additive` (seed 0)." in sections["What does faithfulness cost in accuracy?"]


def test_no_zero_has_a_minus():
    assert with_interval(over_seeds([-1e-5, -1e-5])) == "0.0"
    assert with_interval(over_seeds([-1e-5]), signed=True) == "+0.0"


def test_home_is_the_first_step_from_which_it_stays():
    rising = tuple(0.1 + 0.02 * step for step in range(HOMECOMING))  # 0.5 at step 21, above 2 at the end
    falling = tuple(max(1.0, 5.0 - 0.1 * step) for step in range(HOMECOMING))  # 2.0 at step 31
    curves = {
        "home_0.1_pid": (*rising[:90], *[1.9] * 10),
        "home_5.0_pid": falling,
        "home_0.1_nupi": rising,
        "home_5.0_nupi": (5.0,) * HOMECOMING,
    }
    runs = Runs([made(arm, steps=HOMECOMING, multiplier=curve) for arm, curve in curves.items()])
    section = starts.QUESTION.find(runs)
    assert section.answer.endswith("from 0.1 by PID and from 5.0 by PID (of 2 rules, seed 0).")
    cells = [[cell.strip() for cell in line.split("|")[1:4]] for line in section.parts[0].splitlines()[2:]]
    assert cells == [
        ["0.1", "PID", "21"],
        ["0.1", "nuPI", "never"],
        ["5.0", "PID", "31"],
        ["5.0", "nuPI", "never"],
    ]
    curves["home_5.0_pid"] = (5.0,) * HOMECOMING
    runs = Runs([made(arm, steps=HOMECOMING, multiplier=curve) for arm, curve in curves.items()])
    assert "from 0.1 by PID and from 5.0 by none (of 2 rules" in starts.QUESTION.find(runs).answer


@pytest.mark.parametrize(
    ("ours", "verdict"),
    [
        (0.95, "Nothing; right answers become more:"),
        (0.8, "Some right answers:"),
        (0.9, "Not more than these runs can see:"),
    ],
)
def test_the_cost_in_accuracy_is_what_the_intervals_say(ours, verdict):
    # Differences of two seeds that are all but equal, so that the interval is narrow; with 0.9 they are 0 and nearly 0.
    records = [made("grpo_t", seed, accuracy=0.9) for seed in (0, 1)]
    records += [made("fgrpo", 0, accuracy=ours), made("fgrpo", 1, accuracy=ours + 1e-4)]
    assert accuracy.QUESTION.find(Runs(records)).answer.startswith(verdict)


@pytest.mark.parametrize(
    ("sampled", "greedy", "verdict"),
    [
        (0.95, 0.8, "It depends on how answers are drawn:"),
        (0.9, 0.95, "Nothing; right answers become more, greedy ones at least:"),
        (0.8, 0.9, "Some right answers, sampled ones at least:"),
    ],
)
def test_the_cost_in_accuracy_may_be_decided_for_one_way_of_drawing(sampled, greedy, verdict):
    records = [made("grpo_t", seed, accuracy=0.9) for seed in (0, 1)]
    records += [
        made("fgrpo", seed, accuracy=sampled + 1e-4 * seed, greedy={"accuracy": greedy + 1e-4 * seed})
        for seed in (0, 1)
    ]
    assert accuracy.QUESTION.find(Runs(records)).answer.startswith(verdict)


def test_what_was_not_measured_is_no_number(tmp_path):
    broken = made("grpo_t", accuracy=None)
    with pytest.raises(ValueError, match=r"grpo_t-s0.json: accuracy was not measured, \S+; make the run again: bash "):
        write_findings({"two_step": [broken, made("fgrpo")], "four_way": []}, tmp_path / "findings.md")
    silent = made("fgrpo").model_copy(update={"training": {}})
    write_findings(
        {"two_step": [silent, *(made(arm) for arm in ARMS if arm != "fgrpo")], "four_way": [silent]}, tmp_path / "f.md"
    )
    section = levels.QUESTION.find(Runs([silent, made("fgrpo_level_0.80", scores=math.pi / 4)]))
    assert "| 0.95 | dual ascent | not measured | not measured |" in section.parts[0]


def test_the_page_in_the_repository_is_of_the_records_in_it(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    done = CliRunner().invoke(app, ["study", "findings", "--page", str(tmp_path / "findings.md")])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "findings.md").read_text() == (ROOT / "docs" / "findings.md").read_text()
    for picture in (tmp_path / "pictures").iterdir():
        assert (ROOT / "docs" / "pictures" / picture.name).exists(), picture.name


def test_a_section_says_which_of_its_runs_are_missing(tmp_path):
    sections, _ = page([made("grpo_t"), made("fgrpo"), made("fgrpo", 1)], tmp_path)
    cost = sections["What does faithfulness cost in accuracy?"]
    assert "Not run yet: `fgrpo` (seeds 2, 3, 4, 5, 6, 7), `additive`, `grpo_t` (seeds 1, 2, 3, 4, 5, 6, 7)." in cost
    assert "sampled (seed 0)." in cost


def spoiled(folder, name="fgrpo-s0", **changes):
    """A record of the repository, changed, in a folder of results."""
    record = json.loads((ROOT / "recipes/results/miniature/fgrpo-s0.json").read_text())
    for key, change in changes.items():
        record[key] = change(record[key]) if callable(change) else change
    (folder / "miniature").mkdir(parents=True, exist_ok=True)
    (folder / "miniature" / f"{name}.json").write_text(json.dumps(record))


def swapped(old, new):
    return lambda overrides: [text.replace(old, new) for text in overrides]


@pytest.mark.parametrize(
    ("name", "changes", "problem"),
    [
        ("fgrpo-s0", {"arm": "fgrpo_gone"}, "arm=fgrpo_gone is no arm of this version"),
        ("fgrpo-s1", {}, "a record of fgrpo, seed 0; name it so"),
        ("fgrpo-s0b", {}, "a record of fgrpo, seed 0; name it so"),
        (
            "fgrpo-s0",
            {"overrides": lambda old: [*old, "fgrpo.dual.lr=0.9"]},
            "made with other settings than fgrpo has in world two_step, fgrpo.dual.lr=0.9;",
        ),
        (
            "fgrpo-s0",
            {"overrides": swapped("two_step", "four_way")},
            "two_step, dataset=miniature_four_way dataset=miniature_two_step;",
        ),
        ("fgrpo-s0", {"overrides": swapped("steps=200", "steps=60"), "steps": 60}, "total_training_steps=60;"),
        ("fgrpo-s0", {"steps": 60}, "is no record of a run"),
        ("fgrpo-s0", {"followed": {}}, "is no record of a run"),
        ("fgrpo-s0", {"measured": lambda old: {"before_RL": old["before_RL"]}}, "is no record of a run"),
        ("fgrpo-s0", {"training_steps": lambda old: old[:-1]}, "is no record of a run"),
    ],
)
def test_a_record_of_something_else_is_refused_by_name(tmp_path, name, changes, problem):
    spoiled(tmp_path, name, **changes)
    for arguments in (
        ["findings", "--results", tmp_path, "--page", tmp_path / "f.md"],
        ["run", "--page-only", "--page", tmp_path / "miniature.md"],
    ):
        done = CliRunner().invoke(app, ["study", *map(str, arguments)])
        assert done.exit_code == 1
        assert f"{name}.json" in done.output
        assert problem in " ".join(done.output.split())


def test_no_record_is_an_error(tmp_path):
    done = CliRunner().invoke(app, ["study", "findings", "--results", str(tmp_path)])
    assert done.exit_code == 1
    assert "no record of a run" in done.output
