"""Damage to checkpoint files: what is noticed here, and what other formats make of the same flipped bits."""

import os
import random
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import orbax.checkpoint as ocp
from flax import serialization
from flax.traverse_util import flatten_dict
from safetensors.numpy import load_file, save_file

from benchmarks.faults.runs import Row, Training, latest_whole
from vit_jax import load_pretrained
from vit_jax.inspection.checkpoints import arrays_of
from vit_jax.pretrained.convert import MODEL
from vit_jax.training.manifest import problems


def flip(path: Path, place: int) -> None:
    """Flips a bit of a file; the same again flips it back."""
    with path.open("r+b") as file:
        file.seek(place // 8)
        (byte,) = file.read(1)
        file.seek(place // 8)
        file.write(bytes([byte ^ 1 << place % 8]))


def damage(scratch: Path, chance: random.Random, flips: int) -> Iterator[Row]:
    """Flipped bits, truncated and deleted files of the latest checkpoint of a short run that has ended."""
    training = Training(scratch / "damaged", 40)
    training.finish()
    directory = training.workdir / "checkpoints"
    checkpoint = directory / str(latest_whole(directory))
    files = sorted(path for path in checkpoint.rglob("*") if path.is_file())
    noticed = 0
    everywhere = [(path, chance.randrange(8 * path.stat().st_size)) for path in files if path.stat().st_size]
    places = [*everywhere, *random_places(files, chance, flips)][:flips]  # each file once, then as in `outcomes`
    for path, place in places:
        flip(path, place)
        noticed += bool(problems(checkpoint))
        flip(path, place)
    yield Row(f"a bit flipped, over all {len(files)} files", flips, f"noticed: {noticed}", {"noticed": noticed})
    for how, spoil in (("truncated", truncate), ("deleted", Path.unlink)):
        noticed = 0
        for path in files:
            content = path.read_bytes()
            spoil(path)
            noticed += bool(problems(checkpoint))
            path.write_bytes(content)
        yield Row(f"each file {how}", len(files), f"noticed: {noticed}", {"noticed": noticed})
    assert not problems(checkpoint)
    yield of_model(training.workdir / "model", chance, flips)
    yield from other_formats(arrays_of(checkpoint), scratch, chance, flips)


def of_model(directory: Path, chance: random.Random, flips: int) -> Row:
    """Flipped bits of the model that a run leaves."""
    whole, params = load_pretrained(directory)
    arrays = {name: np.asarray(x) for name, x in flatten_dict(params, sep="/").items()}

    def read() -> Mapping[str, Any]:
        model, params = load_pretrained(directory)
        return flatten_dict(params, sep="/") if model == whole else {}

    files = [directory / name for name in MODEL]
    found = outcomes(files, chance, flips, read, arrays)
    told = f"refused: {found['error']}; read right all the same: {found['right']}; read wrong: {found['wrong']}"
    return Row("a bit flipped in `model/`, which is what is loaded", flips, told, {**found})


def outcomes(
    files: list[Path],
    chance: random.Random,
    flips: int,
    read: Callable[[], Mapping[str, Any]],
    arrays: Mapping[str, np.ndarray],
) -> dict[str, int]:
    """How often each `outcome` came of a bit flipped in these files."""
    counts = {"error": 0, "right": 0, "wrong": 0}
    for path, place in random_places(files, chance, flips):
        flip(path, place)
        with silent():
            counts[outcome(read, arrays)] += 1
        flip(path, place)
    assert outcome(read, arrays) == "right"
    return counts


def random_places(files: list[Path], chance: random.Random, count: int) -> Iterator[tuple[Path, int]]:
    """Bits at random, each as likely as any other."""
    sizes = [path.stat().st_size for path in files]
    for chosen in chance.choices(range(len(files)), sizes, k=count):
        yield files[chosen], chance.randrange(8 * sizes[chosen])


def truncate(path: Path) -> None:
    """Cuts off the last byte of a file, or adds one to an empty one."""
    content = path.read_bytes()
    path.write_bytes(content[:-1] if content else b"\0")


def other_formats(arrays: dict[str, np.ndarray], scratch: Path, chance: random.Random, flips: int) -> Iterator[Row]:
    """The same arrays in the formats of others, and what they read after a bit was flipped."""
    orbax = scratch / "orbax"
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(orbax.absolute(), arrays)
    save_file(arrays, scratch / "arrays.safetensors")
    (scratch / "arrays.msgpack").write_bytes(serialization.msgpack_serialize(dict(arrays)))
    as_numpy = {name: ocp.RestoreArgs(restore_type=np.ndarray) for name in arrays}

    def read_orbax() -> dict[str, Any]:
        with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
            return checkpointer.restore(orbax.absolute(), ocp.args.PyTreeRestore(restore_args=as_numpy))

    formats: dict[str, tuple[list[Path], Callable[[], Mapping[str, Any]]]] = {
        "orbax alone": (sorted(path for path in orbax.rglob("*") if path.is_file()), read_orbax),
        "safetensors": ([scratch / "arrays.safetensors"], lambda: load_file(scratch / "arrays.safetensors")),
        "flax msgpack": (
            [scratch / "arrays.msgpack"],
            lambda: cast(dict, serialization.msgpack_restore((scratch / "arrays.msgpack").read_bytes())),
        ),
    }
    for name, (files, read) in formats.items():
        found = outcomes(files, chance, flips, read, arrays)
        yield Row(
            f"for comparison: a bit flipped in the same arrays as {name} keeps them",
            flips,
            f"error: {found['error']}; read right all the same: {found['right']}; "
            f"**read wrong in silence: {found['wrong']}**",
            {**found},
        )
    shutil.rmtree(orbax)


@contextmanager
def silent() -> Iterator[None]:
    """Nothing is printed, by no thread: TensorStore's are full of words about damaged files."""
    with Path(os.devnull).open("w") as nowhere:
        before = os.dup(2)
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(before, 2)
            os.close(before)


def outcome(read: Callable[[], Mapping[str, Any]], arrays: Mapping[str, np.ndarray]) -> str:
    """What came of reading: an "error", what was written ("right"), or something else ("wrong")."""
    try:
        found = read()
    except Exception:  # whichever: it was noticed
        return "error"
    same = found.keys() == arrays.keys() and all(same_bits(found[name], x) for name, x in arrays.items())
    return "right" if same else "wrong"


def same_bits(found: Any, expected: np.ndarray) -> bool:
    """Whether an array is the expected one to the last bit."""
    found = np.asarray(found)
    return (found.dtype, found.shape) == (expected.dtype, expected.shape) and found.tobytes() == expected.tobytes()
