"""The images that a model is scored on, divided and loaded as in its training where that is known.

Other images are prepared as `vit-jax predict` prepares them, so that a model sees the same pixels of a photograph there
and here. But images that all have the model's size are only normalised: a set that was made to fit has no margin to
cut off.
"""

import dataclasses
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from vit_jax.data.dataset import DataConfig, Dataset, DivisibleSource, ResizingSource, Source
from vit_jax.data.feed import StreamingFeed
from vit_jax.data.folder import FOLDER, folder_root
from vit_jax.data.images_of_run import describe_learned, is_set_of, workdir_of
from vit_jax.data.listing import LISTING
from vit_jax.data.set_record import RECORD, check_record
from vit_jax.data.sources import load_dataset
from vit_jax.data.unreadable import Unreadable
from vit_jax.inference.undivided_folder import load_undivided, undivided_folder
from vit_jax.json_file import read_json
from vit_jax.models.network import Network
from vit_jax.pretrained.preprocess import cropped_pixels

Split = Literal["test", "validation", "train", "all"]

DIVISION = ("data_dir", "validation_fraction", "test_fraction", "split_seed", "labels", "load_size", "skip_unreadable")
"""Fields of `DataConfig` that decide which images a split has, and at what size."""


@dataclass(frozen=True)
class Prepared:
    """The images of a source in the size of a network, made from them as they are stored.

    Attributes:
        source: of the images.
        prepare: makes uint8 [height, width, channels] of one, uint8 [h, w, C].
    """

    source: Source
    prepare: Callable[[np.ndarray], np.ndarray]

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        source = self.source
        image, label = source.as_stored(index) if isinstance(source, ResizingSource) else source[index]
        return self.prepare(image), label


@dataclass(frozen=True)
class EvaluationData:
    """One split of a set, or all of it.

    Attributes:
        split: which one it is.
        sources: its images and labels.
        class_names: of the labels.
        image_shape: (H, W, C) of every image.
        skip_unreadable: whether images that cannot be read are left out, and not an error.
        notes: what is to be known of the set.
        prepare: makes images of that shape of those that are stored; None: the sources' are taken as they are.
    """

    split: Split
    sources: Sequence[DivisibleSource]
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    skip_unreadable: bool
    notes: tuple[str, ...]
    prepare: Callable[[np.ndarray], np.ndarray] | None = None

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
            images = source if self.prepare is None else Prepared(source, self.prepare)
            for batch in StreamingFeed(images, workers=0, skip=skip).in_order(batch_size):
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
    since: its test images are no images that it learned from. Images of another set that are not all of the model's
    size are prepared as `vit_jax.preprocessing(model)` does.

    Raises:
        ValueError: no such set, it has no such split or no labels, or it is another than the run trained on.
        FileNotFoundError: the set is not there.
    """
    workdir = workdir_of(source)
    division = trained_division(workdir, name)
    # Another set's images are prepared at the network's size, from files: no image is too small for a load_size of 1.
    fields: dict[str, Any] = dict(division if division is not None else {"load_size": 1})
    fields |= {"data_dir": data_dir} if data_dir is not None else {}
    fields |= {"skip_unreadable": True} if skip_unreadable else {}
    config = DataConfig(name, **fields)
    if division is None:
        whole = whole_folder(source, config, split) or without_training_images(config, split)
        return prepared_for(model, whole or divided(load_dataset(config), config, split or "test"))
    dataset = load_dataset(config, workdir / LISTING)
    check_record(dataset, workdir / RECORD)
    if not dataset.class_names:
        raise ValueError(f"the run in {source} read {name} without labels: evaluate it on images that have some")
    data = divided(dataset, config, split or "test")
    note = f"divided and loaded as the run in {source} did"
    return dataclasses.replace(data, notes=(*data.notes, note))


def divided(dataset: Dataset, config: DataConfig, split: Split) -> EvaluationData:
    """A split of a set."""
    sources = split_sources(dataset, split)
    return EvaluationData(
        split, sources, dataset.class_names, dataset.image_shape, config.skip_unreadable, dataset.notes
    )


def whole_folder(source: str, config: DataConfig, split: Split | None) -> EvaluationData | None:
    """All images of a folder that comes in one piece; None for other sets, and where a part of it is asked for."""
    if not config.name.startswith(FOLDER):
        return None
    folder = undivided_folder(folder_root(config.name))
    if folder is None or not (split in (None, "all") or split == folder.split != "train"):
        return None
    images, class_names, notes = load_undivided(folder.path, config)
    note = f"every image of {folder.path}, which is not divided; {describe_learned(source, images.files)[1]}"
    shape = (*config.load_shape, 3)
    return EvaluationData(split or "all", [images], class_names, shape, config.skip_unreadable, (*notes, note))


def without_training_images(config: DataConfig, split: Split | None) -> EvaluationData | None:
    """A split of a TFDS set that has none to learn from, as ImageNet-v2; None for other sets, and other splits."""
    if not config.name.startswith("tfds:"):
        return None
    from vit_jax.data.tfds_sets import open_tfds  # imports TFDS, 0.3 s, which other sets need not wait

    opened = open_tfds(config.name.removeprefix("tfds:"), config)
    split = split or ("test" if "test" in opened.splits else "validation")
    sources = [source for name, source in opened.splits.items() if split in (name, "all")]
    if "train" in opened.splits or not sources:
        return None
    return EvaluationData(
        split, sources, opened.class_names, opened.image_shape, config.skip_unreadable, tuple(opened.notes)
    )


def prepared_for(model: Network, data: EvaluationData) -> EvaluationData:
    """The same images as `vit_jax.preprocessing` makes them, but for normalising; unchanged if all have the model's
    size.

    Raises:
        ValueError: as `vit_jax.preprocessing`.
    """
    differ = any(isinstance(source, ResizingSource) and source.resize for source in data.sources)
    if not differ and data.image_shape[:2] == model.input_shape[:2]:
        return data
    return dataclasses.replace(data, prepare=cropped_pixels(model), image_shape=model.input_shape)


def trained_division(workdir: Path, name: str) -> dict[str, Any] | None:
    """How the run in a workdir divides and loads a set; None if it is no workdir, or its run trained on another set.

    Raises:
        ValueError: if the run's config does not say it.
    """
    path = workdir / "config.json"
    data = read_json(path).get("data") if path.is_file() else None
    if not isinstance(data, dict):
        return None
    if missing := [field for field in ("name", *DIVISION) if field not in data]:
        raise ValueError(f"{path} is damaged, or of another version: of data it lacks {', '.join(missing)}")
    return {field: data[field] for field in DIVISION} if is_set_of(workdir, data["name"], name) else None


def split_sources(dataset: Dataset, split: Split) -> list[DivisibleSource]:
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
