"""The command `vit-jax`: what is done with models and data sets besides training. A subcommand is a function here."""

import functools
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import tyro


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
        budget: Of each run's training: "5 epochs", or "300 seconds", for which each config's speed is measured first.
            Without it, each config's own duration.
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
    return 0 if compare(Request(configs, budget, seeds, given), workdir) else 1


COMMANDS = {"prepare": prepare, "compare": compare}


def main(args: Sequence[str] | None = None) -> int:
    """Runs a subcommand and returns the exit status, 0 where it returns none; 2 for a mistake, told in a line."""
    parsed = {name: _later(command) for name, command in COMMANDS.items()}
    run = tyro.extras.subcommand_cli_from_dict(
        parsed, prog="vit-jax", description=__doc__, args=args, config=(tyro.conf.FlagCreatePairsOff,)
    )
    try:
        return run() or 0
    except (ValueError, OSError, ModuleNotFoundError) as error:
        print(f"vit-jax: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("vit-jax: interrupted", file=sys.stderr)
        return 130


def _later(command: Callable[..., int | None]) -> Callable[..., Callable[[], int | None]]:
    """The command, with the same arguments, bound but not run: tyro takes a ValueError for a mistake in the flags."""

    @functools.wraps(command)
    def bind(*args: object, **kwargs: object) -> Callable[[], int | None]:
        return functools.partial(command, *args, **kwargs)

    return bind


if __name__ == "__main__":
    sys.exit(main())
