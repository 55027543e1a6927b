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
