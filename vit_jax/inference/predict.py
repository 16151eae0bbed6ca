"""The classes of image files: `vit-jax predict`."""

import csv
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain, islice, repeat
from typing import Any, Literal, NamedTuple, cast

import jax
import numpy as np
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vit_jax.data.decoding import read_upright
from vit_jax.data.in_threads import in_threads
from vit_jax.inference.classifier import load_classifier
from vit_jax.inference.compiled import compile_for_rows, require_finite
from vit_jax.inference.image_files import image_files
from vit_jax.inference.model_source import ModelSource
from vit_jax.models.network import Network
from vit_jax.pretrained.load import Pretrained
from vit_jax.pretrained.preprocess import preprocessing


@dataclass(frozen=True)
class Guess:
    """A class that an image may show."""

    index: int
    name: str
    probability: float


class Answer(NamedTuple):
    """What is on an image: its most probable classes, the first first; or why it cannot be read."""

    image: str
    classes: tuple[Guess, ...]
    error: ValueError | None = None


def predict(
    source: ModelSource,
    named: Sequence[str],
    top: int,
    output: Literal["table", "json", "csv"],
    batch_size: int,
    dtype: str,
) -> int:
    """Prints the classes of images as they are found; those that cannot be read are named on stderr, in CSV a row, too.

    Returns:
        The exit status: 1 if some image could not be read.

    Raises:
        ValueError, FileNotFoundError: with what is wrong in what was asked for; nothing was printed. Or, when it is
            seen, that the network's outputs are not finite.
    """
    if top < 1:
        raise ValueError(f"--top must be at least 1, not {top}")
    found = image_files(named)
    files = found.images
    if found.others:
        print(f"vit-jax: {found.describe()}", file=sys.stderr)
    classifier = load_classifier(source, dtype)
    unreadable: list[str] = []
    answers = warn_unreadable(classify(classifier, files, top, batch_size), unreadable)
    if output == "csv":
        write_csv(answers)
    elif output == "json":
        write_json(answers)
    else:
        write_table((answer for answer in answers if answer.error is None), files)
    if unreadable:
        print(f"vit-jax: {len(unreadable):,} of {len(files):,} images could not be read", file=sys.stderr)
    return 1 if unreadable else 0


def warn_unreadable(answers: Iterator[Answer], unreadable: list[str]) -> Iterator[Answer]:
    """The answers; images without classes are named on stderr, with the reason, and added to the list."""
    for answer in answers:
        if answer.error is not None:
            unreadable.append(answer.image)
            print(f"vit-jax: {answer.error}", file=sys.stderr)
        yield answer


def classify(classifier: Pretrained, files: Sequence[str], top: int, batch_size: int) -> Iterator[Answer]:
    """The answer on each file, in order. Memory does not grow with their number.

    Raises:
        ValueError: if the network's outputs are not finite.
    """
    model, params, _ = classifier
    class_names = names(classifier)
    top = min(top, model.num_classes)
    preprocess = preprocessing(model)

    def read(file: str) -> tuple[str, np.ndarray | ValueError]:
        try:
            return file, preprocess(read_upright(file))
        except ValueError as error:
            return file, error

    compiled = compile_for_rows(make_top(model, top), params, batch_size, len(files))
    inputs = in_threads(read, files, ahead=2 * compiled.batch_size)
    while batch := list(islice(inputs, compiled.batch_size)):
        images = [image for _, image in batch if isinstance(image, np.ndarray)]
        answers = compiled({"image": np.stack(images)}) if images else {"index": (), "probability": ()}
        require_finite(np.asarray(answers["probability"]))
        rows = zip(answers["index"], answers["probability"], strict=True)
        for file, image in batch:
            if isinstance(image, ValueError):
                yield Answer(file, (), image)
                continue
            guesses = zip(*next(rows), strict=True)
            yield Answer(file, tuple(Guess(int(index), class_names[index], float(p)) for index, p in guesses))


def make_top(model: Network, top: int) -> Any:
    """The function of parameters and a batch that gives the `top` most probable classes: "index" and "probability"."""

    def find(params: Any, batch: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
        logits = cast(jax.Array, model.apply({"params": params}, batch["image"]))  # float32 whatever the model's dtype
        probability, index = jax.lax.top_k(jax.nn.softmax(logits), top)
        return {"index": index, "probability": probability}

    return find


def names(classifier: Pretrained) -> tuple[str, ...]:
    """What the classes are called: by their number, where nothing better is known."""
    return classifier.class_names or tuple(f"class {index}" for index in range(classifier.model.num_classes))


def write_json(answers: Iterator[Answer]) -> None:
    """Prints one JSON document, a list with {"image", "classes": [{"index", "name", "probability"}]} for each image;
    without classes, and with the "error", where it cannot be read."""
    separator = "[\n"
    for image, classes, error in answers:
        failed = {} if error is None else {"error": str(error)}
        print(end=separator + json.dumps({"image": image, "classes": [asdict(guess) for guess in classes], **failed}))
        separator = ",\n"
    print("[]" if separator == "[\n" else "\n]")


def write_csv(answers: Iterator[Answer]) -> None:
    """Prints a row for each class of each image, rank 1 the most probable, or one row with why it cannot be read."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("image", "rank", "class", "probability", "error"))
    for image, classes, error in answers:
        if error is not None:
            writer.writerow((shown(image), "", "", "", shown(str(error))))
        writer.writerows(
            (shown(image), rank, guess.name, guess.probability, "") for rank, guess in enumerate(classes, 1)
        )


def write_table(answers: Iterator[Answer], files: Sequence[str]) -> None:
    """Prints a row an image. Its columns are as wide as they will have to be: nothing waits for the last image."""
    widest_image = max(5, *(cell_len(shown(file)) for file in files))
    console = Console()
    if console.is_terminal:
        write_folded(answers, console, max(5, min(widest_image, console.width // 2)))
    else:
        write_lines(answers, widest_image)


def write_folded(answers: Iterator[Answer], console: Console, width: int) -> None:
    """The table on a terminal; paths take so many of its columns, and what is longer is folded."""
    header = True
    for image, classes, _ in answers:
        table = Table(box=None, show_header=header, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column("image", width=width, overflow="fold")
        table.add_column("classes")
        guesses = Table.grid(padding=(0, 2, 0, 0))
        guesses.add_column(justify="right", width=7)
        guesses.add_column(overflow="fold")
        for guess in classes:
            guesses.add_row(f"{guess.probability:.2%}", Text(guess.name))
        table.add_row(Text(shown(image)), guesses)
        console.print(table)
        header = False


def write_lines(answers: Iterator[Answer], width: int) -> None:
    """The table in a file or a pipe, which has no width: nothing is folded, and nobody waits for a layout."""
    header = f"{'image':<{width}}  classes\n"
    for image, classes, _ in answers:
        beside = chain([set_cell_size(shown(image), width)], repeat(" " * width))
        lines = [
            f"{left}  {guess.probability:>7.2%}  {guess.name}" for left, guess in zip(beside, classes, strict=False)
        ]
        print(header + "\n".join(lines), flush=True)
        header = ""


def shown(path: str) -> str:
    """A path as it can be printed: names of files need not be text."""
    return os.fsencode(path).decode(errors="replace")
