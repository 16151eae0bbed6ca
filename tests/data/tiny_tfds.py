"""Small prepared TFDS sets."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

RNG = np.random.default_rng(0)
Example = dict[str, Any]


class Tiny(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """A set of the given features and examples, by split."""

    VERSION = tfds.core.Version("1.0.0")

    def __init__(self, features: dict[str, Any], splits: dict[str, list[Example]], **kwargs: Any):
        self.given_features, self.given_splits = features, splits
        super().__init__(**kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        features = tfds.features.FeaturesDict(self.given_features)
        return tfds.core.DatasetInfo(builder=self, features=features, disable_shuffling=True)

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        return {split: self._generate_examples(examples) for split, examples in self.given_splits.items()}

    def _generate_examples(self, examples: list[Example]) -> Iterator[tuple[int, Example]]:
        yield from enumerate(examples)


def encoded(image: np.ndarray, form: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(image.squeeze()).save(file, form)
    return file.getvalue()


def noise(count: int, *shape: int) -> list[np.ndarray]:
    return [RNG.integers(0, 256, shape, np.uint8) for _ in range(count)]


LABEL = tfds.features.ClassLabel(names=["cat", "dog"])


def prepared(
    directory: Path,
    image: Any,
    splits: dict[str, list[Example]],
    file_format: str = "array_record",
    shards: int | None = None,
    **more,
):
    """`shards`: files of a split; None: as many as its size needs, which is one."""
    features = {"image": image, "label": LABEL, **more}
    builder = Tiny(features, splits, data_dir=directory, file_format=file_format)
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(num_shards=shards))


def examples(images: list[np.ndarray]) -> list[Example]:
    return [{"image": encoded(image), "label": i % 2} for i, image in enumerate(images)]
