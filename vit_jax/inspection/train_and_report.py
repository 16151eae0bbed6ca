"""A run, from its last checkpoint or from the start, to its report: what every command that trains does."""

from vit_jax.inspection.run_report import summarise, write_run_report
from vit_jax.training.description import describe
from vit_jax.training.errors import explaining_full_memory
from vit_jax.training.loop import train
from vit_jax.training.processes import is_first
from vit_jax.training.progress import Display
from vit_jax.training.run import Run
from vit_jax.training.stop_signals import StopSignals


def train_and_report(run: Run, display: Display, command: str) -> None:
    """Trains a run; the first of several processes then writes the report.

    Args:
        run: to train.
        display: that shows how it goes on; it is closed after the training, and can still say something.
        command: that the report is to name.

    Raises:
        Stopped: if a signal ended it; it is saved.
        OSError, TrainingError: with what is wrong.
    """
    try:
        for line in describe(run):
            display.say(line)
        with StopSignals() as stop, explaining_full_memory():
            result = train(run, display, stop)
    finally:
        display.close()
    if is_first():
        report = write_run_report(run, result, command)
        for line in summarise(run, result, report):
            display.say(line)
