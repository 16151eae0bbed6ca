"""What is printed may have names of files in it, which need not be text."""

import io
import sys


def show_any_name() -> None:
    """Lets standard output show bytes that are not in its encoding as "\\udcfc", where Python would raise an error."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
