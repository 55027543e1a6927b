"""What the commands share: Hydra overrides as arguments, one clear line for bad input, text fit for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Never

import typer

from easyr1_fgrpo.files import place_problem, taken
from easyr1_fgrpo.stopping import stop_code
from easyr1_fgrpo.terminal import printable

if TYPE_CHECKING:
    from easyr1_fgrpo.config.schema import FgrpoConfig

Overrides = Annotated[list[str] | None, typer.Argument(metavar="[OVERRIDES...]", help="Hydra overrides of the run")]

BAD_INPUT = 1


def read_overrides(overrides: Iterable[str]) -> FgrpoConfig:
    """Our settings of a run; what is wrong with them ends the command with exit code 1, one line each."""
    from easyr1_fgrpo.config.load import ConfigError, load_config, read_settings

    try:
        return read_settings(load_config(list(overrides)))
    except ConfigError as error:
        refuse(error.lines)


def refuse(problems: Iterable[str], code: int = BAD_INPUT) -> Never:
    """One error line for each problem, and the exit code."""
    for problem in problems:
        typer.echo(f"error: {printable(problem)}", err=True)
    raise typer.Exit(code)


def fail(error: Exception | str, code: int = BAD_INPUT) -> Never:
    """The error in one line, several where it has several, and the exit code."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        error = f"{error.filename}: {error.strerror}"
    refuse(getattr(error, "lines", None) or [str(error) or type(error).__name__], code)


def out_folder(param: typer.CallbackParam, out: Path) -> Path:
    """The callback of an `--out` that is a folder: one that cannot be made is refused before any work."""
    _check_place(param, out, out)
    return out


def new_folder(param: typer.CallbackParam, out: Path) -> Path:
    """The callback of a folder that is written as a whole: it must be new or empty."""
    if taken(out):
        fail(f"{param.opts[0]} {out}: is there and not empty; remove it or name another folder")
    return out_folder(param, out)


def out_file(param: typer.CallbackParam, out: Path | None) -> Path | None:
    """The callback of an `--out` that is a file, as `out_folder`."""
    if out is not None:
        if out.is_dir():
            fail(f"{param.opts[0]} {out}: is a folder; name a file")
        _check_place(param, out, out.parent)
    return out


def _check_place(param: typer.CallbackParam, out: Path, folder: Path) -> None:
    if problem := place_problem(folder):
        fail(f"{param.opts[0]} {out}: {problem}; name another place")


@contextmanager
def refusing(*kinds: type[Exception]) -> Iterator[None]:
    """Errors of these kinds are bad input: they end the command as in `fail`."""
    try:
        yield
    except kinds as error:
        fail(error)


@contextmanager
def stopping(then: str = "") -> Iterator[None]:
    """A signal that stops the command ends it with one line and the exit code of `stop_code`.

    Args:
        then: what the same command does the next time.
    """
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(f"stopped: {then}" if then else "stopped", err=True)
        raise typer.Exit(stop_code()) from None
