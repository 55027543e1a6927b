"""A command that is stopped: by Ctrl-C (SIGINT) or by whoever ends jobs (SIGTERM), it ends with one line of its own.

The exit code is the shell's for the signal, 130 or 143.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

Stop = KeyboardInterrupt | SystemExit


@contextmanager
def stoppable() -> Iterator[None]:
    """Both signals raise KeyboardInterrupt in the block, in the main thread.

    SIGINT does so by itself, but not in a command that a script starts with `&`: there the shell has it ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {
        signal.SIGINT: signal.signal(signal.SIGINT, signal.default_int_handler),
        signal.SIGTERM: signal.signal(signal.SIGTERM, _raise),
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def stop_code(stop: Stop) -> int | None:
    """The exit code of a command that was stopped by a signal; None for an end of another kind.

    Ray, once it is started, turns SIGTERM into SystemExit with the signal's number.
    """
    if isinstance(stop, SystemExit):
        return 128 + signal.SIGTERM if stop.code == signal.SIGTERM else None
    return 128 + (stop.args[0] if stop.args else signal.SIGINT)


def _raise(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt(number)
