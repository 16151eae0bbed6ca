"""Compiled programs are kept only where nobody else can write."""

import os

import jax
import pytest

from vit_jax.training import compilation_cache


@pytest.fixture
def set_directories(monkeypatch):
    directories = {}
    monkeypatch.setattr(jax.config, "update", directories.__setitem__)
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    return directories


@pytest.fixture
def directory(tmp_path, monkeypatch):
    """Where programs are kept; not there yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "vit_jax" / "xla"


def test_the_default_is_a_private_directory_of_the_user(set_directories, directory):
    compilation_cache.enable()
    assert set_directories["jax_compilation_cache_dir"] == str(directory)
    assert directory.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(("mode", "used"), [(0o770, False), (0o707, False), (0o755, True)])
def test_a_directory_that_others_can_write_to_is_not_used(mode, used, set_directories, directory):
    """Neither one's group nor the rest; who may read only does no harm."""
    directory.mkdir(parents=True)
    directory.chmod(mode)
    compilation_cache.enable()
    assert ("jax_compilation_cache_dir" in set_directories) == used


def test_a_directory_of_another_user_is_not_used(set_directories, directory, monkeypatch):
    directory.mkdir(mode=0o700, parents=True)
    monkeypatch.setattr(os, "getuid", lambda: directory.stat().st_uid + 1)
    compilation_cache.enable()
    assert set_directories == {}


def test_a_place_that_cannot_be_written_to_is_no_error(set_directories, directory):
    directory.parent.write_text("")
    compilation_cache.enable()
    assert set_directories == {}


def test_a_user_without_a_home_is_no_error(set_directories, monkeypatch):
    """As in a container, under a number that no password file has."""
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setattr(
        compilation_cache.Path, "expanduser", lambda path: (_ for _ in ()).throw(RuntimeError("no home"))
    )
    compilation_cache.enable()
    assert set_directories == {}


def test_the_users_own_choice_is_left_alone(set_directories, monkeypatch):
    monkeypatch.setitem(os.environ, "JAX_COMPILATION_CACHE_DIR", "/somewhere")
    compilation_cache.enable()
    assert set_directories == {}
