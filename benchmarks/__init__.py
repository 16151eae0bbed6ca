"""Measurements, each one command that writes a file of `benchmarks/results`: `python -m benchmarks.throughput`."""
