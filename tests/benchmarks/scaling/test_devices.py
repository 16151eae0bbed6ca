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


@pytest.mark.parametrize(("given", "expected"), [("", "0,1"), ("3,5,6", "3,5")])
def test_the_first_gpus_of_those_at_hand(given, expected, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    assert environment("gpu", 2) == {"CUDA_VISIBLE_DEVICES": expected}


def test_other_platforms_are_refused():
    with pytest.raises(ValueError, match="not on 'tpu'; try --growth"):
        environment("tpu", 2)
