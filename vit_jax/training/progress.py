"""What a person sees of a run: a progress bar in a terminal, plain lines elsewhere."""

import datetime
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from vit_jax.evaluation.judge import TITLES
from vit_jax.training.processes import is_first


def train_text(row: dict[str, Any], seconds_left: float | None) -> str:
    """A row of training metrics in words; speed and time left are missing where only the first step was done."""
    text = f"epoch {row['epoch']:6.2f}  loss {row['loss']:.4f}"
    if "accuracy" in row:  # of a network with classes
        text += f"  accuracy {row['accuracy']:6.2%}"
    if row["skipped"]:
        text += f"  {row['skipped']} updates skipped: not finite"
    if seconds_left is None:
        return text
    left = datetime.timedelta(seconds=round(seconds_left))
    return f"{text}  {row['images_per_second']:,.0f} images/s  {left} left"


def evaluate_text(kind: str, row: dict[str, Any]) -> str:
    """A row of evaluation metrics in words."""
    by = f" by {row['neighbours']} nearest neighbours" if "neighbours" in row else ""
    judged = "".join(f"  by {title} {accuracy:.2%}" for title, accuracy in judged_features(row).items())
    return f"epoch {row['epoch']:6.2f}  {kind} accuracy{by} {row['accuracy']:.2%}  loss {row['loss']:.4f}{judged}"


def judged_features(row: dict[str, Any]) -> dict[str, float]:
    """What the features of a network tell by each of the config's `judge_features`, by what that is in words."""
    accuracies = {title: row.get(f"accuracy_by_{how}") for how, title in TITLES.items()}
    return {title: accuracy for title, accuracy in accuracies.items() if accuracy is not None}


class Display:
    """Shows how a run goes on, by plain lines, for files and pipes."""

    def __init__(self, console: Console, total_steps: int):
        self.console = console
        self.total_steps = total_steps

    def say(self, text: str) -> None:
        """A line that stays."""
        self.console.print(text, markup=False, emoji=False, highlight=False, soft_wrap=True)

    def train(self, step: int, row: dict[str, Any], seconds_left: float | None) -> None:
        """A row of training metrics after `step` steps."""
        self.say(f"step {step:>{len(str(self.total_steps))}}/{self.total_steps}  {train_text(row, seconds_left)}")

    def evaluate(self, kind: str, step: int, row: dict[str, Any]) -> None:
        """A row of evaluation metrics on the split `kind`."""
        self.say(f"step {step:>{len(str(self.total_steps))}}/{self.total_steps}  {evaluate_text(kind, row)}")

    def close(self) -> None:
        """The end."""


class Bar(Display):
    """A progress bar; evaluations are lines above it."""

    def __init__(self, console: Console, total_steps: int):
        super().__init__(console, total_steps)
        columns = (BarColumn(bar_width=24), TextColumn("{task.percentage:>3.0f}%"), TextColumn("{task.description}"))
        self.progress = Progress(*columns, console=console)
        self.task = self.progress.add_task("compiling ...", total=total_steps)
        self.progress.start()

    def train(self, step: int, row: dict[str, Any], seconds_left: float | None) -> None:
        self.progress.update(self.task, completed=step, description=train_text(row, seconds_left))

    def evaluate(self, kind: str, step: int, row: dict[str, Any]) -> None:
        self.say(evaluate_text(kind, row))

    def close(self) -> None:
        self.progress.stop()


def make_display(total_steps: int, console: Console | None = None) -> Display:
    """A bar where the output is a terminal, lines where it is not; nothing in other processes than the first."""
    if not is_first():
        return Display(Console(quiet=True), total_steps)
    console = console or Console()
    return (Bar if console.is_terminal else Display)(console, total_steps)
