"""Preparing TFDS sets: from archives, without TensorFlow, all or nothing."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow_datasets as tfds

from tests.data.conftest import TinyCifar, write_tar
from vit_jax import cli
from vit_jax.data import builders, prepare
from vit_jax.data.builders import prepared_directory
from vit_jax.data.dataset import DataConfig
from vit_jax.data.sources import load_dataset


def everything_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def incomplete(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if "incomplete" in path.name or "array_record" in path.name]


def unofficial(tiny_cifar: TinyCifar) -> Path:
    return write_tar(tiny_cifar.archive.parent / "copy.tar.gz", {**tiny_cifar.members, "readme": b"a copy"})


def test_a_prepared_set_holds_the_archive_s_images_in_their_order(tiny_cifar: TinyCifar, tmp_path: Path):
    prepared = prepare.prepare("cifar10", tiny_cifar.archive, data_dir=str(tmp_path / "tfds"))
    assert prepared.anew
    assert prepared.directory == tmp_path / "tfds" / "vit_jax" / "cifar10" / "1.0.0"
    builder: Any = tfds.builder_from_directory(prepared.directory)
    for split, (images, labels) in tiny_cifar.splits.items():
        records = list(builder.as_data_source(split))
        np.testing.assert_array_equal([record["image"] for record in records], images)
        np.testing.assert_array_equal([record["label"] for record in records], labels)


def test_cifar_is_loaded_whole_with_its_provenance(tiny_cifar: TinyCifar, tmp_path: Path):
    prepare.prepare("cifar10", tiny_cifar.archive, data_dir=str(tmp_path))
    data = load_dataset(DataConfig(name="cifar10", data_dir=str(tmp_path)))
    assert data.class_names == tuple(f"class {i}" for i in range(10))
    assert data.image_shape == (32, 32, 3)
    assert data.validation is None
    for split, source in (("train", data.train), ("test", data.test)):
        images, labels = source.as_arrays()
        assert (images.dtype, labels.dtype) == (np.uint8, np.int32)
        np.testing.assert_array_equal(images, tiny_cifar.splits[split][0])
        np.testing.assert_array_equal(labels, tiny_cifar.splits[split][1])
    assert data.notes == (f"CIFAR-10 from the published archive, sha256 {tiny_cifar.layout.sha256[:12]}...",)


def test_validation_of_cifar_comes_from_the_training_images(tiny_cifar: TinyCifar, tmp_path: Path):
    prepare.prepare("cifar10", tiny_cifar.archive, data_dir=str(tmp_path))
    data = load_dataset(DataConfig(name="cifar10", data_dir=str(tmp_path), validation_fraction=0.25))
    assert data.validation is not None
    assert np.bincount(data.validation.as_arrays()[1]).tolist() == [1] * 10
    assert (len(data.train), len(data.test)) == (30, 10)


def test_an_unverified_archive_is_taken_only_when_asked_and_is_told_ever_after(tiny_cifar: TinyCifar, tmp_path: Path):
    copy, data_dir = unofficial(tiny_cifar), str(tmp_path / "tfds")
    with pytest.raises(ValueError, match=r"copy\.tar\.gz has CIFAR-10's layout but is not the published archive: .*"):
        prepare.prepare("cifar10", copy, data_dir=data_dir)
    assert not (tmp_path / "tfds").exists()
    prepared = prepare.prepare("cifar10", copy, unverified=True, data_dir=data_dir)
    metadata = tfds.builder_from_directory(prepared.directory).info.metadata
    assert metadata is not None
    assert metadata["archive"] == "copy.tar.gz"
    assert metadata["archive_sha256"] != tiny_cifar.layout.sha256
    note = f"unverified archive, sha256 {metadata['archive_sha256'][:12]}..., not the official release"
    assert load_dataset(DataConfig(name="cifar10", data_dir=data_dir)).notes == (f"CIFAR-10 prepared from an {note}",)


def test_what_is_not_cifar_is_refused_and_leaves_nothing(tiny_cifar: TinyCifar, tmp_path: Path):
    """Even where unverified archives are taken."""
    (tmp_path / "photos.tar.gz").write_bytes(b"no tar at all")
    with pytest.raises(ValueError, match=r"photos\.tar\.gz is not the CIFAR-10 archive"):
        prepare.prepare("cifar10", tmp_path / "photos.tar.gz", unverified=True, data_dir=str(tmp_path / "tfds"))
    assert not (tmp_path / "tfds").exists()


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError("No space left on device")])
def test_an_interrupted_preparation_leaves_nothing_that_looks_prepared(
    error: type[BaseException] | BaseException, tiny_cifar: TinyCifar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def broken(self, images: np.ndarray, labels: np.ndarray):
        yield 0, {"image": images[0], "label": int(labels[0])}
        raise error

    whole = builders.CifarBuilder._generate_examples
    monkeypatch.setattr(builders.CifarBuilder, "_generate_examples", broken)
    with pytest.raises((KeyboardInterrupt, OSError)):
        prepare.prepare("cifar10", tiny_cifar.archive, data_dir=str(tmp_path / "tfds"))
    assert not prepared_directory(tiny_cifar.layout, tmp_path / "tfds").exists()
    assert incomplete(tmp_path / "tfds") == []
    monkeypatch.setattr(builders.CifarBuilder, "_generate_examples", whole)
    assert prepare.prepare("cifar10", tiny_cifar.archive, data_dir=str(tmp_path / "tfds")).anew


def test_what_cannot_be_written_is_named(tiny_cifar: TinyCifar, tmp_path: Path):
    (tmp_path / "taken").write_text("a file where the directory should be")
    with pytest.raises(OSError, match=r"taken.* cannot be written"):
        prepare.prepare("cifar10", tiny_cifar.archive, data_dir=str(tmp_path / "taken"))


def test_two_preparations_at_once_both_succeed(tiny_cifar: TinyCifar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """On a cluster every host starts at once, with one data directory for all: the first one to be done wins."""
    write, generate = builders.write_prepared, builders.CifarBuilder._generate_examples

    def overtaken(self, images: np.ndarray, labels: np.ndarray):
        monkeypatch.setattr(builders.CifarBuilder, "_generate_examples", generate)
        if not prepared_directory(tiny_cifar.layout, tmp_path).exists():
            write(self.archive, tmp_path)
        yield from generate(self, images, labels)

    monkeypatch.setattr(builders.CifarBuilder, "_generate_examples", overtaken)
    prepare.prepare("cifar10", tiny_cifar.archive, data_dir=str(tmp_path))
    assert len(load_dataset(DataConfig(name="cifar10", data_dir=str(tmp_path))).train) == 40
    assert not [path for path in tmp_path.rglob("*") if "incomplete" in path.name]


def test_a_prepared_set_is_not_prepared_again(tiny_cifar: TinyCifar, tmp_path: Path):
    first = prepare.prepare("cifar10", tiny_cifar.archive, data_dir=str(tmp_path))
    before = everything_in(first.directory)
    for archive in (None, tiny_cifar.archive):
        again = prepare.prepare("cifar10", archive, data_dir=str(tmp_path))
        assert (again.directory, again.anew, again.provenance) == (first.directory, False, first.provenance)
    assert everything_in(first.directory) == before
    with pytest.raises(ValueError, match=r"prepared from another archive .* delete that directory"):
        prepare.prepare("cifar10", unofficial(tiny_cifar), unverified=True, data_dir=str(tmp_path))


@pytest.mark.parametrize("own_dir", [True, False])
def test_without_network_the_command_that_helps_is_named(
    own_dir: bool, tiny_cifar: TinyCifar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def no_network(address: str, *_: object) -> None:
        raise ConnectionError(f"{address} cannot be reached")

    monkeypatch.setattr(prepare, "download", no_network)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    data_dir = str(tmp_path) if own_dir else None
    with pytest.raises(ConnectionError) as error:
        load_dataset(DataConfig(name="cifar10", data_dir=data_dir))
    assert f"CIFAR-10 is not prepared in {tmp_path}" in str(error.value)
    assert "fetch https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz elsewhere" in str(error.value)
    command = "vit-jax prepare cifar10 --archive FILE" + (f" --data-dir {tmp_path}" if own_dir else "")
    assert str(error.value).endswith(command)


def test_with_network_the_published_archive_is_downloaded_once(
    tiny_cifar: TinyCifar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    asked = []

    def network(address: str, path: Path, num_bytes: int, sha256: str) -> None:
        asked.append((address, num_bytes, sha256))
        path.parent.mkdir(parents=True)
        path.write_bytes(tiny_cifar.archive.read_bytes())

    monkeypatch.setattr(prepare, "download", network)
    layout = tiny_cifar.layout
    for _ in range(2):
        data = load_dataset(DataConfig(name="cifar10", data_dir=str(tmp_path / "tfds")))
        assert data.notes == (f"CIFAR-10 from the published archive, sha256 {layout.sha256[:12]}...",)
    assert asked == [(layout.address, layout.archive_bytes, layout.sha256)]


def test_a_downloaded_archive_is_used_again(tiny_cifar: TinyCifar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(prepare, "download", lambda *_: pytest.fail("downloaded again"))
    (tmp_path / "tfds" / "downloads").mkdir(parents=True)
    tiny_cifar.archive.rename(tmp_path / "tfds" / "downloads" / "cifar-10-binary.tar.gz")
    assert prepare.prepare("cifar10", data_dir=str(tmp_path / "tfds")).anew


def test_another_archive_among_the_downloads_is_told_with_what_helps(tiny_cifar: TinyCifar, tmp_path: Path):
    path = tmp_path / "tfds" / "downloads" / "cifar-10-binary.tar.gz"
    path.parent.mkdir(parents=True)
    unofficial(tiny_cifar).rename(path)
    with pytest.raises(ValueError, match=f"is not the published archive .*Delete it, .*--archive {path} --unverified"):
        prepare.prepare("cifar10", data_dir=str(tmp_path / "tfds"))
    assert prepare.prepare("cifar10", path, unverified=True, data_dir=str(tmp_path / "tfds")).anew


def test_unverified_without_archive_is_refused(tiny_cifar: TinyCifar, tmp_path: Path):
    with pytest.raises(ValueError, match="--unverified goes with --archive"):
        prepare.prepare("cifar10", unverified=True, data_dir=str(tmp_path))


@pytest.mark.parametrize("name", ["digits", "folder:images"])
def test_sets_that_need_no_preparing_are_told(name: str):
    with pytest.raises(ValueError, match=f"{name} needs no preparing"):
        prepare.prepare(name)


def test_unknown_sets_and_flags_that_do_not_belong_are_refused(tiny_cifar: TinyCifar):
    with pytest.raises(ValueError, match="no data set 'cifar11' to prepare: there are cifar10, cifar100 and tfds:NAME"):
        prepare.prepare("cifar11")
    with pytest.raises(ValueError, match="an archive can be given for cifar10 and cifar100, not for 'tfds:mnist'"):
        prepare.prepare("tfds:mnist", tiny_cifar.archive)


def test_tfds_s_own_sets_say_that_they_need_tensorflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(prepare.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r'tfds:mnist needs TensorFlow .*pip install -e "\.\[tensorflow\]"'):
        prepare.prepare("tfds:mnist", data_dir=str(tmp_path))


class ByHand(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """A set whose one file TFDS does not download, as those of ImageNet."""

    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = "Fetch labels.txt from its authors."

    def _info(self) -> tfds.core.DatasetInfo:
        features = tfds.features.FeaturesDict({"label": tfds.features.ClassLabel(num_classes=9)})
        return tfds.core.DatasetInfo(builder=self, features=features)

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        return {"train": self._generate_examples(dl_manager.manual_dir / "labels.txt")}

    def _generate_examples(self, path: Any) -> Iterator[tuple[int, dict[str, int]]]:
        yield from enumerate({"label": int(digit)} for digit in path.read_text())


@pytest.fixture
def by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """TFDS has the set by_hand, and TensorFlow looks installed."""
    monkeypatch.setattr(prepare.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(prepare.tfds, "builder", lambda name, **how: ByHand(**how))


def test_files_to_be_fetched_by_hand_are_asked_for(by_hand: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    command = ["prepare", "tfds:by_hand", "--data-dir", str(tmp_path)]
    assert cli.main(command) == 2
    said = capsys.readouterr().err
    assert "tfds:by_hand cannot be prepared: " in said
    assert f"{tmp_path / 'downloads' / 'manual'} does not exist or is empty" in said
    assert "Fetch labels.txt from its authors." in said
    (tmp_path / "downloads" / "manual").mkdir(parents=True)
    (tmp_path / "downloads" / "manual" / "labels.txt").write_text("0123")
    assert cli.main(command) == 0


def test_what_fails_in_preparing_a_set_of_tfds_s_is_told(by_hand: None, tmp_path: Path, monkeypatch, capsys):
    """Its errors of downloads, checksums and archives are of no built-in class but Exception."""

    def fail(*_: Any) -> None:
        raise Exception("Failed to get url: HTTP code: 404")

    monkeypatch.setattr(ByHand, "_split_generators", fail)
    (tmp_path / "downloads" / "manual").mkdir(parents=True)
    (tmp_path / "downloads" / "manual" / "labels.txt").write_text("0123")
    assert cli.main(["prepare", "tfds:by_hand", "--data-dir", str(tmp_path)]) == 2
    assert "tfds:by_hand cannot be prepared: Failed to get url: HTTP code: 404" in capsys.readouterr().err


def test_a_set_that_lies_there_in_another_format_is_prepared_elsewhere(by_hand: None, tmp_path: Path):
    (tmp_path / "downloads" / "manual").mkdir(parents=True)
    (tmp_path / "downloads" / "manual" / "labels.txt").write_text("0123")
    info = prepare.prepare("tfds:by_hand", data_dir=str(tmp_path)).directory / "dataset_info.json"
    info.write_text(info.read_text().replace("array_record", "tfrecord"))
    with pytest.raises(ValueError, match=r"no random access\. .* vit-jax prepare tfds:by_hand --data-dir DIR"):
        prepare.prepare("tfds:by_hand", data_dir=str(tmp_path))


def test_the_data_directory_is_the_one_given_or_tfds_s_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
    assert prepare.default_data_dir(None) == tmp_path / "tensorflow_datasets"
    assert prepare.default_data_dir("~/data") == tmp_path / "data"
    monkeypatch.setenv("TFDS_DATA_DIR", "/tfds")
    assert prepare.default_data_dir(None) == Path("/tfds")
    assert prepare.default_data_dir("/given") == Path("/given")


WITHOUT_TENSORFLOW = '''
import importlib.util, sys

class Block:
    """Makes TensorFlow look installed, and stops whoever imports it."""

    def find_spec(self, name, path=None, target=None):
        return importlib.util.spec_from_loader(name, self) if name == "tensorflow" else None

    def create_module(self, spec):
        raise AssertionError("tensorflow was imported")

sys.meta_path.insert(0, Block())
archive, data_dir = sys.argv[1:]
from dataclasses import replace
from pathlib import Path
from typing import Any
from vit_jax.data import cifar
cifar.LAYOUTS["cifar10"] = replace(cifar.CIFAR10, files=tuple(
    replace(file, images=10 if file.split == "test" else 20) for file in cifar.CIFAR10.files[-3:]))
from vit_jax.data.prepare import prepare
prepare("cifar10", Path(archive), unverified=True, data_dir=data_dir)
from vit_jax.data.dataset import DataConfig
from vit_jax.data.sources import load_dataset
assert len(load_dataset(DataConfig(name="cifar10", data_dir=data_dir)).train) == 40
assert "tensorflow" not in sys.modules
'''


def test_preparing_and_reading_never_import_tensorflow(tiny_cifar: TinyCifar, tmp_path: Path):
    command = [sys.executable, "-c", WITHOUT_TENSORFLOW, str(tiny_cifar.archive), str(tmp_path / "tfds")]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("dataset_info.json", "{"),
        ("features.json", "{"),
        ("features.json", None),
        ("metadata.json", "{"),
        ("metadata.json", None),
        ("label.labels.txt", None),
    ],
)
def test_damaged_descriptions_of_a_prepared_set_are_told(
    name: str, content: str | None, tiny_cifar: TinyCifar, tmp_path: Path
):
    """Without the file of class names TFDS calls them 0, 1, 2 and says nothing."""
    directory = prepare.prepare("cifar10", tiny_cifar.archive, data_dir=str(tmp_path / "sets")).directory
    if content is None:
        (directory / name).unlink()
    else:
        (directory / name).write_text(content)
    with pytest.raises(ValueError, match=rf"{directory} is damaged: .*Delete it and prepare it anew"):
        load_dataset(DataConfig("cifar10", data_dir=str(tmp_path / "sets")))
