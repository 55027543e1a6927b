"""Where a benchmark's published files are: on the hub, in a folder, in an archive that stays packed."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import IO

from easyr1_fgrpo.evaluation.benchmarks.lazy_images import OpenFile

Folder = Path | zipfile.Path
"""A folder on disk or inside an archive."""


def local_copy(location: str | Path | None, hub_id: str, patterns: Sequence[str]) -> Path:
    """The location, or the hub's files in its local cache, downloaded where they are not there yet.

    Raises:
        ValueError: when there is neither.
    """
    if location is not None:
        if not Path(location).exists():
            raise ValueError(f"{location}: no such file or folder")
        return Path(location)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return Path(snapshot_download(hub_id, repo_type="dataset", allow_patterns=list(patterns)))
    except (OSError, HfHubHTTPError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{hub_id}: not to be had from the hub ({reason}); name a local copy") from error


def parquet_files(location: Path, patterns: Sequence[str]) -> list[Path]:
    """The file itself, or those of a folder that match the first pattern that matches any.

    Raises:
        ValueError: when there are none.
    """
    if location.is_file():
        return [location]
    for pattern in patterns:
        if files := sorted(location.glob(pattern)):
            return files
    raise ValueError(f"{location}: no file {' or '.join(patterns)}")


def folder_of(index: str, location: Path, *, archive: str, inside: Sequence[str]) -> Folder:
    """The folder that holds the file `index`: in an unpacked copy, else inside the archive, which stays packed.

    Args:
        index: path of the file relative to the folder.
        location: the archive, a folder that holds it, or its unpacked content.
        archive: name of the published archive.
        inside: names the folder may have; "" stands for the top.

    Raises:
        ValueError: when the file is in none of them or the archive is damaged.
    """
    tops: list[Folder] = [location] if location.is_dir() else [_opened_zip(location)]
    if (location / archive).is_file():
        tops.append(_opened_zip(location / archive))
    for top in tops:
        for name in inside:
            folder = top / name if name else top
            if (folder / index).is_file():
                return folder
    raise ValueError(f"{location}: no {index}; expected {archive}, its folder or its content")


def file_in(folder: Folder, name: str) -> OpenFile:
    """Opens a file that a row names.

    Raises:
        ValueError: when it is missing or would be outside of the folder.
    """
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise ValueError(f"image path {name!r} leaves the folder")
    if not (folder / name).is_file():
        raise ValueError(f"no image {name}")

    def open_file() -> IO[bytes]:
        return (folder / name).open("rb")

    return open_file


def read_text(file: Folder) -> str:
    """A text file's content.

    Raises:
        ValueError: when it is damaged or no UTF-8.
    """
    try:
        return file.read_bytes().decode("utf-8-sig")
    except (OSError, EOFError, zipfile.BadZipFile, UnicodeDecodeError) as error:
        raise ValueError(f"{file}: cannot be read ({error})") from error


def _opened_zip(path: Path) -> zipfile.Path:
    try:
        return zipfile.Path(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: no whole zip archive ({error}); download it again") from error
