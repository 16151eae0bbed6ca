"""The end of a run whose updates are no longer finite, with what is needed to find out why."""

from collections.abc import Mapping, Sequence

import numpy as np

from vit_jax.data.dataset import NamedSource
from vit_jax.data.order import ShuffledOrder
from vit_jax.json_file import write_json
from vit_jax.training.errors import TrainingError
from vit_jax.training.processes import is_first
from vit_jax.training.run import Run
from vit_jax.training.workdir import NOT_FINITE


class NonFiniteGuard:
    """Counts updates that were skipped in a row, and ends the run when there are too many.

    Args:
        run: that is guarded.
        figures: of the updates that were skipped in a row at the end of what was trained so far.
    """

    def __init__(self, run: Run, figures: Sequence[Mapping[str, float | str]]):
        self.run = run
        self.figures = [dict(of_one) for of_one in figures]

    def take(self, step: int, metrics: Mapping[str, np.ndarray]) -> None:
        """Takes the metrics of one dispatch, [K] each, that ended with `step`.

        Raises:
            TrainingError: if as many updates in a row as the config says were skipped.
        """
        first = step - len(metrics["skipped"]) + 1
        for place, skipped in enumerate(metrics["skipped"]):
            values = {name: float(metrics[name][place]) for name in ("loss", "gradient_norm", "learning_rate")}
            figures = {name: value if np.isfinite(value) else str(value) for name, value in values.items()}
            self.figures = [*self.figures, {"step": first + place, **figures}] if skipped else []
            if len(self.figures) >= self.run.config.stop_after_skipped:
                raise self.too_many()

    def too_many(self) -> TrainingError:
        """The error that ends the run; writes what is known of the skipped updates into the workdir."""
        source = self.run.dataset.train
        order = ShuffledOrder(self.run.config.seed, len(source), self.run.config.data.repeats)
        steps = []
        for figures in self.figures:
            examples = order.batch(int(figures["step"]) - 1, self.run.config.batch_size).tolist()
            named = {"files": [source.files[i] for i in examples]} if isinstance(source, NamedSource) else {}
            steps.append({**figures, "examples": examples, **named})
        path = self.run.workdir / NOT_FINITE
        if is_first():
            write_json(path, steps)
        last = steps[-1]
        first_examples = ", ".join(map(str, last.get("files", last["examples"])[:3]))
        return TrainingError(
            f"{len(steps)} updates in a row were not finite, the last at step {last['step']}: loss "
            f"{last['loss']}, gradient norm {last['gradient_norm']}, learning rate {last['learning_rate']}. Its "
            f"examples begin with {first_examples}; those of every such step are in {path}. A lower learning rate, a "
            "longer warm-up or optimizer.clip_norm may help"
        )
