import gc
import time
from collections.abc import Callable


def assert_quick(call: Callable[[], object], seconds: float) -> None:
    """One of three calls takes less processor time: where the machine stands still during one, that is no finding."""
    taken = []
    while not taken or min(taken) >= seconds:
        assert len(taken) < 3, f"{call}: {taken} s of processor time, wanted less than {seconds} s"
        started = time.process_time()
        call()
        taken.append(time.process_time() - started)


def assert_linear(call: Callable[[str], object], text: str) -> None:
    """One of three times, a text takes less than three times the processor time of its first half, and 0.1 s.

    Without garbage collection, as `timeit` measures: a large test process has much that a pass over it would count.
    """
    taken = []
    gc.disable()
    try:
        _take(call, text, taken)
    finally:
        gc.enable()


def _take(call: Callable[[str], object], text: str, taken: list[tuple[float, float]]) -> None:
    while not taken or min(whole - 3 * half for half, whole in taken) >= 0.1:
        assert len(taken) < 3, f"{call}, {text[:40]!r}: {taken} s of processor time for half and whole"
        times = []
        for part in (text[: len(text) // 2], text):
            started = time.process_time()
            call(part)
            times.append(time.process_time() - started)
        taken.append(tuple(times))
