"""Bringing data sets into the data directory, as TFDS sets that training reads."""

import hashlib
import importlib.util
import os
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow_datasets as tfds

from vit_jax.choices import nearest
from vit_jax.data.builders import prepared_directory, write_prepared
from vit_jax.data.cifar import LAYOUTS, CifarLayout, read_archive
from vit_jax.data.download import download


class Prepared(NamedTuple):
    """A data set that is ready to be read.

    Attributes:
        directory: of the TFDS set.
        provenance: what it was made from, for the log and the reports.
        anew: whether it was prepared just now, and not before.
    """

    directory: Path
    provenance: str
    anew: bool


def prepare(name: str, archive: Path | None = None, unverified: bool = False, data_dir: str | None = None) -> Prepared:
    """Prepares a data set, if it is not yet.

    Args:
        name: "cifar10", "cifar100" or "tfds:NAME".
        archive: the CIFAR archive to prepare from. None: it is downloaded.
        unverified: whether to take an archive of the right layout that is not the published one; it is recorded.
        data_dir: where prepared sets live; see `default_data_dir`.

    Raises:
        ConnectionError: no network, and no archive given.
        ModuleNotFoundError: TensorFlow is needed to prepare the set, and not installed.
        ValueError: an unknown name; an archive that is not what it should be, or not what was prepared from before.
    """
    if name in LAYOUTS:
        return prepare_cifar(LAYOUTS[name], archive, unverified, data_dir)
    if archive is not None or unverified:
        raise ValueError(f"an archive can be given for {' and '.join(LAYOUTS)}, not for {name!r}")
    if name.startswith("tfds:"):
        return prepare_tfds(name.removeprefix("tfds:"), data_dir)
    if name == "digits" or name.startswith("folder:"):
        raise ValueError(f"{name} needs no preparing: train with --data.name {name}")
    raise ValueError(f"no data set {name!r} to prepare: there are {', '.join(LAYOUTS)} and tfds:NAME")


def prepare_cifar(
    layout: CifarLayout, archive: Path | None = None, unverified: bool = False, data_dir: str | None = None
) -> Prepared:
    """Prepares CIFAR-10 or CIFAR-100 from an archive, or from the published one; see `prepare`."""
    directory = prepared_directory(layout, default_data_dir(data_dir))
    if directory.exists():
        _check_same_archive(layout, directory, archive)
        return Prepared(directory, _provenance(layout, directory), anew=False)
    if archive is None and unverified:
        raise ValueError("--unverified goes with --archive FILE: what is downloaded is always verified")
    given, archive = archive, archive or published_archive(layout, data_dir)
    content = read_archive(archive, layout)
    if not content.official and given is None:
        raise ValueError(
            f"{archive} is not the published archive of {layout.title}. Delete it, to have it downloaded again; or to "
            f"use it even so, and have that said in every report, pass --archive {archive} --unverified"
        )
    if not content.official and not unverified:
        raise ValueError(
            f"{archive} has {layout.title}'s layout but is not the published archive: its sha256 is {content.sha256}, "
            f"not {layout.sha256}. To use it even so, and have that said in every report, pass --unverified"
        )
    write_prepared(content, default_data_dir(data_dir))
    return Prepared(directory, _provenance(layout, directory), anew=True)


def published_archive(layout: CifarLayout, data_dir: str | None) -> Path:
    """The published archive in the data directory's downloads; downloaded if it is not there."""
    path = default_data_dir(data_dir) / "downloads" / layout.address.rpartition("/")[2]
    if not path.exists():
        try:
            download(layout.address, path, layout.archive_bytes, layout.sha256)
        except ConnectionError as error:
            where = f" --data-dir {data_dir}" if data_dir else ""
            raise ConnectionError(
                f"{layout.title} is not prepared in {default_data_dir(data_dir)}, and {error}.\n"
                f"Without network here, fetch {layout.address} elsewhere, and then run:\n"
                f"    vit-jax prepare {layout.name} --archive FILE{where}"
            ) from error
    return path


def prepare_tfds(name: str, data_dir: str | None) -> Prepared:
    """Downloads and prepares one of TFDS's own sets, in the file format that can be read without TensorFlow.

    Raises:
        ModuleNotFoundError: without TensorFlow.
        ValueError: no such set, it lies in the data directory in another file format, or files that one must fetch
            oneself are not there.
    """
    if importlib.util.find_spec("tensorflow") is None:
        raise ModuleNotFoundError(
            f"preparing tfds:{name} needs TensorFlow (training on it, once prepared, does not): "
            'pip install -e ".[tensorflow]" where this package lies'
        )
    try:
        builder = tfds.builder(name, data_dir=default_data_dir(data_dir), file_format="array_record")
    except tfds.core.DatasetNotFoundError as error:
        raise ValueError(f"TFDS has no set {name!r}{nearest_tfds_names(name)}") from error
    except ValueError as error:
        if "File format is already set" not in str(error):
            raise
        raise ValueError(
            f"tfds:{name} lies in {default_data_dir(data_dir)} in a file format that has no random access. "
            f"{how_to_prepare_elsewhere(name)}"
        ) from error
    anew = not builder.is_prepared()
    try:
        builder.download_and_prepare()
    except (OSError, MemoryError):
        raise
    except Exception as error:  # of a download, an archive, files that are to be fetched by hand: there is no one class
        raise ValueError(f"tfds:{name} cannot be prepared: {error}") from error
    return Prepared(Path(builder.data_dir), f"TFDS set {builder.info.full_name}", anew)


def read_prepared(directory: Path) -> tfds.core.DatasetBuilder:
    """A prepared set, as its directory describes it.

    Raises:
        ValueError: if the description is damaged.
    """
    try:
        return tfds.builder_from_directory(directory)
    except OSError:
        raise
    except Exception as error:  # of JSON, of protobuf, of a feature's class: there is no one class
        raise damaged(directory, f"{type(error).__name__}: {error}") from error


def damaged(directory: Path, why: object) -> ValueError:
    """The error of a prepared set that cannot be read."""
    return ValueError(f"{directory} is damaged: {why}. Delete it and prepare it anew")


def how_to_prepare_elsewhere(name: str) -> str:
    """What to do about a set that was prepared in a file format without random access."""
    return (
        f"Prepare it once more in another directory, vit-jax prepare tfds:{name} --data-dir DIR, and train with "
        "--data.data_dir DIR"
    )


def nearest_tfds_names(name: str) -> str:
    """A question, in brackets, whether TFDS sets of nearly this name were meant; empty for a set that TFDS has."""
    known = tfds.list_builders(with_community_datasets=False)  # those of the community are looked up on the network
    return "" if name in known else nearest(name, known)


def default_data_dir(data_dir: str | None) -> Path:
    """Where prepared TFDS sets live: what is given, or else $TFDS_DATA_DIR, or else ~/tensorflow_datasets."""
    return Path(data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()


def _provenance(layout: CifarLayout, directory: Path) -> str:
    sha256 = _archive_sha256(directory)
    if sha256 == layout.sha256:
        return f"{layout.title} from the published archive, sha256 {sha256[:12]}..."
    return f"{layout.title} prepared from an unverified archive, sha256 {sha256[:12]}..., not the official release"


def _archive_sha256(directory: Path) -> str:
    prepared: Any = read_prepared(directory)
    try:  # its file is read only now
        return prepared.info.metadata["archive_sha256"]
    except (KeyError, TypeError, ValueError) as error:
        why = f"metadata.json does not say which archive it comes from ({type(error).__name__}: {error})"
        raise damaged(directory, why) from error


def _check_same_archive(layout: CifarLayout, directory: Path, archive: Path | None) -> None:
    """Raises ValueError if a set is prepared already, but from another archive than the one given."""
    if archive is None:
        return
    with open(archive, "rb") as file:
        given = hashlib.file_digest(file, "sha256").hexdigest()
    if given != (used := _archive_sha256(directory)):
        raise ValueError(
            f"{directory} holds {layout.title} prepared from another archive (sha256 {used[:12]}..., not "
            f"{given[:12]}...): delete that directory to prepare it anew"
        )
