"""Ends a run that would wait for ever: hosts ask their queues and workers without a limit.

Two signs tell: a process of the run has died, and nothing of the run has moved for `fgrpo.max_silence_s`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import ray
from ray._private.state import actors  # ray.util.state needs a dashboard, which a run's own cluster does not have

POLL_S = 2.0
"""Seconds from one look at the run's processes to the next."""

GRACE_S = 20.0
"""Seconds that a host has to notice a death by itself; its own end is cleaner."""

ROLES = {
    "TransferQueueController": "the controller of the rollout queue",
    "SimpleStorageUnit": "a storage of the rollout queue",
    "AgentLoopWorker": "a rollout worker",
    "RewardLoopWorker": "a reward worker",
    "GlobalRequestLoadBalancer": "the load balancer of the rollouts",
    "FaithfulRewards": "the reward worker",
    "Runner": "the trainer",
    "WorkerDict": "a rank of the policy",
    "Server": "the rollout server",
}
"""What a process does, by a part of its class's name; the first that fits counts."""

_BY_ITSELF = frozenset({"WORKER_DIED", "NODE_DIED"})
"""Of Ray's reasons for an actor's end, those that nobody asked for."""


class StuckError(RuntimeError):
    """A run was ended because a process of it died, or because it did not move."""


@contextmanager
def watched(run_dir: Path, max_silence_s: float, runner: Callable[[], Any]) -> Iterator[None]:
    """Watch what is inside, which waits for the host's runner; end the runner when the run cannot go on.

    Args:
        run_dir: the run's folder, whose files tell whether it moves.
        max_silence_s: seconds without a step, a trace or a checkpoint.
        runner: gives Ray's handle of it; raises ValueError where it is not, or no longer, there.

    Raises:
        StuckError: in place of the host's own error, when a process died or nothing moved.
    """
    watch = Watch(run_dir, max_silence_s, runner)
    stop = threading.Event()
    thread = threading.Thread(target=watch.until, args=(stop,), daemon=True)
    thread.start()
    try:
        yield
    except Exception as error:
        if problem := watch.problem or _died():
            raise StuckError(f"{problem}; the same command resumes after the last checkpoint") from error
        raise
    finally:
        stop.set()
        thread.join()


class Watch:
    """Looks at a run's processes and files now and then."""

    def __init__(self, run_dir: Path, max_silence_s: float, runner: Callable[[], Any]) -> None:
        self.problem = ""
        self._runner = runner
        self._run_dir, self._max_silence_s = run_dir, max_silence_s
        self._files = _files(run_dir)
        self._moved = time.monotonic()
        self._looked = self._moved

    def until(self, stop: threading.Event) -> None:
        """Look until told to stop, or until the runner had to be ended."""
        while not stop.wait(POLL_S):
            if not ray.is_initialized():
                continue
            died = _died()
            if died:
                stop.wait(GRACE_S)
            self.problem = died or self.silence()
            if self.problem:
                if not stop.is_set():
                    with suppress(ValueError):  # it has just ended
                        ray.kill(self._runner())
                return

    def silence(self) -> str:
        """That nothing has moved for too long, in a line; "" while it moves."""
        now = time.monotonic()
        if now - self._looked >= self._max_silence_s / 20:
            self._looked = now
            if (files := _files(self._run_dir)) != self._files:
                self._files, self._moved = files, now
        if now - self._moved < self._max_silence_s:
            return ""
        return (
            f"nothing moved for {self._max_silence_s:g} s (fgrpo.max_silence_s): no step, no rollout's trace, no "
            f"checkpoint was written below {self._run_dir}, while all processes of the run are alive"
        )


def _files(run_dir: Path) -> tuple[int, float]:
    """What changes when a run moves: the size of its files but for the log, and when the last one was written."""
    paths = [run_dir / "metrics.jsonl", *(run_dir / "traces").glob("*"), *(run_dir / "checkpoints").rglob("*")]
    size, last = 0, 0.0
    for path in paths:
        with suppress(FileNotFoundError):  # not yet, or just replaced
            stat = path.stat()
            size, last = size + stat.st_size, max(last, stat.st_mtime)
    return size, last


def _died() -> str:
    """Which processes of this job have died by themselves, in a line; "" when none has."""
    if not ray.is_initialized():
        return ""
    job = ray.JobID(bytes.fromhex(ray.get_runtime_context().get_job_id()))
    try:
        dead = actors(job_id=job, actor_state_name="DEAD").values()
    except ray.exceptions.RaySystemError:  # the cluster itself is going away
        return ""
    lines = [
        f"{_role(actor['ActorClassName'])} (pid {actor['Pid']} on {actor['Address']['IPAddress']}) died"
        for actor in dead
        if _by_itself(actor["DeathCause"])
    ]
    return "; ".join(lines[:3]) + (f" and {len(lines) - 3} more" if len(lines) > 3 else "")


def _role(name: str) -> str:
    return next((role for part, role in ROLES.items() if part in name), f"a process of the run, {name},")


def _by_itself(cause: Any) -> bool:
    if cause.HasField("oom_context"):
        return True
    died = cause.actor_died_error_context
    return died.DESCRIPTOR.fields_by_name["reason"].enum_type.values_by_number[died.reason].name in _BY_ITSELF
