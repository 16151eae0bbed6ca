"""TFDS builders for CIFAR-10 and CIFAR-100 that need no TensorFlow.

TFDS's own builders declare an `Image` feature, which is encoded by TensorFlow. Here the image is a uint8 `Tensor`
feature, kept as bytes: preparing takes seconds, and reading an example 30 microseconds. They lie in a
folder of their own, `vit_jax`, where they never meet what TFDS's builders make.
"""

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from vit_jax.data.cifar import IMAGE_SHAPE, LAYOUTS, CifarArchive, CifarLayout


class CifarBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Writes an archive's images as a TFDS set, in the archive's order."""

    name = "vit_jax"
    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS: ClassVar = [tfds.core.BuilderConfig(name=name) for name in LAYOUTS]

    def __init__(self, archive: CifarArchive, data_dir: Path):
        self.archive = archive
        super().__init__(data_dir=data_dir, config=archive.layout.name, file_format="array_record")

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=f"{self.archive.layout.title}, images as uint8 tensors.",
            homepage="https://www.cs.toronto.edu/~kriz/cifar.html",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Tensor(shape=IMAGE_SHAPE, dtype=np.uint8, encoding="bytes"),
                    "label": tfds.features.ClassLabel(names=self.archive.class_names),
                }
            ),
            supervised_keys=("image", "label"),
            disable_shuffling=True,  # keeps the archive's order; the order of training is drawn for every epoch anyway
            metadata=tfds.core.MetadataDict(archive=self.archive.file, archive_sha256=self.archive.sha256),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator[tuple[int, Any]]]:
        return {split: self._generate_examples(*arrays) for split, arrays in self.archive.splits.items()}

    def _generate_examples(self, images: np.ndarray, labels: np.ndarray) -> Iterator[tuple[int, Any]]:
        for index, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
            yield index, {"image": image, "label": label}


def prepared_directory(layout: CifarLayout, data_dir: Path) -> Path:
    """Where in a data directory a prepared set lies."""
    return data_dir / CifarBuilder.name / layout.name / str(CifarBuilder.VERSION)


def write_prepared(archive: CifarArchive, data_dir: Path) -> None:
    """Writes an archive's images as a TFDS set, into its `prepared_directory`.

    TFDS writes into a directory beside it, which it renames at the end and removes after an error: a directory of the
    final name is complete.
    """
    directory = prepared_directory(archive.layout, data_dir)
    try:
        # TFDS prints that it is downloading a set of unknown size, and draws bars across what others print.
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            CifarBuilder(archive, data_dir).download_and_prepare()
    except (OSError, RuntimeError) as error:  # RuntimeError: what the writer of records makes of a full disk
        # Another process may have prepared the same set meanwhile, and then the renaming fails.
        if not directory.exists():
            raise OSError(f"{directory} cannot be written: {error}") from error
