"""Pictures: found below a folder (archives are unpacked into it first), read, and kept as the bytes they are."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, Any

from PIL.Image import Image
from tqdm import tqdm

from data_prep.sources.item import ImageRef, Reject
from easyr1_fgrpo.pictures import UnreadableImage, decode, plain_file
from easyr1_fgrpo.published.files import leaves_folder
from easyr1_fgrpo.published.pictures import spellings, written_picture

_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"})
_DEPTH = 4
_CHUNK = 1 << 20


def keep_bytes(data: bytes) -> tuple[bytes, Image]:
    """A picture's bytes as a row holds them (`easyr1_fgrpo.pictures.plain_file`), and the picture, RGB at its raw size.

    Orientation marks are not applied: boxes are given in the stored pixels, and trainers do not apply them.

    Raises:
        Reject: when the bytes are no whole picture, or one that the policy cannot be shown.
    """
    try:
        return plain_file(data), decode(data)
    except UnreadableImage as error:
        raise Reject("unreadable image", error.why) from None


def picture_bytes(picture: Any, root: Path) -> bytes:
    """A picture's bytes, given as data sets have it: bytes, a path, or what `datasets` makes of either.

    Args:
        picture: the value; a name without a suffix, or a number, stands for the picture file of that name, a data URL
            or base64 for itself.
        root: the resolved folder below which paths lead.

    Raises:
        Reject: when there is none, or when it would lie outside of the folder.
    """
    if isinstance(picture, dict):
        picture = picture.get("bytes") or picture.get("path")
    if isinstance(picture, bytes):
        return picture
    if isinstance(picture, float) and picture.is_integer():  # what pandas makes of numbers with gaps
        picture = int(picture)
    if not isinstance(picture, str | int) or picture == "":
        raise Reject("missing image", f"neither bytes nor a path, but {type(picture).__name__}")
    try:
        if (written := written_picture(str(picture))) is not None:
            return written
    except ValueError as error:
        raise Reject("unreadable image", str(error)) from None
    for name in (f"{one}{suffix}" for one in spellings(str(picture)) for suffix in ("", *sorted(_SUFFIXES))):
        path = (root / name).resolve()
        if not path.is_relative_to(root):
            raise Reject("image path leaves the folder", repr(picture))
        try:
            return path.read_bytes()
        except (OSError, ValueError):
            continue
    raise Reject("missing image", repr(picture))


class Pictures:
    """The pictures below a folder, found by the path that a source gives, wherever below the folder that path begins.

    A path is never shortened to its last part: basenames are ambiguous across the parts of a source.

    Args:
        root: the folder; None for a source whose records hold their pictures.
    """

    def __init__(self, root: Path | None) -> None:
        self._places: dict[str, list[Path]] = {}  # a folder's name -> the folders that hold one of that name
        for folder in (root, *_folders(root)) if root else ():
            self._places.setdefault(folder.name, []).append(folder.parent)

    def read(self, ref: ImageRef) -> bytes:
        """The bytes of a picture.

        Raises:
            Reject: when the file is missing, ambiguous, or would lie outside of the folder.
        """
        if isinstance(ref, bytes):
            return ref
        for name in ref:
            if found := self._find(name):
                if len(found) > 1:
                    raise Reject("ambiguous image", f"{name!r} is {' and '.join(map(str, found))}")
                try:
                    return found[0].read_bytes()
                except OSError as error:
                    raise Reject("unreadable image", str(error)) from None
        raise Reject("missing image", " or ".join(map(repr, ref)))

    def _find(self, name: str) -> list[Path]:
        if leaves_folder(name):
            raise Reject("image path leaves the folder", repr(name))
        path = PurePosixPath(name)
        return [base / path for base in self._places.get(path.parts[0], []) if (base / path).is_file()]


def _folders(root: Path, depth: int = 0) -> Iterator[Path]:
    if depth == _DEPTH:
        return
    for entry in sorted(os.scandir(root), key=lambda entry: entry.name):
        if entry.is_dir():
            yield Path(entry.path)
            yield from _folders(Path(entry.path), depth + 1)


# ---------------------------------------------------------------------- archives


def unpack(archives: Sequence[Path], folder: Path, parts: frozenset[str] = frozenset()) -> None:
    """Unpack the pictures of tar archives, gzip or not; a finished archive is not unpacked again.

    Files whose names end neither in .tar nor in .tar.gz nor in .tgz are consecutive pieces of one archive, in order of
    names.

    Args:
        archives: the archives' files.
        folder: where pictures go, under their paths in the archive.
        parts: only pictures with one of these folders in their path; all when empty.

    Raises:
        ValueError: for an archive that is damaged or cut off.
    """
    folder.mkdir(parents=True, exist_ok=True)
    whole = [path for path in archives if path.name.endswith((".tar", ".tar.gz", ".tgz"))]
    pieces = [path for path in archives if path not in whole]
    for files in [[path] for path in whole] + ([pieces] if pieces else []):
        done = folder / f".{files[0].name}.unpacked"
        if not done.exists():
            _unpack(files, folder, parts)
            done.touch()


def _unpack(files: Sequence[Path], folder: Path, parts: frozenset[str]) -> None:
    try:
        with (
            _Joined(files) as stream,
            tarfile.open(fileobj=stream, mode="r|*") as archive,  # type: ignore[call-overload]
            tqdm(desc=f"Unpacking {files[0].name}", unit="picture", delay=1.0) as bar,
        ):
            for member in archive:
                path = PurePosixPath(member.name)
                if member.isfile() and path.suffix.lower() in _SUFFIXES and (not parts or parts & set(path.parts)):
                    archive.extract(member, folder, filter="data")
                    bar.update()
            # tarfile takes a header that makes no sense for the end; after a true end only zeros may follow
            while rest := archive.fileobj.read(_CHUNK):
                if rest.strip(b"\0"):
                    raise tarfile.ReadError("damaged, or pieces are missing")
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ValueError(f"{files[0]}: cannot be unpacked ({type(error).__name__}: {error})") from None


class _Joined:
    """Several files read as one."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._waiting = list(paths)
        self._open: IO[bytes] | None = None

    def __enter__(self) -> _Joined:
        return self

    def __exit__(self, *_: object) -> None:
        if self._open is not None:
            self._open.close()

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; none at the end of the last file."""
        while self._open or self._waiting:
            if self._open is None:
                self._open = self._waiting.pop(0).open("rb")
            if data := self._open.read(size):
                return data
            self._open.close()
            self._open = None
        return b""
