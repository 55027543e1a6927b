import csv
import io

import made_results
import pytest
from rich.console import Console

from easyr1_fgrpo.evaluation.answers.models import ModelSpec
from easyr1_fgrpo.evaluation.evaluate import Asked, lines, result_of
from easyr1_fgrpo.evaluation.mode import Mode
from easyr1_fgrpo.evaluation.results.comparison import AVERAGE, average, differences
from easyr1_fgrpo.evaluation.results.results import (
    Evaluation,
    Meta,
    RejectRecord,
    Totals,
    models_to_compare,
    scorer_agreement,
)
from easyr1_fgrpo.evaluation.run_items import Tally
from easyr1_fgrpo.evaluation.styles import STYLES
from easyr1_fgrpo.evaluation.tables.benchmarks import accuracy_table, comparison_table, quality_table, save, tables
from easyr1_fgrpo.judges.protocol import Label
from easyr1_fgrpo.statistics import Estimate
from easyr1_fgrpo.tables import Grid, latex_text

SETTINGS = {"judges": {"consistency": "oracle"}, "scorer": "", "request": {}}


def outcome(number, right=True, scorer=None, benchmark="made", **values):
    return made_results.outcome(
        number, split=benchmark, accurate=right, item=f"q{number}", accurate_by_scorer=scorer, **values
    )


def asked(benchmark, model="m", mode=Mode.GREEDY):
    return Asked(ModelSpec(model, STYLES["ours"], None, None), model, benchmark, "here", mode)


def result(model, outcomes, benchmark="made", scorer=False, rejects=(), mode=Mode.GREEDY):
    metas = [Meta(id=each.item, category="", group="") for each in outcomes]
    metas += [Meta(id=reject.row, category="", group="") for reject in rejects if reject.stage == "answer"]
    tally = Tally(metas, dict(enumerate(outcomes)), list(rejects))
    return result_of(asked(benchmark, model, mode), tally, scorer=scorer)


def rights(model, bits, benchmark="made", **values):
    return result(model, [outcome(n, bit, benchmark=benchmark, **values) for n, bit in enumerate(bits)], benchmark)


def reject(row, stage):
    return RejectRecord(model="m", benchmark="made", row=row, stage=stage, reason="as told")


def test_totals_add_up():
    outcomes = [outcome(0), outcome(1, consistency=None), outcome(2, parsable=False, consistency=None)]
    totals = result("m", outcomes, rejects=[reject("q9", "answer"), reject("row 3", "load")]).totals
    assert totals == Totals(
        rows=5, rejected_rows=1, items=4, rejected_items=1, scored=3, judged=1, unparsable=1, unjudged=1
    )
    assert str(totals) == (
        "5 rows = 4 items + 1 rejected; 4 items = 3 scored + 1 rejected; "
        "3 scored = 1 judged + 1 unparsable + 1 unjudged"
    )
    assert not totals.model_copy(update={"judged": 2}).adds_up


def test_a_lost_item_is_no_result():
    tally = Tally([Meta(id="a", category="", group="")], {}, [])
    with pytest.raises(RuntimeError, match="not accounted for"):
        result_of(asked("made"), tally, scorer=False)


def test_rule_and_scorer_side_by_side():
    # rule 1 1 1 0 0 0 1, scorer 1 1 0 1 0 0 -: agreement 4/6, by chance (3*3 + 3*3)/36 = 1/2, kappa 1/3
    pairs = [(1, 1), (1, 1), (1, 0), (0, 1), (0, 0), (0, 0), (1, None)]
    outcomes = [outcome(n, bool(r), None if s is None else bool(s)) for n, (r, s) in enumerate(pairs)]
    found = scorer_agreement(outcomes)
    assert (found.right_by_rule_only, found.right_by_scorer_only, found.unscored) == (1, 1, 1)
    assert found.kappa.value == pytest.approx(1 / 3)
    measured = result("m", outcomes, scorer=True)
    assert measured.metrics["accuracy"].value == 4 / 7
    assert (measured.metrics["accuracy_by_scorer"].value, measured.metrics["accuracy_by_scorer"].n) == (3 / 6, 6)
    assert measured.aggregations == {"rule": {"items": 4 / 7}, "scorer": {"items": 3 / 6}}


def test_the_benchmarks_own_aggregations_are_used():
    outcomes = [outcome(n, n < 3, benchmark="mmvp", group=f"pair {n // 2}") for n in range(4)]
    tally = Tally([Meta(id=o.item, category="", group=o.group) for o in outcomes], dict(enumerate(outcomes)), [])
    measured = result_of(asked("mmvp"), tally, scorer=False)
    assert measured.aggregations["rule"] == {"authors": 1 / 2, "paper": 3 / 4}
    assert measured.totals.expected == 300


# ---------------------------------------------------------------------- comparison


def test_differences_are_paired_by_item():
    first = [rights("a", [1, 1, 0, 0]), rights("a", [0, 0], "other")]
    second = [rights("b", [1, 1, 1, 0, 1]), rights("b", [1, 0], "other")]
    found = {(d.occasion, d.measure): d for d in differences(first, second)}
    assert found["made", "accuracy"].estimate.value == 1 / 4
    assert found["made", "accuracy"].estimate.n == 4
    assert found["other", "accuracy"].estimate.value == 1 / 2
    assert found[AVERAGE, "accuracy"].estimate.value == (1 / 4 + 1 / 2) / 2
    assert found[AVERAGE, "accuracy"].p_value == 2 * 1 / 4  # 0 against 2
    assert (AVERAGE, "semantic_grounding") not in found
    with pytest.raises(ValueError, match="a and b have no item in common"):
        differences([rights("a", [1])], [rights("b", [1], "other")])


def test_the_average_is_unweighted_and_missing_when_one_is():
    many, few = rights("m", [1] * 9 + [0]), rights("m", [0, 1], "few")
    assert average([many, few], "accuracy").value == pytest.approx((0.9 + 0.5) / 2)
    blind = rights("m", [1, 1], "blind", consistency=None)
    assert average([many, blind], "inconsistency").value is None


# ---------------------------------------------------------------------- tables and files


EVALUATION = Evaluation(
    settings=SETTINGS,
    results=(
        rights("warm & <b>|", [1, 0, 0, 1], semantic_grounding=0.5),
        rights("warm & <b>|", [1, 0], "other"),
        rights("fgrpo_1", [1, 1, 0, 1], consistency=Label.NO, semantic_grounding=0.75),
        rights("fgrpo_1", [1, 1], "other"),
    ),
)


def rendered(grid):
    console = Console(width=160)
    with console.capture() as capture:
        console.print(grid.rich())
    return capture.get()


def test_accuracy_like_table_1():
    grid = accuracy_table(EVALUATION)
    assert grid.header == ("model", "matched by", "aggregated as", "made", "other", AVERAGE)
    rows = {row[0]: row[3:] for row in grid.rows}
    assert [cell.value for cell in rows["fgrpo_1"]] == [0.75, 1.0, 0.875]
    assert [cell.value for cell in rows["warm & <b>|"]] == [0.5, 0.5, 0.5]
    assert "75.0" in rendered(grid)


def test_the_authors_aggregation_has_a_row_where_it_differs():
    outcomes = [outcome(n, n < 3, benchmark="mmvp", group=f"pair {n // 2}") for n in range(4)]
    tally = Tally([Meta(id=o.item, category="", group=o.group) for o in outcomes], dict(enumerate(outcomes)), [])
    mmvp = result_of(asked("mmvp"), tally, scorer=False)
    paper, authors = accuracy_table(Evaluation(settings=SETTINGS, results=(mmvp,))).rows
    assert (paper[2], paper[3].value) == ("paper", 3 / 4)
    assert (authors[2], authors[3]) == ("authors", Estimate(value=1 / 2, low=None, high=None, n=4))


def test_quality_like_figure_3():
    rows = {row[:2]: row[2:] for row in quality_table(EVALUATION).rows}
    inconsistency = rows["fgrpo_1", "inconsistency rate"]
    assert [cell.value for cell in inconsistency] == [1.0, 0.0, 0.5]
    assert rows["fgrpo_1", "  its bounds"][:2] == ("100.0–100.0", "0.0–0.0")
    grounding = rows["fgrpo_1", "semantic grounding"]
    assert grounding[0].value == 0.75
    assert grounding[1].value is None  # never a zero
    assert grounding[2].value is None


def test_spatial_grounding_is_a_row_where_there_are_boxes():
    assert not any("spatial grounding" in row for row in quality_table(EVALUATION).rows)
    boxes = made_results.result("m", [made_results.outcome(n, spatial_grounding=n / 2) for n in range(3)])
    (row,) = (
        row for row in quality_table(Evaluation(settings=SETTINGS, results=(boxes,))).rows if "spatial grounding" in row
    )
    assert (row[2].value, row[2].n) == (0.5, 3)


def test_every_form_of_a_table_holds_the_same_numbers(tmp_path):
    save(tables(EVALUATION), tmp_path)
    names = {path.name for path in (tmp_path / "tables").iterdir()}
    assert names == {f"{n}.{s}" for n in ("accuracy", "reasoning_quality", "comparison") for s in ("md", "csv", "tex")}
    rows = list(csv.DictReader((tmp_path / "tables" / "accuracy.csv").open()))
    assert rows[1]["model"] == "fgrpo_1"
    assert (float(rows[1]["made"]), int(rows[1]["made n"]), float(rows[1][AVERAGE])) == (0.75, 4, 0.875)
    markdown = (tmp_path / "tables" / "accuracy.md").read_text()
    assert "| fgrpo\\_1 | rule | paper | 75.0 (30.1–95.4) |" in markdown
    assert "warm & \\<b\\>\\|" in markdown
    latex = (tmp_path / "tables" / "accuracy.tex").read_text()
    assert r"fgrpo\_1 & rule & paper & 75.0 {\scriptsize (30.1--95.4)}" in " ".join(latex.split())
    assert r"warm \& \textless{}b\textgreater{}|" in latex
    assert "+25.0" in (tmp_path / "tables" / "comparison.md").read_text()


def test_names_are_data_in_every_form():
    hostile = "[red]a[/red] $x$ \\input{/etc/passwd} 100% #1 ~ ^"
    grid = Grid(
        "n", hostile, hostile, ("label", hostile), 1, ((hostile, Estimate(value=0.5, low=None, high=None, n=2)),)
    )
    assert "[red]a[/red]" in rendered(grid)
    assert next(csv.reader(io.StringIO(grid.csv())))[1] == hostile
    assert latex_text("100% & $x_1$ \\input{f} ~^#") == (
        r"100\% \& \$x\_1\$ \textbackslash{}input\{f\} \textasciitilde{}\textasciicircum{}\#"
    )
    assert "\\input" not in grid.latex()


def test_every_table_names_data_sets_judge_and_checkpoints():
    line = ". made: here; other: here; judge: oracle; checkpoints: warm & <b>|, fgrpo_1"
    assert [grid.caption.endswith(line) for grid in tables(EVALUATION)] == [True] * 3
    hashed = rights("m", [True]).model_copy(update={"data": "t", "identity": "0a" * 32})
    served = rights("qwen", [True]).model_copy(update={"data": "t", "identity": "qwen"})
    both = Evaluation(settings={"judges": {"consistency": "x", "grounding": "y"}}, results=(hashed, served))
    assert both.measured_on == ("made: t; judge: x (consistency), y (grounding); checkpoints: m 0a0a0a0a0a0a, qwen")
    part = both.model_copy(update={"settings": both.settings | {"taken": {"made": "6 of 12 rows, seed 0"}}})
    assert part.measured_on.startswith("made: t, 6 of 12 rows, seed 0; judge: x")


def test_pairs_of_models_are_compared_in_order():
    grid = comparison_table(EVALUATION)
    first = grid.rows[0]
    assert first[:3] == ("fgrpo_1 minus warm & <b>|", "made", "accuracy, by rule")
    assert first[3].value == 0.25
    assert first[4:] == ("4", "1.000")


def test_results_are_read_as_they_were_written(tmp_path):
    EVALUATION.save(tmp_path)
    assert Evaluation.load(tmp_path) == Evaluation.load(tmp_path / "results.json") == EVALUATION
    (tmp_path / "results.json").write_text("{}")
    with pytest.raises(ValueError, match=r"results\.json is no evaluation"):
        Evaluation.load(tmp_path)


def test_a_folder_without_results_is_one_line_with_the_fix(tmp_path):
    with pytest.raises(ValueError, match=r"not measured, it holds no results\.json; .*`fgrpo summary`"):
        Evaluation.load(tmp_path)
    (tmp_path / "evaluation").mkdir()
    (tmp_path / "evaluation" / "after_RL-greedy.json").write_text("{}")
    for folder in (tmp_path, tmp_path / "evaluation"):
        with pytest.raises(ValueError, match=r"measured by an earlier version"):
            Evaluation.load(folder)


def test_what_is_said_below_the_tables():
    evaluation = Evaluation(settings=SETTINGS, results=(rights("m", [1, 0], scorer=None),))
    said = list(lines(evaluation, [reject("q7", "answer")]))
    assert said[0].startswith("m, made: 2 rows = 2 items + 0 rejected")
    assert "judged: consistency by oracle; answers also matched by: no scorer" in said
    assert said[-2:] == ["1 rejects, the first: m, made, q7: as told", "         1   50.0%  as told"]


def test_modes_stand_apart_in_every_table():
    both = Evaluation(
        settings=SETTINGS,
        results=(
            rights("m", [True, False]),
            rights("m", [True, True]).model_copy(update={"mode": Mode.SAMPLED}),
        ),
    )
    table = accuracy_table(both)
    assert table.header[-2:] == ("made", "made, sampled")  # greedy and sampled answers are not averaged
    assert [cell.value for cell in table.rows[0][-2:]] == [0.5, 1.0]
    other = both.results[0].model_copy(update={"benchmark": "other"})
    more = accuracy_table(both.model_copy(update={"results": (*both.results, other)}))
    assert more.header[-4:] == ("made", "made, sampled", "other", AVERAGE)
    assert [cell.value for cell in more.rows[0][-4:]] == [0.5, 1.0, 0.5, 0.5]
    pairs = [[r.model_copy(update={"model": name}) for r in both.results] for name in "ab"]
    assert {found.occasion for found in differences(*pairs)} == {"made", "made, sampled"}


def test_results_are_compared_question_by_question():
    first = [outcome(n, n < 10, consistency=Label.NO if n < 8 else Label.YES) for n in range(20)]
    second = [outcome(n, n < 15, consistency=None if n < 2 else Label.YES, spatial_grounding=0.5) for n in range(20)]
    found = {each.measure: each.estimate for each in differences([result("a", first)], [result("b", second[::-1])])}
    assert (found["accuracy"].value, found["accuracy"].n) == (5 / 20, 20)
    # questions 2 to 19 are judged in both: 6 of the first are inconsistent, none of the second
    assert (found["inconsistency"].value, found["inconsistency"].n) == (-6 / 18, 18)
    assert found["inconsistency"].high < 0
    assert "semantic_grounding" not in found
    assert "spatial_grounding" not in found  # the first has none


def test_other_questions_under_the_same_name_are_not_compared():
    a, b = (rights(model, [True]).model_copy(update={"data": f"x.parquet, sha256 {model}"}) for model in "ab")
    with pytest.raises(ValueError, match="other questions as made"):
        differences([a], [b])


def test_models_of_runs_are_named_apart_and_judged_alike(tmp_path):
    runs = [
        (
            tmp_path / name / "evaluation",
            Evaluation(settings=SETTINGS, results=(rights("before_RL", [True]), rights("after_RL", [True]))),
        )
        for name in ("grpo_t", "fgrpo")
    ]
    assert models_to_compare(runs).models == ["grpo_t/after_RL", "fgrpo/after_RL"]
    assert models_to_compare(runs[:1]).models == ["before_RL", "after_RL"]
    other = runs[1][1].model_copy(update={"settings": SETTINGS | {"judges": {"consistency": "another"}}})
    with pytest.raises(ValueError, match="these cannot be compared"):
        models_to_compare([runs[0], (runs[1][0], other)])
    assert "unlike" not in models_to_compare(runs).settings
    fewer = runs[1][1].model_copy(update={"settings": SETTINGS | {"taken": {"made": "5 of 9 rows, seed 1"}, "seed": 1}})
    caption = comparison_table(models_to_compare([runs[0], (runs[1][0], fewer)])).caption
    assert f"rows of {runs[0][0]}: all; rows of {runs[1][0]}: {{'made': '5 of 9 rows, seed 1'}}" in caption
    assert f"seed of {runs[1][0]}: 1" in caption
