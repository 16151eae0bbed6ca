"""Prepared TFDS sets, read without TensorFlow."""

import errno
import os
import resource
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core.read_only_builder import builder_from_files

from vit_jax.data.cifar import CifarLayout
from vit_jax.data.dataset import ArraySource, DataConfig, Dataset, check_labels
from vit_jax.data.decoding import decode
from vit_jax.data.map_files import announce, map_files
from vit_jax.data.prepare import (
    damaged,
    default_data_dir,
    how_to_prepare_elsewhere,
    nearest_tfds_names,
    prepare_cifar,
    read_prepared,
)
from vit_jax.data.splits import divide

CHUNK = 1024
"""Records read at a time, where all are."""

UNREAD = np.iinfo(np.int32).min
"""Stands for a label that was not read yet: TFDS itself has -1 for what is not labelled."""

OTHER_FILES = 1024
"""What a process may have open besides the files of a set: the usual limit of all that it has."""


@dataclass(frozen=True, eq=False)
class PreparedSplit:
    """The records of one split of a prepared set. Each of its files is opened when it is first read, and stays open.

    Attributes:
        directory: of the prepared set.
        name: of the split in the set.
    """

    directory: Path
    name: str

    def __len__(self) -> int:
        return len(self._records)

    def __reduce__(self) -> tuple[type, tuple[Any, ...]]:
        # What is sent to a worker process leaves the open files and the labels behind.
        return type(self), (self.directory, self.name)

    def read(self, places: Sequence[int]) -> list[bytes]:
        """The records at `places`.

        Raises:
            ValueError: the set is damaged.
            OSError: the system does not let the process open as many files as the set has.
        """
        try:
            # Reading several at once starts threads, which one is not worth.
            return self._records.__getitems__(places) if len(places) > 1 else [self._records[places[0]]]
        except RuntimeError as error:  # what the reader makes of a wrong checksum, or a missing file
            if os.strerror(errno.EMFILE) in str(error):
                limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
                why = f"{self.directory} needs more open files than the {limit} that the system allows"
                much = f"raise the limit, ulimit -n, to {self._most_files} or more"
                raise OSError(errno.EMFILE, f"{why}: {much}") from error
            raise damaged(self.directory, error) from error

    @cached_property
    def labels(self) -> np.ndarray:
        """The labels that are known, int32 [N], and `UNREAD`."""
        return np.full(len(self), UNREAD, np.int32)

    def label(self, record: bytes) -> int:
        return int(self._label_only.deserialize_example_np(record)["label"])

    def image_and_label(self, record: bytes) -> tuple[np.ndarray | bytes, int]:
        """What a record holds; the image encoded where the set has it so."""
        example = self._features.deserialize_example_np(record, decoders=self._decoders)
        return example["image"], int(example["label"])

    @cached_property
    def _builder(self) -> Any:
        return read_prepared(self.directory)

    @cached_property
    def _records(self) -> Any:
        allow_open_files(self._most_files)
        raw = tfds.decode.DeserializeMethod.RAW_BYTES
        return self._builder.as_data_source(self.name, deserialize_method=raw)

    @property
    def _most_files(self) -> int:
        """How many files a process has open at most that reads the whole set."""
        return OTHER_FILES + sum(split.num_shards for split in self._builder.info.splits.values())

    @cached_property
    def _features(self) -> Any:
        # A set's other features (boxes, masks, captions) are left undecoded.
        features = self._builder.info.features
        return tfds.features.FeaturesDict({name: features[name] for name in ("image", "label")})

    @cached_property
    def _label_only(self) -> Any:
        return tfds.features.FeaturesDict({"label": self._features["label"]})

    @cached_property
    def _decoders(self) -> dict[str, Any]:
        # TFDS's own decoding gives a grey or palette JPEG or PNG as it comes, without looking at the feature's shape.
        encoded = isinstance(self._features["image"], tfds.features.Image)
        return {"image": tfds.decode.SkipDecoding()} if encoded else {}


def allow_open_files(count: int) -> None:
    """Raises the number of files that this process, and those it starts, may have open to `count`, if it is lower; not
    above what the system lets it."""
    limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY:
        count = min(count, most)
    if limit != resource.RLIM_INFINITY and limit < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, most))


@dataclass(frozen=True, eq=False)
class PreparedSource:
    """The images and labels of one split of a prepared set, read from its files when they are asked for.

    Attributes:
        split: its records; sources of a split's parts share them, and so its open files and known labels.
        image_shape: (H, W, C) of every image as it is given.
        resize: whether the set's images are resized to that shape: their centres, in colour.
        num_classes: labels are below this.
        places: int [N], of the examples in the split; None: all of them.
    """

    split: PreparedSplit
    image_shape: tuple[int, int, int]
    resize: bool
    num_classes: int
    places: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        place = self._places[index]
        return self._example(place, self.split.read([place])[0], self.resize)

    def as_stored(self, index: int) -> tuple[np.ndarray, int]:
        place = self._places[index]
        return self._example(place, self.split.read([place])[0], resize=False)

    def as_arrays(self) -> tuple[np.ndarray, np.ndarray]:
        images = np.empty((len(self), *self.image_shape), np.uint8)
        labels = np.empty(len(self), np.int32)

        def put(item: tuple[int, tuple[int, bytes]]) -> None:
            index, (place, record) = item
            images[index], labels[index] = self._example(place, record, self.resize)

        for start in range(0, len(self), CHUNK):
            places = list(self._places[start : start + CHUNK])
            map_files(put, enumerate(zip(places, self.split.read(places), strict=True), start))
        return images, labels

    @property
    def labels(self) -> np.ndarray:
        """The labels, int32 [N]; reads the records whose labels are not known yet, without decoding their images."""
        known, places = self.split.labels, np.asarray(self._places)
        unread = places[known[places] == UNREAD]
        announce(f"the labels of {self.split.directory}, {self.split.name} split", len(unread))
        for start in range(0, len(unread), CHUNK):
            chunk = unread[start : start + CHUNK]
            known[chunk] = [self.split.label(record) for record in self.split.read(chunk.tolist())]
        labels = known[places]
        check_labels(labels, self.num_classes, f"{self.split.directory}, {self.split.name} split")
        return labels

    @property
    def begins_unlabelled(self) -> bool:
        """Whether the first example has no label, for which TFDS writes -1: so are test splits whose labels are kept
        secret."""
        return self.split.label(self.split.read([self._places[0]])[0]) == -1

    def subset(self, indices: np.ndarray) -> "PreparedSource":
        return replace(self, places=np.asarray(self._places)[indices])

    @property
    def _places(self) -> Any:
        return range(len(self.split)) if self.places is None else self.places

    def _example(self, place: int, record: bytes, resize: bool) -> tuple[np.ndarray, int]:
        name = f"{self.split.directory}, {self.split.name} example {place}"
        image, label = self.split.image_and_label(record)
        if not 0 <= label < self.num_classes:
            raise ValueError(f"{name} has label {label}, outside 0 to {self.num_classes - 1}")
        height, width, channels = self.image_shape
        if isinstance(image, bytes):
            image = decode(image, channels, (height, width) if resize else None, name)
        own_size = self.resize and not resize
        if image.shape != self.image_shape and not own_size:
            raise ValueError(f"{name} has shape {image.shape}, not {self.image_shape}")
        return image, label


def load_cifar(layout: CifarLayout, config: DataConfig) -> Dataset:
    """CIFAR-10 or CIFAR-100, in memory (184 MB); downloaded and prepared first if it is not yet.

    Raises:
        ConnectionError: it is not prepared, and there is no network; says what to do.
    """
    prepared = prepare_cifar(layout, data_dir=config.data_dir)
    info: Any = read_prepared(prepared.directory).info
    if not (prepared.directory / "label.labels.txt").exists():  # TFDS would call the classes 0, 1, 2
        raise damaged(prepared.directory, "label.labels.txt, the names of its classes, is missing")
    class_names, image_shape = info.features["label"].names, info.features["image"].shape

    def read(name: str) -> ArraySource:
        split = PreparedSplit(prepared.directory, name)
        return ArraySource(*PreparedSource(split, image_shape, False, len(class_names)).as_arrays())

    return divide(config, class_names, image_shape, read("train"), test=read("test"), notes=[prepared.provenance])


class OpenedSet(NamedTuple):
    """A prepared set.

    Attributes:
        class_names: one for each label.
        image_shape: (H, W, C) of every image as it is given.
        splits: those of "train", "validation" and "test" that it has with labels.
        notes: what it is, and what of it is not used.
    """

    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    splits: Mapping[str, PreparedSource]
    notes: list[str]


def load_tfds(name: str, config: DataConfig) -> Dataset:
    """A prepared TFDS set with the features `image` and `label`, read from its files as they are needed.

    Images of one size keep it; others are loaded as `config.load_size` says. A validation or test split without labels
    is left out, as if there were none, and noted.

    Raises:
        FileNotFoundError: the set is not prepared.
        ValueError: the set is not one of labelled images, has none to learn from, or was prepared in a file format
            without random access.
    """
    class_names, image_shape, splits, notes = open_tfds(name, config)
    if "train" not in splits:
        raise ValueError(f"tfds:{name} has no train split, but {', '.join(splits) or 'none with labels'}")
    return divide(
        config, class_names, image_shape, splits["train"], splits.get("validation"), splits.get("test"), notes
    )


def open_tfds(name: str, config: DataConfig) -> OpenedSet:
    """A prepared TFDS set as its publisher divided it; errors as of `load_tfds`."""
    data_dir = default_data_dir(config.data_dir)
    try:
        directory = Path(builder_from_files(name, data_dir=data_dir).data_dir)
    except tfds.core.DatasetNotFoundError as error:
        where = f" --data-dir {config.data_dir}" if config.data_dir else ""
        raise FileNotFoundError(
            f"tfds:{name} is not prepared in {data_dir}{nearest_tfds_names(name)}.\n"
            f"To prepare it: vit-jax prepare tfds:{name}{where}\n"
            '(this needs TensorFlow, pip install -e ".[tensorflow]" where this package lies; training on the prepared '
            "set does not)"
        ) from error
    info: Any = read_prepared(directory).info
    class_names = _class_names(info, name)
    image_shape, resize = _image_shape(info, name, config.load_shape)
    sources = {
        split: PreparedSource(PreparedSplit(directory, split), image_shape, resize, len(class_names))
        for split in ("train", "validation", "test")
        if split in info.splits
    }
    try:
        unlabelled = [split for split, source in sources.items() if split != "train" and source.begins_unlabelled]
        sources = {split: source for split, source in sources.items() if split not in unlabelled}
        for source in sources.values():
            source[0]  # to see now whether the split can be read, and is labelled
    except NotImplementedError as error:
        raise ValueError(
            f"{directory} is in the format {info.file_format.value}, which has no random access. "
            f"{how_to_prepare_elsewhere(name)}"
        ) from error
    notes = [f"TFDS set {info.full_name}"]
    notes += [f"{split} split not used: it has no labels" for split in unlabelled]
    if unused := sorted(set(info.splits) - {*sources, *unlabelled}):
        notes.append(f"splits not used: {', '.join(unused)}")
    return OpenedSet(class_names, image_shape, sources, notes)


def _feature(info: Any, name: str) -> Any:
    has_names = isinstance(info.features, tfds.features.FeaturesDict)
    return info.features[name] if has_names and name in info.features else None


def _class_names(info: Any, name: str) -> tuple[str, ...]:
    label = _feature(info, "label")
    if not isinstance(label, tfds.features.ClassLabel):
        raise ValueError(f"tfds:{name} has no class label: its features are {info.features}")
    return tuple(label.names)


def _image_shape(info: Any, name: str, load_shape: tuple[int, int]) -> tuple[tuple[int, int, int], bool]:
    """The shape (H, W, C) that a set's images are given in, and whether they are resized to it."""
    image = _feature(info, "image")
    encoded = issubclass(type(image), tfds.features.Image)
    tensor = issubclass(type(image), tfds.features.Tensor)
    if not (encoded or tensor) or image.np_dtype != np.uint8 or len(image.shape) != 3:
        raise ValueError(f"tfds:{name} has no uint8 image (height, width, channels): its features are {info.features}")
    height, width, channels = image.shape
    if encoded:
        channels = 1 if channels == 1 else 3  # transparent images are put on white
        if None in (height, width):
            return (*load_shape, channels), True
    elif None in image.shape:
        raise ValueError(f"tfds:{name} has tensors of no fixed shape for images, {image.shape}: these are not read")
    return (height, width, channels), False
