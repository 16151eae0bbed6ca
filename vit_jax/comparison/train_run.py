"""One run, from its last checkpoint or from the start, to its report."""

from vit_jax.inspection.run_report import summarise, write_run_report
from vit_jax.training.loop import train
from vit_jax.training.progress import make_display
from vit_jax.training.run import Run, describe
from vit_jax.training.stop_signals import StopSignals


def train_run(run: Run, command: str) -> None:
    """Trains a run and writes its report, which says by what command.

    Raises:
        Stopped: if a signal ended it; it is saved.
        OSError, TrainingError: with what is wrong.
    """
    display = make_display(run.total_steps)
    for line in describe(run):
        display.say(line)
    try:
        with StopSignals() as stop:
            result = train(run, display, stop)
    finally:
        display.close()
    report = write_run_report(run, result, command)
    for line in summarise(run, result, report):
        display.say(line)
