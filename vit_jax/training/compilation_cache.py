"""Compiled programs kept between runs, so that the second start takes seconds."""

import os
import stat
from pathlib import Path

import jax


def enable() -> None:
    """Lets XLA keep compiled programs in $XDG_CACHE_HOME/vit_jax/xla, or ~/.cache/vit_jax/xla, unless
    $JAX_COMPILATION_CACHE_DIR names another directory.

    Whoever can write there can run code here, so a directory that others can write to is not used.
    """
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return  # JAX reads it itself
    try:
        cache_home = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
        directory = cache_home / "vit_jax" / "xla"
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = directory.stat()
    except (OSError, RuntimeError):  # of expanduser
        return  # no home to write to: compile every time
    if status.st_uid != os.getuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return
    jax.config.update("jax_compilation_cache_dir", str(directory))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
