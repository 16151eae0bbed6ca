"""A model written for other programs: `vit-jax export`."""

import hashlib
import json
import math
import os
import tempfile
from collections.abc import Mapping
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import export as jax_export

from vit_jax.inference.exported import DESCRIPTION, FORMAT, PROGRAM, load_exported, require_flatbuffers
from vit_jax.inference.model_source import ModelSource
from vit_jax.models.network import Network, pooled_features
from vit_jax.pretrained.folder import check_class_names
from vit_jax.pretrained.load import Pretrained
from vit_jax.whole_file import errors_name

PLATFORMS = ("cpu", "cuda", "tpu")

TOLERANCE = 1e-5
"""Of the difference between the file's outputs and the model's, in units of the largest output."""

LARGEST = 2**31 - 2**24
"""Bytes of parameters that fit: a FlatBuffer holds 2 GiB, and the program itself needs some."""


def export(source: ModelSource, out: Path, batch_size: int | None) -> None:
    """Writes a model to out/model.stablehlo and out/preprocessing.json, after both were read again and checked.

    Args:
        source: of the model.
        out: a directory, made if need be. Files of an earlier export in it are replaced when the new ones have been
            checked; after a failure it is as it was.
        batch_size: the one batch size that the program takes; None: any.

    Raises:
        ValueError: `out` is a file, the model is too large for the format, or what was written does not compute what
            the model does.
        ModuleNotFoundError: without flatbuffers.
    """
    require_flatbuffers()
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"--batch-size must be at least 1, not {batch_size}")
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file: name a directory, which is made if need be")
    pretrained = source.load()
    check_class_names(pretrained.class_names, pretrained.model.num_classes, f"the model in {source.source}")
    program = serialize(pretrained.model, pretrained.params, batch_size)
    description = describe(pretrained, program, batch_size)
    made = not out.exists()
    out.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix=".", dir=out) as temporary:  # there, as `out` may be a disk of its own
            with errors_name(out):
                (Path(temporary) / PROGRAM).write_bytes(program)
                (Path(temporary) / DESCRIPTION).write_text(json.dumps(description, indent=2) + "\n")
            for line in check(Path(temporary), pretrained, (1, 3) if batch_size is None else (batch_size,)):
                print(line)
            for name in (PROGRAM, DESCRIPTION):
                os.replace(Path(temporary) / name, out / name)
    finally:
        if made and not any(out.iterdir()):
            out.rmdir()
    print(f"wrote   {out / PROGRAM} ({len(program) / 2**20:,.1f} MiB, for {', '.join(PLATFORMS)})")
    print(f"        {out / DESCRIPTION}")
    print("use     " + "\n        ".join(description["usage"]))


def answer(model: Network, params: Any, images: jax.Array) -> jax.Array:
    """What an exported program computes: logits, or float32 features of a network without classes.

    A network for pre-training, too, gives its encoder's features, not what its own loss looks at.
    """
    if model.num_classes:
        return cast(jax.Array, model.apply({"params": params}, images))
    return pooled_features(model, params, images)


def serialize(model: Network, params: Mapping[str, Any], batch_size: int | None) -> bytes:
    """The model with its parameters as a program of images, for all `PLATFORMS`, in jax.export's format.

    Raises:
        ValueError: the parameters are too large for it.
    """
    constants = jax.device_get(params)
    size = sum(x.nbytes for x in jax.tree.leaves(constants))
    if size > LARGEST:
        raise ValueError(f"the parameters take {size / 2**30:.2f} GiB; an exported file holds less than 2 GiB")
    batch = jax_export.symbolic_shape("b")[0] if batch_size is None else batch_size
    images = jax.ShapeDtypeStruct((batch, *model.input_shape), jnp.float32)
    program = jax.jit(lambda images: answer(model, constants, images))
    return bytes(jax_export.export(program, platforms=PLATFORMS)(images).serialize())


def describe(pretrained: Pretrained, program: bytes, batch_size: int | None) -> dict[str, Any]:
    """What one must know to use the program: what goes in, what comes out, and how an image becomes input."""
    model, _, class_names = pretrained
    settings, shape = model.preprocessing, model.input_shape
    batch = "b" if batch_size is None else batch_size
    image = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    output = jax.eval_shape(partial(answer, model), pretrained.params, image)
    meaning = "logits" if model.num_classes else "pooled features"
    size = f"{shape[0]} x {shape[1]}"
    covered = " x ".join(str(math.floor(side / settings.crop_fraction)) for side in shape[:2])
    how = f"{settings.interpolation}, antialiased"
    if settings.squash:
        scaled = f"scale it, whatever its shape, to {covered} ({how})"
    else:
        scaled = f"scale it, its shape kept, to cover {covered} ({how}, the longer side rounded down)"
    to = "the even number" if settings.crop_rounding == "even" else "down"
    rounded = f"from half the margin on; where that is no whole number, it is rounded {to}"
    return {
        "format": FORMAT,
        "usage": [
            "from pathlib import Path",
            "import jax",
            "from jax import export  # pip install jax flatbuffers",
            f'program = export.deserialize(bytearray(Path("{PROGRAM}").read_bytes()))',
            f'images = ...  # float32 {[batch, *shape]}, as "preprocessing" says',
            f"{meaning.split()[-1]} = jax.jit(program.call)(images)",
        ],
        "input": {"shape": [batch, *shape], "dtype": "float32", "layout": "NHWC"},
        "output": {"shape": [batch, *output.shape[1:]], "dtype": "float32", "meaning": meaning},
        "preprocessing": {
            "image_size": list(shape[:2]),
            "mean": list(settings.mean) * (shape[2] // len(settings.mean)),
            "std": list(settings.std) * (shape[2] // len(settings.std)),
            "crop_fraction": settings.crop_fraction,
            "interpolation": settings.interpolation,
            "squash": settings.squash,
            "crop_rounding": settings.crop_rounding,
            "steps": [
                f"make the image {'grey' if shape[2] == 1 else 'RGB'}, 8 bits a channel, upright, on white where it is "
                "transparent",
                scaled,
                f"cut {size} out of its centre ({rounded})",
                "divide by 255, subtract mean, divide by std",
            ],
        },
        "class_names": list(class_names),
        "platforms": list(PLATFORMS),
        "versions": {name: metadata.version(name) for name in ("jax", "jaxlib", "flax")},
        "sha256": hashlib.sha256(program).hexdigest(),
    }


def check(directory: Path, pretrained: Pretrained, batch_sizes: tuple[int, ...]) -> list[str]:
    """Loads the files and compares their outputs on random images with the model's own, float32 on the CPU.

    Returns:
        What was found, a line for each batch size.

    Raises:
        ValueError: a difference is larger than `TOLERANCE`.
    """
    model, params, _ = pretrained
    random, found = np.random.default_rng(0), []
    with jax.default_device(checking_device()):
        params = jax.device_get(params)
        loaded, reference = load_exported(directory), jax.jit(partial(answer, model))
        for batch_size in batch_sizes:
            images = random.normal(size=(batch_size, *model.input_shape)).astype(np.float32)
            expected = np.asarray(reference(params, images))
            difference, scale = np.abs(np.asarray(loaded(images)) - expected).max(), np.abs(expected).max()
            line = f"batch {batch_size}: outputs up to {scale:.3g}, largest difference {difference:.2g}"
            if not difference <= TOLERANCE * scale:  # NaN is no agreement
                raise ValueError(f"the exported file does not compute what the model does ({line}); nothing was kept")
            found.append(f"checked {line}")
    return found


def checking_device() -> Any:
    """The CPU, where float32 is float32; the default device where JAX was told to leave the CPU out."""
    try:
        return jax.local_devices(backend="cpu")[0]
    except RuntimeError:
        return jax.local_devices()[0]
