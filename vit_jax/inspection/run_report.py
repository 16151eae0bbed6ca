"""What a finished run tells: report.html and the lines at the end of the command."""

import datetime
import math
import platform
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from vit_jax.data.dataset import Source
from vit_jax.data.decoding import UnreadableImage
from vit_jax.evaluation.accuracy import Predictions
from vit_jax.inspection.attention_image import attention_extent, layer_attention
from vit_jax.inspection.confusion import Confusion
from vit_jax.inspection.figures import drawn_channels
from vit_jax.inspection.pictures import overlay
from vit_jax.inspection.published import published_results
from vit_jax.inspection.reconstruction import from_guessed_tokens, from_tokens, reconstruct
from vit_jax.inspection.report import Example, Report, Strips, write_report
from vit_jax.json_file import read_json
from vit_jax.models.beit import BeitPretraining
from vit_jax.models.discrete_vae import DiscreteVae
from vit_jax.models.mae import MaskedAutoencoder
from vit_jax.models.network import Network
from vit_jax.models.network_input import network_input
from vit_jax.models.parameters import parameter_count
from vit_jax.models.pretraining import encoder_of
from vit_jax.models.swin import SwinTransformer
from vit_jax.models.vit import VisionTransformer
from vit_jax.objectives.masked_autoencoding import MaskedAutoencoding
from vit_jax.objectives.masked_image_modelling import MaskedImageModelling
from vit_jax.training.best import BEST, read_best
from vit_jax.training.loop import Result
from vit_jax.training.progress import judged_features
from vit_jax.training.run import Run

MISTAKES, RIGHT_ANSWERS = 12, 12
"""Example predictions in a report."""
RECONSTRUCTIONS = 12
"""Images in a report that the network makes something of, or that are shown without an answer."""


def write_run_report(run: Run, result: Result, command: str) -> Path:
    """Writes report.html into the run's workdir.

    Args:
        run: the run.
        result: what came of it.
        command: that trained it.

    Returns:
        The file's path.
    """
    path, classifies = run.workdir / "report.html", run.config.objective.learns_classes
    report = Report(
        title=f"{run.config.model.title} on {run.dataset.name}",
        summary=summary(run, result) | {"Command": command},
        history=result.rows,
        confusion=result.test and Confusion.of(result.test.label, result.test.predicted, len(run.dataset.class_names)),
        class_names=run.dataset.class_names,
        examples=[] if result.test is None else examples(run, result.params, result.test),
        notes=notes(run, result),
        config=read_json(run.workdir / "config.json"),
        published=published_results(run.dataset.class_names) if classifies else None,
        strips=[shown for shown in (strips(run, result), attention_strips(run, result)) if shown is not None],
        classifies=classifies,
    )
    write_report(path, report)
    return path


def summary(run: Run, result: Result) -> dict[str, str]:
    """The figures of a run, the main one first."""
    device = jax.devices()[0]
    return {
        **main_figure(run, result),
        "Parameters": f"{parameter_count(run.model):,}",
        "Time": str(datetime.timedelta(seconds=round(result.seconds))),
        **speed(result),
        "Peak memory": megabytes(result.rows[-1]["peak_memory"]),
        "Device": f"{run.parallel.devices} x {device.device_kind} ({run.config.parallel.mode}, {run.config.dtype})",
        "Versions": f"Python {platform.python_version()}, jax {jax.__version__}",
    }


def main_figure(run: Run, result: Result) -> dict[str, str]:
    """What the run came to; where the images have no labels, the last loss that was logged."""
    if result.test is None:
        losses = [row["loss"] for row in result.rows if row["kind"] == "train" and row["loss"] is not None]
        return {"Training loss": f"{losses[-1]:.4f}" if losses else "none", "Images": f"{len(run.dataset.train):,}"}
    return {
        accuracy_title(run).capitalize(): f"{result.test.accuracy:.2%}",
        **{f"By {title}": f"{accuracy:.2%}" for title, accuracy in judged_features(result.rows[-1]).items()},
        "Balanced accuracy": f"{result.test.balanced_accuracy:.2%}",
        **calibration(run, result.test),
        "Test images": f"{len(result.test.label):,}",
    }


def calibration(run: Run, test: Predictions) -> dict[str, str]:
    """How far a classifier's probabilities are from its accuracy; shares of neighbours' votes are no such claim."""
    return {"Calibration error": f"{test.calibration_error:.2%}"} if run.config.objective.learns_classes else {}


def accuracy_title(run: Run) -> str:
    """What the test accuracy is called: a classifier's, or by nearest neighbours where there are no classes."""
    if run.config.objective.learns_classes:
        return "test accuracy"
    return f"test accuracy by {run.config.neighbours.k} nearest neighbours"


def megabytes(count: int) -> str:
    """A number of bytes as "1,234 MB"."""
    return f"{count / 1e6:,.0f} MB"


def chosen_examples(test: Predictions) -> list[int]:
    """Test images to show: the most confident mistakes, then right answers from the whole split."""
    wrong = np.flatnonzero(test.predicted != test.label)
    right = np.flatnonzero(test.predicted == test.label)
    mistakes = wrong[np.argsort(-test.confidence[wrong], kind="stable")][:MISTAKES]
    spread = right[np.linspace(0, len(right) - 1, min(len(right), RIGHT_ANSWERS)).astype(int)] if len(right) else right
    return [*mistakes.tolist(), *spread.tolist()]


def examples(run: Run, params: Any, test: Predictions) -> list[Example]:
    """Test images with the model's answers and what its last block attends to."""
    chosen = chosen_examples(test)
    read, images = pictures(run.dataset.test, test.place[chosen].tolist())
    if not images:
        return []
    attention = attention_pictures(run.model, params, np.stack(images))
    return [
        Example(
            image=image,
            label=int(test.label[chosen[i]]),
            predicted=int(test.predicted[chosen[i]]),
            confidence=float(test.confidence[chosen[i]]),
            attention=attended,
        )
        for i, image, attended in zip(read, images, attention, strict=True)
    ]


def strips(run: Run, result: Result) -> Strips | None:
    """What a network that makes images makes of some test images; None for other networks."""
    maker = image_maker(run, result.params)
    if maker is None:
        return None
    explanation, make = maker
    images = shown_images(run, result)
    if not images:
        return None
    made = make(np.stack(images))
    return Strips("Reconstructions", f"Test images, {explanation}.", list(zip(images, *made, strict=True)))


def attention_strips(run: Run, result: Result) -> Strips | None:
    """What the last block attends to in some test images of a run without labels, and so without answers on them.

    None for a run with labels, whose `examples` show it, and for a network without attention.
    """
    images = shown_images(run, result) if result.test is None else []
    if not images:
        return None
    attention = attention_pictures(run.model, result.params, np.stack(images))
    drawn = [(image, attended) for image, attended in zip(images, attention, strict=True) if attended is not None]
    explanation = "Test images, and beside each the same under what is attended to in the last block, the brighter the "
    explanation += "more: by the tokens that the features are read from, the class token or on average all patches."
    return Strips("Attention", explanation, drawn) if drawn else None


def shown_images(run: Run, result: Result) -> list[np.ndarray]:
    """Some test images, from the whole split, those that can be read: uint8 [H, W, C] each."""
    there = np.arange(len(run.dataset.test)) if result.test is None else result.test.place
    chosen = there[np.linspace(0, len(there) - 1, min(len(there), RECONSTRUCTIONS)).astype(int)]
    return pictures(run.dataset.test, chosen.tolist())[1]


def image_maker(run: Run, params: Any) -> tuple[str, Callable[[np.ndarray], tuple[np.ndarray, ...]]] | None:
    """What a network makes of images, in words, and the function that does it; None if it makes none."""
    model, objective = run.model, run.config.objective
    if isinstance(model, MaskedAutoencoder) and isinstance(objective, MaskedAutoencoding):
        explanation = f"what the encoder saw of them ({model.kept} patches of {math.prod(model.grid)}), and the other "
        explanation += "patches as they were predicted"
        if objective.normalise_patches:
            explanation += ", with the mean and the deviation that each really has, which is not predicted"
        return explanation, lambda pixels: reconstruct(model, params, pixels, objective.normalise_patches)
    if isinstance(model, DiscreteVae):
        return "and what is made of their visual tokens", lambda pixels: (from_tokens(model, params, pixels),)
    if isinstance(model, BeitPretraining) and isinstance(objective, MaskedImageModelling):
        assert run.teacher is not None
        tokenizer, known = cast(DiscreteVae, run.teacher.model), run.teacher.params
        masks = np.asarray(objective.masks(model, jax.random.split(jax.random.key(0), RECONSTRUCTIONS)))
        explanation = f"what the network saw of them, and what the tokenizer makes of the {objective.masked_patches} "
        explanation += "tokens that were guessed and of the true ones elsewhere"
        return explanation, lambda pixels: from_guessed_tokens(
            *(model, params, tokenizer, known, pixels, masks[: len(pixels)])
        )
    return None


def pictures(source: Source, places: Sequence[int]) -> tuple[list[int], list[np.ndarray]]:
    """The images at these places that can be read, and which these are: a report is no reason to stop for a file."""
    read = []
    for i, place in enumerate(places):
        with suppress(UnreadableImage):
            read.append((i, source[place][0]))
    return [i for i, _ in read], [image for _, image in read]


def notes(run: Run, result: Result) -> list[str]:
    """What is to be known of the data, and whether all of the test images were there to be scored."""
    missing = 0 if result.test is None else len(run.dataset.test) - len(result.test.label)
    note = f"{missing:,} test images could not be read any more: they are not counted, right or wrong"
    return [*run.dataset.notes, *([note] if missing else [])]


def attention_pictures(model: Network, params: Mapping[str, Any], images: np.ndarray) -> Sequence[np.ndarray | None]:
    """Images, uint8 [B, H, W, C], under what the last block attends to in them, averaged over the heads.

    Returns:
        A heat map over each, uint8 [H, W, 3]; None for a network without attention.
    """
    if not isinstance(encoder_of(model), VisionTransformer | SwinTransformer):
        return [None] * len(images)
    inputs = network_input(model, jnp.asarray(images))
    attention = np.nan_to_num(layer_attention(model, params, inputs, -1)).mean(axis=1)  # [B, rows, columns]
    extent = attention_extent(model, -1)
    return [
        np.asarray(overlay(drawn_channels(image), attended, extent))
        for image, attended in zip(images, attention, strict=True)
    ]


def speed(result: Result) -> dict[str, str]:
    """The speed of training, where more was done than what was compiled first."""
    return {} if result.images_per_second is None else {"Images per second": f"{result.images_per_second:,.0f}"}


def summarise(run: Run, result: Result, report: Path) -> list[str]:
    """The last lines of the command: what was reached, and how to use it."""
    measured = "".join(f"; {images} images/s in training" for images in speed(result).values())
    reached = (
        f"trained without labels on {len(run.dataset.train):,} images"
        if result.test is None
        else f"{accuracy_title(run)} {result.test.accuracy:.2%} on {len(result.test.label):,} images"
    )
    lines = [
        "",
        f"{reached}, after {result.seconds:.0f} s{measured}",
        f"report   {report}",
        f'model    vit_jax.load_pretrained("{run.workdir}")',
    ]
    if best := read_best(run.workdir):
        when = f"{best['accuracy']:.2%} of the validation images, after epoch {best['epoch']:.2f}"
        lines.append(f'best     vit_jax.load_pretrained("{run.workdir / BEST}"): {when}')
    return lines
