"""An exception as Ray hands it on."""


class RemoteError(RuntimeError):
    """As Ray wraps an exception: its text is a traceback, the original is its cause."""

    def __init__(self, cause):
        super().__init__("ray::TaskRunner.run()\n  File ...")
        self.cause = cause
