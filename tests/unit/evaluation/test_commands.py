import json

import pytest
import typer
from model_endpoint import Model, scripted
from typer.testing import CliRunner

from easyr1_fgrpo.cli.evaluate import audit, compare, evaluate
from easyr1_fgrpo.miniature import build

from .made_items import picture, response

app = typer.Typer(pretty_exceptions_enable=False)
for command in (evaluate, audit, compare):
    app.command()(command)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world") / "world"
    build.build(folder, seed=1, train=1, val=1, test=8, sft=1, sft_val=1)
    return folder


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def ask(url, world, out, *more):
    return invoke(
        "evaluate",
        "--model",
        f"m={url},bare",
        "--benchmark",
        f"miniature={world / 'test.parquet'}",
        "--out",
        out,
        *more,
    )


def refused(outcome, code=1):
    assert isinstance(outcome.exception, SystemExit), outcome.exception
    assert outcome.exit_code == code
    (line,) = outcome.stderr.strip().splitlines()[-1:]
    return line


def test_evaluate_prints_tables_totals_and_writes_everything(world, tmp_path):
    with scripted(Model(answer=lambda text: response("left"))) as model:
        outcome = ask(model.url, world, tmp_path / "out", "--max-new-tokens", 5)
        assert outcome.exit_code == 0, outcome.output
        assert model.asked == 8
        assert {(body["temperature"], body["max_tokens"]) for body in model.bodies} == {(0.0, 5)}
    assert "m, miniature: 8 rows = 8 items + 0 rejected; 8 items = 8 scored + 0 rejected" in outcome.stdout
    assert "judged: consistency by none" in outcome.stdout
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"answers", "images", "rejects.jsonl", "results.json", "tables", "traces"}


def test_results_that_are_replaced_are_named(world, tmp_path):
    with scripted(Model(answer=lambda text: response("left"))) as model:
        ask(model.url, world, tmp_path / "out")
        assert "are replaced" not in ask(model.url, world, tmp_path / "out").stdout, "the same ones"
        fewer = ask(model.url, world, tmp_path / "out", "--limit", 3).stdout
        assert "the results that were there are replaced: miniature: " in fewer
        (tmp_path / "out/results.json").write_text("{")
        damaged = ask(model.url, world, tmp_path / "out", "--limit", 3).stdout
    assert "the results that were there are replaced: " in damaged
    assert "is no evaluation" in damaged


def test_a_scorer_and_the_oracle_by_command_line(world, tmp_path):
    def score(case):
        return "RIGHT" if case["reply"] == case["reference"] else "WRONG"

    with scripted(Model(answer=lambda text: response("left"), score=score)) as model:
        judge = f"judge=oracle stages.world={world}"
        outcome = ask(model.url, world, tmp_path, "--scorer", model.url, "--judge-overrides", judge)
        assert outcome.exit_code == 0, outcome.output
        assert model.calls["scorer"] == 8
    result = json.loads((tmp_path / "results.json").read_text())["results"][0]
    assert result["metrics"]["accuracy"] == result["metrics"]["accuracy_by_scorer"]
    assert result["agreement"]["right_by_rule_only"] == result["agreement"]["right_by_scorer_only"] == 0
    assert result["totals"]["judged"] == 8
    assert "answers also matched by: a-model" in outcome.stdout


def test_parameters_of_a_hosted_model(world, tmp_path):
    with scripted(Model(answer=lambda text: "left")) as model:
        fields = '{"max_tokens": null, "temperature": null, "max_completion_tokens": 9}'
        assert ask(model.url, world, tmp_path, "--parameters", fields).exit_code == 0
        assert all(body.keys() == {"model", "messages", "max_completion_tokens"} for body in model.bodies)


def test_nothing_scored_is_code_3(world, tmp_path):
    with scripted(Model(answer=lambda text: 413)) as model:
        line = refused(ask(model.url, world, tmp_path), 3)
    assert line == "objection: m has no scored item of miniature"
    rejects = [json.loads(line) for line in (tmp_path / "rejects.jsonl").read_text().splitlines()]
    assert len(rejects) == 8
    assert all("answered 413" in reject["reason"] for reject in rejects)


def test_a_judge_without_a_verdict_is_code_3(world, tmp_path, monkeypatch):
    hosted = "judge=hosted fgrpo.judges.{0}.max_retries=0 judge_endpoint.base_urls=[{1}]"
    with scripted(Model(answer=lambda text: response("left"))) as model:
        judge = hosted.format("consistency", model.url)
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)
        line = refused(ask(model.url, world, tmp_path / "no_key", "--judge-overrides", judge))
        assert "fgrpo.judges.consistency.api_key_env=OPENAI_API_KEY: no such environment variable here" in line
        assert model.asked == 0
        monkeypatch.setenv("OPENAI_API_KEY", "a key")
        line = refused(ask(model.url, world, tmp_path / "mute", "--judge-overrides", judge), 3)
    assert line == "objection: the judge gave no verdict on m, miniature"
    result = json.loads((tmp_path / "mute" / "results.json").read_text())["results"][0]
    assert (result["totals"]["judged"], result["totals"]["unjudged"]) == (0, 8)
    assert result["metrics"]["faithful_accuracy"]["value"] is None


def test_bad_arguments_are_one_line(world, tmp_path):
    with scripted(Model(answer=lambda text: response())) as model:
        url = model.url
        good = f"miniature={world / 'test.parquet'}"
        assert "known are cv_bench_2d" in refused(
            invoke("evaluate", "--model", f"m={url}", "--benchmark", "x=y", "--out", tmp_path / "o")
        )
        again = refused(ask(url, world, tmp_path / "o", "--benchmark", f"miniature={world / 'val.parquet'}"))
        assert "two are called 'miniature'" in again
        assert "--parameters" in refused(ask(url, world, tmp_path / "o", "--parameters", "[1]"))
        assert "judge" in refused(ask(url, world, tmp_path / "o", "--judge-overrides", "judge=nobody"))
        absent = ("evaluate", "--model", f"m={url}", "--benchmark", "mmvp=/nowhere", "--out", tmp_path / "o")
        assert "/nowhere" in refused(invoke(*absent))
        assert not (tmp_path / "o").exists()
        (tmp_path / "file").touch()
        below = tmp_path / "file" / "o"
        assert refused(ask(url, world, below)) == (
            f"error: --out {below}: {tmp_path / 'file'} is no folder; name another place"
        )
    gone = invoke("evaluate", "--model", f"m={url}", "--benchmark", good, "--out", tmp_path / "o", "--patience", 0.2)
    assert "cannot be asked" in refused(gone)


def test_audit_and_compare(tmp_path):
    (tmp_path / "pictures").mkdir()
    picture().save(tmp_path / "pictures" / "a.png")
    for name, answers in (("one", "llrr"), ("two", "llll")):
        texts = [response({"l": "left", "r": "right"}[letter]) for letter in answers]
        lines = [
            json.dumps({"id": n, "question": "Which?", "output": text, "ground_truth": "left", "images": "a.png"})
            for n, text in enumerate(texts)
        ]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines))
        outcome = invoke(
            *("audit", tmp_path / f"{name}.jsonl", "--images", tmp_path / "pictures", "--out", tmp_path / name),
            *("--field", "response=output"),
        )
        assert outcome.exit_code == 0, outcome.output
    compared = invoke("compare", tmp_path / "one", tmp_path / "two")
    assert "two minus one" in compared.stdout
    assert "+50.0" in compared.stdout
    assert "one is given twice" in refused(invoke("compare", tmp_path / "one", tmp_path / "one" / "."))
    assert "two models at least" in refused(invoke("compare", tmp_path / "one"))
    absent = tmp_path / "absent"
    assert refused(invoke("compare", tmp_path / "one", absent)) == f"error: {absent}: No such file or directory"
    results = tmp_path / "two" / "results.json"
    results.write_text(results.read_text()[:100])
    assert f"{results} is no evaluation: Invalid JSON" in refused(invoke("compare", tmp_path / "one", tmp_path / "two"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--field", "nothing=x"), "--field nothing: write OURS=THEIRS"),
        (("--field", "response"), "--field response: write OURS=THEIRS"),
        (("--style", "x"), "--style x: known are ours"),
        (("--name", "../x"), "--name '../x'"),
    ],
)
def test_bad_arguments_of_an_audit_are_one_line(tmp_path, arguments, said):
    (tmp_path / "t.jsonl").write_text("{}")
    assert said in refused(invoke("audit", tmp_path / "t.jsonl", "--images", tmp_path, "--out", tmp_path, *arguments))
