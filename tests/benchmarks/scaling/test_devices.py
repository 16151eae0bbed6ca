"""Each process gets the devices it is to have; what the user set for all stays."""

import pytest

from benchmarks.scaling.devices import environment


def test_simulated_devices_come_last_so_that_they_count(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=8 --xla_dump_to=x")
    flags = environment("cpu", 4)["XLA_FLAGS"].split()
    assert flags[:3] == [
        "--xla_force_host_platform_device_count=8",
        "--xla_dump_to=x",
        "--xla_force_host_platform_device_count=4",
    ]


def test_the_first_gpus():
    assert environment("gpu", 2) == {"JAX_CUDA_VISIBLE_DEVICES": "0,1"}


def test_other_platforms_are_refused():
    with pytest.raises(ValueError, match="not on 'tpu'; try --growth"):
        environment("tpu", 2)
