"""FGRPO in EasyR1's own trainer: killed and resumed, on two ranks, on EasyR1's rows, and with a judge that is gone."""

import json
import os
import signal
import subprocess
from io import BytesIO

import psutil
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from easyr1.runs import PROMPTS, PYTHON, RESPONSES, ROOT
from easyr1_fgrpo.cli import app
from easyr1_fgrpo.traces import read_traces

pytestmark = pytest.mark.easyr1

CONSTRAINTS = ("consistency", "spatial_grounding", "semantic_grounding")
LEARNING = ("fgrpo/", "actor/", "critic/", "reward/", "response_length/")
MACHINE = ("fgrpo/judges/", "actor/lr")
BY_MICRO_BATCH = ("actor/entropy_loss", "actor/pg_loss")
"""EasyR1's averages over micro batches, each with another number of tokens: not the same with other micro batches."""


def test_a_killed_run_goes_on_from_its_checkpoint(host, whole):
    lines = (host.folder / whole / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3, 3, 4, 5, 5]
    steps = host.metrics(whole)
    for key in CONSTRAINTS:
        multiplier = 1.0
        for metrics in steps.values():  # Eq. 4, over the kill as well
            assert metrics[f"fgrpo/{key}/multiplier"] == multiplier
            multiplier += 0.05 * (metrics[f"fgrpo/{key}/threshold"] - metrics[f"fgrpo/{key}/score"])
            assert metrics[f"fgrpo/{key}/next_multiplier"] == pytest.approx(multiplier, abs=1e-12)
            multiplier = metrics[f"fgrpo/{key}/next_multiplier"]
        state = json.loads((host.folder / whole / "checkpoints/global_step_5/fgrpo.json").read_text())
        assert state["multipliers"][key] == multiplier
    assert all(metrics["fgrpo/rollouts/scored"] == PROMPTS * RESPONSES for metrics in steps.values())


def test_the_last_validation_stands_beside_its_steps_training(host, whole):
    last = host.metrics(whole)[5]
    assert {"actor/pg_loss", "fgrpo/consistency/score", "val/overall_reward", "fgrpo/val/consistency/mean"} <= set(last)


def test_the_last_checkpoint_is_deleted_after_the_next_is_whole(host, whole):
    """save_limit=1: EasyR1 alone deletes it before."""
    assert [path.name for path in (host.folder / whole / "checkpoints").glob("global_step_*")] == ["global_step_5"]


def test_the_page_shows_the_run(host, whole):
    out = host.folder / "report.html"
    done = CliRunner().invoke(app, ["report", str(host.folder / whole), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert f"{5 * PROMPTS * RESPONSES + 16} traces" in done.output
    assert "semantic grounding" in out.read_text()


def test_two_ranks_learn_the_same(host, whole):
    host.run(
        "ranks",
        "trainer.n_gpus_per_node=2",
        "trainer.max_steps=1",
        "trainer.save_freq=5",
    )
    one, two = host.metrics(whole)[1], host.metrics("ranks")[1]
    names = [name for name in one if name.startswith(LEARNING) and not name.startswith((*MACHINE, *BY_MICRO_BATCH))]
    assert len(names) > 60
    assert {name: two[name] for name in names} == pytest.approx({name: one[name] for name in names}, rel=1e-4, abs=1e-5)


def test_rows_of_easyr1_and_a_constraint_of_ones_own(host, tiny):
    """`problem`, `answer` and paths, with choices and boxes beside; pictures resized by both budgets."""
    rows = pq.read_table(tiny / "train.parquet").to_pylist()
    (host.folder / "pictures").mkdir()
    lines = []
    for number, row in enumerate(rows):
        picture = Image.open(BytesIO(row["images"][0]["bytes"])).resize((168, 168))
        picture.save(host.folder / f"pictures/{number}.png")
        info = row["extra_info"]
        record = {
            "problem": f"<image>{info['question']}",
            "answer": row["reward_model"]["ground_truth"],
            "images": [f"{number}.png"],
            "choices": info["choices"],
            "boxes": [[2 * edge for edge in box] for box in info["boxes"]],
        }
        lines.append(json.dumps(record))
    theirs = host.folder / "theirs.jsonl"
    theirs.write_text("\n".join(lines))
    signal = ROOT / "recipes/examples/length_budget.py"
    host.run(
        "theirs",
        f"data.train_files={theirs}",
        f"data.image_dir={host.folder / 'pictures'}",
        "data.max_pixels=7100",
        "fgrpo.judges.grounding.target=easyr1.broken_judge:BrokenJudge",  # the oracle knows no resized picture
        f"fgrpo.constraints.length_budget={{signal: '{signal}:length_budget', threshold: 0.9}}",
        "trainer.max_steps=1",
    )
    metrics = host.metrics("theirs")[1]
    score, threshold = metrics["fgrpo/length_budget/score"], metrics["fgrpo/length_budget/threshold"]
    assert metrics["fgrpo/length_budget/next_multiplier"] == pytest.approx(1.0 + 0.05 * (threshold - score))
    assert 0 < metrics["fgrpo/spatial_grounding/applicable"] < PROMPTS * RESPONSES
    records, bad = read_traces((host.folder / "theirs/traces").glob("train-*.jsonl"))
    assert (len(records), bad) == (PROMPTS * RESPONSES, 0)
    for record in records:
        info = rows[record.index]["extra_info"]
        assert (record.question, list(record.choices)) == (info["question"], info["choices"])
        assert [list(box) for box in record.reference_boxes] == [pytest.approx(box) for box in info["boxes"]]
        with Image.open(host.folder / f"theirs/images/{record.images[0]}.png") as seen:
            assert seen.size == (84, 84)  # 168 x 168 by EasyR1's budget, then in the processor's patches


def test_a_run_whose_judge_is_gone_saves_and_ends(host):
    output = host.run(
        "gone",
        "fgrpo.judges.consistency.target=easyr1.broken_judge:BrokenJudge",
        "fgrpo.judges.grounding.target=easyr1.broken_judge:BrokenJudge",
        "fgrpo.max_unmeasured_steps=2",
        "trainer.save_freq=5",
        code=4,
    )
    assert "error: step 2: consistency was not measured for 2 steps in a row" in output
    assert (host.folder / "gone/checkpoints/global_step_2/fgrpo.json").exists()
    assert set(host.metrics("gone")) == {1, 2}
    assert host.metrics("gone")[2]["fgrpo/consistency/multiplier"] == 1.0


def test_a_resume_as_another_run_is_refused(host, whole):
    output = host.run(whole, "fgrpo.constraints.consistency.threshold=0.5", "trainer.max_steps=9", code=1)
    said = "error: fgrpo.constraints.consistency.threshold=0.5: "
    assert f"{said}{host.folder / whole} was trained up to step 5 with 0.95; give it that" in output
    assert max(host.metrics(whole)) == 5
    output = host.run(whole)
    assert output.rstrip().endswith(f"{host.folder / whole}: all 5 steps are done; raise trainer.max_steps to go on")


def test_a_checkpoint_becomes_a_folder_with_its_card(host, whole):
    out = host.folder / "exported"
    environment = {**os.environ, "PYTHONPATH": str(host.checkout), "HF_HUB_OFFLINE": "1"}
    command = [PYTHON, "-m", "easyr1_fgrpo", "export", host.folder / whole, out]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    assert (out / "model.safetensors").exists()
    card = " ".join((out / "README.md").read_text().split())
    assert f"5 steps of {PROMPTS} prompts x {RESPONSES} rollouts" in card
    assert not list((host.folder / whole / "checkpoints/global_step_5/actor/huggingface").glob("*.safetensors"))


def test_sentences_are_credited_and_a_step_may_take_several_generations(host):
    more = ("fgrpo.reward.level=sentence", f"data.mini_rollout_batch_size={PROMPTS // 2}", "trainer.max_steps=1")
    host.run("sentences", *more, notes=host.folder / "notes-sentences")
    assert host.metrics("sentences")[1]["fgrpo/rollouts/scored"] == PROMPTS * RESPONSES
    advantages_BT = torch.load(host.folder / "notes-sentences/advantages-0.pt")
    several = [row for row in advantages_BT if len(set(row[row != 0].tolist())) > 1]
    assert several, "judged sentences of a response have advantages of their own"


def test_a_second_run_in_the_folder_is_refused_and_a_stopped_one_says_so(host):
    process = host.start("stopped", "trainer.max_steps=99")
    host.reach("stopped", 1, process)
    second = host.start("second", f"fgrpo.run_dir={host.folder / 'stopped'}")
    assert f"{host.folder / 'stopped'}: process {process.pid} on " in host.end("second", second, code=1)
    process.send_signal(signal.SIGINT)
    output = host.end("stopped", process, code=130)
    assert "\nstopped: the same command resumes after the last checkpoint" in output


def test_who_died_is_said(host):
    process = host.start("dead")
    host.reach("dead", 1, process)
    family = psutil.Process(process.pid).children(recursive=True)
    (rank,) = [member for member in family if "WorkerDict" in "".join(member.cmdline())]
    rank.kill()
    output = host.end("dead", process, code=1)
    (line,) = [line for line in output.splitlines() if line.startswith("error: ")]
    assert line.startswith(f"error: a rank of the policy (pid {rank.pid} on ")
    assert line.endswith(") died; the same command resumes after the last checkpoint")
