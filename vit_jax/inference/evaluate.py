"""The score of a model on a data set: `vit-jax evaluate`."""

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table
from rich.text import Text

from vit_jax.evaluation.accuracy import Predictions
from vit_jax.evaluation.class_order import ClassOrder, match_classes
from vit_jax.inference.classifier import load_classifier
from vit_jax.inference.compiled import compile_for_rows, require_finite
from vit_jax.inference.evaluation_data import EvaluationData, Split, load_evaluation_data
from vit_jax.inference.model_source import ModelSource
from vit_jax.models.network import Network
from vit_jax.models.network_input import network_input
from vit_jax.pretrained.load import Pretrained


@dataclass(frozen=True)
class Score:
    """What came of a model on N images.

    Attributes:
        examples: N.
        top1: share of them whose class was the most probable one.
        balanced_accuracy: mean over the classes of such shares, which a frequent class does not raise.
        top5: share of them whose class was among the five most probable; None for five classes or fewer.
        calibration_error: expected calibration error, of 15 bins (Guo et al., 2017).
        loss: mean cross-entropy.
        images_per_second: reading and resizing included, compilation apart.
    """

    examples: int
    top1: float
    balanced_accuracy: float
    top5: float | None
    calibration_error: float
    loss: float
    images_per_second: float


def evaluate(
    source: ModelSource,
    data: str,
    split: Split | None,
    batch_size: int,
    dtype: str,
    output: Literal["table", "json"],
    data_dir: str | None,
    skip_unreadable: bool,
    by_number: bool,
) -> None:
    """Scores a model and prints what came of it.

    Raises:
        ValueError, FileNotFoundError: with what is wrong in what was asked for; a model is never scored on classes that
            are not its own, unless it is said that they are, `by_number`.
    """
    classifier = load_classifier(source, dtype)
    examples = load_evaluation_data(source.source, classifier.model, data, split, data_dir, skip_unreadable)
    order = class_order(classifier, examples.class_names, by_number)
    result = score(classifier, examples, order, batch_size)
    if output == "json":
        asked = dict(source=source.source, data=data, split=examples.split, dtype=dtype)
        known = dict(classes=order.description, notes=examples.notes)
        print(json.dumps({**asked, **known, **result.__dict__}, indent=2))
    else:
        write_table(rows_of(result, f"{data}, {examples.split}"), [f"classes: {order.description}", *examples.notes])


def class_order(classifier: Pretrained, data_names: Sequence[str], by_number: bool) -> ClassOrder:
    """Which output of a model stands for which class of a set, as `match_classes` finds it."""
    num_classes = classifier.model.num_classes
    try:
        return match_classes(classifier.class_names, num_classes, data_names, by_number)
    except ValueError as error:
        if by_number or num_classes != len(data_names):
            raise
        raise ValueError(
            f"{error}\nIf they are the same under other names, and in the same order: --classes number"
        ) from error


def score(classifier: Pretrained, data: EvaluationData, order: ClassOrder, batch_size: int) -> Score:
    """Counts every image once.

    Raises:
        ValueError: if the network's outputs are not finite.
    """
    model, params, _ = classifier
    compiled = compile_for_rows(make_marks(model), params, batch_size, len(data))
    compiled({"image": np.zeros((1, *data.image_shape), np.uint8), "label": np.zeros(1, np.int32)})  # compiles
    began = time.perf_counter()
    batches = tracked(data, compiled.batch_size, "evaluating")
    labelled = ({**batch, "label": order.outputs[batch["label"]]} for batch in batches)
    marks = [{**compiled(batch), "label": batch["label"]} for batch in labelled]
    seconds = time.perf_counter() - began
    every = {name: np.concatenate([mark[name] for mark in marks]) for name in marks[0]}
    among_five = every.pop("among_five")
    require_finite(every["loss"])
    predictions = Predictions(place=np.arange(len(among_five)), **every)
    return Score(
        examples=len(among_five),
        top1=predictions.accuracy,
        balanced_accuracy=predictions.balanced_accuracy,
        top5=float(np.mean(among_five)) if model.num_classes > 5 else None,
        calibration_error=predictions.calibration_error,
        loss=predictions.mean_loss,
        images_per_second=round(len(among_five) / seconds, 1),
    )


def tracked(data: EvaluationData, batch_size: int, title: str) -> Iterable[dict[str, np.ndarray]]:
    """The batches of a split; on a terminal, how many of them were taken is shown while they are."""
    console = Console(stderr=True)
    return track(
        data.batches(batch_size),
        title,
        total=-(-len(data) // batch_size),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def make_marks(model: Network) -> Callable[[Any, Mapping[str, jax.Array]], dict[str, jax.Array]]:
    """The function of parameters and a batch that gives for each image, [B] each:

    the class "predicted" and its "confidence", the "loss", and whether the true class is "among_five".
    """

    def mark(params: Any, batch: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
        logits = cast(jax.Array, model.apply({"params": params}, network_input(model, batch["image"])))
        log_probabilities = jax.nn.log_softmax(logits)
        label = batch["label"][:, None]
        _, five = jax.lax.top_k(log_probabilities, min(5, model.num_classes))
        return {
            "predicted": jnp.argmax(log_probabilities, -1),
            "confidence": jnp.exp(log_probabilities.max(-1)),
            "loss": -jnp.take_along_axis(log_probabilities, label, -1)[:, 0],
            "among_five": (five == label).any(-1),
        }

    return mark


def rows_of(result: Score, title: str) -> dict[str, str]:
    """A score for people to read."""
    rows = {
        "images": f"{result.examples:,} ({title})",
        "top-1 accuracy": f"{result.top1:.2%}",
        "balanced accuracy": f"{result.balanced_accuracy:.2%}",
    }
    if result.top5 is not None:
        rows["top-5 accuracy"] = f"{result.top5:.2%}"
    rows |= {"calibration error": f"{result.calibration_error:.2%}", "mean loss": f"{result.loss:.4f}"}
    return rows | {"speed": f"{result.images_per_second:,.1f} images/s"}


def write_table(rows: Mapping[str, str], notes: Sequence[str]) -> None:
    """Prints figures and what is to be known of them."""
    table = Table.grid(padding=(0, 2, 0, 0))
    for name, value in rows.items():
        table.add_row(name, Text(value))
    console = Console(highlight=False, emoji=False)
    console.print(table)
    for note in notes:
        console.print(f"note  {note}", markup=False, soft_wrap=True)
