import json
import re

import pytest
from judge_traces import Approving, record
from typer.testing import CliRunner

from easyr1_fgrpo.cli import app
from easyr1_fgrpo.judge_validation.report import Report
from easyr1_fgrpo.judges.protocol import Label
from easyr1_fgrpo.traces import TraceWriter, VerdictRecord


def invoke(*arguments):
    return CliRunner().invoke(app, ["judge", "validate", *map(str, arguments)])


def local(judge):
    """Overrides that replace the config's judges by one that is built from here."""
    chosen = f"{{kind:local,target:'{judge.__module__}:{judge.__name__}'}}"
    return ["~fgrpo.judges", f"+fgrpo.judges={{consistency:{chosen},grounding:{chosen}}}"]


def test_the_oracle_of_the_config_is_built_here(miniature, tmp_path):
    traces, scenes = miniature
    out = tmp_path / "report.json"
    outcome = invoke(
        traces, "--limit", 60, "--out", out, "--min-kappa", 0.9, f"fgrpo.reward_servers.oracle.options.scenes={scenes}"
    )
    assert outcome.exit_code == 0, outcome.output
    assert "60 of 240 records (180 beyond --limit)" in outcome.stdout
    assert "catches: box moved" in outcome.stdout
    assert "warning: grounding: training judge oracle and evaluation judge oracle" in outcome.stderr
    report = Report.model_validate_json(out.read_bytes())
    assert json.loads(out.read_text())["records_used"] == 60
    assert {item.kappa.value for item in report.agreements} == {1.0}


def test_a_judge_that_misses_errors_ends_with_3(miniature):
    outcome = invoke(miniature[0], "--limit", 60, "--no-retest", *local(Approving))
    assert outcome.exit_code == 3, outcome.output
    assert re.search(r"misses: box moved \(caught 0 of \d+\)", outcome.stdout)
    assert "objection: misses: box moved" in outcome.stderr


def test_a_kappa_below_the_demand_ends_with_3(few):
    demand = invoke(few[0], "--no-retest", "--min-kappa", 0.5, *local(Approving))
    assert demand.exit_code == 3
    assert "objection: grounding: lower bound of kappa is " in demand.stderr


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["absent.jsonl"], "absent.jsonl: no such trace file"),
        (["judge=oracle"], "no trace file given"),
        (["traces", "judge=absent"], "absent"),
        (["traces", "fgrpo.judges.grounding.kind=absent"], "fgrpo.judges.grounding.kind='absent'"),
        (["traces", "fgrpo.reward_servers.oracle.options.scenes=/nowhere"], "/nowhere"),
        (["traces", "--images", "/nowhere"], "--images /nowhere: no such folder"),
        (["traces", "--out", "/nowhere/report.json"], "--out /nowhere/report.json"),
        (["empty", *local(Approving)], "no trace record in 1 lines"),
        (["unjudged", *local(Approving)], "no question can be asked about 1 records: 1 without a reference verdict"),
        (
            [
                "traces",
                "fgrpo.judges.grounding={kind:openai_compatible,model:m,server:s}",
                "++fgrpo.reward_servers.s={kind:vllm,model:m}",
            ],
            "fgrpo.judges.grounding.base_urls=[URL]",
        ),
    ],
)
def test_bad_input_is_one_line(few, tmp_path, arguments, named):
    (tmp_path / "empty.jsonl").write_text("{}\n")
    with TraceWriter(tmp_path, "val") as writer:
        writer.write(record(0, consistency=None, sentences=()))
    paths = {
        "traces": few[0],
        "empty": tmp_path / "empty.jsonl",
        "unjudged": writer.path,
    }
    outcome = invoke(*(str(paths.get(argument, argument)) for argument in arguments))
    assert outcome.exit_code == 1, outcome.output
    (line,) = outcome.stderr.strip().splitlines()
    assert line.startswith("error: ")
    assert named in line


def test_names_and_causes_are_printed_as_plain_text(tmp_path):
    hostile = VerdictRecord(judge="[red]\x1b[2J", label=Label.YES)
    with TraceWriter(tmp_path, "val") as writer:
        writer.write(record(0, consistency=hostile, sentences=()))
    outcome = invoke(writer.path, *local(Approving))
    assert outcome.exit_code == 0, outcome.output
    assert r"[red]\x1b[2J (1)" in outcome.stdout
    assert "\x1b[2J" not in outcome.output
