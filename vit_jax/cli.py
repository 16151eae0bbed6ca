"""The command `vit-jax`: what is done with models and data sets besides training. A subcommand is a function here."""

import functools
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

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


COMMANDS = {"prepare": prepare}


def main(args: Sequence[str] | None = None) -> int:
    """Runs a subcommand and returns the exit status: 2 for a user's mistake, which is told in a line."""
    parsed = {name: _later(command) for name, command in COMMANDS.items()}
    run = tyro.extras.subcommand_cli_from_dict(
        parsed, prog="vit-jax", description=__doc__, args=args, config=(tyro.conf.FlagCreatePairsOff,)
    )
    try:
        run()
    except (ValueError, OSError, ModuleNotFoundError) as error:
        print(f"vit-jax: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("vit-jax: interrupted", file=sys.stderr)
        return 130
    return 0


def _later(command: Callable[..., None]) -> Callable[..., Callable[[], None]]:
    """The command, with the same arguments, bound but not run: tyro takes a ValueError for a mistake in the flags."""

    @functools.wraps(command)
    def bind(*args: object, **kwargs: object) -> Callable[[], None]:
        return functools.partial(command, *args, **kwargs)

    return bind


if __name__ == "__main__":
    sys.exit(main())
