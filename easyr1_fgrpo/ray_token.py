"""The token of a Ray cluster: `ray start` asks for one wherever it finds one, and whoever joins has to send it.

Ray reads RAY_AUTH_MODE once, when it is imported. Without it a program that joins sends no token, and gets 40 lines of
refused calls before "failed to connect".
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MODE, TOKEN, TOKEN_PATH = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
DEFAULT_PATH = "~/.ray/auth_token"


def send_token() -> None:
    """Let this process and its children send the token that `ray start` on this machine would use; before Ray's import.

    What RAY_AUTH_MODE says already stands. A cluster that asks for no token does not mind one.
    """
    if MODE not in os.environ and has_token():
        os.environ[MODE] = "token"


def has_token() -> bool:
    """Whether this machine has a token where Ray looks for it."""
    return bool(os.environ.get(TOKEN)) or Path(os.environ.get(TOKEN_PATH, DEFAULT_PATH)).expanduser().is_file()


def refusal(address: str) -> str | None:
    """Why a cluster would not let this process in for want of a token, with the fix; None where it would.

    Args:
        address: host:port of the head.
    """
    if os.environ.get(MODE) == "token" and not has_token():
        return (
            f"{MODE}=token, and this machine has no token: export {TOKEN}=... with what `ray get-auth-token` prints on "
            f"the cluster's head, or unset {MODE}"
        )
    import ray

    try:
        with _quiet():
            # What `ray health-check` asks: ray.init would try for 20 seconds.
            ray._raylet.GcsClient(address=address)  # type: ignore[attr-defined, unused-ignore]
    except ray.exceptions.AuthenticationError:
        return (
            f"the Ray cluster at {address} wants another token: export {MODE}=token {TOKEN}=... with what "
            "`ray get-auth-token` prints on its head"
        )
    except ray.exceptions.RayError:
        return None  # no answer at all is another matter, which joining will tell
    return None


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the lines that Ray's core writes to stderr past Python."""
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)
