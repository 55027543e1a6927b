class Clock:
    """Stands for the module `time` where only a test lets time pass: `monkeypatch.setattr(module, "time", Clock())`."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now
