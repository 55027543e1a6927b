"""Whether the checkpoint that a run would go on from is all there: found in seconds, before Ray starts.

Hosts start anew when the folder that their marker names is missing, take rows from the first on when their place in
the data is, and end in an error without a file name when a shard was cut.

`fgrpo.resume.from=global_step_N` goes back to an earlier one: its step is marked as the run's last, so the host goes on
from there. The run's resumes.jsonl notes it, and the same command does not go back again.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from easyr1_fgrpo.checkpoints import CheckpointError, manifest_problems, read_state, step_folder, step_of
from easyr1_fgrpo.files import LineFile

RESUMES_FILE = "resumes.jsonl"
"""Of a run: when it went on as something else, or from an earlier checkpoint."""

MODEL, OPTIMIZER, EXTRA = "model", "optim", "extra_state"
"""How both hosts name what a rank saves, `NAME_world_size_N_rank_R.pt` in `actor/`."""


@dataclass(frozen=True)
class HostFiles:
    """How a host names what it saves beside the policy.

    Attributes:
        place: file of a checkpoint with the run's place in its data.
        marker: file beside the checkpoints that names the last whole one.
        marked: the step it names, None where there is none; raises `CheckpointError` when it cannot be read.
        mark: lets it name another step.
    """

    place: str
    marker: str
    marked: Callable[[Path], int | None]
    mark: Callable[[Path, int], None]


@dataclass(frozen=True)
class SavedRun:
    """A run's checkpoints.

    Attributes:
        run_dir: the run's folder.
        checkpoints: folder of them.
        back: `fgrpo.resume.from`, an earlier one to go back to, "" for the last.
        shards: what each rank saves.
        ranks: of this run.
        machines: that they are on; a rank of another machine may have its files there.
        host: names of files.
    """

    run_dir: Path
    checkpoints: Path
    back: str
    shards: tuple[str, ...]
    ranks: int
    machines: int
    host: HostFiles

    def step(self) -> int | None:
        """The step that the run would go on after; None where it starts anew.

        Raises:
            CheckpointError: when what it would go on from cannot be read, or is not all there.
        """
        if self._goes_back():
            return self.checked(self.checkpoints / self.back)
        step = self._marked()
        return None if step is None else self.checked(step_folder(self.checkpoints, step))

    def checked(self, folder: Path) -> int:
        """The step of a checkpoint that is all there.

        Raises:
            CheckpointError: when it is not, in one line with the way out.
        """
        problems, step = list(self.problems(folder)), step_of(folder)
        if problems or step is None:
            raise CheckpointError(f"{'; '.join(problems)}{self._way_out(folder)}")
        return step

    def go_back(self) -> None:
        """Mark the checkpoint of `fgrpo.resume.from` as the run's last, unless that is done; its run must be locked."""
        if self._goes_back():
            self.host.mark(self.checkpoints, int(self.back.rpartition("_")[2]))
            with LineFile(self.run_dir / RESUMES_FILE) as file:
                file.append(json.dumps({"from": self.back, "at": datetime.now(UTC).isoformat(timespec="seconds")}))

    def problems(self, folder: Path) -> Iterator[str]:
        """What is missing, cut or changed in a checkpoint, one line each: no tensor is read, whatever the size.

        Args:
            folder: `global_step_N`.
        """
        if step_of(folder) is None or not folder.is_dir():
            yield f"{folder}: no such checkpoint"
            return
        try:
            read_state(folder)
        except (CheckpointError, FileNotFoundError) as error:
            yield str(error)
        lost = [*_cut(folder / self.host.place), *self._lost_shards(folder / "actor")]
        yield from lost or manifest_problems(folder)

    def _goes_back(self) -> bool:
        """Whether the run has to go back: it has not done so yet, or what it saved since is not whole either."""
        notes = self.run_dir / RESUMES_FILE
        whole = notes.read_bytes().rpartition(b"\n")[0] if notes.exists() else b""
        earlier = [record["from"] for line in whole.splitlines() if "from" in (record := json.loads(line))]
        if not self.back or earlier[-1:] != [self.back]:
            return bool(self.back)
        try:
            step = self.host.marked(self.checkpoints)
        except CheckpointError:
            return True
        return step is None or any(self.problems(step_folder(self.checkpoints, step)))

    def _marked(self) -> int | None:
        """The step that is marked. A first checkpoint that was cut off has no marker and the run starts anew."""
        try:
            step = self.host.marked(self.checkpoints)
        except CheckpointError as error:
            raise CheckpointError(f"{error}{self._way_out(None)}") from None
        folders = self.checkpoints.glob("global_step_*")
        steps = sorted(found for folder in folders if (found := step_of(folder)) is not None)
        if step is None and len(steps) > 1:  # a second one shows that the marker is gone
            where = self.checkpoints / self.host.marker
            missing = f"{where} is missing beside checkpoints of steps {', '.join(map(str, steps))}"
            raise CheckpointError(f"{missing}{self._way_out(None)}")
        return step

    def _lost_shards(self, actor: Path) -> Iterator[str]:
        for name in self.shards:
            written = sorted(actor.glob(f"{name}_world_size_*_rank_*.pt"))
            ours = [actor / f"{name}_world_size_{self.ranks}_rank_{rank}.pt" for rank in range(self.ranks)]
            if written and not set(written) <= set(ours):
                yield f"{written[0]}: written by another number of ranks than this run's {self.ranks}"
            else:
                for path in ours if self.machines == 1 or not written else written:
                    yield from _cut(path)

    def _way_out(self, wrong: Path | None) -> str:
        folders = sorted(self.checkpoints.glob("global_step_*"), key=lambda folder: step_of(folder) or 0, reverse=True)
        for folder in folders:
            if folder != wrong and not any(self.problems(folder)):
                return f". Go on from the last whole one: the same command with fgrpo.resume.from={folder.name}"
        if not folders and self.back:
            return ", nor any other: leave fgrpo.resume.from out to start anew"
        return f". No{' other' if wrong else ''} checkpoint there is whole: move {self.checkpoints} away to start anew"


def _cut(path: Path) -> Iterator[str]:
    """A file of torch's is a zip, whose directory stands at its end."""
    if not path.exists():
        yield f"{path} is missing"
    elif not zipfile.is_zipfile(path):
        yield f"{path} is no whole file ({path.stat().st_size} bytes): it was cut or overwritten"
