import shutil
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from easyr1_fgrpo.evaluation.__main__ import app

from .judges import TextJudge

JUDGE = ("--judge", f"{TextJudge.__module__}:TextJudge")


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def evaluate(checkpoint, data, out, *more):
    return invoke("run", checkpoint, "--data", data, "--out", out, "--samples", 4, "--max-new-tokens", 6, *JUDGE, *more)


def refused(outcome):
    """The one line of an orderly refusal."""
    assert isinstance(outcome.exception, SystemExit), outcome.exception
    assert outcome.exit_code == 1
    # On a busy machine the check of the rows takes longer than a second, and has a bar.
    lines = [line for line in outcome.stderr.splitlines() if line.strip() and not line.startswith("Checking ")]
    assert len(lines) == 1, outcome.stderr
    assert lines[0].startswith("error: ")
    return lines[0]


def test_run_then_table_then_compare(checkpoint, data, tmp_path):
    outcome = evaluate(f"tiny={checkpoint}", data, tmp_path, f"same={checkpoint}")
    assert outcome.exit_code == 0, outcome.output
    for text in ("accuracy %", "inconsistency rate %", "sampled"):
        assert text in outcome.stdout
    files = [tmp_path / f"{name}-sampled.json" for name in ("tiny", "same")]
    shown = invoke("table", *files, "--markdown")
    assert shown.stdout.startswith("|  | tiny, sampled | same, sampled |")
    compared = invoke("compare", *files)
    assert "same minus tiny, sampled" in compared.stdout
    assert "+0.0" in compared.stdout


def test_one_mode_and_a_name_from_the_folder(checkpoint, data, tmp_path):
    assert evaluate(checkpoint, data, tmp_path, "--mode", "greedy").exit_code == 0
    assert [path.name for path in tmp_path.glob("*.json")] == [f"{checkpoint.name}-greedy.json"]


def test_judge_options_reach_the_judge(checkpoint, data, tmp_path):
    option = ("--judge-option", "grounding=INCORRECT")
    assert evaluate(checkpoint, data, tmp_path, *option, "--mode", "greedy").exit_code == 0
    assert '"grounding": "INCORRECT"' in (tmp_path / f"{checkpoint.name}-greedy.json").read_text()


def test_a_missing_checkpoint_is_one_line(data, tmp_path):
    assert "/nowhere: no such checkpoint folder" in refused(evaluate("/nowhere", data, tmp_path))


@pytest.mark.parametrize(
    ("absent", "named"), [("preprocessor_config.json", "no image processor"), ("model.safetensors", "no weights")]
)
def test_an_incomplete_checkpoint_is_one_line(checkpoint, data, tmp_path, absent, named):
    folder = tmp_path / "copy"
    shutil.copytree(checkpoint, folder)
    (folder / absent).unlink()
    assert named in refused(evaluate(folder, data, tmp_path / "out"))


def test_a_checkpoint_that_cannot_be_loaded_is_one_line(checkpoint, data, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(checkpoint, folder)
    (folder / "model.safetensors").write_bytes(b"no weights")
    line = refused(evaluate(folder, data, tmp_path / "out", "--mode", "greedy"))
    assert f"{folder} cannot be loaded" in line


def test_missing_or_bad_data_is_one_line(checkpoint, tmp_path):
    assert "absent.parquet: cannot be read" in refused(evaluate(checkpoint, tmp_path / "absent.parquet", tmp_path))
    (tmp_path / "text.parquet").write_text("hello")
    assert "text.parquet: cannot be read" in refused(evaluate(checkpoint, tmp_path / "text.parquet", tmp_path))


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--judge", "no_such_module:Judge"), "no_such_module"),
        (("--judge-option", "grounding=PERHAPS"), "PERHAPS"),
        (("--judge-option", "colour=red"), "colour"),
        (("--judge-option", "colour"), "KEY=VALUE"),
    ],
)
def test_a_judge_that_cannot_be_built_is_one_line(checkpoint, data, tmp_path, arguments, named):
    assert named in refused(evaluate(checkpoint, data, tmp_path, *arguments))


def test_names_must_differ_and_be_file_names(checkpoint, data, tmp_path):
    assert "two checkpoints are called 'a'" in refused(evaluate(f"a={checkpoint}", data, tmp_path, f"a={checkpoint}"))
    assert "'a/b'" in refused(evaluate(f"a/b={checkpoint}", data, tmp_path))


def test_compare_refuses_in_one_line(checkpoint, data, tmp_path):
    assert evaluate(f"tiny={checkpoint}", data, tmp_path).exit_code == 0
    greedy, sampled = tmp_path / "tiny-greedy.json", tmp_path / "tiny-sampled.json"
    assert "mode=greedy" in refused(invoke("compare", greedy, sampled))
    assert "absent.json: No such file" in refused(invoke("compare", greedy, tmp_path / "absent.json"))
    (tmp_path / "other.json").write_text("{}")
    assert "other.json is no evaluation result" in refused(invoke("table", tmp_path / "other.json"))


def test_showing_results_needs_no_torch():
    code = "import sys, easyr1_fgrpo.evaluation.__main__; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=400, check=True)
    loaded = set(done.stdout.split())
    assert "easyr1_fgrpo.evaluation.table" in loaded
    assert not {"torch", "transformers", "ray", "verl"} & loaded
