"""Trains one experiment.

python train.py                                              the digits of scikit-learn: a minute, no download
python train.py --config configs/vit_cifar10_cpu.py          another experiment
python train.py --optimizer.learning_rate 3e-4 --seed 1      any field of its config changed; --help lists them
python train.py --workdir runs/mine                          where it is kept; the same command continues a run
"""

import sys
from pathlib import Path

from vit_jax.inspection.train_and_report import train_and_report
from vit_jax.printing import log_as_notes, show_any_name
from vit_jax.training import compilation_cache, cpu_devices, processes
from vit_jax.training.command_line import parse
from vit_jax.training.errors import Stopped, TrainingError
from vit_jax.training.progress import make_display
from vit_jax.training.run import prepare
from vit_jax.training.stop_signals import RESUME_STATUS, interrupt_on_signals

DEFAULT_CONFIG = Path(__file__).parent / "configs" / "vit_digits.py"


def main(arguments: list[str]) -> int:
    """Runs one experiment; returns the process's exit status.

    2 is a mistake in what was asked for, 1 something that training could not go on from, and 75 says that a signal
    stopped the run, which the same command continues.
    """
    show_any_name()
    command = cpu_devices.in_shell(["python", "train.py", *arguments])
    interrupt_on_signals()
    cpu_devices.be_patient()
    compilation_cache.enable()
    try:
        status = run_experiment(arguments, command)
        return processes.leave(status) if status in (1, 2) else status
    except KeyboardInterrupt:
        print(f"stopped; the same command goes on:  {command}")
        return processes.leave(RESUME_STATUS)


def run_experiment(arguments: list[str], command: str) -> int:
    """As `main`; a signal that comes before or after the training raises a KeyboardInterrupt."""
    try:
        config, workdir = parse(arguments, DEFAULT_CONFIG)
        if config.parallel.distributed:
            processes.join()
        run = prepare(config, workdir)
    except (ValueError, OSError, ModuleNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    display = make_display(run.total_steps)
    try:
        train_and_report(run, display, command)
    except Stopped as stopped:
        display.say(f"{stopped} and saved; the same command goes on from there:  {command}")
        return RESUME_STATUS
    except (TrainingError, OSError) as error:  # the disk may be full wherever it is written to
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    log_as_notes()
    sys.exit(main(sys.argv[1:]))
