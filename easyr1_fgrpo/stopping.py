"""A command that is stopped: by Ctrl-C (SIGINT) or by whoever ends jobs (SIGTERM), it ends with one line of its own.

The exit code is the shell's for the signal, 130 or 143.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stoppable() -> Iterator[None]:
    """Both signals raise KeyboardInterrupt in the block, in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    take_signals()
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def take_signals() -> None:
    """Let both signals raise KeyboardInterrupt in the main thread from here on.

    SIGINT does so by itself, but not in a command that a script starts with `&`: there the shell has it ignored. Ray,
    when it is joined, puts a handler on SIGTERM that prints a stack and aborts.
    """
    _ended.clear()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _raise)


def stop_code() -> int:
    """The exit code of a command that a signal has just stopped."""
    return 128 + (signal.SIGTERM if _ended.is_set() else signal.SIGINT)


_ended = threading.Event()
"""Whether it was SIGTERM: Ray, waited for, raises a KeyboardInterrupt of its own, which does not say."""


def _raise(number: int, frame: FrameType | None) -> None:
    _ended.set()
    raise KeyboardInterrupt
