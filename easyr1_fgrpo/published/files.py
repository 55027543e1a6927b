"""Where published files are: on the hub, in a folder, in an archive that stays packed."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import IO

from easyr1_fgrpo.published.pictures import OpenFile

_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")

Folder = Path | zipfile.Path
"""A folder on disk or inside an archive."""


def is_hub_id(location: str) -> bool:
    """Whether a location is no local path but may be a hub id like `array/SAT`."""
    return not Path(location).expanduser().exists() and _HUB_ID.fullmatch(location) is not None


def find_files(location: str, patterns: Sequence[str]) -> list[Path]:
    """The files at a location.

    Args:
        location: a file, a folder, or the id of a data set on the Hugging Face hub, whose files are downloaded into the
            hub's cache (again for free).
        patterns: glob patterns below the location; the first that finds anything counts. In a folder a pattern's last
            part alone will do.

    Raises:
        ValueError: when nothing is found, or when the hub cannot be read.
    """
    path = Path(location).expanduser()
    if path.exists():
        return files_in(path, patterns)
    if not is_hub_id(location):
        raise ValueError(f"{location}: no such file or folder, and no hub id like owner/name")
    for pattern in patterns:
        if found := matching(from_hub(location, [pattern]), [pattern]):
            return found
    raise ValueError(f"{location}: holds none of {', '.join(patterns)}")


def files_in(path: Path, patterns: Sequence[str]) -> list[Path]:
    """The file itself, or those of a folder that match the first pattern that matches any.

    Raises:
        ValueError: when there are none.
    """
    if path.is_file():
        return [path]
    if not (found := matching(path, patterns)):
        raise ValueError(f"{path}: holds none of {', '.join(patterns)}")
    return found


def matching(folder: Path, patterns: Sequence[str]) -> list[Path]:
    """The files in a folder that the first pattern with any finds; a pattern's last part alone will do, too.

    Hidden ones, and what macOS puts beside a file in an archive, are none: copies, and no data.
    """
    for pattern in patterns:
        for form in (pattern, Path(pattern).name):
            paths = (path for path in folder.glob(form) if path.is_file())
            if found := sorted(path for path in paths if not _is_hidden(path.relative_to(folder))):
                return found
    return []


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in path.parts)


def local_copy(location: str | Path | None, hub_id: str, patterns: Sequence[str]) -> Path:
    """The location, or the hub's files where none is given.

    Raises:
        ValueError: when there is neither.
    """
    if location is None:
        return from_hub(hub_id, patterns)
    if not Path(location).exists():
        raise ValueError(f"{location}: no such file or folder")
    return Path(location)


def from_hub(hub_id: str, patterns: Sequence[str]) -> Path:
    """The hub's files in its local cache, downloaded where they are not there yet.

    Raises:
        ValueError: when the hub cannot be read and the cache has nothing.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        return Path(snapshot_download(hub_id, repo_type="dataset", allow_patterns=list(patterns)))
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(
            f"{hub_id}: cannot be read from the hub ({type(error).__name__}: {reason}); give a local folder"
        ) from None


# ---------------------------------------------------------------------- archives that stay packed


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


def leaves_folder(name: str) -> bool:
    """Whether a path that a record names would lead out of the folder of its data set, or is none."""
    path = PurePosixPath(name)
    return path.is_absolute() or ".." in path.parts or not path.parts or "\0" in name


def file_in(folder: Folder, name: str) -> OpenFile:
    """Opens a file that a row names.

    Raises:
        ValueError: when it is missing or would be outside of the folder.
    """
    if leaves_folder(name):
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
