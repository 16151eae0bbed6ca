"""How programs print: names of files, which need not be text, and what the package logs."""

import io
import logging
import sys


def show_any_name() -> None:
    """Lets standard output show bytes that are not in its encoding as "\\udcfc", where Python would raise an error."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def log_as_notes() -> None:
    """Lets warnings of the package look like the other lines of a run; libraries that log give them another form."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("note     %(message)s"))
    logger = logging.getLogger("vit_jax")
    logger.addHandler(handler)
    logger.propagate = False
