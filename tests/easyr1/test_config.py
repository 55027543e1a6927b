"""What is said of a config before anything is started, with EasyR1's own keys and defaults."""

import os
import subprocess

import pytest

from easyr1.runs import PYTHON, ROOT

pytestmark = pytest.mark.easyr1

JUDGE = ("judge=openai_compatible", "judge_endpoint.model=m", "judge_endpoint.base_urls=[http://127.0.0.1:9/v1]")


def checked(host, *command):
    environment = {
        **os.environ,
        "PATH": f"{PYTHON.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(host.checkout),
    }
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False)


def test_the_recipes_have_easyr1s_keys(host):
    for size in ("7b", "3b"):
        done = checked(host, "bash", f"recipes/run_fgrpo_easyr1_{size}.sh", JUDGE[-1], "--plan", "--no-files")
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()
        assert lines[0].strip() == f"runs/fgrpo_easyr1_{size}-s0"
        assert "640 (128 prompts x 5)" in done.stdout
        assert lines[-1] == "nothing is wrong with this plan; model and data were not looked for"


def test_easyr1s_own_example_needs_a_judge_and_no_reward_function(host):
    example = (f"config={host.checkout / 'examples/config.yaml'}", "trainer.logger=[file]", "--no-files")
    done = checked(host, "fgrpo", "plan", *example, "arm=grpo_t", "trainer.max_step=5")
    assert done.stderr.splitlines()[-1] == "error: trainer.max_step: EasyR1 has no such key"
    done = checked(host, "fgrpo", "plan", *example)
    lines = [line.partition(": ")[2] for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert [line.partition(":")[0].partition("=")[0] for line in lines] == [
        "worker.reward.reward_function",
        "fgrpo.judges.consistency is not set, but consistency in fgrpo.constraint_keys needs it",
        "fgrpo.judges.grounding is not set, but semantic_grounding in fgrpo.constraint_keys needs it",
    ]
    done = checked(host, "fgrpo", "plan", *example, *JUDGE, "worker.reward.reward_function=null")
    assert done.returncode == 0, done.stderr
