"""What JAX_NUM_CPU_DEVICES changes besides the number of devices."""

import os

import pytest

from vit_jax.training.cpu_devices import PATIENCE, be_patient, in_shell


@pytest.mark.parametrize(("before", "after"), [(None, PATIENCE), ("--xla_a=1", f"{PATIENCE} --xla_a=1")])
def test_cpu_devices_wait_longer_for_one_another(before, after, monkeypatch: pytest.MonkeyPatch):
    """A user's own flags stay, behind, where the last one counts."""
    monkeypatch.setenv("XLA_FLAGS", before or "")
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", "2")
    be_patient()
    assert os.environ["XLA_FLAGS"] == after


def test_other_devices_get_no_flags_that_they_might_not_know(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_a=1")
    monkeypatch.delenv("JAX_NUM_CPU_DEVICES", raising=False)
    be_patient()
    assert os.environ["XLA_FLAGS"] == "--xla_a=1"


def test_a_printed_command_names_its_devices(monkeypatch: pytest.MonkeyPatch):
    """In another shell it would train something else: with batch norm and pmap, say."""
    monkeypatch.delenv("JAX_NUM_CPU_DEVICES", raising=False)
    assert in_shell(["python", "train.py", "--workdir", "a b"]) == "python train.py --workdir 'a b'"
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", "2")
    assert in_shell(["python", "train.py"]) == "JAX_NUM_CPU_DEVICES=2 python train.py"
