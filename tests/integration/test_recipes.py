"""Every RL recipe of the folder: planned as it is, and run for two steps with what a user would change.

With the miniature's groups all recipes are one, and arms differ in configuration only: what each arm does to a step is
tests/unit/training's. Here run FGRPO (the whole run, and as a job on two nodes) and a custom constraint.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from easyr1_fgrpo.preflight.counts import Assumptions
from easyr1_fgrpo.traces import read_traces
from easyr1_fgrpo.verl_plugin.preflight.plan import plan

from .ray_cluster import Cluster, ray_cluster
from .recipe_runs import RUN_DEADLINE_S, STEPS, TWO_RANKS, Runs, equal_to_five_digits, learning
from .recipes import ARMS, HERE, ROOT, digest, rl_recipes

pytestmark = pytest.mark.integration

RECIPES = rl_recipes()
KEYS = "fgrpo.constraint_keys=[consistency,semantic_grounding,length_budget]"
"""Those of rows without boxes."""
OVERRIDDEN = ["fgrpo.constraints.consistency.threshold=0.9", "fgrpo.dual.lambda_max=2"]
ENDED = "judge-oracle: ended in namespace fgrpo-"  # left there, it would keep its CPU from the next run
SEVEN_B = "recipes/run_fgrpo_qwen25vl_7b.sh"


def distinct() -> dict[str, list[tuple[str, str]]]:
    """Hash of a resolved configuration -> the (recipe, arm) pairs that become it on this machine."""
    found: dict[str, list[tuple[str, str]]] = {}
    for recipe, groups in RECIPES.items():
        for arm in ARMS:
            found.setdefault(digest([*groups, *HERE, f"arm={arm}"]), []).append((recipe, arm))
    return found


def test_the_folder_holds_the_recipes() -> None:
    assert set(RECIPES) >= {
        SEVEN_B,
        "recipes/run_fgrpo_qwen25vl_3b.sh",
        "recipes/run_fgrpo_qwen25vl_7b_lora.sh",
        "recipes/run_fgrpo_qwen3vl_8b.sh",
        "recipes/run_fgrpo_tiny_cpu.sh",
    }


@pytest.mark.parametrize("recipe", RECIPES)
def test_nothing_is_wrong_with_a_recipes_plan(recipe: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert plan(RECIPES[recipe], files=False, assumed=Assumptions()) == 0, capsys.readouterr().err


def test_the_script_itself_plans() -> None:
    done = subprocess.run(
        ["bash", SEVEN_B, "--plan", "--no-files", "arm=additive"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "640 (128 prompts x 5)" in done.stdout
    assert "arm additive" in done.stdout


def test_a_recipe_with_five_mistakes_gets_them_all_named() -> None:
    """A copy of the 7B recipe with five mistakes, beside it."""
    mistakes = {
        "judge=qwen3_vl_30b": "judge=qwen3_vl_30 fgrpo.dual.lambda_max=-1",
        "scale=gpus_8": "scale=gpus_8 trainer.n_gpus_per_node=6 data.max_prompt_length=4096 "
        "actor_rollout_ref.actor.grad_clop=1.0",
    }
    text = (ROOT / SEVEN_B).read_text()
    for right, wrong in mistakes.items():
        assert right in text
        text = text.replace(right, wrong)
    broken = ROOT / "recipes" / f".broken-{os.getpid()}.sh"
    broken.write_text(text)
    try:
        done = subprocess.run(
            ["bash", str(broken), "--plan", "--no-files"], cwd=ROOT, capture_output=True, text=True, check=False
        )
    finally:
        broken.unlink()
    assert done.returncode == 1
    for named in ("qwen3_vl_30", "fgrpo.dual.lambda_max=-1", "the 6 GPUs", "data.max_prompt_length=4096", "grad_clop"):
        assert named in done.stderr, done.stderr


def test_the_arms_are_the_distinct_configurations() -> None:
    """With the four groups swapped, recipes differ in their arm and in nothing else."""
    found = distinct()
    assert len(found) == len(ARMS)
    assert all(len(pairs) == len(RECIPES) for pairs in found.values()), found


def test_arm_fgrpo_has_run_already(runs: Runs, whole: str) -> None:
    """The other tests' run of the tiny recipe is what every recipe becomes here."""
    overrides = runs.overrides("whole")
    assert len({digest([*groups, *HERE, "arm=fgrpo", *overrides]) for groups in RECIPES.values()}) == 1
    assert sorted(runs.metrics("whole")) == list(range(1, STEPS + 1))


def test_custom_data_constraint_and_thresholds_train(runs: Runs, whole: str, cluster: Cluster, tmp_path: Path) -> None:
    """Scenes in SAT's published format, normalised and mixed; one function and six lines of YAML (recipes/examples).

    The oracle knows the scenes by their pictures. Thresholds and bounds are overrides of the command line.
    """
    rows = pq.read_table(runs.folder / "stages/world/train.parquet").to_pylist()[:40]
    sat = {
        "image_bytes": [[image["bytes"] for image in row["images"]] for row in rows],
        "question": [row["extra_info"]["question"] for row in rows],
        "answers": [list(row["extra_info"]["choices"]) for row in rows],
        "correct_answer": [row["reward_model"]["ground_truth"] for row in rows],
        "question_type": ["miniature"] * len(rows),
    }
    pq.write_table(pa.table(sat), tmp_path / "SAT_train.parquet")
    for stage in (
        ["normalise", "sat", "--location", tmp_path / "SAT_train.parquet", "--out", tmp_path / "sat"],
        ["mix", f"{tmp_path}/sat=32", "--val", "8", "--out", tmp_path / "rl"],
        ["validate", tmp_path / "rl/train.parquet", tmp_path / "rl/val.parquet"],
    ):
        subprocess.run(
            [sys.executable, "-m", "easyr1_fgrpo", "data", *map(str, stage)], cwd=ROOT, check=True, timeout=400
        )
    _two_steps(
        runs, cluster, "custom", "arm=length_budget", *OVERRIDDEN, KEYS,
        f"data.train_files={tmp_path}/rl/train.parquet",
        f"data.val_files={tmp_path}/rl/val.parquet", "data.max_prompt_length=256", FGRPO_CONFIG_DIR="recipes/examples",
    )  # fmt: skip
    first, last = runs.metrics("custom")[1], runs.metrics("custom")[2]
    thresholds = {
        key.split("/")[1]: last[key] for key in last if key.startswith("fgrpo/") and key.endswith("/threshold")
    }
    assert thresholds == {
        **{"consistency": 0.9, "semantic_grounding": 0.95},
        "length_budget": 0.9,
    }
    assert last["fgrpo/dual/lambda_max"] == 2.0
    expected = first["fgrpo/length_budget/multiplier"] + 0.05 * (0.9 - first["fgrpo/length_budget/score"])
    assert last["fgrpo/length_budget/multiplier"] == pytest.approx(expected, abs=1e-12)
    records, bad = read_traces((runs.folder / "custom/traces").glob("train-*.jsonl"))
    assert bad == 0
    assert len(records) == 2 * 8 * 5
    assert {record.question for record in records} <= {row["extra_info"]["question"] for row in rows}
    scores = [record.signals["length_budget"].value for record in records if record.step == 2]
    measured = [score for score in scores if score is not None]
    assert sum(measured) / len(measured) == pytest.approx(last["fgrpo/length_budget/score"])


def _two_steps(runs: Runs, cluster: Cluster, name: str, *more: str, **environment: str) -> None:
    recipe, groups = next(iter(RECIPES.items()))
    process = subprocess.run(
        ["bash", "tests/integration/train_only.sh", *groups, *HERE,
         *runs.overrides(name, "trainer.total_training_steps=2", *more)],
        cwd=ROOT, env={**cluster.environment, **environment},
        text=True, capture_output=True, timeout=RUN_DEADLINE_S, check=False,
    )  # fmt: skip
    log = runs.folder / name / "train.log"
    tail = log.read_text()[-3000:] if log.exists() else ""
    assert process.returncode == 0, f"{recipe}: {process.stderr[-2000:]}\n{tail}"
    assert ENDED in process.stdout


def test_the_7b_recipe_as_a_ray_job_on_two_nodes_learns_as_on_one(runs: Runs, whole: str, cluster: Cluster) -> None:
    """Sent to a head and one worker, a rank on each; its log and its exit code come back, and what one rank learns.

    The checkout lies where both nodes see it. A working directory that travels cannot be tested with two nodes on one
    machine: they share Ray's session folder, and one removes what the other still uses.
    """
    overrides = runs.overrides("job", "trainer.nnodes=2", *TWO_RANKS, "trainer.total_training_steps=2")
    done = subprocess.run(
        ["ray", "job", "submit", "--address", cluster.jobs, "--", "bash", str(ROOT / SEVEN_B), *HERE, *overrides],
        cwd=ROOT, env=cluster.environment, text=True, capture_output=True, timeout=RUN_DEADLINE_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    assert "inconsistency" in done.stdout
    assert ENDED in done.stdout
    assert sorted(runs.metrics("job")) == [1, 2]
    assert (runs.folder / "job/checkpoints/global_step_2/actor/model_world_size_2_rank_1.pt").exists()
    for step, metrics in runs.metrics("job").items():
        assert learning(metrics) == equal_to_five_digits(learning(runs.metrics("whole")[step])), step


def test_two_ranks_on_one_node_learn_what_one_does(runs: Runs, whole: str, tmp_path: Path) -> None:
    with ray_cluster(tmp_path, ("--num-cpus=12", "--num-gpus=2")) as cluster:
        _two_steps(runs, cluster, "ranks", "trainer.n_gpus_per_node=2", *TWO_RANKS)
    assert (runs.folder / "ranks/checkpoints/global_step_2/actor/model_world_size_2_rank_1.pt").exists()
    for step, metrics in runs.metrics("ranks").items():
        assert learning(metrics) == equal_to_five_digits(learning(runs.metrics("whole")[step])), step


def test_a_job_that_fails_says_so(cluster: Cluster, runs: Runs) -> None:
    environment = {**cluster.environment, "RAY_API_SERVER_ADDRESS": cluster.jobs, "FGRPO_RUNS": str(runs.folder)}
    done = subprocess.run(
        ["bash", "recipes/ray/submit.sh", SEVEN_B, *HERE, "fgrpo.dual.lr=-1"],
        cwd=ROOT, env=environment, text=True, capture_output=True, timeout=RUN_DEADLINE_S, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "fgrpo.dual.lr=-1: Input should be greater than 0" in done.stdout + done.stderr
