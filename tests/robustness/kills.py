"""kill -9 of one kind of process of a run, three times at random moments; the same command resumes each time."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial

from integration.recipe_runs import TRAIN_ONLY

from .bench import STEPS, Bench
from .ends import end_of, last_error
from .outcomes import Outcome
from .processes import processes

TIMES = 3
SCRIPT = "the script"
KINDS = {
    "trainer": ("TaskRunnerV1", "the trainer"),
    "queue": ("TransferQueueController", "the controller of the rollout queue"),
    "storage": ("SimpleStorageUnit", "a storage of the rollout queue"),
    "rollout_worker": ("AgentLoopWorkerTQ", "a rollout worker"),
    "rollout_server": ("CpuRolloutServer", "the rollout server"),
    "load_balancer": ("GlobalRequestLoadBalancer", "the load balancer"),
    "reward_worker": ("RewardLoopWorker", "a reward worker"),
    "rank": ("WorkerDict", "a rank of the policy"),
    "control_store": ("gcs_server", "error: "),
    "raylet": ("raylet", "error: "),
    "command": ("fgrpo train", ""),
    "script": (SCRIPT, ""),
}
"""Name of a unit -> the role of the process that is killed, and what the run has to say about it."""

JUDGE = "JudgeServer"


def kill_units() -> dict[str, Callable[[Bench], Iterator[Outcome]]]:
    """A unit for each kind."""
    return {f"kill_{name}": partial(kill, name) for name in KINDS} | {"kill_judge": kill_judge}


def kill(name: str, bench: Bench) -> Iterator[Outcome]:
    """Kill one kind of process three times in one run, which is resumed each time and then compared step by step."""
    role, tells = KINDS[name]
    run = bench.forget(f"kill_{name}")
    ends, resumed_after, steps = [], [], bench.moments(TIMES)
    for step in steps:
        process = bench.runs.start(run, script=TRAIN_ONLY)
        bench.runs.wait_for_step(run, step, process)
        time.sleep(bench.draws.random())
        ends.append(end_of(process, partial(os.kill, _victim(role, process), signal.SIGKILL), tells))
        resumed_after.append(bench.saved(run))
    bench.runs.run(run, script=TRAIN_ONLY)
    for step, end, equal in zip(steps, ends, bench.equal_after(run, resumed_after), strict=True):
        yield Outcome(f"{role} killed after step {step}", end.said, end.clear, end.seconds, equal)


def kill_judge(bench: Bench) -> Iterator[Outcome]:
    """Kill the judge server, which Ray starts again, while the run waits for its verdicts."""
    run, steps = bench.forget("kill_judge"), bench.moments(TIMES)
    process = bench.runs.start(run, script=TRAIN_ONLY)
    for step in steps:
        bench.runs.wait_for_step(run, step, process)
        time.sleep(bench.draws.random())
        os.kill(_victim(JUDGE, process), signal.SIGKILL)
    output = bench.runs.finish(process)
    good = process.returncode == 0
    for step, next_step in zip(steps, [*steps[1:], STEPS], strict=True):
        yield Outcome(
            f"{JUDGE} killed after step {step}", "the run went on" if good else last_error(output), good,
            equal=good and bench.equal(run, range(step, next_step + 1)),
        )  # fmt: skip


def _victim(role: str, process: subprocess.Popen[str]) -> int:
    if role == SCRIPT:
        return process.pid
    return next(one.pid for one, found in processes([process.pid]) if found == role)
