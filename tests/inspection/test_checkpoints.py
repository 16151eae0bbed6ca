"""`vit-jax checkpoints`: what it lists, what it finds damaged, and what it says of two states."""

import dataclasses
import shutil
import subprocess
import sys

import jax
import jax.numpy as jnp
import optax
import pytest

from vit_jax import cli
from vit_jax.inspection import checkpoints as looking
from vit_jax.training.checkpoint import Checkpoints
from vit_jax.training.step import start_state


@pytest.fixture
def workdir(tmp_path):
    """A run with the checkpoints 10 and 20, which differ in the step and in one of the kernel's values."""
    params = {"dense": {"kernel": jnp.ones((3, 4)), "bias": jnp.zeros(4)}}
    state = start_state(params, optax.adam(1e-3), ema=False)
    with Checkpoints(tmp_path / "run" / "checkpoints", 2, print) as checkpoints:
        checkpoints.save(10, dataclasses.replace(state, step=jnp.int32(10)), {})
        changed = {"dense": {**params["dense"], "kernel": jnp.ones((3, 4)).at[1, 2].set(1.5)}}
        checkpoints.save(20, dataclasses.replace(state, step=jnp.int32(20), params=changed), {})
    return tmp_path / "run"


def run(*arguments) -> int:
    return cli.main(["checkpoints", *map(str, arguments)])


def damage(workdir, step):
    path = workdir / "checkpoints" / str(step) / "_METADATA"
    path.write_bytes(path.read_bytes().replace(b"kernel", b"kernal", 1))


def test_list_shows_every_step_and_what_was_set_aside(workdir, capsys):
    (workdir / "checkpoints" / "10").rename(workdir / "checkpoints" / "10.damaged")
    assert run("list", workdir) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["20", "10.damaged"]
    assert "not used" not in lines[0]
    assert lines[1].endswith("not used")


def test_where_every_checkpoint_was_set_aside_they_are_listed(workdir, capsys):
    """Just then one wants to see them."""
    for step in (10, 20):
        (workdir / "checkpoints" / str(step)).rename(workdir / "checkpoints" / f"{step}.damaged")
    assert run("list", workdir) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["10.damaged", "20.damaged"]
    assert run("verify", workdir) == run("diff", workdir) == run("verify", workdir, "--steps", 10) == 2
    assert capsys.readouterr().err.count("was set aside, or is not saved yet: see `list`") == 3


def test_verify_names_the_damaged_file_and_fails(workdir, capsys):
    assert run("verify", workdir) == 0
    assert capsys.readouterr().out.split() == ["10", "whole", "20", "whole"]
    damage(workdir, 20)
    assert run("verify", workdir) == 1
    assert "20  DAMAGED: _METADATA is damaged: its SHA-256 is another" in capsys.readouterr().out
    assert run("verify", workdir, "--steps", 10) == 0


def test_a_checkpoint_that_a_run_is_saving_is_not_damaged(workdir, capsys):
    """Its manifest comes last. Whoever names it wants it whole."""
    (workdir / "checkpoints" / "20" / "manifest.json").unlink()
    assert run("verify", workdir) == 0
    assert capsys.readouterr().out.splitlines()[1] == "        20  not saved to its end; not used"
    assert run("verify", workdir, "--steps", 20) == 1
    assert "20  DAMAGED: it has no manifest.json" in capsys.readouterr().out


def test_diff_names_the_arrays_that_differ_and_by_how_much(workdir, capsys):
    assert run("diff", workdir) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "2 of 9 arrays differ" in lines[0]
    assert lines[1:] == [
        "  params/dense/kernel: 1 of 12 values, by at most 0.5",
        "  step: 1 of 1 values, by at most 10",
    ]


def test_diff_takes_the_latest_that_were_saved_to_their_end(workdir, capsys):
    """A run may be saving the very latest just now."""
    shutil.copytree(workdir / "checkpoints" / "20", workdir / "checkpoints" / "30")
    (workdir / "checkpoints" / "30" / "manifest.json").unlink()
    assert run("diff", workdir) == 1
    assert "checkpoints/10 and" in capsys.readouterr().out


def test_diff_of_two_runs_that_are_the_same_is_nothing(workdir, tmp_path, capsys):
    shutil.copytree(workdir, tmp_path / "copy")
    assert run("diff", workdir, "--other", tmp_path / "copy") == 0
    assert "0 of 9 arrays differ" in capsys.readouterr().out
    assert run("diff", workdir, "--steps", 10, "--other", tmp_path / "copy") == 0


def test_a_workdir_may_be_relative(workdir, monkeypatch, capsys):
    """As the documentation names it; Orbax reads absolute paths only."""
    monkeypatch.chdir(workdir.parent)
    assert run("diff", workdir.name) == 1
    assert capsys.readouterr().out.startswith(f"{workdir.name}/checkpoints/10 and {workdir.name}/checkpoints/20: ")


def test_who_stops_reading_the_output_is_told_nothing(workdir):
    """`vit-jax checkpoints list RUN | head -0` ends as what SIGPIPE ends."""
    program = [sys.executable, "-m", "vit_jax.cli", "checkpoints", "list", str(workdir)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == cli.READER_GONE


def test_a_checkpoint_that_its_run_deletes_meanwhile_is_not_damaged(workdir, monkeypatch, capsys):
    """A run keeps the latest, and renames others before it deletes their files."""
    directory = workdir / "checkpoints"

    def delete_then(look):
        def look_after(path):
            if path.name == "10" and path.exists():
                path.rename(directory / "10.deleting")
            return look(path)

        return look_after

    monkeypatch.setattr(looking, "problems", delete_then(looking.problems))
    assert run("verify", workdir) == 0
    assert "10  deleted by the run meanwhile" in capsys.readouterr().out
    (directory / "10.deleting").rename(directory / "10")
    assert run("diff", workdir) == 2
    assert "checkpoints/10 was deleted by its run meanwhile: compare again" in capsys.readouterr().err


def test_mistakes_are_told(workdir, tmp_path, capsys):
    assert run("list", tmp_path) == 2
    assert "has no checkpoints: name the --workdir of a run" in capsys.readouterr().err
    assert run("verify", workdir, "--steps", 15) == 2
    assert "has no checkpoint 15; it has 10, 20" in capsys.readouterr().err
    assert run("diff", workdir, "--steps", 10) == 2
    assert "two checkpoints are compared; --steps names 10" in capsys.readouterr().err
    for more in (["--steps", 10, 20, 10], ["--steps", 10, 20, "--other", workdir]):
        assert run("diff", workdir, *more) == 2
    assert "of two runs one step is compared" in capsys.readouterr().err
    assert run("verify", workdir, "--other", workdir) == 2
    assert run("list", workdir, "--steps", 10) == 2
    assert "--steps is for verify and diff" in capsys.readouterr().err
    damage(workdir, 20)
    assert run("diff", workdir) == 2
    assert "20 is damaged: _METADATA" in capsys.readouterr().err


def test_values_that_are_no_numbers_are_compared_bit_by_bit(workdir, tmp_path):
    from vit_jax.inspection.checkpoints import difference

    nan = {"x": jax.device_get(jnp.array([jnp.nan, 1.0]))}
    assert difference("x", nan, nan) is None


def test_arrays_of_one_checkpoint_alone_are_counted_by_what_they_are_part_of():
    """Of two networks there are hundreds."""
    from vit_jax.inspection.checkpoints import only_in

    names = {"params/head/bias", "params/head/kernel", "opt_state/mu/head/bias"}
    assert only_in("first", names) == [
        "opt_state: 1 only in the first, as opt_state/mu/head/bias",
        "params: 2 only in the first, as params/head/bias",
    ]
