"""The tiny recipe's training with the miniature's own sizes: processor time to its first step, and a step's.

Its stages are those of the first command in this checkout; where they are missing, making them takes some minutes. What
workers import is shared by forks; without them, as before, each imports it again: `py_executable=python`.
"""

import subprocess
import time
from collections import Counter

import psutil
import pytest
from integration.recipe_runs import ROOT, TRAIN_ONLY
from robustness.processes import role_of

TINY = ("backbone=tiny", "dataset=miniature", "scale=cpu")
FIRST, LAST = 4, 24
BEFORE = (
    "2.6 s, 3.5 s of the cores (`7b66859`; `4fb3e91` right after it: 2.3 s, 3.1 s, equal in 3,386 metrics of 24 steps)"
)
"""A step, whose other savings have no switch."""


OTHERS = "all others"


def processor_s(process):
    """Of all that a script started and that is there, by what it does."""
    seconds = Counter()
    for one in psutil.Process(process.pid).children(recursive=True):
        try:
            seconds[role_of(" ".join(one.cmdline())) or OTHERS] += sum(one.cpu_times()[:2])
        except psutil.NoSuchProcess:
            continue
    return seconds


@pytest.fixture(scope="module")
def train(tmp_path_factory):
    """Trains; seconds and processor seconds to the first step, and of a step afterwards, the latter by role."""
    folder = tmp_path_factory.mktemp("tiny")

    def run(name, *overrides):
        said = (folder / f"{name}.log").open("w")
        started = time.perf_counter()
        process = subprocess.Popen(
            ["bash", TRAIN_ONLY, f"fgrpo.run_dir={folder / name}", f"trainer.total_training_steps={LAST + 1}",
             "trainer.save_freq=100", *TINY, *overrides],
            cwd=ROOT, stdout=said, stderr=said,
        )  # fmt: skip
        seen = {}
        while process.poll() is None and LAST not in seen:
            metrics = folder / name / "metrics.jsonl"
            steps = len(metrics.read_bytes().splitlines()) if metrics.exists() else 0
            for step in (1, FIRST, LAST):
                if steps >= step and step not in seen:
                    seen[step] = steps, time.perf_counter(), processor_s(process)
            time.sleep(0.05)
        process.terminate()
        process.wait()
        assert LAST in seen, (folder / f"{name}.log").read_text()[-2000:]
        (a, since, used), (b, until, used_then) = seen[FIRST], seen[LAST]
        of_a_step = Counter({role: (used_then[role] - used[role]) / (b - a) for role in used_then})
        return seen[1][1] - started, seen[1][2].total(), (until - since) / (b - a), of_a_step

    subprocess.run(
        ["bash", "-c", "source recipes/setup/environment.sh && prepare_environment && "
         f"VERL_PLATFORM=cpu fgrpo stages {' '.join(TINY)}"], cwd=ROOT, check=True,
    )  # fmt: skip
    return run


def test_the_start_and_a_step(benchmark, row, train):
    before_s, before_cpu_s, _, _ = train("each_for_itself", "ray_kwargs.ray_init.runtime_env.py_executable=python")
    start_s, start_cpu_s, step_s, by_role = benchmark.pedantic(train, ("forked",), rounds=1)
    row(
        "the miniature's training, from the script's start to its first step",
        f"{start_s:.0f} s, {start_cpu_s:.0f} s of the cores",
        before=f"{before_s:.0f} s, {before_cpu_s:.0f} s of the cores",
    )
    row(
        "a step of it, 80 rollouts",
        f"{step_s:.1f} s, {by_role.total():.1f} s of the cores",
        before=BEFORE,
        bound="1 s: sampler, log-probs and update without Ray",
    )
    named = {role: seconds for role, seconds in by_role.most_common() if seconds >= 0.05 and role != OTHERS}
    rest = by_role.total() - sum(named.values())
    row(
        "who uses the cores in it",
        ", ".join([*(f"{role} {seconds:.2f} s" for role, seconds in named.items()), f"{OTHERS} {rest:.2f} s"]),
        bound="WorkerDict and CpuRolloutServer compute; the others hand rollouts on, score and count them",
    )
    assert start_cpu_s < 0.75 * before_cpu_s
