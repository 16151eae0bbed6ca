"""The image files that a person names: files, folders, patterns."""

import glob
import os
from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

from PIL import Image

from vit_jax.data.decoding import FORMATS
from vit_jax.data.folder import files_below


class ImageFiles(NamedTuple):
    """What was found.

    Attributes:
        images: the paths of the images that are meant, each file once.
        others: those of the files in folders that do not have the suffix of an image.
    """

    images: list[str]
    others: list[str]

    def describe(self) -> str:
        """The others, as a sentence."""
        suffixes = sorted({os.path.splitext(file)[1].lower() or "none" for file in self.others})
        return f"left out of folders, as their suffix is no image's: {len(self.others):,} files ({' '.join(suffixes)})"


def image_files(named: Sequence[str]) -> ImageFiles:
    """Looks for images.

    Args:
        named: in the order to keep. A file is taken whatever it is called. Of a folder and those within it, and of what
            a pattern matches ("*", "?", "[...]"; "**" for folders within folders), files with the suffix of an image
            are taken, sorted by name.

    Raises:
        ValueError: nothing is named.
        FileNotFoundError: something named is not there, or a pattern or a folder gives no image.
    """
    if not named:
        raise ValueError("no image was named: give files, folders or patterns")
    suffixes, real_folder = image_suffixes(), cache(os.path.realpath)
    files: dict[str, str] = {}
    others: dict[str, str] = {}
    for name in named:
        found = list(files_of(os.path.expanduser(name), suffixes))
        if not any(is_image for _, is_image in found):
            raise FileNotFoundError(f"no image {nothing_at(name)}")
        for file, is_image in found:
            folder, base = os.path.split(file)
            # What a path leads to is asked step by step, of each file anew: only its folder's may be kept.
            path = os.path.realpath(file) if os.path.islink(file) else os.path.join(real_folder(folder), base)
            (files if is_image else others).setdefault(path, file)
    return ImageFiles(list(files.values()), [file for path, file in others.items() if path not in files])


def image_suffixes() -> tuple[str, ...]:
    """The suffixes, with their dots and in lower case, of the formats that are read."""
    return tuple(sorted(suffix for suffix, kind in Image.registered_extensions().items() if kind in FORMATS))


def files_of(name: str, suffixes: tuple[str, ...]) -> Iterator[tuple[str, bool]]:
    """The files that one argument stands for, and whether each is taken for an image.

    A file of that very name comes before a pattern.
    """
    if os.path.isdir(name):
        yield from ((file, file.lower().endswith(suffixes)) for file in files_below(name))
    elif os.path.lexists(name):  # a link to nothing, too: reading it says so
        yield name, True
    else:
        for match in sorted(glob.glob(name, recursive=True)):
            if os.path.isdir(match) or match.lower().endswith(suffixes):
                yield from files_of(match, suffixes)


def nothing_at(name: str) -> str:
    """Where no image was found, as the end of a sentence, and what would be one."""
    if os.path.isdir(os.path.expanduser(name)):
        return f"in the folder {name}: looked for {' '.join(image_suffixes())}, in folders within it, too"
    if glob.has_magic(name):
        return f"matches {name!r}: looked for {' '.join(image_suffixes())}; ** stands for folders within folders"
    return f"at {name}: there is no such file or folder"
