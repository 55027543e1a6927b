from pathlib import Path

import pytest
from typer.testing import CliRunner

from easyr1_fgrpo.cli import app
from easyr1_fgrpo.evaluation.mode import Mode
from easyr1_fgrpo.statistics import Estimate
from easyr1_fgrpo.study.arms import ARMS
from easyr1_fgrpo.study.page import page
from easyr1_fgrpo.study.records import record_of
from easyr1_fgrpo.study.results import followed, minus, over_seeds, row
from easyr1_fgrpo.study.runs import Run

from .made_runs import finish


def made(root, name, seed, accurate, inconsistent, **options):
    run = Run(ARMS[name], seed, root, steps=200)
    finish(run, accurate, inconsistent, **options)
    return run


@pytest.fixture
def runs(tmp_path):
    return [
        made(tmp_path, "grpo_t", 0, 14, 8, followed=6),
        made(tmp_path, "grpo_t", 1, 16, 10, followed=8),
        made(tmp_path, "fgrpo", 0, 17, 1),
        made(tmp_path, "fgrpo", 1, 18, 0),
    ]


@pytest.fixture
def records(runs):
    return [record_of(run) for run in runs]


def cells(text, section, *first):
    part = text.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    found = [[cell.strip() for cell in line.split("|")[1:-1]] for line in part.splitlines() if line.startswith("|")]
    (line,) = [line for line in found if tuple(line[: len(first)]) == first]
    return line[len(first) :]


def test_means_and_intervals_over_seeds(records):
    found = row(records[:2], Mode.SAMPLED)
    # 14/20 and 16/20: mean .75, standard deviation .0707, error .05, Student's t with one degree 12.706: +- .635
    assert found["accuracy"].value == pytest.approx(0.75)
    assert found["accuracy"].low == pytest.approx(0.75 - 12.7062 * 0.05, abs=1e-4)
    assert found["accuracy"].high == 1.0  # cut: a share
    assert found["accuracy"].n == 2
    assert found["spatial_grounding"] == Estimate(value=None, low=None, high=None, n=0)  # no boxes: never a 0


def test_one_seed_keeps_the_interval_of_its_questions(records):
    found = row(records[:1], Mode.GREEDY)["accuracy"]
    assert found.value == 0.7
    assert (found.low, found.high) == (pytest.approx(0.4810, abs=1e-3), pytest.approx(0.8545, abs=1e-3))  # Wilson
    assert found.n == 1


def test_a_seed_without_a_value_is_not_a_zero():
    nothing = Estimate(value=None, low=None, high=None, n=0)
    known = Estimate(value=0.5, low=0.4, high=0.6, n=100)
    assert over_seeds([nothing, known]) == Estimate(value=0.5, low=0.4, high=0.6, n=1)
    assert over_seeds([nothing]).value is None
    assert over_seeds([known, known]) == Estimate(value=0.5, low=None, high=None, n=2)


def test_differences_are_paired_by_seed(records):
    found = minus(records[2:], records[:2], Mode.SAMPLED)["accuracy"]
    # 17 - 14 and 18 - 16 of 20: .15 and .10
    assert found.value == pytest.approx(0.125)
    assert found.low == pytest.approx(0.125 - 12.7062 * 0.025, abs=1e-4)
    assert minus(records[3:], records[:1], Mode.SAMPLED)["accuracy"].n == 0


def test_the_tables(records, tmp_path):
    missing = Run(ARMS["fgrpo"], 2, tmp_path, steps=200)
    text = page(records, [missing], "bash study.sh", ["miniature/front.svg"])
    accuracy, faithful, inconsistency, semantic, spatial, seeds = cells(text, "Arms, sampled", "`grpo_t`", "200")
    assert accuracy == "75.0 (11.5 to 100.0)"
    # Right are the first 14 and 16 of 20, consistent the first 12 and 10, grounded the even ones: 6 and 5 are all.
    assert faithful == "27.5 (0.0 to 59.3)"
    assert inconsistency == "45.0 (0.0 to 100.0)"
    assert semantic == "75.0"
    assert spatial == "not measured"
    assert seeds == "0 to 2"
    assert cells(text, "Arms, greedy", "warm start")[1] == "40.0"
    assert cells(text, "Minus `grpo_t` of the same seed", "`fgrpo`", "sampled")[0] == "12.5 (-19.3 to 44.3)"
    assert cells(text, "Does the answer follow the trace?", "`grpo_t`") == ["70.0 (0.0 to 100.0)", "2"]
    assert cells(text, "Does the answer follow the trace?", "warm start") == ["100.0", "2"]
    assert "![front](miniature/front.svg)" in text
    assert "- `fgrpo`, seed 2: not finished" in text
    assert "1 of 5 runs are in no table" in text
    assert "4 runs; their RL steps took 6.0 hours" in text
    assert "commit abc" in text
    assert "Written by `bash study.sh`." in text
    assert " ".join(["grpo_t", *records[0].overrides]) in text


def test_a_measure_that_a_record_does_not_know_is_not_measured(records):
    old = records[0].model_copy(deep=True)
    for by_mode in old.measured.values():
        for metrics in by_mode.values():
            del metrics["faithful_accuracy"]
    assert cells(page([old], [], "c", []), "Arms, greedy", "`grpo_t`")[2] == "not measured"
    assert minus([old], records[2:], Mode.GREEDY)["faithful_accuracy"].n == 0


def test_the_held_out_type_alone(tmp_path):
    run = made(tmp_path, "fgrpo_held_out", 0, 12, 5)
    assert run.held_out == "farther_vertical"
    record = record_of(run)
    # Every fourth question, 3, 7, 11, 15, 19: those below 12 are right, those from 15 on contradict themselves.
    found = record.measured_held_out["after_RL"][Mode.GREEDY]
    assert (found["accuracy"].value, found["accuracy"].n) == (0.6, 5)
    assert found["inconsistency"].value == 0.4
    assert row([record], Mode.GREEDY, held_out=True)["accuracy"].value == 0.6
    assert row([record], Mode.GREEDY)["accuracy"].value == 0.6
    text = page([record], [], "c", [])
    found = cells(text, "A question type that RL never saw", "`fgrpo_held_out`, seed 0", "greedy")
    assert found[0].startswith("60.0 (")
    assert "seed 0: farther_vertical" in text
    assert "## Arms" not in text


def test_the_held_out_type_is_compared_by_seed(tmp_path):
    # Of 3, 7, 11, 15 and 19 the first three are right with 12 right answers, all but the last with 16. After four
    # seeds the types come again: seeds 0 and 4 leave the same one out.
    grpo_t = [record_of(made(tmp_path, "grpo_t_held_out", seed, right, 5)) for seed, right in ((0, 12), (4, 16))]
    fgrpo = [record_of(made(tmp_path, "fgrpo_held_out", 0, 16, 0))]
    text = page([*grpo_t, *fgrpo], [], "c", [])
    section = "A question type that RL never saw"
    each = [cells(text, section, f"`grpo_t_held_out`, seed {seed}", "greedy") for seed in (0, 4)]
    assert [found[0].split()[0] for found in each] == ["60.0", "80.0"]
    for seed in (0, 4):
        assert cells(text, section, f"warm start, seed {seed}", "greedy")[-1] == "0 to 1"  # no boxes
    found = cells(text, section, "`fgrpo_held_out` minus `grpo_t_held_out`", "greedy")
    assert (found[0], found[2], found[-1]) == ("20.0", "-40.0", "0 to 1")
    assert "minus" not in page(fgrpo, [], "c", []).split(section)[1]


def test_every_run_has_a_line(records):
    text = page(records, [], "c", [])
    # 14 of 20 are right, the last 8 inconsistent; of the first 12, 6 have true sentences only.
    assert cells(text, "Every run", "`grpo_t`", "0") == [*["70.0"] * 2, *["30.0"] * 2, *["40.0"] * 2, "6 of 10"]
    assert len([line for line in text.split("## Every run")[1].splitlines() if line.startswith("| `")]) == 4


def test_followed_is_a_share_over_seeds(records):
    assert followed(records[:2]).value == pytest.approx(0.7)
    assert followed(records[:2], "before_RL") == Estimate(value=1.0, low=None, high=None, n=2)


def invoke(*arguments):
    return CliRunner().invoke(app, ["study", "run", *map(str, arguments)])


def test_page_only_writes_what_is_finished(runs, tmp_path):
    arguments = ["--root", tmp_path, "--arms", "grpo_t,fgrpo", "--seeds", "0,1", "--page-only"]
    done = invoke(*arguments, "--page", tmp_path / "out" / "miniature.md")
    assert done.exit_code == 0, done.output
    text = (tmp_path / "out" / "miniature.md").read_text()
    assert "![figure 4 front](miniature/figure_4_front.svg)" in text
    assert "grpo_t" in (tmp_path / "out" / "miniature" / "figure_4_front.svg").read_text()
    assert "## Missing" not in text


def test_page_only_alone_takes_every_record(runs, tmp_path):
    page = tmp_path / "out" / "miniature.md"
    root = ["--root", tmp_path, "--page", page]
    assert invoke(*root, "--arms", "grpo_t,fgrpo", "--seeds", "0,1", "--page-only").exit_code == 0
    found = invoke("--root", tmp_path / "elsewhere", "--page", page, "--page-only")
    assert found.exit_code == 0, found.output
    text = page.read_text()
    assert "## Missing" not in text
    assert [cells(text, "Every run", f"`{arm}`", str(seed))[0] for arm in ("grpo_t", "fgrpo") for seed in (0, 1)] == [
        *("70.0", "80.0", "85.0", "90.0")
    ]


def test_the_page_is_of_all_records_beside_it(runs, tmp_path):
    page = ["--page-only", "--page", tmp_path / "out" / "miniature.md"]
    assert invoke("--root", tmp_path, "--arms", "grpo_t", "--seeds", "0", *page).exit_code == 0
    done = invoke("--root", tmp_path, "--arms", "fgrpo", "--seeds", "0,3", *page)
    assert "from 2 runs" in done.output
    text = (tmp_path / "out" / "miniature.md").read_text()
    assert [cells(text, "Every run", f"`{arm}`", "0")[0] for arm in ("grpo_t", "fgrpo")] == ["70.0", "85.0"]
    assert "- `fgrpo`, seed 3" in text.partition("## Missing")[2]


def test_a_run_made_elsewhere_is_taken_from_beside_the_page(runs, tmp_path):
    asked = ["--arms", "grpo_t,fgrpo", "--seeds", "0", "--page-only", "--page", tmp_path / "out" / "miniature.md"]
    assert invoke("--root", tmp_path, *asked).exit_code == 0
    here = (tmp_path / "out" / "miniature.md").read_bytes()
    figure = tmp_path / "out" / "miniature" / "figure_4_front.svg"
    drawn = figure.read_bytes()
    assert invoke("--root", tmp_path / "nothing_was_run_here", *asked).exit_code == 0
    assert (tmp_path / "out" / "miniature.md").read_bytes() == here
    assert figure.read_bytes() == drawn
    other = invoke("--root", tmp_path / "nothing", "--steps", 60, *asked)
    assert "fgrpo-s0.json: made with other settings" in " ".join(other.output.split())
    assert (tmp_path / "out" / "miniature.md").read_bytes() == here


def test_runs_of_another_length_have_a_page_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    finish(Run(ARMS["fgrpo"], 0, Path("runs/miniature_study"), steps=20), 15, 5)
    done = invoke("--arms", "fgrpo", "--seeds", "0", "--steps", 20, "--page-only")
    assert done.output.splitlines()[-1] == "written: runs/miniature_study/20_steps.md, from 1 runs"
    assert not Path("recipes").exists()


def test_a_run_that_fails_is_not_replaced_by_one_made_elsewhere(runs, tmp_path, monkeypatch):
    asked = ["--arms", "fgrpo", "--seeds", "0", "--page", tmp_path / "out" / "miniature.md"]
    assert invoke("--root", tmp_path, *asked, "--page-only").exit_code == 0
    monkeypatch.setattr("easyr1_fgrpo.study.runs.run_all", lambda runs, call, keep: ["fgrpo: ended with exit code 7"])
    failed = invoke("--root", tmp_path / "elsewhere", *asked)
    assert failed.exit_code == 1
    assert "ended with exit code 7" in failed.output
    assert "no run of the study is finished" in failed.output


def test_a_run_made_again_replaces_its_record(runs, tmp_path):
    asked = ["--arms", "fgrpo", "--seeds", "0", "--page-only", "--page", tmp_path / "out" / "miniature.md"]
    assert invoke("--root", tmp_path, *asked).exit_code == 0
    made(tmp_path / "again", "fgrpo", 0, 20, 0)
    assert invoke("--root", tmp_path / "again", *asked).exit_code == 0
    text = (tmp_path / "out" / "miniature.md").read_text()
    assert cells(text, "Arms, sampled", "`fgrpo`", "200")[0].startswith("100.0 (")


def test_runs_of_another_length_are_not_taken_for_these(runs, tmp_path):
    arguments = ["--root", tmp_path, "--arms", "fgrpo", "--seeds", "0", "--page-only", "--page", tmp_path / "page.md"]
    assert "no run of the study is finished" in invoke(*arguments, "--steps", 60).output
    assert invoke(*arguments, "--steps", 200).exit_code == 0


def test_a_study_in_another_world_has_runs_and_a_page_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = Run(ARMS["fgrpo"], 0, Path("runs/miniature_four_way_study"), steps=200, world="four_way")
    finish(run, 15, 5)
    asked = ["--arms", "fgrpo", "--seeds", "0", "--page-only"]
    assert "no run of the study is finished" in invoke(*asked).output
    done = invoke(*asked, "--world", "four_way")
    assert done.output.splitlines()[-1] == "written: recipes/results/miniature_four_way.md, from 1 runs"
    text = Path("recipes/results/miniature_four_way.md").read_text()
    assert "Two-step questions with four options about pictures" in text
    assert "dataset=miniature_four_way" in text
    assert cells(text, "Arms, sampled", "`fgrpo`", "200")[0].startswith("75.0 (")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--arms", "grpo_t,best"], "--arms best: no such arm; choose from grpo_t, fgrpo,"),
        (["--arms", "fgrpo_lvel_0.80"], "--arms fgrpo_lvel_0.80: no such arm; choose from fgrpo_level_0.80,"),
        (["--arms", "fgrpo,,grpo_t"], "--arms 'fgrpo,,grpo_t': nothing between two commas"),
        (["--arms", "fgrpo, fgrpo"], "--arms fgrpo, fgrpo: fgrpo is there twice"),
        (["--seeds", "0,1,0"], "--seeds 0,1,0: 0 is there twice"),
        (["--seeds", "0,-1"], "--seeds -1: write whole numbers"),
        (["--seeds", "4294967296"], "--seeds 4294967296: write whole numbers from 0 to 4294967295"),
        (["--quick", "--arms", "fgrpo_pid"], "--quick is two arms, seed 0 and 60 steps"),
        (["--world", "one_step"], "--world one_step: choose two_step or four_way"),
        (["--page-only"], "no run of the study is finished"),
    ],
)
def test_bad_input(tmp_path, arguments, problem):
    done = invoke("--root", tmp_path, "--page", tmp_path / "page.md", *arguments)
    assert done.exit_code == 1
    assert f"error: {problem}" in done.output
    assert not (tmp_path / "page.md").exists()
