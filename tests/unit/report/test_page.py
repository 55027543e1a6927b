import json
import re
from base64 import b64encode
from hashlib import sha256
from importlib import resources
from itertools import product

import pytest
from PIL import Image
from typer import Typer
from typer.testing import CliRunner

from easyr1_fgrpo.cli.report import report
from easyr1_fgrpo.report.page import write_page
from easyr1_fgrpo.report.traces import thumbnails

from . import hostile, runs
from .pages import Page


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """A finished run, and one of another arm that is still going."""
    folder = tmp_path_factory.mktemp("two")
    return [
        runs.write_run(folder / "fgrpo-s0", "fgrpo", steps=10, traces=8, questions=6),
        runs.write_run(folder / "grpo_t-s0", "grpo_t", steps=10, traces=8, questions=6, total_steps=40),
    ]


@pytest.fixture(scope="module")
def page(two, tmp_path_factory):
    out = tmp_path_factory.mktemp("page") / "report.html"
    assert write_page(two, out).problems == []
    return Page(out.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def hostile_page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    run = hostile.write_hostile_run(folder / "<img src=x onerror=window.hacked=1>")
    out = folder / "report.html"
    return Page(out.read_text(encoding="utf-8")) if write_page([run], out) else None


# ---------------------------------------------------------------------- numbers


def metrics_of(run, label, mode):
    results = json.loads((run / "evaluation" / "results.json").read_text())["results"]
    return next(result["metrics"] for result in results if (result["model"], result["mode"]) == (label, mode))


def test_every_number_of_an_evaluation_is_the_files(page, two):
    head, place, *rows = page.tables["evaluations"]
    assert place[0][0] == "held-out: test.parquet, sha256 d; judge: oracle"
    assert [row[0][0] for row in rows] == 2 * [
        f"{when}, {mode}" for mode in ("greedy", "sampled") for when in ("before RL", "after RL", "difference")
    ]
    for (what, _), (who, _), (checkpoint, _), *cells in rows:
        if what.startswith("difference"):
            continue
        label = what.partition(",")[0].replace(" ", "_")
        folder = next(run for run in two if run.name == who.strip())
        metrics = metrics_of(folder, label, what.rpartition(" ")[2])
        assert checkpoint == f"weights of {label}"
        for (title, _), (text, value) in zip(head[3:], cells, strict=True):
            name = title.removesuffix(" %").removesuffix(" rate").replace(" ", "_")
            measured = metrics[name]
            scale = 1 if name == "response_tokens" else 100
            assert (None if value is None else float(value)) == measured["value"]
            shown = "–" if measured["value"] is None else f"{scale * measured['value']:.1f}"
            ends = (measured["low"], measured["high"])
            interval = "" if ends[0] is None else "–".join(f"{scale * end:.1f}" for end in ends)
            assert text == f"{shown} ({measured['n']}){interval}"


def test_a_difference_is_after_minus_before_over_the_same_questions(page, two):
    _, _, *rows = page.tables["evaluations"]
    before, after, change = (row[3] for row in rows[:3])
    accuracies = [metrics_of(two[0], label, "greedy")["accuracy"]["value"] for label in ("before_RL", "after_RL")]
    assert [float(cell[1]) for cell in (before, after)] == accuracies
    assert float(change[1]) == pytest.approx(accuracies[1] - accuracies[0])
    assert change[0].startswith(f"{100 * (accuracies[1] - accuracies[0]):+.1f} (6)")


def test_runs_of_other_questions_or_another_judge_are_apart_and_named(tmp_path):
    folders = [runs.write_run(tmp_path / name, steps=1, traces=2, questions=2) for name in "abc"]
    for folder, old, new in (
        (folders[1], "test.parquet, sha256 d", "own.jsonl, sha256 e"),
        (folders[2], "oracle", "qwen"),
    ):
        results = folder / "evaluation" / "results.json"
        results.write_text(results.read_text().replace(old, new))
    write_page(folders, tmp_path / "report.html")
    page = Page((tmp_path / "report.html").read_text())
    places = [
        "held-out [1]: test.parquet, sha256 d; judge: oracle",
        "held-out [2]: own.jsonl, sha256 e; judge: oracle",
        "held-out [3]: test.parquet, sha256 d; judge: qwen",
    ]
    assert [row[0][0] for row in page.tables["evaluations"][1:] if len(row) == 1] == places
    assert all(place in page.text for place in places)
    sets = page.packed("traces-data")["sets"]
    assert [f"held-out [{n}], after_RL, sampled" in sets for n in (1, 2, 3)] == [True] * 3
    titles = [a["aria-label"] for _, a in page.elements if "data-figure" in a]
    bars = page.packed("figures")[titles.index("Accuracy %")]["data"]
    assert [bar["x"][0] for bar in bars] == [f"held-out [{n}]<br>before_RL<br>greedy" for n in (1, 2, 3)]


def test_every_number_of_a_constraint_is_the_files(page, two):
    _, *rows = page.tables["constraints"]
    assert len(rows) == 6
    for (name, _), (who, _), (step, _), score, lately, threshold, (met, _), multiplier, cap in rows:
        folder = next(run for run in two if run.name == who.strip())
        steps = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()][1:]
        assert int(step) == steps[-1]["step"] == len(steps) == 10
        metrics = steps[-1]["metrics"]
        acts = folder.name.startswith("fgrpo")
        key = f"fgrpo/{name}/score" if acts else f"fgrpo/signals/{name}/mean"
        assert float(score[1]) == metrics[key]
        mean = sum(step["metrics"][key] for step in steps) / 10
        assert float(lately[1]) == pytest.approx(mean)
        if not acts:
            assert [cell[0] for cell in (threshold, multiplier, cap)] == ["–"] * 3
            assert met == "– does not act"
        else:
            files = [metrics[f"fgrpo/{name}/{part}"] for part in ("threshold", "multiplier")]
            assert [float(cell[1]) for cell in (threshold, multiplier)] == files
            assert float(cap[1]) == metrics["fgrpo/dual/lambda_max"]
            assert met == ("✓ met" if mean >= files[0] else "✗ not met")


def test_a_missed_threshold_is_said(tmp_path):
    run = runs.write_run(tmp_path / "run", steps=1, traces=2, evaluations=False)
    (run / "metrics.jsonl").unlink()
    for step in range(1, 13):
        # the last ten steps have .9499 as their mean, the last one more
        score = 0.0 if step < 3 else 0.9409 if step < 12 else 1.0309
        metrics = {"fgrpo/consistency/score": score, "fgrpo/consistency/threshold": 0.95}
        with (run / "metrics.jsonl").open("a") as file:
            file.write(json.dumps({"step": step, "metrics": metrics}) + "\n")
    write_page([run], tmp_path / "report.html")
    page = Page((tmp_path / "report.html").read_text())
    assert page.tables["constraints"][1][6][0] == "✗ not met"
    assert float(page.tables["constraints"][1][4][1]) == pytest.approx(0.9499)
    assert "0 of 1 constraints met (consistency 0.950 where 0.950 is asked)" in page.text


def test_a_threshold_through_a_judges_errors_is_shown_with_what_it_stands_for(tmp_path):
    run = runs.write_run(tmp_path / "run", steps=1, traces=2, evaluations=False)
    (run / "metrics.jsonl").unlink()
    # fn = fp = .1: .84 stands for (.84 - .1) / .8 = .925, .86 for .95
    measured = {"score": 0.84, "threshold": 0.86, "score_corrected": 0.925, "threshold_asked": 0.95}
    metrics = {f"fgrpo/consistency/{part}": value for part, value in measured.items()}
    (run / "metrics.jsonl").write_text(json.dumps({"step": 1, "metrics": metrics}) + "\n")
    write_page([run], tmp_path / "report.html")
    page = Page((tmp_path / "report.html").read_text())
    _, (_, _, _, _, lately, threshold, *_) = page.tables["constraints"]
    assert (lately[0], threshold[0]) == ("0.840true 0.925", "0.860asked 0.950")
    assert (float(lately[1]), float(threshold[1])) == (0.84, 0.86)
    assert "0 of 1 constraints met (consistency 0.925 where 0.950 is asked)" in page.text
    line = "run: consistency is compared with 0.860, which is what its judge measures of the true rate of 0.95"
    assert page.text.count(line) == 2  # above both charts with thresholds
    asked, got = (
        next(curve for curve in page.packed("figures")[0]["data"] if curve["name"] == f"run: {name}")
        for name in ("asked", "got")
    )
    assert (asked["x"], got["x"]) == ([0.95], [0.925])


def test_thresholds_that_stand_for_themselves_have_nothing_below_them(page):
    assert "judge_error" not in page.text
    assert "is compared with" not in page.text


def test_charts_hold_the_files_numbers(page, two):
    titles = [a["aria-label"] for _, a in page.elements if "data-figure" in a]
    figures = page.packed("figures")[titles.index("Consistency") :]
    lines = (two[0] / "metrics.jsonl").read_text().splitlines()
    steps = [json.loads(line) for line in lines][1:]
    scores = next(curve for curve in figures[0]["data"] if curve["name"] == "fgrpo-s0")
    assert scores["x"] == [line["step"] for line in steps]
    assert scores["y"] == [line["metrics"]["fgrpo/consistency/score"] for line in steps]
    bound = next(curve for curve in figures[0]["data"] if curve["name"] == "fgrpo-s0: threshold")
    assert set(bound["y"]) == {0.95}
    assert {curve["ink"] for curve in figures[0]["data"]} == {"run-0", "run-1"}


def test_every_chart_of_the_page_has_its_figure(page):
    indices = [int(a["data-figure"]) for _, a in page.elements if "data-figure" in a]
    assert indices == list(range(len(page.packed("figures"))))
    titles = [a["aria-label"] for _, a in page.elements if "data-figure" in a]
    assert {"Accuracy %", "Inconsistency rate %", "Semantic grounding %", "KL to the reference policy"} <= set(titles)


def test_whiskers_reach_the_intervals_ends(page, two):
    titles = [a["aria-label"] for _, a in page.elements if "data-figure" in a]
    bars = page.packed("figures")[titles.index("Accuracy %")]["data"][0]
    at = bars["x"].index("held-out<br>after_RL<br>sampled")
    accuracy = metrics_of(two[0], "after_RL", "sampled")["accuracy"]
    assert bars["y"][at] == pytest.approx(100 * accuracy["value"])
    assert bars["y"][at] + bars["error_y"]["array"][at] == pytest.approx(100 * accuracy["high"])
    assert bars["y"][at] - bars["error_y"]["arrayminus"][at] == pytest.approx(100 * accuracy["low"])


def test_runs_are_side_by_side_and_one_is_still_going(page):
    _, first, second = page.tables["runs"]
    assert [cell[0].strip() for cell in first][:5] == ["fgrpo-s0", "fgrpo", "0", "10 of 10", "finished"]
    assert [cell[0].strip() for cell in second][:5] == ["grpo_t-s0", "grpo_t", "0", "10 of 40", "not finished"]


def test_config_differences(page):
    rows = {row[0][0]: [cell[0] for cell in row[1:]] for row in page.tables["differences"][1:]}
    assert rows["arm"] == ['"fgrpo"', '"grpo_t"']
    assert rows["trainer.total_training_steps"] == ["10", "40"]
    assert "data.train_batch_size" not in rows
    whole = {
        row[0][0]: [cell[0] for cell in row[1:]]
        for name, table in page.tables.items()
        if name.startswith("config-")
        for row in table[1:]
    }
    assert {name.partition(".")[0] for name in whole} >= {"fgrpo", "data", "trainer", "arm"}
    assert whole["data.train_batch_size"] == ["16", "16"]


# ---------------------------------------------------------------------- traces and images


def test_traces_of_training_and_evaluations_are_on_the_page(page):
    data = page.packed("traces-data")
    assert data["sources"] == ["fgrpo-s0", "grpo_t-s0"]
    evaluations = product(["before_RL", "after_RL"], ["greedy", "sampled"])
    assert set(data["sets"]) == {"train", "val", *(f"held-out, {label}, {mode}" for label, mode in evaluations)}
    assert len(data["traces"]) == 2 * (8 + 8 + 4 * 6)
    images = json.loads(page.scripts["images"])
    assert {digest for trace in data["traces"] for digest in trace["images"]} == set(images)
    width, height, url = next(iter(images.values()))
    assert (width, height) == (84, 84)
    assert url.startswith("data:image/jpeg;base64,")


def test_models_of_an_evaluation_folder_are_compared_too(tmp_path):
    runs.write_benchmarks(tmp_path / "bench", {"base": "grpo_t", "faithful": "fgrpo"}, questions=3)
    write_page([tmp_path / "bench"], tmp_path / "report.html")
    page = Page((tmp_path / "report.html").read_text())
    data = page.packed("traces-data")
    assert data["sources"] == ["bench: base", "bench: faithful"]
    assert data["sets"] == ["cv_bench", "mindcube"]
    rows = page.tables["evaluations"][1:]
    assert [row[0][0].partition(":")[0] for row in rows if len(row) == 1] == ["cv_bench", "mindcube"]
    assert len(rows) == 2 + 4
    assert "evaluation only" in page.text


def test_of_too_many_traces_the_same_of_each_run_stay_and_the_page_says_so(two, tmp_path):
    write_page(two, tmp_path / "report.html", most=60)
    page = Page((tmp_path / "report.html").read_text())
    traces = page.packed("traces-data")["traces"]
    assert len(traces) <= 60
    keys = ("set", "step", "index", "session", "item")
    kept = [{tuple(trace[key] for key in keys) for trace in traces if trace["source"] == source} for source in (0, 1)]
    assert kept[0] == kept[1]
    assert f"{len(traces)} of 80 traces are on this page" in page.text


def test_images_can_be_linked(two, tmp_path):
    write_page(two, two[0].parent / "linked.html", link_images=True)
    page = Page((two[0].parent / "linked.html").read_text())
    links = [url for _, _, url in json.loads(page.scripts["images"]).values()]
    assert all((two[0].parent / link).is_file() for link in links)
    assert "img-src data: blob: file:" in page.policy()


def test_thumbnails_get_smaller_until_they_fit(tmp_path):
    for number in range(8):
        Image.effect_noise((600, 400), 80).save(tmp_path / f"{number}.png")
    files = {str(number): tmp_path / f"{number}.png" for number in range(8)}
    large, _ = thumbnails.thumbnails(files, budget=10**9)
    small, problems = thumbnails.thumbnails(files, budget=100_000)
    assert problems == []
    sizes = [sum(len(url) for _, _, url in images.values()) for images in (small, large)]
    assert sizes[0] <= 100_000 < sizes[1]
    assert {tuple(item[:2]) for item in small.values()} == {(600, 400)}


def test_missing_and_damaged_images_are_said_and_the_page_is_made(tmp_path):
    run = runs.write_run(tmp_path / "run", steps=2, traces=4, evaluations=False)
    first, second, *_ = sorted((run / "images").iterdir())
    first.write_bytes(b"no picture")
    second.unlink()
    problems = write_page([run], tmp_path / "report.html").problems
    missing = next(line for line in problems if "images of the traces are missing" in line)
    assert (missing[:5], second.name in missing) == ("1 of ", True)
    assert any(first.name in line and "unreadable image" in line for line in problems)
    page = Page((tmp_path / "report.html").read_text())
    assert all(line in page.text for line in problems)


@pytest.mark.parametrize("lost", ["config.yaml", "metrics.jsonl", "traces"])
def test_a_half_written_run_still_has_its_page(tmp_path, lost):
    run = runs.write_run(tmp_path / "run", steps=3, traces=4, evaluations=False)
    target = run / lost
    if target.is_dir():
        for file in target.iterdir():
            file.unlink()
    else:
        target.unlink()
    problems = write_page([run], tmp_path / "report.html").problems
    assert any(lost in line for line in problems)
    assert all(line in Page((tmp_path / "report.html").read_text()).text for line in problems)


# ---------------------------------------------------------------------- safety


def test_only_the_pages_own_scripts_may_run(page):
    allowed = set(re.findall(r"'sha256-[^']+'", page.policy()))
    hashes = {csp_hash(page.scripts["own"]), csp_hash(page.packed("plotly"))}
    assert allowed == hashes
    directives = [directive.split() for directive in page.policy().split(";")]
    names = {name: values for name, *values in directives}
    assert names["default-src"] == ["'none'"]
    assert set(names) == {"default-src", "script-src", "style-src", "img-src", "base-uri", "form-action"}
    assert "unsafe-inline" not in " ".join(names["script-src"])


def csp_hash(script):
    return f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'"


def test_our_own_files_name_no_address_and_write_no_html():
    folder = resources.files("easyr1_fgrpo.report") / "page"
    for file in folder.iterdir():
        text = file.read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?:|//[a-z]+\.", text), file.name
        assert not re.search(r"(inner|outer|Adjacent)HTML|document\.write|eval\(|\bFunction\(", text), file.name
        assert not re.search(r"\son[a-z]+=", text), file.name


def test_hostile_text_makes_no_element_and_no_attribute(page, hostile_page):
    def kinds(of):
        return {(tag, name) for tag, attributes in of.elements for name in [None, *attributes]}

    # Of its own, the page of one damaged run has a box of problems and an open config.
    new = kinds(hostile_page) - kinds(page)
    assert new <= {("div", "id"), ("div", "role"), ("strong", None), ("details", "open")}
    assert [a.get("id") for tag, a in hostile_page.elements if tag == "script"] == [
        None, "plotly", "figures", "traces-data", "images",
    ]  # fmt: skip
    assert re.fullmatch(r"[A-Za-z0-9+/=]+", hostile_page.scripts["traces-data"])


def test_hostile_records_are_all_there(hostile_page):
    traces = hostile_page.packed("traces-data")["traces"]
    assert len(traces) == 500
    assert traces[0]["question"] == hostile.record(0).question
    assert "3 torn lines" in hostile_page.text
    shown = json.dumps(traces, ensure_ascii=False) + hostile_page.text
    assert not re.search(r"[\u202a-\u202e\u2066-\u2069\x00]", shown)


# ---------------------------------------------------------------------- colours


def colours():
    css = (resources.files("easyr1_fgrpo.report") / "page" / "page.css").read_text()
    found = re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)", css)
    return {name: (light, dark) for name, light, dark in found}


def luminance(colour):
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first, second):
    """Of two colours, as WCAG 2 defines it."""
    low, high = sorted([luminance(first), luminance(second)])
    return (high + 0.05) / (low + 0.05)


STATES = ("grounded", "ungrounded", "skipped", "unjudged")
TEXT_ON = [
    *product(("text", "muted", "accent"), ("page", "raised")),
    *product(("text", "muted"), ("unjudged-back",)),
    *[(state, ground) for state in STATES for ground in (f"{state}-back", "page", "raised")],
    *product(("text",), [f"{state}-back" for state in STATES]),
    *[(f"run-{number}", "page") for number in range(8)],
]


def test_text_can_be_read_in_both_themes():
    for theme in [0, 1]:
        for text, ground in TEXT_ON:
            known = colours()
            assert contrast(known[text][theme], known[ground][theme]) >= 4.5, (theme, text, ground)


def test_contrast_by_hand():
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


# ---------------------------------------------------------------------- the command


@pytest.fixture
def command():
    app = Typer()
    app.command()(report)
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_the_command_says_what_it_wrote(command, two, tmp_path):
    done = command(*two, "-o", tmp_path / "new" / "report.html")
    assert done.exit_code == 0
    assert "80 traces" in done.output
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["report.html"]


def test_a_folder_that_is_no_run_is_refused_by_name(command, tmp_path):
    done = command(tmp_path, "-o", tmp_path / "report.html")
    assert done.exit_code == 1
    assert done.output.startswith(f"error: {tmp_path}: no run directory")
    assert not (tmp_path / "report.html").exists()


def test_a_run_named_twice_is_refused(command, two, tmp_path):
    done = command(two[0], two[0], "-o", tmp_path / "report.html")
    assert (done.exit_code, "is named twice" in done.output) == (1, True)
