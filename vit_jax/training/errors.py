"""Why a run that had begun ended before its end."""


class TrainingError(RuntimeError):
    """Something that training cannot go on from; the message says what, where, and what to do."""


class Stopped(Exception):
    """A signal asked the run to stop: it is saved, and the same command goes on.

    Args:
        step: that it is saved at.
        reason: the signal's name.
    """

    def __init__(self, step: int, reason: str):
        super().__init__(f"stopped by {reason} at step {step}")
        self.step = step
