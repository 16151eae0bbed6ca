"""Names to data sets: "digits", "cifar10", "cifar100", "folder:DIR", "tfds:NAME"."""

from importlib.metadata import distribution
from pathlib import Path

import numpy as np

from vit_jax.choices import nearest
from vit_jax.data.dataset import ArraySource, DataConfig, Dataset
from vit_jax.data.splits import divide

NAMES = ("digits", "cifar10", "cifar100", "folder:DIR", "tfds:NAME")


def load_dataset(config: DataConfig, listing: Path | None = None) -> Dataset:
    """The data set that a config names, divided as it says.

    CIFAR is downloaded and prepared if it is not yet; other TFDS sets must have been prepared.

    Args:
        config: of the images.
        listing: the images.json of a run that goes on: where it exists, its images and their division are taken, not
            what the folder holds today.

    Raises:
        ValueError: an unknown name, with the nearest ones, or a set that cannot be used, with the reason.
        FileNotFoundError: no such folder, or a TFDS set that is not prepared.
        ConnectionError: CIFAR is not prepared, and there is no network.
    """
    # Each kind of set is imported where it is loaded: TFDS takes 0.3 s, and a run needs one kind.
    kind, _, rest = config.name.partition(":")
    if not config.labels and kind != "folder":
        raise ValueError(f"data.labels False is for folders of images; {config.name} has labels")
    if config.name == "digits":
        return load_digits(config)
    if config.name in ("cifar10", "cifar100"):
        from vit_jax.data.cifar import LAYOUTS
        from vit_jax.data.tfds_sets import load_cifar

        return load_cifar(LAYOUTS[config.name], config)
    if kind == "folder" and rest:
        from vit_jax.data.folder import folder_root, load_folder
        from vit_jax.data.listing import load_listed

        if listing is not None and listing.exists():
            return load_listed(config, listing)
        return load_folder(folder_root(config.name), config)
    if kind == "tfds" and rest:
        from vit_jax.data.tfds_sets import load_tfds

        return load_tfds(rest, config)
    if config.name and Path(config.name).expanduser().is_dir():
        raise ValueError(f"no data set {config.name!r}: did you mean folder:{config.name}?")
    offered = nearest(config.name.lower(), NAMES)
    raise ValueError(f"no data set {config.name!r}{offered}; there are {', '.join(NAMES)}")


def load_digits(config: DataConfig) -> Dataset:
    """Handwritten digits: 1,797 real images of 8 x 8 x 1 in 10 classes, which come with scikit-learn.

    They have 17 levels of grey, 0 to 16, spread over 0 to 255: `round(pixel * 16 / 255)` gives the level back.

    Source: Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits", 1998: its test set.
    """
    # Not with its load_digits: importing scikit-learn takes a second, a tenth of the time to the first training step.
    table = distribution("scikit-learn").locate_file("sklearn/datasets/data/digits.csv.gz")
    levels, labels = np.split(np.loadtxt(str(table), np.uint8, delimiter=","), [64], axis=1)
    images = np.round(levels.reshape(-1, 8, 8, 1) * (255 / 16)).astype(np.uint8)
    source = ArraySource(images, labels[:, 0].astype(np.int32))
    return divide(config, [str(digit) for digit in range(10)], (8, 8, 1), source, notes=["digits of scikit-learn"])
