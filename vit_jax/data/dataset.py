"""What a data set is: sources of labelled images, and the choices that pick and split them."""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from vit_jax.choices import check_fields


class Source(Protocol):
    """Random access to the examples of one split."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        """The image, uint8 [H, W, C], and its label in [0, classes)."""
        ...


class DivisibleSource(Source, Protocol):
    """A source whose examples can be divided by class without decoding their images, and read all at once."""

    @property
    def labels(self) -> np.ndarray:
        """The label of every example, int32 [N]."""
        ...

    def subset(self, indices: np.ndarray) -> "DivisibleSource":
        """The source of the examples at `indices`, in that order."""
        ...

    def as_arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """All images, uint8 [N, H, W, C], and labels, int32 [N]: those in memory themselves, no copies."""
        ...


@runtime_checkable
class NamedSource(Source, Protocol):
    """A source whose examples are files."""

    @property
    def files(self) -> tuple[str, ...]:
        """The path of every example."""
        ...


@runtime_checkable
class ResizingSource(Source, Protocol):
    """A source of images that may have sizes of their own, and are resized to one then."""

    @property
    def resize(self) -> bool:
        """Whether they are."""
        ...

    def as_stored(self, index: int) -> tuple[np.ndarray, int]:
        """The image in its own size, uint8 [h, w, C], and its label."""
        ...


@dataclass(frozen=True, eq=False)
class ArraySource:
    """A split that is in memory.

    Attributes:
        images: uint8 [N, H, W, C].
        labels: int32 [N].
    """

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        return self.images[index], int(self.labels[index])

    def as_arrays(self) -> tuple[np.ndarray, np.ndarray]:
        return self.images, self.labels

    def subset(self, indices: np.ndarray) -> "ArraySource":
        return ArraySource(self.images[indices], self.labels[indices])


@dataclass(frozen=True)
class DataConfig:
    """Which images to use and how to divide them.

    Attributes:
        name: "digits", "cifar10", "cifar100", "folder:DIR" (a class a folder) or "tfds:NAME" (a prepared TFDS set).
        data_dir: where prepared TFDS sets live. None: $TFDS_DATA_DIR, or else ~/tensorflow_datasets.
        validation_fraction: of the images being divided, held out for validation; in [0, 1). Taken from the training
            images where the set brings its own test split, and not used where it brings a validation split too. Of a
            TFDS set every record is read at each start for this division and the next, to see its label.
        test_fraction: of the images, held out for testing where the set brings neither a test nor a validation split;
            in (0, 1).
        split_seed: of the divisions, which are stratified by class.
        labels: False: all images in a folder and in the folders within are taken, without labels, for pre-training.
        load_size: pixels, of a square or (height, width). Of folders and of sets whose images differ in size, the
            centre of each image is loaded at this size: as much of the image as has its proportions.
        skip_unreadable: False: the first file of a folder that is not a readable image stops the run, and is named.
            True: every file is decoded once at the start, and those that cannot be are left out, counted and named.
            Of those that go bad later, others take the place in training, and evaluation does not count them.
        feed: "resident" keeps the set on the device, "streaming" reads it in worker processes, "auto" goes by size.
        workers: processes of the streaming feed, each with two threads. None: one for two processor cores, but at least
            2 and at most 16. Each has up to three batches of images in memory, and of a folder the names of all files.
        repeats: how many times an image stands in a batch, augmented each time anew (repeated augmentation; DeiT: 3).
            Epochs are as long as without, and have so many times fewer images.
    """

    name: str = "digits"
    data_dir: str | None = None
    validation_fraction: float = 0.0
    test_fraction: float = 0.2
    split_seed: int = 0
    labels: bool = True
    load_size: int | tuple[int, int] = 256
    skip_unreadable: bool = False
    feed: Literal["auto", "resident", "streaming"] = "auto"
    workers: int | None = None
    repeats: int = 1

    def __post_init__(self):
        check_fields(self, "data.")
        if isinstance(self.load_size, list):  # from a file
            object.__setattr__(self, "load_size", tuple(self.load_size))
        if len(self.load_shape) != 2 or not all(isinstance(side, Integral) and side >= 1 for side in self.load_shape):
            pixels = "a whole number of pixels, or two, (height, width), of at least 1"
            raise ValueError(f"data.load_size must be {pixels}, not {self.load_size!r}")
        for name, bound in dict(repeats=1, workers=0, split_seed=0).items():
            if (value := getattr(self, name)) is not None and value < bound:
                raise ValueError(f"data.{name} must be at least {bound}, not {value}")
        for name in ("validation_fraction", "test_fraction"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"data.{name} must be at least 0 and less than 1, not {getattr(self, name)}")

    @property
    def load_shape(self) -> tuple[int, int]:
        """Height and width of `load_size`."""
        return self.load_size if isinstance(self.load_size, tuple) else (self.load_size, self.load_size)


@dataclass(frozen=True)
class Dataset:
    """A data set, divided and ready to be read.

    Attributes:
        name: as in the config.
        class_names: one for each label; none where the images have no labels, which are all 0 then.
        image_shape: (H, W, C) of every image of every split.
        train: the images to learn from.
        validation: the images to choose by, where some are held out for that.
        test: the images to report on.
        notes: provenance, how the images were divided, and what was left out; shown in the log and in every report.
    """

    name: str
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    train: DivisibleSource
    validation: DivisibleSource | None
    test: DivisibleSource
    notes: tuple[str, ...]


def check_labels(labels: np.ndarray | Sequence[int], num_classes: int, where: str) -> None:
    """Raises ValueError naming the first label outside [0, num_classes) and its place in `where`."""
    wrong = np.flatnonzero((np.asarray(labels) < 0) | (np.asarray(labels) >= num_classes))
    if wrong.size:
        first = int(wrong[0])
        raise ValueError(
            f"{where}: example {first} has label {labels[first]}, outside 0 to {num_classes - 1}"
            + (f" ({wrong.size} such labels in all)" if wrong.size > 1 else "")
        )
