"""The command `vit-jax`: what is done with models and data sets besides training. A subcommand is a function here."""

import functools
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import tyro

from vit_jax.inference.model_source import LoadOptions, ModelSource
from vit_jax.printing import show_any_name
from vit_jax.training import cpu_devices
from vit_jax.training.errors import TrainingError, explaining_full_memory
from vit_jax.training.stop_signals import RESUME_STATUS, interrupt_on_signals
from vit_jax.whole_file import replace_file

Source = Annotated[
    tyro.conf.Positional[str],
    tyro.conf.arg(
        metavar="SOURCE",
        help="A run's workdir or a saved model, or any weights that vit_jax.load_pretrained reads.",
    ),
]
"""What every command that loads a network names first."""

Loading = Annotated[LoadOptions, tyro.conf.arg(name="")]
"""And its flags: --publisher, --revision, --image-size."""

INTERRUPTED, READER_GONE = 130, 141
"""The exit statuses that shells give to what SIGINT or SIGPIPE ended."""


def prepare(
    name: tyro.conf.Positional[str],
    archive: Path | None = None,
    unverified: bool = False,
    data_dir: str | None = None,
) -> None:
    """Bring a data set into the data directory, where training reads it.

    Args:
        name: cifar10, cifar100 or tfds:NAME.
        archive: The archive that CIFAR is published as, fetched elsewhere. Without it, it is downloaded.
        unverified: Take an archive of the right layout that is not the published one. Every report will say so.
        data_dir: Where prepared sets live. Without it, $TFDS_DATA_DIR, or else ~/tensorflow_datasets.
    """
    from vit_jax.data import prepare as preparing  # imports TFDS, 0.3 s, which other subcommands need not wait

    prepared = preparing.prepare(name, archive, unverified, data_dir)
    what_happened = "prepared" if prepared.anew else "was prepared before"
    print(f"{what_happened}: {prepared.provenance}\nin {prepared.directory}")


def compare(
    configs: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="CONFIG [CONFIG ...]")],
    budget: str | None = None,
    seeds: int = 3,
    workdir: Path = Path("runs/compare"),
    data_name: str | None = None,
    data_dir: str | None = None,
    skip_unreadable: bool = False,
) -> int:
    """Train several configs with the same budget and seeds, and write one page and one table of what came of each.

    The same command goes on where it was stopped.

    Args:
        configs: Config files, as train.py takes them.
        budget: Training budget of each run: "5 epochs", or "300 seconds", for which each config's speed is measured
            first. Without it, each config's own duration.
        seeds: How many: 0, 1, ...
        workdir: Where comparison.html, comparison.csv and all runs are kept.
        data_name: Data of every config, e.g. folder:DIR with a folder a class. Without it, what the configs say.
        data_dir: Where prepared sets live. Without it, what the configs say.
        skip_unreadable: Leave out files of a folder that are no images. Every report will say so.
    """
    from vit_jax.comparison.compare import compare
    from vit_jax.comparison.request import Request

    data = {"name": data_name, "data_dir": data_dir, "skip_unreadable": skip_unreadable or None}
    given = tuple((field, value) for field, value in data.items() if value is not None)
    return _resumable(lambda: compare(Request(configs, budget, seeds, given), workdir, _typed()))


def reproduce(
    name: tyro.conf.Positional[str],
    seed: int = 0,
    tables: tuple[Path, ...] = (),
    configs: Path = Path("configs"),
    workdir: Path | None = None,
    data_dir: str | None = None,
) -> int:
    """Reproduce a listed result, and say whether it lies within the spread of those listed: exit status 1 if not.

    Args:
        name: Of the config, without path and .py, e.g. cnn_cifar10_cpu.
        seed: Of the run.
        tables: CSV files as `vit-jax compare` writes them. Without it, all CSV files below docs.
        configs: Where the config's file is.
        workdir: Where the run is kept. Without it, runs/reproduce/NAME-seedSEED.
        data_dir: Where prepared sets live. Without it, what the config says.
    """
    import dataclasses

    from vit_jax.comparison import reproduce as reproducing
    from vit_jax.training.command_line import load_config

    listed = reproducing.listed_as(name, tables or sorted(Path("docs").rglob("*.csv")))
    config = load_config(configs / f"{name}.py")
    data = config.data if data_dir is None else dataclasses.replace(config.data, data_dir=data_dir)
    config = dataclasses.replace(config, seed=seed, data=data)
    where = workdir or Path("runs/reproduce") / f"{name}-seed{seed}"
    return _resumable(lambda: reproducing.reproduce(listed, config, where, _typed()))


def predict(
    source: Source,
    images: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="IMAGE [IMAGE ...]")],
    top: int = 5,
    format: Literal["table", "json", "csv"] = "table",
    batch_size: int = 32,
    dtype: Literal["float32", "bfloat16"] = "float32",
    *,
    options: Loading,
) -> int:
    """Tell what is on images: the most probable classes of each. Status 1 if some image could not be read.

    Args:
        images: Files, folders (with those within them), and quoted patterns such as "photos/**/*.jpg".
        top: How many classes of each image.
        format: json: one document, a list of {"image", "classes": [{"index", "name", "probability"}]}, with "error" and
            no classes for an unreadable image. csv: a row for each class of each image, with the columns image, rank,
            class, probability and error.
        batch_size: Images at once.
        dtype: Of the computation; probabilities are float32 always.
    """
    from vit_jax.inference.predict import predict
    from vit_jax.training import compilation_cache

    compilation_cache.enable()
    return predict(ModelSource(source, options), images, top, format, batch_size, dtype)


def evaluate(
    source: Source,
    data: str,
    split: Literal["test", "validation", "train", "all"] | None = None,
    how: Literal["classes", "knn", "probe", "few-shot"] = "classes",
    examples: int | None = None,
    classes: Literal["name", "number"] = "name",
    batch_size: int = 128,
    dtype: Literal["float32", "bfloat16"] = "float32",
    format: Literal["table", "json"] = "table",
    data_dir: str | None = None,
    skip_unreadable: bool = False,
    *,
    options: Loading,
) -> None:
    """Score a model on a data set: accuracy and loss, every image counted once.

    A set that the run at SOURCE trained on is divided as that run did. Classes are matched by name; a model is not
    scored on a set with classes that it does not have. A network without classes is scored by its features: --how.

    Args:
        data: digits, cifar10, cifar100, folder:DIR or tfds:NAME.
        split: Of the set; all: every image. Without it, test; by classes, all of a folder that is not divided into
            splits and that the run at SOURCE did not train on.
        how: classes: by the model's own answers. knn: by the 20 nearest training images. probe: by a linear classifier
            trained on the features of all training images. few-shot: by one trained on 10 images of each class.
        examples: With --how knn, probe or few-shot: how many of the training images to take, drawn at random. Without
            it, all; a million need much time, and a probe of them far more.
        classes: How the set's are found among the model's. number: label 0 is the model's first class, and so on,
            whatever they are called: ImageNet's folders have other names than Hugging Face's classes.
        batch_size: Images at once.
        dtype: Of the computation; the loss is float32 always.
        format: json: one document with the figures unrounded.
        data_dir: Where prepared sets live. Without it, $TFDS_DATA_DIR, or else ~/tensorflow_datasets.
        skip_unreadable: Leave out files of a folder that are no images, and say how many.
    """
    from vit_jax.inference.evaluate import evaluate
    from vit_jax.inference.evaluate_features import evaluate_features
    from vit_jax.training import compilation_cache

    compilation_cache.enable()
    model = ModelSource(source, options)
    settings = batch_size, dtype, format, data_dir, skip_unreadable
    if how == "classes" and examples is not None:
        raise ValueError("--examples are training images to learn from, and go with --how knn, probe or few-shot")
    if how == "classes":
        evaluate(model, data, split, *settings, by_number=classes == "number")
    elif classes == "number":
        raise ValueError(f"--classes number goes with the model's own answers, not with --how {how}")
    else:
        evaluate_features(model, how, data, split, *settings, examples=examples)


def export(
    source: Source,
    out: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="OUT")],
    batch_size: int | None = None,
    *,
    options: Loading,
) -> None:
    """Write a model for other programs: StableHLO with the parameters inside, for CPU, CUDA and TPU.

    The file is read again and compared with the model before it is kept. It needs flatbuffers.

    Args:
        out: Directory for model.stablehlo and preprocessing.json.
        batch_size: The one batch size that the program takes. Without it, any.
    """
    from vit_jax.inference.export import export

    export(ModelSource(source, options), out, batch_size)


def attention(
    source: Source,
    image: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="IMAGE")],
    out: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="OUT")],
    layer: Literal["last", "rollout"] | int = "last",
    head: Literal["mean", "all"] | int = "mean",
    *,
    options: Loading,
) -> None:
    """Draw what a network attends to in an image: the part that it sees, beside it the same under a heat map.

    Args:
        image: A JPEG, PNG, WebP, BMP, GIF or TIFF file.
        out: The picture to write, e.g. attention.png.
        layer: A layer's number from 0; last; or rollout, through all layers (Abnar & Zuidema, 2020).
        head: An attention head's number from 0; mean; or all, a panel for each.
    """
    from vit_jax.data.decoding import read_upright
    from vit_jax.inspection.attention_picture import attention_picture, check_out

    format = check_out(out, image)  # before the network, which may take long to load
    picture = read_upright(image)
    model, params, _ = ModelSource(source, options).load()
    drawn = attention_picture(model, params, picture, layer, head)
    replace_file(out, lambda path: drawn.save(path, format))
    print(f"wrote {out}")


def convert(
    source: tyro.conf.Positional[str],
    directory: tyro.conf.Positional[Path],
    to: Literal["timm", "huggingface", "vit_jax"],
    publisher: str | None = None,
    revision: str | None = None,
    norm_eps: float | None = None,
) -> None:
    """Write weights of any publisher as a folder for timm, Hugging Face or this package.

    What is left out, or has another form there, is printed. What the format cannot hold is refused.

    Args:
        source: A file of weights, a folder (Hugging Face's, timm's, a run's workdir), or an id on the Hugging Face Hub.
        directory: A new or empty folder, or an earlier conversion, which is replaced.
        to: For timm.create_model("local-dir:DIRECTORY", pretrained=True); for
            AutoModelForImageClassification.from_pretrained("DIRECTORY"); for vit_jax.load_pretrained("DIRECTORY").
        publisher: Whose weights they are, where names do not tell, e.g. dino or deit.
        revision: Of a model on a hub.
        norm_eps: Of the norms, in the place of the weights' own: timm's networks have one, which is no setting there,
            1e-6 (Swin 1e-5), and Hugging Face's weights mostly 1e-12. Outputs then differ slightly.
    """
    from vit_jax.pretrained.convert import convert

    convert(source, directory, to, publisher, revision, norm_eps)


def checkpoints(
    action: tyro.conf.Positional[Literal["list", "verify", "diff"]],
    workdir: tyro.conf.Positional[Path],
    steps: tuple[int, ...] = (),
    other: Path | None = None,
) -> int:
    """Look after the checkpoints of a run: which there are, whether each file is as it was written, what changed.

    verify ends with status 1 if one is damaged; diff, as diff does, if the two are not the same to the last bit.

    Args:
        action: list: steps, sizes and times. verify: read every file. diff: compare two, array by array.
        workdir: Of the run.
        steps: Verify only these; compare these two, or this one of both runs. Without it, all; the latest two.
        other: diff: the workdir of another run, whose latest checkpoint, or that of the same step, is compared.
    """
    from vit_jax.inspection.checkpoints import diff, list_checkpoints, verify

    if other is not None and action != "diff":
        raise ValueError(f"--other is for diff; {action} is of one run")
    if steps and action == "list":
        raise ValueError("--steps is for verify and diff; list lists all")
    if action == "list":
        return list_checkpoints(workdir)
    return verify(workdir, steps) if action == "verify" else diff(workdir, steps, other)


COMMANDS = {
    "prepare": prepare,
    "compare": compare,
    "reproduce": reproduce,
    "predict": predict,
    "evaluate": evaluate,
    "export": export,
    "attention": attention,
    "convert": convert,
    "checkpoints": checkpoints,
}


def main(args: Sequence[str] | None = None) -> int:
    """Runs a subcommand and returns the exit status, 0 where it returns none; 2 for a mistake, told in a line."""
    parsed = {name: _later(command) for name, command in COMMANDS.items()}
    run = tyro.extras.subcommand_cli_from_dict(
        parsed, prog="vit-jax", description=__doc__, args=args, config=(tyro.conf.FlagCreatePairsOff,)
    )
    try:
        with explaining_full_memory("a smaller batch or image, bfloat16 (see --help)"):
            status = run() or 0
        sys.stdout.flush()
        return status
    except (BrokenPipeError, SystemExit):  # whoever reads the output, such as head, has enough; rich raises the latter
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_GONE
    except (ValueError, OSError, ModuleNotFoundError) as error:
        print(f"vit-jax: {error}", file=sys.stderr)
        return 2
    except TrainingError as error:
        print(f"vit-jax: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("vit-jax: interrupted", file=sys.stderr)
        return INTERRUPTED


def command() -> NoReturn:
    """The program `vit-jax`: ends with the status of `main`. On a signal, each command cleans up, or saves its run."""
    show_any_name()
    interrupt_on_signals()
    cpu_devices.be_patient()
    status = main()
    if status in (INTERRUPTED, RESUME_STATUS):
        # XLA may still be computing; it crashes where Python ends in an orderly way meanwhile.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


def _typed() -> str:
    """The command as it was typed."""
    return cpu_devices.in_shell(["vit-jax", *sys.argv[1:]])


def _resumable(training: Callable[[], bool]) -> int:
    """Trains, and returns the exit status: RESUME_STATUS if a signal ended it, 0 if it returned True, and else 1."""
    try:
        return 0 if training() else 1
    except KeyboardInterrupt:
        print("vit-jax: stopped; the same command goes on", file=sys.stderr)
        return RESUME_STATUS


def _later(command: Callable[..., int | None]) -> Callable[..., Callable[[], int | None]]:
    """The command, with the same arguments, bound but not run: tyro takes a ValueError for a mistake in the flags.

    Paths have their ~ expanded, which shells leave in --out=~/here.
    """

    def expanded(argument: object) -> object:
        return Path(os.path.expanduser(argument)) if isinstance(argument, Path) else argument

    @functools.wraps(command)
    def bind(*args: object, **kwargs: object) -> Callable[[], int | None]:
        named = {name: expanded(argument) for name, argument in kwargs.items()}
        return functools.partial(command, *map(expanded, args), **named)

    return bind


if __name__ == "__main__":
    command()
