"""Files that survive a kill: written in one step, or a whole line at a time; and folders that know what they hold."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from filelock import FileLock, Timeout

if TYPE_CHECKING:
    from pydantic import BaseModel

Model = TypeVar("Model", bound="BaseModel")

BLOCK = 1 << 16
"""Bytes read at a time when the end of a file is looked at."""


@contextmanager
def replacing(path: Path, *, only_writer: bool = False) -> Iterator[Path]:
    """A new file beside `path` to write to; it becomes `path` when the block went well, and is removed otherwise.

    Args:
        path: its folder is made when it is not there.
        only_writer: whether no other process writes this path at the same time. What a killed one left is then written
            over, which large files want; otherwise each has a file of its own, and the last one wins.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part" if only_writer else f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        with _naming(path):
            yield part
            os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file, text as UTF-8: the whole content or no change."""
    with replacing(path) as part:
        part.write_bytes(content.encode() if isinstance(content, str) else content)


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON: the whole file or no change."""
    write_whole(path, json.dumps(value, indent=1) + "\n")


def load_json(path: Path, model: type[Model], what: str) -> Model:
    """A JSON file as a pydantic model.

    Args:
        path: the file.
        model: its fields.
        what: what the file should be, for the error ("evaluation").

    Raises:
        ValueError: when it is none, in one line.
        OSError: when it cannot be read.
    """
    from pydantic import ValidationError

    try:
        return model.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise ValueError(f"{path} is no {what}: {f'{where}: ' if where else ''}{first['msg']}{more}") from error


def json_object(line: bytes) -> dict[str, Any]:
    """The object in a line, `{}` when it holds none."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


class LineFile:
    """A file that grows by whole lines, one JSON value each; a line is with the system when `append` returns.

    A line that a kill cut off is dropped when the file is opened again. One process writes to a file.

    Args:
        path: made with its folder when it is not there.
        sync: whether a line is also on the disk when `append` returns, so that it outlives the machine.
    """

    def __init__(self, path: Path, *, sync: bool = False) -> None:
        self.path = path
        self._sync = sync
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a+b")
        self._file.truncate(_whole_bytes(self._file))
        self._file.seek(0, os.SEEK_END)

    def append(self, *lines: str) -> int:
        """Add lines, given without their line ends; returns the byte offset of the first."""
        offset = self._file.seek(0, os.SEEK_END)
        with _naming(self.path):
            self._file.write("".join(f"{line}\n" for line in lines).encode())
            self._file.flush()
            if self._sync:
                os.fsync(self._file.fileno())
        return offset

    def read(self, offset: int) -> bytes:
        """The line at a byte offset."""
        self._file.seek(offset)
        return self._file.readline()

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """All lines, each with its byte offset."""
        offset = self._file.seek(0)
        for line in self._file:
            yield offset, line
            offset += len(line)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> LineFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def begin(folder: Path, settings: Mapping[str, Any]) -> None:
    """Note in `settings.json` what a folder is made with, or compare with what it was begun with.

    Args:
        folder: made when it is not there.
        settings: what its content depends on, as JSON knows it.

    Raises:
        ValueError: when it was begun with other settings; the message names them, before and now.
    """
    path = folder / "settings.json"
    if not path.exists():
        write_json(path, dict(settings))
        return
    check_settings(folder, json.loads(path.read_text(encoding="utf-8")), settings)


def check_settings(
    path: Path,
    before: Mapping[str, Any],
    settings: Mapping[str, Any],
    way_out: str = "remove it or choose another --out",
) -> None:
    """Compare what a file or folder was begun with and what it would go on with.

    Raises:
        ValueError: when they differ; the message names the settings, before and now.
    """
    if changed := sorted(key for key in {*before, *settings} if before.get(key) != settings.get(key)):
        differences = ", ".join(f"{key}={before.get(key)!r}, now {settings.get(key)!r}" for key in changed)
        raise ValueError(f"{path} was begun with other settings ({differences}): {way_out}")


def place_problem(folder: Path) -> str | None:
    """Why a folder can neither be written into nor be made, in half a line; None where it can."""
    nearest = next(path for path in (folder.absolute(), *folder.absolute().parents) if os.path.lexists(path))
    if not os.path.isdir(nearest):
        return f"{nearest} is no folder"
    try:
        # Permissions are not all of it: root has them in /proc and on a disk mounted for reading, too.
        with tempfile.TemporaryFile(dir=nearest):
            return None
    except OSError:
        return f"{nearest} cannot be written into"


def taken(out: Path) -> bool:
    """Whether something is already there: a file, or a folder that is not empty."""
    return out.exists() and (not out.is_dir() or any(out.iterdir()))


@contextmanager
def whole_folder(out: Path, *, replace: bool = False) -> Iterator[Path]:
    """A folder beside `out` to write into; it becomes `out` when everything in the block went well.

    Args:
        out: the folder.
        replace: whether it takes the place of an earlier one.

    Raises:
        FileExistsError: when `out` already holds something that is not to be replaced.
        BlockingIOError: when another process is making it.
    """
    out = out.absolute()
    partial, earlier = (out.with_name(f".{out.name}.{what}") for what in ("partial", "earlier"))
    with _only_maker(out):
        if not replace and taken(out):
            raise FileExistsError(f"{out} is not empty: remove it or choose another folder")
        shutil.rmtree(partial, ignore_errors=True)  # left by a killed run
        partial.mkdir()
        try:
            yield partial
            if replace and out.exists():
                shutil.rmtree(earlier, ignore_errors=True)
                out.rename(earlier)
            partial.rename(out)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(earlier, ignore_errors=True)


@contextmanager
def _only_maker(out: Path) -> Iterator[None]:
    out.parent.mkdir(parents=True, exist_ok=True)
    lock = out.with_name(f".{out.name}.lock")
    try:
        held = FileLock(lock, timeout=0).acquire()
    except Timeout as error:
        raise BlockingIOError(f"{out}: another process is making it; wait for its end, or end it") from error
    with held:
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Of a full disk the system does not say which file it was."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


def _whole_bytes(file: Any) -> int:
    """Bytes up to the last line end."""
    end: int = file.seek(0, os.SEEK_END)
    while end > 0:
        start = max(0, end - BLOCK)
        file.seek(start)
        at = file.read(end - start).rfind(b"\n")
        if at >= 0:
            whole: int = start + at + 1
            return whole
        end = start
    return 0
