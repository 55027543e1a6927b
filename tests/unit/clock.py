"""Clocks of tests: one that stands still, and an event loop's that jumps over every wait."""

import asyncio
import selectors


class Clock:
    """Stands for the module `time` where only a test lets time pass: `monkeypatch.setattr(module, "time", Clock())`."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


class Jumping(selectors.DefaultSelector):
    """Does not wait for a timer, but lets the time jump to it."""

    jumped_s = 0.0

    def select(self, timeout=None):
        if timeout:
            self.jumped_s += timeout
        return super().select(0.0 if timeout else timeout)


class JumpingLoop(asyncio.SelectorEventLoop):
    """Its time is the real one and all waits that were jumped over."""

    def __init__(self):
        self.selector = Jumping()
        super().__init__(self.selector)

    def time(self):
        return super().time() + self.selector.jumped_s


def run(main):
    """Run a coroutine function where no timer takes time, however busy the machine is."""
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(main())
