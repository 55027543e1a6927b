"""What is said of a config before anything is started, with EasyR1's own keys and defaults."""

import json
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
        assert "fgrpo.images.coordinates" not in done.stdout
    qwen3 = "worker.actor.model.model_path=Qwen/Qwen3-VL-8B-Instruct"
    done = checked(host, "bash", "recipes/run_fgrpo_easyr1_7b.sh", JUDGE[-1], "--plan", "--no-files", qwen3)
    assert "note: fgrpo.images.coordinates=pixels: Qwen/Qwen3-VL-8B-Instruct is a Qwen3-VL" in done.stdout


def test_easyr1s_own_example_needs_a_judge_and_no_reward_function(host):
    example = (f"config={host.checkout / 'examples/config.yaml'}", "trainer.logger=[file]", "--no-files")
    done = checked(host, "fgrpo", "plan", *example, "arm=grpo_t", "trainer.max_step=5")
    assert done.stderr.splitlines()[-1] == (
        "error: trainer.max_step: EasyR1 has no such key (did you mean trainer.max_steps?)"
    )
    done = checked(host, "fgrpo", "plan", *example)
    lines = [line.partition(": ")[2] for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert [line.partition(":")[0].partition("=")[0] for line in lines] == [
        "worker.reward.reward_function",
        "fgrpo.judges.consistency is not set, but consistency in fgrpo.constraint_keys needs it",
        "fgrpo.judges.grounding is not set, but semantic_grounding in fgrpo.constraint_keys needs it",
    ]
    done = checked(host, "fgrpo", "plan", *example, *JUDGE, "worker.reward.reward_function=null")
    assert done.returncode == 0, done.stderr


PLANS = """
import json, sys
from easyr1_fgrpo.easyr1_plugin.run import plan
from easyr1_fgrpo.preflight.counts import Assumptions
for arguments in json.loads(sys.argv[1]):
    print(plan(arguments, files=False, assumed=Assumptions()), file=sys.stderr)
"""
FILES = {
    "list.yaml": ("- a\n", "config={}: it holds no keys but a list"),
    "tab.yaml": ("a:\n\tb: 1\n", "config={}: cannot be read (while scanning"),
    "twice.yaml": ("a: 1\na: 2\n", "config={}: cannot be read (while constructing a mapping"),
    "none.yaml": ("algorithm:\n", "algorithm=None: takes keys of its own"),
    "binary.yaml": ("\0", "config={}: cannot be read (unacceptable character"),
}
WORDS = {
    "config=": "config=: no such file",
    "train": "train: write KEY=VALUE",
    "+trainer.max_steps=4": "+trainer.max_steps=4: write KEY=VALUE, without +",
    "fgrpo=5": "fgrpo=5: takes keys of its own",
    "fgrpo.constraints=[consistency]": "fgrpo.constraints=['consistency']: takes keys of its own",
    "trainer.logger=console": "trainer.logger=console: takes a list, as in [console]",
    "data.train_files=[a,b]": "data.train_files=['a', 'b']: takes one value",
    "worker.rollout.n=many": "worker.rollout.n: Value 'many' of type 'str' could not be converted to Integer",
    "actor_rollout_ref.rollout.n=5": "actor_rollout_ref: EasyR1 has no such key",
}


def test_what_cannot_be_read_is_one_line(host, tmp_path):
    expected = dict(WORDS)
    for name, (content, said) in FILES.items():
        (tmp_path / name).write_text(content)
        expected[f"config={tmp_path / name}"] = said.format(tmp_path / name)
    done = checked(host, PYTHON, "-c", PLANS, json.dumps([[word] for word in expected]))
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if line == "1" or line.startswith("error: ")]
    assert len(lines) == 2 * len(expected), done.stderr
    for said, line, code in zip(expected.values(), lines[::2], lines[1::2], strict=True):
        assert line.startswith(f"error: {said}")
        assert code == "1"
