"""The images that a model is scored on, divided and loaded as in its training where that is known."""

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from vit_jax.data.dataset import DataConfig, Dataset, Source
from vit_jax.data.feed import StreamingFeed
from vit_jax.data.folder import FOLDER, folder_root, same_set
from vit_jax.data.listing import LISTING
from vit_jax.data.sources import load_dataset
from vit_jax.data.unreadable import Unreadable
from vit_jax.inference.images_of_run import is_moved_set, learned_from
from vit_jax.inference.undivided_folder import load_undivided, undivided_folder
from vit_jax.json_file import read_json
from vit_jax.models.network import Network

Split = Literal["test", "validation", "train", "all"]

DIVISION = ("data_dir", "validation_fraction", "test_fraction", "split_seed", "labels", "load_size", "skip_unreadable")
"""Fields of `DataConfig` that decide which images a split has, and at what size."""


@dataclass(frozen=True)
class EvaluationData:
    """One split of a set, or all of it.

    Attributes:
        split: which one it is.
        sources: its images and labels.
        class_names: of the labels.
        image_shape: (H, W, C) of every image.
        as_trained: whether the model was trained on this set, by a run whose division and image size this is.
        skip_unreadable: whether images that cannot be read are left out, and not an error.
        notes: what is to be known of the set.
    """

    split: Split
    sources: Sequence[Source]
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    as_trained: bool
    skip_unreadable: bool
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return sum(len(source) for source in self.sources)

    def batches(self, batch_size: int) -> Iterator[dict[str, np.ndarray]]:
        """Every example once: "image" uint8 [B, H, W, C] and "label" int32 [B], the last B of a source smaller.

        Without those that cannot be read, if these are skipped: a file may have vanished since its run began. Each is
        named on stderr.

        Raises:
            ValueError: an image cannot be read, or more of a split than `most_unreadable`.
        """
        for source in self.sources:
            skip = Unreadable(len(source), lambda line: print(line, file=sys.stderr)) if self.skip_unreadable else None
            for batch in StreamingFeed(source, workers=0, skip=skip).in_order(batch_size):
                counts = batch["counts"]  # not those that fill the last batch up
                if counts.any():
                    yield {name: batch[name][counts] for name in ("image", "label")}


def load_evaluation_data(
    source: str, model: Network, name: str, split: Split | None, data_dir: str | None, skip_unreadable: bool
) -> EvaluationData:
    """Loads a set for a model.

    Without a `split` it is the test split; but of a folder that comes in one piece, and that the run at `source` did
    not train on, all images: a part of them, drawn at random, would only be a less certain answer.

    A set that the run at `source` trained on is divided and loaded as that run did, whatever has come to its folder
    since: its test images are no images that it learned from. Of another set, images of different sizes are loaded at
    the size of which the model's preprocessing keeps the centre.

    Raises:
        ValueError: no such set, or it has no such split, or no labels.
        FileNotFoundError: the set is not there.
    """
    workdir = run_of(source)
    division = trained_division(workdir, name)
    margin = max(math.floor(side / model.preprocessing.crop_fraction) for side in model.input_shape[:2])
    fields: dict[str, Any] = dict(division if division is not None else {"load_size": margin})
    fields |= {"data_dir": data_dir} if data_dir is not None else {}
    fields |= {"skip_unreadable": True} if skip_unreadable else {}
    config = DataConfig(name, **fields)
    if division is None and name.startswith(FOLDER):
        folder = undivided_folder(folder_root(name))
        if folder is not None and (split in (None, "all") or split == folder.split != "train"):
            images, class_names, notes = load_undivided(folder.path, config)
            told = f"every image of {folder.path}, which is not divided; {what_is_known(source, images.files)}"
            shape = (config.load_size, config.load_size, 3)
            return EvaluationData(
                split or "all", [images], class_names, shape, False, config.skip_unreadable, (*notes, told)
            )
    split = split or "test"
    dataset = load_dataset(config, None if division is None else workdir / LISTING)
    if not dataset.class_names:
        raise ValueError(f"the run in {source} read {name} without labels: evaluate it on images that have some")
    notes = dataset.notes if division is None else (*dataset.notes, f"divided and loaded as the run in {source} did")
    return EvaluationData(
        split=split,
        sources=split_sources(dataset, split),
        class_names=dataset.class_names,
        image_shape=dataset.image_shape,
        as_trained=division is not None,
        skip_unreadable=config.skip_unreadable,
        notes=notes,
    )


def what_is_known(source: str, files: Sequence[str]) -> str:
    """Whether a model may have learned from files, in words."""
    learned = learned_from(run_of(source), files)
    if learned is None:
        return f"whether {source} learned from some is not known"
    return f"the run in {source} learned from {f'{learned:,}' if learned else 'none'} of them"


def run_of(source: str) -> Path:
    """The workdir of a run that is named by it or by its model/; any other source as it is."""
    path = Path(source)
    return path.resolve().parent if path.resolve().name == "model" else path


def trained_division(workdir: Path, name: str) -> dict[str, Any] | None:
    """How the run in a workdir divides and loads a set; None if it is no workdir, or its run trained on another set."""
    path = workdir / "config.json"
    data = read_json(path).get("data") if path.is_file() else None
    if not isinstance(data, dict):
        return None
    if not same_set(data["name"], name) and not is_moved_set(workdir, data["name"], name):
        return None
    return {field: data[field] for field in DIVISION if field in data}


def split_sources(dataset: Dataset, split: Split) -> list[Source]:
    """The sources that make up a split; "all" is every image of the set.

    Raises:
        ValueError: the set has no validation split.
    """
    splits = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
    if split == "all":
        return [source for source in splits.values() if source is not None]
    source = splits[split]
    if source is None:
        raise ValueError(f"{dataset.name} has no validation split, as it is divided here: take test, train or all")
    return [source]
