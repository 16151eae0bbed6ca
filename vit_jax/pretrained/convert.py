"""`vit-jax convert`: weights of any publisher as a folder for another program."""

from pathlib import Path

from vit_jax.json_file import write_json
from vit_jax.models.network import Network
from vit_jax.models.parameters import parameter_count
from vit_jax.pretrained.load import open_stored, read
from vit_jax.pretrained.save import SaveFormat, check_folder, save
from vit_jax.whole_file import is_unfinished, remove_unfinished

MARK = "conversion.json"
"""What tells a conversion from other folders: where it is from, and in which format."""

MODEL = ("config.json", "model.safetensors")
FILES = {"vit_jax": MODEL, "timm": MODEL, "huggingface": (*MODEL, "preprocessor_config.json")}
"""What is written in each format."""


def convert(
    source: str,
    directory: Path,
    format: SaveFormat,
    publisher: str | None = None,
    revision: str | None = None,
    norm_eps: float | None = None,
) -> None:
    """Loads weights, saves them, and prints what was written and what was left out.

    Args:
        source: as `vit_jax.load_pretrained` takes it.
        directory: new, empty, or an earlier conversion, which is replaced.
        format: as `vit_jax.save_pretrained` takes it.
        publisher: whose weights they are, where names do not tell.
        revision: of a model on a hub.
        norm_eps: written in the place of the weights' own, for a format that cannot hold that.

    Raises:
        FileExistsError: if the directory holds something else.
        ValueError: if it is named as a file of weights, the weights do not load, the format cannot hold their network,
            or that has no such epsilon.
    """
    check_replaceable(directory)
    stored = open_stored(source, publisher=publisher, revision=revision)
    model, params, class_names = read(stored)
    own_eps = getattr(model, "norm_eps", None)
    if norm_eps is not None:
        model = with_norm_eps(model, norm_eps)
    remove_unfinished(directory)
    notes = save(directory, model, params, class_names, format)
    for name in set().union(*FILES.values()) - set(FILES[format]):
        (directory / name).unlink(missing_ok=True)  # of an earlier conversion
    write_json(directory / MARK, {"source": source, "format": format})
    print(f"{type(model).__name__} of {parameter_count(model):,} parameters from {source}")
    print(f"in {directory}: {', '.join((*FILES[format], MARK))}")
    for name, reason in stored.converted.left_out.items():
        print(f"left out: {name}, {reason}")
    for note in notes:
        print(note)
    if norm_eps not in (None, own_eps):
        print(f"norm_eps is {norm_eps:g} there, as asked for, and {own_eps:g} in {source}: outputs differ slightly")


def with_norm_eps(model: Network, norm_eps: float) -> Network:
    """The network with another epsilon of its norms.

    Raises:
        ValueError: if it has none that could be set, or this is no epsilon.
    """
    if not hasattr(model, "norm_eps"):
        raise ValueError(f"--norm-eps is for networks with LayerNorm, and this is a {type(model).__name__}")
    if not 0 < norm_eps < 1:
        raise ValueError(f"--norm-eps must be between 0 and 1, not {norm_eps}")
    return model.clone(norm_eps=norm_eps)


def check_replaceable(directory: Path) -> None:
    """Raises a FileExistsError if a directory holds anything but an earlier conversion; as `check_folder`, besides."""
    check_folder(directory)
    found = sorted(path.name for path in directory.iterdir() if not is_unfinished(path)) if directory.is_dir() else []
    known = {MARK}.union(*FILES.values()) if MARK in found else set()
    other = [name for name in found if name not in known]
    if other:
        raise FileExistsError(f"{directory} holds something else ({', '.join(other[:5])}): name a new or empty folder")
