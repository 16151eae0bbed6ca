"""Tests run on the CPU, on eight simulated devices, without a compilation cache of earlier runs."""

import os

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"
