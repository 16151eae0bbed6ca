"""Data sets that are folders of image files, a class a folder; or all images below a folder, without labels.

- DIR/<class>/<image> is divided as the config says.
- DIR/{train,validation,test}/<class>/<image> is divided by whoever made it; see SPLIT_FOLDERS for other names.
"""

import dataclasses
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from vit_jax.data.dataset import DataConfig, Dataset
from vit_jax.data.decoding import image_size, read_centre, read_upright
from vit_jax.data.map_files import announce, map_files
from vit_jax.data.splits import divide

FOLDER = "folder:"
"""What the names of such sets begin with; the folder follows."""

SPLIT_FOLDERS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
    "testing": "test",
}
"""What the folders of splits are called, in upper or lower case."""

CLUTTER = {
    "$RECYCLE.BIN",
    "@eaDir",
    "System Volume Information",
    "Thumbs.db",
    "__MACOSX",
    "desktop.ini",
    "ehthumbs.db",
    "lost+found",
}
"""What operating and storage systems leave in folders; ignored, as are names that begin with a dot."""


@dataclass(frozen=True, eq=False)
class FolderSource:
    """The image files of one split, decoded when they are asked for.

    Attributes:
        files: their paths.
        labels: int32 [N].
        shape: height and width that the centre of each image is given in.
    """

    files: tuple[str, ...]
    labels: np.ndarray
    shape: tuple[int, int]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        return read_centre(self.files[index], self.shape), int(self.labels[index])

    @property
    def resize(self) -> bool:
        return True

    def as_stored(self, index: int) -> tuple[np.ndarray, int]:
        return np.asarray(read_upright(self.files[index])), int(self.labels[index])

    def as_arrays(self) -> tuple[np.ndarray, np.ndarray]:
        images = np.empty((len(self), *self.shape, 3), np.uint8)

        def place(index: int) -> None:
            images[index] = read_centre(self.files[index], self.shape)

        map_files(place, range(len(self)))
        return images, self.labels

    def subset(self, indices: np.ndarray) -> "FolderSource":
        return FolderSource(tuple(self.files[i] for i in indices), self.labels[indices], self.shape)


def folder_root(name: str) -> Path:
    """The folder of a set called "folder:DIR"."""
    return Path(name.removeprefix(FOLDER)).expanduser()


def load_folder(root: Path, config: DataConfig) -> Dataset:
    """The data set in the folder `root`.

    Every file is looked at first: its header, or where unreadable ones are to be skipped all of it.

    Raises:
        FileNotFoundError, NotADirectoryError: `root` is not a folder.
        ValueError: no classes, or only one; a class without training images; a split without images, or with classes
            that are not trained on; a file that is not a readable image, unless these are skipped.
    """
    notes: list[str] = []
    shape = (*config.load_shape, 3)
    if config.labels:
        class_names, splits = labelled_splits(root, split_folders(root), config, notes)
        if len(class_names) == 1:
            raise ValueError(
                f"{root} has only one class, {listed(class_names)}: there is nothing to tell apart; for pre-training "
                "without labels, set data.labels False"
            )
    else:
        class_names, splits = ("images",), unlabelled_splits(root, config, notes)
    parts = splits["train"], splits.get("validation"), splits.get("test")
    dataset = divide(config, class_names, shape, *parts, notes)
    return dataset if config.labels else dataclasses.replace(dataset, class_names=())


def labelled_splits(
    root: Path, folders: dict[str, Path], config: DataConfig, notes: list[str]
) -> tuple[tuple[str, ...], dict[str, FolderSource]]:
    """The classes, and the images of each split's folder, which has a folder a class; notes say what was left out."""
    classes = {split: class_folders(folder, notes) for split, folder in folders.items()}
    if folders == {"train": root}:
        notes += splits_notes(classes["train"])
    class_names = common_class_names(root, classes)
    files = {
        split: labelled_files([of_split.get(name) for name in class_names], config.load_shape)
        for split, of_split in classes.items()
    }
    splits = check_files(files, config, notes)
    for split, source in splits.items():
        absent = [class_names[label] for label in sorted(set(range(len(class_names))) - set(source.labels.tolist()))]
        if split == "train" and absent:
            raise ValueError(f"class folder {folders[split] / absent[0]} has no images: add some or delete it")
        if not len(source):
            raise ValueError(f"folder {folders[split]} has no images")
        if absent:
            notes.append(f"{split}: no images of {len(absent):,} of {len(class_names):,} classes: {listed(absent)}")
    return class_names, splits


def unlabelled_splits(root: Path, config: DataConfig, notes: list[str]) -> dict[str, FolderSource]:
    """All images in a folder and in the folders within, of label 0.

    Only where there is nothing else beside folders that are called as splits, "train" among them, do these divide it:
    there are photographs of trains.
    """
    called = {SPLIT_FOLDERS.get(entry.name.casefold()) if entry.is_dir() else None for entry in contents(root)}
    folders = split_folders(root) if "train" in called and None not in called else {"train": root}
    files = {split: labelled_files([folder], config.load_shape) for split, folder in folders.items()}
    splits = check_files(files, config, notes)
    for split, source in splits.items():
        if not len(source):
            raise ValueError(f"folder {folders[split]} has no images")
    return splits


def split_folders(root: Path) -> dict[str, Path]:
    """The folder of each split of a divided set; of another set, `root` itself as "train"."""
    folders = {entry.name: Path(entry) for entry in contents(root) if entry.is_dir()}
    named = {name: folder for name, folder in folders.items() if name.casefold() in SPLIT_FOLDERS}
    others = folders.keys() - named.keys()
    # A class may be called "train", too. But a split's folder holds folders, and a class's folder holds images.
    if not named or (others and not any(entry.is_dir() for folder in named.values() for entry in visible(folder))):
        return {"train": root}
    if others:
        raise ValueError(f"{root} has split folders, {listed(named)}, and others beside them: {listed(others)}")
    splits: dict[str, Path] = {}
    for name, folder in named.items():
        if (other := splits.setdefault(SPLIT_FOLDERS[name.casefold()], folder)) != folder:
            raise ValueError(f"{root} has both {other.name!r} and {name!r}: keep one")
    if "train" not in splits:
        raise ValueError(f"{root} has {listed(named)}, but no 'train' to learn from")
    return splits


def class_folders(folder: Path, notes: list[str]) -> dict[str, Path]:
    """The class folders in a folder, by name; a note says which files lie beside them."""
    entries = visible(folder)
    classes = {entry.name: Path(entry) for entry in entries if entry.is_dir()}
    strays = [entry.name for entry in entries if not entry.is_dir()]
    if not classes:
        found = f"holds {len(strays)} files but no folders" if strays else "is empty"
        raise ValueError(
            f"{folder} {found}: put the images of each class into a folder named after the class; a folder of images "
            "to test on whose classes are not known has to lie elsewhere; for pre-training without labels, set "
            "data.labels False"
        )
    if strays:
        notes.append(f"not used, beside the class folders in {folder}: {listed(strays)}")
    return classes


def splits_notes(classes: dict[str, Path]) -> list[str]:
    """A note if the folders of the classes look like splits by other names, as Kaggle's "training_set" and "test_set":
    the first holds folders alone, and the others the same ones.
    """
    first, *others = classes.values()
    within = visible(first)
    if len(within) < 2 or not others or not all(entry.is_dir() for entry in within):
        return []
    names = [entry.name for entry in within]
    if any([entry.name for entry in visible(other) if entry.is_dir()] != names for other in others):
        return []
    return [
        f"the classes are {listed(classes)}, and each holds the folders {listed(names)}: if these are the classes, and "
        "those are splits, call those train, validation and test"
    ]


def common_class_names(root: Path, classes: dict[str, dict[str, Path]]) -> tuple[str, ...]:
    """The sorted names of the classes, those of the training images: no split may have others."""
    names = classes["train"].keys()
    for split in classes:
        if unknown := classes[split].keys() - names:
            raise ValueError(f"{root}: {split} has classes that train has not: {listed(unknown)}")
    if garbled := [name for name in names if name.encode(errors="replace").decode() != name]:
        raise ValueError(f"{root} has class folders whose names are no text (UTF-8), {listed(garbled)}: rename them")
    return tuple(sorted(names))


def labelled_files(folders: Sequence[Path | None], shape: tuple[int, int]) -> FolderSource:
    """Every file of the classes' folders, labelled by the folder's place in the list; None for a class without one."""
    files = [[] if folder is None else list(files_below(folder)) for folder in folders]
    labels = np.repeat(np.arange(len(folders), dtype=np.int32), [len(of_class) for of_class in files])
    return FolderSource(tuple(file for of_class in files for file in of_class), labels, shape)


def check_files(splits: dict[str, FolderSource], config: DataConfig, notes: list[str]) -> dict[str, FolderSource]:
    """The splits without their unreadable files, which must be allowed to be skipped; notes say what was seen."""

    def look(file: str) -> tuple[int, int] | ValueError:
        try:
            # A header shows what is not an image, in 30 microseconds; only decoding shows what is damaged.
            return image_size(file, decode=config.skip_unreadable)
        except ValueError as error:
            return error

    (height, width), scale = config.load_shape, 0.0
    checked, skipped = {}, []
    for split, source in splits.items():
        announce(f"{'every image' if config.skip_unreadable else 'the header of every image'} of {split}", len(source))
        seen = map_files(look, source.files)
        errors = [error for error in seen if isinstance(error, ValueError)]
        if errors and not config.skip_unreadable:
            more = f" (and {len(errors) - 1:,} more in {split})" if len(errors) > 1 else ""
            gone = not os.path.lexists(source.files[seen.index(errors[0])])
            mend = "Put it back" if gone else "Delete it"
            raise ValueError(f"{errors[0]}{more}. {mend}, or ask for skip_unreadable to leave such files out")
        readable = np.array([not isinstance(size, ValueError) for size in seen], bool)
        checked[split] = source.subset(np.flatnonzero(readable))
        skipped += [source.files[i] for i in np.flatnonzero(~readable)]
        sizes = [size for size in seen if not isinstance(size, ValueError)]
        scale = max([scale, *(min(across / width, down / height) for across, down in sizes)])
    if skipped:
        notes.append(f"skipped {len(skipped):,} files that are not readable images: {listed(skipped)}")
    if 0 < scale < 1:
        enough = " ".join(str(round(side * scale)) for side in dict.fromkeys(config.load_shape))
        notes.append(f"every image is enlarged to load_size {config.load_size}; {enough} would hold each in full")
    return checked


def files_below(folder: str | Path, above: tuple[str, ...] = ()) -> Iterator[str]:
    """Every file in a folder and in the folders within, in the order of their names; links to folders are followed."""
    above = (*above, os.path.realpath(folder))
    for entry in visible(folder):
        if not is_folder(entry):
            yield entry.path
        elif os.path.realpath(entry) in above:
            raise ValueError(f"{entry.path} is a link to a folder that it lies in")
        else:
            yield from files_below(entry.path, above)


def names_within(root: Path, files: Sequence[str]) -> list[str]:
    """The files' paths from `root` on."""
    # Finding out where a folder lies takes several times as long as all else, and a folder has many files.
    within = cache(lambda folder: os.path.join(os.path.relpath(folder, root), "").removeprefix("./"))
    return [within(folder) + name for folder, name in map(os.path.split, files)]


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder, or a link to one. A link to itself is neither: reading it as a file says so."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def contents(root: Path) -> list[os.DirEntry[str]]:
    """What is in the folder of a set, as `visible` has it.

    Raises:
        FileNotFoundError, NotADirectoryError: it is not a folder.
    """
    if not root.exists():
        raise FileNotFoundError(f"folder {root} does not exist; data.name folder:DIR takes a DIR with a folder a class")
    return visible(root)


def visible(folder: str | Path) -> list[os.DirEntry[str]]:
    """What is in a folder, sorted by name, without hidden files and clutter."""
    with os.scandir(folder) as entries:
        return sorted(
            (entry for entry in entries if not entry.name.startswith(".") and entry.name not in CLUTTER),
            key=lambda entry: entry.name,
        )


def listed(names: Iterable[str]) -> str:
    """Names as part of a sentence: sorted, quoted, at most ten of them."""
    names = sorted(names)
    return ", ".join(map(repr, names[:10])) + (f" and {len(names) - 10:,} more" if len(names) > 10 else "")
