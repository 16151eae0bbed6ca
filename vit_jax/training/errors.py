"""Why a run that had begun ended before its end."""


class TrainingError(RuntimeError):
    """Something that training cannot go on from; the message says what, where, and what to do."""


class Stopped(Exception):
    """A signal asked the run to stop: it is saved, and the same command goes on.

    Args:
        step: that it is saved at.
        signal: its name.
    """

    def __init__(self, step: int, signal: str):
        super().__init__(step, signal)
        self.step, self.signal = step, signal

    def __str__(self) -> str:
        return f"stopped by {self.signal} at step {self.step}"
