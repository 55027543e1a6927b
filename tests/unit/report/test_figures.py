from dataclasses import replace

import pytest
from matplotlib.colors import to_rgba
from typer import Typer
from typer.testing import CliRunner

from easyr1_fgrpo.cli.report import figures
from easyr1_fgrpo.report.figures.dynamics import dynamics_figure, stretches
from easyr1_fgrpo.report.figures.formats import Format
from easyr1_fgrpo.report.figures.front import front_figure
from easyr1_fgrpo.report.figures.quality import PAGE_WIDTH, bars, quality_figure
from easyr1_fgrpo.report.figures.style import COLOURS, NEUTRAL, house_style, looks
from easyr1_fgrpo.report.figures.write import write_figures
from easyr1_fgrpo.report.front import HELD_OUT_FRONT, VALIDATION, fronts
from easyr1_fgrpo.report.run_files import Series, read_run
from easyr1_fgrpo.statistics import Estimate

from .runs import write_run


@pytest.fixture
def runs(made):
    return [read_run(made / name) for name in ("fgrpo-s0", "grpo_t-s0")]


def curves(axis, label):
    """What is drawn under a label: (x, y) of each line."""
    return [
        (tuple(line.get_xdata()), tuple(line.get_ydata())) for line in axis.get_lines() if line.get_label() == label
    ]


def drawn(series):
    return [(series.steps, series.values)]


def test_dynamics_are_the_files_numbers(runs):
    figure, problems = dynamics_figure(runs)
    assert problems == []
    titles = [axis.get_title() for axis in figure.axes[:3]]
    assert titles == ["consistency", "spatial grounding", "semantic grounding"]
    score, multiplier, share, fractions = (figure.axes[3 * row + 1] for row in range(4))
    faithful, plain = (run.metrics for run in runs)
    assert curves(score, "fgrpo") == drawn(faithful["fgrpo/spatial_grounding/score"])
    assert curves(score, "grpo_t") == drawn(plain["fgrpo/signals/spatial_grounding/mean"])
    assert curves(multiplier, "fgrpo") == drawn(faithful["fgrpo/spatial_grounding/multiplier"])
    assert curves(share, "fgrpo") == drawn(faithful["fgrpo/spatial_grounding/share"])
    assert curves(multiplier, "grpo_t") == curves(share, "grpo_t") == []
    assert [line.get_gid() for axis in (score, multiplier) for line in axis.get_lines() if line.get_gid()] == [
        "threshold 0.65", "cap 5"
    ]  # fmt: skip
    by_line = {
        line.get_linestyle(): set(line.get_ydata()) for line in fractions.get_lines() if line.get_marker() == "o"
    }
    assert by_line == {"-": {0.5}, "--": {0.6}}


def test_curves_over_seeds_are_means_of_stretches():
    # 50 steps are 25 stretches of two; the second seed was not measured at steps 3 and 4.
    rising = Series(tuple(range(1, 51)), tuple(float(step) for step in range(1, 51)))
    other = Series((1, 2, *range(5, 51)), (4.0, 6.0, *[0.0] * 46))
    found = stretches([rising, other])
    assert found[:2] == [(1.5, (1.5, 5.0)), (5.5, (5.5, 0.0))]
    assert (len(found), found[-1]) == (24, (49.5, (49.5, 0.0)))
    assert stretches([Series((1,), (1.0,)), Series((60,), (1.0,))]) == []


def test_dynamics_of_several_seeds_are_one_curve_in_a_band(made, runs):
    other = read_run(made / "grpo_t-s1")
    figure, _ = dynamics_figure([*runs, other])
    score = figure.axes[0]
    both = [run.metrics["fgrpo/signals/consistency/mean"] for run in (runs[1], other)]
    (drawn_steps, drawn_values) = curves(score, "grpo_t")[0]
    assert drawn_steps == both[0].steps  # few enough steps for a stretch each
    assert drawn_values == pytest.approx([(a + b) / 2 for a, b in zip(both[0].values, both[1].values, strict=True)])
    assert len(curves(score, "grpo_t")) == len(score.collections) == 1
    assert "lowest to highest seed" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_a_seed_that_ends_before_the_others_is_named(made, runs):
    other = read_run(made / "grpo_t-s1")
    assert dynamics_figure([*runs, other])[1] == []
    short = replace(other, last_step=2)
    (line,) = dynamics_figure([*runs, short])[1]
    assert line.startswith(f"Figure 8: {short.path} ends at step 2, other seeds at {runs[1].last_step}")


def test_an_arm_has_one_colour_in_all_figures(runs):
    bar = {
        container.get_label(): container.patches[0].get_facecolor()
        for container in quality_figure(runs)[0].axes[0].containers
        if hasattr(container, "patches")
    }
    for draw in (dynamics_figure, front_figure):
        line = {line.get_label(): line.get_color() for line in draw(runs)[0].axes[0].get_lines()}
        assert [to_rgba(line[arm]) for arm in ("fgrpo", "grpo_t")] == [bar[arm] for arm in ("fgrpo", "grpo_t")]
    assert bar["before RL"] == to_rgba(NEUTRAL.colour)
    assert NEUTRAL.colour not in COLOURS


def test_the_front_is_drawn_point_by_point(runs):
    figure, problems = front_figure(runs)
    assert (len(figure.axes), problems) == (2, [])
    for axis, source in zip(figure.axes, (VALIDATION, HELD_OUT_FRONT), strict=True):
        for run in runs:
            points = fronts(run)[source]
            expected = ([100 * p.accuracy.value for p in points], [100 * p.inconsistency.value for p in points])
            assert [list(map(list, found)) for found in curves(axis, run.arm)] == [list(expected)]


def test_a_bar_is_a_measurement_and_seeds_are_a_mean(made, runs):
    runs.append(read_run(made / "grpo_t-s1"))
    found = {(bar.who, bar.where, bar.metric): bar for bar in bars(runs)}
    assert list(dict.fromkeys(bar.who for bar in found.values())) == ["before RL", "fgrpo", "grpo_t"]

    def value(run, label, metric):
        return next(e for e in run.evaluations if (e.label, e.mode) == (label, "sampled")).metrics[metric]

    assert found["fgrpo", "held-out, sampled", "accuracy"].estimates == (value(runs[0], "after_RL", "accuracy"),)
    seeds = [value(run, "after_RL", "inconsistency") for run in runs[1:]]
    assert found["grpo_t", "held-out, sampled", "inconsistency"].estimates == tuple(seeds)
    assert found["grpo_t", "held-out, sampled", "inconsistency"].value == (seeds[0].value + seeds[1].value) / 2
    # both arms of seed 0 start from one warm start: measured once
    assert len(found["before RL", "held-out, sampled", "accuracy"].estimates) == 2
    figure, problems = quality_figure(runs)
    accuracy = figure.axes[0]
    heights = {c.get_label(): [p.get_height() for p in c] for c in accuracy.containers if hasattr(c, "patches")}
    for who, where in (("fgrpo", 1), ("grpo_t", 0)):
        mode = ("held-out, greedy", "held-out, sampled")[where]
        assert heights[who][where] == pytest.approx(100 * found[who, mode, "accuracy"].value)
    assert problems == []


def changed(run, **values):
    """The run with other values in all its evaluations."""
    return replace(run, evaluations=tuple(replace(each, **values) for each in run.evaluations))


def heads(runs):
    """What is written above Figure 3."""
    return quality_figure(runs)[0].get_suptitle()


def test_no_bar_pools_data_sets_judges_or_starts(runs):
    same = heads(runs)
    assert same.splitlines() == [
        "held-out: test.parquet, sha256 d; judge: oracle",
        "checkpoints: before RL weights of before_RL; fgrpo weights of after_RL; grpo_t weights of after_RL",
    ]
    for values, line in (
        ({"data": "own.jsonl, sha256 e"}, "held-out [2]: own.jsonl, sha256 e; judge: oracle"),
        ({"judge": "qwen"}, "held-out [2]: test.parquet, sha256 d; judge: qwen"),
    ):
        others = [runs[0], changed(runs[1], **values)]
        assert line in heads(others).splitlines()
        before = [bar for bar in bars(others) if bar.who == "before RL" and bar.metric == "accuracy"]
        assert [bar.where for bar in before] == [
            f"held-out [{place}], {mode}" for place in (1, 2) for mode in ("greedy", "sampled")
        ]
        assert {len(bar.estimates) for bar in before} == {1}
    other_start = [runs[0], changed(runs[1], checkpoint="another")]
    assert {bar.who for bar in bars(other_start)} == {
        "before RL, fgrpo", "before RL, grpo_t", "fgrpo", "grpo_t"
    }  # fmt: skip


def test_seeds_with_data_sets_of_their_own_share_a_bar(made):
    seeds = [
        changed(read_run(made / name), data=f"w-s{seed}/test.parquet, sha256 {digest}", checkpoint=digest)
        for name, seed, digest in (("grpo_t-s0", 0, "d"), ("grpo_t-s1", 1, "e"))
    ]
    assert {(bar.who, len(bar.estimates)) for bar in bars(seeds)} == {("before RL", 2), ("grpo_t", 2)}
    assert "w-s0/test.parquet, sha256 d; w-s1/test.parquet, sha256 e; judge: oracle" in heads(seeds)
    # another world of the same seed is another data set
    seeds[1] = replace(seeds[1], seed=0)
    assert {len(bar.estimates) for bar in bars(seeds)} == {1}


def test_modes_of_a_benchmark_are_apart(made):
    run = read_run(made / "benchmarks")
    sampled = tuple(replace(each, mode="ours, sampled") for each in run.evaluations)
    both = replace(run, evaluations=(*run.evaluations, *sampled))
    assert {bar.where for bar in bars([both])} == {"cv_bench", "mindcube", "cv_bench, sampled", "mindcube, sampled"}
    assert {len(bar.estimates) for bar in bars([both])} == {1}


def test_training_figures_name_data_set_judge_and_start(runs):
    for run in runs:
        run.config.update(
            {"data.train_files": ["train.parquet"], "data.val_files": ["val.parquet"]}
            | {"fgrpo.judges.consistency.server": "oracle", "actor_rollout_ref.model.path": "/there/runs/warm"}
            | {"fgrpo.run_dir": f"/there/runs/{run.name}"}
        )
    line = (
        "trained on train.parquet; validated on val.parquet; judge: oracle; "
        "started from runs/warm (weights of before_RL)"
    )
    for draw in (front_figure, dynamics_figure):
        head = " ".join(draw(runs)[0].get_suptitle().split())
        assert head.startswith(line)
    runs[1].config["data.train_files"] = ["own.parquet"]
    head = " ".join(dynamics_figure(runs)[0].get_suptitle().split())
    assert head == f"fgrpo: {line} grpo_t: {line.replace('train.parquet', 'own.parquet')}"


def test_panels_of_many_arms_wrap_at_the_pages_width(runs):
    arms = [replace(runs[0], name=f"arm_{n}", path=runs[0].path / str(n), arm=f"arm_{n}") for n in range(6)]
    few, many = quality_figure(runs)[0], quality_figure(arms)[0]
    names = [axis.get_ylabel() for axis in few.axes]
    assert len(names) > 3
    assert [axis.get_ylabel() for axis in many.axes] == names
    assert many.get_figwidth() <= PAGE_WIDTH
    rows = [axis.get_subplotspec().rowspan.start for axis in many.axes]
    assert rows[0] == 0
    assert rows[-1] > 0


def test_what_was_not_measured_is_a_dash_and_no_bar(made):
    run = read_run(made / "benchmarks")
    run.evaluations[0].metrics["inconsistency"] = Estimate(value=None, low=None, high=None, n=0)
    figure, _ = quality_figure([run])
    axis = next(axis for axis in figure.axes if axis.get_ylabel().startswith("inconsistency"))
    assert [text.get_text() for text in axis.texts].count("–") == 1
    assert [len(c.patches) for c in axis.containers if hasattr(c, "patches")] == [1, 2]


def test_the_same_runs_give_the_same_bytes(made, tmp_path):
    for name in ("a", "b"):
        written, _ = write_figures([read_run(made / "benchmarks")], tmp_path / name, [Format.SVG, Format.PDF])
        assert len(written) == 2
    for path in sorted((tmp_path / "a").iterdir()):
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name
    pdf = (tmp_path / "a" / "figure_3_quality.pdf").read_bytes()
    assert b"/FontFile2" in pdf
    assert b"CreationDate" not in pdf


@pytest.mark.parametrize("name", ["$\\frac{$", "_hidden", "\u202e<b>& naïve"])
def test_a_strange_name_is_drawn_as_it_is(name, tmp_path, recwarn):
    run = read_run(write_run(tmp_path / name, arm=name, steps=2, traces=1, questions=2))
    with house_style():
        for draw in (dynamics_figure, front_figure, quality_figure):
            figure, _ = draw([run])
            figure.draw_without_rendering()
            shown = [text.get_text().strip() for legend in figure.legends for text in legend.get_texts()]
            assert name in shown
    assert [str(each.message) for each in recwarn if "legend" in str(each.message)] == []


def test_looks_differ_without_colour():
    given = looks([f"run {n}" for n in range(8)])
    assert len({look.marker for look in given.values()}) == len({look.hatch for look in given.values()}) == 8


app = Typer()
app.command()(figures)


def command(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_the_command(made, tmp_path):
    done = command(made / "fgrpo-s0", "-o", tmp_path / "out", "--format", "svg")
    assert (done.exit_code, done.stderr) == (0, "")
    assert [path.name for path in sorted((tmp_path / "out").iterdir())] == [
        "figure_3_quality.svg", "figure_4_front.svg", "figure_8_dynamics.svg"
    ]  # fmt: skip


def test_what_a_run_lacks_is_said_in_one_line_each(made, tmp_path):
    done = command(made / "benchmarks", "-o", tmp_path / "out", "--format", "svg")
    assert done.exit_code == 0
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == ["Figure 4", "Figure 8"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["figure_3_quality.svg"]


def test_nothing_to_draw_and_no_run_are_errors(tmp_path):
    (tmp_path / "empty" / "traces").mkdir(parents=True)
    nothing = command(tmp_path / "empty", "-o", tmp_path / "out")
    assert (nothing.exit_code, nothing.stderr.splitlines()[-1]) == (
        1, "error: none of the figures could be drawn; what is missing stands above"
    )  # fmt: skip
    nowhere = command(tmp_path / "nowhere", "-o", tmp_path / "out")
    assert (nowhere.exit_code, len(nowhere.stderr.splitlines())) == (1, 1)
    assert "no such directory" in nowhere.stderr
